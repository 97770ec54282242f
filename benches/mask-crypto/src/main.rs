//! mask-crypto: values masked per second of CPU, by Lavra's masks and by the crates that do the same one value at a time.
//!
//! Ours is the whole mask: Arrow columns of text in, columns of tokens out, batch by batch. The peers get their input ready
//! made and their output is left as it comes. All results are compared before anything is timed.

#[path = "../../turns.rs"]
mod turns;

use aes::cipher::BlockCipherEncrypt;
use anyhow::{Context, Result, bail, ensure};
use arrow::array::{ArrayRef, AsArray, StringViewArray};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fpe::ff1::{FF1, FlexibleNumeralString};
use hmac::{Hmac, KeyInit, Mac};
use kernel::contract::MaskSpec;
use kernel::keys::KeyProvider;
use kernel::mask::{Mask, MaskFactory};
use privacy::keys::FixedKeys;
use privacy::mask::Masks;
use sha2::Sha256;
use std::hint::black_box;
use std::sync::Arc;
use turns::{core_seconds, median};

const ROUNDS: usize = 7;
/// Of ours in a turn: the kernel may tell a thread's time in steps of some milliseconds.
const RUNS: usize = 8;
/// Rows masked at a time.
const BATCH_ROWS: usize = 8192;
const SCOPE: &str = "person";
/// As `privacy::keys` derives the key of each purpose, by HKDF-SHA-256 (RFC 5869).
const SALT: &[u8] = b"lavra keys v1";

fn main() -> Result<()> {
    let rows = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => 1_000_000,
        [option, rows] if option == "--rows" => rows.parse().context("--rows takes a number")?,
        _ => bail!("usage: cargo x bench mask-crypto [--rows 1000000]"),
    };
    println!(
        "mask-crypto: {rows} distinct values, one core, median of {ROUNDS} rounds, millions of values per CPU-second"
    );
    println!("{:<34}{:>9}{:>9}  {:<36}{:>8}{:>7}{:>9}", "", "Lavra", "peer", "", "ratio", "goal", "control");
    for (digits, spec) in [(16, "fpe(person)"), (11, "fpe(person)"), (9, "fpe(person)")] {
        ff1(&format!("FF1, {digits} digits"), spec, 10, &numbers(rows, digits))?;
    }
    let letters: Vec<String> = numbers(rows, 12).into_iter().map(|text| text.replace('7', "Z")).collect();
    ff1("FF1, 12 characters of radix 36", "fpe(person, alphabet: alnum)", 36, &letters)?;
    for (name, values) in [("14 bytes", cpfs(rows)), ("32 bytes", numbers(rows, 32))] {
        siv(&format!("AES-SIV, {name}"), &values)?;
        pseudonym(&format!("pseudonym, {name}"), &values)?;
    }
    Ok(())
}

fn numbers(rows: usize, digits: usize) -> Vec<String> {
    (0..rows).map(|row| format!("{:0>digits$}", row as u128 * 999_983 % 10u128.pow(digits.min(18) as u32))).collect()
}

fn cpfs(rows: usize) -> Vec<String> {
    let cpf = |text: String| format!("{}.{}.{}-{}", &text[..3], &text[3..6], &text[6..9], &text[9..]);
    numbers(rows, 11).into_iter().map(cpf).collect()
}

fn ff1(name: &str, spec: &str, radix: u32, values: &[String]) -> Result<()> {
    let cipher = FF1::<aes::Aes256>::new(&subkey("fpe")?, radix).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let digit = |c: char| c.to_digit(radix).map(|digit| digit as u16).context("a digit");
    let numerals: Vec<FlexibleNumeralString> = values
        .iter()
        .map(|value| Ok(value.chars().map(digit).collect::<Result<Vec<u16>>>()?.into()))
        .collect::<Result<_>>()?;
    let one = |numeral| cipher.encrypt(SCOPE.as_bytes(), numeral).map_err(|e| anyhow::anyhow!("{e:?}"));
    let ours = Ours::new(spec, values)?;
    ours.must_be(numerals.iter().map(|numeral| {
        let digits = Vec::<u16>::from(one(numeral)?);
        let text = digits.into_iter().map(|digit| char::from_digit(digit.into(), radix).context("a digit"));
        Ok(text.collect::<Result<String>>()?.to_ascii_uppercase())
    }))?;
    let peer = || numerals.iter().for_each(|numeral| drop(black_box(one(numeral))));
    ours.against(name, "fpe 0.7, digits ready made", 25.0, &peer)
}

fn siv(name: &str, values: &[String]) -> Result<()> {
    let key = [subkey("encrypt siv mac")?, subkey("encrypt siv cipher")?].concat();
    let cipher = || aes_siv::siv::Aes256Siv::new_from_slice(&key).context("a key of 64 bytes");
    let sealed =
        |cipher: &mut aes_siv::siv::Aes256Siv, value: &String| cipher.encrypt([SCOPE.as_bytes()], value.as_bytes());
    let text = |cipher: &mut aes_siv::siv::Aes256Siv, value| -> Result<String> {
        let sealed = sealed(cipher, value).map_err(|_| anyhow::anyhow!("aes-siv failed"))?;
        Ok(format!("1.siv.{}", URL_SAFE_NO_PAD.encode(sealed)))
    };
    let ours = Ours::new("encrypt(person, mode: deterministic)", values)?;
    let mut for_tokens = cipher()?;
    ours.must_be(values.iter().map(|value| text(&mut for_tokens, value)))?;
    let one = cipher()?;
    let one = std::cell::RefCell::new(one);
    let bytes = || values.iter().for_each(|value| drop(black_box(sealed(&mut one.borrow_mut(), value))));
    ours.against(name, "aes-siv 0.8, its bytes only", 4.0, &bytes)?;
    let tokens = || values.iter().for_each(|value| drop(black_box(text(&mut one.borrow_mut(), value))));
    ours.against(name, "aes-siv 0.8 and base64, as text", 4.0, &tokens)
}

fn pseudonym(name: &str, values: &[String]) -> Result<()> {
    let keyed = Hmac::<Sha256>::new_from_slice(&subkey("pseudonym join")?).context("a key")?;
    let version = aes::Aes256::new_from_slice(&subkey("pseudonym")?).context("a key")?;
    let code = |value: &String| {
        let code = keyed.clone().chain_update(value).finalize().into_bytes();
        let mut block = aes::Block::default();
        block.copy_from_slice(&code[..16]);
        version.encrypt_block(&mut block);
        block
    };
    let ours = Ours::new("pseudonym(person)", values)?;
    ours.must_be(values.iter().map(|value| Ok(format!("p1_{}", base32(&code(value))))))?;
    let peer = || values.iter().for_each(|value| _ = black_box(code(value)));
    // The goal is 20 million a second, not a ratio.
    ours.against(name, "hmac 0.13, sha2 0.11, aes 0.9, bytes only", f64::NAN, &peer)
}

/// 26 digits of RFC 4648, read off the bits.
fn base32(bytes: &[u8]) -> String {
    let bits = bytes.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let digit = |at: usize| if at < 25 { bits >> (123 - 5 * at) & 31 } else { bits << 2 & 31 };
    (0..26).map(|at| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[digit(at) as usize])).collect()
}

fn keys() -> FixedKeys {
    FixedKeys::new(&[7])
}

fn subkey(purpose: &str) -> Result<Vec<u8>> {
    let key = keys().key(SCOPE, None)?;
    let extracted = Hmac::<Sha256>::new_from_slice(SALT)?.chain_update(key.expose()).finalize().into_bytes();
    let expand = Hmac::<Sha256>::new_from_slice(&extracted)?.chain_update(purpose).chain_update([1]);
    Ok(expand.finalize().into_bytes().to_vec())
}

struct Ours {
    mask: Box<dyn Mask>,
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl Ours {
    fn new(spec: &str, values: &[String]) -> Result<Self> {
        let spec = MaskSpec::parse(spec).map_err(|e| anyhow::anyhow!("{e}"))?;
        let mask = Masks::new(Arc::new(keys())).build(&spec, None)?;
        let column = |values: &[String]| Arc::new(StringViewArray::from_iter_values(values)) as ArrayRef;
        Ok(Self { mask, columns: values.chunks(BATCH_ROWS).map(column).collect(), rows: values.len() })
    }

    /// Equal answers or no score.
    fn must_be(&self, expected: impl Iterator<Item = Result<String>>) -> Result<()> {
        let masked = self.columns.iter().map(|column| self.mask.apply(column)).collect::<kernel::Result<Vec<_>>>()?;
        let mut tokens = masked.iter().flat_map(|masked| masked.as_string_view().iter());
        for expected in expected {
            ensure!(tokens.next() == Some(Some(expected?.as_str())), "`{}` and its peer differ", self.mask.name());
        }
        ensure!(tokens.next().is_none(), "`{}` gave more values than its peer", self.mask.name());
        Ok(())
    }

    /// Takes turns with the peer; the control is ours against ours.
    fn against(&self, name: &str, peer_name: &str, goal: f64, peer: &dyn Fn()) -> Result<()> {
        let once = || self.columns.iter().for_each(|column| drop(black_box(self.mask.apply(column))));
        let mask = || (0..RUNS).for_each(|_| once());
        let mut seconds: [Vec<f64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            let turns: [(&dyn Fn(), usize); 3] = [(&mask, RUNS), (peer, 1), (&mask, RUNS)];
            for (seconds, (turn, runs)) in seconds.iter_mut().zip(turns) {
                seconds.push(core_seconds(turn)? / runs as f64);
            }
        }
        let [ours, peers, again] = seconds.map(median);
        let rate = |seconds: f64| self.rows as f64 / seconds / 1e6;
        let goal = if goal.is_nan() { "20 M/s".into() } else { format!("{goal}x") };
        println!(
            "{name:<34}{:>9.2}{:>9.2}  {peer_name:<36}{:>7.1}x{goal:>7}{:>9.2}",
            rate(ours),
            rate(peers),
            peers / ours,
            again / ours
        );
        Ok(())
    }
}

//! pii-detect: gigabytes of text per second of CPU in which all forms of personal data are found, with their places, by
//! Lavra's `Finder` and by regex-automata's meta engine alone, on the same patterns. All matches are compared first.

#[path = "../../turns.rs"]
mod turns;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use kernel::gate::Screen;
use privacy::detect::{Finder, PersonalScreen};
use regex_automata::Match;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use std::hint::black_box;
use turns::{core_seconds, median};

const ROUNDS: usize = 7;
const GOAL: f64 = 1.5;

/// Twenty forms as they are written in contracts, logs and letters of Brazil, Europe and the United States.
const FORMS: [&str; 20] = [
    r"[0-9A-Za-z][0-9A-Za-z._%+\-]*@[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*\.[A-Za-z]{2,24}\b",
    r"\beyJ[0-9A-Za-z_\-]{8,}\.eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]*",
    r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b",
    r"\b[0-9A-Za-z]{2}\.[0-9A-Za-z]{3}\.[0-9A-Za-z]{3}/[0-9A-Za-z]{4}-[0-9]{2}\b",
    r"\b[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-[0-9]{2}\b",
    r"\b[0-9]{3}\.[0-9]{5}\.[0-9]{2}-[0-9]\b",
    r"\b[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9Xx]\b",
    r"\b[0-9]{4}[ \-][0-9]{4}[ \-][0-9]{4}[ \-][0-9]{1,7}\b|\b3[47][0-9]{2}[ \-][0-9]{6}[ \-][0-9]{5}\b",
    r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b",
    r"\+[1-9][0-9 ().\-]{6,19}[0-9]\b",
    r"\(0?[1-9][0-9]\) ?9?[ .]?[0-9]{4}[ .\-]?[0-9]{4}\b|\b[1-9][0-9][ \-]9?[0-9]{4}[ \-][0-9]{4}\b",
    r"(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[\-.])[0-9]{3}[\-.][0-9]{4}\b",
    r"\b[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\b",
    r"\b(?:[0-9A-Fa-f]{1,4}:){3,7}[0-9A-Fa-f]{1,4}\b",
    r"\b[0-9]{2}\.?[0-9]{3}-[0-9]{3}\b",
    r"\b[A-Za-z]{3}-?[0-9][0-9A-Za-z][0-9]{2}\b",
    r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?\b",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[0-9A-Za-z]{36}\b",
    r"\b(?:[0-9A-Z]{12}[0-9]{2}|[0-9]{7,19})\b",
];

/// Examples of the forms, by digits: `9` stands for any digit, `x` for a letter.
const VALUES: [&str; 16] = [
    "999.999.999-99",
    "99.999.999/9999-99",
    "xxxxx.xxxxxx@xxxxxxx.com.br",
    "(99) 99999-9999",
    "+55 99 99999-9999",
    "9999 9999 9999 9999",
    "999-99-9999",
    "xxxxxxxx@xxxxx.com",
    "192.168.99.99",
    "99999-999",
    "RIO9A99",
    "GB99 WEST 9999 9999 9999 99",
    "99999999999",
    "999-999-9999",
    "99999999-9999-4999-9999-999999999999",
    "ghp_x9x9x9x9x9x9x9x9x9x9x9x9x9x9x9x9x9x9",
];
const WORDS: &str = "the customer asked for a new invoice and we will send it again by mail tomorrow morning after the \
    manager has seen what was paid in the last quarter Prezada senhora segue em anexo a nota fiscal do pedido que foi \
    entregue ontem no endereço da filial informamos também que o prazo de devolução é contado a partir do recebimento";

fn main() -> Result<()> {
    let megabytes = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => 16,
        [option, size] if option == "--megabytes" => size.parse().context("--megabytes takes a number")?,
        _ => bail!("usage: cargo x bench pii-detect [--megabytes 16]"),
    };
    println!(
        "pii-detect: {megabytes} MB a text, {} forms with places, one core, median of {ROUNDS} rounds",
        FORMS.len()
    );
    println!(
        "{:<44}{:>8}{:>12}{:>12}{:>8}{:>7}{:>9}",
        "GB per CPU-second", "found", "Lavra", "meta alone", "ratio", "goal", "control"
    );
    let finder = Finder::new(&FORMS)?;
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    let regex = Regex::builder().syntax(syntax).build_many(&FORMS)?;
    let screen = PersonalScreen::new()?;
    for (name, every, digits) in [
        ("dense: a value every 190 bytes", 190, 0),
        ("very dense: a value every 60 bytes", 60, 0),
        ("digits: prices, dates and amounts between", 190, 3),
        ("sparse: a value every 20,000 bytes", 20_000, 0),
    ] {
        let text = corpus(megabytes << 20, every, digits);
        compare(name, &text, &finder, &regex)?;
        let lines = || _ = black_box(text.lines().filter(|line| screen.is_personal(line)).count());
        let seconds = median((0..ROUNDS).map(|_| core_seconds(&lines)).collect::<Result<_>>()?);
        println!(
            "{:<44}{:>8}{:>12.3}",
            "  the same, each line judged by the gate",
            "",
            text.len() as f64 / seconds / 1e9
        );
    }
    Ok(())
}

/// Lines of words with a value among them about `every` so many bytes, and `digits` numbers for each value.
fn corpus(size: usize, every: usize, digits: usize) -> String {
    let mut random = Rng::with_seed(7);
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let (mut text, mut next) = (String::with_capacity(size + 100), every);
    while text.len() < size {
        text.push_str(words[random.usize(..words.len())]);
        if digits > 0 && random.usize(..every / 6) < digits {
            text.push_str(&format!(
                " R$ {},{:02} em {:02}/{:02}/20{:02}",
                random.u32(..2000),
                random.u8(..100),
                random.u8(1..29),
                random.u8(1..13),
                random.u8(10..26)
            ));
        }
        if text.len() >= next {
            text.push(' ');
            let form = VALUES[random.usize(..VALUES.len())];
            text.extend(form.chars().map(|c| match c {
                '9' => random.digit(10),
                'x' => random.lowercase(),
                'X' => random.uppercase(),
                other => other,
            }));
            next = text.len() + every - 20;
        }
        text.push(match random.u8(..16) {
            0 => '\n',
            1 => ',',
            _ => ' ',
        });
    }
    text
}

fn compare(name: &str, text: &str, finder: &Finder, regex: &Regex) -> Result<()> {
    let (mut ours, text) = (Vec::new(), text.as_bytes());
    finder.each(text, |found| ours.push(found));
    let peers: Vec<Match> = regex.find_iter(text).collect();
    ensure!(ours == peers, "{name}: the matches differ");
    let find = || {
        let mut end = 0;
        finder.each(text, |found| end ^= found.end());
        black_box(end);
    };
    let peer = || _ = black_box(regex.find_iter(text).fold(0, |end, found| end ^ found.end()));
    let mut seconds: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let turns: [&dyn Fn(); 3] = [&find, &peer, &find];
        for (seconds, turn) in seconds.iter_mut().zip(turns) {
            seconds.push(core_seconds(turn)?);
        }
    }
    let [ours, theirs, again] = seconds.map(median);
    let rate = |seconds: f64| text.len() as f64 / seconds / 1e9;
    println!(
        "{name:<44}{:>8}{:>12.3}{:>12.3}{:>7.2}x{GOAL:>6}x{:>9.2}",
        peers.len(),
        rate(ours),
        rate(theirs),
        theirs / ours,
        again / ours
    );
    Ok(())
}

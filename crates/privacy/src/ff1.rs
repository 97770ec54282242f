//! FF1, format-preserving encryption (NIST SP 800-38G, section 5.1; the least domain is that of SP 800-38Gr1, 2nd draft,
//! section 5: a million texts).
//!
//! Many texts of one length go through the rounds side by side: the ten AES blocks of one text depend on each other, those
//! of different texts don't, and the processor works on eight at a time. All of a round's input but the round's number and
//! half the text is the same for all texts, so that it is encrypted once and each round costs one block.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

/// Fewer texts than this could be tried one by one.
pub(crate) const DOMAIN_MIN: u128 = 1_000_000;
const ROUNDS: u8 = 10;

/// FF1 for texts of one radix and length, under one key and tweak.
pub(crate) struct Ff1 {
    cipher: Aes256,
    /// Characters of the left half and of the right, the longer one.
    left: u32,
    right: u32,
    radix: u128,
    /// Bytes that hold a half as a number, and bytes of a round's output.
    half_bytes: usize,
    output_bytes: usize,
    /// The cipher's state before the block that differs between rounds and texts, and that block's constant part.
    state: [u8; 16],
}

/// A text as two numbers, its halves: the digits' values, most significant first.
pub(crate) type Halves = (u128, u128);

impl Ff1 {
    /// `None` when texts of this length are too few to hide one, or too long for this implementation (57 decimal digits,
    /// 36 characters of radix 36).
    pub fn new(key: &[u8; 32], tweak: &[u8], radix: u32, length: u32) -> Option<Self> {
        let domain = u128::from(radix).checked_pow(length);
        if length < 2 || domain.is_some_and(|domain| domain < DOMAIN_MIN) {
            return None;
        }
        let (left, right) = (length / 2, length - length / 2);
        let most = u128::from(radix).checked_pow(right)? - 1;
        let half_bytes = (u128::BITS - most.leading_zeros()).div_ceil(8) as usize;
        let output_bytes = 4 * half_bytes.div_ceil(4) + 4;
        if output_bytes > 16 {
            return None;
        }
        let cipher = Aes256::new(&Array::from(*key));
        let mut first = [1, 2, 1, 0, 0, 0, 10, left as u8, 0, 0, 0, 0, 0, 0, 0, 0];
        first[3..6].copy_from_slice(&radix.to_be_bytes()[1..]);
        first[8..12].copy_from_slice(&length.to_be_bytes());
        first[12..].copy_from_slice(&(tweak.len() as u32).to_be_bytes());
        // Tweak, zeros, round, half: a whole number of blocks, of which the last holds round and half.
        let mut rest = tweak.to_vec();
        rest.resize((tweak.len() + half_bytes + 1).next_multiple_of(16), 0);
        let mut state = [0; 16];
        let blocks = [first.as_slice()].into_iter().chain(rest.chunks_exact(16));
        let constant = rest.len() / 16;
        for (at, block) in blocks.enumerate() {
            state.iter_mut().zip(block).for_each(|(state, byte)| *state ^= byte);
            if at < constant {
                let mut block = Array::from(state);
                cipher.encrypt_block(&mut block);
                state = block.into();
            }
        }
        Some(Self { cipher, left, right, radix: u128::from(radix), half_bytes, output_bytes, state })
    }

    /// Characters of the left half.
    pub fn left(&self) -> usize {
        self.left as usize
    }

    pub fn encrypt(&self, texts: &mut [Halves]) {
        let mut blocks = Vec::with_capacity(texts.len());
        for round in 0..ROUNDS {
            self.outputs(round, texts.iter().map(|(_, right)| *right), &mut blocks);
            let modulus = self.modulus(round);
            for ((left, right), block) in texts.iter_mut().zip(&blocks) {
                let sum = *left + self.number(block, modulus);
                let new = if sum >= modulus { sum - modulus } else { sum };
                (*left, *right) = (*right, new);
            }
        }
    }

    pub fn decrypt(&self, texts: &mut [Halves]) {
        let mut blocks = Vec::with_capacity(texts.len());
        for round in (0..ROUNDS).rev() {
            self.outputs(round, texts.iter().map(|(left, _)| *left), &mut blocks);
            let modulus = self.modulus(round);
            for ((left, right), block) in texts.iter_mut().zip(&blocks) {
                let took = self.number(block, modulus);
                let old = if *right >= took { *right - took } else { *right + modulus - took };
                (*right, *left) = (*left, old);
            }
        }
    }

    fn modulus(&self, round: u8) -> u128 {
        self.radix.pow(if round.is_multiple_of(2) { self.left } else { self.right })
    }

    /// A round's output for each half.
    fn outputs(
        &self,
        round: u8,
        halves: impl Iterator<Item = u128>,
        blocks: &mut Vec<Array<u8, aes::cipher::consts::U16>>,
    ) {
        blocks.clear();
        let mut constant = self.state;
        constant[15 - self.half_bytes] ^= round;
        let constant = u128::from_be_bytes(constant);
        blocks.extend(halves.map(|half| Array::from((constant ^ half).to_be_bytes())));
        self.cipher.encrypt_blocks(blocks);
    }

    /// A round's output as a number below `modulus`.
    fn number(&self, block: &Array<u8, aes::cipher::consts::U16>, modulus: u128) -> u128 {
        let all = u128::from_be_bytes((*block).into());
        match self.output_bytes {
            // Division of 64 bits is several times as fast as of 128.
            8 => u128::from((all >> 64) as u64 % modulus as u64),
            bytes => (all >> (8 * (16 - bytes))) % modulus,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stopwatch::core_seconds;

    const KEY: [u8; 32] = [
        0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c, 0xef, 0x43,
        0x59, 0xd8, 0xd5, 0x80, 0xaa, 0x4f, 0x7f, 0x03, 0x6d, 0x6f, 0x04, 0xfc, 0x6a, 0x94,
    ];

    fn halves(text: &str, radix: u32, left: usize) -> Halves {
        let number = |text: &str| u128::from_str_radix(text, radix).unwrap();
        (number(&text[..left]), number(&text[left..]))
    }

    fn text((left, right): Halves, radix: u128, ff1: &Ff1) -> String {
        let digits = |mut number: u128, length: u32| {
            let mut out = Vec::new();
            for _ in 0..length {
                out.push(char::from_digit((number % radix) as u32, radix as u32).unwrap());
                number /= radix;
            }
            out.into_iter().rev().collect::<String>()
        };
        digits(left, ff1.left) + &digits(right, ff1.right)
    }

    /// NIST's examples with AES-256: FF1 samples 7, 8 and 9 (csrc.nist.gov, Examples with Intermediate Values).
    #[test]
    fn it_gives_the_samples_of_nist() {
        let cases = [
            (10, "", "0123456789", "6657667009"),
            (10, "9876543210", "0123456789", "1001623463"),
            (36, "7777pqrs777", "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
        ];
        for (radix, tweak, plain, cipher) in cases {
            let ff1 = Ff1::new(&KEY, tweak.as_bytes(), radix, plain.len() as u32).unwrap();
            let mut texts = vec![halves(plain, radix, ff1.left()); 21];
            ff1.encrypt(&mut texts);
            assert!(
                texts.iter().all(|t| text(*t, radix.into(), &ff1) == cipher),
                "{}",
                text(texts[0], radix.into(), &ff1)
            );
            ff1.decrypt(&mut texts);
            assert!(texts.iter().all(|t| text(*t, radix.into(), &ff1) == plain));
        }
    }

    #[test]
    fn every_length_comes_back_and_is_a_permutation() {
        for (radix, lengths) in [(10, 6..=56), (36, 4..=36)] {
            for length in lengths {
                let ff1 = Ff1::new(&KEY, b"person", radix, length).unwrap();
                let modulus = u128::from(radix).pow(ff1.left);
                let plain: Vec<Halves> = (0..100u128).map(|n| (n * 7919 % modulus, n * 104_729 % modulus)).collect();
                let mut texts = plain.clone();
                ff1.encrypt(&mut texts);
                let distinct: std::collections::HashSet<&Halves> = texts.iter().collect();
                assert_eq!(distinct.len(), plain.iter().collect::<std::collections::HashSet<_>>().len());
                ff1.decrypt(&mut texts);
                assert_eq!(texts, plain, "radix {radix}, length {length}");
            }
        }
    }

    #[test]
    fn few_texts_are_refused() {
        assert!(Ff1::new(&KEY, b"", 10, 5).is_none() && Ff1::new(&KEY, b"", 36, 3).is_none());
        assert!(Ff1::new(&KEY, b"", 10, 6).is_some() && Ff1::new(&KEY, b"", 36, 4).is_some());
        assert!(Ff1::new(&KEY, b"", 10, 60).is_none() && Ff1::new(&KEY, b"", 10, 0).is_none());
    }

    /// Run it alone: `cargo test -p privacy -- --ignored --nocapture ff1`.
    #[test]
    #[ignore = "a measurement, not a judgement"]
    fn texts_per_second() {
        for (radix, length) in [(10, 9), (10, 11), (10, 16), (36, 12)] {
            let ff1 = Ff1::new(&KEY, b"", radix, length).unwrap();
            let mut texts: Vec<Halves> = (0..1 << 20).map(|n| (n % 1000, n % 1000)).collect();
            let seconds = core_seconds(|| texts.chunks_mut(64).for_each(|texts| ff1.encrypt(texts)));
            println!("FF1 radix {radix}, {length} characters: {:.1} M/s", texts.len() as f64 / seconds / 1e6);
        }
    }
}

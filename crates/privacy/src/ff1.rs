//! FF1, format-preserving encryption (NIST SP 800-38G, section 5.1; the least domain is that of SP 800-38Gr1, 2nd draft,
//! section 5: a million texts).
//!
//! Many texts of one length go through the rounds side by side: the ten AES blocks of one text depend on each other, those
//! of different texts don't, and the processor works on up to 64 at a time. All of a round's input but the round's number and
//! half the text is the same for all texts, so that it is encrypted once and each round costs one block.

use crate::multi::TOGETHER;
use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit, consts::U16};

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
        self.each_chunk(texts, Self::encrypt_rounds::<u64>, Self::encrypt_rounds::<u128>);
    }

    pub fn decrypt(&self, texts: &mut [Halves]) {
        self.each_chunk(texts, Self::decrypt_rounds::<u64>, Self::decrypt_rounds::<u128>);
    }

    /// Runs `texts` through the rounds for halves of at most 32 bits, or through those for longer ones.
    fn each_chunk(
        &self,
        texts: &mut [Halves],
        narrow: fn(&Self, &mut [u64], &mut [u64]),
        wide: fn(&Self, &mut [u128], &mut [u128]),
    ) {
        for texts in texts.chunks_mut(TOGETHER) {
            if self.half_bytes <= 4 {
                let (mut left, mut right): (Vec<u64>, Vec<u64>) =
                    texts.iter().map(|(l, r)| (*l as u64, *r as u64)).unzip();
                narrow(self, &mut left, &mut right);
                let both = left.into_iter().zip(right).map(|(left, right)| (left.into(), right.into()));
                texts.iter_mut().zip(both).for_each(|(text, halves)| *text = halves);
            } else {
                let (mut left, mut right): (Vec<u128>, Vec<u128>) = texts.iter().copied().unzip();
                wide(self, &mut left, &mut right);
                texts.iter_mut().zip(left.into_iter().zip(right)).for_each(|(text, halves)| *text = halves);
            }
        }
    }

    fn encrypt_rounds<'a, H: Half>(&self, mut left: &'a mut [H], mut right: &'a mut [H]) {
        let mut blocks = Vec::with_capacity(left.len());
        for round in 0..ROUNDS {
            self.outputs(round, right, &mut blocks);
            let modulus = self.modulus::<H>(round);
            left.iter_mut()
                .zip(&blocks)
                .for_each(|(half, block)| *half = modulus.sum(*half, self.number(block, &modulus)));
            std::mem::swap(&mut left, &mut right);
        }
    }

    fn decrypt_rounds<'a, H: Half>(&self, mut left: &'a mut [H], mut right: &'a mut [H]) {
        let mut blocks = Vec::with_capacity(left.len());
        for round in (0..ROUNDS).rev() {
            self.outputs(round, left, &mut blocks);
            let modulus = self.modulus::<H>(round);
            right
                .iter_mut()
                .zip(&blocks)
                .for_each(|(half, block)| *half = modulus.difference(*half, self.number(block, &modulus)));
            std::mem::swap(&mut left, &mut right);
        }
    }

    fn modulus<H: Half>(&self, round: u8) -> Modulus<H> {
        H::modulus(self.radix.pow(if round.is_multiple_of(2) { self.left } else { self.right }))
    }

    /// A round's output for each half.
    fn outputs<H: Half>(&self, round: u8, halves: &[H], blocks: &mut Vec<Array<u8, U16>>) {
        blocks.clear();
        let mut constant = self.state;
        constant[15 - self.half_bytes] ^= round;
        let constant = u128::from_be_bytes(constant);
        blocks.extend(halves.iter().map(|half| Array::from((constant ^ (*half).into()).to_be_bytes())));
        self.cipher.encrypt_blocks(blocks);
    }

    /// A round's output as a number below the modulus.
    fn number<H: Half>(&self, block: &Array<u8, U16>, modulus: &Modulus<H>) -> H {
        H::reduced(u128::from_be_bytes((*block).into()) >> (8 * (16 - self.output_bytes)), modulus)
    }
}

/// What a half is reckoned in. Up to 32 bits (texts of 18 decimal digits, 12 characters of radix 36) a round's output has
/// 64, and every step takes the same time whatever the digits are. Longer ones are divided, whose time may depend on the
/// round's output; it tells nothing of the digits without the key.
trait Half: Copy + Ord + Into<u128> {
    fn modulus(of: u128) -> Modulus<Self>;
    /// `output` modulo `modulus`.
    fn reduced(output: u128, modulus: &Modulus<Self>) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
}

struct Modulus<H> {
    value: H,
    /// The largest number of 64 bits divided by it.
    reciprocal: u64,
}

impl<H: Half> Modulus<H> {
    /// Below the modulus again: of the sum and the sum less the modulus, what did not wrap round is the smaller one.
    fn sum(&self, one: H, other: H) -> H {
        let sum = one.plus(other);
        sum.min(sum.minus(self.value))
    }

    fn difference(&self, one: H, other: H) -> H {
        let difference = one.minus(other);
        difference.min(difference.plus(self.value))
    }
}

impl Half for u64 {
    fn modulus(of: u128) -> Modulus<Self> {
        let value = of as u64;
        Modulus { value, reciprocal: u64::MAX / value }
    }

    /// Barrett's reduction (Handbook of Applied Cryptography, 14.3.3): the quotient is right or one too small.
    fn reduced(output: u128, modulus: &Modulus<Self>) -> Self {
        let output = output as u64;
        let quotient = ((u128::from(output) * u128::from(modulus.reciprocal)) >> 64) as u64;
        let rest = output - quotient * modulus.value;
        rest.min(rest.wrapping_sub(modulus.value))
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
}

impl Half for u128 {
    fn modulus(of: u128) -> Modulus<Self> {
        Modulus { value: of, reciprocal: 0 }
    }

    fn reduced(output: u128, modulus: &Modulus<Self>) -> Self {
        output % modulus.value
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
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
    fn many_at_once_are_as_one_by_one() {
        let mut random = fastrand::Rng::with_seed(7);
        for (radix, length) in [(10, 6), (10, 16), (10, 18), (10, 19), (10, 37), (36, 4), (36, 12), (36, 13)] {
            let ff1 = Ff1::new(&KEY, b"person", radix, length).unwrap();
            let mut half = |length| random.u128(..u128::from(radix).pow(length));
            let plain: Vec<Halves> = (0..2 * TOGETHER + 13).map(|_| (half(ff1.left), half(ff1.right))).collect();
            let mut together = plain.clone();
            ff1.encrypt(&mut together);
            for (text, expected) in plain.iter().zip(&together) {
                let mut alone = [*text];
                ff1.encrypt(&mut alone);
                assert_eq!(alone[0], *expected, "radix {radix}, length {length}");
            }
            ff1.decrypt(&mut together);
            assert_eq!(together, plain);
        }
        Ff1::new(&KEY, b"", 10, 16).unwrap().encrypt(&mut []);
    }

    #[test]
    fn the_reciprocal_divides_exactly() {
        let mut random = fastrand::Rng::with_seed(7);
        for value in (3..=9).map(|n| 10u128.pow(n)).chain((2..=6).map(|n| 36u128.pow(n))).chain([1, 2, 1 << 32]) {
            let modulus = u64::modulus(value);
            let near = |n: u64| [n.wrapping_sub(1), n, n.wrapping_add(1)];
            let edges = [0, value as u64, u64::MAX / value as u64 * value as u64].into_iter().flat_map(near);
            for output in edges.chain((0..10_000).map(|_| random.u64(..))) {
                assert_eq!(u64::reduced(output.into(), &modulus), output % value as u64, "{output} mod {value}");
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
            let seconds = core_seconds(|| ff1.encrypt(&mut texts));
            println!("FF1 radix {radix}, {length} characters: {:.1} M/s", texts.len() as f64 / seconds / 1e6);
        }
    }
}

//! Random numbers from a seed of 32 bytes: AES-256 in counter mode.

use super::ring::DEGREE;
use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use zeroize::{Zeroize, Zeroizing};

/// Both halves of a centred binomial draw.
const HALF: u64 = (1 << 21) - 1;

pub(super) struct Stream {
    cipher: Aes256,
    counter: u128,
}

impl Stream {
    pub fn new(seed: &[u8; 32]) -> Self {
        Self { cipher: Aes256::new(&Array::from(*seed)), counter: 0 }
    }

    fn words(&mut self, count: usize) -> Zeroizing<Vec<u64>> {
        let mut words = Zeroizing::new(Vec::with_capacity(count + 64));
        let mut blocks = [aes::Block::default(); 32];
        while words.len() < count {
            for block in &mut blocks {
                *block = self.counter.to_be_bytes().into();
                self.counter += 1;
            }
            self.cipher.encrypt_blocks(&mut blocks);
            for block in &blocks {
                let word = u128::from_be_bytes((*block).into());
                words.extend([(word >> 64) as u64, word as u64]);
            }
        }
        blocks.iter_mut().for_each(|block| block.0.zeroize());
        words
    }

    /// Coefficients -1, 0 and 1, each as often as the others but for 2^-32 of them.
    pub fn ternary(&mut self) -> Zeroizing<Vec<i64>> {
        let words = self.words(DEGREE / 2);
        let one = |half: u64| ((half * 3) >> 32) as i64 - 1;
        Zeroizing::new(words.iter().take(DEGREE / 2).flat_map(|w| [one(w & 0xffff_ffff), one(w >> 32)]).collect())
    }

    /// Errors: of 21 coins less 21 coins, a deviation of 3.24 and never more than 21.
    pub fn errors(&mut self) -> Zeroizing<Vec<i64>> {
        let words = self.words(DEGREE);
        let of = |w: &u64| i64::from((w & HALF).count_ones()) - i64::from((w >> 21 & HALF).count_ones());
        Zeroizing::new(words.iter().take(DEGREE).map(of).collect())
    }

    /// Any coefficients below a prime of 55 bits.
    pub fn uniform(&mut self, p: u64) -> Vec<u64> {
        let mut all = Vec::with_capacity(DEGREE);
        while all.len() < DEGREE {
            let words = self.words(DEGREE - all.len());
            all.extend(words.iter().map(|word| word >> 9).filter(|word| *word < p).take(DEGREE - all.len()));
        }
        all
    }
}

//! SHA-256's compression function (FIPS 180-4, section 6.2.2): one block for each of many states.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};
use sha2::block_api::compress256;

pub(super) type State = [u32; 8];
pub(super) type Block = [u8; 64];

/// Section 5.3.3.
pub(super) const START: State =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// Section 4.2.2.
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];
/// The most 32-bit words that a vector of any processor has.
const LANES_MAX: usize = 16;

/// How this processor does it best.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// Instructions for SHA-256: one state after the other, whose steps the processor interleaves by itself.
    Instructions,
    /// A state in each lane of the vectors.
    Lanes(Level),
}

impl Way {
    pub fn best() -> Self {
        let level = Level::new();
        // Sixteen lanes with rotations of their own pass the instructions; eight without don't.
        #[cfg(target_arch = "x86_64")]
        if level.as_avx512().is_none() && std::arch::is_x86_feature_detected!("sha") {
            return Self::Instructions;
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("sha2") {
            return Self::Instructions;
        }
        Self::Lanes(level)
    }

    /// Takes one block into each state.
    pub fn compress(self, states: &mut [State], blocks: &[Block]) {
        match self {
            Self::Instructions => one_by_one(states, blocks),
            Self::Lanes(level) => dispatch!(level, simd => in_lanes(simd, states, blocks)),
        }
    }
}

fn one_by_one(states: &mut [State], blocks: &[Block]) {
    states.iter_mut().zip(blocks).for_each(|(state, block)| compress256(state, std::slice::from_ref(block)));
}

#[inline(always)]
fn in_lanes<S: Simd>(simd: S, states: &mut [State], blocks: &[Block]) {
    let lanes = S::u32s::LEN;
    let whole = states.len() / lanes * lanes;
    for (states, blocks) in states[..whole].chunks_exact_mut(lanes).zip(blocks.chunks_exact(lanes)) {
        group(simd, states, blocks);
    }
    one_by_one(&mut states[whole..], &blocks[whole..]);
}

/// As many states as a vector has lanes; the names are the standard's.
#[inline(always)]
fn group<S: Simd>(simd: S, states: &mut [State], blocks: &[Block]) {
    let mut w: [S::u32s; 16] = std::array::from_fn(|t| {
        let word =
            |block: &Block| u32::from_be_bytes([block[4 * t], block[4 * t + 1], block[4 * t + 2], block[4 * t + 3]]);
        vector(simd, blocks.iter().map(word))
    });
    let before: [S::u32s; 8] = std::array::from_fn(|at| vector(simd, states.iter().map(|state| state[at])));
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = before;
    for (t, k) in K.into_iter().enumerate() {
        let i = t % 16;
        if t >= 16 {
            let (x, y) = (w[(i + 1) % 16], w[(i + 14) % 16]);
            let sigma0 = rotated::<S>(x, 7) ^ rotated::<S>(x, 18) ^ (x >> 3);
            let sigma1 = rotated::<S>(y, 17) ^ rotated::<S>(y, 19) ^ (y >> 10);
            w[i] = w[i] + sigma0 + w[(i + 9) % 16] + sigma1;
        }
        let sum1 = rotated::<S>(e, 6) ^ rotated::<S>(e, 11) ^ rotated::<S>(e, 25);
        let t1 = h + sum1 + ((e & f) ^ (!e & g)) + w[i] + k;
        let sum0 = rotated::<S>(a, 2) ^ rotated::<S>(a, 13) ^ rotated::<S>(a, 22);
        let t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
        (h, g, f, e, d, c, b, a) = (g, f, e, d + t1, c, b, a, t1 + t2);
    }
    for (at, (before, word)) in before.into_iter().zip([a, b, c, d, e, f, g, h]).enumerate() {
        let after = before + word;
        states.iter_mut().zip(after.as_slice()).for_each(|(state, word)| state[at] = *word);
    }
}

#[inline(always)]
fn vector<S: Simd>(simd: S, words: impl Iterator<Item = u32>) -> S::u32s {
    let mut lanes = [0; LANES_MAX];
    lanes.iter_mut().zip(words).for_each(|(lane, word)| *lane = word);
    S::u32s::from_slice(simd, &lanes[..S::u32s::LEN])
}

#[inline(always)]
fn rotated<S: Simd>(x: S::u32s, bits: u32) -> S::u32s {
    (x >> bits) | (x << (32 - bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way that this processor can go, also those that it would not choose.
    pub(in super::super) fn ways() -> [Way; 3] {
        [Way::Instructions, Way::Lanes(Level::new()), Way::Lanes(Level::baseline())]
    }

    #[test]
    fn all_ways_give_what_the_library_gives() {
        for count in [0, 1, 3, 4, 7, 8, 15, 16, 17, 33, 100] {
            let blocks: Vec<Block> =
                (0..count).map(|n| std::array::from_fn(|at| (n * 31 + at * 7 + at * n) as u8)).collect();
            let states: Vec<State> = (0..count as u32).map(|n| START.map(|word| word.rotate_left(n))).collect();
            let mut expected = states.clone();
            one_by_one(&mut expected, &blocks);
            for way in ways() {
                let mut got = states.clone();
                way.compress(&mut got, &blocks);
                assert_eq!(got, expected, "{count} states");
            }
        }
    }

    /// FIPS 180-4's example of one block ("abc", csrc.nist.gov, Examples with Intermediate Values).
    #[test]
    fn abc_has_the_hash_of_the_standard() {
        let mut block = [0; 64];
        block[..4].copy_from_slice(b"abc\x80");
        block[63] = 24;
        let hash = [0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223, 0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad];
        for way in ways() {
            let mut states = [START; 17];
            way.compress(&mut states, &[block; 17]);
            assert_eq!(states, [hash; 17]);
        }
    }
}

//! HMAC's two turns of SHA-256's compression function (FIPS 180-4, section 6.2.2) for many short messages.

use fearless_simd::prelude::*;
#[cfg(target_arch = "x86_64")]
use fearless_simd::x86::Avx512;
use fearless_simd::{Level, dispatch};
use sha2::block_api::compress256;
use std::ops::{BitAnd, BitXor};

pub(super) type State = [u32; 8];
pub(super) type Block = [u8; 64];
/// The first 128 bits of a hash.
pub(super) type Code = [u8; 16];

/// Section 5.3.3.
pub(super) const START: State =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// Section 4.2.2.
#[rustfmt::skip]
const K: [[u32; 16]; 4] = [
    [0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
     0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174],
    [0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
     0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967],
    [0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
     0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070],
    [0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
     0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2],
];
/// The most 32-bit words that a vector of any processor has.
const LANES_MAX: usize = 16;

/// [`majority`], as the processor does it best.
trait Majority<S: Simd>: Fn(S::u32s, S::u32s, S::u32s) -> S::u32s + Copy {}

impl<S: Simd, F: Fn(S::u32s, S::u32s, S::u32s) -> S::u32s + Copy> Majority<S> for F {}

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

    /// HMAC's two hashes (RFC 2104) of messages that end in the blocks: `inner` has taken in the block before it, `outer` that
    /// before the inner hash. Appends the first 128 bits of each code.
    pub fn codes(self, inner: &State, outer: &State, blocks: &[Block], codes: &mut Vec<Code>) {
        match self {
            Self::Instructions => one_by_one(inner, outer, blocks, codes),
            Self::Lanes(level) => {
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = level.as_avx512() {
                    let majority = |a, b, c| avx512_majority(simd, a, b, c);
                    return simd.vectorize(
                        #[inline(always)]
                        || in_lanes(simd, majority, inner, outer, blocks, codes),
                    );
                }
                dispatch!(level, simd => in_lanes(simd, majority, inner, outer, blocks, codes));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    /// One instruction, where the compiler makes two of [`majority`].
    #[inline(always)]
    fn avx512_majority(
        simd: Avx512,
        a: fearless_simd::u32x16<Avx512>,
        b: fearless_simd::u32x16<Avx512>,
        c: fearless_simd::u32x16<Avx512>,
    ) -> fearless_simd::u32x16<Avx512> {
        std::arch::x86_64::_mm512_ternarylogic_epi32::<0xe8>(a.into(), b.into(), c.into()).simd_into(simd)
    }
);

/// The standard's `Maj`: of each bit, what most of the three have.
#[inline(always)]
fn majority<V: Copy + BitAnd<Output = V> + BitXor<Output = V>>(a: V, b: V, c: V) -> V {
    (a & b) ^ (a & c) ^ (b & c)
}

/// Makes the block that ends a message (section 5.1.1) of which a block was taken in before. It is made where it stays: a copy
/// would wait for what was just written.
pub(super) fn end(text: &[u8], block: &mut Block) {
    *block = [0; 64];
    // A copy of some bytes is a call.
    if !(in_two::<8>(text, block) || in_two::<16>(text, block)) {
        block[..text.len()].copy_from_slice(text);
    }
    block[text.len()] = 0x80;
    block[62..].copy_from_slice(&bits(text.len()).to_be_bytes());
}

/// Copies a text of N to 2 N bytes as two words that overlap.
#[inline(always)]
fn in_two<const N: usize>(text: &[u8], block: &mut Block) -> bool {
    let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else { return false };
    if text.len() > 2 * N {
        return false;
    }
    block[..N].copy_from_slice(first);
    block[text.len() - N..text.len()].copy_from_slice(last);
    true
}

/// Of a message of a block and more bytes.
const fn bits(bytes: usize) -> u16 {
    (64 + bytes as u16) * 8
}

fn one_by_one(inner: &State, outer: &State, blocks: &[Block], codes: &mut Vec<Code>) {
    codes.extend(blocks.iter().map(|block| {
        let mut state = *inner;
        compress256(&mut state, std::slice::from_ref(block));
        let hash: [u8; 32] = bytes(&state);
        let mut block = [0; 64];
        end(&hash, &mut block);
        state = *outer;
        compress256(&mut state, &[block]);
        bytes(&state)
    }));
}

/// The first bytes of a hash.
fn bytes<const N: usize>(words: &[u32]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    bytes
}

#[inline(always)]
fn in_lanes<S: Simd>(
    simd: S,
    majority: impl Majority<S>,
    inner: &State,
    outer: &State,
    blocks: &[Block],
    codes: &mut Vec<Code>,
) {
    let lanes = S::u32s::LEN;
    let splat = |state: &State| state.map(|word| S::u32s::splat(simd, word));
    let (before_inner, before_outer) = (splat(inner), splat(outer));
    let mut groups = blocks.chunks_exact(lanes);
    for blocks in &mut groups {
        let hash = hashes(simd, majority, before_inner, blocks);
        // The hash, its end's mark and length, without the way over bytes.
        let mut rest = [0; 16];
        (rest[8], rest[15]) = (1 << 31, bits(32).into());
        let words = std::array::from_fn(|t| if t < 8 { hash[t] } else { S::u32s::splat(simd, rest[t]) });
        let [a, b, c, d, ..] = compressed::<S>(majority, before_outer, words);
        codes.extend(together::<S>([a, b, c, d]).as_chunks::<4>().0[..lanes].iter().map(|words| bytes(words)));
    }
    one_by_one(inner, outer, groups.remainder(), codes);
}

/// A block in each lane. Most values are short, and much of what is reckoned with the zeros behind them is known beforehand.
#[inline(always)]
fn hashes<S: Simd>(simd: S, majority: impl Majority<S>, before: [S::u32s; 8], blocks: &[Block]) -> [S::u32s; 8] {
    match blocks.iter().map(|block| u16::from_be_bytes([block[62], block[63]])).max() {
        Some(longest) if longest < bits(16) => compressed::<S>(majority, before, words::<S, 4>(simd, blocks)),
        Some(longest) if longest < bits(36) => compressed::<S>(majority, before, words::<S, 9>(simd, blocks)),
        _ => compressed::<S>(majority, before, words::<S, 14>(simd, blocks)),
    }
}

/// The words of the blocks: the first `USED`, zeros, the length.
#[inline(always)]
fn words<S: Simd, const USED: usize>(simd: S, blocks: &[Block]) -> [S::u32s; 16] {
    let lanes = S::u32s::LEN;
    let mut words = [S::u32s::splat(simd, 0); 16];
    for (part, words) in words.chunks_exact_mut(lanes).enumerate() {
        for (row, block) in words.iter_mut().zip(blocks) {
            let part = &block.as_chunks::<4>().0[part * lanes..(part + 1) * lanes];
            *row = S::u32s::from_fn(simd, |at| u32::from_ne_bytes(part[at]));
        }
        // The rows of a square become its columns when they are shuffled into each other as often as they can be halved.
        for _ in 0..lanes.ilog2() {
            let mut rows = [S::u32s::splat(simd, 0); LANES_MAX];
            for at in 0..lanes / 2 {
                (rows[2 * at], rows[2 * at + 1]) = words[at].interleave(words[at + lanes / 2]);
            }
            words.copy_from_slice(&rows[..lanes]);
        }
    }
    let is_used = |at| at < USED || at == 15;
    std::array::from_fn(|at| if is_used(at) { big_endian::<S>(simd, words[at]) } else { S::u32s::splat(simd, 0) })
}

#[inline(always)]
fn big_endian<S: Simd>(simd: S, x: S::u32s) -> S::u32s {
    if cfg!(target_endian = "big") {
        return x;
    }
    let even = S::u32s::splat(simd, 0x00ff_00ff);
    (rotated::<S>(x, 24) & even) | (rotated::<S>(x, 8) & !even)
}

/// Four words for each lane, one behind the other, of vectors of the first words, the second, the third and the fourth.
#[inline(always)]
fn together<S: Simd>([a, b, c, d]: [S::u32s; 4]) -> [u32; 4 * LANES_MAX] {
    let ((even, more_even), (odd, more_odd)) = (a.interleave(c), b.interleave(d));
    let ((one, two), (three, four)) = (even.interleave(odd), more_even.interleave(more_odd));
    let mut flat = [0; 4 * LANES_MAX];
    for (places, vector) in flat.chunks_exact_mut(S::u32s::LEN).zip([one, two, three, four]) {
        places.copy_from_slice(vector.as_slice());
    }
    flat
}

/// The compression function in every lane.
#[inline(always)]
fn compressed<S: Simd>(majority: impl Majority<S>, before: [S::u32s; 8], mut w: [S::u32s; 16]) -> [S::u32s; 8] {
    let mut state = before;
    // Written out, so that all of it is in registers.
    macro_rules! rounds {
        ($k:expr, $next:expr, $($i:literal)*) => {$(
            $next(&mut w, $i);
            round::<S>(majority, &mut state, w[$i] + $k[$i], $i);
        )*};
        ($k:expr, $next:expr) => { rounds!($k, $next, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15) };
    }
    rounds!(K[0], |_: &mut [S::u32s; 16], _| ());
    // By itself, for many words are constants until here.
    rounds!(K[1], next_word::<S>);
    for k in &K[2..] {
        rounds!(k, next_word::<S>);
    }
    std::array::from_fn(|at| before[at] + state[at])
}

/// Word 16 and later, in the place of the one 16 before.
#[inline(always)]
fn next_word<S: Simd>(w: &mut [S::u32s; 16], i: usize) {
    let (x, y) = (w[(i + 1) % 16], w[(i + 14) % 16]);
    let sigma0 = rotated::<S>(x, 7) ^ rotated::<S>(x, 18) ^ (x >> 3);
    let sigma1 = rotated::<S>(y, 17) ^ rotated::<S>(y, 19) ^ (y >> 10);
    w[i] = w[i] + sigma0 + w[(i + 9) % 16] + sigma1;
}

/// The names are the standard's; instead of the values their places move on.
#[inline(always)]
fn round<S: Simd>(majority: impl Majority<S>, state: &mut [S::u32s; 8], word: S::u32s, i: usize) {
    let [a, b, c, d, e, f, g, h] = std::array::from_fn(|at| (at + 16 - i) % 8);
    let is = |at: usize| state[at];
    let sum1 = rotated::<S>(is(e), 6) ^ rotated::<S>(is(e), 11) ^ rotated::<S>(is(e), 25);
    let t1 = is(h) + sum1 + ((is(e) & is(f)) ^ (!is(e) & is(g))) + word;
    let sum0 = rotated::<S>(is(a), 2) ^ rotated::<S>(is(a), 13) ^ rotated::<S>(is(a), 22);
    let t2 = sum0 + majority(is(a), is(b), is(c));
    state[d] += t1;
    state[h] = t1 + t2;
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
        let (inner, outer) = (START.map(|word| word.rotate_left(3)), START.map(|word| !word));
        for count in [0, 1, 3, 4, 7, 8, 15, 16, 17, 33, 100] {
            for longest in [0, 3, 4, 14, 15, 16, 31, 32, 35, 36, 55] {
                let mut blocks = vec![[0xff; 64]; count];
                for (n, block) in blocks.iter_mut().enumerate() {
                    let text: Vec<u8> = (0..n * 5 % (longest + 1)).map(|at| (n * 31 + at * 7) as u8).collect();
                    end(&text, block);
                }
                let mut expected = Vec::new();
                one_by_one(&inner, &outer, &blocks, &mut expected);
                for way in ways() {
                    let mut got = Vec::new();
                    way.codes(&inner, &outer, &blocks, &mut got);
                    assert_eq!(got, expected, "{count} blocks");
                }
            }
        }
    }

    /// FIPS 180-4's example of one block ("abc", csrc.nist.gov, Examples with Intermediate Values), in lanes.
    #[test]
    fn abc_has_the_hash_of_the_standard() {
        let hash = [0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223, 0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad];
        let mut words = [0; 16];
        (words[0], words[15]) = (u32::from_be_bytes(*b"abc\x80"), 24);
        assert_eq!(dispatch!(Level::new(), simd => hashed(simd, words)), hash);
        assert_eq!(dispatch!(Level::baseline(), simd => hashed(simd, words)), hash);
    }

    #[inline(always)]
    fn hashed<S: Simd>(simd: S, words: [u32; 16]) -> State {
        let splat = |word| S::u32s::splat(simd, word);
        compressed::<S>(majority, START.map(splat), words.map(splat)).map(|word| word[0])
    }
}

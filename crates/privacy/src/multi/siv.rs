//! AES-256-SIV (RFC 5297) of many values under one key and one header.
//!
//! A value's synthetic IV is a chain of AES blocks, so that the chains of many values go on together, a step at a time; its
//! keystream is independent blocks. What the header adds is the same for all values and is made once.

use super::TOGETHER;
use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit, consts::U16};

const BLOCK: usize = 16;
/// The cleared bits of a counter's start (section 2.5).
const COUNTER: u128 = !((1 << 63) | (1 << 31));

pub(crate) struct Siv {
    mac: Aes256,
    cipher: Aes256,
    /// What a message's last block is masked with when it is whole, and when it is not (RFC 4493, section 2.3).
    whole: u128,
    part: u128,
    /// S2V's `D` once the header is in it (section 2.4).
    header: u128,
}

impl Siv {
    pub fn new(key: &[u8; 64], header: &[u8]) -> Self {
        let cipher = |half: &[u8]| Aes256::new(&Array::from_fn(|at| half[at]));
        let mut siv = Self { mac: cipher(&key[..32]), cipher: cipher(&key[32..]), whole: 0, part: 0, header: 0 };
        let mut zero = [Array::from([0; BLOCK])];
        siv.mac.encrypt_blocks(&mut zero);
        siv.whole = doubled(u128::from_be_bytes(zero[0].into()));
        siv.part = doubled(siv.whole);
        let codes = siv.cmacs(&[&[0; BLOCK], header]);
        siv.header = doubled(codes[0]) ^ codes[1];
        siv
    }

    /// Calls `sealed` with the IV and ciphertext of each value, in their order.
    pub fn seal(&self, values: &[&[u8]], mut sealed: impl FnMut(&[u8])) {
        let mut out = Vec::new();
        for values in values.chunks(TOGETHER) {
            let ivs = self.ivs(values);
            let mut keys = self.keystreams(values, &ivs).into_iter();
            for (value, iv) in values.iter().zip(&ivs) {
                out.clear();
                out.extend_from_slice(&iv.to_be_bytes());
                for (part, key) in value.chunks(BLOCK).zip(&mut keys) {
                    out.extend_from_slice(&xored(part, &key)[..part.len()]);
                }
                sealed(&out);
            }
        }
    }

    /// S2V of header and value (section 2.4).
    fn ivs(&self, values: &[&[u8]]) -> Vec<u128> {
        let mut buffer = Vec::new();
        let mut ends = Vec::with_capacity(values.len());
        for value in values {
            if value.len() < BLOCK {
                let text = padded(value) ^ doubled(self.header);
                buffer.extend_from_slice(&text.to_be_bytes());
            } else {
                buffer.extend_from_slice(value);
                let last = buffer.len() - BLOCK;
                buffer[last..].iter_mut().zip(self.header.to_be_bytes()).for_each(|(byte, header)| *byte ^= header);
            }
            ends.push(buffer.len());
        }
        let starts = std::iter::once(&0).chain(&ends);
        let texts: Vec<&[u8]> = starts.zip(&ends).map(|(start, end)| &buffer[*start..*end]).collect();
        self.cmacs(&texts)
    }

    /// AES-CMAC of each text (RFC 4493, section 2.4).
    fn cmacs(&self, texts: &[&[u8]]) -> Vec<u128> {
        let mut codes = vec![0; texts.len()];
        let mut open: Vec<usize> = (0..texts.len()).collect();
        let mut blocks: Vec<Array<u8, U16>> = Vec::with_capacity(texts.len());
        let mut from = 0;
        while !open.is_empty() {
            blocks.clear();
            blocks.extend(
                open.iter().map(|at| Array::from((codes[*at] ^ self.block(&texts[*at][from..])).to_be_bytes())),
            );
            self.mac.encrypt_blocks(&mut blocks);
            open.iter().zip(&blocks).for_each(|(at, block)| codes[*at] = u128::from_be_bytes((*block).into()));
            from += BLOCK;
            open.retain(|at| texts[*at].len() > from);
        }
        codes
    }

    /// The next block of a message of which `rest` is left.
    fn block(&self, rest: &[u8]) -> u128 {
        match rest.first_chunk() {
            Some(block) if rest.len() > BLOCK => u128::from_be_bytes(*block),
            Some(block) => u128::from_be_bytes(*block) ^ self.whole,
            None => padded(rest) ^ self.part,
        }
    }

    /// The blocks that the values are added to, one value's after the other's (section 2.5).
    fn keystreams(&self, values: &[&[u8]], ivs: &[u128]) -> Vec<Array<u8, U16>> {
        let blocks = |(value, iv): (&&[u8], &u128)| {
            let start = iv & COUNTER;
            (0..value.len().div_ceil(BLOCK) as u128).map(move |n| Array::from(start.wrapping_add(n).to_be_bytes()))
        };
        let mut blocks: Vec<_> = values.iter().zip(ivs).flat_map(blocks).collect();
        self.cipher.encrypt_blocks(&mut blocks);
        blocks
    }
}

/// Multiplication by x in GF(2^128) (RFC 5297, section 2.3).
fn doubled(x: u128) -> u128 {
    (x << 1) ^ (0x87 * (x >> 127))
}

/// At most a block, added to the keystream's; what is behind it means nothing.
fn xored(part: &[u8], key: &Array<u8, U16>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..part.len()].copy_from_slice(part);
    (u128::from_ne_bytes(block) ^ u128::from_ne_bytes((*key).into())).to_ne_bytes()
}

/// Less than a block, a 1 behind it, zeros to the end.
fn padded(text: &[u8]) -> u128 {
    let mut block = [0; BLOCK];
    block[..text.len()].copy_from_slice(text);
    block[text.len()] = 0x80;
    u128::from_be_bytes(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_siv::siv::Aes256Siv;

    fn sealed(siv: &Siv, values: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        siv.seal(values, |sealed| all.push(sealed.to_vec()));
        all
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        let mut random = fastrand::Rng::with_seed(7);
        let lengths = [0, 1, 11, 14, 15, 16, 17, 31, 32, 33, 48, 200];
        for count in [0, 1, 2, 7, 8, 30, 31, TOGETHER - 1, TOGETHER, TOGETHER + 1, 2 * TOGETHER + 13] {
            let key: [u8; 64] = std::array::from_fn(|_| random.u8(..));
            let header: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
            let text = |random: &mut fastrand::Rng| -> Vec<u8> {
                let length = lengths[random.usize(..lengths.len())];
                (0..length).map(|_| random.u8(..)).collect()
            };
            let values: Vec<Vec<u8>> = (0..count).map(|_| text(&mut random)).collect();
            let slices: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let mut library = Aes256Siv::new(&key.into());
            let one_by_one: Vec<Vec<u8>> =
                slices.iter().map(|value| library.encrypt([&header], value).unwrap()).collect();
            assert!(sealed(&Siv::new(&key, &header), &slices) == one_by_one, "{count} values");
        }
    }

    /// NIST SP 800-38B, examples of AES-256 (csrc.nist.gov, Examples with Intermediate Values); RFC 5297 has none for keys of
    /// this size.
    #[test]
    fn the_chains_give_the_samples_of_nist() {
        let mut key = [0; 64];
        let words: [u128; 2] = [0x603d_eb10_15ca_71be_2b73_aef0_857d_7781, 0x1f35_2c07_3b61_08d7_2d98_10a3_0914_dff4];
        key[..16].copy_from_slice(&words[0].to_be_bytes());
        key[16..32].copy_from_slice(&words[1].to_be_bytes());
        let message: Vec<u8> = [
            0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128,
            0xae2d_8a57_1e03_ac9c_9eb7_6fac_45af_8e51,
            0x30c8_1c46_a35c_e411_e5fb_c119_1a0a_52ef,
            0xf69f_2445_df4f_9b17_ad2b_417b_e66c_3710,
        ]
        .iter()
        .flat_map(|block| block.to_be_bytes())
        .collect();
        let siv = Siv::new(&key, b"");
        assert_eq!(siv.whole, 0xcad1_ed03_299e_edac_2e9a_9980_8621_502f);
        assert_eq!(siv.part, 0x95a3_da06_533d_db58_5d35_3301_0c42_a0d9);
        let codes = siv.cmacs(&[&message[..0], &message[..16], &message[..40], &message]);
        assert_eq!(
            codes,
            [
                0x0289_62f6_1b7b_f89e_fc6b_551f_4667_d983,
                0x28a7_023f_452e_8f82_bd4b_f28d_8c37_c35c,
                0xaaf3_d8f1_de56_40c2_32f5_b169_b9c9_11e6,
                0xe199_2190_549f_6ed5_696a_2c05_6c31_5410,
            ]
        );
    }
}

//! Numbers and bits as text and back, eight characters side by side in one word: base32 and base64url (RFC 4648) and decimal
//! digits. Only what is encrypted already is looked up in a table.

use fearless_simd::{Level, Simd, dispatch};

const EACH: u64 = 0x0101_0101_0101_0101;
/// Characters in a word.
const EIGHT: usize = 8;
const TEN_TO_EIGHT: u128 = 100_000_000;

/// 128 bits as this many digits of base32, the last one padded with two zero bits.
pub(crate) const BASE32_DIGITS: usize = 26;

/// In lower case, without padding.
pub(crate) fn base32(id: &[u8; 16]) -> [u8; BASE32_DIGITS] {
    let words = forties(id).map(base32_of_40_bits);
    std::array::from_fn(|at| words[at / EIGHT][at % EIGHT])
}

/// The same of many, several words in each vector of the processor. What is behind the digits means nothing. `words` is room
/// to work in.
pub(crate) fn base32_of_all(ids: &[[u8; 16]], words: &mut Vec<[u64; 4]>) -> impl Iterator<Item = [[u8; EIGHT]; 4]> {
    words.resize(ids.len(), [0; 4]);
    dispatch!(Level::new(), simd => simd.vectorize(#[inline(always)] || {
        for (words, id) in words.iter_mut().zip(ids) {
            *words = forties(id).map(|bits| u64::from_ne_bytes(base32_of_40_bits(bits)));
        }
    }));
    words.iter().map(|words| words.map(u64::to_ne_bytes))
}

#[inline(always)]
fn forties(id: &[u8; 16]) -> [u64; 4] {
    let bits = u128::from_be_bytes(*id);
    [bits >> 88, bits >> 48, bits >> 8, bits << 32].map(|bits| bits as u64 & 0xff_ffff_ffff)
}

#[inline(always)]
fn base32_of_40_bits(bits: u64) -> [u8; EIGHT] {
    let twenties = ((bits & 0xff_fff0_0000) << 12) | (bits & 0xf_ffff);
    let tens = ((twenties & 0x000f_fc00_000f_fc00) << 6) | (twenties & 0x0000_03ff_0000_03ff);
    let fives = ((tens & 0x03e0_03e0_03e0_03e0) << 3) | (tens & 0x001f_001f_001f_001f);
    // From 26 on a digit is one of `2` to `7`.
    let numerals = from(fives, 26);
    (fives + u64::from(b'a') * EACH - numerals * u64::from(b'a' + 26 - b'2')).to_be_bytes()
}

/// Appends base64url without padding.
pub(crate) fn base64url(bytes: &[u8], out: &mut Vec<u8>) {
    let (sixes, rest) = bytes.as_chunks::<6>();
    out.reserve(bytes.len().div_ceil(6) * EIGHT);
    for six in sixes {
        out.extend_from_slice(&base64url_of_6_bytes(*six));
    }
    if !rest.is_empty() {
        let mut six = [0; 6];
        six[..rest.len()].copy_from_slice(rest);
        out.extend_from_slice(&base64url_of_6_bytes(six)[..(rest.len() * 4).div_ceil(3)]);
    }
}

fn base64url_of_6_bytes([a, b, c, d, e, f]: [u8; 6]) -> [u8; EIGHT] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static PAIRS: [[u8; 2]; 4096] = {
        let mut pairs = [[0; 2]; 4096];
        let mut at = 0;
        while at < 4096 {
            pairs[at] = [LETTERS[at >> 6], LETTERS[at & 63]];
            at += 1;
        }
        pairs
    };
    let bits = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let pair = |from: u32| PAIRS[(bits >> from & 0xfff) as usize];
    let ([s, t], [u, v], [w, x], [y, z]) = (pair(36), pair(24), pair(12), pair(0));
    [s, t, u, v, w, x, y, z]
}

/// A one for each of the eight values below 128 that is not below `least`.
#[inline(always)]
fn from(values: u64, least: u64) -> u64 {
    ((values + (128 - least) * EACH) >> 7) & EACH
}

/// Whether all bytes are decimal digits.
pub(crate) fn is_decimal(text: &[u8]) -> bool {
    text.iter().fold(true, |all, byte| all & byte.is_ascii_digit())
}

/// The number that decimal digits write; at most 38 of them.
pub(crate) fn decimal(digits: &[u8]) -> u128 {
    match digits.split_last_chunk::<EIGHT>() {
        Some(([], last)) => decimal_of_8_digits(*last).into(),
        Some((more, last)) => decimal(more) * TEN_TO_EIGHT + u128::from(decimal_of_8_digits(*last)),
        None => digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')).into(),
    }
}

/// Neighbours are added up to pairs, those to fours, those to the whole. The first digit is in the lowest byte.
fn decimal_of_8_digits(digits: [u8; EIGHT]) -> u64 {
    let ones = u64::from_le_bytes(digits) - u64::from(b'0') * EACH;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}

/// Writes the last decimal digits of a number to all the places.
pub(crate) fn write_decimal(number: u128, places: &mut [u8]) {
    match places.split_last_chunk_mut::<EIGHT>() {
        Some(([], last)) => *last = eight_decimals(number),
        Some((more, last)) => {
            *last = eight_decimals(number);
            // Numbers of 64 bits are divided much faster.
            let rest =
                u64::try_from(number).map_or_else(|_| number / TEN_TO_EIGHT, |n| u128::from(n / TEN_TO_EIGHT as u64));
            write_decimal(rest, more);
        }
        None => places.copy_from_slice(&eight_decimals(number)[EIGHT - places.len()..]),
    }
}

/// The other way round: a division by a constant is a multiplication, exact in this range.
fn eight_decimals(number: u128) -> [u8; EIGHT] {
    let number = u64::try_from(number).map_or_else(|_| (number % TEN_TO_EIGHT) as u64, |n| n % TEN_TO_EIGHT as u64);
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 5_243) >> 19) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((pairs - tens * 10) << 8);
    (ones + u64::from(b'0') * EACH).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    #[test]
    fn the_digits_are_those_of_rfc_4648() {
        assert_eq!(&base32(b"foobar\0\0\0\0\0\0\0\0\0\0"), b"mzxw6ytboiaaaaaaaaaaaaaaaa");
        assert_eq!(&base32(&[0xff; 16]), b"77777777777777777777777774");
        let mut random = fastrand::Rng::with_seed(7);
        let ids: Vec<[u8; 16]> = (0..100).map(|_| std::array::from_fn(|_| random.u8(..))).collect();
        for (id, words) in ids.iter().zip(base32_of_all(&ids, &mut Vec::new())) {
            assert_eq!(words.as_flattened()[..BASE32_DIGITS], base32(id));
        }
    }

    #[test]
    fn base64_is_that_of_the_base64_crate() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in (0..40).cycle().take(4_000) {
            let bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            let mut out = b"head".to_vec();
            base64url(&bytes, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("head{}", URL_SAFE_NO_PAD.encode(&bytes)));
        }
    }

    #[test]
    fn decimal_digits_are_those_that_std_writes() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in (1..=38).cycle().take(40_000) {
            let number = random.u128(..10u128.pow(length));
            let number = [number, number % 10, 10u128.pow(length) - 1][random.usize(..3)];
            let text = format!("{number:0>0$}", length as usize);
            assert!(is_decimal(text.as_bytes()) && decimal(text.as_bytes()) == number, "{text}");
            let mut places = vec![b'x'; length as usize];
            write_decimal(number, &mut places);
            assert_eq!(places, text.as_bytes());
        }
        for number in 0..10_000 {
            assert_eq!(eight_decimals(number), format!("{number:08}").as_bytes());
        }
        assert!(!is_decimal(b"12/4") && !is_decimal(b"12:4") && !is_decimal("12é".as_bytes()) && is_decimal(b""));
    }
}

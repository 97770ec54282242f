//! Finding the few bytes that matter in a word of 64.

/// The bytes that a scanner stops at.
#[derive(Clone, Copy)]
pub struct Needles {
    delimiter: u64,
    quote: u64,
}

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const ONES: u64 = 0x0101_0101_0101_0101;
const LINE_ENDS: u64 = ONES * b'\n' as u64;

impl Needles {
    /// Without a quote, line ends stand in its place.
    pub fn new(delimiter: u8, quote: Option<u8>) -> Self {
        Self { delimiter: ONES * u64::from(delimiter), quote: ONES * u64::from(quote.unwrap_or(b'\n')) }
    }

    /// Bit `i` is set where byte `i` is a delimiter, a line end or a quote.
    #[inline(always)]
    pub fn find(self, word: &[u8; 64]) -> u64 {
        let mut mask = 0;
        for (place, bytes) in word.as_chunks::<8>().0.iter().enumerate() {
            let bytes = u64::from_le_bytes(*bytes);
            let found = equal(bytes ^ self.delimiter) | equal(bytes ^ self.quote) | equal(bytes ^ LINE_ENDS);
            // Gathers the eight top bits in the top byte.
            mask |= ((found >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (place * 8);
        }
        mask
    }
}

/// The top bit of each byte that is zero. Exact: no carry passes from byte to byte (Hacker's Delight, §6-1).
#[inline(always)]
fn equal(difference: u64) -> u64 {
    !(((difference & LOW) + LOW) | difference | LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_told_apart() {
        let needles = Needles::new(b';', Some(b'"'));
        for byte in 0..=255u8 {
            for place in 0..64 {
                let mut word = [byte.wrapping_add(1); 64];
                word[place] = byte;
                let is = |b: u8| [b';', b'"', b'\n'].contains(&b);
                let expected = (0..64).fold(0u64, |mask, i| mask | u64::from(is(word[i])) << i);
                assert_eq!(needles.find(&word), expected, "byte {byte} at {place}");
            }
        }
    }
}

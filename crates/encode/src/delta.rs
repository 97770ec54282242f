//! Parquet's `DELTA_BINARY_PACKED`: the differences of neighbours, packed. Values in order, as places and keys mostly are,
//! take next to nothing; others no more bits than their range asks for.

use super::hybrid::varint;

/// Values of a block, which has one least difference, and of each of its parts, which have one width.
const BLOCK: usize = 128;
const PART: usize = 32;

/// Appends `values`. Narrow ones are differences of 32 bits, which wrap as the format has it.
pub(super) fn encode(out: &mut Vec<u8>, values: &[i64], is_narrow: bool) {
    varint(out, BLOCK as u64);
    varint(out, (BLOCK / PART) as u64);
    varint(out, values.len() as u64);
    let Some(first) = values.first() else { return zigzag(out, 0) };
    zigzag(out, *first);
    let mut differences = [0u64; BLOCK];
    let mut before = *first;
    for block in values[1..].chunks(BLOCK) {
        let mut least = i64::MAX;
        for (place, value) in differences.iter_mut().zip(block) {
            let wide = value.wrapping_sub(before);
            let difference = if is_narrow { i64::from(wide as i32) } else { wide };
            least = least.min(difference);
            *place = difference as u64;
            before = *value;
        }
        let differences = &mut differences[..block.len()];
        for difference in differences.iter_mut() {
            *difference = difference.wrapping_sub(least as u64);
            if is_narrow {
                *difference = u64::from(*difference as u32);
            }
        }
        put_block(out, least, differences);
    }
}

fn put_block(out: &mut Vec<u8>, least: i64, differences: &[u64]) {
    zigzag(out, least);
    let widths_at = out.len();
    out.extend_from_slice(&[0; BLOCK / PART]);
    for (part, differences) in differences.chunks(PART).enumerate() {
        let width = u64::BITS - differences.iter().fold(0, |bits, difference| bits | difference).leading_zeros();
        out[widths_at + part] = width as u8;
        pack(out, differences, width);
    }
}

/// A part is always of 32 values; zeros stand for those that lack.
fn pack(out: &mut Vec<u8>, values: &[u64], width: u32) {
    let end = out.len() + PART / 8 * width as usize;
    let (mut bits, mut filled) = (0u128, 0);
    for value in values {
        bits |= u128::from(*value) << filled;
        filled += width;
        if filled >= u64::BITS {
            out.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= u64::BITS;
            filled -= u64::BITS;
        }
    }
    out.extend_from_slice(&(bits as u64).to_le_bytes());
    out.resize(end, 0);
}

fn zigzag(out: &mut Vec<u8>, value: i64) {
    varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

//! Parquet's hybrid of runs and packed bits ("RLE" in its specification), for dictionary codes and levels.

/// A run shorter than this is packed with its neighbours: its header would cost more.
const RUN_MIN: usize = 24;

/// Appends `codes`, each of `width` bits (at most 32).
pub(super) fn encode(out: &mut Vec<u8>, codes: &[u32], width: u8) {
    let mut packed_from = 0;
    let mut at = 0;
    while at < codes.len() {
        let run = codes[at..].iter().take_while(|code| **code == codes[at]).count();
        if run < RUN_MIN {
            at += run;
            continue;
        }
        // Packed codes come in eights; the run gives what they lack.
        let lent = (packed_from..at).len().next_multiple_of(8) - (at - packed_from);
        pack(out, &codes[packed_from..at + lent], width);
        repeat(out, codes[at], run - lent, width);
        at += run;
        packed_from = at;
    }
    pack(out, &codes[packed_from..], width);
}

/// Appends `count` times `code`.
pub(super) fn repeat(out: &mut Vec<u8>, code: u32, count: usize, width: u8) {
    if count == 0 {
        return;
    }
    varint(out, (count as u64) << 1);
    out.extend_from_slice(&code.to_le_bytes()[..usize::from(width).div_ceil(8)]);
}

/// How many bits the codes up to and with `most` need.
pub(super) fn width_of(most: u32) -> u8 {
    (u32::BITS - most.leading_zeros()) as u8
}

fn pack(out: &mut Vec<u8>, codes: &[u32], width: u8) {
    if codes.is_empty() {
        return;
    }
    let groups = codes.len().div_ceil(8);
    varint(out, (groups as u64) << 1 | 1);
    let end = out.len() + groups * usize::from(width);
    let (mut bits, mut filled) = (0u64, 0);
    for code in codes {
        bits |= u64::from(*code) << filled;
        filled += u32::from(width);
        if filled >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            filled -= 32;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes());
    // Zeros fill up the last eight.
    out.resize(end, 0);
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

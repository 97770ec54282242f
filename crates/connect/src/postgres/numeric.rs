//! Exact decimals from the server's binary and text forms.

/// The binary form: groups of four decimal digits (`numeric_send`). `None` for NaN, infinity, and what does not fit.
pub fn from_binary(bytes: &[u8], scale: u8) -> Option<i128> {
    const NEGATIVE: u16 = 0x4000;
    let half = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (groups, weight, sign) = (usize::from(half(0)?), half(2)? as i16, half(4)?);
    if !matches!(sign, 0 | NEGATIVE) || bytes.len() != 8 + 2 * groups {
        return None;
    }
    let mut digits = bytes[8..].chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let power = (i32::from(weight) - groups as i32 + 1) * 4 + i32::from(scale);
    // Four groups fit into a machine's word; few numbers have more.
    let value = if groups <= 4 {
        shifted(i128::from(digits.fold(0u64, |sum, group| sum * 10_000 + u64::from(group))), power)?
    } else {
        // Digits of the last group that are behind the scale could be the ones that do not fit.
        let last = i128::from(digits.next_back()?);
        let value = digits.try_fold(0i128, |sum, group| sum.checked_mul(10_000)?.checked_add(i128::from(group)))?;
        shifted(value, power + 4)?.checked_add(shifted(last, power)?)?
    };
    Some(if sign == NEGATIVE { -value } else { value })
}

/// The text form: `-12.50`. `None` for what is no such number, or has more decimals than the scale.
pub fn from_text(text: &str, scale: u8) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = whole.bytes().chain(fraction.bytes());
    if whole.is_empty() {
        return None;
    }
    let value = all.into_iter().try_fold(0i128, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    let value = shifted(value, i32::from(scale) - i32::try_from(fraction.len()).ok()?)?;
    Some(if negative { -value } else { value })
}

/// `value` times a power of ten, exactly.
fn shifted(value: i128, power: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let factor = POWERS.get(power.unsigned_abs() as usize)?;
    // Most are of a machine's word, which divides in a fraction of the time.
    if let (Ok(value), Ok(factor)) = (u64::try_from(value), u64::try_from(*factor)) {
        return match power >= 0 {
            true => i128::try_from(u128::from(value) * u128::from(factor)).ok(),
            false => value.is_multiple_of(factor).then(|| i128::from(value / factor)),
        };
    }
    match power >= 0 {
        true => value.checked_mul(*factor),
        false => (value % factor == 0).then(|| value / factor),
    }
}

const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < 39 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

#[cfg(test)]
mod tests {
    use super::*;

    /// `numeric_send` of digits, as the server writes it.
    fn sent(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Vec<u8> {
        let head = [groups.len() as u16, weight as u16, sign, scale];
        head.iter().chain(groups).flat_map(|half| half.to_be_bytes()).collect()
    }

    #[test]
    fn decimals_are_exact_in_both_forms() {
        assert_eq!(from_binary(&sent(0, 0, 2, &[12, 5000]), 2), Some(1250));
        assert_eq!(from_binary(&sent(-1, 0x4000, 2, &[100]), 2), Some(-1));
        assert_eq!(from_binary(&sent(1, 0, 2, &[3]), 2), Some(3_000_000), "trailing groups of zeros are not sent");
        assert_eq!(from_binary(&sent(0, 0, 0, &[]), 2), Some(0));
        assert_eq!(from_binary(&sent(0, 0xc000, 0, &[]), 2), None, "NaN");
        let most = sent(9, 0, 0, &[99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999]);
        assert_eq!(from_binary(&most, 0), Some(10i128.pow(38) - 1));
        let cut = [1234, 5678, 9012, 3456, 7890, 1234, 5678, 123, 4567, 8900];
        assert_eq!(from_binary(&sent(6, 0, 10, &cut), 10), Some(12_345_678_901_234_567_890_123_456_780_123_456_789));
        for (text, value) in [("12.50", Some(1250)), ("-0.01", Some(-1)), ("3", Some(300)), ("0.001", None)] {
            assert_eq!(from_text(text, 2), value, "{text}");
        }
        for bad in ["NaN", "", "-", "1e3", "Infinity"] {
            assert_eq!(from_text(bad, 2), None, "{bad}");
        }
    }
}

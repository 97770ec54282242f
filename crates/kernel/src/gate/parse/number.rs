//! Numbers from text, exactly.

/// A whole number; `1.234` with `comma` is 1234.
pub(super) fn integer(text: &str, comma: bool) -> Option<i64> {
    let text = text.trim_ascii();
    if comma && text.contains('.') {
        return integer(&ungrouped(text)?, false);
    }
    let (negative, digits) = sign(text.as_bytes());
    if digits.is_empty() || digits.len() > 18 {
        return text.parse().ok();
    }
    let mut value: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

pub(super) fn float(text: &str, comma: bool) -> Option<f64> {
    let text = text.trim_ascii();
    // As XML, Java and Protobuf's JSON write what typed floats have too.
    match text {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let value: f64 = match comma {
        true if text.contains('.') => ungrouped(text)?.parse().ok()?,
        true => text.replace(',', ".").parse().ok()?,
        false => text.parse().ok()?,
    };
    // "inf" and "nan" are words that Rust reads as numbers too; in data they are somebody's missing value. A number that is
    // too large is none.
    value.is_finite().then_some(value)
}

/// A decimal as its unscaled integer. Trailing zeros may exceed the scale; any other digit may not.
pub(super) fn decimal(text: &str, precision: u8, scale: i8, comma: bool) -> Option<i128> {
    if comma && text.contains('.') {
        return decimal(&ungrouped(text.trim_ascii())?, precision, scale, false);
    }
    let point = if comma { b',' } else { b'.' };
    let (negative, digits) = sign(text.trim_ascii().as_bytes());
    let mut small: i64 = 0; // most amounts fit, and 128 bits are several times slower
    let (mut seen, mut fraction, mut after) = (0u32, 0i32, false);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            seen += 1;
            if seen > 18 {
                return slow_decimal(text, precision, scale, point);
            }
            small = small * 10 + i64::from(digit);
            fraction += i32::from(after);
        } else if byte == point && !after {
            after = true;
        } else {
            return slow_decimal(text, precision, scale, point);
        }
    }
    if seen == 0 {
        return None;
    }
    match widened(small, i32::from(scale) - fraction) {
        Some(value) => {
            let fits = POWERS.get(usize::from(precision)).is_none_or(|limit| value < *limit);
            fits.then(|| i128::from(if negative { -value } else { value }))
        }
        None => slow_decimal(text, precision, scale, point),
    }
}

/// Powers of ten that 64 bits hold.
const POWERS: [i64; 19] = {
    let mut powers = [1; 19];
    let mut at = 1;
    while at < 19 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// `value` with `zeros` more, if 64 bits hold it.
fn widened(value: i64, zeros: i32) -> Option<i64> {
    value.checked_mul(*POWERS.get(usize::try_from(zeros).ok()?)?)
}

/// Long numbers and exponents (`1.2e3`).
fn slow_decimal(text: &str, precision: u8, scale: i8, point: u8) -> Option<i128> {
    let text = text.trim_ascii();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = sign(mantissa.as_bytes());
    let (mut value, mut seen, mut fraction, mut after) = (0i128, 0u32, 0i32, false);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                seen += 1;
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                fraction += i32::from(after);
            }
            _ if byte == point && !after => after = true,
            _ => return None,
        }
    }
    if seen == 0 {
        return None;
    }
    let value = rescale(value, fraction.checked_sub(exponent)?, i32::from(scale))?;
    within(if negative { -value } else { value }, precision)
}

/// The decimal of a text as its unscaled integer and the least scale that holds it.
pub(in super::super) fn exact(text: &str) -> Option<(i128, i8)> {
    (0..=38).find_map(|scale| decimal(text, 38, scale, false).map(|value| (value, scale)))
}

/// `1.234,56` as `1234.56`. Groups have three digits, or it is no such number: `12.34` must not become 1234.
fn ungrouped(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once(',').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut groups = whole.split('.');
    let first = groups.next()?.trim_start_matches(['-', '+']);
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let grouped = (1..=3).contains(&first.len()) && digits(first) && groups.all(|g| g.len() == 3 && digits(g));
    let whole = grouped.then(|| whole.replace('.', ""))?;
    Some(fraction.map_or(whole.clone(), |fraction| format!("{whole}.{fraction}")))
}

fn sign(bytes: &[u8]) -> (bool, &[u8]) {
    match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        Some(b'+') => (false, &bytes[1..]),
        _ => (false, bytes),
    }
}

fn rescale(value: i128, from: i32, to: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let power = 10i128.checked_pow(to.checked_sub(from)?.unsigned_abs());
    if from <= to {
        return value.checked_mul(power?);
    }
    let divisor = power?;
    (value % divisor == 0).then_some(value / divisor)
}

fn within(value: i128, precision: u8) -> Option<i128> {
    (value.unsigned_abs() < 10u128.pow(u32::from(precision))).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal("12.5", 12, 2, false), Some(1250));
        assert_eq!(decimal("-0.01", 12, 2, false), Some(-1));
        assert_eq!(decimal("1.500", 12, 2, false), Some(150));
        assert_eq!(decimal("1.505", 12, 2, false), None);
        assert_eq!(decimal("1.234,56", 12, 2, true), Some(123_456));
        assert_eq!(decimal("1e3", 12, 2, false), Some(100_000));
        assert_eq!(decimal("99999999999.99", 12, 2, false), None);
        assert_eq!(decimal("12345678901234567890.12", 38, 2, false), Some(1_234_567_890_123_456_789_012));
        assert_eq!(decimal("999999999999999999", 18, 0, false), Some(999_999_999_999_999_999));
        assert_eq!(decimal("999999999999999999", 17, 0, false), None);
        assert_eq!(decimal("-999999999999999999", 38, 18, false), Some(-999_999_999_999_999_999 * 10i128.pow(18)));
        assert_eq!(decimal("1200", 4, -2, false), Some(12));
        assert_eq!(decimal("0e999", 12, 2, false), Some(0));
        assert_eq!((exact("0.050"), exact("25"), exact("x")), (Some((5, 2)), Some((25, 0)), None));
        for bad in ["", "-", ".", "1.2.3", "+-1", "1e2147483647", "1e-2147483648", "R$ 1", "1,2", "nan", "0x1"] {
            assert_eq!(decimal(bad, 12, 2, false), None, "{bad}");
        }
    }

    #[test]
    fn groups_have_three_digits_or_the_number_is_refused() {
        assert_eq!(decimal("-1.234.567,8", 12, 2, true), Some(-123_456_780));
        assert_eq!(decimal("1234,5", 12, 2, true), Some(123_450));
        assert_eq!((integer("12.345", true), float("1.234,5", true)), (Some(12_345), Some(1234.5)));
        for bad in ["12.34", "1.2345", ".123", "1.234.5", "1..234", "1234.567", "1,234.5", "1.234,5.6", "--1.234"] {
            let read = (decimal(bad, 12, 2, true), integer(bad, true), float(bad, true));
            assert_eq!(read, (None, None, None), "{bad}");
        }
    }

    #[test]
    fn integers_keep_their_range() {
        assert_eq!(integer(" 42 ", false), Some(42));
        assert_eq!(integer("-9223372036854775808", false), Some(i64::MIN));
        assert_eq!(integer("9223372036854775808", false), None);
        assert_eq!((integer("1.0", false), integer("", false), integer("-", false)), (None, None, None));
        assert_eq!((float("inf", false), float("1e3", false)), (None, Some(1000.0)));
    }

    #[test]
    fn a_float_that_is_no_number_has_one_spelling() {
        assert!(float("NaN", false).is_some_and(f64::is_nan));
        assert_eq!(float("Infinity", false), Some(f64::INFINITY));
        assert_eq!(float("-Infinity", true), Some(f64::NEG_INFINITY));
        for word in ["nan", "-NaN", "inf", "+Infinity", "infinity", "1e400"] {
            assert_eq!(float(word, false), None, "{word}");
        }
    }
}

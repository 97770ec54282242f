//! Numbers by their digits: none is too long or too fine to be compared.

use std::cmp::Ordering;

/// A number as `0.digits × 10^exponent`, exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    is_negative: bool,
    /// Without zeros at either end; zero has none.
    digits: String,
    exponent: i64,
}

impl Number {
    /// Reads `-12.50`, `1.25e3` and, with `comma`, `1.234,56`.
    pub fn parse(text: &str, comma: bool) -> Option<Self> {
        let text = text.trim_ascii();
        let plain = if comma { with_point(text)? } else { text.to_owned() };
        let (mantissa, power) = match plain.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
            None => (plain.as_str(), 0),
        };
        let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = all.trim_start_matches('0');
        let zeros = i64::try_from(all.len() - significant.len()).ok()?;
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits, exponent: 0 });
        }
        let exponent = power.saturating_add(i64::try_from(whole.len()).ok()?).saturating_sub(zeros);
        Some(Self { is_negative: mantissa.starts_with('-'), digits, exponent })
    }

    /// Whether a decimal of this precision and scale can hold it without a digit less.
    pub fn fits(&self, precision: u8, scale: i8) -> bool {
        let digits = self.exponent.saturating_add(scale.into());
        let needed = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        self.digits.is_empty() || needed <= digits && digits <= precision.into()
    }

    /// The nearest float; infinite where it is too large for one.
    pub fn float(&self) -> f64 {
        let size = format!("0.{}0e{}", self.digits, self.exponent).parse().unwrap_or(f64::INFINITY);
        if self.is_negative { -size } else { size }
    }

    /// The same as a whole number, where 128 bits hold it.
    pub fn whole(&self) -> Option<i128> {
        let places =
            usize::try_from(self.exponent).ok().filter(|places| *places < 40 && self.digits.len() <= *places)?;
        let value: i128 = format!("0{:0<places$}", self.digits).parse().ok()?;
        Some(if self.is_negative { -value } else { value })
    }

    /// Without the sign. Digits behind the point are compared like letters.
    fn size(&self) -> (bool, i64, &str) {
        (!self.digits.is_empty(), self.exponent, &self.digits)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.size().cmp(&other.size()),
            (true, true) => other.size().cmp(&self.size()),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `1.234,56` as `1234.56`. Groups have three digits, or it is no such number.
fn with_point(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once(',').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_grouped = match whole.trim_start_matches(['-', '+']).split_once('.') {
        Some((first, others)) => (1..=3).contains(&first.len()) && others.split('.').all(|group| group.len() == 3),
        None => true,
    };
    let whole = is_grouped.then(|| whole.replace('.', ""))?;
    Some(fraction.map_or_else(|| whole.clone(), |fraction| format!("{whole}.{fraction}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text, false).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let rising = [
            "-1e3",
            "-10.25",
            "-10.2",
            "-0.001",
            "0",
            "1e-400",
            "0.05",
            "1.5",
            "2",
            "9.99",
            "10.25",
            "9007199254740992.0",
            "9007199254740993",
            "123456789012345678901234567890.1",
            "123456789012345678901234567890.11",
            "1e400",
        ];
        for (at, one) in rising.iter().enumerate() {
            for (place, other) in rising.iter().enumerate() {
                assert_eq!(number(one).cmp(&number(other)), at.cmp(&place), "{one} and {other}");
            }
        }
        for (one, other) in [("-0.0", "0"), ("1.50", "+1.5"), ("1e3", "1000.0"), ("0012", "12"), (".5", "0.5")] {
            assert_eq!(number(one), number(other));
        }
        for no in ["", "-", ".", "e5", "NaN", "inf", "1,5", "1.2.3", "0x10", "1e", "--1"] {
            assert_eq!(Number::parse(no, false), None, "{no}");
        }
    }

    #[test]
    fn a_decimal_has_so_many_digits_and_a_float_has_an_end() {
        for (text, precision, scale, fits) in [
            ("99.99", 4, 2, true),
            ("99.990", 4, 2, true),
            ("-99.99", 4, 2, true),
            ("100", 4, 2, false),
            ("0.001", 4, 2, false),
            ("0.00", 4, 2, true),
            ("0.0005", 4, 4, true),
            ("1.5e3", 4, 0, true),
            ("1.5", 4, 0, false),
            ("1e400", 38, 0, false),
            ("1e9223372036854775807", 38, 2, false),
        ] {
            assert_eq!(number(text).fits(precision, scale), fits, "{text} in decimal({precision},{scale})");
        }
        assert_eq!((number("-12.5").float(), number("0").float(), number("1e-400").float()), (-12.5, 0.0, 0.0));
        assert!(number("1e308").float().is_finite() && number("1e400").float().is_infinite());
        assert_eq!(number("-1e9223372036854775807").float(), f64::NEG_INFINITY);
    }

    #[test]
    fn a_comma_may_be_the_point() {
        let comma = |text: &str| Number::parse(text, true);
        assert_eq!(comma("1.234,56"), Some(number("1234.56")));
        assert_eq!((comma("12,5"), comma("12.5")), (Some(number("12.5")), None));
        assert_eq!((comma("-1.234"), comma("1234,5")), (Some(number("-1234")), Some(number("1234.5"))));
        assert_eq!((comma("1234.567"), comma(".567"), comma("1.2345")), (None, None, None));
    }

    #[test]
    fn whole_numbers_are_told_from_others() {
        for (text, whole) in [
            ("-17", Some(-17)),
            ("1.5e1", Some(15)),
            ("100", Some(100)),
            ("0", Some(0)),
            ("18446744073709551616", Some(1 << 64)),
            ("1.5", None),
            ("1e-2", None),
            ("1e300", None),
        ] {
            assert_eq!(number(text).whole(), whole, "{text}");
        }
    }
}

//! A value that a contract names (a bound, an allowed value) as a value of its column: checked, and written one way.

use crate::odcs::physical::timestamp;
use arrow::datatypes::DataType;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use std::cmp::Ordering;

/// A value as the gate reads it, and what it is ordered by.
#[derive(Debug, PartialEq)]
pub(super) struct Value {
    pub text: String,
    order: Order,
}

#[derive(Debug, PartialEq, PartialOrd)]
enum Order {
    Whole(i128),
    Float(f64),
    Text(String),
}

impl Value {
    pub fn cmp(&self, other: &Value) -> Option<Ordering> {
        self.order.partial_cmp(&other.order)
    }

    pub fn is_positive(&self) -> bool {
        self.order > Order::Whole(0) || self.order > Order::Float(0.0)
    }
}

/// Reads `text` as a value of the type; dates may be written in the column's own `format` (strftime) or as ISO 8601.
pub(super) fn read(text: &str, data_type: &DataType, format: Option<&str>) -> Result<Value, String> {
    let text = text.trim();
    match data_type {
        t if t.is_integer() => whole(text, t),
        DataType::Decimal128(precision, scale) => decimal(text, *precision, *scale),
        DataType::Float32 | DataType::Float64 => {
            let number: f64 = text.parse().ok().filter(|n: &f64| n.is_finite()).ok_or("is not a number")?;
            Ok(Value { text: number.to_string(), order: Order::Float(number) })
        }
        DataType::Boolean => match text {
            "true" => Ok(Value { text: text.into(), order: Order::Whole(1) }),
            "false" => Ok(Value { text: text.into(), order: Order::Whole(0) }),
            _ => Err("is not true or false".into()),
        },
        DataType::Date32 => date(text, format),
        t if *t == timestamp(true) => zoned(text, format),
        t if *t == timestamp(false) => naive(text, format),
        DataType::Utf8 => Ok(Value { text: text.into(), order: Order::Text(text.into()) }),
        other => Err(format!("can't be a value of {other}")),
    }
}

fn whole(text: &str, data_type: &DataType) -> Result<Value, String> {
    let (digits, scale) = number(text).ok_or("is not a number")?;
    let value = rescale(digits, scale, 0).ok_or("is not a whole number")?;
    let bits = 8 * data_type.primitive_width().unwrap_or(8) as u32;
    if value < -(1 << (bits - 1)) || value >= 1 << (bits - 1) {
        return Err("is out of the type's range".into());
    }
    Ok(Value { text: value.to_string(), order: Order::Whole(value) })
}

fn decimal(text: &str, precision: u8, scale: i8) -> Result<Value, String> {
    let (digits, written) = number(text).ok_or("is not a number")?;
    let value = rescale(digits, written, i32::from(scale));
    let value = value.ok_or_else(|| format!("has more than {scale} decimals, or too many digits"))?;
    if value.unsigned_abs() >= 10u128.pow(u32::from(precision)) {
        return Err(format!("has more than {precision} digits"));
    }
    Ok(Value { text: plain(value, scale.unsigned_abs().into()), order: Order::Whole(value) })
}

/// An unscaled number without its superfluous zeros.
fn plain(value: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Digits and scale of a decimal number, exactly; with an exponent if it is written so.
fn number(text: &str) -> Option<(i128, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.strip_prefix(['-', '+']) {
        Some(rest) => (mantissa.starts_with('-'), rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i128 = digits.parse().ok()?;
    Some((if negative { -value } else { value }, i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?))
}

fn rescale(value: i128, from: i32, to: i32) -> Option<i128> {
    let power = 10i128.checked_pow(from.abs_diff(to))?;
    if from <= to { value.checked_mul(power) } else { (value % power == 0).then_some(value / power) }
}

fn date(text: &str, format: Option<&str>) -> Result<Value, String> {
    let own = format.and_then(|format| NaiveDate::parse_from_str(text, format).ok());
    let date = own.or_else(|| iso_date(text)).ok_or("is not a date of the column's format, nor of ISO 8601")?;
    Ok(Value { text: date.format("%Y-%m-%d").to_string(), order: Order::Whole(micros(date.and_hms_opt(0, 0, 0))) })
}

fn iso_date(text: &str) -> Option<NaiveDate> {
    // chrono takes `2026-1-1` too, which is no ISO 8601.
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)
}

fn micros(at: Option<NaiveDateTime>) -> i128 {
    at.map_or(0, |at| at.and_utc().timestamp_micros().into())
}

fn zoned(text: &str, format: Option<&str>) -> Result<Value, String> {
    let own = format.and_then(|format| DateTime::parse_from_str(text, format).ok());
    let formats = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"];
    let iso = || formats.iter().find_map(|format| DateTime::parse_from_str(text, format).ok());
    let at = own.or_else(iso).map(|at| at.naive_utc()).or_else(|| local(text, format));
    at.map(|at| stamp(at, "Z")).ok_or_else(|| "is not a timestamp of the column's format, nor of ISO 8601".into())
}

fn naive(text: &str, format: Option<&str>) -> Result<Value, String> {
    let at = local(text, format);
    at.map(|at| stamp(at, "")).ok_or_else(|| "is not a timestamp without a zone".into())
}

fn stamp(at: NaiveDateTime, zone: &str) -> Value {
    let text = format!("{}{zone}", at.format("%Y-%m-%dT%H:%M:%S%.f"));
    Value { text, order: Order::Whole(micros(Some(at))) }
}

fn local(text: &str, format: Option<&str>) -> Option<NaiveDateTime> {
    let formats =
        format.into_iter().chain(["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]);
    let at = formats.into_iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let midnight = || format.and_then(|f| NaiveDate::parse_from_str(text, f).ok()).or_else(|| iso_date(text));
    at.or_else(|| midnight()?.and_hms_opt(0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_and_written_one_way() {
        let ok = |text: &str, data_type: DataType| read(text, &data_type, Some("%d/%m/%Y")).map(|value| value.text);
        assert_eq!(ok("1e3", DataType::Int64).as_deref(), Ok("1000"));
        assert_eq!(ok("+007.0", DataType::Int16).as_deref(), Ok("7"));
        assert_eq!(ok("-.50", DataType::Decimal128(12, 2)).as_deref(), Ok("-0.5"));
        assert_eq!(
            ok("12345678901234567890.12", DataType::Decimal128(38, 2)).as_deref(),
            Ok("12345678901234567890.12")
        );
        assert_eq!(ok("31/12/2026", DataType::Date32).as_deref(), Ok("2026-12-31"));
        assert_eq!(ok("2026-12-31", DataType::Date32).as_deref(), Ok("2026-12-31"));
        assert_eq!(ok("2026-07-01 09:00:00-03:00", timestamp(true)).as_deref(), Ok("2026-07-01T12:00:00Z"));
        assert_eq!(ok("2026-07-01", timestamp(false)).as_deref(), Ok("2026-07-01T00:00:00"));
        assert_eq!(ok("0.1", DataType::Float64).as_deref(), Ok("0.1"));
        for (bad, data_type) in [
            ("32768", DataType::Int16),
            ("9223372036854775808", DataType::Int64),
            ("1.5", DataType::Int64),
            ("0.001", DataType::Decimal128(12, 2)),
            ("1e30", DataType::Decimal128(12, 2)),
            ("abc", DataType::Decimal128(12, 2)),
            ("2026-13-01", DataType::Date32),
            ("2026-07-01T00:00:00Z", timestamp(false)),
            ("yes", DataType::Boolean),
        ] {
            assert!(read(bad, &data_type, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_ordered_as_their_type_is() {
        let less = |a: &str, b: &str, data_type: DataType| {
            let read = |text| read(text, &data_type, None).expect("a value");
            assert_eq!(read(a).cmp(&read(b)), Some(Ordering::Less));
        };
        less("9", "10", DataType::Decimal128(12, 2));
        less("-1", "0", DataType::Int64);
        less("1969-12-31", "1970-01-01", DataType::Date32);
        less("08:00:00", "17:30:00", DataType::Utf8);
    }
}

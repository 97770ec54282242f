//! How a date or a time is written, so that another one can be written alike: an API may compare texts.

use chrono::{DateTime, NaiveDate, NaiveTime};
use std::fmt::Write;

/// The form of a text by ISO 8601, with a blank for the `T` too, as far as the gate reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// What stands before the hours; nothing in a date.
    separator: Option<char>,
    has_seconds: bool,
    /// What stands before the fraction, and how many digits that has.
    point: char,
    digits: usize,
    /// As it is written: `Z`, `+02:00`, nothing.
    zone: String,
    /// Seconds east of UTC.
    offset: i64,
}

impl Form {
    /// Microseconds since 1970 of a text, without a zone in UTC, and its form.
    pub fn read(text: &str) -> Option<(i64, Self)> {
        let (day, rest) = text.split_at_checked(10)?;
        let is_plain = day.starts_with(|c: char| c.is_ascii_digit()) && day.find('-') == Some(4);
        let date = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().filter(|_| is_plain)?;
        let Some(separator) = rest.chars().next() else {
            let form =
                Self { separator: None, has_seconds: false, point: '.', digits: 0, zone: String::new(), offset: 0 };
            return Some((date.and_time(NaiveTime::MIN).and_utc().timestamp_micros(), form));
        };
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let (clock, rest) = split(rest, |c| c.is_ascii_digit() || c == ':');
        let has_seconds = clock.len() == 8;
        let pattern = if has_seconds { "%H:%M:%S" } else { "%H:%M" };
        let time = NaiveTime::parse_from_str(clock, pattern).ok().filter(|_| has_seconds || clock.len() == 5)?;
        let point = rest.chars().next().filter(|c| has_seconds && matches!(c, '.' | ','));
        let (fraction, zone) = match point {
            Some(point) => split(rest.strip_prefix(point)?, |c| c.is_ascii_digit()),
            None => ("", rest),
        };
        if point.is_some() == fraction.is_empty() {
            return None;
        }
        let micros: i64 = format!("{fraction:0<6.6}").parse().ok()?;
        let offset = offset(zone)?;
        let form = Self {
            separator: Some(separator),
            has_seconds,
            point: point.unwrap_or('.'),
            digits: fraction.len(),
            zone: zone.to_owned(),
            offset,
        };
        let local = date.and_time(time).and_utc().timestamp_micros() + micros;
        Some((local - offset * 1_000_000, form))
    }

    /// A time in this form; what has no place in it is left out, which makes the time an earlier one.
    pub fn write(&self, micros: i64) -> Option<String> {
        let local = DateTime::from_timestamp_micros(micros.checked_add(self.offset * 1_000_000)?)?;
        let mut text = local.format("%Y-%m-%d").to_string();
        let Some(separator) = self.separator else { return Some(text) };
        text.push(separator);
        write!(text, "{}", local.format(if self.has_seconds { "%H:%M:%S" } else { "%H:%M" })).ok()?;
        if self.digits > 0 {
            let fraction = format!("{:06}", local.timestamp_subsec_micros());
            write!(text, "{}{fraction:0<digits$.digits$}", self.point, digits = self.digits).ok()?;
        }
        text.push_str(&self.zone);
        Some(text)
    }
}

/// Parts a text before the first character that is not so.
fn split(text: &str, is_so: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_so(c)).unwrap_or(text.len()))
}

/// Seconds east of UTC of a zone.
fn offset(zone: &str) -> Option<i64> {
    let zone = zone.trim_ascii();
    if matches!(zone, "" | "Z" | "z" | "UTC") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone.strip_prefix(['+', '-'])?.as_bytes();
    let number = |tens: u8, ones: u8| {
        let is_number = tens.is_ascii_digit() && ones.is_ascii_digit();
        is_number.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let (hours, minutes) = match *digits {
        [a, b] => (number(a, b)?, 0),
        [a, b, b':', c, d] | [a, b, c, d] => (number(a, b)?, number(c, d)?),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_time_is_written_alike() {
        const HOUR: i64 = 3_600_000_000;
        for (text, earlier) in [
            ("2026-01-01 10:00:03", "2026-01-01 09:00:03"),
            ("2026-01-01T00:30:03.000Z", "2025-12-31T23:30:03.000Z"),
            ("2026-01-01t10:00:03.1z", "2026-01-01t09:00:03.1z"),
            ("2026-01-01T00:30:03+02:00", "2025-12-31T23:30:03+02:00"),
            ("2026-01-01T10:00:03.123456789-0330", "2026-01-01T09:00:03.123456000-0330"),
            ("2026-01-01 10:00:03,25 +02", "2026-01-01 09:00:03,25 +02"),
            ("2026-01-01 10:00 UTC", "2026-01-01 09:00 UTC"),
            ("2026-01-10", "2026-01-09"),
        ] {
            let (micros, form) = Form::read(text).unwrap_or_else(|| panic!("{text} is a time"));
            assert_eq!(form.write(micros - HOUR).as_deref(), Some(earlier), "{text}");
        }
        let (micros, form) = Form::read("2026-01-01T00:00:00Z").expect("a time");
        assert_eq!(form.write(micros - 1).as_deref(), Some("2025-12-31T23:59:59Z"), "never a later one");
    }

    #[test]
    fn a_time_is_the_same_in_every_form() {
        let micros = |text: &str| Form::read(text).map(|(micros, _)| micros);
        let same = micros("2026-01-01T10:00:00Z");
        assert!(same.is_some());
        for text in ["2026-01-01 10:00", "2026-01-01T12:00:00.000+02:00", "2026-01-01T06:30:00-0330"] {
            assert_eq!(micros(text), same, "{text}");
        }
        for no in [
            "",
            "soon",
            "2026-1-1",
            "2026-01-01T",
            "2026-01-01T1:00:00",
            "2026-01-01T10:00:00.Z",
            "2026-01-01T10:00.5",
            "2026-01-01T10:00:00 CET",
            "2026-01-01T10:00:00+2",
            "2026-02-30",
            "+2026-1-01",
            "é26-01-01T10:00:00",
        ] {
            assert_eq!(micros(no), None, "{no}");
        }
    }
}

//! Dates and timestamps from text: ISO 8601 by a straight read, any other format by chrono.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// How chrono writes an offset from UTC.
const ZONES: [&str; 6] = ["%z", "%:z", "%::z", "%:::z", "%#z", "%+"];

/// What is wrong with a format, if anything is.
pub(super) fn fault(format: &str) -> Option<&'static str> {
    if StrftimeItems::new(format).any(|item| item == Item::Error) {
        return Some("is no strftime format, as `%d/%m/%Y` is");
    }
    format.contains("%Z").then_some("has a zone's name (%Z), which says no offset; use %z or leave it out")
}

/// Days since 1970-01-01.
pub(super) fn date(text: &str, format: Option<&str>) -> Option<i32> {
    let text = text.trim_ascii();
    match format {
        Some(format) => days(NaiveDate::parse_from_str(text, format).ok()?),
        None => iso_date(text.as_bytes()).filter(|_| text.len() == 10),
    }
}

/// Microseconds since 1970-01-01T00:00:00, in UTC when `zoned` (text without a zone is UTC); text with a zone is refused
/// when not.
pub(super) fn timestamp(text: &str, format: Option<&str>, zoned: bool) -> Option<i64> {
    let text = text.trim_ascii();
    match format {
        None => iso_timestamp(text.as_bytes(), zoned),
        Some(format) if ZONES.iter().any(|zone| format.contains(zone)) => {
            let at = DateTime::parse_from_str(text, format).ok()?;
            (zoned && at.timestamp_subsec_nanos() % 1000 == 0).then(|| at.timestamp_micros())
        }
        Some(format) => {
            let at = NaiveDateTime::parse_from_str(text, format)
                .ok()
                .or_else(|| NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0))?;
            (at.and_utc().timestamp_subsec_nanos() % 1000 == 0).then(|| at.and_utc().timestamp_micros())
        }
    }
}

fn days(date: NaiveDate) -> Option<i32> {
    date.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days().try_into().ok()
}

/// `yyyy-mm-dd` at the start.
fn iso_date(text: &[u8]) -> Option<i32> {
    let (y, m, d) = match text {
        [y @ .., b'-', _, _, b'-', _, _] if y.len() == 4 => (digits(y)?, digits(&text[5..7])?, digits(&text[8..10])?),
        _ => return None,
    };
    if !(1..=12).contains(&m) || d < 1 || d > month_days(y, m) {
        return None;
    }
    Some(days_from_civil(y, m, d))
}

fn iso_timestamp(text: &[u8], zoned: bool) -> Option<i64> {
    let day = i64::from(iso_date(text.get(..10)?)?);
    let Some((separator, clock)) = text[10..].split_first() else { return Some(day * 86_400_000_000) };
    if !matches!(separator, b'T' | b't' | b' ') || clock.len() < 5 || clock[2] != b':' {
        return None;
    }
    let (hour, minute) = (digits(&clock[..2])?, digits(&clock[3..5])?);
    let (second, micros, rest) = seconds(&clock[5..])?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let local = ((day * 24 + i64::from(hour)) * 60 + i64::from(minute)) * 60 + i64::from(second);
    let offset = zone(rest, zoned)?;
    Some((local - offset) * 1_000_000 + micros)
}

/// `:ss` and a fraction of at most six digits that count.
fn seconds(text: &[u8]) -> Option<(i32, i64, &[u8])> {
    let [b':', a, b, rest @ ..] = text else { return Some((0, 0, text)) };
    let second = digits(&[*a, *b])?;
    let [b'.' | b',', fraction @ ..] = rest else { return Some((second, 0, rest)) };
    let length = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = fraction.split_at(length);
    if length == 0 || number.iter().skip(6).any(|b| *b != b'0') {
        return None;
    }
    let micros = number.iter().chain(b"000000").take(6).fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
    Some((second, micros, rest))
}

/// Seconds east of UTC.
fn zone(text: &[u8], zoned: bool) -> Option<i64> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Some(0);
    }
    if !zoned {
        return None;
    }
    let (sign, rest) = match text {
        [b'Z' | b'z'] | [b'U', b'T', b'C'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [a, b] => (digits(&[*a, *b])?, 0),
        [a, b, b':', c, d] | [a, b, c, d] => (digits(&[*a, *b])?, digits(&[*c, *d])?),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

fn digits(text: &[u8]) -> Option<i32> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i32::from(byte - b'0')))
}

fn month_days(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_dates() {
        assert_eq!(date("1970-01-01", None), Some(0));
        assert_eq!(date("2000-02-29", None), Some(11_016));
        assert_eq!(date("31/12/2026", Some("%d/%m/%Y")), date("2026-12-31", None));
        for bad in ["2026-02-29", "2026-13-01", "26-01-01", "2026-01-01x", "2026/01/01", ""] {
            assert_eq!(date(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn timestamps_keep_zone_and_precision() {
        let noon = timestamp("2026-07-01T12:00:00Z", None, true);
        assert_eq!(timestamp("2026-07-01 09:00:00-03:00", None, true), noon);
        assert_eq!(timestamp("2026-07-01T09:00-0300", None, true), noon);
        assert_eq!(timestamp("2026-07-01T12:00:00.000001Z", None, true), noon.map(|t| t + 1));
        assert_eq!(timestamp("2026-07-01T12:00:00.1234567Z", None, true), None);
        assert_eq!(timestamp("2026-07-01T12:00:00Z", None, false), None);
        assert_eq!(timestamp("2026-07-01T12:00:00", None, false), noon);
        assert_eq!(timestamp("2026-07-01", None, true), noon.map(|t| t - 43_200_000_000));
        assert_eq!(timestamp("01/07/2026 12:00", Some("%d/%m/%Y %H:%M"), true), noon);
        assert_eq!(timestamp("2026-07-01T09:00:00-03:00", Some("%+"), true), noon);
        for bad in ["2026-07-01T25:00:00Z", "2026-07-01T12", "yesterday", "2026-07-01T12:00:00+99:00"] {
            assert_eq!(timestamp(bad, None, true), None, "{bad}");
        }
    }

    #[test]
    fn a_format_that_would_mislead_is_refused() {
        assert_eq!((fault("%d/%m/%Y"), fault("%Y-%m-%dT%H:%M:%S%.f%:z")), (None, None));
        assert!(fault("%Q").is_some() && fault("%H:%M %Z").is_some());
    }

    #[test]
    fn every_day_of_four_centuries_agrees_with_chrono() {
        let start = NaiveDate::from_ymd_opt(1800, 1, 1).expect("a date");
        for offset in 0..146_097 {
            let day = start + chrono::Duration::days(offset);
            assert_eq!(date(&day.format("%Y-%m-%d").to_string(), None), days(day));
        }
    }
}

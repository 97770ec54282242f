//! The ways dates and timestamps are written, and which of them a column keeps to.

use chrono::NaiveDate;

/// A way to write a date, with a time behind it or not. The format is chrono's; `None` is ISO 8601.
pub(super) struct Way {
    pub format: Option<&'static str>,
    order: Order,
    separator: u8,
    time: Time,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ymd,
    Dmy,
    Mdy,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    None,
    /// `T` or a space, `HH:MM[:SS[.fraction]]`, a zone or none; or no time at all.
    Iso,
    /// A space and `HH:MM`.
    Minutes,
    /// A space and `HH:MM:SS`.
    Seconds,
}

const fn way(format: Option<&'static str>, order: Order, separator: u8, time: Time) -> Way {
    Way { format, order, separator, time }
}

/// Where a column keeps to several, the first is proposed: day before month, as in Brazil and Europe.
pub(super) const WAYS: [Way; 15] = [
    way(None, Order::Ymd, b'-', Time::None),
    way(Some("%d/%m/%Y"), Order::Dmy, b'/', Time::None),
    way(Some("%m/%d/%Y"), Order::Mdy, b'/', Time::None),
    way(Some("%d-%m-%Y"), Order::Dmy, b'-', Time::None),
    way(Some("%d.%m.%Y"), Order::Dmy, b'.', Time::None),
    way(Some("%Y/%m/%d"), Order::Ymd, b'/', Time::None),
    way(Some("%Y%m%d"), Order::Ymd, 0, Time::None),
    way(None, Order::Ymd, b'-', Time::Iso),
    way(Some("%d/%m/%Y %H:%M:%S"), Order::Dmy, b'/', Time::Seconds),
    way(Some("%d/%m/%Y %H:%M"), Order::Dmy, b'/', Time::Minutes),
    way(Some("%m/%d/%Y %H:%M:%S"), Order::Mdy, b'/', Time::Seconds),
    way(Some("%m/%d/%Y %H:%M"), Order::Mdy, b'/', Time::Minutes),
    way(Some("%d-%m-%Y %H:%M:%S"), Order::Dmy, b'-', Time::Seconds),
    way(Some("%d.%m.%Y %H:%M:%S"), Order::Dmy, b'.', Time::Seconds),
    way(Some("%Y/%m/%d %H:%M:%S"), Order::Ymd, b'/', Time::Seconds),
];

/// The place of `%Y%m%d` in [`WAYS`]: it is a number unless the column's name speaks of a date.
pub(super) const COMPACT: usize = 6;

/// What a way found in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub year: i32,
    pub has_zone: bool,
}

/// Years in which living people, and those whose records are kept, were born. No clock is read: the future is left out
/// by decade.
const BIRTH_YEARS: std::ops::RangeInclusive<i32> = 1900..=2030;

/// Whether the text is a date without a time, in a year that people are born in. Most dates are, so that only a column's
/// name makes it one of birth.
pub(super) fn is_plausible_birth_date(text: &str) -> bool {
    let may_be = (8..=10).contains(&text.len()) && text.as_bytes()[0].is_ascii_digit();
    may_be && WAYS.iter().filter_map(|way| way.read(text)).any(|moment| BIRTH_YEARS.contains(&moment.year))
}

impl Way {
    pub fn has_time(&self) -> bool {
        self.time != Time::None
    }

    pub fn read(&self, text: &str) -> Option<Moment> {
        let (date, clock) = match text.find([' ', 'T', 't']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let year = self.date(date.as_bytes())?;
        let has_zone = match (self.time, clock) {
            (Time::None | Time::Iso, None) => false,
            (Time::Minutes, Some(clock)) if text.as_bytes()[date.len()] == b' ' => {
                after_minutes(clock)?.is_empty().then_some(false)?
            }
            (Time::Seconds, Some(clock)) if text.as_bytes()[date.len()] == b' ' => {
                after_seconds(after_minutes(clock)?)?.is_empty().then_some(false)?
            }
            (Time::Iso, Some(clock)) => iso_zone(clock)?,
            _ => return None,
        };
        Some(Moment { year, has_zone })
    }

    fn date(&self, text: &[u8]) -> Option<i32> {
        let parts: [&[u8]; 3] = match self.separator {
            0 if text.len() == 8 => [&text[..4], &text[4..6], &text[6..]],
            0 => return None,
            separator => {
                let mut parts = text.split(|c| *c == separator);
                let three = [parts.next()?, parts.next()?, parts.next()?];
                if parts.next().is_some() {
                    return None;
                }
                three
            }
        };
        let [y, m, d] = match self.order {
            Order::Ymd => parts,
            Order::Dmy => [parts[2], parts[1], parts[0]],
            Order::Mdy => [parts[2], parts[0], parts[1]],
        };
        // The gate takes ISO dates at their full width only; chrono takes `1/2/2025` for `%d/%m/%Y`.
        let narrow = self.format.is_none() && (m.len() != 2 || d.len() != 2);
        if y.len() != 4 || m.len() > 2 || d.len() > 2 || narrow {
            return None;
        }
        let year = number(y)?.try_into().ok()?;
        NaiveDate::from_ymd_opt(year, number(m)?, number(d)?).map(|_| year)
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    valid.then(|| digits.iter().fold(0, |n, c| n * 10 + u32::from(c - b'0')))
}

/// What follows `HH:MM`.
fn after_minutes(clock: &str) -> Option<&[u8]> {
    match clock.as_bytes() {
        [a, b, b':', c, d, rest @ ..] if number(&[*a, *b])? < 24 && number(&[*c, *d])? < 60 => Some(rest),
        _ => None,
    }
}

/// What follows `:SS`.
fn after_seconds(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b':', a, b, rest @ ..] if number(&[*a, *b])? < 60 => Some(rest),
        _ => None,
    }
}

/// Whether an ISO time has a zone; none when it is no ISO time or has more than six decimals that count.
fn iso_zone(clock: &str) -> Option<bool> {
    let mut rest = after_minutes(clock)?;
    if let Some(b':') = rest.first() {
        rest = after_seconds(rest)?;
        if let [b'.' | b',', fraction @ ..] = rest {
            let length = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
            if length == 0 || fraction[..length].iter().skip(6).any(|c| *c != b'0') {
                return None;
            }
            rest = &fraction[length..];
        }
    }
    match rest.trim_ascii() {
        [] => Some(false),
        [b'Z' | b'z'] | [b'U', b'T', b'C'] => Some(true),
        [b'+' | b'-', h1, h2] => number(&[*h1, *h2]).map(|_| true),
        [b'+' | b'-', h1, h2, b':', m1, m2] | [b'+' | b'-', h1, h2, m1, m2] => {
            number(&[*h1, *h2, *m1, *m2]).map(|_| true)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(text: &str) -> Vec<Option<&'static str>> {
        WAYS.iter().filter(|way| way.read(text).is_some()).map(|way| way.format).collect()
    }

    #[test]
    fn each_way_knows_its_own() {
        assert_eq!(ways("2025-01-31"), [None, None]);
        assert_eq!(ways("31/01/2025"), [Some("%d/%m/%Y")]);
        assert_eq!(ways("01/02/2025"), [Some("%d/%m/%Y"), Some("%m/%d/%Y")]);
        assert_eq!(ways("1/13/2025"), [Some("%m/%d/%Y")]);
        assert_eq!(ways("20250131"), [Some("%Y%m%d")]);
        assert_eq!(ways("31/01/2025 08:30"), [Some("%d/%m/%Y %H:%M")]);
        assert_eq!(ways("2025/01/31 08:30:00"), [Some("%Y/%m/%d %H:%M:%S")]);
        for stamp in [
            "2025-01-31T08:30:00Z",
            "2025-01-31 08:30:00.123456",
            "2025-01-31T08:30-03:00",
            "2025-01-31T08:30:00.5 UTC",
        ] {
            assert_eq!(ways(stamp), [None], "{stamp}");
        }
        for bad in [
            "",
            "2025-02-30",
            "31/31/2025",
            "25-01-31",
            "2025-1-2",
            "2025-01-31T25:00",
            "2025-01-31T08:30:00.1234567",
            "T",
            " ",
        ] {
            assert!(ways(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_zone_is_seen() {
        let zone = |text| WAYS[7].read(text).map(|moment| moment.has_zone);
        assert_eq!(zone("2025-01-31T08:30:00+03:00"), Some(true));
        assert_eq!(zone("2025-01-31T08:30:00"), Some(false));
        assert_eq!(WAYS[COMPACT].format, Some("%Y%m%d"));
    }
}

//! Dates and timestamps from the server's binary and text forms.

use super::kinds::Infinity;

/// A value that may be at an end of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment<T> {
    At(T),
    Infinite {
        future: bool,
    },
    /// Further away than Arrow can say.
    Beyond,
}

/// Days and microseconds from 1970 to 2000, where the server counts from.
const DAYS: i32 = 10_957;
const MICROS: i64 = DAYS as i64 * 86_400_000_000;

pub fn date(days: i32) -> Moment<i32> {
    match days {
        i32::MAX => Moment::Infinite { future: true },
        i32::MIN => Moment::Infinite { future: false },
        days => days.checked_add(DAYS).map_or(Moment::Beyond, near_date),
    }
}

pub fn timestamp(micros: i64) -> Moment<i64> {
    match micros {
        i64::MAX => Moment::Infinite { future: true },
        i64::MIN => Moment::Infinite { future: false },
        micros => micros.checked_add(MICROS).map_or(Moment::Beyond, near_timestamp),
    }
}

/// Days from the year -262,143 to the year 262,142, which can be shown as text: what is further away has no place in a
/// batch of texts.
const SHOWN: std::ops::RangeInclusive<i64> = days(-262_143, 1, 1)..=days(262_142, 12, 31);

fn near_date(days: i32) -> Moment<i32> {
    if SHOWN.contains(&i64::from(days)) { Moment::At(days) } else { Moment::Beyond }
}

fn near_timestamp(micros: i64) -> Moment<i64> {
    if SHOWN.contains(&micros.div_euclid(86_400_000_000)) { Moment::At(micros) } else { Moment::Beyond }
}

/// Year 1 and year 9999, in days since 1970.
const FIRST: i32 = -719_162;
const LAST: i32 = 2_932_896;

/// What is put in the place of infinity; `None` asks for the text.
pub fn clamped_date(future: bool, infinity: Infinity) -> Option<Option<i32>> {
    match infinity {
        Infinity::Quarantine => None,
        Infinity::Empty => Some(None),
        Infinity::Clamp => Some(Some(if future { LAST } else { FIRST })),
    }
}

pub fn clamped_timestamp(future: bool, infinity: Infinity) -> Option<Option<i64>> {
    const DAY: i64 = 86_400_000_000;
    let micros = |days: i32| if future { i64::from(days) * DAY + DAY - 1 } else { i64::from(days) * DAY };
    clamped_date(future, infinity).map(|days| days.map(micros))
}

/// `2026-07-01`, `0044-03-15 BC`, `infinity`.
pub fn date_text(text: &str) -> Option<Moment<i32>> {
    if let Some(end) = end_of_time(text) {
        return Some(end);
    }
    let (text, before) = before_christ(text);
    let (days, rest) = civil(text.as_bytes(), before)?;
    rest.is_empty().then(|| i32::try_from(days).map_or(Moment::Beyond, near_date))
}

/// `2026-07-01 12:00:00.5`, with `+00` behind it when it has a zone, which is UTC.
pub fn timestamp_text(text: &str) -> Option<Moment<i64>> {
    if let Some(end) = end_of_time(text) {
        return Some(end);
    }
    let (text, before) = before_christ(text);
    let (days, rest) = civil(text.as_bytes(), before)?;
    let [b' ', clock @ ..] = rest else { return None };
    let clock = clock.strip_suffix(b"+00").unwrap_or(clock);
    let [h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = clock else { return None };
    let seconds = digits(&[*h1, *h2])? * 3600 + digits(&[*m1, *m2])? * 60 + digits(&[*s1, *s2])?;
    let micros = match fraction {
        [] => 0,
        [b'.', decimals @ ..] if (1..=6).contains(&decimals.len()) => {
            digits(decimals)? * 10i64.pow(6 - decimals.len() as u32)
        }
        _ => return None,
    };
    let whole = days.checked_mul(86_400).and_then(|s| s.checked_add(seconds)).and_then(|s| s.checked_mul(1_000_000));
    Some(whole.and_then(|whole| whole.checked_add(micros)).map_or(Moment::Beyond, near_timestamp))
}

fn end_of_time<T>(text: &str) -> Option<Moment<T>> {
    match text {
        "infinity" => Some(Moment::Infinite { future: true }),
        "-infinity" => Some(Moment::Infinite { future: false }),
        _ => None,
    }
}

fn before_christ(text: &str) -> (&str, bool) {
    text.strip_suffix(" BC").map_or((text, false), |rest| (rest, true))
}

/// A date at the start of a text, in days since 1970, and what follows it.
fn civil(text: &[u8], before: bool) -> Option<(i64, &[u8])> {
    let year_length = text.iter().position(|byte| *byte == b'-')?;
    let (year, rest) = text.split_at(year_length);
    let [b'-', m1, m2, b'-', d1, d2, rest @ ..] = rest else { return None };
    let year = digits(year).filter(|_| year.len() >= 4)?;
    let year = if before { 1 - year } else { year };
    Some((days(year, digits(&[*m1, *m2])?, digits(&[*d1, *d2])?), rest))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Days since 1970-01-01 of a Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_binary_say_the_same() {
        assert_eq!(date_text("2000-01-01"), Some(date(0)));
        assert_eq!(date_text("1970-01-02"), Some(Moment::At(1)));
        assert_eq!(date_text("0001-01-01"), Some(Moment::At(FIRST)));
        assert_eq!(date_text("9999-12-31"), Some(Moment::At(LAST)));
        assert_eq!(date_text("0044-03-15 BC"), Some(Moment::At(-735_160)));
        assert_eq!(date_text("infinity"), Some(date(i32::MAX)));
        assert_eq!(timestamp_text("2000-01-01 00:00:00+00"), Some(timestamp(0)));
        assert_eq!(timestamp_text("2000-01-01 00:00:01.25"), Some(timestamp(1_250_000)));
        assert_eq!(timestamp_text("-infinity"), Some(timestamp(i64::MIN)));
        assert_eq!(timestamp_text("294276-12-31 23:59:59.999999"), Some(Moment::Beyond));
        assert_eq!(
            (date_text("5874897-12-31"), timestamp(i64::MAX / 2)),
            (Some(Moment::Beyond), timestamp(i64::MAX / 2))
        );
        assert_eq!(date_text("262142-12-31"), Some(Moment::At(95_026_236)));
        for bad in ["", "2000", "2000-01-01x", "20-01-01", "soon"] {
            assert_eq!(date_text(bad), None, "{bad}");
        }
        assert_eq!(timestamp_text("2000-01-01 00:00:00-03"), None);
    }
}

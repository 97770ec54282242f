//! Spans of time as people write them: `2 days`, `90 minutes`.

pub const HOW: &str = "write a number and a unit, from milliseconds to weeks: `2 days`, `90 minutes`";

/// Microseconds of a span; `None` for what is none.
pub fn micros(text: &str) -> Option<i64> {
    let (number, unit) = text.trim().split_once(' ')?;
    const SECOND: i64 = 1_000_000;
    let micros = match unit.trim().trim_end_matches('s') {
        "millisecond" => SECOND / 1000,
        "second" => SECOND,
        "minute" => 60 * SECOND,
        "hour" => 3600 * SECOND,
        "day" => 86_400 * SECOND,
        "week" => 604_800 * SECOND,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_units() {
        assert_eq!(micros("2 days"), Some(172_800_000_000));
        assert_eq!(micros("1 minute"), Some(60_000_000));
        assert_eq!(micros("250 milliseconds"), Some(250_000));
        assert_eq!((micros("2"), micros("two days"), micros("2 fortnights")), (None, None, None));
    }
}

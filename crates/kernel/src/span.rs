//! Spans of time as people write them.

/// What to write where a span was not understood.
pub const HELP: &str = "write a number and a unit: `2 days`, `90 minutes`";

/// Microseconds of `2 days`.
pub fn micros(text: &str) -> Option<i64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let seconds = match unit.trim().trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 604_800,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(seconds * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_units() {
        assert_eq!(micros("2 days"), Some(172_800_000_000));
        assert_eq!(micros("1 minute"), Some(60_000_000));
        assert_eq!((micros("2"), micros("two days"), micros("2 fortnights")), (None, None, None));
    }
}

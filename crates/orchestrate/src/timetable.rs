//! When a source is taken in: all the time, every so often, or by a cron line. Pure.

use chrono::{DateTime, Datelike, Days, NaiveDateTime, TimeDelta, Timelike};
use kernel::clock::Timestamp;
use kernel::span;
use std::time::Duration;

pub const HOW: &str = "write `continuous`, `every 15 minutes`, or five fields of cron in UTC: `0 6 * * 1-5`";

/// A rule by which an impossible day may be written (`0 0 30 2 *`) is given up after this many days. Leap days come within
/// eight years.
const DAYS_MAX: u64 = 9 * 366;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timetable {
    /// It never ends: what comes is taken.
    Continuous,
    /// From the start of one time to the start of the next.
    Every(Duration),
    Cron(Cron),
}

/// Five fields: minute, hour, day of the month, month, day of the week. In UTC, so that no hour comes twice or never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both kinds of day are restricted: as cron has it, either is enough.
    either_day: bool,
}

impl Timetable {
    /// Reads a schedule; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["continuous"] => Ok(Self::Continuous),
            ["every", unit] => every(&format!("1 {unit}")),
            ["every", number, unit] => every(&format!("{number} {unit}")),
            [_, _, _, _, _] => Cron::parse(&words).map(Self::Cron),
            _ => Err("this is no schedule".to_owned()),
        }
    }

    /// The next time after `last`, the start of the time before; `None` when it never comes. Without a `last` an interval
    /// is due at once.
    pub fn next(&self, last: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        match (self, last) {
            (Timetable::Continuous, _) | (Timetable::Every(_), None) => Some(now),
            (Timetable::Every(span), Some(last)) => {
                let span = i64::try_from(span.as_micros()).ok()?;
                Some(Timestamp(last.0.checked_add(span)?.max(now.0)))
            }
            (Timetable::Cron(cron), _) => cron.after(now),
        }
    }
}

fn every(text: &str) -> Result<Timetable, String> {
    let micros = span::micros(text).filter(|micros| *micros > 0);
    let micros = micros.and_then(|micros| u64::try_from(micros).ok());
    micros.map(|micros| Timetable::Every(Duration::from_micros(micros))).ok_or_else(|| "this is no span of time".into())
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    fn parse(fields: &[&str]) -> Result<Self, String> {
        let [minute, hour, day, month, weekday] = fields else { return Err("cron has five fields".into()) };
        let weekdays = field(weekday, "day of the week", 0, 7, &WEEKDAYS)?;
        Ok(Self {
            minutes: field(minute, "minute", 0, 59, &[])?,
            hours: field(hour, "hour", 0, 23, &[])?,
            days: field(day, "day of the month", 1, 31, &[])?,
            months: field(month, "month", 1, 12, &MONTHS)?,
            // Seven is Sunday too.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }

    /// The first minute of the rule behind `now`.
    pub fn after(&self, now: Timestamp) -> Option<Timestamp> {
        let now = DateTime::from_timestamp_micros(now.0)?.naive_utc();
        let first = now.with_second(0)?.with_nanosecond(0)?.checked_add_signed(TimeDelta::minutes(1))?;
        let mut day = first.date();
        for _ in 0..DAYS_MAX {
            if self.is_day(day.month(), day.day(), day.weekday().num_days_from_sunday()) {
                let from = if day == first.date() { first.hour() * 60 + first.minute() } else { 0 };
                if let Some(minute) = (from..24 * 60).find(|m| has(self.hours, m / 60) && has(self.minutes, m % 60)) {
                    let at: NaiveDateTime = day.and_hms_opt(minute / 60, minute % 60, 0)?;
                    return Some(Timestamp(at.and_utc().timestamp_micros()));
                }
            }
            day = day.checked_add_days(Days::new(1))?;
        }
        None
    }

    fn is_day(&self, month: u32, day: u32, weekday: u32) -> bool {
        let (of_month, of_week) = (has(self.days, day), has(self.weekdays, weekday));
        has(self.months, month) && if self.either_day { of_month || of_week } else { of_month && of_week }
    }
}

fn has(set: u64, number: u32) -> bool {
    set >> number & 1 == 1
}

/// `*`, `*/15`, `1-5`, `mon,wed`, `10-50/20`, as bits.
fn field(text: &str, what: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no {what} of cron");
    let number = |text: &str| {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let number = match named {
            Some(place) => u32::try_from(place).ok().map(|place| place + low),
            None => text.parse().ok().filter(|_| text.bytes().all(|c| c.is_ascii_digit())),
        };
        number.filter(|number| (low..=high).contains(number)).ok_or_else(wrong)
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0).ok_or_else(wrong)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (number(from)?, number(to)?),
            // `5/15` goes on to the end.
            None if step > 1 => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(wrong());
        }
        (from..=to).step_by(step).for_each(|number| set |= 1 << number);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect("a time");
        Timestamp(at.and_utc().timestamp_micros())
    }

    fn after(line: &str, now: &str) -> Option<Timestamp> {
        Timetable::parse(line).expect("a schedule").next(None, at(now))
    }

    #[test]
    fn a_cron_line_says_its_next_minute() {
        for (line, now, next) in [
            ("* * * * *", "2026-11-25 23:59:30", "2026-11-26 00:00:00"),
            ("0 6 * * *", "2026-11-25 06:00:00", "2026-11-26 06:00:00"),
            ("0 6 * * *", "2026-11-25 05:59:59", "2026-11-25 06:00:00"),
            ("*/15 9-17 * * mon-fri", "2026-11-27 17:46:00", "2026-11-30 09:00:00"),
            ("0 0 * * 7", "2026-11-25 00:00:00", "2026-11-29 00:00:00"),
            ("0 0 29 2 *", "2026-11-25 00:00:00", "2028-02-29 00:00:00"),
            ("30 4 1,15 * 5", "2026-11-25 00:00:00", "2026-11-27 04:30:00"),
            ("5/20 0 1 JAN *", "2026-01-01 00:05:00", "2026-01-01 00:25:00"),
        ] {
            assert_eq!(after(line, now), Some(at(next)), "{line} behind {now}");
        }
        assert_eq!(after("0 0 30 2 *", "2026-11-25 00:00:00"), None, "a day that never comes");
    }

    #[test]
    fn an_interval_is_due_at_once_and_then_from_start_to_start() {
        let every = Timetable::parse("every 15 minutes").expect("a schedule");
        let (now, last) = (at("2026-11-25 10:00:00"), at("2026-11-25 09:50:00"));
        assert_eq!((every.next(None, now), every.next(Some(last), now)), (Some(now), Some(at("2026-11-25 10:05:00"))));
        assert_eq!(every.next(Some(at("2026-11-25 09:00:00")), now), Some(now), "one that took too long is due now");
        assert_eq!(Timetable::parse("every hour"), Ok(Timetable::Every(Duration::from_secs(3600))));
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        for bad in [
            "",
            "hourly",
            "every 0 minutes",
            "0 6 * *",
            "60 * * * *",
            "* * 0 * *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "* * * foo *",
            "+5 * * * *",
            "every blue moon",
        ] {
            assert!(Timetable::parse(bad).is_err(), "{bad}");
        }
    }
}

//! Three months of days, and how busy each day and hour is. Whole numbers only, so that every machine agrees.

use super::dice::Dice;
use chrono::{Datelike, Days, NaiveDate};

pub const YEAR: i32 = 2026;
pub const MONTHS: [u32; 3] = [7, 8, 9];
pub const DAY_MICROS: u64 = 86_400_000_000;
pub const HOUR_MICROS: u64 = 3_600_000_000;

/// Monday to Sunday, in thousandths.
const WEEKDAYS: [u64; 7] = [880, 900, 950, 1020, 1260, 1230, 760];
/// Hours in UTC; the country is three hours behind, so lunch is at 15 and the evening peak at 22.
const HOURS: [u64; 24] = [70, 50, 30, 15, 8, 5, 4, 4, 6, 12, 25, 40, 52, 60, 70, 85, 80, 70, 68, 70, 80, 95, 105, 95];

pub struct Day {
    pub date: NaiveDate,
    /// Days since 1970-01-01.
    pub epoch: i64,
    pub month: usize,
    /// Days left in the month after this one.
    pub left: u32,
    weight: u64,
}

/// All days from the first of July to the end of September, busier from week to week.
pub fn days(seed: u64) -> Vec<Day> {
    let mut dice = Dice::new(seed, 0xCA1E);
    let Some(first) = NaiveDate::from_ymd_opt(YEAR, MONTHS[0], 1) else { return Vec::new() };
    let mut days = Vec::new();
    for number in 0..92u64 {
        let date = first + Days::new(number);
        let growth = 1000 + 6 * number;
        let weekday = WEEKDAYS[date.weekday().num_days_from_monday() as usize];
        let noise = u64::from(dice.between(970, 1030));
        days.push(Day {
            date,
            epoch: i64::from(date.num_days_from_ce() - 719_163),
            month: (date.month() - MONTHS[0]) as usize,
            left: u32::from(date.num_days_in_month()) - date.day(),
            weight: growth * weekday / 1000 * season(date) / 1000 * noise / 1000,
        });
    }
    days
}

/// Wages come by the fifth working day and on the twentieth; Father's Day is the second Sunday of August.
fn season(date: NaiveDate) -> u64 {
    match (date.month(), date.day()) {
        (8, 6..=8) => 1380,
        (9, 7) => 820,
        (_, 5..=7) => 1150,
        (_, 20) => 1100,
        _ => 1000,
    }
}

/// Shares `total` over the days, exactly.
pub fn per_day(days: &[Day], total: usize) -> Vec<usize> {
    share(&days.iter().map(|day| day.weight).collect::<Vec<_>>(), total)
}

/// Shares `total` over the hours of a day, exactly.
pub fn per_hour(total: usize) -> Vec<usize> {
    share(&HOURS, total)
}

/// Rounds the running sum, so that the parts always make the whole.
fn share(weights: &[u64], total: usize) -> Vec<usize> {
    let all: u64 = weights.iter().sum();
    let mut sum = 0;
    let mut given = 0;
    let mut parts = Vec::with_capacity(weights.len());
    for weight in weights {
        sum += weight;
        let upto = (total as u64 * sum / all) as usize;
        parts.push(upto - given);
        given = upto;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_are_july_to_september() {
        let days = days(1);
        assert_eq!(days[0].date.to_string(), "2026-07-01");
        assert_eq!(days[91].date.to_string(), "2026-09-30");
        assert_eq!(days[0].epoch, 20_635);
        assert_eq!((days[30].month, days[30].left), (0, 0));
        assert_eq!((days[31].month, days[31].left), (1, 30));
    }

    #[test]
    fn shares_are_exact_and_weekends_differ() {
        let days = days(3);
        let counts = per_day(&days, 1_000_003);
        assert_eq!(counts.iter().sum::<usize>(), 1_000_003);
        assert_eq!(per_hour(17).iter().sum::<usize>(), 17);
        // 2026-07-10 is a Friday, 07-12 a Sunday; eleven weeks later there is more of both.
        assert!(counts[9] > counts[11] * 14 / 10);
        assert!(counts[9 + 77] > counts[9] * 13 / 10);
    }
}

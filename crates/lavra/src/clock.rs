//! The machine's clock: the only place that reads it.

use kernel::clock::{Clock, ManualClock, Timestamp};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Never goes back, also when the machine's time is set back. Then it goes on at half the pace of what really passes, until
/// the machine's time has caught up: whoever waits for a time gets there, and it does not stay ahead for ever.
#[derive(Debug, Default)]
pub struct SystemClock(Mutex<Option<Course>>);

#[derive(Debug)]
struct Course {
    /// What was answered last.
    last: i64,
    /// The last answer that was the machine's time, and when that was by a clock that nobody sets.
    of_machine: i64,
    at: Instant,
}

impl Course {
    fn new(machine: i64, at: Instant) -> Self {
        Self { last: machine, of_machine: machine, at }
    }

    /// The time, by both clocks of the machine.
    fn read(&mut self, machine: i64, at: Instant) -> i64 {
        if machine >= self.last {
            *self = Self::new(machine, at);
        } else {
            let passed = at.saturating_duration_since(self.at) / 2;
            let passed = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
            // Between two threads the later reading may come first.
            self.last = self.last.max(self.of_machine.saturating_add(passed));
        }
        self.last
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let (Timestamp(machine), at) = (self.wall(), Instant::now());
        let mut course = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp(course.get_or_insert_with(|| Course::new(machine, at)).read(machine, at))
    }

    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// For a look that takes nothing: no file is too young to be whole.
pub fn tomorrow() -> ManualClock {
    const DAY_MICROS: i64 = 86_400_000_000;
    ManualClock::at(SystemClock::default().now().0.saturating_add(DAY_MICROS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_obeys_the_law() {
        kernel::laws::clock::obeys(&SystemClock::default());
    }

    const SECOND: i64 = 1_000_000;
    const NOON: i64 = 1_700_000_000 * SECOND;

    /// Answers in seconds from noon, for readings of the machine's time, in seconds from noon too, and of what has passed.
    fn answers(readings: &[(i64, u64)]) -> Vec<i64> {
        let start = Instant::now();
        let mut course = Course::new(NOON, start);
        let mut answer = |(machine, passed): &(i64, u64)| {
            let answer = course.read(NOON + machine * SECOND, start + Duration::from_secs(*passed));
            (answer - NOON) / SECOND
        };
        readings.iter().map(&mut answer).collect()
    }

    #[test]
    fn it_goes_on_while_the_machine_that_was_set_back_is_behind_and_is_met_by_it() {
        let hour_back =
            [(10, 10), (-3_590, 10), (-3_570, 30), (-2_000, 1_600), (3_490, 7_090), (3_610, 7_210), (3_700, 7_300)];
        assert_eq!(answers(&hour_back), [10, 10, 20, 805, 3_490, 3_610, 3_700]);
        let asked_often: Vec<(i64, u64)> =
            (0..=600_u32).map(|second| (i64::from(second) - 3_600, u64::from(second))).collect();
        assert_eq!(answers(&asked_often).last(), Some(&300), "each reading counts from the same one");
        let back_by_less_than_has_passed = [(0, 0), (50, 60), (51, 61)];
        assert_eq!(answers(&back_by_less_than_has_passed), [0, 50, 51], "the machine's time is right if it can be");
    }

    #[test]
    fn it_follows_a_machine_that_was_set_ahead_or_slept() {
        assert_eq!(answers(&[(10, 10), (36_000, 11), (36_001, 12)]), [10, 36_000, 36_001]);
        // Of two threads, the one that read first asks second.
        assert_eq!(answers(&[(10, 10), (9, 9), (11, 11)]), [10, 10, 11]);
    }
}

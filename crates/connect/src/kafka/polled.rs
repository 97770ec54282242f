//! How long was polled: only in that time could a partition have moved.

use kernel::clock::{Clock, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How long a partition that has records may keep others waiting.
pub const POLL: Duration = Duration::from_millis(50);
/// How often all partitions are looked at while some of them keep it busy.
const LOOK: Duration = Duration::from_secs(1);

/// So many records in a row are counted at once, for what is there comes faster than a clock is read.
const AT_ONCE: u32 = 16;

pub struct Polled {
    clock: Arc<dyn Clock>,
    last: Timestamp,
    /// Polls that are not counted yet.
    polls: u32,
    /// All of it, since the source was opened.
    pub spent: Duration,
    looked: Duration,
}

impl Polled {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let last = clock.now();
        Self { clock, last, polls: 0, spent: Duration::ZERO, looked: Duration::ZERO }
    }

    /// What went by since the last poll was not spent with polling.
    pub fn begin(&mut self) {
        (self.last, self.polls) = (self.clock.now(), 0);
    }

    /// A poll has ended. One that brought nothing took all its time; and none takes longer, whatever the clock says of a machine
    /// that slept or was set.
    pub fn count(&mut self, is_some: bool) {
        match is_some {
            true if self.polls + 1 < AT_ONCE => self.polls += 1,
            true => self.end_behind(1, Duration::ZERO),
            false => self.end_behind(0, POLL),
        }
    }

    /// Counts the polls that are not counted yet.
    pub fn end(&mut self) {
        if self.polls > 0 {
            self.end_behind(0, Duration::ZERO);
        }
    }

    fn end_behind(&mut self, more: u32, silence: Duration) {
        let (now, polls) = (self.clock.now(), std::mem::take(&mut self.polls) + more);
        let took = Duration::from_micros(u64::try_from(now.0 - self.last.0).unwrap_or_default());
        self.last = now;
        self.spent += took.saturating_sub(silence).min(POLL * polls) + silence;
    }

    /// Whether it is time to look at all partitions.
    pub fn is_time(&mut self) -> bool {
        let is_time = self.spent - self.looked >= LOOK;
        if is_time {
            self.looked = self.spent;
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::clock::ManualClock;

    #[test]
    fn only_the_time_of_polls_counts_also_of_those_that_bring_something() {
        let clock = Arc::new(ManualClock::at(0));
        let mut polled = Polled::new(clock.clone());
        for _ in 0..3 * AT_ONCE {
            clock.advance(20_000);
            polled.count(true);
        }
        let mut spent = Duration::from_millis(20) * 3 * AT_ONCE;
        assert_eq!(polled.spent, spent);
        clock.advance(60_000_000);
        polled.begin();
        polled.count(true);
        polled.end();
        assert_eq!(polled.spent, spent, "the batch was elsewhere for a minute");
        clock.advance(20_000);
        polled.count(true);
        polled.end();
        polled.end();
        spent += Duration::from_millis(20);
        assert_eq!(polled.spent, spent, "also those that are too few to be counted at once");
        clock.advance(3_600_000_000);
        polled.count(true);
        polled.count(false);
        spent += 2 * POLL;
        assert_eq!(polled.spent, spent, "the machine slept for an hour");
        clock.advance(10_000);
        polled.count(true);
        clock.advance(50_000);
        polled.count(false);
        spent += Duration::from_millis(10) + POLL;
        assert_eq!(polled.spent, spent, "each has its own time");
        assert!(polled.is_time(), "{spent:?}");
        (0..19).for_each(|_| polled.count(false));
        assert!(!polled.is_time());
        polled.count(false);
        assert!(polled.is_time() && !polled.is_time());
    }
}

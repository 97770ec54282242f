//! How long was polled: only in that time could a partition have moved.

use kernel::clock::{Clock, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How long a partition that has records may keep others waiting.
pub const POLL: Duration = Duration::from_millis(50);
/// How often all partitions are looked at while some of them keep it busy.
const LOOK: Duration = Duration::from_secs(1);

pub struct Polled {
    clock: Arc<dyn Clock>,
    last: Timestamp,
    /// All of it, since the source was opened.
    pub spent: Duration,
    looked: Duration,
}

impl Polled {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let last = clock.now();
        Self { clock, last, spent: Duration::ZERO, looked: Duration::ZERO }
    }

    /// What went by since the last poll was not spent with polling.
    pub fn begin(&mut self) {
        self.last = self.clock.now();
    }

    /// A poll has ended. One that brought nothing took all its time; and none takes longer, whatever the clock says of a machine
    /// that slept or was set.
    pub fn count(&mut self, is_some: bool) {
        let now = self.clock.now();
        let took = u64::try_from(now.0 - self.last.0).unwrap_or_default();
        self.last = now;
        self.spent += if is_some { Duration::from_micros(took).min(POLL) } else { POLL };
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
        for _ in 0..10 {
            clock.advance(20_000);
            polled.count(true);
        }
        assert_eq!(polled.spent, Duration::from_millis(200));
        clock.advance(60_000_000);
        polled.begin();
        polled.count(true);
        assert_eq!(polled.spent, Duration::from_millis(200), "the batch was elsewhere for a minute");
        clock.advance(3_600_000_000);
        polled.count(true);
        polled.count(false);
        assert_eq!(polled.spent, Duration::from_millis(300), "the machine slept for an hour");
        assert!(!polled.is_time());
        (0..14).for_each(|_| polled.count(false));
        assert!(polled.is_time() && !polled.is_time());
    }
}

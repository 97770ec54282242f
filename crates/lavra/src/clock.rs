//! The machine's clock: the only place that reads it.

use kernel::clock::{Clock, ManualClock, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Never goes back, also when the machine's time is set.
#[derive(Debug, Default)]
pub struct SystemClock(AtomicI64);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.fetch_max(now, Ordering::Relaxed).max(now))
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

    #[test]
    fn it_obeys_the_law() {
        kernel::laws::clock::obeys(&SystemClock::default());
    }
}

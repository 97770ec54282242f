use super::{assert_caught, verdict};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::laws::clock::obeys;
use std::sync::atomic::{AtomicI64, Ordering};

#[test]
fn a_manual_clock_obeys() {
    assert_eq!(verdict(|| obeys(&ManualClock::at(5))), None);
    let clock = ManualClock::at(5);
    clock.advance(3);
    clock.advance(-7);
    assert_eq!(clock.now(), Timestamp(8), "it never goes back");
}

/// Goes back once in a while.
struct Wavering(AtomicI64);

impl Clock for Wavering {
    fn now(&self) -> Timestamp {
        let count = self.0.fetch_add(1, Ordering::SeqCst);
        Timestamp(if count % 1000 == 999 { count - 500 } else { count })
    }
}

#[test]
fn a_clock_that_goes_back_is_caught() {
    assert_caught("goes back", "scoped thread panicked", || obeys(&Wavering(AtomicI64::new(0))));
}

//! What every `Clock` must pass: that it never goes back, whoever asks.

use crate::clock::Clock;
use std::sync::atomic::{AtomicI64, Ordering};

const THREADS: usize = 4;
const READINGS: usize = 10_000;

/// Holds a clock to its contract, within a thread and between threads.
pub fn obeys(clock: &dyn Clock) {
    let latest = AtomicI64::new(i64::MIN);
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| (0..READINGS).for_each(|_| read(clock, &latest)));
        }
    });
}

fn read(clock: &dyn Clock, latest: &AtomicI64) {
    let before = latest.load(Ordering::SeqCst);
    let now = clock.now().0;
    assert!(now >= before, "the clock went back by {} microseconds", before - now);
    latest.fetch_max(now, Ordering::SeqCst);
}

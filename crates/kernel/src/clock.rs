//! Time is an argument. Only the roof reads the machine's clock.

use std::sync::atomic::{AtomicI64, Ordering};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

pub trait Clock: Send + Sync {
    /// Never goes back within a process, in whichever thread it is asked; `laws::clock` holds it to that.
    fn now(&self) -> Timestamp;

    /// The machine's time as it is, which may go back: for what others stamped or will judge by theirs. Nothing waits by it.
    fn wall(&self) -> Timestamp {
        self.now()
    }
}

/// A clock that moves when told to.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(micros: i64) -> Self {
        Self(AtomicI64::new(micros))
    }

    /// A negative step is none.
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros.max(0), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

//! Memory of all queries, in one budget. A sort that has spilled needs some to merge what it spilled; if all sorts together
//! may fill the budget, none of them comes to its end. So those that can spill share three quarters of it fairly, and the
//! rest is for what can't.

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    FairSpillPool, GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use std::fmt;

#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    spilling: FairSpillPool,
    holding: GreedyMemoryPool,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self { bytes, spilling: FairSpillPool::new(bytes / 4 * 3), holding: GreedyMemoryPool::new(bytes) }
    }

    fn of(&self, consumer: &MemoryConsumer) -> &dyn MemoryPool {
        if consumer.can_spill() { &self.spilling } else { &self.holding }
    }
}

impl MemoryPool for Budget {
    fn name(&self) -> &str {
        "budget"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.of(consumer).register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.of(consumer).unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.of(reservation.consumer()).grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.of(reservation.consumer()).shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let free = self.bytes.saturating_sub(self.reserved());
        if additional > free {
            let name = reservation.consumer().name();
            let told = format!("{name} asks for {additional} bytes more, and {free} of {} are left", self.bytes);
            return Err(DataFusionError::ResourcesExhausted(told));
        }
        self.of(reservation.consumer()).try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.spilling.reserved() + self.holding.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "budget({} of {} bytes)", self.reserved(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn sorts_leave_room_for_their_merges() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Budget::new(1000));
        let sort = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (one, two) = (sort("one"), sort("two"));
        assert!(one.try_grow(375).is_ok() && one.try_grow(1).is_err(), "a fair share of three quarters");
        assert!(two.try_grow(375).is_ok());
        let merge = MemoryConsumer::new("merge").register(&pool);
        assert!(merge.try_grow(250).is_ok() && merge.try_grow(1).is_err(), "the rest, and no more");
        drop((one, two));
        assert!(merge.try_grow(750).is_ok());
    }
}

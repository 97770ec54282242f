//! Where a writer's rows of a partition are, as far as it must be known to tell whether some are gone. Pulsar removes whole
//! ledgers, the oldest first, and those of a partition that rests go with their last row. What is left begins behind where
//! readers are then, and that alone says nothing of whether they had all.

use super::admin::{is_begin, place};
use kernel::broker::Ends;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// No row is before it; 0 where that is not known.
    first: u64,
    /// By ledger, where the rows in it end, of the last ledgers with rows. From the first of them on, no row is anywhere else.
    ends: Vec<u64>,
}

/// By partition; none of one without rows.
pub type Spans = BTreeMap<u32, Span>;

/// Of so many ledgers it is kept. A reader that stands before more of them, and whose own one is gone, is taken for one that
/// lost rows.
const LEDGERS: usize = 8;

/// A row is there.
pub fn add(spans: &mut Spans, partition: u32, at: u64) {
    let span = spans.entry(partition).or_insert(Span { first: at, ends: Vec::new() });
    span.first = at.min(span.first);
    span.reach(at + 1);
}

/// Rows are there, and nobody knows where before `end`.
pub fn add_before(spans: &mut Spans, partition: u32, end: u64) {
    spans.entry(partition).or_insert(Span::before(end)).ends = vec![end];
}

impl Span {
    /// All that is known is that its rows are before `end`, if there were any.
    pub fn before(end: u64) -> Self {
        Self { first: 0, ends: vec![end] }
    }

    fn reach(&mut self, end: u64) {
        let (ledger, _) = place(end);
        if let Some(known) = self.ends.iter_mut().find(|known| place(**known).0 == ledger) {
            *known = end.max(*known);
            return;
        }
        self.ends.push(end);
        self.ends.sort_unstable();
        if self.ends.len() > LEDGERS {
            self.ends.remove(0);
        }
    }

    /// Whether it has rows for sure: behind one is never the begin of a ledger.
    fn has_rows(&self) -> bool {
        self.ends.is_empty() || self.ends.iter().any(|end| !is_begin(*end))
    }

    /// Its partition is not there: whatever it had is gone. Whether it changed anything.
    pub fn remove(&mut self) -> bool {
        let is_new = self.has_rows() && !self.ends.is_empty();
        if is_new {
            *self = Self { first: 0, ends: Vec::new() };
        }
        is_new
    }

    /// Whether a row from `at` on may be gone of a partition that begins at `first`: if the last one before `first` is not known,
    /// or not before `at`.
    fn may_lack(&self, at: u64, first: u64) -> bool {
        let last = self.ends.iter().rfind(|end| **end <= first);
        self.first < first && last.is_none_or(|end| *end > at)
    }
}

/// Whether no row from `at` on is gone of a partition that ends there, though it begins behind `at` or is not there. Each writer of
/// the topic says where its rows are.
pub fn is_whole(at: u64, ends: Ends, writers: &[Option<Span>]) -> bool {
    let spans = || writers.iter().flatten();
    if writers.is_empty() {
        return false;
    }
    if ends.next == 0 {
        // Pulsar gives one up that has no messages. One that had rows was removed by somebody.
        return is_begin(at) && spans().all(|span| !span.has_rows() && span.ends.iter().all(|end| *end <= at));
    }
    // A position behind a message that is no writer's may be one of another topic of this name.
    let is_known = is_begin(at) || spans().any(|span| span.ends.iter().any(|end| *end <= at));
    at < ends.first && is_known && !spans().any(|span| span.may_lack(at, ends.first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::pulsar::admin::offset;

    /// By ledger, how many rows are in it.
    fn of(ledgers: &[(u64, u64)]) -> Option<Span> {
        let mut spans = Spans::new();
        for (ledger, rows) in ledgers {
            (0..*rows).for_each(|entry| add(&mut spans, 0, offset(*ledger, entry)));
        }
        spans.remove(&0)
    }

    /// Whether a reader at a ledger's entry goes on where its partition begins with ledger `first`.
    fn goes_on(at: (u64, u64), first: u64, writers: &[Option<Span>]) -> bool {
        let first = offset(first, 0);
        is_whole(offset(at.0, at.1), Ends { first, next: first }, writers)
    }

    const NOT_THERE: Ends = Ends { first: 0, next: 0 };

    #[test]
    fn who_has_taken_all_rows_goes_on_when_they_are_removed() {
        let writers = [of(&[(24, 3), (25, 10)])];
        assert!(goes_on((25, 10), 26, &writers), "an empty ledger is current");
        assert!(goes_on((25, 10), 31, &writers), "and another one, later");
        assert!(goes_on((26, 0), 31, &writers), "from the begin of an empty one that was there between");
        for (ledger, entry) in [(25, 9), (25, 0), (24, 3), (24, 0), (0, 0)] {
            assert!(!goes_on((ledger, entry), 26, &writers), "{ledger}:{entry} lacks rows");
        }
        let two = [of(&[(25, 10)]), of(&[(25, 12)])];
        assert!(goes_on((25, 12), 26, &two) && !goes_on((25, 10), 26, &two), "another writer's rows count");
    }

    #[test]
    fn rows_that_came_later_change_nothing_of_that() {
        let later = [of(&[(25, 10), (27, 2), (30, 1)])];
        assert!(goes_on((25, 10), 26, &later) && goes_on((25, 10), 27, &later));
        assert!(!goes_on((25, 10), 28, &later) && !goes_on((27, 1), 28, &later), "those of ledger 27 are gone");
        assert!(goes_on((27, 2), 28, &later) && goes_on((27, 2), 30, &later));
        assert!(!goes_on((27, 2), 31, &later) && goes_on((30, 1), 31, &later));
    }

    #[test]
    fn a_partition_without_rows_is_gone_on_in_from_any_begin() {
        let never = [None];
        assert!(goes_on((24, 0), 26, &never) && goes_on((0, 0), 26, &never));
        assert!(is_whole(offset(24, 0), NOT_THERE, &never), "it was given up");
        assert!(!goes_on((24, 3), 26, &never), "behind a message of nobody");
        let first = [of(&[(26, 2)])];
        assert!(goes_on((24, 0), 26, &first) && goes_on((0, 0), 26, &first), "its first row is there");
        assert!(!goes_on((24, 3), 26, &first), "the topic was made anew");
        assert!(!goes_on((24, 0), 27, &first), "its first row is gone");
        assert!(!goes_on((24, 0), 26, &[]), "nobody knows");
    }

    #[test]
    fn a_partition_with_rows_that_was_removed_is_not_gone_on_in() {
        let mut span = of(&[(24, 3)]).expect("rows");
        for at in [offset(24, 3), offset(25, 0), offset(24, 0)] {
            assert!(!is_whole(at, NOT_THERE, &[Some(span.clone())]));
        }
        assert!(span.remove() && !span.remove(), "it is told once");
        assert!(!goes_on((24, 3), 60, &[Some(span.clone())]), "it was made anew");
        assert!(!is_whole(offset(25, 0), NOT_THERE, &[Some(span.clone())]), "and removed again");
        span.reach(offset(60, 5));
        assert!(!goes_on((24, 3), 60, &[Some(span.clone())]) && goes_on((60, 5), 61, &[Some(span)]));
    }

    /// Before it was kept where rows are, an end alone was, which may have been lifted to where the partition ended.
    #[test]
    fn of_an_end_alone_only_who_is_behind_it_is_believed_to_have_all() {
        let rows = [Some(Span::before(offset(25, 10)))];
        assert!(goes_on((25, 10), 26, &rows) && !goes_on((25, 9), 26, &rows));
        let lifted = [Some(Span::before(offset(26, 0)))];
        assert!(goes_on((26, 0), 27, &lifted) && is_whole(offset(26, 0), NOT_THERE, &lifted));
        for (ledger, entry) in [(24, 0), (25, 0), (25, 10)] {
            assert!(!goes_on((ledger, entry), 26, &lifted), "there may have been rows");
        }
        assert!(!is_whole(offset(25, 0), NOT_THERE, &lifted));
        let mut later = Spans::from([(0, Span::before(offset(25, 10)))]);
        add(&mut later, 0, offset(27, 4));
        let later = [later.remove(&0)];
        assert!(goes_on((25, 10), 27, &later), "what came later is known");
        assert!(!goes_on((25, 10), 28, &later) && !goes_on((24, 3), 25, &later));
    }

    #[test]
    fn what_is_not_known_is_taken_for_lost() {
        let mut spans = Spans::from([(0, of(&[(24, 3), (25, 2)]).expect("rows"))]);
        add_before(&mut spans, 0, offset(26, 7));
        let blurred = [spans.remove(&0)];
        assert!(!goes_on((24, 3), 25, &blurred) && !goes_on((25, 2), 26, &blurred) && goes_on((26, 7), 27, &blurred));
        let many: Vec<(u64, u64)> = (1..=20).map(|ledger| (ledger, 1)).collect();
        let many = [of(&many)];
        assert!(!goes_on((10, 1), 11, &many) && goes_on((13, 1), 14, &many) && goes_on((20, 1), 21, &many));
    }
}

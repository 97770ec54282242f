//! Which node may start next. Pure: it knows no time and no tasks.

use crate::dag::Dag;
use kernel::suggest::hint;
use kernel::{Error, Result};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// A node that will not be started, and the failed one that it is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Skipped {
    pub rank: usize,
    pub because: usize,
}

/// Every node of the graph takes part; one that is not selected passes on what it hears at once. So the order, and the
/// skipping, hold between selected nodes that are joined by others only.
pub(super) struct Schedule<'a> {
    dag: &'a Dag,
    selected: Vec<bool>,
    /// How many upstream nodes have not come to an end.
    missing: Vec<usize>,
    /// The first by rank of the failed nodes that it is made from, or itself.
    cause: Vec<Option<usize>>,
    /// Started, skipped or passed through.
    settled: Vec<bool>,
    ready: BinaryHeap<Reverse<usize>>,
}

impl<'a> Schedule<'a> {
    pub fn new(dag: &'a Dag, names: &BTreeSet<String>) -> Result<Self> {
        let mut selected = vec![false; dag.len()];
        for name in names {
            let rank = dag.rank(name).ok_or_else(|| unknown(dag, name))?;
            selected[rank] = true;
        }
        let missing: Vec<usize> = (0..dag.len()).map(|rank| dag.upstream_of(rank).len()).collect();
        let roots: Vec<usize> = (0..dag.len()).filter(|&rank| missing[rank] == 0).collect();
        let (cause, settled) = (vec![None; dag.len()], vec![false; dag.len()]);
        let mut schedule = Self { dag, selected, missing, cause, settled, ready: BinaryHeap::new() };
        schedule.arrive(roots);
        Ok(schedule)
    }

    pub fn selected(&self) -> impl Iterator<Item = usize> {
        self.selected.iter().enumerate().filter(|(_, selected)| **selected).map(|(rank, _)| rank)
    }

    /// The first by rank of the nodes that may start. It is given out once.
    pub fn next_ready(&mut self) -> Option<usize> {
        let Reverse(rank) = self.ready.pop()?;
        self.settled[rank] = true;
        Some(rank)
    }

    #[must_use]
    pub fn succeeded(&mut self, rank: usize) -> Vec<Skipped> {
        let freed = self.release(rank);
        self.arrive(freed)
    }

    #[must_use]
    pub fn failed(&mut self, rank: usize) -> Vec<Skipped> {
        self.cause[rank] = Some(rank);
        let freed = self.release(rank);
        self.arrive(freed)
    }

    /// The selected nodes that were never started, by rank, with the failure that stands before them if there is one.
    pub fn left(&mut self) -> Vec<(usize, Option<Skipped>)> {
        let mut left = Vec::new();
        for rank in 0..self.dag.len() {
            if self.settled[rank] {
                continue;
            }
            // A cause travels only when all upstream nodes have ended, and some of these never will.
            let upstream = self.dag.upstream_of(rank).iter().filter_map(|&from| self.cause[from]).min();
            self.cause[rank] = first(self.cause[rank], upstream);
            if self.selected[rank] {
                left.push((rank, self.cause[rank].map(|because| Skipped { rank, because })));
            }
        }
        left
    }

    /// Tells those downstream that a node has come to its end; answers the ones that waited only for it.
    fn release(&mut self, rank: usize) -> Vec<usize> {
        let mut freed = Vec::new();
        for &next in self.dag.downstream_of(rank) {
            self.cause[next] = first(self.cause[next], self.cause[rank]);
            self.missing[next] -= 1;
            if self.missing[next] == 0 {
                freed.push(next);
            }
        }
        freed
    }

    /// Settles nodes whose upstream nodes have all ended, and those that this frees in turn.
    fn arrive(&mut self, mut freed: Vec<usize>) -> Vec<Skipped> {
        let mut skipped = Vec::new();
        while let Some(rank) = freed.pop() {
            if self.selected[rank] && self.cause[rank].is_none() {
                self.ready.push(Reverse(rank));
                continue;
            }
            self.settled[rank] = true;
            if let (true, Some(because)) = (self.selected[rank], self.cause[rank]) {
                skipped.push(Skipped { rank, because });
            }
            freed.extend(self.release(rank));
        }
        skipped.sort_unstable_by_key(|skip| skip.rank);
        skipped
    }
}

fn first(a: Option<usize>, b: Option<usize>) -> Option<usize> {
    a.into_iter().chain(b).min()
}

fn unknown(dag: &Dag, name: &str) -> Error {
    let names = dag.nodes().iter().map(|node| node.name.as_str());
    let hint = hint(name, names).map(|hint| format!("; {hint}")).unwrap_or_default();
    Error::project(format!("run `{name}`"), format!("no node is called so{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::tests::node;

    /// a → b → d, a → c → d, e
    fn diamond() -> Dag {
        Dag::new(vec![
            node("a", &[]),
            node("e", &[]),
            node("silver.b", &["a"]),
            node("silver.c", &["a"]),
            node("silver.d", &["silver.b", "silver.c"]),
        ])
        .expect("a good graph")
    }

    fn schedule<'a>(dag: &'a Dag, names: &[&str]) -> Schedule<'a> {
        Schedule::new(dag, &names.iter().map(|name| name.to_string()).collect()).expect("known names")
    }

    fn ready(schedule: &mut Schedule<'_>) -> Vec<usize> {
        std::iter::from_fn(|| schedule.next_ready()).collect()
    }

    #[test]
    fn nodes_are_ready_when_all_upstream_has_ended() {
        let dag = diamond();
        let mut schedule = schedule(&dag, &["a", "e", "silver.b", "silver.c", "silver.d"]);
        assert_eq!(ready(&mut schedule), [0, 1]);
        assert!(schedule.succeeded(0).is_empty());
        assert_eq!(ready(&mut schedule), [2, 3]);
        assert!(schedule.succeeded(3).is_empty() && ready(&mut schedule).is_empty());
        assert!(schedule.succeeded(2).is_empty());
        assert_eq!(ready(&mut schedule), [4]);
        assert!(schedule.left().is_empty());
    }

    #[test]
    fn order_and_failure_pass_through_what_is_not_selected() {
        let dag = diamond();
        let mut schedule = schedule(&dag, &["a", "silver.d"]);
        assert_eq!(ready(&mut schedule), [0]);
        assert_eq!(schedule.failed(0), [Skipped { rank: 4, because: 0 }]);
        assert!(ready(&mut schedule).is_empty() && schedule.left().is_empty());
    }

    #[test]
    fn what_is_left_knows_the_failure_before_it() {
        let dag = diamond();
        let mut schedule = schedule(&dag, &["a", "e", "silver.b", "silver.c", "silver.d"]);
        assert_eq!(schedule.next_ready(), Some(0));
        assert!(schedule.succeeded(0).is_empty());
        assert_eq!((schedule.next_ready(), schedule.next_ready()), (Some(1), Some(2)));
        // `d` still waits for `c`, which never comes to its turn.
        assert!(schedule.failed(2).is_empty());
        assert_eq!(schedule.left(), [(3, None), (4, Some(Skipped { rank: 4, because: 2 }))]);
    }

    #[test]
    fn an_unknown_name_starts_nothing() {
        let error = Schedule::new(&diamond(), &BTreeSet::from(["silver.x".to_string()])).err().expect("no such node");
        assert!(error.to_string().contains("silver."), "{error}");
    }
}

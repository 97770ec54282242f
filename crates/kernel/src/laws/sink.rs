//! What every `Sink` must pass: that rows and positions become visible in one act, and never twice.
#![allow(clippy::panic, reason = "a law speaks by failing the test that calls it")]

use super::plain;
use crate::clock::Timestamp;
use crate::contract::Entity;
use crate::gate::{Passed, Raw};
use crate::position::{Point, Positions};
use crate::sink::{Commit, Sink};
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub rows: u64,
    /// Rows of the quarantine; `None` for a sink that keeps none.
    pub quarantined: Option<u64>,
}

/// Holds a sink to its contract. Each call of `open` gives a new sink of one table, whose rows are of [`entity`] and come
/// from the source `law`; `shown` counts what somebody who reads the table now would see.
pub async fn obeys(open: impl AsyncFn() -> Box<dyn Sink>, shown: impl AsyncFn() -> Shown) {
    let file: fn(u64) -> Point = |row| Point::File { etag: "e1".into(), row, done: false };
    let mut law = Law { rows: 0, quarantined: 0, version: None, partition: "law/a.csv", point: file, open, shown };
    (law.rows, law.quarantined) = law.count().await;
    law.run().await;
    (law.partition, law.point) = ("law/topic/0", Point::Offset);
    law.run().await;
    law.keeps_other_partitions().await;
}

/// What the law's rows are: `id` and `name`.
pub fn entity() -> Entity {
    plain::entity(vec![plain::property("id", DataType::Int64), plain::property("name", DataType::Utf8View)])
}

/// The schema of what the law writes.
pub fn schema() -> SchemaRef {
    plain::gate(entity()).output_schema()
}

struct Law<O, S> {
    open: O,
    shown: S,
    partition: &'static str,
    point: fn(u64) -> Point,
    /// What must be visible by now.
    rows: u64,
    quarantined: u64,
    version: Option<u64>,
}

impl<O: AsyncFn() -> Box<dyn Sink>, S: AsyncFn() -> Shown> Law<O, S> {
    async fn run(&mut self) {
        self.shows_nothing_before_its_commit().await;
        self.commits_once().await;
        self.refuses_the_second_of_two().await;
        self.takes_the_same_from_two_once().await;
        self.moves_without_rows().await;
    }

    async fn open(&self) -> Box<dyn Sink> {
        (self.open)().await
    }

    async fn count(&self) -> (u64, u64) {
        let shown = (self.shown)().await;
        (shown.rows, shown.quarantined.unwrap_or(self.quarantined))
    }

    async fn expect(&self, about: &str) {
        let (rows, quarantined) = self.count().await;
        assert_eq!(rows, self.rows, "rows visible {about}");
        assert_eq!(quarantined, self.quarantined, "quarantined rows visible {about}");
    }

    /// Writes the rows at these offsets; those in `bad` are for the quarantine.
    async fn write(&self, sink: &mut dyn Sink, offsets: RangeInclusive<i64>, bad: &[i64]) {
        sink.write(passed(self.partition, offsets, bad)).await.unwrap_or_else(|e| panic!("`write` failed: {e}"));
    }

    fn upto(&self, row: u64) -> Positions {
        let mut positions = Positions::new();
        positions.set(self.partition, (self.point)(row));
        positions
    }

    async fn commit(&self, sink: &mut dyn Sink, row: u64) -> Commit {
        sink.commit(&self.upto(row)).await.unwrap_or_else(|e| panic!("`commit` failed: {e}"))
    }

    /// A commit that must do it.
    async fn done(&mut self, sink: &mut dyn Sink, row: u64, about: &str) -> u64 {
        let commit = self.commit(sink, row).await;
        let Commit::Done(version) = commit else { panic!("{about} must be Done, and was {commit:?}") };
        assert!(self.version < Some(version), "{about}: versions grow, from {:?} to {version}", self.version);
        self.version = Some(version);
        self.stands_at(sink, row, &format!("in the same sink after {about}")).await;
        let again = self.open().await;
        self.stands_at(again.as_ref(), row, &format!("in a new sink after {about}")).await;
        version
    }

    async fn stands_at(&self, sink: &dyn Sink, row: u64, about: &str) {
        let positions = sink.positions().await.unwrap_or_else(|e| panic!("`positions` failed: {e}"));
        let expected = (row > 0).then(|| (self.point)(row));
        assert_eq!(positions.get(self.partition), expected.as_ref(), "position of {} {about}", self.partition);
    }

    async fn shows_nothing_before_its_commit(&self) {
        let mut sink = self.open().await;
        self.write(sink.as_mut(), 1..=4, &[3]).await;
        self.expect("after `write` alone").await;
        drop(sink);
        self.expect("after a sink was dropped without a commit").await;
        self.stands_at(self.open().await.as_ref(), 0, "after a sink was dropped without a commit").await;
    }

    async fn commits_once(&mut self) {
        let mut sink = self.open().await;
        self.write(sink.as_mut(), 1..=4, &[3]).await;
        let version = self.done(sink.as_mut(), 4, "the first commit").await;
        (self.rows, self.quarantined) = (self.rows + 3, self.quarantined + 1);
        self.expect("after the first commit").await;
        let again = self.commit(sink.as_mut(), 4).await;
        assert_eq!(again, Commit::AlreadyDone(version), "the same positions again, in the same sink");
        let mut other = self.open().await;
        self.write(other.as_mut(), 1..=4, &[3]).await;
        let again = self.commit(other.as_mut(), 4).await;
        assert_eq!(again, Commit::AlreadyDone(version), "the same rows and positions again, in a new sink");
        self.expect("after the same was committed three times").await;
    }

    async fn refuses_the_second_of_two(&mut self) {
        let (mut first, mut second) = (self.open().await, self.open().await);
        self.write(first.as_mut(), 5..=6, &[5]).await;
        self.write(second.as_mut(), 5..=8, &[5, 7]).await;
        self.done(first.as_mut(), 6, "the first commit of two sinks").await;
        (self.rows, self.quarantined) = (self.rows + 1, self.quarantined + 1);
        let late = self.commit(second.as_mut(), 8).await;
        assert!(
            matches!(late, Commit::Conflict(_)),
            "the second commit of two sinks must be a Conflict, and was {late:?}"
        );
        drop(second);
        // What the loser had put into quarantine may be there until the table is opened again.
        assert_eq!(self.count().await.0, self.rows, "rows visible after a conflict");
        let mut next = self.open().await;
        self.stands_at(next.as_ref(), 6, "after a conflict").await;
        self.write(next.as_mut(), 7..=7, &[7]).await;
        self.write(next.as_mut(), 8..=8, &[]).await;
        self.done(next.as_mut(), 8, "the commit after a conflict").await;
        (self.rows, self.quarantined) = (self.rows + 1, self.quarantined + 1);
        self.expect("after the loser's rows were brought again").await;
    }

    async fn takes_the_same_from_two_once(&mut self) {
        let (mut first, mut second) = (self.open().await, self.open().await);
        self.write(first.as_mut(), 9..=10, &[10]).await;
        self.write(second.as_mut(), 9..=10, &[10]).await;
        self.done(first.as_mut(), 10, "the first of two equal commits").await;
        (self.rows, self.quarantined) = (self.rows + 1, self.quarantined + 1);
        let late = self.commit(second.as_mut(), 10).await;
        assert!(!matches!(late, Commit::Done(_)), "the second of two equal commits can't be Done");
        drop(second);
        let mut stale = self.open().await;
        self.write(stale.as_mut(), 1..=4, &[3]).await;
        let late = self.commit(stale.as_mut(), 4).await;
        assert!(!matches!(late, Commit::Done(_)), "positions that the table is past can't be Done");
        drop(stale);
        self.stands_at(self.open().await.as_ref(), 10, "after commits that came late").await;
        self.expect("after commits that came late").await;
    }

    async fn moves_without_rows(&mut self) {
        let mut sink = self.open().await;
        self.done(sink.as_mut(), 12, "a commit of positions alone").await;
        self.expect("after a commit of positions alone").await;
        self.write(sink.as_mut(), 13..=13, &[13]).await;
        self.done(sink.as_mut(), 13, "a commit of quarantined rows alone").await;
        self.quarantined += 1;
        self.expect("after a commit of quarantined rows alone").await;
    }

    async fn keeps_other_partitions(&self) {
        let positions = self.open().await.positions().await.unwrap_or_else(|e| panic!("`positions` failed: {e}"));
        for partition in ["law/a.csv", "law/topic/0"] {
            assert!(
                positions.get(partition).is_some(),
                "a commit that does not name {partition} leaves it where it was"
            );
        }
    }
}

/// Rows as the gate makes them.
fn passed(partition: &str, offsets: RangeInclusive<i64>, bad: &[i64]) -> Passed {
    let offsets: Vec<i64> = offsets.collect();
    let id = |offset: &i64| if bad.contains(offset) { "no number".to_owned() } else { offset.to_string() };
    let ids: ArrayRef = Arc::new(offsets.iter().map(|offset| Some(id(offset))).collect::<StringArray>());
    let names: ArrayRef = Arc::new(offsets.iter().map(|offset| Some(format!("row {offset}"))).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names)]);
    let batch = batch.unwrap_or_else(|e| panic!("two columns of one length: {e}"));
    let raw = Raw::new(batch, partition, Int64Array::from(offsets))
        .and_then(|raw| plain::gate(entity()).pass(raw, Timestamp(0)));
    raw.unwrap_or_else(|e| panic!("plain rows pass: {e}"))
}

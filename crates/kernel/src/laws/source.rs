//! What every `Source` must pass: that it can be left and taken up again after any batch, and in the middle of one.
#![allow(clippy::panic, reason = "a law speaks by failing the test that calls it")]

use super::plain;
use crate::clock::Timestamp;
use crate::contract::{Entity, SchemaChange};
use crate::error::Result;
use crate::gate::{Gate, STAMPS};
use crate::position::{Point, Positions};
use crate::source::{Pulled, Source};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use futures::poll;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

/// Bytes asked for: next to nothing, a little, all at once.
const SIZES: [usize; 3] = [1, 4 << 10, 8 << 20];
/// More boundaries than these are sampled.
const BOUNDARIES_MAX: usize = 64;
const BATCHES_MAX: usize = 100_000;
/// How often a call is polled before it is dropped.
const POLLS_MAX: usize = 4;

/// Holds a source to its contract. Each call of `open` gives a new source that goes on behind the positions, over input
/// that does not change meanwhile; no position is taken back once it was settled. The input is worth more with several
/// partitions, malformed records and some batches of 4 KiB, and costs (batches)² of reading.
pub async fn obeys(open: impl AsyncFn(Positions) -> Box<dyn Source>) {
    let law = Law { open };
    let all = law.read(Positions::new(), SIZES[2]).await;
    assert!(all.batches.iter().any(|batch| !batch.rows.is_empty()), "the laws need input with rows");
    for size in SIZES {
        let straight = law.read(Positions::new(), size).await;
        same(&straight.rows(0), &all.rows(0), &format!("read by {size} bytes"));
        straight.positions_are_sound();
        law.resumes(&straight, size).await;
        law.survives_drops(&straight, size).await;
    }
    // Last, because a source may forget what is settled.
    law.settles(&all, SIZES[0]).await;
}

/// For tests: a gate that lets every column through as text, stamped, and looks at nothing. `changes` says whether the
/// source gives changes.
pub fn as_text(changes: bool) -> Gate {
    plain::gate_of(Entity { schema_change: SchemaChange::Evolve, ..plain::entity(Vec::new()) }, changes)
}

/// A row by its place; `text` has its values that are not null, by column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    partition: String,
    offset: i64,
    text: String,
}

struct Batch {
    rows: Vec<Row>,
    upto: Positions,
}

/// What a source gave from its opening to its end.
#[derive(Default)]
struct Read {
    batches: Vec<Batch>,
}

impl Read {
    /// The rows behind the first `batches`, by partition: only within one does their order mean anything.
    fn rows(&self, batches: usize) -> BTreeMap<String, Vec<Row>> {
        let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in self.batches[batches..].iter().flat_map(|batch| &batch.rows) {
            rows.entry(row.partition.clone()).or_default().push(row.clone());
        }
        rows
    }

    fn positions(&self, batches: usize) -> Positions {
        let mut positions = Positions::new();
        self.batches[..batches].iter().for_each(|batch| positions.advance(&batch.upto));
        positions
    }

    fn positions_are_sound(&self) {
        let mut before = Positions::new();
        for (place, Batch { rows, upto }) in self.batches.iter().enumerate() {
            assert!(!upto.is_empty(), "batch {place} moves no partition");
            for (partition, point) in upto.iter() {
                let back = before.get(partition).filter(|earlier| !point.reaches(earlier));
                assert!(back.is_none(), "batch {place} goes back in {partition}: from {back:?} to {point:?}");
            }
            for row in rows {
                let (partition, offset) = (&row.partition, row.offset);
                match upto.get(partition) {
                    None => panic!("batch {place} has rows of {partition} and does not move it"),
                    Some(Point::File { row: last, .. }) => {
                        assert!(offset as u64 <= *last, "batch {place} has row {offset} of {partition}, behind {last}");
                    }
                    Some(Point::Offset(_) | Point::Mark { .. }) => {}
                }
            }
            before.advance(upto);
        }
    }
}

struct Law<F> {
    open: F,
}

impl<F: AsyncFn(Positions) -> Box<dyn Source>> Law<F> {
    async fn read(&self, from: Positions, size: usize) -> Read {
        let mut source = (self.open)(from).await;
        let read = rest(source.as_mut(), size).await;
        assert!(pull(source.as_mut(), size).await.is_none(), "the end of unchanged input stays the end");
        read
    }

    /// After every batch: opened again, and again after the next one, it gives the rows that are left.
    async fn resumes(&self, straight: &Read, size: usize) {
        let count = straight.batches.len();
        let step = count.div_ceil(BOUNDARIES_MAX).max(1);
        for boundary in (0..=count).filter(|at| at % step == 0 || *at == count) {
            let about = format!("resumed after batch {boundary} of {count} (by {size} bytes)");
            let mut positions = straight.positions(boundary);
            let resumed = self.read(positions.clone(), size).await;
            same(&resumed.rows(0), &straight.rows(boundary), &about);
            let mut twice = Read::default();
            twice.batches.extend(pull((self.open)(positions.clone()).await.as_mut(), size).await);
            positions.advance(&twice.positions(twice.batches.len()));
            twice.batches.extend(self.read(positions, size).await.batches);
            same(&twice.rows(0), &straight.rows(boundary), &format!("{about}, and after the next one"));
        }
    }

    /// A call of `next` that is dropped has taken nothing.
    async fn survives_drops(&self, straight: &Read, size: usize) {
        for polls in 1..=POLLS_MAX {
            let mut source = (self.open)(Positions::new()).await;
            let mut read = Read::default();
            while let Some(batch) = pull_after_drop(source.as_mut(), size, polls).await {
                read.batches.push(batch);
                assert!(read.batches.len() < BATCHES_MAX, "the source has no end");
            }
            same(
                &read.rows(0),
                &straight.rows(0),
                &format!("each `next` dropped after {polls} polls, then called again"),
            );
            read.positions_are_sound();
        }
    }

    /// Settling, however often, changes nothing that is read, in this source or in the next one.
    async fn settles(&self, all: &Read, size: usize) {
        let mut read = Read::default();
        let mut positions = Positions::new();
        let mut source = (self.open)(Positions::new()).await;
        while let Some(batch) = pull(source.as_mut(), size).await {
            positions.advance(&batch.upto);
            for upto in [&batch.upto, &batch.upto, &positions] {
                source.settled(upto).await.unwrap_or_else(|e| panic!("`settled` may be called at any time: {e}"));
            }
            read.batches.push(batch);
            if read.batches.len() % 2 == 0 {
                source = (self.open)(positions.clone()).await;
            }
            assert!(read.batches.len() < BATCHES_MAX, "the source has no end");
        }
        same(&read.rows(0), &all.rows(0), "settled after each batch, opened again after each second one");
    }
}

async fn rest(source: &mut dyn Source, size: usize) -> Read {
    let mut read = Read::default();
    while let Some(batch) = pull(source, size).await {
        read.batches.push(batch);
        assert!(read.batches.len() < BATCHES_MAX, "the source has no end");
    }
    read
}

async fn pull(source: &mut dyn Source, size: usize) -> Option<Batch> {
    opened(source.next(size).await)
}

async fn pull_after_drop(source: &mut dyn Source, size: usize, polls: usize) -> Option<Batch> {
    {
        let mut next = pin!(source.next(size));
        for _ in 0..polls {
            if let Poll::Ready(pulled) = poll!(next.as_mut()) {
                return opened(pulled);
            }
            breathe().await;
        }
    }
    pull(source, size).await
}

/// Lets the executor do something else once.
fn breathe() -> impl Future<Output = ()> {
    let mut done = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut done, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

fn opened(pulled: Result<Option<Pulled>>) -> Option<Batch> {
    let Pulled { rows, upto, .. } = pulled.unwrap_or_else(|e| panic!("`next` failed on good input: {e}"))?;
    let rows = rows.into_raw().unwrap_or_else(|| panic!("this law is for sources of raw rows"));
    let passed = as_text(rows.has_changes())
        .pass(rows, Timestamp(0))
        .unwrap_or_else(|e| panic!("a batch that no gate can take: {e}"));
    let mut rows = read_rows(passed.safe.batch());
    assert!(rows.windows(2).all(|pair| pair[0].offset < pair[1].offset), "offsets grow within a batch");
    rows.extend(passed.quarantined.iter().flat_map(|malformed| read_rows(malformed.batch())));
    rows.sort_by_key(|row| row.offset);
    Some(Batch { rows, upto })
}

fn read_rows(batch: &RecordBatch) -> Vec<Row> {
    let position = batch.column_by_name("_position").and_then(|column| column.as_struct_opt());
    let position = position.unwrap_or_else(|| panic!("the gate stamps positions"));
    let (partitions, offsets) = (position.column(0).as_string_view(), position.column(1).as_primitive::<Int64Type>());
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let is_text = *field.data_type() == DataType::Utf8View;
        if is_text && !STAMPS.contains(&field.name().as_str()) {
            columns.push((field.name().clone(), column.clone()));
        }
    }
    // A column that nobody filled may be absent from a batch.
    columns.sort_by(|a, b| a.0.cmp(&b.0));
    let text = |row: usize| -> String {
        let there = columns.iter().filter(|(_, column)| column.is_valid(row));
        there.map(|(name, column)| format!("{name}={:?} ", column.as_string_view().value(row))).collect()
    };
    (0..batch.num_rows())
        .map(|row| Row { partition: partitions.value(row).into(), offset: offsets.value(row), text: text(row) })
        .collect()
}

fn same(found: &BTreeMap<String, Vec<Row>>, expected: &BTreeMap<String, Vec<Row>>, about: &str) {
    let partitions = found.keys().chain(expected.keys());
    for partition in partitions {
        let none = Vec::new();
        let (found, expected) = (found.get(partition).unwrap_or(&none), expected.get(partition).unwrap_or(&none));
        if found == expected {
            continue;
        }
        let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
        panic!(
            "{about}: {partition} gave {} rows where {} are left; the first that differs is {:?}, to be {:?}",
            found.len(),
            expected.len(),
            found.get(at),
            expected.get(at)
        );
    }
}

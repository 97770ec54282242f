use super::{assert_caught, verdict};
use crate::error::{Error, Result};
use crate::gate::{Malformed, Raw};
use crate::laws::source::obeys;
use crate::position::{Point, Positions};
use crate::source::{Pulled, Source};
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::executor::block_on;
use std::sync::Arc;
use std::task::Poll;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    SkipsOneOnResume,
    RepeatsOneOnResume,
    StartsAfreshOnResume,
    ForgetsItsSecondPartition,
    GoesBack,
    MovesNothing,
    LosesOnDrop,
    SettlingSkips,
    SettlesOnce,
    NeverEnds,
    ComesBackAfterItsEnd,
    LosesInSmallBatches,
    SwapsRows,
    PointsTooLow,
    ForgetsMalformed,
}

/// Stays pending `times` times.
pub(super) async fn pause(times: usize) {
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Three partitions of numbered rows, the last a topic's; row 4 of each can't be read.
struct Toy {
    partitions: Vec<(&'static str, u64)>,
    /// Rows taken of each.
    taken: Vec<u64>,
    fault: Fault,
    given: usize,
    settled: Option<Positions>,
}

const MALFORMED: u64 = 4;

impl Toy {
    fn open(from: &Positions, fault: Fault) -> Self {
        let partitions = vec![("a.csv", 7), ("b.csv", 3), ("topic/0", 6)];
        let taken = partitions.iter().map(|(name, _)| match from.get(name) {
            Some(Point::File { row, .. }) => *row,
            Some(Point::Offset(next)) => next - 1,
            Some(Point::Mark { rows, .. }) => *rows,
            None => 0,
        });
        let mut taken: Vec<u64> = taken.collect();
        if !from.is_empty() {
            match fault {
                Fault::SkipsOneOnResume => taken[0] = (taken[0] + 1).min(7),
                Fault::RepeatsOneOnResume => taken[2] = taken[2].saturating_sub(1),
                Fault::StartsAfreshOnResume => taken.fill(0),
                Fault::ForgetsItsSecondPartition => taken[1] = 0,
                _ => {}
            }
        }
        Self { partitions, taken, fault, given: 0, settled: None }
    }

    fn point(&self, at: usize, row: u64) -> Point {
        match self.partitions[at] {
            ("topic/0", _) => Point::Offset(row + 1),
            (_, rows) => Point::File { etag: "e".into(), row, done: row == rows },
        }
    }

    fn rows(&self, at: usize, from: u64, to: u64) -> Result<Raw> {
        let (name, _) = self.partitions[at];
        let mut offsets: Vec<i64> = (from + 1..=to).filter(|row| *row != MALFORMED).map(|row| row as i64).collect();
        let texts: StringArray = offsets.iter().map(|row| Some(format!("{name} row {row}"))).collect();
        if self.fault == Fault::SwapsRows && offsets.len() > 2 {
            offsets.swap(0, 1);
        }
        let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).expect("one column");
        let malformed = (from < MALFORMED && MALFORMED <= to && self.fault != Fault::ForgetsMalformed)
            .then(|| Malformed { offset: MALFORMED as i64, reason: "torn".into() });
        Ok(Raw::new(batch, name, Int64Array::from(offsets))?.with_malformed(malformed.into_iter().collect()))
    }
}

#[async_trait]
impl Source for Toy {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        let Some(at) = (0..self.partitions.len()).find(|at| self.taken[*at] < self.partitions[*at].1) else {
            if matches!(self.fault, Fault::ComesBackAfterItsEnd | Fault::NeverEnds) {
                self.taken.fill(if self.fault == Fault::NeverEnds { 6 } else { 0 });
            }
            pause(1).await;
            return Ok(None);
        };
        let (from, rows) = (self.taken[at], self.partitions[at].1);
        let step = match (bytes_max, self.fault) {
            (..100, Fault::LosesInSmallBatches) if from == 2 => 2,
            (..100, _) => 1,
            (100..10_000, _) => 3,
            _ => rows,
        };
        let to = (from + step).min(rows);
        let start = if self.fault == Fault::LosesInSmallBatches && step == 2 { from + 1 } else { from };
        if self.fault == Fault::LosesOnDrop {
            self.taken[at] = to;
            pause(2).await;
        } else {
            pause(2).await;
            self.taken[at] = to;
        }
        let mut upto = Positions::new();
        self.given += 1;
        let point = match self.fault {
            Fault::GoesBack if self.given > 2 && to > 2 => self.point(at, 1),
            Fault::PointsTooLow => self.point(at, to - 1),
            _ => self.point(at, to),
        };
        if self.fault != Fault::MovesNothing {
            upto.set(self.partitions[at].0, point);
        }
        Ok(Some(Pulled { rows: self.rows(at, start, to)?.into(), upto, whole: true }))
    }

    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        if self.settled.as_ref() == Some(upto) {
            match self.fault {
                Fault::SettlesOnce => return Err(Error::internal("settle", "there is nothing left to forget")),
                Fault::SettlingSkips => self.taken[2] = (self.taken[2] + 1).min(6),
                _ => {}
            }
        }
        self.settled = Some(upto.clone());
        Ok(())
    }
}

fn run(fault: Fault) {
    block_on(obeys(async |from| Box::new(Toy::open(&from, fault)) as Box<dyn Source>));
}

#[test]
fn a_good_source_obeys() {
    assert_eq!(verdict(|| run(Fault::None)), None);
}

#[test]
fn broken_sources_are_caught() {
    let faults = [
        (Fault::SkipsOneOnResume, "resumed after batch"),
        (Fault::RepeatsOneOnResume, "resumed after batch"),
        (Fault::StartsAfreshOnResume, "resumed after batch"),
        (Fault::ForgetsItsSecondPartition, "resumed after batch"),
        (Fault::GoesBack, "goes back in"),
        (Fault::MovesNothing, "moves no partition"),
        (Fault::LosesOnDrop, "dropped after"),
        (Fault::SettlingSkips, "settled after each batch"),
        (Fault::SettlesOnce, "may be called at any time"),
        (Fault::NeverEnds, "the end of unchanged input stays the end"),
        (Fault::ComesBackAfterItsEnd, "the end of unchanged input stays the end"),
        (Fault::LosesInSmallBatches, "read by 1 bytes"),
        (Fault::SwapsRows, "offsets grow"),
        (Fault::PointsTooLow, "behind"),
    ];
    for (fault, word) in faults {
        assert_caught(&format!("{fault:?}"), word, || run(fault));
    }
}

#[test]
fn what_is_the_same_every_time_is_not_the_laws_business() {
    assert_eq!(verdict(|| run(Fault::ForgetsMalformed)), None);
}

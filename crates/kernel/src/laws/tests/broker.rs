use super::source::pause;
use super::{assert_caught, verdict};
use crate::broker::{Appended, Appender, Broker, Capabilities, Ends, Fetched, Topic, other_partitions};
use crate::error::{Error, Result};
use crate::gate::Safe;
use crate::laws::broker::{obeys, seal};
use crate::position::Positions;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::executor::block_on;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    LosesARow,
    SwapsRows,
    ScattersKeys,
    SkipsInSmallPieces,
    StandsStill,
    DoublesWhatComesAgain,
    ForgetsPositions,
    NeedsRowsToMove,
    MixesWriters,
    LetsTheReplacedAppend,
    FencesWhoWasAskedAbout,
    IsHalfDoneWhenDropped,
    ForgetsPartitionsOfAGroup,
    ForgetsGroups,
    TakesOtherPartitions,
}

#[derive(Default)]
struct Log {
    /// A row each.
    partitions: Vec<Vec<RecordBatch>>,
    writers: BTreeMap<String, (u64, Positions)>,
    groups: BTreeMap<String, Positions>,
}

type Home = Arc<Mutex<BTreeMap<String, Log>>>;

/// Logs in memory.
struct Toy {
    home: Home,
    fault: Fault,
}

struct ToyAppender {
    home: Home,
    fault: Fault,
    topic: Topic,
    writer: String,
    epoch: u64,
    positions: Positions,
}

/// A toy keeps batches, not bytes; a seal is what makes them safe again all the same.
fn again(batch: RecordBatch) -> Safe {
    let tag = seal().sealer("toy").expect("a key").seal(b"");
    let unsealed = seal().open("toy", std::iter::once((&b""[..], Some(&tag[..]))), |_| Ok(batch));
    unsealed.expect("keys").rows.expect("our own rows")
}

fn lock(home: &Home) -> MutexGuard<'_, BTreeMap<String, Log>> {
    home.lock().expect("a home")
}

#[async_trait]
impl Broker for Toy {
    fn capabilities(&self) -> Capabilities {
        Capabilities { transactions: true, fences: true }
    }

    async fn create(&self, topic: &Topic) -> Result<()> {
        let mut home = lock(&self.home);
        let log = home.entry(topic.name.clone()).or_default();
        if log.partitions.is_empty() {
            log.partitions = vec![Vec::new(); topic.partitions as usize];
        }
        if log.partitions.len() != topic.partitions as usize && self.fault != Fault::TakesOtherPartitions {
            return Err(other_partitions(&topic.name, log.partitions.len(), topic.partitions as usize));
        }
        Ok(())
    }

    async fn appender(&self, topic: &Topic, writer: &str) -> Result<Box<dyn Appender>> {
        let mut home = lock(&self.home);
        let writer = if self.fault == Fault::MixesWriters { "all" } else { writer };
        let own = home.entry(topic.name.clone()).or_default().writers.entry(writer.to_owned()).or_default();
        own.0 += 1;
        if self.fault == Fault::ForgetsPositions {
            own.1 = Positions::new();
        }
        let (epoch, positions) = own.clone();
        let (home, fault, topic, writer) = (self.home.clone(), self.fault, topic.clone(), writer.to_owned());
        Ok(Box::new(ToyAppender { home, fault, topic, writer, epoch, positions }))
    }

    async fn fetch(&self, topic: &Topic, partition: u32, from: u64, bytes_max: usize) -> Result<Fetched> {
        let home = lock(&self.home);
        let log = &home[&topic.name].partitions[partition as usize];
        let count = if bytes_max < 100 { 1 } else { 50 };
        let rows: Vec<Safe> = log.iter().skip(from as usize).take(count).cloned().map(again).collect();
        let next = from + rows.len() as u64;
        let (rows, next) = match self.fault {
            Fault::SkipsInSmallPieces if bytes_max < 100 => (rows, (next + 1).min(log.len() as u64)),
            Fault::StandsStill => (Vec::new(), from),
            _ => (rows, next),
        };
        Ok(Fetched { rows, strangers: Vec::new(), next })
    }

    async fn appended(&self, topic: &str, writer: &str) -> Result<Positions> {
        let mut home = lock(&self.home);
        let log = home.entry(topic.to_owned()).or_default();
        let writer = if self.fault == Fault::MixesWriters && writer == "law" { "all" } else { writer };
        let known = log.writers.get(writer).map(|(_, positions)| positions.clone()).unwrap_or_default();
        if self.fault == Fault::FencesWhoWasAskedAbout {
            log.writers.entry(writer.to_owned()).or_default().0 += 1;
        }
        Ok(known)
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        let home = lock(&self.home);
        let log = home.get(topic).ok_or_else(|| Error::project("ends", "there is no such topic"))?;
        Ok(log.partitions.iter().map(|rows| Ends { first: 0, next: rows.len() as u64 }).collect())
    }

    async fn consumed(&self, topic: &str, group: &str) -> Result<Positions> {
        Ok(lock(&self.home)[topic].groups.get(group).cloned().unwrap_or_default())
    }

    async fn consume(&self, topic: &str, group: &str, upto: &Positions) -> Result<()> {
        let mut home = lock(&self.home);
        let own = home.entry(topic.to_owned()).or_default().groups.entry(group.to_owned()).or_default();
        match self.fault {
            Fault::ForgetsGroups => {}
            Fault::ForgetsPartitionsOfAGroup => *own = upto.clone(),
            _ => own.advance(upto),
        }
        Ok(())
    }
}

impl ToyAppender {
    fn put(&self, batch: &RecordBatch) {
        let mut home = lock(&self.home);
        let log = home.get_mut(&self.topic.name).expect("a topic");
        for (partition, rows) in self.topic.split(batch).expect("keys") {
            let mut order: Vec<usize> = (0..rows.num_rows()).collect();
            if self.fault == Fault::SwapsRows {
                order.reverse();
            }
            let lost = usize::from(self.fault == Fault::LosesARow && rows.num_rows() > 40);
            for row in order.into_iter().skip(lost) {
                let moved = u32::from(self.fault == Fault::ScattersKeys && row % 2 == 1);
                let at = (partition + moved) % self.topic.partitions;
                log.partitions[at as usize].push(rows.slice(row, 1));
            }
        }
    }
}

#[async_trait]
impl Appender for ToyAppender {
    fn positions(&self) -> &Positions {
        &self.positions
    }

    async fn append(&mut self, rows: &[Safe], upto: &Positions) -> Result<Appended> {
        let (epoch, known) = lock(&self.home)[&self.topic.name].writers[&self.writer].clone();
        if epoch != self.epoch && self.fault != Fault::LetsTheReplacedAppend {
            return Ok(Appended::Conflict("replaced".into()));
        }
        if known.holds(upto) && self.fault != Fault::DoublesWhatComesAgain {
            return Ok(Appended::AlreadyDone);
        }
        if self.fault != Fault::IsHalfDoneWhenDropped {
            pause(2).await;
        }
        rows.iter().for_each(|rows| self.put(rows.batch()));
        if self.fault == Fault::IsHalfDoneWhenDropped {
            pause(2).await;
        }
        if self.fault != Fault::NeedsRowsToMove || !rows.is_empty() {
            let mut home = lock(&self.home);
            let own = home.get_mut(&self.topic.name).and_then(|log| log.writers.get_mut(&self.writer));
            own.expect("a writer").1.advance(upto);
            self.positions.advance(upto);
        }
        Ok(Appended::Done)
    }
}

fn run(fault: Fault) {
    let home = Home::default();
    block_on(obeys("toy", async || Box::new(Toy { home: home.clone(), fault }) as Box<dyn Broker>));
}

#[test]
fn a_good_broker_obeys() {
    assert_eq!(verdict(|| run(Fault::None)), None);
}

#[test]
fn broken_brokers_are_caught() {
    let faults = [
        (Fault::LosesARow, "rows of partition"),
        (Fault::SwapsRows, "in order"),
        (Fault::ScattersKeys, "partition"),
        (Fault::SkipsInSmallPieces, "small pieces"),
        (Fault::StandsStill, "goes on"),
        (Fault::DoublesWhatComesAgain, "again"),
        (Fault::ForgetsPositions, "outlive the appender"),
        (Fault::NeedsRowsToMove, "without rows"),
        (Fault::MixesWriters, "of one writer"),
        (Fault::LetsTheReplacedAppend, "replaced"),
        (Fault::FencesWhoWasAskedAbout, "the writer goes on"),
        (Fault::IsHalfDoneWhenDropped, "dropped"),
        (Fault::ForgetsPartitionsOfAGroup, "stays where it was"),
        (Fault::ForgetsGroups, "stays where it was"),
        (Fault::TakesOtherPartitions, "another number of partitions"),
    ];
    for (fault, word) in faults {
        assert_caught(&format!("{fault:?}"), word, || run(fault));
    }
}

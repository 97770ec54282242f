//! What every `Broker` must pass: that rows come back as they went in, by key and in order, each once.
#![allow(clippy::panic, reason = "a law speaks by failing the test that calls it")]

use super::plain;
use crate::broker::{Appended, Appender, Broker, Ends, Fetched, Retention, Topic};
use crate::clock::Timestamp;
use crate::contract::{Entity, Property};
use crate::error::{Kind, Result};
use crate::gate::{Raw, Safe, Seal};
use crate::keys::{Key, KeyProvider};
use crate::position::{Point, Positions};
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use futures::poll;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::Arc;

const PARTITIONS: u32 = 3;
const FETCHES_MAX: usize = 10_000;
/// How often an append is polled before it is dropped.
const POLLS_MAX: usize = 5;

/// Holds a broker to its contract. Each call of `open` gives a new client of one home, the earlier one being dropped;
/// `project` begins the names of topics that are not there yet.
pub async fn obeys(project: &str, open: impl AsyncFn() -> Box<dyn Broker>) {
    let mut law = Law { project: project.to_owned(), broker: None, open };
    law.broker = Some((law.open)().await);
    law.makes_a_topic_once().await;
    law.gives_back_what_it_took().await;
    law.appends_once().await;
    law.keeps_writers_apart().await;
    law.lets_the_last_appender_win().await;
    law.survives_drops().await;
    law.keeps_groups().await;
}

/// The seal of the laws' own brokers, of a key that everybody knows.
pub fn seal() -> Seal {
    struct Known;
    impl KeyProvider for Known {
        fn key(&self, _: &str, version: Option<u32>) -> Result<Key> {
            Ok(Key::new([7; 32], version.unwrap_or(1)))
        }
    }
    Seal::new(Arc::new(Known))
}

/// What the law's rows are: one column of each kind that a contract has.
fn entity() -> Entity {
    let kinds = [
        ("id", DataType::Utf8View),
        ("n", DataType::Int64),
        ("amount", DataType::Decimal128(12, 2)),
        ("share", DataType::Float64),
        ("good", DataType::Boolean),
        ("day", DataType::Date32),
        ("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("seal", DataType::Binary),
    ];
    plain::entity(kinds.into_iter().map(|(name, kind)| plain::property(name, kind)).collect::<Vec<Property>>())
}

fn schema() -> SchemaRef {
    plain::gate(entity()).output_schema()
}

/// Rows `range` of the source's partition, as the gate makes them. Nine keys; every seventh row has nulls.
fn rows(range: RangeInclusive<i64>) -> Safe {
    let offsets: Vec<i64> = range.collect();
    let text = |of: fn(i64) -> String, nullable: bool| -> ArrayRef {
        let value = |n: &i64| (!nullable || n % 7 != 0).then(|| of(*n));
        Arc::new(offsets.iter().map(value).collect::<StringArray>())
    };
    let columns = [
        ("id", text(|n| format!("key \"{}\" ã\n", n % 9), false)),
        ("n", text(|n| n.to_string(), false)),
        ("amount", text(|n| format!("{}.{:02}", n * 1_000, n % 100), true)),
        ("share", text(share, true)),
        ("good", text(|n| (n % 2 == 0).to_string(), true)),
        ("day", text(|n| format!("2026-11-{:02}", n % 28 + 1), true)),
        ("at", text(|n| format!("2026-11-25T10:11:12.{:06}Z", n % 1_000_000), true)),
        ("seal", text(|n| format!("{:04x}", n % 65_536), true)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap_or_else(|e| panic!("columns of one length: {e}"));
    let raw = Raw::new(batch, "law/0", Int64Array::from(offsets));
    let passed = raw.and_then(|raw| plain::gate(entity()).pass(raw, Timestamp(7)));
    let passed = passed.unwrap_or_else(|e| panic!("plain rows pass: {e}"));
    assert_eq!(passed.tally.rows_quarantined, 0, "plain rows pass");
    passed.safe
}

/// Some of them are not finite.
fn share(n: i64) -> String {
    match n % 10 {
        3 => "NaN".into(),
        5 => "Infinity".into(),
        8 => "-Infinity".into(),
        _ => format!("{n}.5e-3"),
    }
}

fn upto(row: i64) -> Positions {
    let mut positions = Positions::new();
    positions.set("law/0", Point::Offset(row as u64 + 1));
    positions
}

struct Law<O> {
    project: String,
    /// Always there, but while it is opened again.
    broker: Option<Box<dyn Broker>>,
    open: O,
}

impl<O: AsyncFn() -> Box<dyn Broker>> Law<O> {
    fn broker(&self) -> &dyn Broker {
        self.broker.as_deref().unwrap_or_else(|| panic!("a broker is open"))
    }

    async fn reopen(&mut self) {
        self.broker = None;
        self.broker = Some((self.open)().await);
    }

    async fn made(&self, name: &str) -> Topic {
        let topic = Topic {
            name: format!("{}.bronze.{name}", self.project),
            partitions: PARTITIONS,
            key: vec!["id".into()],
            schema: schema(),
            retention: Retention::default(),
        };
        good("create", self.broker().create(&topic).await);
        topic
    }

    async fn appender(&self, topic: &Topic, writer: &str) -> Box<dyn Appender> {
        good("appender", self.broker().appender(topic, writer).await)
    }

    async fn append(&self, appender: &mut dyn Appender, range: RangeInclusive<i64>) -> Appended {
        let last = *range.end();
        good("append", appender.append(&[rows(range)], &upto(last)).await)
    }

    async fn fetch(&self, topic: &Topic, partition: u32, from: u64, bytes_max: usize) -> Fetched {
        good("fetch", self.broker().fetch(topic, partition, from, bytes_max).await)
    }

    /// All rows of a partition from an offset on, and the offsets on the way.
    async fn rest(&self, topic: &Topic, partition: u32, from: u64, bytes_max: usize) -> (RecordBatch, Vec<u64>) {
        let end = good("ends", self.broker().ends(&topic.name).await)[partition as usize].next;
        let (mut found, mut stops) = (Vec::new(), vec![from]);
        while let Some(at) = stops.last().copied().filter(|at| *at < end) {
            let fetched = self.fetch(topic, partition, at, bytes_max).await;
            assert!(fetched.next > at, "a fetch before the end goes on: at {at} of {end} in partition {partition}");
            assert!(fetched.strangers.is_empty(), "what was appended is known again");
            found.extend(fetched.rows.into_iter().map(Safe::into_batch));
            stops.push(fetched.next);
            assert!(stops.len() < FETCHES_MAX, "fetches come to an end");
        }
        assert_eq!(stops.last(), Some(&end), "fetches end where `ends` says");
        let all = concat_batches(&topic.schema, &found);
        (all.unwrap_or_else(|e| panic!("fetched rows have the topic's schema: {e}")), stops)
    }

    /// What is there must be these rows, each once, by key and in order.
    async fn holds(&self, topic: &Topic, expected: &[RangeInclusive<i64>], about: &str) {
        let all: Vec<RecordBatch> = expected.iter().map(|range| rows(range.clone()).into_batch()).collect();
        let all = concat_batches(&topic.schema, &all).unwrap_or_else(|e| panic!("rows of one schema: {e}"));
        let split = topic.split(&all).unwrap_or_else(|e| panic!("rows have keys: {e}"));
        for partition in 0..PARTITIONS {
            let first = good("ends", self.broker().ends(&topic.name).await)[partition as usize].first;
            let (found, _) = self.rest(topic, partition, first, 1 << 20).await;
            let own = split.iter().find(|(at, _)| *at == partition).map(|(_, rows)| rows.clone());
            let own = own.unwrap_or_else(|| RecordBatch::new_empty(topic.schema.clone()));
            assert_eq!(found.num_rows(), own.num_rows(), "rows of partition {partition} {about}");
            assert!(found == own, "the rows of partition {partition} are what was appended, in order, {about}");
        }
    }

    async fn makes_a_topic_once(&self) {
        let topic = self.made("made").await;
        let ends = good("ends", self.broker().ends(&topic.name).await);
        assert_eq!(ends.len(), PARTITIONS as usize, "a topic has the partitions that were asked for");
        assert!(ends.iter().all(|Ends { first, next }| first == next), "a new topic is empty");
        good("create again", self.broker().create(&topic).await);
        let other = Topic { partitions: PARTITIONS + 1, ..topic.clone() };
        let refused = self.broker().create(&other).await.err().map(|e| e.kind);
        assert_eq!(refused, Some(Kind::Project), "another number of partitions");
        let unknown = self.broker().ends(&format!("{}.bronze.unknown", self.project)).await;
        assert!(unknown.is_err(), "a topic that is not there has no ends");
    }

    async fn gives_back_what_it_took(&mut self) {
        let topic = self.made("back").await;
        let mut appender = self.appender(&topic, "law").await;
        assert!(appender.positions().is_empty(), "a new writer has no positions");
        for range in [1..=1, 2..=150, 151..=400] {
            assert_eq!(self.append(appender.as_mut(), range).await, Appended::Done, "new rows");
        }
        self.holds(&topic, &[1..=400], "once appended").await;
        for partition in 0..PARTITIONS {
            let first = good("ends", self.broker().ends(&topic.name).await)[partition as usize].first;
            let (all, _) = self.rest(&topic, partition, first, 1 << 20).await;
            let (slow, stops) = self.rest(&topic, partition, first, 1).await;
            assert!(slow == all, "fetched in small pieces, partition {partition} has the same rows");
            let mut left = Vec::new();
            for stop in stops.iter().rev().step_by(stops.len().div_ceil(8)) {
                left.push(self.rest(&topic, partition, *stop, 1 << 20).await.0.num_rows());
            }
            assert!(left.is_sorted(), "the earlier it is fetched from, the more there is: {left:?}");
            let end = *stops.last().unwrap_or(&0);
            let none = self.fetch(&topic, partition, end, 1 << 20).await;
            assert!(none.rows.iter().all(|rows| rows.num_rows() == 0) && none.next == end, "at the end is nothing");
        }
        drop(appender);
        self.reopen().await;
        self.holds(&topic, &[1..=400], "after the home was opened again").await;
    }

    async fn appends_once(&mut self) {
        let topic = self.made("once").await;
        let mut appender = self.appender(&topic, "law").await;
        assert_eq!(self.append(appender.as_mut(), 1..=20).await, Appended::Done, "new rows");
        assert_eq!(self.append(appender.as_mut(), 1..=20).await, Appended::AlreadyDone, "the same rows again");
        assert_eq!(self.append(appender.as_mut(), 1..=5).await, Appended::AlreadyDone, "rows from before");
        assert_eq!(appender.positions(), &upto(20), "an appender knows how far it is");
        drop(appender);
        self.reopen().await;
        let mut appender = self.appender(&topic, "law").await;
        assert_eq!(appender.positions(), &upto(20), "positions outlive the appender");
        assert_eq!(
            self.append(appender.as_mut(), 1..=20).await,
            Appended::AlreadyDone,
            "the same rows in a new appender"
        );
        assert_eq!(self.append(appender.as_mut(), 21..=30).await, Appended::Done, "rows that go on");
        self.holds(&topic, &[1..=30], "after rows came again").await;
        let moved = good("append", appender.append(&[], &upto(40)).await);
        assert_eq!(moved, Appended::Done, "positions alone");
        drop(appender);
        self.reopen().await;
        let mut appender = self.appender(&topic, "law").await;
        assert_eq!(appender.positions(), &upto(40), "positions move without rows");
        let appended = async |law: &Self, writer| good("appended", law.broker().appended(&topic.name, writer).await);
        assert_eq!(appended(self, "law").await, upto(40), "whoever asks learns how far a writer is");
        assert_eq!(appended(self, "nobody").await, Positions::new(), "a writer that never was is nowhere");
        let moved = good("append", appender.append(&[], &upto(41)).await);
        assert_eq!(moved, Appended::Done, "and the writer goes on");
        self.holds(&topic, &[1..=30], "after positions alone").await;
    }

    async fn keeps_writers_apart(&self) {
        let topic = self.made("apart").await;
        let (mut one, mut two) = (self.appender(&topic, "one").await, self.appender(&topic, "two").await);
        assert_eq!(self.append(one.as_mut(), 1..=10).await, Appended::Done, "rows of one writer");
        assert_eq!(self.append(two.as_mut(), 1..=5).await, Appended::Done, "rows of another writer");
        assert_eq!(self.append(one.as_mut(), 11..=20).await, Appended::Done, "rows of the first writer again");
        drop((one, two));
        for (writer, last) in [("one", 20), ("two", 5)] {
            assert_eq!(
                self.appender(&topic, writer).await.positions(),
                &upto(last),
                "each writer has its own positions"
            );
        }
        self.holds(&topic, &[1..=10, 1..=5, 11..=20], "of two writers").await;
    }

    async fn lets_the_last_appender_win(&self) {
        let topic = self.made("fenced").await;
        let mut first = self.appender(&topic, "law").await;
        assert_eq!(self.append(first.as_mut(), 1..=10).await, Appended::Done, "rows of the first appender");
        if !self.broker().capabilities().fences {
            return;
        }
        let mut second = self.appender(&topic, "law").await;
        let late = first.append(&[rows(11..=20)], &upto(20)).await;
        assert!(
            matches!(late, Ok(Appended::Conflict(_))),
            "an appender that was replaced is told of a conflict, and got {late:?}"
        );
        assert_eq!(self.append(second.as_mut(), 11..=20).await, Appended::Done, "rows of the second appender");
        self.holds(&topic, &[1..=20], "of an appender and the one that replaced it").await;
    }

    /// An append that is dropped is there as a whole, or is not and can be made again.
    async fn survives_drops(&self) {
        let topic = self.made("dropped").await;
        let mut row = 0;
        for polls in 1..=POLLS_MAX {
            let mut appender = self.appender(&topic, "law").await;
            let next = row + 1..=row + 20;
            row += 20;
            {
                let batch = [rows(next.clone())];
                let upto = upto(row);
                let mut append = pin!(appender.append(&batch, &upto));
                for _ in 0..polls {
                    if poll!(append.as_mut()).is_ready() {
                        break;
                    }
                }
            }
            drop(appender);
            let mut appender = self.appender(&topic, "law").await;
            if !appender.positions().reaches(&upto(row)) {
                assert_eq!(self.append(appender.as_mut(), next).await, Appended::Done, "rows whose append was dropped");
            }
        }
        self.holds(&topic, &[1..=row], "after appends were dropped").await;
    }

    async fn keeps_groups(&mut self) {
        let topic = self.made("groups").await;
        let at = |pairs: &[(&str, u64)]| {
            let mut positions = Positions::new();
            pairs.iter().for_each(|(partition, offset)| positions.set(*partition, Point::Offset(*offset)));
            positions
        };
        let consumed = async |law: &Self, group| good("consumed", law.broker().consumed(&topic.name, group).await);
        let group = format!("{}-group", self.project);
        assert_eq!(consumed(self, &group).await, Positions::new(), "a new group is nowhere");
        good("consume", self.broker().consume(&topic.name, &group, &at(&[("0", 5), ("1", 3)])).await);
        good("consume", self.broker().consume(&topic.name, &group, &at(&[("1", 7)])).await);
        self.reopen().await;
        assert_eq!(consumed(self, &group).await, at(&[("0", 5), ("1", 7)]), "a group stays where it was");
        let other = format!("{}-other", self.project);
        assert_eq!(consumed(self, &other).await, Positions::new(), "groups are apart");
    }
}

fn good<T>(act: &str, result: Result<T>) -> T {
    result.unwrap_or_else(|e| panic!("`{act}` failed: {e}"))
}

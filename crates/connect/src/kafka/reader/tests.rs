//! A cluster of two nodes that `rdkafka` makes up, one partition on each.

use super::*;
use crate::files::testing_entity as entity;
use crate::records::Format;
use arrow::datatypes::DataType;
use kernel::clock::Timestamp;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;

struct Since(Instant);

impl Clock for Since {
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.0.elapsed().as_micros()).expect("micros"))
    }
}

/// A reader in the middle of a round: partition 0 has no end, and of partition 1 a record is missing.
fn in_round(brokers: &str) -> Reader {
    let given = json!({ "connection": format!("kafka://{brokers}"), "topic": "t", "timeout_ms": 1000 });
    let options = Arc::new(Options::read("s", &given).expect("options"));
    let access = Access::new(&options, std::path::Path::new(".")).expect("an access");
    let consumer = Arc::new(access.consumer("law").expect("a client"));
    let entity = Arc::new(entity(&[("id", DataType::Utf8)]));
    let decoder = Format::Json.reader(entity.clone(), None).expect("a decoder");
    let clock = Arc::new(Since(Instant::now()));
    let reader = Reader::new(access, consumer, options, entity, decoder, Positions::new(), clock);
    let mut reader = reader.expect("a reader");
    let mut assigned = TopicPartitionList::new();
    for (partition, end) in [(0, i64::MAX), (1, 1)] {
        let mut part = Part::new("t", partition, 0, &reader.entity);
        part.end = end;
        reader.parts.insert(partition, part);
        add(&mut assigned, "t", partition, 0).expect("a place");
    }
    reader.consumer.assign(&assigned).expect("two partitions");
    reader.in_round = true;
    reader
}

#[test]
fn a_partition_that_gives_nothing_is_told_while_others_are_busy() {
    let cluster = MockCluster::new(2).expect("a cluster");
    cluster.create_topic("t", 2, 1).expect("a topic");
    (0..2).for_each(|partition| cluster.partition_leader("t", partition, Some(partition + 1)).expect("a leader"));
    let brokers = cluster.bootstrap_servers();
    let (stop, start) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &brokers).set("linger.ms", "0");
            let producer: BaseProducer = config.create().expect("a producer");
            while !stop.load(Ordering::Relaxed) && start.elapsed() < Duration::from_secs(30) {
                let record = BaseRecord::<(), [u8]>::to("t").partition(0).payload(br#"{"id":"a"}"#);
                assert!(producer.send(record).is_ok());
                producer.poll(Duration::from_millis(10));
            }
        });
        let mut reader = in_round(&brokers);
        let mut next = || reader.next(200).map(|pulled| pulled.map(|pulled| pulled.rows.num_rows()));
        let mut told = None;
        while told.is_none() && start.elapsed() < Duration::from_secs(4) {
            told = next().err();
        }
        let is_told_early = told.take();
        cluster.broker_down(2).expect("it goes down");
        let mut rows = 0;
        while told.is_none() && start.elapsed() < Duration::from_secs(20) {
            match next() {
                Ok(pulled) => rows += pulled.unwrap_or_default(),
                Err(error) => told = Some(error),
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(is_told_early.is_none(), "its leader answers: {is_told_early:?}");
        let told = told.expect("it is not waited for for ever");
        assert!(told.kind == kernel::Kind::Unreachable && told.to_string().contains("t/1"), "{told}");
        assert!(rows > 0, "what the other gave was handed on");
    });
}

//! How fast records of 1 KB get into a log and out again: `broker_speed embedded FOLDER MEGABYTES`, or `broker_speed kafka
//! HOST:PORT MEGABYTES` by the same client library with ready bytes. Prints one line of JSON; CPU is that of this process.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock, and this is a program of its own")]

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use connect::broker::embedded::Embedded;
use kernel::broker::{Broker, Retention, Topic};
use kernel::clock::{ManualClock, Timestamp};
use kernel::gate::{Raw, Safe};
use kernel::laws::broker::seal;
use kernel::laws::source::as_text;
use kernel::{Error, Point, Positions, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PARTITIONS: u32 = 12;
const RECORD_BYTES: usize = 1_000;
/// Of one append: a megabyte.
const ROWS: usize = 1_000;
/// Appenders at work at once, as sources are.
const WRITERS: u64 = 4;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let usage = || Error::project("broker_speed", "usage: broker_speed embedded|kafka PLACE MEGABYTES");
    let [kind, place, megabytes] = &args[..] else { return Err(usage()) };
    let megabytes: u64 = megabytes.parse().map_err(|_| usage())?;
    match kind.as_str() {
        "embedded" => embedded(place, megabytes).await,
        "kafka" => kafka(place, megabytes),
        _ => Err(usage()),
    }
}

/// Texts that no disk can make smaller.
fn texts() -> Vec<String> {
    let mut dice = fastrand::Rng::with_seed(20_261_126);
    (0..ROWS).map(|_| (0..RECORD_BYTES - 12).map(|_| dice.alphanumeric()).collect()).collect()
}

/// A megabyte of rows.
fn rows() -> Result<Safe> {
    let fault = |e| Error::internal("make rows", e);
    let ids: ArrayRef = Arc::new((0..ROWS).map(|n| Some(format!("key-{n:08}"))).collect::<StringArray>());
    let values: ArrayRef = Arc::new(StringArray::from(texts()));
    let batch = RecordBatch::try_from_iter([("id", ids), ("value", values)]).map_err(fault)?;
    let raw = Raw::new(batch, "speed/0", Int64Array::from_iter_values(0..ROWS as i64))?;
    Ok(as_text(false).pass(raw, Timestamp(0))?.safe)
}

async fn embedded(folder: &str, megabytes: u64) -> Result<()> {
    let rows = Arc::new([rows()?]);
    let broker = Arc::new(Embedded::open(folder.as_ref(), Arc::new(ManualClock::default()), seal())?);
    let (schema, key) = (rows[0].schema(), vec!["id".to_owned()]);
    let topic = Topic {
        name: "speed.bronze.rows".into(),
        partitions: PARTITIONS,
        key,
        schema,
        retention: Retention::default(),
    };
    broker.create(&topic).await?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let writer = |number: u64| {
        let (broker, topic, rows) = (broker.clone(), topic.clone(), rows.clone());
        tokio::spawn(async move {
            let mut appender = broker.appender(&topic, &format!("writer-{number}")).await?;
            let mut waits = Vec::new();
            for round in 1..=megabytes / WRITERS {
                let mut upto = Positions::new();
                upto.set("speed/0", Point::Offset(round));
                let asked = Instant::now();
                appender.append(&rows[..], &upto).await?;
                waits.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            Ok::<_, Error>(waits)
        })
    };
    let mut waits = Vec::new();
    for writer in (0..WRITERS).map(writer).collect::<Vec<_>>() {
        waits.extend(writer.await.map_err(|e| Error::internal("append", e))??);
    }
    let appended = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut count = 0;
    for (partition, ends) in (0..).zip(broker.ends(&topic.name).await?) {
        let mut at = ends.first;
        while at < ends.next {
            let fetched = broker.fetch(&topic, partition, at, 8 << 20).await?;
            count += fetched.rows.iter().map(Safe::num_rows).sum::<usize>();
            at = fetched.next;
        }
    }
    waits.sort_by(f64::total_cmp);
    let p99 = waits.get(waits.len() * 99 / 100).copied().unwrap_or_default();
    report("embedded", count, appended, (start.elapsed().as_secs_f64(), cpu_seconds() - cpu), Some(p99));
    Ok(())
}

/// With ready bytes, so that what is measured is the broker and its client, and no JSON.
fn kafka(servers: &str, megabytes: u64) -> Result<()> {
    let fault = |e: KafkaError| Error::project("kafka", e);
    let topic = "speed.bronze.rows";
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("acks", "all").set("enable.idempotence", "true");
    config.set("linger.ms", "5").set("batch.size", "1000000").set("queue.buffering.max.kbytes", "262144");
    let producer: BaseProducer = config.create().map_err(fault)?;
    let values = texts();
    let count = megabytes as usize * ROWS;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    for row in 0..count {
        let key = format!("key-{:08}", row % ROWS);
        let mut record = BaseRecord::to(topic).key(key.as_bytes()).payload(values[row % ROWS].as_bytes());
        while let Err((error, back)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(fault(error));
            }
            record = back;
            producer.poll(Duration::from_millis(1));
        }
    }
    producer.flush(Duration::from_secs(120)).map_err(fault)?;
    let appended = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "speed").set("fetch.max.bytes", "52428800");
    let consumer: BaseConsumer = config.create().map_err(fault)?;
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        all.add_partition_offset(topic, partition, Offset::Beginning).map_err(fault)?;
    }
    let (start, cpu) = (Instant::now(), cpu_seconds());
    consumer.assign(&all).map_err(fault)?;
    let mut found = 0;
    while found < count {
        match consumer.poll(Duration::from_secs(30)) {
            Some(Ok(message)) => found += usize::from(message.payload_len() > 0),
            Some(Err(error)) => return Err(fault(error)),
            None => return Err(Error::project("kafka", "no more records")),
        }
    }
    report("kafka", found, appended, (start.elapsed().as_secs_f64(), cpu_seconds() - cpu), None);
    Ok(())
}

fn report(kind: &str, rows: usize, append: (f64, f64), fetch: (f64, f64), p99_ms: Option<f64>) {
    let line = serde_json::json!({
        "broker": kind, "rows": rows, "append_s": append.0, "append_cpu_s": append.1, "fetch_s": fetch.0,
        "fetch_cpu_s": fetch.1, "append_p99_ms": p99_ms,
    });
    println!("{line}");
}

/// User and system time of this process, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |place: usize| fields.get(place).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

//! Appends in transactions: rows and the writer's positions become visible together. The positions are in a topic of the
//! writer's own, for who reads what is committed waits for all open transactions of a topic, also of others.

use crate::broker::rows;
use crate::kafka::client::{Access, Told};
use crate::kafka::identity;
use async_trait::async_trait;
use kernel::broker::{Appended, Appender, Topic};
use kernel::gate::{Safe, Seal, Tag};
use kernel::{Error, Kind, Point, Positions, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::sync::Arc;
use std::time::Duration;

pub struct KafkaAppender {
    inner: Arc<Inner>,
    known: Known,
}

/// What a writer's own topic tells of it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Known {
    pub positions: Positions,
    /// How many rows it has appended since this is counted.
    rows: u64,
}

/// How far a writer's own topic was read.
#[derive(Debug, Default)]
pub struct Reading {
    known: Known,
    at: i64,
    /// Which topic of this name it is; none where the cluster does not tell.
    of: Option<Positions>,
}

struct Inner {
    access: Arc<Access>,
    seal: Seal,
    producer: BaseProducer<Told>,
    topic: Topic,
    positions_topic: String,
    /// One that sees what is committed, and one that sees what is not yet, too.
    committed: BaseConsumer<Told>,
    written: BaseConsumer<Told>,
}

const POLL: Duration = Duration::from_millis(50);
/// Beside a writer's positions, which no partition of a source is named like.
const ROWS: &str = "lavra:rows";
/// The topic's own `max.message.bytes` is what bounds a row.
const MESSAGE_BYTES_MAX: &str = "268435456";
/// Each of them as long as the connection's time-out.
const COMMIT_TRIES: u32 = 3;

/// Where a writer's positions are.
pub fn positions_topic(topic: &str, writer: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    match !writer.is_empty() && writer.chars().all(fits) {
        true => Ok(format!("{topic}.positions.{writer}")),
        false => {
            Err(Error::project(format!("writer `{writer}`"), "its name holds only letters, digits, `.`, `_` and `-`"))
        }
    }
}

impl KafkaAppender {
    /// Blocks.
    pub fn open(
        access: Arc<Access>,
        seal: Seal,
        topic: Topic,
        writer: &str,
        positions_topic: String,
        reading: &mut Reading,
    ) -> Result<Self> {
        let mut config = access.config();
        config
            .set("transactional.id", format!("{}.{writer}", topic.name))
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("batch.size", "1000000")
            .set("message.max.bytes", MESSAGE_BYTES_MAX)
            .set("queue.buffering.max.messages", "500000")
            .set("queue.buffering.max.kbytes", "262144");
        let what = format!("open an appender of {}", topic.name);
        let producer: BaseProducer<Told> =
            config.create_with_context(Told::default()).map_err(|e| access.error(&what, &e, &Told::default()))?;
        // Whoever had this name can commit no more, and what they had begun is taken back.
        producer.init_transactions(access.timeout).map_err(|e| access.error(&what, &e, producer.client().context()))?;
        let known = read(&access, &positions_topic, reading)?;
        let committed = access.consumer(super::LOOKER)?;
        let written = access.consumer_of(super::LOOKER, "read_uncommitted")?;
        let mut offsets = 0;
        for partition in 0..topic.partitions as i32 {
            offsets += super::ends(&access, &written, &topic.name, partition)?.next;
        }
        known.check(offsets, &topic.name, &positions_topic)?;
        let inner = Inner { access, seal, producer, topic, positions_topic, committed, written };
        Ok(Self { inner: Arc::new(inner), known })
    }
}

#[async_trait]
impl Appender for KafkaAppender {
    fn positions(&self) -> &Positions {
        &self.known.positions
    }

    async fn append(&mut self, rows: &[Safe], upto: &Positions) -> Result<Appended> {
        if self.known.positions.holds(upto) {
            return Ok(Appended::AlreadyDone);
        }
        let count: usize = rows.iter().map(Safe::num_rows).sum();
        let count = self.known.rows + count as u64;
        let batches: Vec<_> = rows.iter().map(|rows| rows.batch().clone()).collect();
        let (inner, moved) = (self.inner.clone(), upto.clone());
        let appended = super::blocking(move || inner.append(&batches, &moved, count)).await?;
        if appended == Appended::Done {
            self.known.positions.advance(upto);
            self.known.rows = count;
        }
        Ok(appended)
    }
}

impl Known {
    /// Each row has an offset of its own, which retention does not give to another one: a topic with fewer of them is not the
    /// one that the rows went to.
    fn check(&self, offsets: u64, topic: &str, positions_topic: &str) -> Result<()> {
        if offsets >= self.rows {
            return Ok(());
        }
        let detail = format!(
            "{} rows were appended, and it has had {offsets} offsets: it was removed and made anew, and {positions_topic} still \
             says what the source had brought to the one before. Put the topic back; or remove {positions_topic} too, move the \
             table's folder away and load all again",
            self.rows
        );
        Err(Error::data(format!("go on in topic {topic}"), detail))
    }
}

impl Inner {
    /// `count` is of all rows that the writer has appended then.
    fn append(&self, batches: &[arrow::record_batch::RecordBatch], upto: &Positions, count: u64) -> Result<Appended> {
        match self.transaction(batches, upto, count) {
            Ok(()) => {
                // What was refused before is mended, and is no reason of what may fail later.
                self.producer.client().context().forget();
                self.wait_for_readers();
                Ok(Appended::Done)
            }
            Err(error) if self.is_fenced(&error) => {
                Ok(Appended::Conflict(format!("another appender was opened for {} since", self.topic.name)))
            }
            Err(error) => {
                let fault = self.fault(&error);
                // Best done now; else it is by who comes next, or by time.
                if let Err(error) = self.producer.abort_transaction(self.access.timeout) {
                    tracing::debug!(topic = self.topic.name, "abort: {error}");
                }
                Err(fault)
            }
        }
    }

    fn transaction(
        &self,
        batches: &[arrow::record_batch::RecordBatch],
        upto: &Positions,
        count: u64,
    ) -> Result<(), Failed> {
        self.producer.begin_transaction()?;
        for batch in batches {
            self.send_rows(batch)?;
        }
        let rows = Point::Offset(count);
        for (partition, point) in upto.iter().chain([(ROWS, &rows)]) {
            let text = serde_json::to_vec(point).unwrap_or_default();
            self.send(&self.positions_topic, 0, Some(partition), &text, None)?;
        }
        let mut tries = 1;
        loop {
            // It may be asked again when it says so: what was decided stays. Who gives up does not know what was; that is found by
            // who opens an appender of this name next.
            match self.producer.commit_transaction(self.access.timeout) {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && tries < COMMIT_TRIES => tries += 1,
                done => return Ok(done?),
            }
            std::thread::sleep(POLL);
        }
    }

    /// What is committed is durable, and readers see it when each partition was told so, which takes a moment; where a node
    /// stands still, as long as it takes to replace it. In vain when others have open transactions in this topic.
    fn wait_for_readers(&self) {
        let mut waited = Duration::ZERO;
        for partition in 0..self.topic.partitions as i32 {
            let end = |consumer| super::ends(&self.access, consumer, &self.topic.name, partition).map(|ends| ends.next);
            let Ok(written) = end(&self.written) else { continue };
            while waited < self.access.timeout && end(&self.committed).is_ok_and(|committed| committed < written) {
                std::thread::sleep(POLL / 10);
                waited += POLL / 10;
            }
        }
    }

    fn send_rows(&self, batch: &arrow::record_batch::RecordBatch) -> Result<(), Failed> {
        let keys = self.topic.keys(batch)?;
        let partitions = self.topic.partitions_of(batch, &keys);
        let lines = rows::encode(batch)?;
        let mut lines = lines.split(|byte| *byte == b'\n');
        let sealer = self.seal.sealer(&self.topic.name)?;
        for (key, partition) in keys.iter().zip(partitions) {
            let missing = || Failed::Own(Error::internal("write rows as JSON", "there are fewer lines than rows"));
            let value = lines.next().filter(|line| !line.is_empty()).ok_or_else(missing)?;
            self.send(&self.topic.name, partition as i32, key, value, Some(&sealer.seal(value)))?;
        }
        Ok(())
    }

    fn send(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&str>,
        value: &[u8],
        seal: Option<&Tag>,
    ) -> Result<(), Failed> {
        let mut record = BaseRecord::<str, [u8], ()>::to(topic).partition(partition).payload(value);
        record.headers = seal.map(|seal| {
            OwnedHeaders::new_with_capacity(1).insert(Header { key: rows::SEAL, value: Some(seal.as_slice()) })
        });
        record.key = key;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(POLL / 10);
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    fn is_fenced(&self, error: &Failed) -> bool {
        let Failed::Kafka(error) = error else { return false };
        let code = error.rdkafka_error_code();
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        [code, fatal].into_iter().flatten().any(|code| matches!(code, Code::Fenced | Code::InvalidProducerEpoch))
    }

    fn fault(&self, error: &Failed) -> Error {
        match error {
            Failed::Own(error) => Error::new(error.kind, error.what.clone(), &error.detail),
            Failed::Kafka(error) => {
                let told = self.producer.client().context();
                self.access.error(&format!("append to {}", self.topic.name), error, told)
            }
        }
    }
}

enum Failed {
    Own(Error),
    Kafka(KafkaError),
}

impl From<KafkaError> for Failed {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl Reading {
    /// Begins anew unless it is known that what was read is the begin of what is there.
    fn go_on(&mut self, of: Option<Positions>, (first, end): (i64, i64)) {
        if of.is_none() || self.of != of || !(first..=end).contains(&self.at) {
            *self = Self { known: Known::default(), at: first, of };
        }
    }

    /// None of what is no position.
    fn take(&mut self, offset: i64, key: Option<&[u8]>, value: &[u8]) -> Option<()> {
        let point: Point = serde_json::from_slice(value).ok()?;
        match (std::str::from_utf8(key?).ok()?, point) {
            (ROWS, Point::Offset(rows)) => self.known.rows = rows,
            (partition, point) => self.known.positions.set(partition, point),
        }
        self.at = offset + 1;
        Some(())
    }
}

/// A writer's positions, by what is committed. When it fails, what was read by then need not be read again.
pub fn read(access: &Access, topic: &str, reading: &mut Reading) -> Result<Known> {
    let consumer: BaseConsumer<Told> = access.consumer(super::LOOKER)?;
    let fault = |e: KafkaError| access.error(&format!("read positions from {topic}"), &e, consumer.client().context());
    let of = match identity::check(access, &consumer, topic, &Positions::new()) {
        // Whoever was asked may not know it yet; who has it is asked next.
        Err(error) if error.kind == Kind::Project => None,
        of => of?,
    };
    let ends = super::ends(access, &consumer, topic, 0)?;
    let (first, end) = (i64::try_from(ends.first).unwrap_or(i64::MAX), i64::try_from(ends.next).unwrap_or(i64::MAX));
    reading.go_on(of, (first, end));
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, 0, Offset::Offset(reading.at)).map_err(fault)?;
    consumer.assign(&place).map_err(fault)?;
    let mut waited = Duration::ZERO;
    while reading.at < end {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                waited = Duration::ZERO;
                let broken = || Error::data(format!("read positions from {topic}"), "one of them can't be read");
                let value = message.payload().unwrap_or_default();
                reading.take(message.offset(), message.key(), value).ok_or_else(broken)?;
            }
            Some(Err(error)) => {
                let fault = fault(error);
                if fault.kind != Kind::Unreachable {
                    return Err(fault);
                }
            }
            None => {
                let places = consumer.position().map_err(fault)?;
                if let Some(Offset::Offset(position)) = places.find_partition(topic, 0).map(|place| place.offset()) {
                    reading.at = reading.at.max(position);
                }
                waited += POLL;
                if waited > access.timeout {
                    return Err(fault(KafkaError::MessageConsumption(Code::OperationTimedOut)));
                }
            }
        }
    }
    Ok(reading.known.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: &str) -> Option<Positions> {
        let mut of = Positions::new();
        of.set("t#id", Point::Mark { rows: 0, token: id.into(), done: false });
        Some(of)
    }

    #[test]
    fn positions_are_read_on_from_where_they_were_read() {
        let mut reading = Reading::default();
        reading.go_on(id("a"), (0, 3));
        for (offset, (key, value)) in (0..).zip([("law/0", 7), (ROWS, 7), ("law/0", 9)]) {
            let value = serde_json::to_vec(&Point::Offset(value)).expect("text");
            reading.take(offset, Some(key.as_bytes()), &value).expect("a position");
        }
        assert!(reading.take(3, Some(b"law/0"), b"no point").is_none() && reading.at == 3, "it is not passed over");
        let known = reading.known.clone();
        assert_eq!((known.positions.get("law/0"), known.rows), (Some(&Point::Offset(9)), 7));
        reading.go_on(id("a"), (0, 8));
        assert_eq!((reading.at, &reading.known), (3, &known));
        for (of, ends) in [(id("b"), (0, 8)), (None, (0, 8)), (id("a"), (0, 2)), (id("a"), (4, 8))] {
            let mut reading = Reading { known: known.clone(), at: 3, of: id("a") };
            reading.go_on(of.clone(), ends);
            assert_eq!((reading.at, reading.known), (ends.0, Known::default()), "{of:?}, {ends:?}");
        }
        let mut unnamed = Reading { known, at: 3, of: None };
        unnamed.go_on(None, (0, 8));
        assert_eq!(unnamed.at, 0, "it may be another topic of this name");
    }

    #[test]
    fn a_topic_with_fewer_offsets_than_rows_is_another_one() {
        let known = |rows| Known { positions: Positions::new(), rows };
        assert!(known(0).check(0, "t", "t.positions.s").is_ok(), "all rows were set aside");
        assert!(known(5).check(5, "t", "t.positions.s").is_ok() && known(5).check(9, "t", "t.positions.s").is_ok());
        let error = known(5).check(4, "t", "t.positions.s").expect_err("a loud stop");
        assert!(error.kind == Kind::Data && error.to_string().contains("remove t.positions.s too"), "{error}");
    }
}

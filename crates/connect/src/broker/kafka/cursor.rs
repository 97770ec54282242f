//! Reads one partition, and remembers where it is: who goes on there is served from what was fetched ahead.

use super::{LOOKER, ends};
use crate::broker::rows::{self, SEAL};
use crate::kafka::client::{Access, Told};
use arrow::datatypes::SchemaRef;
use kernel::broker::Fetched;
use kernel::gate::{Seal, Unsealed};
use kernel::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::sync::Arc;
use std::time::Duration;

pub struct Cursor {
    access: Arc<Access>,
    seal: Seal,
    consumer: BaseConsumer<Told>,
    topic: String,
    partition: i32,
    /// The offset behind the last record that was polled, once it reads.
    next: Option<i64>,
}

struct Record {
    offset: u64,
    value: Vec<u8>,
    seal: Option<Vec<u8>>,
}

const POLL: Duration = Duration::from_millis(50);

impl Cursor {
    pub fn open(access: Arc<Access>, seal: Seal, topic: &str, partition: u32) -> Result<Self> {
        let consumer = access.consumer(LOOKER)?;
        let partition = i32::try_from(partition).map_err(|e| Error::project(format!("partition of {topic}"), e))?;
        Ok(Self { access, seal, consumer, topic: topic.to_owned(), partition, next: None })
    }

    fn fault(&self, error: &KafkaError) -> Error {
        let what = format!("fetch from {}/{}", self.topic, self.partition);
        self.access.error(&what, error, self.consumer.client().context())
    }

    /// Blocks.
    pub fn fetch(&mut self, schema: &SchemaRef, from: u64, bytes_max: usize) -> Result<Fetched> {
        let fetched = self.records(from, bytes_max);
        let (records, next) = fetched.inspect_err(|_| self.next = None)?;
        let name = format!("{}/{}", self.topic, self.partition);
        let sealed = records.iter().map(|record| (record.value.as_slice(), record.seal.as_deref()));
        let read = |own: &[&[u8]]| rows::decode(&name, schema, own.iter().copied());
        let Unsealed { rows, strangers } = self.seal.open(&self.topic, sealed, read)?;
        let strangers = strangers.into_iter().map(|place| records[place].offset).collect();
        Ok(Fetched { rows: rows.into_iter().collect(), strangers, next })
    }

    fn records(&mut self, from: u64, bytes_max: usize) -> Result<(Vec<Record>, u64)> {
        let known = ends(&self.access, &self.consumer, &self.topic, self.partition)?;
        // It answers: what was refused before is no reason of what may fail from here on.
        self.consumer.client().context().forget();
        let (start, end) = (i64::try_from(from).unwrap_or(i64::MAX), i64::try_from(known.next).unwrap_or(i64::MAX));
        if from < known.first || from > known.next {
            let detail = match from < known.first {
                true => format!("retention has removed {} offsets from there on", known.first - from),
                false => format!("it ends before offset {}: was the topic made anew?", known.next),
            };
            return Err(Error::data(format!("fetch from offset {from} of {}/{}", self.topic, self.partition), detail));
        }
        if self.next != Some(start) {
            self.assign(start)?;
        }
        let (mut values, mut bytes, mut next, mut waited) = (Vec::new(), 0, start, Duration::ZERO);
        while next < end && (values.is_empty() || bytes < bytes_max) {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    waited = Duration::ZERO;
                    if message.offset() < next {
                        continue;
                    }
                    next = message.offset() + 1;
                    let value = message.payload().unwrap_or_default().to_vec();
                    let headers = message.headers().into_iter().flat_map(Headers::iter);
                    let seal = headers.filter(|header| header.key == SEAL).find_map(|header| header.value);
                    bytes += value.len();
                    let offset = u64::try_from(message.offset()).unwrap_or_default();
                    values.push(Record { offset, value, seal: seal.map(<[u8]>::to_vec) });
                }
                Some(Err(error)) => self.forgive(&error)?,
                None => {
                    next = next.max(self.position()?);
                    waited += POLL;
                    if waited > self.access.timeout {
                        return Err(self.fault(&KafkaError::MessageConsumption(Code::OperationTimedOut)));
                    }
                }
            }
        }
        self.next = Some(next);
        Ok((values, u64::try_from(next).unwrap_or_default()))
    }

    fn assign(&self, from: i64) -> Result<()> {
        let mut place = TopicPartitionList::new();
        let offset = Offset::Offset(from);
        place.add_partition_offset(&self.topic, self.partition, offset).map_err(|e| self.fault(&e))?;
        self.consumer.assign(&place).map_err(|e| self.fault(&e))
    }

    /// The client goes over the ends of transactions by itself.
    fn position(&self) -> Result<i64> {
        let places = self.consumer.position().map_err(|e| self.fault(&e))?;
        let own = places.find_partition(&self.topic, self.partition).map(|place| place.offset());
        Ok(if let Some(Offset::Offset(at)) = own { at } else { 0 })
    }

    fn forgive(&self, error: &KafkaError) -> Result<()> {
        let fault = self.fault(error);
        if fault.kind == kernel::Kind::Unreachable { Ok(()) } else { Err(fault) }
    }
}

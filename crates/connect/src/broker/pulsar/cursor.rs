//! Reads one partition, and remembers where it is.

use super::admin::{offset, place};
use super::{Home, kept, partition_name};
use crate::broker::rows::{self, SEAL};
use arrow::datatypes::SchemaRef;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use futures::StreamExt;
use kernel::broker::Fetched;
use kernel::gate::Unsealed;
use kernel::{Error, Result};
use pulsar::consumer::{ConsumerOptions, InitialPosition};
use pulsar::message::proto::MessageIdData;
use pulsar::reader::Reader;
use pulsar::{Payload, TokioExecutor};
use std::sync::Arc;

/// A message with where it is.
pub struct Found {
    pub offset: u64,
    /// Whether it is the last one of its entry.
    pub is_last: bool,
    pub payload: Payload,
}

impl Found {
    pub fn property(&self, key: &str) -> Option<&str> {
        let properties = &self.payload.metadata.properties;
        properties.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
    }
}

/// Properties are text.
fn seal(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}

pub struct Cursor {
    home: Arc<Home>,
    /// The topic, and the partition's own.
    topic: String,
    name: String,
    partition: u32,
    reader: Option<(u64, Reader<Vec<u8>, TokioExecutor>)>,
}

impl Cursor {
    pub fn new(home: Arc<Home>, topic: &str, partition: u32) -> Self {
        let name = partition_name(topic, partition);
        Self { home, topic: topic.to_owned(), name, partition, reader: None }
    }

    pub async fn fetch(&mut self, schema: &SchemaRef, from: u64, bytes_max: usize) -> Result<Fetched> {
        let ends = self.home.admin.ends(&self.name).await?;
        if !(ends.first..=ends.next).contains(&from) {
            if kept::is_whole(&self.home, &self.topic, self.partition, ends, from).await? {
                // Rows come with the next one, so that who only looks where to go on takes none.
                return Ok(Fetched { rows: Vec::new(), strangers: Vec::new(), next: ends.first });
            }
            let detail = match from < ends.first {
                true => {
                    "retention has removed messages from there on, or the topic was removed and made anew: put it back; or \
                     remove what is there of the topic too, move the table's folder away, and load all again"
                }
                false => "it ends before that: was the topic made anew?",
            };
            return Err(Error::data(format!("fetch from offset {from} of {}", self.name), detail));
        }
        let (values, next) = self.values(from, ends.next, bytes_max).await?;
        let seals: Vec<_> = values.iter().map(|found| found.property(SEAL).and_then(seal)).collect();
        let records = values.iter().zip(&seals);
        let records = records.map(|(found, seal)| (found.payload.data.as_slice(), seal.as_deref()));
        let read = |own: &[&[u8]]| rows::decode(&self.name, schema, own.iter().copied());
        let Unsealed { rows, strangers } = self.home.seal.open(&self.topic, records, read)?;
        let strangers = strangers.into_iter().map(|place| values[place].offset).collect();
        Ok(Fetched { rows: rows.into_iter().collect(), strangers, next })
    }

    /// Messages of whole entries, from one on up to `end`, of about so many bytes, and where the next entry is.
    pub async fn values(&mut self, from: u64, end: u64, bytes_max: usize) -> Result<(Vec<Found>, u64)> {
        let (mut values, mut bytes, mut next) = (Vec::new(), 0, from);
        if from >= end {
            return Ok((values, next));
        }
        let mut reader = match self.reader.take() {
            Some((at, reader)) if at == from => reader,
            _ => self.open(from).await?,
        };
        while next < end && (values.is_empty() || bytes < bytes_max) {
            let found = self.message(&mut reader).await?;
            if found.offset < from {
                continue;
            }
            bytes += found.payload.data.len();
            if found.is_last {
                next = found.offset + 1;
            }
            values.push(found);
        }
        // In the middle of an entry it would be read to its end first.
        while values.last().is_some_and(|found| !found.is_last) {
            let found = self.message(&mut reader).await?;
            next = found.offset + 1;
            values.push(found);
        }
        self.reader = Some((next, reader));
        Ok((values, next))
    }

    async fn message(&self, reader: &mut Reader<Vec<u8>, TokioExecutor>) -> Result<Found> {
        let what = format!("read {}", self.name);
        let message = tokio::time::timeout(self.home.timeout, reader.next()).await;
        let message = message.map_err(|_| self.home.unreachable(&what))?;
        let message = message.ok_or_else(|| self.home.error(&what, "the connection is closed"))?;
        let message = message.map_err(|e| self.home.error(&what, e))?;
        let id = message.message_id();
        let (index, size) = (id.batch_index.unwrap_or(-1), message.metadata().num_messages_in_batch.unwrap_or(1));
        let is_last = index < 0 || index + 1 >= size;
        Ok(Found { offset: offset(id.ledger_id, id.entry_id), is_last, payload: message.payload })
    }

    async fn open(&self, from: u64) -> Result<Reader<Vec<u8>, TokioExecutor>> {
        let (ledger_id, entry) = place(from);
        // A reader begins behind the message that it is given.
        let start = MessageIdData { ledger_id, entry_id: entry.wrapping_sub(1), ..MessageIdData::default() };
        let options = match from {
            0 => ConsumerOptions::default().with_initial_position(InitialPosition::Earliest),
            _ => ConsumerOptions::default().starting_on_message(start),
        };
        let name = self.home.whole(&self.name);
        let reader = self
            .home
            .client()
            .await?
            .reader()
            .with_topic(name)
            .with_options(options.durable(false))
            .into_reader()
            .await;
        reader.map_err(|e| self.home.error(&format!("read {}", self.name), e))
    }
}

//! Appends rows one by one, and then the writer's positions. What broke off in between is found again by reading on from
//! where the positions stand: rows that are there are passed over when they come again.

use super::admin::offset;
use super::bound::{self, Bound, Size};
use super::cursor::Cursor;
use super::kept::{self, Kept};
use super::spans::{self, Spans};
use super::unfinished::Unfinished;
use super::{Home, partition_name};
use crate::broker::rows;
use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use kernel::broker::{Appended, Appender, Places, Topic};
use kernel::gate::Safe;
use kernel::{Error, Kind, Positions, Result};
use pulsar::producer::{Message, SendFuture};
use pulsar::{Producer, ProducerOptions, TokioExecutor};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub struct PulsarAppender {
    home: Arc<Home>,
    topic: Topic,
    writer: String,
    producers: Vec<Producer<TokioExecutor>>,
    positions: kept::Writer,
    kept: Kept,
    /// Rows that an append had brought which did not come to its end.
    there: Unfinished,
    /// By partition, the offset behind all that is known to be of this writer.
    ends: Vec<u64>,
    spans: Spans,
    bound: Bound,
    /// Of an append with a row that may be too large: what is said if it fails.
    doubt: Option<String>,
}

/// A message's property that names who appended it.
const WRITER: &str = "lavra-writer";
/// The ledger of a message that came twice: its receipt does not say where it is.
const NOWHERE: u64 = u64::MAX;
const STEP: Duration = Duration::from_millis(50);

impl PulsarAppender {
    pub async fn open(home: Arc<Home>, topic: Topic, writer: &str) -> Result<Self> {
        let kept_in = kept::kept_in(&topic.name, "writer", writer)?;
        let bound = Bound::of(&home).await;
        let mut positions = kept::Writer::open(&home, &kept_in, bound).await?;
        let mut kept = kept::read(&home, &topic.name, &kept_in).await?;
        wait_alone(&home, &topic, writer).await?;
        if leave_removed(&home, &topic, &mut kept).await? {
            // Before its partition is there again, for readers.
            positions.write(&kept).await?;
        }
        let (there, ends, spans) = unfinished(&home, &topic, writer, &kept).await?;
        let mut producers = Vec::new();
        for partition in 0..topic.partitions {
            producers.push(producer(&home, &partition_name(&topic.name, partition), writer, bound).await?);
        }
        let (writer, doubt) = (writer.to_owned(), None);
        Ok(Self { home, topic, writer, producers, positions, kept, there, ends, spans, bound, doubt })
    }

    fn fault(&self, error: impl std::fmt::Display) -> Error {
        let what = format!("append to {}", self.topic.name);
        match &self.doubt {
            Some(doubt) => Error::data(what, doubt),
            None => self.home.error(&what, error),
        }
    }

    /// Before a row that is much of what a message may have: sees to it that it goes alone. Refuses one that has more.
    async fn single_out(&mut self, partition: usize, line: &[u8], key: usize, place: &(String, i64)) -> Result<()> {
        let refusal = |bytes| self.bound.refusal(&format!("the row at offset {} of {}", place.1, place.0), bytes);
        match self.bound.size(line, key)? {
            Size::Fits => {}
            Size::Doubtful(bytes) => self.doubt = Some(refusal(bytes)),
            Size::Beyond(bytes) => return Err(Error::data(format!("append to {}", self.topic.name), refusal(bytes))),
        }
        self.producers[partition].send_batch().await.map_err(|e| self.fault(e))
    }

    async fn send(&mut self, batch: &RecordBatch) -> Result<Vec<(usize, SendFuture)>> {
        let keys = self.topic.keys(batch)?;
        let partitions = self.topic.partitions_of(batch, &keys);
        let sources = places(batch)?;
        let text = rows::encode(batch)?;
        let lines = text.split(|byte| *byte == b'\n');
        let sealer = self.home.seal.sealer(&self.topic.name)?;
        let mut sent = Vec::with_capacity(batch.num_rows());
        for (row, (line, partition)) in lines.zip(partitions).enumerate() {
            let (source, offset) = &sources[row];
            if self.there.holds(source, *offset) {
                continue;
            }
            let (partition, key) = (partition as usize, keys.is_valid(row).then(|| keys.value(row)));
            let key_bytes = key.map_or(0, str::len);
            if self.bound.is_large(line.len() + key_bytes) {
                self.single_out(partition, line, key_bytes, &sources[row]).await?;
            }
            let message = Message {
                payload: line.to_vec(),
                properties: HashMap::from([
                    (WRITER.to_owned(), self.writer.clone()),
                    (rows::SEAL.to_owned(), STANDARD_NO_PAD.encode(sealer.seal(line))),
                ]),
                partition_key: key.map(str::to_owned),
                ..Message::default()
            };
            let future = self.producers[partition].send_non_blocking(message).await.map_err(|e| self.fault(e))?;
            sent.push((partition, future));
        }
        Ok(sent)
    }
}

#[async_trait]
impl Appender for PulsarAppender {
    fn positions(&self) -> &Positions {
        &self.kept.positions
    }

    fn unfinished(&self) -> Places {
        self.there.places().clone()
    }

    async fn append(&mut self, rows: &[Safe], upto: &Positions) -> Result<Appended> {
        if self.kept.positions.holds(upto) {
            return Ok(Appended::AlreadyDone);
        }
        let mut sent = Vec::new();
        self.doubt = None;
        for rows in rows {
            sent.extend(self.send(rows.batch()).await?);
        }
        for place in 0..self.producers.len() {
            if sent.iter().any(|(partition, _)| *partition == place) {
                self.producers[place].send_batch().await.map_err(|e| self.fault(e))?;
            }
        }
        let mut blurred = BTreeSet::new();
        for (partition, future) in sent {
            let receipt = future.await.map_err(|e| self.fault(e))?;
            match receipt.message_id.filter(|id| id.ledger_id != NOWHERE) {
                Some(id) => {
                    let at = offset(id.ledger_id, id.entry_id);
                    self.ends[partition] = self.ends[partition].max(at + 1);
                    spans::add(&mut self.spans, partition as u32, at);
                }
                None => {
                    blurred.insert(partition);
                }
            }
        }
        for partition in blurred {
            let end = self.home.admin.ends(&partition_name(&self.topic.name, partition as u32)).await?.next;
            self.ends[partition] = self.ends[partition].max(end);
            spans::add_before(&mut self.spans, partition as u32, end);
        }
        let mut left = self.there.clone();
        if !left.is_empty() {
            left.settle(&lasts(rows)?, upto);
        }
        let spans = Some(self.spans.clone());
        let mut kept = Kept { ends: self.ends.clone(), spans, left, ..self.kept.clone() };
        kept.positions.advance(upto);
        self.positions.write(&kept).await?;
        self.there = kept.left.clone();
        self.kept = kept;
        Ok(Appended::Done)
    }
}

/// The source's partition and offset of each row, by the gate's stamp.
fn places(batch: &RecordBatch) -> Result<Vec<(String, i64)>> {
    let missing = || Error::internal("append rows", "they have no positions");
    let position = batch.column_by_name("_position").and_then(|column| column.as_struct_opt()).ok_or_else(missing)?;
    let partitions = position.column(0).as_string_view_opt().ok_or_else(missing)?;
    let offsets = position.column(1).as_primitive_opt::<Int64Type>().ok_or_else(missing)?;
    Ok((0..batch.num_rows()).map(|row| (partitions.value(row).to_owned(), offsets.value(row))).collect())
}

/// The last offset of each partition of the source.
fn lasts(rows: &[Safe]) -> Result<BTreeMap<String, i64>> {
    let mut lasts = BTreeMap::new();
    for rows in rows {
        for (source, offset) in places(rows.batch())? {
            lasts.entry(source).and_modify(|last: &mut i64| *last = offset.max(*last)).or_insert(offset);
        }
    }
    Ok(lasts)
}

/// A producer of its own name: what it sends again after a broken connection, Pulsar knows by that name.
async fn producer(home: &Home, name: &str, writer: &str, bound: Bound) -> Result<Producer<TokioExecutor>> {
    let options = ProducerOptions {
        batch_size: Some(1_000),
        batch_byte_size: Some(bound.batch_bytes()),
        batch_timeout: Some(Duration::from_millis(5)),
        compression: Some(bound::compression()),
        block_queue_if_full: true,
        ..ProducerOptions::default()
    };
    let own = format!("{writer}@{:016x}", super::unlike_any());
    let producer = home.client().await?.producer().with_topic(home.whole(name)).with_name(own).with_options(options);
    producer.build().await.map_err(|e| home.error(&format!("append to {name}"), e))
}

/// Waits until no other appender of this writer is connected: what it had sent is there then, or never will be.
async fn wait_alone(home: &Home, topic: &Topic, writer: &str) -> Result<()> {
    let own = format!("{writer}@");
    let mut waited = Duration::ZERO;
    for partition in 0..topic.partitions {
        let name = partition_name(&topic.name, partition);
        let mut before = None;
        loop {
            let others = home.admin.publishers(&name).await?.iter().any(|producer| producer.starts_with(&own));
            let ends = Some(home.admin.ends(&name).await?);
            // What was in flight when the connection broke is counted in.
            if !others && before == ends {
                break;
            }
            before = ends;
            if waited > home.timeout {
                let detail = format!("another process appends as `{writer}`: stop it first");
                return Err(Error::new(Kind::Conflict, format!("open an appender of {}", topic.name), detail));
            }
            tokio::time::sleep(STEP).await;
            waited += STEP;
        }
    }
    Ok(())
}

/// Takes note of partitions with rows that are not there. Whether there is one.
async fn leave_removed(home: &Home, topic: &Topic, kept: &mut Kept) -> Result<bool> {
    let (mut spans, mut is_any) = (kept.spans(), false);
    for (partition, span) in &mut spans {
        let is_there = home.admin.ends(&partition_name(&topic.name, *partition)).await?.next > 0;
        is_any |= !is_there && span.remove();
    }
    if is_any {
        kept.spans = Some(spans);
    }
    Ok(is_any)
}

/// The rows of this writer behind its positions, where each partition ends, and where all of its rows are.
async fn unfinished(
    home: &Arc<Home>,
    topic: &Topic,
    writer: &str,
    kept: &Kept,
) -> Result<(Unfinished, Vec<u64>, Spans)> {
    let (mut there, mut all, mut spans) = (kept.left.clone(), Vec::new(), kept.spans());
    for partition in 0..topic.partitions {
        let name = partition_name(&topic.name, partition);
        let ends = home.admin.ends(&name).await?;
        let from = kept.ends.get(partition as usize).copied().unwrap_or_default();
        let (mut at, mut cursor) = (from.max(ends.first), Cursor::new(home.clone(), &topic.name, partition));
        while at < ends.next {
            let (found, next) = cursor.values(at, ends.next, 8 << 20).await?;
            at = next;
            for (offset, payload) in found.into_iter().map(|found| (found.offset, found.payload)) {
                let is_own = payload.metadata.properties.iter().any(|pair| pair.key == WRITER && pair.value == writer);
                let row = serde_json::from_slice::<Value>(&payload.data).ok().filter(|_| is_own);
                let position = row.and_then(|mut row| row.get_mut("_position").map(Value::take));
                if let Some((Some(source), Some(row))) =
                    position.as_ref().map(|at| (at["partition"].as_str(), at["offset"].as_i64()))
                {
                    there.add(source, row);
                    spans::add(&mut spans, partition, offset);
                }
            }
        }
        all.push(from.max(ends.next));
    }
    Ok((there, all, spans))
}

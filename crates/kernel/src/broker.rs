//! An ordered, partitioned log of safe rows that can be read again: between the gate and whoever consumes.

use crate::error::{Error, Kind, Result};
use crate::gate::{self, Safe};
use crate::name::TableName;
use crate::position::Positions;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, StructArray, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A log by name, and what its rows are.
#[derive(Debug, Clone)]
pub struct Topic {
    /// As [`topic_name`] makes it.
    pub name: String,
    pub partitions: u32,
    /// Rows of one key go to one partition, in order. Without a key, those of one partition of the source do.
    pub key: Vec<String>,
    /// What passes the gate. Columns beyond it are kept by a home that keeps Arrow, and read by nobody.
    pub schema: SchemaRef,
    pub retention: Retention,
}

/// How long rows are kept; without a bound for ever. Whole batches go, the oldest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    pub time: Option<Duration>,
    /// Of each partition.
    pub bytes: Option<u64>,
}

/// What a home can do. What it can't, it makes up for as said, or it is the reader's to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// All rows of an append become visible together, with their positions. Else a reader may see some of them before the
    /// others; none is seen twice, because those that are there already are passed over when they come again.
    pub transactions: bool,
    /// An appender that was replaced by another one of its name can't append any more.
    pub fences: bool,
}

/// The offsets of a partition: fetches go from `first` up to `next`, where the next row will be. Offsets grow, with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    pub first: u64,
    pub next: u64,
}

/// Rows of one partition in their order.
pub struct Fetched {
    pub rows: Vec<Safe>,
    /// The offsets of records that others wrote: they bear no seal of this project's, and are not read.
    pub strangers: Vec<u64>,
    /// Where to fetch from next.
    pub next: u64,
}

/// What became of an append that did not fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Appended {
    /// Rows and positions are durable.
    Done,
    /// The positions were reached before; nothing was appended.
    AlreadyDone,
    /// Another appender of the same name was opened since; this one is of no more use.
    Conflict(String),
}

/// A home of logs. Each holds to `laws::broker`.
#[async_trait]
pub trait Broker: Send + Sync {
    fn capabilities(&self) -> Capabilities;

    /// Makes a topic, or takes over the retention for one that is there. Another number of partitions than it has is an error
    /// of kind `Project`: keys would move.
    async fn create(&self, topic: &Topic) -> Result<()>;

    /// Opens the only appender of this name, such as a source's; what earlier ones of the name had not finished is settled
    /// before this returns.
    async fn appender(&self, topic: &Topic, writer: &str) -> Result<Box<dyn Appender>>;

    /// Rows from an offset on that `ends` or a fetch gave; about `bytes_max` of them, one batch at least when there is one.
    /// Nothing is waited for: at the end there are none, and `next` is `from`. An offset that retention has passed is a
    /// `Data` error, never a silent step; where nothing behind it is lost, there are no rows and `next` is where to go on.
    async fn fetch(&self, topic: &Topic, partition: u32, from: u64, bytes_max: usize) -> Result<Fetched>;

    /// How far a writer has come, without taking its place; nothing of one that nobody knows.
    async fn appended(&self, topic: &str, writer: &str) -> Result<Positions>;

    /// Whether there is a topic of this name.
    async fn has(&self, topic: &str) -> Result<bool> {
        match self.ends(topic).await {
            Err(error) if error.kind == Kind::Project => Ok(false),
            ends => ends.map(|_| true),
        }
    }

    /// By partition, what is visible now; an error of kind `Project` of a topic that is not there.
    async fn ends(&self, topic: &str) -> Result<Vec<Ends>>;

    /// How far a group has come, by partition (`0`, `1`, …).
    async fn consumed(&self, topic: &str, group: &str) -> Result<Positions>;

    /// Keeps how far a group has come: for the partitions that are named, durable on return.
    async fn consume(&self, topic: &str, group: &str, upto: &Positions) -> Result<()>;
}

/// Rows by the gate's stamp: the partition of their source, and their offsets in it.
pub type Places = BTreeMap<String, BTreeSet<i64>>;

/// Appends rows of one writer to one topic.
#[async_trait]
pub trait Appender: Send {
    /// How far the writer's own source is taken, by what is durable.
    fn positions(&self) -> &Positions;

    /// Rows that readers have had though no position of the writer covers them, because an append broke off behind them: they
    /// come again, and are passed over then. None where rows and positions become visible together.
    fn unfinished(&self) -> Places {
        Places::new()
    }

    /// Appends rows and moves the writer's positions, both durable on return; without rows it moves them all the same. After
    /// an error, or when the call was dropped, nobody knows: open another appender and look at its positions.
    async fn append(&mut self, rows: &[Safe], upto: &Positions) -> Result<Appended>;
}

/// The name of a table's topic: `<project>.<layer>.<table>`, of the characters that every broker takes.
pub fn topic_name(project: &str, table: &TableName) -> Result<String> {
    let name = format!("{project}.{table}");
    let fits = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    if project.is_empty() || !name.chars().all(fits) || name.len() > NAME_MAX {
        let detail = format!("a topic's name holds only letters, digits, `.`, `_` and `-`, at most {NAME_MAX} of them");
        return Err(Error::project(format!("topic `{name}`"), detail));
    }
    Ok(name)
}

/// What `Broker::create` refuses a topic with that is there with another number of partitions.
pub fn other_partitions(topic: &str, found: usize, wanted: usize) -> Error {
    let detail = format!(
        "it has {found} partitions, not {wanted}: keys would move. Write `partitions={found}` in `broker:`, or give the source \
         another name"
    );
    Error::project(format!("make topic {topic}"), detail)
}

/// Kafka's bound.
const NAME_MAX: usize = 249;

impl Topic {
    /// The key of each row as outside brokers show it: the column's text, or of several columns a JSON list of their texts.
    /// Null where the only column is, and everywhere without a key.
    pub fn keys(&self, rows: &RecordBatch) -> Result<StringArray> {
        let columns = self.key.iter().map(|name| self.text_of(rows, name)).collect::<Result<Vec<_>>>()?;
        Ok(match &columns[..] {
            [] => StringArray::new_null(rows.num_rows()),
            [one] => one.clone(),
            many => {
                let text = |row: usize| {
                    let texts = many.iter().map(|column| column.is_valid(row).then(|| column.value(row)));
                    serde_json::Value::from_iter(texts).to_string()
                };
                (0..rows.num_rows()).map(|row| Some(text(row))).collect()
            }
        })
    }

    fn text_of(&self, rows: &RecordBatch, name: &str) -> Result<StringArray> {
        let fault =
            || Error::internal(format!("key of topic {}", self.name), format!("the rows have no text of `{name}`"));
        let column = rows.column_by_name(name).ok_or_else(fault)?;
        let text = cast(column, &DataType::Utf8).map_err(|e| fault().because(e))?;
        Ok(text.as_string::<i32>().clone())
    }

    /// The partition of each row: by its key as Kafka's own clients choose it, so that what others produce by the same key is
    /// beside it.
    pub fn partitions_of(&self, rows: &RecordBatch, keys: &StringArray) -> Vec<u32> {
        let count = self.partitions.max(1);
        if self.key.is_empty() {
            let source = source_partitions(rows);
            let of = |row| source.as_ref().map_or(0, |texts| partition(texts.value(row).as_bytes(), count));
            return (0..rows.num_rows()).map(of).collect();
        }
        keys.iter().map(|key| partition(key.unwrap_or_default().as_bytes(), count)).collect()
    }

    /// The rows of each partition, in their order; no entry for a partition without rows.
    pub fn split(&self, rows: &RecordBatch) -> Result<Vec<(u32, RecordBatch)>> {
        if self.partitions <= 1 {
            return Ok(if rows.num_rows() == 0 { Vec::new() } else { vec![(0, rows.clone())] });
        }
        let mut places: Vec<Vec<u32>> = vec![Vec::new(); self.partitions as usize];
        for (row, partition) in self.partitions_of(rows, &self.keys(rows)?).into_iter().enumerate() {
            places[partition as usize].push(row as u32);
        }
        let fault = |e| Error::internal(format!("split rows of topic {}", self.name), e);
        let taken = (0..).zip(places).filter(|(_, rows)| !rows.is_empty());
        let taken = taken.map(|(at, own)| {
            let taken = take_record_batch(rows, &UInt32Array::from(own)).map_err(fault)?;
            // Taken rows point into the text of all of them, which would be stored with each partition.
            let columns = taken.columns().iter().map(gate::own).collect::<Result<Vec<_>>>()?;
            Ok((at, RecordBatch::try_new(taken.schema(), columns).map_err(fault)?))
        });
        taken.collect()
    }
}

/// Where each row came from, by the gate's stamp.
fn source_partitions(rows: &RecordBatch) -> Option<StringArray> {
    let position: &StructArray = rows.column_by_name("_position")?.as_struct_opt()?;
    let text: ArrayRef = cast(position.column(0), &DataType::Utf8).ok()?;
    Some(text.as_string::<i32>().clone())
}

/// `toPositive(murmur2(key)) % partitions`, as Kafka's Java client does it (`BuiltInPartitioner`).
pub fn partition(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// 32 bits of MurmurHash2 with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (place, byte) in rest.iter().enumerate().rev() {
        hash ^= u32::from(*byte) << (8 * place);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn keys_are_hashed_as_kafka_does() {
        let known: [(&str, i32); 6] = [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ];
        for (text, hash) in known {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    #[test]
    fn a_topic_is_named_by_its_project_and_table() {
        let table = TableName::new("silver", "orders").expect("a name");
        assert_eq!(topic_name("shop", &table).expect("a name"), "shop.silver.orders");
        assert!(topic_name("my shop", &table).is_err() && topic_name("", &table).is_err());
    }
}

//! A topic as it lies in the store.

use super::batch::{Encoded, Key};
use super::{data, stored};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions};
use kernel::broker::{Ends, Retention};
use kernel::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the store keeps of a topic beside its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    pub partitions: u32,
    pub retention_ms: Option<u64>,
    pub retention_bytes: Option<u64>,
}

impl Settings {
    pub fn new(partitions: u32, retention: Retention) -> Self {
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self { partitions, retention_ms: retention.time.map(millis), retention_bytes: retention.bytes }
    }
}

pub struct Log {
    pub name: String,
    pub settings: Mutex<Settings>,
    pub partitions: Vec<Partition>,
}

/// One partition. Its numbers are moved by the writing thread alone, after what they tell of is durable.
pub struct Partition {
    pub rows: Keyspace,
    first: AtomicU64,
    next: AtomicU64,
    bytes: AtomicU64,
}

impl Log {
    pub fn open(db: &Database, meta: &Keyspace, name: &str, settings: Settings) -> Result<Self> {
        let partitions =
            (0..settings.partitions).map(|at| Partition::open(db, meta, name, at)).collect::<Result<_>>()?;
        Ok(Self { name: name.to_owned(), settings: Mutex::new(settings), partitions })
    }

    pub fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn ends(&self) -> Vec<Ends> {
        self.partitions.iter().map(Partition::ends).collect()
    }

    pub fn partition(&self, at: u32) -> Result<&Partition> {
        let count = self.partitions.len();
        let fault = || Error::project(format!("partition {at} of {}", self.name), format!("it has {count} partitions"));
        self.partitions.get(at as usize).ok_or_else(fault)
    }

    /// Batches as they are stored, from the one that holds an offset on. Blocks on the disk.
    pub fn fetch(&self, at: u32, from: u64, bytes_max: usize) -> Result<Vec<Stored>> {
        let name = format!("{}/{at}", self.name);
        let partition = self.partition(at)?;
        let Ends { first, next } = partition.ends();
        if from < first || from > next {
            let detail = match from < first {
                true => {
                    format!("retention has removed what is before offset {first}: {} offsets are lost", first - from)
                }
                false => format!("it ends before offset {next}: was the log removed and made anew?"),
            };
            return Err(Error::new(Kind::Data, format!("fetch from offset {from} of {name}"), detail));
        }
        let (mut fetched, mut bytes, mut at) = (Vec::new(), 0, from);
        while at < next && (bytes == 0 || bytes < bytes_max) {
            for guard in partition.rows.range(partition.start_of(at)?..) {
                let (key, value) = guard.into_inner().map_err(|e| stored("read the log", e))?;
                let key = Key::read(&key)?;
                if key.next() > next || bytes > 0 && bytes + value.len() > bytes_max {
                    return Ok(fetched);
                }
                if key.offset > at {
                    return Err(data(&name, "retention has removed rows while they were fetched"));
                }
                bytes += value.len();
                at = key.next();
                fetched.push(Stored { key, value: value.into() });
            }
            if bytes == 0 {
                return Err(data(&name, "rows that were appended are not there"));
            }
        }
        Ok(fetched)
    }
}

/// A batch with its key.
pub struct Stored {
    pub key: Key,
    pub value: Bytes,
}

impl Partition {
    fn open(db: &Database, meta: &Keyspace, topic: &str, at: u32) -> Result<Self> {
        // Rows are written once and leave in the order they came: the tree holds keys alone, and no value is moved.
        let blobs = KvSeparationOptions::default().compression(fjall::CompressionType::None).separation_threshold(512);
        let options = || KeyspaceCreateOptions::default().with_kv_separation(Some(blobs.clone()));
        let rows = db.keyspace(&format!("log/{topic}/{at}"), options).map_err(|e| stored("open the log", e))?;
        let (mut first, mut last, mut bytes) = (None, None, 0);
        for guard in rows.iter() {
            let key = Key::read(&guard.key().map_err(|e| stored("open the log", e))?)?;
            first.get_or_insert(key.offset);
            last = Some(key.next());
            bytes += u64::from(key.bytes);
        }
        let kept = meta.get(next_key(topic, at)).map_err(|e| stored("open the log", e))?;
        let kept = kept.and_then(|bytes| Some(u64::from_be_bytes((*bytes).try_into().ok()?))).unwrap_or_default();
        let next = last.unwrap_or_default().max(kept);
        let first = AtomicU64::new(first.unwrap_or(next));
        Ok(Self { rows, first, next: AtomicU64::new(next), bytes: AtomicU64::new(bytes) })
    }

    pub fn ends(&self) -> Ends {
        // In this order, for both only grow.
        let first = self.first.load(Ordering::SeqCst);
        Ends { first, next: self.next.load(Ordering::SeqCst) }
    }

    /// The key of the batch that holds the offset.
    fn start_of(&self, offset: u64) -> Result<[u8; 24]> {
        let upto = Key { offset, rows: u32::MAX, bytes: u32::MAX, at: i64::MAX }.to_bytes();
        let last = self.rows.range(..=upto).next_back();
        let Some(guard) = last else { return Ok(Key { offset, rows: 0, bytes: 0, at: 0 }.to_bytes()) };
        Ok(Key::read(&guard.key().map_err(|e| stored("read the log", e))?)?.to_bytes())
    }

    /// The batches that go: the oldest, as long as they are older than `before` or there are more bytes than `bytes_max`.
    pub fn outdated(&self, before: Option<i64>, bytes_max: Option<u64>) -> Result<Vec<Key>> {
        let (mut gone, mut bytes) = (Vec::new(), self.bytes.load(Ordering::SeqCst));
        for guard in self.rows.iter() {
            let key = Key::read(&guard.key().map_err(|e| stored("read the log", e))?)?;
            let is_old = before.is_some_and(|before| key.at < before);
            if !is_old && bytes_max.is_none_or(|most| bytes <= most) {
                break;
            }
            bytes = bytes.saturating_sub(u64::from(key.bytes));
            gone.push(key);
        }
        Ok(gone)
    }

    pub fn forget(&self, gone: &[Key]) {
        if let Some(last) = gone.last() {
            self.first.store(last.next(), Ordering::SeqCst);
            self.bytes.fetch_sub(gone.iter().map(|key| u64::from(key.bytes)).sum(), Ordering::SeqCst);
        }
    }

    pub fn grow(&self, next: u64, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.next.store(next, Ordering::SeqCst);
    }
}

/// Where a batch is stored that starts at `offset`.
pub fn key_of(batch: &Encoded, offset: u64, at: i64) -> Key {
    Key { offset, rows: batch.rows, bytes: u32::try_from(batch.value.len()).unwrap_or(u32::MAX), at }
}

/// Under which the offset is kept that a partition goes on at when retention has emptied it.
pub fn next_key(topic: &str, at: u32) -> String {
    format!("n\0{topic}\0{at}")
}

/// Shared by the readers and the writing thread.
pub type Logs = Arc<std::sync::RwLock<std::collections::HashMap<String, Arc<Log>>>>;

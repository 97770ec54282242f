//! The one thread that writes. What waits for it is taken together: one write, one sync, many answers.

use super::batch::Encoded;
use super::log::{Log, Logs, Settings, key_of, next_key};
use super::{lock, stored};
use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use kernel::broker::{Appended, other_partitions};
use kernel::clock::{Clock, Timestamp};
use kernel::{Error, Point, Positions, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

pub type Reply<T> = oneshot::Sender<Result<T>>;

pub enum Job {
    Create(String, Settings, Reply<()>),
    /// Opens the next appender of a writer: its number, and what its writer has appended.
    Open(Arc<Log>, String, Reply<(u64, Positions)>),
    Append(Append, Reply<Appended>),
    Consume(Arc<Log>, String, Positions, Reply<()>),
}

pub struct Append {
    pub log: Arc<Log>,
    pub writer: String,
    pub number: u64,
    pub batches: Vec<(u32, Encoded)>,
    pub upto: Positions,
    /// Gives its bytes' room back when it is done.
    pub _room: Option<OwnedSemaphorePermit>,
}

/// Jobs that one sync covers at most.
const JOBS_MAX: usize = 256;
/// How often rows are looked for that are too old, in all topics: also in those to which nothing comes while others are busy.
const LOOK_EVERY: Duration = Duration::from_secs(10);

pub struct Writer {
    pub db: Database,
    pub meta: Keyspace,
    pub logs: Logs,
    pub clock: Arc<dyn Clock>,
    /// When all topics were looked through last.
    pub looked_at: Timestamp,
    /// By topic and writer: the number of its last appender and what is durable.
    pub writers: HashMap<(String, String), (u64, Positions)>,
    /// False once something could not be written: the store refuses all from then on.
    pub is_sound: Arc<AtomicBool>,
}

/// An act that is in the batch and not durable yet.
enum Done {
    Append(Append, Reply<Appended>, Vec<(u32, u64, u64)>),
    Consume(Reply<()>),
}

impl Writer {
    pub fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(LOOK_EVERY) {
                Ok(job) => {
                    let more = std::iter::from_fn(|| jobs.try_recv().ok()).take(JOBS_MAX);
                    let all: Vec<Job> = std::iter::once(job).chain(more).collect();
                    self.take(all);
                    if self.is_time_to_look() {
                        self.expire();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.expire(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn batch(&self) -> OwnedWriteBatch {
        self.db.batch().durability(Some(PersistMode::SyncData))
    }

    fn commit(&self, batch: OwnedWriteBatch, what: &str) -> Result<()> {
        batch.commit().map_err(|e| {
            self.is_sound.store(false, Ordering::SeqCst);
            stored(what, e)
        })
    }

    fn take(&mut self, jobs: Vec<Job>) {
        let mut batch = self.batch();
        let mut done = Vec::new();
        let mut touched: Vec<Arc<Log>> = Vec::new();
        // Where partitions and writers stand once the batch is durable.
        let mut ahead: HashMap<(String, u32), u64> = HashMap::new();
        for job in jobs {
            match job {
                Job::Append(append, reply) => match self.judge(&append) {
                    Some(refused) => drop(reply.send(Ok(refused))),
                    None => {
                        if !touched.iter().any(|log| Arc::ptr_eq(log, &append.log)) {
                            touched.push(append.log.clone());
                        }
                        done.push(self.append(&mut batch, &mut ahead, append, reply));
                    }
                },
                Job::Consume(log, group, upto, reply) => {
                    put_positions(&mut batch, &self.meta, &format!("g\0{}\0{group}\0", log.name), &upto);
                    done.push(Done::Consume(reply));
                }
                // The rest is rare, and waits for what came before it.
                other => {
                    self.finish(std::mem::replace(&mut batch, self.batch()), std::mem::take(&mut done));
                    ahead.clear();
                    self.rare(other);
                }
            }
        }
        self.finish(batch, done);
        touched.iter().for_each(|log| self.expire_log(log));
    }

    /// Why an append is not to be made.
    fn judge(&self, append: &Append) -> Option<Appended> {
        let known = self.writers.get(&(append.log.name.clone(), append.writer.clone()));
        match known {
            Some((number, positions)) if *number == append.number => {
                positions.holds(&append.upto).then_some(Appended::AlreadyDone)
            }
            _ => Some(Appended::Conflict(format!(
                "another appender of `{}` was opened for {} since",
                append.writer, append.log.name
            ))),
        }
    }

    fn append(
        &mut self,
        batch: &mut OwnedWriteBatch,
        ahead: &mut HashMap<(String, u32), u64>,
        mut append: Append,
        reply: Reply<Appended>,
    ) -> Done {
        let at = self.clock.now().0;
        let name = append.log.name.clone();
        let mut grown = Vec::new();
        for (place, encoded) in append.batches.drain(..) {
            let partition = &append.log.partitions[place as usize];
            let offset = ahead.entry((name.clone(), place)).or_insert_with(|| partition.ends().next);
            let key = key_of(&encoded, *offset, at);
            *offset = key.next();
            batch.insert(&partition.rows, key.to_bytes(), encoded.value);
            grown.push((place, key.next(), u64::from(key.bytes)));
        }
        put_positions(batch, &self.meta, &format!("w\0{name}\0{}\0", append.writer), &append.upto);
        // Taken into account at once, for the next one of the same batch; when the batch fails, nothing is taken any more.
        if let Some((_, positions)) = self.writers.get_mut(&(name, append.writer.clone())) {
            positions.advance(&append.upto);
        }
        Done::Append(append, reply, grown)
    }

    /// Makes the batch durable and answers.
    fn finish(&mut self, batch: OwnedWriteBatch, done: Vec<Done>) {
        if done.is_empty() {
            return;
        }
        let failed = self.commit(batch, "append to the log").err();
        if failed.is_some() {
            // What is on the disk is known to the next one who opens the log, and to nobody here.
            self.writers.clear();
        }
        let answer = || failed.as_ref().map_or(Ok(()), |e| Err(Error::new(e.kind, e.what.clone(), &e.detail)));
        for act in done {
            match act {
                Done::Append(append, reply, grown) => {
                    if failed.is_none() {
                        for (place, next, bytes) in grown {
                            append.log.partitions[place as usize].grow(next, bytes);
                        }
                    }
                    // Whoever has gone will ask for the positions.
                    drop(reply.send(answer().map(|()| Appended::Done)));
                }
                Done::Consume(reply) => drop(reply.send(answer())),
            }
        }
    }

    fn rare(&mut self, job: Job) {
        match job {
            Job::Create(topic, settings, reply) => drop(reply.send(self.create(&topic, settings))),
            Job::Open(log, writer, reply) => drop(reply.send(self.open(&log, writer))),
            Job::Append(..) | Job::Consume(..) => {}
        }
    }

    fn create(&mut self, topic: &str, settings: Settings) -> Result<()> {
        let what = || format!("make topic {}", topic);
        let present = lock(&self.logs)?.get(topic).cloned();
        if let Some(log) = &present
            && log.partitions.len() != settings.partitions as usize
        {
            return Err(other_partitions(topic, log.partitions.len(), settings.partitions as usize));
        }
        let text = serde_json::to_vec(&settings).map_err(|e| Error::internal(what(), e))?;
        // First the place of its rows: a topic that is known has all its partitions.
        let log = match present {
            Some(log) => log,
            None => {
                let log = Log::open(&self.db, &self.meta, topic, settings.clone());
                Arc::new(log.inspect_err(|_| self.is_sound.store(false, Ordering::SeqCst))?)
            }
        };
        let mut batch = self.batch();
        batch.insert(&self.meta, format!("t\0{}", topic), text);
        self.commit(batch, &what())?;
        *log.settings.lock().map_err(|_| Error::internal(what(), "a thread died"))? = settings;
        self.logs.write().map_err(|_| Error::internal(what(), "a thread died"))?.insert(topic.to_owned(), log.clone());
        self.expire_log(&log);
        Ok(())
    }

    fn open(&mut self, log: &Log, writer: String) -> Result<(u64, Positions)> {
        let key = (log.name.clone(), writer);
        let known = match self.writers.remove(&key) {
            Some(known) => known,
            // A number that no earlier life of this map gave.
            None => (fresh_number(), positions(&self.meta, &format!("w\0{}\0{}\0", key.0, key.1))?),
        };
        let opened = (known.0 + 1, known.1);
        self.writers.insert(key, opened.clone());
        Ok(opened)
    }

    fn is_time_to_look(&self) -> bool {
        let passed = self.clock.now().0.saturating_sub(self.looked_at.0);
        u128::try_from(passed).is_ok_and(|passed| passed >= LOOK_EVERY.as_micros())
    }

    fn expire(&mut self) {
        self.looked_at = self.clock.now();
        let logs: Vec<Arc<Log>> = self.logs.read().map(|logs| logs.values().cloned().collect()).unwrap_or_default();
        logs.iter().for_each(|log| self.expire_log(log));
    }

    /// What can't be removed now is tried again with the next append.
    fn expire_log(&mut self, log: &Log) {
        if let Err(error) = self.remove_outdated(log) {
            tracing::warn!(topic = log.name, "retention: {error}");
        }
    }

    fn remove_outdated(&mut self, log: &Log) -> Result<()> {
        let settings = log.settings();
        if settings.retention_ms.is_none() && settings.retention_bytes.is_none() {
            return Ok(());
        }
        let micros = |ms: u64| i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let before = settings.retention_ms.map(|ms| self.clock.now().0.saturating_sub(micros(ms)));
        for (place, partition) in (0..).zip(&log.partitions) {
            let gone = partition.outdated(before, settings.retention_bytes)?;
            if gone.is_empty() {
                continue;
            }
            let mut batch = self.batch();
            gone.iter().for_each(|key| batch.remove(&partition.rows, key.to_bytes()));
            batch.insert(&self.meta, next_key(&log.name, place), partition.ends().next.to_be_bytes());
            self.commit(batch, "remove old rows")?;
            partition.forget(&gone);
        }
        Ok(())
    }
}

/// Where a writer's numbers begin that this process has not met: one that no other owner of the log has come to.
fn fresh_number() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) >> 1
}

/// One entry a partition, so that a move costs what it moves.
fn put_positions(batch: &mut OwnedWriteBatch, meta: &Keyspace, prefix: &str, positions: &Positions) {
    for (partition, point) in positions.iter() {
        let text = serde_json::to_vec(point).unwrap_or_default();
        batch.insert(meta, format!("{prefix}{partition}"), text);
    }
}

pub fn positions(meta: &Keyspace, prefix: &str) -> Result<Positions> {
    let mut found = Positions::new();
    for guard in meta.prefix(prefix) {
        let (key, value) = guard.into_inner().map_err(|e| stored("read positions", e))?;
        let broken = || Error::data("read positions", "the log holds a position that can't be read");
        let partition = std::str::from_utf8(&key[prefix.len()..]).map_err(|_| broken())?;
        let point: Point = serde_json::from_slice(&value).map_err(|_| broken())?;
        found.set(partition, point);
    }
    Ok(found)
}

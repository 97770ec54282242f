//! The embedded log: batches in fjall, with one owner. An append is answered when it is on the disk; appends that wait
//! together are synced together.

mod batch;
mod log;
#[cfg(test)]
mod tests;
mod writer;

use async_trait::async_trait;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use kernel::broker::{Appended, Appender, Broker, Capabilities, Ends, Fetched, Topic};
use kernel::clock::Clock;
use kernel::gate::{Safe, Seal};
use kernel::{Error, Kind, Positions, Result};
use log::{Log, Logs, Settings};
use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, oneshot};
use writer::{Append, Job, Reply, Writer};

/// Bytes that may wait for the writing thread.
const WAITING_BYTES: usize = 64 << 20;

/// The embedded home. Clones of what it holds live in its appenders; when all are gone, the log is free for another owner.
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    meta: Keyspace,
    logs: Logs,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    room: Arc<Semaphore>,
    seal: Seal,
    _db: Database,
}

impl Embedded {
    /// Opens the log in this folder, or makes it. Blocks on the disk.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>, seal: Seal) -> Result<Self> {
        let what = || format!("open the log {}", folder.display());
        let db = Database::builder(folder).journal_compression(fjall::CompressionType::None).open();
        let db = db.map_err(|e| match e {
            fjall::Error::Locked => {
                let detail =
                    "another process owns it: stop that one, or let it do this work; one process at a time has a log";
                Error::new(Kind::Conflict, what(), detail)
            }
            other => stored(what(), other),
        })?;
        let meta = db.keyspace("meta", KeyspaceCreateOptions::default).map_err(|e| stored(what(), e))?;
        let logs: Logs = Arc::new(RwLock::new(logs(&db, &meta)?));
        let writer = Writer { db: db.clone(), meta: meta.clone(), logs: logs.clone(), clock, writers: HashMap::new() };
        let (jobs, waiting) = channel();
        let thread = std::thread::Builder::new().name("lavra-log".into()).spawn(move || writer.run(&waiting));
        let thread = thread.map_err(|e| Error::internal(what(), "no thread could be started").because(e))?;
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        Ok(Self { inner: Arc::new(Inner { meta, logs, jobs: Some(jobs), thread: Some(thread), room, seal, _db: db }) })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The thread ends when nobody can ask it any more, and with it the last hold on the store.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn log(&self, topic: &str) -> Result<Arc<Log>> {
        let found = lock(&self.logs)?.get(topic).cloned();
        found.ok_or_else(|| {
            Error::project(format!("topic {topic}"), "there is no such topic in this log; make it first")
        })
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T> {
        let gone = || Error::internal("ask the log", "its writing thread is gone");
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[async_trait]
impl Broker for Embedded {
    fn capabilities(&self) -> Capabilities {
        Capabilities { transactions: true, fences: true }
    }

    async fn create(&self, topic: &Topic) -> Result<()> {
        self.inner.ask(|reply| Job::Create(topic.clone(), reply)).await
    }

    async fn appender(&self, topic: &Topic, writer: &str) -> Result<Box<dyn Appender>> {
        let log = self.inner.log(&topic.name)?;
        let (own, name) = (log.clone(), writer.to_owned());
        let (number, positions) = self.inner.ask(|reply| Job::Open(own, name, reply)).await?;
        let (inner, topic, writer) = (self.inner.clone(), topic.clone(), writer.to_owned());
        Ok(Box::new(EmbeddedAppender { inner, topic, log, writer, number, positions }))
    }

    async fn fetch(&self, topic: &Topic, partition: u32, from: u64, bytes_max: usize) -> Result<Fetched> {
        let log = self.inner.log(&topic.name)?;
        let (schema, seal) = (topic.schema.clone(), self.inner.seal.clone());
        let fetched = tokio::task::spawn_blocking(move || log.fetch(&schema, &seal, partition, from, bytes_max));
        fetched.await.map_err(|e| Error::internal("fetch from the log", e))?
    }

    async fn appended(&self, topic: &str, writer: &str) -> Result<Positions> {
        self.inner.log(topic)?;
        writer::positions(&self.inner.meta, &format!("w\0{topic}\0{writer}\0"))
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        Ok(self.inner.log(topic)?.ends())
    }

    async fn consumed(&self, topic: &str, group: &str) -> Result<Positions> {
        self.inner.log(topic)?;
        writer::positions(&self.inner.meta, &format!("g\0{topic}\0{group}\0"))
    }

    async fn consume(&self, topic: &str, group: &str, upto: &Positions) -> Result<()> {
        let log = self.inner.log(topic)?;
        self.inner.ask(|reply| Job::Consume(log, group.to_owned(), upto.clone(), reply)).await
    }
}

struct EmbeddedAppender {
    inner: Arc<Inner>,
    topic: Topic,
    log: Arc<Log>,
    writer: String,
    number: u64,
    positions: Positions,
}

#[async_trait]
impl Appender for EmbeddedAppender {
    fn positions(&self) -> &Positions {
        &self.positions
    }

    async fn append(&mut self, rows: &[Safe], upto: &Positions) -> Result<Appended> {
        let mut batches = Vec::new();
        let sealer = self.inner.seal.sealer(&self.topic.name)?;
        for rows in rows {
            for (partition, own) in self.topic.split(rows.batch())? {
                batches.push((partition, batch::encode(&own, &sealer)?));
            }
        }
        let bytes = batches.iter().map(|(_, batch)| batch.value.len()).sum::<usize>().clamp(1, WAITING_BYTES);
        let room = self.inner.room.clone().acquire_many_owned(bytes as u32).await.ok();
        let append = Append {
            log: self.log.clone(),
            writer: self.writer.clone(),
            number: self.number,
            batches,
            upto: upto.clone(),
            _room: room,
        };
        let appended = self.inner.ask(|reply| Job::Append(append, reply)).await?;
        if appended == Appended::Done {
            self.positions.advance(upto);
        }
        Ok(appended)
    }
}

/// The topics that the store knows.
fn logs(db: &Database, meta: &Keyspace) -> Result<HashMap<String, Arc<Log>>> {
    let mut found = HashMap::new();
    for guard in meta.prefix("t\0") {
        let (key, value) = guard.into_inner().map_err(|e| stored("open the log", e))?;
        let name = String::from_utf8_lossy(&key[2..]).into_owned();
        let settings: Settings =
            serde_json::from_slice(&value).map_err(|e| data(&name, "its settings are broken").because(e))?;
        let log = Log::open(db, meta, &name, settings)?;
        found.insert(name, Arc::new(log));
    }
    Ok(found)
}

fn lock(logs: &Logs) -> Result<RwLockReadGuard<'_, HashMap<String, Arc<Log>>>> {
    logs.read().map_err(|_| Error::internal("look for a topic", "a thread died"))
}

fn data(name: &str, detail: &str) -> Error {
    Error::data(format!("read the log {name}"), detail)
}

/// What the store says when it can't.
fn stored(what: impl Into<String>, error: fjall::Error) -> Error {
    match error {
        fjall::Error::Io(error) => kernel::error::io(what, error),
        other => Error::new(Kind::Storage, what, "the store refused").because(other),
    }
}

//! The process that has the log.

use super::batch::Encoded;
use super::log::{Log, Logs, Settings};
use super::port::{Answer, Ask, Blobs, Port};
use super::stored;
use super::writer::{self, Append, Job, Reply, Writer};
use async_trait::async_trait;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use kernel::clock::Clock;
use kernel::{Error, Kind, Positions, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use tokio::sync::{Mutex, Semaphore, oneshot};

/// Bytes that may wait for the writing thread.
const WAITING_BYTES: usize = 64 << 20;

pub struct Owner {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    /// None between a failure to write and the next question.
    store: Mutex<Option<Arc<Store>>>,
}

impl Owner {
    /// Opens the store in this folder, or makes it. `Conflict` when another process has it. Blocks on the disk.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let store = Store::open(folder, clock.clone())?;
        Ok(Self { folder: folder.to_owned(), clock, store: Mutex::new(Some(Arc::new(store))) })
    }

    async fn store(&self) -> Result<Arc<Store>> {
        let mut kept = self.store.lock().await;
        if let Some(store) = kept.as_ref() {
            return Ok(store.clone());
        }
        let (folder, clock) = (self.folder.clone(), self.clock.clone());
        let opened = tokio::task::spawn_blocking(move || Store::open(&folder, clock)).await;
        let store = Arc::new(opened.map_err(|e| Error::internal("open the log", e))??);
        Ok(kept.insert(store).clone())
    }

    /// Lets go of a store that could not write: it takes nothing any more, though the disk may have room again.
    async fn let_go(&self, store: Arc<Store>) {
        let mut kept = self.store.lock().await;
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &store)) {
            *kept = None;
        }
        // The last one that holds it waits for its thread.
        let _ = tokio::task::spawn_blocking(move || drop(store)).await;
    }
}

#[async_trait]
impl Port for Owner {
    async fn ask(&self, ask: Ask, blobs: Blobs) -> Result<(Answer, Blobs)> {
        let store = self.store().await?;
        let answer = store.ask(ask, blobs).await;
        if !store.is_sound.load(Ordering::SeqCst) {
            self.let_go(store).await;
        }
        answer
    }
}

/// What is open on the disk.
struct Store {
    meta: Keyspace,
    logs: Logs,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    room: Arc<Semaphore>,
    is_sound: Arc<AtomicBool>,
    _db: Database,
}

impl Store {
    fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let what = || format!("open the log {}", folder.display());
        make(folder).map_err(|e| stored(what(), e))?;
        let db = Database::builder(folder).journal_compression(fjall::CompressionType::None).open();
        let db = db.map_err(|e| match e {
            fjall::Error::Locked => Error::new(Kind::Conflict, what(), "another process owns it"),
            other => stored(what(), other),
        })?;
        let meta = db.keyspace("meta", KeyspaceCreateOptions::default).map_err(|e| stored(what(), e))?;
        let logs: Logs = Arc::new(RwLock::new(logs(&db, &meta)?));
        let is_sound = Arc::new(AtomicBool::new(true));
        let writer = Writer {
            db: db.clone(),
            meta: meta.clone(),
            logs: logs.clone(),
            looked_at: clock.now(),
            clock,
            writers: HashMap::new(),
            is_sound: is_sound.clone(),
        };
        let (jobs, waiting) = channel();
        let thread = std::thread::Builder::new().name("lavra-log".into()).spawn(move || writer.run(&waiting));
        let thread = thread.map_err(|e| Error::internal(what(), "no thread could be started").because(e))?;
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        Ok(Self { meta, logs, jobs: Some(jobs), thread: Some(thread), room, is_sound, _db: db })
    }

    fn log(&self, topic: &str) -> Result<Arc<Log>> {
        let found = super::lock(&self.logs)?.get(topic).cloned();
        found.ok_or_else(|| {
            Error::project(format!("topic {topic}"), "there is no such topic in this log; make it first")
        })
    }

    async fn job<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T> {
        let gone = || Error::internal("ask the log", "its writing thread is gone");
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Of a writer (`w`) or a group (`g`).
    fn positions(&self, of: char, topic: &str, name: &str) -> Result<Answer> {
        self.log(topic)?;
        writer::positions(&self.meta, &format!("{of}\0{topic}\0{name}\0")).map(Answer::Positions)
    }

    async fn append(
        &self,
        topic: &str,
        writer: String,
        number: u64,
        batches: Vec<(u32, Encoded)>,
        upto: Positions,
    ) -> Result<Answer> {
        let bytes = batches.iter().map(|(_, batch)| batch.value.len()).sum::<usize>().clamp(1, WAITING_BYTES);
        let room = self.room.clone().acquire_many_owned(bytes as u32).await.ok();
        let append = Append { log: self.log(topic)?, writer, number, batches, upto, _room: room };
        self.job(|reply| Job::Append(append, reply)).await.map(Answer::Appended)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The thread ends when nobody can ask it any more, and with it the last hold on the store.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Store {
    async fn ask(&self, ask: Ask, blobs: Blobs) -> Result<(Answer, Blobs)> {
        let answer = match ask {
            Ask::Create { topic, settings } => {
                self.job(|reply| Job::Create(topic, settings, reply)).await.map(|()| Answer::Done)
            }
            Ask::Open { topic, writer } => {
                let log = self.log(&topic)?;
                let opened = self.job(|reply| Job::Open(log, writer, reply)).await;
                opened.map(|(number, positions)| Answer::Opened { number, positions })
            }
            Ask::Append { topic, writer, number, batches, upto } => {
                let is_meant =
                    |(partition, _): &(u32, u32)| self.log(&topic).is_ok_and(|log| log.partition(*partition).is_ok());
                if batches.len() != blobs.len() || !batches.iter().all(is_meant) {
                    return Err(Error::project(
                        format!("append to {topic}"),
                        "its batches have no bytes, or no partition",
                    ));
                }
                let batches = batches.into_iter().zip(blobs);
                let batches = batches.map(|((partition, rows), value)| (partition, Encoded { rows, value })).collect();
                self.append(&topic, writer, number, batches, upto).await
            }
            Ask::Fetch { topic, partition, from, bytes_max } => {
                let log = self.log(&topic)?;
                let fetched = tokio::task::spawn_blocking(move || log.fetch(partition, from, bytes_max));
                let fetched = fetched.await.map_err(|e| Error::internal("fetch from the log", e))??;
                let (keys, values) = fetched.into_iter().map(|stored| (stored.key, stored.value)).unzip();
                return Ok((Answer::Fetched(keys), values));
            }
            Ask::Ends { topic } => Ok(Answer::Ends(self.log(&topic)?.ends())),
            Ask::Appended { topic, writer } => self.positions('w', &topic, &writer),
            Ask::Consumed { topic, group } => self.positions('g', &topic, &group),
            Ask::Consume { topic, group, upto } => {
                let log = self.log(&topic)?;
                self.job(|reply| Job::Consume(log, group, upto, reply)).await.map(|()| Answer::Done)
            }
        };
        Ok((answer?, Blobs::new()))
    }
}

/// A store that is half made can be neither opened nor made again, so it gets its name when it is whole.
fn make(folder: &Path) -> fjall::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    // One at a time; the lock goes with the process that has it.
    let turn = File::create(folder.with_extension("turn"))?;
    turn.lock()?;
    if folder.is_dir() {
        return Ok(());
    }
    let half = folder.with_extension("half");
    match std::fs::remove_dir_all(&half) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
        _ => drop(Database::builder(&half).open()?),
    }
    std::fs::rename(&half, folder)?;
    // What is told to be durable is nothing in a folder whose name is lost.
    #[cfg(unix)]
    folder.parent().map(|parent| File::open(parent)?.sync_all()).transpose()?;
    Ok(())
}

/// The topics that the store knows.
fn logs(db: &Database, meta: &Keyspace) -> Result<HashMap<String, Arc<Log>>> {
    let mut found = HashMap::new();
    for guard in meta.prefix("t\0") {
        let (key, value) = guard.into_inner().map_err(|e| stored("open the log", e))?;
        let name = String::from_utf8_lossy(&key[2..]).into_owned();
        let settings: Settings =
            serde_json::from_slice(&value).map_err(|e| super::data(&name, "its settings are broken").because(e))?;
        let log = Log::open(db, meta, &name, settings)?;
        found.insert(name, Arc::new(log));
    }
    Ok(found)
}

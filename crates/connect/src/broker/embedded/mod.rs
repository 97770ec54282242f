//! The embedded log: batches in fjall, with one owner. An append is answered when it is on the disk; appends that wait
//! together are synced together. Other processes ask the owner through its door.

mod batch;
#[cfg(unix)]
mod door;
mod log;
mod owner;
mod port;
#[cfg(test)]
mod tests;
mod writer;

use async_trait::async_trait;
use batch::{Place, decode};
use kernel::broker::{Appended, Appender, Broker, Capabilities, Ends, Fetched, Topic};
use kernel::clock::Clock;
use kernel::gate::{Safe, Seal};
use kernel::{Error, Kind, Positions, Result};
use log::{Log, Logs, Settings};
use owner::Owner;
use port::{Answer, Ask, Blobs, Port};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

/// The embedded home. Clones of what it holds live in its appenders; when all are gone, the log is free for another owner.
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    /// What only an owner has. Before its port, so that it is closed first.
    #[cfg(unix)]
    _door: Option<door::Door>,
    port: Arc<dyn Port>,
    seal: Seal,
    is_owner: bool,
}

impl Embedded {
    /// Opens the log in this folder, or makes it; when another process has it, that one is asked. In a runtime, whose threads
    /// it blocks on the disk.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>, seal: Seal) -> Result<Self> {
        private(folder)?;
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let taken = match Owner::open(&folder.join("store"), clock.clone()) {
                Ok(owner) => return Ok(Self::owned(folder, Arc::new(owner), seal)),
                Err(error) if error.kind == Kind::Conflict => error,
                Err(error) => return Err(error),
            };
            match Self::of_another(folder, &seal, taken) {
                // Its owner is on its way in or out: the door opens behind the store, and closes before it.
                Err(error) if error.kind == Kind::Conflict && tries > 0 => std::thread::sleep(STEP),
                opened => return opened,
            }
        }
    }

    /// Whether this process has it. When not, its owner may end, and it is to be opened again.
    pub fn is_owner(&self) -> bool {
        self.inner.is_owner
    }

    #[cfg(unix)]
    fn owned(folder: &Path, owner: Arc<Owner>, seal: Seal) -> Self {
        let door = door::Door::open(&folder.join(DOOR), &owner);
        let door = door.inspect_err(|e| tracing::warn!("other processes can't ask for the log: {e}")).ok();
        Self { inner: Arc::new(Inner { port: owner, seal, is_owner: true, _door: door }) }
    }

    #[cfg(unix)]
    fn of_another(folder: &Path, seal: &Seal, error: Error) -> Result<Self> {
        let remote = door::Remote::find(&folder.join(DOOR)).map_err(|e| {
            Error::new(Kind::Conflict, error.what, "another process owns it, and does not answer: stop that one")
                .because(e)
        })?;
        Ok(Self { inner: Arc::new(Inner { port: Arc::new(remote), seal: seal.clone(), is_owner: false, _door: None }) })
    }

    #[cfg(not(unix))]
    fn owned(_: &Path, owner: Arc<Owner>, seal: Seal) -> Self {
        Self { inner: Arc::new(Inner { port: owner, seal, is_owner: true }) }
    }

    #[cfg(not(unix))]
    fn of_another(_: &Path, _: &Seal, error: Error) -> Result<Self> {
        Err(error)
    }
}

/// How often, and how far apart, a log is looked for that somebody else has.
const TRIES: u32 = 100;
const STEP: Duration = Duration::from_millis(50);

/// Beside the store. Its path has to be short, as those of sockets have.
#[cfg(unix)]
const DOOR: &str = "door";

/// Only who runs this may look into the folder, or knock at the door in it.
fn private(folder: &Path) -> Result<()> {
    let make = || {
        std::fs::create_dir_all(folder)?;
        #[cfg(unix)]
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        Ok(())
    };
    make().map_err(|e| kernel::error::io(format!("open the log {}", folder.display()), e))
}

impl Inner {
    async fn ask(&self, ask: Ask) -> Result<Answer> {
        self.port.ask(ask, Blobs::new()).await.map(|(answer, _)| answer)
    }

    async fn positions(&self, ask: Ask) -> Result<Positions> {
        match self.ask(ask).await? {
            Answer::Positions(positions) => Ok(positions),
            _ => Err(misunderstood()),
        }
    }
}

/// The owner is of another version of this program.
fn misunderstood() -> Error {
    Error::new(Kind::Conflict, "ask the process that has the log", "it answers in another way: is it another version?")
}

#[async_trait]
impl Broker for Embedded {
    fn capabilities(&self) -> Capabilities {
        Capabilities { transactions: true, fences: true }
    }

    async fn create(&self, topic: &Topic) -> Result<()> {
        let settings = Settings::new(topic.partitions, topic.retention);
        self.inner.ask(Ask::Create { topic: topic.name.clone(), settings }).await.map(drop)
    }

    async fn appender(&self, topic: &Topic, writer: &str) -> Result<Box<dyn Appender>> {
        let (inner, topic, writer) = (self.inner.clone(), topic.clone(), writer.to_owned());
        match inner.ask(Ask::Open { topic: topic.name.clone(), writer: writer.clone() }).await? {
            Answer::Opened { number, positions } => {
                Ok(Box::new(EmbeddedAppender { inner, topic, writer, number, positions }))
            }
            _ => Err(misunderstood()),
        }
    }

    async fn fetch(&self, topic: &Topic, partition: u32, from: u64, bytes_max: usize) -> Result<Fetched> {
        let ask = Ask::Fetch { topic: topic.name.clone(), partition, from, bytes_max };
        let (Answer::Fetched(keys), values) = self.inner.port.ask(ask, Blobs::new()).await? else {
            return Err(misunderstood());
        };
        let (topic, seal) = (topic.clone(), self.inner.seal.clone());
        let decoded = tokio::task::spawn_blocking(move || {
            let name = format!("{}/{partition}", topic.name);
            let place = Place { topic: &topic.name, name, schema: &topic.schema, seal: &seal };
            let mut fetched = Fetched { rows: Vec::new(), strangers: Vec::new(), next: from };
            for (key, value) in keys.into_iter().zip(values) {
                let skip = usize::try_from(fetched.next.saturating_sub(key.offset)).unwrap_or_default();
                match decode(&place, key, &value, skip)? {
                    Some(rows) => fetched.rows.push(rows),
                    None => fetched.strangers.push(key.offset),
                }
                fetched.next = key.next();
            }
            Ok(fetched)
        });
        decoded.await.map_err(|e| Error::internal("fetch from the log", e))?
    }

    async fn appended(&self, topic: &str, writer: &str) -> Result<Positions> {
        self.inner.positions(Ask::Appended { topic: topic.to_owned(), writer: writer.to_owned() }).await
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        match self.inner.ask(Ask::Ends { topic: topic.to_owned() }).await? {
            Answer::Ends(ends) => Ok(ends),
            _ => Err(misunderstood()),
        }
    }

    async fn consumed(&self, topic: &str, group: &str) -> Result<Positions> {
        self.inner.positions(Ask::Consumed { topic: topic.to_owned(), group: group.to_owned() }).await
    }

    async fn consume(&self, topic: &str, group: &str, upto: &Positions) -> Result<()> {
        let (topic, group) = (topic.to_owned(), group.to_owned());
        self.inner.ask(Ask::Consume { topic, group, upto: upto.clone() }).await.map(drop)
    }
}

struct EmbeddedAppender {
    inner: Arc<Inner>,
    topic: Topic,
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
        let (mut batches, mut blobs) = (Vec::new(), Blobs::new());
        let sealer = self.inner.seal.sealer(&self.topic.name)?;
        for rows in rows {
            for (partition, own) in self.topic.split(rows.batch())? {
                let encoded = batch::encode(&own, &sealer)?;
                batches.push((partition, encoded.rows));
                blobs.push(encoded.value);
            }
        }
        let (topic, writer) = (self.topic.name.clone(), self.writer.clone());
        let ask = Ask::Append { topic, writer, number: self.number, batches, upto: upto.clone() };
        let (Answer::Appended(appended), _) = self.inner.port.ask(ask, blobs).await? else {
            return Err(misunderstood());
        };
        if appended == Appended::Done {
            self.positions.advance(upto);
        }
        Ok(appended)
    }
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
        other => Error::new(Kind::Storage, what, format!("the store refused: {other}")).because(other),
    }
}

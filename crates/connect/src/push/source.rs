//! What came in by the door, as a source.

use super::delivery::{Delivery, Name, Names};
use super::door::{Door, router};
use super::options::Options;
use crate::files::json::{Layout, in_memory};
use crate::json_path::JsonPath;
use crate::spec::{Listening, Opening};
use async_trait::async_trait;
use kernel::error::{Error, Result};
use kernel::gate::{Raw, Screen};
use kernel::source::{Pulled, Source};
use kernel::{Entity, Point, Positions};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// How long `next` waits for the first delivery before it says that there is nothing now. Commits and answers wait for it.
const LINGER: Duration = Duration::from_millis(20);

/// Deliveries in the order in which they came. A delivery is taken whole, a batch has as many as fit.
///
/// The position counts the rows, and has the names of the last deliveries: who got no answer because this process died
/// after the commit sends again, and is answered that it was taken.
pub struct Push {
    entity: Arc<Entity>,
    partition: Arc<str>,
    inbox: mpsc::UnboundedReceiver<Delivery>,
    /// Came in, and are in no batch yet.
    held: VecDeque<Delivery>,
    /// Were given, and are not durable yet.
    given: VecDeque<Given>,
    rows: u64,
    /// Names of the last deliveries that were given, hashed.
    last: VecDeque<u64>,
    names_max: usize,
}

struct Given {
    /// Rows up to and with it.
    upto: u64,
    name: Option<Name>,
    done: oneshot::Sender<()>,
    _room: OwnedSemaphorePermit,
}

/// The token of the position.
#[derive(Default, Serialize, Deserialize)]
struct Token {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
}

pub fn listen(opening: &Opening, screen: Arc<dyn Screen>) -> Result<Listening> {
    let (door, source) = parts(opening, screen)?;
    Ok(Listening { path: door.options.path.clone(), router: router(door), source: Box::new(source) })
}

pub(super) fn parts(opening: &Opening, screen: Arc<dyn Screen>) -> Result<(Door, Push)> {
    let options = Options::read(&opening.source, &opening.options)?;
    let wrong = |why: String| Error::project(format!("source `{}`", opening.source), why);
    let partition: Arc<str> = options.path.as_str().into();
    let (rows, last) = begin(&opening.from, &partition)?;
    let (queue, inbox) = mpsc::unbounded_channel();
    let entity = Arc::new(opening.entity.clone());
    let source = Push {
        entity: entity.clone(),
        partition,
        inbox,
        held: VecDeque::new(),
        given: VecDeque::new(),
        rows,
        names_max: options.repeats_max,
        last: last.iter().copied().collect(),
    };
    let door = Door {
        records: JsonPath::parse(&options.records).map_err(wrong)?,
        clock: opening.clock.clone(),
        names: Names::new(&last, options.repeats_max),
        room: Arc::new(Semaphore::new(options.queue_bytes_max)),
        queue,
        entity,
        screen,
        has_told: AtomicBool::new(false),
        options,
    };
    Ok((door, source))
}

fn begin(from: &Positions, partition: &str) -> Result<(u64, Vec<u64>)> {
    let strange = || {
        let detail = "its position was written by another connector, or by another version of this one; take it into \
                      another table (`into`)";
        Error::data(format!("go on with {partition}"), detail)
    };
    match from.get(partition) {
        None => Ok((0, Vec::new())),
        Some(Point::Mark { rows, token, .. }) => {
            let token: Token = serde_json::from_str(token).map_err(|_| strange())?;
            let names = token.names.iter().map(|name| u64::from_str_radix(name, 16));
            Ok((*rows, names.collect::<Result<_, _>>().map_err(|_| strange())?))
        }
        Some(Point::Offset(_) | Point::File { .. }) => Err(strange()),
    }
}

impl Push {
    #[cfg(test)]
    pub(super) fn num_waiting(&self) -> usize {
        self.inbox.len()
    }

    /// Waits a moment for the first delivery, and takes as many as are there and fit. Who drops this call has taken nothing.
    async fn gather(&mut self, bytes_max: usize) {
        if self.held.is_empty() {
            match timeout(LINGER, self.inbox.recv()).await {
                Ok(Some(delivery)) => self.held.push_back(delivery),
                // Nobody can send any more.
                Ok(None) => tokio::time::sleep(LINGER).await,
                Err(_) => {}
            }
        }
        let mut bytes: usize = self.held.iter().map(|delivery| delivery.records.len()).sum();
        while bytes < bytes_max
            && let Ok(delivery) = self.inbox.try_recv()
        {
            bytes += delivery.records.len();
            self.held.push_back(delivery);
        }
    }

    fn give(&mut self) -> Result<Pulled> {
        let mut text = vec![b'['];
        for delivery in &self.held {
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(&delivery.records);
        }
        text.push(b']');
        let first = i64::try_from(self.rows + 1).unwrap_or(i64::MAX);
        let range = 0..text.len();
        // The door read each delivery in the same way, so that this can't fail because of what is in it.
        let piece = in_memory(text, range, Layout::Array, first, &self.entity)
            .map_err(|why| Error::internal(format!("take {} in", self.partition), why))?;
        let rows = Raw::new(piece.batch, self.partition.clone(), piece.offsets)?.with_malformed(piece.malformed);
        for delivery in self.held.drain(..) {
            self.rows += delivery.count;
            self.last.extend(delivery.name.as_ref().and_then(|name| name.label.kept_name()));
            let Delivery { name, done, room, .. } = delivery;
            self.given.push_back(Given { upto: self.rows, name, done, _room: room });
        }
        let surplus = self.last.len().saturating_sub(self.names_max);
        self.last.drain(..surplus);
        let token = Token { names: self.last.iter().map(|name| format!("{name:x}")).collect() };
        let token = serde_json::to_string(&token).map_err(|e| Error::internal("write a position", &e))?;
        let mut upto = Positions::new();
        upto.set(&*self.partition, Point::Mark { rows: self.rows, token, done: false });
        Ok(Pulled { rows: rows.into(), upto, whole: true })
    }
}

/// Of a run that comes to an end: what is sent is taken in by the process that listens, and nothing else is there.
pub struct Nobody;

#[async_trait]
impl Source for Nobody {
    async fn next(&mut self, _bytes_max: usize) -> Result<Option<Pulled>> {
        tracing::info!("others push to this source: `lavra up` listens for them");
        Ok(None)
    }

    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Source for Push {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        self.gather(bytes_max).await;
        // From here on nothing waits.
        if self.held.is_empty() { Ok(None) } else { self.give().map(Some) }
    }

    async fn awake(&mut self) {
        if self.held.is_empty() {
            match self.inbox.recv().await {
                Some(delivery) => self.held.push_back(delivery),
                None => std::future::pending().await,
            }
        }
    }

    /// Answers those whose rows are durable.
    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        let Some(Point::Mark { rows, .. }) = upto.get(&self.partition) else { return Ok(()) };
        while self.given.front().is_some_and(|given| given.upto <= *rows) {
            let Some(given) = self.given.pop_front() else { break };
            if let Some(name) = given.name {
                name.committed();
            }
            // Who does not wait any more sends again, and is answered by the name.
            let _ = given.done.send(());
        }
        Ok(())
    }
}

//! One long-running process: each source has a task that owns it with its gate and its sink, and fails by itself.
//!
//! A source that fails is opened again from what the lake has committed, after a wait; nothing of it is kept in memory over
//! a failure. So a process that is killed at any point and started again is no different from one that had an error.

mod board;
mod event;
mod line;
mod refine;
#[cfg(test)]
mod tests;

pub use board::{Board, Failure, Lag, LineState, SourceView};
pub use event::{Tell, UpEvent};
pub use refine::Refine;

use crate::ingest::Pace;
use crate::lease::{LEASE, Leases};
use crate::run::Retry;
use crate::timetable::Timetable;
use async_trait::async_trait;
use kernel::clock::{Clock, Timestamp};
use kernel::error::Result;
use kernel::gate::Gate;
use kernel::sink::Sink;
use kernel::source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often what waits is counted of sources that are being read.
const LAG_EVERY: Duration = Duration::from_secs(15);

/// A source that is counted for longer than this is left uncounted.
const LAG_LIMIT: Duration = Duration::from_secs(30);

/// A source with its gate and its sink, behind what was committed.
pub struct Opened {
    pub source: Box<dyn Source>,
    pub gate: Gate,
    pub sink: Box<dyn Sink>,
    /// Of the table.
    pub version: Option<u64>,
}

/// What a source's task needs of the roof.
#[async_trait]
pub trait Lines: Send + Sync {
    /// Opens a source behind what the lake has committed of it. Called at its start and after every failure.
    async fn open(&self, source: &str) -> Result<Opened>;

    /// What waits to be read.
    async fn lag(&self, source: &str) -> Result<Lag>;

    /// When the outside systems of a source may be called again; `None` when they may be called now.
    fn retry_at(&self, source: &str) -> Option<Timestamp>;

    /// Nobody is let in any more, and who was handing rows over has his answer.
    async fn are_left(&self) {}
}

/// A source that this process is to take in.
#[derive(Debug, Clone)]
pub struct Planned {
    pub source: String,
    pub timetable: Timetable,
    pub commit_every: Duration,
    /// What its way asks of the usual pace.
    pub pace: fn(Pace) -> Pace,
    /// Whether models are made of what it commits.
    pub feeds_models: bool,
}

#[derive(Debug, Clone)]
pub struct UpOptions {
    /// Bytes of one batch.
    pub batch_bytes: usize,
    pub commit_bytes: usize,
    /// How long to wait before a source that has nothing more is asked again, at most: it is asked as often as it may commit.
    pub ask_again: Duration,
    /// Waits behind failures that may heal.
    pub retry: Retry,
    /// Waits behind failures that somebody has to mend.
    pub mend: Retry,
    /// Models are made no more often than this.
    pub models_every: Duration,
    /// How long the end may take.
    pub drain_timeout: Duration,
    /// Sources that are not taken in here, and are read by models that are made here.
    pub others: Vec<String>,
    /// Of the waits.
    pub seed: u64,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            batch_bytes: 8 << 20,
            commit_bytes: 256 << 20,
            ask_again: Duration::from_secs(1),
            retry: Retry { attempts_max: 0, base: Duration::from_secs(1), delay_max: Duration::from_secs(60) },
            mend: Retry { attempts_max: 0, base: Duration::from_secs(30), delay_max: Duration::from_secs(300) },
            models_every: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            others: Vec::new(),
            seed: 0,
        }
    }
}

/// What the tasks of a process share.
pub struct Up {
    pub lines: Arc<dyn Lines>,
    pub leases: Arc<Leases>,
    pub board: Arc<Board>,
    pub clock: Arc<dyn Clock>,
    pub options: UpOptions,
    pub tell: Tell,
    /// Makes what depends on the sources; none in a process for sources alone.
    pub refine: Option<Arc<dyn Refine>>,
    /// Cancelled to end it: nobody is let in any more, and then nothing more is pulled; what is whole is committed.
    pub cancel: CancellationToken,
    /// Cancelled when nothing more is pulled.
    stop: CancellationToken,
    state: State,
}

#[derive(Default)]
struct State {
    /// Sources with commits that no model has seen.
    changed: Mutex<BTreeSet<String>>,
    news: Notify,
    /// Ends a source's task alone, when its lease was lost.
    tokens: Mutex<BTreeMap<String, CancellationToken>>,
}

impl Up {
    #[allow(clippy::too_many_arguments, reason = "each is somebody else's part, named where it is put in")]
    pub fn new(
        lines: Arc<dyn Lines>,
        leases: Arc<Leases>,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
        options: UpOptions,
        tell: Tell,
        refine: Option<Arc<dyn Refine>>,
        cancel: CancellationToken,
    ) -> Arc<Self> {
        let (stop, state) = (CancellationToken::new(), State::default());
        Arc::new(Self { lines, leases, board, clock, options, tell, refine, cancel, stop, state })
    }

    /// Runs until it is cancelled; answers the sources whose tasks did not end in time, which were dropped where they
    /// stood.
    pub async fn run(self: Arc<Self>, planned: Vec<Planned>) -> Vec<String> {
        let mut helpers = JoinSet::new();
        helpers.spawn(self.clone().keep_leases());
        helpers.spawn(self.clone().count_lag());
        // What was committed while nobody was here.
        let feeding = planned.iter().filter(|planned| planned.feeds_models).map(|planned| planned.source.clone());
        self.changed(feeding.chain(self.options.others.clone()));
        let names: Vec<String> = planned.iter().map(|planned| planned.source.clone()).collect();
        let mut tasks = JoinSet::new();
        if self.refine.is_some() {
            tasks.spawn(self.clone().refine_on_and_on());
        }
        planned.into_iter().for_each(|planned| drop(tasks.spawn(line::line(self.clone(), planned))));
        self.cancel.cancelled().await;
        (self.tell)(UpEvent::Draining);
        let drain = async {
            // Who is slow to hand something over leaves time for the others to end in.
            let _ = tokio::time::timeout(self.options.drain_timeout / 2, self.lines.are_left()).await;
            self.stop.cancel();
            while tasks.join_next().await.is_some() {}
        };
        let is_drained = tokio::time::timeout(self.options.drain_timeout, drain).await.is_ok();
        helpers.abort_all();
        let is_left = |name: &String| self.board.state(name) != Some(LineState::Stopped);
        let left: Vec<String> = names.into_iter().filter(|name| !is_drained && is_left(name)).collect();
        tasks.shutdown().await;
        // Other processes need not wait for the end of the leases. If the ledger is gone they have to.
        let _ = self.leases.release_all().await;
        (self.tell)(UpEvent::Stopped { left: left.clone() });
        left
    }

    fn changed(&self, sources: impl IntoIterator<Item = String>) {
        self.state.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(sources);
        self.state.news.notify_one();
    }

    /// A token that ends a source's task: with the process, or when its lease was lost.
    fn token(&self, source: &str) -> CancellationToken {
        let token = self.stop.child_token();
        let mut tokens = self.state.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(source.to_owned(), token.clone());
        token
    }

    async fn keep_leases(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LEASE / 3).await;
            // An error of the ledger is told by whoever claims next; until then the leases run on.
            for lost in self.leases.renew().await {
                let tokens = self.state.tokens.lock().unwrap_or_else(PoisonError::into_inner);
                tokens.get(&lost).into_iter().for_each(CancellationToken::cancel);
            }
        }
    }

    /// Sources that other processes take in.
    fn others(&self) -> impl Iterator<Item = String> {
        let views = self.board.views();
        let elsewhere = views.into_iter().filter(|view| view.state == LineState::Elsewhere).map(|view| view.source);
        self.options.others.iter().cloned().chain(elsewhere)
    }

    async fn count_lag(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LAG_EVERY).await;
            let running = |view: &SourceView| view.state == LineState::Running;
            for view in self.board.views().into_iter().filter(running) {
                let lag = tokio::time::timeout(LAG_LIMIT, self.lines.lag(&view.source)).await;
                if let (Ok(Ok(lag)), Some(LineState::Running)) = (lag, self.board.state(&view.source)) {
                    self.board.lags(&view.source, lag);
                }
            }
        }
    }
}

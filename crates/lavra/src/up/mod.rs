//! The long-running process: the parts that `orchestrate::up` asks of the roof, and how it is seen from outside.

mod doors;
mod entrance;
mod http;
mod lines;
mod metrics;
mod models;
mod pause;
mod signals;
mod state;
mod tell;

pub use http::is_own;
pub use signals::Signals;
pub use state::{ProcessState, ProcessView, is_over, processes};

use crate::project::{STATE, Source};
use crate::show::{Format, plural};
use crate::wiring::{Failure, Wiring};
use crate::work::ProjectWork;
use axum::Router;
use doors::Doors;
use kernel::error::{Error, Result};
use lines::ProjectLines;
use models::{Below, Models};
use orchestrate::lock::{Presence, is_asked_to_make_way, is_dead};
use orchestrate::up::{Board, Refine, Up, UpEvent, UpOptions};
use orchestrate::{Breakers, Holder, Leases, Retry, RunLock, SqliteLedger};
use pause::Unready;
use state::Desk;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tell::Teller;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where it is served unless something else is said.
const LISTEN: &str = "127.0.0.1:7400";

/// How long answers that are made may take to be read.
const GOODBYE: Duration = Duration::from_secs(2);

/// How often it is looked whether somebody wants the project alone.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Batches of one source that are in memory at once, with what the source reads ahead.
const BATCHES_HELD: usize = 4;

/// What a process is started for.
pub struct Call {
    pub command: String,
    /// The sources' names.
    pub sources: Vec<String>,
    /// Sources of other processes, whose models are made here all the same.
    pub others: Vec<String>,
    /// Whether it makes the models too.
    pub with_models: bool,
    /// An address; `None` is the project's or the usual one.
    pub listen: Option<String>,
    pub quiet: bool,
    pub format: Format,
}

/// Runs until it is told to end; gives the exit code. For a command that needs the project alone it makes way: it drains,
/// and goes on with what is new when that has ended.
pub async fn run(wiring: Arc<Wiring>, call: Call) -> Result<u8, Failure> {
    let mut signals = Signals::listen()?;
    let state = wiring.ask.folder.join(STATE);
    let mut holder = Holder::of_this_process(&call.command, wiring.clock.as_ref());
    holder.makes_way = true;
    let mut lock = RunLock::share(&state, &holder)?;
    let _presence = Presence::show(&state, &holder)?;
    wiring.clear_spill()?;
    let teller = Arc::new(Teller::new(call.quiet, call.format));
    let process = Process { wiring, call, holder, state, teller };
    let mut begun = process.begin(None).await.map_err(|unready| unready.error)?;
    loop {
        let paused = match process.round(begun, &mut signals).await? {
            (Round::Ended(outcome), _) => return ended(outcome),
            (Round::MadeWay, view) => view,
        };
        drop(lock);
        match process.come_back(paused, &mut signals).await? {
            Some(again) => (begun, lock) = again,
            None => return Ok(0),
        }
    }
}

/// What stays the same from its start to its end.
struct Process {
    wiring: Arc<Wiring>,
    call: Call,
    holder: Holder,
    /// The project's state folder.
    state: PathBuf,
    teller: Arc<Teller>,
}

/// What was opened before any source is.
struct Begun {
    parts: Parts,
    server: TcpListener,
    registry: Option<Router>,
}

impl Process {
    /// Opens what a round needs; `before` is where the round before was found.
    async fn begin(&self, before: Option<SocketAddr>) -> Result<Begun, Unready> {
        let (wiring, call) = (&self.wiring, &self.call);
        let parts = Parts::make(wiring, call, &self.holder, self.teller.clone()).await?;
        let listen = call.listen.as_deref().or(wiring.project.config.up.listen.as_deref());
        let server = http::bind(listen, call.with_models, before).await;
        // Who has the address now may leave it.
        let server = server.map_err(|error| Unready { error, may_pass: true })?;
        let registry = http::registry(wiring, server.local_addr().ok()).await?;
        Ok(Begun { parts, server, registry })
    }

    /// From the opening of all sources to the end, or to making way; with the document of it.
    async fn round(&self, begun: Begun, signals: &mut Signals) -> Result<(Round, ProcessView), Failure> {
        let (Begun { parts, server, registry }, wiring, call) = (begun, &self.wiring, &self.call);
        let desk = parts.desk(wiring, self.holder.clone(), server.local_addr().ok(), self.state.clone());
        let desk = Arc::new(desk);
        state::clear(&self.state, |name| parts.is_of_others(name, call.with_models));
        self.teller.started(&desk.view(), &left_out(wiring, &parts.sources));
        let (doors, closed) = (parts.lines.doors.clone(), CancellationToken::new());
        let mut serving = tokio::spawn(http::serve(server, desk.clone(), doors.clone(), registry, closed.clone()));
        let writing = tokio::spawn(desk.clone().write_on_and_on());
        let planned = parts.lines.planned();
        let cancel = parts.cancel.clone();
        let late = tokio::spawn(too_late(cancel.clone(), wiring.project.config.up.drain_timeout()));
        let up = parts.up(wiring);
        let running = async {
            let mut left = up.run(planned).await;
            left.extend(let_out(&doors, late).await);
            left
        };
        let round = until_told(running, &cancel, &self.state, signals).await;
        closed.cancel();
        let is_in_a_hurry = matches!(round, Round::Ended(None));
        if is_in_a_hurry || tokio::time::timeout(GOODBYE, &mut serving).await.is_err() {
            serving.abort();
        }
        writing.abort();
        let _ = writing.await;
        let is_good = matches!(&round, Round::Ended(Some(left)) if left.is_empty());
        let end = if matches!(round, Round::MadeWay) { ProcessState::Paused } else { ProcessState::Stopped };
        let view = ProcessView { state: end, ..desk.view() };
        self.show(&view);
        if call.format == Format::Json && is_good {
            println!("{}", serde_json::to_string(&view).map_err(|e| Error::internal("print", e))?);
        }
        Ok((round, view))
    }
}

/// Ends when the end has taken as long as it may.
async fn too_late(cancel: CancellationToken, drain_timeout: Duration) {
    cancel.cancelled().await;
    tokio::time::sleep(drain_timeout).await;
}

/// Waits for those who are being answered, and for refresh tokens that are on their way into their files; tells of what was not
/// in time.
async fn let_out(doors: &Doors, mut late: JoinHandle<()>) -> Vec<String> {
    let all = async {
        doors.are_left().await;
        connect::rest::tokens_are_kept().await;
    };
    tokio::select! {
        biased;
        () = all => {}
        _ = &mut late => {}
    }
    late.abort();
    let left = [(doors.inside(), "request"), (connect::rest::tokens_under_way(), "refresh token")];
    left.into_iter().filter(|(left, _)| *left > 0).map(|(left, what)| plural(left as u64, what)).collect()
}

enum Round {
    /// The sources that did not end in time; `None` when nothing was waited for.
    Ended(Option<Vec<String>>),
    MadeWay,
}

/// What a process is made of.
struct Parts {
    sources: Vec<Source>,
    others: Vec<String>,
    leases: Arc<Leases>,
    teller: Arc<Teller>,
    breakers: Arc<Breakers>,
    lines: Arc<ProjectLines>,
    board: Arc<Board>,
    models: Option<Arc<Models>>,
    cancel: CancellationToken,
}

impl Parts {
    async fn make(wiring: &Arc<Wiring>, call: &Call, holder: &Holder, teller: Arc<Teller>) -> Result<Self> {
        let leases = leases(wiring, holder.clone()).await?;
        let work = Arc::new(work(wiring).await?);
        let sources = chosen(wiring, &call.sources);
        // A mask without its key is found before anything is read.
        for source in &sources {
            work.gate(source)?;
        }
        wiring.register_schemas(&sources.iter().collect::<Vec<_>>()).await?;
        let up = &wiring.project.config.up;
        let told = teller.clone();
        let tell = move |turned| told.tell(&UpEvent::BreakerTurned(turned));
        let breakers = Breakers::new(up.breaker(), up.call_timeout(), wiring.clock.clone(), tell);
        let lines = Arc::new(ProjectLines::new(wiring.clone(), work.clone(), &breakers, &sources)?);
        let board = Arc::new(Board::new(wiring.clock.clone(), lines.shown()));
        let below = || Below::new(&wiring.project.dag, &call.sources, &call.others);
        let models = call.with_models.then(|| Arc::new(Models::new(work, leases.clone(), teller.clone(), below())));
        let others = call.others.clone();
        Ok(Self { sources, others, leases, teller, breakers, lines, board, models, cancel: CancellationToken::new() })
    }

    /// Whether a source is for another process to take in.
    fn is_of_others(&self, name: &str, with_models: bool) -> bool {
        match with_models {
            true => self.others.iter().any(|other| name == other || name == crate::relay::line(other)),
            // Of what a worker was not told of, it knows nothing.
            false => self.lines.shown().iter().all(|(own, ..)| own != name),
        }
    }

    fn desk(&self, wiring: &Wiring, holder: Holder, address: Option<SocketAddr>, folder: PathBuf) -> Desk {
        Desk {
            holder,
            project: wiring.project.config.project.clone(),
            environment: wiring.ask.environment.clone(),
            address,
            clock: wiring.clock.clone(),
            board: self.board.clone(),
            breakers: self.breakers.clone(),
            models: self.models.clone(),
            cancel: self.cancel.clone(),
            folder,
        }
    }

    fn up(self, wiring: &Wiring) -> Arc<Up> {
        let others = self.models.as_ref().map(|models| models.others()).unwrap_or_default();
        let options = UpOptions { others, ..options(wiring, self.sources.len()) };
        let teller = self.teller;
        let tell: orchestrate::up::Tell = Arc::new(move |event| teller.tell(&event));
        let refine = self.models.map(|models| models as Arc<dyn Refine>);
        Up::new(self.lines, self.leases, self.board, wiring.clock.clone(), options, tell, refine, self.cancel)
    }
}

/// Waits for the end: a first signal asks for it, a second one does not wait.
async fn until_told(
    running: impl Future<Output = Vec<String>>,
    cancel: &CancellationToken,
    state: &Path,
    signals: &mut Signals,
) -> Round {
    let mut running = std::pin::pin!(running);
    let mut makes_way = tokio::select! {
        left = &mut running => return Round::Ended(Some(left)),
        () = signals.told_to_end() => false,
        () = asked_to_make_way(state) => true,
    };
    cancel.cancel();
    loop {
        tokio::select! {
            left = &mut running => return if makes_way { Round::MadeWay } else { Round::Ended(Some(left)) },
            // Who makes way is told for the first time.
            () = signals.told_to_end() => if !std::mem::take(&mut makes_way) { return Round::Ended(None) },
        }
    }
}

async fn asked_to_make_way(state: &Path) {
    while !is_asked_to_make_way(state) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn ended(outcome: Option<Vec<String>>) -> Result<u8, Failure> {
    let stopped = |detail: String| Error::new(kernel::Kind::Stopped, "drain", detail);
    match outcome {
        Some(left) if left.is_empty() => Ok(0),
        Some(left) => Err(stopped(format!("{} did not end in time and were dropped", left.join(", "))).into()),
        None => Err(stopped("told a second time, so nothing was waited for".into()).into()),
    }
}

/// The leases of this process in the project's ledger.
pub async fn leases(wiring: &Wiring, holder: Holder) -> Result<Arc<Leases>> {
    let state = wiring.ask.folder.join(STATE);
    let ledger = SqliteLedger::open(wiring.ledger_file()).await?;
    let dead = move |holder: &Holder| is_dead(&state, holder);
    Ok(Arc::new(Leases::new(Arc::new(ledger), holder, wiring.clock.clone(), dead)))
}

async fn work(wiring: &Arc<Wiring>) -> Result<ProjectWork> {
    ProjectWork::new(wiring, uuid::Uuid::now_v7().to_string(), 1).await
}

fn chosen(wiring: &Wiring, names: &[String]) -> Vec<Source> {
    let all = wiring.project.sources.iter();
    all.filter(|source| names.contains(&source.name)).cloned().collect()
}

/// Sources that only `lavra run` takes in.
fn left_out(wiring: &Wiring, sources: &[Source]) -> Vec<String> {
    let is_taken = |name: &String| sources.iter().any(|source| source.name == *name);
    let all = wiring.project.sources.iter().filter(|source| source.config.schedule.is_none());
    all.map(|source| source.name.clone()).filter(|name| !is_taken(name)).collect()
}

/// A quarter of the memory is for rows on their way, in equal parts for all sources; the rest is for models.
fn options(wiring: &Wiring, sources: usize) -> UpOptions {
    let up = &wiring.project.config.up;
    let usual = UpOptions::default();
    let share = wiring.ask.memory / 4 / sources.max(1) / BATCHES_HELD;
    UpOptions {
        batch_bytes: share.clamp(64 << 10, usual.batch_bytes),
        retry: Retry { delay_max: up.retry_max(), ..usual.retry },
        mend: Retry { base: up.retry_max() / 2, delay_max: up.retry_max() * 5, ..usual.mend },
        models_every: up.models_every(),
        drain_timeout: up.drain_timeout(),
        seed: fastrand::u64(..),
        ..usual
    }
}

//! How each source is doing, for whoever asks.

use crate::ingest::Ingested;
use crate::lock::Holder;
use crate::run::Fault;
use kernel::clock::{Clock, Timestamp};
use kernel::error::{Error, advice};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The rate is that of the last seconds.
const RATE_SECONDS: i64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// It is being opened.
    Starting,
    /// Rows come in.
    Running,
    /// There is nothing more now.
    Idle,
    /// Its time has not come.
    Waiting,
    /// It failed by what may heal, and is tried again; until it has gone on, also while it is.
    Retrying,
    /// The same of what somebody has to mend; it is tried again, but not often.
    Failed,
    /// Another process takes it in.
    Elsewhere,
    Stopped,
}

impl LineState {
    pub const ALL: [LineState; 8] = [
        LineState::Starting,
        LineState::Running,
        LineState::Idle,
        LineState::Waiting,
        LineState::Retrying,
        LineState::Failed,
        LineState::Elsewhere,
        LineState::Stopped,
    ];

    pub fn word(self) -> &'static str {
        match self {
            LineState::Starting => "starting",
            LineState::Running => "running",
            LineState::Idle => "idle",
            LineState::Waiting => "waiting",
            LineState::Retrying => "retrying",
            LineState::Failed => "failed",
            LineState::Elsewhere => "elsewhere",
            LineState::Stopped => "stopped",
        }
    }
}

/// What waits to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    pub partitions: u64,
    /// Of the partitions whose size is known.
    pub bytes: u64,
}

/// An error, and when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub at: i64,
    pub error: String,
    /// Named as its page under `docs/errors/`.
    pub kind: String,
    /// What to do about it.
    pub remedy: String,
}

/// One source, as it is shown. Times are microseconds since 1970; totals are since the process started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceView {
    pub source: String,
    pub schedule: String,
    /// The outside system that it reads, whose breaker it shares with others.
    pub system: String,
    pub state: LineState,
    pub lag: Option<Lag>,
    pub lag_at: Option<i64>,
    pub rows_per_second: f64,
    pub rows_read: u64,
    pub bytes_read: u64,
    pub rows_committed: u64,
    pub rows_quarantined: u64,
    pub commits: u64,
    pub failures: u64,
    /// Of its bronze table.
    pub version: Option<u64>,
    pub committed_at: Option<i64>,
    pub last_failure: Option<Failure>,
    /// When it is opened next, while it waits for that.
    pub next_at: Option<i64>,
    /// Who has it, when it is elsewhere.
    pub holder: Option<Holder>,
}

struct Entry {
    view: SourceView,
    /// Rows by second, the last ones.
    rows: VecDeque<(i64, u64)>,
    /// What this opening has committed, which is told as a total of its own.
    of_opening: Ingested,
}

impl Entry {
    /// Goes to a state that is no success yet: whoever looks has to see a failure until there is one, which is a commit, or
    /// that there is nothing more.
    fn is_now(&mut self, state: LineState) {
        if !self.is_in_trouble() {
            self.view.state = state;
        }
    }

    fn is_in_trouble(&self) -> bool {
        matches!(self.view.state, LineState::Retrying | LineState::Failed)
    }
}

/// The sources of one process.
pub struct Board {
    clock: Arc<dyn Clock>,
    sources: Mutex<BTreeMap<String, Entry>>,
}

impl Board {
    /// Sources as name, schedule and outside system.
    pub fn new(clock: Arc<dyn Clock>, sources: impl IntoIterator<Item = (String, String, String)>) -> Self {
        let entry = |(source, schedule, system): (String, String, String)| {
            let view = SourceView {
                source: source.clone(),
                schedule,
                system,
                state: LineState::Starting,
                lag: None,
                lag_at: None,
                rows_per_second: 0.0,
                rows_read: 0,
                bytes_read: 0,
                rows_committed: 0,
                rows_quarantined: 0,
                commits: 0,
                failures: 0,
                version: None,
                committed_at: None,
                last_failure: None,
                next_at: None,
                holder: None,
            };
            (source, Entry { view, rows: VecDeque::new(), of_opening: Ingested::default() })
        };
        Self { clock, sources: Mutex::new(sources.into_iter().map(entry).collect()) }
    }

    pub fn views(&self) -> Vec<SourceView> {
        let second = self.clock.now().0.div_euclid(1_000_000);
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let view = |entry: &Entry| {
            let recent = entry.rows.iter().filter(|(at, _)| *at > second - RATE_SECONDS);
            let rows: u64 = recent.map(|(_, rows)| rows).sum();
            SourceView { rows_per_second: rows as f64 / RATE_SECONDS as f64, ..entry.view.clone() }
        };
        sources.values().map(view).collect()
    }

    pub fn state(&self, source: &str) -> Option<LineState> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.get(source).map(|entry| entry.view.state)
    }

    /// It is being opened. One that failed is not over it by that.
    pub(super) fn starts(&self, source: &str) {
        self.on(source, |entry, _| {
            entry.is_now(LineState::Starting);
            (entry.view.next_at, entry.view.holder) = (None, None);
        });
    }

    /// It has come to its end, or its failures are over.
    pub(super) fn is(&self, source: &str, state: LineState) {
        self.on(source, |entry, _| {
            (entry.view.state, entry.view.next_at, entry.view.holder) = (state, None, None);
        });
    }

    pub(super) fn waits(&self, source: &str, until: Timestamp) {
        self.on(source, |entry, _| {
            (entry.view.state, entry.view.next_at, entry.view.holder) = (LineState::Waiting, Some(until.0), None);
        });
    }

    pub(super) fn elsewhere(&self, source: &str, holder: Holder) {
        self.on(source, |entry, _| (entry.view.state, entry.view.holder) = (LineState::Elsewhere, Some(holder)));
    }

    pub(super) fn opened(&self, source: &str, version: Option<u64>) {
        self.on(source, |entry, _| {
            entry.is_now(LineState::Running);
            entry.view.version = version.or(entry.view.version);
            entry.of_opening = Ingested::default();
        });
    }

    pub(super) fn read(&self, source: &str, rows: u64, bytes: u64) {
        self.on(source, |entry, now| {
            entry.is_now(LineState::Running);
            entry.view.rows_read += rows;
            entry.view.bytes_read += bytes;
            let second = now.0.div_euclid(1_000_000);
            match entry.rows.back_mut() {
                Some((at, count)) if *at == second => *count += rows,
                _ => entry.rows.push_back((second, rows)),
            }
            while entry.rows.front().is_some_and(|(at, _)| *at <= second - RATE_SECONDS) {
                entry.rows.pop_front();
            }
        });
    }

    pub(super) fn idle(&self, source: &str) {
        self.on(source, |entry, now| {
            entry.view.state = LineState::Idle;
            (entry.view.lag, entry.view.lag_at) = (Some(Lag::default()), Some(now.0));
        });
    }

    pub(super) fn lags(&self, source: &str, lag: Lag) {
        self.on(source, |entry, now| (entry.view.lag, entry.view.lag_at) = (Some(lag), Some(now.0)));
    }

    /// Takes all that an opening has committed; answers the rows and quarantined rows that are new.
    pub(super) fn committed(&self, source: &str, all: &Ingested) -> (u64, u64) {
        self.on(source, |entry, now| {
            let before = std::mem::replace(&mut entry.of_opening, all.clone());
            let rows = all.tally.rows_passed - before.tally.rows_passed;
            let aside = all.tally.rows_quarantined - before.tally.rows_quarantined;
            if entry.is_in_trouble() {
                entry.view.state = LineState::Running;
            }
            entry.view.rows_committed += rows;
            entry.view.rows_quarantined += aside;
            entry.view.commits += 1;
            entry.view.version = all.version.or(entry.view.version);
            entry.view.committed_at = Some(now.0);
            (rows, aside)
        })
        .unwrap_or_default()
    }

    pub(super) fn failed(&self, source: &str, error: &Error, next: Timestamp) {
        let is_to_be_mended = !advice(error.kind).retry;
        self.on(source, |entry, now| {
            entry.view.state = if is_to_be_mended { LineState::Failed } else { LineState::Retrying };
            entry.view.failures += 1;
            entry.view.next_at = Some(next.0);
            entry.view.last_failure = Some(failure(error, now));
        });
    }

    fn on<T>(&self, source: &str, act: impl FnOnce(&mut Entry, Timestamp) -> T) -> Option<T> {
        let now = self.clock.now();
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).get_mut(source).map(|entry| act(entry, now))
    }
}

pub(super) fn failure(error: &Error, now: Timestamp) -> Failure {
    let Fault { error, kind, advice } = error.into();
    Failure { at: now.0, error, kind: kind.to_owned(), remedy: advice.to_owned() }
}

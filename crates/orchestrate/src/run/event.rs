//! What a run tells while it goes on: each event is one JSON object, named by its `event`.

use super::outcome::{Status, Stop};
use kernel::error::{Error, advice};
use serde::Serialize;

/// Called from one place, one event after the other. It should return at once: the run waits for it.
pub type Events<'a, R> = &'a (dyn Fn(Event<R>) + Send + Sync);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<R> {
    /// `nodes` are the selected ones in the order in which they would run one by one.
    RunStarted {
        nodes: Vec<String>,
        jobs: usize,
    },
    NodeStarted {
        node: String,
    },
    /// Totals of this attempt, and what it will come to where that is known.
    NodeProgress {
        node: String,
        rows: u64,
        bytes: u64,
        bytes_total: Option<u64>,
    },
    /// `attempt` has failed; the next one comes after `wait_ms`.
    NodeRetried {
        node: String,
        attempt: u32,
        wait_ms: u64,
        #[serde(flatten)]
        fault: Fault,
    },
    /// `status` is `done` or `up_to_date`.
    NodeFinished {
        node: String,
        status: Status,
        attempts: u32,
        elapsed_ms: u64,
        report: R,
    },
    NodeFailed {
        node: String,
        attempts: u32,
        elapsed_ms: u64,
        #[serde(flatten)]
        fault: Fault,
    },
    /// `because` is the failed node.
    NodeSkipped {
        node: String,
        because: String,
    },
    /// `because` is a sentence.
    NodeCancelled {
        node: String,
        elapsed_ms: u64,
        because: String,
    },
    RunFinished {
        done: usize,
        up_to_date: usize,
        failed: usize,
        skipped: usize,
        cancelled: usize,
        elapsed_ms: u64,
        stopped: Option<Stop>,
    },
}

/// An error as readers of the events see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub error: String,
    /// Named as its page under `docs/errors/`.
    pub kind: &'static str,
    pub advice: &'static str,
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        let advice = advice(error.kind);
        Self { error: error.to_string(), kind: advice.page, advice: advice.sentence }
    }
}

//! What a long-running process tells while it goes on: each event is one JSON object, named by its `event`.

use crate::guard::Turned;
use crate::lock::Holder;
use crate::run::Fault;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum UpEvent {
    /// Rows come in from now on, behind what was committed.
    SourceOpened {
        source: String,
    },
    /// It is taken in by another process; it is asked for again and again.
    SourceElsewhere {
        source: String,
        holder: Holder,
    },
    /// A commit is visible.
    Committed {
        source: String,
        version: Option<u64>,
        rows: u64,
        quarantined: u64,
    },
    /// `failures` in a row; the source is opened again after `wait_ms`.
    SourceFailed {
        source: String,
        failures: u32,
        wait_ms: u64,
        #[serde(flatten)]
        fault: Fault,
    },
    /// It goes on again behind `failures` in a row.
    SourceRecovered {
        source: String,
        failures: u32,
    },
    /// One that is read at its time has been read to its end.
    SourceFinished {
        source: String,
        rows: u64,
    },
    BreakerTurned(Turned),
    /// Models could not be made; they are tried again after `wait_ms`.
    ModelsFailed {
        wait_ms: u64,
        #[serde(flatten)]
        fault: Fault,
    },
    /// It made way for a command that needs the project alone, and can't go on yet; it tries again after `wait_ms`.
    ResumeFailed {
        wait_ms: u64,
        #[serde(flatten)]
        fault: Fault,
    },
    /// Nothing more is pulled; what is whole is committed.
    Draining,
    /// `left` are those that did not end in time.
    Stopped {
        left: Vec<String>,
    },
}

/// Called from many places, one after the other in each. It should return at once.
pub type Tell = std::sync::Arc<dyn Fn(UpEvent) + Send + Sync>;

//! Where rows come from.

use crate::error::Result;
use crate::gate::{Raw, Safe, Sealed};
use crate::position::Positions;
use async_trait::async_trait;
use std::time::Duration;

/// A batch, and how far its source is taken once the batch is committed.
pub struct Pulled {
    pub rows: Rows,
    /// Only the partitions that this batch moves.
    pub upto: Positions,
    /// Whether a commit may end here. False inside a transaction of the source, whose rows become visible together.
    pub whole: bool,
}

/// What the gate has to do with rows.
pub enum Rows {
    Raw(Raw),
    /// They passed it before, and come out of a log.
    Sealed(Sealed),
}

impl From<Raw> for Rows {
    fn from(rows: Raw) -> Self {
        Self::Raw(rows)
    }
}

impl Rows {
    pub fn num_rows(&self) -> usize {
        match self {
            Self::Raw(rows) => rows.num_rows(),
            Self::Sealed(rows) => rows.rows.as_ref().map_or(0, Safe::num_rows),
        }
    }

    /// Bytes of the values, for flow control.
    pub fn num_bytes(&self) -> usize {
        match self {
            Self::Raw(rows) => rows.num_bytes(),
            Self::Sealed(rows) => rows.num_bytes(),
        }
    }

    /// The rows of a source that is no log.
    pub fn into_raw(self) -> Option<Raw> {
        match self {
            Self::Raw(rows) => Some(rows),
            Self::Sealed(_) => None,
        }
    }
}

/// A pulled source: not calling `next` is back-pressure.
///
/// A source is opened with the positions that were committed and goes on behind them; `laws::source` opens each one
/// again after every batch and demands the same rows, partition by partition in the same order. `next` is cancel-safe: a
/// call that is dropped has taken nothing.
#[async_trait]
pub trait Source: Send {
    /// The next batch of about `bytes_max` bytes, or `None` when there is nothing more now. How the rows are cut into
    /// batches changes nothing of them. Each batch moves a partition, those of its rows at least; none goes back. An error
    /// leaves the source where the last batch ended.
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>>;

    /// How long the system took for the slowest question since this was called last. `None` of a source whose calls need a limit
    /// from outside, which is most of them. One whose `next` may ask any number of questions before it has a row limits each
    /// of them itself, waits included, and says so with `Some`: a limit for all of them together would cut off what is being
    /// answered. Called before and after `next`, which may have been dropped; it is always `Some`, or always `None`.
    fn slowest_question(&mut self) -> Option<Duration> {
        None
    }

    /// Answers when something has come that `next` would give, so that nobody waits before asking again. Systems outside are
    /// asked again after a while: of them this never answers. Cancel-safe as `next` is.
    async fn awake(&mut self) {
        std::future::pending().await
    }

    /// These positions are durable in the lake, or all rows up to them came before (`Raw::may_repeat`) and are: the source may
    /// forget what is behind them. Called after each commit, any
    /// number of times for the same positions; `next` goes on as if it had not been called.
    async fn settled(&mut self, upto: &Positions) -> Result<()>;
}

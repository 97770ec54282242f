//! Where safe rows go.

use crate::error::Result;
use crate::gate::Passed;
use crate::position::Positions;
use async_trait::async_trait;

/// The outcome of a commit that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// Rows and positions are visible, as this version.
    Done(u64),
    /// An earlier act had committed these positions, as this version; nothing was written again.
    AlreadyDone(u64),
    /// Somebody else moved the table's positions; the sentence says what was found.
    Conflict(String),
}

/// Takes safe rows; makes them visible together with the positions they cover.
///
/// `write` buffers and shows nothing. `commit` shows all that was written and the positions in one act, or nothing. When
/// `commit` fails, or its answer is lost, the caller opens the sink again and reads its positions; it never retries blind.
/// Rows for the quarantine are committed before the others and known by their positions, so that bringing them again
/// doubles nothing.
#[async_trait]
pub trait Sink: Send {
    /// The positions that the table holds: after a `Done` those of the commit too.
    async fn positions(&self) -> Result<Positions>;

    /// Takes a batch in; called any number of times before a commit. A sink that is dropped then leaves nothing that a
    /// reader sees.
    async fn write(&mut self, rows: Passed) -> Result<()>;

    /// Shows what was written, and moves the partitions of `upto`; the others stay. With nothing written it moves them all
    /// the same. Positions that the table has reached are `AlreadyDone`, and what was written for them is let go. A table
    /// that was moved since the sink was opened is a `Conflict`: this sink is of no more use.
    async fn commit(&mut self, upto: &Positions) -> Result<Commit>;
}

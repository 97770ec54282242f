//! A step of a stream: synchronous and deterministic, so that it is tested with a vector of batches.

use crate::clock::Timestamp;
use crate::error::Result;
use arrow::record_batch::RecordBatch;

/// No clock, no I/O: what goes out depends on what came in, in that order, and on nothing else.
pub trait Stage: Send {
    /// Takes a batch; gives what is final because of it. Rows count, not batches: a run that is taken up again gets the
    /// same rows in other batches. Of no rows nothing comes.
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>>;

    /// No row before `at` will come any more; gives what is final because of that. Never goes back; of the same watermark
    /// again nothing comes.
    fn watermark(&mut self, at: Timestamp) -> Result<Vec<RecordBatch>>;

    /// All of its state, as batches. Called at any time; changes nothing.
    fn save(&self) -> Result<Vec<RecordBatch>>;

    /// Takes saved state in the place of its own, whatever it has seen. `load(save())` changes nothing that can be seen.
    fn load(&mut self, state: Vec<RecordBatch>) -> Result<()>;
}

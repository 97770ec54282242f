//! Rows that passed the gate.

use crate::error::{Error, Result};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use serde::Serialize;
use std::collections::BTreeMap;

/// Masked rows that hold to their contract, or masked rows of the quarantine. Only the gate makes it; anybody may read
/// and store it.
pub struct Safe {
    pub(super) batch: RecordBatch,
}

impl Safe {
    /// One behind the other; `None` of none. They must have one schema.
    pub fn concat(rows: &[Safe]) -> Result<Option<Self>> {
        let Some(first) = rows.first() else { return Ok(None) };
        let batches = rows.iter().map(|rows| &rows.batch);
        let batch = concat_batches(&first.schema(), batches);
        batch.map(|batch| Some(Self { batch })).map_err(|e| Error::internal("put rows together", e))
    }

    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    pub fn into_batch(self) -> RecordBatch {
        self.batch
    }

    pub fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    pub fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }
}

/// What became of one `Raw` batch.
pub struct Passed {
    pub safe: Safe,
    pub quarantined: Option<Safe>,
    pub tally: Tally,
}

/// Counts, to be added up over a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub rows_read: u64,
    pub rows_passed: u64,
    pub rows_quarantined: u64,
    /// Rows of people who were forgotten: they were let go.
    pub rows_forgotten: u64,
    /// Rows that came before, of a source that may give a row again: they were let go.
    pub rows_repeated: u64,
    /// Values put to null under `on_violation: drop_value`.
    pub values_dropped: u64,
    /// Masked values by kind of personal data.
    pub masked: BTreeMap<String, u64>,
    /// Quarantined rows by `column: rule`.
    pub causes: BTreeMap<String, u64>,
    /// Values that look personal in columns that nobody called so, by `column: kind`.
    pub undeclared: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.rows_read += other.rows_read;
        self.rows_passed += other.rows_passed;
        self.rows_quarantined += other.rows_quarantined;
        self.rows_forgotten += other.rows_forgotten;
        self.rows_repeated += other.rows_repeated;
        self.values_dropped += other.values_dropped;
        for (kind, count) in &other.masked {
            *self.masked.entry(kind.clone()).or_default() += count;
        }
        for (cause, count) in &other.causes {
            *self.causes.entry(cause.clone()).or_default() += count;
        }
        for (what, count) in &other.undeclared {
            *self.undeclared.entry(what.clone()).or_default() += count;
        }
    }
}

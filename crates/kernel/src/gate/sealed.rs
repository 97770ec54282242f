//! Rows that passed the gate before, out of a log.

use super::quarantine::{self, Aside};
use super::{Gate, Passed, Safe, Tally};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use arrow::array::Int64Array;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// Rows of one partition of a log.
pub struct Sealed {
    pub rows: Option<Safe>,
    /// What a place in the log is called, and the offsets of records that bear no seal of this project's.
    pub partition: Arc<str>,
    pub strangers: Vec<i64>,
}

impl Sealed {
    pub fn num_bytes(&self) -> usize {
        self.rows.as_ref().map_or(0, |rows| rows.batch().get_array_memory_size())
    }
}

impl Gate {
    /// Lets rows through that were let through before: they were judged and masked then. Of a stranger's record the place is
    /// set aside and nothing else, for nobody masked it.
    pub fn admit(&self, sealed: Sealed, now: Timestamp) -> Result<Passed> {
        let Sealed { rows, partition, strangers } = sealed;
        let safe = rows.unwrap_or_else(|| Safe { batch: RecordBatch::new_empty(self.output_schema()) });
        let mut tally = Tally { rows_passed: safe.num_rows() as u64, ..Tally::default() };
        tally.rows_quarantined = strangers.len() as u64;
        tally.rows_read = tally.rows_passed + tally.rows_quarantined;
        let asides: Vec<Aside> = strangers.into_iter().map(Aside::stranger).collect();
        if let Some(first) = asides.first() {
            tally.causes.insert(first.label(), tally.rows_quarantined);
        }
        let stamps = |offsets: &Int64Array| self.stamp.columns(&partition, offsets, now);
        let quarantined = match asides.is_empty() {
            true => None,
            false => Some(Safe { batch: quarantine::batch(&asides, None, stamps)? }),
        };
        if safe.schema() != self.output_schema() {
            return Err(Error::internal("take rows out of a log", "they are not of the contract's columns"));
        }
        Ok(Passed { safe, quarantined, tally })
    }
}

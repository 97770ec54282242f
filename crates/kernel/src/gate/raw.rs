//! Rows as they came. The only way out of `Raw` is the gate.
//!
//! `Raw` has no accessor, no `Debug`, no `Clone`, no `Serialize`, and its fields are private to this module tree. Each
//! proof below fails to compile; its twin above it, which differs in the forbidden act only, compiles.
//!
//! It can't be printed or logged; its schema can:
//! ```
//! # use kernel::gate::Raw;
//! fn show(raw: &Raw) -> String { format!("{:?} {}", raw.schema(), raw.num_rows()) }
//! ```
//! ```compile_fail,E0277
//! # use kernel::gate::Raw;
//! fn leak(raw: &Raw) -> String { format!("{:?}", raw) }
//! ```
//! ```compile_fail,E0277
//! # use kernel::gate::Raw;
//! fn leak(raw: &Raw) -> String { format!("{}", raw) }
//! ```
//! It can't be serialised; the counts of what passed can:
//! ```
//! # use kernel::gate::Tally;
//! fn keep(tally: &Tally) -> String { serde_json::to_string(tally).unwrap() }
//! ```
//! ```compile_fail,E0277
//! # use kernel::gate::Raw;
//! fn leak(raw: &Raw) -> String { serde_json::to_string(raw).unwrap() }
//! ```
//! It can't be copied aside; what is wrong with its malformed rows can:
//! ```
//! # use kernel::gate::Malformed;
//! fn copy(malformed: &Malformed) -> Malformed { Clone::clone(malformed) }
//! ```
//! ```compile_fail,E0277
//! # use kernel::gate::Raw;
//! fn leak(raw: &Raw) -> Raw { Clone::clone(raw) }
//! ```
//! It can't be opened; what passed the gate can:
//! ```
//! # use kernel::gate::Safe;
//! fn open(safe: Safe) -> arrow::record_batch::RecordBatch { safe.into_batch() }
//! ```
//! ```compile_fail,E0599
//! # use kernel::gate::Raw;
//! fn leak(raw: Raw) -> arrow::record_batch::RecordBatch { raw.into_batch() }
//! ```
//! ```compile_fail,E0616
//! # use kernel::gate::Raw;
//! fn leak(raw: Raw) -> arrow::record_batch::RecordBatch { raw.batch }
//! ```
//! No sink takes it:
//! ```
//! # use kernel::{gate::Passed, sink::Sink};
//! async fn keep(sink: &mut dyn Sink, rows: Passed) { sink.write(rows).await.ok(); }
//! ```
//! ```compile_fail,E0308
//! # use kernel::{gate::Raw, sink::Sink};
//! async fn leak(sink: &mut dyn Sink, rows: Raw) { sink.write(rows).await.ok(); }
//! ```
//! And nobody but the gate makes a [`crate::gate::Safe`]:
//! ```
//! # use kernel::gate::Malformed;
//! fn make(offset: i64) -> Malformed { Malformed { offset, reason: String::new() } }
//! ```
//! ```compile_fail,E0451
//! # use kernel::gate::Safe;
//! fn forge(batch: arrow::record_batch::RecordBatch) -> Safe { Safe { batch } }
//! ```

use super::Changes;
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use std::collections::HashSet;
use std::sync::Arc;

/// Unmasked rows of one partition, with the offset of each.
pub struct Raw {
    pub(super) batch: RecordBatch,
    pub(super) partition: Arc<str>,
    pub(super) offsets: Int64Array,
    pub(super) malformed: Vec<Malformed>,
    pub(super) changes: Option<Changes>,
    pub(super) repeats: bool,
}

/// A record that could not be split into fields. Its bytes are not kept: they can't be masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Line or row number in the partition, from 1.
    pub offset: i64,
    /// What is wrong with it, without any of its values: `9 fields where the header has 10`.
    pub reason: String,
}

/// Looks at columns before they are masked, to find out what they hold. Trusted, like a mask: what it keeps may hold no
/// value, but masked examples.
pub trait Inspector {
    fn column(&mut self, name: &str, values: &ArrayRef);
}

impl Raw {
    /// Wraps a batch read from `partition`. `offsets` has one line or row number (from 1) per row, growing. Two columns of
    /// one name are an error: of one of them nothing would be kept.
    pub fn new(batch: RecordBatch, partition: impl Into<Arc<str>>, offsets: Int64Array) -> Result<Self> {
        let partition = partition.into();
        if offsets.len() != batch.num_rows() || offsets.null_count() > 0 {
            return Err(Error::internal("wrap a batch", "as many offsets as rows are needed"));
        }
        let mut names = HashSet::new();
        let schema = batch.schema();
        if let Some(twice) = schema.fields().iter().position(|field| !names.insert(field.name())) {
            return Err(Error::data(format!("read {partition}"), format!("column {} has another's name", twice + 1)));
        }
        Ok(Self { batch, partition, offsets, malformed: Vec::new(), changes: None, repeats: false })
    }

    #[must_use]
    pub fn with_malformed(mut self, malformed: Vec<Malformed>) -> Self {
        self.malformed = malformed;
        self
    }

    /// Says what happened to each row; a source of changes says it with every batch.
    pub fn with_changes(mut self, changes: Changes) -> Result<Self> {
        changes.check(self.num_rows())?;
        self.changes = Some(changes);
        Ok(self)
    }

    /// Says that a row may have come before, in this run or in an earlier one: those whose primary key was seen are let go
    /// and counted, where others would break the contract. Malformed rows and those that break it can't be told.
    #[must_use]
    pub fn may_repeat(mut self) -> Self {
        self.repeats = true;
        self
    }

    pub fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether it says what happened to each row.
    pub fn has_changes(&self) -> bool {
        self.changes.is_some()
    }

    pub fn num_malformed(&self) -> usize {
        self.malformed.len()
    }

    /// Names and types; never values.
    pub fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    /// Bytes of the values, for flow control. Views of one block are counted by what they show, not by the block.
    pub fn num_bytes(&self) -> usize {
        let bytes = |column: &ArrayRef| match column.as_string_view_opt() {
            Some(text) => text.lengths().map(|length| 16 + length as usize).sum(),
            None => column.get_array_memory_size(),
        };
        self.batch.columns().iter().map(bytes).sum()
    }

    /// Shows each column to an inspector.
    pub fn inspect(&self, inspector: &mut dyn Inspector) {
        for (field, values) in self.batch.schema().fields().iter().zip(self.batch.columns()) {
            inspector.column(field.name(), values);
        }
    }
}

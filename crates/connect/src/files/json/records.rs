//! Records that are told apart already, such as those of a topic: one object each.

use super::parse::{self, Bad};
use super::table::Table;
use super::{Columns, nested};
use crate::files::text::{PAD, bad_bytes};
use crate::files::views::Texts;
use arrow::array::Int64Array;
use arrow::buffer::Buffer;
use arrow::record_batch::RecordBatch;
use kernel::gate::Malformed;
use kernel::{Entity, Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Reads objects into columns; which fields there are is remembered from batch to batch.
pub struct JsonRecords {
    table: Table,
    entity: Arc<Entity>,
}

/// Rows, with the number that each record was given.
pub struct Read {
    pub batch: RecordBatch,
    pub numbers: Int64Array,
    pub malformed: Vec<Malformed>,
}

impl JsonRecords {
    pub fn new(entity: Arc<Entity>) -> Self {
        Self { table: Table::new(&entity, nested::is_nested, false), entity }
    }

    /// Reads the records at these places of `text`, each with its number. Between two of them lies at least one byte that is
    /// none of theirs and ASCII, so that what is valid text as a whole is so record by record.
    pub fn read(&mut self, mut text: Vec<u8>, records: &[(i64, Range<usize>)]) -> Result<Read> {
        let used = text.len();
        let clean = std::str::from_utf8(&text).is_ok() && memchr::memchr(0, &text).is_none();
        text.resize(used + PAD, 0);
        self.table.clear();
        let (mut numbers, mut malformed) = (Vec::with_capacity(records.len()), Vec::new());
        for (number, range) in records {
            match self.record(&text, range, clean) {
                Ok(()) => numbers.push(*number),
                Err(reason) => malformed.push(Malformed { offset: *number, reason: reason.into() }),
            }
        }
        let texts = Texts::new(Buffer::from_vec(text), std::mem::take(&mut self.table.side));
        let columns = Columns::take(&mut self.table, &self.entity, &texts);
        let piece = columns.finish(numbers, malformed).map_err(|e| Error::internal("read records of JSON", e))?;
        Ok(Read { batch: piece.batch, numbers: piece.offsets, malformed: piece.malformed })
    }

    fn record(&mut self, text: &[u8], range: &Range<usize>, clean: bool) -> Result<(), &'static str> {
        if let Some(bad) = (!clean).then(|| bad_bytes(&text[range.clone()])).flatten() {
            return Err(bad);
        }
        let rows = self.table.rows;
        let at = parse::blank(&text[..range.end], range.start);
        match self.table.read(text, at, range.end) {
            Ok(stop) if parse::blank(&text[..range.end], stop) == range.end => Ok(()),
            Ok(_) => {
                self.table.undo(rows);
                Err("something follows the object")
            }
            Err(Bad::End) => Err("the object breaks off"),
            Err(Bad::Because(reason)) => Err(reason),
        }
    }
}

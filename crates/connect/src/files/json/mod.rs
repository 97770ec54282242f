//! JSON files: one object per line, an array of objects, or objects one after another. Fields come out as text as it
//! is written; those that the contract says are nested come out as lists and structs with text in them.

mod envelope;
mod nested;
mod pairs;
pub(crate) mod parse;
mod records;
mod split;
mod table;

#[cfg(test)]
mod tests;

use super::options::{Changes, Envelope};
use super::rows::{Job, Piece, Rows};
use super::text::{Blocks, PAD, Region, is_clean};
use super::views::{Span, Texts, Views};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
pub use envelope::{AT, OP};
use kernel::gate::Malformed;
use kernel::{Entity, Error, Result};
pub use records::JsonRecords;
pub use split::Layout;
use split::{Limits, Split};
use std::ops::Range;
use std::sync::Arc;
use table::{Cells, Table};

/// Reads a JSON file.
pub struct JsonRows {
    job: Job,
    blocks: Blocks,
    split: Split,
    /// The present block; spans point into it.
    text: Buffer,
    used: usize,
    last: bool,
    clean: bool,
    at: usize,
}

impl JsonRows {
    pub fn new(job: Job, layout: Layout) -> Result<Self> {
        let (input, hold) = job.text()?;
        let blocks = Blocks::new(input, job.options.encoding, (job.bytes_max / 2).clamp(64 << 10, 64 << 20));
        let table = Table::new(
            &job.entity,
            nested::is_nested,
            job.options.changes == Some(Changes::Envelope(Envelope::Debezium)),
        );
        let limits = Limits {
            behind: i64::try_from(job.behind).unwrap_or(i64::MAX),
            record_bytes_max: job.options.line_bytes_max,
            rows_max: job.options.batch_rows_max,
            cells_max: job.bytes_max / 32,
            hold,
        };
        let split = Split::new(layout, table, limits);
        Ok(Self {
            job,
            blocks,
            split,
            text: Buffer::from_vec(Vec::<u8>::new()),
            used: 0,
            last: false,
            clean: true,
            at: 0,
        })
    }

    fn load(&mut self) -> Result<()> {
        let rest = &self.text[self.at..self.used];
        let block = self.blocks.next(rest).map_err(|e| self.job.opened.error(e))?;
        (self.used, self.last, self.clean, self.at) = (block.used, block.last, block.clean, 0);
        self.text = Buffer::from_vec(block.data);
        Ok(())
    }

    /// What was split so far as a batch.
    fn piece(&mut self, last: bool) -> Result<Piece> {
        let piece = gather(&mut self.split, &self.text, &self.job.entity);
        let piece = piece.map_err(|e| Error::internal(&self.job.opened.partition, e))?;
        Ok(Piece { last, held: self.split.has_held(), mark: self.split.mark(), ..piece })
    }
}

impl Rows for JsonRows {
    fn next(&mut self) -> Result<Piece> {
        self.split.clear();
        loop {
            let region = Region { text: &self.text, used: self.used, last: self.last, clean: self.clean };
            let at = self.split.split(region, self.at).map_err(|e| self.job.error(e))?;
            self.at = at;
            let ended = self.last && (self.at >= self.used || self.split.has_held());
            if ended || self.split.crosses() || self.split.has_any() {
                return self.piece(ended);
            }
            self.load()?;
        }
    }
}

/// All rows of JSON that is in memory: of the array, or the lines, that `within` has. They are numbered from `first` on.
/// What comes back in place of a batch says why no next record can be found.
pub fn in_memory(
    mut text: Vec<u8>,
    within: Range<usize>,
    layout: Layout,
    first: i64,
    entity: &Entity,
) -> Result<Piece, String> {
    let clean = is_clean(&text[within.clone()], true);
    text.resize(text.len() + PAD, 0);
    let text = Buffer::from_vec(text);
    let all = usize::MAX;
    let limits = Limits { behind: 0, record_bytes_max: all, rows_max: all, cells_max: all, hold: false };
    let mut split = Split::new(layout, Table::new(entity, nested::is_nested, false), limits);
    split.number = first;
    let (at, used) = (within.start, within.end);
    let at = if layout == Layout::Array { at + 1 } else { at };
    split.split(Region { text: &text, used, last: true, clean }, at)?;
    let piece = gather(&mut split, &text, entity).map_err(|e| e.to_string())?;
    Ok(Piece { last: true, ..piece })
}

/// What was split so far as a batch.
fn gather(split: &mut Split, text: &Buffer, entity: &Entity) -> Result<Piece, arrow::error::ArrowError> {
    let texts = Texts::new(text.clone(), std::mem::take(&mut split.table.side));
    let out = Columns::take(&mut split.table, entity, &texts);
    let lines = std::mem::take(&mut split.lines);
    let malformed = std::mem::take(&mut split.malformed);
    let upto = split.upto();
    Ok(Piece { upto, ..out.finish(lines, malformed)? })
}

/// The arrays of a batch, and which of its rows are no rows after all.
struct Columns {
    rows: usize,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
    /// Row and reason.
    bad: Vec<(usize, String)>,
}

impl Columns {
    fn new(rows: usize) -> Self {
        Self { rows, fields: Vec::new(), arrays: Vec::new(), bad: Vec::new() }
    }

    /// The columns of all rows so far.
    fn take(table: &mut Table, entity: &Entity, texts: &Texts) -> Self {
        let rows = table.rows;
        let mut out = Self::new(rows);
        for (place, column) in table.columns.iter_mut().enumerate() {
            let property = entity.properties.get(place);
            if column.cells.len() == 0 && property.is_none() {
                continue;
            }
            column.cells.resize(rows);
            match (&mut column.cells, property) {
                (Cells::Text(views), _) => {
                    // The next batch will be about as long.
                    let made = std::mem::replace(views, Views::with_room(rows));
                    out.add(&column.name, texts.column(made));
                }
                (Cells::Nested(spans), Some(property)) => out.nested(&column.name, &property.data_type, spans, texts),
                (Cells::Nested(_), None) => {}
            }
        }
        out
    }

    fn add(&mut self, name: &str, array: ArrayRef) {
        self.fields.push(Field::new(name, array.data_type().clone(), true));
        self.arrays.push(array);
    }

    fn nested(&mut self, name: &str, data_type: &DataType, spans: &[Span], texts: &Texts) {
        let decoded = nested::decode(name, data_type, spans, texts);
        self.add(name, decoded.array);
        for (name, array) in decoded.beyond {
            self.add(&name, array);
        }
        let reason = |row| (row, format!("`{name}` is not of the nested type that the contract gives it"));
        self.bad.extend(decoded.bad.into_iter().map(reason));
    }

    fn finish(self, lines: Vec<i64>, mut malformed: Vec<Malformed>) -> Result<Piece, arrow::error::ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let schema = Arc::new(Schema::new(self.fields));
        let mut batch = RecordBatch::try_new_with_options(schema, self.arrays, &options)?;
        let mut offsets = Int64Array::from(lines);
        if !self.bad.is_empty() {
            let mut keep = vec![true; self.rows];
            for (row, reason) in self.bad {
                if std::mem::replace(&mut keep[row], false) {
                    malformed.push(Malformed { offset: offsets.value(row), reason });
                }
            }
            malformed.sort_by_key(|record| record.offset);
            let keep = BooleanArray::from(keep);
            batch = arrow::compute::filter_record_batch(&batch, &keep)?;
            offsets = arrow::compute::filter(&offsets, &keep)?.as_any().downcast_ref().cloned().unwrap_or(offsets);
        }
        Ok(Piece { batch, offsets, malformed, upto: 0, last: false, held: false, mark: None })
    }
}

//! What sources of rows by number have in common: the batch that grows, and positions of a count and a token.

use crate::cells::{Cell, Cells};
use arrow::array::Int64Array;
use kernel::gate::{Changes, Raw};
use kernel::source::Pulled;
use kernel::{Error, Point, Positions, Result};
use std::sync::Arc;

/// Rows on their way out, numbered in their partition.
pub struct Batch {
    pub partition: Arc<str>,
    pub cells: Cells,
    /// Of a source of changes.
    pub changes: Option<Changes>,
    /// Rows of the partition that were handed out.
    pub taken: u64,
}

impl Batch {
    pub fn new(partition: Arc<str>, taken: u64, has_changes: bool) -> Self {
        Self { partition, cells: Cells::new([]), changes: has_changes.then(Changes::default), taken }
    }

    /// Lets go what was not handed out, and goes on with other columns.
    pub fn restart(&mut self, cells: Cells) {
        self.cells = cells;
        self.changes = self.changes.as_ref().map(|_| Changes::default());
    }

    /// Puts a cell in, or says which column and row it is that can't be read.
    pub fn push(&mut self, name: &str, at: usize, cell: Result<Cell<'_>, &str>) -> Result<()> {
        let refused = match cell {
            Ok(cell) => match self.cells.push(at, cell) {
                true => return Ok(()),
                false => "is not of its column's type",
            },
            Err(refused) => refused,
        };
        let row = self.taken + self.cells.rows() as u64 + 1;
        Err(Error::data(format!("read {}", self.partition), format!("column `{name}` of row {row} {refused}")))
    }

    pub fn is_full(&self, bytes_max: usize, rows_max: usize) -> bool {
        self.cells.rows() >= rows_max || (self.cells.rows() > 0 && self.cells.bytes() >= bytes_max)
    }

    /// What was gathered, and the position behind it.
    pub fn finish(&mut self, token: String, done: bool, whole: bool) -> Result<Pulled> {
        let broken = |e| Error::internal("put a batch together", "its columns do not fit its schema").because(e);
        let batch = self.cells.finish().map_err(broken)?;
        let first = self.taken as i64 + 1;
        let offsets = Int64Array::from_iter_values(first..first + batch.num_rows() as i64);
        self.taken += batch.num_rows() as u64;
        let mut rows = Raw::new(batch, self.partition.clone(), offsets)?;
        if let Some(changes) = &mut self.changes {
            rows = rows.with_changes(std::mem::take(changes))?;
        }
        let mut upto = Positions::new();
        upto.set(&*self.partition, Point::Mark { rows: self.taken, token, done });
        Ok(Pulled { rows: rows.into(), upto, whole })
    }
}

/// Rows taken, token and end of a partition that was begun.
pub fn mark<'p>(from: &'p Positions, partition: &str) -> Option<(u64, &'p str, bool)> {
    match from.get(partition)? {
        Point::Mark { rows, token, done } => Some((*rows, token, *done)),
        Point::Offset(_) | Point::File { .. } => None,
    }
}

/// A token as it was written, or what to do about one that can't be read.
pub fn read_token<T: serde::de::DeserializeOwned>(partition: &str, token: &str) -> Result<T> {
    serde_json::from_str(token).map_err(|e| {
        let detail = format!(
            "its position can't be read ({:?} at {}): it was written by another version or mode",
            e.classify(),
            e.column()
        );
        Error::data(format!("go on with {partition}"), detail)
    })
}

pub fn write_token<T: serde::Serialize>(token: &T) -> Result<String> {
    serde_json::to_string(token).map_err(|e| Error::internal("write a position", e))
}

//! What is read of a table, and the batch that grows of it.

use super::options::Options;
use super::table::{Column, Table};
use super::value::Reader;
use crate::cells::{Cell, Cells, Form};
use arrow::array::Int64Array;
use kernel::gate::{Changes, Raw};
use kernel::source::Pulled;
use kernel::{Entity, Error, Point, Positions, Result};
use std::sync::Arc;

/// The columns of a batch, by the table as it is now.
#[derive(Clone)]
pub struct Plan {
    pub table: Table,
    pub columns: Vec<Column>,
    pub forms: Vec<Form>,
    pub readers: Vec<Reader>,
}

impl Plan {
    pub fn new(table: Table, columns: Vec<Column>, entity: &Entity, options: &Options, is_mariadb: bool) -> Result<Self> {
        let forms = columns.iter().map(|column| column.form(entity, options)).collect();
        let readers = columns.iter().map(|column| Reader::new(column, options, is_mariadb)).collect::<Result<_>>()?;
        Ok(Self { table, columns, forms, readers })
    }

    pub fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    pub fn cells(&self) -> Cells {
        Cells::new(self.columns.iter().map(|column| column.name.as_str()).zip(self.forms.iter().copied()))
    }

    /// Whether batches of both can be one.
    pub fn is_like(&self, other: &Self) -> bool {
        let names = |plan: &Self| plan.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        self.forms == other.forms && names(self) == names(other)
    }
}

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

    /// Lets go what was not handed out, and goes on by another plan.
    pub fn restart(&mut self, plan: &Plan) {
        self.cells = plan.cells();
        self.changes = self.changes.as_ref().map(|_| Changes::default());
    }

    /// Puts a cell in, or says which column and row it is that can't be read.
    pub fn push(&mut self, plan: &Plan, at: usize, cell: Result<Cell<'_>, &str>) -> Result<()> {
        let refused = match cell {
            Ok(cell) if self.cells.push(at, cell) => return Ok(()),
            Ok(_) => "is not of its column's type",
            Err(refused) => refused,
        };
        let row = self.taken + self.cells.rows() as u64 + 1;
        let name = plan.columns.get(at).map_or("?", |column| &column.name);
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
        Ok(Pulled { rows, upto, whole })
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
        let detail = format!("its position can't be read ({:?} at {}): it was written by another version or mode", e.classify(), e.column());
        Error::data(format!("go on with {partition}"), detail)
    })
}

pub fn write_token<T: serde::Serialize>(token: &T) -> Result<String> {
    serde_json::to_string(token).map_err(|e| Error::internal("write a position", e))
}

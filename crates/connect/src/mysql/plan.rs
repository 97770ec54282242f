//! What is read of a table.

use super::options::Options;
use super::table::{Column, Table};
use super::value::{Reader, log_can_be_read};
use crate::cells::{Cells, Form};
use crate::marks::Batch;
use kernel::{Entity, Result};

/// The columns of a batch, by the table as it is now.
#[derive(Clone)]
pub struct Plan {
    pub table: Table,
    pub columns: Vec<Column>,
    pub forms: Vec<Form>,
    pub readers: Vec<Reader>,
}

impl Plan {
    pub fn new(table: Table, columns: Vec<Column>, entity: &Entity, options: &Options, is_mariadb: bool) -> Self {
        let forms = columns.iter().map(|column| column.form(entity, options)).collect();
        let readers = columns.iter().map(|column| Reader::new(column, options, is_mariadb)).collect();
        Self { table, columns, forms, readers }
    }

    /// Refuses columns that the binary log has in a way that is not read.
    pub fn of_log(self) -> Result<Self> {
        self.columns.iter().try_for_each(log_can_be_read)?;
        Ok(self)
    }

    /// Begins a batch of these columns; what was not handed out of it is let go.
    pub fn begin(&self, batch: &mut Batch) {
        batch.restart(Cells::new(
            self.columns.iter().map(|column| column.name.as_str()).zip(self.forms.iter().copied()),
        ));
    }

    /// Whether batches of both can be one.
    pub fn is_like(&self, other: &Self) -> bool {
        let names = |plan: &Self| plan.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        self.forms == other.forms && names(self) == names(other)
    }
}

//! One statement that reads the table, as a stream of rows. What is being read is kept here, so that a call that is dropped
//! loses nothing.

use super::key;
use super::login::fault;
use super::patience::{Patience, cut};
use super::plan::Plan;
use super::table::{Column, quoted};
use crate::marks::Batch;
use futures::{FutureExt, StreamExt};
use kernel::gate::Op;
use kernel::{Error, Result};
use mysql_async::prelude::{Query, WithParams};
use mysql_async::{BinaryProtocol, Conn, Params, ResultSetStream, Row, Value};
use serde_json::Value as Json;

type Rows = ResultSetStream<'static, 'static, 'static, Row, BinaryProtocol>;

pub struct Scan {
    rows: Option<Rows>,
    plan: Plan,
    /// Columns beside those of the plan, at the end of each row.
    beside: Vec<Column>,
    /// Rows to pass over.
    skip: u64,
    op: Op,
    patience: Patience,
    /// Whether a row came.
    begun: bool,
}

/// What a row of the table has beside the plan's columns.
pub struct Beside<'r> {
    columns: &'r [Column],
    row: &'r Row,
    first: usize,
}

impl Beside<'_> {
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// A value as a position keeps it.
    pub fn kept(&self, at: usize) -> Option<Json> {
        key::kept(self.columns.get(at)?, self.row.as_ref(self.first + at)?)
    }
}

/// Which rows, in which order.
#[derive(Default)]
pub struct Which {
    pub condition: Option<(String, Vec<Value>)>,
    pub order: String,
    /// Columns to read beside those of the plan.
    pub beside: Vec<Column>,
    pub skip: u64,
    /// What is told of each row, of a source of changes; else that it was read.
    pub op: Option<Op>,
}

impl Scan {
    /// Starts the statement; the connection is its own.
    pub async fn start(conn: Conn, plan: Plan, which: Which, patience: Patience) -> Result<Self> {
        let Which { condition, order, beside, skip, op } = which;
        let names: Vec<String> = plan.columns.iter().chain(&beside).map(|column| quoted(&column.name)).collect();
        let (condition, params) = condition.unwrap_or_default();
        let mut sql = format!("SELECT {} FROM {}", names.join(", "), plan.table.quoted());
        for (word, part) in [("WHERE", &condition), ("ORDER BY", &order)] {
            if !part.is_empty() {
                sql.push_str(&format!(" {word} {part}"));
            }
        }
        let params = if params.is_empty() { Params::Empty } else { Params::Positional(params) };
        let rows = sql.with(params).stream::<Row, _>(conn).await.map_err(|e| fault(&reading(&plan), e))?;
        Ok(Self { rows: Some(rows), plan, beside, skip, op: op.unwrap_or(Op::Read), patience, begun: false })
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Fills the batch; `take` sees what stands beside each row and says whether it is taken. False when the rows are all.
    pub async fn fill(
        &mut self,
        batch: &mut Batch,
        (bytes_max, rows_max): (usize, usize),
        mut take: impl FnMut(Beside<'_>) -> Result<bool>,
    ) -> Result<bool> {
        while !batch.is_full(bytes_max, rows_max) {
            let Some(row) = self.row().await? else { return Ok(false) };
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            let first = self.plan.columns.len();
            if take(Beside { columns: &self.beside, row: &row, first })? {
                self.put(batch, &row)?;
            }
        }
        Ok(true)
    }

    /// The next row. A call that is dropped has taken nothing.
    async fn row(&mut self) -> Result<Option<Row>> {
        let Some(rows) = &mut self.rows else { return Ok(None) };
        // What is there needs no clock.
        let row = match rows.next().now_or_never() {
            Some(row) => Ok(row),
            None => {
                let (what, next) = (reading(&self.plan), async { Ok(rows.next().await) });
                match self.begun {
                    true => self.patience.soon(&what, next).await,
                    false => self.patience.beginning(&what, next).await,
                }
            }
        };
        let row = row.inspect_err(|_| self.rows.take().into_iter().for_each(cut))?;
        match &row {
            Some(_) => self.begun = true,
            None => self.rows = None,
        }
        row.transpose().map_err(|e| fault(&reading(&self.plan), e))
    }

    fn put(&self, batch: &mut Batch, row: &Row) -> Result<()> {
        for (at, reader) in self.plan.readers.iter().enumerate() {
            let value =
                row.as_ref(at).ok_or_else(|| Error::internal(reading(&self.plan), "a row has too few values"))?;
            batch.push(&self.plan.columns[at].name, at, reader.of_query(value))?;
        }
        batch.cells.end_row();
        if let Some(changes) = &mut batch.changes {
            changes.push(self.op, None, Vec::new());
        }
        Ok(())
    }
}

/// Who leaves in the middle wants no more rows.
impl Drop for Scan {
    fn drop(&mut self) {
        self.rows.take().into_iter().for_each(cut);
    }
}

fn reading(plan: &Plan) -> String {
    format!("read the table {}", plan.table.shown())
}

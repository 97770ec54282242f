//! What happened to each row, where a source gives the changes of a table and not its rows.

use super::parse;
use super::stamp::{self, STAMPS};
use crate::error::{Error, Result};
use arrow::array::{
    ArrayRef, BooleanArray, ListBuilder, StringViewArray, StringViewBuilder, TimestampMicrosecondArray,
};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What a change did; the letters are Debezium's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// The row was there when the table was first read.
    Read,
    Create,
    /// A row whose key changes is a `Delete` of the old key and a `Create` of the new one.
    Update,
    /// Only the key's columns are sure to be there.
    Delete,
    /// The whole table was emptied; no column has a value.
    Truncate,
}

impl Op {
    pub fn letter(self) -> &'static str {
        match self {
            Op::Read => "r",
            Op::Create => "c",
            Op::Update => "u",
            Op::Delete => "d",
            Op::Truncate => "t",
        }
    }
}

/// The names of the columns that the gate adds to a change log, in order, before [`super::STAMPS`].
pub const CHANGES: [&str; 3] = ["_op", "_changed_at", "_unchanged"];

/// One entry a row. Rows of one key come in the order in which they changed, within their partition.
#[derive(Default)]
pub struct Changes {
    pub ops: Vec<Op>,
    /// When the change was committed, in microseconds since 1970 (UTC), where the source tells.
    pub at: Vec<Option<i64>>,
    /// Columns whose value was not sent because it did not change: null in the row, and not null in the table.
    pub unchanged: Vec<Vec<Arc<str>>>,
    /// Columns that are of the change itself and not of the table's row, such as where it stood: a delete tells them, too.
    pub own: Vec<Arc<str>>,
}

impl Changes {
    pub fn push(&mut self, op: Op, at: Option<i64>, unchanged: Vec<Arc<str>>) {
        self.ops.push(op);
        self.at.push(at);
        self.unchanged.push(unchanged);
    }

    /// The rows without what they do not tell: a delete says which row goes, and whether its other values would pass does
    /// not matter.
    pub(super) fn blanked(&self, batch: &RecordBatch, is_key: impl Fn(&str) -> bool) -> Result<RecordBatch> {
        let fault = |e| Error::internal("look at a change", "arrow refused a column").because(e);
        let may_be_unsent = |op: &Op| matches!(op, Op::Delete | Op::Truncate);
        if !self.ops.iter().any(may_be_unsent) && self.unchanged.iter().all(Vec::is_empty) {
            return Ok(batch.clone());
        }
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, values)| nullif(values, &self.unsent(field.name(), is_key(field.name()))));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = columns.collect::<Result<_, _>>().map_err(fault)?;
        let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(fault)
    }

    /// True for each row that does not tell the column's value: null there means nothing.
    pub(super) fn unsent(&self, column: &str, is_key: bool) -> BooleanArray {
        let is_unsent = |(op, unchanged): (&Op, &Vec<Arc<str>>)| match op {
            Op::Truncate | Op::Delete if self.own.iter().any(|name| &**name == column) => false,
            Op::Truncate => true,
            Op::Delete => !is_key,
            _ => unchanged.iter().any(|name| &**name == column),
        };
        self.ops.iter().zip(&self.unchanged).map(|row| Some(is_unsent(row))).collect()
    }

    /// True for each row of which all columns are told.
    pub(super) fn told(&self) -> BooleanArray {
        let is_told =
            |(op, unchanged): (&Op, &Vec<Arc<str>>)| !matches!(op, Op::Delete | Op::Truncate) && unchanged.is_empty();
        self.ops.iter().zip(&self.unchanged).map(|row| Some(is_told(row))).collect()
    }

    /// True for each change whose time is of no year that is kept; `None` when all are.
    pub(super) fn beyond(&self) -> Option<BooleanArray> {
        let is_beyond = |at: &Option<i64>| at.is_some_and(|at| !parse::is_kept(at));
        self.at.iter().any(is_beyond).then(|| self.at.iter().map(|at| Some(is_beyond(at))).collect())
    }

    pub(super) fn filter(self, stay: &BooleanArray) -> Self {
        let mut kept = Self { own: self.own, ..Self::default() };
        let rows = self.ops.into_iter().zip(self.at).zip(self.unchanged).zip(stay.values());
        for (((op, at), unchanged), _) in rows.filter(|(_, stays)| *stays) {
            kept.push(op, at, unchanged);
        }
        kept
    }

    /// A row as the quarantine keeps it.
    pub(super) fn cells(&self, row: usize) -> [(String, Value); 3] {
        let unchanged = &self.unchanged[row];
        let names = (!unchanged.is_empty()).then(|| unchanged.iter().map(|name| Value::from(&**name)).collect());
        let at = self.at[row].map_or(Value::Null, Value::from);
        let cells = [Value::from(self.ops[row].letter()), at, names.map_or(Value::Null, Value::Array)];
        let mut cells = cells.into_iter();
        CHANGES.map(|name| (name.to_owned(), cells.next().unwrap_or_default()))
    }

    /// Takes a row of the quarantine in again. One that doesn't tell what it did was written before the source gave changes.
    pub(super) fn push_cells(&mut self, cells: &Map<String, Value>) {
        let [op, at, unchanged] = CHANGES.map(|name| cells.get(name));
        let letter = op.and_then(Value::as_str);
        let op = [Op::Create, Op::Update, Op::Delete, Op::Truncate].into_iter().find(|op| letter == Some(op.letter()));
        let names = unchanged.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        self.push(op.unwrap_or(Op::Read), at.and_then(Value::as_i64), names.map(Arc::from).collect());
    }

    pub(super) fn check(&self, rows: usize) -> Result<()> {
        match self.ops.len() == rows && self.at.len() == rows && self.unchanged.len() == rows {
            true => Ok(()),
            false => Err(Error::internal("wrap a batch", "as many changes as rows are needed")),
        }
    }

    pub(super) fn columns(&self) -> Vec<ArrayRef> {
        let ops: StringViewArray = self.ops.iter().map(|op| Some(op.letter())).collect();
        let at = TimestampMicrosecondArray::from(self.at.clone()).with_timezone("UTC");
        let mut unchanged = ListBuilder::new(StringViewBuilder::new());
        for names in &self.unchanged {
            names.iter().for_each(|name| unchanged.values().append_value(name));
            unchanged.append(!names.is_empty());
        }
        vec![Arc::new(ops), Arc::new(at), Arc::new(unchanged.finish())]
    }
}

/// The schema of a change log whose rows, without what happened to them, have this one.
pub fn change_log(rows: &SchemaRef) -> SchemaRef {
    let own = rows.fields().len().saturating_sub(STAMPS.len());
    let (own, stamps) = rows.fields().split_at(own);
    let all: Vec<FieldRef> = own.iter().cloned().chain(fields()).chain(stamps.iter().cloned()).collect();
    Arc::new(Schema::new(all))
}

pub(super) fn fields() -> Vec<FieldRef> {
    let names = Field::new_list_field(DataType::Utf8View, true);
    let types = [
        DataType::Utf8View,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::List(Arc::new(names)),
    ];
    stamp::named(&CHANGES, types)
}

//! Changes without their values, as they are sorted.

use super::fold::{Change, Emptied, Order, Place};
use super::key::{Key, column, fault};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use kernel::error::{Error, Result};
use kernel::gate::Op;
use std::collections::HashMap;
use std::sync::Arc;

/// What the log says of each change.
pub const SAID: [&str; 5] = ["_op", "_changed_at", "_unchanged", "_position", "_ingested_at"];
/// The same as it is sorted, behind the key.
const SORTED: [&str; 9] = ["first", "partition", "offset", "op", "at", "unchanged", "file", "row", "timed"];

pub fn sorted_schema(key: &Key) -> SchemaRef {
    let names = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)));
    let text = || DataType::Utf8View;
    let number = || DataType::Int64;
    let types = [number(), text(), number(), text(), number(), names, number(), number(), number()];
    let keys =
        key.types.iter().enumerate().map(|(at, data_type)| Field::new(format!("k{at}"), data_type.clone(), true));
    let said = SORTED.iter().zip(types).map(|(name, data_type)| Field::new(*name, data_type, true));
    Arc::new(Schema::new(keys.chain(said).collect::<Vec<_>>()))
}

/// Of each partition where it was first emptied: what is read behind that is a read that began anew.
pub type Begun = HashMap<String, i64>;

pub fn begun(emptied: &[Emptied]) -> Begun {
    let mut begun = Begun::new();
    for Emptied { order, .. } in emptied {
        let first = begun.entry(order.partition.clone()).or_insert(order.offset);
        *first = order.offset.min(*first);
    }
    begun
}

/// Where rows of a file are.
pub struct Spot {
    pub file: usize,
    /// The number of the first one.
    pub first: u64,
}

pub fn narrow(batch: &RecordBatch, key: &Key, schema: &SchemaRef, spot: Spot, begun: &Begun) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let ops = column(batch, "_op", &DataType::Utf8View)?;
    let position = batch.column_by_name("_position").and_then(|column| column.as_struct_opt());
    let position =
        position.ok_or_else(|| Error::data("apply changes", "the log does not say where its rows are from"))?;
    let partition = cast(position.column(0), &DataType::Utf8View).map_err(fault)?;
    let offset = cast(position.column(1), &DataType::Int64).map_err(fault)?;
    let is_behind = |at: usize| {
        let first = begun.get(partition.as_string_view().value(at));
        first.is_some_and(|first| *first < offset.as_primitive::<Int64Type>().value(at))
    };
    let is_change = |(at, letter): (usize, Option<&str>)| i64::from(op(letter) != Op::Read || is_behind(at));
    let is_change: Int64Array = ops.as_string_view().iter().enumerate().map(is_change).collect::<Vec<_>>().into();
    let changed = batch.column_by_name("_changed_at");
    let is_timed = |at| i64::from(changed.is_some_and(|changed| changed.is_valid(at)));
    let is_timed = Int64Array::from_iter_values((0..rows).map(is_timed));
    let numbers = Int64Array::from_iter_values((spot.first..).take(rows).map(|row| row as i64));
    let mut columns = key.columns(batch)?;
    let unchanged = schema.field(columns.len() + 5).data_type();
    columns.extend([
        Arc::new(is_change) as ArrayRef,
        partition,
        offset,
        ops,
        Arc::new(times(batch)?),
        column(batch, "_unchanged", unchanged)?,
        Arc::new(Int64Array::from_value(spot.file as i64, rows)),
        Arc::new(numbers),
        Arc::new(is_timed),
    ]);
    RecordBatch::try_new(schema.clone(), columns).map_err(fault)
}

/// When each change was committed, or else when it came.
pub fn times(batch: &RecordBatch) -> Result<Int64Array> {
    let number = |name: &str| -> Result<ArrayRef> {
        match batch.column_by_name(name) {
            Some(found) => cast(found, &DataType::Int64).map_err(fault),
            None => Ok(new_null_array(&DataType::Int64, batch.num_rows())),
        }
    };
    let (changed, came) = (number("_changed_at")?, number("_ingested_at")?);
    let both = changed.as_primitive::<Int64Type>().iter().zip(came.as_primitive::<Int64Type>());
    Ok(both.map(|(changed, came)| Some(changed.or(came).unwrap_or_default())).collect())
}

/// The changes of a batch of [`sorted_schema`].
pub fn changes(batch: &RecordBatch, width: usize, columns: &HashMap<String, usize>) -> Result<Vec<Change>> {
    let number = |at: usize| batch.column(width + at).as_primitive::<Int64Type>().clone();
    let text = |at: usize| batch.column(width + at).as_string_view().clone();
    let (first, partition, offset, ops, at) = (number(0), text(1), number(2), text(3), number(4));
    let (unchanged, file, row) = (batch.column(width + 5).as_list::<i32>().clone(), number(6), number(7));
    let timed = number(8);
    let change = |place: usize| Change {
        order: Order {
            is_change: first.value(place) > 0,
            partition: partition.value(place).to_owned(),
            offset: offset.value(place),
        },
        op: op(ops.is_valid(place).then(|| ops.value(place))),
        at: at.value(place),
        is_timed: timed.value(place) > 0,
        unchanged: untold(&unchanged, place, columns),
        place: Place { file: file.value(place) as usize, row: row.value(place) as u64 },
    };
    Ok((0..batch.num_rows()).map(change).collect())
}

/// A row without a word on what happened is one that was there.
pub fn op(letter: Option<&str>) -> Op {
    let others = [Op::Create, Op::Update, Op::Delete, Op::Truncate];
    others.into_iter().find(|op| letter == Some(op.letter())).unwrap_or(Op::Read)
}

/// The table's columns that a change does not tell, in order.
fn untold(unchanged: &ListArray, row: usize, columns: &HashMap<String, usize>) -> Vec<usize> {
    if unchanged.is_null(row) {
        return Vec::new();
    }
    let names = unchanged.value(row);
    let names = names.as_string_view().iter().flatten();
    let mut untold: Vec<usize> = names.filter_map(|name| columns.get(name).copied()).collect();
    untold.sort_unstable();
    untold
}

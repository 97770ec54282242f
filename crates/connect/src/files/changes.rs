//! Takes apart what a record says of a row and the row itself, where files hold the changes of a table.

use super::json;
use super::options::{ChangeColumns, Changes as Given, Envelope};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringViewArray};
use arrow::compute::{cast, filter, filter_record_batch, nullif};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use kernel::gate::{Changes, Malformed, Op};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Stands for a value that Debezium was not sent, because it did not change (`unavailable.value.placeholder`).
const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// Rows, and what happened to each.
pub struct Parted {
    pub batch: RecordBatch,
    pub offsets: Int64Array,
    pub changes: Changes,
    /// Records that don't say what happened.
    pub malformed: Vec<Malformed>,
}

pub fn part(batch: &RecordBatch, offsets: &Int64Array, given: &Given) -> Result<Parted, ArrowError> {
    let debezium = ChangeColumns { op: json::OP.to_owned(), at: Some(json::AT.to_owned()) };
    let said = match given {
        Given::Envelope(Envelope::Debezium) => &debezium,
        Given::Columns(columns) => columns,
    };
    let (ops, mut malformed) = ops(batch, offsets, &said.op)?;
    let at = match said.at.as_ref().and_then(|name| batch.column_by_name(name)) {
        Some(column) => times(column)?,
        None => vec![None; batch.num_rows()],
    };
    if let Some(name) = said.at.as_ref().filter(|_| !matches!(given, Given::Envelope(_))) {
        let unread = batch.column_by_name(name).into_iter().flat_map(|column| {
            (0..at.len()).filter(|row| column.is_valid(*row) && at[*row].is_none() && ops[*row].is_some())
        });
        malformed.extend(unread.map(|row| bad(offsets, row, format!("`{name}` is no time"))));
    }
    let bad_rows: HashSet<i64> = malformed.iter().map(|record| record.offset).collect();
    let good: BooleanArray = offsets.values().iter().map(|offset| Some(!bad_rows.contains(offset))).collect();
    let kept = filter_record_batch(batch, &good)?;
    let (batch, mut unchanged) = without(&kept, &[Some(&said.op), said.at.as_ref()])?;
    let mut changes = Changes::default();
    let rows = ops.into_iter().zip(at).zip(good.values()).filter(|(_, good)| *good);
    for (row, ((op, at), _)) in rows.enumerate() {
        changes.push(op.unwrap_or(Op::Read), at, unchanged.remove(&row).unwrap_or_default());
    }
    let offsets = filter(offsets, &good)?.as_primitive::<Int64Type>().clone();
    Ok(Parted { batch, offsets, changes, malformed })
}

fn bad(offsets: &Int64Array, row: usize, reason: String) -> Malformed {
    Malformed { offset: offsets.value(row), reason }
}

fn ops(batch: &RecordBatch, offsets: &Int64Array, name: &str) -> Result<(Vec<Option<Op>>, Vec<Malformed>), ArrowError> {
    let column = match batch.column_by_name(name) {
        Some(column) => cast(column, &DataType::Utf8View)?,
        None => Arc::new(StringViewArray::new_null(batch.num_rows())),
    };
    let ops: Vec<Option<Op>> = column.as_string_view().iter().map(|text| op(text?)).collect();
    let unsaid = (0..ops.len()).filter(|row| ops[*row].is_none());
    let reason = || format!("`{}` does not say what happened", name.trim_start_matches("__debezium."));
    let malformed = unsaid.map(|row| bad(offsets, row, reason())).collect();
    Ok((ops, malformed))
}

fn op(text: &str) -> Option<Op> {
    Some(match text.trim().to_ascii_lowercase().as_str() {
        "r" | "read" | "snapshot" => Op::Read,
        "c" | "create" | "i" | "insert" => Op::Create,
        "u" | "update" => Op::Update,
        "d" | "delete" => Op::Delete,
        "t" | "truncate" => Op::Truncate,
        _ => return None,
    })
}

/// In microseconds since 1970; none where it can't be read.
fn times(column: &ArrayRef) -> Result<Vec<Option<i64>>, ArrowError> {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let as_micros = |column: &ArrayRef| -> Result<Vec<Option<i64>>, ArrowError> {
        Ok(cast(column, &micros)?.as_primitive::<TimestampMicrosecondType>().iter().collect())
    };
    match column.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => as_micros(column),
        data_type if data_type.is_integer() => {
            let millis = cast(column, &DataType::Int64)?;
            Ok(millis.as_primitive::<Int64Type>().iter().map(|millis| millis?.checked_mul(1000)).collect())
        }
        _ => {
            let texts = cast(column, &DataType::Utf8View)?;
            let read = as_micros(&texts)?;
            let millis = |text: Option<&str>| text?.trim().parse::<i64>().ok()?.checked_mul(1000);
            Ok(texts.as_string_view().iter().zip(read).map(|(text, read)| millis(text).or(read)).collect())
        }
    }
}

/// Columns of each row.
type ByRow = BTreeMap<usize, Vec<Arc<str>>>;

/// The batch without these columns, and without the text that stands for values which were not sent.
fn without(batch: &RecordBatch, names: &[Option<&String>]) -> Result<(RecordBatch, ByRow), ArrowError> {
    let (mut fields, mut columns, mut unsent) = (Vec::<Arc<Field>>::new(), Vec::new(), ByRow::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if names.contains(&Some(field.name())) {
            continue;
        }
        let (name, mut column) = (Arc::<str>::from(field.name().as_str()), column.clone());
        if let Some(found) = unavailable(&column)? {
            for row in found.values().set_indices() {
                unsent.entry(row).or_default().push(name.clone());
            }
            column = nullif(&column, &found)?;
        }
        fields.push(field.clone());
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok((RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?, unsent))
}

/// Where a text column has the placeholder; `None` where it nowhere has.
fn unavailable(column: &ArrayRef) -> Result<Option<BooleanArray>, ArrowError> {
    if !column.data_type().is_string() {
        return Ok(None);
    }
    let texts = cast(column, &DataType::Utf8View)?;
    let found: BooleanArray = texts.as_string_view().iter().map(|text| Some(text == Some(UNAVAILABLE))).collect();
    Ok((found.true_count() > 0).then_some(found))
}

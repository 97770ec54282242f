//! Records without a value, as rows without values among those that have one.

use crate::records::Rows;
use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use kernel::{Error, Result};
use std::sync::Arc;

/// Puts a row of nulls at each of these offsets, which grow: into the batch that reaches as far, or the last one.
pub fn put(all: &mut [Rows], mut empty: &[i64]) -> Result<()> {
    let count = all.len();
    for (place, rows) in all.iter_mut().enumerate() {
        let reach = if place + 1 == count { Some(i64::MAX) } else { rows.last() };
        let own = empty.partition_point(|offset| reach.is_some_and(|reach| *offset <= reach));
        if own > 0 {
            let put = among(&rows.batch, &rows.offsets, &empty[..own]);
            (rows.batch, rows.offsets) = put.map_err(|e| Error::internal("put rows without values", e))?;
        }
        empty = &empty[own..];
    }
    match empty {
        [] => Ok(()),
        _ => Err(Error::internal("put rows without values", "no batch for them")),
    }
}

fn among(batch: &RecordBatch, offsets: &Int64Array, empty: &[i64]) -> Result<(RecordBatch, Int64Array), ArrowError> {
    let full = (0..).zip(offsets.values()).map(|(place, offset): (u32, _)| (*offset, Some(place)));
    let mut rows: Vec<(i64, Option<u32>)> = full.chain(empty.iter().map(|offset| (*offset, None))).collect();
    rows.sort_by_key(|(offset, _)| *offset);
    let places: UInt32Array = rows.iter().map(|(_, place)| *place).collect();
    let columns: Vec<ArrayRef> =
        batch.columns().iter().map(|column| take(column, &places, None)).collect::<Result<_, _>>()?;
    let fields: Vec<FieldRef> =
        batch.schema().fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
    Ok((batch, Int64Array::from_iter_values(rows.into_iter().map(|(offset, _)| offset))))
}

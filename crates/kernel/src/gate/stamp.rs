//! Where each row came from: the columns that the gate adds.

use crate::clock::Timestamp;
use arrow::array::{ArrayRef, Int64Array, StringViewArray, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use std::sync::Arc;

/// What is the same for all rows of one run of one source.
#[derive(Debug, Clone)]
pub struct Stamp {
    pub source: String,
    pub contract_version: String,
    pub run_id: String,
    /// Whether the source gives changes, which are stamped with what they did.
    pub changes: bool,
}

/// The names of the columns that the gate adds to bronze, in order.
pub const STAMPS: [&str; 5] = ["_source", "_position", "_ingested_at", "_contract_version", "_run_id"];

fn position_fields() -> Fields {
    Fields::from(vec![Field::new("partition", DataType::Utf8View, true), Field::new("offset", DataType::Int64, true)])
}

pub(super) fn fields() -> Vec<FieldRef> {
    let types = [
        DataType::Utf8View,
        DataType::Struct(position_fields()),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Utf8View,
        DataType::Utf8View,
    ];
    named(&STAMPS, types)
}

/// Nullable fields of these names.
pub(super) fn named<const N: usize>(names: &[&str; N], types: [DataType; N]) -> Vec<FieldRef> {
    names.iter().zip(types).map(|(name, data_type)| Arc::new(Field::new(*name, data_type, true))).collect()
}

impl Stamp {
    /// The stamp's columns for rows of `partition` at `offsets`.
    pub(super) fn columns(&self, partition: &str, offsets: &Int64Array, now: Timestamp) -> Vec<ArrayRef> {
        let rows = offsets.len();
        let partitions = constant(partition, rows);
        let position = StructArray::new(position_fields(), vec![partitions, Arc::new(offsets.clone())], None);
        let at = TimestampMicrosecondArray::from_value(now.0, rows).with_timezone("UTC");
        vec![
            constant(&self.source, rows),
            Arc::new(position),
            Arc::new(at),
            constant(&self.contract_version, rows),
            constant(&self.run_id, rows),
        ]
    }
}

/// One text in every row; the bytes are there once.
pub(super) fn constant(text: &str, rows: usize) -> ArrayRef {
    let one = StringViewArray::from(vec![text]);
    let zero = arrow::array::UInt32Array::from_value(0, rows);
    match arrow::compute::take(&one, &zero, None) {
        Ok(all) => all,
        Err(_) => Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(text, rows))),
    }
}

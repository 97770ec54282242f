//! Values that nobody can write: arrow tells of an error in the text's place, or cuts the text.

use super::{digits, parts, range};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// True where the value, or a part of it, has no text; `None` when all have one.
pub(in crate::gate) fn untold(values: &ArrayRef) -> Option<BooleanArray> {
    parts::rows(values, &leaf).map(|rows| BooleanArray::new(rows, None))
}

fn leaf(values: &ArrayRef) -> Option<BooleanBuffer> {
    match values.data_type() {
        DataType::Time32(_) | DataType::Time64(_) => unwritten(values),
        // Any time of the years that are kept can be written, and others are rare.
        DataType::Date32 | DataType::Date64 => range::leaf(values).and_then(|_| unwritten(values)),
        DataType::Timestamp(unit, _) => {
            range::leaf(values)?;
            unwritten(&cast(values, &DataType::Timestamp(*unit, None)).ok()?)
        }
        _ => digits::leaf(values),
    }
}

fn unwritten(values: &ArrayRef) -> Option<BooleanBuffer> {
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(values, &options).ok()?;
    let is_unwritten = |row: usize| values.is_valid(row) && shown.value(row).try_to_string().is_err();
    Some(BooleanBuffer::collect_bool(values.len(), is_unwritten))
}

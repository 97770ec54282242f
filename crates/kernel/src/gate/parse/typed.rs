//! Values that come typed (Parquet, Avro, Arrow, nested JSON) to the contract's type, if that loses nothing.

use super::{Branches, Parsed, ValidMask, blank, except, is_text, kept_type, nested};
use crate::contract::Property;
use crate::error::{Error, Result};
use crate::gate::cells;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use std::sync::Arc;

pub(super) fn unexpected(error: ArrowError) -> Error {
    Error::internal("parse a column", "an arrow kernel refused types that it was said to take").because(error)
}

/// `column` has neither dictionary nor runs.
pub(super) fn convert(column: &ArrayRef, property: &Property) -> Result<Parsed> {
    let (from, to) = (column.data_type(), &kept_type(&property.data_type));
    if from == to {
        return Ok(Parsed { values: column.clone(), failed: None });
    }
    if let Some(branches) = Branches::of(column) {
        return each_branch(&branches, property);
    }
    match (from, to) {
        (DataType::Float16 | DataType::Float32 | DataType::Float64, DataType::Decimal128(..)) => {
            // A float's meaning is its shortest text: 10.1 is 10.10, not 10.0999999.
            let text = cast(column, &DataType::Utf8View).map_err(unexpected)?;
            super::parse(&text, &Property { format: None, decimal_comma: false, ..property.clone() })
        }
        (DataType::Timestamp(unit, zone), DataType::Timestamp(TimeUnit::Microsecond, to_zone)) => {
            if zone.is_some() && to_zone.is_none() {
                return Ok(nothing(column, to));
            }
            // Arrow would read a time without zone as local; here it is UTC, as it is in text.
            let naive = cast(column, &DataType::Timestamp(*unit, None)).map_err(unexpected)?;
            let parsed = there_and_back(&naive, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let values = parsed.values.as_primitive::<TimestampMicrosecondType>().clone();
            Ok(Parsed { values: Arc::new(values.with_timezone_opt(to_zone.clone())), failed: parsed.failed })
        }
        (from, to) if is_text(to) && (has_one_text(from) || from.is_nested()) => as_text(column),
        (from, to) if from.is_nested() && to.is_nested() => nested::convert(column, to, property),
        (from, to) if sensible(from, to) && can_cast_types(from, to) && can_cast_types(to, from) => {
            there_and_back(column, to)
        }
        (_, to) => Ok(nothing(column, to)),
    }
}

/// Each value of a union is read as what it is.
fn each_branch(branches: &Branches, property: &Property) -> Result<Parsed> {
    let parsed: Vec<Parsed> = branches.values().map(|values| super::parse(values, property)).collect::<Result<_>>()?;
    let (values, failed): (Vec<_>, Vec<_>) = parsed.into_iter().map(|branch| (branch.values, branch.failed)).unzip();
    let failed: Vec<_> = failed.into_iter().map(|failed| failed.map(|failed| failed.values().clone())).collect();
    let failed = BooleanArray::new(branches.pick(&failed), None);
    Ok(Parsed { values: branches.merge(&values)?, failed: (failed.true_count() > 0).then_some(failed) })
}

/// A value that can't be written fails. Where arrow has no way to write the type at all, they all do.
fn as_text(column: &ArrayRef) -> Result<Parsed> {
    let Ok(texts) = cells::texts(column) else { return Ok(nothing(column, &DataType::Utf8View)) };
    let failed = except(&column.is_valid_mask(), &texts.is_valid_mask());
    Ok(Parsed { values: Arc::new(texts), failed: (failed.true_count() > 0).then_some(failed) })
}

/// No value is of the type.
pub(super) fn nothing(column: &ArrayRef, to: &DataType) -> Parsed {
    Parsed { values: new_null_array(to, column.len()), failed: Some(column.is_valid_mask()) }
}

/// A value that does not come back the same was not exact.
fn there_and_back(column: &ArrayRef, to: &DataType) -> Result<Parsed> {
    let values = cast(column, to).map_err(unexpected)?;
    let back = cast(&values, column.data_type()).map_err(unexpected)?;
    let same = not_distinct(&back, column).map_err(unexpected)?;
    let failed = except(&column.is_valid_mask(), &same);
    if failed.true_count() == 0 {
        return Ok(Parsed { values, failed: None });
    }
    Ok(Parsed { values: blank(&values, &failed)?, failed: Some(failed) })
}

/// Arrow casts more than means anything: a number is no date, a flag is no number.
fn sensible(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Timestamp};
    match (from, to) {
        // Half the world's Parquet has dates as timestamps at midnight; any other hour does not come back.
        (Date32 | Date64 | Timestamp(_, None), Date32) | (Boolean, Boolean) => true,
        (Date32 | Date64, Timestamp(_, None)) => true,
        (from, to) => from.is_numeric() && to.is_numeric(),
    }
}

/// Whether a value has a text that anybody would write for it; bytes are told in hexadecimal digits, by all sources.
fn has_one_text(from: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, FixedSizeBinary, LargeBinary, Time32, Time64, Timestamp,
    };
    let is_bytes = matches!(from, Binary | BinaryView | FixedSizeBinary(_) | LargeBinary);
    is_bytes || from.is_numeric() || matches!(from, Boolean | Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..))
}

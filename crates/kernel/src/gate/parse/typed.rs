//! Values that come typed (Parquet, Avro, Arrow, nested JSON) to the contract's type, if that loses nothing.

use super::{Parsed, ValidMask, blank, except, is_text, kept_type, nested};
use crate::contract::Property;
use crate::error::{Error, Result};
use crate::gate::cells;
use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
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
        (from, to) if is_text(to) && has_one_text(from) => {
            Ok(Parsed { values: Arc::new(cells::texts(column)?), failed: None })
        }
        (from, to) if from.is_nested() && to.is_nested() => nested::convert(column, to, property),
        (from, to) if sensible(from, to) && can_cast_types(from, to) && can_cast_types(to, from) => {
            there_and_back(column, to)
        }
        (_, to) => Ok(nothing(column, to)),
    }
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

/// Whether a value has a text that anybody would write for it.
fn has_one_text(from: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Time32, Time64, Timestamp};
    from.is_numeric() || matches!(from, Boolean | Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..))
}

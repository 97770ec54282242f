//! Columns as text: what every value-by-value mask stands on.
//!
//! A mask's output never depends on how a batch is encoded: dictionaries, large offsets and views all come out as
//! `Utf8View`, which is what the gate keeps text in and what `parquet` writes without a copy in between.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, StringViewArray, StringViewBuilder};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;
use arrow::temporal_conversions::as_datetime;
use chrono::NaiveDateTime;
use kernel::error::{Error, Result};
use std::sync::Arc;

/// The type of a column's values, whatever their encoding; text is `Utf8View`.
pub(super) fn plain_type(input: &DataType) -> DataType {
    match input {
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        other => other.clone(),
    }
}

pub(super) fn is_text(input: &DataType) -> bool {
    plain_type(input) == DataType::Utf8View
}

/// Whether [`canonical`] knows one text for each value of the type.
pub(super) fn has_canonical_text(input: &DataType) -> bool {
    let plain = plain_type(input);
    plain == DataType::Utf8View || plain.is_integer() || is_decimal(&plain) || is_moment(&plain)
}

fn is_decimal(plain: &DataType) -> bool {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    matches!(plain, Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..))
}

fn is_moment(plain: &DataType) -> bool {
    matches!(plain, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

/// Makes the masked text of each value with `write`, which appends to an empty buffer. Equal values of a dictionary
/// are masked once.
pub(super) fn map(column: &ArrayRef, mut write: impl FnMut(&str, &mut String)) -> Result<ArrayRef> {
    per_distinct(column, |values| {
        let text = canonical(values)?;
        let mut out = StringViewBuilder::with_capacity(text.len());
        let mut buffer = String::new();
        for value in text.as_string_view().iter() {
            match value {
                None => out.append_null(),
                Some(value) => {
                    buffer.clear();
                    write(value, &mut buffer);
                    out.try_append_value(&buffer).map_err(failed)?;
                }
            }
        }
        Ok(Arc::new(out.finish()))
    })
}

/// Texts one behind the other, of values that were masked together.
pub(super) struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    /// `ends` says where in `all` each text ends.
    pub fn new(all: Vec<u8>, ends: Vec<usize>) -> Result<Self> {
        let all = String::from_utf8(all).map_err(|_| Error::internal("mask a column", "a masked value is not text"))?;
        Ok(Self { all, ends })
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| &self.all[*start..*end])
    }

    /// A column with these texts where `values` has values, and its nulls.
    pub fn column(&self, values: &StringViewArray) -> Result<ArrayRef> {
        let mut out = StringViewBuilder::with_capacity(values.len());
        let mut texts = self.iter();
        for row in 0..values.len() {
            match values.is_valid(row) {
                true => out.try_append_value(texts.next().ok_or_else(lost)?).map_err(failed)?,
                false => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    }
}

/// Masks the distinct values of a dictionary, or the whole column when it is none, or when its dictionary is longer than
/// the column itself (a slice of a larger batch).
pub(super) fn per_distinct(column: &ArrayRef, mut mask: impl FnMut(&ArrayRef) -> Result<ArrayRef>) -> Result<ArrayRef> {
    match column.as_any_dictionary_opt() {
        Some(dictionary) if dictionary.values().len() <= column.len() => {
            let masked = mask(dictionary.values())?;
            take(&masked, dictionary.keys(), None).map_err(failed)
        }
        Some(dictionary) => mask(&cast(column, dictionary.values().data_type()).map_err(failed)?),
        None => mask(column),
    }
}

/// The column's values as `Utf8View`, one text for equal values: `10`, `10.0` and `10.00` are the same number in an
/// integer and in any decimal, and a timestamp is the same instant in any unit.
pub(crate) fn canonical(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Utf8View => Ok(column.clone()),
        DataType::Dictionary(_, value) => canonical(&cast(column, value).map_err(failed)?),
        DataType::Date32 => Ok(moments::<Date32Type>(column, false)),
        DataType::Date64 => Ok(moments::<Date64Type>(column, false)),
        DataType::Timestamp(unit, zone) => Ok(timestamps(column, *unit, zone.is_some())),
        number if is_decimal(number) => trimmed(&cast(column, &DataType::Utf8View).map_err(failed)?),
        _ => cast(column, &DataType::Utf8View).map_err(failed),
    }
}

/// Decimals without the zeros that only their scale puts there.
fn trimmed(column: &ArrayRef) -> Result<ArrayRef> {
    let short = |value: &str| -> String {
        if value.contains('.') {
            value.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            value.to_owned()
        }
    };
    let text: StringViewArray = column.as_string_view().iter().map(|value| value.map(short)).collect();
    Ok(Arc::new(text))
}

fn timestamps(column: &ArrayRef, unit: TimeUnit, zoned: bool) -> ArrayRef {
    match unit {
        TimeUnit::Second => moments::<TimestampSecondType>(column, zoned),
        TimeUnit::Millisecond => moments::<TimestampMillisecondType>(column, zoned),
        TimeUnit::Microsecond => moments::<TimestampMicrosecondType>(column, zoned),
        TimeUnit::Nanosecond => moments::<TimestampNanosecondType>(column, zoned),
    }
}

/// `2025-01-31` or `2025-01-31T08:00:00.5`, with a `Z` when the column has a zone. A moment out of the calendar's range
/// is its number: a mask is total.
fn moments<T: ArrowPrimitiveType>(column: &ArrayRef, zoned: bool) -> ArrayRef
where
    i64: From<T::Native>,
{
    let date_only = matches!(T::DATA_TYPE, DataType::Date32 | DataType::Date64);
    let show = |value: T::Native| -> String {
        match as_datetime::<T>(i64::from(value)) {
            None => i64::from(value).to_string(),
            Some(at) if date_only => at.format("%Y-%m-%d").to_string(),
            Some(at) => instant(&at) + if zoned { "Z" } else { "" },
        }
    };
    let text: StringViewArray = column.as_primitive::<T>().iter().map(|value| value.map(show)).collect();
    Arc::new(text)
}

fn instant(at: &NaiveDateTime) -> String {
    let text = at.format("%Y-%m-%dT%H:%M:%S%.9f").to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Values that were masked together came back as fewer: none may take another's place.
pub(super) fn lost() -> Error {
    Error::internal("mask a column", "a value has no masked one")
}

/// Arrow fails here on a broken array only; its message may quote a value, so that it is not passed on.
pub(super) fn failed(_: ArrowError) -> Error {
    Error::internal("mask a column", "the array is broken")
}

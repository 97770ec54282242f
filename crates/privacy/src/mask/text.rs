//! Columns as text: what every value-by-value mask stands on.
//!
//! A mask's output never depends on how a batch is encoded: dictionaries, large offsets and views all come out as
//! `Utf8View`, which is what the gate keeps text in and what `parquet` writes without a copy in between.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, LargeStringArray, StringViewArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
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

/// Makes the masked text of each value with `write`, which appends to what it gets. Equal values of a dictionary are
/// masked once.
pub(super) fn map(column: &ArrayRef, mut write: impl FnMut(&str, &mut String)) -> Result<ArrayRef> {
    per_distinct(column, |values| {
        let text = canonical(values)?;
        let text = text.as_string_view();
        let (mut all, mut out) = (String::new(), Texts::with_capacity(text.len(), 0));
        for value in text.iter() {
            if let Some(value) = value {
                write(value, &mut all);
            }
            out.ends.push(all.len() as i64);
        }
        out.all = all.into_bytes();
        out.rows(text.nulls())
    })
}

/// Texts one behind the other, of values that were masked together. They become a column in one piece: its views look
/// into the bytes as they lie here.
pub(super) struct Texts {
    all: Vec<u8>,
    /// Where each begins, and the end of the last.
    ends: Vec<i64>,
}

impl Texts {
    pub fn with_capacity(texts: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(texts + 1);
        ends.push(0);
        Self { all: Vec::with_capacity(bytes), ends }
    }

    /// What the next text is appended to.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.all
    }

    /// The text ends here.
    pub fn end(&mut self) {
        self.ends.push(self.all.len() as i64);
    }

    /// Appends as many texts of one length, to be written over.
    pub fn alike(&mut self, texts: usize, length: usize) -> std::slice::ChunksExactMut<'_, u8> {
        let start = self.all.len();
        self.all.resize(start + texts * length, b' ');
        self.ends.extend((1..=texts).map(|n| (start + n * length) as i64));
        self.all[start..].chunks_exact_mut(length)
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.windows(2).map(|pair| &self.all[pair[0] as usize..pair[1] as usize])
    }

    /// A column with a text for each row; those of nulls are left out.
    pub fn rows(self, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        let texts = LargeStringArray::try_new(ends, Buffer::from_vec(self.all), nulls.cloned());
        Ok(Arc::new(StringViewArray::from(&texts.map_err(failed)?)))
    }

    /// A column with these texts where `values` has values, and its nulls.
    pub fn column(mut self, values: &StringViewArray) -> Result<ArrayRef> {
        if self.ends.len() != values.len() - values.null_count() + 1 {
            return Err(lost());
        }
        if let Some(nulls) = values.nulls() {
            let mut ends = Vec::with_capacity(values.len() + 1);
            let mut at = 0;
            ends.push(0);
            for is_valid in nulls {
                at += usize::from(is_valid);
                ends.push(self.ends[at]);
            }
            self.ends = ends;
        }
        self.rows(values.nulls())
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

//! Parses a column to the contract's type, exactly: what would lose a digit, a fraction or a zone is a violation.

mod digits;
mod expect;
mod nested;
mod number;
mod parts;
mod range;
mod time;
mod typed;
mod untold;

pub(super) use digits::too_many;
pub(super) use expect::expectation;
pub(super) use number::exact;
pub(super) use parts::Branches;
pub(super) use range::{YEARS, beyond, is_kept};
pub(super) use untold::untold;

use crate::contract::Property;
use crate::error::{Error, Result};
use crate::gate::cells;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, BooleanBuilder, PrimitiveArray,
    PrimitiveBuilder, Scalar, StringViewArray, new_null_array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, or};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType,
};
use std::sync::Arc;

/// A parsed column; `failed` is true where there was a value that is not of the type.
pub(super) struct Parsed {
    pub values: ArrayRef,
    pub failed: Option<BooleanArray>,
}

/// Parses `column` to the property's type; text becomes `Utf8View`. However a value came, a time is of the years that are
/// kept, and a decimal has no more digits than its type.
pub(super) fn parse(column: &ArrayRef, property: &Property) -> Result<Parsed> {
    let plain = decoded(column)?;
    let mut parsed = read(&plain, property)?;
    for lost in [too_many(&plain), beyond(&parsed.values)].into_iter().flatten() {
        let failed = match &parsed.failed {
            Some(failed) => or(failed, &lost).map_err(typed::unexpected)?,
            None => lost.clone(),
        };
        parsed = Parsed { values: blank(&parsed.values, &lost)?, failed: Some(failed) };
    }
    Ok(parsed)
}

/// `plain` has neither dictionary nor runs.
fn read(plain: &ArrayRef, property: &Property) -> Result<Parsed> {
    match plain.data_type() {
        DataType::Null => {
            Ok(Parsed { values: new_null_array(&kept_type(&property.data_type), plain.len()), failed: None })
        }
        DataType::Utf8View => from_text(plain.as_string_view(), property),
        DataType::Utf8 | DataType::LargeUtf8 => {
            let view = cast(plain, &DataType::Utf8View).map_err(typed::unexpected)?;
            from_text(view.as_string_view(), property)
        }
        _ => typed::convert(plain, property),
    }
}

/// The column without dictionary or runs: only a plain array has its nulls where one looks for them.
pub(super) fn decoded(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Dictionary(_, value) => cast(column, value).map_err(typed::unexpected),
        DataType::RunEndEncoded(_, values) => cast(column, values.data_type()).map_err(typed::unexpected),
        _ => Ok(column.clone()),
    }
}

/// Null where `where_true`. Unlike arrow's `nullif` it leaves no value behind under the null, to be read from a dump.
pub(super) fn blank(values: &ArrayRef, where_true: &BooleanArray) -> Result<ArrayRef> {
    zip(where_true, &Scalar::new(new_null_array(values.data_type(), 1)), values).map_err(typed::unexpected)
}

/// True where `mask` is true and `other` is not; neither has nulls. Arrow's own `and_not` errs on slices
/// (apache/arrow-rs#10698).
pub(super) fn except(mask: &BooleanArray, other: &BooleanArray) -> BooleanArray {
    BooleanArray::new(mask.values() & &!other.values(), None)
}

/// Refuses a time's format that chrono can't read, or whose zone it would read over.
pub(super) fn check_format(property: &Property) -> Result<()> {
    let is_time = matches!(property.data_type, DataType::Date32 | DataType::Timestamp(..));
    let Some(format) = property.format.as_deref().filter(|_| is_time) else { return Ok(()) };
    match time::fault(format) {
        Some(why) => Err(Error::project(format!("format of `{}`", property.name), format!("`{format}` {why}"))),
        None => Ok(()),
    }
}

/// Text is kept as views inside: a field of a CSV file is never copied on its way to Parquet.
pub(super) fn kept_type(data_type: &DataType) -> DataType {
    if is_text(data_type) { DataType::Utf8View } else { data_type.clone() }
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

fn from_text(text: &StringViewArray, property: &Property) -> Result<Parsed> {
    let format = property.format.as_deref();
    let comma = property.decimal_comma;
    let parsed = match &property.data_type {
        to if is_text(to) => Parsed { values: Arc::new(text.clone()), failed: None },
        DataType::Int8 => each::<Int8Type>(text, |s| number::integer(s, comma)?.try_into().ok()),
        DataType::Int16 => each::<Int16Type>(text, |s| number::integer(s, comma)?.try_into().ok()),
        DataType::Int32 => each::<Int32Type>(text, |s| number::integer(s, comma)?.try_into().ok()),
        DataType::Int64 => each::<Int64Type>(text, |s| number::integer(s, comma)),
        DataType::Float32 => each::<Float32Type>(text, |s| number::float(s, comma).and_then(narrow)),
        DataType::Float64 => each::<Float64Type>(text, |s| number::float(s, comma)),
        DataType::Decimal128(p, s) => {
            let (p, s) = (*p, *s);
            let parsed = each::<Decimal128Type>(text, |t| number::decimal(t, p, s, comma));
            let values = parsed.values.as_primitive::<Decimal128Type>().clone();
            let values = values.with_precision_and_scale(p, s).map_err(typed::unexpected)?;
            Parsed { values: Arc::new(values), failed: parsed.failed }
        }
        DataType::Boolean => booleans(text),
        DataType::Date32 => each::<Date32Type>(text, |s| time::date(s, format)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let zoned = zone.is_some();
            let parsed = each::<TimestampMicrosecondType>(text, |s| time::timestamp(s, format, zoned));
            let values = parsed.values.as_primitive::<TimestampMicrosecondType>().clone();
            Parsed { values: Arc::new(values.with_timezone_opt(zone.clone())), failed: parsed.failed }
        }
        DataType::Binary => binary(text),
        nested if nested.is_nested() => {
            let values = cells::nested(text, nested)?;
            let failed = except(&text.is_valid_mask(), &values.is_valid_mask());
            Parsed { values, failed: (failed.true_count() > 0).then_some(failed) }
        }
        other => {
            let failed = text.is_valid_mask();
            Parsed { values: new_null_array(other, text.len()), failed: Some(failed) }
        }
    };
    Ok(parsed)
}

fn narrow(value: f64) -> Option<f32> {
    let narrow = value as f32;
    (narrow.is_finite() || !value.is_finite()).then_some(narrow)
}

/// Parses each value with `read`; a value that `read` refuses is null and failed.
fn each<T: ArrowPrimitiveType>(text: &StringViewArray, read: impl Fn(&str) -> Option<T::Native>) -> Parsed {
    let mut values = PrimitiveBuilder::<T>::with_capacity(text.len());
    let mut failed: Option<Vec<bool>> = None;
    for (row, value) in text.iter().enumerate() {
        match value.map(&read) {
            None => values.append_null(),
            Some(Some(good)) => values.append_value(good),
            Some(None) => {
                values.append_null();
                failed.get_or_insert_with(|| vec![false; text.len()])[row] = true;
            }
        }
    }
    let values: PrimitiveArray<T> = values.finish();
    Parsed { values: Arc::new(values), failed: failed.map(BooleanArray::from) }
}

/// From hexadecimal digits, as masked bytes are shown.
fn binary(text: &StringViewArray) -> Parsed {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let read = |text: &str| -> Option<Vec<u8>> {
        text.len().is_multiple_of(2).then(|| text.as_bytes().chunks(2).map(pair).collect()).flatten()
    };
    let values: BinaryArray = text.iter().map(|text| text.and_then(read)).collect();
    let failed = except(&text.is_valid_mask(), &values.is_valid_mask());
    Parsed { values: Arc::new(values), failed: (failed.true_count() > 0).then_some(failed) }
}

fn booleans(text: &StringViewArray) -> Parsed {
    let mut values = BooleanBuilder::with_capacity(text.len());
    let mut failed: Option<Vec<bool>> = None;
    for (row, value) in text.iter().enumerate() {
        let read = value.map(boolean);
        if read == Some(None) {
            failed.get_or_insert_with(|| vec![false; text.len()])[row] = true;
        }
        values.append_option(read.flatten());
    }
    Parsed { values: Arc::new(values.finish()), failed: failed.map(BooleanArray::from) }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "t" => Some(true),
        "false" | "0" | "f" => Some(false),
        _ => match text.trim().to_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "y" | "sim" | "s" => Some(true),
            "false" | "f" | "0" | "no" | "n" | "não" | "nao" => Some(false),
            _ => None,
        },
    }
}

/// True where there is a value.
trait ValidMask: Array {
    fn is_valid_mask(&self) -> BooleanArray {
        // A union has its nulls in its branches.
        match self.logical_nulls() {
            Some(nulls) => BooleanArray::new(nulls.inner().clone(), None),
            None => BooleanArray::from(vec![true; self.len()]),
        }
    }
}
impl<A: Array + ?Sized> ValidMask for A {}

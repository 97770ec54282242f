//! Values as text, so that a person can read them and a replay can parse them again.

mod json;

use super::parse::{Branches, decoded, too_many, untold};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use arrow::json::writer::make_encoder;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;

fn unexpected(error: arrow::error::ArrowError) -> Error {
    Error::internal("show values", "arrow can't show this type").because(error)
}

/// The text of each value. A null stays null, and a value that nobody can write becomes one. Times with a zone are shown in
/// UTC, bytes in hexadecimal digits, nested values as JSON, a value of a union as what it is.
pub(super) fn texts(column: &ArrayRef) -> Result<StringViewArray> {
    let column = decoded(column)?;
    match column.data_type() {
        DataType::Utf8View => Ok(column.as_string_view().clone()),
        DataType::Null => Ok(StringViewArray::new_null(column.len())),
        DataType::Utf8 | DataType::LargeUtf8 => {
            let views = cast(&column, &DataType::Utf8View).map_err(unexpected)?;
            Ok(views.as_string_view().clone())
        }
        DataType::Timestamp(unit, Some(_)) => {
            let naive = cast(&column, &DataType::Timestamp(*unit, None)).map_err(unexpected)?;
            displayed(&naive, "Z")
        }
        DataType::Union(..) => of_branches(&column),
        nested if nested.is_nested() => json(&column),
        _ => displayed(&column, ""),
    }
}

fn displayed(column: &ArrayRef, suffix: &str) -> Result<StringViewArray> {
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(column, &options).map_err(unexpected)?;
    let cut = too_many(column);
    let is_told = |row: usize| column.is_valid(row) && !cut.as_ref().is_some_and(|cut| cut.value(row));
    let is_float = column.data_type().is_floating();
    let text = |row: usize| -> Option<String> {
        // Shown as it is displayed, an error would be a text like any other.
        let text = is_told(row).then(|| shown.value(row).try_to_string().ok()).flatten()?;
        Some(match text.as_str() {
            "inf" if is_float => "Infinity".into(),
            "-inf" if is_float => "-Infinity".into(),
            _ => text + suffix,
        })
    };
    Ok((0..column.len()).map(text).collect())
}

fn of_branches(column: &ArrayRef) -> Result<StringViewArray> {
    let Some(branches) = Branches::of(column) else { return Ok(StringViewArray::new_null(column.len())) };
    let read = |values: &ArrayRef| -> Result<ArrayRef> { Ok(Arc::new(texts(values)?)) };
    let branches_read: Vec<ArrayRef> = branches.values().map(read).collect::<Result<_>>()?;
    Ok(branches.merge(&branches_read)?.as_string_view().clone())
}

fn json(column: &ArrayRef) -> Result<StringViewArray> {
    let field = Arc::new(Field::new("", column.data_type().clone(), true));
    let mut encoder = make_encoder(&field, column, json::options()).map_err(unexpected)?;
    let untold = untold(column);
    let mut texts = StringViewBuilder::with_capacity(column.len());
    let mut text = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) || untold.as_ref().is_some_and(|untold| untold.value(row)) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        texts.append_value(String::from_utf8_lossy(&text));
    }
    Ok(texts.finish())
}

/// Nested values from JSON as [`texts`] writes it; null where the text is anything else.
pub(super) fn nested(texts: &StringViewArray, data_type: &DataType) -> Result<ArrayRef> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", data_type.clone(), true)]));
    let read = |text: &str| -> Option<ArrayRef> {
        let mut decoder = ReaderBuilder::new(schema.clone()).with_strict_mode(true).build_decoder().ok()?;
        let row = format!("{{\"v\":{text}}}\n");
        (decoder.decode(row.as_bytes()).ok()? == row.len()).then_some(())?;
        let value = decoder.flush().ok()??.column(0).clone();
        (json(&value).ok()?.iter().next()?? == text).then_some(value)
    };
    let values: Vec<ArrayRef> = texts
        .iter()
        .map(|text| text.and_then(read).filter(|v| v.len() == 1).unwrap_or_else(|| new_null_array(data_type, 1)))
        .collect();
    if values.is_empty() {
        return Ok(new_null_array(data_type, 0));
    }
    let values: Vec<&dyn Array> = values.iter().map(|value| value.as_ref()).collect();
    arrow::compute::concat(&values).map_err(unexpected)
}

/// Whether a text that could not be parsed to `data_type` may be shown all the same: it is made of what such values are
/// written with, and too short to be anybody's number. `1.234,56` tells what to mend; a name or a CPF that slipped into
/// the wrong column must not be kept.
pub(super) fn may_show(text: &str, data_type: &DataType) -> bool {
    let only = |signs: &str| text.chars().all(|c| c.is_ascii_digit() || signs.contains(c));
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    match data_type {
        t if t.is_numeric() => only(" .,+-") && digits <= 9,
        DataType::Date32 => only(" ./-") && digits <= 8,
        DataType::Timestamp(..) => only(" .,/-:+TZ") && (digits <= 8 || is_clock(text)),
        DataType::Boolean => text.chars().count() <= 1,
        _ => false,
    }
}

/// A date and a time of day: neither a telephone number nor a network address begins like that.
fn is_clock(text: &str) -> bool {
    let head = text.bytes().take_while(u8::is_ascii_digit).count();
    let separator = text.as_bytes().get(head);
    (1..=4).contains(&head) && matches!(separator, Some(b'-' | b'/' | b'.')) && text.contains(':')
}

//! Values that the contract says are lists, structs or maps, with text as their leaves: the gate parses those.

use super::pairs;
use super::parse::{self, Bad, Kind};
use crate::files::views::{Span, Texts};
use arrow::array::{ArrayRef, StringViewArray, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::json::ReaderBuilder;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// A nested column.
pub struct Decoded {
    pub array: ArrayRef,
    /// Fields inside it that the contract doesn't name, as JSON text, by their path: the gate must see them.
    pub beyond: Vec<(String, ArrayRef)>,
    /// Rows whose value is not of the type; null in the array.
    pub bad: Vec<usize>,
}

pub fn is_nested(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, List, Map, Struct};
    matches!(data_type, Struct(_) | List(_) | LargeList(_) | FixedSizeList(..) | Map(..))
}

/// Reads a column of JSON values.
pub fn decode(name: &str, data_type: &DataType, spans: &[Span], texts: &Texts) -> Decoded {
    let data_type = with_text_leaves(data_type);
    let mut values: Vec<&[u8]> =
        spans.iter().map(|span| if span.is_null() { b"null".as_slice() } else { span.of(texts) }).collect();
    let listed: Vec<Option<Vec<u8>>> = match pairs::are_in(&data_type) {
        true => values.iter().map(|value| pairs::listed(value, &data_type)).collect(),
        false => Vec::new(),
    };
    for (value, listed) in values.iter_mut().zip(&listed) {
        *value = listed.as_deref().unwrap_or(value);
    }
    // Arrow takes the last one of a name.
    let mut bad: Vec<usize> = (0..values.len()).filter(|row| names_twice(values[*row], &data_type)).collect();
    bad.iter().for_each(|row| values[*row] = b"null");
    if let Some(array) = read(&data_type, &values, true) {
        return Decoded { array, beyond: Vec::new(), bad };
    }
    let mut beyond = Beyond { rows: values.len(), columns: BTreeMap::new() };
    for (row, value) in values.iter_mut().enumerate() {
        if read(&data_type, &[value], true).is_some() {
            continue;
        }
        if read(&data_type, &[value], false).is_some() {
            // It was read just now, so it can be walked.
            let _ = beyond.walk(value, &data_type, name, row);
        } else {
            bad.push(row);
            *value = b"null";
        }
    }
    let array = read(&data_type, &values, false).unwrap_or_else(|| new_null_array(&data_type, values.len()));
    Decoded { array, beyond: beyond.finish(), bad }
}

/// All values at once; `None` when one of them is not of the type. `strict` refuses fields that the type lacks.
fn read(data_type: &DataType, values: &[&[u8]], strict: bool) -> Option<ArrayRef> {
    let mut decoder = ReaderBuilder::new_with_field(Field::new("value", data_type.clone(), true))
        .with_coerce_primitive(true)
        .with_strict_mode(strict)
        .with_batch_size(values.len().max(1))
        .build_decoder()
        .ok()?;
    for value in values {
        decoder.decode(value).ok()?;
        decoder.decode(b"\n").ok()?;
    }
    match decoder.flush().ok()? {
        Some(batch) => (batch.num_rows() == values.len()).then(|| batch.column(0).clone()),
        None => values.is_empty().then(|| new_null_array(data_type, 0)),
    }
}

/// Whether an object in it has a field twice. What is broken has none.
fn names_twice(value: &[u8], data_type: &DataType) -> bool {
    let mut twice = false;
    let walked = match (data_type, value.first()) {
        (DataType::Struct(fields), Some(b'{')) => {
            let mut names: HashSet<Cow<[u8]>> = HashSet::with_capacity(fields.len());
            parse::object(value, 0, value.len(), &mut |key: parse::Value, inner: parse::Value| {
                let name = name_of(value, &key);
                let of = std::str::from_utf8(&name).ok().and_then(|name| fields.find(name));
                twice |= of.is_some_and(|(_, field)| names_twice(&value[with_quotes(&inner)], field.data_type()));
                twice |= !names.insert(name);
                Ok(())
            })
        }
        (DataType::List(item) | DataType::LargeList(item), Some(b'[')) => parse::array(value, 0, |inner| {
            twice |= names_twice(&value[with_quotes(&inner)], item.data_type());
            Ok(())
        }),
        _ => return false,
    };
    walked.is_ok() && twice
}

/// The same type with text in place of all scalars.
fn with_text_leaves(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| -> FieldRef {
        Arc::new(Field::new(field.name(), with_text_leaves(field.data_type()), true))
    };
    match data_type {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::List(field) | DataType::FixedSizeList(field, _) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                let key = Arc::new(Field::new(pair[0].name(), DataType::Utf8, false));
                let pair = DataType::Struct(vec![key, inner(&pair[1])].into());
                DataType::Map(Arc::new(Field::new(entries.name(), pair, false)), *sorted)
            }
            _ => DataType::Utf8,
        },
        _ => DataType::Utf8,
    }
}

/// Fields that a nested type lacks: by path, the values of each row.
struct Beyond {
    rows: usize,
    columns: BTreeMap<String, BTreeMap<usize, Vec<String>>>,
}

impl Beyond {
    fn walk(&mut self, value: &[u8], data_type: &DataType, path: &str, row: usize) -> Result<(), Bad> {
        match (data_type, value.first()) {
            (DataType::Struct(fields), Some(b'{')) => {
                parse::object(value, 0, value.len(), &mut |key: parse::Value, inner: parse::Value| {
                    let name = String::from_utf8_lossy(&name_of(value, &key)).into_owned();
                    let raw = &value[with_quotes(&inner)];
                    let path = format!("{path}.{name}");
                    match fields.find(&name) {
                        Some((_, field)) => self.walk(raw, field.data_type(), &path, row),
                        None => {
                            let text = String::from_utf8_lossy(raw).into_owned();
                            self.columns.entry(path).or_default().entry(row).or_default().push(text);
                            Ok(())
                        }
                    }
                })?;
            }
            (DataType::List(field) | DataType::LargeList(field), Some(b'[')) => {
                parse::array(value, 0, |inner| self.walk(&value[with_quotes(&inner)], field.data_type(), path, row))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Vec<(String, ArrayRef)> {
        let column = |values: BTreeMap<usize, Vec<String>>| -> ArrayRef {
            let text = |row| match values.get(&row).map(Vec::as_slice) {
                None => None,
                Some([one]) => Some(one.clone()),
                Some(many) => Some(format!("[{}]", many.join(","))),
            };
            Arc::new((0..self.rows).map(text).collect::<StringViewArray>())
        };
        self.columns.into_iter().map(|(path, values)| (path, column(values))).collect()
    }
}

/// A field's name, however it is written: `"k"` and `"\u006b"` are one. One that no text can be is left as it stands.
pub fn name_of<'j>(json: &'j [u8], key: &parse::Value) -> Cow<'j, [u8]> {
    let written = &json[key.range.clone()];
    let mut name = Vec::new();
    match key.kind {
        Kind::Text { escaped: true } if parse::unescape(written, &mut name).is_ok() => Cow::Owned(name),
        _ => Cow::Borrowed(written),
    }
}

/// The value as JSON: a string's range is between its quotes.
pub fn with_quotes(value: &parse::Value) -> std::ops::Range<usize> {
    match value.kind {
        Kind::Text { .. } => value.range.start - 1..value.range.end + 1,
        _ => value.range.clone(),
    }
}

//! The record's key as the contract's primary key: where a topic has the last state by key, the key says whose state it is,
//! and the value may leave it out.

use crate::records::{Decode, Format, Records, Rows};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, UInt32Array, make_comparator};
use arrow::compute::{cast, filter, filter_record_batch, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use kernel::gate::Malformed;
use kernel::{Entity, Error, Property, Result};
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::sync::Arc;

/// Why a record has no place without its key.
pub const MISSING: &str = "it has no key, and with `mode: upsert` the key is the contract's primary key";
pub const UNFIT: &str = "its key is not the contract's primary key";
const NOTHING: &str = "its key is empty or `null`, and with `mode: upsert` the key is the contract's primary key";

/// The columns of the primary key, read from records' keys.
pub struct Keys {
    columns: Vec<Property>,
    /// What stands in front of the value of the first of them.
    lead: Vec<u8>,
    decoder: Box<dyn Decode>,
}

impl Keys {
    /// None where the contract has no primary key: then values are all there is.
    pub fn new(entity: &Entity) -> Result<Option<Self>> {
        let columns: Vec<Property> = entity.key().iter().filter_map(|name| entity.property(name)).cloned().collect();
        let Some(first) = columns.first() else { return Ok(None) };
        let lead = format!("{{{}:", serde_json::Value::from(first.name.as_str())).into_bytes();
        let own = Entity { properties: columns.clone(), ..entity.clone() };
        let decoder = Format::Json.reader(Arc::new(own), None)?;
        Ok(Some(Self { columns, lead, decoder }))
    }

    /// The key as text of a JSON object: it is one, or it is the value of the only column. Else what is wrong with it.
    pub fn object<'k>(&self, key: &'k [u8]) -> Result<Cow<'k, [u8]>, &'static str> {
        // Writers with a schema of a registry put five bytes in front, which begin with a zero.
        let (body, is_framed) = match key {
            [0, _, _, _, _, body @ ..] => (body, true),
            key => (key, false),
        };
        let body = body.trim_ascii_start();
        if body.first() == Some(&b'{') {
            return Ok(Cow::Borrowed(body));
        }
        let [_] = &self.columns[..] else { return Err(UNFIT) };
        // A writer of JSON without a key leaves `null`; nobody can tell that from the text, which in quotes is one.
        if matches!(body.trim_ascii_end(), b"" | b"null") {
            return Err(NOTHING);
        }
        let mut object = self.lead.clone();
        // Text in quotes is JSON, and text without is itself; a number's text is the number's.
        if body.first() == Some(&b'"') && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            object.extend_from_slice(body);
        } else if is_framed {
            return Err(UNFIT);
        } else {
            let text = std::str::from_utf8(key).map_err(|_| UNFIT)?;
            serde_json::to_writer(&mut object, text).map_err(|_| UNFIT)?;
        }
        object.push(b'}');
        Ok(Cow::Owned(object))
    }

    /// Puts the columns of the keys into the rows of the same offsets. A row whose value says another key is set aside, and
    /// so is one whose key lacks a column.
    pub fn put(&mut self, all: Vec<Rows>, keys: Records) -> Result<Vec<Rows>> {
        let read = self.decoder.decode(keys)?.into_iter().next();
        let read = read.ok_or_else(|| Error::internal("read keys", "a reader gives a batch, if an empty one"))?;
        let put = |rows| self.put_read(rows, &read).map_err(|e| Error::internal("put keys to their rows", e));
        all.into_iter().map(put).collect()
    }

    fn put_read(&self, rows: Rows, keys: &Rows) -> Result<Rows, ArrowError> {
        let mut bad: Vec<Option<String>> = vec![None; rows.offsets.len()];
        let places = places(&rows.offsets, keys, &mut bad);
        let mut batch = rows.batch;
        for column in &self.columns {
            let key = keys.batch.column_by_name(&column.name);
            let key = key.ok_or_else(|| ArrowError::SchemaError("a key's column is missing".into()))?;
            let key = match &places {
                Some(places) => take(key, places, None)?,
                None => key.clone(),
            };
            check(column, &key, batch.column_by_name(&column.name), &mut bad)?;
            batch = with(batch, &column.name, key)?;
        }
        let (mut offsets, mut malformed) = (rows.offsets, rows.malformed);
        if bad.iter().any(Option::is_some) {
            let keep = BooleanArray::from_iter(bad.iter().map(|reason| Some(reason.is_none())));
            let reasons = offsets.values().iter().zip(bad);
            malformed
                .extend(reasons.filter_map(|(offset, reason)| Some(Malformed { offset: *offset, reason: reason? })));
            malformed.sort_by_key(|bad| bad.offset);
            batch = filter_record_batch(&batch, &keep)?;
            offsets = filter(&offsets, &keep)?.as_primitive().clone();
        }
        Ok(Rows { batch, offsets, malformed })
    }
}

/// Where the key of each row is, unless they lie side by side; of a row whose key can't be read, why.
fn places(offsets: &Int64Array, keys: &Rows, bad: &mut [Option<String>]) -> Option<UInt32Array> {
    if *offsets.values() == *keys.offsets.values() {
        return None;
    }
    let find = |(row, offset): (usize, &i64)| {
        let found = keys.offsets.values().binary_search(offset).ok();
        if found.is_none() {
            let told = keys.malformed.iter().find(|bad| bad.offset == *offset);
            bad[row] = Some(told.map_or_else(|| UNFIT.to_owned(), |told| format!("its key: {}", told.reason)));
        }
        found.map(|place| place as u32)
    };
    Some(offsets.values().iter().enumerate().map(find).collect())
}

/// Looks for rows whose key has no value for a column, or another one than their value.
fn check(
    column: &Property,
    key: &ArrayRef,
    value: Option<&ArrayRef>,
    bad: &mut [Option<String>],
) -> Result<(), ArrowError> {
    let name = &column.name;
    for row in (0..key.len()).filter(|row| key.is_null(*row)) {
        bad[row].get_or_insert_with(|| format!("its key has no `{name}`, which is of the contract's primary key"));
    }
    let Some(value) = value else { return Ok(()) };
    let is_same = make_comparator(key, value, Default::default())?;
    let differs = |row: &usize| key.is_valid(*row) && value.is_valid(*row) && is_same(*row, *row).is_ne();
    let mut other: Vec<usize> = (0..key.len()).filter(differs).collect();
    if !other.is_empty() {
        // `1` and `1.0` may be one number, and a time can be written in many ways.
        let is_one = same(key, value, &column.data_type);
        other.retain(|row| !is_one.as_ref().is_some_and(|is_one| is_one(*row)));
    }
    for row in other {
        bad[row].get_or_insert_with(|| format!("its value has another `{name}` than its key"));
    }
    Ok(())
}

/// Whether both are the same in the contract's type; of what can't be read as that nothing is said.
fn same(key: &ArrayRef, value: &ArrayRef, of: &DataType) -> Option<impl Fn(usize) -> bool + use<>> {
    let texts = of.is_numeric().then(|| Some((cast(key, &DataType::Utf8).ok()?, cast(value, &DataType::Utf8).ok()?)));
    let (key, value) = (cast(key, of).ok()?, cast(value, of).ok()?);
    let order = make_comparator(&key, &value, Default::default()).ok()?;
    let is_one_number = move |row: usize| {
        texts.as_ref().and_then(Option::as_ref).is_some_and(|(key, value)| {
            let number = |texts: &ArrayRef| Number::of(texts.as_string::<i32>().value(row));
            number(key).is_some_and(|key| number(value) == Some(key))
        })
    };
    Some(move |row: usize| is_one_number(row) || key.is_valid(row) && value.is_valid(row) && order(row, row).is_eq())
}

/// A number as JSON writes it, by its digits and their last place: `3`, `3.0` and `30e-1` are one.
#[derive(PartialEq, Eq)]
struct Number {
    is_negative: bool,
    digits: String,
    /// Of the last digit.
    exponent: i64,
}

impl Number {
    fn of(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (text, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let all = format!("{whole}{part}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let exponent = exponent.parse::<i32>().ok()?;
        let digits = all.trim_end_matches('0');
        let places = i64::try_from(all.len() - digits.len()).ok()? - i64::try_from(part.len()).ok()?;
        match digits.trim_start_matches('0') {
            "" => Some(Self { is_negative: false, digits: String::new(), exponent: 0 }),
            digits => Some(Self { is_negative, digits: digits.into(), exponent: i64::from(exponent) + places }),
        }
    }
}

/// The batch with this column, in the place of the one of the same name.
fn with(batch: RecordBatch, name: &str, column: ArrayRef) -> Result<RecordBatch, ArrowError> {
    let (schema, mut columns, rows) = batch.into_parts();
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    let field = Arc::new(Field::new(name, column.data_type().clone(), true));
    match fields.iter().position(|field| field.name() == name) {
        Some(place) => (fields[place], columns[place]) = (field, column),
        None => {
            fields.push(field);
            columns.push(column);
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

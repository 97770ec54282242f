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

    /// The key as text of a JSON object: it is one, or it is the value of the only column.
    pub fn object<'k>(&self, key: &'k [u8]) -> Option<Cow<'k, [u8]>> {
        // Writers with a schema of a registry put five bytes in front, which begin with a zero.
        let (body, is_framed) = match key {
            [0, _, _, _, _, body @ ..] => (body, true),
            key => (key, false),
        };
        let body = body.trim_ascii_start();
        if body.first() == Some(&b'{') {
            return Some(Cow::Borrowed(body));
        }
        let [_] = &self.columns[..] else { return None };
        let mut object = self.lead.clone();
        // Text in quotes is JSON, and text without is itself; a number's text is the number's.
        if body.first() == Some(&b'"') && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            object.extend_from_slice(body);
        } else if is_framed {
            return None;
        } else {
            serde_json::to_writer(&mut object, std::str::from_utf8(key).ok()?).ok()?;
        }
        object.push(b'}');
        Some(Cow::Owned(object))
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
    let (key, value) = (cast(key, of).ok()?, cast(value, of).ok()?);
    let order = make_comparator(&key, &value, Default::default()).ok()?;
    Some(move |row: usize| key.is_valid(row) && value.is_valid(row) && order(row, row).is_eq())
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

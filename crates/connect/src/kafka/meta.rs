//! What a record has beside its value, as columns: each when the contract names it.

use arrow::array::{Array, ArrayRef, Int64Array, StringViewBuilder, TimestampMillisecondArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, FieldRef, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use kernel::{Entity, Error, Result};
use rdkafka::message::{Headers, Message};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The columns that a contract can name: the record's key and headers as text, when it was written, and where it is.
pub const NAMES: [&str; 6] = ["_key", "_headers", "_timestamp", "_topic", "_partition", "_offset"];

pub struct Meta {
    topic: String,
    partition: i32,
    /// Whether each of [`NAMES`] is asked for.
    wanted: [bool; NAMES.len()],
    offsets: Vec<i64>,
    keys: StringViewBuilder,
    headers: StringViewBuilder,
    times: Vec<Option<i64>>,
}

impl Meta {
    pub fn new(topic: &str, partition: i32, entity: &Entity) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            wanted: NAMES.map(|name| entity.property(name).is_some()),
            offsets: Vec::new(),
            keys: StringViewBuilder::new(),
            headers: StringViewBuilder::new(),
            times: Vec::new(),
        }
    }

    pub fn take(&mut self, message: &impl Message) {
        let [key, headers, time, ..] = self.wanted;
        if !self.wanted.contains(&true) {
            return;
        }
        self.offsets.push(message.offset());
        if key {
            self.keys.append_option(message.key().map(shown));
        }
        if headers {
            self.headers.append_option(message.headers().map(header_object));
        }
        if time {
            self.times.push(message.timestamp().to_millis());
        }
    }

    pub fn clear(&mut self) {
        self.offsets.clear();
        self.times.clear();
        self.keys.finish();
        self.headers.finish();
    }

    /// The batch with the columns that are asked for, in the place of any of the same name.
    pub fn columns(&self, batch: RecordBatch, offsets: &Int64Array) -> Result<RecordBatch> {
        if !self.wanted.contains(&true) {
            return Ok(batch);
        }
        let fault = |e| Error::internal("put a record's columns together", e);
        let places = offsets.values().iter().map(|offset| self.offsets.binary_search(offset).map_or(0, |at| at as u32));
        let places = UInt32Array::from_iter_values(places);
        let schema = batch.schema();
        let own = schema.fields().iter().cloned().zip(batch.columns().iter().cloned());
        let mut all: Vec<(FieldRef, ArrayRef)> = own.filter(|(field, _)| !self.is_wanted(field.name())).collect();
        for (place, name) in NAMES.iter().enumerate().filter(|(place, _)| self.wanted[*place]) {
            let column = self.column(place);
            let column = match place {
                0..=2 | 5 => take(&column, &places, None).map_err(fault)?,
                _ => take(&column, &UInt32Array::from_value(0, offsets.len()), None).map_err(fault)?,
            };
            all.push((Arc::new(Field::new(*name, column.data_type().clone(), true)), column));
        }
        let (fields, columns): (Vec<FieldRef>, Vec<ArrayRef>) = all.into_iter().unzip();
        let options = RecordBatchOptions::new().with_row_count(Some(offsets.len()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(fault)
    }

    fn is_wanted(&self, name: &str) -> bool {
        NAMES.iter().position(|own| *own == name).is_some_and(|place| self.wanted[place])
    }

    /// One of [`NAMES`], for all records; what is the same for all is there once.
    fn column(&self, place: usize) -> ArrayRef {
        let text = |text: &str| -> ArrayRef { Arc::new(arrow::array::StringViewArray::from(vec![text])) };
        match place {
            0 => Arc::new(self.keys.finish_cloned()),
            1 => Arc::new(self.headers.finish_cloned()),
            2 => Arc::new(TimestampMillisecondArray::from(self.times.clone()).with_timezone("UTC")),
            3 => text(&self.topic),
            4 => text(&self.partition.to_string()),
            _ => Arc::new(Int64Array::from(self.offsets.clone())),
        }
    }
}

/// Text as it is, other bytes in hexadecimal digits.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Headers as a JSON object; of a name that occurs twice, a list.
fn header_object(headers: &impl Headers) -> String {
    let mut object = Map::new();
    for header in headers.iter() {
        let value = header.value.map_or(Value::Null, |value| Value::String(shown(value)));
        match object.get_mut(header.key) {
            None => drop(object.insert(header.key.to_owned(), value)),
            Some(Value::Array(all)) => all.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    Value::Object(object).to_string()
}

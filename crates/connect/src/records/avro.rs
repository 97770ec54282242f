//! Avro values, each read with the schema that it was written with; the contract is what they are read into.

mod bare;
mod filled;
mod ids;
mod names;

use super::frame::{self, Run};
use super::text::VALUE;
use super::{Decode, Records, Rows};
use crate::registry::{Registry, Schema};
use arrow::array::{Array, ArrayData, Int64Array};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use filled::Shape;
use kernel::gate::Malformed;
use kernel::{Error, Result};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

pub struct Avro {
    pub registry: Registry,
}

impl Decode for Avro {
    fn decode(&mut self, records: Records) -> Result<Vec<Rows>> {
        let runs = frame::runs(&records);
        self.registry.look_up(frame::ids(&runs))?;
        runs.into_iter().map(|run| self.rows(run)).collect()
    }
}

impl Avro {
    fn rows(&self, mut run: Run) -> Result<Rows> {
        if run.records.is_empty() {
            return Ok(run.without_rows());
        }
        let Some(schema) = self.registry.by_id(run.id) else { return Ok(run.without_schema()) };
        let Some(reader) = Reader::of(run.id, &schema)? else {
            let reason = "which no columns can hold: does it contain itself, or has it no fields?";
            let reason = format!("it names schema {}, {reason}", run.id);
            return Ok(run.aside(&reason));
        };
        let mut batch = reader.read(&run.records)?.filter(|batch| !holds_nul(batch));
        if batch.is_none() {
            // One of them is broken: those that can be read alone can be read together.
            let mut good = Vec::new();
            for record in std::mem::take(&mut run.records) {
                let reason = match reader.read(&[record])? {
                    None => "its bytes are no value of the Avro schema that it names",
                    Some(alone) if holds_nul(&alone) => "a text holds a NUL character",
                    Some(_) => {
                        good.push(record);
                        continue;
                    }
                };
                run.malformed.push(Malformed { offset: record.0, reason: reason.into() });
            }
            run.malformed.sort_by_key(|bad| bad.offset);
            run.records = good;
            batch = reader.read(&run.records)?;
        }
        let unread = || Error::internal("read Avro", "records that can be read alone can't be read together");
        let batch = batch.ok_or_else(unread)?;
        let offsets = Int64Array::from_iter_values(run.records.iter().map(|(offset, _)| *offset));
        Ok(Rows { batch, offsets, malformed: run.malformed })
    }
}

/// How records of a schema are read.
struct Reader {
    id: u32,
    /// The schema of the columns.
    text: String,
    /// Where the columns have bytes that the records lack.
    shape: Option<Arc<Shape>>,
}

impl Reader {
    /// `None` for a schema that Arrow has no columns for.
    fn of(id: u32, schema: &Schema) -> Result<Option<Self>> {
        let what = || format!("read records of Avro schema {id}");
        if schema.kind != "AVRO" {
            return Err(Error::project(what(), format!("it is a schema of {}: set `format`", schema.kind)));
        }
        if !schema.references.is_empty() {
            return Err(Error::project(
                what(),
                "it refers to other schemas, which is not read yet: register it in one piece",
            ));
        }
        let Some((text, shape)) = as_record(&schema.schema) else { return Ok(None) };
        let reader = Self { id, text: ids::marked(&text), shape };
        Ok(reader.decoder(1).is_some().then_some(reader))
    }

    fn decoder(&self, rows: usize) -> Option<Decoder> {
        let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
        store.set(Fingerprint::Id(self.id), AvroSchema::new(self.text.clone())).ok()?;
        // Its views of text (`with_utf8_view`) forget nulls: they would be empty texts.
        let builder = ReaderBuilder::new().with_batch_size(rows.max(1)).with_writer_schema_store(store);
        builder.with_active_fingerprint(Fingerprint::Id(self.id)).build_decoder().ok()
    }

    /// All of them, or `None` when one is broken.
    fn read(&self, records: &[(i64, &[u8])]) -> Result<Option<RecordBatch>> {
        let Some(mut decoder) = self.decoder(records.len()) else { return Ok(None) };
        for (_, value) in records {
            let Some(bytes) = self.bytes(value) else { return Ok(None) };
            if decoder.decode(&bytes).ok() != Some(bytes.len()) {
                return Ok(None);
            }
        }
        let batch = match decoder.flush() {
            Ok(Some(batch)) => batch,
            Ok(None) => RecordBatch::new_empty(decoder.schema()),
            Err(_) => return Ok(None),
        };
        if batch.num_rows() != records.len() {
            return Ok(None);
        }
        let unfit = |e| Error::internal("read Avro", "its UUIDs can't be put as text").because(e);
        ids::told(batch).map(Some).map_err(unfit)
    }

    /// The value as the columns' schema has it; `None` when it is broken.
    fn bytes<'v>(&self, value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
        let Some(shape) = &self.shape else { return Some(Cow::Borrowed(value)) };
        let (head, rest) = value.split_at_checked(frame::BYTES)?;
        Some(Cow::Owned([head, shape.filled(rest)?.as_slice()].concat()))
    }
}

/// The schema of columns that the bytes are of, if there is one, and their shape if it has more of them. A value that is no
/// record is the only column of one.
fn as_record(schema: &str) -> Option<(String, Option<Arc<Shape>>)> {
    let mut read = serde_json::from_str::<Value>(schema).ok()?;
    bare::take_out(&mut read);
    if read["type"] != "record" {
        let field = json!({ "name": VALUE, "type": read });
        read = json!({ "type": "record", "name": "Value", "namespace": "lavra", "fields": [field] });
    }
    if read["fields"].as_array().is_some_and(Vec::is_empty) {
        return None;
    }
    let shape = if bare::is_left(&read) { Some(Shape::of(&read)?) } else { None };
    Some((read.to_string(), shape))
}

/// Whether one of the texts holds a NUL character, which no reader of records lets through.
fn holds_nul(rows: &RecordBatch) -> bool {
    fn holds(values: &ArrayData) -> bool {
        let is_text = matches!(values.data_type(), DataType::Utf8 | DataType::LargeUtf8);
        let own = is_text && values.buffers().get(1).is_some_and(|text| memchr::memchr(0, text).is_some());
        own || values.child_data().iter().any(holds)
    }
    rows.columns().iter().any(|column| holds(&column.to_data()))
}

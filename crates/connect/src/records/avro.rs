//! Avro values, each read with the schema that it was written with; the contract is what they are read into.

mod bare;
mod ids;

use super::frame::{self, Run};
use super::text::VALUE;
use super::{Decode, Records, Rows};
use crate::registry::{Registry, Schema};
use arrow::array::{Array, ArrayData, Int64Array};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use kernel::gate::Malformed;
use kernel::{Error, Result};
use serde_json::{Value, json};

pub struct Avro {
    pub registry: Registry,
}

impl Decode for Avro {
    fn decode(&mut self, records: Records) -> Result<Vec<Rows>> {
        frame::runs(&records).into_iter().map(|run| self.rows(run)).collect()
    }
}

impl Avro {
    fn rows(&self, mut run: Run) -> Result<Rows> {
        if run.records.is_empty() {
            return Ok(run.without_rows());
        }
        let Some(schema) = self.registry.by_id(run.id)? else { return Ok(run.without_schema()) };
        let id = run.id;
        if decoder(id, &schema, 1)?.is_none() {
            let reason = "which no columns can hold: does it contain itself, or a record without fields?";
            return Ok(run.aside(&format!("it names schema {id}, {reason}")));
        }
        let read = |records: &[(i64, &[u8])]| read(id, &schema, records);
        let mut batch = read(&run.records)?.filter(|batch| !holds_nul(batch));
        if batch.is_none() {
            // One of them is broken: those that can be read alone can be read together.
            let mut good = Vec::new();
            for record in std::mem::take(&mut run.records) {
                let reason = match read(&[record])? {
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
            batch = read(&run.records)?;
        }
        let unread = || Error::internal("read Avro", "records that can be read alone can't be read together");
        let batch = batch.ok_or_else(unread)?;
        let offsets = Int64Array::from_iter_values(run.records.iter().map(|(offset, _)| *offset));
        Ok(Rows { batch, offsets, malformed: run.malformed })
    }
}

/// All of them, or `None` when one is broken.
fn read(id: u32, schema: &Schema, records: &[(i64, &[u8])]) -> Result<Option<RecordBatch>> {
    let Some(mut decoder) = decoder(id, schema, records.len())? else { return Ok(None) };
    for (_, value) in records {
        if decoder.decode(value).ok() != Some(value.len()) {
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

/// `None` for a schema that Arrow has no columns for.
fn decoder(id: u32, schema: &Schema, rows: usize) -> Result<Option<Decoder>> {
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
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    let Some(text) = as_record(&schema.schema) else { return Ok(None) };
    let text = ids::marked(&text);
    if store.set(Fingerprint::Id(id), AvroSchema::new(text)).is_err() {
        return Ok(None);
    }
    // Its views of text (`with_utf8_view`) forget nulls: they would be empty texts.
    let builder = ReaderBuilder::new().with_batch_size(rows.max(1)).with_writer_schema_store(store);
    Ok(builder.with_active_fingerprint(Fingerprint::Id(id)).build_decoder().ok())
}

/// The schema of columns that the same bytes are of, if there is one. A value that is no record is the only column of one.
fn as_record(schema: &str) -> Option<String> {
    let mut read = serde_json::from_str::<Value>(schema).ok()?;
    bare::take_out(&mut read);
    if bare::is_left(&read) {
        return None;
    }
    if read["type"] != "record" {
        let field = json!({ "name": VALUE, "type": read });
        read = json!({ "type": "record", "name": "Value", "namespace": "lavra", "fields": [field] });
    }
    Some(read.to_string())
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

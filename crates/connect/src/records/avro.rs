//! Avro values, each read with the schema that it was written with; the contract is what they are read into.

mod ids;

use super::frame::{self, Run};
use super::text::VALUE;
use super::{Decode, Records, Rows};
use crate::registry::{Registry, Schema};
use arrow::array::Int64Array;
use arrow::record_batch::RecordBatch;
use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use kernel::gate::Malformed;
use kernel::{Error, Result};
use serde_json::{Value, json};
use std::borrow::Cow;

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
            return Ok(run.aside(&format!("it names schema {id}, which no columns can hold: does it contain itself?")));
        }
        let read = |records: &[(i64, &[u8])]| read(id, &schema, records);
        let mut batch = read(&run.records)?;
        if batch.is_none() {
            // One of them is broken: those that can be read alone can be read together.
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            for record in std::mem::take(&mut run.records) {
                let is_good = read(&[record])?.is_some();
                if is_good { good.push(record) } else { bad.push(record.0) }
            }
            let reason = || "its bytes are no value of the Avro schema that it names".to_owned();
            run.malformed.extend(bad.into_iter().map(|offset| Malformed { offset, reason: reason() }));
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
    let text = ids::marked(&as_record(&schema.schema));
    if store.set(Fingerprint::Id(id), AvroSchema::new(text)).is_err() {
        return Ok(None);
    }
    // Its views of text (`with_utf8_view`) forget nulls: they would be empty texts.
    let builder = ReaderBuilder::new().with_batch_size(rows.max(1)).with_writer_schema_store(store);
    Ok(builder.with_active_fingerprint(Fingerprint::Id(id)).build_decoder().ok())
}

/// A value that is no record is the only column of one: its bytes are the same.
fn as_record(schema: &str) -> Cow<'_, str> {
    match serde_json::from_str::<Value>(schema) {
        Ok(read) if read["type"] != "record" => {
            let field = json!({ "name": VALUE, "type": read });
            json!({ "type": "record", "name": "Value", "namespace": "lavra", "fields": [field] }).to_string().into()
        }
        _ => schema.into(),
    }
}

//! Values of a broker's records, turned into rows.

mod avro;
mod format;
mod frame;
mod protobuf;
#[cfg(test)]
mod tests;
mod text;

pub use format::Format;

use crate::files::json::JsonRecords;
use arrow::array::Int64Array;
use arrow::record_batch::RecordBatch;
use kernel::gate::Malformed;
use kernel::{Entity, Result};
use std::ops::Range;
use std::sync::Arc;

/// Records of one partition in their order, their bytes behind one another.
#[derive(Default)]
pub struct Records {
    bytes: Vec<u8>,
    /// The offset of each, and where its bytes are.
    places: Vec<(i64, Range<usize>)>,
}

impl Records {
    pub fn push(&mut self, offset: i64, value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.places.push((offset, start..self.bytes.len()));
        // Parts two texts that would make one character together.
        self.bytes.push(b'\n');
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub fn num_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Each record with its offset.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &[u8])> {
        self.places.iter().map(|(offset, range)| (*offset, &self.bytes[range.clone()]))
    }
}

/// Rows of one schema, in order.
pub struct Rows {
    pub batch: RecordBatch,
    pub offsets: Int64Array,
    pub malformed: Vec<Malformed>,
}

impl Rows {
    /// The offset of its last record, good or bad.
    pub fn last(&self) -> Option<i64> {
        let good = self.offsets.len().checked_sub(1).map(|at| self.offsets.value(at));
        good.max(self.malformed.iter().map(|bad| bad.offset).max())
    }
}

/// Reads records of one format. It blocks.
pub trait Decode: Send {
    /// The rows, each record in one of them or malformed: one batch, also of no records, and more when the schema changes on
    /// the way. An error is
    /// what is not the records' fault, such as a registry that does not answer.
    fn decode(&mut self, records: Records) -> Result<Vec<Rows>>;
}

struct Json(JsonRecords);

impl Json {
    fn new(entity: Arc<Entity>) -> Self {
        Self(JsonRecords::new(entity))
    }
}

impl Decode for Json {
    fn decode(&mut self, mut records: Records) -> Result<Vec<Rows>> {
        // Writers with a schema of a registry put five bytes in front, which begin with a zero: no JSON does.
        for (_, range) in &mut records.places {
            if frame::split(&records.bytes[range.clone()]).is_some() {
                range.start += frame::BYTES;
            }
        }
        if records.places.iter().any(|(_, range)| range.start > 0 && records.bytes[range.start - 1] != b'\n') {
            records = unframed(&records);
        }
        let read = self.0.read(records.bytes, &records.places)?;
        Ok(vec![Rows { batch: read.batch, offsets: read.numbers, malformed: read.malformed }])
    }
}

/// The records without what was in front of them, which is no text.
fn unframed(records: &Records) -> Records {
    let mut plain = Records::default();
    records.iter().for_each(|(offset, value)| plain.push(offset, value));
    plain
}

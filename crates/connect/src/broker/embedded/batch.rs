//! A batch as the log stores it: its key tells all that is asked without reading it, its value is an Arrow stream behind a
//! check sum and a seal.

use arrow::array::new_null_array;
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::Bytes;
use kernel::gate::{Safe, Seal, Sealer, Tag};
use kernel::{Error, Result};
use serde::{Deserialize, Serialize};

/// A key: the offset of the first row, how many rows there are, the bytes of the value, and when they were appended in
/// microseconds since 1970; all big-endian, so that keys sort by offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub offset: u64,
    pub rows: u32,
    pub bytes: u32,
    pub at: i64,
}

impl Key {
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.rows.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.bytes.to_be_bytes());
        bytes[16..].copy_from_slice(&self.at.to_be_bytes());
        bytes
    }

    pub fn read(bytes: &[u8]) -> Result<Self> {
        let broken = || Error::data("read the log", "a key of it is broken");
        let bytes: &[u8; 24] = bytes.try_into().map_err(|_| broken())?;
        let (offset, rest) = bytes.split_first_chunk::<8>().ok_or_else(broken)?;
        let (rows, rest) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let (size, at) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let at = at.first_chunk::<8>().ok_or_else(broken)?;
        Ok(Self {
            offset: u64::from_be_bytes(*offset),
            rows: u32::from_be_bytes(*rows),
            bytes: u32::from_be_bytes(*size),
            at: i64::from_be_bytes(*at),
        })
    }

    /// The offset behind its last row.
    pub fn next(self) -> u64 {
        self.offset + u64::from(self.rows)
    }
}

/// A batch ready to be stored.
pub struct Encoded {
    pub rows: u32,
    pub value: Bytes,
}

const SUM_BYTES: usize = 4;
const SEAL_BYTES: usize = size_of::<Tag>();
const HEAD_BYTES: usize = SUM_BYTES + SEAL_BYTES;

pub fn encode(batch: &RecordBatch, sealer: &Sealer) -> Result<Encoded> {
    let fault = |e| Error::internal("write rows for the log", e);
    let room = batch.get_array_memory_size() + (4 << 10);
    let mut value = Vec::with_capacity(room);
    value.extend_from_slice(&[0; HEAD_BYTES]);
    let mut stream = StreamWriter::try_new(value, &batch.schema()).map_err(fault)?;
    stream.write(batch).and_then(|()| stream.finish()).map_err(fault)?;
    let mut value = stream.into_inner().map_err(fault)?;
    let seal = sealer.seal(&value[HEAD_BYTES..]);
    value[SUM_BYTES..HEAD_BYTES].copy_from_slice(&seal);
    let sum = crc32fast::hash(&value[SUM_BYTES..]);
    value[..SUM_BYTES].copy_from_slice(&sum.to_le_bytes());
    let rows = u32::try_from(batch.num_rows()).map_err(|e| Error::internal("write rows for the log", e))?;
    Ok(Encoded { rows, value: value.into() })
}

/// The rows from one on; `None` when the seal is somebody else's. `place` is of the log, for messages.
pub fn decode(place: &Place<'_>, key: Key, value: &Bytes, skip: usize) -> Result<Option<Safe>> {
    let name = &place.name;
    let broken = |why: &str| {
        let what = format!("read {name} at offset {}", key.offset);
        Error::data(what, format!("{why}: the disk gives other bytes than were written to it"))
    };
    let (sum, sealed) = value.split_first_chunk::<SUM_BYTES>().ok_or_else(|| broken("the batch is cut off"))?;
    let (seal, body) = sealed.split_at_checked(SEAL_BYTES).ok_or_else(|| broken("the batch is cut off"))?;
    // The only record, where it lies.
    let read = |_: &[&[u8]]| {
        let mut rest = Buffer::from(value.slice(HEAD_BYTES..));
        let mut decoder = StreamDecoder::new();
        let batch = decoder.decode(&mut rest).map_err(|e| broken("it is no Arrow stream").because(e))?;
        let batch = batch.ok_or_else(|| broken("it holds no batch"))?;
        if batch.num_rows() != key.rows as usize {
            return Err(broken("it has another number of rows than its key"));
        }
        conform(name, &batch.slice(skip, batch.num_rows() - skip), place.schema)
    };
    let rows = place.seal.open(place.topic, std::iter::once((body, Some(seal))), read)?.rows;
    // Bytes under a seal that holds are those that were written; else the sum tells damage from a stranger's.
    match rows.is_none() && crc32fast::hash(sealed) != u32::from_le_bytes(*sum) {
        true => Err(broken("the check sum does not fit")),
        false => Ok(rows),
    }
}

/// Where a batch is read from, and as what.
pub struct Place<'a> {
    pub topic: &'a str,
    /// With the partition.
    pub name: String,
    pub schema: &'a SchemaRef,
    pub seal: &'a Seal,
}

/// Rows as a topic has them now: what its contract gained since is null, what it lost goes.
fn conform(name: &str, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &FieldRef| match rows.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
        Some(column) => cast(column, field.data_type()).map_err(|_| {
            let detail = format!("`{}` was of another type when it was written: change it back", field.name());
            Error::data(format!("read {name}"), detail)
        }),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
    rows.map_err(|e| Error::internal(format!("read {name}"), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_offset_and_read_as_written() {
        let key = |offset| Key { offset, rows: 7, bytes: 900, at: 1_700_000_000_000_000 };
        assert_eq!(Key::read(&key(300).to_bytes()).expect("a key"), key(300));
        assert!(key(255).to_bytes() < key(256).to_bytes());
        assert!(Key::read(&[0; 23]).is_err());
    }
}

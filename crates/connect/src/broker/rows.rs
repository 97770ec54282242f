//! Rows as outside brokers carry them: a JSON object each, which anybody reads.

use arrow::datatypes::SchemaRef;
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use arrow::record_batch::RecordBatch;
use kernel::{Error, Result};

/// The header of a record, or the property of a message, that bears its seal.
pub const SEAL: &str = "lavra-seal";

/// The rows, each on a line of its own; nulls are left out.
pub fn encode(rows: &RecordBatch) -> Result<Vec<u8>> {
    let fault = |e| Error::internal("write rows as JSON", e);
    let mut lines = LineDelimitedWriter::new(Vec::with_capacity(rows.get_array_memory_size()));
    lines.write(rows).map_err(fault)?;
    lines.finish().map_err(fault)?;
    Ok(lines.into_inner())
}

/// Rows of this schema again; fields beyond it are passed over. `name` is of the log, for messages.
pub fn decode<'a>(
    name: &str,
    schema: &SchemaRef,
    values: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Result<RecordBatch> {
    // What it holds is not told: the reader's own message would.
    let fault = |_| Error::data(format!("read {name}"), "a record of it is no row of this topic");
    let count = values.len();
    let reader = ReaderBuilder::new(schema.clone()).with_batch_size(count.max(1));
    let mut decoder = reader.build_decoder().map_err(|e| Error::internal(format!("read {name}"), e))?;
    for value in values {
        let read = decoder.decode(value).map_err(fault)?;
        if read < value.len() || decoder.has_partial_record() {
            return Err(Error::data(format!("read {name}"), "a record of it is not one JSON object"));
        }
    }
    let rows = decoder.flush().map_err(fault)?.unwrap_or_else(|| RecordBatch::new_empty(schema.clone()));
    match rows.num_rows() == count {
        true => Ok(rows),
        false => Err(Error::data(format!("read {name}"), "a record of it is not one row")),
    }
}

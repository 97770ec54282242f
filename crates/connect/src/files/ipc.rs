//! Arrow IPC: the file format, read by its footer, and the stream format.

use super::columnar::Reader;
use super::rows::Job;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use kernel::Result;
use std::io::{BufReader, Read, Seek};

/// A file starts and ends with it (Arrow columnar format, "IPC file format"). The stream inside is not always a whole
/// one (Polars leaves parts of it to the footer), so a file can't be read as a stream.
const MAGIC: &[u8] = b"ARROW1";

const BUFFER_BYTES: usize = 256 << 10;

pub fn open(job: &Job) -> Result<Reader> {
    let mut file = job.opened.seekable()?;
    let mut first = Vec::with_capacity(MAGIC.len());
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut first).map_err(|e| job.opened.error(e))?;
    let wrong = |e: ArrowError| job.error(unreadable(&e));
    if first == MAGIC {
        file.rewind().map_err(|e| job.opened.error(e))?;
        let reader = FileReader::try_new(BufReader::with_capacity(BUFFER_BYTES, file), None).map_err(wrong)?;
        let schema = reader.schema();
        return Ok(Reader {
            schema,
            batches: Box::new(reader.map(|b| b.map_err(|e| unreadable(&e)))),
            skipped: 0,
            total: None,
        });
    }
    let input = BufReader::with_capacity(BUFFER_BYTES, job.input()?);
    let reader = StreamReader::try_new(input, None).map_err(wrong)?;
    let schema = reader.schema();
    Ok(Reader { schema, batches: Box::new(reader.map(|b| b.map_err(|e| unreadable(&e)))), skipped: 0, total: None })
}

fn unreadable(error: &ArrowError) -> String {
    format!("it can't be read as Arrow IPC: {error}")
}

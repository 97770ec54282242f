//! Avro object container files, read as a stream.

use super::columnar::Reader;
use super::rows::Job;
use arrow_avro::reader::ReaderBuilder;
use kernel::Result;
use std::io::{self, BufReader, Cursor, Read};

/// Rows of a batch: a container's header does not say how large its rows are.
const BATCH_ROWS: usize = 8192;

pub fn open(job: &Job) -> Result<Reader> {
    let input = Blocks::open(job.input()?).map_err(|e| job.opened.error(e))?;
    let rows = BATCH_ROWS.min(job.options.batch_rows_max);
    let unreadable = |e: arrow::error::ArrowError| format!("it can't be read as Avro: {e}");
    let input = BufReader::with_capacity(256 << 10, input);
    let reader = ReaderBuilder::new().with_batch_size(rows).build(input).map_err(|e| job.error(unreadable(e)))?;
    let schema = reader.schema();
    let batches = Box::new(reader.map(move |batch| batch.map_err(unreadable)));
    Ok(Reader { schema, batches, skipped: 0, total: None })
}

/// Follows the blocks of a container (Avro 1.11 specification, "Object Container Files") as they are read: `arrow-avro`
/// takes a file that ends inside a block for a whole one.
struct Blocks {
    /// The header, which was read to find its end.
    header: Cursor<Vec<u8>>,
    body: Box<dyn Read + Send>,
    at: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a block; in the number of its rows when a byte of it was seen.
    Rows { started: bool },
    /// In the number of bytes of its data: what is known of it, and how many bits that is.
    Bytes { known: u64, bits: u32 },
    /// In its data and the mark behind it, with so many bytes to come.
    Data(u64),
}

/// The mark behind the header and behind each block.
const SYNC_BYTES: u64 = 16;
/// A header holds a schema, so one that is larger is none.
const HEADER_BYTES_MAX: usize = 16 << 20;

impl Blocks {
    fn open(body: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut body = BufReader::with_capacity(64 << 10, body);
        let mut header = Vec::new();
        take(&mut body, 4, &mut header)?;
        if header != b"Obj\x01" {
            return Err(broken("it is not an Avro container"));
        }
        loop {
            let pairs = long(&mut body, &mut header)?;
            if pairs == 0 {
                break;
            }
            if pairs < 0 {
                long(&mut body, &mut header)?;
            }
            for _ in 0..pairs.unsigned_abs() * 2 {
                let bytes = long(&mut body, &mut header)?;
                take(&mut body, u64::try_from(bytes).map_err(|_| broken("its header is broken"))?, &mut header)?;
            }
        }
        take(&mut body, SYNC_BYTES, &mut header)?;
        Ok(Self { header: Cursor::new(header), body: Box::new(body), at: Place::Rows { started: false } })
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            let ends = byte & 0x80 == 0;
            match self.at {
                Place::Rows { .. } if ends => self.at = Place::Bytes { known: 0, bits: 0 },
                Place::Rows { .. } => self.at = Place::Rows { started: true },
                Place::Bytes { known, bits } => {
                    let known = known | u64::from(byte & 0x7f).checked_shl(bits).unwrap_or_default();
                    // Zigzag; a negative size is left to the reader to refuse.
                    self.at = match ends {
                        true => Place::Data((known >> 1).saturating_add(SYNC_BYTES)),
                        false => Place::Bytes { known, bits: bits + 7 },
                    };
                }
                Place::Data(left) => {
                    let seen = left.min(bytes.len() as u64);
                    bytes = &bytes[seen as usize..];
                    self.at = if seen == left { Place::Rows { started: false } } else { Place::Data(left - seen) };
                    continue;
                }
            }
            bytes = rest;
        }
    }
}

impl Read for Blocks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let header = self.header.read(out)?;
        if header > 0 || out.is_empty() {
            return Ok(header);
        }
        let read = self.body.read(out)?;
        self.follow(&out[..read]);
        if read == 0 && self.at != (Place::Rows { started: false }) {
            return Err(broken("it breaks off inside a block"));
        }
        Ok(read)
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Moves bytes of the header.
fn take(body: &mut impl Read, bytes: u64, header: &mut Vec<u8>) -> io::Result<()> {
    if header.len() as u64 + bytes > HEADER_BYTES_MAX as u64 {
        return Err(broken("its header is broken"));
    }
    match body.take(bytes).read_to_end(header)? as u64 == bytes {
        true => Ok(()),
        false => Err(broken("it breaks off inside the header")),
    }
}

/// A number of the header: zigzag, seven bits a byte, low ones first.
fn long(body: &mut impl Read, header: &mut Vec<u8>) -> io::Result<i64> {
    let mut known = 0u64;
    for bits in (0..64).step_by(7) {
        take(body, 1, header)?;
        let byte = header.last().copied().unwrap_or_default();
        known |= u64::from(byte & 0x7f) << bits;
        if byte & 0x80 == 0 {
            return Ok((known >> 1) as i64 ^ -((known & 1) as i64));
        }
    }
    Err(broken("its header is broken"))
}

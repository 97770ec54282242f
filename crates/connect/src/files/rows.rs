//! What every format's reader is: a blocking iterator of batches over one file.

use super::bytes::Opened;
use super::compression::{Codec, decompress};
use super::options::{Changes, Envelope, Format, Options};
use arrow::array::Int64Array;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use kernel::gate::Malformed;
use kernel::{Entity, Error, Result};
use std::io::{self, Read};
use std::sync::Arc;

/// A batch of one file.
pub struct Piece {
    pub batch: RecordBatch,
    /// Line or row number of each row.
    pub offsets: Int64Array,
    pub malformed: Vec<Malformed>,
    /// The last line or row that this piece takes; nothing up to it is left.
    pub upto: u64,
    /// Whether the file ends here. After that, a reader is not asked again.
    pub last: bool,
    /// Whether a last line was left for a later run. Only a last piece leaves one.
    pub held: bool,
    /// Tells what was read up to and with `upto` from other content, where a format has such a thing.
    pub mark: Option<u64>,
}

impl Piece {
    /// No rows: the end of a file that has no more.
    pub fn empty(schema: SchemaRef, upto: u64) -> Result<Self> {
        let batch = RecordBatch::new_empty(schema);
        Ok(Self {
            batch,
            offsets: Int64Array::from(Vec::<i64>::new()),
            malformed: Vec::new(),
            upto,
            last: true,
            held: false,
            mark: None,
        })
    }

    pub fn has_any(&self) -> bool {
        self.batch.num_rows() > 0 || !self.malformed.is_empty()
    }
}

/// Reads one file in order. It blocks.
pub trait Rows: Send {
    /// The next piece: with rows or malformed records in it, or the last. A reader of text that passes over records
    /// stops behind them once, with a piece that is empty, for the sake of its `mark`.
    fn next(&mut self) -> Result<Piece>;
}

/// What a reader needs to know.
pub struct Job {
    pub opened: Arc<Opened>,
    pub options: Arc<Options>,
    pub entity: Arc<Entity>,
    /// Rows up to and with this one are taken already.
    pub behind: u64,
    /// The mark of what is taken, when the file has another etag since.
    pub mark: Option<u64>,
    /// Whether the file was written to a moment ago, so that a last line without an end may go on.
    pub young: bool,
    /// About how many bytes of memory a batch may take.
    pub bytes_max: usize,
}

impl Job {
    /// The reader for the file's format.
    pub fn rows(self) -> Result<Box<dyn Rows>> {
        let format = match self.options.format {
            Some(format) => format,
            None => by_name(&self.opened.partition).ok_or_else(|| {
                self.error("its name does not tell its format; set `format` (csv, ndjson, json, parquet, avro, arrow)")
            })?,
        };
        let is_json = matches!(format, Format::Ndjson | Format::Json);
        if self.options.changes == Some(Changes::Envelope(Envelope::Debezium)) && !is_json {
            return Err(self.error("`changes: debezium` reads JSON; set `format: ndjson`, if it is that"));
        }
        Ok(match format {
            Format::Csv => Box::new(super::csv::CsvRows::new(self)?),
            Format::Ndjson => Box::new(super::json::JsonRows::new(self, super::json::Layout::Lines)?),
            Format::Json => Box::new(super::json::JsonRows::new(self, super::json::Layout::Unknown)?),
            Format::Parquet => Box::new(super::columnar::Batches::new(super::parquet::open(&self)?, self)?),
            Format::Avro => Box::new(super::columnar::Batches::new(super::avro::open(&self)?, self)?),
            Format::Arrow => Box::new(super::columnar::Batches::new(super::ipc::open(&self)?, self)?),
        })
    }

    /// The decompressed bytes.
    pub fn input(&self) -> Result<Box<dyn Read + Send>> {
        self.text().map(|(input, _)| input)
    }

    /// The decompressed bytes, and whether a last line without an end is to be left for a later run. What a compressed
    /// stream holds is whole when the stream is.
    pub fn text(&self) -> Result<(Box<dyn Read + Send>, bool)> {
        let raw = self.opened.reader()?;
        let (codec, reader) = decompress(raw, self.options.compression).map_err(|e| self.opened.error(e))?;
        Ok(match codec {
            Codec::Plain => (reader, self.young),
            codec => (Box::new(Named { reader, codec, bytes: 0 }), false),
        })
    }

    /// The file can't be read, because of this.
    pub fn error(&self, detail: impl std::fmt::Display) -> Error {
        Error::data(format!("read {}", self.opened.partition), detail)
    }
}

/// The format that a name ends in, looking through the endings of compressed files.
pub fn by_name(name: &str) -> Option<Format> {
    let lower = name.to_ascii_lowercase();
    let plain = [".gz", ".gzip", ".zst", ".zstd"].iter().find_map(|end| lower.strip_suffix(end)).unwrap_or(&lower);
    match plain.rsplit_once('.')?.1 {
        "csv" | "tsv" | "psv" | "txt" | "tbl" => Some(Format::Csv),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        "json" => Some(Format::Json),
        "parquet" | "pq" | "parq" => Some(Format::Parquet),
        "avro" => Some(Format::Avro),
        "arrow" | "arrows" | "feather" | "ipc" => Some(Format::Arrow),
        _ => None,
    }
}

/// Says of a decoder's error where and in what it happened.
struct Named {
    reader: Box<dyn Read + Send>,
    codec: Codec,
    bytes: u64,
}

impl Read for Named {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(out) {
            Ok(read) => {
                self.bytes += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            // An error of the store under the decoder is told as it is.
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => Err(error),
            Err(error) => {
                let what = if error.kind() == io::ErrorKind::UnexpectedEof { "breaks off" } else { "is broken" };
                let detail = format!("the {} stream {what} after {} decompressed bytes", self.codec.name(), self.bytes);
                Err(io::Error::new(io::ErrorKind::InvalidData, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats_through_compression() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("s3://b/A.CSV.GZ", Some(Format::Csv)),
            ("a.ndjson.zst", Some(Format::Ndjson)),
            ("a.json", Some(Format::Json)),
            ("a.b.parquet", Some(Format::Parquet)),
            ("a.arrow", Some(Format::Arrow)),
            ("a.gz", None),
            ("csv", None),
        ] {
            assert_eq!(by_name(name), format, "{name}");
        }
    }
}

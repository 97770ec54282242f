//! What Parquet, Avro and Arrow IPC have in common: typed batches, whose rows are numbered from 1.

use super::rows::{Job, Piece, Rows};
use arrow::array::Int64Array;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use kernel::Result;

/// The batches of an opened file.
pub struct Reader {
    pub schema: SchemaRef,
    /// In the order of the file; an error says what is wrong with it.
    pub batches: Box<dyn Iterator<Item = Result<RecordBatch, String>> + Send>,
    /// Rows that the reader passed over by itself.
    pub skipped: u64,
    /// All rows of the file, where it says so.
    pub total: Option<u64>,
}

/// Hands the batches of a file on in pieces of the asked size.
pub struct Batches {
    job: Job,
    reader: Reader,
    /// Number of the last row that was handed on or passed over.
    row: u64,
    /// What is left of the present batch.
    rest: Option<RecordBatch>,
}

impl Batches {
    pub fn new(reader: Reader, job: Job) -> Result<Self> {
        Ok(Self { row: reader.skipped, job, reader, rest: None })
    }

    /// The next batch with rows that are not taken yet.
    fn load(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some(batch) = self.reader.batches.next() else { return Ok(None) };
            let batch = batch.map_err(|e| self.job.error(e))?;
            let skip = self.job.behind.saturating_sub(self.row).min(batch.num_rows() as u64);
            self.row += skip;
            let skip = skip as usize;
            if skip < batch.num_rows() {
                return Ok(Some(batch.slice(skip, batch.num_rows() - skip)));
            }
        }
    }
}

impl Rows for Batches {
    fn next(&mut self) -> Result<Piece> {
        if self.job.mark.is_some() {
            // Only a file that is taken whole has a mark: it is the same one, or another.
            let mark = self.job.opened.mark()?;
            return Ok(Piece { mark, ..Piece::empty(self.reader.schema.clone(), self.job.behind)? });
        }
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.load()? {
                Some(batch) => batch,
                None => {
                    let mark = self.job.opened.mark()?;
                    return Ok(Piece { mark, ..Piece::empty(self.reader.schema.clone(), self.row)? });
                }
            },
        };
        let taken =
            rows_that_fit(&batch, self.job.bytes_max).min(self.job.options.batch_rows_max).min(batch.num_rows());
        if taken < batch.num_rows() {
            self.rest = Some(batch.slice(taken, batch.num_rows() - taken));
        }
        let first = self.row as i64 + 1;
        self.row += taken as u64;
        let last = self.reader.total.is_some_and(|total| self.row >= total);
        Ok(Piece {
            batch: batch.slice(0, taken),
            offsets: Int64Array::from_iter_values(first..first + taken as i64),
            malformed: Vec::new(),
            upto: self.row,
            last,
            held: false,
            mark: if last { self.job.opened.mark()? } else { None },
        })
    }
}

fn rows_that_fit(batch: &RecordBatch, bytes_max: usize) -> usize {
    let row_bytes = batch.get_array_memory_size() / batch.num_rows().max(1);
    (bytes_max / row_bytes.max(1)).max(1)
}

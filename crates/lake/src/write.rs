//! Rows to Parquet files that no reader sees yet; a commit names them later, or nobody does.

use crate::commit::NewFile;
use crate::schema::kept_schema;
use crate::stats;
use crate::store::Store;
use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use kernel::error::{Error, Kind, Result};
use kernel::name::TableName;
use object_store::buffered::BufWriter;
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A file is closed when it is about this large.
const FILE_BYTES_TARGET: usize = 128 << 20;
/// Rows of a row group are in memory until it is written.
const GROUP_ROWS_MAX: usize = 1 << 20;
const GROUP_BYTES_MAX: usize = 96 << 20;

/// Writes a table's new files on as many tasks as it is given. Dropped before `finish`, it leaves no file.
pub(crate) struct TableWriter {
    lanes: Vec<Lane>,
    next: usize,
}

struct Lane {
    batches: mpsc::Sender<RecordBatch>,
    files: JoinHandle<Result<Vec<(NewFile, SchemaRef)>>>,
}

impl TableWriter {
    pub fn new(store: &Store, name: &TableName, lanes: usize) -> Self {
        let lanes = (0..lanes.max(1))
            .map(|_| {
                let (batches, queue) = mpsc::channel(2);
                let files = tokio::spawn(write_lane(store.clone(), name.clone(), queue));
                Lane { batches, files }
            })
            .collect();
        Self { lanes, next: 0 }
    }

    /// Hands a batch to a lane; waits when all are busy.
    pub async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.next = (self.next + 1) % self.lanes.len();
        let lane = &mut self.lanes[self.next];
        if lane.batches.send(batch).await.is_err() {
            // The lane ended early: its own error says why.
            let ended = (&mut lane.files).await.map_err(|e| Error::internal("write a file", &e))?;
            return Err(ended.err().unwrap_or_else(|| Error::internal("write a file", "a writer ended early")));
        }
        Ok(())
    }

    /// Closes all files; gives them with the schema each was written in.
    pub async fn finish(self) -> Result<Vec<(NewFile, SchemaRef)>> {
        let mut files = Vec::new();
        let lanes: Vec<_> = self.lanes.into_iter().map(|lane| lane.files).collect::<Vec<_>>();
        for lane in lanes {
            files.extend(lane.await.map_err(|e| Error::internal("write a file", &e))??);
        }
        Ok(files)
    }
}

async fn write_lane(
    store: Store,
    name: TableName,
    mut queue: mpsc::Receiver<RecordBatch>,
) -> Result<Vec<(NewFile, SchemaRef)>> {
    let mut files = Vec::new();
    let mut open: Option<OpenFile> = None;
    while let Some(batch) = queue.recv().await {
        let batch = kept(batch)?;
        if open.as_ref().is_some_and(|file| file.schema != batch.schema()) {
            files.extend(close(open.take()).await?);
        }
        let file = match &mut open {
            Some(file) => file,
            none => none.insert(OpenFile::create(&store, &name, &batch)?),
        };
        file.write(&batch).await?;
        if file.is_full() {
            files.extend(close(open.take()).await?);
        }
    }
    files.extend(close(open).await?);
    Ok(files)
}

async fn close(file: Option<OpenFile>) -> Result<Option<(NewFile, SchemaRef)>> {
    match file {
        Some(file) => file.finish().await.map(Some),
        None => Ok(None),
    }
}

struct OpenFile {
    path: String,
    schema: SchemaRef,
    writer: AsyncArrowWriter<BufWriter>,
}

impl OpenFile {
    fn create(store: &Store, name: &TableName, first: &RecordBatch) -> Result<Self> {
        let schema = first.schema();
        let path = format!("part-{}.snappy.parquet", uuid::Uuid::new_v4());
        let out = BufWriter::new(store.objects(), store.path(name, &path));
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by(concat!("lavra ", env!("CARGO_PKG_VERSION")).to_owned());
        for (field, column) in schema.fields().iter().zip(first.columns()) {
            if hardly_repeats(column) {
                properties = properties.set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), false);
            }
        }
        let properties = properties.build();
        let writer = AsyncArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(|e| fault(&path, e))?;
        Ok(Self { path, schema, writer })
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).await.map_err(|e| fault(&self.path, e))?;
        if self.writer.in_progress_size() > GROUP_BYTES_MAX {
            self.writer.flush().await.map_err(|e| fault(&self.path, e))?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.writer.bytes_written() + self.writer.in_progress_size() > FILE_BYTES_TARGET
    }

    async fn finish(mut self) -> Result<(NewFile, SchemaRef)> {
        let footer = self.writer.finish().await.map_err(|e| fault(&self.path, e))?;
        let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
        let bytes = self.writer.bytes_written() as u64;
        let stats = stats::of(&footer, &self.schema);
        Ok((NewFile { path: self.path, bytes, rows, stats }, self.schema))
    }
}

/// Hashing every value into a dictionary that will be thrown away is a third of the cost of a file.
const SAMPLE_ROWS_MAX: usize = 16 << 10;
const SAMPLE_ROWS_MIN: usize = 1 << 10;

/// Whether most of a column's first values are there once.
fn hardly_repeats(column: &ArrayRef) -> bool {
    let rows = column.len().min(SAMPLE_ROWS_MAX);
    if rows < SAMPLE_ROWS_MIN || column.data_type().is_nested() || column.null_count() > 0 {
        return false;
    }
    let Ok(converter) = RowConverter::new(vec![SortField::new(column.data_type().clone())]) else { return false };
    let Ok(sample) = converter.convert_columns(&[column.slice(0, rows)]) else { return false };
    let distinct: HashSet<&[u8]> = sample.iter().map(|row| row.data()).collect();
    distinct.len() * 10 > rows * 9
}

/// A batch in the types that the lake keeps.
fn kept(batch: RecordBatch) -> Result<RecordBatch> {
    let schema = kept_schema(&batch.schema());
    if schema == batch.schema() {
        return Ok(batch);
    }
    let columns: Result<Vec<ArrayRef>, _> = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast(column, field.data_type()),
        })
        .collect();
    columns
        .and_then(|columns| RecordBatch::try_new(schema, columns))
        .map_err(|e| Error::internal("write a batch", "its types have no home in Delta").because(e))
}

fn fault(path: &str, error: parquet::errors::ParquetError) -> Error {
    let text = error.to_string();
    let kind = match text.contains("error sending request") {
        true => Kind::Unreachable,
        false => Kind::Storage,
    };
    Error::new(kind, format!("write {path}"), text).because(error)
}

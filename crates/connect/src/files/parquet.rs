//! Parquet files: read by range, row groups behind the position only.

use super::bytes::{Body, Object};
use super::columnar::Reader;
use super::rows::Job;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryFutureExt};
use kernel::Result;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::sync::Arc;

pub fn open(job: &Job) -> Result<Reader> {
    match &job.opened.body {
        Body::Local { file, .. } => local(job, file.try_clone().map_err(|e| job.opened.error(e))?),
        Body::Remote(object) => remote(job, object),
    }
}

fn local(job: &Job, file: std::fs::File) -> Result<Reader> {
    let wrong = |e: ParquetError| job.error(unreadable(&e));
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).and_then(with_views).map_err(wrong)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let (schema, total, rows) =
        (builder.schema().clone(), total(builder.metadata()), batch_rows(job, builder.metadata()));
    let skipped = job.behind.min(total);
    let reader = builder.with_batch_size(rows).with_offset(skipped as usize).build().map_err(wrong)?;
    let batches = Box::new(reader.map(|batch| batch.map_err(|e| unreadable(&e))));
    Ok(Reader { schema, batches, skipped, total: Some(total) })
}

fn remote(job: &Job, object: &Object) -> Result<Reader> {
    let wrong = |e: ParquetError| job.error(unreadable(&e));
    let handle = object.handle.clone();
    let mut input = object.clone();
    let metadata = handle.block_on(ArrowReaderMetadata::load_async(&mut input, ArrowReaderOptions::new()));
    let metadata = metadata.and_then(with_views).map_err(wrong)?;
    let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(input, metadata);
    let (schema, total, rows) =
        (builder.schema().clone(), total(builder.metadata()), batch_rows(job, builder.metadata()));
    let skipped = job.behind.min(total);
    let mut stream = builder.with_batch_size(rows).with_offset(skipped as usize).build().map_err(wrong)?;
    let batches = std::iter::from_fn(move || handle.block_on(stream.next()));
    let batches = Box::new(batches.map(|batch| batch.map_err(|e| unreadable(&e))));
    Ok(Reader { schema, batches, skipped, total: Some(total) })
}

/// Text is read as views into the pages, as all readers give it: a value that repeats is not copied each time.
fn with_views(metadata: ArrowReaderMetadata) -> Result<ArrowReaderMetadata, ParquetError> {
    let as_view = |field: &FieldRef| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => field.as_ref().clone().with_data_type(DataType::Utf8View),
        _ => field.as_ref().clone(),
    };
    let fields: Vec<Field> = metadata.schema().fields().iter().map(as_view).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone()));
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), ArrowReaderOptions::new().with_schema(schema))
}

fn unreadable(error: &dyn std::fmt::Display) -> String {
    format!("it can't be read as Parquet: {error}")
}

fn total(meta: &ParquetMetaData) -> u64 {
    u64::try_from(meta.file_metadata().num_rows()).unwrap_or_default()
}

/// Rows of a batch, going by the size of the file's columns before compression. Decoded they are about twice that.
fn batch_rows(job: &Job, meta: &ParquetMetaData) -> usize {
    let bytes: i64 = meta.row_groups().iter().map(|group| group.total_byte_size()).sum();
    let row_bytes = usize::try_from(bytes).unwrap_or_default() / (total(meta) as usize).max(1);
    let most = job.options.batch_rows_max;
    (job.bytes_max / (2 * row_bytes).max(1)).clamp(most.min(1024), most)
}

/// Every range is of the version that was opened.
impl AsyncFileReader for Object {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        self.range(range).map_err(external).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move {
            let fetch = |range| self.range(range);
            object_store::coalesce_ranges(&ranges, fetch, COALESCE_BYTES).await.map_err(external)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let bytes = self.bytes;
        let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
        async move { Ok(Arc::new(reader.load_and_finish(self, bytes).await?)) }.boxed()
    }
}

/// Ranges nearer than this are fetched in one request.
const COALESCE_BYTES: u64 = 1 << 20;

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

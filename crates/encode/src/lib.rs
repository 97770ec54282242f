//! Rows to the bytes of a Parquet file.
//!
//! The general writer of the `parquet` crate takes 0.7 µs a row of 21 columns, most of it to look each value up in a hash
//! map for general keys. Whole numbers, exact decimals, dates, times and text, which are nearly all of what a lake holds,
//! are encoded here ([`chunk`]); everything else, and the file's frame, is the crate's. The format is Parquet's own
//! (parquet.apache.org/docs/file-format): pages of version 1, by dictionary, by differences or plain, compressed by Snappy.

mod chunk;
mod delta;
mod hybrid;
mod ints;
#[cfg(test)]
mod tests;
mod texts;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use chunk::{Chunk, Closed};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnDescPtr;
use std::borrow::Cow;
use std::sync::Arc;

/// Fewer rows than this are gathered first: a page has a price of its own.
const PAGE_ROWS_MIN: usize = 8 << 10;
/// Rows of a page, at most.
const PAGE_ROWS_MAX: usize = 32 << 10;
/// Rows of a row group are in memory, encoded, until it ends.
const GROUP_ROWS_MAX: usize = 1 << 20;
pub const GROUP_BYTES_MAX: usize = 96 << 20;
/// Of wide rows, which are many bytes however few they are.
const WIDE_GROUP_BYTES_MAX: usize = 16 << 20;
const WIDE_ROW_BYTES_MIN: usize = 4 << 10;
/// Text that is gathered for a page, at most.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// A file that is being encoded. It does no I/O: what [`Self::take`] gives is to be put in order.
pub struct ParquetFile {
    schema: SchemaRef,
    file: SerializedFileWriter<Vec<u8>>,
    factory: ArrowRowGroupWriterFactory,
    columns: Vec<Column>,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    waiting_bytes: usize,
    group_rows: usize,
    group_bytes_max: usize,
}

/// A top-level column of the row group.
enum Column {
    Own(Vec<Leaf>),
    Library(Vec<ArrowColumnWriter>),
}

enum Leaf {
    Ints(Chunk<ints::Ints>),
    Texts(Chunk<texts::Texts>),
}

impl ParquetFile {
    pub fn new(schema: SchemaRef) -> Result<Self> {
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_created_by(concat!("lavra ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let file = SerializedFileWriter::new(Vec::new(), parquet_schema.root_schema_ptr(), Arc::new(properties))?;
        let factory = ArrowRowGroupWriterFactory::new(&file, schema.clone());
        let mut leaves = parquet_schema.columns().iter().cloned();
        let columns = schema.fields().iter().map(|field| Column::new(field, &mut leaves)).collect();
        let (waiting, group_bytes_max) = (Vec::new(), GROUP_BYTES_MAX);
        let (waiting_rows, waiting_bytes, group_rows) = (0, 0, 0);
        Ok(Self { schema, file, factory, columns, waiting, waiting_rows, waiting_bytes, group_rows, group_bytes_max })
    }

    /// With row groups of about so many bytes at most.
    #[must_use]
    pub fn with_group_bytes(self, group_bytes_max: usize) -> Self {
        Self { group_bytes_max: group_bytes_max.clamp(1, GROUP_BYTES_MAX), ..self }
    }

    /// Takes a batch of the file's schema.
    pub fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.waiting_rows += batch.num_rows();
        self.waiting_bytes += batch.columns().iter().map(text_bytes).sum::<usize>();
        self.waiting.push(batch);
        match self.waiting_rows < PAGE_ROWS_MIN && self.waiting_bytes < WAITING_BYTES_MAX {
            true => Ok(()),
            false => self.encode_waiting(),
        }
    }

    /// Bytes of the file so far, put or not.
    pub fn num_bytes(&self) -> usize {
        self.file.bytes_written() + self.columns.iter().map(Column::num_bytes).sum::<usize>()
    }

    /// What was encoded for good since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.file.inner_mut())
    }

    /// Ends the file; gives its last bytes, its length and its footer.
    pub fn finish(mut self) -> Result<(Vec<u8>, u64, ParquetMetaData)> {
        self.encode_waiting()?;
        self.end_group()?;
        let footer = self.file.finish()?;
        let bytes = self.file.bytes_written() as u64;
        Ok((self.take(), bytes, footer))
    }

    fn encode_waiting(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        match waiting.as_slice() {
            [] => Ok(()),
            [batch] => self.encode(batch),
            many => self.encode(&concat_batches(&self.schema, many)?),
        }
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            if self.group_rows == 0 {
                self.start_group()?;
            }
            let rows = (batch.num_rows() - at).min(GROUP_ROWS_MAX - self.group_rows);
            let part = batch.slice(at, rows);
            let fields = self.schema.fields().iter();
            for ((column, field), values) in self.columns.iter_mut().zip(fields).zip(part.columns()) {
                column.write(field, values)?;
            }
            at += rows;
            self.group_rows += rows;
            let bytes: usize = self.columns.iter().map(Column::num_bytes).sum();
            let is_wide = bytes >= WIDE_GROUP_BYTES_MAX && bytes / self.group_rows >= WIDE_ROW_BYTES_MIN;
            if self.group_rows >= GROUP_ROWS_MAX || bytes >= self.group_bytes_max || is_wide {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// The library's writers are made for one group.
    fn start_group(&mut self) -> Result<()> {
        if self.columns.iter().all(|column| matches!(column, Column::Own(_))) {
            return Ok(());
        }
        let mut writers = self.factory.create_column_writers(self.file.flushed_row_groups().len())?.into_iter();
        for (column, field) in self.columns.iter_mut().zip(self.schema.fields()) {
            let own: Vec<ArrowColumnWriter> = writers.by_ref().take(leaves_of(field.data_type())).collect();
            if let Column::Library(place) = column {
                *place = own;
            }
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            match column {
                Column::Own(leaves) => {
                    for leaf in leaves {
                        let Closed { bytes, result } = leaf.close()?;
                        group.append_column(&bytes, result)?;
                    }
                }
                Column::Library(writers) => {
                    for writer in std::mem::take(writers) {
                        writer.close()?.append_to_row_group(&mut group)?;
                    }
                }
            }
        }
        group.close()?;
        self.group_rows = 0;
        // Out of the frame's own buffer, so that `take` gives whole row groups.
        self.file.flush().map_err(|e| ParquetError::External(Box::new(e)))
    }
}

impl Column {
    /// Takes the column's leaves off `leaves`.
    fn new(field: &Field, leaves: &mut impl Iterator<Item = ColumnDescPtr>) -> Self {
        let own: Vec<ColumnDescPtr> = leaves.take(leaves_of(field.data_type())).collect();
        let leaves: Option<Vec<Leaf>> = match has_own_shape(field) {
            true => own.into_iter().map(Leaf::new).collect(),
            false => None,
        };
        leaves.map_or(Column::Library(Vec::new()), Column::Own)
    }

    fn write(&mut self, field: &Field, values: &ArrayRef) -> Result<()> {
        match self {
            Column::Own(leaves) => write_leaves(values, Levels::default(), &mut leaves.iter_mut()),
            Column::Library(writers) => {
                for (writer, leaf) in writers.iter_mut().zip(compute_leaves(field, values)?) {
                    writer.write(&leaf)?;
                }
                Ok(())
            }
        }
    }

    fn num_bytes(&self) -> usize {
        match self {
            Column::Own(leaves) => leaves.iter().map(Leaf::num_bytes).sum(),
            Column::Library(writers) => writers.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum(),
        }
    }
}

impl Leaf {
    fn new(descr: ColumnDescPtr) -> Option<Self> {
        match descr.physical_type() {
            Type::INT32 | Type::INT64 => Some(Leaf::Ints(Chunk::new(ints::Ints::new(&descr), descr))),
            Type::BYTE_ARRAY => Some(Leaf::Texts(Chunk::new(texts::Texts::new(&descr), descr))),
            _ => None,
        }
    }

    fn write(&mut self, values: &dyn Array, levels: Levels) -> Result<()> {
        let levels = levels.below(values);
        match self {
            Leaf::Ints(chunk) => chunk.write(&ints::values(values, &levels)?, values.len(), levels.rows),
            Leaf::Texts(chunk) => chunk.write(&texts::Values::of(values, &levels)?, values.len(), levels.rows),
        }
    }

    fn close(&mut self) -> Result<Closed> {
        match self {
            Leaf::Ints(chunk) => chunk.close(),
            Leaf::Texts(chunk) => chunk.close(),
        }
    }

    fn num_bytes(&self) -> usize {
        match self {
            Leaf::Ints(chunk) => chunk.num_bytes(),
            Leaf::Texts(chunk) => chunk.num_bytes(),
        }
    }
}

fn write_leaves<'l>(values: &ArrayRef, levels: Levels, leaves: &mut impl Iterator<Item = &'l mut Leaf>) -> Result<()> {
    if let Some(parent) = values.as_struct_opt() {
        let below = levels.below(parent);
        return parent.columns().iter().try_for_each(|column| write_leaves(column, below.clone(), leaves));
    }
    match leaves.next() {
        Some(leaf) => leaf.write(values, levels),
        None => Err(ParquetError::General("a column has more leaves than its schema".into())),
    }
}

/// Bytes of text and of binary values; the rest is small.
fn text_bytes(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().lengths().map(|length| length as usize).sum(),
        DataType::BinaryView => column.as_binary_view().lengths().map(|length| length as usize).sum(),
        _ => 0,
    }
}

/// Definition levels (how many of a value's optional ancestors are there, itself included) on the way down.
#[derive(Clone, Default)]
struct Levels {
    depth: u32,
    /// None while nothing is missing.
    rows: Option<Vec<u32>>,
}

impl Levels {
    fn below(&self, parent: &dyn Array) -> Self {
        let depth = self.depth + 1;
        let rows = match (&self.rows, parent.nulls().filter(|nulls| nulls.null_count() > 0)) {
            (None, None) => None,
            (None, Some(nulls)) => Some(nulls.iter().map(|valid| self.depth + u32::from(valid)).collect()),
            (Some(rows), nulls) => {
                let is_valid = |row| nulls.is_none_or(|nulls| nulls.is_valid(row));
                let deeper = |(row, level): (usize, &u32)| level + u32::from(*level == self.depth && is_valid(row));
                Some(rows.iter().enumerate().map(deeper).collect())
            }
        };
        Self { depth, rows }
    }

    /// The items of the rows where nothing is missing. A value may be there whose parent is not: it is no value.
    fn present<'v, T: Copy>(&self, all: Cow<'v, [T]>) -> Cow<'v, [T]> {
        let Some(rows) = &self.rows else { return all };
        let is_there = |(item, level): (&T, &u32)| (*level == self.depth).then_some(*item);
        all.iter().zip(rows).filter_map(is_there).collect()
    }
}

/// Whether a column is one of ours: a flat one, or a structure of such. Everything is optional, as Delta has it.
fn has_own_shape(field: &Field) -> bool {
    use DataType::{BinaryView, Date32, Decimal128, Int8, Int16, Int32, Int64, Timestamp, Utf8View};
    let own = match field.data_type() {
        DataType::Struct(fields) => !fields.is_empty() && fields.iter().all(|f| has_own_shape(f)),
        Int8 | Int16 | Int32 | Int64 | Date32 | Timestamp(TimeUnit::Microsecond, _) | Utf8View | BinaryView => true,
        Decimal128(precision, _) => *precision <= 18,
        _ => false,
    };
    own && field.is_nullable()
}

fn leaves_of(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaves_of(field.data_type())).sum(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => leaves_of(item.data_type()),
        _ => 1,
    }
}

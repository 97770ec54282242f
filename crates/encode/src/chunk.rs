//! One column of one row group: pages, and the dictionary that they share while it is worth it.

use super::{PAGE_ROWS_MAX, hybrid};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// A page ends about here, compressed or not.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// A dictionary that grows past this is closed; what follows is written without.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;
const DICTIONARY_ENTRIES_MAX: usize = 1 << 16;

/// What the values of one physical type are made to. Positions count the values that are there.
pub(super) trait Encode {
    type Values<'v>;

    /// How values are encoded where there is no dictionary.
    const WITHOUT: Encoding;

    fn len(values: &Self::Values<'_>) -> usize;

    /// How long all values are, plain.
    fn plain_bytes(&self, values: &Self::Values<'_>) -> usize;

    /// Appends the dictionary's codes; new values get the next ones.
    fn codes(&mut self, values: &Self::Values<'_>, from: usize, to: usize, out: &mut Vec<u32>);

    fn without(&self, values: &Self::Values<'_>, from: usize, to: usize, out: &mut Vec<u8>);

    /// Widens the group's least and most value.
    fn bound(&mut self, values: &Self::Values<'_>);

    fn entries(&self) -> usize;

    fn dictionary_bytes(&self) -> usize;

    /// Appends the dictionary's values, plain, in the order of their codes.
    fn dictionary(&self, out: &mut Vec<u8>);

    fn statistics(&self, nulls: u64) -> Statistics;

    /// Makes ready for the next group.
    fn forget(&mut self);
}

pub(super) struct Chunk<E> {
    descr: ColumnDescPtr,
    encode: E,
    has_dictionary: bool,
    /// There was no use in a dictionary for the column's first page: its values hardly repeat, or are in order.
    is_plain: bool,
    pages: TrackedWrite<Vec<u8>>,
    raw_bytes: usize,
    rows: usize,
    nulls: usize,
    encodings: Vec<Encoding>,
    compression: Compression,
    body: Vec<u8>,
    codes: Vec<u32>,
    snappy: snap::raw::Encoder,
}

/// A chunk ready to be put into its row group.
pub(super) struct Closed {
    pub bytes: Bytes,
    pub result: ColumnCloseResult,
}

impl<E: Encode> Chunk<E> {
    pub fn new(encode: E, descr: ColumnDescPtr) -> Self {
        Self {
            descr,
            encode,
            has_dictionary: true,
            is_plain: false,
            pages: TrackedWrite::new(Vec::new()),
            raw_bytes: 0,
            rows: 0,
            nulls: 0,
            encodings: Vec::new(),
            compression: Compression::SNAPPY,
            body: Vec::new(),
            codes: Vec::new(),
            snappy: snap::raw::Encoder::new(),
        }
    }

    pub fn num_bytes(&self) -> usize {
        self.pages.bytes_written() + self.encode.dictionary_bytes()
    }

    /// Encodes a column of `rows` rows. `levels` are there if anything is missing.
    pub fn write(&mut self, values: &E::Values<'_>, rows: usize, levels: Option<Vec<u32>>) -> Result<()> {
        self.encode.bound(values);
        let most = u32::try_from(self.descr.max_def_level()).unwrap_or_default();
        let bytes = self.encode.plain_bytes(values);
        let page_rows = (PAGE_BYTES_MAX * rows / bytes.max(1)).clamp(1, PAGE_ROWS_MAX);
        let (mut row, mut value) = (0, 0);
        while row < rows {
            let end = (row + page_rows).min(rows);
            let levels = levels.as_ref().map(|levels| &levels[row..end]);
            let present = levels.map_or(end - row, |levels| levels.iter().filter(|level| **level == most).count());
            self.page(values, value, value + present, end - row, levels)?;
            (row, value) = (end, value + present);
        }
        debug_assert_eq!(value, E::len(values), "each value is in a page");
        Ok(())
    }

    fn page(
        &mut self,
        values: &E::Values<'_>,
        from: usize,
        to: usize,
        rows: usize,
        levels: Option<&[u32]>,
    ) -> Result<()> {
        self.body.clear();
        self.levels(rows, levels);
        let body = self.body.len();
        let is_first = self.rows == 0;
        let mut encoding = E::WITHOUT;
        if self.has_dictionary && !self.is_plain {
            self.codes.clear();
            self.encode.codes(values, from, to, &mut self.codes);
            let width = hybrid::width_of(self.encode.entries().saturating_sub(1) as u32);
            self.body.push(width);
            hybrid::encode(&mut self.body, &self.codes, width);
            encoding = Encoding::RLE_DICTIONARY;
            self.has_dictionary = self.encode.dictionary_bytes() <= DICTIONARY_BYTES_MAX
                && self.encode.entries() <= DICTIONARY_ENTRIES_MAX;
        }
        if encoding == E::WITHOUT {
            self.encode.without(values, from, to, &mut self.body);
        } else if is_first {
            // The first page is the sample: it is the one that is dear, for each of its values may be new.
            let coded = self.body.len() - body + self.encode.dictionary_bytes();
            let mut without = Vec::new();
            if self.encode.entries() * 8 > to - from {
                self.encode.without(values, from, to, &mut without);
            }
            if !without.is_empty() && coded * 10 > without.len() * 8 {
                (self.is_plain, encoding) = (true, E::WITHOUT);
                self.body.truncate(body);
                self.body.extend_from_slice(&without);
            }
        }
        self.nulls += rows - (to - from);
        self.rows += rows;
        self.put_data(rows, encoding)
    }

    /// Definition levels, their length in front.
    fn levels(&mut self, rows: usize, levels: Option<&[u32]>) {
        let most = u32::try_from(self.descr.max_def_level()).unwrap_or_default();
        self.body.extend_from_slice(&[0; 4]);
        match levels {
            None => hybrid::repeat(&mut self.body, most, rows, hybrid::width_of(most)),
            Some(levels) => hybrid::encode(&mut self.body, levels, hybrid::width_of(most)),
        }
        let length = (self.body.len() - 4) as u32;
        self.body[..4].copy_from_slice(&length.to_le_bytes());
    }

    fn put_data(&mut self, rows: usize, encoding: Encoding) -> Result<()> {
        let page = Page::DataPage {
            buf: self.compressed(self.pages.bytes_written() == 0)?,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let page = CompressedPage::new(page, self.body.len());
        let written = SerializedPageWriter::new(&mut self.pages).write_page(page)?;
        self.raw_bytes += written.uncompressed_size;
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
        Ok(())
    }

    pub fn close(&mut self) -> Result<Closed> {
        let mut bytes = TrackedWrite::new(Vec::new());
        let has_dictionary = self.encodings.contains(&Encoding::RLE_DICTIONARY);
        if has_dictionary {
            self.body.clear();
            self.encode.dictionary(&mut self.body);
            let page = Page::DictionaryPage {
                buf: self.compressed(false)?,
                num_values: self.encode.entries() as u32,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let page = CompressedPage::new(page, self.body.len());
            self.raw_bytes += SerializedPageWriter::new(&mut bytes).write_page(page)?.uncompressed_size;
        }
        let data_offset = bytes.bytes_written();
        let mut bytes = bytes.into_inner()?;
        bytes.extend(std::mem::replace(&mut self.pages, TrackedWrite::new(Vec::new())).into_inner()?);
        let mut encodings = std::mem::take(&mut self.encodings);
        encodings.extend(
            [Encoding::RLE]
                .into_iter()
                .chain((has_dictionary && !encodings.contains(&Encoding::PLAIN)).then_some(Encoding::PLAIN)),
        );
        let metadata = ColumnChunkMetaData::builder(self.descr.clone())
            .set_compression(self.compression)
            .set_encodings(encodings)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.raw_bytes as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(data_offset as i64)
            .set_dictionary_page_offset(has_dictionary.then_some(0))
            .set_statistics(self.encode.statistics(self.nulls as u64))
            .build()?;
        let result = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        self.encode.forget();
        self.compression = Compression::SNAPPY;
        (self.has_dictionary, self.raw_bytes, self.rows, self.nulls) = (true, 0, 0, 0);
        Ok(Closed { bytes: Bytes::from(bytes), result })
    }

    /// The body as it is stored. The first page decides for its chunk, where all pages are stored alike: packed codes of
    /// values without order don't get smaller.
    fn compressed(&mut self, is_first: bool) -> Result<Bytes> {
        if self.compression == Compression::UNCOMPRESSED {
            return Ok(Bytes::copy_from_slice(&self.body));
        }
        let compressed = self.snappy.compress_vec(&self.body).map_err(|e| ParquetError::External(Box::new(e)))?;
        if is_first && compressed.len() * 20 > self.body.len() * 19 {
            self.compression = Compression::UNCOMPRESSED;
            return Ok(Bytes::copy_from_slice(&self.body));
        }
        Ok(Bytes::from(compressed))
    }
}

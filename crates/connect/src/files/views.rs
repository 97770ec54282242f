//! Text columns that point into the block they were read from: nothing is copied but fields of up to 12 bytes, which
//! Arrow keeps inside the view.

use super::text::PAD;
use arrow::array::{ArrayRef, BooleanBufferBuilder, StringViewArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use std::ops::Range;
use std::sync::Arc;

/// Where the text of a field is: its start (32 bits), its length (30) and two flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(u64);

const PRESENT: u64 = 1 << 62;
const ASIDE: u64 = 1 << 63;

impl Span {
    /// No value. It equals the empty unquoted field.
    pub const NULL: Span = Span(0);

    /// Bytes of the block. An empty one is null.
    pub fn new(start: usize, end: usize) -> Self {
        let len = (end - start) as u64;
        if len == 0 { Span::NULL } else { Span(start as u64 | len << 32) }
    }

    /// Bytes of the block, and a value even when there are none: `""`.
    pub fn present(start: usize, end: usize) -> Self {
        Span(start as u64 | ((end - start) as u64) << 32 | PRESENT)
    }

    /// Bytes of the side buffer, where text is put that differs from what the block has: unescaped.
    pub fn aside(start: usize, end: usize) -> Self {
        Span(start as u64 | ((end - start) as u64) << 32 | PRESENT | ASIDE)
    }

    pub fn is_null(self) -> bool {
        self.0 >> 32 == 0
    }

    /// Whether it was quoted, so that it can't stand for null.
    pub fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    pub fn start(self) -> usize {
        self.0 as u32 as usize
    }

    pub fn len(self) -> usize {
        (self.0 >> 32) as usize & ((1 << 30) - 1)
    }

    fn is_aside(self) -> bool {
        self.0 & ASIDE != 0
    }

    /// The text itself.
    pub fn of(self, texts: &Texts) -> &[u8] {
        let text: &[u8] = if self.is_aside() { &texts.side } else { &texts.block };
        text.get(self.start()..self.start() + self.len()).unwrap_or_default()
    }
}

/// A column of text that is made value by value, while each is at hand.
#[derive(Default)]
pub struct Views {
    views: Vec<u128>,
    /// The rows without a value.
    missing: Vec<u32>,
}

impl Views {
    pub fn with_room(rows: usize) -> Self {
        Self { views: Vec::with_capacity(rows), missing: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Text of the block, which has [`PAD`] zeros at its end.
    #[inline(always)]
    pub fn push(&mut self, block: &[u8], range: Range<usize>) {
        self.views.push(view(block, range.start, range.len(), 0));
    }

    /// Text from `start` to the end of the side buffer.
    pub fn push_aside(&mut self, side: &[u8], start: usize) {
        self.views.push(view(side, start, side.len() - start, 1));
    }

    /// Cuts, or fills up with rows that have no value.
    pub fn resize(&mut self, rows: usize) {
        self.missing.extend((self.len()..rows).map(|row| row as u32));
        while self.missing.last().is_some_and(|row| *row as usize >= rows) {
            self.missing.pop();
        }
        self.views.resize(rows, 0);
    }
}

/// What spans point into: a block, and text made beside it. Both end in [`PAD`] zeros.
pub struct Texts {
    block: Buffer,
    side: Buffer,
}

impl Texts {
    /// All spans must be of valid UTF-8: `checked` says that the reader saw to it.
    pub fn new(block: Buffer, mut side: Vec<u8>) -> Self {
        side.resize(side.len() + PAD, 0);
        Self { block, side: Buffer::from_vec(side) }
    }

    /// One column of each `width` spans per row, row after row.
    pub fn columns(&self, spans: &[Span], width: usize) -> Vec<ArrayRef> {
        let rows = spans.len() / width.max(1);
        let mut columns: Vec<(Vec<u128>, usize)> = (0..width).map(|_| (Vec::with_capacity(rows), 0)).collect();
        // A few rows at a time, so that spans and text stay in the cache while each column passes over them.
        for tile in spans.chunks(width.max(1) * TILE_ROWS) {
            for (place, (views, nulls)) in columns.iter_mut().enumerate() {
                views.extend(tile.chunks_exact(width).map(|row| {
                    let span = row[place];
                    *nulls += usize::from(span.is_null());
                    self.view(span)
                }));
            }
        }
        let finish = |(place, (views, nulls)): (usize, (Vec<u128>, usize))| {
            let valid = |row: usize| !spans[row * width + place].is_null();
            let nulls = (nulls > 0).then(|| NullBuffer::new(BooleanBuffer::collect_bool(rows, valid)));
            self.array(views, nulls)
        };
        columns.into_iter().enumerate().map(finish).collect()
    }

    /// The column of values that were made one by one over the same block and side.
    pub fn column(&self, made: Views) -> ArrayRef {
        let nulls = (!made.missing.is_empty()).then(|| {
            let mut valid = BooleanBufferBuilder::new(made.len());
            valid.append_n(made.len(), true);
            made.missing.iter().for_each(|row| valid.set_bit(*row as usize, false));
            NullBuffer::new(valid.finish())
        });
        self.array(made.views, nulls)
    }

    #[inline(always)]
    fn view(&self, span: Span) -> u128 {
        let (text, buffer) = if span.is_aside() { (&self.side, 1) } else { (&self.block, 0) };
        view(text, span.start(), span.len(), buffer)
    }

    /// The array of views made by [`view`].
    ///
    /// Arrow's safe constructor looks at each view and each text again, after the block was found to be UTF-8 as a whole.
    /// Measured on 6 million rows of 16 columns (755 MB): 1.47 CPU-seconds to read them with it, 0.66 without.
    #[allow(unsafe_code, reason = "checking each of the fields again more than doubles the cost of reading CSV")]
    fn array(&self, views: Vec<u128>, nulls: Option<NullBuffer>) -> ArrayRef {
        let buffers: Arc<[Buffer]> = Arc::from([self.block.clone(), self.side.clone()]);
        // SAFETY: `view` makes each view from a place inside one of the two buffers, with zeros behind a short text
        // and the first four bytes of a long one; a reader hands over places of whole characters of text that it found
        // to be UTF-8; `nulls` has one bit per view. The tests of this crate check it again.
        let array = unsafe { StringViewArray::new_unchecked(ScalarBuffer::from(views), buffers, nulls) };
        #[cfg(test)]
        assert!(arrow::array::Array::to_data(&array).validate_full().is_ok());
        Arc::new(array)
    }
}

/// The view of a text in a buffer that mostly goes on for 16 bytes behind its start.
#[inline(always)]
fn view(text: &[u8], start: usize, len: usize, buffer: u128) -> u128 {
    let word = match text.get(start..start + 16).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()) {
        Some(bytes) => u128::from_le_bytes(bytes),
        None => last_word(text, start),
    };
    match INLINE.get(len) {
        Some(mask) => len as u128 | (word & mask) << 32,
        None => len as u128 | u128::from(word as u32) << 32 | buffer << 64 | (start as u128) << 96,
    }
}

#[cold]
fn last_word(text: &[u8], start: usize) -> u128 {
    text.iter().skip(start).rev().fold(0, |word, byte| word << 8 | u128::from(*byte))
}

/// Rows of a tile: with 16 columns 128 KiB of spans and about as much text, half of a core's cache.
const TILE_ROWS: usize = 1024;

/// What a short text keeps of the 16 bytes at its start.
const INLINE: [u128; 13] = {
    let mut masks = [0; 13];
    let mut len = 1;
    while len < 13 {
        masks[len] = u128::MAX >> (128 - 8 * len);
        len += 1;
    }
    masks
};

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};

    #[test]
    fn spans_become_text_wherever_it_lies() {
        let mut block = b"abtwelve bytesthirteen bytes".to_vec();
        block.resize(block.len() + PAD, 0);
        let texts = Texts::new(Buffer::from_vec(block), b"unescaped \"text\"".to_vec());
        let spans = [
            Span::new(0, 1),
            Span::new(2, 14),
            Span::new(14, 28),
            Span::aside(0, 16),
            Span::new(5, 5),
            Span::present(5, 5),
        ];
        let columns = texts.columns(&spans, 2);
        let read = |column: usize| columns[column].as_string_view().iter().collect::<Vec<_>>();
        assert_eq!(read(0), [Some("a"), Some("thirteen bytes"), None]);
        assert_eq!(read(1), [Some("twelve bytes"), Some("unescaped \"text\""), Some("")]);
        assert_eq!(columns[1].null_count(), 0);
    }
}

//! Columns of text and bytes, as Arrow's views: a value of up to 12 bytes is its own key, a longer one is hashed.

use super::Levels;
use super::chunk::Encode;
use arrow::array::{Array, AsArray};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use parquet::basic::{ConvertedType, Encoding};
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;
use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use twox_hash::XxHash3_64;

/// Bounds in the footer are cut to this.
const BOUND_BYTES_MAX: usize = 64;
/// A view with more bytes than this points into a buffer.
const INLINE_BYTES_MAX: usize = 12;

/// The values that are there, without the missing ones.
pub(super) struct Values<'v> {
    views: Cow<'v, [u128]>,
    buffers: &'v [Buffer],
}

impl<'v> Values<'v> {
    pub fn of(array: &'v dyn Array, levels: &Levels) -> Result<Self> {
        let (views, buffers): (&[u128], &[Buffer]) = match array.data_type() {
            DataType::Utf8View => (array.as_string_view().views(), array.as_string_view().data_buffers()),
            DataType::BinaryView => (array.as_binary_view().views(), array.as_binary_view().data_buffers()),
            other => return Err(ParquetError::General(format!("{other} is no text"))),
        };
        let views = levels.present(Cow::Borrowed(views));
        Ok(Self { views, buffers })
    }

    fn with<T>(&self, view: u128, read: impl FnOnce(&[u8]) -> T) -> T {
        match length(view) {
            short @ 0..=INLINE_BYTES_MAX => read(&view.to_le_bytes()[4..4 + short]),
            _ => read(self.long(view)),
        }
    }

    /// A long value's bytes.
    fn long(&self, view: u128) -> &'v [u8] {
        let (length, buffer, start) = (length(view), (view >> 64) as u32 as usize, (view >> 96) as u32 as usize);
        self.buffers.get(buffer).and_then(|bytes| bytes.get(start..start + length)).unwrap_or_default()
    }
}

fn length(view: u128) -> usize {
    view as u32 as usize
}

/// The first four bytes, to be compared as a number.
fn prefix(view: u128) -> u32 {
    ((view >> 32) as u32).swap_bytes()
}

fn append(out: &mut Vec<u8>, values: &Values<'_>, view: u128) {
    let length = length(view);
    if length <= INLINE_BYTES_MAX {
        // Length and value lie in the view as they are to lie in the page.
        out.extend_from_slice(&view.to_le_bytes()[..4 + length]);
    } else {
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.extend_from_slice(values.long(view));
    }
}

pub(super) struct Texts {
    is_text: bool,
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    /// Its own for each column, so that nobody can choose values that collide.
    seed: u64,
    /// Open addressing, at most half full: hash, and code + 1.
    slots: Vec<(u64, u32)>,
    /// Hash, and where the value is in `page`.
    entries: Vec<(u64, u32)>,
    /// The dictionary page.
    page: Vec<u8>,
}

const SLOTS_MIN: usize = 256;

impl Texts {
    pub fn new(descr: &ColumnDescPtr) -> Self {
        let seed = RandomState::new().hash_one(descr.path().string());
        let is_text = descr.converted_type() == ConvertedType::UTF8;
        Self { is_text, bounds: None, seed, slots: Vec::new(), entries: Vec::new(), page: Vec::new() }
    }

    fn hash(&self, values: &Values<'_>, view: u128) -> u64 {
        if length(view) > INLINE_BYTES_MAX {
            return XxHash3_64::oneshot_with_seed(self.seed, values.long(view));
        }
        let (low, high) = (view as u64 ^ self.seed, (view >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15);
        let mixed = u128::from(low) * u128::from(high | 1);
        // A short value without its last half would lose its first half in the product.
        ((mixed >> 64) as u64 ^ mixed as u64).wrapping_mul(self.seed | 1).rotate_right(29) ^ low
    }

    fn code(&mut self, values: &Values<'_>, view: u128) -> u32 {
        let hash = self.hash(values, view);
        let mut slot = hash as usize & (self.slots.len() - 1);
        loop {
            match self.slots[slot] {
                (_, 0) => break,
                (known, code) if known == hash && self.is_entry(code - 1, values, view) => return code - 1,
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
        self.entries.push((hash, self.page.len() as u32));
        append(&mut self.page, values, view);
        let code = self.entries.len() as u32;
        self.slots[slot] = (hash, code);
        if self.entries.len() * 2 > self.slots.len() {
            self.rehash(self.slots.len() * 2);
        }
        code - 1
    }

    fn is_entry(&self, code: u32, values: &Values<'_>, view: u128) -> bool {
        let length = length(view);
        let start = self.entries[code as usize].1 as usize;
        let Some(entry) = self.page.get(start..start + 4 + length) else { return false };
        if length <= INLINE_BYTES_MAX {
            return entry == &view.to_le_bytes()[..4 + length];
        }
        entry[..4] == (length as u32).to_le_bytes() && &entry[4..] == values.long(view)
    }

    fn rehash(&mut self, slots: usize) {
        self.slots = vec![(0, 0); slots];
        for (at, (hash, _)) in self.entries.iter().enumerate() {
            let mut slot = *hash as usize & (slots - 1);
            while self.slots[slot].1 != 0 {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = (*hash, at as u32 + 1);
        }
    }
}

impl Encode for Texts {
    type Values<'v> = Values<'v>;

    const WITHOUT: Encoding = Encoding::PLAIN;

    fn len(values: &Values<'_>) -> usize {
        values.views.len()
    }

    fn plain_bytes(&self, values: &Values<'_>) -> usize {
        values.views.iter().map(|view| 4 + length(*view)).sum()
    }

    fn codes(&mut self, values: &Values<'_>, from: usize, to: usize, out: &mut Vec<u32>) {
        if self.slots.is_empty() {
            self.slots = vec![(0, 0); SLOTS_MIN];
        }
        // A view says all of a value: the same one again, as in a column of one constant, has the same code.
        let mut last: Option<(u128, u32)> = None;
        out.extend(values.views[from..to].iter().map(|view| match last {
            Some((same, code)) if same == *view => code,
            _ => {
                let code = self.code(values, *view);
                last = Some((*view, code));
                code
            }
        }));
    }

    fn without(&self, values: &Values<'_>, from: usize, to: usize, out: &mut Vec<u8>) {
        values.views[from..to].iter().for_each(|view| append(out, values, *view));
    }

    fn bound(&mut self, values: &Values<'_>) {
        if !self.is_text {
            return;
        }
        let Some(first) = values.views.first() else { return };
        let (mut least, mut most) =
            self.bounds.take().unwrap_or_else(|| values.with(*first, |bytes| (bytes.to_vec(), bytes.to_vec())));
        let number = |bytes: &[u8]| bytes.iter().chain(&[0; 4]).take(4).fold(0u32, |n, byte| n << 8 | u32::from(*byte));
        let (mut low, mut high) = (number(&least), number(&most));
        let mut last = None;
        for view in values.views.iter() {
            let prefix = prefix(*view);
            // Nearly all values are told apart by their first four bytes, or are the one before.
            if prefix > low && prefix < high || last == Some(*view) {
                continue;
            }
            last = Some(*view);
            values.with(*view, |bytes| {
                if bytes < least.as_slice() {
                    (low, least) = (prefix, bytes.to_vec());
                } else if bytes > most.as_slice() {
                    (high, most) = (prefix, bytes.to_vec());
                }
            });
        }
        self.bounds = Some((least, most));
    }

    fn entries(&self) -> usize {
        self.entries.len()
    }

    fn dictionary_bytes(&self) -> usize {
        self.page.len()
    }

    fn dictionary(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.page);
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        let least = self.bounds.as_ref().map(|(least, _)| cut(least));
        let most = self.bounds.as_ref().and_then(|(_, most)| above(most));
        let is_exact = |bound: &Option<Vec<u8>>, value: Option<&Vec<u8>>| bound.as_ref() == value;
        let least_is_exact = is_exact(&least, self.bounds.as_ref().map(|b| &b.0));
        let most_is_exact = is_exact(&most, self.bounds.as_ref().map(|b| &b.1));
        ValueStatistics::new(least.map(ByteArray::from), most.map(ByteArray::from), None, Some(nulls), false)
            .with_min_is_exact(least_is_exact)
            .with_max_is_exact(most_is_exact)
            .into()
    }

    fn forget(&mut self) {
        self.bounds = None;
        self.slots.clear();
        self.entries.clear();
        self.page.clear();
    }
}

/// The first bytes of a text, whole characters: not above it.
fn cut(text: &[u8]) -> Vec<u8> {
    let mut end = text.len().min(BOUND_BYTES_MAX);
    while end < text.len() && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    text[..end].to_vec()
}

/// A text not below this one that is not longer than a bound may be; none if there is none.
fn above(text: &[u8]) -> Option<Vec<u8>> {
    let short = cut(text);
    if short.len() == text.len() {
        return Some(short);
    }
    let mut characters: Vec<char> = std::str::from_utf8(&short).ok()?.chars().collect();
    while let Some(last) = characters.pop() {
        if let Some(next) = (last as u32 + 1..=0x10_ffff).find_map(char::from_u32) {
            characters.push(next);
            return Some(characters.into_iter().collect::<String>().into_bytes());
        }
    }
    None
}

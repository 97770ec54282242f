//! Rows of a table into batches, and the binary form of COPY taken apart.

use super::column::Column;
use super::kinds::{Infinity, Kind};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::{Bytes, BytesMut};
use kernel::error::{Error, Result};
use std::sync::Arc;

/// Columns being filled.
pub struct Rows {
    pub columns: Vec<Column>,
    pub count: usize,
    /// Of the values as they came.
    pub bytes: usize,
}

impl Rows {
    pub fn new(columns: &[(Arc<str>, Kind)], infinity: Infinity) -> Self {
        let columns = columns.iter().map(|(name, kind)| Column::new(name.clone(), *kind, infinity)).collect();
        Self { columns, count: 0, bytes: 0 }
    }

    pub fn finish(&mut self) -> Result<RecordBatch> {
        let arrays: Vec<_> = self.columns.iter_mut().map(Column::finish).collect();
        let field = |(column, array): (&Column, &arrow::array::ArrayRef)| {
            Field::new(&*column.name, array.data_type().clone(), true)
        };
        let fields: Vec<Field> = self.columns.iter().zip(&arrays).map(field).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options);
        (self.count, self.bytes) = (0, 0);
        batch.map_err(|e| Error::internal("put a batch together", &e))
    }
}

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags and the length of what extends the header.
const HEADER: usize = SIGNATURE.len() + 8;

/// Takes a binary COPY apart, message by message. The first `extra` fields of a row are the caller's.
pub struct Copied {
    extra: usize,
    begun: bool,
    /// The beginning of a row whose end has not come.
    rest: BytesMut,
}

fn broken() -> Error {
    Error::data("read a COPY", "its rows are not as this version of the protocol has them")
}

impl Copied {
    pub fn new(extra: usize) -> Self {
        Self { extra, begun: false, rest: BytesMut::new() }
    }

    /// Rows of a message. `own` gets the caller's fields of each.
    pub fn feed(&mut self, message: Bytes, rows: &mut Rows, mut own: impl FnMut(&[Option<&[u8]>])) -> Result<()> {
        let joined;
        let mut bytes: &[u8] = if self.rest.is_empty() {
            &message
        } else {
            self.rest.extend_from_slice(&message);
            joined = self.rest.split().freeze();
            &joined
        };
        if !self.begun {
            let Some(header) = bytes.get(..HEADER) else { return self.keep(bytes) };
            if &header[..SIGNATURE.len()] != SIGNATURE {
                return Err(broken());
            }
            let more = i32::from_be_bytes([header[15], header[16], header[17], header[18]]);
            let Some(after) = bytes.get(HEADER + usize::try_from(more).map_err(|_| broken())?..) else {
                return self.keep(bytes);
            };
            (self.begun, bytes) = (true, after);
        }
        while !bytes.is_empty() {
            let Some(length) = row_length(bytes)? else { return self.keep(bytes) };
            let (row, after) = bytes.split_at(length);
            self.row(row, rows, &mut own)?;
            bytes = after;
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn row(&self, row: &[u8], rows: &mut Rows, own: &mut impl FnMut(&[Option<&[u8]>])) -> Result<()> {
        let fields = i16::from_be_bytes([row[0], row[1]]);
        // The trailer.
        if fields < 0 {
            return Ok(());
        }
        if usize::from(fields.unsigned_abs()) != self.extra + rows.columns.len() {
            return Err(broken());
        }
        let mut rest = &row[2..];
        let mut extra: [Option<&[u8]>; EXTRA_MAX] = [None; EXTRA_MAX];
        for place in extra.iter_mut().take(self.extra) {
            *place = field(&mut rest)?;
        }
        for column in &mut rows.columns {
            column.push_binary(field(&mut rest)?)?;
        }
        rows.count += 1;
        rows.bytes += row.len();
        own(&extra[..self.extra]);
        Ok(())
    }
}

/// Fields of a row that the caller asks for himself.
const EXTRA_MAX: usize = 4;

/// How long the row at the start is, with its count of fields; `None` when its end has not come.
#[inline]
fn row_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(count) = bytes.get(..2) else { return Ok(None) };
    let fields = i16::from_be_bytes([count[0], count[1]]);
    let mut at = 2;
    for _ in 0..fields.max(0) {
        let Some(length) = bytes.get(at..at + 4) else { return Ok(None) };
        let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        at += 4 + usize::try_from(length.max(0)).map_err(|_| broken())?;
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

#[inline]
fn field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = after;
        return Ok(None);
    };
    let value = after.get(..length).ok_or_else(broken)?;
    *rest = &after[length..];
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::Int32Type;

    fn copy(rows: &[(u32, Option<i32>)]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for (own, value) in rows {
            bytes.extend(2i16.to_be_bytes());
            bytes.extend(4i32.to_be_bytes());
            bytes.extend(own.to_be_bytes());
            match value {
                Some(value) => {
                    bytes.extend(4i32.to_be_bytes());
                    bytes.extend(value.to_be_bytes());
                }
                None => bytes.extend((-1i32).to_be_bytes()),
            }
        }
        bytes.extend((-1i16).to_be_bytes());
        bytes
    }

    #[test]
    fn a_copy_is_read_however_it_is_cut() {
        let bytes = copy(&[(7, Some(1)), (8, None), (9, Some(3))]);
        for size in 1..=bytes.len() {
            let mut rows = Rows::new(&[("a".into(), Kind::Int4)], Infinity::Quarantine);
            let (mut copied, mut own) = (Copied::new(1), Vec::new());
            for piece in bytes.chunks(size) {
                let keep = |extra: &[Option<&[u8]>]| own.push(extra[0].expect("a value")[3]);
                copied.feed(Bytes::copy_from_slice(piece), &mut rows, keep).expect("rows");
            }
            assert_eq!(own, [7, 8, 9]);
            let batch = rows.finish().expect("a batch");
            let values: Vec<_> = batch.column(0).as_primitive::<Int32Type>().iter().collect();
            assert_eq!(values, [Some(1), None, Some(3)]);
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let mut rows = Rows::new(&[("a".into(), Kind::Int4)], Infinity::Quarantine);
        let told = Copied::new(0).feed(Bytes::from_static(&[7; 40]), &mut rows, |_| {});
        assert!(told.is_err());
        let two = copy(&[(1, Some(1))]);
        assert!(Copied::new(0).feed(two.into(), &mut rows, |_| {}).is_err(), "a field too many");
    }
}

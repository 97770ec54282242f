//! Values that are one column: text, or bytes as they are.

use super::{Decode, Records, Rows};
use crate::files::text::bad_bytes;
use arrow::array::{ArrayRef, BinaryViewArray, Int64Array, StringViewArray};
use arrow::record_batch::RecordBatch;
use kernel::gate::Malformed;
use kernel::{Error, Result};
use std::sync::Arc;

/// The column's name.
pub const VALUE: &str = "value";

pub struct Plain {
    pub is_text: bool,
}

impl Decode for Plain {
    fn decode(&mut self, records: Records) -> Result<Vec<Rows>> {
        let mut malformed = Vec::new();
        let mut good: Vec<(i64, &[u8])> = Vec::with_capacity(records.len());
        for (offset, value) in records.iter() {
            match bad_bytes(value).filter(|_| self.is_text) {
                Some(reason) => malformed.push(Malformed { offset, reason: reason.into() }),
                None => good.push((offset, value)),
            }
        }
        let values: ArrayRef = match self.is_text {
            true => Arc::new(StringViewArray::from_iter_values(
                good.iter().filter_map(|(_, value)| std::str::from_utf8(value).ok()),
            )),
            false => Arc::new(BinaryViewArray::from_iter_values(good.iter().map(|(_, value)| value))),
        };
        let batch = RecordBatch::try_from_iter([(VALUE, values)]).map_err(|e| Error::internal("read records", e))?;
        let offsets = Int64Array::from_iter_values(good.iter().map(|(offset, _)| *offset));
        Ok(vec![Rows { batch, offsets, malformed }])
    }
}

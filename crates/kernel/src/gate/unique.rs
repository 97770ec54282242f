//! Uniqueness over a table's whole life: 128-bit hashes of the keys seen, 16 bytes each.

use super::parse;
use crate::contract::Entity;
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use twox_hash::XxHash3_128;

/// One key that must be unique: the primary key, or a column.
pub(super) struct UniqueKey {
    pub columns: Vec<String>,
    /// Their places among the entity's properties.
    pub places: Vec<usize>,
    seen: HashSet<u128, BuildHasherDefault<Folded>>,
}

/// The keys are hashes already.
#[derive(Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

impl UniqueKey {
    /// The keys an entity declares.
    pub fn of(entity: &Entity) -> Vec<Self> {
        let primary: Vec<String> = entity.key().into_iter().map(str::to_owned).collect();
        let singles = entity.properties.iter().filter(|p| p.unique).map(|p| vec![p.name.clone()]);
        let mut keys: Vec<Vec<String>> = singles.filter(|key| *key != primary).collect();
        if !primary.is_empty() {
            keys.insert(0, primary);
        }
        let place = |name: &String| entity.properties.iter().position(|p| p.name == *name);
        let key = |columns: Vec<String>| Self {
            places: columns.iter().filter_map(place).collect(),
            columns,
            seen: HashSet::default(),
        };
        keys.into_iter().map(key).collect()
    }

    /// True for each row whose key was seen before, in this batch or an earlier one. Rows that are `bad` already, and
    /// rows with a null in the key, neither count nor are counted.
    pub fn doubles(&mut self, columns: &[ArrayRef], bad: impl Fn(usize) -> bool) -> Result<BooleanArray> {
        let hashes = hashes(columns)?;
        let nulls: Vec<_> = columns.iter().filter_map(|column| column.nulls()).collect();
        let has_null = |row: usize| nulls.iter().any(|nulls| nulls.is_null(row));
        Ok(hashes
            .into_iter()
            .enumerate()
            .map(|(row, hash)| Some(!bad(row) && !has_null(row) && !self.seen.insert(hash)))
            .collect())
    }

    /// Remembers the keys of rows that the table holds. `batch` has the key's columns.
    pub fn remember(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns: Option<Vec<ArrayRef>> = self.columns.iter().map(|c| batch.column_by_name(c).cloned()).collect();
        if let Some(columns) = columns {
            self.seen.extend(hashes(&columns)?);
        }
        Ok(())
    }
}

fn hashes(columns: &[ArrayRef]) -> Result<Vec<u128>> {
    let fault = |e| Error::internal("hash a key", "arrow refused its type").because(e);
    // One encoding for each value, so that a key hashes the same however a reader encodes it.
    let plain = |column: &ArrayRef| -> Result<ArrayRef> {
        let column = parse::decoded(column)?;
        arrow::compute::cast(&column, &parse::kept_type(column.data_type())).map_err(fault)
    };
    let columns: Vec<ArrayRef> = columns.iter().map(plain).collect::<Result<_>>()?;
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(fault)?;
    let rows = converter.convert_columns(&columns).map_err(fault)?;
    Ok(rows.iter().map(|row| XxHash3_128::oneshot(row.as_ref())).collect())
}

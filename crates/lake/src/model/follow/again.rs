//! Versions that say again what was there: a row that is read once more, or written as it was, is no new version.
//!
//! What is compared are keyed hashes of values, column by column, for a change may tell some of its columns only. They are
//! made of rows that have one before them, and of none else: a first read costs nothing.

use super::fates::Slice;
use super::fold::{Fate, Place};
use super::held::{Held, Look};
use super::key::{Key, column, fault};
use super::log::Log;
use super::read::{Part, read};
use crate::model::scd2::VALIDITY;
use crate::table::Table;
use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use futures::StreamExt;
use kernel::error::Result;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;

/// Bytes of a batch of values.
const BATCH_BYTES: usize = 1 << 20;
/// What a table says of a row beside its values.
const OF_THE_CHANGE: [&str; 2] = ["_changed_at", "_position"];

/// A column whose values are compared.
struct Value {
    /// Its place in the table's schema.
    at: usize,
    name: String,
    data_type: DataType,
    converter: RowConverter,
    null: u64,
}

/// Rows by their files.
type Wanted = BTreeMap<usize, BTreeSet<u64>>;

/// Of each row one hash for each value.
#[derive(Default)]
struct Hashes {
    rows: HashMap<Place, usize>,
    all: Vec<u64>,
}

pub struct Again {
    values: Vec<Value>,
    /// The columns that are read; the key is among them, so that there is always one.
    names: Vec<String>,
    /// Nobody who writes values can know which of them have the same hash.
    hasher: RandomState,
}

impl Again {
    pub fn new(schema: &SchemaRef, key: &Key) -> Result<Self> {
        let (hasher, mut values) = (RandomState::new(), Vec::new());
        for (at, field) in schema.fields().iter().enumerate() {
            let (name, data_type) = (field.name(), field.data_type().clone());
            if key.names.contains(name) || VALIDITY.iter().chain(&OF_THE_CHANGE).any(|other| other == name) {
                continue;
            }
            let converter = RowConverter::new(vec![SortField::new(data_type.clone())]).map_err(fault)?;
            let null = hashes(&converter, &hasher, new_null_array(&data_type, 1))?.first().copied();
            let null = null.unwrap_or_default();
            values.push(Value { at, name: name.clone(), data_type, converter, null });
        }
        let names = key.names.iter().chain(values.iter().map(|value| &value.name)).cloned().collect();
        Ok(Self { values, names, hasher })
    }

    /// Bytes that a version takes while it is compared.
    pub fn version_bytes(&self) -> usize {
        size_of::<(Place, usize)>() + self.values.len() * size_of::<u64>()
    }

    /// Lets versions go on, in the table or in the slice, where the next one is equal to them in every value.
    pub async fn join(&self, log: &Log, held: &Held<'_>, slice: &mut Slice, look: &Look) -> Result<()> {
        let (mut told, mut had) = (Wanted::new(), Wanted::new());
        let want = |wanted: &mut Wanted, place: Place| wanted.entry(place.file).or_default().insert(place.row);
        for (at, fate) in slice.fates.iter().enumerate() {
            let row = look.row(at, fate);
            let is_behind = |(at, follows): (usize, bool)| follows && (at > 0 || row.is_some());
            if !fate.versions.iter().map(|version| version.follows).enumerate().any(is_behind) {
                continue;
            }
            if let Some(row) = row {
                want(&mut had, row);
            }
            for (place, _) in fate.versions.iter().filter_map(|version| version.chain.newest()) {
                want(&mut told, place);
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        let of_log: Vec<&str> = log.files().iter().map(|file| file.path.as_str()).collect();
        let of_table: Vec<&str> = held.files.iter().map(|file| file.file.path.as_str()).collect();
        let told = self.read(log.table(), &of_log, told).await?;
        let had = self.read(held.table(), &of_table, had).await?;
        for (at, fate) in slice.fates.iter_mut().enumerate() {
            let row = look.row(at, fate).and_then(|row| self.of(&had, row));
            let again = self.again(fate, row, &told);
            fate.join(&again);
        }
        Ok(())
    }

    /// Of each version whether it is the one before it once more. `row` is what the table has.
    fn again(&self, fate: &Fate, row: Option<&[u64]>, told: &Hashes) -> Vec<bool> {
        let (mut row, mut again) = (row.map(<[u64]>::to_vec), Vec::new());
        for version in &fate.versions {
            let before = row.take().filter(|_| version.follows);
            let now = version.chain.newest().and_then(|(place, unchanged)| {
                let own = self.of(told, place)?;
                let value = |(which, value): (usize, &Value)| match unchanged.binary_search(&value.at) {
                    Err(_) => own[which],
                    Ok(_) => before.as_ref().map_or(value.null, |before| before[which]),
                };
                Some(self.values.iter().enumerate().map(value).collect::<Vec<u64>>())
            });
            again.push(before.is_some() && before == now);
            row = now;
        }
        again
    }

    fn of<'h>(&self, hashes: &'h Hashes, place: Place) -> Option<&'h [u64]> {
        let (at, width) = (*hashes.rows.get(&place)?, self.values.len());
        hashes.all.get(at * width..(at + 1) * width)
    }

    async fn read(&self, table: &Table, paths: &[&str], wanted: Wanted) -> Result<Hashes> {
        let mut found = Hashes::default();
        for (file, wanted) in wanted {
            let wanted: Vec<u64> = wanted.into_iter().collect();
            let part = Part { columns: Some(&self.names), rows: Some(&wanted), batch_bytes: BATCH_BYTES };
            let mut batches = read(table, paths[file], part).await?;
            let mut numbers = wanted.iter();
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                self.add(&batch, &mut found.all)?;
                for row in numbers.by_ref().take(batch.num_rows()) {
                    let at = found.rows.len();
                    found.rows.insert(Place { file, row: *row }, at);
                }
            }
        }
        Ok(found)
    }

    /// Adds the hashes of a batch, row by row.
    fn add(&self, batch: &RecordBatch, all: &mut Vec<u64>) -> Result<()> {
        let (first, width) = (all.len(), self.values.len());
        all.resize(first + batch.num_rows() * width, 0);
        for (which, value) in self.values.iter().enumerate() {
            let of_column = column(batch, &value.name, &value.data_type)?;
            for (row, hash) in hashes(&value.converter, &self.hasher, of_column)?.into_iter().enumerate() {
                all[first + row * width + which] = hash;
            }
        }
        Ok(())
    }
}

fn hashes(converter: &RowConverter, hasher: &RandomState, values: ArrayRef) -> Result<Vec<u64>> {
    let rows = converter.convert_columns(&[values]).map_err(fault)?;
    let hash = |row: arrow::row::Row<'_>| -> u64 {
        let bytes: &[u8] = row.as_ref();
        hasher.hash_one(bytes)
    };
    Ok(rows.iter().map(hash).collect())
}

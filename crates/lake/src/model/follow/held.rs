//! The table as it is: which of its files may hold a key, and which do.

use super::fates::Slice;
use super::fold::{Fate, Has, Place};
use super::key::{Key, fault};
use super::read::{Part, read};
use crate::commit::OldFile;
use crate::model::scd2::VALIDITY;
use crate::table::Table;
use arrow::array::{Array, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use kernel::error::Result;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

const BATCH_BYTES: usize = 1 << 20;

/// A file of the table, with what its statistics tell.
pub struct HeldFile {
    pub file: OldFile,
    pub rows: Option<u64>,
    /// What its least and its greatest key begin with.
    range: Option<(Vec<u8>, Vec<u8>)>,
}

/// Whether a key that begins with `most`, or with less, can come behind `key`.
fn is_below(key: &[u8], most: &[u8]) -> bool {
    key < most || key.starts_with(most)
}

impl HeldFile {
    /// Whether one of these keys may be in it; they are in order.
    fn may_hold(&self, fates: &[Fate]) -> bool {
        let Some((least, most)) = &self.range else { return !fates.is_empty() };
        let at = fates.partition_point(|fate| *fate.key < **least);
        fates.get(at).is_some_and(|fate| is_below(&fate.key, most))
    }

    /// Whether it may have keys of the slice.
    pub fn meets(&self, slice: &Slice) -> bool {
        let Some((least, most)) = &self.range else { return true };
        slice.from.as_ref().is_none_or(|from| is_below(from, most))
            && slice.to.as_ref().is_none_or(|to| **least <= **to)
    }

    /// Whether all of its keys are the slice's.
    pub fn is_within(&self, slice: &Slice) -> bool {
        let Some((least, most)) = &self.range else { return slice.from.is_none() && slice.to.is_none() };
        slice.from.as_ref().is_none_or(|from| **from < **least)
            && slice.to.as_ref().is_none_or(|to| !is_below(to, most))
    }
}

/// What a table has of the keys of a slice.
#[derive(Default)]
pub struct Look {
    /// Of the fates, by place, what there is of their key.
    pub has: HashMap<usize, Has>,
    /// The files, by place, that are to be written anew whatever becomes of the current row of a key.
    touched: BTreeSet<usize>,
}

impl Look {
    /// The row that a key's changes go on from, of a history.
    pub fn row(&self, at: usize, fate: &Fate) -> Option<Place> {
        self.has.get(&at).and_then(|has| has.row).filter(|_| !fate.is_whole)
    }

    /// The files, by place, that are to be written anew.
    pub fn touched(&self, slice: &Slice) -> BTreeSet<usize> {
        let ends = slice.fates.iter().enumerate().filter(|(_, fate)| fate.ended.is_some());
        let rows = ends.filter_map(|(at, fate)| self.row(at, fate));
        self.touched.iter().copied().chain(rows.map(|row| row.file)).collect()
    }
}

pub struct Held<'t> {
    table: &'t Table,
    key: &'t Key,
    keeps_history: bool,
    pub files: Vec<HeldFile>,
}

impl<'t> Held<'t> {
    /// Looks at the table's files; at none where the whole table goes.
    pub fn open(table: &'t Table, key: &'t Key, keeps_history: bool, goes: bool) -> Result<Self> {
        let mut files = Vec::new();
        for (file, stats) in if goes { Vec::new() } else { table.files_with_stats()? } {
            let stats: Value = stats.and_then(|stats| serde_json::from_str(&stats).ok()).unwrap_or_default();
            let end = |name: &str| key.prefix(&text(&stats[name][key.names.first()?])?);
            let range = end("minValues").zip(end("maxValues"));
            files.push(HeldFile { file, rows: stats["numRecords"].as_u64(), range });
        }
        Ok(Self { table, key, keeps_history, files })
    }

    /// Reads the keys of files that may hold one of the slice's.
    pub async fn look(&self, slice: &Slice) -> Result<Look> {
        let mut look = Look::default();
        let by_key: HashMap<&[u8], usize> = slice.fates.iter().enumerate().map(|(at, fate)| (&*fate.key, at)).collect();
        for (place, file) in self.files.iter().enumerate().filter(|(_, file)| file.may_hold(&slice.fates)) {
            let mut columns = self.key.names.clone();
            if self.keeps_history {
                columns.extend(VALIDITY.into_iter().chain(["_changed_at"]).map(str::to_owned));
            }
            let part = Part { columns: Some(&columns), rows: None, batch_bytes: BATCH_BYTES };
            let mut batches = read(self.table, &file.file.path, part).await?;
            let mut first = 0;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let keys = self.key.rows(&batch)?;
                let times = if self.keeps_history { Some(Spans::of(&batch)?) } else { None };
                for (row, key) in keys.iter().enumerate() {
                    let Some(fate) = by_key.get(key.as_ref()) else { continue };
                    let is_current = !self.keeps_history || is_current(&batch, row);
                    let has = look.has.entry(*fate).or_default();
                    match &times {
                        Some(times) if is_current => {
                            has.current = Some((times.from(row), times.is_timed(row)));
                            has.row = Some(Place { file: place, row: first + row as u64 });
                        }
                        Some(times) => has.floor = has.floor.max(times.to(row)),
                        None => has.current = Some((0, true)),
                    }
                    if !self.keeps_history || slice.fates[*fate].is_whole {
                        look.touched.insert(place);
                    }
                }
                first += batch.num_rows() as u64;
            }
        }
        Ok(look)
    }

    pub fn table(&self) -> &Table {
        self.table
    }
}

/// When each row of a history held.
pub struct Spans {
    from: Int64Array,
    to: Int64Array,
    changed: Int64Array,
}

impl Spans {
    pub fn of(batch: &RecordBatch) -> Result<Self> {
        let times = |name: &str| -> Result<Int64Array> {
            let Some(found) = batch.column_by_name(name) else { return Ok(Int64Array::new_null(batch.num_rows())) };
            Ok(cast(found, &DataType::Int64).map_err(fault)?.as_primitive::<Int64Type>().clone())
        };
        Ok(Self { from: times(VALIDITY[0])?, to: times(VALIDITY[1])?, changed: times("_changed_at")? })
    }

    pub fn from(&self, row: usize) -> i64 {
        if self.from.is_valid(row) { self.from.value(row) } else { i64::MIN }
    }

    fn to(&self, row: usize) -> i64 {
        if self.to.is_valid(row) { self.to.value(row) } else { i64::MIN }
    }

    /// Whether the source said when the row came to be.
    pub fn is_timed(&self, row: usize) -> bool {
        self.changed.is_valid(row)
    }
}

pub fn is_current(batch: &RecordBatch, row: usize) -> bool {
    let flags = batch.column_by_name(VALIDITY[2]).and_then(|column| column.as_boolean_opt());
    flags.is_some_and(|flags| flags.is_valid(row) && flags.value(row))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

//! Looks through every file of every table, whichever version names it.

use super::case::Case;
use super::marks::{Marks, Rows};
use crate::wiring::Wiring;
use arrow::array::AsArray;
use arrow::compute::{cast, filter};
use arrow::datatypes::DataType;
use futures::StreamExt;
use kernel::TableName;
use kernel::error::{Error, Result};
use lake::{At, ColumnRef, Table, kept_files, read_file};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A person's rows in one table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Located {
    pub table: String,
    pub version: u64,
    /// Rows of the latest version.
    pub rows: u64,
    /// Of these, how many each column tells.
    pub columns: BTreeMap<String, u64>,
    /// Every file that holds such a row, of whichever version.
    pub files: Vec<HeldFile>,
}

/// A file with a person's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldFile {
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    /// The first version that names it; none does where this is null.
    pub since: Option<u64>,
    /// The first version that names it no more; null while the latest does.
    pub until: Option<u64>,
}

impl HeldFile {
    pub fn is_live(&self) -> bool {
        self.since.is_some() && self.until.is_none()
    }
}

impl Located {
    /// The versions that show such a row, as `0-3`.
    pub fn versions(&self) -> String {
        let Some(first) = self.files.iter().filter_map(|file| file.since).min() else { return String::new() };
        let last = |file: &HeldFile| file.until.map_or(self.version, |until| until.saturating_sub(1));
        let last = self.files.iter().filter(|file| file.since.is_some()).map(last).max().unwrap_or(first);
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    }
}

/// The tables that hold a row of the person, in any version.
pub async fn locate(case: &Case) -> Result<Vec<Located>> {
    let mut found = Vec::new();
    for name in case.wiring.store.tables().await? {
        let located = in_table(&case.wiring, &name, &case.marks.rows(&name)).await?;
        found.extend(located.filter(|located| !located.files.is_empty()));
    }
    Ok(found)
}

pub async fn in_table(wiring: &Wiring, name: &TableName, rows: &Rows<'_>) -> Result<Option<Located>> {
    let store = &wiring.store;
    if rows.is_nothing() {
        return Ok(None);
    }
    let Some(table) = Table::open(store, name, At::Latest).await? else { return Ok(None) };
    let mut located = Located { table: name.to_string(), version: table.version(), ..Located::default() };
    let kept = kept_files(&table).await?;
    let named = kept.named.into_iter().map(|f| (f.path, f.bytes, Some(f.since), f.until));
    let unnamed = kept.unnamed.into_iter().map(|(path, about)| (path, about.bytes, None, None));
    for (path, bytes, since, until) in named.chain(unnamed) {
        let mut file = HeldFile { path, bytes, rows: 0, since, until };
        let told = match count(wiring, name, &file.path, rows).await {
            // A file that no version names may have been left half-written: then nobody can read it either.
            Err(_) if since.is_none() => continue,
            told => told?,
        };
        file.rows = told.0;
        if file.rows == 0 {
            continue;
        }
        if file.is_live() {
            located.rows += file.rows;
            told.1.into_iter().for_each(|(column, rows)| *located.columns.entry(column).or_default() += rows);
        }
        located.files.push(file);
    }
    Ok(Some(located))
}

/// How many rows of a file are the person's, and by which columns.
async fn count(wiring: &Wiring, name: &TableName, path: &str, rows: &Rows<'_>) -> Result<(u64, BTreeMap<String, u64>)> {
    let (mut all, mut columns) = (0, BTreeMap::new());
    let batches = read_file(&wiring.store, name, path, rows.columns().as_ref()).await?;
    let Some(mut batches) = batches else { return Ok((0, columns)) };
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        all += rows.of(&batch)?.true_count() as u64;
        for (column, told) in rows.by_column(&batch)? {
            *columns.entry(column).or_default() += told.true_count() as u64;
        }
    }
    Ok((all, columns))
}

/// The values by which other tables name the person: of columns that contracts link to, in every version of their rows.
pub async fn linked(wiring: &Wiring, marks: &Marks) -> Result<BTreeMap<ColumnRef, BTreeSet<String>>> {
    let mut linked: BTreeMap<ColumnRef, BTreeSet<String>> = BTreeMap::new();
    for target in &marks.linked {
        let rows = marks.rows(&target.table);
        let Some(table) = Table::open(&wiring.store, &target.table, At::Latest).await? else { continue };
        for file in kept_files(&table).await?.named {
            let columns = rows.columns().map(|mut columns| {
                columns.insert(target.column.clone());
                columns
            });
            let batches = read_file(&wiring.store, &target.table, &file.path, columns.as_ref()).await?;
            let Some(mut batches) = batches else { continue };
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let Some(values) = batch.column_by_name(&target.column) else { continue };
                let own = filter(values, &rows.of(&batch)?).and_then(|own| cast(&own, &DataType::Utf8View));
                let own = own.map_err(|e| Error::internal("follow a person", &e))?;
                let own = own.as_string_view().iter().flatten().map(str::to_owned);
                linked.entry(target.clone()).or_default().extend(own);
            }
        }
    }
    linked.retain(|_, values| !values.is_empty());
    Ok(linked)
}

//! Rows of a table written anew, without some of them or with other values in them: what erasing a person is made of.
//!
//! Only files with a changed row are written again, each by itself and in its order. One commit takes the old ones away and
//! brings the new ones, and says again what the table was made from: no source is read again, no model takes the rows for
//! new ones.

use crate::commit::{Change, NewFile, OldFile};
use crate::commits::{delete_unnamed, json};
use crate::kept::read_file;
use crate::origin::{Origin, Rewrite, carried, of_version, progress};
use crate::store::Store;
use crate::table::{At, Table, fault};
use crate::write::TableWriter;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use futures::stream::BoxStream;
use kernel::clock::Clock;
use kernel::error::{Error, Kind, Result};
use kernel::name::TableName;
use kernel::position::Point;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How often a rewrite starts again because somebody committed meanwhile.
const TRIES_MAX: usize = 5;

/// What becomes of a batch: nothing, or the batch that takes its place.
pub type Batches<'a> = dyn Fn(&RecordBatch) -> Result<Option<RecordBatch>> + Send + Sync + 'a;

/// Why rows are rewritten, and by whom.
#[derive(Debug, Clone)]
pub struct Rewriting {
    pub run_id: String,
    /// Goes into the commit; [`rewrites`] finds it again. No value of a row.
    pub note: String,
    /// Commits also when no row changes, so that what older versions hold can be purged up to that commit.
    pub is_forced: bool,
    /// The columns that tell whether a batch changes; without them all are read to see it.
    pub told_by: Option<BTreeSet<String>>,
}

/// What a rewrite did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rewritten {
    /// The last version with the rows as they were.
    pub before: u64,
    pub after: u64,
    pub rows_removed: u64,
    pub files_removed: Vec<String>,
}

/// Rewrites a table; `None` when no row changed, or there is no table. A retry finds nothing left to do.
pub async fn rewrite(
    store: &Store,
    name: &TableName,
    change: &Batches<'_>,
    how: &Rewriting,
    clock: &dyn Clock,
) -> Result<Option<Rewritten>> {
    for _ in 0..TRIES_MAX {
        let Some(table) = Table::open(store, name, At::Latest).await? else { return Ok(None) };
        check(&table).await?;
        let staged = stage(&table, change, how.told_by.as_ref()).await?;
        if staged.files.is_empty() && !how.is_forced {
            return Ok(None);
        }
        match commit(&table, &staged, how, clock).await {
            Ok(done) => return Ok(Some(done)),
            Err(error) if error.kind == Kind::Conflict => staged.discard(&table).await?,
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(Kind::Conflict, format!("rewrite {name}"), format!("{TRIES_MAX} other commits came first")))
}

/// The rewrites with a note that the log still knows, the oldest first.
pub async fn rewrites(store: &Store, name: &TableName, note: &str) -> Result<Vec<Rewritten>> {
    let mut found = Vec::new();
    for version in crate::kept::log_versions(store, name).await? {
        let origin = of_version(store, name, version).await?;
        let Some(rewrite) = origin.and_then(|origin| origin.rewrite).filter(|rewrite| rewrite.note == note) else {
            continue;
        };
        found.push(Rewritten {
            before: version.saturating_sub(1),
            after: version,
            rows_removed: rewrite.rows_removed,
            files_removed: rewrite.files.into_keys().collect(),
        });
    }
    Ok(found)
}

/// Whether rows were taken out by such a rewrite in a version after `seen`.
pub async fn was_rewritten(table: &Table, note: &str, seen: u64) -> Result<bool> {
    for version in seen + 1..=table.version() {
        let origin = of_version(table.store(), table.name(), version).await?;
        if origin.and_then(|origin| origin.rewrite).is_some_and(|rewrite| rewrite.note == note) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Files written aside, by the one whose place they take.
#[derive(Default)]
struct Staged {
    files: Vec<(OldFile, Vec<NewFile>)>,
    rows_removed: u64,
}

impl Staged {
    async fn discard(&self, table: &Table) -> Result<()> {
        let files: Vec<NewFile> = self.files.iter().flat_map(|(_, new)| new.clone()).collect();
        delete_unnamed(table.store(), table.name(), &files).await
    }
}

async fn stage(table: &Table, change: &Batches<'_>, told_by: Option<&BTreeSet<String>>) -> Result<Staged> {
    let mut staged = Staged::default();
    for file in table.files()? {
        if !changes(table, &file.path, change, told_by).await? {
            continue;
        }
        match write_anew(table, &file.path, change).await {
            Ok((new, rows_removed)) => {
                staged.files.push((file, new));
                staged.rows_removed += rows_removed;
            }
            Err(error) => {
                staged.discard(table).await?;
                return Err(error);
            }
        }
    }
    Ok(staged)
}

/// Whether a file has a row to change; it is read as a whole only where it has none.
async fn changes(table: &Table, path: &str, change: &Batches<'_>, told_by: Option<&BTreeSet<String>>) -> Result<bool> {
    let mut batches = batches(table, path, told_by).await?;
    while let Some(batch) = batches.next().await {
        if change(&batch?)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn batches(
    table: &Table,
    path: &str,
    columns: Option<&BTreeSet<String>>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let found = read_file(table.store(), table.name(), path, columns).await?;
    let what = || format!("rewrite {}", table.name());
    found.ok_or_else(|| Error::data(what(), format!("{path}, which the log names, is gone")))
}

/// The files that take a file's place, and how many of its rows are in none of them.
async fn write_anew(table: &Table, path: &str, change: &Batches<'_>) -> Result<(Vec<NewFile>, u64)> {
    let mut batches = batches(table, path, None).await?;
    let mut writer = TableWriter::new(table.store(), table.name(), 1);
    let mut rows_removed = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let rows = batch.num_rows();
        let kept = change(&batch)?.unwrap_or(batch);
        rows_removed += rows.saturating_sub(kept.num_rows()) as u64;
        writer.write(kept).await?;
    }
    Ok((writer.finish().await?.into_iter().map(|(file, _)| file).collect(), rows_removed))
}

async fn commit(table: &Table, staged: &Staged, how: &Rewriting, clock: &dyn Clock) -> Result<Rewritten> {
    let (store, name, before) = (table.store(), table.name(), table.version());
    let paths = |new: &[NewFile]| new.iter().map(|file| file.path.clone()).collect();
    let files: BTreeMap<String, Vec<String>> =
        staged.files.iter().map(|(old, new)| (old.path.clone(), paths(new))).collect();
    let files_removed = files.keys().cloned().collect();
    let rewrite = Rewrite { note: how.note.clone(), rows_removed: staged.rows_removed, files };
    let origin = Origin { run_id: how.run_id.clone(), rewrite: Some(rewrite), ..carried(store, name, before).await? };
    let change = Change {
        operation: "REWRITE",
        adds: staged.files.iter().flat_map(|(_, new)| new.clone()).collect(),
        removes: staged.files.iter().map(|(old, _)| old.clone()).collect(),
        origin: json(&origin)?,
        ..Change::default()
    };
    let after = table.commit(&change, clock.now()).await?;
    Ok(Rewritten { before, after, rows_removed: staged.rows_removed, files_removed })
}

/// Refuses a table whose files are not all of it, and a quarantine that a replay has not finished with: by its version
/// the replay knows what it took.
async fn check(table: &Table) -> Result<()> {
    let name = table.name();
    let refuse = |why: &str| Err(Error::project(format!("rewrite {name}"), why));
    let state = table.delta().snapshot().map_err(|e| fault(format!("rewrite {name}"), e))?;
    if !state.metadata().partition_columns().is_empty() {
        return refuse("another program partitioned it, so that its files do not hold all of its columns");
    }
    if state.log_data().iter().any(|file| file.deletion_vector_descriptor().is_some()) {
        return refuse("another program marked rows of it as deleted; let that program rewrite its files first");
    }
    if name.layer() != "quarantine" {
        return Ok(());
    }
    let bronze = TableName::new("bronze", name.table())?;
    let Some(bronze) = Table::open(table.store(), &bronze, At::Latest).await? else { return Ok(()) };
    let taken = progress(bronze.store(), bronze.name(), bronze.version()).await?;
    let half_done = taken.sources.iter().any(|(source, done)| {
        source.ends_with("/replay")
            && done.positions.get(crate::replay::PARTITION) == Some(&Point::Offset(table.version()))
    });
    match half_done {
        true => {
            refuse(&format!("a replay of it died half-way; finish it with `lavra quarantine replay {}`", name.table()))
        }
        false => Ok(()),
    }
}

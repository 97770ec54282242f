//! Deletes old versions of a table for good: their files, and the log that holds least and greatest values of them.
//!
//! The order is what makes it safe to die: the log is summed up first, then files go that nothing younger names, then the
//! log that named them. Who begins again finds what is left by the log that is left.

use crate::kept::{kept_files, log_files, log_versions};
use crate::origin::{Origin, of_version};
use crate::store::Store;
use crate::table::{At, Table, committed_at, fault};
use kernel::clock::Timestamp;
use kernel::error::{Error, Result};
use kernel::name::TableName;
use serde::Serialize;
use std::collections::BTreeSet;

/// What was deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Purged {
    pub data_files: Vec<String>,
    pub log_files: u64,
}

/// What of a table may go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Due {
    /// The oldest version that stays; none when all do.
    pub floor: Option<u64>,
    /// Files that no version names and that nobody is writing any more.
    pub unnamed: BTreeSet<String>,
}

impl Due {
    pub fn is_nothing(&self) -> bool {
        self.floor.is_none() && self.unnamed.is_empty()
    }
}

/// What may go of a table whose versions stay for as long as one of them was the latest at `until` or later, or is
/// `oldest_read`, which somebody still reads.
pub async fn due(store: &Store, name: &TableName, until: Timestamp, oldest_read: Option<u64>) -> Result<Due> {
    let Some(table) = Table::open(store, name, At::Latest).await? else { return Ok(Due::default()) };
    let mut versions: Vec<u64> = log_versions(store, name).await?.into_iter().collect();
    versions.retain(|version| *version <= oldest_read.unwrap_or(u64::MAX).min(table.version()));
    // The newest that was there at that time; commits are in the order of time.
    let (mut low, mut high) = (0, versions.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match committed_at(store, name, versions[middle]).await? {
            Some(at) if at > until => high = middle,
            _ => low = middle + 1,
        }
    }
    let mut floor = None;
    for version in versions.iter().skip(1).take(low.saturating_sub(1)).rev() {
        if of_version(store, name, *version).await?.is_some_and(|origin| says_all(&origin, *version)) {
            floor = Some(*version);
            break;
        }
    }
    let unnamed = kept_files(&table).await?.unnamed.into_iter().filter(|(_, about)| about.at < until);
    Ok(Due { floor, unnamed: unnamed.map(|(path, _)| path).collect() })
}

/// Whether the log before a version is not needed to know what the table was made from: models say all of it each time,
/// rewrites do, and sources where the commits before were just folded.
fn says_all(origin: &Origin, version: u64) -> bool {
    origin.model.is_some() || origin.fold.as_ref().is_some_and(|fold| fold.version + 1 >= version)
}

/// Deletes what is due; gives what went.
pub async fn vacuum(store: &Store, name: &TableName, due: &Due) -> Result<Purged> {
    match due.floor {
        Some(floor) => purge(store, name, floor, &due.unnamed).await,
        None => {
            let mut purged = Purged::default();
            for path in &due.unnamed {
                store.delete(&store.path(name, path)).await?;
                purged.data_files.push(path.clone());
            }
            Ok(purged)
        }
    }
}

/// Deletes all versions before `floor`, which says all that the table was made from, and of the files that no version
/// names those in `unnamed`. A file that `floor` or a younger version names stays.
pub async fn purge(store: &Store, name: &TableName, floor: u64, unnamed: &BTreeSet<String>) -> Result<Purged> {
    let what = || format!("purge {name}");
    let latest = Table::open(store, name, At::Latest).await?;
    let Some(latest) = latest else { return Ok(Purged::default()) };
    if log_versions(store, name).await?.first().is_some_and(|first| *first > floor) {
        return Ok(Purged::default()); // upkeep went further already
    }
    if of_version(store, name, floor).await?.is_none_or(|origin| !says_all(&origin, floor)) {
        let why = format!("version {floor} does not say all that the table was made from");
        return Err(Error::internal(what(), why));
    }
    let checkpoint = format!("{floor:020}.checkpoint.parquet");
    if !log_files(store, name).await?.iter().any(|(_, file)| *file == checkpoint) {
        let table = Table::open(store, name, At::Version(floor)).await?;
        let table = table.ok_or_else(|| Error::data(what(), "it was removed meanwhile"))?;
        let made = deltalake_core::checkpoints::create_checkpoint(table.delta(), None).await;
        made.map_err(|e| fault(what(), e))?;
    }
    let kept = kept_files(&latest).await?;
    let old = kept.named.into_iter().filter(|file| file.until.is_some_and(|until| until <= floor));
    let nobodys = kept.unnamed.into_keys().filter(|path| unnamed.contains(path));
    let mut purged = Purged::default();
    for path in old.map(|file| file.path).chain(nobodys) {
        store.delete(&store.path(name, &path)).await?;
        purged.data_files.push(path);
    }
    for (_, file) in log_files(store, name).await?.into_iter().filter(|(version, _)| *version < floor) {
        store.delete(&store.path(name, &format!("_delta_log/{file}"))).await?;
        purged.log_files += 1;
    }
    Ok(purged)
}

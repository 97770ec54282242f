//! Deletes old versions of a table for good: their files, and the log that holds least and greatest values of them.
//!
//! The order is what makes it safe to die: the log is summed up first, then files go that nothing younger names, then the
//! log that named them. Who begins again finds what is left by the log that is left.

use crate::kept::{kept_files, log_files};
use crate::origin::of_version;
use crate::store::Store;
use crate::table::{At, Table, fault};
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

/// Deletes all versions before `floor`, which a rewrite made, and of the files that no version names those in `unnamed`.
/// A file that `floor` or a younger version names stays.
pub async fn purge(store: &Store, name: &TableName, floor: u64, unnamed: &BTreeSet<String>) -> Result<Purged> {
    let what = || format!("purge {name}");
    let latest = Table::open(store, name, At::Latest).await?;
    let Some(latest) = latest else { return Ok(Purged::default()) };
    if of_version(store, name, floor).await?.is_none_or(|origin| origin.rewrite.is_none()) {
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

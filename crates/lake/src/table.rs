//! One table at one version.

use crate::commit::{Change, OldFile, Tried, try_commit};
use crate::origin::Input;
use crate::schema::{evolve, refuse_twins};
use crate::store::Store;
use arrow::datatypes::SchemaRef;
use deltalake_core::delta_datafusion::DeltaScanNext;
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use kernel::clock::Timestamp;
use kernel::error::{Error, Kind, Result};
use kernel::name::TableName;
use serde::Serialize;
use std::sync::Arc;

/// Which version of a table is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Latest,
    Version(u64),
    /// The newest version that is not younger.
    Time(Timestamp),
}

/// A snapshot.
#[derive(Clone)]
pub struct Table {
    store: Store,
    name: TableName,
    delta: DeltaTable,
}

/// A line of `lavra history`.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryEntry {
    pub version: u64,
    /// Microseconds since 1970, UTC.
    pub at_micros: i64,
    pub operation: String,
    pub run_id: Option<String>,
    pub made_from: Option<String>,
    pub rows_written: Option<u64>,
    pub files_added: Option<u64>,
    pub files_removed: Option<u64>,
}

impl Table {
    /// Opens a table; `None` when there is none.
    pub async fn open(store: &Store, name: &TableName, at: At) -> Result<Option<Self>> {
        let what = || format!("open {name}");
        if !store.has_log(name).await? {
            return Ok(None);
        }
        let url = store.table_url(name)?;
        let builder = DeltaTableBuilder::from_url(url.clone()).map_err(|e| fault(what(), e))?;
        let mut builder = builder.with_storage_backend(store.objects(), url);
        if let At::Version(version) = at {
            builder = builder.with_version(version);
        }
        match builder.load().await {
            Ok(mut delta) => {
                if let At::Time(time) = at {
                    let latest = delta.version().unwrap_or(0);
                    let version = version_at(store, name, latest, time).await?;
                    delta.load_version(version).await.map_err(|e| fault(what(), e))?;
                }
                Ok(Some(Self { store: store.clone(), name: name.clone(), delta }))
            }
            Err(e) => match at {
                At::Version(version) if store.get(&crate::commit::log_path(store, name, version)).await?.is_none() => {
                    Err(Error::project(what(), no_version(store, name, version).await?))
                }
                _ => Err(fault(what(), e)),
            },
        }
    }

    pub fn name(&self) -> &TableName {
        &self.name
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn version(&self) -> u64 {
        self.delta.version().map_or(0, |version| version)
    }

    /// The table's identity; it changes when the table is made anew.
    pub fn id(&self) -> String {
        self.delta.snapshot().map(|s| s.metadata().id().to_owned()).unwrap_or_default()
    }

    pub fn as_input(&self) -> Input {
        Input { id: self.id(), version: self.version() }
    }

    pub fn schema(&self) -> SchemaRef {
        let schema = self.delta.snapshot().map(|s| s.snapshot().arrow_schema());
        schema
            .map(|schema| crate::schema::kept_schema(&schema))
            .unwrap_or_else(|_| Arc::new(arrow::datatypes::Schema::empty()))
    }

    pub(crate) fn delta(&self) -> &DeltaTable {
        &self.delta
    }

    /// The data files of this version.
    pub(crate) fn files(&self) -> Result<Vec<OldFile>> {
        let state = self.delta.snapshot().map_err(|e| fault(format!("list the files of {}", self.name), e))?;
        let log = state.log_data();
        Ok(log.iter().map(|f| OldFile { path: f.path().into_owned(), bytes: f.size().unsigned_abs() }).collect())
    }

    /// The same with the statistics of each, as Delta's JSON. Refuses files of which some rows are none.
    pub(crate) fn files_with_stats(&self) -> Result<Vec<(OldFile, Option<String>)>> {
        let what = || format!("list the files of {}", self.name);
        let state = self.delta.snapshot().map_err(|e| fault(what(), e))?;
        let mut files = Vec::new();
        for file in state.log_data().iter() {
            if file.deletion_vector_descriptor().is_some() {
                let why = "another program marked rows of it as deleted; let that program rewrite its files first";
                return Err(Error::project(what(), why));
            }
            let old = OldFile { path: file.path().into_owned(), bytes: file.size().unsigned_abs() };
            files.push((old, file.stats()));
        }
        Ok(files)
    }

    /// Rows by the files' statistics, when every file has them.
    pub fn num_rows(&self) -> Option<u64> {
        let state = self.delta.snapshot().ok()?;
        state.log_data().iter().map(|file| file.num_records().map(|n| n as u64)).sum()
    }

    pub fn num_bytes(&self) -> u64 {
        self.files().map(|files| files.iter().map(|f| f.bytes).sum()).unwrap_or_default()
    }

    pub fn num_files(&self) -> usize {
        self.files().map_or(0, |files| files.len())
    }

    /// A provider for SQL: of the whole snapshot, or of some of its files.
    pub(crate) async fn provider(&self, files: Option<Vec<String>>) -> Result<DeltaScanNext> {
        let mut builder = self.delta.table_provider();
        if let Some(files) = files {
            builder = builder.with_file_paths(files);
        }
        builder.build().await.map_err(|e| Error::data(format!("open {}", self.name), &e).because(e))
    }

    /// A provider with a column that tells each row's file.
    pub(crate) async fn provider_with_file(&self, column: &str) -> Result<DeltaScanNext> {
        let builder = self.delta.table_provider().with_file_column(column);
        builder.build().await.map_err(|e| Error::data(format!("open {}", self.name), &e).because(e))
    }

    /// The newest versions first.
    pub async fn history(&self, most: usize) -> Result<Vec<HistoryEntry>> {
        let mut entries = Vec::new();
        let mut version = self.version();
        while entries.len() < most {
            let Some(entry) = history_entry(&self.store, &self.name, version).await? else { break };
            entries.push(entry);
            match version {
                0 => break,
                _ => version -= 1,
            }
        }
        Ok(entries)
    }

    /// Makes the next version. Fails with `Conflict` when somebody else made it first: who calls decides what that means.
    pub(crate) async fn commit(&self, change: &Change, now: Timestamp) -> Result<u64> {
        let version = self.version() + 1;
        guard(&self.name, change)?;
        match try_commit(&self.store, &self.name, version, &self.id(), change, now).await? {
            Tried::Done(version) => {
                self.checkpoint_if_due(version).await;
                Ok(version)
            }
            Tried::Taken => Err(Error::new(
                Kind::Conflict,
                format!("commit version {version} of {}", self.name),
                "another process made it first; nothing of this run was added",
            )),
        }
    }

    /// Makes a table that is not there.
    pub(crate) async fn create(store: &Store, name: &TableName, change: &Change, now: Timestamp) -> Result<u64> {
        let id = uuid::Uuid::new_v4().to_string();
        guard(name, change)?;
        match try_commit(store, name, 0, &id, change, now).await? {
            Tried::Done(version) => Ok(version),
            Tried::Taken => Err(Error::new(
                Kind::Conflict,
                format!("create {name}"),
                "another process made it first; nothing of this run was added",
            )),
        }
    }

    /// The table's schema grown by `new`'s columns, if it has to grow.
    pub(crate) fn evolved(&self, new: &arrow::datatypes::Schema) -> Result<Option<SchemaRef>> {
        evolve(&self.name.to_string(), &self.schema(), new)
    }

    /// Every ten versions the log is summed up for readers. A checkpoint is a help, not a truth: its failure is no error.
    async fn checkpoint_if_due(&self, version: u64) {
        if !version.is_multiple_of(crate::origin::FOLD_COMMITS) {
            return;
        }
        if let Ok(Some(table)) = Self::open(&self.store, &self.name, At::Latest).await
            && let Err(error) = deltalake_core::checkpoints::create_checkpoint(&table.delta, None).await
        {
            tracing::warn!(table = %self.name, %error, "no checkpoint was written");
        }
    }
}

/// The last look at a commit: whatever made it, it must leave a table that can be read.
fn guard(name: &TableName, change: &Change) -> Result<()> {
    match &change.schema {
        Some(schema) => refuse_twins(&name.to_string(), schema.fields()),
        None => Ok(()),
    }
}

/// Why a version can't be read.
async fn no_version(store: &Store, name: &TableName, version: u64) -> Result<String> {
    let later = crate::kept::log_versions(store, name).await?.into_iter().find(|later| *later > version);
    Ok(match later {
        Some(oldest) => format!("version {version} is kept no more: the oldest that can be read is {oldest}"),
        None => format!("there is no version {version}; see `lavra history {name}`"),
    })
}

/// The newest version that was committed at a time or before, by what the commits themselves say.
async fn version_at(store: &Store, name: &TableName, latest: u64, time: Timestamp) -> Result<u64> {
    for version in (0..=latest).rev() {
        let Some(entry) = history_entry(store, name, version).await? else { break };
        if entry.at_micros <= time.0 {
            return Ok(version);
        }
    }
    let what = format!("open {name} as of then");
    let why = format!("it was not there yet, or is kept no more; `lavra history {name}` shows since when it is");
    Err(Error::project(what, why))
}

/// When a version was committed, by what it says itself; `None` when it is not there.
pub(crate) async fn committed_at(store: &Store, name: &TableName, version: u64) -> Result<Option<Timestamp>> {
    Ok(history_entry(store, name, version).await?.map(|entry| Timestamp(entry.at_micros)))
}

async fn history_entry(store: &Store, name: &TableName, version: u64) -> Result<Option<HistoryEntry>> {
    let Some(body) = store.get(&crate::commit::log_path(store, name, version)).await? else { return Ok(None) };
    let text = String::from_utf8_lossy(&body);
    let info = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let Some(info) = info.filter_map(|mut action| action.get_mut("commitInfo").map(serde_json::Value::take)).next()
    else {
        return Ok(None);
    };
    let count = |key: &str| info["operationMetrics"][key].as_str().and_then(|text| text.parse().ok());
    let origin: crate::origin::Origin = serde_json::from_value(info["lavra"].clone()).unwrap_or_default();
    let inputs: Vec<String> = origin.inputs.iter().map(|(name, input)| format!("{name} v{}", input.version)).collect();
    let made_from = match &origin.source {
        Some(source) => Some(format!("source {source} #{}", origin.sequence)),
        None if inputs.is_empty() => None,
        None => Some(inputs.join(", ")),
    };
    Ok(Some(HistoryEntry {
        version,
        at_micros: info["timestamp"].as_i64().unwrap_or_default() * 1000,
        operation: info["operation"].as_str().unwrap_or("unknown").to_owned(),
        run_id: (!origin.run_id.is_empty()).then_some(origin.run_id),
        made_from,
        rows_written: count("numOutputRows"),
        files_added: count("numFiles"),
        files_removed: count("numRemovedFiles"),
    }))
}

pub(crate) fn fault(what: String, error: DeltaTableError) -> Error {
    match error {
        DeltaTableError::ObjectStore { source } => crate::store::failed(what, source),
        // The store's error within one of the log's readers, who hand on its text.
        other if other.to_string().contains("object store") => {
            crate::store::told(what, &other.to_string()).because(other)
        }
        other => Error::data(what, &other).because(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::collections::HashMap;

    /// A commit that makes the table or changes its columns.
    fn change(names: &[&str]) -> Change {
        let fields = names.iter().map(|name| Field::new(*name, DataType::Utf8View, true)).collect::<Vec<_>>();
        Change { operation: "WRITE", schema: Some(Arc::new(Schema::new(fields))), ..Change::default() }
    }

    #[tokio::test]
    async fn no_commit_makes_a_table_that_cant_be_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().to_string_lossy(), &HashMap::new()).expect("a lake");
        let name = TableName::parse("bronze.t").expect("a name");
        let error = Table::create(&store, &name, &change(&["É", "é"]), Timestamp(0)).await.expect_err("a refusal");
        assert_eq!(error.kind, Kind::Data);
        let open = || async { Table::open(&store, &name, At::Latest).await.expect("it can be read") };
        assert!(open().await.is_none(), "nothing was written");
        Table::create(&store, &name, &change(&["id", "v"]), Timestamp(0)).await.expect("a table");
        let table = open().await.expect("a table");
        let error = table.commit(&change(&["id", "v", "V"]), Timestamp(0)).await.expect_err("a refusal");
        assert_eq!((error.kind, open().await.map(|table| table.version())), (Kind::Data, Some(0)));
        table.commit(&change(&["id", "v", "w"]), Timestamp(0)).await.expect("a commit");
        assert_eq!(open().await.map(|table| table.schema().fields().len()), Some(3));
    }
}

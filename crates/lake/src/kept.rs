//! What is kept of a table beside its latest version: files that older versions name, and files that no version names.

use crate::commit::log_path;
use crate::store::{Store, failed};
use crate::table::{At, Table};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use kernel::clock::Timestamp;
use kernel::error::{Error, Result};
use kernel::name::TableName;
use object_store::ObjectStoreExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A data file of a version that can still be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptFile {
    /// Below the table's folder.
    pub path: String,
    pub bytes: u64,
    /// The first version that names it, as far as the log goes back.
    pub since: u64,
    /// The first version that names it no more; none while the latest does.
    pub until: Option<u64>,
}

/// All data files in a table's folder.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    pub named: Vec<KeptFile>,
    /// Files that no version names: what a run left that died, or that is at work now.
    pub unnamed: BTreeMap<String, Unnamed>,
}

/// A data file that no version names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnamed {
    pub bytes: u64,
    /// When it was last written.
    pub at: Timestamp,
}

/// The versions with a commit in the log, in order.
pub(crate) async fn log_versions(store: &Store, name: &TableName) -> Result<BTreeSet<u64>> {
    let files = log_files(store, name).await?;
    Ok(files.into_iter().filter(|(_, file)| file.ends_with(".json")).map(|(version, _)| version).collect())
}

/// The log's files that belong to a version, with their names, in order.
pub(crate) async fn log_files(store: &Store, name: &TableName) -> Result<Vec<(u64, String)>> {
    let mut files = Vec::new();
    for file in list(store, name, "_delta_log").await?.into_keys() {
        if let Some(version) = file.get(..20).and_then(|digits| digits.parse().ok()) {
            files.push((version, file));
        }
    }
    files.sort();
    Ok(files)
}

async fn list(store: &Store, name: &TableName, folder: &str) -> Result<BTreeMap<String, Unnamed>> {
    let listed = store.objects().list_with_delimiter(Some(&store.path(name, folder))).await;
    let listed = listed.map_err(|e| failed(format!("list the files of {name}"), e))?;
    let named = listed.objects.into_iter().filter_map(|o| {
        let about = Unnamed { bytes: o.size, at: Timestamp(o.last_modified.timestamp_micros()) };
        Some((o.location.filename()?.to_owned(), about))
    });
    Ok(named.collect())
}

/// The data files that are there, by the versions that name them.
pub async fn kept_files(table: &Table) -> Result<Kept> {
    let (store, name) = (table.store(), table.name());
    let mut files = by_log(table).await?;
    let there = list(store, name, "").await?;
    files.retain(|path, _| there.contains_key(path));
    let unnamed = there.into_iter().filter(|(path, _)| path.ends_with(".parquet") && !files.contains_key(path));
    Ok(Kept { unnamed: unnamed.collect(), named: files.into_values().collect() })
}

async fn by_log(table: &Table) -> Result<BTreeMap<String, KeptFile>> {
    let (store, name) = (table.store(), table.name());
    let mut files: BTreeMap<String, KeptFile> = BTreeMap::new();
    let versions = log_versions(store, name).await?;
    if let Some(first) = first_whole(store, name, &versions, table.version()).await? {
        let start = Table::open(store, name, At::Version(first)).await?;
        for file in start.map(|start| start.files()).transpose()?.unwrap_or_default() {
            let kept = KeptFile { path: file.path.clone(), bytes: file.bytes, since: first, until: None };
            files.insert(file.path, kept);
        }
    }
    for version in versions.into_iter().filter(|version| *version <= table.version()) {
        let Some(body) = store.get(&log_path(store, name, version)).await? else { continue };
        for line in String::from_utf8_lossy(&body).lines() {
            take(&mut files, version, line).map_err(|e| Error::data(format!("read version {version} of {name}"), e))?;
        }
    }
    Ok(files)
}

/// The oldest checkpoint from which on the log is whole, where the log does not begin at its beginning.
async fn first_whole(store: &Store, name: &TableName, json: &BTreeSet<u64>, latest: u64) -> Result<Option<u64>> {
    if json.first() == Some(&0) {
        return Ok(None);
    }
    let checkpoints = log_files(store, name)
        .await?
        .into_iter()
        .filter(|(_, file)| file.contains(".checkpoint") && file.ends_with(".parquet"));
    let checkpoints: BTreeSet<u64> = checkpoints.map(|(version, _)| version).collect();
    Ok(checkpoints.into_iter().find(|start| (start + 1..=latest).all(|version| json.contains(&version))))
}

fn take(files: &mut BTreeMap<String, KeptFile>, version: u64, line: &str) -> serde_json::Result<()> {
    let action: Value = serde_json::from_str(line)?;
    let path = |action: &Value| action["path"].as_str().unwrap_or_default().to_owned();
    if let Some(add) = action.get("add") {
        let bytes = add["size"].as_u64().unwrap_or_default();
        let new = || KeptFile { path: path(add), bytes, since: version, until: None };
        let file = files.entry(path(add)).or_insert_with(new);
        (file.since, file.until) = (file.since.min(version), None);
    }
    if let Some(remove) = action.get("remove")
        && let Some(file) = files.get_mut(&path(remove))
    {
        file.until = Some(version);
    }
    Ok(())
}

/// Reads a data file batch by batch, some of its columns or all; columns that it has not are left out. `None` when the
/// file is not there.
pub async fn read_file(
    store: &Store,
    name: &TableName,
    path: &str,
    columns: Option<&BTreeSet<String>>,
) -> Result<Option<BoxStream<'static, Result<RecordBatch>>>> {
    let what = format!("read {path} of {name}");
    let fault = move |e: parquet::errors::ParquetError| Error::data(what.clone(), &e).because(e);
    let Some(mut builder) = open_file(store, name, path).await? else { return Ok(None) };
    if let Some(columns) = columns {
        let fields = builder.schema().fields().iter().enumerate();
        let roots: Vec<usize> = fields.filter(|(_, f)| columns.contains(f.name())).map(|(at, _)| at).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        builder = builder.with_projection(mask);
    }
    Ok(Some(builder.build().map_err(fault.clone())?.map_err(fault).boxed()))
}

/// A data file before it is said what of it is read; `None` when it is not there.
pub(crate) async fn open_file(
    store: &Store,
    name: &TableName,
    path: &str,
) -> Result<Option<ParquetRecordBatchStreamBuilder<FileReader>>> {
    let place = store.path(name, path);
    if let Err(object_store::Error::NotFound { .. }) = store.objects().head(&place).await {
        return Ok(None);
    }
    #[expect(deprecated, reason = "its successor is an example to copy; the reader stays as long as this parquet does")]
    let reader = parquet::arrow::async_reader::ParquetObjectReader::new(store.objects(), place);
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await;
    builder.map(Some).map_err(|e| Error::data(format!("read {path} of {name}"), &e).because(e))
}

#[expect(deprecated, reason = "as where it is made")]
type FileReader = parquet::arrow::async_reader::ParquetObjectReader;

/// A data file's bytes; `None` when it is not there.
pub async fn read_bytes(
    store: &Store,
    name: &TableName,
    path: &str,
) -> Result<Option<BoxStream<'static, Result<Bytes>>>> {
    let what = format!("read {path} of {name}");
    match store.objects().get(&store.path(name, path)).await {
        Ok(found) => Ok(Some(found.into_stream().map_err(move |e| failed(what.clone(), e)).boxed())),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(failed(what, e)),
    }
}

//! One commit: what is added and removed, and all that it was made from, in one put.

use crate::schema::{delta_schema, has_plain_timestamp};
use crate::store::Store;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use kernel::clock::Timestamp;
use kernel::error::{Error, Result};
use kernel::name::TableName;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A data file that a commit adds.
#[derive(Debug, Clone)]
pub(crate) struct NewFile {
    /// Below the table's folder.
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    /// Delta's statistics, as JSON.
    pub stats: String,
}

/// A data file that a commit takes away. Its bytes stay until a vacuum, for time travel.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct OldFile {
    pub path: String,
    pub bytes: u64,
}

/// What a commit changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub operation: &'static str,
    pub adds: Vec<NewFile>,
    pub removes: Vec<OldFile>,
    /// Set when the table is made or its schema grows.
    pub schema: Option<SchemaRef>,
    /// Delta's own idempotency mark: application and its sequence number.
    pub txn: Option<(String, u64)>,
    /// What the rows were made from; `lavra` in the commit info.
    pub origin: Value,
}

/// What became of a try to commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    Done(u64),
    /// Somebody else made this version.
    Taken,
}

/// The log file of a version.
pub(crate) fn log_path(store: &Store, name: &TableName, version: u64) -> Path {
    store.path(name, &format!("_delta_log/{version:020}.json"))
}

/// Tries to make `version` of the table. The data files are durable before the commit is.
pub(crate) async fn try_commit(
    store: &Store,
    name: &TableName,
    version: u64,
    table_id: &str,
    change: &Change,
    now: Timestamp,
) -> Result<Tried> {
    let files: Vec<Path> = change.adds.iter().map(|file| store.path(name, &file.path)).collect();
    store.sync(&files).await?;
    let body = Bytes::from(actions(version, table_id, change, now)?);
    match store.put_new(&log_path(store, name, version), body).await? {
        true => Ok(Tried::Done(version)),
        false => Ok(Tried::Taken),
    }
}

fn actions(version: u64, table_id: &str, change: &Change, now: Timestamp) -> Result<String> {
    let millis = now.0 / 1000;
    let rows: u64 = change.adds.iter().map(|file| file.rows).sum();
    let mut lines = vec![json!({ "commitInfo": {
        "timestamp": millis,
        "operation": change.operation,
        "operationParameters": { "mode": change.operation },
        "operationMetrics": {
            "numFiles": change.adds.len().to_string(),
            "numOutputRows": rows.to_string(),
            "numRemovedFiles": change.removes.len().to_string(),
        },
        "isBlindAppend": change.removes.is_empty(),
        "engineInfo": concat!("lavra/", env!("CARGO_PKG_VERSION")),
        // Makes each commit unlike any other, so that the log tells whose it is.
        "txnId": uuid::Uuid::new_v4().to_string(),
        "lavra": change.origin,
    } })];
    if let Some(schema) = &change.schema {
        let plain_time = has_plain_timestamp(schema);
        if version == 0 || plain_time {
            lines.push(protocol(plain_time));
        }
        lines.push(json!({ "metaData": {
            "id": table_id,
            "format": { "provider": "parquet", "options": {} },
            "schemaString": delta_schema(schema)?,
            "partitionColumns": [],
            "configuration": {},
            "createdTime": millis,
        } }));
    } else if version == 0 {
        return Err(Error::internal("commit", "the first version needs a schema"));
    }
    if let Some((app, sequence)) = &change.txn {
        lines.push(json!({ "txn": { "appId": app, "version": sequence, "lastUpdated": millis } }));
    }
    for file in &change.removes {
        lines.push(json!({ "remove": {
            "path": file.path, "deletionTimestamp": millis, "dataChange": true,
            "extendedFileMetadata": true, "partitionValues": {}, "size": file.bytes,
        } }));
    }
    for file in &change.adds {
        lines.push(json!({ "add": {
            "path": file.path, "partitionValues": {}, "size": file.bytes,
            "modificationTime": millis, "dataChange": true, "stats": file.stats,
        } }));
    }
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

/// Timestamps without zone are the one thing we write that old readers don't know.
fn protocol(plain_time: bool) -> Value {
    match plain_time {
        false => json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } }),
        true => json!({ "protocol": {
            "minReaderVersion": 3, "minWriterVersion": 7,
            "readerFeatures": ["timestampNtz"], "writerFeatures": ["timestampNtz"],
        } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::collections::HashMap;
    use std::sync::Arc;

    #[tokio::test]
    async fn of_two_equal_commits_one_came_second() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().to_string_lossy(), &HashMap::new()).expect("a lake");
        let name = TableName::parse("bronze.t").expect("a name");
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8View, true)]));
        let change = Change { operation: "WRITE", schema: Some(schema), ..Change::default() };
        let tried = async || try_commit(&store, &name, 0, "id", &change, Timestamp(0)).await.expect("a try");
        assert_eq!((tried().await, tried().await), (Tried::Done(0), Tried::Taken));
    }
}

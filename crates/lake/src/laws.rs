//! The kernel's laws over what this room implements.

use crate::sink::{BronzeSink, SinkOptions};
use crate::sql::{EngineOptions, SqlEngine};
use crate::store::Store;
use crate::table::{At, Table};
use kernel::clock::ManualClock;
use kernel::laws;
use kernel::name::TableName;
use kernel::sink::Sink;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

fn engine(folder: &Path) -> SqlEngine {
    let store = Store::open(&folder.join("lake").to_string_lossy(), &HashMap::new()).expect("a lake");
    let options = EngineOptions { memory_bytes: 64 << 20, spill_folder: folder.join("spill"), partitions: 2 };
    std::fs::create_dir_all(&options.spill_folder).expect("a folder to spill to");
    SqlEngine::new(store, &options).expect("an engine")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_engine_obeys_the_laws_of_engines() {
    let folder = tempfile::tempdir().expect("a folder");
    laws::engine::obeys(&engine(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bronze_sink_obeys_the_laws_of_sinks() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let table = TableName::new("bronze", "law").expect("a name");
    let open = async || {
        let options = SinkOptions {
            table: table.clone(),
            source: "law".into(),
            run_id: "law".into(),
            schema: laws::sink::schema(),
            lanes: 2,
            rules: Vec::new(),
            exposes: Default::default(),
            keys: None,
            vault: None,
        };
        let sink = BronzeSink::open(&engine, options, Arc::new(ManualClock::at(0))).await.expect("a sink");
        let sink: Box<dyn Sink> = Box::new(sink);
        sink
    };
    let rows = async |name: &TableName| match Table::open(engine.store(), name, At::Latest).await.expect("a table") {
        Some(table) => table.num_rows().expect("statistics"),
        None => 0,
    };
    laws::sink::obeys(open, async || laws::sink::Shown {
        rows: rows(&table).await,
        quarantined: Some(rows(&table.quarantine()).await),
    })
    .await;
}

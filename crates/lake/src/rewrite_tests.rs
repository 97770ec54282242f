//! Rewrites and purges: what readers, sources and models see of them.

use crate::commit::Change;
use crate::commits::{json, make};
use crate::kept::{KeptFile, kept_files};
use crate::model::{ModelFile, ModelRun, compile, run};
use crate::origin::{Origin, progress};
use crate::purge::purge;
use crate::rewrite::{Rewriting, Rewritten, rewrite, rewrites};
use crate::sql::{Catalog, EngineOptions, SqlEngine, single_number};
use crate::store::Store;
use crate::table::{At, Table};
use crate::write::TableWriter;
use arrow::array::{AsArray, BooleanArray, StringViewArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use kernel::clock::{Clock, ManualClock};
use kernel::name::TableName;
use kernel::position::{Point, Positions};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

const NOTE: &str = "erase s1_x";

fn engine(folder: &Path) -> SqlEngine {
    let store = Store::open(&folder.join("lake").to_string_lossy(), &HashMap::new()).expect("a lake");
    let options = EngineOptions { memory_bytes: 64 << 20, spill_folder: folder.to_owned(), partitions: 1 };
    SqlEngine::new(store, &options).expect("an engine")
}

fn name(text: &str) -> TableName {
    TableName::parse(text).expect("a name")
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("who", DataType::Utf8View, true)]))
}

/// A file with these people, as a commit of a source.
async fn arrive(store: &Store, table: &TableName, who: &[&str], sequence: u64) {
    let open = match Table::open(store, table, At::Latest).await.expect("a table") {
        Some(open) => open,
        None => make(store, table, schema(), "r", &ManualClock::at(0)).await.expect("a new table"),
    };
    let mut writer = TableWriter::new(store, table, 1);
    let rows = RecordBatch::try_new(schema(), vec![Arc::new(StringViewArray::from_iter_values(who))]);
    writer.write(rows.expect("rows")).await.expect("a batch");
    let adds = writer.finish().await.expect("files").into_iter().map(|(file, _)| file).collect();
    let mut positions = Positions::new();
    positions.set(format!("{sequence}.csv"), Point::Offset(sequence));
    let origin = Origin { run_id: "r".into(), source: Some("s".into()), sequence, positions, ..Origin::default() };
    let change = Change { operation: "WRITE", adds, origin: json(&origin).expect("an origin"), ..Change::default() };
    open.commit(&change, ManualClock::at(0).now()).await.expect("a commit");
}

/// Erases one of them.
async fn erase(store: &Store, table: &TableName, who: &str, is_forced: bool) -> Option<Rewritten> {
    let change = |batch: &RecordBatch| {
        let column = cast(batch.column(0), &DataType::Utf8View).expect("text");
        let stays: BooleanArray = column.as_string_view().iter().map(|text| Some(text != Some(who))).collect();
        let changes = stays.true_count() < batch.num_rows();
        Ok(changes.then(|| filter_record_batch(batch, &stays).expect("the others")))
    };
    let how = Rewriting { run_id: "r".into(), note: NOTE.into(), is_forced, told_by: None };
    rewrite(store, table, &change, &how, &ManualClock::at(0)).await.expect("a rewrite")
}

async fn count(engine: &SqlEngine, sql: &str) -> f64 {
    let catalog = Catalog::of_lake(engine.store()).await.expect("a catalog");
    single_number(engine.frame_over(catalog, sql).await.expect(sql)).await.expect(sql).expect("a number")
}

async fn latest(store: &Store, table: &TableName) -> Table {
    Table::open(store, table, At::Latest).await.expect("a table").expect("it is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_takes_rows_out_of_the_latest_version_and_moves_no_position() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let (store, table) = (engine.store(), name("bronze.people"));
    for (at, who) in [&["ana", "bia"][..], &["bia"], &["caio"]].into_iter().enumerate() {
        arrive(store, &table, who, at as u64 + 1).await;
    }
    let before = progress(store, &table, 3).await.expect("positions").of("s");
    let files: BTreeSet<String> =
        latest(store, &table).await.files().expect("files").into_iter().map(|f| f.path).collect();
    assert_eq!(erase(store, &table, "nobody", false).await, None);
    let done = erase(store, &table, "bia", false).await.expect("two rows went");
    assert_eq!((done.before, done.after, done.rows_removed, done.files_removed.len()), (3, 4, 2, 2));
    assert_eq!(erase(store, &table, "bia", false).await, None, "again finds nothing");
    assert_eq!(rewrites(store, &table, NOTE).await.expect("the log"), [done]);
    assert_eq!(count(&engine, "select count(*) from bronze.people").await, 2.0);
    assert_eq!(count(&engine, "select count(*) from bronze.people where who = 'bia'").await, 0.0);
    assert_eq!(count(&engine, "select count(*) from bronze.people version as of 3").await, 4.0);
    let after = progress(store, &table, 4).await.expect("positions").of("s");
    assert_eq!((&after.positions, after.sequence), (&before.positions, before.sequence));
    let now: BTreeSet<String> =
        latest(store, &table).await.files().expect("files").into_iter().map(|f| f.path).collect();
    assert_eq!(now.intersection(&files).count(), 1, "the file without such a row stays");
    arrive(store, &table, &["duda"], 4).await;
    assert_eq!(progress(store, &table, 5).await.expect("positions").of("s").positions.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_deletes_what_only_old_versions_name_and_the_table_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let (store, table) = (engine.store(), name("bronze.people"));
    for sequence in 1..=12 {
        arrive(store, &table, &["ana", if sequence < 6 { "bia" } else { "caio" }], sequence).await;
    }
    let done = erase(store, &table, "bia", false).await.expect("rows went");
    arrive(store, &table, &["duda"], 13).await;
    let (before, live) =
        (kept_files(&latest(store, &table).await).await.expect("files"), |f: &&KeptFile| f.until.is_none());
    assert_eq!((before.named.iter().filter(live).count(), before.named.len()), (13, 18));
    let stray = folder.path().join("lake/bronze/people/part-stray.snappy.parquet");
    std::fs::write(&stray, b"left by a run that died").expect("a stray file");
    let other = folder.path().join("lake/bronze/people/part-other.snappy.parquet");
    std::fs::write(&other, b"of a run that goes on").expect("another");
    let unnamed = BTreeSet::from(["part-stray.snappy.parquet".to_owned()]);
    let purged = purge(store, &table, done.after, &unnamed).await.expect("a purge");
    assert_eq!(purged.data_files.len(), 6);
    assert!(!stray.exists() && other.exists(), "only what was named to it goes");
    let kept = kept_files(&latest(store, &table).await).await.expect("files");
    assert!(kept.named.iter().all(|file| file.until.is_none()) && kept.named.len() == 13, "{kept:?}");
    assert_eq!(count(&engine, "select count(*) from bronze.people").await, 20.0);
    assert_eq!(count(&engine, &format!("select count(*) from bronze.people version as of {}", done.after)).await, 19.0);
    let Err(gone) = Table::open(store, &table, At::Version(3)).await else { panic!("version 3 was purged") };
    assert!(gone.detail.contains(&format!("kept no more: the oldest that can be read is {}", done.after)), "{gone}");
    assert_eq!(progress(store, &table, 14).await.expect("positions").of("s").positions.len(), 13);
    let again = purge(store, &table, done.after, &unnamed).await.expect("a second purge");
    assert!(again.data_files.is_empty() && again.log_files == 0, "{again:?}");
    assert!(purge(store, &table, 14, &unnamed).await.is_err(), "a version that does not say all can't be the first");
    for sequence in 14..30 {
        arrive(store, &table, &["eva"], sequence).await;
    }
    assert_eq!(count(&engine, "select count(*) from bronze.people").await, 36.0);
    assert_eq!(progress(store, &table, 30).await.expect("positions").of("s").positions.len(), 29);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_rewrite_of_nothing_makes_a_version_up_to_which_can_be_purged() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let (store, table) = (engine.store(), name("bronze.people"));
    arrive(store, &table, &["ana"], 1).await;
    let done = erase(store, &table, "bia", true).await.expect("a version");
    assert_eq!((done.rows_removed, done.files_removed.len()), (0, 0));
    purge(store, &table, done.after, &BTreeSet::new()).await.expect("a purge");
    assert_eq!(count(&engine, "select count(*) from bronze.people").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_appends_takes_rewritten_rows_for_old_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path());
    let (store, table) = (engine.store().clone(), name("bronze.people"));
    arrive(&store, &table, &["ana", "bia"], 1).await;
    let text = "-- write: append\nselect who from bronze.people";
    let file = ModelFile { name: name("silver.people"), file: "people.sql".into(), text: text.into(), follows: false };
    let base = BTreeMap::from([(table.clone(), schema())]);
    let (models, faults) = compile(&engine, &base, &BTreeSet::new(), &[file], &|_| None).await;
    assert!(faults.is_empty(), "{faults:?}");
    let once = ModelRun {
        engine: engine.clone(),
        run_id: "r".into(),
        clock: Arc::new(ManualClock::at(0)),
        full_refresh: false,
        lanes: 1,
        exposes: Default::default(),
    };
    run(&once, &models[0]).await.expect("a first run");
    arrive(&store, &table, &["caio"], 2).await;
    erase(&store, &table, "bia", false).await.expect("a row went");
    erase(&store, &models[0].name, "bia", false).await.expect("a row went");
    run(&once, &models[0]).await.expect("a run behind a rewrite");
    assert_eq!(count(&engine, "select count(*) from silver.people").await, 2.0, "ana once, caio once");
    assert!(run(&once, &models[0]).await.expect("a run").is_up_to_date);
    let (consumed, made) = (latest(&store, &table).await.version(), latest(&store, &models[0].name).await);
    assert_eq!(crate::consumed(&made).await.expect("inputs")["bronze.people"].version, consumed);
}

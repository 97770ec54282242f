//! Commits whose answers are late, and two processes that bring one source into one table.

use super::*;
use crate::commits::delete_unnamed;
use crate::rewrite::{Rewriting, rewrite};
use crate::sql::EngineOptions;
use crate::store::tests::{Answer, Moody};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use arrow::compute::filter_record_batch;
use kernel::classification::Classification;
use kernel::clock::{ManualClock, Timestamp};
use kernel::contract::{MaskSpec, Must};
use kernel::gate::{Alarm, Gate, Raw, Screen, Stamp};
use kernel::laws;
use kernel::mask::{Mask, MaskFactory};
use kernel::position::Point;
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;

/// Masks nothing and suspects nothing.
struct Nothing;

impl MaskFactory for Nothing {
    fn build(&self, spec: &MaskSpec, _: Option<&Classification>) -> Result<Box<dyn Mask>> {
        Err(Error::refused(format!("mask `{spec}`"), "this gate has none"))
    }
}

impl Screen for Nothing {
    fn is_personal(&self, _: &str) -> bool {
        false
    }

    fn is_personal_column(&self, _: &str, _: &ArrayRef) -> bool {
        false
    }

    fn alarm(&self, _: &ArrayRef, _: bool) -> Option<Alarm> {
        None
    }
}

/// Rows as the gate makes them; those in `bad` are for the quarantine.
fn rows(offsets: RangeInclusive<i64>, bad: &[i64]) -> Passed {
    let stamp = Stamp { source: "s".into(), contract_version: "1.0.0".into(), run_id: "r".into(), changes: false };
    let gate = Gate::new(laws::sink::entity(), &Nothing, Vec::new(), stamp, Arc::new(Nothing));
    let id = |offset: i64| if bad.contains(&offset) { "no number".to_owned() } else { offset.to_string() };
    let ids: ArrayRef = Arc::new(offsets.clone().map(|offset| Some(id(offset))).collect::<StringArray>());
    let names: ArrayRef = Arc::new(offsets.clone().map(|offset| Some(format!("n{offset}"))).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names)]).expect("two columns of one length");
    let raw = Raw::new(batch, "p", Int64Array::from(offsets.collect::<Vec<_>>())).expect("raw rows");
    gate.expect("a gate").pass(raw, Timestamp(0)).expect("plain rows pass")
}

fn upto(row: u64) -> Positions {
    let mut positions = Positions::new();
    positions.set("p", Point::Offset(row));
    positions
}

fn bronze() -> TableName {
    TableName::parse("bronze.t").expect("a name")
}

fn quarantine() -> TableName {
    bronze().quarantine()
}

async fn try_open(store: &Store, rules: Vec<SqlRule>) -> Result<BronzeSink> {
    let spill_folder = std::env::temp_dir();
    let options = EngineOptions { memory_bytes: 64 << 20, spill_folder, partitions: 1 };
    let engine = SqlEngine::new(store.clone(), &options)?;
    let options = SinkOptions {
        table: bronze(),
        source: "s".into(),
        run_id: "r".into(),
        schema: laws::sink::schema(),
        lanes: 1,
        rules,
        exposes: Default::default(),
        keys: None,
        vault: None,
    };
    BronzeSink::open(&engine, options, Arc::new(ManualClock::at(0))).await
}

async fn open(store: &Store) -> BronzeSink {
    try_open(store, Vec::new()).await.expect("a sink")
}

async fn bring(sink: &mut BronzeSink, offsets: RangeInclusive<i64>, bad: &[i64]) -> Result<Commit> {
    let last = u64::try_from(*offsets.end()).expect("an offset");
    sink.write(rows(offsets, bad)).await?;
    sink.commit(&upto(last)).await
}

fn is_done(commit: Result<Commit>) {
    assert!(matches!(commit, Ok(Commit::Done(_))), "{commit:?}");
}

fn is_conflict(commit: Result<Commit>) {
    assert!(matches!(commit, Ok(Commit::Conflict(_))), "{commit:?}");
}

/// The rows of bronze and of the quarantine, all of whose files are there.
async fn count(store: &Store) -> (u64, u64) {
    let mut counts = [0, 0];
    for (count, name) in counts.iter_mut().zip([bronze(), quarantine()]) {
        let Some(table) = Table::open(store, &name, At::Latest).await.expect("a table") else { continue };
        for file in table.files().expect("its files") {
            assert!(store.get(&store.path(&name, &file.path)).await.expect("a look").is_some(), "{name} lost a file");
        }
        *count = table.num_rows().expect("statistics");
    }
    counts.into()
}

/// The data files in a table's folder, whoever names them.
async fn data_files(store: &Store, name: &TableName) -> usize {
    let names = store.names(&store.path(name, "")).await.expect("a folder");
    names.iter().filter(|file| file.ends_with(".parquet")).count()
}

/// A lake that answers at once, and the same one as another process sees it.
fn two(folder: &Path) -> (Store, Store, Moody) {
    let plain = Store::open(&folder.to_string_lossy(), &HashMap::new()).expect("a lake");
    let (store, moody) = Moody::lake(folder);
    (plain, store, moody)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_store_answers_late_is_ours_and_keeps_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, store, moody) = two(folder.path());
    let mut sink = open(&store).await;
    moody.answers_next("bronze/t/_delta_log", Answer::Late);
    is_done(bring(&mut sink, 1..=4, &[3]).await);
    assert_eq!(count(&store).await, (3, 1));
    moody.answers_next("quarantine/t/_delta_log", Answer::Late);
    is_done(bring(&mut sink, 5..=8, &[7]).await);
    assert_eq!(count(&store).await, (6, 2));
    let positions = open(&store).await.positions().await.expect("positions");
    assert_eq!(positions, upto(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_an_unknown_outcome_loses_no_file() {
    for (answer, row) in [(Answer::Lost, 4), (Answer::LateAndMute, 4), (Answer::Busy, 4)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, store, moody) = two(folder.path());
        let mut sink = open(&store).await;
        let is_busy = matches!(answer, Answer::Busy);
        moody.answers_next("bronze/t/_delta_log", answer);
        let outcome = bring(&mut sink, 1..=4, &[3]).await;
        match is_busy {
            true => is_done(outcome),
            false => assert_eq!(outcome.expect_err("nobody knows").kind, Kind::Unreachable),
        }
        assert_eq!(count(&store).await, (3, 1));
        let mut again = open(&store).await;
        assert_eq!(again.positions().await.expect("positions"), upto(row), "it came");
        is_done(bring(&mut again, 5..=5, &[]).await);
        assert_eq!(count(&store).await, (4, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_that_the_store_answers_late_keeps_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, store, moody) = two(folder.path());
    is_done(bring(&mut open(&store).await, 1..=4, &[]).await);
    let first_goes = |batch: &RecordBatch| {
        let stays: BooleanArray = (0..batch.num_rows()).map(|row| Some(row > 0)).collect();
        Ok((batch.num_rows() == 4).then(|| filter_record_batch(batch, &stays).expect("the others")))
    };
    let how = Rewriting { run_id: "r".into(), note: "n".into(), is_forced: false, told_by: None };
    moody.answers_next("bronze/t/_delta_log", Answer::Late);
    let done = rewrite(&store, &bronze(), &first_goes, &how, &ManualClock::at(0)).await.expect("a rewrite");
    assert_eq!(done.expect("a row went").rows_removed, 1);
    assert_eq!(count(&store).await, (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_latest_version_names_is_not_taken_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, ..) = two(folder.path());
    is_done(bring(&mut open(&store).await, 1..=4, &[]).await);
    let named = Table::open(&store, &bronze(), At::Latest).await.expect("a table").expect("it is there");
    let named: Vec<String> = named.files().expect("files").into_iter().map(|file| file.path).collect();
    let mut writer = TableWriter::new(&store, &bronze(), 1);
    writer.write(rows(5..=6, &[]).safe.into_batch()).await.expect("a batch");
    let mut files: Vec<NewFile> = writer.finish().await.expect("a file").into_iter().map(|(file, _)| file).collect();
    let like = files[0].clone();
    files.extend(named.into_iter().map(|path| NewFile { path, ..like.clone() }));
    delete_unnamed(&store, &bronze(), &files).await.expect("a deletion");
    assert_eq!((data_files(&store, &bronze()).await, count(&store).await), (1, (4, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_fails_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, ..) = two(folder.path());
    let rule =
        |query: &str| SqlRule { name: "share".into(), query: query.into(), must: Must::BeAtMost(1.0), property: None };
    for (query, kind) in [
        ("select 100 / count(*) filter (where name is null) from {table}", None),
        ("select count(*) from {table}", Some(Kind::Contract)),
    ] {
        let mut sink = try_open(&store, vec![rule(query)]).await.expect("a sink");
        let error = bring(&mut sink, 1..=4, &[]).await.expect_err("the rule does not hold");
        assert!(kind.is_none_or(|kind| error.kind == kind), "{error}");
        assert_eq!(data_files(&store, &bronze()).await, 0, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_another_process_took_out_of_quarantine_come_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plain, store, moody) = two(folder.path());
    let mut slow = open(&store).await;
    let (came, go) = moody.holds_next("bronze/t/_delta_log");
    let late = tokio::spawn(async move { bring(&mut slow, 1..=4, &[3]).await });
    came.notified().await;
    assert_eq!(count(&plain).await, (0, 1));
    let mut next = open(&plain).await;
    assert_eq!(count(&plain).await, (0, 0), "it was taken for dead");
    go.notify_one();
    is_conflict(late.await.expect("a task"));
    assert_eq!(count(&plain).await, (0, 0));
    is_done(bring(&mut next, 1..=4, &[3]).await);
    assert_eq!(count(&plain).await, (3, 1));
    open(&plain).await;
    assert_eq!(count(&plain).await, (3, 1), "what is whole is left as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_bronze_comes_before_the_fence_stay_in_quarantine() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, one, slow_one) = two(folder.path());
    let (plain, other, slow_other) = two(folder.path());
    let mut first = open(&one).await;
    let (came, go) = slow_one.holds_next("bronze/t/_delta_log");
    let late = tokio::spawn(async move { bring(&mut first, 1..=4, &[3]).await });
    came.notified().await;
    let (came, fence) = slow_other.holds_next("bronze/t/_delta_log");
    let opened = tokio::spawn(async move { try_open(&other, Vec::new()).await.map(drop) });
    came.notified().await;
    go.notify_one();
    is_done(late.await.expect("a task"));
    fence.notify_one();
    let error = opened.await.expect("a task").expect_err("the other was first");
    assert_eq!((error.kind, count(&plain).await), (Kind::Conflict, (3, 1)));
    assert_eq!(open(&plain).await.positions().await.expect("positions"), upto(4));
    assert_eq!(count(&plain).await, (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_second_in_bronze_takes_its_rows_out_of_quarantine() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plain, store, moody) = two(folder.path());
    let (mut slow, mut quick) = (open(&store).await, open(&plain).await);
    let (came, go) = moody.holds_next("bronze/t/_delta_log");
    let late = tokio::spawn(async move { bring(&mut slow, 1..=4, &[3]).await });
    came.notified().await;
    is_done(bring(&mut quick, 1..=2, &[]).await);
    go.notify_one();
    is_conflict(late.await.expect("a task"));
    assert_eq!((data_files(&plain, &bronze()).await, count(&plain).await), (1, (2, 0)));
    is_done(bring(&mut quick, 3..=4, &[3]).await);
    assert_eq!(count(&plain).await, (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_quarantine_of_a_process_that_came_second_and_died_come_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plain, store, moody) = two(folder.path());
    let (mut slow, mut quick) = (open(&store).await, open(&plain).await);
    let (came, _go) = moody.holds_next("bronze/t/_delta_log");
    let late = tokio::spawn(async move { bring(&mut slow, 1..=4, &[3]).await });
    came.notified().await;
    late.abort();
    assert!(late.await.expect_err("it was killed").is_cancelled());
    // Its sequence is the same as that of bronze now: only the ids tell.
    is_done(bring(&mut quick, 1..=2, &[]).await);
    is_conflict(bring(&mut quick, 3..=4, &[3]).await);
    assert_eq!(count(&plain).await, (2, 1), "what died is still there");
    let (came, _go) = moody.holds_next("quarantine/t/_delta_log");
    let healing = tokio::spawn(async move { try_open(&store, Vec::new()).await.map(drop) });
    came.notified().await;
    healing.abort();
    assert!(healing.await.expect_err("it was killed between fence and quarantine").is_cancelled());
    let mut next = open(&plain).await;
    assert_eq!(count(&plain).await, (2, 0));
    is_done(bring(&mut next, 3..=4, &[3]).await);
    for row in 5..=30 {
        is_done(bring(&mut next, row..=row, &[]).await);
    }
    open(&plain).await;
    assert_eq!(count(&plain).await, (29, 1), "folded positions tell it as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bronze_that_is_brought_back_takes_back_all_that_was_set_aside_since() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, ..) = two(folder.path());
    let mut sink = open(&store).await;
    is_done(bring(&mut sink, 1..=2, &[1]).await);
    for row in 3..=5 {
        is_done(bring(&mut sink, row..=row, &[row]).await);
    }
    assert_eq!(count(&store).await, (1, 4));
    for version in 2..=4 {
        let log = folder.path().join("bronze/t/_delta_log").join(format!("{version:020}.json"));
        std::fs::remove_file(log).expect("a version");
    }
    let mut again = open(&store).await;
    assert_eq!(count(&store).await, (1, 1));
    for row in 3..=5 {
        is_done(bring(&mut again, row..=row, &[row]).await);
    }
    open(&store).await;
    assert_eq!(count(&store).await, (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_a_version_without_ids_is_told_by_its_sequences() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, ..) = two(folder.path());
    is_done(bring(&mut open(&store).await, 1..=4, &[3]).await);
    for (name, last) in [(bronze(), 1), (quarantine(), 1)] {
        let log = folder.path().join(name.layer()).join("t/_delta_log").join(format!("{last:020}.json"));
        let text = std::fs::read_to_string(&log).expect("a log");
        let lines = text.lines().map(|line| {
            let mut action: serde_json::Value = serde_json::from_str(line).expect("an action");
            if let Some(origin) = action.pointer_mut("/commitInfo/lavra").and_then(|origin| origin.as_object_mut()) {
                let ids: BTreeSet<String> = origin.keys().filter(|key| key.starts_with("aside_")).cloned().collect();
                assert!(!ids.is_empty(), "{name} has ids");
                origin.retain(|key, _| !ids.contains(key));
            }
            format!("{action}\n")
        });
        std::fs::write(&log, lines.collect::<String>()).expect("a log as it was before");
    }
    let mut sink = open(&store).await;
    assert_eq!(count(&store).await, (3, 1), "it is whole");
    is_done(bring(&mut sink, 5..=8, &[7]).await);
    open(&store).await;
    assert_eq!(count(&store).await, (6, 2));
}

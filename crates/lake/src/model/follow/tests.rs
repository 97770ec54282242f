//! Random change logs, cut anywhere: the table is what applying each change to it, row by row, would have left.

mod again;
mod examples;

use crate::commit::Change;
use crate::commits::{json, make};
use crate::model::{Model, exposure};
use crate::model::{ModelFile, ModelReport, ModelRun, compile, run};
use crate::origin::Origin;
use crate::sql::{Catalog, EngineOptions, SqlEngine, failed};
use crate::store::Store;
use crate::table::{At, Table};
use crate::write::TableWriter;
use arrow::array::{
    ArrayRef, Int64Array, ListBuilder, StringViewArray, StringViewBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use fastrand::Rng;
use kernel::clock::{Clock, ManualClock};
use kernel::gate::Op;
use kernel::name::TableName;
use kernel::position::{Point, Positions};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// One change, as a source tells it.
#[derive(Debug, Clone)]
struct Event {
    key: i64,
    op: Op,
    partition: String,
    offset: i64,
    at: Option<i64>,
    a: Option<String>,
    b: Option<String>,
    unchanged: Vec<&'static str>,
}

/// In the middle of the times that sources say.
const CAME: i64 = 1_010;

impl Event {
    /// A row that is read behind a truncate of its partition is no row of the first read.
    fn order(&self, truncates: &[(String, i64)]) -> (bool, &str, i64) {
        let is_behind =
            truncates.iter().any(|(partition, offset)| *partition == self.partition && *offset < self.offset);
        (self.op != Op::Read || is_behind, &self.partition, self.offset)
    }

    fn time(&self) -> i64 {
        self.at.unwrap_or(CAME)
    }
}

type Row = (Option<String>, Option<String>, i64);

/// A key's row with the time since when it holds.
type Version = (i64, Row, i64, Option<i64>);

/// The rows as they are, and all versions, one change after another.
fn applied(events: &[Event]) -> (BTreeMap<i64, Row>, Vec<Version>) {
    let truncates = events.iter().filter(|event| event.op == Op::Truncate);
    let truncates: Vec<_> = truncates.map(|event| (event.partition.clone(), event.offset)).collect();
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by(|a, b| a.order(&truncates).cmp(&b.order(&truncates)));
    let (mut rows, mut versions) = (BTreeMap::<i64, Row>::new(), Vec::<Version>::new());
    let mut untold = BTreeSet::new();
    let floor = |versions: &[Version], key: i64| {
        versions.iter().filter(|v| v.0 == key).filter_map(|v| v.3).max().unwrap_or(i64::MIN)
    };
    // A version whose source does not say since when it holds did so before the change of its key that ended it.
    let end = |versions: &mut Vec<Version>, key: i64, at: i64, may_move: bool| {
        let at = at.max(floor(versions, key));
        if let Some(open) = versions.iter_mut().find(|v| v.0 == key && v.3.is_none()) {
            open.2 = if may_move { open.2.min(at) } else { open.2 };
            open.3 = Some(at.max(open.2));
        }
    };
    for event in events {
        match event.op {
            Op::Truncate => {
                let keys: Vec<i64> = std::mem::take(&mut rows).into_keys().collect();
                keys.into_iter().for_each(|key| end(&mut versions, key, event.time(), false));
            }
            Op::Delete => {
                rows.remove(&event.key);
                end(&mut versions, event.key, event.time(), untold.contains(&event.key));
            }
            Op::Read | Op::Create | Op::Update => {
                let there = rows.get(&event.key).cloned();
                let before = there.clone().unwrap_or_default();
                let told = |name: &str, own: &Option<String>, old: Option<String>| match event.unchanged.contains(&name)
                {
                    true => old,
                    false => own.clone(),
                };
                let row = (told("a", &event.a, before.0), told("b", &event.b, before.1), event.offset);
                rows.insert(event.key, row.clone());
                if there.is_some_and(|there| (&there.0, &there.1) == (&row.0, &row.1)) {
                    continue;
                }
                end(&mut versions, event.key, event.time(), untold.contains(&event.key));
                let from = event.time().max(floor(&versions, event.key));
                versions.push((event.key, row, from, None));
                match event.at {
                    None => untold.insert(event.key),
                    Some(_) => untold.remove(&event.key),
                };
            }
        }
    }
    versions.sort();
    (rows, versions)
}

/// A log over few keys: rows of a first read, then changes in two partitions, one after the other as files are, or side by
/// side with a partition for each key; with any values, or with so few that a row is often what it was before.
fn any_log(dice: &mut Rng, keys: i64, changes: usize, wide: usize) -> Vec<Event> {
    let (is_side_by_side, values) = (dice.bool(), if dice.bool() { u16::MAX } else { 2 });
    let text = |dice: &mut Rng| (!dice.bool() || dice.bool()).then(|| format!("{:x}", dice.u16(..values)));
    let blob = |dice: &mut Rng| Some(format!("{:04x}", dice.u16(..values)).repeat(1 + wide / 4));
    let mut log = Vec::new();
    for key in 0..keys / 2 {
        let (a, b) = (text(dice), blob(dice));
        let at = dice.bool().then_some(1);
        log.push(Event {
            key,
            op: Op::Read,
            partition: "snapshot".into(),
            offset: key + 1,
            at,
            a,
            b,
            unchanged: vec![],
        });
    }
    let (mut offsets, mut left) = ([0, 0], 0);
    for place in 0..changes {
        let key = if left > 0 { left - 1 } else { dice.i64(0..keys) };
        let part = usize::from(if is_side_by_side { key % 2 == 1 } else { place > changes / 2 });
        offsets[part] += 1;
        let op = match dice.u8(..) {
            _ if left > 0 => Op::Read,
            // Between partitions side by side nothing says what a truncate was before.
            0..2 if keys < 100 && !is_side_by_side => Op::Truncate,
            2..50 => Op::Delete,
            50..110 => Op::Create,
            _ => Op::Update,
        };
        // The table may be read anew behind it.
        left = if op == Op::Truncate && dice.bool() { dice.i64(0..keys) } else { (left - 1).max(0) };
        let mut unchanged = Vec::new();
        if op == Op::Update {
            unchanged = [vec![], vec!["b"], vec!["b"], vec!["a", "b"], vec!["a"]][dice.usize(..5)].clone();
        }
        let is_sent = |name: &str, value: Option<String>| {
            value.filter(|_| !unchanged.contains(&name) && !matches!(op, Op::Delete | Op::Truncate))
        };
        let (a, b) = (is_sent("a", text(dice)), is_sent("b", blob(dice)));
        let at = (dice.u8(..) > 20).then(|| 1000 + place as i64 / 2 - i64::from(dice.u8(..) < 8) * 3);
        let (partition, offset) = (format!("p{part}"), offsets[part]);
        log.push(Event { key, op, partition, offset, at, a, b, unchanged });
    }
    log
}

fn schema() -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let names = DataType::List(Arc::new(Field::new("element", DataType::Utf8View, true)));
    let position = vec![Field::new("partition", DataType::Utf8View, true), Field::new("offset", DataType::Int64, true)];
    let fields = [
        ("id", DataType::Int64),
        ("a", DataType::Utf8View),
        ("b", DataType::Utf8View),
        ("_op", DataType::Utf8View),
        ("_changed_at", time()),
        ("_unchanged", names),
        ("_position", DataType::Struct(position.into())),
        ("_ingested_at", time()),
    ];
    Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
}

fn batch(events: &[Event]) -> RecordBatch {
    let text =
        |of: fn(&Event) -> Option<&str>| -> ArrayRef { Arc::new(events.iter().map(of).collect::<StringViewArray>()) };
    let time = |of: fn(&Event) -> Option<i64>| -> ArrayRef {
        Arc::new(events.iter().map(of).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let mut unchanged =
        ListBuilder::new(StringViewBuilder::new()).with_field(Field::new("element", DataType::Utf8View, true));
    for event in events {
        event.unchanged.iter().for_each(|name| unchanged.values().append_value(name));
        unchanged.append(!event.unchanged.is_empty());
    }
    let schema = schema();
    let DataType::Struct(fields) = schema.field(6).data_type() else { panic!("a position") };
    let offsets: Int64Array = events.iter().map(|event| event.offset).collect();
    let position = StructArray::new(fields.clone(), vec![text(|e| Some(&e.partition)), Arc::new(offsets)], None);
    let ids: Int64Array = events.iter().map(|event| (event.op != Op::Truncate).then_some(event.key)).collect();
    let columns = vec![
        Arc::new(ids) as ArrayRef,
        text(|e| e.a.as_deref()),
        text(|e| e.b.as_deref()),
        text(|e| Some(e.op.letter())),
        time(|e| e.at),
        Arc::new(unchanged.finish()),
        Arc::new(position),
        time(|_| Some(CAME)),
    ];
    RecordBatch::try_new(schema, columns).expect("a batch")
}

fn name(text: &str) -> TableName {
    TableName::parse(text).expect("a name")
}

/// A log in bronze, and the table that is kept from it.
struct Lake {
    engine: SqlEngine,
    model: Model,
    sequence: u64,
    full_refresh: bool,
    _folder: tempfile::TempDir,
}

impl Lake {
    async fn new(write: &str, memory_bytes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = engine(folder.path(), memory_bytes);
        let model = model(&engine, write, "id, a, b").await;
        make(engine.store(), &name("bronze.t"), schema(), "r", &ManualClock::at(0)).await.expect("a log");
        Self { engine, model, sequence: 0, full_refresh: false, _folder: folder }
    }

    /// A commit of the log: these rows, of partitions that are taken so far.
    async fn arrive(&mut self, events: &[Event], upto: &BTreeMap<String, i64>, is_replay: bool) {
        self.sequence += 1;
        let (store, table) = (self.engine.store(), name("bronze.t"));
        let mut writer = TableWriter::new(store, &table, 1);
        writer.write(batch(events)).await.expect("a batch");
        let adds = writer.finish().await.expect("files").into_iter().map(|(file, _)| file).collect();
        let mut positions = Positions::new();
        for (partition, rows) in upto {
            let rows = u64::try_from(*rows).expect("a count");
            positions.set(partition.as_str(), Point::Mark { rows, token: String::new(), done: false });
        }
        let source = if is_replay { "s/replay" } else { "s" };
        let origin = Origin {
            run_id: "r".into(),
            source: Some(source.into()),
            sequence: self.sequence,
            positions,
            ..Origin::default()
        };
        let change =
            Change { operation: "WRITE", adds, origin: json(&origin).expect("an origin"), ..Change::default() };
        let open = Table::open(store, &table, At::Latest).await.expect("a table").expect("it is there");
        open.commit(&change, ManualClock::at(0).now()).await.expect("a commit");
    }

    async fn run(&self) -> ModelReport {
        let once = ModelRun {
            engine: self.engine.clone(),
            run_id: "r".into(),
            clock: Arc::new(ManualClock::at(0)),
            full_refresh: self.full_refresh,
            lanes: 1,
            exposes: Default::default(),
        };
        run(&once, &self.model).await.expect("a run")
    }

    async fn lines(&self, sql: &str) -> Vec<String> {
        let catalog = Catalog::of_lake(self.engine.store()).await.expect("a catalog");
        let frame = self.engine.frame_over(catalog, sql).await.expect(sql);
        let mut lines = Vec::new();
        for batch in frame.collect().await.map_err(failed).expect(sql) {
            let options = FormatOptions::default().with_null("-");
            let columns: Vec<_> =
                batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("text")).collect();
            lines.extend(
                (0..batch.num_rows()).map(|row| {
                    columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")
                }),
            );
        }
        lines.sort();
        lines
    }

    async fn rows(&self) -> Vec<String> {
        self.lines("select id, a, b, _position['offset'] from silver.t").await
    }

    async fn versions(&self) -> Vec<String> {
        let sql = format!(
            "select id, a, b, _position['offset'], {}, {}, is_current from silver.t",
            micros("valid_from"),
            micros("valid_to")
        );
        self.lines(&sql).await
    }
}

fn micros(name: &str) -> String {
    format!("arrow_cast({name}, 'Int64')")
}

fn engine(folder: &Path, memory_bytes: usize) -> SqlEngine {
    let store = Store::open(&folder.join("lake").to_string_lossy(), &HashMap::new()).expect("a lake");
    let options = EngineOptions { memory_bytes, spill_folder: folder.to_owned(), partitions: 1 };
    SqlEngine::new(store, &options).expect("an engine")
}

async fn model(engine: &SqlEngine, write: &str, columns: &str) -> Model {
    let text = format!("-- write: {write}\n-- key: [id]\nselect {columns}, _changed_at, _position from bronze.t\n");
    let file = ModelFile { name: name("silver.t"), file: "t.yaml".into(), text, follows: true };
    let base = BTreeMap::from([(name("bronze.t"), schema())]);
    let (models, faults) = compile(engine, &base, &BTreeSet::new(), &[file], &|_| None).await;
    assert!(faults.is_empty(), "{faults:?}");
    models.into_iter().next().expect("a model")
}

fn or_dash(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| "-".into())
}

fn rows_of(events: &[Event]) -> Vec<String> {
    let row =
        |(key, (a, b, offset)): (i64, Row)| format!("{key}|{}|{}|{offset}", or_dash(a.as_ref()), or_dash(b.as_ref()));
    let mut lines: Vec<String> = applied(events).0.into_iter().map(row).collect();
    lines.sort();
    lines
}

fn versions_of(events: &[Event]) -> Vec<String> {
    let line = |(key, (a, b, offset), from, to): Version| {
        let until = to.map_or("-".into(), |to| to.to_string());
        format!("{key}|{}|{}|{offset}|{from}|{until}|{}", or_dash(a.as_ref()), or_dash(b.as_ref()), to.is_none())
    };
    let mut lines: Vec<String> = applied(events).1.into_iter().map(line).collect();
    lines.sort();
    lines
}

/// Lets a log come in any pieces, some changes of it late, and looks at the table after each run. Gives the rows that were
/// compared.
async fn comes_to_the_same(seed: u64, write: &str) -> usize {
    let mut dice = Rng::with_seed(seed);
    let keys = [3, 8, 40][dice.usize(..3)];
    let changes = dice.usize(1..80);
    let log = any_log(&mut dice, keys, changes, 8);
    let mut lake = Lake::new(write, 32 << 20).await;
    let (mut at, mut come, mut held, mut upto, mut compared) = (0, Vec::new(), Vec::new(), BTreeMap::new(), 0);
    while at < log.len() || !held.is_empty() {
        let end = (at + dice.usize(1..40)).min(log.len());
        let (mut now, mut back) = (Vec::new(), Vec::new());
        for event in &log[at..end] {
            upto.insert(event.partition.clone(), event.offset);
            match dice.u8(..) < 12 {
                true => held.push(event.clone()),
                false => now.push(event.clone()),
            }
        }
        let is_last = end == log.len();
        held.retain(|event: &Event| {
            let comes = is_last || dice.u8(..) < 60;
            if comes {
                back.push(event.clone());
            }
            !comes
        });
        lake.arrive(&now, &upto, false).await;
        if !back.is_empty() {
            lake.arrive(&back, &BTreeMap::new(), true).await;
        }
        come.extend(now.into_iter().chain(back));
        at = end;
        if dice.bool() || at == log.len() {
            lake.run().await;
            let (found, expected) = match write {
                "merge" => (lake.rows().await, rows_of(&come)),
                _ => (lake.versions().await, versions_of(&come)),
            };
            assert_eq!(found, expected, "seed {seed}, {at} of {} changes", log.len());
            compared += found.len();
        }
    }
    assert!(lake.run().await.is_up_to_date, "nothing new, nothing done");
    lake.full_refresh = true;
    lake.run().await;
    match write {
        "merge" => assert_eq!(lake.rows().await, rows_of(&come), "seed {seed}, made anew"),
        _ => assert_eq!(lake.versions().await, versions_of(&come), "seed {seed}, made anew"),
    }
    compared
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_are_those_that_each_change_in_turn_would_have_left() {
    let mut compared = 0;
    for seed in 0..25 {
        compared += comes_to_the_same(seed, "merge").await;
    }
    assert!(compared > 300, "{compared} rows say little");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_versions_are_those_that_each_change_in_turn_would_have_made() {
    let mut compared = 0;
    for seed in 100..140 {
        compared += comes_to_the_same(seed, "scd2").await;
    }
    assert!(compared > 1_000, "{compared} versions say little");
}

/// Many keys in little memory: several slices, patches that do not fit, files that are written anew by parts.
#[tokio::test(flavor = "multi_thread")]
async fn many_keys_in_little_memory_come_to_the_same() {
    for write in ["merge", "scd2"] {
        let mut dice = Rng::with_seed(7);
        let log = any_log(&mut dice, 6_000, 12_000, 900);
        let mut lake = Lake::new(write, 16 << 20).await;
        let (mut come, mut upto) = (Vec::new(), BTreeMap::new());
        for events in log.chunks(6_000) {
            events.iter().for_each(|event| {
                upto.insert(event.partition.clone(), event.offset);
            });
            lake.arrive(events, &upto, false).await;
            come.extend(events.iter().cloned());
            lake.run().await;
            match write {
                "merge" => assert!(lake.rows().await == rows_of(&come), "after {} changes", come.len()),
                _ => assert!(lake.versions().await == versions_of(&come), "after {} changes", come.len()),
            }
        }
        let made = Table::open(lake.engine.store(), &name("silver.t"), At::Latest)
            .await
            .expect("a table")
            .expect("it is there");
        assert!(exposure(&made).await.expect("an exposure").is_empty());
        lake.full_refresh = true;
        lake.run().await;
        match write {
            "merge" => assert!(lake.rows().await == rows_of(&come), "made anew"),
            _ => assert!(lake.versions().await == versions_of(&come), "made anew"),
        }
    }
}

fn event(key: i64, op: Op, offset: i64, a: &str, b: &str, unchanged: Vec<&'static str>) -> Event {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Event { key, op, partition: "p0".into(), offset, at: Some(offset * 10), a: text(a), b: text(b), unchanged }
}

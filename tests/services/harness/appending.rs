//! A process that appends to a log and is killed: what it was told to be durable is there, and all is there once.

use super::unique;
use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use kernel::broker::{Appended, Broker, Ends, Retention, Topic};
use kernel::clock::Timestamp;
use kernel::gate::{Raw, Safe};
use kernel::laws::source::as_text;
use kernel::{Point, Positions};
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const TOPIC: &str = "LAVRA_TEST_TOPIC";
const SOURCE: &str = "law/0";

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// Rows as the gate makes them, with columns `id` and `note`.
pub fn safe(from: i64, rows: i64) -> Safe {
    let column = |of: fn(i64) -> String| -> ArrayRef {
        Arc::new((from..from + rows).map(|n| Some(of(n))).collect::<StringArray>())
    };
    let batch =
        RecordBatch::try_from_iter([("id", column(|n| format!("id {n}"))), ("note", column(|n| format!("row {n}")))]);
    let raw = Raw::new(batch.expect("columns"), SOURCE, Int64Array::from_iter_values(from..from + rows)).expect("rows");
    as_text(false).pass(raw, Timestamp(0)).expect("rows that pass").safe
}

pub fn topic(name: &str) -> Topic {
    let (schema, key) = (safe(0, 1).schema(), vec!["id".to_owned()]);
    Topic { name: name.into(), partitions: 3, key, schema, retention: Retention::default() }
}

pub fn upto(row: i64) -> Positions {
    let mut upto = Positions::new();
    upto.set(SOURCE, Point::Offset(row as u64));
    upto
}

/// Every row that is there, by its place in the source.
pub async fn places(broker: &dyn Broker, topic: &Topic) -> Vec<i64> {
    let mut places = Vec::new();
    for (partition, Ends { first, next }) in (0..).zip(broker.ends(&topic.name).await.expect("ends")) {
        let mut at = first;
        while at < next {
            let fetched = broker.fetch(topic, partition, at, 4 << 20).await.expect("rows");
            for rows in &fetched.rows {
                let position = rows.batch().column_by_name("_position").expect("a stamp").as_struct();
                places.extend(position.column(1).as_primitive::<Int64Type>().values());
            }
            at = fetched.next;
        }
    }
    places
}

/// Kills the child, which is the ignored test of this name, at that many points.
pub fn is_killed(kills: u64, child: &str, open: impl Fn() -> Box<dyn Broker>) {
    let topic = topic(&format!("{}.bronze.rows", unique("killed")));
    runtime().block_on(async { open().create(&topic).await }).expect("a topic");
    let mut dice = fastrand::Rng::with_seed(20_261_127);
    let mut told = 0;
    for kill in 0..kills {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", child, "--nocapture", "--include-ignored"])
            .env(TOPIC, &topic.name)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines().map_while(Result::ok);
        for line in lines.filter_map(|line| line.strip_prefix("told ")?.parse().ok()).take(dice.usize(2..12)) {
            told = line;
        }
        std::thread::sleep(Duration::from_micros(dice.u64(0..30_000)));
        process.kill().expect("kill -9");
        process.wait().expect("its end");
        assert!(told > 0 || kill < 2, "the child appends");
    }
    let durable = runtime().block_on(async {
        let broker = open();
        let mut appender = broker.appender(&topic, "law").await.expect("an appender");
        let Some(Point::Offset(durable)) = appender.positions().get(SOURCE).cloned() else { panic!("a position") };
        let durable = durable as i64;
        // As many as the child that died had begun to append: without transactions some of them may be there.
        let rows = durable % 237 + 20;
        let appended = appender.append(&[safe(durable, rows)], &upto(durable + rows)).await;
        assert_eq!(appended.expect("rows"), Appended::Done);
        let places = places(broker.as_ref(), &topic).await;
        let distinct: HashSet<i64> = places.iter().copied().collect();
        assert_eq!(distinct.len(), places.len(), "no row is there twice");
        assert_eq!(places.len() as i64, durable + rows, "every row is there");
        durable
    });
    assert!(durable >= told, "{told} rows were told to be durable, {durable} are");
}

/// The child's work: nothing when nobody says which topic.
pub fn append_until_killed(open: impl Fn() -> Box<dyn Broker>) {
    let Some(name) = std::env::var_os(TOPIC) else { return };
    let topic = topic(&name.to_string_lossy());
    runtime().block_on(async {
        let broker = open();
        let mut appender = broker.appender(&topic, "law").await.expect("an appender");
        let mut next = match appender.positions().get(SOURCE) {
            Some(Point::Offset(next)) => *next as i64,
            _ => 0,
        };
        loop {
            let rows = next % 237 + 20;
            appender.append(&[safe(next, rows)], &upto(next + rows)).await.expect("rows");
            next += rows;
            println!("told {next}");
        }
    });
}

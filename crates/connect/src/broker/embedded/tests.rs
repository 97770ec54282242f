use super::Embedded;
use super::batch::Key;
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use fjall::{Database, KeyspaceCreateOptions};
use kernel::broker::{Appended, Broker, Ends, Retention, Topic};
use kernel::clock::{ManualClock, Timestamp};
use kernel::gate::{Raw, Safe};
use kernel::laws::broker::seal;
use kernel::laws::source::as_text;
use kernel::{Kind, Point, Positions, Result};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const DAY: i64 = 86_400_000_000;

fn open(folder: &Path) -> Embedded {
    Embedded::open(folder, Arc::new(ManualClock::at(DAY)), seal()).expect("a log")
}

fn safe(from: i64, rows: i64) -> Safe {
    let numbers: Vec<i64> = (from..from + rows).collect();
    let text =
        |of: fn(&i64) -> String| -> ArrayRef { Arc::new(numbers.iter().map(|n| Some(of(n))).collect::<StringArray>()) };
    let columns = [("id", text(|n| format!("k{}", n % 11))), ("note", text(|n| format!("{n:0>64}")))];
    let batch = RecordBatch::try_from_iter(columns).expect("columns");
    let raw = Raw::new(batch, "law/0", Int64Array::from(numbers)).expect("rows");
    as_text(false).pass(raw, Timestamp(0)).expect("rows that pass").safe
}

fn topic(retention: Retention, partitions: u32) -> Topic {
    let schema = safe(0, 1).schema();
    Topic { name: "shop.bronze.orders".into(), partitions, key: vec!["id".into()], schema, retention }
}

fn upto(row: i64) -> Positions {
    let mut positions = Positions::new();
    positions.set("law/0", Point::Offset(row as u64));
    positions
}

async fn count(broker: &Embedded, topic: &Topic) -> usize {
    let mut rows = 0;
    for (partition, Ends { first, next }) in (0..).zip(broker.ends(&topic.name).await.expect("ends")) {
        let mut at = first;
        while at < next {
            let fetched = broker.fetch(topic, partition, at, 1 << 20).await.expect("rows");
            rows += fetched.rows.iter().map(Safe::num_rows).sum::<usize>();
            at = fetched.next;
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_obeys_the_laws_of_brokers() {
    let folder = tempfile::tempdir().expect("a folder");
    kernel::laws::broker::obeys("law", async || Box::new(open(folder.path())) as Box<dyn Broker>).await;
}

/// What stands in for another process: one that opens the log while it is owned.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_own_the_log_reaches_it_through_its_owner_by_the_same_laws() {
    let folder = tempfile::tempdir().expect("a folder");
    let owner = open(folder.path());
    kernel::laws::broker::obeys("other", async || Box::new(open(folder.path())) as Box<dyn Broker>).await;
    let other = open(folder.path());
    drop(owner);
    let gone = other.ends("other.bronze.made").await.expect_err("nobody answers");
    assert_eq!(gone.kind, Kind::Unreachable);
    // The log is free, and what others had written is in it.
    let next = open(folder.path());
    assert!(next.ends("other.bronze.made").await.is_ok());
    assert!(other.ends("other.bronze.made").await.is_ok(), "and through its new owner too");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_by_age_and_by_size_and_offsets_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::at(DAY));
    let by_age = topic(Retention { time: Some(Duration::from_secs(3600)), bytes: None }, 1);
    let broker = Embedded::open(folder.path(), clock.clone(), seal()).expect("a log");
    broker.create(&by_age).await.expect("a topic");
    let mut appender = broker.appender(&by_age, "law").await.expect("an appender");
    appender.append(&[safe(1, 10)], &upto(11)).await.expect("rows");
    clock.advance(1800 * 1_000_000);
    appender.append(&[safe(11, 10)], &upto(21)).await.expect("rows");
    assert_eq!(count(&broker, &by_age).await, 20, "nothing is an hour old");
    clock.advance(1801 * 1_000_000);
    appender.append(&[safe(21, 10)], &upto(31)).await.expect("rows");
    // What is removed is removed behind the answer.
    broker.create(&by_age).await.expect("the same topic");
    assert_eq!(broker.ends(&by_age.name).await.expect("ends"), [Ends { first: 10, next: 30 }]);
    let gone = broker.fetch(&by_age, 0, 0, 1).await.err().expect("an error");
    assert!(gone.kind == Kind::Data && gone.to_string().contains("10 offsets are lost"), "{gone}");
    clock.advance(2 * 3600 * 1_000_000);
    broker.create(&by_age).await.expect("the same topic");
    assert_eq!(broker.ends(&by_age.name).await.expect("ends"), [Ends { first: 30, next: 30 }], "all are too old");
    drop((appender, broker));
    let broker = Embedded::open(folder.path(), clock, seal()).expect("a log");
    assert_eq!(broker.ends(&by_age.name).await.expect("ends"), [Ends { first: 30, next: 30 }], "an empty log goes on");
    let by_size = Topic { retention: Retention { time: None, bytes: Some(20_000) }, ..by_age };
    broker.create(&by_size).await.expect("the topic with another retention");
    let mut appender = broker.appender(&by_size, "law").await.expect("an appender");
    for wave in 3..60 {
        appender.append(&[safe(wave * 10 + 1, 10)], &upto(wave * 10 + 11)).await.expect("rows");
    }
    broker.create(&by_size).await.expect("the same topic");
    let [Ends { first, next }] = broker.ends(&by_size.name).await.expect("ends")[..] else { panic!("one partition") };
    assert!(next == 600 && first > 500 && first < 600, "some 20 kB are left, from {first} to {next}");
    assert_eq!(count(&broker, &by_size).await as u64, next - first);
}

/// Rows are not kept past their time because others come, be it to another topic or only the positions of who reads one.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_topic_to_which_nothing_comes_go_by_age_while_others_are_busy() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::at(DAY));
    let quiet = topic(Retention { time: Some(Duration::from_secs(3600)), bytes: None }, 2);
    let busy = Topic { name: "shop.bronze.hooks".into(), retention: Retention::default(), ..quiet.clone() };
    let broker = Embedded::open(folder.path(), clock.clone(), seal()).expect("a log");
    for topic in [&quiet, &busy] {
        broker.create(topic).await.expect("a topic");
    }
    let mut of_quiet = broker.appender(&quiet, "law").await.expect("an appender");
    let mut of_busy = broker.appender(&busy, "law").await.expect("an appender");
    for is_read in [false, true] {
        let next = if is_read { 21 } else { 1 };
        of_quiet.append(&[safe(next, 20)], &upto(next + 20)).await.expect("rows");
        assert_eq!(count(&broker, &quiet).await, 20, "they are of now");
        clock.advance(3601 * 1_000_000);
        match is_read {
            true => broker.consume(&busy.name, "group", &upto(next)).await.expect("positions"),
            false => drop(of_busy.append(&[safe(next, 20)], &upto(next + 20)).await.expect("rows")),
        }
        // What is removed is removed behind the answer, and before the next one.
        broker.create(&busy).await.expect("the same topic");
        assert_eq!(count(&broker, &quiet).await, 0, "they are an hour old");
    }
    assert_eq!(count(&broker, &busy).await, 20, "and these are kept");
}

/// Bytes that change on the disk are found before they are rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_told_and_never_a_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let topic = topic(Retention::default(), 1);
    let broker = open(folder.path());
    broker.create(&topic).await.expect("a topic");
    let mut appender = broker.appender(&topic, "law").await.expect("an appender");
    appender.append(&[safe(1, 100)], &upto(101)).await.expect("rows");
    drop((appender, broker));
    let db = Database::builder(folder.path().join("store")).open().expect("the store");
    let rows = db.keyspace("log/shop.bronze.orders/0", KeyspaceCreateOptions::default).expect("the rows");
    let (key, value) = rows.first_key_value().expect("a batch").into_inner().expect("a batch");
    let mut broken = value.to_vec();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    assert_eq!(Key::read(&key).expect("a key").rows, 100);
    rows.insert(key, broken).expect("the broken batch");
    drop((rows, db));
    let error = open(folder.path()).fetch(&topic, 0, 0, 1 << 20).await.err().expect("an error");
    assert!(error.kind == Kind::Data && error.to_string().contains("check sum"), "{error}");
}

/// Many who append at once wait for few syncs, and each gets its own answer.
#[tokio::test(flavor = "multi_thread")]
async fn appends_that_wait_together_are_all_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (topic, broker) = (topic(Retention::default(), 4), Arc::new(open(folder.path())));
    broker.create(&topic).await.expect("a topic");
    let one = async |writer: String| {
        let mut appender = broker.appender(&topic, &writer).await.expect("an appender");
        for wave in 0..20 {
            let appended = appender.append(&[safe(wave * 5, 5)], &upto(wave * 5 + 5)).await.expect("rows");
            assert_eq!(appended, Appended::Done);
        }
    };
    futures::future::join_all((0..16).map(|writer| one(format!("writer {writer}")))).await;
    assert_eq!(count(&broker, &topic).await, 16 * 20 * 5);
}

fn appending(folder: &Path) -> Child {
    // A shell, so that a file that may not grow is an error to it and not its end.
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "broker::embedded::tests::appends_until_it_is_killed", "--nocapture", "--include-ignored"])
        .env("LAVRA_TEST_LOG", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child")
}

/// A log of which only a part was made is made again, not refused for ever.
#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_while_the_log_is_made_stops_nobody() {
    let topic = topic(Retention::default(), 3);
    let mut halves = 0;
    for kill in 0..40 {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = appending(folder.path());
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "opens"));
        std::thread::sleep(Duration::from_micros(411 * kill));
        child.kill().expect("kill -9");
        child.wait().expect("its end");
        halves += u32::from(!folder.path().join("store").exists());
        let broker = open(folder.path());
        broker.create(&topic).await.expect("a topic");
        let appended = broker.appended(&topic.name, "law").await.expect("positions");
        let durable = appended.get("law/0").map_or(0, |point| if let Point::Offset(at) = point { *at } else { 0 });
        assert_eq!(count(&broker, &topic).await as u64, durable, "rows and positions are one");
    }
    assert!(halves > 0, "some were killed before there was a log");
}

/// The store refuses all after a write that failed; it is opened anew, and goes on when the disk has room again.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_full_disk_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = appending(folder.path());
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let id = child.id().to_string();
    let may_grow = |size: &str| {
        let size = format!("--fsize={size}:unlimited");
        assert!(Command::new("prlimit").args(["--pid", &id, &size]).status().expect("prlimit").success());
    };
    let mut told = |word: &str, times| lines.by_ref().filter(|line| line.starts_with(word)).take(times).count();
    assert_eq!(told("told", 5), 5);
    may_grow("4096");
    assert_eq!(told("failed", 5), 5);
    may_grow("unlimited");
    assert_eq!(told("told", 20), 20, "it goes on");
    child.kill().expect("kill -9");
    child.wait().expect("its end");
    let (broker, topic) = (open(folder.path()), topic(Retention::default(), 3));
    let appended = broker.appended(&topic.name, "law").await.expect("positions");
    let Some(Point::Offset(durable)) = appended.get("law/0") else { panic!("a position") };
    assert_eq!(count(&broker, &topic).await as u64, *durable, "rows and positions are one");
}

/// What a killed process had been told is there, once, and a half append is not.
#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_loses_no_answer_and_leaves_no_half() {
    let folder = tempfile::tempdir().expect("a folder");
    let topic = topic(Retention::default(), 3);
    let mut told = 0;
    for kill in 0..12 {
        let mut child = appending(folder.path());
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        // Another number of answers each time, and another moment behind the last of them.
        for line in
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("told ")?.parse().ok()).take(3 + kill * 5)
        {
            told = line;
        }
        std::thread::sleep(Duration::from_micros(137 * kill as u64));
        child.kill().expect("kill -9");
        child.wait().expect("its end");
        let broker = open(folder.path());
        let appender = broker.appender(&topic, "law").await.expect("an appender");
        let Some(Point::Offset(durable)) = appender.positions().get("law/0").cloned() else { panic!("a position") };
        assert!(durable >= told, "{told} rows were told to be durable, {durable} are");
        assert_eq!(count(&broker, &topic).await as u64, durable, "rows and positions are one");
    }
    assert!(told > 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the tests of kill -9 kill"]
#[allow(clippy::disallowed_methods, reason = "it is started by another test, which says where")]
async fn appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os("LAVRA_TEST_LOG").map(PathBuf::from) else { return };
    println!("opens");
    let (topic, broker) = (topic(Retention::default(), 3), open(&folder));
    loop {
        let Err(error) = append_on_and_on(&broker, &topic).await else { continue };
        println!("failed: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn append_on_and_on(broker: &Embedded, topic: &Topic) -> Result<()> {
    broker.create(topic).await?;
    let mut appender = broker.appender(topic, "law").await?;
    let mut next = match appender.positions().get("law/0") {
        Some(Point::Offset(next)) => *next as i64,
        _ => 0,
    };
    println!("told {next}");
    loop {
        let rows = next % 37 + 1;
        appender.append(&[safe(next, rows)], &upto(next + rows)).await?;
        next += rows;
        println!("told {next}");
    }
}

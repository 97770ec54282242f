//! Pulsar as a home of logs. Needs: pulsar.

use super::harness::appending::{append_until_killed, is_killed, places, runtime, safe, topic, upto};
use super::harness::kafka::append;
use super::harness::{relayed, server, unique};
use crate::harness::Project;
use crate::journeys::kill::under_fire;
use crate::python::Python;
use connect::broker::TopicSource;
use connect::broker::pulsar::PulsarBroker;
use kernel::broker::{Appended, Broker, Places, Topic};
use kernel::clock::ManualClock;
use kernel::laws::broker::seal;
use kernel::source::Source;
use kernel::{Kind, Point, Positions};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

static CLIENT: Python = Python::of("pulsar-venv", &["pulsar-client==3.13.0"]);

fn url() -> String {
    let server = server("pulsar");
    let (host, port) = server.address().rsplit_once(':').expect("host and port");
    let admin = port.parse::<u16>().expect("a port") + 1;
    format!("pulsar://{host}:{port}?admin=http://{host}:{admin}")
}

fn open() -> Box<dyn Broker> {
    Box::new(PulsarBroker::open(&url(), Duration::from_secs(30), seal()).expect("a broker"))
}

#[test]
fn pulsar_obeys_the_laws_of_brokers() {
    let project = unique("law");
    runtime().block_on(kernel::laws::broker::obeys(&project, async || open()));
}

/// What this program appends, Pulsar's own client reads.
#[test]
fn what_is_appended_others_read() {
    let topic = runtime().block_on(append(open().as_ref(), &unique("interop")));
    let script = format!(
        "import json, pulsar\n\
         client = pulsar.Client('{}', logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))\n\
         reader = client.subscribe('persistent://public/default/{topic}', 'check', initial_position=pulsar.InitialPosition.Earliest)\n\
         rows = []\n\
         for _ in range(100):\n\
         \x20   m = reader.receive(30000)\n\
         \x20   rows.append((json.loads(m.data())['id'], m.partition_key()))\n\
         print(len(set(rows)), all(a == b for a, b in rows))\n\
         client.close()\n",
        server("pulsar").url
    );
    assert_eq!(CLIENT.run(&Project::new("interop"), &script), "100 True\n");
}

#[test]
fn a_source_goes_through_a_topic_and_a_strangers_record_does_not() {
    relayed::goes_through(&url(), |project, topic, secret| {
        let row = format!("{{'id': 'forged', 'amount': '1.00', 'cpf': '{secret}'}}");
        let script = format!(
            "import json, pulsar\n\
             client = pulsar.Client('{}', logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))\n\
             producer = client.create_producer('persistent://public/default/{topic}')\n\
             producer.send(json.dumps({row}).encode(), partition_key='forged', properties={{'lavra-seal': 'AQAAAA'}})\n\
             client.close()\n",
            server("pulsar").url
        );
        CLIENT.run(project, &script);
    });
}

#[test]
fn kill_nine_of_who_appends_loses_and_doubles_nothing() {
    is_killed(15, "services::pulsar::appends_until_it_is_killed", open);
}

#[test]
#[ignore = "the process that `kill_nine_of_who_appends_loses_and_doubles_nothing` kills"]
fn appends_until_it_is_killed() {
    append_until_killed(open);
}

/// An append that broke off was of more rows than come at once later, and not all at once either.
#[test]
fn what_an_append_left_behind_comes_again_in_other_portions_and_is_there_once() {
    const ROWS: i64 = 20_000;
    const PORTION: i64 = 5_000;
    runtime().block_on(async {
        let (broker, topic) = (open(), topic(&format!("{}.bronze.rows", unique("left"))));
        broker.create(&topic).await.expect("a topic");
        let mut left = Places::new();
        for patience in (1..200).map(Duration::from_millis) {
            let mut appender = broker.appender(&topic, "law").await.expect("an appender");
            let (rows, upto) = ([safe(0, ROWS)], upto(ROWS));
            let done = tokio::time::timeout(patience, appender.append(&rows, &upto)).await;
            assert!(done.is_err(), "an append breaks off before one is done");
            drop(appender);
            left = broker.appender(&topic, "law").await.expect("an appender").unfinished();
            if !left.is_empty() {
                break;
            }
        }
        assert!(!left.is_empty(), "some of it is there");
        for next in (0..ROWS).step_by(PORTION as usize) {
            let mut appender = broker.appender(&topic, "law").await.expect("an appender");
            let appended = appender.append(&[safe(next, PORTION)], &upto(next + PORTION)).await;
            assert_eq!(appended.expect("rows"), Appended::Done);
        }
        let unfinished = broker.appender(&topic, "law").await.expect("an appender").unfinished();
        assert!(unfinished.is_empty(), "all of it came again");
        let places = places(broker.as_ref(), &topic).await;
        let distinct: HashSet<i64> = places.iter().copied().collect();
        assert_eq!((places.len() as i64, distinct.len() as i64), (ROWS, ROWS), "each row is there once");
    });
}

/// A project with files that go through the broker.
fn through(name: &str) -> Project {
    let project = Project::new("through");
    project.write("lavra.yaml", format!("project: {name}\nenvironments:\n  local: {{ broker: '{}' }}\n", url()));
    project.source("orders", "data/orders-*.csv", &[]);
    project.contract("orders", "{ name: id, logicalType: string, primaryKey: true, required: true }", &[]);
    project
}

/// Rows that a killed append had brought are in the table when the keys of that are looked up, and come again.
#[test]
fn rows_that_a_killed_append_had_brought_are_no_doubles_of_themselves() {
    const ROWS: u64 = 60_000;
    let project = through(&unique("keys"));
    let arrive = |wave: u64| {
        let rows: String = (0..ROWS).map(|row| format!("o{wave}-{row}\n")).collect();
        project.write(&format!("data/orders-{wave}.csv"), format!("id\n{rows}"));
    };
    arrive(0);
    let start = Instant::now();
    project.run();
    let longest = start.elapsed();
    let mut dice = fastrand::Rng::with_seed(20_261_127);
    let mut kills = 0;
    for wave in 1..6 {
        arrive(wave);
        kills += under_fire(&project, &["run", "--quiet"], longest, &mut dice);
        let rows = (wave + 1) * ROWS;
        assert_eq!(project.lines("select count(*), count(distinct id) from bronze.orders"), [format!("{rows},{rows}")]);
    }
    assert!(kills > 0, "it was killed");
    assert!(!project.path("lake/quarantine").exists(), "nothing was set aside");
}

/// What the very first append had brought is taken into the table before the source's positions are there.
#[test]
fn a_first_append_that_was_killed_is_gone_on_from() {
    const ROWS: u64 = 40_000;
    let fresh = || {
        let project = through(&unique("first"));
        let rows: String = (0..ROWS).map(|row| format!("o{row}\n")).collect();
        project.write("data/orders-0.csv", format!("id\n{rows}"));
        project
    };
    let straight = fresh();
    let start = Instant::now();
    straight.run();
    let longest = start.elapsed();
    let mut dice = fastrand::Rng::with_seed(20_261_128);
    let mut kills = 0;
    for _ in 0..4 {
        let project = fresh();
        kills += under_fire(&project, &["run", "--quiet"], longest, &mut dice);
        let all = project.lines("select count(*), count(distinct id) from bronze.orders");
        assert_eq!(all, [format!("{ROWS},{ROWS}")], "after {kills} kills");
    }
    assert!(kills > 0, "some were killed");
}

fn administration() -> String {
    let server = server("pulsar");
    let (host, port) = server.address().rsplit_once(':').expect("host and port");
    let port = port.parse::<u16>().expect("a port") + 1;
    format!("http://{host}:{port}/admin/v2/persistent/public/default")
}

/// Pulsar by itself removes a partition that has no message and nobody at it. Topics that were made here are told to stay, and
/// those that were made before are gone on in.
#[test]
fn a_partition_that_was_always_empty_may_be_removed() {
    let name = unique("empty");
    let (project, at) = (through(&name), format!("{}/{name}.bronze.orders", administration()));
    let rows = |from: u32, to: u32| (from..to).map(|row| format!("o{row}\n")).collect::<String>();
    project.write("data/orders-0.csv", format!("id\n{}", rows(0, 1)));
    project.run();
    let told = |path: &str| project.shell(&format!("curl -sSf '{at}{path}'")).exits(0).json();
    assert_eq!(told("/inactiveTopicPolicies")["deleteWhileInactive"], false);
    let mut removed = 0;
    for partition in 0..4 {
        let own = format!("-partition-{partition}");
        if told(&format!("{own}/internalStats"))["numberOfEntries"] == 0 {
            project.shell(&format!("curl -sSf -X DELETE '{at}{own}?force=true'")).exits(0);
            removed += 1;
        }
    }
    assert_eq!(removed, 3, "one row is in one partition");
    project.run();
    project.write("data/orders-1.csv", format!("id\n{}", rows(1, 200)));
    project.run();
    project.lavra(&["doctor", "orders"]).exits(0);
    project.write("data/orders-2.csv", format!("id\n{}", rows(200, 300)));
    project.run();
    assert_eq!(project.lines("select count(*), count(distinct id) from bronze.orders"), ["300,300"]);
}

/// One that had rows is another thing.
#[test]
fn a_partition_with_rows_that_was_removed_is_an_error() {
    let name = unique("cut");
    let (project, at) = (through(&name), format!("{}/{name}.bronze.orders", administration()));
    let rows = |from: u32, to: u32| (from..to).map(|row| format!("o{row}\n")).collect::<String>();
    project.write("data/orders-0.csv", format!("id\n{}", rows(0, 100)));
    project.run();
    project.shell(&format!("curl -sSf -X DELETE '{at}-partition-1?force=true'")).exits(0);
    project.write("data/orders-1.csv", format!("id\n{}", rows(100, 200)));
    project.lavra(&["run", "--retries", "0"]).exits(1).says("made anew").says("remove what is there of the topic too");
}

/// Lets retention remove all that is in a topic, as it does once nothing came for long enough: the ledgers are closed, and new
/// ones without messages are current.
fn all_is_removed_from(project: &Project, topic: &str, partitions: u32) {
    const PATIENCE: Duration = Duration::from_secs(150);
    let at = format!("{}/{topic}", administration());
    let ask =
        |what: &str| project.shell(&format!("curl -sSf --retry 20 --retry-delay 1 --retry-all-errors {what}")).exits(0);
    let set = |policy: &str, value: &str| {
        ask(&format!("-X POST -H 'content-type: application/json' -d '{value}' '{at}/{policy}'"));
    };
    set("retention", r#"{"retentionTimeInMinutes": 0, "retentionSizeInMB": 0}"#);
    // What it keeps to know messages that come twice would hold them for some minutes.
    set("deduplicationEnabled", "false");
    for partition in 0..partitions {
        ask(&format!("-X PUT '{at}-partition-{partition}/unload'"));
    }
    let start = Instant::now();
    for partition in 0..partitions {
        let own = format!("{at}-partition-{partition}");
        while ask(&format!("'{own}/internalStats'")).json()["numberOfEntries"] != 0 {
            assert!(start.elapsed() < PATIENCE, "partition {partition} is emptied");
            project.shell(&format!("curl -sS -X POST -H 'content-type: application/json' '{own}/trim'"));
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// What a table has taken may go.
#[test]
fn a_partition_that_rests_until_retention_empties_it_is_gone_on_in() {
    let name = unique("rests");
    let (project, topic) = (through(&name), format!("{name}.bronze.orders"));
    let arrive = |wave: u32| {
        let rows: String = (wave * 100..(wave + 1) * 100).map(|row| format!("o{row}\n")).collect();
        project.write(&format!("data/orders-{wave}.csv"), format!("id\n{rows}"));
    };
    arrive(0);
    project.run();
    for wave in 1..4 {
        all_is_removed_from(&project, &topic, 4);
        project.lavra(&["doctor", "orders"]).exits(0).says("0 offsets behind bronze.orders");
        // The first time nothing comes, and an empty ledger is given up for another one: that is found out once.
        if wave == 1 {
            project.lavra(&["run"]).exits(0).says("\"rows_read\":0");
            project.lavra(&["run"]).exits(0).says("nothing new");
            all_is_removed_from(&project, &topic, 4);
        }
        arrive(wave);
        project.run();
        let rows = (wave + 1) * 100;
        assert_eq!(project.lines("select count(*), count(distinct id) from bronze.orders"), [format!("{rows},{rows}")]);
        project.lavra(&["doctor", "orders"]).exits(0).says("0 offsets behind bronze.orders");
    }
}

async fn append_rows(topic: &Topic, from: i64, rows: i64) {
    let broker = open();
    broker.create(topic).await.expect("a topic");
    let mut appender = broker.appender(topic, "law").await.expect("an appender");
    let appended = appender.append(&[safe(from, rows)], &upto(from + rows)).await;
    assert_eq!(appended.expect("rows"), Appended::Done);
}

/// Takes what is behind a table's positions: how many rows, and where the table is then.
async fn take(topic: &Topic, group: &str, from: &Positions) -> kernel::Result<(usize, Positions)> {
    let clock = Arc::new(ManualClock::at(0));
    let mut source = TopicSource::open(Arc::from(open()), topic.clone(), group.to_owned(), from, clock).await?;
    let (mut rows, mut at) = (0, from.clone());
    while let Some(pulled) = source.next(4 << 20).await? {
        rows += pulled.rows.num_rows();
        at.advance(&pulled.upto);
    }
    source.settled(&at).await?;
    Ok((rows, at))
}

#[test]
fn rows_that_retention_took_before_a_table_had_them_are_an_error() {
    let (project, topic) = (Project::new("lost"), topic(&format!("{}.bronze.rows", unique("lost"))));
    let is_lost = async |from: &Positions| {
        let behind = TopicSource::behind(open().as_ref(), &topic.name, from).await;
        let told = behind.err().map_or(String::new(), |error| error.detail);
        assert!(told.contains("retention has removed"), "{told}");
        let taken = take(&topic, "early", from).await;
        let told = taken.err().map_or(String::new(), |error| error.detail);
        assert!(told.contains("retention has removed"), "{told}");
    };
    let behind = async |from: &Positions| TopicSource::behind(open().as_ref(), &topic.name, from).await.expect("known");
    let runtime = runtime();
    let (early, late) = runtime.block_on(async {
        append_rows(&topic, 0, 100).await;
        let (rows, early) = take(&topic, "early", &Positions::new()).await.expect("rows");
        assert_eq!(rows, 100);
        append_rows(&topic, 100, 100).await;
        let (rows, late) = take(&topic, "late", &Positions::new()).await.expect("rows");
        assert_eq!(rows, 200);
        (early, late)
    });
    all_is_removed_from(&project, &topic.name, topic.partitions);
    // That nothing is lost is found out once.
    let moved = async |from: &Positions| {
        assert_eq!(behind(from).await, (0, 0));
        let (rows, moved) = take(&topic, "late", from).await.expect("nothing");
        assert!(rows == 0 && moved.reaches(from) && !from.reaches(&moved), "{from:?} {moved:?}");
        assert_eq!(take(&topic, "late", &moved).await.expect("nothing"), (0, moved.clone()));
        moved
    };
    let (late, later) = runtime.block_on(async {
        is_lost(&early).await;
        let late = moved(&late).await;
        append_rows(&topic, 200, 60).await;
        is_lost(&early).await;
        assert_eq!(behind(&late).await.0, topic.partitions as u64);
        let (rows, later) = take(&topic, "late", &late).await.expect("rows");
        assert_eq!((rows, behind(&later).await), (60, (0, 0)), "each once");
        (late, later)
    });
    all_is_removed_from(&project, &topic.name, topic.partitions);
    runtime.block_on(async {
        // Before the first removal it had all, and not before the second one.
        is_lost(&late).await;
        moved(&later).await;
    });
}

#[test]
fn a_topic_that_was_removed_is_loaded_again_once_the_table_is_away() {
    let name = unique("removed");
    let project = through(&name);
    let rows: String = (0..500).map(|row| format!("o{row}\n")).collect();
    project.write("data/orders-0.csv", format!("id\n{rows}"));
    project.run();
    let (server, topic) = (server("pulsar"), format!("{name}.bronze.orders"));
    let (host, port) = server.address().rsplit_once(':').expect("host and port");
    let admin = port.parse::<u16>().expect("a port") + 1;
    let place = format!("http://{host}:{admin}/admin/v2/persistent/public/default/{topic}/partitions?force=true");
    project.shell(&format!("curl -sSf -X DELETE '{place}'")).exits(0);
    project.lavra(&["run", "--retries", "0"]).exits(1).says("made anew");
    project.lavra(&["doctor", "orders"]).exits(1).says("which knows nothing of them");
    std::fs::remove_dir_all(project.path("lake/bronze/orders")).expect("the table's folder");
    project.run();
    assert_eq!(project.lines("select count(*), count(distinct id) from bronze.orders"), ["500,500"]);
    project.lavra(&["run"]).exits(0).says("nothing new");
}

/// Pulsar hangs up on who sends more than it takes, without a word. What counts is what comes of it compressed.
#[test]
fn a_row_that_is_more_than_a_message_may_have_is_told_at_once() {
    let mut dice = fastrand::Rng::with_seed(20_261_127);
    let mut noise = |chars: usize| (0..chars).map(|_| dice.alphanumeric()).collect::<String>();
    let project = through(&unique("large"));
    let columns =
        "{ name: id, logicalType: string, primaryKey: true, required: true }\n{ name: note, logicalType: string }";
    project.contract("orders", columns, &[]);
    let (first, even, last) = (noise(4_000_000), "x".repeat(9_000_000), noise(4_000_000));
    project.write("data/orders-0.csv", format!("id,note\na,{first}\nb,{even}\nc,{last}\nd,x\n"));
    project.run();
    let lengths = project.lines("select length(note) from bronze.orders");
    assert_eq!(lengths, ["1", "4000000", "4000000", "9000000"], "in the order of lines");
    project.write("data/orders-1.csv", format!("id,note\ne,{}\n", noise(9_000_000)));
    let start = Instant::now();
    let told = project.lavra(&["run"]).exits(1);
    told.says("of data/orders-1.csv comes to").says("this Pulsar takes 5242880 at most: raise `maxMessageSize`");
    assert!(start.elapsed() < Duration::from_secs(20), "it is not sent, nor tried again: {:?}", start.elapsed());
    project.write("data/orders-1.csv", "id,note\ne,y\n");
    project.run();
    assert_eq!(project.lines("select count(*), count(distinct id) from bronze.orders"), ["5,5"]);
}

/// All positions of a writer are one message.
#[test]
fn positions_of_many_files_go_in_or_are_told_to_be_too_many() {
    let mut dice = fastrand::Rng::with_seed(20_261_127);
    let mut files = |names: Vec<String>| {
        let mut files = Positions::new();
        for name in names {
            files.set(name, Point::File { etag: format!("{:016x}", dice.u64(..)), row: 1_000, done: true });
        }
        files
    };
    let many = files((0..60_000).map(|n| format!("data/payments-2026-11-27-{n:06}.csv.gz")).collect());
    let mut dice = fastrand::Rng::with_seed(20_261_128);
    let mut name = || (0..40).map(|_| dice.alphanumeric()).collect::<String>();
    let too_many = files((0..300_000).map(|_| name()).collect());
    let text = serde_json::to_vec(&many).expect("text");
    assert!(text.len() > 5 << 20, "as they are they would be more than a message may have");
    let topic = topic(&format!("{}.bronze.rows", unique("files")));
    runtime().block_on(async {
        let broker = open();
        broker.create(&topic).await.expect("a topic");
        let mut appender = broker.appender(&topic, "law").await.expect("an appender");
        assert_eq!(appender.append(&[], &many).await.expect("positions"), Appended::Done);
        assert_eq!(broker.appended(&topic.name, "law").await.expect("positions"), many);
        let start = Instant::now();
        let error = appender.append(&[], &too_many).await.expect_err("an error");
        let is_told = error.to_string().contains("in 360000 partitions or files, comes to");
        assert!(error.kind == Kind::Data && is_told, "{error}");
        assert!(start.elapsed() < Duration::from_secs(20), "it is not sent: {:?}", start.elapsed());
        drop(appender);
        let appender = broker.appender(&topic, "law").await.expect("an appender");
        assert_eq!(appender.positions(), &many, "what was there is there");
    });
}

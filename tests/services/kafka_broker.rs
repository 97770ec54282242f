//! Topics of Kafka as a home of logs. Needs: kafka.
//! At once: 6, since most of the time they wait for the broker.

use super::harness::appending::{append_until_killed, is_killed, runtime, safe, topic, upto};
use super::harness::kafka::{Kafka, append};
use super::harness::{relayed, unique};
use crate::harness::{Project, node};
use connect::broker::TopicSource;
use connect::broker::kafka::KafkaBroker;
use kernel::broker::{Appended, Broker, Topic};
use kernel::clock::ManualClock;
use kernel::laws::broker::seal;
use kernel::source::Source;
use kernel::{Kind, Point, Positions};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn broker() -> Box<dyn Broker> {
    let broker = KafkaBroker::open(&Kafka::new().connection(), &std::env::temp_dir(), seal());
    Box::new(broker.expect("a broker"))
}

#[test]
fn kafka_obeys_the_laws_of_brokers() {
    let name = unique("law");
    runtime().block_on(kernel::laws::broker::obeys(&name, async || broker()));
}

#[test]
fn kill_nine_of_who_appends_loses_and_doubles_nothing() {
    is_killed(25, "services::kafka_broker::appends_until_it_is_killed", broker);
}

#[test]
#[ignore = "the process that `kill_nine_of_who_appends_loses_and_doubles_nothing` kills"]
fn appends_until_it_is_killed() {
    append_until_killed(broker);
}

/// What this program appends, others read: kcat and Confluent's client; and what they produce by the same key is beside it.
#[test]
fn what_is_appended_others_read() {
    let (kafka, name, project) = (Kafka::new(), unique("interop"), Project::new("interop"));
    let topic = runtime().block_on(async {
        let broker = connect::broker::kafka::KafkaBroker::open(&kafka.connection(), &std::env::temp_dir(), seal())
            .expect("a broker");
        append(&broker, &name).await
    });
    let read = kafka.python(
        &project,
        &format!(
            "rows = sorted((json.loads(m.value())['id'], m.key().decode(), m.partition()) for m in consume('{topic}'))\n\
             print(len(rows), all(row[0] == row[1] for row in rows))\n\
             produce('{topic}', ({{'key': row[1], 'value': {{'id': row[1]}}}} for row in rows))\n\
             homes = {{}}\n\
             for m in consume('{topic}'): homes.setdefault(m.key(), set()).add(m.partition())\n\
             print(len(homes), all(len(home) == 1 for home in homes.values()))"
        ),
    );
    assert_eq!(read, "100 True\n100 True\n");
    let kcat = project.shell(&format!(
        "kcat -b {} -t {topic} -C -e -q -o beginning -f '%k %s\\n' | grep -c '\"note\":\"row'",
        kafka.server.address()
    ));
    assert_eq!(kcat.exits(0).stdout.trim(), "100", "kcat reads them");
}

#[test]
fn a_source_goes_through_a_topic_and_a_strangers_record_does_not() {
    let kafka = Kafka::new();
    relayed::goes_through(&kafka.connection(), |project, topic, secret| {
        let row = format!("{{'id': 'forged', 'amount': '1.00', 'cpf': '{secret}'}}");
        kafka.python(project, &format!("produce('{topic}', [{{'key': 'forged', 'value': {row}}}])"));
    });
}

/// A project with a file that goes through the broker, whose topics have these settings; and its data topic.
fn through(kafka: &Kafka, settings: &str) -> (Project, String) {
    let (name, project) = (unique("through"), Project::new("through"));
    through_with(&project, &name, kafka, settings);
    project.source("orders", "data/orders-*.csv", &[]);
    project.contract("orders", "{ name: id, logicalType: string }\n{ name: note, logicalType: string }", &[]);
    (project, format!("{name}.bronze.orders"))
}

fn through_with(project: &Project, name: &str, kafka: &Kafka, settings: &str) {
    let broker = format!("{}{settings}", kafka.connection());
    project.write("lavra.yaml", format!("project: {name}\nenvironments:\n  local: {{ broker: '{broker}' }}\n"));
}

#[test]
fn who_is_not_let_in_is_told_at_once() {
    let kafka = Kafka::new();
    let (project, _) = through(&kafka, "");
    project.write("data/orders-0.csv", "id,note\no1,x\n");
    let ca = kafka.state().join("tls/ca.pem");
    let broker = format!(
        "kafka://app:not-the-secret@{}?security=sasl_tls&mechanism=scram-sha-256&ca_file={}",
        kafka.secure(),
        ca.display()
    );
    project.write(
        "lavra.yaml",
        format!("project: {}\nenvironments:\n  local: {{ broker: '{broker}' }}\n", unique("shut")),
    );
    for args in [&["run", "--retries", "0"][..], &["doctor", "orders"]] {
        let answer = project.lavra(args).says("does not let this user in");
        assert!(answer.code == Some(if args[0] == "run" { 2 } else { 1 }), "{answer:?}");
        assert!(!format!("{answer:?}").contains("not-the-secret"), "{answer:?}");
    }
}

/// The writer's positions outlive a topic that somebody removes; they are not believed of the one that is made anew.
#[test]
fn a_topic_that_was_removed_is_loaded_again_only_when_all_of_it_is_gone() {
    let kafka = Kafka::new();
    let (project, topic) = through(&kafka, "");
    let rows: String = (0..500).map(|n| format!("o{n},x\n")).collect();
    project.write("data/orders-0.csv", format!("id,note\n{rows}"));
    project.run();
    assert_eq!(project.count("bronze.orders"), 500);
    let remove = |topic: &str| {
        let script = format!("done(admin.delete_topics(['{topic}'], operation_timeout=30))\ntime.sleep(2)");
        kafka.python(&project, &script);
    };
    std::fs::rename(project.path("lake/bronze"), project.path("kept")).expect("no table");
    project.lavra(&["doctor", "orders"]).exits(1).says("was it removed, or brought back as it was before?");
    std::fs::rename(project.path("kept"), project.path("lake/bronze")).expect("the table again");
    project.lavra(&["doctor", "orders"]).exits(0);
    remove(&topic);
    project
        .lavra(&["doctor", "orders"])
        .exits(1)
        .says("bronze.orders has rows that came through it, and there is no such topic now");
    project.lavra(&["run", "--retries", "0"]).exits(1).says("made anew");
    std::fs::remove_dir_all(project.path("lake/bronze/orders")).expect("the table's folder");
    let positions = format!("{topic}.positions.orders");
    project.lavra(&["run", "--retries", "0"]).exits(1).says(&format!("remove {positions} too"));
    remove(&positions);
    project.run();
    assert_eq!(project.lines("select count(*), count(distinct id) from bronze.orders"), ["500,500"]);
    project.lavra(&["run"]).exits(0).says("nothing new");
}

/// JSON has no number for them.
#[test]
fn numbers_that_are_not_finite_go_through_as_they_are() {
    let kafka = Kafka::new();
    let (project, _) = through(&kafka, "");
    let columns =
        "{ name: id, logicalType: string }\n{ name: n, logicalType: number, physicalType: double, required: true }";
    project.contract("orders", columns, &[]);
    project.write("data/orders-0.csv", "id,n\na,NaN\nb,Infinity\nc,-Infinity\nd,1.5\n");
    project.run();
    let n = "case when isnan(n) then 'none' when n > 1e308 then 'up' when n < -1e308 then 'down' else 'there' end";
    let rows = project.lines(&format!("select id, {n} from bronze.orders order by id"));
    assert_eq!(rows, ["a,none", "b,up", "c,down", "d,there"]);
}

/// All rows of its source were set aside: nothing is missing in it.
#[test]
fn a_topic_that_is_rightly_empty_is_gone_on_in() {
    let kafka = Kafka::new();
    let (project, _) = through(&kafka, "");
    project.contract("orders", "{ name: id, logicalType: integer }\n{ name: note, logicalType: string }", &[]);
    project.write("data/orders-0.csv", "id,note\nmuch,x\nmore,y\n");
    project.run();
    project.write("data/orders-1.csv", "id,note\nnone,x\n");
    let run = project.run();
    assert_eq!(node(&run, "orders")["report"]["rows_quarantined"], 1, "{run}");
}

#[test]
fn a_row_beyond_kafkas_usual_bound_goes_through_and_beyond_the_topics_own_is_told_at_once() {
    let kafka = Kafka::new();
    let mut dice = fastrand::Rng::with_seed(20_261_127);
    let note: String = (0..3_000_000).map(|_| dice.alphanumeric()).collect();
    for (bound, code) in [(None, 0), (Some(100_000), 1)] {
        let (project, topic) = through(&kafka, "");
        if let Some(bound) = bound {
            let config = format!("{{'max.message.bytes': '{bound}'}}");
            kafka.python(&project, &format!("done(admin.create_topics([NewTopic('{topic}', 4, 1, config={config})]))"));
        }
        project.write("data/orders-0.csv", format!("id,note\no1,{note}\n"));
        let start = Instant::now();
        let answer = project.lavra(&["run"]).exits(code);
        match bound {
            None => assert_eq!(project.lines("select length(note) from bronze.orders"), ["3000000"]),
            Some(_) => {
                answer.says("raise its `max.message.bytes`");
                assert!(start.elapsed() < Duration::from_secs(20), "it is not tried again: {:?}", start.elapsed());
            }
        }
    }
}

#[test]
fn another_number_of_partitions_is_told_at_once() {
    let kafka = Kafka::new();
    let (project, topic) = through(&kafka, "?partitions=3");
    project.write("data/orders-0.csv", "id,note\no1,x\n");
    project.run();
    let name = topic.trim_end_matches(".bronze.orders");
    through_with(&project, name, &kafka, "?partitions=5");
    let start = Instant::now();
    project.lavra(&["run", "--retries", "0"]).exits(2).says("it has 3 partitions, not 5").says("partitions=3");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    through_with(&project, name, &kafka, "?partitons=3");
    project.lavra(&["check"]).exits(2).says("did you mean `partitions`?");
}

async fn append_rows(topic: &Topic, from: i64, rows: i64) {
    let broker = broker();
    broker.create(topic).await.expect("a topic");
    let mut appender = broker.appender(topic, "law").await.expect("an appender");
    let appended = appender.append(&[safe(from, rows)], &upto(from + rows)).await;
    assert_eq!(appended.expect("rows"), Appended::Done);
}

/// Takes what is behind a table's positions: how many rows, and where the table is then. Its group is named as the topic.
async fn take(topic: &Topic, from: &Positions) -> kernel::Result<(usize, Positions)> {
    let clock = Arc::new(ManualClock::at(0));
    let mut source = TopicSource::open(Arc::from(broker()), topic.clone(), topic.name.clone(), from, clock).await?;
    let (mut rows, mut at) = (0, from.clone());
    while let Some(pulled) = source.next(4 << 20).await? {
        rows += pulled.rows.num_rows();
        at.advance(&pulled.upto);
    }
    source.settled(&at).await?;
    Ok((rows, at))
}

/// Kafka forgets what a group knows some time after it was told, and of a partition without rows nothing was told but that.
#[test]
fn rows_that_a_quiet_partition_lost_are_missed_also_when_the_group_forget() {
    let (kafka, project) = (Kafka::new(), Project::new("forgotten"));
    let topic = topic(&format!("{}.bronze.rows", unique("forgotten")));
    let (runtime, name) = (runtime(), topic.name.clone());
    let forget = || {
        kafka.python(&project, &format!("done(admin.delete_consumer_groups(['{name}', '{name}.origin']))"));
    };
    let group = || {
        let known = runtime.block_on(async { broker().consumed(&name, &name).await });
        known.expect("what the group knows")
    };
    let table = runtime.block_on(async {
        append_rows(&topic, 0, 1).await;
        let (rows, table) = take(&topic, &Positions::new()).await.expect("rows");
        assert_eq!((rows, table.len()), (1, 3), "it has its place in each partition");
        table
    });
    let known = group();
    assert_eq!(known.len(), 3);
    forget();
    assert!(group().is_empty());
    assert_eq!(runtime.block_on(take(&topic, &table)).expect("nothing new"), (0, table.clone()));
    assert_eq!(group(), known, "who is opened tells all of it again");
    // The group of where it began was told nothing again, for the table knows more.
    kafka.python(&project, &format!("done(admin.delete_consumer_groups(['{name}']))"));
    runtime.block_on(append_rows(&topic, 1, 200));
    let quiet = |number: &u32| table.get(&format!("log {name}/{number}")) == Some(&Point::Offset(0));
    let quiet: Vec<u32> = (0..3).filter(quiet).collect();
    assert_eq!(quiet.len(), 2, "one row is in one partition");
    // To the end, whatever that is.
    kafka
        .python(&project, &format!("done(admin.delete_records([TopicPartition('{name}', p, -1) for p in {quiet:?}]))"));
    let lost = runtime.block_on(take(&topic, &table)).expect_err("an error");
    assert!(lost.kind == Kind::Data && lost.to_string().contains("retention has removed"), "{lost}");
}

/// Read from its start whenever a source is opened, it may not be a gigabyte.
#[test]
fn the_topic_of_positions_is_kept_small_also_one_that_is_there() {
    let (kafka, project, name) = (Kafka::new(), Project::new("small"), unique("small"));
    let settings = |topic: &Topic| {
        kafka.python(
            &project,
            &format!(
                "from confluent_kafka.admin import ConfigResource\n\
                 [told] = admin.describe_configs([ConfigResource('topic', '{}.positions.law')]).values()\n\
                 names = ['cleanup.policy', 'segment.bytes', 'min.cleanable.dirty.ratio', 'delete.retention.ms', 'flush.ms']\n\
                 print(*(told.result()[name].value for name in names))",
                topic.name
            ),
        )
    };
    let (new, old) = (topic(&format!("{name}.bronze.new")), topic(&format!("{name}.bronze.old")));
    kafka.python(
        &project,
        &format!(
            "config = {{'cleanup.policy': 'compact', 'flush.ms': '12345'}}\n\
             done(admin.create_topics([NewTopic('{}.positions.law', 1, 1, config=config)]))",
            old.name
        ),
    );
    runtime().block_on(async {
        append_rows(&new, 0, 10).await;
        append_rows(&old, 0, 10).await;
    });
    let told = settings(&new);
    assert!(told.starts_with("compact 4194304 0.1 900000 "), "{told}");
    assert_eq!(settings(&old), "compact 4194304 0.1 900000 12345\n", "what somebody else set stays");
}

/// A process that looks how far a source is every few seconds does not read all of its positions each time.
#[test]
fn positions_that_were_read_are_not_read_again() {
    let (kafka, project) = (Kafka::new(), Project::new("once"));
    let topic = topic(&format!("{}.bronze.rows", unique("once")));
    let (runtime, broker) = (runtime(), broker());
    let reached = || runtime.block_on(broker.appended(&topic.name, "law")).expect("positions");
    runtime.block_on(append_rows(&topic, 0, 10));
    // The first one after the topic is made may not know yet which one it is.
    assert_eq!((reached(), reached()), (upto(10), upto(10)));
    let positions = format!("{}.positions.law", topic.name);
    kafka.python(
        &project,
        &format!(
            "from confluent_kafka.admin import ConfigResource\n\
             config = ConfigResource('topic', '{positions}', set_config={{'cleanup.policy': 'delete'}})\n\
             done(admin.alter_configs([config]))\n\
             time.sleep(1)\n\
             done(admin.delete_records([TopicPartition('{positions}', 0, -1)]))"
        ),
    );
    assert_eq!(reached(), upto(10), "of what was removed");
    runtime.block_on(async {
        // Another one who appends, who finds nothing.
        append_rows(&topic, 10, 10).await;
    });
    assert_eq!(reached(), upto(20), "and what is new is seen");
    kafka.python(&project, &format!("done(admin.delete_topics(['{positions}'], operation_timeout=30))\ntime.sleep(2)"));
    assert_eq!(reached(), Positions::new());
    runtime.block_on(append_rows(&topic, 0, 5));
    assert_eq!(reached(), upto(5), "it is another topic");
}

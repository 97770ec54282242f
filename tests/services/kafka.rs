//! Topics of Kafka as a source. Needs: kafka.
//! At once: 6, since most of the time they wait for the broker.

use super::harness::appending::runtime;
use super::harness::kafka::{Kafka, append};
use super::harness::unique;
use crate::harness::{Project, node};
use crate::people::cpf;
use connect::Opening;
use connect::broker::kafka::KafkaBroker;
use kernel::clock::ManualClock;
use kernel::contract::{OnViolation, SchemaChange};
use kernel::laws::broker::seal;
use kernel::{Entity, Positions};
use serde_json::{Value, json};
use std::sync::Arc;

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }";

/// A project that takes a topic in.
pub fn project(kafka: &Kafka, topic: &str, options: &[&str]) -> Project {
    let project = Project::new("kafka");
    let connection = kafka.connection();
    source(&project, &connection, topic, options);
    project.contract("orders", COLUMNS, &[]);
    project
}

pub fn source(project: &Project, connection: &str, topic: &str, options: &[&str]) {
    let more: String = options.iter().map(|option| format!("{option}\n")).collect();
    let text = format!("connector: kafka\nconnection: {connection}\ntopic: {topic}\n{more}");
    project.write("sources/orders.yaml", text);
}

/// A source of the room itself.
fn opening(kafka: &Kafka, options: Value, from: Positions) -> Opening {
    let mut all = json!({ "connection": kafka.connection() });
    all.as_object_mut().expect("fields").extend(options.as_object().expect("fields").clone());
    Opening {
        source: "law".into(),
        project: "test".into(),
        options: all,
        base: std::env::temp_dir(),
        entity: Entity {
            name: "law".into(),
            description: None,
            properties: Vec::new(),
            rules: Vec::new(),
            on_violation: OnViolation::default(),
            schema_change: SchemaChange::default(),
            on_personal_data: Default::default(),
        },
        from,
        store: Default::default(),
        clock: Arc::new(ManualClock::at(0)),
    }
}

/// Three partitions; records that are no objects, tombstones, and transactions of which one was taken back.
#[test]
fn the_source_obeys_the_laws_of_sources() {
    let (kafka, topic, project) = (Kafka::new(), unique("law"), Project::new("law"));
    kafka.python(
        &project,
        &format!(
            "topic('{topic}')\n\
             produce('{topic}', ({{'key': str(n), 'value': {{'id': n, 'note': 'x' * (n % 50)}}, 'partition': n % 2}} for n in range(40)))\n\
             produce('{topic}', [{{'value': 'no json', 'partition': 0}}, {{'key': 'k', 'value': None, 'partition': 1}}])\n\
             producer = Producer({{'bootstrap.servers': servers, 'transactional.id': '{topic}'}})\n\
             producer.init_transactions(30)\n\
             for act in [producer.commit_transaction, producer.abort_transaction]:\n\
             \x20   producer.begin_transaction()\n\
             \x20   for n in range(5): producer.produce('{topic}', json.dumps({{'id': n, 'in': 'transaction'}}), partition=n % 3)\n\
             \x20   producer.flush(30)\n\
             \x20   act(30)\n"
        ),
    );
    let spec = connect::by_name("kafka").expect("the connector");
    runtime().block_on(kernel::laws::source::obeys(async |from| {
        let opening = opening(&kafka, json!({ "topic": topic }), from);
        spec.open(opening).await.expect("a source")
    }));
}

#[test]
fn a_topic_is_taken_once_masked_and_what_is_wrong_is_set_aside() {
    let (kafka, topic) = (Kafka::new(), unique("orders"));
    let project = project(&kafka, &topic, &[&format!("group: {topic}-lake")]);
    let text = COLUMNS.to_owned()
        + "
    { name: _key, logicalType: string }
    { name: _headers, logicalType: string }
    { name: _timestamp, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }
    { name: _partition, logicalType: integer }
    { name: _offset, logicalType: integer }";
    project.contract("orders", &text, &[]);
    let cpf = cpf(7);
    kafka.python(
        &project,
        &format!(
            "topic('{topic}')\n\
             produce('{topic}', ({{'key': f'k{{n}}', 'value': {{'id': f'o{{n}}', 'amount': n + 0.5, 'cpf': '{cpf}'}}, 'partition': n % 3,\n\
             \x20   'headers': [('trace', f't{{n}}'), ('twice', b'a'), ('twice', b'\\xff')], 'timestamp': 1700000000000 + n}} for n in range(300)))\n\
             produce('{topic}', [{{'value': '{{broken', 'partition': 0}}, {{'value': None, 'partition': 1}}, {{'value': {{'id': 'bad', 'amount': 'much'}}, 'partition': 2}}])"
        ),
    );
    let run = project.run();
    assert_eq!(node(&run, "orders")["report"]["rows_read"], 303, "{run}");
    assert_eq!(project.count("bronze.orders"), 300);
    assert_eq!(project.count("quarantine.orders"), 3);
    let row = project.lines(
        "select id, amount, _key, _headers, _timestamp, _partition, _offset, _position['partition'], _position['offset'] \
         from bronze.orders where id = 'o7'",
    );
    let headers = r#""{""trace"":""t7"",""twice"":[""a"",""ff""]}""#;
    assert_eq!(row, [format!("o7,7.50,k7,{headers},2023-11-14T22:13:20.007Z,1,2,{topic}/1,2")]);
    assert_eq!(project.lines("select count(distinct cpf) from bronze.orders"), ["1"], "one person");
    for (path, content) in project.files_below("lake") {
        let found = content.windows(cpf.len()).any(|window| window == cpf.as_bytes());
        assert!(!found, "{} holds the raw value", path.display());
    }
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
    kafka.python(&project, &format!("produce('{topic}', [{{'value': {{'id': 'late'}}, 'partition': 2}}])"));
    let run = project.run();
    assert_eq!(node(&run, "orders")["report"]["rows_read"], 1, "{run}");
    let told = kafka.python(
        &project,
        &format!(
            "consumer = Consumer({{'bootstrap.servers': servers, 'group.id': '{topic}-lake'}})\n\
             print([place.offset for place in consumer.committed([TopicPartition('{topic}', p) for p in range(3)], 30)])"
        ),
    );
    assert_eq!(told, "[101, 101, 102]\n", "the group's offsets are for others to see");
}

/// Who takes over from another consumer starts where that one stopped, and from then on the lake's positions count.
#[test]
fn a_source_starts_where_a_group_is() {
    let (kafka, topic) = (Kafka::new(), unique("taken-over"));
    let group = [format!("group: {topic}-app"), "start_from: group".into()];
    let project = project(&kafka, &topic, &group.each_ref().map(String::as_str));
    let ten = |from: u32| {
        format!(
            "produce('{topic}', [{{'value': {{'id': f'o{{n}}'}}, 'partition': n % 2}} for n in range({from}, {from} + 10)])"
        )
    };
    let commit = |offset: u32| {
        format!(
            "Consumer({{'bootstrap.servers': servers, 'group.id': '{topic}-app'}})\
             .commit(offsets=[TopicPartition('{topic}', 0, {offset})], asynchronous=False)"
        )
    };
    kafka.python(&project, &format!("topic('{topic}')\n{}\n{}", ten(0), commit(3)));
    let run = project.run();
    // Two of partition 0 are left, and partition 1, of which the group told nothing, is taken from its start.
    assert_eq!(node(&run, "orders")["report"]["rows_read"], 7, "{run}");
    kafka.python(&project, &format!("{}\n{}", ten(10), commit(0)));
    let run = project.run();
    assert_eq!(node(&run, "orders")["report"]["rows_read"], 10, "{run}");
}

/// A compacted topic: the last state by key, and deletions.
#[test]
fn a_tombstone_deletes_its_key() {
    let (kafka, topic) = (Kafka::new(), unique("state"));
    let project = project(&kafka, &topic, &["mode: upsert"]);
    let own = "\n{ name: _key, logicalType: string }\n{ name: _offset, logicalType: integer, required: true }";
    project.contract("orders", &format!("{COLUMNS}{own}"), &[]);
    kafka.python(
        &project,
        &format!(
            "topic('{topic}', 1)\n\
             produce('{topic}', [{{'key': 'a', 'value': {{'id': 'a', 'amount': 1}}}}, {{'key': 'b', 'value': {{'id': 'b', 'amount': 2}}}},\n\
             \x20   {{'key': 'a', 'value': {{'id': 'a', 'amount': 3}}}}, {{'key': 'b', 'value': None}}, {{'value': None}},\n\
             \x20   {{'key': json.dumps({{'id': 'c', 'other': 1}}), 'value': None}}])"
        ),
    );
    project.run();
    let log = project.lines("select _position['offset'], _op, id, amount, _changed_at is not null from bronze.orders");
    let expected = ["0,u,a,1.00,true", "1,u,b,2.00,true", "2,u,a,3.00,true", "3,d,b,,true", "5,d,c,,true"];
    assert_eq!(log, expected);
    let own = project.lines("select _offset, _key from bronze.orders where _op = 'd'");
    assert_eq!(own, ["3,b", r#"5,"{""id"": ""c"", ""other"": 1}""#], "the record itself is told in full");
    assert_eq!(project.count("quarantine.orders"), 1, "one deletes and does not say what");
    for (tombstones, rows, bad) in [("keep", 6, 0), ("skip", 3, 0), ("malformed", 3, 3)] {
        let project = self::project(&kafka, &topic, &[&format!("tombstones: {tombstones}")]);
        project.contract("orders", "{ name: id, logicalType: string }\n{ name: amount, logicalType: number }", &[]);
        let run = project.run();
        assert_eq!(node(&run, "orders")["report"]["rows_quarantined"], bad, "tombstones: {tombstones}");
        assert_eq!(project.count("bronze.orders"), rows, "tombstones: {tombstones}");
    }
}

/// Many a topic has its key in the record's key alone; a value with another one is nobody's state.
#[test]
fn a_records_key_is_the_primary_key_whatever_its_value_says() {
    let (kafka, topic) = (Kafka::new(), unique("keyed"));
    let project = project(&kafka, &topic, &["mode: upsert", "materialize: current"]);
    let columns = "
        { name: id, logicalType: integer, primaryKey: true, required: true }
        { name: name, logicalType: string }";
    project.contract("orders", columns, &[]);
    let of = |key: u32, value: &str| format!("{{'key': json.dumps({{'id': {key}}}), 'value': {value}}}");
    let records = [
        of(1, "{'name': 'noid'}"),
        of(2, "{'id': 2, 'name': 'both'}"),
        of(3, "{'name': 'gone'}"),
        of(8, "{'id': 88, 'name': 'other'}"),
        of(3, "None"),
        of(8, "None"),
        "{'key': '4', 'value': {'name': 'text'}}".to_owned(),
        "{'value': {'id': 5, 'name': 'no key'}}".to_owned(),
    ];
    kafka.python(&project, &format!("topic('{topic}', 1)\nproduce('{topic}', [{}])", records.join(", ")));
    project.run();
    assert_eq!(project.lines("select id, name from silver.orders order by id"), ["1,noid", "2,both", "4,text"]);
    assert_eq!(project.count("quarantine.orders"), 2, "another key than its value's, and none");
}

#[test]
fn where_it_starts_can_be_said_and_counts_from_then_on() {
    let (kafka, topic) = (Kafka::new(), unique("start"));
    let project = project(&kafka, &topic, &["start_from: latest"]);
    let put = |n: u32, ms: u64| {
        let record = format!("{{'value': {{'id': 'o{n}'}}, 'partition': {}, 'timestamp': {ms}}}", n % 2);
        kafka.python(&project, &format!("produce('{topic}', [{record}])"));
    };
    kafka.python(&project, &format!("topic('{topic}', 2)"));
    put(0, 1_700_000_000_000);
    put(1, 1_700_000_100_000);
    project.run();
    put(2, 1_700_000_200_000);
    // No row was taken before, and still this one is behind where it started.
    project.run();
    assert_eq!(project.lines("select id from bronze.orders"), ["o2"]);
    let since = self::project(&kafka, &topic, &["start_from: 2023-11-14T22:14:00Z"]);
    since.run();
    assert_eq!(since.lines("select id from bronze.orders"), ["o1", "o2"]);
    // Partitions that come later are taken from their start.
    let more = format!(
        "done(admin.create_partitions([NewPartitions('{topic}', 3)]))\n\
         time.sleep(1)\n\
         produce('{topic}', [{{'value': {{'id': 'new'}}, 'partition': 2}}])"
    );
    kafka.python(&project, &more);
    project.run();
    assert_eq!(project.lines("select id from bronze.orders"), ["new", "o2"]);
}

#[test]
fn a_time_to_start_at_that_has_not_come_is_refused() {
    let (kafka, topic) = (Kafka::new(), unique("early"));
    let project = project(&kafka, &topic, &["start_from: 2200-01-01T00:00:00Z"]);
    kafka.python(&project, &format!("topic('{topic}', 1)\nproduce('{topic}', [{{'value': {{'id': 'a'}}}}])"));
    project.lavra(&["run", "--retries", "0"]).exits(2).says("lies in the future");
    project.lavra(&["doctor", "orders"]).exits(1).says("lies in the future");
    source(&project, &kafka.connection(), &topic, &["start_from: 2020-01-01T00:00:00Z"]);
    project.run();
    assert_eq!(project.lines("select id from bronze.orders"), ["a"]);
}

/// Whose state a record is would be known to nobody.
#[test]
fn states_by_key_of_a_contract_without_a_key_are_refused() {
    let (kafka, topic) = (Kafka::new(), unique("keyless"));
    let project = project(&kafka, &topic, &["mode: upsert"]);
    project.contract("orders", "{ name: id, logicalType: string }", &[]);
    project.lavra(&["check"]).exits(2).says("the contract has none").says("primaryKey: true");
}

/// Offsets say nothing of that: there are more records now than were taken.
#[test]
fn a_topic_that_was_made_anew_is_another_one() {
    let (kafka, topic) = (Kafka::new(), unique("anew"));
    let project = project(&kafka, &topic, &[]);
    let fill = |count: u32, word: &str| {
        let values = format!("({{'value': {{'id': f'{word}{{n}}'}}}} for n in range({count}))");
        kafka.python(&project, &format!("topic('{topic}', 1)\nproduce('{topic}', {values})"));
    };
    fill(3, "old");
    project.run();
    project.lavra(&["run"]).exits(0).says("nothing new");
    kafka.python(&project, &format!("done(admin.delete_topics(['{topic}'], operation_timeout=30))\ntime.sleep(2)"));
    fill(8, "new");
    project.lavra(&["run", "--retries", "0"]).exits(1).says("it was removed and made anew");
    project.lavra(&["doctor", "orders"]).says("it was removed and made anew");
    assert_eq!(project.lines("select id from bronze.orders"), ["old0", "old1", "old2"]);
}

#[test]
fn records_that_retention_removed_are_a_loud_stop() {
    let (kafka, topic) = (Kafka::new(), unique("lost"));
    let project = project(&kafka, &topic, &[]);
    kafka.python(&project, &format!("topic('{topic}', 1)\nproduce('{topic}', [{{'value': {{'id': 'a'}}}}])"));
    project.run();
    kafka.python(
        &project,
        &format!(
            "produce('{topic}', ({{'value': {{'id': f'o{{n}}'}}}} for n in range(10)))\n\
             done(admin.delete_records([TopicPartition('{topic}', 0, 6)]))"
        ),
    );
    project.lavra(&["run", "--retries", "0"]).exits(1).says("5 offsets").says("on_lost: skip");
    source(&project, &kafka.connection(), &topic, &["on_lost: skip"]);
    project.run();
    assert_eq!(project.count("bronze.orders"), 6);
}

/// Of a partition that had no record nothing was taken, and still what came to it since is missing.
#[test]
fn records_that_came_and_went_where_nothing_was_before_are_a_loud_stop() {
    let (kafka, topic) = (Kafka::new(), unique("quiet"));
    let project = project(&kafka, &topic, &[]);
    let come_and_go = |partition: u32, first: u32| {
        let values = format!("({{'value': {{'id': str(n)}}, 'partition': {partition}}} for n in range(7))");
        let cut = format!("done(admin.delete_records([TopicPartition('{topic}', {partition}, {})]))", first + 7);
        kafka.python(&project, &format!("produce('{topic}', {values})\n{cut}"));
    };
    let stops = |partition: u32| {
        let told = project.lavra(&["run", "--retries", "0"]).exits(1).says("7 offsets").says("on_lost: skip");
        assert!(format!("{told:?}").contains(&format!("{topic}/{partition}")), "{told:?}");
        project.lavra(&["doctor", "orders"]).exits(1).says("7 offsets were removed before they were taken");
        source(&project, &kafka.connection(), &topic, &["on_lost: skip"]);
        project.run();
        source(&project, &kafka.connection(), &topic, &[]);
        project.lavra(&["run"]).exits(0).says("nothing new");
    };
    kafka.python(
        &project,
        &format!("topic('{topic}', 2)\nproduce('{topic}', [{{'value': {{'id': 'a'}}, 'partition': 0}}])"),
    );
    project.run();
    project.lavra(&["run"]).exits(0).says("nothing new");
    come_and_go(1, 0);
    stops(1);
    // Where it was skipped to is where it goes on.
    come_and_go(1, 7);
    stops(1);
    kafka.python(&project, &format!("done(admin.create_partitions([NewPartitions('{topic}', 3)]))\ntime.sleep(1)"));
    come_and_go(2, 0);
    stops(2);
    assert_eq!(project.lines("select id from bronze.orders"), ["a"]);
}

/// The client has fetched a part of the topic when the rest is removed: more than that, it does not take ahead.
#[test]
fn what_retention_removes_under_a_source_that_reads_is_told_at_once() {
    const ROWS: usize = 110;
    let (kafka, project) = (Kafka::new(), Project::new("overtaken"));
    let spec = connect::by_name("kafka").expect("the connector");
    for on_lost in ["error", "skip"] {
        let topic = unique("overtaken");
        let values = format!("({{'value': {{'id': 'x' * 900000}}}} for n in range({ROWS}))");
        kafka.python(&project, &format!("topic('{topic}', 1)\nproduce('{topic}', {values})"));
        let options = json!({ "topic": topic, "batch_rows_max": 1, "on_lost": on_lost });
        let (rows, error) = runtime().block_on(async {
            let mut source = spec.open(opening(&kafka, options, Positions::new())).await.expect("a source");
            source.next(1 << 20).await.expect("a batch").expect("the first row");
            let cut = format!("done(admin.delete_records([TopicPartition('{topic}', 0, {})]))", ROWS - 2);
            kafka.python(&project, &cut);
            let mut rows = 1;
            loop {
                match source.next(1 << 20).await {
                    Ok(Some(pulled)) => rows += pulled.rows.num_rows(),
                    Ok(None) => return (rows, None),
                    Err(error) => return (rows, Some(error.to_string())),
                }
            }
        });
        assert!(rows < ROWS, "it had them all before they were removed");
        match error {
            Some(error) => assert!(on_lost == "error" && error.contains("removed by the topic's retention"), "{error}"),
            None => assert_eq!(on_lost, "skip"),
        }
    }
}

/// What is asked of all topics holds for each of them; those of a broker are no tables.
#[test]
fn discover_lists_topics_of_others_with_the_format_that_it_is_told() {
    let (kafka, topic, project) = (Kafka::new(), unique("listed"), Project::new("listed"));
    kafka.python(&project, &format!("topic('{topic}', 1)\nproduce('{topic}', [{{'value': 'a'}}])"));
    let broker = KafkaBroker::open(&kafka.connection(), &std::env::temp_dir(), seal()).expect("a broker");
    let log = runtime().block_on(append(&broker, &unique("listed")));
    let discover = connect::by_name("kafka").expect("the connector").discover.expect("it can be listed");
    for (options, format) in [(json!({}), Some("json")), (json!({ "format": "text" }), None)] {
        let found = runtime().block_on(discover(&opening(&kafka, options, Positions::new()))).expect("topics");
        let own = found.iter().find(|found| found.name == topic).expect("the topic");
        assert_eq!((own.options.get("format").and_then(Value::as_str), own.rows), (format, Some(1)));
        assert!(!found.iter().any(|found| found.name.starts_with(&log)), "{log} and its positions are Lavra's");
    }
}

#[test]
fn scram_over_tls_lets_in_who_has_the_password_and_shows_it_to_nobody() {
    let (kafka, topic) = (Kafka::new(), unique("secure"));
    let project = project(&kafka, &topic, &[]);
    kafka.python(
        &project,
        &format!("topic('{topic}', 2)\nproduce('{topic}', ({{'value': {{'id': str(n)}}}} for n in range(20)))"),
    );
    let ca = format!("ca_file: {}", kafka.state().join("tls/ca.pem").display());
    let secured = ["security: sasl_tls", "mechanism: scram-sha-256", &ca, "timeout_ms: 8000"];
    source(&project, &format!("kafka://app:app-secret@{}", kafka.secure()), &topic, &secured);
    project.run();
    assert_eq!(project.count("bronze.orders"), 20);
    let wrong = format!("kafka://app:not-the-secret@{}", kafka.secure());
    source(&project, &wrong, &topic, &secured);
    let answer = project.lavra(&["run", "--retries", "0"]).exits(2).says("does not let this user in");
    assert!(!answer.stderr.contains("not-the-secret"), "{answer:?}");
    // A certificate that nobody vouches for.
    source(
        &project,
        &format!("kafka://app:app-secret@{}", kafka.secure()),
        &topic,
        &["security: sasl_tls", "timeout_ms: 8000"],
    );
    project.lavra(&["run", "--retries", "0"]).exits(2).says("TLS fails");
}

#[test]
fn what_is_not_there_is_told() {
    let kafka = Kafka::new();
    let project = project(&kafka, &unique("nowhere"), &["timeout_ms: 5000"]);
    project.lavra(&["run", "--retries", "0"]).exits(2).says("no such topic");
    source(&project, "kafka://127.0.0.1:1", "orders", &["timeout_ms: 3000"]);
    project.lavra(&["run", "--retries", "0"]).exits(4).says("127.0.0.1:1").says("does not answer");
    source(&project, "kafka://nowhere.invalid:9092", "orders", &["timeout_ms: 8000"]);
    project.lavra(&["run", "--retries", "0"]).exits(4).says("the name of `nowhere.invalid:9092` can't be resolved");
}

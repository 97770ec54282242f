//! Tables of PostgreSQL: as they are, their new rows, and every change of them. Needs: postgres.

use super::harness::postgres::{CREATE, Database, ORDERS, fill, is_same, project};
use crate::harness::Project;
use connect::Opening;
use kernel::clock::ManualClock;
use kernel::contract::{OnPersonalData, OnViolation, SchemaChange};
use kernel::laws::source::obeys;
use kernel::source::Source;
use kernel::{Entity, Positions};
use serde_json::{Value, json};
use std::sync::Arc;

fn entity() -> Entity {
    Entity {
        name: "law".into(),
        description: None,
        properties: Vec::new(),
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::Evolve,
        on_personal_data: OnPersonalData::default(),
    }
}

fn opening(database: &Database, options: &Value, from: Positions) -> Opening {
    let mut all = json!({ "connection": database.own_url(), "table": "orders" });
    let fields = all.as_object_mut().expect("fields");
    fields.extend(options.as_object().cloned().unwrap_or_default());
    Opening {
        source: "law".into(),
        project: "test".into(),
        options: all,
        base: ".".into(),
        entity: entity(),
        from,
        store: Default::default(),
        clock: Arc::new(ManualClock::default()),
    }
}

fn law(database: &Database, options: Value) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let spec = connect::by_name("postgres").expect("the connector");
    runtime.block_on(obeys(async |from: Positions| -> Box<dyn Source> {
        spec.open(opening(database, &options, from)).await.expect("an open source")
    }));
}

#[test]
fn a_snapshot_obeys_the_laws_of_sources() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 120);
    law(&database, json!({ "mode": "snapshot" }));
}

#[test]
fn incremental_rows_obey_the_laws_of_sources() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 60);
    database.sql("update orders set at = '2026-07-02' where id % 3 = 0");
    law(&database, json!({ "mode": "incremental", "cursor": "at", "lookback": "1 hour" }));
}

#[test]
fn changes_obey_the_laws_of_sources() {
    // The log is the whole server's: what other tests write would be input that changes.
    let database = Database::alone();
    database.sql(CREATE);
    fill(&database, 1, 20);
    let spec = connect::by_name("postgres").expect("the connector");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // The slot is there before these.
    let options = json!({ "mode": "cdc" });
    runtime.block_on(spec.open(opening(&database, &options, Positions::new()))).expect("a slot");
    fill(&database, 21, 30);
    database.sql("update orders set note = 'other' where id < 5; update orders set id = id + 100 where id < 3");
    database.sql("begin; delete from orders where id = 9; update orders set amount = 0 where id > 20; commit");
    law(&database, options);
}

#[test]
fn a_snapshot_is_taken_once() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 50_000);
    let project = project(&database, &["mode: snapshot", "parallel: 3"]);
    project.run();
    assert_eq!(project.count("bronze.orders"), 50_000);
    let sums = project.lines("select sum(amount), count(distinct id), min(at), max(at) from bronze.orders");
    assert_eq!(sums, ["1262525250.00,50000,2026-07-01T12:00:01Z,2026-07-02T01:53:20Z"]);
    fill(&database, 50_001, 50_010);
    project.run();
    assert_eq!(project.count("bronze.orders"), 50_000, "a second run takes nothing");
}

#[test]
fn new_rows_are_taken_once_and_late_ones_too() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 100);
    let project = project(&database, &["mode: incremental", "cursor: at", "lookback: 1 hour"]);
    project.run();
    assert_eq!(project.count("bronze.orders"), 100);
    project.run();
    assert_eq!(project.count("bronze.orders"), 100, "what lies within the look-back is not taken twice");
    // Behind the cursor, and committed only now; one of them within a savepoint.
    database.sql(
        "begin; insert into orders values (200, 1, 'late', '2026-07-01 12:00:30+00'); savepoint s;
         insert into orders values (201, 1, 'later', '2026-07-01 12:00:31+00'); commit",
    );
    fill(&database, 101, 110);
    project.run();
    assert_eq!(project.count("bronze.orders"), 112);
    project.run();
    assert_eq!(project.count("bronze.orders"), 112);
    is_same(&project, &database);
}

#[test]
fn changes_of_every_kind_end_as_the_table_is() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 1000);
    let project = project(&database, &["mode: cdc"]);
    project.run();
    is_same(&project, &database);
    fill(&database, 1001, 1100);
    database.sql(
        "update orders set note = 'mended' where id % 7 = 0; delete from orders where id % 11 = 0;
         update orders set id = id + 10000 where id % 13 = 0; update orders set at = null, note = null where id % 17 = 0",
    );
    project.run();
    is_same(&project, &database);
    let before = database.sql("truncate orders; select pg_current_wal_lsn()");
    fill(&database, 5000, 5010);
    project.run();
    is_same(&project, &database);
    let told = format!(
        "select confirmed_flush_lsn > '{before}' from pg_replication_slots where database = current_database()"
    );
    assert_eq!(database.sql(&told), "t", "the server may forget what is in the lake");
}

/// Types whose values are not simply copied, each with a few values as SQL.
const TYPES: [(&str, &str, &str); 22] = [
    ("flag", "boolean", "true"),
    ("small", "smallint", "-32768"),
    ("large", "bigint", "9223372036854775807"),
    ("real", "real", "'1.1'"),
    ("double", "double precision", "0.1"),
    ("exact", "numeric(38,10)", "-1234567890123456789012345678.0123456789"),
    ("any_number", "numeric", "12345678901234567890123456789012345678901234.5"),
    ("day", "date", "'0001-01-01'"),
    ("moment", "timestamp", "'1999-12-31 23:59:59.999999'"),
    ("instant", "timestamptz", "'2026-07-01 12:00:00-03'"),
    ("clock", "time", "'12:34:56.5'"),
    ("span", "interval", "'1 year 2 days 03:04:05'"),
    ("bytes", "bytea", "'\\x00ff10'"),
    ("uuid", "uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    ("doc", "jsonb", "'{\"b\": [1, null], \"a\": \"é\"}'"),
    ("raw", "json", "'{\"b\":  1}'"),
    ("numbers", "int[]", "'{1,NULL,3}'"),
    ("mood", "mood", "'fine'"),
    ("within", "int4range", "'[1,5)'"),
    ("percent", "percent", "99.5"),
    ("address", "inet", "'10.0.0.1'"),
    ("fixed", "char(5)", "'ab'"),
];

const TYPED: &str = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: flag, logicalType: boolean }
    { name: small, logicalType: integer, physicalType: smallint }
    { name: large, logicalType: integer, physicalType: bigint }
    { name: real, logicalType: number, physicalType: real }
    { name: double, logicalType: number, physicalType: double }
    { name: exact, logicalType: number, physicalType: 'decimal(38,10)' }
    { name: any_number, logicalType: string }
    { name: day, logicalType: date }
    { name: moment, logicalType: timestamp, physicalType: 'timestamp without time zone' }
    { name: instant, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }
    { name: clock, logicalType: string }
    { name: span, logicalType: string }
    { name: bytes, logicalType: string }
    { name: uuid, logicalType: string }
    { name: doc, logicalType: string }
    { name: raw, logicalType: string }
    { name: numbers, logicalType: array, items: { logicalType: integer, physicalType: int } }
    { name: mood, logicalType: string }
    { name: within, logicalType: string }
    { name: percent, logicalType: number, physicalType: 'decimal(4,1)' }
    { name: address, logicalType: string }
    { name: fixed, logicalType: string }";

#[test]
fn every_type_is_the_same_in_a_snapshot_and_in_a_change() {
    let database = Database::new();
    database
        .sql("create type mood as enum ('fine', 'bad'); create domain percent as numeric(4,1) check (value <= 100)");
    let columns: Vec<String> = TYPES.iter().map(|(name, of, _)| format!("{name} {of}")).collect();
    database.sql(&format!("create table typed (id bigint primary key, {})", columns.join(", ")));
    let insert = |id: u32| {
        let values: Vec<&str> = TYPES.iter().map(|(.., value)| *value).collect();
        database.sql(&format!(
            "insert into typed values ({id}, {}); insert into typed (id) values ({id} + 1)",
            values.join(", ")
        ));
    };
    insert(10);
    let project = Project::new("typed");
    database.source(&project, "typed", &["table: typed", "mode: cdc"]);
    project.contract("typed", TYPED, &[]);
    project.run();
    insert(20);
    project.run();
    let names: Vec<&str> = TYPES.iter().map(|(name, ..)| *name).collect();
    let row = |id: u32| project.rows(&format!("select {} from bronze.typed where id = {id}", names.join(", ")));
    assert_eq!(row(10), row(20), "as it was read and as it was inserted");
    assert_eq!(row(11), row(21));
    let shown = &row(10)[0];
    for (name, expected) in [
        ("large", json!(9_223_372_036_854_775_807_i64)),
        ("any_number", json!("12345678901234567890123456789012345678901234.5")),
        ("clock", json!("12:34:56.5")),
        ("span", json!("1 year 2 days 03:04:05")),
        ("bytes", json!("\\x00ff10")),
        ("uuid", json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("raw", json!("{\"b\":  1}")),
        ("numbers", json!([1, null, 3])),
        ("mood", json!("fine")),
        ("within", json!("[1,5)")),
        ("address", json!("10.0.0.1")),
        ("fixed", json!("ab   ")),
    ] {
        assert_eq!(shown[name], expected, "{name}");
    }
    let exact = project.lines("select cast(exact as varchar), cast(percent as varchar), cast(instant as varchar) from bronze.typed where id = 10");
    assert_eq!(exact, ["-1234567890123456789012345678.0123456789,99.5,2026-07-01T15:00:00Z"]);
}

#[test]
fn infinity_is_set_aside_or_clamped() {
    let database = Database::new();
    database.sql(CREATE);
    database.sql(
        "insert into orders values (1, 'NaN', 'x', 'infinity'), (2, 2, 'y', '-infinity'), (3, 3, 'z', '2026-07-01'),
         (4, 4, 'far', '294276-12-31'), (5, 5, 'old', '0044-03-15 BC')",
    );
    let project = project(&database, &["mode: cdc"]);
    project.run();
    assert_eq!(project.lines("select id from bronze.orders"), ["3"]);
    assert_eq!(project.count("quarantine.orders"), 4);
    project.contract("clamped", ORDERS, &[]);
    database.source(&project, "clamped", &["table: orders", "infinity: clamp", "mode: cdc"]);
    project.run_with(&["clamped"]).exits(0);
    let at = "select id, cast(at as varchar) from bronze.clamped";
    assert_eq!(project.lines(at), ["2,0001-01-01T00:00:00Z", "3,2026-07-01T00:00:00Z"]);
}

#[test]
fn columns_that_come_and_go_are_followed() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let project = project(&database, &["mode: cdc"]);
    project.contract("orders", ORDERS, &[("schema_change", "evolve")]);
    project.run();
    database.sql(
        "insert into orders values (11, 1, 'a', null); alter table orders add column colour text;
         insert into orders values (12, 1, 'b', null, 'red'); alter table orders drop column note;
         insert into orders (id, colour) values (13, 'blue'); alter table orders alter column amount type numeric(14,4);
         update orders set amount = 2.50 where id = 1",
    );
    project.run();
    let lines = project.lines("select id, note, colour, amount from bronze.orders where id > 10 or _op = 'u'");
    assert_eq!(lines, ["1,,,2.50", "11,a,,1.00", "12,b,red,1.00", "13,,blue,"]);
}

#[test]
fn a_password_that_changes_is_told_and_nothing_is_lost() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 100);
    let user = database.name.clone();
    let grant = format!(
        "create role {user} login replication password 'first'; alter table orders owner to {user};
        grant create on database {user} to {user}"
    );
    database.sql(&grant);
    let project = project(&database, &[]);
    let source =
        format!("connector: postgres\nconnection: {}\ntable: orders\nmode: cdc\n", database.url(&user, "${PASSWORD}"));
    project.write("sources/orders.yaml", source);
    let run = |password: &str| project.call(&["run", "--quiet", "--retries", "0"]).env("PASSWORD", password).done();
    run("first").exits(0);
    database.sql(&format!("alter role {user} password 'second/with@signs?'; update orders set amount = 5"));
    let refused = run("first").exits(3).says("password");
    assert!(!refused.stderr.contains("first@") && !refused.stdout.contains("first@"), "{refused:?}");
    run("second/with@signs?").exits(0);
    let state =
        |sql: &str| project.call(&["query", "--format", "csv", sql]).env("PASSWORD", "x").done().exits(0).stdout;
    let sums = state("select count(*) as n, cast(sum(amount) as varchar) as s from bronze.orders where _op = 'u'");
    assert_eq!(sums.lines().nth(1), Some("100,500.00"));
    database.sql(&format!("reassign owned by {user} to postgres; drop owned by {user}; drop role {user}"));
}

#[test]
fn certificates_are_checked_as_they_are_asked_to_be() {
    let database = Database::new();
    database.sql(CREATE);
    let spec = connect::by_name("postgres").expect("the connector");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let roots = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/services/postgres/ca.crt");
    let try_with = |host: &str, sslmode: &str| {
        let url = format!("postgres://postgres:postgres@{host}:{}/{}?{sslmode}", database.port(), database.name);
        let opening = opening(&database, &json!({ "connection": url }), Positions::new());
        runtime.block_on(spec.open(opening)).map(drop)
    };
    let roots = format!("sslrootcert={}", roots.display());
    for good in ["sslmode=disable", "sslmode=prefer", "sslmode=require", &format!("sslmode=verify-ca&{roots}")] {
        try_with("127.0.0.1", good).expect(good);
    }
    try_with("localhost", &format!("sslmode=verify-full&{roots}")).expect("the name is right");
    let told = try_with("127.0.0.1", &format!("sslmode=verify-full&{roots}")).expect_err("another name").to_string();
    assert!(told.contains("certificate") && told.contains("sslmode"), "{told}");
    let told = try_with("localhost", "sslmode=verify-full").expect_err("not signed by anybody who is known");
    assert_eq!(told.kind, kernel::Kind::Refused, "{told}");
}

#[test]
fn a_generated_column_is_not_followed() {
    let database = Database::new();
    database.sql(
        "create table doubled (id bigint primary key, a int, twice int generated always as (a * 2) stored);
         insert into doubled values (1, 4)",
    );
    let project = Project::new("shop");
    database.source(&project, "doubled", &["table: doubled", "mode: cdc"]);
    let columns = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: a, logicalType: integer, physicalType: int }";
    project.contract("doubled", columns, &[]);
    database.source(&project, "wrong", &["table: doubled", "mode: cdc"]);
    let twice = "{ name: twice, logicalType: integer, physicalType: int }";
    project.contract("wrong", &format!("{columns}\n{twice}"), &[]);
    project.lavra(&["run", "wrong", "--retries", "0"]).exits(2).says("`twice`, which the server generates");
    project.lavra(&["doctor", "wrong"]).exits(1).says("`twice`, which the server generates");
    project.run_with(&["doubled"]).exits(0);
    database.sql("insert into doubled values (2, 5)");
    project.run_with(&["doubled"]).exits(0);
    assert_eq!(project.lines("select id, a from bronze.doubled"), ["1,4", "2,5"]);
    let spec = connect::by_name("postgres").expect("the connector");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let discover = spec.discover.expect("it can be listed");
    let found = runtime.block_on(discover(&opening(&database, &json!({}), Positions::new()))).expect("tables");
    let names: Vec<&str> = found[0].entity.properties.iter().map(|property| property.name.as_str()).collect();
    assert_eq!(names, ["id", "a"]);
}

#[test]
fn rows_without_a_cursor_that_can_be_followed_are_told() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let project = project(&database, &["mode: incremental", "cursor: at"]);
    project.lavra(&["doctor", "orders"]).exits(0).says("every row has a `at`");
    database.sql("insert into orders values (20, 1, 'no time', null), (21, 1, 'at the end', 'infinity')");
    for _ in 0..2 {
        project.lavra(&["run"]).exits(0).says("`at` is null are never taken").says("`at` is infinite");
    }
    project.lavra(&["doctor", "orders"]).exits(0).says("`at` is null are never taken").says("`at` is infinite");
    fill(&database, 11, 12);
    project.run();
    assert_eq!(project.count("bronze.orders"), 12, "a cursor at the end of time is not the last one");
}

#[test]
fn doctor_and_discover_tell_what_there_is_and_what_to_do() {
    let database = Database::new();
    database.sql(CREATE);
    database.sql("create table bare (a int); create schema sales; create table sales.items (sku text primary key, prices numeric(9,3)[])");
    let spec = connect::by_name("postgres").expect("the connector");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let look = |options: Value| runtime.block_on(spec.probe(&opening(&database, &options, Positions::new())));
    let all = look(json!({ "mode": "cdc" }));
    let subjects: Vec<&str> = all.iter().map(|finding| finding.subject).collect();
    let expected = [
        "reachability",
        "TLS",
        "clock",
        "grants",
        "wal_level",
        "replication",
        "replica identity",
        "slot",
        "publication",
        "senders",
        "disk",
    ];
    assert_eq!(subjects, expected, "{all:?}");
    assert!(
        all.iter().all(|finding| finding.grade != connect::Grade::Bad && !finding.found.contains("postgres:postgres"))
    );
    let bare = look(json!({ "mode": "cdc", "table": "bare" }));
    let identity = bare.iter().find(|finding| finding.subject == "replica identity").expect("a finding");
    assert!(identity.remedy.as_deref().is_some_and(|remedy| remedy.contains("REPLICA IDENTITY FULL")), "{identity:?}");
    let wrong = look(json!({ "connection": "postgres://nobody:SECRET@127.0.0.1:1/x" }));
    assert!(
        wrong.len() == 1 && wrong[0].grade == connect::Grade::Bad && !wrong[0].found.contains("SECRET"),
        "{wrong:?}"
    );
    let discover = spec.discover.expect("it can be listed");
    let found = runtime.block_on(discover(&opening(&database, &json!({}), Positions::new()))).expect("tables");
    let names: Vec<(&str, Option<&str>)> =
        found.iter().map(|table| (table.name.as_str(), table.options.get("mode").and_then(Value::as_str))).collect();
    assert_eq!(names, [("public.bare", None), ("public.orders", Some("cdc")), ("sales.items", Some("cdc"))]);
    assert_eq!(found[1].entity.key(), ["id"]);
    assert!(found[2].entity.properties[1].data_type.is_nested());
}

/// The server's order of a cursor is not that of its text, nor of numbers in a program.
#[test]
fn a_cursor_is_followed_in_the_order_of_the_server() {
    let database = Database::new();
    database.sql("create collation no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
    let project = Project::new("shop");
    let columns = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: seen, logicalType: string }";
    let cases = [
        ("words", "text collate \"C\"", "100", vec!["20", "9"]),
        ("letters", "text collate \"en-x-icu\"", "a9", vec!["B1"]),
        ("folded", "text collate no_case", "b", vec!["B", "c"]),
        ("spans", "interval", "23:00:00", vec!["1 day", "24:00:00"]),
        ("digits", "numeric", "11.0", vec!["11.00000000000000000000000000000001"]),
        ("behind", "numeric", "11.0", vec!["11.00000000000000000000000000000001", "10.9"]),
    ];
    for (table, of, first, _) in &cases {
        database.sql(&format!(
            "create table {table} (id bigint primary key, seen {of}); insert into {table} values (0, '{first}')"
        ));
        let lookback = if *table == "behind" { "lookback: 1" } else { "" };
        database.source(&project, table, &[&format!("table: {table}"), "mode: incremental", "cursor: seen", lookback]);
        project.contract(table, columns, &[]);
    }
    project.run();
    for (table, _, _, later) in &cases {
        for (id, value) in (1..).zip(later) {
            database.sql(&format!("insert into {table} values ({id}, '{value}')"));
        }
    }
    for _ in 0..3 {
        project.run();
        for (table, _, _, later) in &cases {
            assert_eq!(project.count(&format!("bronze.{table}")), 1 + later.len() as u64, "{table}");
        }
    }
}

/// Values so large that the server keeps them apart, and sends them only where they change.
const LARGE: &str = "(select string_agg(md5(n::text || $1), '') from generate_series(1, 300) n)";

#[test]
fn a_row_with_another_key_never_shows_a_value_of_a_later_transaction() {
    let database = Database::new();
    let large = |name: &str| LARGE.replace("$1", &format!("'{name}'"));
    database.sql(&format!(
        "create table moved (id bigint primary key, v int, big text);
         insert into moved select n, n, {} from generate_series(1, 4) n",
        large("B")
    ));
    let project = Project::new("shop");
    database.source(&project, "moved", &["table: moved", "mode: cdc"]);
    let columns = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: v, logicalType: integer, physicalType: int }
    { name: big, logicalType: string }";
    project.contract("moved", columns, &[]);
    project.run();
    database.sql("update moved set id = 11 where id = 1");
    database.sql("update moved set id = 12, v = 7 where id = 2");
    database.sql(&format!("update moved set big = {} where id = 12", large("X")));
    database.sql("update moved set id = 13 where id = 3");
    database.sql("delete from moved where id = 13");
    // Changed again, but not in what is large.
    database.sql("update moved set id = 14 where id = 4");
    database.sql("update moved set v = 8 where id = 14");
    project.run();
    let hash = |name: &str| database.sql(&format!("select md5({})", large(name)));
    let (before, after) = (hash("B"), hash("X"));
    let told =
        project.rows("select id, _op, md5(big) as big, _unchanged from bronze.moved where id > 10 and _op <> 'd'");
    let of = |id: u32, op: &str| {
        let row = told.iter().find(|row| row["id"] == id && row["_op"] == op).expect("a change");
        (row["big"].clone(), row["_unchanged"].to_string().contains("big"))
    };
    assert_eq!(of(11, "c"), (json!(before), false));
    assert_eq!(of(12, "c"), (Value::Null, true), "what it was is not known, and is not what it became");
    assert_eq!(of(12, "u"), (json!(after), false));
    assert_eq!(of(13, "c"), (Value::Null, true));
    assert_eq!(of(14, "c"), (json!(before), false));
}

#[test]
fn a_table_whose_name_has_a_dot_is_named_in_quotes() {
    let database = Database::new();
    database.sql("create table \"Odd Name.x\" (id bigint primary key); insert into \"Odd Name.x\" values (1)");
    let project = Project::new("shop");
    database.source(&project, "odd", &["table: '\"Odd Name.x\"'", "mode: cdc"]);
    project.contract(
        "odd",
        "\n    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }",
        &[],
    );
    project.run();
    database.sql("insert into \"Odd Name.x\" values (2)");
    project.run();
    assert_eq!(project.lines("select id from bronze.odd"), ["1", "2"]);
    let spec = connect::by_name("postgres").expect("the connector");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let discover = spec.discover.expect("it can be listed");
    let found = runtime.block_on(discover(&opening(&database, &json!({}), Positions::new()))).expect("tables");
    assert_eq!(found[0].options.get("table"), Some(&json!("\"Odd Name.x\"")));
}

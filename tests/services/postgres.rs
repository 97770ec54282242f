//! Tables of PostgreSQL: as they are, their new rows, and every change of them. Needs: postgres.

use super::harness::postgres::{Database, expected, replayed};
use crate::harness::Project;
use connect::Opening;
use kernel::clock::ManualClock;
use kernel::contract::{OnPersonalData, OnViolation, SchemaChange};
use kernel::laws::source::obeys;
use kernel::source::Source;
use kernel::{Entity, Positions};
use serde_json::{Value, json};
use std::sync::Arc;

const ORDERS: &str = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: note, logicalType: string }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }";

const CREATE: &str = "create table orders (id bigint primary key, amount numeric(12,2), note text, at timestamptz)";

/// What is compared: exact text of all, and a hash of what is large.
const KEPT: &str = "id, cast(amount as varchar) as amount, md5(note) as note, cast(at as varchar) as at";
const THERE: &str = "select id, amount::text, md5(note) as note, to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') || 'Z' as at \
                     from orders";

fn project(database: &Database, options: &[&str]) -> Project {
    let project = Project::new("shop");
    database.source(&project, "orders", &[&["table: orders"], options].concat());
    project.contract("orders", ORDERS, &[]);
    project
}

fn fill(database: &Database, from: u32, to: u32) {
    database.sql(&format!(
        "insert into orders select n, n * 1.01, 'note ' || n, '2026-07-01 12:00+00'::timestamptz + n * interval '1 second' \
         from generate_series({from}, {to}) n"
    ));
}

#[track_caller]
fn is_same(project: &Project, database: &Database) {
    let (found, wanted) = (replayed(project, "bronze.orders", "id", KEPT), expected(database, "id", THERE));
    let differs = wanted.iter().find(|(id, row)| found.get(*id) != Some(row));
    assert_eq!(differs.map(|(id, row)| (id, row, found.get(id))), None, "a row of the database is another one in the lake");
    assert_eq!(found.len(), wanted.len(), "rows of the lake that the database does not have");
}

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
        (spec.open)(opening(database, &options, from)).await.expect("an open source")
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
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 20);
    let spec = connect::by_name("postgres").expect("the connector");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // The slot is there before these.
    let options = json!({ "mode": "cdc" });
    runtime.block_on((spec.open)(opening(&database, &options, Positions::new()))).expect("a slot");
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
    database.sql("truncate orders");
    fill(&database, 5000, 5010);
    project.run();
    is_same(&project, &database);
    let quiet = project.run();
    assert_eq!(quiet["nodes"][0]["status"], "up_to_date", "{quiet}");
    let behind = database.sql(
        "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) < 100000 from pg_replication_slots where slot_name = 'lavra_orders'",
    );
    assert_eq!(behind, "t", "the server may forget what is in the lake");
}

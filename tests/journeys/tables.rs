//! Change logs that become tables: what the source's table is, is what silver has, whenever and however its changes came.

use super::kill::under_fire;
use crate::harness::{Project, node};
use crate::people::cpf;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const ORDERS: &str = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: status, logicalType: string, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: note, logicalType: string }";

/// Debezium's envelope.
pub fn change(op: &str, at: u64, row: Value) -> String {
    let (before, after) = if op == "d" { (row, Value::Null) } else { (Value::Null, row) };
    let source = json!({ "connector": "postgresql", "ts_ms": at });
    format!("{}\n", json!({ "before": before, "after": after, "source": source, "op": op, "ts_ms": at + 5 }))
}

pub fn order(id: u64, status: &str, note: &str) -> Value {
    json!({ "id": id, "status": status, "amount": "1.50", "note": note })
}

pub const UNSENT: &str = "__debezium_unavailable_value";

/// A source of orders' changes, kept like this.
pub fn project(materialize: &str) -> Project {
    let project = Project::new("kept");
    let kept = format!("materialize: {materialize}");
    project.source("orders", "data/*.ndjson", &["changes: debezium", &kept]).contract("orders", ORDERS, &[]);
    project
}

fn orders(project: &Project) -> Vec<String> {
    project.lines("select id, status, amount, note from silver.orders")
}

#[test]
fn the_table_is_what_the_changes_left() {
    let project = project("current");
    let first = [
        change("r", 1_000, order(1, "new", "long text")),
        change("r", 1_000, order(2, "new", "two")),
        change("c", 2_000, order(3, "new", "three")),
        change("u", 3_000, order(1, "paid", UNSENT)),
        change("d", 4_000, json!({ "id": 2, "status": null, "amount": null, "note": null })),
    ];
    project.write("data/1.ndjson", first.concat());
    let run = project.run();
    assert_eq!(node(&run, "silver.orders")["report"]["rows_written"], 2, "{run}");
    assert_eq!(orders(&project), ["1,paid,1.50,long text", "3,new,1.50,three"]);
    project.lavra(&["run"]).exits(0).says("nothing new");
    let second = [
        change("u", 5_000, order(3, "sent", UNSENT)),
        change("u", 6_000, order(1, "sent", UNSENT)),
        change("u", 7_000, order(1, "back", "short")),
        change("c", 8_000, order(2, "again", "two")),
    ];
    project.write("data/2.ndjson", second.concat());
    project.run();
    assert_eq!(orders(&project), ["1,back,1.50,short", "2,again,1.50,two", "3,sent,1.50,three"]);
    assert_eq!(project.count("bronze.orders"), 9, "bronze is the log itself");
    assert_eq!(project.value("select _position['offset'] from silver.orders where id = 3"), 1);
    project.write("data/3.ndjson", change("t", 9_000, Value::Null) + &change("c", 9_500, order(9, "new", "nine")));
    project.run();
    assert_eq!(orders(&project), ["9,new,1.50,nine"]);
    let before = project.lines("select id from silver.orders version as of 2");
    assert_eq!(before, ["1", "2", "3"], "what it was can be asked for");
}

#[test]
fn a_history_has_each_version_with_the_time_it_held() {
    let project = project("{ as: history, into: order_versions }");
    project.write(
        "data/1.ndjson",
        change("c", 1_000, order(1, "new", "a")) + &change("u", 2_000, order(1, "paid", UNSENT)),
    );
    project.run();
    let versions = || {
        project.lines(
            "select id, status, note, to_char(valid_from, '%S') as since, coalesce(to_char(valid_to, '%S'), '-') as till, is_current
             from silver.order_versions",
        )
    };
    assert_eq!(versions(), ["1,new,a,01,02,false", "1,paid,a,02,-,true"]);
    project.write(
        "data/2.ndjson",
        change("u", 3_000, order(1, "sent", UNSENT)) + &change("d", 4_000, order(1, "sent", "a")),
    );
    project.write("data/3.ndjson", change("c", 5_000, order(1, "again", "b")));
    project.run();
    let all = ["1,again,b,05,-,true", "1,new,a,01,02,false", "1,paid,a,02,03,false", "1,sent,a,03,04,false"];
    assert_eq!(versions(), all);
    project.write("data/4.ndjson", change("t", 6_000, Value::Null));
    project.run();
    assert_eq!(versions()[0], "1,again,b,05,06,false", "an emptied table has no current row");
    assert_eq!(project.count("silver.order_versions"), 4);
}

#[test]
fn a_row_that_is_read_again_is_no_new_version() {
    let project = project("history");
    let versions = || {
        project.lines(
            "select status, note, to_char(valid_from, '%S') as since, coalesce(to_char(valid_to, '%S'), '-') as till
             from silver.orders",
        )
    };
    project.write("data/1.ndjson", change("c", 1_000, order(1, "new", "a")));
    project.run();
    let again = change("u", 2_000, order(1, "new", "a")) + &change("u", 3_000, order(1, "new", UNSENT));
    project.write("data/2.ndjson", again);
    let run = project.run();
    assert_eq!(node(&run, "silver.orders")["report"]["rows_written"], 0, "{run}");
    assert_eq!(versions(), ["new,a,01,-"]);
    project
        .write("data/3.ndjson", change("u", 4_000, order(1, "new", "a")) + &change("u", 5_000, order(1, "paid", "a")));
    project.run();
    assert_eq!(versions(), ["new,a,01,05", "paid,a,05,-"]);
    project.write("data/2b.ndjson", change("u", 3_500, order(1, "held", "a")));
    project.run();
    let all = ["held,a,03,04", "new,a,01,03", "new,a,04,05", "paid,a,05,-"];
    assert_eq!(versions(), all, "a late change parts what was one version");
    assert_eq!(project.count("bronze.orders"), 6, "the log has every change");
    project.lavra(&["run", "--full-refresh", "silver.orders"]).exits(0);
    assert_eq!(versions(), all);
}

/// A log that was made anew has the rows as they are now, and no version that ended before.
#[test]
fn a_log_that_was_made_anew_takes_no_history_away() {
    let (current, history) = (project("current"), project("history"));
    let first = change("c", 1_000, order(1, "new", "a")) + &change("u", 2_000, order(1, "paid", "a"));
    for project in [&current, &history] {
        project.write("data/1.ndjson", &first);
        project.run();
        project.write("data/2.ndjson", change("u", 3_000, order(1, "sent", "a")));
        project.run();
        std::fs::rename(project.path("lake/bronze/orders"), project.path("old")).expect("a folder");
        std::fs::remove_file(project.path("data/1.ndjson")).expect("a file");
    }
    let grown = format!("{ORDERS}\n    {{ name: more, logicalType: string }}");
    current.contract("orders", &grown, &[]);
    current.run();
    assert_eq!(orders(&current), ["1,sent,1.50,a"], "the table follows, with a column more than the log had");
    let told = "versions that ended before are in the old log alone";
    history.run_with(&["--retries", "0"]).exits(1).says(told).says("--full-refresh silver.orders");
    assert_eq!(history.count("silver.orders"), 3);
    history.lavra(&["run", "--full-refresh", "silver.orders"]).exits(0);
    assert_eq!(history.count("silver.orders"), 1);
}

#[test]
fn a_change_that_comes_late_overwrites_nothing_newer() {
    let project = project("current");
    let strict = ORDERS.replace(
        "name: status, logicalType: string,",
        "name: status, logicalType: string, logicalTypeOptions: { maxLength: 4 },",
    );
    project.contract("orders", &strict, &[]);
    let log = [
        change("c", 1_000, order(1, "first", "base")),
        change("c", 1_000, order(2, "second", "x")),
        change("u", 2_000, order(1, "new", UNSENT)),
        change("d", 3_000, json!({ "id": 2 })),
        change("c", 4_000, order(3, "third", "y")),
    ];
    project.write("data/2.ndjson", log.concat());
    project.run();
    assert_eq!(orders(&project), ["1,new,1.50,"], "what its note was is in quarantine");
    project.contract("orders", ORDERS, &[]);
    project.lavra(&["quarantine", "replay", "orders"]).exits(0);
    project.run();
    assert_eq!(orders(&project), ["1,new,1.50,base", "3,third,1.50,y"]);
    project
        .write("data/1.ndjson", change("c", 500, order(1, "old", "older")) + &change("c", 500, order(4, "old", "z")));
    project.run();
    assert_eq!(orders(&project), ["1,new,1.50,base", "3,third,1.50,y", "4,old,1.50,z"], "a file with an earlier name");
}

#[test]
fn models_read_the_table_and_the_commands_know_it() {
    let project = project("current");
    project.write("sources/orders.yaml", project.read("sources/orders.yaml") + "tags: [sales]\n");
    project.model("gold.states", "select status, count(*) as n from silver.orders group by status\n");
    project
        .write("data/1.ndjson", change("c", 1_000, order(1, "new", "a")) + &change("c", 1_000, order(2, "new", "b")));
    let plan = project.lavra(&["plan", "--format", "json"]).exits(0).json();
    let of = |plan: &Value, table: &str| {
        plan.as_array().and_then(|all| all.iter().find(|p| p["table"] == table).cloned()).expect("a plan")
    };
    assert_eq!(of(&plan, "silver.orders")["change"], "new", "{plan}");
    let run = project.run_with(&["tag:sales+"]).exits(0).json();
    let names: Vec<&str> = run["nodes"].as_array().expect("nodes").iter().filter_map(|n| n["node"].as_str()).collect();
    assert_eq!(names, ["orders", "silver.orders", "gold.states"]);
    assert_eq!(project.lines("select * from gold.states"), ["new,2"]);
    let plan = project.lavra(&["plan", "--format", "json"]).exits(0).json();
    assert_eq!(of(&plan, "silver.orders")["change"], "same", "{plan}");
    let lineage = project.lavra(&["lineage", "silver.orders", "--format", "json"]).exits(0).json();
    let from = |column: &str| {
        lineage.as_array().and_then(|all| all.iter().find(|l| l["column"] == column)).map(|l| l["from"].clone())
    };
    assert_eq!(from("note"), Some("bronze.orders.note".into()), "{lineage}");
    project.contract("orders", &format!("{ORDERS}\n    {{ name: tip, logicalType: string }}"), &[]);
    let mut tipped = order(2, "paid", "b");
    tipped["tip"] = "9".into();
    project.write("data/2.ndjson", change("u", 2_000, tipped));
    project.run();
    assert_eq!(project.lines("select id, status, tip from silver.orders"), ["1,new,", "2,paid,9"], "a column more");
}

#[test]
fn what_can_not_be_kept_is_refused_before_anything_is_read() {
    let told = |contract: &str, options: &[&str], says: &str| {
        let project = Project::new("refused");
        project.source("orders", "data/*.ndjson", options).contract("orders", contract, &[]);
        project.lavra(&["check"]).exits(2).says(says).says("sources/orders.yaml:");
    };
    let kept = ["changes: debezium", "materialize: current"];
    told(ORDERS, &["materialize: current"], "does not say what happened");
    told(&ORDERS.replace("primaryKey: true, ", ""), &kept, "no primary key");
    told(&ORDERS.replacen(", required: true", "", 1), &kept, "`id` of the primary key may be missing");
    let hidden = "{ name: id, logicalType: string, primaryKey: true, required: true, classification: personal.cpf,
        customProperties: [{ property: mask, value: redact }] }";
    told(hidden, &kept, "by which no row is found again");
    told(ORDERS, &["changes: debezium", "materialize: latest"], "unknown value `latest`");
    told(ORDERS, &["changes: debezium", "materialize: { as: current, into: Orders }"], "lower-case");
    told(&format!("{ORDERS}\n    {{ name: _op, logicalType: string }}"), &kept, "what a change did");
    let versions = format!("{ORDERS}\n    {{ name: Valid_From, logicalType: string }}");
    let history = ["changes: debezium", "materialize: { as: history, into: versions }"];
    told(&versions, &history, "contracts/orders.yaml has a column `Valid_From`, by which a history says how long");
    told(&versions, &history, "sources/orders.yaml:4:");
    let current = Project::new("own");
    current.source("orders", "data/*.ndjson", &kept).contract("orders", &versions, &[]).lavra(&["check"]).exits(0);
    let two = project("current");
    two.source("more", "more/*.ndjson", &["changes: debezium", "into: orders", "contract: orders"]);
    two.lavra(&["check"]).exits(2).says("takes in `more` as well");
    two.source(
        "more",
        "more/*.ndjson",
        &["changes: debezium", "contract: orders", "materialize: { as: current, into: orders }"],
    );
    two.lavra(&["check"]).exits(2).says("is kept from the changes of `more` already");
    let made = project("current");
    made.model("silver.orders", "select 1 as one\n");
    made.lavra(&["check"]).exits(2).says("is made by models/silver/orders.sql already");
}

#[test]
fn rules_over_many_rows_are_held_in_the_table_and_not_in_the_log() {
    let rule = "{ name: note, logicalType: string, unique: true,
        quality: [{ type: sql, name: few, query: 'select count(*) from {table}', mustBeLessThan: 3 }] }";
    let contract = ORDERS.replace("{ name: note, logicalType: string }", rule);
    for way in ["current", "history"] {
        let project = project(way);
        project.contract("orders", &contract, &[]);
        let log: String = (0..5).map(|at| change("u", at * 1_000, order(1, &format!("s{at}"), "a"))).collect();
        project.write("data/1.ndjson", log + &change("c", 1_000, order(2, "new", "b")));
        project.run();
        if way == "current" {
            project.write("data/2.ndjson", change("c", 8_000, order(2, "new", "a")));
            project.run_with(&[]).exits(1).says("unique (note)");
        } else {
            let more = change("u", 9_000, order(1, "s", "c")) + &change("c", 9_000, order(3, "new", "d"));
            project.write("data/2.ndjson", more);
            project.run_with(&[]).exits(1).says("few (1 rows)");
        }
        assert_eq!(project.count("bronze.orders"), if way == "current" { 7 } else { 8 }, "the log goes on");
    }
    let log = project("current");
    log.contract("orders", &contract, &[]).source("orders", "data/*.ndjson", &["changes: debezium"]);
    log.lavra(&["check"]).exits(0).says("`few` looks at many rows at once");
}

const PEOPLE: &str = "
    { name: cpf, logicalType: string, primaryKey: true, required: true, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: city, logicalType: string }";

/// The table is a copy of personal data: it goes, and it is renewed, as the log is.
#[test]
fn people_in_the_table_are_forgotten_and_their_tokens_renewed() {
    let project = Project::new("people");
    project.source("people", "data/*.ndjson", &["changes: debezium", "materialize: current"]).contract(
        "people",
        PEOPLE,
        &[],
    );
    let person = |number: u64, city: &str| json!({ "cpf": cpf(number), "city": city });
    let all: String = (0..5).map(|number| change("c", 1_000, person(number, "A"))).collect();
    project.write("data/1.ndjson", all);
    project.run();
    let version = || project.value("select distinct split_part(cpf, '_', 1) as v from silver.people");
    assert_eq!(version(), "p1");
    let exposure = project.lavra(&["plan", "--format", "json"]).exits(0).json();
    assert_eq!(exposure[1]["exposure"], json!([]), "{exposure}");
    let rotated = project.lavra(&["keys", "rotate", "--format", "json"]).exits(0).json();
    assert_eq!(rotated["rewritten"], json!(["bronze.people", "silver.people"]), "{rotated}");
    assert_eq!(version(), "p2");
    project.write(
        "data/2.ndjson",
        change("u", 2_000, person(1, "B")) + &change("d", 2_000, json!({ "cpf": cpf(2), "city": null })),
    );
    project.run();
    assert_eq!(project.lines("select city from silver.people"), ["A", "A", "A", "B"], "old tokens and new ones meet");
    let forget = ["subject", "forget", "--kind", "cpf", "--yes", "--purge-now", "--format", "json"];
    let done = project.call(&forget).stdin(&cpf(1)).done().exits(0).json();
    assert!(done["certificate"]["tables"]["silver.people"].is_object(), "{done}");
    assert_eq!(project.lines("select city from silver.people"), ["A", "A", "A"]);
    project.lavra(&["run"]).exits(0);
    project.write("data/3.ndjson", change("u", 3_000, person(1, "C")) + &change("u", 3_000, person(3, "D")));
    project.run();
    assert_eq!(
        project.lines("select city from silver.people"),
        ["A", "A", "D"],
        "who was forgotten does not come back"
    );
}

/// What each change in turn leaves, and the log itself in files.
fn random_log(dice: &mut fastrand::Rng, files: usize, changes: usize) -> (Vec<String>, Vec<String>) {
    let (mut rows, mut log) = (BTreeMap::<u64, (String, String)>::new(), Vec::new());
    for file in 0..files {
        let mut text = String::new();
        for place in 0..changes {
            let (id, at, status) = (dice.u64(0..60), (file * changes + place) as u64 * 1000, format!("s{place}"));
            match (dice.u8(..), rows.contains_key(&id)) {
                (0, _) => {
                    rows.clear();
                    text.push_str(&change("t", at, Value::Null));
                }
                (..60, true) => {
                    rows.remove(&id);
                    text.push_str(&change("d", at, json!({ "id": id })));
                }
                (60..200, true) => {
                    let note = rows[&id].1.clone();
                    rows.insert(id, (status.clone(), note));
                    text.push_str(&change("u", at, order(id, &status, UNSENT)));
                }
                (_, is_there) => {
                    let note = format!("{:x}", dice.u64(..)).repeat(20);
                    rows.insert(id, (status.clone(), note.clone()));
                    text.push_str(&change(if is_there { "u" } else { "c" }, at, order(id, &status, &note)));
                }
            }
        }
        log.push(text);
    }
    let mut lines: Vec<String> =
        rows.into_iter().map(|(id, (status, note))| format!("{id},{status},1.50,{note}")).collect();
    lines.sort();
    (log, lines)
}

#[test]
fn kills_leave_the_table_that_a_straight_run_leaves() {
    const KILLS: u32 = 30;
    let mut dice = fastrand::Rng::with_seed(20_261_125);
    let (mut kills, mut rounds, mut longest) = (0, 0, Duration::ZERO);
    while kills < KILLS {
        let (log, expected) = random_log(&mut dice, 3, 400);
        let ways = if rounds % 2 == 0 { ["history", "current"] } else { ["current", "history"] };
        let (straight, killed) = (project(ways[0]), project(ways[1]));
        for (place, text) in log.iter().enumerate() {
            for project in [&straight, &killed] {
                project.write(&format!("data/{place}.ndjson"), text);
            }
            let start = Instant::now();
            straight.lavra(&["run", "--quiet"]).exits(0);
            longest = longest.max(start.elapsed());
            kills += under_fire(&killed, &["run", "--quiet"], longest.mul_f64(1.1), &mut dice);
        }
        rounds += 1;
        for (way, project) in ways.iter().zip([&straight, &killed]) {
            let now = if *way == "history" { " where is_current" } else { "" };
            let rows = project.lines(&format!("select id, status, amount, note from silver.orders{now}"));
            assert_eq!(rows, expected, "{way} after {kills} kills");
        }
        killed.lavra(&["run"]).exits(0).says("nothing new");
    }
    println!("{kills} kills in {rounds} rounds; a straight run takes {longest:?}");
}

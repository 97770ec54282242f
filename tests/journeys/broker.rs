//! Sources that go through a broker, here the embedded log: its tables are as if there were none.

use super::up::{Running, is_in, source, wait_for};
use crate::harness::{Project, node};
use crate::people::cpf;

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }";

fn embedded(project: &Project) {
    let name = project.read("lavra.yaml").lines().next().expect("a line").to_owned();
    project.write("lavra.yaml", format!("{name}\nenvironments:\n  local: {{ broker: 'embedded?partitions=3' }}\n"));
}

fn straight(project: &Project) {
    let name = project.read("lavra.yaml").lines().next().expect("a line").to_owned();
    project.write("lavra.yaml", format!("{name}\n"));
}

fn project(name: &str) -> Project {
    let project = Project::new(name);
    project.write("lavra.yaml", format!("project: {name}\n"));
    project.source("orders", "data/orders-*.csv", &[]).contract("orders", COLUMNS, &[]);
    project.model("gold.total", "select sum(amount) as amount, cast(count(*) as bigint) as n from bronze.orders\n");
    project
}

/// A hundred good rows and one that breaks the contract.
fn arrive(project: &Project, wave: u64) {
    let rows: String = (0..100).map(|row| format!("o{wave}-{row},{row}.50,{}\n", cpf(row))).collect();
    project.write(&format!("data/orders-{wave}.csv"), format!("id,amount,cpf\n{rows}bad{wave},much,{}\n", cpf(7)));
}

fn has(project: &Project, waves: u64) {
    let n = project.lines("select count(*), count(distinct id) from bronze.orders");
    assert_eq!(n, [format!("{0},{0}", waves * 100)]);
    assert_eq!(project.count("quarantine.orders"), waves);
    assert_eq!(project.lines("select n from gold.total"), [format!("{}", waves * 100)]);
}

#[test]
fn rows_go_through_the_log_and_come_out_once() {
    let project = project("through");
    embedded(&project);
    for wave in 0..3 {
        arrive(&project, wave);
        let run = project.run();
        let report = &node(&run, "orders")["report"];
        let told = ["rows_read", "rows_written", "rows_quarantined"].map(|field| report[field].as_u64());
        assert_eq!(told, [Some(101), Some(100), Some(1)], "{run}");
        assert_eq!(report["values_masked"]["cpf"], 101, "{run}");
        has(&project, wave + 1);
    }
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
    // Where a row came from is what it was, and rows of one key are together.
    let from = project.lines("select distinct _position['partition'] from bronze.orders order by 1");
    assert_eq!(from, ["data/orders-0.csv", "data/orders-1.csv", "data/orders-2.csv"]);
    let log = project.files_below(".lavra/log");
    assert!(log.len() > 1, "there is a log");
    for (path, bytes) in log.into_iter().chain(project.files_below("lake")) {
        let raw = (0..100).map(cpf).find(|cpf| bytes.windows(cpf.len()).any(|window| window == cpf.as_bytes()));
        assert_eq!(raw, None, "{} holds a CPF", path.display());
    }
}

#[test]
fn a_broker_may_come_later_and_may_not_be_left_unseen() {
    let project = project("later");
    arrive(&project, 0);
    project.run();
    embedded(&project);
    arrive(&project, 1);
    let run = project.run();
    assert_eq!(node(&run, "orders")["report"]["rows_read"], 101, "what the table has is not read again: {run}");
    has(&project, 2);
    straight(&project);
    project.lavra(&["run"]).exits(2).says("its rows came through a broker so far").says("set `broker:`");
    has(&project, 2);
    // Another source of the same environment goes without.
    embedded(&project);
    project.source("plain", "data/orders-*.csv", &["broker: false"]).contract("plain", COLUMNS, &[]);
    project.run();
    assert_eq!(project.count("bronze.plain"), 200);
    // Columns that nobody named have no place in a topic.
    project.contract("orders", COLUMNS, &[("schema_change", "evolve")]);
    project.lavra(&["check"]).exits(2).says("sources/orders.yaml:1").says("`broker: false` here");
}

#[test]
fn what_a_broker_is_written_as_is_checked() {
    let project = project("written");
    for (broker, says) in [
        ("http://kafka:9092", "kafka://host:9092"),
        ("embedded?partitions=none", "1 to 1000"),
        ("embedded?retention=soon", "7 days"),
        ("embedded?replication=3", "partitions"),
    ] {
        let text = format!("project: written\nenvironments:\n  local: {{ broker: '{broker}' }}\n");
        project.write("lavra.yaml", text);
        project.lavra(&["check"]).exits(2).says("lavra.yaml:3").says(says);
    }
}

/// Neither half believes the other when that is not what it was.
#[test]
fn a_table_or_a_log_that_was_removed_is_told() {
    let project = project("removed");
    embedded(&project);
    for wave in 0..2 {
        arrive(&project, wave);
        project.run();
    }
    project.lavra(&["doctor", "orders"]).exits(0);
    std::fs::rename(project.path("lake/bronze"), project.path("kept")).expect("no bronze");
    project.lavra(&["doctor", "orders"]).exits(1).says("was it removed, or brought back as it was before?");
    assert!(!project.path("lake/bronze").exists(), "a look makes no table");
    arrive(&project, 2);
    project.run_with(&[]).exits(1).says("was it removed, or brought back as it was before?");
    assert!(!project.path("lake/bronze").exists(), "nor does a run that is refused");
    std::fs::rename(project.path("kept"), project.path("lake/bronze")).expect("bronze again");
    project.run();
    has(&project, 3);
    std::fs::remove_dir_all(project.path(".lavra/log")).expect("no log");
    project
        .lavra(&["doctor", "orders"])
        .exits(1)
        .says("bronze.orders has rows that came through it, and there is no such topic now");
    arrive(&project, 3);
    project.run_with(&[]).exits(1).says("it was removed and made anew");
    assert_eq!(project.count("bronze.orders"), 300, "nothing of it is believed");
}

/// Two sources of one table have a topic and a line each.
#[test]
fn two_sources_go_into_one_table_each_by_its_own_topic() {
    let project = project("two");
    embedded(&project);
    let options =
        ["into: orders", "contract: orders", "entity: orders", "schedule: continuous", "commit_every: 1 second"];
    project.source("orders", "data/orders-*.csv", &options).source("more", "data/more-*.csv", &options);
    arrive(&project, 0);
    project.write("data/more-0.csv", "id,amount,cpf\nm1,1.00,\n");
    for file in ["data/orders-0.csv", "data/more-0.csv"] {
        project.age(file);
    }
    let up = Running::up(&project);
    wait_for("rows of both", || {
        let n = project.lavra(&["query", "--format", "csv", "select count(*) as n from bronze.orders"]);
        (n.stdout.lines().last() == Some("101")).then_some(())
    });
    is_in(&project, "bronze.more", "idle");
    is_in(&project, "bronze.orders", "idle");
    assert_eq!(up.end(), Some(0));
}

#[test]
fn in_a_long_running_process_both_halves_go_on_and_on() {
    let project = project("halves");
    project.write(
        "lavra.yaml",
        "project: halves\nenvironments:\n  local: { broker: embedded }\nup: { models_every: 1 second }\n",
    );
    let text = project.read("sources/orders.yaml") + "schedule: continuous\ncommit_every: 1 second\n";
    project.write("sources/orders.yaml", text);
    let mut dice = fastrand::Rng::with_seed(20_261_127);
    for wave in 0..6 {
        let up = Running::up(&project);
        arrive(&project, wave);
        project.age(&format!("data/orders-{wave}.csv"));
        if wave % 2 == 0 {
            let rows = (wave + 1) * 100;
            wait_for("rows in the table", || {
                let n = project.lavra(&["query", "--format", "csv", "select count(*) as n from bronze.orders"]);
                (n.stdout.lines().last() == Some(&rows.to_string())).then_some(())
            });
            is_in(&project, "bronze.orders", "idle");
            assert_eq!(source(&project, "bronze.orders")["system"], "the embedded log");
            assert_eq!(up.end(), Some(0));
        } else {
            std::thread::sleep(std::time::Duration::from_millis(dice.u64(500..2_500)));
            up.kill();
        }
    }
    let up = Running::up(&project);
    wait_for("all rows in gold", || (project.count("bronze.orders") == 600).then_some(()));
    is_in(&project, "orders", "idle");
    assert_eq!(up.end(), Some(0));
    project.run();
    has(&project, 6);
}

/// The log has one owner; whoever else needs it asks that one.
#[test]
fn a_worker_and_a_run_reach_the_log_through_the_process_that_has_it() {
    let project = project("shared");
    embedded(&project);
    for name in ["people", "others"] {
        project.source(name, &format!("data/{name}-*.csv"), &["schedule: continuous", "commit_every: 1 second"]);
        project.contract(name, COLUMNS, &[]);
    }
    let up = Running::worker(&project, "people");
    is_in(&project, "people", "idle");
    let other = Running::worker(&project, "others");
    is_in(&project, "others", "idle");
    let write = |name: &str, from: u32| {
        let rows: String = (from..from + 50).map(|row| format!("{name}{row},1.00,\n")).collect();
        project.write(&format!("data/{name}-{from}.csv"), format!("id,amount,cpf\n{rows}"));
        project.age(&format!("data/{name}-{from}.csv"));
    };
    write("people", 0);
    write("others", 0);
    arrive(&project, 0);
    project.run_with(&["orders"]).exits(0);
    assert_eq!(project.count("bronze.orders"), 100);
    project.lavra(&["doctor", "orders", "others"]).says("shared.bronze.others");
    let has =
        |name: &str, rows: u64| wait_for(name, || (project.count(&format!("bronze.{name}")) == rows).then_some(()));
    is_in(&project, "bronze.others", "idle");
    has("people", 50);
    has("others", 50);
    // The owner dies, and who asked it takes the log over.
    up.kill();
    write("others", 50);
    has("others", 100);
    let up = Running::worker(&project, "people");
    write("people", 50);
    is_in(&project, "bronze.people", "idle");
    has("people", 100);
    assert_eq!((up.end(), other.end()), (Some(0), Some(0)));
}

/// What waits in a log is in the tables before a person is forgotten, and the certificate says what the log keeps.
#[test]
fn who_is_forgotten_does_not_come_back_out_of_a_log() {
    let project = project("forgotten");
    embedded(&project);
    arrive(&project, 0);
    project.run();
    let forget = project.call(&["subject", "forget", "--kind", "cpf", "--yes", "--format", "json"]).stdin(&cpf(7));
    forget.done().exits(0).says("topic forgotten.bronze.orders of the embedded log");
    project.run();
    assert_eq!(project.count("bronze.orders"), 99);
    arrive(&project, 1);
    project.run();
    assert_eq!(project.count("bronze.orders"), 198, "later rows of the person are let go");
}

//! Keys have versions: a new one breaks no join, and keys that can't be had stop a run before a row passes.

use crate::harness::Project;
use crate::people::cpf;
use serde_json::{Value, json};

const CPF: &str = "{ name: cpf, logicalType: string, classification: personal.cpf, \
                   customProperties: [{ property: mask, value: 'pseudonym(person)' }] }";

/// Two sources about the same people, and a table of both.
fn project() -> Project {
    let project = Project::new("keys");
    for source in ["cards", "transfers"] {
        project.source(source, &format!("data/{source}-*.csv"), &[]).contract(source, CPF, &[]);
    }
    project.model("silver.both", "select l.cpf from bronze.cards l join bronze.transfers r on l.cpf = r.cpf");
    project
}

fn people(project: &Project, file: &str, numbers: std::ops::Range<u64>) {
    let rows: String = numbers.map(|n| format!("{}\n", cpf(n))).collect();
    project.write(&format!("data/{file}.csv"), format!("cpf\n{rows}"));
}

fn status(project: &Project) -> Value {
    project.lavra(&["keys", "status", "--format", "json"]).exits(0).json()
}

fn rotate(project: &Project) -> Value {
    project.lavra(&["keys", "rotate", "--format", "json"]).exits(0).json()
}

/// The version that every token of the lake carries.
fn carried(project: &Project) -> u64 {
    let tables = ["bronze.cards", "bronze.transfers", "silver.both"];
    let all = tables.map(|table| format!("select split_part(cpf, '_', 1) as v from {table}")).join(" union all ");
    let version = project.value(&format!("select v from ({all}) group by v"));
    version.as_str().and_then(|v| v.strip_prefix('p')).and_then(|v| v.parse().ok()).expect("one version")
}

#[test]
fn a_new_key_is_used_at_once_where_nothing_carries_the_old_one() {
    let project = project();
    let before = status(&project);
    assert_eq!((&before["carried"], &before["available"]), (&1.into(), &true.into()), "{before}");
    assert_eq!(before["versions"][0]["state"], "used", "{before}");
    let done = rotate(&project);
    assert_eq!((&done["version"], &done["made"], &done["carried"]), (&2.into(), &true.into(), &2.into()), "{done}");
    people(&project, "cards-1", 0..10);
    people(&project, "transfers-1", 5..15);
    project.run();
    assert_eq!((project.count("silver.both"), carried(&project)), (5, 2));
    let columns = &status(&project)["versions"][1]["columns"];
    let of = |table: &str| {
        columns.as_array().into_iter().flatten().find(|c| c["table"] == table).map(|c| c["values"].clone())
    };
    assert_eq!((of("bronze.cards"), of("silver.both")), (Some(10.into()), Some(5.into())), "{columns}");
}

#[test]
fn every_join_holds_over_a_rotation() {
    let project = project();
    people(&project, "cards-1", 0..10);
    people(&project, "transfers-1", 5..8);
    project.run();
    let done = rotate(&project);
    assert_eq!((&done["version"], &done["made"], &done["carried"]), (&2.into(), &true.into(), &2.into()), "{done}");
    assert_eq!(done["rewritten"], json!(["bronze.cards", "bronze.transfers", "silver.both"]), "{done}");
    assert_eq!(carried(&project), 2);
    project.run();
    assert_eq!(project.count("bronze.cards"), 10, "no source is read again");
    people(&project, "transfers-2", 8..15);
    people(&project, "cards-2", 10..15);
    project.run();
    assert_eq!(project.count("silver.both"), 10, "old rows and new ones meet");
    assert_eq!(status(&project)["carried"], carried(&project), "masks use what the tables carry");
    project.lavra(&["keys", "status"]).exits(0).says("bronze.cards.cpf");
}

#[test]
fn a_rotation_that_was_cut_off_is_ended_and_no_run_mixes_versions() {
    let project = project();
    people(&project, "cards-1", 0..10);
    people(&project, "transfers-1", 0..1);
    project.write("lake/_lavra/keys/2.begun.json", "{}");
    project.lavra(&["run"]).exits(1).says("lavra keys rotate");
    let done = rotate(&project);
    assert_eq!((&done["version"], &done["carried"]), (&2.into(), &2.into()), "{done}");
    project.run();
    assert_eq!(project.count("bronze.cards"), 10);
}

#[test]
fn no_row_passes_while_the_key_system_is_away() {
    let project = project();
    project.write(
        "lavra.yaml",
        "project: keys\nenvironments:\n  local: { keys: 'vault+http://127.0.0.1:1/transit/lavra', keys_cache: 1 minute }\n",
    );
    people(&project, "cards-1", 0..10);
    project.lavra(&["check"]).exits(0);
    project.lavra(&["run"]).exits(2).says("VAULT_TOKEN");
    let call = |args: &[&str]| project.call(args).env("VAULT_TOKEN", "hunter2-hunter2").done();
    let run = call(&["run"]).exits(4).says("no row passes");
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("hunter2"), "the token is told to nobody");
    assert!(project.files_below("lake").is_empty(), "nothing was written");
    let told = call(&["keys", "status", "--format", "json"]).exits(4).json();
    assert_eq!((&told["available"], &told["carried"]), (&false.into(), &1.into()), "{told}");
    call(&["keys", "rotate"]).exits(4);
}

#[test]
fn a_slip_in_the_address_is_told_before_anything_is_opened() {
    let project = project();
    project.write("lavra.yaml", "project: keys\nenvironments:\n  local: { keys: 'valt://vault:8200/transit/lavra' }\n");
    project.lavra(&["check"]).exits(2).says("did you mean `vault`?");
}

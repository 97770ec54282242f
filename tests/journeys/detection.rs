//! Personal data is found: in files, sources and tables, in free text, by a project's own rules, and where a column begins
//! to carry it.

use crate::harness::{Project, node};
use crate::people::{cpf, dotted};
use serde_json::Value;

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: notes, logicalType: string }";

fn clean(from: usize) -> String {
    let lines: String = (from..from + 50).map(|n| format!("{n},pedido {n} entregue\n")).collect();
    format!("id,notes\n{lines}")
}

/// Day 1: fifty clean notes are in the lake.
fn day_one(columns: &str, policies: &[(&str, &str)]) -> Project {
    let project = Project::new("drift");
    project.source("tickets", "data/*.csv", &[]).contract("tickets", columns, policies);
    project.write("data/day1.csv", clean(0)).run();
    assert_eq!(project.count("bronze.tickets"), 50);
    project
}

/// Day 2: three of fifty notes have a CPF.
fn day_two(project: &Project) -> Vec<String> {
    let people: Vec<String> = [7, 11, 13].map(|n| dotted(&cpf(n * 1_234_567))).to_vec();
    let lines: String = people.iter().enumerate().map(|(n, who)| format!("p{n},ligar para {who} amanhã\n")).collect();
    project.write("data/day2.csv", clean(100) + &lines);
    people
}

fn nothing_is_told(said: &str, people: &[String]) {
    assert!(people.iter().all(|who| !said.contains(who.as_str())), "{said}");
}

fn nothing_is_kept(project: &Project, people: &[String]) {
    for (path, bytes) in project.files_below("lake") {
        for who in people {
            let found = bytes.windows(who.len()).any(|window| window == who.as_bytes());
            assert!(!found, "a CPF in {}", path.display());
        }
    }
}

#[test]
fn a_column_that_starts_to_carry_cpfs_is_quarantined() {
    let project = day_one(COLUMNS, &[]);
    let people = day_two(&project);
    let answer = project.run_with(&[]).exits(0);
    nothing_is_told(&format!("{}{}", answer.stdout, answer.stderr), &people);
    let report = node(&answer.json(), "tickets")["report"].clone();
    assert_eq!(report["quarantined_because"]["notes: personal_data"], 3, "{report}");
    assert!(report["warning"].as_str().is_some_and(|told| told.contains("notes: cpf")), "{report}");
    assert_eq!(project.count("bronze.tickets"), 100);
    let aside = project.rows("select rule, \"column\", reason, \"row\" from quarantine.tickets");
    assert_eq!(aside.len(), 3);
    for row in &aside {
        assert_eq!((row["rule"].as_str(), row["column"].as_str()), (Some("personal_data"), Some("notes")));
        assert!(row["row"].as_str().is_some_and(|row| row.contains("***")), "{row}");
        assert!(row["reason"].as_str().is_some_and(|why| why.contains("holds_personal_data: false")), "{row}");
    }
    nothing_is_kept(&project, &people);
}

#[test]
fn a_contract_can_say_that_the_run_fails() {
    let project = day_one(COLUMNS, &[("on_personal_data", "fail")]);
    let people = day_two(&project);
    let answer = project.run_with(&[]).exits(3).says("classification: personal.cpf");
    nothing_is_told(&format!("{}{}", answer.stdout, answer.stderr), &people);
    assert_eq!(project.count("bronze.tickets"), 50);
    nothing_is_kept(&project, &people);
}

#[test]
fn a_contract_can_say_to_be_warned_only() {
    let project = day_one(COLUMNS, &[("on_personal_data", "warn")]);
    day_two(&project);
    let report = node(&project.run(), "tickets")["report"].clone();
    assert!(report["warning"].as_str().is_some_and(|told| told.contains("notes: cpf")), "{report}");
    assert_eq!((project.count("bronze.tickets"), report["rows_quarantined"].as_u64()), (103, Some(0)));
}

#[test]
fn a_column_that_states_to_be_nobodys_is_taken_as_it_is() {
    let stated = [
        "{ name: notes, logicalType: string, classification: public }",
        "{ name: notes, logicalType: string, customProperties: [{ property: holds_personal_data, value: false }] }",
    ];
    for notes in stated {
        let id = "{ name: id, logicalType: string, primaryKey: true, required: true }";
        let project = day_one(&format!("{id}\n{notes}"), &[]);
        day_two(&project);
        let report = node(&project.run(), "tickets")["report"].clone();
        assert_eq!((project.count("bronze.tickets"), &report["warning"]), (103, &Value::Null), "{notes}");
    }
}

fn scanned(project: &Project, what: &str) -> Vec<Value> {
    let found = project.lavra(&["scan", what, "--format", "json"]).exits(0).json();
    found.as_array().cloned().unwrap_or_else(|| panic!("one array: {found}"))
}

fn of<'a>(found: &'a [Value], column: &str) -> &'a Value {
    found.iter().find(|record| record["column"] == column).unwrap_or_else(|| panic!("no column {column}: {found:?}"))
}

#[test]
fn scan_tells_the_same_of_a_file_a_source_and_a_table() {
    let project = Project::new("scanned");
    let columns = "{ name: id, logicalType: string }
        { name: cpf, logicalType: string, classification: personal.cpf }
        { name: notes, logicalType: string, classification: public }";
    project.source("people", "data/people.csv", &[]).contract("people", columns, &[]);
    let lines: String = (1..60).map(|n| format!("{n},{},nota {n}\n", dotted(&cpf(n * 7_654_321)))).collect();
    project.write("data/people.csv", format!("id,cpf,notes\n{lines}"));
    for what in ["data/people.csv", "people"] {
        let found = scanned(&project, what);
        let (document, notes) = (of(&found, "cpf"), of(&found, "notes"));
        assert_eq!((document["kind"].as_str(), document["table"].as_str()), (Some("cpf"), Some("people")), "{what}");
        assert_eq!(document["classification"], "personal.cpf");
        assert_eq!(document["examples"].as_array().map(Vec::len), Some(3));
        assert!(document["confidence"].as_f64() > Some(0.9) && document["share"].as_f64() > Some(0.9), "{document}");
        let keys = ["table", "column", "kind", "confidence", "share", "examples", "classification", "mask"];
        assert!(keys.iter().all(|key| notes.get(key).is_some()) && notes["kind"].is_null(), "{notes}");
        nothing_is_told(&format!("{found:?}"), &(1..60).map(|n| dotted(&cpf(n * 7_654_321))).collect::<Vec<_>>());
    }
    project.run();
    let found = scanned(&project, "bronze.people");
    assert!(of(&found, "cpf")["kind"].is_null(), "what is masked is nobody's: {found:?}");
}

#[test]
fn free_text_is_scrubbed_in_place() {
    let project = Project::new("scrubbed");
    let who = dotted(&cpf(123_456_789));
    let lines: String =
        (0..20).map(|n| format!("{n},cliente pede contato com {who} por ana@example.com hoje\n")).collect();
    project.write("data/calls.csv", format!("id,notes\n{lines}"));
    assert_eq!(of(&scanned(&project, "data/calls.csv"), "notes")["mask"], "scrub");
    project.lavra(&["scan", "data/calls.csv", "--write"]).exits(0);
    project.run();
    let notes = project.lines("select distinct notes from bronze.calls");
    assert_eq!(notes, ["cliente pede contato com <cpf> por <email> hoje"]);
    nothing_is_kept(&project, &[who]);
}

/// `check` would refuse a contract that names it, and with that the whole project.
#[test]
fn a_column_called_like_one_of_lavras_own_is_left_out_and_told() {
    let project = Project::new("kept");
    project.write("data/o.csv", "id,_op,_source,amount\n1,d,a,5\n2,u,b,6\n");
    project.lavra(&["scan", "data/o.csv", "--write"]).exits(0).says("`_source` is not in the contract");
    project.lavra(&["check"]).exits(0);
    project.run_with(&["--retries", "0"]).exits(1).says("the name `_source` is kept for Lavra's own columns");
    project.write("data/o.csv", "id,_op,amount\n1,d,5\n2,u,6\n");
    project.run();
    assert_eq!(project.lines("select id, _op from bronze.o"), ["1,d", "2,u"], "only change logs have an `_op` of ours");
}

#[test]
fn a_projects_own_kinds_are_checked_scanned_and_watched() {
    let project = day_one(COLUMNS, &[]);
    project.write(
        "privacy.yaml",
        "patterns:\n  - { kind: employee_id, pattern: 'E[0-9]{6}', mask: pseudonym(staff) }\n\
         dictionaries:\n  - { kind: ward, file: dictionaries/wards.txt, classification: sensitive.ward }\n",
    );
    project.write("dictionaries/wards.txt", "Ala Norte\nAla Sul\n");
    project.lavra(&["check"]).exits(0);
    let lines: String = (0..30).map(|n| format!("E{n:06},ALA NORTE\n")).collect();
    project.write("staff.csv", format!("a,b\n{lines}"));
    let found = scanned(&project, "staff.csv");
    assert_eq!(
        (of(&found, "a")["kind"].as_str(), of(&found, "a")["mask"].as_str()),
        (Some("employee_id"), Some("pseudonym(staff)"))
    );
    assert_eq!(of(&found, "b")["classification"], "sensitive.ward");
    project.write("data/day2.csv", "id,notes\nx1,falar com E123456\nx2,ok\n");
    let report = node(&project.run(), "tickets")["report"].clone();
    assert_eq!(report["quarantined_because"]["notes: personal_data"], 1, "{report}");
    project.write("privacy.yaml", "patterns:\n  - { kind: anything, pattern: '[0-9]*' }\n");
    project.lavra(&["check"]).exits(2).says("privacy.yaml:2:").says("matches the empty text");
}

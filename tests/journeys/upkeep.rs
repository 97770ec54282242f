//! What a run does beside its tables: it is told, it can be asked for alone, and what the law or a lost vault forbids is refused.

use crate::harness::Project;
use crate::people::cpf;
use serde_json::{Value, json};

const PEOPLE: &str = "
    { name: cpf, logicalType: string, required: true, classification: personal.cpf,
        customProperties: [{ property: mask, value: token(person) }] }
    { name: card, logicalType: string, classification: personal.card,
        customProperties: [{ property: mask, value: fpe(card) }] }
    { name: city, logicalType: string }";

fn project() -> Project {
    let project = Project::new("upkeep");
    project.source("people", "data/people-*.csv", &[]).contract("people", PEOPLE, &[]);
    project.model("silver.people", "select cpf as person, upper(card) as card, city from bronze.people\n");
    arrive(&project, 0);
    project.run();
    project
}

fn arrive(project: &Project, wave: u64) {
    let rows: String = (0..5).map(|n| format!("{},4539148803436467,c{n}\n", cpf(n + wave))).collect();
    project.write(&format!("data/people-{wave}.csv"), format!("cpf,card,city\n{rows}"));
}

#[test]
fn upkeep_is_told_and_can_be_asked_for_alone() {
    let project = project();
    let run = project.run();
    assert_eq!(run["upkeep"], json!({ "aged": [], "vacuumed": [], "purged": [], "failed": [] }), "{run}");
    let plan = project.lavra(&["maintain", "--dry-run", "--format", "json"]).exits(0).json();
    assert_eq!(plan["aged"], json!([]), "{plan}");
    assert_eq!(project.lavra(&["maintain", "--format", "json"]).exits(0).json()["exit"], 0);
    let dry = project.lavra(&["run", "--dry-run", "--format", "json"]).exits(0).json();
    assert!(dry["upkeep"]["aged"].is_array(), "{dry}");
}

#[test]
fn a_hold_is_checked_kept_to_and_in_the_papers() {
    let project = project();
    let hold = |text: &str| project.write("policies/holds.yaml", format!("tax: {{ {text} }}\n"));
    hold("table: bronze.peple, until: 2999-12-31, reason: audit, by: legal");
    project.lavra(&["check"]).exits(2).says("did you mean `bronze.people`").says("policies/holds.yaml:1");
    hold("table: bronze.people, until: soon, reason: audit, by: legal");
    project.lavra(&["check"]).exits(2).says("2031-12-31");
    hold("table: bronze.people, until: 2999-12-31, reason: audit, by: legal");
    let report = project.lavra(&["privacy", "report", "--format", "json"]).exits(0).json();
    let expected = json!({ "until": "2999-12-31", "reason": "audit", "by": "legal" });
    for table in ["bronze.people", "quarantine.people", "silver.people"] {
        assert_eq!(report["holds"][table], expected, "{report}");
    }
    project.lavra(&["privacy", "report"]).exits(0).says("Kept by law");
    let forget = ["subject", "forget", "--kind", "cpf", "--yes", "--format", "json"];
    let done = project.call(&forget).stdin(&cpf(1)).done().exits(0).json();
    assert_eq!(done["certificate"]["holds"]["bronze.people"], expected, "{done}");
    assert_eq!(project.count("bronze.people"), 5);
    let person = done["pseudonym"].as_str().expect("a name").to_owned();
    assert_eq!(done["certificate"]["places"]["vault"], 0, "what opens held rows is held: {done}");
    hold(&format!("subject: {person}, until: 2999-12-31, reason: a court, by: judge"));
    let refused = project.call(&forget).stdin(&cpf(1)).done().exits(3).says("a court (by judge)");
    assert_eq!(refused.json()["certificate"]["tables"], json!({}), "{refused:?}");
    assert_eq!(project.count("bronze.people"), 5);
    project.write("policies/holds.yaml", "{}\n");
    project.call(&forget).stdin(&cpf(1)).done().exits(0);
    assert_eq!(project.count("bronze.people"), 4);
}

#[test]
fn a_vault_that_was_lost_is_noticed_and_one_that_is_put_back_goes_on() {
    let project = project();
    project.shell("mkdir aside && mv .lavra/vault.db* aside/").exits(0);
    arrive(&project, 5);
    project.run_with(&[]).exits(3).says("another vault").says("from a backup");
    assert_eq!(project.count("bronze.people"), 5);
    project.shell("ls .lavra/vault.db").exits(2);
    project.shell("mv aside/vault.db* .lavra/").exits(0);
    project.run();
    assert_eq!(project.count("bronze.people"), 10);
}

#[test]
fn an_export_opens_tokens_and_fpe_and_can_be_a_zip() {
    let project = project();
    let export = |to: &str| {
        let call = ["subject", "export", "--kind", "cpf", "--output", to, "--format", "json"];
        project.call(&call).stdin(&cpf(1)).done().exits(0).json()
    };
    let manifest = export("copy.zip");
    let opened = |name: &str| {
        let tables = manifest["tables"].as_array().expect("tables");
        tables.iter().find(|table| table["table"] == name).map(|table| table["opened"].clone())
    };
    assert_eq!(opened("bronze.people"), Some(json!(["cpf", "card"])), "{manifest}");
    assert_eq!(
        opened("silver.people"),
        Some(json!(["person"])),
        "only what the mask made is opened by FF1: {manifest}"
    );
    project.shell("python3 -m zipfile -e copy.zip unzipped && stat -c %a copy.zip").exits(0).says("600");
    let rows: Value = serde_json::from_str(&project.read("unzipped/bronze.people.json")).expect("JSON");
    let row = &rows.as_array().expect("rows")[0];
    assert_eq!(
        (row["cpf"].as_str(), row["card"].as_str()),
        (Some(cpf(1).as_str()), Some("4539148803436467")),
        "{rows}"
    );
    let inside: Value = serde_json::from_str(&project.read("unzipped/manifest.json")).expect("a manifest");
    assert_eq!(inside["tables"], manifest["tables"]);
    project.call(&["subject", "export", "--kind", "cpf", "--output", "copy.zip"]).stdin(&cpf(1)).done().exits(1);
    export("folder");
    assert!(project.read("folder/bronze.people.ndjson").contains(&cpf(1)));
}

//! A project with a dozen mistakes: all of them at once, each with its place and what may have been meant.

use crate::harness::Project;
use serde_json::Value;
use std::path::PathBuf;

const GOOD: &str = "
    { name: id, logicalType: string, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }";

/// File, line, words of the message, words of the help.
const MISTAKES: [(&str, u64, &str, &str); 16] = [
    ("lavra.yaml", 2, "environmnets", "environments"),
    ("sources/feed.yaml", 1, "there is no connector `fiels`", "files"),
    ("sources/place.yaml", 3, "heder", "header"),
    ("sources/ghost.yaml", 3, "contracts/ordres.yaml", "orders"),
    ("sources/unset.yaml", 2, "LAVRA_NOT_SET", ""),
    ("contracts/badfield.yaml", 9, "logicalTyp", "logicalType"),
    ("contracts/badfield.yaml", 10, "expected true or false", ""),
    ("contracts/double.yaml", 11, "double", ""),
    ("contracts/hashed.yaml", 9, "a hash without a key", "pseudonym"),
    ("contracts/typo.yaml", 9, "pseudonim", "pseudonym"),
    ("models/gold/circle.sql", 1, "gold.circle", ""),
    ("models/gold/column.sql", 1, "amuont", "amount"),
    ("models/gold/header.sql", 1, "wirte", "write"),
    ("models/gold/header.sql", 2, "amonut", "amount"),
    ("models/gold/table.sql", 2, "bronze.oders", "bronze.orders"),
    ("models/gold/types.sql", 1, "", ""),
];

fn broken() -> Project {
    let project = Project::new("broken");
    project.write("lavra.yaml", "project: broken\nenvironmnets: {}\n");
    project.source("orders", "data/orders*.csv", &[]).contract("orders", GOOD, &[]);
    project.write("sources/feed.yaml", "connector: fiels\npath: data/feed.csv\ncontract: orders\nentity: orders\n");
    project.source("place", "data/p.csv", &["heder: true", "contract: orders", "entity: orders"]);
    project.write("sources/ghost.yaml", "connector: files\npath: data/ghost.csv\ncontract: ordres\n");
    project.write(
        "sources/unset.yaml",
        "connector: files\npath: ${LAVRA_NOT_SET}/x.csv\ncontract: orders\nentity: orders\n",
    );
    let bad_fields = "{ name: id, logicalTyp: string }\n{ name: other, logicalType: string, required: perhaps }";
    project.contract("badfield", bad_fields, &[]);
    let double = crate::harness::contract("double", "{ name: id, logicalType: string }", &[]);
    project.write(
        "contracts/double.yaml",
        format!("{double}\n  - name: double\n    properties:\n      - {{ name: id, logicalType: string }}\n"),
    );
    let masked = |mask: &str| {
        format!(
            "{{ name: cpf, logicalType: string, classification: personal.cpf, customProperties: [{{ property: mask, value: {mask} }}] }}"
        )
    };
    project.source("hashed", "data/h.csv", &[]).contract("hashed", &masked("sha256"), &[]);
    project.source("typo", "data/t.csv", &[]).contract("typo", &masked("pseudonim(person)"), &[]);
    project
        .model("gold.circle", "select id from silver.circle\n")
        .model("silver.circle", "select id from gold.circle\n");
    project.model("gold.column", "select id, amuont from bronze.orders\n");
    project.model("gold.header", "-- wirte: merge\nselect id, amonut from bronze.orders\n");
    project.model("gold.table", "select id\nfrom bronze.oders\n");
    project.model("gold.types", "select amount + id + true as wrong from bronze.orders\n");
    project.write("data/orders.csv", "id,amount,cpf\n1,2.00,111.444.777-35\n");
    project
}

fn contains(fault: &Value, words: &str) -> bool {
    fault.to_string().replace("\\n", " ").contains(words)
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places_and_nothing_is_written() {
    let project = broken();
    let before: Vec<PathBuf> = project.files_below(".").into_iter().map(|(path, _)| path).collect();
    let answer = project.lavra(&["check", "--format", "json"]).exits(2);
    let faults = answer.json()["faults"].as_array().cloned().expect("faults");
    let mut untold = Vec::new();
    for (file, line, message, help) in MISTAKES {
        let told = faults.iter().any(|f| {
            f["file"] == file
                && f["line"].as_u64().unwrap_or(1) == line
                && contains(&f["message"], message)
                && contains(f, help)
        });
        if !told {
            untold.push(format!("{file}:{line}: {message} ({help})"));
        }
    }
    let list: Vec<String> = faults.iter().map(Value::to_string).collect();
    assert!(untold.is_empty(), "not told:\n{}\ntold:\n{}", untold.join("\n"), list.join("\n"));
    let people = project.lavra(&["check"]).exits(2).says("models/gold/table.sql:2").says("^").says("Nothing was run");
    assert!(people.stdout.is_empty(), "faults are for stderr: {people:?}");
    project.lavra(&["run"]).exits(2);
    let after: Vec<PathBuf> = project.files_below(".").into_iter().map(|(path, _)| path).collect();
    assert_eq!(after, before, "a project with faults writes nothing");
    assert!(!project.path("lake").exists());
}

#[test]
fn one_mistake_is_told_once_and_not_again_by_those_who_depend_on_it() {
    let project = Project::new("chain");
    project.source("orders", "data/o.csv", &[]);
    project.contract("orders", "{ name: id, logicalType: string, requird: true }", &[]);
    project
        .model("silver.orders", "select id from bronze.orders\n")
        .model("gold.ids", "select id from silver.orders\n");
    let faults = project.lavra(&["check", "--format", "json"]).exits(2).json()["faults"].clone();
    assert_eq!(faults.as_array().map(Vec::len), Some(1), "{faults}");
}

#[test]
fn what_the_environment_says_is_used_and_never_shown() {
    let project = Project::new("environment");
    project.contract("orders", "{ name: id, logicalType: string }", &[]);
    project.write("sources/orders.yaml", "connector: files\npath: ${FOLDER:-data}/orders.csv\n");
    project.write("data/orders.csv", "id\n1\n").write("elsewhere/orders.csv", "id\n2\n3\n");
    project.call(&["run", "--quiet"]).env("FOLDER", "elsewhere").done().exits(0);
    assert_eq!(project.count("bronze.orders"), 2);
    project.write("sources/orders.yaml", "connector: files\npath: data/orders.csv\nheader: ${LAVRA_SECRET}\n");
    let answer = project.call(&["check"]).env("LAVRA_SECRET", "hunter2-hunter2").done().exits(2).says("header");
    assert!(!format!("{}{}", answer.stdout, answer.stderr).contains("hunter2"), "{answer:?}");
}

#[test]
fn personal_columns_get_a_mask_even_when_the_contract_names_none() {
    let project = Project::new("defaults");
    project.write("lavra.yaml", "project: defaults\nmasks:\n  personal.email: redact\n");
    let columns = "{ name: email, logicalType: string, classification: personal.email }\n\
        { name: cpf, logicalType: string, classification: personal.cpf }";
    project.source("people", "data/p.csv", &[]).contract("people", columns, &[]);
    project.write("data/p.csv", "email,cpf\nana@example.com,111.444.777-35\n");
    project.run();
    let row = &project.rows("select email, cpf from bronze.people")[0];
    assert!(!row.to_string().contains("ana@") && !row.to_string().contains("111"), "{row}");
    project.write("lavra.yaml", "project: defaults\nmasks:\n  personal.email: redac\n");
    project.lavra(&["check"]).exits(2).says("redac");
}

#[test]
fn what_hides_nothing_is_refused_before_a_row_is_read() {
    let mask = |mask: &str| format!("customProperties: [{{ property: mask, value: '{mask}' }}]");
    let custom = "customProperties: [{ property: Mask, value: redact }]";
    for (column, says) in [
        (
            format!(
                "{{ name: c, logicalType: date, classification: personal.birth_date, {} }}",
                mask("generalize(day)")
            ),
            "birth",
        ),
        (
            format!(
                "{{ name: c, logicalType: integer, classification: personal.cpf, {} }}",
                mask("generalize(bin: 10)")
            ),
            "pseudonym",
        ),
        (format!("{{ name: c, logicalType: integer, {} }}", mask("generalize(bin: 1)")), "hides nothing"),
        (format!("{{ name: c, logicalType: string, {custom} }}"), "did you mean `mask`?"),
        ("{ name: c, logicalType: string, classification: personal_cpf }".to_owned(), "did you mean `personal.cpf`?"),
        ("{ name: c, logicalType: string, classification: cpf }".to_owned(), "did you mean `personal.cpf`?"),
        (format!("{{ name: c, logicalType: string, {} }}", mask("md5")), "a hash without a key"),
    ] {
        // No source uses it yet.
        let project = Project::new("weak");
        project.contract("people", &column, &[]);
        project.lavra(&["check"]).exits(2).says(says).says("contracts/people.yaml:9");
    }
}

#[test]
fn a_class_in_capitals_is_the_same_class() {
    let project = Project::new("capitals");
    project.source("people", "data/p.csv", &[]);
    project.contract("people", "{ name: cpf, logicalType: string, classification: Personal.CPF }", &[]);
    project.write("data/p.csv", "cpf\n111.444.777-35\n");
    project.run();
    let row = &project.rows("select cpf from bronze.people")[0];
    assert!(row["cpf"].as_str().is_some_and(|token| token.starts_with("p1_")), "{row}");
}

#[test]
fn a_secret_of_the_environment_is_in_no_message() {
    let head = "apiVersion: v3.1.0\nkind: DataContract\nid: o\nversion: 1.0.0\nstatus: active\nschema:\n  - name: o\n    properties:\n";
    let secret = "${LAVRA_SECRET}";
    let source = |line: &str| ("sources/o.yaml", format!("connector: files\npath: data/o.csv\n{line}\n"));
    let column = |column: &str| ("contracts/o.yaml", format!("{head}      - {column}\n"));
    let files = [
        ("sources/o.yaml", format!("connector: {secret}\npath: data/o.csv\n")),
        ("sources/o.yaml", format!("connector: files\npath: '{secret}://x'\n")),
        source(&format!("format: {secret}")),
        source(&format!("on_replaced: {secret}")),
        source(&format!("batch_rows_max: {secret}")),
        source(&format!("contract: {secret}")),
        source(&format!("entity: {secret}")),
        source(&format!("into: {secret}")),
        ("lavra.yaml", format!("project: o\nmasks: {{ personal.cpf: '{secret}' }}\n")),
        ("lavra.yaml", format!("project: o\nenvironments: {{ local: {{ keys: '{secret}://x' }} }}\n")),
        column(&format!("{{ name: id, logicalType: string, physicalType: 'decimal({secret})' }}")),
        column(&format!(
            "{{ name: '{secret}', logicalType: string }}\n      - {{ name: '{secret}', logicalType: string }}"
        )),
        column(&format!(
            "{{ name: id, logicalType: string, quality: [{{ type: sql, query: 'select {secret}', mustBe: 0 }}] }}"
        )),
        column(&format!(
            "{{ name: id, logicalType: string, customProperties: [{{ property: mask, value: '{secret}' }}] }}"
        )),
        ("tests/t.yaml", format!("model: '{secret}'\nexpect: []\n")),
        ("models/gold/o.sql", format!("-- write: merge\n-- key: ['{secret}']\nselect id from bronze.o\n")),
    ];
    for (file, text) in files {
        let project = Project::new("secrets");
        project.source("o", "data/o.csv", &[]).contract("o", "{ name: id, logicalType: string }", &[]);
        project.write(file, &text);
        for command in ["check", "run", "plan"] {
            let answer = project.call(&[command]).env("LAVRA_SECRET", "Hunter2-secret").done().exits(2);
            let said = format!("{}{}", answer.stdout, answer.stderr).to_lowercase();
            assert!(!said.contains("hunter2"), "{file}: {text}\n{answer:?}");
        }
    }
}

#[test]
fn a_place_that_nothing_reaches_is_told() {
    let project = Project::new("places");
    for line in ["keys: valt://vault:8200/transit", "lake: s4://bucket/lake"] {
        project.write("lavra.yaml", format!("project: places\nenvironments:\n  local:\n    {line}\n"));
        project.lavra(&["check"]).exits(2).says("lavra.yaml:4").says("it can be");
    }
}

#[test]
fn faults_do_not_hide_each_other() {
    let project = Project::new("together");
    project.contract("orders", GOOD, &[]);
    project.write("sources/many.yaml", "connector: fiels\npath: a.csv\ncontract: ordres\nschedule: now\ntags: x\n");
    project.write("sources/key.yaml", "conector: files\npath: a.csv\n");
    project.write("sources/own.yaml", "connector: files\npath: a.csv\nformat: cvs\ncontrct: orders\n");
    let sum = "quality: [{ type: sql, query: 'select sum(amuont) from {table}', mustBeGreaterThan: 0 }]";
    project.contract("sums", &format!("{{ name: amount, logicalType: number, {sum} }}"), &[]);
    project.source("orders", "data/o.csv", &[]).model("gold.ids", "select id from bronze.orders\n");
    project.write(
        "tests/ids.yaml",
        "model: gold.ids\ngiven:\n  bronze.ordres: []\n  bronze.orders:\n    - { idd: '1' }\nexpect:\n  - { ids: '1' }\n",
    );
    let answer = project.lavra(&["check"]).exits(2);
    for says in [
        "there is no connector `fiels`",
        "contracts/ordres.yaml",
        "this is no schedule",
        "sources/many.yaml:5",
        "unknown field `conector`",
        "did you mean `connector`?",
        "unknown value `cvs`",
        "did you mean `csv`?",
        "did you mean `contract`?",
        "amuont",
        "did you mean `amount`?",
        "the model does not read `bronze.ordres`",
        "no column `idd`",
        "no column `ids`",
    ] {
        assert!(answer.stderr.contains(says), "{says}: {}", answer.stderr);
    }
}

#[test]
fn every_column_of_a_query_that_is_not_there_is_told_at_its_place() {
    let project = Project::new("columns");
    project.source("orders", "data/o.csv", &[]).contract("orders", GOOD, &[]);
    project.model("silver.all", "select o.idd,\n  amuont, id\nfrom bronze.orders o\nwhere x > 1\n");
    project.model("silver.b", "select id from silver.c\n").model("silver.c", "select id\nfrom silver.b\n");
    let answer = project.lavra(&["check"]).exits(2);
    for says in ["all.sql:1", "`idd`", "all.sql:2", "`amuont`", "all.sql:4", "`x`", "circle", "b.sql:1"] {
        assert!(answer.stderr.contains(says), "{says}: {}", answer.stderr);
    }
}

#[test]
fn a_column_with_a_name_of_lavras_own_is_refused_in_any_case() {
    let project = Project::new("kept");
    project.source("orders", "data/o.csv", &[]);
    for name in ["_source", "_Source", "_RUN_ID"] {
        project.contract("orders", &format!("{{ name: {name}, logicalType: string }}"), &[]);
        project.lavra(&["check"]).exits(2).says("kept for the gate's own columns").says("orders.yaml:");
    }
}

#[test]
fn a_column_that_says_to_be_personal_and_is_open_is_warned_of() {
    let project = Project::new("open");
    project.source("people", "data/p.csv", &[]);
    project.contract("people", "{ name: cpf, logicalType: string, tags: [pii] }", &[]);
    project.lavra(&["check"]).exits(0).says("has the tag `pii` and has no mask");
}

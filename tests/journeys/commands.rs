//! Every command in both formats, and the exit codes.

use crate::harness::{Answer, Project};

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)', required: true }";

fn project() -> Project {
    let project = Project::new("every_command");
    project.source("orders", "data/orders*.csv", &["tags: [finance]"]).contract("orders", COLUMNS, &[]);
    project.write("data/orders.csv", "id,amount\n1,10.00\n2,x\n");
    project.model("gold.total", "select sum(amount) as total from bronze.orders\n");
    project.write(
        "tests/total.yaml",
        "model: gold.total\ngiven:\n  bronze.orders:\n    - { id: a, amount: 1.50 }\n    - { id: b, amount: 2.50 }\n\
         expect:\n  - { total: 4.00 }\n",
    );
    project
}

/// Commands that print something and end well, once the project has run.
const COMMANDS: [&[&str]; 14] = [
    &["check"],
    &["run"],
    &["run", "--dry-run"],
    &["plan"],
    &["query", "select * from gold.total"],
    &["history", "gold.total"],
    &["history", "bronze.orders"],
    &["lineage", "gold.total"],
    &["quarantine", "list"],
    &["quarantine", "list", "orders"],
    &["test"],
    &["connectors"],
    &["connectors", "files"],
    &["scan", "data/orders.csv"],
];

#[test]
fn every_command_speaks_to_people_and_to_programs() {
    let project = project();
    project.run();
    let mut silent = Vec::new();
    for args in COMMANDS {
        let table = project.lavra(args);
        let json = project.lavra(&[args, &["--format", "json"]].concat());
        let csv = project.lavra(&[args, &["--format", "csv"]].concat());
        for (format, answer) in [("table", &table), ("json", &json), ("csv", &csv)] {
            if answer.code != Some(0) || answer.stdout.trim().is_empty() {
                silent.push(format!("{format}: {answer:?}"));
            }
        }
        let is_document =
            serde_json::from_str::<serde_json::Value>(&json.stdout).is_ok_and(|d| d.is_object() || d.is_array());
        if !is_document {
            silent.push(format!("not one document: {json:?}"));
        }
        if table.stdout.trim_start().starts_with(['{', '[']) {
            silent.push(format!("JSON for people: {table:?}"));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn the_schemas_are_written_for_editors() {
    let project = project();
    let answer = project.lavra(&["schema", "--format", "json"]).exits(0);
    assert!(answer.json().is_object(), "{answer:?}");
    assert!(answer.stdout.contains("environments") && answer.stdout.contains("on_replaced"), "{answer:?}");
}

#[test]
fn a_project_is_made_once_and_says_so_in_both_formats() {
    let project = project();
    let made = project.lavra(&["init", "new", "--format", "json"]).exits(0).json();
    assert_eq!(made["project"], "new");
    project.lavra(&["init", "another"]).exits(0).says("is a project");
    project.lavra(&["init", "another"]).exits(2).says("there is one already");
    let keys = std::fs::metadata(project.path("new/.lavra/keys.json")).expect("a key file");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&keys.permissions()) & 0o777, 0o600);
    assert!(project.read("new/.gitignore").contains(".lavra/"));
}

#[test]
fn a_small_demo_answers_in_both_formats() {
    let project = project();
    let json = project.lavra(&["demo", "--folder", "d", "--payments", "3000", "--format", "json"]).exits(0).json();
    assert_eq!(json["raw_cpfs_found"], 0);
    assert!(json["raw_cpfs_searched"].as_u64() > Some(0), "{json}");
    project.lavra(&["demo", "--folder", "d", "--payments", "3000"]).exits(0).says("Done in");
    project.lavra(&["--project", "d", "run"]).exits(0).says("nothing new");
}

#[test]
fn the_demo_keeps_what_shops_were_before_and_looks_for_everybody() {
    let project = project();
    let demo = ["demo", "--folder", "d", "--payments", "3000"];
    let json = project.lavra(&[&demo[..], &["--format", "json"]].concat()).exits(0).json();
    for kind in ["cpfs", "emails", "phones"] {
        assert_eq!(json[format!("raw_{kind}_searched")], 400, "everybody's {kind}: {json}");
        assert_eq!(json[format!("raw_{kind}_found")], 0, "{json}");
    }
    let sql = "select count(*) as versions, count(distinct city) as cities, count(valid_to) as ended \
               from silver.merchants where merchant_id = 'M0008'";
    let query = project.lavra(&["--project", "d", "query", "--format", "csv", sql]).exits(0);
    assert_eq!(query.stdout, "versions,cities,ended\n2,2,1\n");
}

/// With `json`, an error too is one document on stdout, and everything for people is on stderr.
fn is_told_both_ways(project: &Project, args: &[&str], code: i32) -> Answer {
    let table = project.lavra(args).exits(code);
    assert!(!table.stderr.trim().is_empty(), "{table:?}");
    let json = project.lavra(&[args, &["--format", "json"]].concat()).exits(code);
    assert!(json.json().is_object(), "{json:?}");
    table
}

#[test]
fn exit_codes_are_the_documented_ones() {
    let project = project();
    is_told_both_ways(&project, &["query", "select totl from gold.total"], 2);
    project.run();
    project.lavra(&["run"]).exits(0);
    is_told_both_ways(&project, &["query", "select totl from gold.total"], 2).says("did you mean `total`?");
    is_told_both_ways(&project, &["query", "select * from gold.totals"], 2).says("did you mean `gold.total`?");
    is_told_both_ways(&project, &["query", "drop table gold.total"], 2);
    is_told_both_ways(&project, &["history", "gold.nothing"], 2);
    is_told_both_ways(&project, &["run", "gold.totl"], 2).says("gold.total");
    is_told_both_ways(&project, &["--env", "production", "run"], 2).says("production");
    is_told_both_ways(&project, &["--project", "/", "check"], 2).says("lavra init");
    for call in [&["rnu"][..], &["run", "--jobs", "0"], &["history"]] {
        is_told_both_ways(&project, call, 2);
        let document = project.lavra(&[call, &["--format=json"]].concat()).exits(2).json();
        assert_eq!(document["kind"], "project");
        assert!(document["what"].as_str().is_some_and(|what| !what.is_empty()), "{document}");
    }
    project.write("data/orders-2.csv.gz", b"\x1f\x8b\x08\x00 no gzip at all");
    project.source("orders", "data/orders*", &[]);
    is_told_both_ways(&project, &["run", "--quiet"], 1).says("data/orders-2.csv.gz");
    project.shell("chmod 644 .lavra/keys.json").exits(0);
    is_told_both_ways(&project, &["run", "--quiet"], 3).says("chmod 600");
}

#[test]
fn progress_is_on_stderr_one_json_line_an_event() {
    let project = project();
    let answer = project.lavra(&["run", "--format", "json"]).exits(0);
    assert!(answer.json()["nodes"].is_array());
    let events: Vec<serde_json::Value> =
        answer.stderr.lines().map(|line| serde_json::from_str(line).expect("a line is an event")).collect();
    assert_eq!(events.first().map(|event| event["event"].clone()), Some("run_started".into()));
    assert_eq!(events.last().map(|event| event["event"].clone()), Some("run_finished".into()));
    let read = events.iter().find(|event| event["event"] == "node_progress" && event["node"] == "orders");
    let read = read.expect("what was read is told");
    assert_eq!((&read["rows"], &read["bytes"]), (&2.into(), &read["bytes_total"]), "{read}");
    assert!(project.lavra(&["run", "--quiet"]).exits(0).stderr.is_empty());
}

#[test]
fn csv_is_a_header_and_rows_and_nothing_else() {
    let project = project();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["quarantine", "list"],
        vec!["quarantine", "list", "orders"],
        vec!["run"],
        vec!["run"],
        vec!["quarantine", "replay", "orders"],
        vec!["query", "select id from bronze.orders where false"],
        vec!["init", "made"],
        vec!["schema"],
        vec!["demo", "--folder", "d", "--payments", "2000"],
    ];
    commands.extend(COMMANDS.map(<[&str]>::to_vec));
    for args in commands {
        let csv = project.lavra(&[&args[..], &["--format", "csv"]].concat()).exits(0);
        let table = fields_of_rows(&csv.stdout);
        assert!(!table.is_empty(), "no header: {csv:?}");
        assert!(table.iter().all(|row| *row == table[0]), "rows of {table:?} fields: {csv:?}");
    }
}

/// How many fields each row of a CSV text has.
fn fields_of_rows(text: &str) -> Vec<usize> {
    let (mut rows, mut fields, mut quoted) = (Vec::new(), 1, false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields += 1,
            '\n' if !quoted => rows.push(std::mem::replace(&mut fields, 1)),
            _ => {}
        }
    }
    rows
}

#[test]
fn a_clone_gets_a_key_file_of_its_own_and_is_warned() {
    let project = project();
    std::fs::remove_file(project.path(".lavra/keys.json")).expect("a key file");
    project.run();
    let masked = "{ name: id, logicalType: string, classification: personal.cpf, \
                  customProperties: [{ property: mask, value: pseudonym(person) }] }";
    project.source("people", "data/people.csv", &[]).contract("people", masked, &[]);
    project.write("data/people.csv", "id\n111.444.777-35\n");
    project.lavra(&["run", "--quiet"]).exits(2).says("lavra init .");
    let made = project.lavra(&["init", "."]).exits(0).says("a project already");
    made.says("another pseudonym");
    project.run();
    project.lavra(&["init", "."]).exits(2).says("there is one already");
}

#[test]
fn results_go_to_files_and_queries_come_from_stdin() {
    let project = project();
    project.run();
    let call = project.call(&["query", "-", "--format", "csv"]).stdin("select total from gold.total");
    assert_eq!(call.done().exits(0).stdout, "total\n10.00\n");
    for ending in ["parquet", "csv", "json", "ndjson"] {
        let file = format!("out.{ending}");
        let answer =
            project.lavra(&["query", "--output", &file, "select * from bronze.orders"]).exits(0).says("1 row in");
        assert!(answer.stdout.is_empty(), "{answer:?}");
        assert!(std::fs::metadata(project.path(&file)).expect("the file").len() > 0);
    }
    project.lavra(&[
        "query",
        "--output",
        "bad.parquet",
        "select 1 / (n - n) as x from (select count(*) as n from bronze.orders)",
    ]);
    assert!(!project.path("bad.parquet").exists(), "half a result is no file");
    project.lavra(&["query", "--output", "out.xls", "select 1 as a"]).exits(2).says(".parquet");
    let empty = project.lavra(&["query", "--format", "json", "select * from bronze.orders where false"]).exits(0);
    assert_eq!(empty.json(), serde_json::json!([]));
}

#[test]
fn the_shell_answers_a_script_and_stops_at_its_first_mistake() {
    let project = project();
    project.run();
    let shell = |script: &str| project.call(&["shell"]).stdin(script).done();
    shell("select total\nfrom gold.total;\nselect 'a;b' as c, 41 + 1 as d;\n")
        .exits(0)
        .says("10.00")
        .says("a;b")
        .says("42");
    let stopped = shell("select 41 as a;\nselect totl from gold.total;\nselect 43 as b;\n").exits(2);
    let stopped = stopped.says("41").says("did you mean `total`?");
    assert!(!stopped.stdout.contains("43"), "{stopped:?}");
    shell("-- a comment; no query\nselect 41 as a; select 42 as b;\n.quit\nselect totl from gold.total;\n")
        .exits(0)
        .says("41")
        .says("42");
}

/// Who reads the lake need not have the passwords of those who fill it.
#[test]
fn what_only_sources_need_is_not_asked_of_who_reads() {
    let project = project();
    project.run();
    let options = ["tags: [\"${SHOP_TAG}\"]", "header: ${SHOP_HEADER}"];
    project.source("orders", "${SHOP_FOLDER:-data}/orders*.csv", &options);
    for args in [&["history", "bronze.orders"][..], &["lineage", "gold.total"], &["audit", "verify"]] {
        project.lavra(args).exits(0);
    }
    assert_eq!(project.lines("select total from gold.total"), ["10.00"]);
    project.lavra(&["run"]).exits(2).says("the variable `SHOP_HEADER` is not set");
    project.write("sources/orders.yaml", "connector: files\npath: [${SHOP_FOLDER}\n");
    project.lavra(&["history", "bronze.orders"]).exits(2).says("sources/orders.yaml");
}

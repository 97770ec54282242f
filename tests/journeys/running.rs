//! Checks that hold a result back, what goes on beside a failure, and tests of models.

use crate::harness::{Project, node, statuses};

const COLUMNS: &str = "
    { name: id, logicalType: string, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }";

fn project() -> Project {
    let project = Project::new("running");
    project.source("orders", "data/*.csv", &[]).contract("orders", COLUMNS, &[]);
    project.write("data/1.csv", "id,amount,at\na,1.00,2026-07-01T10:00:00Z\nb,2.00,2026-07-02T10:00:00Z\n");
    project
}

#[test]
fn a_failed_check_keeps_the_old_version_and_stops_its_descendants_only() {
    let project = project();
    project.model("silver.orders", "select id, amount from bronze.orders\n");
    project.model(
        "gold.checked",
        "-- checks: { unique: [id], volume: { min: 1 } }\nselect id, amount from silver.orders\n",
    );
    project.model("gold.below", "select sum(amount) as total from gold.checked\n");
    project.model("gold.beside", "select sum(amount) as total from silver.orders\n");
    let first = project.run();
    assert_eq!(node(&first, "gold.checked")["report"]["checks_passed"], 2);
    let version = project.version("gold.checked");
    project.write("data/2.csv", "id,amount,at\na,9.00,\n");
    for _ in 0..2 {
        let run = project.run_with(&[]).exits(1).json();
        let failed = node(&run, "gold.checked");
        assert_eq!((failed["status"].as_str(), failed["kind"].as_str()), (Some("failed"), Some("contract")), "{run}");
        assert!(failed["error"].as_str().is_some_and(|e| e.contains("unique (id)")), "{run}");
        assert_eq!(node(&run, "gold.below")["status"], "skipped");
        assert_eq!(node(&run, "gold.below")["because"], "gold.checked");
    }
    assert_eq!(project.version("gold.checked"), version);
    assert_eq!(project.lines("select id, amount from gold.checked"), ["a,1.00", "b,2.00"]);
    assert_eq!(project.lines("select total from gold.below"), ["3.00"]);
    assert_eq!(project.lines("select total from gold.beside"), ["12.00"], "siblings go on");
    project.lavra(&["run", "--quiet"]).exits(1).says("gold.below was not run, because gold.checked failed");
    project.model("silver.orders", "select id, max(amount) as amount from bronze.orders group by id\n");
    project.run();
    assert_eq!(project.lines("select total from gold.below"), ["11.00"]);
}

/// Each check with a table that breaks it.
#[test]
fn every_kind_of_check_holds_a_result_back() {
    let checks = [
        "not_null: [at]",
        "unique: [[amount]]",
        "accepted: { id: [a, b] }",
        "relationship: [{ column: id, to: bronze.others.id }]",
        "freshness: { column: at, within: 2 days }",
        "volume: { max: 2 }",
        "sql: [{ name: small, query: 'select * from {table} where amount > 2' }]",
    ];
    let project = project();
    project.source("others", "other/*.csv", &[]).contract("others", "{ name: id, logicalType: string }", &[]);
    project.write("data/2.csv", "id,amount,at\nc,3.00,\nd,3.00,\n").write("other/1.csv", "id\na\nb\n");
    for (place, check) in checks.iter().enumerate() {
        project.model(
            &format!("gold.t{place}"),
            &format!("-- checks: {{ {check} }}\nselect id, amount, at from bronze.orders\n"),
        );
    }
    let run = project.run_with(&[]).exits(1).json();
    for (place, check) in checks.iter().enumerate() {
        let failed = node(&run, &format!("gold.t{place}"));
        assert_eq!(
            (failed["status"].as_str(), failed["kind"].as_str()),
            (Some("failed"), Some("contract")),
            "{check}: {failed}"
        );
    }
}

#[test]
fn a_failing_source_leaves_what_does_not_need_it() {
    let project = project();
    project.source("other", "other/*.csv.gz", &[]).contract("other", "{ name: id, logicalType: string }", &[]);
    project.write("other/1.csv.gz", b"\x1f\x8b\x08\x00 no gzip");
    project
        .model("silver.orders", "select id from bronze.orders\n")
        .model("silver.other", "select id from bronze.other\n");
    let run = project.run_with(&["--retries", "0"]).exits(1).json();
    assert_eq!(node(&run, "other")["report"]["table"], "bronze.other", "what is known of a failed node: {run}");
    assert!(node(&run, "other")["seconds"].is_f64(), "{run}");
    let expected = [("orders", "done"), ("other", "failed"), ("silver.orders", "done"), ("silver.other", "skipped")];
    let mut found = statuses(&run);
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_run_can_not_last_longer_than_it_may() {
    let project = project();
    project.model(
        "silver.slow",
        "with many as (select unnest(range(0, 5000)) as n from bronze.orders)\n\
         select count(*) as n from many a cross join many b cross join many c where a.n + b.n < c.n\n",
    );
    let run = project.run_with(&["--timeout", "2", "--retries", "0"]);
    let run = run.exits(1).json();
    assert_ne!(node(&run, "silver.slow")["status"], "done");
    project.model("silver.slow", "select count(*) as n from bronze.orders\n");
    project.run();
}

#[test]
fn unit_tests_of_models_pass_and_fail_with_the_rows() {
    let project = project();
    project.model("gold.days", "select cast(at as date) as day, sum(amount) as amount from bronze.orders group by 1\n");
    let test = |amount: &str| {
        format!(
            "model: gold.days\ngiven:\n  bronze.orders:\n\
             \x20   - {{ id: a, amount: 1.25, at: '2026-07-01T23:59:59Z' }}\n\
             \x20   - {{ id: b, amount: 2.25, at: '2026-07-01T00:00:00Z' }}\n\
             \x20   - {{ id: c, at: '2026-07-02T00:00:00Z' }}\n\
             expect:\n  - {{ day: 2026-07-01, amount: {amount} }}\n  - {{ day: 2026-07-02, amount: null }}\n"
        )
    };
    project.write("tests/days.yaml", test("3.50"));
    project.lavra(&["test"]).exits(0);
    assert!(project.files_below("lake").is_empty(), "tests write no lake");
    project.lavra(&["test", "dais"]).exits(2).says("gold.days");
    project.write("tests/days.yaml", test("3.51"));
    project.lavra(&["test"]).exits(1).says("3.51").says("3.50");
    project.lavra(&["test", "--format", "json"]).exits(1).json();
    project.write("tests/days.yaml", test("3.50").replace("gold.days", "gold.day"));
    project.lavra(&["test"]).exits(2).says("gold.days");
    project.write("tests/days.yaml", test("3.50").replace("amount: 1.25", "amuont: 1.25"));
    assert_ne!(project.lavra(&["test"]).code, Some(0), "a column that is not there is no silent null");
}

#[test]
fn lineage_names_the_columns_that_a_column_is_made_of() {
    let project = project();
    project.model("silver.orders", "with o as (select * from bronze.orders) select id, amount as value, at from o\n");
    project.model("gold.days", "select cast(at as date) as day, sum(value) as total from silver.orders group by 1\n");
    let answer = project.lavra(&["lineage", "gold.days", "--format", "json"]).exits(0);
    assert!(answer.json().to_string().contains("silver.orders") || answer.stdout.contains("\"value\""), "{answer:?}");
    project.lavra(&["lineage", "gold.days"]).exits(0).says("total").says("value");
    project.lavra(&["lineage", "gold.dais"]).exits(2).says("gold.days");
}

#[test]
fn memory_is_a_bound_that_is_kept_by_spilling() {
    let project = project();
    project.model(
        "gold.big",
        "select a.value % 100000 as part, cast(count(*) as bigint) as n, max(cast(a.value as varchar)) as most\n\
         from (select unnest(range(0, 400000)) as value from bronze.orders) a group by 1\n",
    );
    project.lavra(&["--memory", "32MiB", "run", "--quiet"]).exits(0);
    assert_eq!(project.count("gold.big"), 100_000);
    project.lavra(&["--memory", "lots", "run"]).exits(2);
}

#[test]
fn a_model_tells_the_rows_and_versions_that_it_read() {
    let project = project();
    project.model("silver.orders", "select id from bronze.orders\n");
    let run = project.run();
    let report = &node(&run, "silver.orders")["report"];
    assert_eq!((&report["rows_read"], &report["rows_written"]), (&2.into(), &2.into()), "{run}");
    assert_eq!(report["inputs"]["bronze.orders"], project.version("bronze.orders"), "{run}");
    assert_eq!(report["version"], project.version("silver.orders"));
    let again = project.run();
    assert_eq!(node(&again, "silver.orders")["report"]["rows_read"], 0, "nothing new, nothing read");
}

#[test]
fn what_a_killed_query_spilled_is_gone_after_the_next_run() {
    let project = project();
    project.write(".lavra/spill/datafusion-dead/rows", "spilled");
    project.run();
    assert!(project.files_below(".lavra/spill").is_empty());
}

//! Which tables a run means.

use crate::harness::Project;

fn project() -> Project {
    let project = Project::new("selecting");
    for (name, tags) in [("orders", "tags: [finance]"), ("people", "tags: [hr]")] {
        project.source(name, &format!("data/{name}.csv"), &[tags]);
        project.contract(name, "{ name: id, logicalType: string }", &[]);
        project.write(&format!("data/{name}.csv"), "id\n1\n");
    }
    project.model("silver.orders", "-- tags: [finance]\nselect id from bronze.orders\n");
    project.model("silver.people", "select id from bronze.people\n");
    project.model("gold.both", "select o.id from silver.orders o join silver.people p on o.id = p.id\n");
    project.model("gold.orders", "-- tags: [finance, daily]\nselect id from silver.orders\n");
    project
}

fn would_run(project: &Project, selectors: &[&str]) -> Vec<String> {
    let args = [&["run", "--dry-run", "--format", "json"], selectors].concat();
    let told = project.lavra(&args).exits(0).json();
    let mut names: Vec<String> = told["would_run"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter_map(|n| n["name"].as_str())
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

#[test]
fn selectors_mean_what_they_say() {
    let project = project();
    let all = ["gold.both", "gold.orders", "orders", "people", "silver.orders", "silver.people"];
    let finance = ["gold.orders", "orders", "silver.orders"];
    let cases: [(&[&str], &[&str]); 12] = [
        (&[], &all),
        (&["gold.orders"], &["gold.orders"]),
        (&["+gold.orders"], &finance),
        (&["source:people+"], &["gold.both", "people", "silver.people"]),
        (&["+silver.people+"], &["gold.both", "people", "silver.people"]),
        (&["tag:finance"], &finance),
        (&["tag:daily", "tag:hr"], &["gold.orders", "people"]),
        (&["layer:gold"], &["gold.both", "gold.orders"]),
        (&["layer:bronze"], &["orders", "people"]),
        (&["silver.*"], &["silver.orders", "silver.people"]),
        (&["source:orders"], &["orders"]),
        (&["--exclude", "source:orders+"], &["people", "silver.people"]),
    ];
    for (selectors, expected) in cases {
        assert_eq!(would_run(&project, selectors), expected, "{selectors:?}");
    }
    assert!(project.files_below("lake").is_empty(), "a dry run makes nothing");
    project.lavra(&["run", "tag:fianance"]).exits(2).says("finance");
    project.lavra(&["run", "gold.bth"]).exits(2).says("gold.both");
}

#[test]
fn only_what_is_selected_is_run() {
    let project = project();
    project.run_with(&["+silver.orders"]).exits(0);
    assert!(project.path("lake/silver/orders").exists() && !project.path("lake/bronze/people").exists());
    project.run_with(&["gold.both"]).exits(2).says("silver.people");
    project.run_with(&["+gold.both", "--jobs", "1"]).exits(0);
    assert_eq!(project.count("gold.both"), 1);
}

#[test]
fn what_changed_since_a_revision_is_selected() {
    let project = project();
    project.lavra(&["run", "--dry-run", "changed:HEAD"]).exits(2);
    let git = "git -c user.name=t -c user.email=t@example.com -c commit.gpgsign=false";
    project.shell(&format!("git init -q . && git add -A && {git} commit -qm first")).exits(0);
    assert_eq!(would_run(&project, &["changed:HEAD"]), [] as [&str; 0]);
    project.model("silver.orders", "select id || 'x' as id from bronze.orders\n");
    assert_eq!(would_run(&project, &["changed:HEAD"]), ["silver.orders"]);
    assert_eq!(would_run(&project, &["changed:HEAD+"]), ["gold.both", "gold.orders", "silver.orders"]);
    project.shell(&format!("{git} commit -qam second")).exits(0);
    project.contract("people", "{ name: id, logicalType: string }\n{ name: more, logicalType: string }", &[]);
    assert_eq!(would_run(&project, &["changed:HEAD"]), ["people"]);
    assert_eq!(would_run(&project, &["changed:HEAD~1"]), ["people", "silver.orders"]);
    project.model("gold.fresh", "select id from silver.people\n");
    assert_eq!(would_run(&project, &["changed:HEAD"]), ["gold.fresh", "people"], "a new file is a change");
    project.lavra(&["run", "changed:no-such-revision"]).exits(2).says("no-such-revision");
}

#[test]
fn a_plan_tells_what_a_run_would_change() {
    let project = project();
    let fresh = project.lavra(&["plan", "--format", "json"]).exits(0).json().to_string();
    assert!(fresh.contains("silver.orders") && fresh.contains("\"files_to_read\":1"), "{fresh}");
    assert!(!project.path("lake/bronze").exists(), "a plan makes nothing");
    project.run();
    project.model("silver.orders", "select id, 'x' as added from bronze.orders\n");
    std::fs::remove_file(project.path("models/gold/orders.sql")).expect("a model to remove");
    let plan = project.lavra(&["plan"]).exits(0);
    plan.says("silver.orders").says("gold.orders").says("added");
}

#[test]
fn a_plan_tells_when_more_personal_data_would_be_seen() {
    let project = Project::new("exposure");
    let column = |mask: &str| {
        format!(
            "{{ name: cpf, logicalType: string, classification: personal.cpf, customProperties: [{{ property: mask, value: '{mask}' }}] }}"
        )
    };
    project.source("people", "data/p.csv", &[]).contract("people", &column("redact"), &[]);
    project.write("data/p.csv", "cpf\n111.444.777-35\n");
    project.model("silver.people", "select cpf from bronze.people\n");
    project.run();
    project.contract("people", &column("partial(first: 3)"), &[]);
    let plan = project.lavra(&["plan", "--format", "json"]).exits(0).json().to_string();
    assert!(plan.contains("cpf") && plan.contains("partial"), "{plan}");
}

#[test]
fn a_plan_follows_new_files_through_the_models() {
    let project = project();
    project.run();
    let plan = || {
        let plan = project.lavra(&["plan", "--format", "json"]).exits(0).json();
        let tables = plan.as_array().expect("a list").clone();
        move |name: &str| tables.iter().find(|table| table["table"] == name).expect("a planned table").clone()
    };
    let before = plan();
    assert_eq!((&before("gold.both")["change"], &before("gold.both")["rows_to_read"]), (&"same".into(), &0.into()));
    project.source("orders", "data/orders*.csv", &["tags: [finance]"]).write("data/orders-2.csv", "id\n2\n");
    let after = plan();
    for (table, input) in
        [("silver.orders", "bronze.orders"), ("gold.orders", "silver.orders"), ("gold.both", "silver.orders")]
    {
        assert_eq!(after(table)["change"], "changed", "{table}");
        assert_eq!(after(table)["why"], format!("its input {input} will have new rows"));
    }
    assert_eq!(after("silver.people")["change"], "same");
    project.run_with(&["source:orders"]).exits(0);
    let silver = plan()("silver.orders");
    assert_eq!((&silver["files_to_read"], &silver["rows_to_read"]), (&2.into(), &2.into()), "{silver}");
}

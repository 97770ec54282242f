//! What a contract says to do with rows that break it and with columns that it does not name; and the way back out of
//! quarantine.

use crate::harness::{Project, node};

const COLUMNS: &str = "
    { name: id, logicalType: string, required: true, logicalTypeOptions: { pattern: '[a-z][0-9]' } }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)', logicalTypeOptions: { minimum: 0, maximum: 100 } }
    { name: kind, logicalType: string,
        quality: [{ type: library, metric: invalidValues, arguments: { validValues: [card, pix] }, mustBe: 0 }] }";

fn project(policies: &[(&str, &str)]) -> Project {
    let project = Project::new("policies");
    project.source("orders", "data/*.csv", &[]).contract("orders", COLUMNS, policies);
    project
}

const BROKEN: &str = "id,amount,kind\na1,1.00,card\n22,2.00,pix\na3,300,card\na4,4.00,cash\n,5.00,pix\na6,x,y\n";

fn rows(project: &Project) -> Vec<String> {
    project.lines("select id, amount, kind from bronze.orders")
}

#[test]
fn quarantine_sets_broken_rows_aside_with_every_rule_they_broke() {
    let project = project(&[("on_violation", "quarantine")]);
    project.write("data/1.csv", BROKEN);
    let run = project.run();
    assert_eq!(rows(&project), ["a1,1.00,card"]);
    let because = node(&run, "orders")["report"]["quarantined_because"].clone();
    assert_eq!(because.as_object().map(|all| all.values().filter_map(|n| n.as_u64()).sum()), Some(5), "{because}");
    let aside = project.lines("select \"column\", rule, _position['offset'] as line from quarantine.orders");
    assert_eq!(aside, ["amount,max,4", "amount,type,7", "id,pattern,3", "id,required,6", "kind,accepted,5"]);
    let also = project.lines("select also from quarantine.orders where _position['offset'] = 7");
    assert!(also[0].contains("kind"), "{also:?}");
}

#[test]
fn fail_keeps_nothing_of_the_batch_and_goes_on_when_the_file_is_mended() {
    let project = project(&[("on_violation", "fail")]);
    project.write("data/1.csv", "id,amount,kind\na0,0.00,pix\n");
    project.run();
    project.write("data/2.csv", BROKEN);
    let run = project.run_with(&[]).exits(1).json();
    assert_eq!(node(&run, "orders")["kind"], "contract");
    assert!(node(&run, "orders")["error"].as_str().is_some_and(|e| !e.contains("300")), "no value is shown: {run}");
    assert_eq!(rows(&project), ["a0,0.00,pix"]);
    project.write("data/2.csv", "id,amount,kind\na1,1.00,card\n");
    project.run();
    assert_eq!(rows(&project), ["a0,0.00,pix", "a1,1.00,card"]);
}

#[test]
fn drop_value_keeps_the_row_without_it() {
    let project = project(&[("on_violation", "drop_value")]);
    project.write("data/1.csv", BROKEN);
    let run = project.run();
    assert_eq!(rows(&project), ["a1,1.00,card", "a3,,card", "a4,4.00,", "a6,,"]);
    let report = &node(&run, "orders")["report"];
    assert_eq!(
        (report["values_dropped"].as_u64(), report["rows_quarantined"].as_u64()),
        (Some(4), Some(2)),
        "{report}"
    );
}

#[test]
fn a_frozen_schema_names_the_new_column_and_takes_nothing() {
    let project = project(&[]);
    project.write("data/1.csv", "id,amount,kind\na1,1.00,card\n");
    project.run();
    project.write("data/2.csv", "id,amount,kind,amuont\na2,2.00,pix,7\n");
    project.run_with(&[]).exits(1).says("amuont").says("schema_change");
    assert_eq!(rows(&project), ["a1,1.00,card"]);
    project.contract("orders", COLUMNS, &[("schema_change", "evolve")]);
    project.run();
    assert_eq!(project.lines("select id, amuont from bronze.orders"), ["a1,", "a2,7"]);
}

#[test]
fn an_evolving_schema_takes_new_columns_in_and_hides_what_is_personal() {
    let project = project(&[("schema_change", "evolve")]);
    project.write("data/1.csv", "id,amount,kind\na1,1.00,card\n");
    project.run();
    project.write(
        "data/2.csv",
        "id,amount,kind,colour,contact\na2,2.00,pix,red,ana@example.com\na3,3.00,pix,,bia@example.com\n",
    );
    project.run();
    project.write("data/3.csv", "id,amount,kind\na4,4.00,card\n");
    project.run();
    let lines = project.lines("select id, colour, contact from bronze.orders");
    assert_eq!(lines, ["a1,,", "a2,red,***", "a3,,***", "a4,,"]);
}

#[test]
fn a_quarantining_schema_sets_rows_of_new_columns_aside() {
    let project = project(&[("schema_change", "quarantine")]);
    project.write("data/1.csv", "id,amount,kind,colour\na1,1.00,card,red\na2,2.00,pix,\n");
    project.run();
    assert_eq!(rows(&project), ["a2,2.00,pix"]);
    assert_eq!(project.lines("select rule, \"column\" from quarantine.orders"), ["schema,colour"]);
}

#[test]
fn missing_columns_are_null_or_broken_rows() {
    let project = project(&[]);
    project.write("data/1.csv", "id\na1\n").write("data/2.csv", "amount,kind\n1.00,pix\n");
    project.run();
    assert_eq!(rows(&project), ["a1,,"]);
    assert_eq!(project.lines("select rule, \"column\" from quarantine.orders"), ["required,id"]);
}

#[test]
fn keys_are_unique_over_files_and_runs() {
    let project = Project::new("keys");
    let columns = "{ name: id, logicalType: string, primaryKey: true, required: true }\n{ name: n, logicalType: integer, unique: true }";
    project.source("orders", "data/*.csv", &[]).contract("orders", columns, &[]);
    project.write("data/1.csv", "id,n\na,1\na,2\nb,3\n");
    project.run();
    project.write("data/2.csv", "id,n\nb,4\nc,3\nd,5\n");
    project.run();
    assert_eq!(project.lines("select id, n from bronze.orders"), ["a,1", "b,3", "d,5"]);
    let aside = project
        .lines("select \"column\", _position['partition'] as file, _position['offset'] as line from quarantine.orders");
    assert_eq!(aside, ["id,data/1.csv,3", "id,data/2.csv,2", "n,data/2.csv,3"]);
}

#[test]
fn rules_over_a_whole_batch_stop_it() {
    let project = Project::new("batch_rules");
    let columns = "{ name: id, logicalType: string, quality: [
        { type: sql, name: enough, query: 'select count(*) from {table}', mustBeGreaterThan: 1 }] }";
    project.source("orders", "data/*.csv", &[]).contract("orders", &columns.replace('\n', " "), &[]);
    project.write("data/1.csv", "id\na\n");
    project.run_with(&[]).exits(1).says("enough");
    assert_eq!(project.count("bronze.orders"), 0);
    project.write("data/2.csv", "id\nb\n");
    project.run();
    assert_eq!(project.count("bronze.orders"), 2);
}

#[test]
fn the_quarantine_is_listed_and_replayed_once_the_contract_is_mended() {
    let project = project(&[]);
    project.write("data/1.csv", BROKEN);
    project.run();
    let list = project.lavra(&["quarantine", "list", "--format", "json"]).exits(0).json();
    assert!(list.to_string().contains("orders"), "{list}");
    let rules = project.lavra(&["quarantine", "list", "orders"]).exits(0);
    rules.says("must be at most 100").says("kind");
    project.contract(
        "orders",
        &COLUMNS.replace("[card, pix]", "[card, pix, cash]").replace("maximum: 100", "maximum: 1000"),
        &[],
    );
    project.lavra(&["quarantine", "replay", "orders", "--format", "json"]).exits(0).json();
    assert_eq!(rows(&project), ["a1,1.00,card", "a3,300.00,card", "a4,4.00,cash"]);
    assert_eq!(project.count("quarantine.orders"), 3);
    project.lavra(&["quarantine", "replay", "orders"]).exits(0);
    assert_eq!(rows(&project).len(), 3, "what came back does not come twice");
    project.run();
    assert_eq!((rows(&project).len(), project.count("quarantine.orders")), (3, 3));
}

#[test]
fn a_replayed_person_is_the_same_person() {
    let project = Project::new("replayed");
    let cpf = "{ name: cpf, logicalType: string, classification: personal.cpf, customProperties: [{ property: mask, value: pseudonym(person) }] }";
    let amount =
        "{ name: amount, logicalType: number, physicalType: 'decimal(12,2)', logicalTypeOptions: { maximum: 10 } }";
    project.source("orders", "data/*.csv", &[]).contract("orders", &format!("{cpf}\n{amount}"), &[]);
    project.write("data/1.csv", "cpf,amount\n111.444.777-35,1.00\n11144477735,20.00\n");
    project.run();
    project.contract("orders", &format!("{cpf}\n{}", amount.replace("10", "100")), &[]);
    project.lavra(&["quarantine", "replay", "orders"]).exits(0);
    assert_eq!(project.value("select count(*) from bronze.orders"), 2);
    assert_eq!(project.value("select count(distinct cpf) from bronze.orders"), 1);
}

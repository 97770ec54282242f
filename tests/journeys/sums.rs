//! Sums over a column that nobody can read: taken in with the public key alone, opened by who may and says why.

use crate::harness::Project;

const COLUMNS: &str = "{ name: shop, logicalType: string }
    { name: amount, logicalType: number, physicalType: 'decimal(18,2)', customProperties: [{ property: mask, value: 'encrypt(amounts, homomorphic)' }] }";

const ROWS: &str = "shop,amount\na,10.50\nb,-3.25\na,0.01\nb,\nc,99999999999.99\nc,7\n";

fn shops() -> Project {
    let project = Project::new("sums");
    project.source("sales", "data/*.csv", &[]).contract("sales", COLUMNS, &[]);
    project.write("data/1.csv", ROWS);
    project
}

/// Lets whoever runs this open what is granted.
fn grant(project: &Project, grants: &str) {
    let user = project.shell("id -un").exits(0).stdout.trim().to_owned();
    project.write("policies/users.yaml", format!("\"{user}\": {{ grants: [{grants}] }}\n"));
}

const TOTALS: &str = "select shop, cast(he_open(he_sum(amount), 'amounts') as decimal(18,2)) as total, he_count(amount) as n, \
    cast(he_open(he_avg(amount), 'amounts') as decimal(18,4)) as mean from bronze.sales group by shop order by shop";

fn ask(project: &Project, sql: &str) -> Vec<String> {
    let answer = project.lavra(&["query", "--format", "csv", "--reason", "month end", sql]).exits(0);
    answer.stdout.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn totals_are_exact_by_group_and_condition() {
    let project = shops();
    grant(&project, "open(amounts)");
    project.run();
    assert_eq!(ask(&project, TOTALS), ["a,10.51,2,5.2550", "b,-3.25,1,-3.2500", "c,7.00,1,7.0000"]);
    let some = "select cast(he_open(he_sum(amount), 'amounts') as decimal(18,2)) from bronze.sales where shop <> 'a'";
    assert_eq!(ask(&project, some), ["3.75"]);
    let none = "select he_open(he_sum(amount), 'amounts') is null, he_count(amount) from bronze.sales where false";
    assert_eq!(ask(&project, none), ["true,0"]);
    // What can't be hidden is set aside, with the bound that it broke.
    let aside = project.rows("select rule, \"column\" from quarantine.sales");
    assert_eq!((aside.len(), aside[0]["rule"].as_str(), aside[0]["column"].as_str()), (1, Some("max"), Some("amount")));
    // Neither do equal amounts look equal, nor do amounts stand anywhere.
    project.write("data/2.csv", "shop,amount\nd,7\nd,7\n").run();
    let sealed = project.lines("select distinct amount from bronze.sales where shop in ('c', 'd')");
    assert_eq!(sealed.len(), 3);
}

#[test]
fn a_model_keeps_totals_that_add_up_further_and_opens_none() {
    let project = shops();
    project.model("gold.totals", "select shop, he_sum(amount) as total from bronze.sales group by shop\n");
    grant(&project, "open(amounts)");
    project.run();
    let all = "select cast(he_open(he_sum(total), 'amounts') as decimal(18,2)), he_count(total) from gold.totals";
    assert_eq!(ask(&project, all), ["14.26,4"]);
    let lineage = project.lavra(&["lineage", "gold.totals", "--format", "json"]).exits(0);
    assert!(lineage.stdout.contains("aggregated"), "{lineage:?}");
    project.model("gold.open", "select he_open(total, 'amounts') as total from gold.totals\n");
    project.lavra(&["check"]).exits(2).says("open(amounts)").says("models/gold/open.sql");
}

#[test]
fn only_who_may_opens_a_total_and_only_with_a_reason() {
    let project = shops();
    project.run();
    let open = |reason: &[&str]| project.lavra(&[&["query"], reason, &[TOTALS]].concat());
    open(&["--reason", "month end"]).exits(3).says("open(amounts)").says("policies/users.yaml");
    grant(&project, "open(others), decrypt(amounts)");
    open(&["--reason", "month end"]).exits(3).says("open(amounts)");
    grant(&project, "open(amounts)");
    open(&[]).exits(3).says("--reason");
    open(&["--reason", " "]).exits(3).says("--reason");
    assert_eq!(project.lavra(&["audit", "list", "--format", "json"]).exits(0).json(), serde_json::json!([]));
    open(&["--reason", "month end"]).exits(0);
    for scope in ["lower('AMOUNTS')", "shop"] {
        let sql = format!("select he_open(amount, {scope}) from bronze.sales");
        project.lavra(&["query", "--reason", "x", &sql]).exits(3).says("in the query itself");
    }
    project.lavra(&["query", "select shop, he_sum(amount) from bronze.sales group by shop"]).exits(0);
}

#[test]
fn what_was_opened_is_written_down_and_tampering_shows() {
    let project = shops();
    grant(&project, "open(amounts)");
    project.run();
    ask(&project, TOTALS);
    ask(&project, "select he_open(he_sum(amount), 'amounts') from bronze.sales where shop = 'secret shop'");
    let list = project.lavra(&["audit", "list", "--format", "json"]).exits(0).json();
    let events: Vec<_> = list.as_array().expect("records").iter().map(|record| record["event"].as_str()).collect();
    assert_eq!(events, [Some("opened"), Some("ended"), Some("opened"), Some("ended")], "{list}");
    assert_eq!((list[0]["reason"].as_str(), list[0]["grants"][0].as_str()), (Some("month end"), Some("open(amounts)")));
    assert_eq!(
        (list[1]["of"].as_u64(), list[1]["rows"].as_u64(), list[1]["whole"].as_bool()),
        (Some(1), Some(3), Some(true))
    );
    assert!(!list.to_string().contains("secret shop"), "{list}");

    let verify = || project.lavra(&["audit", "verify", "--format", "json"]);
    assert_eq!(verify().exits(0).json()["records"], 4);
    let tamper = |statement: &str| {
        let script =
            "import sqlite3, sys; c = sqlite3.connect('.lavra/ledger.sqlite'); c.execute(sys.argv[1]); c.commit()";
        project.shell(&format!("python3 -c \"{script}\" \"{statement}\"")).exits(0);
    };
    tamper("update ledger set value = replace(value, 'month end', 'month ends') where key like 'audit/%1'");
    assert_eq!(verify().exits(1).json()["broken"][0]["number"], 1);
    tamper("update ledger set value = replace(value, 'month ends', 'month end') where key like 'audit/%1'");
    verify().exits(0);
    tamper("delete from ledger where key like 'audit/%2'");
    assert_eq!(verify().exits(1).json()["broken"][0]["number"], 3);
}

#[test]
fn an_audit_that_can_not_be_written_refuses_the_query() {
    let project = shops();
    grant(&project, "open(amounts)");
    project.run();
    project.write(".lavra/ledger.sqlite", "no database at all, but long enough to be looked at as one by who opens it");
    let answer = project.lavra(&["query", "--reason", "month end", TOTALS]).exits(1);
    assert!(!answer.stdout.contains("10.51"), "{answer:?}");
}

#[test]
fn the_public_key_is_enough_to_take_in() {
    let owner = shops();
    grant(&owner, "open(amounts)");
    let key = owner.lavra(&["public-key", "amounts"]).exits(0).stdout.trim().to_owned();
    let branch = shops();
    std::fs::remove_file(branch.path(".lavra/keys.json")).expect("a key file");
    let lake = owner.path("lake").display().to_string();
    branch.lavra(&["run"]).exits(2).says("there is no key file");
    let config = branch.read("lavra.yaml");
    let project = config.lines().next().expect("a name");
    let environment = format!("environments:\n  local:\n    lake: {lake}\n    public_keys: {{ amounts: {key} }}\n");
    branch.write("lavra.yaml", format!("{project}\n{environment}")).run();
    // There it adds up, and doesn't open.
    assert_eq!(branch.rows("select he_sum(amount) from bronze.sales").len(), 1);
    grant(&branch, "open(amounts)");
    branch.lavra(&["query", "--reason", "x", TOTALS]).exits(2).says("there is no key file");
    // The owner of the secret key opens it.
    assert_eq!(ask(&owner, TOTALS)[0], "a,10.51,2,5.2550");
    branch.write("lavra.yaml", format!("{project}\n{}", environment.replace(&key, "1.AAAA")));
    branch.lavra(&["check"]).exits(2).says("lavra.yaml:5").says("no point of ristretto255");
}

#[test]
fn a_model_hides_readable_numbers_in_packed_totals() {
    let project = Project::new("packed");
    let columns = "{ name: shop, logicalType: string }
        { name: amount, logicalType: number, physicalType: 'decimal(18,2)' }";
    project.source("sales", "data/*.csv", &[]).contract("sales", columns, &[]);
    let rows: String = (0..9000).map(|n| format!("{},{}.25\n", ["a", "b"][n % 2], n)).collect();
    project.write("data/1.csv", format!("shop,amount\n{rows}c,\n"));
    project.model(
        "gold.sealed",
        "select shop, he_pack(array_agg(amount), 'amounts') as total from bronze.sales group by shop\n",
    );
    grant(&project, "open(amounts)");
    project.run();
    let all = "select cast(he_open(he_sum(total), 'amounts') as decimal(18,2)), he_count(total) from gold.sealed";
    assert_eq!(ask(&project, all), ["40497750.00,9000"]);
    let each = "select shop, cast(he_open(total, 'amounts') as decimal(18,2)) from gold.sealed order by shop";
    assert_eq!(ask(&project, each), ["a,20246625.00", "b,20251125.00", "c,"]);
    grant(&project, "");
    project.lavra(&["query", "--reason", "to see", all]).exits(3);
}

#[test]
fn a_largest_value_is_held_to_and_one_that_overflows_is_refused() {
    let project = shops();
    let column = |encrypt: &str| {
        let columns = format!(
            "{{ name: shop, logicalType: string }}
            {{ name: amount, logicalType: number, physicalType: 'decimal(18,2)', customProperties: [{{ property: encrypt, value: {encrypt} }}] }}"
        );
        project.contract("sales", &columns, &[]);
    };
    column("{ mode: homomorphic, scope: amounts, max: 99999999999.99 }");
    project.lavra(&["check"]).exits(2).says("at most 703687441.77").says("contracts/sales.yaml");
    column("{ mode: homomorphic, scope: amounts, max: 10.00 }");
    project.run();
    assert_eq!(project.count("quarantine.sales"), 2, "10.50 and 99999999999.99");
}

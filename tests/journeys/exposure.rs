//! Personal data in a gold table is there on purpose, with a reason, or not at all; and a table in which somebody could be
//! found again does not become visible.

use crate::harness::{Answer, Project, node};
use crate::people::cpf;

const PEOPLE: &str = "
    { name: cpf, logicalType: string, required: true, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: name, logicalType: string, classification: personal.name,
        customProperties: [{ property: mask, value: redact }] }
    { name: card, logicalType: string, classification: personal.card,
        customProperties: [{ property: mask, value: 'partial(first: 6, last: 4)' }] }
    { name: zip, logicalType: string }
    { name: age, logicalType: integer }
    { name: disease, logicalType: string }";

/// Eight people: four of one postcode and age, all with flu, and four of another.
fn project() -> Project {
    let project = Project::new("exposure");
    project.source("people", "data/people.csv", &[]).contract("people", PEOPLE, &[]);
    let mut text = String::from("cpf,name,card,zip,age,disease\n");
    for n in 0..8u64 {
        let (zip, age) = if n < 4 { ("50000", 30) } else { ("60000", 40) };
        let disease = if n < 4 { "flu" } else { ["flu", "cold", "gout", "cold"][n as usize - 4] };
        text.push_str(&format!("{},Ana,4111111111111111,{zip},{age},{disease}\n", cpf(n)));
    }
    project.write("data/people.csv", text);
    project.model("silver.people", "select cpf as person, name, card, zip, age, disease from bronze.people\n");
    project
}

fn check(project: &Project, gold: &str) -> Answer {
    project.model("gold.out", gold);
    project.lavra(&["check"])
}

#[test]
fn a_gold_column_with_personal_data_needs_a_reason() {
    let project = project();
    let refused = check(&project, "select\n  zip,\n  lower(person) as who\nfrom silver.people\n").exits(3);
    let refused = refused.says("`who` still carries pseudonymised personal data (personal.cpf: pseudonym(person))");
    refused.says("models/gold/out.sql:3:20").says("^^^").says("exposes: [who: \"why\"]").says("refused:");
    check(&project, "select * from silver.people\n").exits(3).says("`card` still shows personal data that can be read");
    let run = project.lavra(&["run", "--format", "json"]).exits(3).json();
    assert_eq!((&run["kind"], &run["faults"][0]["severity"]), (&"refused".into(), &"refused".into()), "{run}");
    // What names nobody any more needs no reason, and silver needs none either.
    check(&project, "select zip, name, count(*) as people from silver.people group by 1, 2\n").exits(0);
    for form in ["[who: \"the fraud team calls them\"]", "{ who: \"the fraud team calls them\" }"] {
        check(&project, &format!("-- exposes: {form}\nselect lower(person) as who from silver.people\n")).exits(0);
    }
    project.run();
    assert_eq!(project.count("gold.out"), 8);
}

#[test]
fn a_mistake_is_exit_code_2_though_something_else_is_refused() {
    let project = project();
    project.model("gold.wrong", "select zpi from silver.people\n");
    check(&project, "select person from silver.people\n").exits(2).says("zpi").says("`person` still carries");
}

#[test]
fn a_statement_about_nothing_is_a_fault() {
    let project = project();
    let gold = |exposes: &str| format!("-- exposes: {exposes}\nselect zip, person from silver.people\n");
    check(&project, &gold("[person: calls, zip: why not]")).exits(2).says("`zip` carries no personal data").says(":1:");
    check(&project, &gold("[person: calls, persn: calls]")).exits(2).says("no column `persn`").says("did you mean");
    check(&project, &gold("[person: \"\"]")).exits(2).says("The reason is missing");
}

#[test]
fn totals_say_nothing_of_one_person_when_their_groups_are_large() {
    let project = project();
    let by_zip = |what: &str, more: &str| format!("select zip, {what} as x from silver.people group by zip {more}\n");
    let counted = "count(distinct person)";
    check(&project, &by_zip(counted, "")).exits(3).says("groups that may be of one person").says("group_size");
    check(&project, &by_zip(counted, "having count(distinct person) >= 4")).exits(3).says("groups of 4 or more");
    check(&project, &by_zip(counted, "having count(distinct person) >= 5")).exits(0);
    check(&project, &by_zip(counted, "having count(*) > 4")).exits(0).says("what is counted is rows").says("person");
    for picked in ["max(person)", "min(person)", "first_value(person)", "array_agg(person)"] {
        check(&project, &by_zip(picked, "having count(distinct person) >= 5")).exits(3).says("`x` still carries");
    }
    let floor = project.read("lavra.yaml") + "privacy: { group_floor: 4 }\n";
    project.write("lavra.yaml", floor);
    check(&project, &by_zip(counted, "having count(distinct person) >= 4")).exits(0);
}

#[test]
fn a_promise_of_large_groups_is_kept_or_nothing_is_written() {
    let project = project();
    let promised = |min: u64, people: &str| {
        format!(
            "-- checks: {{ group_size: {{ min: {min}, people: {people} }} }}\n\
             select zip, count(distinct person) as n from silver.people group by zip\n"
        )
    };
    project.write("lavra.yaml", project.read("lavra.yaml") + "privacy: { group_floor: 4 }\n");
    project.model("gold.out", &promised(4, "person"));
    let run = project.run();
    assert_eq!(node(&run, "gold.out")["report"]["checks_passed"], 1);
    project.model("gold.out", &promised(5, "person"));
    let run = project.run_with(&[]).exits(1).json();
    let error = node(&run, "gold.out")["error"].as_str().expect("an error");
    assert!(error.contains("group_size at least 5 (falls short in 2 groups, 8 rows)"), "{error}");
    check(&project, &promised(5, "persn")).exits(2).says("no column `persn`").says("person");
    check(&project, &promised(1, "person")).exits(2).says("2 or more");
    check(&project, "-- checks: { group_size: { min: 5 } }\nselect zip from silver.people\n")
        .exits(2)
        .says("no groups");
}

#[test]
fn a_plan_shows_what_will_be_exposed_and_why() {
    let project = project();
    let reason = "the fraud team calls them";
    project.model("gold.out", &format!("-- exposes: [person: {reason}]\nselect person, zip from silver.people\n"));
    project
        .lavra(&["plan"])
        .exits(0)
        .says(&format!("gold.out.person: nothing about people → personal.cpf: pseudonym(person) (stated: {reason})"));
    let plans = project.lavra(&["plan", "--format", "json"]).exits(0).json();
    let plan = plans.as_array().into_iter().flatten().find(|plan| plan["table"] == "gold.out").expect("a plan");
    assert_eq!(plan["exposure"][0]["reason"], reason);
    project.run();
    let plans = project.lavra(&["plan", "--format", "json"]).exits(0).json();
    assert!(plans.as_array().into_iter().flatten().all(|plan| plan["exposure"] == serde_json::json!([])), "{plans}");
}

#[test]
fn a_table_in_which_somebody_could_be_found_again_does_not_become_visible() {
    let project = project();
    project.write(
        "data/people.csv",
        project.read("data/people.csv") + &format!("{},Ana,4111111111111111,70000,91,gout\n", cpf(8)),
    );
    let gold = |check: &str| format!("-- checks: {{ {check} }}\nselect zip, age, disease from silver.people\n");
    let quasi = "quasi_identifiers: [zip, age]";
    for (check, message) in [
        (format!("k_anonymity: {{ k: 5, {quasi} }}"), "k_anonymity (zip, age; k 5) (falls short in 3 groups, 9 rows)"),
        (
            format!("l_diversity: {{ l: 2, {quasi}, sensitive: disease }}"),
            "l_diversity (zip, age; disease l 2) (falls short in 2 groups, 5 rows)",
        ),
        (
            format!("l_diversity: {{ l: 3, {quasi}, sensitive: disease, kind: entropy }}"),
            "(falls short in 3 groups, 9 rows)",
        ),
        (
            format!("t_closeness: {{ t: 0.5, {quasi}, sensitive: disease }}"),
            "t_closeness (zip, age; disease t 0.5) (falls short in 1 group, 1 row)",
        ),
        (
            format!("uniqueness: {{ max_share: 0.1, {quasi} }}"),
            "uniqueness (zip, age; max_share 0.1) (falls short in 1 group, 1 row)",
        ),
    ] {
        project.model("gold.out", &gold(&check));
        let answer = project.run_with(&[]).exits(1);
        let run = answer.json();
        let error = node(&run, "gold.out")["error"].as_str().expect("an error");
        assert!(error.contains(message), "{check}: {error}");
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert!(!said.contains("70000") && !said.contains("gout"), "no value is told: {said}");
        assert_eq!(project.count("gold.out"), 0, "{check}");
    }
    project.model("gold.out", &gold(&format!("uniqueness: {{ max_share: 0.12, {quasi} }}")));
    project.run();
    assert_eq!(project.count("gold.out"), 9);
}

#[test]
fn measures_that_can_not_be_meant_are_faults() {
    let project = project();
    let gold = |check: &str| format!("-- checks: {{ {check} }}\nselect zip, age, disease from silver.people\n");
    for (wrong, message) in [
        ("k_anonymity: { k: 1, quasi_identifiers: [zip] }", "every table fulfils"),
        ("k_anonymity: { k: 5, quasi_identifiers: [] }", "no column is named"),
        ("k_anonymity: { k: 5, quasi_identifiers: [zpi] }", "did you mean `zip`?"),
        ("l_diversity: { l: 2, quasi_identifiers: [zip], sensitive: diseas }", "did you mean `disease`?"),
        ("l_diversity: { l: 2.5, quasi_identifiers: [zip], sensitive: disease }", "whole numbers"),
        ("t_closeness: { t: 1.5, quasi_identifiers: [zip], sensitive: disease }", "between 0 and 1"),
        ("t_closeness: { t: 0.2, quasi_identifiers: [zip], sensitive: zip }", "the sensitive column too"),
        ("uniqueness: { max_share: 7, quasi_identifiers: [zip] }", "a share"),
        ("l_diversity: { l: 2, quasi_identifiers: [zip], sensitive: disease, kind: entrpy }", "entropy"),
    ] {
        check(&project, &gold(wrong)).exits(2).says(message).says("models/gold/out.sql:1:");
    }
}

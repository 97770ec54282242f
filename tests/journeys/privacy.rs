//! The same person is the same token wherever the scope is the same, and nowhere else.

use crate::harness::Project;
use crate::people::{cpf, dotted};

fn column(name: &str, mask: &str) -> String {
    let mask = format!("customProperties: [{{ property: mask, value: '{mask}' }}]");
    format!("{{ name: {name}, logicalType: string, classification: personal.cpf, {mask} }}")
}

/// The same ten people in two sources, written in two ways.
fn two_sources(left: &str, right: &str) -> Project {
    let project = Project::new("privacy");
    project.source("cards", "data/cards.csv", &[]).contract("cards", &column("cpf", left), &[]);
    project.source("transfers", "data/transfers.ndjson", &[]).contract("transfers", &column("document", right), &[]);
    let plain: String = (0..10).map(|n| format!("{}\n", cpf(n))).collect();
    let dots: String = (0..10).map(|n| format!("{{\"document\":\"{}\"}}\n", dotted(&cpf(n)))).collect();
    project.write("data/cards.csv", format!("cpf\n{plain}")).write("data/transfers.ndjson", dots);
    project
}

const JOIN: &str = "select l.cpf from bronze.cards l join bronze.transfers r on l.cpf = r.document";

#[test]
fn one_scope_joins_across_sources() {
    let project = two_sources("pseudonym(person)", "pseudonym(person)");
    project.model("silver.both", JOIN);
    project.run();
    assert_eq!(project.count("silver.both"), 10);
}

#[test]
fn another_scope_does_not_join_and_check_says_so() {
    let project = two_sources("pseudonym(person)", "pseudonym(payer)");
    project.run();
    assert_eq!(project.rows(JOIN).len(), 0);
    project.model("silver.both", JOIN);
    project.lavra(&["check"]).exits(2).says("they never meet").says("models/silver/both.sql:1");
}

#[test]
fn a_join_on_what_can_not_be_joined_is_refused_also_through_models() {
    for mask in ["redact", "null", "encrypt(person)"] {
        let project = two_sources(mask, mask);
        project.model("silver.cards", "select cpf as who from bronze.cards\n");
        project
            .model("silver.both", "select l.who from silver.cards l join bronze.transfers r on l.who = r.document\n");
        project.lavra(&["check"]).exits(2).says("pseudonym").says("models/silver/both.sql");
    }
}

#[test]
fn weak_masks_are_refused_with_the_reason() {
    for (mask, reason) in [("md5", "a hash without a key"), ("base64", "anybody can undo it"), ("pseudonym", "scope")] {
        let project = two_sources(mask, "redact");
        project.lavra(&["check"]).exits(2).says(reason).says("contracts/cards.yaml");
    }
}

#[test]
fn another_project_has_other_tokens() {
    let tokens = || {
        let project = two_sources("pseudonym(person)", "encrypt(person)");
        project.run();
        project.lines("select cpf from bronze.cards")
    };
    let (one, other) = (tokens(), tokens());
    assert!(one.iter().all(|token| !other.contains(token)), "keys are a project's own");
}

#[test]
fn every_mask_does_what_it_promises() {
    let project = Project::new("masks");
    let masks = ["redact", "null", "drop", "partial(first: 3, last: 2)", "pseudonym(person)", "encrypt(person)"];
    let columns: String =
        masks.iter().enumerate().map(|(at, mask)| format!("{}\n", column(&format!("c{at}"), mask))).collect();
    let born = "{ name: born, logicalType: date, classification: personal.birth_date, customProperties: [{ property: mask, value: generalize(year) }] }";
    project.source("people", "data/p.csv", &[]).contract("people", &format!("{columns}{born}"), &[]);
    let who = cpf(123_456_789);
    project.write(
        "data/p.csv",
        format!(
            "c0,c1,c2,c3,c4,c5,born\n{},1980-05-17\n{},1990-02-03\n",
            [who.as_str(); 6].join(","),
            [who.as_str(); 6].join(",")
        ),
    );
    let run = project.run();
    let rows = project.rows("select * from bronze.people order by born");
    let row = rows[0].as_object().expect("a row");
    assert!(!row.contains_key("c2"), "a dropped column is not there: {row:?}");
    assert_eq!((row["c1"].is_null(), row["born"].as_str()), (true, Some("1980-01-01")));
    let part = row["c3"].as_str().expect("a part");
    assert!(part.starts_with(&who[..3]) && part.ends_with(&who[9..]) && !part.contains(&who[3..9]), "{part}");
    assert_eq!(rows[0]["c4"], rows[1]["c4"], "a pseudonym is the same for the same person");
    assert_ne!(rows[0]["c5"], rows[1]["c5"], "what is encrypted is other each time");
    assert!(!format!("{rows:?}").contains(&who), "{rows:?}");
    let masked = &crate::harness::node(&run, "people")["report"]["values_masked"];
    assert!(
        masked.as_object().is_some_and(|kinds| kinds.values().filter_map(|n| n.as_u64()).sum::<u64>() > 0),
        "{run}"
    );
}

#[test]
fn a_join_hidden_in_a_function_or_a_subquery_is_refused_as_well() {
    for join in [
        "select l.id from bronze.cards l join bronze.transfers r on lower(l.cpf) = lower(r.document)",
        "select l.id from bronze.cards l join bronze.transfers r on coalesce(l.cpf, '') = coalesce(r.document, '')",
        "select l.id from bronze.cards l join bronze.transfers r on l.cpf is not distinct from r.document",
        "select id from bronze.cards where cpf in (select document from bronze.transfers)",
        "select id from bronze.cards l where exists (select 1 from bronze.transfers r where r.document = l.cpf)",
    ] {
        for (left, right) in [("redact", "redact"), ("pseudonym(person)", "pseudonym(payer)")] {
            let project = two_sources(left, right);
            let columns = format!("{{ name: id, logicalType: string }}\n{}", column("cpf", left));
            project.contract("cards", &columns, &[]);
            project.model("silver.both", join);
            project.lavra(&["check"]).exits(2).says("models/silver/both.sql:1").says("joins");
        }
    }
}

#[test]
fn one_scope_with_two_spellings_does_not_join_and_check_names_the_remedy() {
    let project = two_sources("pseudonym(person)", "pseudonym(person)");
    let plain =
        "{ name: document, logicalType: string, customProperties: [{ property: mask, value: pseudonym(person) }] }";
    project.contract("transfers", plain, &[]).model("silver.both", JOIN);
    project.lavra(&["check"]).exits(2).says("give `document` the classification `personal.cpf`");
    project.contract("transfers", &plain.replace("pseudonym(person)", "'pseudonym(person, normalize: cpf)'"), &[]);
    project.run();
    assert_eq!(project.count("silver.both"), 10);
}

#[test]
fn a_file_without_a_header_shows_no_name_of_a_person() {
    let project = Project::new("headerless");
    project.source("people", "data/p.csv", &["header: true"]);
    project.contract("people", "{ name: nome, logicalType: string }\n{ name: cidade, logicalType: string }", &[]);
    project.write("data/p.csv", "Zulmira Prates,Recife\nAna Souza,Olinda\n");
    let answer = project.lavra(&["run"]).exits(1);
    assert!(!format!("{}{}", answer.stdout, answer.stderr).contains("Zulmira"), "{answer:?}");
    assert!(answer.stderr.contains("column 1 of 2"), "{answer:?}");
}

/// Another key file would give one person a second pseudonym.
#[test]
fn other_keys_than_those_of_the_table_are_refused() {
    let project = Project::new("keys");
    project.source("people", "data/*.csv", &[]).contract(
        "people",
        "{ name: cpf, logicalType: string, classification: personal.cpf, customProperties: [{ property: mask, value: pseudonym(person) }] }",
        &[],
    );
    project.write("data/1.csv", "cpf\n529.982.247-25\n").run();
    let other = Project::new("other");
    let own = project.read(".lavra/keys.json");
    project.write(".lavra/keys.json", other.read(".lavra/keys.json"));
    project.write("data/2.csv", "cpf\n111.444.777-35\n");
    project.lavra(&["run"]).exits(3).says("masked with other keys");
    assert_eq!(project.count("bronze.people"), 1);
    project.write(".lavra/keys.json", own).run();
    assert_eq!(project.count("bronze.people"), 2);
}

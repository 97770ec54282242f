//! The paperwork says what the project says, in two languages, and that a fact is missing where it is missing.

use crate::harness::Project;
use crate::people::cpf;
use serde_json::Value;

const PEOPLE: &str = "
    { name: cpf, logicalType: string, required: true, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: diagnosis, logicalType: string, classification: sensitive.health,
        customProperties: [{ property: mask, value: redact }] }
    { name: city, logicalType: string }";

const STATED: [(&str, &str); 4] = [
    ("purpose", "\"To call patients <soon> & well\""),
    ("legal_basis", "\"consent (LGPD art. 7, I)\""),
    ("recipients", "[clinic, insurer]"),
    ("owner", "ana.dados"),
];

fn project(stated: &[(&str, &str)]) -> Project {
    let project = Project::new("paper");
    project.source("people", "data/people.csv", &[]).contract("people", PEOPLE, stated);
    project.write("data/people.csv", format!("cpf,diagnosis,city\n{},gout,Recife\n", cpf(1)));
    project.model("silver.people", "select cpf as person, city from bronze.people\n");
    project
        .model("gold.calls", "-- exposes: [person: the clinic calls them]\nselect person, city from silver.people\n");
    project.model("gold.cities", "select city, count(*) as people from silver.people group by 1\n");
    project
}

fn settings(project: &Project, text: &str) {
    project.write("lavra.yaml", format!("project: paper\nenvironments:\n  local: {{}}\n{text}\n"));
}

fn report(project: &Project, code: i32) -> Value {
    project.lavra(&["privacy", "report", "--format", "json"]).exits(code).json()
}

fn table<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["retention"].as_array().expect("a list");
    all.iter().find(|kept| kept["table"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

#[test]
fn what_is_stated_is_in_the_papers_of_both_languages() {
    let project = project(&STATED);
    settings(
        &project,
        "privacy: { controller: Clínica Exemplo, dpo: dpo@example.org, measures: [Disks are ciphered.] }",
    );
    project.run();
    project.lavra(&["privacy", "report", "--out", "report"]).exits(0).says("12 files in report");
    for (lang, words) in [
        ("en", ["Record of processing activities", "Legal basis", "Every table complies", "impact assessment"]),
        ("pt-BR", ["Registro das operações", "Base legal", "Todas as tabelas cumprem", "Relatório de impacto"]),
    ] {
        let names = ["record-of-processing", "impact-assessment", "retention-schedule"];
        let read = |ending: &str| names.map(|name| project.read(&format!("report/{name}.{lang}.{ending}"))).concat();
        let (markdown, html) = (read("md"), read("html"));
        for word in words.iter().chain(&["Clínica Exemplo", "dpo@example.org", "clinic, insurer", "ana.dados"]) {
            assert!(markdown.contains(word) && html.contains(word), "{lang}: {word}");
        }
        for fact in ["consent (LGPD art. 7, I)", "the clinic calls them", "bronze.people.cpf", "sensitive.health"] {
            assert!(markdown.contains(fact), "{lang}: {fact}");
        }
        assert!(markdown.contains("To call patients <soon> & well") && html.contains("&lt;soon&gt; &amp; well"));
        assert!(!html.contains("://"), "a page needs nothing from elsewhere");
        assert!(!markdown.contains("gold.cities"), "what carries nobody is in no paper");
        assert!(!markdown.contains(&cpf(1)) && !markdown.contains("gout"), "no value is in a paper");
    }
    let one = project.lavra(&["privacy", "report", "--lang", "pt-BR"]).exits(0);
    assert!(one.stdout.contains("# Tabela de retenção") && !one.stdout.contains("Retention schedule"));
}

#[test]
fn what_is_not_stated_is_missing_with_its_place() {
    let project = project(&[]);
    let document = report(&project, 0);
    let missing: Vec<String> = document["missing"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|fact| {
            format!("{} {}", fact["what"].as_str().unwrap_or_default(), fact["file"].as_str().unwrap_or_default())
        })
        .collect();
    for fact in [
        "controller lavra.yaml",
        "dpo lavra.yaml",
        "purpose contracts/people.yaml",
        "legal_basis contracts/people.yaml",
    ] {
        assert!(missing.iter().any(|found| found == fact), "{fact}: {missing:?}");
    }
    assert_eq!(document["activities"][0]["legal_basis"], Value::Null);
    let paper = project.lavra(&["privacy", "report"]).exits(0);
    paper.says("**Not stated**: contracts/people.yaml, customProperties: legal_basis");
    project
        .lavra(&["privacy", "report", "--lang", "pt-BR"])
        .exits(0)
        .says("**Não informado**: lavra.yaml, privacy: dpo");
}

#[test]
fn the_last_byte_is_counted_and_what_can_not_comply_is_refused() {
    let project = project(&STATED);
    let document = report(&project, 0);
    let bronze = table(&document, "bronze.people");
    let numbers = |kept: &Value| {
        [&kept["versions_days"], &kept["quarantine_days"], &kept["last_byte_days"], &kept["deadline_days"]]
            .map(Value::as_u64)
    };
    assert_eq!(numbers(bronze), [Some(8), Some(15), Some(15), Some(15)]);
    assert_eq!(numbers(table(&document, "gold.calls")), [Some(8), None, Some(8), Some(15)]);

    settings(&project, "maintenance:\n  quarantine_kept: 30 days");
    project
        .lavra(&["check"])
        .exits(3)
        .says("bronze.people can't forget anybody in time")
        .says("38 days")
        .says("lavra.yaml:5");
    let document = report(&project, 3);
    assert_eq!(
        (
            table(&document, "bronze.people")["complies"].as_bool(),
            table(&document, "silver.people")["complies"].as_bool()
        ),
        (Some(false), Some(true))
    );
    assert_eq!(document["refused"][0]["severity"], "refused");
    let answer = project.lavra(&["privacy", "report", "--lang", "pt-BR"]).exits(3);
    answer.says("a quarentena passa do prazo").says("Este projeto não cumpre");
    project.lavra(&["run"]).exits(3);

    settings(&project, "maintenance: { vacuum_after: 21 days, versions_kept: 21 days }");
    project.lavra(&["check"]).exits(3).says("and 2 more").says("22 days");
    settings(&project, "privacy: { erasure_deadline: 30 days }\nmaintenance: { quarantine_kept: 2 weeks }");
    project.lavra(&["check"]).exits(0);
    settings(&project, "maintenance: { quarantine_kept: soon }");
    project.lavra(&["check"]).exits(2).says("not a span of time");
}

#[test]
fn a_contract_that_lets_rows_be_kept_for_less_than_what_stays_behind_is_refused() {
    let project = project(&STATED);
    let contract = project.read("contracts/people.yaml");
    let with = |days: u32| format!("{contract}slaProperties: [{{ property: retention, value: {days}, unit: d }}]\n");
    project.write("contracts/people.yaml", with(10));
    project.lavra(&["check"]).exits(3).says("rows are kept for 10 days").says("contracts/people.yaml:");
    project.write("contracts/people.yaml", with(90));
    project.run();
    let document = report(&project, 0);
    let bronze = table(&document, "bronze.people");
    assert_eq!((&bronze["rows"], &bronze["oldest_days"], &bronze["overdue"]), (&1.into(), &0.into(), &false.into()));
    assert_eq!(table(&document, "gold.calls")["retention_days"], 90, "a model keeps to what it is made from");
}

#[test]
fn a_project_without_personal_data_has_empty_papers() {
    let project = Project::new("nobody");
    project.source("orders", "data/o.csv", &[]).contract("orders", "{ name: id, logicalType: string }", &[]);
    settings(&project, "maintenance: { quarantine_kept: 300 days }");
    let document = report(&project, 0);
    assert_eq!(
        (document["activities"].as_array().map(Vec::len), document["complies"].as_bool()),
        (Some(0), Some(true))
    );
    project.lavra(&["privacy", "report"]).exits(0).says("No table carries personal data");
}

//! A person asks: where am I, give me a copy, forget me. Nothing is left then, and nobody else has lost a row.

use crate::harness::{Answer, Project, node};
use crate::people::{cpf, dotted};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const PEOPLE: &str = "
    { name: customer_id, logicalType: string, required: true }
    { name: cpf, logicalType: string, required: true, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: email, logicalType: string, classification: personal.email,
        customProperties: [{ property: mask, value: encrypt(contact) }] }
    { name: state, logicalType: string }
    { name: since, logicalType: timestamp, physicalType: 'timestamp(6, UTC)', required: true }";

const PAYMENTS: &str = "
    { name: id, logicalType: string, required: true }
    { name: payer, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: 'encrypt(person, deterministic)' }] }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)', required: true }";

/// Whose a call is says another table's column; its own CPF is shortened.
const CALLS: &str = "
    { name: customer_id, logicalType: string,
        customProperties: [{ property: subject, value: people.customer_id }] }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: 'partial(first: 3)' }] }
    { name: words, logicalType: string }";

const MODELS: [(&str, &str); 6] = [
    ("silver.people", "-- write: scd2\n-- key: [cpf]\n-- time: since\nselect cpf, state, since from bronze.people\n"),
    ("silver.payments", "-- write: append\nselect id, upper(payer) as payer, amount, at from bronze.payments\n"),
    ("silver.merged", "-- write: merge\n-- key: [id]\nselect id, payer, amount from bronze.payments\n"),
    (
        "gold.days",
        "-- write: incremental\n-- time: day\n-- grain: day\n\
         select cast(at as date) as day, cast(count(*) as bigint) as n, sum(amount) as amount from bronze.payments group by 1\n",
    ),
    (
        "gold.persons",
        "-- exposes: [payer: \"who pays much\"]\nselect payer, sum(amount) as amount from silver.merged group by payer\n",
    ),
    ("gold.talk", "select words, count(*) as n from bronze.calls group by words\n"),
];

/// Every table but those of totals, with the columns that say whose a row is first.
const CONTENT: [(&str, &str); 8] = [
    ("bronze.people", "cpf, customer_id, state, since, _position['offset']"),
    ("bronze.payments", "payer, id, amount, at, _position['offset']"),
    ("bronze.calls", "customer_id, cpf, words"),
    ("quarantine.payments", "\"row\", rule, _position['offset']"),
    ("silver.people", "cpf, state, valid_from, valid_to, is_current"),
    ("silver.payments", "payer, id, amount"),
    ("silver.merged", "payer, id, amount"),
    ("gold.persons", "payer, amount"),
];

const VICTIM: u64 = 7;
const EMAIL: &str = "victim@example.com";

fn arrive(project: &Project, wave: u64) {
    let (mut people, mut payments, mut calls) = (String::new(), "id,payer,amount,at\n".to_owned(), String::new());
    for row in 0..20 {
        let email = if row == VICTIM { EMAIL.to_owned() } else { format!("p{row}@example.com") };
        let (number, since) = (cpf(row), format!("2026-0{}-01T00:00:{row:02}Z", 1 + wave));
        people.push_str(&format!(
            "{{\"customer_id\":\"c{row}\",\"cpf\":\"{number}\",\"email\":\"{email}\",\"state\":\"S{wave}\",\"since\":\"{since}\"}}\n"
        ));
        let written = if row % 2 == 0 { number.clone() } else { dotted(&number) };
        let amount = if row % 5 == 2 { "much".to_owned() } else { format!("{row}.25") };
        payments.push_str(&format!("p{wave}{row},{number},{amount},2026-07-0{}T10:00:00Z\n", 1 + wave));
        payments.push_str(&format!("q{wave}{row},{number},{row}.50,2026-07-0{}T10:00:00Z\n", 1 + row % 3));
        calls.push_str(&format!("{{\"customer_id\":\"c{row}\",\"cpf\":\"{written}\",\"words\":\"w{}\"}}\n", row % 2));
    }
    project.write(&format!("data/people-{wave}.ndjson"), people);
    project.write(&format!("data/payments-{wave}.csv"), payments);
    project.write(&format!("data/calls-{wave}.ndjson"), calls);
}

/// Three layers, two waves: several versions of each table.
fn project() -> Project {
    let project = Project::new("asked");
    project.source("people", "data/people-*.ndjson", &[]).contract("people", PEOPLE, &[]);
    project.source("payments", "data/payments-*.csv", &[]).contract("payments", PAYMENTS, &[]);
    project.source("calls", "data/calls-*.ndjson", &[]).contract("calls", CALLS, &[]);
    for (table, text) in MODELS {
        project.model(table, text);
    }
    for wave in 0..2 {
        arrive(&project, wave);
        project.run();
    }
    project
}

fn asks(project: &Project, args: &[&str]) -> Answer {
    let answer = project.call(&[&["subject"], args].concat()).stdin(&dotted(&cpf(VICTIM))).done();
    for text in [cpf(VICTIM), dotted(&cpf(VICTIM))] {
        assert!(!answer.stdout.contains(&text) && !answer.stderr.contains(&text), "it is never printed: {answer:?}");
    }
    answer
}

const FORGET: [&str; 7] = ["forget", "--kind", "cpf", "--yes", "--purge-now", "--format", "json"];

fn content(project: &Project) -> Vec<String> {
    let of = |(table, columns): &(&str, &str)| {
        let cells: Vec<String> = columns.split(", ").map(|c| format!("coalesce(cast({c} as varchar), '-')")).collect();
        format!("select '{table}' as t, concat_ws('|', {}) as r from {table}", cells.join(", "))
    };
    project.lines(&CONTENT.iter().map(of).collect::<Vec<_>>().join(" union all "))
}

/// What names the victim anywhere in the lake.
fn names(project: &Project) -> Vec<String> {
    let of = |sql: &str| project.value(sql).as_str().expect("a text").to_owned();
    let payer = of("select payer from bronze.payments where id = 'q07'");
    vec![
        cpf(VICTIM),
        dotted(&cpf(VICTIM)),
        EMAIL.to_owned(),
        of("select distinct cpf from bronze.people where customer_id = 'c7'"),
        payer.to_uppercase(),
        payer,
    ]
}

/// Where a name is left: in the bytes of any file, and in the values of Parquet files, which are packed.
fn left(project: &Project, names: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, bytes) in [project.files_below("lake"), project.files_below(".lavra")].concat() {
        let mut texts = vec![String::from_utf8_lossy(&bytes).into_owned()];
        if path.extension().is_some_and(|ending| ending == "parquet") {
            texts.push(unpacked(&path));
        }
        let holds = |name: &&String| texts.iter().any(|text| text.contains(name.as_str()));
        found.extend(names.iter().filter(holds).map(|name| format!("{} holds {name}", path.display())));
    }
    found
}

fn unpacked(path: &Path) -> String {
    let file = std::fs::File::open(path).expect("a file");
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
    let batches: Vec<_> = reader.build().expect("a reader").map(|batch| batch.expect("rows")).collect();
    arrow::util::pretty::pretty_format_batches(&batches).expect("text").to_string()
}

fn found(document: &Value) -> Vec<&str> {
    document["found"].as_array().expect("tables").iter().map(|f| f["table"].as_str().expect("a name")).collect()
}

#[test]
fn a_person_is_found_copied_and_forgotten_and_nobody_else_is() {
    let project = project();
    let names = names(&project);
    let before = content(&project);
    let located = asks(&project, &["locate", "--kind", "cpf", "--format", "json"]).exits(0).json();
    let tables = found(&located);
    for (table, _) in CONTENT.iter().filter(|(table, _)| *table != "gold.talk") {
        assert!(tables.contains(table), "{table}: {located}");
    }
    let people = located["found"].as_array().expect("tables").iter().find(|f| f["table"] == "bronze.people");
    let people = people.expect("bronze.people");
    assert_eq!((&people["rows"], &people["columns"]["cpf"]), (&2.into(), &2.into()), "{people}");
    assert_eq!(people["files"].as_array().map(Vec::len), Some(2), "{people}");

    asks(&project, &["export", "--kind", "cpf", "--output", "copy"]).exits(0).says("bronze.payments");
    let copy = project.read("copy/bronze.people.ndjson");
    assert!(copy.lines().count() == 2 && copy.contains(EMAIL) && !copy.contains("p8@example.com"), "{copy}");
    let manifest: Value = serde_json::from_str(&project.read("copy/manifest.json")).expect("a manifest");
    assert!(manifest["tables"].as_array().is_some_and(|all| all.len() == tables.len()), "{manifest}");
    project.shell("stat -c %a copy copy/* | sort -u").exits(0).says("600\n700");

    let plan = asks(&project, &["forget", "--kind", "cpf", "--dry-run", "--format", "json"]).exits(0).json();
    assert_eq!(plan["plan"].as_array().map(Vec::len), Some(tables.len()));
    asks(&project, &["forget", "--kind", "cpf"]).exits(2).says("--yes");
    assert_eq!(content(&project), before, "a plan changes nothing");
    assert!(!left(&project, &names).is_empty(), "the search finds what is there");

    let done = asks(&project, &FORGET).exits(0).json();
    let certificate = &done["certificate"];
    assert!(certificate["purged_at"].is_string(), "{done}");
    assert_eq!(certificate["tables"]["bronze.people"]["rows"], 2, "{done}");
    assert_eq!(left(&project, &names), Vec::<String>::new());
    let theirs = |line: &&String| !names.iter().any(|name| line.contains(name.as_str())) && !line.contains("|c7|");
    let others: Vec<String> =
        before.iter().filter(theirs).filter(|line| !line.starts_with("bronze.calls,c7|")).cloned().collect();
    assert_eq!(content(&project), others, "everybody else is as before");
    let total = |sql: &str| project.lines(sql);
    assert_eq!(
        total("select sum(n), sum(amount) from gold.days"),
        total("select count(*), sum(amount) from bronze.payments"),
        "totals are without the person"
    );
    assert_eq!(total("select sum(n) from gold.talk"), ["38"]);

    project.lavra(&["run"]).exits(0).says("nothing new");
    project.run_with(&["--full-refresh"]).exits(0);
    let nowhere = asks(&project, &["locate", "--kind", "cpf", "--format", "json"]).exits(0).json();
    assert_eq!(found(&nowhere), Vec::<&str>::new(), "a refresh brings nobody back");
    assert_eq!(left(&project, &names), Vec::<String>::new());
    let again = asks(&project, &FORGET).exits(0).json();
    assert_eq!(again["certificate"]["tables"]["bronze.people"], certificate["tables"]["bronze.people"]);
    project.lavra(&["query", "select * from bronze.people version as of 1"]).exits(2).says("is kept no more");
    comes_again(&project, &names);
}

/// The files are still there: read anew, they do not bring the person back, unless somebody says so.
fn comes_again(project: &Project, names: &[String]) {
    project.shell("rm -r lake/bronze/people lake/bronze/payments lake/quarantine/payments").exits(0);
    let run = project.run_with(&["source:people", "source:payments"]).exits(0).json();
    assert_eq!(node(&run, "people")["report"]["rows_forgotten"], 2, "{run}");
    assert_eq!((project.count("bronze.people"), project.count("quarantine.payments")), (38, 6));
    assert_eq!(left(project, names), Vec::<String>::new());
    asks(project, &["readmit", "--kind", "cpf", "--reason", "a new contract"]).exits(0).says("come in again");
    arrive(project, 2);
    let run = project.run_with(&["source:people"]).exits(0).json();
    assert_eq!(node(&run, "people")["report"]["rows_written"], 20, "{run}");
}

#[test]
fn a_certificate_is_good_until_a_byte_of_it_changes() {
    let project = project();
    let done = asks(&project, &["forget", "--kind", "cpf", "--yes", "--format", "json"]).exits(0).json();
    let file = done["file"].as_str().expect("a file").to_owned();
    let people = &done["certificate"]["tables"]["bronze.people"];
    assert_eq!((&people["is_purged"], people["files"].as_object().map(serde_json::Map::len)), (&false.into(), Some(2)));
    project.lavra(&["subject", "verify", &file]).exits(0).says("good: s1_");
    let text = project.read(&file);
    project.write(&file, text.replacen("\"rows\": 2", "\"rows\": 1", 1));
    project.lavra(&["subject", "verify", &file]).exits(3).says("not what was signed");
    project.write(&file, text.replacen('\n', "\n ", 1));
    project.lavra(&["subject", "verify", &file]).exits(3).says("changed after it was written");
    project.write(&file, &text);
    let other = "ab".repeat(32);
    project.lavra(&["subject", "verify", &file, "--public-key", &other]).exits(3).says("signed by the key");
    assert!(project.read(&file.replace(".json", ".md")).contains("| bronze.people | 2 |"));
    assert_eq!(project.count("bronze.people version as of 1"), 20, "old versions stay for a while");
    project.lavra(&["subject", "purge", "--format", "json"]).exits(0).says("[]");
    project.lavra(&["subject", "purge", "--now"]).exits(0).says("s1_");
    project.lavra(&["query", "select * from bronze.people version as of 1"]).exits(2).says("is kept no more");
    project.lavra(&["subject", "verify", &file]).exits(0);
}

const FORMS: [&str; 4] = [
    "classification: personal, customProperties: [{ property: mask, value: pseudonym(person) }]",
    "classification: personal.cpf, customProperties: [{ property: mask, value: pseudonym(person) }]",
    "classification: personal.cpf, customProperties: [{ property: mask, value: pseudonym(people) }]",
    "classification: personal.cpf, customProperties: [{ property: mask, value: 'encrypt(person, deterministic)' }]",
];

fn takes_in(project: &Project, form: &str) {
    let id = "{ name: id, logicalType: integer, primaryKey: true, required: true }";
    project.contract("people", &format!("{id}\n{{ name: cpf, logicalType: string, {form} }}"), &[]);
}

/// A table whose CPF was masked in one way after the other, with the victim and somebody else once in each.
fn masked_in_turn(forms: &[&str]) -> Project {
    let project = Project::new("turns");
    project.source("people", "data/*.csv", &[]);
    for (turn, form) in (1..).zip(forms) {
        takes_in(&project, form);
        let (mine, theirs) = (dotted(&cpf(VICTIM)), dotted(&cpf(VICTIM + 1)));
        project.write(&format!("data/{turn}.csv"), format!("id,cpf\n{turn}1,{mine}\n{turn}2,{theirs}\n"));
        project.run();
    }
    project
}

#[test]
fn a_change_that_gives_a_person_another_token_is_told_before_it_comes_and_when() {
    let project = masked_in_turn(&FORMS[..1]);
    assert!(!project.lavra(&["plan"]).exits(0).stderr.contains("warning"), "nothing changes");
    takes_in(&project, FORMS[1]);
    let told = "bronze.people.cpf: its rows came in as `personal: pseudonym(person)`";
    let plan = project.lavra(&["plan"]).exits(0);
    for words in [told, "the same person has another token", "move the table's folder away and load all again"] {
        assert!(plan.stderr.contains(words), "{words}: {plan:?}");
    }
    project.write("data/more.csv", format!("id,cpf\n91,{}\n", cpf(VICTIM)));
    let run = project.run();
    assert!(node(&run, "people")["report"]["warning"].as_str().is_some_and(|w| w.contains(told)), "{run}");
    let plan = project.lavra(&["plan", "--format", "json"]).exits(0).json();
    assert_eq!(plan[0]["warnings"], serde_json::json!([]), "{plan}");
    project.shell("rm -r lake/bronze/people").exits(0);
    assert!(node(&project.run(), "people")["report"]["warning"].is_null(), "a table that is made anew has one form");
}

#[test]
fn a_person_is_found_under_each_form_that_a_column_had() {
    let project = masked_in_turn(&FORMS);
    let located = asks(&project, &["locate", "--kind", "cpf", "--format", "json"]).exits(0).json();
    assert_eq!(located["found"][0]["rows"], 4, "{located}");
    let done = asks(&project, &FORGET).exits(0).json();
    assert_eq!(done["certificate"]["tables"]["bronze.people"]["rows"], 4, "{done}");
    let remains = done["certificate"]["remains"].to_string();
    assert!(remains.contains("in usual spellings only"), "{remains}");
    assert_eq!(project.lines("select id from bronze.people"), ["12", "22", "32", "42"]);
}

/// The contract says it no more; the table's log does.
#[test]
fn a_person_is_found_where_a_column_was_of_the_kind_once() {
    let project = masked_in_turn(&[FORMS[1], FORMS[0]]);
    asks(&project, &["forget", "--kind", "cpf", "--yes", "--format", "json"]).exits(0);
    assert_eq!(project.lines("select id from bronze.people"), ["12", "22"]);
}

#[test]
fn what_is_no_request_is_refused_without_a_word_of_the_value() {
    let project = Project::new("refused");
    project.source("people", "data/*.ndjson", &[]).contract("people", PEOPLE, &[]);
    let value = cpf(VICTIM);
    let answer = project.lavra(&["subject", "locate", "--kind", "cpf", &value]).exits(3).says("the shell's history");
    assert!(!answer.stdout.contains(&value) && !answer.stderr.contains(&value), "{answer:?}");
    let with = |kind: &str, typed: &str| project.call(&["subject", "locate", "--kind", kind]).stdin(typed).done();
    with("phone", "11987654321").exits(2).says("no column of a contract has the classification `personal.phone`");
    with("cfp", &value).exits(2).says("did you mean `cpf`");
    let wrong = format!("{}{}", &value[..10], (value.as_bytes()[10] - b'0' + 1) % 10);
    let answer = with("cpf", &wrong).exits(2).says("look for a slip");
    assert!(!answer.stderr.contains(&wrong), "{answer:?}");
    with("cpf", "").exits(2).says("it is empty");
    assert_eq!(with("cpf", &value).exits(0).stdout.matches("s1_").count(), 1);
}

#[test]
fn a_legal_hold_keeps_its_rows_and_the_certificate_says_so() {
    let project = project();
    let hold = [("legal_hold", "{ until: 2999-12-31, reason: tax law }")];
    project.contract("payments", PAYMENTS, &hold);
    let done = asks(&project, &FORGET).exits(0).json();
    let holds = &done["certificate"]["holds"];
    assert_eq!(holds["bronze.payments"]["reason"], "tax law", "{done}");
    assert!(holds["silver.merged"].is_object() && holds["bronze.people"].is_null(), "{holds}");
    let count = |sql: &str| project.value(sql).as_u64().expect("a count");
    assert_eq!(count("select count(*) from bronze.payments where id in ('q07', 'q17')"), 2);
    assert_eq!(count("select count(*) from bronze.people where customer_id = 'c7'"), 0);
    project.lavra(&["run"]).exits(0);
    project.contract("payments", PAYMENTS, &[("legal_hold", "{ until: 2020-12-31, reason: tax law }")]);
    let done = asks(&project, &FORGET).exits(0).json();
    assert_eq!(done["certificate"]["holds"], serde_json::json!({}), "{done}");
    assert_eq!(count("select count(*) from bronze.payments where id in ('q07', 'q17')"), 0);
    project.contract("payments", PAYMENTS, &[("legal_hold", "for ever")]);
    project.lavra(&["check"]).exits(2).says("until when, and why");
}

#[test]
fn twenty_kills_of_a_forget_leave_what_one_that_went_through_leaves() {
    const KILLS: u32 = 20;
    let project = project();
    let names = names(&project);
    project.shell("mkdir saved && cp -a lake .lavra saved/").exits(0);
    let restore = || project.shell("rm -rf lake .lavra && cp -a saved/lake saved/.lavra .").exits(0);
    let start = Instant::now();
    asks(&project, &FORGET).exits(0);
    let longest = start.elapsed();
    let expected = content(&project);
    let mut dice = fastrand::Rng::with_seed(20_260_801);
    let mut kills = 0;
    while kills < KILLS {
        restore();
        kills += under_fire(&project, longest, &mut dice);
        assert_eq!(content(&project), expected, "after {kills} kills");
        assert_eq!(left(&project, &names), Vec::<String>::new(), "after {kills} kills");
        let certificate = project.shell("ls .lavra/certificates/*.json").exits(0).stdout;
        project.lavra(&["subject", "verify", certificate.trim()]).exits(0);
        let text = project.read(certificate.trim());
        let certificate: Value = serde_json::from_str(&text).expect("a certificate");
        assert_eq!(certificate["certificate"]["tables"]["bronze.people"]["rows"], 2, "{text}");
        project.lavra(&["run"]).exits(0);
        assert_eq!(left(&project, &names), Vec::<String>::new(), "after a run");
    }
    println!("{kills} kills; a straight forget takes {longest:?}");
}

/// Begins again until it comes to its end. Gives the kills that came while it was at work.
fn under_fire(project: &Project, longest: Duration, dice: &mut fastrand::Rng) -> u32 {
    for kills in 0.. {
        let mut call = project.call(&[&["subject"], &FORGET[..]].concat()).stdin(&cpf(VICTIM));
        let mut child = call.start();
        let until = Instant::now() + longest.mul_f64(0.2 + 0.9 * dice.f64());
        let ended =
            std::iter::from_fn(|| (Instant::now() < until).then(|| std::thread::sleep(Duration::from_millis(5))))
                .find_map(|()| child.try_wait().expect("a child to wait for"));
        if let Some(status) = ended {
            let output = child.wait_with_output().expect("what it said");
            assert!(status.success(), "after {kills} kills: {}", String::from_utf8_lossy(&output.stderr));
            return kills;
        }
        child.kill().expect("kill -9");
        child.wait().expect("its end");
    }
    0
}

//! Masks that keep something: tokens and keys of persons in a vault, dates that move together, numbers near numbers.

use crate::harness::Project;
use crate::people::{cpf, dotted};
use std::time::{Duration, Instant};

fn column(name: &str, kind: &str, class: &str, mask: &str) -> String {
    let mask = format!("customProperties: [{{ property: mask, value: '{mask}' }}]");
    format!("{{ name: {name}, {kind}, classification: {class}, {mask} }}")
}

const TEXT: &str = "logicalType: string";

/// Every mask of the vault and of subjects in one table, and the same people in another.
fn project() -> Project {
    let project = Project::new("vaulted");
    let columns = [
        "{ name: id, logicalType: string, primaryKey: true, required: true }".to_owned(),
        column("cpf", TEXT, "personal.cpf", "token(person)"),
        column("email", TEXT, "personal.email", "encrypt(person, subject: cpf)"),
        column("card", TEXT, "personal.card", "token(card, format: keep)"),
        column("born", "logicalType: date", "personal.birth_date", "date_shift(person, subject: cpf)"),
        column("seen", "logicalType: date", "personal.visit", "date_shift(person, subject: cpf)"),
        column("salary", "logicalType: number, physicalType: 'decimal(12,2)'", "personal.income", "noise(5%)"),
    ];
    project.source("people", "data/people-*.csv", &[]).contract("people", &columns.join("\n"), &[]);
    project.source("visits", "data/visits-*.ndjson", &[]);
    project.contract("visits", &column("who", TEXT, "personal.cpf", "token(person)"), &[]);
    project
}

fn arrive(project: &Project, wave: u64, people: std::ops::Range<u64>) {
    let mut rows = "id,cpf,email,card,born,seen,salary\n".to_owned();
    let mut visits = String::new();
    for n in people {
        let (who, day) = (cpf(n), 1 + n % 28);
        rows.push_str(&format!(
            "w{wave}-{n},{who},p{n}@example.com,4539148803{n:06},1980-05-{day:02},1980-06-{day:02},{}.50\n",
            5_000 + n
        ));
        visits.push_str(&format!("{{\"who\":\"{}\"}}\n", dotted(&who)));
    }
    project.write(&format!("data/people-{wave}.csv"), rows);
    project.write(&format!("data/visits-{wave}.ndjson"), visits);
}

#[test]
fn a_table_keeps_what_its_masks_promise_over_runs() {
    let project = project();
    assert!(!project.path(".lavra/vault.db").exists());
    arrive(&project, 0, 0..40);
    project.run();
    arrive(&project, 1, 20..60);
    project.run();
    assert_eq!(project.count("bronze.people"), 80);
    let one = |sql: &str| project.value(sql).as_u64().expect("a count");
    assert_eq!(one("select count(distinct cpf) from bronze.people"), 60, "a person has one token in both runs");
    assert_eq!(one("select count(distinct email) from bronze.people"), 80, "each ciphertext is another");
    let pairs = "select count(*) from (select distinct cpf from bronze.people) p join (select distinct who from bronze.visits) v on p.cpf = v.who";
    assert_eq!(one(pairs), 60, "the other table has the same tokens");
    let between = "select count(*) from bronze.people where to_unixtime(seen) - to_unixtime(born) = 31 * 86400";
    assert_eq!(one(between), 80, "May has 31 days");
    let shifted = "select count(*) from (select cpf from bronze.people group by cpf having count(distinct born) > 1)";
    assert_eq!(one(shifted), 0, "a person's dates move alike in each run");
    assert!(one("select count(*) from bronze.people where salary between 3000 and 7500") > 70, "noise is near");
    assert!(one("select count(distinct salary) from bronze.people") > 70, "and each row has its own");
    for row in project.rows("select cpf, email, card from bronze.people") {
        let text = |name: &str| row[name].as_str().expect("a text").to_owned();
        assert!(text("cpf").starts_with("t_") && text("email").starts_with("1.s."), "{row}");
        assert!(text("card").len() == 16 && text("card").bytes().all(|c| c.is_ascii_digit()), "{row}");
    }
    let raw = |n: u64| [cpf(n), format!("p{n}@example.com"), format!("4539148803{n:06}")];
    for (path, content) in project.files_below("lake").into_iter().chain(project.files_below(".lavra")) {
        for value in (0..60).flat_map(raw) {
            let found = content.windows(value.len()).any(|part| part == value.as_bytes());
            assert!(!found, "{} holds {value}", path.display());
        }
    }
}

#[test]
fn a_subject_is_checked_before_the_first_row_and_missed_in_none() {
    let project = project();
    let text = project.read("contracts/people.yaml");
    project
        .write("contracts/people.yaml", text.replace("encrypt(person, subject: cpf)", "encrypt(person, subject: cfp)"));
    project.lavra(&["check"]).exits(2).says("did you mean `cpf`?").says("contracts/people.yaml");
    project.write("contracts/people.yaml", text.replace("date_shift(person, subject: cpf)", "date_shift(person)"));
    project.lavra(&["check"]).exits(2).says("one shift for everybody");
    project.write("contracts/people.yaml", text);
    project.lavra(&["check"]).exits(0);
    project.write("data/people-0.csv", format!("id,cpf,email,card,born,seen,salary\na,{},a@x.com,4539148803436467,1980-01-01,1990-01-01,1.00\nb,,b@x.com,4539148803436467,1980-01-01,1990-01-01,1.00\n", cpf(1)));
    project.write("data/visits-0.ndjson", format!("{{\"who\":\"{}\"}}\n", cpf(1)));
    project.run();
    assert_eq!((project.count("bronze.people"), project.count("quarantine.people")), (1, 1));
    let set_aside = project.rows("select rule, \"column\", \"row\" from quarantine.people");
    assert_eq!((set_aside[0]["rule"].as_str(), set_aside[0]["column"].as_str()), (Some("mask"), Some("email")));
    assert!(!set_aside[0].to_string().contains("b@x.com"), "{set_aside:?}");
    project.lavra(&["quarantine", "replay", "people"]).exits(0);
    assert_eq!((project.count("bronze.people"), project.count("quarantine.people")), (1, 1), "it can't be made up");
}

/// The vault is written before bronze: whenever the process dies, a token is somebody's for good.
#[test]
fn a_kill_between_vault_and_table_gives_nobody_a_second_token() {
    let project = project();
    arrive(&project, 0, 0..2_000);
    let begun = Instant::now();
    let probe = self::project();
    arrive(&probe, 0, 0..2_000);
    probe.run();
    let longest = begun.elapsed();
    let (mut kills, mut between) = (0, 0);
    let mut dice = fastrand::Rng::with_seed(7);
    while kills < 12 && between < 3 {
        let mut call = project.call(&["run", "--quiet"]);
        let mut child = call.start();
        std::thread::sleep(longest.mul_f64(dice.f64()).max(Duration::from_millis(20)));
        if child.try_wait().expect("a child").is_some() {
            child.wait_with_output().expect("what it said");
            break;
        }
        child.kill().expect("kill -9");
        child.wait().expect("its end");
        kills += 1;
        between += u32::from(project.path(".lavra/vault.db").exists());
    }
    project.run();
    arrive(&project, 1, 0..2_000);
    project.run();
    assert_eq!(project.count("bronze.people"), 4_000);
    let tokens = project.value("select count(distinct cpf) from bronze.people").as_u64();
    assert_eq!(tokens, Some(2_000), "after {kills} kills, {between} of them with a vault");
    let met = "select count(*) from (select distinct cpf from bronze.people) p join (select distinct who from bronze.visits) v on p.cpf = v.who";
    assert_eq!(project.value(met).as_u64(), Some(2_000));
}

/// Two projects over one lake's people: two processes that write one vault at the same time.
#[test]
fn two_processes_of_one_vault_give_a_person_one_token() {
    let (one, other) = (project(), project());
    other.write(".lavra/keys.json", one.read(".lavra/keys.json"));
    let shared = one.path(".lavra/vault.db");
    let config = format!("project: vaulted\nenvironments:\n  local: {{ vault: '{}' }}\n", shared.display());
    other.write("lavra.yaml", config);
    for project in [&one, &other] {
        arrive(project, 0, 0..3_000);
    }
    let (mut first, mut second) = (one.call(&["run", "--quiet"]), other.call(&["run", "--quiet"]));
    let children = [first.start(), second.start()];
    for child in children {
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let tokens = |project: &Project| project.lines("select distinct cpf from bronze.people order by cpf");
    assert_eq!(tokens(&one), tokens(&other));
    assert_eq!(tokens(&one).len(), 3_000);
    assert!(!other.path(".lavra/vault.db").exists());
}

#[test]
fn a_vault_that_others_can_read_or_in_the_lake_is_refused() {
    let project = project();
    arrive(&project, 0, 0..3);
    project.write("lavra.yaml", "project: vaulted\nenvironments:\n  local: { vault: lake/vault.db }\n");
    project.lavra(&["run"]).exits(3).says("inside the lake");
    project.write("lavra.yaml", "project: vaulted\n");
    project.run();
    project.shell("chmod 644 .lavra/vault.db").exits(0);
    arrive(&project, 1, 3..5);
    project.lavra(&["run"]).exits(3).says("chmod 600");
    project.shell("chmod 600 .lavra/vault.db").exits(0);
    project.run();
    assert_eq!(project.count("bronze.people"), 5);
}

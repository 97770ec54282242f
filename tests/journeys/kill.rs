//! `kill -9` at a hundred points of a run, and the lake must be as if nothing had happened.

use crate::harness::Project;
use crate::people::cpf;
use std::time::{Duration, Instant};

const KILLS: u32 = 100;

const PAYMENTS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: status, logicalType: string }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)', required: true }";

const PEOPLE: &str = "
    { name: cpf, logicalType: string, required: true, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: state, logicalType: string }
    { name: since, logicalType: timestamp, physicalType: 'timestamp(6, UTC)', required: true }";

const MODELS: [(&str, &str); 5] = [
    ("silver.added", "-- write: append\nselect id, cpf, amount, at from bronze.payments where status = 'paid'\n"),
    (
        "silver.payments",
        "-- write: merge\n-- key: [id]\n-- checks: { unique: [id] }\nselect p.id, p.amount, p.at, q.state from bronze.payments p \
         left join (select cpf, max(state) as state from bronze.people group by cpf) q on p.cpf = q.cpf\n",
    ),
    ("silver.people", "-- write: scd2\n-- key: [cpf]\n-- time: since\nselect cpf, state, since from bronze.people\n"),
    (
        "gold.days",
        "-- write: incremental\n-- time: day\n-- grain: day\n\
         select cast(at as date) as day, cast(count(*) as bigint) as n, sum(amount) as amount from silver.payments group by 1\n",
    ),
    ("gold.states", "select state, sum(amount) as amount from silver.payments group by state\n"),
];

/// Every table with the text of its rows; what names the run is left out.
const CONTENT: [(&str, &str); 9] = [
    ("bronze.payments", "id, cpf, amount, status, at, _position['partition'], _position['offset'], _source"),
    ("bronze.people", "cpf, state, since, _position['partition'], _position['offset'], _source"),
    ("quarantine.payments", "rule, \"column\", reason, \"row\", _position['partition'], _position['offset']"),
    ("quarantine.people", "rule, reason, _position['partition'], _position['offset']"),
    ("silver.added", "id, cpf, amount, at"),
    ("silver.payments", "id, amount, at, state"),
    ("silver.people", "cpf, state, since, valid_from, valid_to, is_current"),
    ("gold.days", "day, n, amount"),
    ("gold.states", "state, amount"),
];

fn content(project: &Project) -> Vec<String> {
    let of = |(table, columns): &(&str, &str)| {
        let cells: Vec<String> = columns.split(", ").map(|c| format!("coalesce(cast({c} as varchar), '-')")).collect();
        format!("select '{table}' as t, concat_ws('|', {}) as r from {table}", cells.join(", "))
    };
    project.lines(&CONTENT.iter().map(of).collect::<Vec<_>>().join(" union all "))
}

/// A project before its first file; the same keys in each, so that tokens can be compared.
fn project(keys: &str) -> Project {
    let project = Project::new("killed");
    project.source("payments", "data/payments-*.csv", &[]).contract("payments", PAYMENTS, &[]);
    project.source("people", "data/people-*.ndjson", &[]).contract("people", PEOPLE, &[]);
    for (table, text) in MODELS {
        project.model(table, text);
    }
    if !keys.is_empty() {
        project.write(".lavra/keys.json", keys);
    }
    project
}

/// The files of a wave: good rows, bad rows, late rows and people who moved.
fn arrive(project: &Project, wave: u64) {
    for file in 0..3 {
        let mut payments = "id,cpf,amount,status,at\n".to_owned();
        let mut people = String::new();
        for row in 0..40 {
            let id = wave * 1000 + file * 100 + row;
            let (amount, day) =
                (if row % 9 == 4 { "much".to_owned() } else { format!("{row}.25") }, 1 + (row + wave) % 5);
            let status = if row % 2 == 0 { "paid" } else { "open" };
            payments.push_str(&format!("p{id},{},{amount},{status},2026-07-0{day}T10:00:00Z\n", cpf(row)));
            let state = if row == 7 { "null".to_owned() } else { format!("\"S{}\"", (row + wave) % 3) };
            let since =
                if row == 11 { "soon".to_owned() } else { format!("2026-0{}-01T00:00:{row:02}Z", 1 + wave * 3 + file) };
            people.push_str(&format!("{{\"cpf\":\"{}\",\"state\":{state},\"since\":\"{since}\"}}\n", cpf(row)));
        }
        payments.push_str("ragged\n");
        project.write(&format!("data/payments-{wave}{file}.csv"), payments);
        project.write(&format!("data/people-{wave}{file}.ndjson"), people);
    }
}

const WAVES: u64 = 2;

/// Runs a command to its end, killing on the way. Gives the kills that came while it was at work.
pub fn under_fire(project: &Project, args: &[&str], longest: Duration, dice: &mut fastrand::Rng) -> u32 {
    let mut kills = 0;
    loop {
        let delay = longest.mul_f64(dice.f64());
        let mut call = project.call(args);
        let mut child = call.start();
        std::thread::sleep(delay);
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            let output = child.wait_with_output().expect("what it said");
            assert!(status.success(), "after {kills} kills: {}", String::from_utf8_lossy(&output.stderr));
            return kills;
        }
        child.kill().expect("kill -9");
        child.wait().expect("its end");
        kills += 1;
    }
}

fn difference(straight: &[String], killed: &[String]) -> String {
    let mut lines = Vec::new();
    let count = |all: &[String], line: &String| all.iter().filter(|other| *other == line).count();
    for line in straight.iter().chain(killed) {
        let (there, here) = (count(straight, line), count(killed, line));
        let told = format!("{there} → {here}: {line}");
        if there != here && !lines.contains(&told) {
            lines.push(told);
        }
    }
    lines.truncate(20);
    lines.join("\n")
}

#[test]
fn a_hundred_kills_lose_nothing_and_double_nothing() {
    let begun = Instant::now();
    let straight = project("");
    let keys = straight.read(".lavra/keys.json");
    let (mut longest, mut expected) = (Duration::ZERO, Vec::new());
    for wave in 0..WAVES {
        arrive(&straight, wave);
        let start = Instant::now();
        straight.lavra(&["run", "--quiet"]).exits(0);
        longest = longest.max(start.elapsed());
        expected = content(&straight);
    }
    assert!(expected.len() > 500, "there is something to compare: {} rows", expected.len());
    let mut dice = fastrand::Rng::with_seed(20_260_701);
    let (mut kills, mut projects) = (0, 0);
    while kills < KILLS {
        let killed = project(&keys);
        for wave in 0..WAVES {
            arrive(&killed, wave);
            kills += under_fire(&killed, &["run", "--quiet"], longest.mul_f64(1.1), &mut dice);
        }
        projects += 1;
        let found = content(&killed);
        assert!(found == expected, "after {kills} kills, in project {projects}:\n{}", difference(&expected, &found));
        killed.lavra(&["run"]).exits(0).says("nothing new");
    }
    println!("{kills} kills in {projects} projects; a straight run takes {longest:?}, all took {:?}", begun.elapsed());
}

/// The same through a log: what comes out of it is what went in, whatever died on the way.
#[test]
fn forty_kills_on_the_way_through_a_log_change_nothing_of_the_tables() {
    let sorted = |project: &Project| {
        let mut content = content(project);
        content.sort();
        content
    };
    let straight = project("");
    let keys = straight.read(".lavra/keys.json");
    for wave in 0..WAVES {
        arrive(&straight, wave);
        straight.lavra(&["run", "--quiet"]).exits(0);
    }
    let expected = sorted(&straight);
    let mut dice = fastrand::Rng::with_seed(20_261_126);
    let (mut kills, mut longest) = (0, Duration::ZERO);
    while kills < 40 {
        let killed = project(&keys);
        killed.write("lavra.yaml", "project: killed\nenvironments:\n  local: { broker: embedded }\n");
        for wave in 0..WAVES {
            arrive(&killed, wave);
            let start = Instant::now();
            if longest.is_zero() {
                killed.lavra(&["run", "--quiet"]).exits(0);
                longest = start.elapsed().mul_f64(1.1);
            }
            kills += under_fire(&killed, &["run", "--quiet"], longest, &mut dice);
        }
        let found = sorted(&killed);
        assert!(found == expected, "after {kills} kills:\n{}", difference(&expected, &found));
        killed.lavra(&["run"]).exits(0).says("nothing new");
    }
}

/// 101 rows in bronze and 199 in quarantine, of which the contract has come to allow 150.
fn quarantined() -> Project {
    let column = |most: u32| {
        format!("{{ name: n, logicalType: integer, physicalType: bigint, logicalTypeOptions: {{ maximum: {most} }} }}")
    };
    let project = Project::new("replayed");
    project.source("rows", "data/*.csv", &[]).contract("rows", &column(100), &[]);
    for file in 0..3 {
        let rows: String = (0..100).map(|row| format!("{}\n", file * 100 + row)).collect();
        project.write(&format!("data/{file}.csv"), format!("n\n{rows}"));
        project.run();
    }
    assert_eq!((project.count("bronze.rows"), project.count("quarantine.rows")), (101, 199));
    project.contract("rows", &column(250), &[]);
    project
}

/// What a run set aside before it died comes again with the next one.
#[test]
fn a_replay_behind_a_run_that_died_between_its_commits_doubles_nothing() {
    let project = quarantined();
    let log = project.path("lake/bronze/rows/_delta_log");
    let mut versions: Vec<_> =
        std::fs::read_dir(&log).expect("a log").map(|entry| entry.expect("one").path()).collect();
    versions.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    versions.sort();
    std::fs::remove_file(versions.last().expect("a version")).expect("a commit that never came");
    project.lavra(&["quarantine", "replay", "rows"]).exits(0);
    project.run();
    project.lavra(&["quarantine", "replay", "rows"]).exits(0);
    let bronze = project.lines("select count(*) as n, count(distinct n) as d, max(n) as m from bronze.rows");
    assert_eq!(bronze, ["251,251,250"]);
    let aside = project.lines("select count(*) as n, count(distinct \"row\") as d from quarantine.rows");
    assert_eq!(aside, ["49,49"]);
}

/// Rows that come back out of quarantine move from one table to another, which is two commits.
#[test]
fn kills_during_a_replay_lose_nothing_and_double_nothing() {
    const REPLAY: [&str; 3] = ["quarantine", "replay", "rows"];
    let straight = quarantined();
    let start = Instant::now();
    straight.lavra(&REPLAY).exits(0);
    let longest = start.elapsed().mul_f64(1.2);
    let mut dice = fastrand::Rng::with_seed(20_260_702);
    let mut kills = 0;
    while kills < 20 {
        let project = quarantined();
        kills += under_fire(&project, &REPLAY, longest, &mut dice);
        project.run();
        let bronze = project.lines("select count(*) as n, count(distinct n) as d, max(n) as m from bronze.rows");
        assert_eq!(bronze, ["251,251,250"], "after {kills} kills");
        let aside = project.lines("select count(*) as n, count(distinct \"row\") as d from quarantine.rows");
        assert_eq!(aside, ["49,49"], "after {kills} kills");
    }
}

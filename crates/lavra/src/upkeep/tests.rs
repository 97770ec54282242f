//! Weeks of a project: what goes by its age, what stays by law, and what old versions leave.

use super::*;
use crate::clock::SystemClock;
use crate::commands::init;
use crate::commands::run::{Ran, Run, run_project};
use crate::subject::{Case, forget};
use crate::wiring::{Ask, Failure};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use kernel::TableName;
use kernel::clock::{Clock, ManualClock};
use kernel::engine::{Engine, Session};
use lake::{At, Table};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DAY: i64 = 86_400_000_000;
const CONTRACT: &str = "apiVersion: v3.1.0
kind: DataContract
id: people
version: 1.0.0
status: active
slaProperties: [{ property: retention, value: 30, unit: d }]
schema:
  - name: people
    properties:
      - { name: cpf, logicalType: string, required: true, classification: personal.cpf,
          customProperties: [{ property: mask, value: pseudonym(person) }] }
      - { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
";

struct World {
    folder: PathBuf,
    start: i64,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl World {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lavra-upkeep-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let files = [
            ("lavra.yaml", "project: weeks\n"),
            ("sources/people.yaml", "connector: files\npath: data/*.csv\n"),
            ("contracts/people.yaml", CONTRACT),
            ("models/silver/kept.sql", "-- write: append\nselect cpf, amount from bronze.people\n"),
            ("models/silver/timed.sql", "-- write: append\nselect cpf, _ingested_at as came from bronze.people\n"),
            ("models/silver/whole.sql", "select cpf from bronze.people\n"),
        ];
        init::make(&folder, &files).expect("a project");
        Self { folder, start: SystemClock::default().now().0 }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Three good rows and a bad one.
    fn arrive(&self, wave: u32) {
        let people = [["52998224725", "11144477735", "12345678909"], ["98765432100", "11144477735", "39053344705"]];
        let rows: String = people[wave as usize].iter().map(|cpf| format!("{cpf},{wave}.50\n")).collect();
        self.write(&format!("data/{wave}.csv"), &format!("cpf,amount\n{rows}11144477735,much\n"));
    }

    async fn at(&self, days: i64) -> Arc<Wiring> {
        let ask = Ask {
            folder: self.folder.clone(),
            environment: "local".into(),
            memory: 256 << 20,
            jobs: 1,
            opens_sources: true,
        };
        let mut wiring = told(Wiring::open(ask).await);
        wiring.clock = Arc::new(ManualClock::at(self.start + days * DAY));
        Arc::new(wiring)
    }

    async fn run(&self, days: i64) -> Ran {
        let wiring = self.at(days).await;
        let all = wiring.project.dag.names();
        let ran = told(run_project(wiring, &Run::quiet(), all).await);
        assert_eq!((ran.exit(), &ran.upkept.failed), (0, &Vec::new()), "day {days}");
        ran
    }
}

fn told<T>(outcome: Result<T, Failure>) -> T {
    match outcome {
        Ok(done) => done,
        Err(Failure::Error(error)) => panic!("{error}"),
        Err(Failure::Faults(_, faults)) => panic!("{faults:?}"),
    }
}

async fn count(wiring: &Wiring, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    let mut rows = wiring.engine.query(&Session::owner("a test"), &sql).await.expect(table).batches;
    let batch = rows.next().await.expect("a row").expect("a row");
    batch.column(0).as_primitive::<Int64Type>().value(0)
}

async fn counts(world: &World, days: i64) -> [i64; 5] {
    let wiring = world.at(days).await;
    let mut all = [0; 5];
    for (count_of, table) in
        all.iter_mut().zip(["bronze.people", "quarantine.people", "silver.kept", "silver.timed", "silver.whole"])
    {
        *count_of = count(&wiring, table).await;
    }
    all
}

fn aged(upkept: &Upkept) -> Vec<(&str, u64)> {
    upkept.aged.iter().map(|aged| (aged.table.as_str(), aged.rows)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_when_they_are_older_than_their_contract_allows() {
    let world = World::new("age");
    world.arrive(0);
    world.run(0).await;
    world.arrive(1);
    let second = world.run(20).await;
    assert_eq!(aged(&second.upkept), [("quarantine.people", 1)], "seven days in quarantine are over");
    assert_eq!(counts(&world, 20).await, [6, 1, 6, 6, 6]);
    let planned = plan(&*world.at(31).await, false).await.expect("a plan");
    let due = [("bronze.people", 3), ("quarantine.people", 1), ("silver.timed", 3)];
    assert_eq!(aged(&planned), due);
    assert!(planned.aged.iter().all(|aged| aged.version.is_none()));
    assert_eq!(counts(&world, 31).await, [6, 1, 6, 6, 6], "a plan changes nothing");
    assert_eq!(made_of(&*world.at(31).await, &planned).len(), 3);
    let third = world.run(31).await;
    assert_eq!(aged(&third.upkept), due);
    assert!(third.upkept.aged.iter().all(|aged| aged.version.is_some()));
    assert_eq!(counts(&world, 31).await, [3, 0, 3, 3, 3], "the models that keep rows have lost them too");
    let again = world.run(31).await;
    assert!(again.upkept.aged.is_empty());
    assert!(
        again.outcome.nodes.iter().all(|node| node.end.status() == orchestrate::Status::UpToDate),
        "no row comes back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_stays_until_the_hold_is_over() {
    let world = World::new("hold");
    world.arrive(0);
    world.run(0).await;
    let until = crate::show::rfc3339(world.start + 40 * DAY).chars().take(10).collect::<String>();
    let person = "s1_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    for held in ["table: bronze.people".to_owned(), "table: silver.kept".to_owned(), format!("subject: {person}")] {
        world.write(
            "policies/holds.yaml",
            &format!("tax: {{ {held}, until: {until}, reason: audit, by: legal@acme.example }}\n"),
        );
        let ran = world.run(35).await;
        assert_eq!(aged(&ran.upkept).first(), Some(&("bronze.people", 3)), "{held}");
        assert!(ran.upkept.aged.iter().all(|aged| aged.held.is_some() && aged.version.is_none()), "{held}");
        assert_eq!(counts(&world, 35).await, [3, 1, 3, 3, 3], "{held}");
    }
    let ran = world.run(41).await;
    assert!(ran.upkept.aged.iter().all(|aged| aged.held.is_none()));
    assert_eq!(counts(&world, 41).await, [0; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_on_a_person_keeps_a_request_from_doing_anything_but_say_so() {
    let world = World::new("person");
    world.arrive(0);
    world.run(0).await;
    let (wiring, cpf) = (world.at(1).await, "52998224725");
    let case = Case::open(wiring.clone(), "cpf", cpf).await.expect("a case");
    let hold = format!("case: {{ subject: {}, until: 2999-12-31, reason: a court, by: judge }}\n", case.pseudonym);
    world.write("policies/holds.yaml", &hold);
    let wiring = world.at(1).await;
    let case = Case::open(wiring.clone(), "cpf", cpf).await.expect("a case");
    let work = ProjectWork::new(&wiring, "r".into(), 1).await.expect("work");
    let (certificate, _) = forget(&case, work, 15).await.expect("a certificate");
    assert!(certificate.tables.is_empty() && certificate.holds.contains_key("bronze.people"), "{certificate:?}");
    assert!(certificate.remains.iter().any(|said| said.contains("a court (by judge)")), "{certificate:?}");
    assert_eq!(counts(&world, 1).await, [3, 1, 3, 3, 3]);
    assert!(subject::forgotten(&wiring).await.expect("a list").is_none(), "their rows may still come in");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_and_strays_go_by_themselves() {
    let world = World::new("vacuum");
    world.arrive(0);
    world.run(0).await;
    world.arrive(1);
    world.run(3).await;
    world.write("lake/silver/whole/part-stray.snappy.parquet", "left by a run that died");
    let soon = world.run(5).await;
    assert!(soon.upkept.vacuumed.is_empty(), "{:?}", soon.upkept);
    let ran = world.run(11).await;
    let whole = ran.upkept.vacuumed.iter().find(|gone| gone.table == "silver.whole").expect("old versions");
    assert!(whole.floor == Some(2) && whole.files == 2, "{whole:?}");
    let wiring = world.at(11).await;
    let name = TableName::parse("silver.whole").expect("a name");
    assert!(Table::open(&wiring.store, &name, At::Version(1)).await.is_err(), "kept no more");
    assert_eq!(counts(&world, 11).await, [6, 0, 6, 6, 6]);
    assert!(world.run(11).await.upkept.vacuumed.is_empty(), "once a day");
    assert!(!files(&world.folder.join("lake/silver/whole")).iter().any(|file| file.contains("stray")));
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_forgotten_person_is_still_in_goes_when_its_time_has_come() {
    let world = World::new("purge");
    world.write("lavra.yaml", "project: weeks\nmaintenance: { versions_kept: 3 days, vacuum_after: 4 days }\n");
    world.arrive(0);
    world.run(0).await;
    let wiring = world.at(1).await;
    let case = Case::open(wiring.clone(), "cpf", "52998224725").await.expect("a case");
    let work = ProjectWork::new(&wiring, "r".into(), 1).await.expect("work");
    let (certificate, _) = forget(&case, work, 15).await.expect("a certificate");
    assert_eq!(certificate.purge_after, crate::show::rfc3339(world.start + 5 * DAY), "by `maintenance`");
    assert!(world.run(4).await.upkept.purged.is_empty());
    let ran = world.run(6).await;
    let [purged] = ran.upkept.purged.as_slice() else { panic!("{:?}", ran.upkept) };
    assert!(purged.purged_at.is_some() && purged.tables.contains(&"bronze.people".to_owned()), "{purged:?}");
    assert!(world.run(7).await.upkept.purged.is_empty());
}

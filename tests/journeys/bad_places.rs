//! What bad places get: full disks, tables removed by hand, two runs at once, keys that anybody can read.

use crate::harness::{Answer, Project, finish, node};
use std::path::PathBuf;
use std::process::Command;

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }";

/// Two good rows and a bad one a file, and a model of each kind that survives a new input.
fn project() -> Project {
    let project = Project::new("bad_places");
    project.source("orders", "data/*.csv", &[]).contract("orders", COLUMNS, &[]);
    for file in 1..=3 {
        project
            .write(&format!("data/{file}.csv"), format!("id,amount,cpf\na{file},1.00,\nb{file},2.00,\nc{file},x,\n"));
    }
    project.model("silver.orders", "-- write: merge\n-- key: [id]\nselect id, amount from bronze.orders\n");
    project.model("gold.total", "select sum(amount) as total from silver.orders\n");
    project
}

fn is_whole(project: &Project) {
    assert_eq!(project.lines("select id from bronze.orders"), ["a1", "a2", "a3", "b1", "b2", "b3"]);
    assert_eq!(project.count("silver.orders"), 6);
    assert_eq!(project.lines("select total from gold.total"), ["9.00"]);
    assert_eq!(project.count("quarantine.orders"), 3);
}

#[test]
fn a_second_run_is_told_who_is_at_work_and_changes_nothing() {
    let project = project();
    project.run();
    let lock = std::fs::OpenOptions::new().write(true).open(project.path(".lavra/run.lock")).expect("the lock's file");
    lock.lock().expect("the lock");
    project.write("data/4.csv", "id,amount,cpf\nz,1.00,\n");
    let version = project.version("bronze.orders");
    project.lavra(&["run"]).exits(1).says("at work");
    let told = project.run_with(&[]).exits(1).json();
    assert_eq!(told["kind"], "conflict");
    assert_eq!(project.version("bronze.orders"), version);
    drop(lock);
    project.run();
    assert_eq!(project.count("bronze.orders"), 7);
}

#[test]
fn runs_at_the_same_time_double_nothing() {
    let project = project();
    let rows: String = (0..20_000).map(|id| format!("n{id},1.00,\n")).collect();
    project.write("data/3.csv", format!("id,amount,cpf\n{rows}"));
    let mut calls: Vec<_> = (0..3).map(|_| project.call(&["run", "--quiet"])).collect();
    let started: Vec<_> = calls.iter_mut().map(|call| call.start()).collect();
    let ended = started.into_iter().map(|child| Answer::of("one of three runs".into(), &finish(child, "a run")));
    let ended: Vec<Answer> = ended.collect();
    assert!(ended.iter().any(|answer| answer.code == Some(0)), "{ended:?}");
    for answer in ended {
        if answer.code != Some(0) {
            answer.exits(1).says("at work");
        }
    }
    project.run();
    assert_eq!(project.count("bronze.orders"), 20_004);
    assert_eq!(project.value("select count(distinct id) from bronze.orders"), 20_004);
    assert_eq!(project.count("silver.orders"), 20_004);
}

/// A run that dies in its first commit leaves a log without a version, and data files that nobody names.
#[test]
fn a_death_before_a_tables_first_commit_leaves_no_half_a_table() {
    let project = project();
    for table in ["bronze/orders", "quarantine/orders", "silver/orders", "gold/total"] {
        project.write(&format!("lake/{table}/_delta_log/.0a1b.tmp"), "{\"commitInfo\":");
        project.write(&format!("lake/{table}/part-0a1b.snappy.parquet"), "PAR1");
    }
    project.lavra(&["query", "select * from silver.orders"]).exits(2).says("silver.orders");
    project.run();
    is_whole(&project);
}

#[test]
fn tables_removed_by_hand_are_made_again_from_what_is_there() {
    for removed in ["lake/bronze", "lake/silver", "lake/gold", "lake/quarantine", "lake"] {
        let project = project();
        project.run();
        std::fs::remove_dir_all(project.path(removed)).expect("a folder to remove");
        let run = project.run_with(&[]);
        if removed == "lake/quarantine" {
            // Positions are bronze's, so that these rows can't come again by themselves; what is there stays whole.
            run.exits(0);
            assert_eq!(project.count("bronze.orders"), 6);
            continue;
        }
        run.exits(0);
        is_whole(&project);
    }
}

/// One bad row a file, one commit a file: what was set aside by all of them comes again once.
#[test]
fn a_bronze_that_is_removed_after_many_commits_doubles_nothing_in_quarantine() {
    let project = Project::new("bad_places");
    project.source("orders", "data/*.csv", &[]).contract("orders", COLUMNS, &[]);
    for file in 1..=3 {
        project.write(&format!("data/{file}.csv"), format!("id,amount,cpf\na{file},1.00,\nc{file},x,\n"));
        project.run();
    }
    assert_eq!(project.count("quarantine.orders"), 3);
    std::fs::remove_dir_all(project.path("lake/bronze")).expect("a folder to remove");
    project.run();
    assert_eq!((project.count("bronze.orders"), project.count("quarantine.orders")), (3, 3));
    project.run();
    assert_eq!((project.count("bronze.orders"), project.count("quarantine.orders")), (3, 3));
}

#[test]
fn a_removed_quarantine_is_told() {
    let project = project();
    project.run();
    std::fs::remove_dir_all(project.path("lake/quarantine")).expect("a folder to remove");
    project.lavra(&["run"]).exits(0).says("quarantine.orders was removed");
}

#[test]
fn a_broken_log_is_told_and_not_mended_by_guessing() {
    let project = project();
    project.run();
    let log = project.path("lake/bronze/orders/_delta_log");
    std::fs::remove_file(log.join("00000000000000000000.json")).expect("the log's first file");
    project.write("data/4.csv", "id,amount,cpf\nz,1.00,\n");
    let answer = project.run_with(&[]);
    assert_ne!(answer.code, Some(0), "a table without its beginning is no table: {answer:?}");
    assert!(answer.stdout.contains("bronze.orders"), "it is named: {answer:?}");
}

/// A small disk for the lake, gone with the value. Root can mount one; else files may not grow beyond a limit.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).expect("a mount point");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Rows that do not compress.
fn large_file(project: &Project) -> u64 {
    let mut dice = fastrand::Rng::with_seed(7);
    let rows: String = (0..60_000)
        .map(|_| format!("{:016x}{:016x}{:016x},1.00,\n", dice.u64(..), dice.u64(..), dice.u64(..)))
        .collect();
    project.write("data/9.csv", format!("id,amount,cpf\n{rows}"));
    60_000
}

#[test]
fn a_full_disk_stops_the_run_and_loses_nothing() {
    let project = project();
    let disk = SmallDisk::mount(project.path("lake"));
    project.run();
    is_whole(&project);
    let more = large_file(&project);
    let full = "trap '' XFSZ; ulimit -f 600; exec \"$LAVRA\" run --quiet --format json";
    for _ in 0..2 {
        let answer = match &disk {
            Some(_) => project.run_with(&[]),
            None => project.shell(full),
        };
        let told = answer.exits(1).json();
        let failed = node(&told, "orders");
        assert_eq!((failed["status"].as_str(), failed["kind"].as_str()), (Some("failed"), Some("storage")), "{told}");
    }
    is_whole(&project);
    if let Some(SmallDisk(at)) = &disk {
        let grown = Command::new("mount").args(["-o", "remount,size=200m"]).arg(at).status().expect("mount");
        assert!(grown.success(), "the disk grows");
    }
    project.run();
    assert_eq!(project.count("bronze.orders"), 6 + more);
    assert_eq!(project.value("select count(distinct id) from bronze.orders"), 6 + more);
    assert_eq!(project.count("silver.orders"), 6 + more);
    assert_eq!(project.count("quarantine.orders"), 3);
}

#[test]
fn a_key_file_that_is_not_secret_is_refused() {
    let project = project();
    project.shell("chmod 640 .lavra/keys.json").exits(0);
    project.lavra(&["run"]).exits(3).says("chmod 600").says(".lavra/keys.json");
    project.shell("chmod 600 .lavra/keys.json && mkdir -p lake && mv .lavra/keys.json lake/keys.json").exits(0);
    project.write("lavra.yaml", "project: p\nenvironments:\n  local: { keys: lake/keys.json }\n");
    project.lavra(&["run"]).exits(3).says("inside the lake");
    project.write("lavra.yaml", "project: p\n");
    project.lavra(&["run"]).exits(2).says("lavra init");
    project.write(".lavra/keys.json", "").shell("chmod 600 .lavra/keys.json").exits(0);
    project.lavra(&["run"]).exits(3).says("empty");
    assert!(!project.path("lake/bronze").exists(), "no row without a key");
    project.shell("mv lake/keys.json .lavra/keys.json").exits(0);
    project.run();
    is_whole(&project);
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    let project = project();
    project.write("lake", "a file where a folder should be");
    let answer = project.lavra(&["run"]);
    assert_ne!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("lake"), "{answer:?}");
}

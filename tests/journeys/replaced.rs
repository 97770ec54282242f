//! A file that was taken is another one now: written on, the same content again, or other content and each policy.

use crate::harness::{Project, gzip, node};

fn taken(path: &str, options: &[&str], content: impl AsRef<[u8]>) -> Project {
    let project = Project::new("replaced");
    project.source("orders", path, options).contract("orders", "{ name: id, logicalType: string }", &[]);
    project.write("data/a.csv", content);
    project.run();
    project
}

fn replaced(policy: &[&str]) -> Project {
    let project = taken("data/*.csv", policy, "id\n1\n2\n");
    project.write("data/a.csv", "id\n1\n3\n").write("data/b.csv", "id\n9\n");
    project
}

fn ids(project: &Project) -> Vec<String> {
    project.lines("select id from bronze.orders")
}

#[test]
fn without_a_policy_it_is_an_error_and_its_neighbours_are_taken() {
    let project = replaced(&[]);
    for _ in 0..2 {
        project.run_with(&[]).exits(1).says("data/a.csv").says("on_replaced: new_version");
    }
    assert_eq!(ids(&project), ["1", "2", "9"]);
    project.write("data/a.csv", "id\n1\n2\n");
    project.run();
    assert_eq!(ids(&project), ["1", "2", "9"]);
}

#[test]
fn as_a_new_version_it_is_read_again_once() {
    let project = replaced(&["on_replaced: new_version"]);
    let run = project.run();
    assert_eq!(node(&run, "orders")["report"]["rows_read"], 3);
    assert_eq!(ids(&project), ["1", "1", "2", "3", "9"]);
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
}

#[test]
fn ignored_it_stays_as_it_was_taken() {
    let project = replaced(&["on_replaced: ignore"]);
    project.run();
    assert_eq!(ids(&project), ["1", "2", "9"]);
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
}

#[test]
fn a_file_that_was_written_on_is_taken_on_under_every_policy() {
    for policy in ["error", "new_version", "ignore"] {
        let project = taken("data/*", &[&format!("on_replaced: {policy}")], "id\n1\n2\n");
        project.write("data/b.csv.gz", gzip("id\n10\n"));
        project.run();
        project.write("data/a.csv", "id\n1\n2\n3\n").write("data/b.csv.gz", gzip("id\n10\n11\n"));
        let run = project.run();
        assert_eq!(node(&run, "orders")["report"]["rows_read"], 2, "{policy}");
        assert_eq!(ids(&project), ["1", "10", "11", "2", "3"], "{policy}");
        assert_eq!(node(&project.run(), "orders")["status"], "up_to_date", "{policy}");
    }
}

#[test]
fn the_same_content_again_is_nothing_new() {
    let project = taken("data/*", &[], "id\n1\n2\n");
    project.shell("cp data/a.csv data/saved && rm data/a.csv && mv data/saved data/a.csv && touch data/a.csv").exits(0);
    project.lavra(&["plan"]).exits(0);
    for _ in 0..2 {
        project.run();
        assert_eq!(ids(&project), ["1", "2"]);
    }
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
}

#[test]
fn a_file_that_is_still_copied_in_is_taken_once() {
    let project = Project::new("replaced");
    project.source("orders", "data/*.csv", &[]);
    project.contract("orders", "{ name: id, logicalType: string }\n{ name: v, logicalType: string }", &[]);
    // Whole lines first, and a cut one at the moment of the run.
    project.write("data/b.csv", "id,v\n7,a\n");
    project.shell("printf 'id,v\\n1,aaa\\n2,b' > data/a.csv && \"$LAVRA\" run --quiet").exits(0);
    assert_eq!(ids(&project), ["1", "7"]);
    project.write("data/a.csv", "id,v\n1,aaa\n2,bbbb\n3,c\n");
    project.run();
    assert_eq!(project.lines("select id, v from bronze.orders"), ["1,aaa", "2,bbbb", "3,c", "7,a"]);
}

#[test]
fn a_line_that_may_still_be_written_on_waits_and_is_told_of() {
    let project = Project::new("young");
    project.source("orders", "data/*.csv", &[]).contract("orders", "{ name: id, logicalType: string }", &[]);
    project.write("data/a.csv", "id\n1\n2");
    let answer = project.lavra(&["run", "--quiet"]).exits(0);
    assert!(answer.stderr.contains("left for a later run") && answer.stderr.contains("data/a.csv"), "{answer:?}");
    assert_eq!(project.count("bronze.orders"), 1);
    project.age("data/a.csv").run();
    assert_eq!(project.lines("select id from bronze.orders"), ["1", "2"]);
}

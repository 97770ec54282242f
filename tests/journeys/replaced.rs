//! A file that was taken has other content now: each policy.

use crate::harness::{Project, node};

fn replaced(policy: &[&str]) -> Project {
    let project = Project::new("replaced");
    project.source("orders", "data/*.csv", policy).contract("orders", "{ name: id, logicalType: string }", &[]);
    project.write("data/a.csv", "id\n1\n2\n");
    project.run();
    project.write("data/a.csv", "id\n1\n2\n3\n").write("data/b.csv", "id\n9\n");
    project
}

fn ids(project: &Project) -> Vec<String> {
    project.lines("select id from bronze.orders")
}

#[test]
fn without_a_policy_it_is_an_error_and_nothing_is_taken() {
    let project = replaced(&[]);
    for _ in 0..2 {
        project.run_with(&[]).exits(1).says("data/a.csv").says("on_replaced: new_version");
    }
    assert_eq!(ids(&project), ["1", "2"]);
    project.write("data/a.csv", "id\n1\n2\n");
    project.source("orders", "data/*.csv", &["on_replaced: ignore"]);
    project.run();
    assert_eq!(ids(&project), ["1", "2", "9"]);
}

#[test]
fn as_a_new_version_it_is_read_again_once() {
    let project = replaced(&["on_replaced: new_version"]);
    let run = project.run();
    assert_eq!(node(&run, "orders")["report"]["rows_read"], 4);
    assert_eq!(ids(&project), ["1", "1", "2", "2", "3", "9"]);
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
}

#[test]
fn ignored_it_stays_as_it_was_taken() {
    let project = replaced(&["on_replaced: ignore"]);
    project.run();
    assert_eq!(ids(&project), ["1", "2", "9"]);
    assert_eq!(node(&project.run(), "orders")["status"], "up_to_date");
}

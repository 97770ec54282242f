//! What becomes of a process that made way for a command: it comes back in spite of trouble, and leaves no ghost.

use super::*;
use std::fs::File;
use std::net::TcpListener;

/// Has the project alone, as a command has it that needs it so, until the value is dropped.
struct Alone {
    _lock: File,
}

impl Alone {
    fn in_project(project: &Project) -> Self {
        let open = |path: &str| {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(project.path(path));
            file.expect("a file to lock")
        };
        let (request, lock) = (open(".lavra/at-work/make-way"), open(".lavra/run.lock"));
        request.lock().expect("nobody else asks");
        wait_for("it to make way", || lock.try_lock().is_ok().then_some(()));
        std::fs::remove_file(project.path(".lavra/at-work/make-way")).expect("the request's end");
        Self { _lock: lock }
    }
}

fn process(project: &Project) -> Value {
    status(project)["processes"][0].clone()
}

#[track_caller]
fn is_at(project: &Project, state: &str) {
    wait_for(&format!("a process that is {state}"), || (process(project)["state"] == state).then_some(()));
}

#[test]
fn what_is_in_the_way_when_it_comes_back_is_told_and_waited_for() {
    let project = project("resumed");
    project.write("data/1.csv", format!("id,amount\n{}", rows(0, 10)));
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("its address").to_string();
    drop(free);
    let up = Running::start(&project, &["up", "--listen", &address]);
    has_rows(&project, "orders", 10);
    let alone = Alone::in_project(&project);
    let in_the_way = wait_for("the address", || TcpListener::bind(&address).ok());
    drop(alone);
    wait_for("word of it", || up.said().contains("\"event\":\"resume_failed\"").then_some(()));
    assert!(up.said().contains("another process listens there"), "{}", up.said());
    is_at(&project, "paused");
    wait_for("the reason in its document", || {
        let why = process(&project)["sources"][0]["last_failure"]["error"].clone();
        why.as_str()?.contains(&address).then_some(())
    });
    // In between others may have the project alone.
    drop(Alone::in_project(&project));
    project.write("data/2.csv", format!("id,amount\n{}", rows(10, 20)));
    drop(in_the_way);
    wait_for("what came meanwhile", || (project.count("bronze.orders") == 20).then_some(()));
    is_at(&project, "running");
    assert_eq!(process(&project)["address"], address, "it is found where it was");
    assert_eq!(up.end(), Some(0));
}

#[test]
fn one_that_ends_while_it_makes_way_is_not_awaited_for_ever() {
    let project = project("ghosts");
    project.write("data/1.csv", format!("id,amount\n{}", rows(0, 10)));
    let up = Running::up(&project);
    has_rows(&project, "orders", 10);
    let alone = Alone::in_project(&project);
    is_at(&project, "paused");
    assert_eq!(up.end(), Some(0));
    project.lavra(&["status"]).exits(1).says("was stopped");
    drop(alone);

    let up = Running::up(&project);
    is_in(&project, "orders", "idle");
    let alone = Alone::in_project(&project);
    is_at(&project, "paused");
    up.kill();
    project.lavra(&["status"]).exits(1).says("ended without a word");
    drop(alone);

    let up = Running::up(&project);
    is_in(&project, "orders", "idle");
    let all = status(&project)["processes"].as_array().map(Vec::len);
    assert_eq!(all, Some(1), "nothing is left of those before");
    assert_eq!(up.end(), Some(0));
}

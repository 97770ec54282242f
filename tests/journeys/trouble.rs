//! What can be seen of a process in trouble, and how it ends: breakers, deaths, addresses that are taken, signals.

use super::up::{Running, is_in, source, status, wait_for};
use crate::harness::Project;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const COLUMNS: &str = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: state, logicalType: string }";

const HOOK: &str = "connector: push\npath: /hooks/orders\nauth: { type: bearer, secret: s3cret }\n\
                    schedule: continuous\ncommit_every: 1 second\n";

/// An API that answers 500 until it is well; then it has two records.
struct Api {
    address: String,
    is_well: Arc<AtomicBool>,
}

impl Api {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let is_well = Arc::new(AtomicBool::new(false));
        let well = is_well.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let well = well.clone();
                std::thread::spawn(move || answer(stream, well.load(Ordering::Relaxed)));
            }
        });
        Self { address, is_well }
    }
}

fn answer(mut stream: TcpStream, is_well: bool) {
    let lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    let (status, body) = if is_well { ("200 OK", r#"[{"id":1},{"id":2}]"#) } else { ("500 No", "{}") };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
}

#[test]
fn an_api_that_always_fails_opens_its_breaker_is_seen_to_fail_and_heals() {
    let api = Api::start();
    let project = Project::new("always_500");
    let connection = &api.address;
    let text = format!(
        "connector: rest\nconnection: http://{connection}\npath: orders\nretries_max: 0\nschedule: continuous\n\
         commit_every: 250 milliseconds\n"
    );
    project.write("sources/orders.yaml", text).contract("orders", COLUMNS, &[]);
    project.write(
        "lavra.yaml",
        "project: shop\nup: { retry_max: 500 milliseconds, breaker: { failure_rate_threshold: 60, \
         minimum_number_of_calls: 3, wait_duration_in_open_state: 1 second } }\n",
    );
    let up = Running::up(&project);
    let breaker = || status(&project)["processes"][0]["breakers"][connection].clone();
    let opened = wait_for("an open breaker", || Some(breaker()).filter(|breaker| breaker["state"] == "open"));
    assert_eq!(opened["failure_rate"], 100.0);
    let told = || project.lavra(&["status"]).exits(4).says("HTTP 500").says("retrying");
    wait_for("the rate that opened it", || told().stdout.contains("open (100 % failed)").then_some(()));
    wait_for("trials", || (up.said().matches("\"to\":\"half_open\"").count() > 2).then_some(()));
    assert!(!up.said().contains("\"to\":\"closed\""), "{}", up.said());
    for _ in 0..20 {
        let orders = source(&project, "orders");
        assert!(orders["state"] == "retrying" && orders["last_failure"]["at"].is_i64(), "{orders}");
        std::thread::sleep(Duration::from_millis(50));
    }
    api.is_well.store(true, Ordering::Relaxed);
    wait_for("its rows", || (source(&project, "orders")["rows_committed"] == 2).then_some(()));
    wait_for("a closed breaker", || (breaker()["state"] == "closed").then_some(()));
    wait_for("no more trouble", || (project.lavra(&["status"]).code == Some(0)).then_some(()));
    // The same list is read again and again, and nothing of it is new.
    let before = source(&project, "orders");
    let rows_read = |orders: &serde_json::Value| orders["rows_read"].as_u64().expect("a count");
    wait_for("the list, again", || (rows_read(&source(&project, "orders")) > rows_read(&before) + 6).then_some(()));
    let after = source(&project, "orders");
    assert_eq!((&after["version"], &after["commits"]), (&before["version"], &before["commits"]), "{after}");
    assert_eq!(project.count("bronze.orders"), 2);
    assert_eq!(up.end(), Some(0));
}

#[test]
fn a_worker_that_is_killed_is_missed_until_its_source_is_taken_in_again() {
    let project = Project::new("missed");
    for name in ["one", "two"] {
        project.source(name, &format!("{name}/*.csv"), &["schedule: continuous"]).contract(name, COLUMNS, &[]);
        project.write(&format!("{name}/1.csv"), "id,state\n1,new\n");
    }
    let start = || Running::start(&project, &["up", "--exclude", "two", "--listen", "127.0.0.1:0"]);
    let (up, worker) = (start(), Running::worker(&project, "two"));
    is_in(&project, "one", "idle");
    is_in(&project, "two", "idle");
    project.lavra(&["status"]).exits(0);
    worker.kill();
    let is_missed = || project.lavra(&["status"]).exits(1).says("ended without a word").says("dead");
    is_missed();
    project.lavra(&["run", "--exclude", "one"]).exits(0);
    assert_eq!(up.end(), Some(0));
    let up = start();
    is_in(&project, "one", "idle");
    is_missed();
    let found = status(&project);
    let states = |state: &str| {
        found["processes"].as_array().expect("processes").iter().filter(|process| process["state"] == state).count()
    };
    assert_eq!((states("dead"), states("running")), (1, 1), "{found}");
    let worker = Running::worker(&project, "two");
    is_in(&project, "two", "idle");
    let told = project.lavra(&["status"]).exits(0);
    assert!(!told.stdout.contains("dead"), "{}", told.stdout);
    assert_eq!((worker.end(), up.end()), (Some(0), Some(0)));
}

#[test]
fn an_address_that_is_taken_is_named_with_what_to_do() {
    let project = Project::new("taken");
    project.source("one", "one/*.csv", &["schedule: continuous"]).contract("one", COLUMNS, &[]);
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    project
        .lavra(&["up", "--listen", &address])
        .exits(2)
        .says(&format!("listen on {address}: another process listens there"))
        .says("`--listen`");
}

/// Half of a delivery, and what it lacks.
fn half_a_delivery(address: &str) -> (TcpStream, &'static str) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let body = r#"{"id":1,"state":"new"}"#;
    let length = body.len();
    let head =
        "POST /hooks/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer s3cret";
    let (first, second) = body.split_at(9);
    let said = format!("{head}\r\ncontent-length: {length}\r\n\r\n{first}");
    stream.write_all(said.as_bytes()).expect("half of it");
    (stream, second)
}

fn status_of(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let mut said = [0_u8; 12];
    stream.read_exact(&mut said).expect("an answer");
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn who_is_pushing_when_it_ends_has_his_answer_and_who_comes_later_is_told_to_come_again() {
    let project = Project::new("let_out");
    project.write("sources/orders.yaml", HOOK).contract("orders", COLUMNS, &[]);
    let up = Running::up(&project);
    is_in(&project, "orders", "idle");
    let address = status(&project)["processes"][0]["address"].as_str().expect("an address").to_owned();
    let (mut early, second) = half_a_delivery(&address);
    // It is inside when its head was read.
    std::thread::sleep(Duration::from_millis(500));
    up.signal("-TERM");
    wait_for("the end of the source", || up.said().contains("\"event\":\"stopped\"").then_some(()));
    let (mut late, rest) = half_a_delivery(&address);
    let _ = late.write_all(rest.as_bytes());
    assert_eq!(status_of(late), "HTTP/1.1 503");
    early.write_all(second.as_bytes()).expect("the rest of it");
    assert_eq!(status_of(early), "HTTP/1.1 503", "nothing is pulled any more, and he is told");
    assert_eq!(up.ended(), Some(0));
}

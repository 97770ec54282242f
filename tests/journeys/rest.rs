//! An API that fails, waits, changes its token and is read by a program that is killed: every record is there once.

use super::up::{Running, wait_for};
use crate::harness::{Project, node};
use crate::rest_api::RestApi;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ORDERS: &str = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: customer, logicalType: integer, physicalType: bigint }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }
    { name: amount, logicalType: number, physicalType: 'decimal(12,4)' }
    { name: big, logicalType: number, physicalType: 'decimal(38,0)' }
    { name: note, logicalType: string }
    { name: items, logicalType: array, items: { logicalType: object, properties: [{ name: sku, logicalType: string }, { name: n, logicalType: integer, physicalType: bigint }] } }
    { name: version, logicalType: integer, physicalType: bigint }
    { name: updated_at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)', required: true }";

const CURSOR: &str = "records: $.data\npagination: { type: cursor, next: $.meta.next_cursor }";
const PAGES: &str = "pagination: { type: page }";
const SINCE: &str = "records: $.data\npagination: { type: cursor, next: $.next }\n\
                     incremental: { field: updated_at, param: updated_since, lookback: 2 seconds }";

fn project(api: &RestApi, path: &str, options: &str) -> Project {
    let project = Project::new("rest");
    let source = format!(
        "connector: rest\nconnection: {}/v1\npath: orders/{path}\nparams: {{ limit: 20 }}\nbackoff_ms: 1\ntimeout_ms: 2000\n{options}\n",
        api.url
    );
    project.write("sources/orders.yaml", source).contract("orders", ORDERS, &[]);
    project
}

/// Every order, as a query shows it.
fn content(project: &Project) -> Vec<String> {
    project.lines("select id, customer, amount, big, note, items[1]['sku'], version, updated_at from bronze.orders")
}

fn assert_whole(project: &Project, rows: u64, about: &str) {
    let counts = project.lines("select count(*), count(distinct id), min(id), max(id), sum(amount) from bronze.orders");
    let sum: u64 = (1..=rows).map(|n| n * 100 + n % 100).sum();
    assert_eq!(counts, [format!("{rows},{rows},1,{rows},{}.{:02}00", sum / 100, sum % 100)], "{about}");
}

#[test]
fn numbers_texts_and_nested_values_arrive_as_they_are() {
    let api = RestApi::start(&json!({ "reset": true, "rows": 45 }));
    let project = project(&api, "cursor", CURSOR);
    project.run();
    assert_whole(&project, 45, "a run");
    let exact = project.lines("select amount, big, length(note), items[1]['n'] from bronze.orders where id = 13");
    assert_eq!(exact, ["13.1300,9007199254740993013,10,13"]);
    for (path, bytes) in project.files_below("lake") {
        let raw = b"013.091.169-13";
        assert!(!bytes.windows(raw.len()).any(|window| window == raw), "{} holds a CPF", path.display());
    }
    // Everything is read again, and nothing of it is new.
    let run = project.run();
    assert_eq!(node(&run, "orders")["status"], "up_to_date", "{run}");
    assert_eq!(node(&run, "orders")["report"]["rows_repeated"], 45, "{run}");
}

/// Before anything is asked: nobody is there.
#[test]
fn what_the_contract_forbids_is_told_where_the_option_stands() {
    let project = Project::new("rest");
    let source = |options: &str| {
        let head = "connector: rest\nconnection: http://127.0.0.1:9\npath: orders\nretries_max: 0\n";
        project.write("sources/orders.yaml", format!("{head}{options}"));
    };
    let by = |field: &str| format!("incremental: {{ field: {field}, param: since }}\n");
    project.contract("orders", ORDERS, &[]);
    source(&by("cpf"));
    for command in ["check", "run"] {
        project.lavra(&[command]).exits(3).says("the contract hides it").says("sources/orders.yaml:5");
    }
    source(&by("updated_at"));
    project.lavra(&["check"]).exits(0);
    source(&by("updated_at").replace("param: since", "param: since, format: epoch, start: yesterday"));
    project.lavra(&["check"]).exits(2).says("`start` can't be brought into `format`").says("sources/orders.yaml:5");
    project.contract("orders", &ORDERS.replace("primaryKey: true, ", ""), &[]);
    for (options, line) in [(by("updated_at"), 5), ("mode: append\n".into(), 5), (String::new(), 1)] {
        source(&options);
        let place = format!("sources/orders.yaml:{line}");
        project.lavra(&["check"]).exits(2).says("without a primary key").says(&place).says("`mode: changes`");
    }
    source("mode: once\n");
    project.lavra(&["check"]).exits(0);
}

/// A run would end with it: what comes again is let go by its key.
#[test]
fn a_key_whose_mask_hides_what_came_again_is_told_by_check() {
    let project = Project::new("rest");
    let source = |options: &str| {
        let head = "connector: rest\nconnection: http://127.0.0.1:9\npath: people\nretries_max: 0\n";
        project.write("sources/people.yaml", format!("{head}{options}"));
    };
    let keyed = |mask: &str| {
        let columns = format!(
            "{{ name: mail, logicalType: string, primaryKey: true, required: true, classification: personal.email, \
             customProperties: [{{ property: mask, value: {mask} }}] }}\n{{ name: n, logicalType: integer }}"
        );
        project.contract("people", &columns, &[]);
    };
    keyed("encrypt(person)");
    for (options, line) in [("incremental: { field: n, param: since }\n", 5), ("mode: append\n", 5), ("", 1)] {
        source(options);
        let place = format!("sources/people.yaml:{line}");
        project.lavra(&["check"]).exits(2).says("masked by `encrypt(person)`").says(&place).says("`mode: changes`");
    }
    for options in ["incremental: { field: n, param: since, boundary: exclusive }\n", "mode: changes\n", "mode: once\n"]
    {
        source(options);
        project.lavra(&["check"]).exits(0);
    }
    keyed("pseudonym(person)");
    source("mode: append\n");
    project.lavra(&["check"]).exits(0);
}

#[test]
fn kills_between_pages_lose_nothing_and_double_nothing() {
    let mut dice = fastrand::Rng::with_seed(20_261_125);
    for (path, options) in [("cursor", CURSOR), ("page", PAGES), ("since", SINCE)] {
        let api = RestApi::start(&json!({ "reset": true, "rows": 200, "delay": 0.01 }));
        let straight = project(&api, path, options);
        let start = Instant::now();
        straight.run();
        let longest = start.elapsed().mul_f64(1.1);
        let expected = content(&straight);
        let killed = project(&api, path, options);
        let mut kills = 0;
        while kills < 8 {
            let mut call = killed.call(&["run", "--quiet"]);
            let mut child = call.start();
            std::thread::sleep(longest.mul_f64(0.3 + 0.7 * dice.f64()));
            kills += u32::from(child.try_wait().expect("a child").is_none());
            child.kill().expect("kill -9");
            child.wait().expect("its end");
        }
        killed.run();
        assert_whole(&killed, 200, path);
        assert!(content(&killed) == expected, "{path}: as if nothing had happened");
        api.control(&json!({ "rows": 230 }));
        killed.run();
        assert_whole(&killed, 230, path);
    }
}

#[test]
fn a_server_with_bad_habits_costs_time_and_no_row() {
    let habits = json!({ "429": 0.15, "500": 0.1, "half": 0.1, "cut": 0.1, "reset": 0.05, "slow": 0.1 });
    let api = RestApi::start(&json!({ "reset": true, "rows": 300, "habits": habits, "seed": 3 }));
    for (path, options) in [("cursor", CURSOR), ("page", PAGES)] {
        let project = project(&api, path, options);
        project.run();
        assert_whole(&project, 300, path);
    }
    assert!(api.stats("requests") > api.stats("good") * 5 / 4, "it did fail");
}

/// An answer without a word is no end: the pass is broken off, and gone on with later.
#[test]
fn an_empty_answer_in_the_middle_loses_no_row() {
    let api = RestApi::start(&json!({ "reset": true, "rows": 400, "delay": 0.1 }));
    let project = project(&api, "cursor", &format!("retries_max: 1\n{CURSOR}"));
    let mut call = project.call(&["run", "--quiet", "--retries", "0"]);
    let child = call.start();
    wait_for("its first pages", || (api.stats("good") > 1).then_some(()));
    api.control(&json!({ "habits": { "empty": 1.0 } }));
    let output = child.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("its answer is empty (HTTP 200)"), "{said}");
    api.control(&json!({ "habits": { "empty": 0.3 }, "delay": 0 }));
    let source = std::fs::read_to_string(project.path("sources/orders.yaml")).expect("the source");
    project.write("sources/orders.yaml", source.replace("retries_max: 1", "retries_max: 5"));
    project.run();
    assert_whole(&project, 400, "asked again");
}

/// An API that compares times as texts, and writes them in a way of its own.
#[test]
fn a_lookback_asks_in_the_words_of_the_api() {
    let forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%d %H:%M:%S.0 UTC"];
    for form in forms {
        let api = RestApi::start(&json!({ "reset": true, "rows": 20, "form": form }));
        let project = project(&api, "since", SINCE);
        project.run();
        assert_whole(&project, 20, form);
        api.control(&json!({ "rows": 40 }));
        project.run();
        assert_whole(&project, 40, form);
    }
}

/// What was read before a server went down is kept where a later run can go on, and nowhere else.
#[test]
fn a_server_that_goes_down_is_gone_on_with_when_it_is_up() {
    for (path, options, kept) in [("cursor", CURSOR, true), ("page", PAGES, false)] {
        let api = RestApi::start(&json!({ "reset": true, "rows": 200, "delay": 0.05 }));
        let project = project(&api, path, &format!("retries_max: 1\n{options}"));
        let mut call = project.call(&["run", "--quiet", "--retries", "0"]);
        let child = call.start();
        let before = Instant::now();
        while api.stats("good") < 4 && before.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        api.control(&json!({ "habits": { "503": 1.0 } }));
        let output = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{path}: {said}");
        assert!(said.contains("HTTP 503") && !said.contains("limit=20"), "{said}");
        let there = project.lavra(&["query", "--format", "csv", "select count(*) from bronze.orders"]);
        let rows: u64 = there.stdout.lines().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or_default();
        assert_eq!(rows > 0 && rows < 200, kept, "{path}: {rows} rows");
        let asked = api.stats("good");
        api.control(&json!({ "habits": {}, "delay": 0 }));
        project.run();
        assert_whole(&project, 200, path);
        let again = api.stats("good") - asked;
        assert_eq!(again < 11, kept, "{path}: {again} pages were read by the second run");
    }
}

#[test]
fn a_run_that_is_terminated_ends_as_one_that_is_interrupted() {
    for signal in ["-INT", "-TERM"] {
        let api = RestApi::start(&json!({ "reset": true, "rows": 400, "delay": 0.1 }));
        let project = project(&api, "cursor", CURSOR);
        let mut call = project.call(&["run", "--quiet", "--retries", "0", "--format", "json"]);
        let child = call.start();
        wait_for("its first pages", || (api.stats("good") > 2).then_some(()));
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        let output = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{signal}: {said}");
        assert!(said.contains("stopping: what is committed stays"), "{signal}: {said}");
        let summary: Value = serde_json::from_slice(&output.stdout).expect("a summary");
        assert_eq!(node(&summary, "orders")["status"], "cancelled", "{signal}: {summary}");
        api.control(&json!({ "delay": 0 }));
        project.run();
        assert_whole(&project, 400, signal);
    }
}

#[test]
fn a_token_that_changes_stops_the_run_until_it_is_given() {
    let api = RestApi::start(&json!({ "reset": true, "rows": 50, "auth": { "type": "bearer", "token": "first" } }));
    let project = project(&api, "since", &format!("auth: {{ type: bearer, token: '${{API_TOKEN}}' }}\n{SINCE}"));
    let run = |token: &str| project.call(&["run", "--quiet"]).env("API_TOKEN", token).done();
    run("first").exits(0);
    api.control(&json!({ "rows": 80, "auth": { "type": "bearer", "token": "second" } }));
    let refused = run("first").exits(3).says("HTTP 401");
    assert!(!refused.stderr.contains("who are you"), "nothing of the answer is shown: {refused:?}");
    run("second").exits(0);
    let count = project.call(&["query", "--format", "csv", "select count(*), count(distinct id) from bronze.orders"]);
    assert_eq!(count.env("API_TOKEN", "second").done().exits(0).stdout.lines().nth(1), Some("80,80"));
}

/// A server that takes each refresh token once, `first` at first, and thinks for a second before it gives the next; counts those
/// that it gave.
fn slow_tokens() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/token", listener.local_addr().expect("its address"));
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    std::thread::spawn(move || {
        let mut newest = "first".to_owned();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
            // The end of the form.
            while !asked.ends_with(b"client_secret=SECRET") {
                let read = stream.read(&mut buffer).expect("a request");
                assert!(read > 0, "half a request");
                asked.extend_from_slice(&buffer[..read]);
            }
            let is_known = String::from_utf8_lossy(&asked).contains(&format!("refresh_token={newest}&"));
            let (status, body) = match is_known {
                true => {
                    newest = format!("r-{}", count.fetch_add(1, Ordering::SeqCst) + 1);
                    std::thread::sleep(Duration::from_secs(1));
                    ("200 OK", json!({ "access_token": "t", "expires_in": 3600, "refresh_token": newest }))
                }
                false => ("400 Bad Request", json!({ "error": "invalid_grant" })),
            };
            let body = body.to_string();
            let length = body.len();
            // Nobody may be there any more.
            let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        }
    });
    (url, given)
}

/// A process that is told to end while its one token is on the way: the next process would be locked out.
#[test]
fn a_refresh_token_that_is_on_its_way_at_the_end_is_in_its_file() {
    let api = RestApi::start(&json!({ "reset": true, "rows": 45 }));
    let (url, given) = slow_tokens();
    let auth = format!(
        "auth: {{ type: oauth2, token_url: '{url}', client_id: me, client_secret: SECRET, token_file: secrets/token }}"
    );
    let project = project(&api, "cursor", &format!("schedule: continuous\n{auth}\n{CURSOR}"));
    project.write("secrets/token", "first\n");
    let kept = || std::fs::read_to_string(project.path("secrets/token")).expect("the token's file");
    let commands = [(&["up", "--listen", "127.0.0.1:0"][..], 0), (&["run", "--quiet"][..], 1)];
    for (number, (command, code)) in commands.into_iter().enumerate() {
        let process = Running::start(&project, command);
        wait_for("a question for a token", || (given.load(Ordering::SeqCst) > number).then_some(()));
        process.signal("-TERM");
        assert_eq!(process.ended(), Some(code), "{command:?}");
        assert_eq!(kept(), format!("r-{}\n", number + 1), "{command:?}");
    }
    project.run();
    assert_eq!(kept(), "r-3\n");
    assert_whole(&project, 45, "with the token that was kept");
}

#[test]
fn a_field_that_nobody_named_is_the_contracts_affair() {
    let api = RestApi::start(&json!({ "reset": true, "rows": 30 }));
    let project = project(&api, "cursor", CURSOR);
    let without = ORDERS.replace("{ name: version, logicalType: integer, physicalType: bigint }", "");
    project.contract("orders", &without, &[]);
    project.lavra(&["run", "--quiet"]).exits(1).says("`version`");
    project.contract("orders", &without, &[("schema_change", "evolve")]);
    project.run();
    assert_eq!(project.lines("select distinct version from bronze.orders"), ["0"]);
}

#[test]
fn changes_are_a_log_of_what_each_pass_found() {
    let api = RestApi::start(&json!({ "reset": true, "rows": 9 }));
    let project = project(&api, "since", &format!("mode: changes\n{SINCE}").replace(", lookback: 2 seconds", ""));
    project.run();
    api.control(&json!({ "change": [4], "rows": 10 }));
    project.run();
    let log = "select _op, count(*), max(version) from bronze.orders where id in (1, 4, 10) group by 1";
    assert_eq!(project.lines(log), ["r,2,0", "u,2,1"]);
    let at = project.lines("select count(*) from bronze.orders where _changed_at = updated_at");
    assert_eq!(at, [project.count("bronze.orders").to_string()]);
}

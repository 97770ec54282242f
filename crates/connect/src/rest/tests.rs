//! The source against a server that is a program of its own, with the habits of real ones.

mod patience;
mod sign_in;

use super::spec;
use crate::files::testing::{entity, opening, pull};
use kernel::clock::ManualClock;
use kernel::error::{Error, Kind, Result};
use kernel::laws::source::obeys;
use kernel::source::Source;
use kernel::{Classification, Entity, Point, Positions};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

struct Server {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Server {
    async fn start(state: Value) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/services/harness/rest_api.py");
        let mut command = Command::new("python3");
        command.arg(program).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python 3, which the test's server is written in");
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut port).expect("its port");
        let url = format!("http://127.0.0.1:{}", port.trim());
        let server = Self { child, url, client: reqwest::Client::new() };
        server.control(state).await;
        server
    }

    async fn control(&self, state: Value) {
        let asked = self.client.post(format!("{}/_control", self.url)).body(state.to_string()).send().await;
        assert!(asked.expect("an answer").status().is_success());
    }

    async fn stats(&self, name: &str) -> u64 {
        let asked = self.client.get(format!("{}/_stats", self.url)).send().await.expect("an answer");
        let stats: Value = serde_json::from_slice(&asked.bytes().await.expect("stats")).expect("JSON");
        stats[name].as_u64().expect("a number")
    }

    /// Options of a source, with what all of them have.
    fn options(&self, path: &str, more: Value) -> Value {
        let mut options = json!({
            "connection": format!("{}/v1", self.url), "path": path, "backoff_ms": 1, "timeout_ms": 2000,
            "pause_seconds": 3600, "params": { "limit": 10 },
        });
        for (name, value) in more.as_object().expect("options") {
            options[name] = value.clone();
        }
        options
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const COLUMNS: [&str; 9] = ["id", "customer", "cpf", "amount", "big", "note", "items", "version", "updated_at"];

/// Orders, their key, and nobody's data called so.
fn orders() -> Entity {
    let mut entity = entity(&[&COLUMNS[..], &["customer_id"]].concat());
    entity.properties[0].primary_key = Some(1);
    entity
}

fn with_hidden(column: &str) -> Entity {
    let mut entity = orders();
    let property = entity.properties.iter_mut().find(|property| property.name == column).expect("the column");
    property.classification = Some(Classification::new("personal.cpf"));
    entity
}

async fn open(options: &Value, entity: &Entity, from: Positions) -> Result<Box<dyn Source>> {
    spec().open(opening(Path::new("/"), options.clone(), entity.clone(), from)).await
}

async fn law(options: Value, entity: Entity) {
    obeys(async |from| open(&options, &entity, from).await.expect("a source")).await;
}

async fn all(options: &Value, entity: &Entity, taken: &mut Positions) -> Result<Vec<String>> {
    let mut source = open(options, entity, taken.clone()).await?;
    pull(source.as_mut(), taken).await
}

/// The ids of rows, in their order.
fn ids(rows: &[String]) -> Vec<u64> {
    rows.iter().map(|row| row.split('|').next().expect("an id").parse().expect("a number")).collect()
}

async fn fails(options: &Value, entity: &Entity) -> Error {
    match open(options, entity, Positions::new()).await {
        Err(error) => error,
        Ok(mut source) => pull(source.as_mut(), &mut Positions::new()).await.expect_err("an error"),
    }
}

/// Every kind of pages, each as the options of a source.
fn kinds() -> Vec<(&'static str, Value)> {
    let graph = json!({ "query": "q", "variables": { "first": 10 } });
    vec![
        ("orders/page", json!({ "pagination": { "type": "page" } })),
        ("orders/offset", json!({ "records": "$.items", "pagination": { "type": "offset", "total": "$.total" } })),
        (
            "orders/cursor",
            json!({ "records": "$.data", "pagination": { "type": "cursor", "next": "$.meta.next_cursor" } }),
        ),
        ("orders/link", json!({ "pagination": { "type": "link" } })),
        ("orders/next", json!({ "records": "$.results", "pagination": { "type": "next_url", "next": "$.next" } })),
        (
            "orders/last",
            json!({ "records": "$.data", "pagination": {
                "type": "cursor", "last_record": "id", "param": "starting_after", "more": "$.has_more" } }),
        ),
        (
            "orders/graph",
            json!({ "method": "post", "body": graph, "records": "$.data.orders.edges[*].node", "pagination": {
                "type": "cursor", "next": "$.data.orders.pageInfo.endCursor", "more": "$.data.orders.pageInfo.hasNextPage",
                "param": "variables.after", "in": "body" } }),
        ),
        ("orders/ndjson", json!({ "format": "ndjson", "pagination": { "type": "offset" } })),
    ]
}

#[tokio::test]
async fn every_kind_of_pages_gives_every_record_once() {
    let server = Server::start(json!({ "reset": true, "rows": 37 })).await;
    for (path, more) in kinds() {
        let options = server.options(path, more);
        let mut taken = Positions::new();
        let rows = all(&options, &orders(), &mut taken).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(ids(&rows), (1..=37).collect::<Vec<_>>(), "{path}");
        assert!(
            rows[11].starts_with("12|5|012.084.156-12|12.1200|9007199254740993012|n° 12 \"\"\n|"),
            "{path}: {}",
            rows[11]
        );
        assert!(matches!(taken.get(path), Some(Point::Mark { rows: 37, done: false, .. })), "{path}: {taken:?}");
        assert!(all(&options, &orders(), &mut taken).await.expect("nothing new").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn the_laws_hold_over_counted_pages() {
    let server = Server::start(json!({ "reset": true, "rows": 23 })).await;
    for (path, more) in
        kinds().into_iter().filter(|(path, _)| ["orders/page", "orders/offset", "orders/ndjson"].contains(path))
    {
        law(server.options(path, more), orders()).await;
    }
}

#[tokio::test]
async fn the_laws_hold_over_cursors_and_links() {
    let server = Server::start(json!({ "reset": true, "rows": 23 })).await;
    for (path, more) in
        kinds().into_iter().filter(|(path, _)| !["orders/page", "orders/offset", "orders/ndjson"].contains(path))
    {
        law(server.options(path, more), orders()).await;
    }
}

#[tokio::test]
async fn the_laws_hold_while_the_server_fails() {
    let habits = json!({ "429": 0.1, "500": 0.1, "503": 0.05, "half": 0.1, "cut": 0.1, "reset": 0.05, "slow": 0.1 });
    let server = Server::start(json!({ "reset": true, "rows": 37, "seed": 7 })).await;
    for (path, more) in kinds().into_iter().filter(|(path, _)| ["orders/page", "orders/cursor"].contains(path)) {
        server.control(json!({ "habits": {} })).await;
        let expected = all(&server.options(path, more.clone()), &orders(), &mut Positions::new()).await.expect("rows");
        server.control(json!({ "habits": habits })).await;
        let options = server.options(path, more);
        assert_eq!(all(&options, &orders(), &mut Positions::new()).await.expect("rows"), expected);
        law(options, orders()).await;
    }
    let (asked, good) = (server.stats("requests").await, server.stats("good").await);
    assert!(asked > good + good / 4, "a third of {asked} answers were none: {good}");
}

#[tokio::test]
async fn the_laws_hold_over_parents_and_their_records() {
    let server = Server::start(json!({ "reset": true, "rows": 23, "customers": 4 })).await;
    let parent = json!({ "path": "customers", "as": "customer_id", "pagination": { "type": "page" } });
    let options = server.options(
        "customers/{customer_id}/orders",
        json!({ "params": { "limit": 4 }, "records": "$.results", "parent": parent,
            "pagination": { "type": "next_url", "next": "$.next" } }),
    );
    let mut taken = Positions::new();
    let rows = all(&options, &orders(), &mut taken).await.expect("rows");
    assert_eq!((rows.len(), taken.len()), (23, 4));
    assert!(taken.get("customers/3/orders").is_some(), "{taken:?}");
    assert!(
        rows.iter().all(|row| row.ends_with(&format!("{}|", row.split('|').nth(1).expect("a customer")))),
        "{rows:?}"
    );
    law(options.clone(), orders()).await;

    // Where the key is somebody's, no position has it, and a pass is committed whole.
    let hidden = with_hidden("customer_id");
    let mut taken = Positions::new();
    let rows = all(&options, &hidden, &mut taken).await.expect("rows");
    assert_eq!((rows.len(), taken.len()), (23, 1));
    assert!(taken.get("customers/{customer_id}/orders").is_some(), "{taken:?}");
    let wholes = wholes(&options, &hidden).await;
    assert!(wholes.iter().rev().skip(1).all(|whole| !whole) && wholes.last() == Some(&true), "{wholes:?}");
    law(options, hidden).await;
}

/// Of each batch, whether a commit may end behind it.
async fn wholes(options: &Value, entity: &Entity) -> Vec<bool> {
    let mut source = open(options, entity, Positions::new()).await.expect("a source");
    let mut wholes = Vec::new();
    while let Some(pulled) = source.next(1).await.expect("a batch") {
        wholes.push(pulled.whole);
    }
    wholes
}

#[tokio::test]
async fn a_commit_ends_where_a_later_run_can_go_on() {
    let server = Server::start(json!({ "reset": true, "rows": 37 })).await;
    for (path, more) in kinds() {
        let found = wholes(&server.options(path, more), &orders()).await;
        let is_last_only = found.iter().rev().skip(1).all(|whole| !whole);
        let is_counted = ["orders/page", "orders/offset", "orders/ndjson"].contains(&path);
        assert_eq!((found.last(), is_last_only), (Some(&true), is_counted), "{path}: {found:?}");
    }
}

#[tokio::test]
async fn a_cursor_that_tells_a_hidden_value_is_never_committed() {
    let server = Server::start(json!({ "reset": true, "rows": 37 })).await;
    let options = server.options(
        "orders/telling",
        json!({ "records": "$.data", "pagination": { "type": "cursor", "next": "$.next" } }),
    );
    assert_eq!(wholes(&options, &orders()).await, [true; 4]);
    let hidden = with_hidden("cpf");
    let mut source = open(&options, &hidden, Positions::new()).await.expect("a source");
    let mut wholes = Vec::new();
    while let Some(pulled) = source.next(1).await.expect("a batch") {
        wholes.push(pulled.whole);
        let kept = format!("{:?}", pulled.upto);
        assert!(!pulled.whole || !kept.contains("010.070"), "{kept}");
    }
    assert_eq!(wholes, [false, false, false, true]);
    law(options, hidden).await;
}

fn since(more: Value) -> Value {
    let mut options = json!({
        "records": "$.data", "pagination": { "type": "cursor", "next": "$.next" }, "pause_seconds": 0,
        "incremental": { "field": "updated_at", "param": "updated_since" },
    });
    for (name, value) in more.as_object().expect("options") {
        options[name] = value.clone();
    }
    options
}

#[tokio::test]
async fn a_pass_begins_where_the_one_before_ended() {
    let server = Server::start(json!({ "reset": true, "rows": 20 })).await;
    let exclusive = json!({ "field": "updated_at", "param": "updated_since", "boundary": "exclusive" });
    let params = json!({ "limit": 10, "exclusive": 1 });
    let options = server.options("orders/since", since(json!({ "incremental": exclusive, "params": params })));
    law(options.clone(), entity(&COLUMNS)).await;
    let mut taken = Positions::new();
    assert_eq!(all(&options, &entity(&COLUMNS), &mut taken).await.expect("rows").len(), 20);
    assert!(all(&options, &entity(&COLUMNS), &mut taken).await.expect("nothing").is_empty());
    // 20 is of second 6, with 18 and 19: behind it come 21 and what follows.
    server.control(json!({ "rows": 35, "change": [3] })).await;
    let more = all(&options, &entity(&COLUMNS), &mut taken).await.expect("rows");
    assert_eq!(ids(&more), (21..=35).chain([3]).collect::<Vec<_>>());

    // An inclusive one gives the last second again, which the gate tells by the key.
    let options = server.options("orders/since", since(json!({})));
    server.control(json!({ "reset": true, "rows": 20 })).await;
    let mut taken = Positions::new();
    all(&options, &orders(), &mut taken).await.expect("rows");
    let again = all(&options, &orders(), &mut taken).await.expect("rows");
    assert_eq!(ids(&again), [18, 19, 20]);
    let error = fails(&options, &entity(&COLUMNS)).await;
    assert!(error.kind == Kind::Project && error.detail.contains("primary key"), "{error}");
}

#[tokio::test]
async fn the_first_pass_begins_at_a_time_that_is_brought_into_the_format() {
    let server = Server::start(json!({ "reset": true, "rows": 20 })).await;
    let by = json!({
        "field": "updated_at", "param": "updated_since", "format": "%Y-%m-%dT%H:%M:%SZ", "start": "2026-01-01T01:00:05+01:00",
    });
    let options = server.options("orders/since", since(json!({ "incremental": by })));
    let rows = all(&options, &orders(), &mut Positions::new()).await.expect("rows");
    assert_eq!(ids(&rows), (15..=20).collect::<Vec<_>>(), "from the fifth second on");
}

#[tokio::test]
async fn changes_say_what_the_first_pass_found_and_what_later_ones_did() {
    let server = Server::start(json!({ "reset": true, "rows": 12 })).await;
    let options = server.options("orders/since", since(json!({ "mode": "changes" })));
    assert!((spec().changes)(&options));
    let mut source = open(&options, &entity(&COLUMNS), Positions::new()).await.expect("a source");
    let mut count = 0;
    while let Some(pulled) = source.next(1).await.expect("a batch") {
        let rows = pulled.rows.into_raw().expect("raw rows");
        assert!(rows.has_changes());
        count += rows.num_rows();
    }
    assert_eq!(count, 12);
}

#[tokio::test]
async fn what_is_hidden_is_nothing_to_go_by() {
    let server = Server::start(json!({ "reset": true, "rows": 5 })).await;
    let options = server.options("orders/since", since(json!({})));
    let error = fails(&options, &with_hidden("updated_at")).await;
    assert!(error.kind == Kind::Refused && error.detail.contains("kept in clear"), "{error}");
}

#[tokio::test]
async fn a_cursor_that_is_too_old_begins_the_pass_again_where_a_key_tells_the_rows() {
    let server = Server::start(json!({ "reset": true, "rows": 37 })).await;
    let (path, more) = kinds().remove(2);
    let options = server.options(path, more);
    let mut taken = Positions::new();
    let mut source = open(&options, &orders(), taken.clone()).await.expect("a source");
    for _ in 0..2 {
        taken.advance(&source.next(1).await.expect("a batch").expect("rows").upto);
    }
    server.control(json!({ "epoch": 1 })).await;
    assert_eq!(ids(&all(&options, &orders(), &mut taken.clone()).await.expect("rows")), (1..=37).collect::<Vec<_>>());
    let mut once = options.clone();
    once["mode"] = "once".into();
    let error = all(&once, &orders(), &mut taken).await.expect_err("an error");
    assert!(error.kind == Kind::Data && error.detail.contains("HTTP 410"), "{error}");
}

#[tokio::test]
async fn a_pass_waits_for_its_time_and_all_is_read_once_where_that_is_asked_for() {
    let server = Server::start(json!({ "reset": true, "rows": 12 })).await;
    let (path, more) = kinds().remove(3);
    let options = server.options(path, more);
    let mut taken = Positions::new();
    all(&options, &orders(), &mut taken).await.expect("rows");
    let later = |micros| {
        let mut opening = opening(Path::new("/"), options.clone(), orders(), taken.clone());
        opening.clock = Arc::new(ManualClock::at(micros));
        (spec().open)(opening)
    };
    let count = async |micros| {
        let mut source = later(micros).await.expect("a source");
        pull(source.as_mut(), &mut Positions::new()).await.expect("rows").len()
    };
    assert_eq!((count(3_599_999_999).await, count(3_600_000_000).await), (0, 12));

    let mut once = options.clone();
    (once["mode"], once["pause_seconds"]) = ("once".into(), 0.into());
    let mut taken = Positions::new();
    assert_eq!(all(&once, &entity(&COLUMNS), &mut taken).await.expect("rows").len(), 12);
    assert!(matches!(taken.get(path), Some(Point::Mark { done: true, .. })));
    server.control(json!({ "rows": 20 })).await;
    assert!(all(&once, &entity(&COLUMNS), &mut taken).await.expect("nothing").is_empty());
}

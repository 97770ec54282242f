//! A server that fails, is slow, never ends or asks to be let alone.

use super::{Server, all, fails, kinds, orders};
use crate::files::testing::{opening, pull};
use crate::rest::spec;
use crate::spec::Grade;
use arrow::datatypes::{DataType, TimeUnit};
use axum::http::StatusCode;
use kernel::Positions;
use kernel::clock::ManualClock;
use kernel::error::Kind;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test]
async fn a_server_without_an_end_is_told() {
    let server = Server::start(json!({ "reset": true, "rows": 37, "beyond": "clamp" })).await;
    let (path, more) = kinds().remove(0);
    let options = server.options(path, more);
    assert!(fails(&options, &orders()).await.detail.contains("no end"));
    server.control(json!({ "beyond": "404" })).await;
    assert_eq!(all(&options, &orders(), &mut Positions::new()).await.expect("rows").len(), 37);
    for (path, says, asked) in [("orders/circle", "in a circle", 3), ("orders/frozen", "the same records", 2)] {
        let paged = json!({ "records": "$.data", "pagination": { "type": "cursor", "next": "$.next" } });
        let mut options = server.options(path, paged);
        for mode in ["append", "changes"] {
            options["mode"] = mode.into();
            let before = server.stats("good").await;
            let error = fails(&options, &orders()).await;
            assert!(error.kind == Kind::Data && error.detail.contains(says), "{path}: {error}");
            assert!(error.detail.contains("no end"), "{path}: {error}");
            assert_eq!(server.stats("good").await - before, asked, "{path}");
        }
    }
}

/// What answers questions with these statuses and bodies, one after another, and then with the last.
async fn answering(answers: &'static [(u16, &'static str)]) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let app = axum::Router::new().fallback(move || {
        let at = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let (status, body) = answers[at];
        async move { (StatusCode::from_u16(status).expect("a status"), body) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

#[tokio::test]
async fn an_empty_answer_is_asked_for_again_and_ends_no_pass() {
    const FIRST: &str = r#"{"data":[{"id":1},{"id":2}],"next":"x"}"#;
    const LAST: &str = r#"{"data":[{"id":3}]}"#;
    let read = async |answers: &'static [(u16, &'static str)], more: Value| {
        let (url, asked) = answering(answers).await;
        let mut options = json!({
            "connection": url, "path": "orders", "records": "$.data", "backoff_ms": 1, "retries_max": 2,
            "pagination": { "type": "cursor", "next": "$.next" },
        });
        for (name, value) in more.as_object().expect("options") {
            options[name] = value.clone();
        }
        let rows = all(&options, &orders(), &mut Positions::new()).await.map(|rows| rows.len());
        (rows, asked.load(Ordering::SeqCst))
    };
    for on_missing in ["error", "empty"] {
        let more = json!({ "on_missing": on_missing });
        let (rows, asked) = read(&[(200, ""), (200, FIRST), (202, ""), (200, " \n"), (200, LAST)], more.clone()).await;
        assert_eq!((rows.expect("all of them"), asked), (3, 5), "on_missing: {on_missing}");
        let troubles: [&'static [(u16, &'static str)]; 2] = [&[(200, FIRST), (200, "")], &[(202, "")]];
        for answers in troubles {
            let error = read(answers, more.clone()).await.0.expect_err("no end of the pass");
            assert!(error.kind == Kind::Unreachable && error.detail.contains("is empty (HTTP 20"), "{error}");
            assert!(error.detail.contains("asked 3 times"), "{error}");
        }
    }
    let (rows, asked) = read(&[(200, FIRST), (204, "")], json!({})).await;
    assert_eq!((rows.expect("no content is an answer"), asked), (2, 2));
    let (rows, asked) = read(&[(200, "null")], json!({ "records": "$", "pagination": {} })).await;
    assert_eq!((rows.expect("null is none"), asked), (0, 1));
    let lines = json!({ "format": "ndjson", "pagination": { "type": "offset" } });
    let (rows, asked) = read(&[(200, "{\"id\":1}\n"), (200, "")], lines).await;
    assert_eq!((rows.expect("no lines"), asked), (1, 2));
    // What leads to others is JSON, whatever they are.
    let parent = json!({ "path": "customers", "as": "customer_id" });
    let below = json!({
        "path": "customers/{customer_id}/orders", "parent": parent, "format": "ndjson", "pagination": {},
    });
    let (rows, asked) = read(&[(200, ""), (200, "[{\"id\":7}]"), (200, "{\"id\":1}\n")], below).await;
    assert_eq!((rows.expect("a record"), asked), (1, 3));
}

#[tokio::test]
async fn patience_ends_and_says_why() {
    let server = Server::start(json!({ "reset": true, "rows": 37 })).await;
    let (path, more) = kinds().remove(0);
    let mut options = server.options(path, more);
    options["retries_max"] = 2.into();
    options["timeout_ms"] = 300.into();
    for (habit, says) in [
        ("500", "HTTP 500"),
        ("half", "breaks off"),
        ("cut", "breaks off"),
        ("stuck", "in time"),
        ("reset", "breaks off"),
    ] {
        server.control(json!({ "habits": { habit: 1.0 } })).await;
        let error = fails(&options, &orders()).await;
        assert!(error.kind == Kind::Unreachable && error.detail.contains(says), "{habit}: {error}");
        assert!(error.detail.contains("asked 3 times") && !error.to_string().contains("limit="), "{error}");
        server.control(json!({ "habits": {}, "reset": true, "rows": 37 })).await;
    }
    let error = fails(&server.options("orders/none", json!({})), &orders()).await;
    assert!(error.kind == Kind::Project && error.detail.contains("HTTP 404"), "{error}");
    let error = fails(&server.options("orders/html", json!({})), &orders()).await;
    assert!(error.kind == Kind::Data && !error.to_string().contains("log in"), "{error}");
    let mut small = server.options("orders/page", json!({ "body_bytes_max": 100 }));
    assert!(fails(&small, &orders()).await.detail.contains("body_bytes_max"));
    small["connection"] = "http://127.0.0.1:9".into();
    small["retries_max"] = 0.into();
    let error = fails(&small, &orders()).await;
    assert!(error.kind == Kind::Unreachable && error.detail.contains("can't be reached"), "{error}");
}

/// A server that answers its first question with `429` and this header, and later ones with no records.
async fn busy(header: &'static str, value: &'static str) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let app = axum::Router::new().fallback(move || {
        let status = match count.fetch_add(1, Ordering::SeqCst) {
            0 => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::OK,
        };
        async move { (status, [(header, value)], "[]") }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

#[tokio::test]
async fn a_server_that_asks_to_be_left_alone_is_asked_by_no_source_before_its_time() {
    for (header, value) in [("retry-after", "600"), ("x-ratelimit-reset", "1767226200")] {
        let (url, asked) = busy(header, value).await;
        let clock = Arc::new(ManualClock::at(1_767_225_600_000_000));
        let read = async |path: &str| {
            let options = json!({ "connection": url, "path": path, "requests_per_minute_max": 60_000 });
            let mut opening = opening(Path::new("/"), options, orders(), Positions::new());
            opening.clock = clock.clone();
            let mut source = spec().open(opening).await.expect("a source");
            pull(source.as_mut(), &mut Positions::new()).await
        };
        let first = read("orders").await.expect_err("too long a wait");
        assert!(first.kind == Kind::Unreachable && first.detail.contains("asks to wait for 600 s"), "{first}");
        for path in ["orders", "customers"] {
            let error = read(path).await.expect_err("not yet");
            assert_eq!(error.kind, Kind::Unreachable);
            assert!(error.to_string().contains(path), "{error}");
            assert_eq!(error.detail, "the server asked not to be asked before 2026-01-01T00:10:00Z");
        }
        clock.advance(599_999_999);
        read("orders").await.expect_err("not yet");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{header}");
        clock.advance(1);
        assert!(read("orders").await.expect("its time has come").is_empty());
        assert_eq!(asked.load(Ordering::SeqCst), 2, "{header}");
    }
}

/// Whoever has a limit for calls would cut off the questions of a whole pass, and take them together for a slow one.
#[tokio::test]
async fn a_call_of_many_questions_tells_how_long_the_slowest_took() {
    let clock = Arc::new(ManualClock::at(0));
    let ticking = clock.clone();
    let app = axum::Router::new().fallback(move |uri: axum::http::Uri| {
        let is_slow = uri.path() == "/customers/2/orders";
        ticking.advance(if is_slow { 7_000_000 } else { 2_000_000 });
        let is_list = uri.path() == "/customers";
        async move { if is_list { r#"[{"id":1},{"id":2},{"id":3}]"# } else { "[]" } }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let incremental = json!({ "incremental": { "field": "updated_at", "param": "updated_since" } });
    // With the first, how it is read has to be told: the source is wrapped.
    for more in [incremental, json!({})] {
        let mut options = json!({
            "connection": url, "path": "customers/{customer_id}/orders", "pagination": {},
            "parent": { "path": "customers", "as": "customer_id" },
        });
        options.as_object_mut().expect("options").extend(more.as_object().expect("options").clone());
        let mut opening = opening(Path::new("/"), options, orders(), Positions::new());
        opening.clock = clock.clone();
        let mut source = spec().open(opening).await.expect("a source");
        assert_eq!(source.slowest_question(), Some(Duration::ZERO), "{more}");
        assert!(source.next(1).await.expect("answers").is_none(), "{more}");
        assert_eq!(source.slowest_question(), Some(Duration::from_secs(7)), "{more}");
        assert_eq!(source.slowest_question(), Some(Duration::ZERO), "{more}");
    }
}

#[tokio::test]
async fn requests_are_no_more_than_allowed() {
    let server = Server::start(json!({ "reset": true, "rows": 37 })).await;
    let (path, more) = kinds().remove(3);
    let mut options = server.options(path, more);
    options["requests_per_minute_max"] = 600.into();
    let begun = tokio::time::Instant::now();
    assert_eq!(all(&options, &orders(), &mut Positions::new()).await.expect("rows").len(), 37);
    assert!(begun.elapsed().as_millis() >= 300, "four pages, a tenth of a second between two");
}

#[tokio::test]
async fn the_doctor_looks_at_the_first_page() {
    let server = Server::start(json!({ "reset": true, "rows": 37 })).await;
    let probe = async |options: Value| {
        let opening = opening(Path::new("/"), options, orders(), Positions::new());
        spec().probe(&opening).await
    };
    let (path, more) = kinds().remove(3);
    let good = &probe(server.options(path, more)).await[0];
    assert_eq!((good.grade, &*good.found), (Grade::Good, "10 records, 0 of them malformed"));
    let odd = &probe(server.options("orders/page", json!({ "records": "$[*].id" }))).await[0];
    assert_eq!((odd.grade, &*odd.found), (Grade::Warning, "10 records, 10 of them malformed"));
    assert!(odd.remedy.as_ref().is_some_and(|remedy| remedy.contains("`records`")), "{odd:?}");
    let by_time = json!({ "incremental": { "field": "updated_at", "param": "updated_since" } });
    let timed = async |mode: &str| {
        let mut options = server.options("orders/since", by_time.clone());
        (options["records"], options["mode"]) = ("$.data".into(), mode.into());
        let mut entity = orders();
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let column = entity.properties.iter_mut().find(|column| column.name == "updated_at").expect("the column");
        column.data_type = time;
        let opening = opening(Path::new("/"), options, entity, Positions::new());
        spec().probe(&opening).await
    };
    let lost = timed("append").await;
    assert!(lost[1].remedy.as_ref().is_some_and(|remedy| remedy.contains("`mode: changes`")), "{lost:?}");
    assert_eq!(timed("changes").await.len(), 1);
    let bad = probe(server.options("orders/none", json!({}))).await;
    assert!(bad[0].remedy.is_some() && bad[0].found.contains("HTTP 404"), "{bad:?}");
}

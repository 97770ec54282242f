//! A server that fails, is slow, never ends or asks to be let alone.

use super::{Server, all, fails, kinds, orders};
use crate::files::testing::opening;
use crate::rest::spec;
use arrow::datatypes::{DataType, TimeUnit};
use kernel::Positions;
use kernel::error::Kind;
use serde_json::{Value, json};
use std::path::Path;

#[tokio::test]
async fn a_server_without_an_end_is_told() {
    let server = Server::start(json!({ "reset": true, "rows": 37, "beyond": "clamp" })).await;
    let (path, more) = kinds().remove(0);
    let options = server.options(path, more);
    assert!(fails(&options, &orders()).await.detail.contains("no end"));
    server.control(json!({ "beyond": "404" })).await;
    assert_eq!(all(&options, &orders(), &mut Positions::new()).await.expect("rows").len(), 37);
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
        (spec().probe)(&opening).await
    };
    let (path, more) = kinds().remove(3);
    assert_eq!(probe(server.options(path, more)).await[0].found, "10 records, 0 of them malformed");
    let by_time = json!({ "incremental": { "field": "updated_at", "param": "updated_since" } });
    let timed = async |mode: &str| {
        let mut options = server.options("orders/since", by_time.clone());
        (options["records"], options["mode"]) = ("$.data".into(), mode.into());
        let mut entity = orders();
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let column = entity.properties.iter_mut().find(|column| column.name == "updated_at").expect("the column");
        column.data_type = time;
        let opening = opening(Path::new("/"), options, entity, Positions::new());
        (spec().probe)(&opening).await
    };
    let lost = timed("append").await;
    assert!(lost[1].remedy.as_ref().is_some_and(|remedy| remedy.contains("`mode: changes`")), "{lost:?}");
    assert_eq!(timed("changes").await.len(), 1);
    let bad = probe(server.options("orders/none", json!({}))).await;
    assert!(bad[0].remedy.is_some() && bad[0].found.contains("HTTP 404"), "{bad:?}");
}

//! The door and the source behind it, over real sockets.

use super::door::router;
use super::source::{Push, parts};
use crate::files::testing::{entity, opening};
use arrow::array::{ArrayRef, AsArray};
use kernel::contract::SchemaChange;
use kernel::gate::{Alarm, Inspector, Screen};
use kernel::laws::source::obeys;
use kernel::source::{Pulled, Source};
use kernel::{Entity, Point, Positions};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A process that listens, as far as it matters here.
struct Listening {
    url: String,
    room: Arc<Semaphore>,
    source: Push,
    client: Client,
    serving: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn options(more: Value) -> Value {
    let mut options = json!({ "path": "/hooks/orders", "auth": { "secret": "SECRET" }, "timeout_ms": 5000 });
    for (name, value) in more.as_object().expect("options") {
        options[name] = value.clone();
    }
    options
}

fn keyed() -> Entity {
    let mut entity = entity(&["id", "n"]);
    entity.properties[0].primary_key = Some(1);
    entity
}

/// Takes every name with an `@` for somebody's.
pub(super) struct Eyes;

impl Screen for Eyes {
    fn is_personal(&self, text: &str) -> bool {
        text.contains('@')
    }

    fn is_personal_column(&self, name: &str, _: &ArrayRef) -> bool {
        self.is_personal(name)
    }

    fn alarm(&self, _: &ArrayRef, _: bool) -> Option<Alarm> {
        None
    }
}

async fn listen(options: Value, from: Positions) -> Listening {
    listen_for(keyed(), options, from).await
}

async fn listen_for(entity: Entity, options: Value, from: Positions) -> Listening {
    let (door, source) = parts(&opening(Path::new("/"), options, entity, from), Arc::new(Eyes)).expect("a door");
    let room = door.room.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/hooks/orders", listener.local_addr().expect("its address"));
    let router = router(door);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
    Listening { url, room, source, client: Client::new(), serving }
}

impl Listening {
    fn post(&self, name: Option<&str>, body: impl Into<reqwest::Body>) -> JoinHandle<Response> {
        let mut request = self.client.post(&self.url).header("Authorization", "Bearer SECRET").body(body);
        if let Some(name) = name {
            request = request.header("Idempotency-Key", name);
        }
        tokio::spawn(async move { request.send().await.expect("an answer") })
    }

    /// Posts, and returns when it waits for its commit or was answered.
    async fn arrives(&self, name: Option<&str>, body: String) -> JoinHandle<Response> {
        let before = self.source.num_waiting();
        let posted = self.post(name, body);
        while !posted.is_finished() && self.source.num_waiting() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        posted
    }

    /// Everything that is there now, as one commit would have it.
    async fn drain(&mut self) -> (Vec<String>, Positions) {
        let (mut rows, mut upto) = (Vec::new(), Positions::new());
        while let Some(pulled) = self.source.next(1 << 20).await.expect("a batch") {
            rows.extend(ids(&pulled));
            upto.advance(&pulled.upto);
        }
        (rows, upto)
    }
}

/// The ids of a batch's rows.
fn ids(pulled: &Pulled) -> Vec<String> {
    struct Ids(Vec<String>);
    impl Inspector for Ids {
        fn column(&mut self, name: &str, values: &ArrayRef) {
            if name == "id" {
                self.0.extend(values.as_string_view().iter().map(|id| id.expect("an id").to_owned()));
            }
        }
    }
    let mut ids = Ids(Vec::new());
    let kernel::source::Rows::Raw(raw) = &pulled.rows else { panic!("raw rows") };
    raw.inspect(&mut ids);
    ids.0
}

async fn said(posted: JoinHandle<Response>) -> (u16, Value) {
    let response = posted.await.expect("a task");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn success_is_answered_behind_the_commit_only() {
    let mut listening = listen(options(json!({})), Positions::new()).await;
    let posted = listening.arrives(None, r#"[{"id":"a","n":1.50},{"id":"b"}]"#.into()).await;
    let (rows, upto) = listening.drain().await;
    assert_eq!(rows, ["a", "b"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!posted.is_finished(), "nothing is durable yet");
    listening.source.settled(&upto).await.expect("settled");
    listening.source.settled(&upto).await.expect("settled twice");
    assert_eq!(said(posted).await, (200, json!({ "rows": 2 })));
    assert!(matches!(upto.get("/hooks/orders"), Some(Point::Mark { rows: 2, done: false, .. })));
}

#[tokio::test]
async fn who_got_no_answer_sends_again_and_nothing_is_doubled() {
    let mut dying = listen(options(json!({})), Positions::new()).await;
    let first = dying.arrives(Some("d-1"), r#"{"id":"a"}"#.into()).await;
    let second = dying.arrives(Some("d-2"), r#"{"id":"b"}"#.into()).await;
    let same = dying.post(Some("d-2"), r#"{"id":"b"}"#);
    assert_eq!(said(same).await.0, 409, "it is under way");
    let first_batch = dying.source.next(1).await.expect("a batch").expect("rows");
    assert_eq!(ids(&first_batch), ["a"]);
    // The commit came to be, and nobody was told; of the second there was none.
    let committed = first_batch.upto;
    drop(dying);
    for posted in [first, second] {
        let answer = tokio::time::timeout(Duration::from_secs(5), posted).await.expect("an end");
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status().as_u16() == 503), "no success");
    }
    let mut risen = listen(options(json!({})), committed).await;
    let first = risen.post(Some("d-1"), r#"{"id":"a"}"#);
    assert_eq!(said(first).await, (200, json!({ "rows": 0, "repeated": true })));
    let second = risen.arrives(Some("d-2"), r#"{"id":"b"}"#.into()).await;
    let (rows, upto) = risen.drain().await;
    assert_eq!(rows, ["b"]);
    risen.source.settled(&upto).await.expect("settled");
    assert_eq!(said(second).await, (200, json!({ "rows": 1 })));
    assert_eq!(said(risen.post(Some("d-2"), r#"{"id":"b"}"#)).await.1["repeated"], true);
    assert!(matches!(upto.get("/hooks/orders"), Some(Point::Mark { rows: 2, .. })), "{upto:?}");
}

#[tokio::test]
async fn what_can_not_be_taken_is_told_why() {
    let listening = listen(options(json!({ "body_bytes_max": 100, "queue_bytes_max": 150 })), Positions::new()).await;
    let post = |body: &str, token: &str| {
        let request = listening.client.post(&listening.url).header("Authorization", format!("Bearer {token}"));
        let request = request.body(body.to_owned());
        said(tokio::spawn(async move { request.send().await.expect("an answer") }))
    };
    assert_eq!(post("{}", "wrong").await.0, 401);
    let (status, why) = post("{\"id\":\"ana@example.com\",", "SECRET").await;
    assert!(status == 400 && !why.to_string().contains("ana"), "{why}");
    assert_eq!(post("[1]", "SECRET").await, (400, json!({ "error": "record 1 is no object" })));
    assert_eq!(post(&format!("{{\"id\":\"{}\"}}", "x".repeat(100)), "SECRET").await.0, 413);
    assert_eq!(post("[]", "SECRET").await, (200, json!({ "rows": 0 })));
    let get = listening.client.get(&listening.url).send().await.expect("an answer");
    assert_eq!(get.status().as_u16(), 405);
    let body = format!("{{\"id\":\"{}\"}}", "x".repeat(80));
    let _waits = listening.arrives(None, body.clone()).await;
    let full = listening.post(None, body).await.expect("an answer");
    assert_eq!((full.status().as_u16(), full.headers()["retry-after"].to_str().ok()), (503, Some("1")));
}

#[tokio::test]
async fn a_field_that_the_contract_does_not_name_is_refused_to_its_sender_alone() {
    let mut listening = listen(options(json!({})), Positions::new()).await;
    let (status, why) = said(listening.post(Some("d-1"), r#"[{"id":"a"},{"id":"b","coupon":"X"}]"#)).await;
    assert!(status == 422 && why.to_string().contains("the field `coupon`"), "{status}: {why}");
    let other = listening.arrives(Some("d-2"), r#"{"id":"c","n":1}"#.into()).await;
    let mended = listening.arrives(Some("d-1"), r#"[{"id":"a"},{"id":"b"}]"#.into()).await;
    let (rows, upto) = listening.drain().await;
    assert_eq!(rows, ["c", "a", "b"], "and its name is free again");
    listening.source.settled(&upto).await.expect("settled");
    assert_eq!(said(other).await, (200, json!({ "rows": 1 })));
    assert_eq!(said(mended).await, (200, json!({ "rows": 2 })));
}

#[tokio::test]
async fn a_field_with_somebodys_name_is_refused_to_its_sender_alone_whatever_becomes_of_others() {
    for policy in [SchemaChange::Freeze, SchemaChange::Quarantine, SchemaChange::Evolve] {
        let entity = Entity { schema_change: policy, ..keyed() };
        let mut listening = listen_for(entity, options(json!({})), Positions::new()).await;
        let (status, why) = said(listening.post(Some("d-1"), r#"{"id":"a","maria@example.com":1}"#)).await;
        assert!(status == 422 && !why.to_string().contains("maria"), "{policy:?}: {status}: {why}");
        let other = listening.arrives(Some("d-1"), r#"{"id":"a","n":1}"#.into()).await;
        let (rows, upto) = listening.drain().await;
        assert_eq!(rows, ["a"], "{policy:?}: nothing else waits, and the name is free");
        listening.source.settled(&upto).await.expect("settled");
        assert_eq!(said(other).await, (200, json!({ "rows": 1 })));
    }
}

/// As some libraries send the header always.
#[tokio::test]
async fn an_empty_name_is_none_and_the_next_header_or_the_key_tells() {
    let mut listening = listen(options(json!({})), Positions::new()).await;
    let post = |headers: &[(&'static str, &'static str)], body: &'static str| {
        let request = listening.client.post(&listening.url).header("Authorization", "Bearer SECRET").body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        tokio::spawn(async move { request.send().await.expect("an answer") })
    };
    let blank: &[_] = &[("Idempotency-Key", "")];
    let next: &[_] = &[("Idempotency-Key", "  "), ("Webhook-Id", "w-1")];
    let twice: &[_] = &[("Idempotency-Key", ""), ("Idempotency-Key", "i-1")];
    let all = [(blank, r#"{"id":"a"}"#), (blank, r#"{"id":"b"}"#), (next, r#"{"id":"c"}"#), (twice, r#"{"id":"d"}"#)];
    let waiting: Vec<_> = all.into_iter().map(|(headers, body)| post(headers, body)).collect();
    while listening.source.num_waiting() < all.len() {
        assert!(!waiting.iter().any(JoinHandle::is_finished), "none is another one");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let other = said(post(next, r#"{"id":"z"}"#)).await;
    assert!(other.0 == 422 && other.1.to_string().contains("other records"), "`w-1` is its name: {other:?}");
    let (again, named) = (post(&[("Idempotency-Key", "i-1")], r#"{"id":"d"}"#), post(blank, r#"{"id":"a"}"#));
    assert_eq!((said(again).await.0, said(named).await.0), (409, 409), "they are under way");
    let (mut rows, upto) = listening.drain().await;
    rows.sort();
    assert_eq!(rows, ["a", "b", "c", "d"]);
    listening.source.settled(&upto).await.expect("settled");
    for posted in waiting {
        assert_eq!(said(posted).await, (200, json!({ "rows": 1 })));
    }
}

/// Every row that is answered with success reaches the gate: what becomes of a key that came before is its to say.
#[tokio::test]
async fn a_name_tells_a_repetition_and_without_one_the_very_same_records_do() {
    let mut listening = listen(options(json!({})), Positions::new()).await;
    let bodies = [
        (Some("d-1"), r#"{"id":"a","n":1}"#),
        (Some("d-2"), r#"{"id":"a","n":2}"#),
        (Some("d-3"), r#"[{"id":"b","n":1},{"id":"b","n":2}]"#),
        (None, r#"{"id":"a","n":1}"#),
        (None, r#"{"id":"a","n":3}"#),
    ];
    let mut waiting = Vec::new();
    for (name, body) in bodies {
        waiting.push(listening.arrives(name, body.into()).await);
    }
    assert_eq!(said(listening.post(None, r#"{"id":"a","n":3}"#)).await.0, 409, "it is under way");
    let (rows, upto) = listening.drain().await;
    assert_eq!(rows, ["a", "a", "b", "b", "a", "a"]);
    listening.source.settled(&upto).await.expect("settled");
    for (posted, rows) in waiting.into_iter().zip([1, 1, 2, 1, 1]) {
        assert_eq!(said(posted).await, (200, json!({ "rows": rows })));
    }
    let repeated = (200, json!({ "rows": 0, "repeated": true }));
    for (name, body) in bodies {
        assert_eq!(said(listening.post(name, body)).await, repeated, "{name:?}");
    }
    let (status, why) = said(listening.post(Some("d-1"), r#"{"id":"z"}"#)).await;
    assert!(status == 422 && why.to_string().contains("other records"), "{status}: {why}");
    // After a restart the names are known, and what was in the deliveries is kept nowhere.
    let mut risen = listen(options(json!({})), upto).await;
    for (name, body) in bodies.into_iter().filter(|(name, _)| name.is_some()) {
        assert_eq!(said(risen.post(name, body)).await, repeated, "{name:?}");
    }
    let _unnamed = risen.arrives(None, bodies[4].1.into()).await;
    let (rows, upto) = risen.drain().await;
    assert_eq!(rows, ["a"], "the gate will know its key");
    let Some(Point::Mark { token, .. }) = upto.get("/hooks/orders") else { panic!("a position") };
    assert_eq!(token.matches(',').count(), 2, "three names, and no hash of records: {token}");
}

#[tokio::test]
async fn bodies_are_taken_with_a_byte_order_mark_and_not_compressed() {
    let mut listening = listen(options(json!({})), Positions::new()).await;
    let bearer = |kind: &str| {
        let request = listening.client.post(&listening.url).header("Authorization", "Bearer SECRET");
        request.header("Content-Type", kind)
    };
    for coding in ["gzip", "br"] {
        let request = bearer("application/json").header("Content-Encoding", coding).body("\x1f\u{8b}");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 415);
        assert_eq!(answer.headers()["accept-encoding"], "identity");
        assert!(answer.text().await.expect("a body").contains("compressed"));
    }
    let mut waiting = Vec::new();
    for (kind, body) in [
        ("application/json", "\u{feff}{\"id\":\"a\"}"),
        ("application/x-ndjson", "\u{feff}{\"id\":\"b\"}\n{\"id\":\"c\"}"),
    ] {
        let request = bearer(kind).header("Content-Encoding", "identity").body(body);
        let before = listening.source.num_waiting();
        waiting.push(tokio::spawn(async move { request.send().await.expect("an answer") }));
        while listening.source.num_waiting() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let (rows, upto) = listening.drain().await;
    assert_eq!(rows, ["a", "b", "c"]);
    listening.source.settled(&upto).await.expect("settled");
    for posted in waiting {
        assert_eq!(said(posted).await.0, 200);
    }
}

#[tokio::test]
async fn room_comes_back_when_a_delivery_is_over() {
    let mut listening = listen(options(json!({ "timeout_ms": 200 })), Positions::new()).await;
    let all = listening.room.available_permits();
    for body in ["[1]", "{"] {
        assert_eq!(said(listening.post(None, body)).await.0, 400);
    }
    assert_eq!(listening.room.available_permits(), all);
    let slow = listening.arrives(Some("slow"), r#"{"id":"a"}"#.into()).await;
    assert_eq!(said(slow).await.0, 503, "nothing was durable in time");
    assert_eq!(said(listening.post(Some("slow"), r#"{"id":"a"}"#)).await.0, 409, "and it is still under way");
    let (rows, upto) = listening.drain().await;
    assert_eq!(rows, ["a"]);
    listening.source.settled(&upto).await.expect("settled");
    assert_eq!(listening.room.available_permits(), all);
    assert_eq!(said(listening.post(Some("slow"), r#"{"id":"a"}"#)).await.1["repeated"], true);
}

/// Sends everything that was not answered, in the same order, as a sender does after a failure.
#[tokio::test]
async fn the_laws_hold_over_deliveries_that_are_sent_again() {
    obeys(async |from| {
        let mut listening = listen(options(json!({ "timeout_ms": 60_000 })), from).await;
        let mut waiting = Vec::new();
        for delivery in 0..7 {
            let records = (0..3 + delivery % 3).map(|row| json!({ "id": format!("{delivery}-{row}"), "n": row }));
            let mut body = Value::Array(records.collect());
            if delivery == 4 {
                body[1]["n"] = "x\"y\n".into();
            }
            waiting.push(listening.arrives(Some(&format!("d-{delivery}")), body.to_string()).await);
        }
        let (_, other) = parts(&opening(Path::new("/"), options(json!({})), keyed(), Positions::new()), Arc::new(Eyes))
            .expect("a door");
        let source = std::mem::replace(&mut listening.source, other);
        Box::new(Kept { source, _listening: listening }) as Box<dyn Source>
    })
    .await;
}

/// A source with the server that feeds it.
struct Kept {
    source: Push,
    _listening: Listening,
}

#[async_trait::async_trait]
impl Source for Kept {
    async fn next(&mut self, bytes_max: usize) -> kernel::Result<Option<Pulled>> {
        self.source.next(bytes_max).await
    }

    async fn settled(&mut self, upto: &Positions) -> kernel::Result<()> {
        self.source.settled(upto).await
    }
}

#[tokio::test]
async fn many_senders_at_once_lose_nothing() {
    const SENDERS: usize = 20;
    const EACH: usize = 25;
    let mut listening =
        listen(options(json!({ "queue_bytes_max": 2000, "body_bytes_max": 200 })), Positions::new()).await;
    let (client, url) = (listening.client.clone(), listening.url.clone());
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move {
                for delivery in 0..EACH {
                    let (name, body) =
                        (format!("{sender}-{delivery}"), json!({ "id": format!("{sender}-{delivery}") }));
                    loop {
                        let request =
                            client.post(&url).header("Authorization", "Bearer SECRET").header("Idempotency-Key", &name);
                        let response = request.body(body.to_string()).send().await.expect("an answer");
                        match response.status().as_u16() {
                            200 => break,
                            503 | 409 => tokio::time::sleep(Duration::from_millis(2)).await,
                            other => panic!("HTTP {other}"),
                        }
                    }
                }
            })
        })
        .collect();
    let mut rows = Vec::new();
    while !senders.iter().all(JoinHandle::is_finished) {
        let (more, upto) = listening.drain().await;
        rows.extend(more);
        listening.source.settled(&upto).await.expect("settled");
    }
    for sender in senders {
        sender.await.expect("a sender that is done");
    }
    assert_eq!(rows.len(), SENDERS * EACH, "nothing is doubled");
    rows.sort();
    rows.dedup();
    assert_eq!(rows.len(), SENDERS * EACH, "nothing is lost");
}

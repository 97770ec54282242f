use super::router;
use crate::registry::store::tests::registry;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A registry that listens, and speaks HTTP for real.
struct Server(std::net::SocketAddr);

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move { axum::serve(listener, router(Arc::new(registry()))).await });
        Self(address)
    }

    /// Status, content type and body.
    async fn raw(&self, verb: &str, path: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.0).await.expect("connected");
        let head = format!(
            "{verb} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // A server that refuses a large body does not read it to its end.
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let of = |name: &str| {
            head.lines().find_map(|line| line.to_lowercase().strip_prefix(&format!("{name}: ")).map(str::to_owned))
        };
        (status, of("content-type").unwrap_or_default(), body.to_owned())
    }

    async fn ask(&self, verb: &str, path: &str, body: &Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, content, body) = self.raw(verb, path, &text).await;
        assert_eq!(content, "application/vnd.schemaregistry.v1+json", "{verb} {path}");
        (status, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{verb} {path}: {e}: {body}")))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, &Value::Null).await
    }

    async fn refused(&self, verb: &str, path: &str, body: &Value) -> (u16, u64) {
        let (status, answer) = self.ask(verb, path, body).await;
        assert!(!answer["message"].as_str().unwrap_or_default().is_empty(), "{answer}");
        (status, answer["error_code"].as_u64().unwrap_or_else(|| panic!("{verb} {path} is refused: {answer}")))
    }
}

fn avro(fields: &str) -> Value {
    json!({ "schema": format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#) })
}

const A: &str = r#"{"name":"a","type":"string"}"#;

#[tokio::test]
async fn a_schema_is_registered_found_and_read() {
    let server = Server::start().await;
    let (status, done) = server.ask("POST", "/subjects/a%2Fb-value/versions?normalize=False", &avro(A)).await;
    assert_eq!((status, &done["id"], &done["version"]), (200, &json!(1), &json!(1)), "{done}");
    assert!(done["guid"].is_string() && done.get("schema").is_none(), "clients keep the schema that they sent: {done}");
    assert_eq!(server.get("/subjects").await, (200, json!(["a/b-value"])));
    assert_eq!(server.get("/subjects/a%2Fb-value/versions").await, (200, json!([1])));
    let (_, version) = server.get("/subjects/a%2Fb-value/versions/latest").await;
    assert_eq!((&version["subject"], &version["schema"]), (&json!("a/b-value"), &avro(A)["schema"]));
    let (_, schema) = server.get("/schemas/ids/1").await;
    assert_eq!(schema["schema"], avro(A)["schema"]);
    let guid = schema["guid"].as_str().expect("a guid");
    assert_eq!(server.get(&format!("/schemas/guids/{guid}")).await.1["schema"], avro(A)["schema"]);
    assert_eq!(server.get("/schemas/ids/1/subjects").await, (200, json!(["a/b-value"])));
    assert_eq!(server.get("/schemas/ids/1/versions").await, (200, json!([{ "subject": "a/b-value", "version": 1 }])));
    let (status, _, text) = server.raw("GET", "/schemas/ids/1/schema", "").await;
    assert_eq!((status, text.as_str()), (200, avro(A)["schema"].as_str().expect("text")));
    let (_, found) = server.ask("POST", "/subjects/a%2Fb-value?deleted=True", &avro(A)).await;
    assert_eq!((&found["id"], &found["version"]), (&json!(1), &json!(1)));
    assert_eq!(server.get("/schemas/types").await, (200, json!(["JSON", "PROTOBUF", "AVRO"])));
    assert_eq!(server.get("/contexts").await, (200, json!(["."])));
    assert_eq!(server.get("/schemas").await.1[0]["id"], 1);
}

#[tokio::test]
async fn what_is_refused_has_its_number() {
    let server = Server::start().await;
    server.ask("POST", "/subjects/s/versions", &avro(A)).await;
    let broken = avro(r#"{"name":"b","type":"int"}"#);
    for (verb, path, body, expected) in [
        ("GET", "/subjects/none/versions", Value::Null, (404, 40401)),
        ("GET", "/subjects/s/versions/7", Value::Null, (404, 40402)),
        ("GET", "/schemas/ids/7", Value::Null, (404, 40403)),
        ("GET", "/schemas/guids/x", Value::Null, (404, 40403)),
        ("DELETE", "/subjects/s?permanent=true", Value::Null, (404, 40405)),
        ("GET", "/config/s", Value::Null, (404, 40408)),
        ("GET", "/mode/s", Value::Null, (404, 40409)),
        ("POST", "/subjects/s/versions", broken, (409, 409)),
        ("POST", "/subjects/s/versions", json!({ "schema": "{" }), (422, 42201)),
        ("POST", "/subjects/s/versions", json!({ "schema": "" , "schemaType": "XML" }), (422, 42201)),
        ("GET", "/subjects/s/versions/0", Value::Null, (422, 42202)),
        ("GET", "/subjects/s/versions/first", Value::Null, (422, 42202)),
        ("PUT", "/config", json!({ "compatibility": "SIDEWARD" }), (422, 42203)),
        ("PUT", "/config", json!({ "compatibilityGroup": "x" }), (422, 422)),
        ("PUT", "/mode", json!({ "mode": "X" }), (422, 42204)),
        ("POST", "/subjects/:.other:s/versions", avro(A), (422, 42208)),
        ("POST", "/subjects/s/versions", json!([]), (400, 400)),
        ("GET", "/nothing", Value::Null, (404, 404)),
        ("PATCH", "/config", Value::Null, (405, 405)),
    ] {
        assert_eq!(server.refused(verb, path, &body).await, expected, "{verb} {path}");
    }
    let (status, ..) = server.raw("POST", "/subjects/s/versions", &"x".repeat(5 << 20)).await;
    assert!([413, 0].contains(&status), "too large: {status}");
    assert_eq!(server.get("/subjects/s/versions").await, (200, json!([1])), "nothing of it was kept");
}

#[tokio::test]
async fn settings_answer_in_the_words_of_the_request() {
    let server = Server::start().await;
    assert_eq!(server.get("/config").await, (200, json!({ "compatibilityLevel": "BACKWARD" })));
    let wanted = json!({ "compatibility": "full" });
    assert_eq!(server.ask("PUT", "/config/s", &wanted).await, (200, json!({ "compatibility": "FULL" })));
    assert_eq!(server.get("/config/s").await, (200, json!({ "compatibilityLevel": "FULL" })));
    assert_eq!(server.ask("DELETE", "/config/s", &Value::Null).await, (200, json!({ "compatibilityLevel": "FULL" })));
    assert_eq!(server.get("/config/s?defaultToGlobal=true").await, (200, json!({ "compatibilityLevel": "BACKWARD" })));
    assert_eq!(server.get("/mode").await, (200, json!({ "mode": "READWRITE" })));
    assert_eq!(
        server.ask("PUT", "/mode/s?force=True", &json!({ "mode": "READONLY" })).await,
        (200, json!({ "mode": "READONLY" }))
    );
    assert_eq!(server.get("/mode/s").await, (200, json!({ "mode": "READONLY" })));
    assert_eq!(server.ask("DELETE", "/mode/s", &Value::Null).await, (200, json!({ "mode": "READONLY" })));
}

#[tokio::test]
async fn compatibility_is_asked_without_registering() {
    let server = Server::start().await;
    server.ask("POST", "/subjects/s/versions", &avro(A)).await;
    let broken = avro(r#"{"name":"b","type":"int"}"#);
    let path = "/compatibility/subjects/s/versions";
    assert_eq!(server.ask("POST", &format!("{path}/latest"), &avro("")).await, (200, json!({ "is_compatible": true })));
    let (_, told) = server.ask("POST", &format!("{path}/1?verbose=True"), &broken).await;
    assert_eq!(told["is_compatible"], false);
    assert!(told["messages"][0].as_str().expect("why").contains("READER_FIELD_MISSING_DEFAULT_VALUE"), "{told}");
    assert_eq!(server.ask("POST", path, &broken).await, (200, json!({ "is_compatible": false })));
    assert_eq!(server.refused("POST", &format!("{path}/9"), &broken).await, (404, 40402));
    assert_eq!(server.refused("POST", path, &json!({ "schema": "{" })).await, (422, 42201));
    let (_, told) = server.ask("POST", &format!("{path}?verbose=true"), &json!({ "schema": "{" })).await;
    assert_eq!(told["is_compatible"], false);
    assert_eq!(server.get("/subjects/s/versions").await, (200, json!([1])));
}

#[tokio::test]
async fn a_descriptor_is_registered_as_text_and_read_as_either() {
    let server = Server::start().await;
    let text = "syntax = \"proto3\";\npackage p;\n\nmessage M {\n  string a = 1;\n}\n";
    let proto = json!({ "schemaType": "PROTOBUF", "schema": text });
    server.ask("POST", "/subjects/s/versions", &proto).await;
    let (_, found) = server.get("/schemas/ids/1?format=serialized").await;
    let again = json!({ "schemaType": "PROTOBUF", "schema": found["schema"], "references": null });
    let (status, done) = server.ask("POST", "/subjects/t/versions", &again).await;
    assert_eq!((status, &done["id"]), (200, &json!(1)), "the descriptor is the same schema: {done}");
    assert_eq!(server.get("/subjects/t/versions/1").await.1["schema"], text);
}

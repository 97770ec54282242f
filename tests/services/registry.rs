//! Our registry beside Apicurio's, which has the same API: the same calls, the same answers. Needs: registry.

use super::harness::Own;
use crate::harness::Project;
use crate::journeys::registry::{Serving, ask};
use serde_json::{Value, json};

/// Calls in their order: method, path, body.
const CALLS: &str = include_str!("registry_calls.json");

/// Where the two answer differently, by the beginning of the call, and why ours is as it is.
const DIFFERENT: &[(&str, &str)] = &[
    ("GET /config", "the level that subjects have at first is BACKWARD by the API; Apicurio's is NONE"),
    (
        "PUT /config",
        "what is set is answered as `compatibility` by the API; a level can be set before the first schema",
    ),
    ("GET /mode", "Apicurio has no modes"),
    ("PUT /mode", "Apicurio has no modes"),
    ("POST /subjects/s/versions av:c", "the level NONE that was set lets it in; Apicurio still refuses it"),
    ("POST /subjects/s/versions av:b", "refused in read-only mode, which Apicurio does not have"),
    ("GET /schemas/ids/1 ", "newer versions of the API tell where a schema is"),
    ("GET /schemas/ids/1/subjects", "Apicurio lacks it"),
    ("GET /subjects/s/versions/0", "42202 by the API for a version that can't be one"),
    ("GET /subjects/s/versions/x", "42202 by the API for a version that can't be one"),
    ("GET /nothing", "with the API's own number"),
    ("POST /compatibility/subjects/avro-16/", "decimals of two scales are incompatible by the specification of Avro"),
    (
        "POST /compatibility/subjects/level-none/",
        "NONE lets everything in; Apicurio did not let it be set before the first schema",
    ),
    (
        "POST /compatibility/subjects/json-17/",
        "a required property with a default may be added to a closed object by the API's rules",
    ),
    ("POST /compatibility/subjects/proto-1/", "a field may go by the API's rules"),
    ("POST /compatibility/subjects/proto-3/", "int32 and int64 are written alike"),
    ("POST /compatibility/subjects/proto-5/", "a name is no part of what is written"),
    ("POST /compatibility/subjects/proto-6/", "string and bytes are written alike"),
    ("POST /compatibility/subjects/proto-9/", "fields that could be set together can't be any more"),
    ("DELETE /subjects/gone/versions/1", "404 by the API where Apicurio says 409; the number is the same"),
    ("DELETE /subjects/gone?permanent", "404 by the API where Apicurio says 409; the number is the same"),
];

/// What is compared of an answer: not its words, nor ids, which each gives as it likes after the first two.
fn plain(value: &Value) -> Value {
    let ignored = |key: &str, value: &Value| match key {
        "guid" | "ts" | "deleted" | "message" | "messages" => true,
        "id" => value.as_i64().is_some_and(|id| id > 2),
        "schemaType" => value == "AVRO",
        "references" => value == &json!([]),
        _ => false,
    };
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, value)| !ignored(key, value));
            let shown = kept.map(|(key, value)| match (key.as_str(), value) {
                ("schema", Value::String(text)) => (
                    key.clone(),
                    serde_json::from_str(text).unwrap_or_else(|_| json!(text.split_whitespace().collect::<String>())),
                ),
                _ => (key.clone(), plain(value)),
            });
            Value::Object(shown.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// An answer to a registration: others tell the id alone.
fn of_registration(answer: Value) -> Value {
    match answer["error_code"].is_null() {
        true => json!({ "id": answer["id"] }),
        false => answer,
    }
}

#[test]
fn ours_answers_as_another_with_the_same_api() {
    let theirs = Own::start("registry");
    let project = Project::new("beside");
    let ours = Serving::start(&project);
    let calls: Vec<(String, String, Value)> = serde_json::from_str(CALLS).expect("calls");
    assert!(calls.len() > 200);
    let (mut same, mut different, mut wrong) = (0, std::collections::BTreeSet::new(), Vec::new());
    for (method, path, body) in &calls {
        let of = |base: &str| {
            let (status, answer) = ask(method, &format!("{base}{path}"), body);
            let answer = if method == "POST" && path.ends_with("/versions") { of_registration(answer) } else { answer };
            // Who refers to a version is told by ids, which each gives as it likes.
            let answer = if path.ends_with("/referencedby") { json!(answer.as_array().map(Vec::len)) } else { answer };
            (status, plain(&answer))
        };
        let (our, their) = (of(&ours.url), of(&format!("{}/apis/ccompat/v7", theirs.server.url)));
        if our == their {
            same += 1;
            continue;
        }
        let has = |name: &str| body["schema"].as_str().is_some_and(|schema| schema.contains(name));
        let mark = match (has(r#""name":"c""#), has(r#"[{"name":"b""#)) {
            (true, _) => " av:c",
            (_, true) => " av:b",
            _ => " ",
        };
        let call = format!("{method} {path}{mark}");
        match DIFFERENT.iter().find(|(beginning, _)| call.starts_with(beginning)) {
            Some((beginning, _)) => {
                different.insert(*beginning);
            }
            None => wrong.push(format!("{call}: ours {our:?}, theirs {their:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{same} of {} calls have the same answer", calls.len());
    let unused: Vec<&&str> =
        DIFFERENT.iter().map(|(call, _)| call).filter(|call| !different.contains(**call)).collect();
    assert!(unused.is_empty(), "these do not differ any more: {unused:?}");
}

/// With a level for all subjects, NONE is none of a subject's own to Apicurio; and it gives no reason for a refusal.
#[test]
fn a_level_that_another_does_not_keep_and_a_refusal_without_a_reason_are_told() {
    let theirs = Own::start("registry");
    let url = format!("{}/apis/ccompat/v7", theirs.server.url);
    let (status, answer) = ask("PUT", &format!("{url}/config"), &json!({ "compatibility": "BACKWARD" }));
    assert_eq!(status, 200, "{answer}");
    let project = Project::new("theirs");
    project.write("lavra.yaml", format!("project: theirs\nenvironments:\n  local: {{ registry: '{url}' }}\n"));
    let columns = "{ name: id, logicalType: string, required: true }";
    project.source("orders", "data/*.ndjson", &[]).contract("orders", columns, &[]);
    project.write("data/1.ndjson", "{\"id\":\"1\"}\n");
    project.run();
    let subject = "theirs.bronze.orders-value";
    let more = format!("{columns}\n{{ name: must, logicalType: string, required: true }}");
    project.contract("orders", &more, &[]);
    project.lavra(&["plan"]).exits(3).says("version 1 (BACKWARD): its registry does not say why; change the contract");
    project.lavra(&["registry", "level", subject, "FULL"]).exits(0).says("FULL");
    let told = project.lavra(&["registry", "level", subject, "NONE"]).exits(3);
    assert!(told.stderr.contains("took NONE for theirs.bronze.orders-value and still answers BACKWARD"), "{told:?}");
    project.lavra(&["registry", "level", subject]).exits(0).says("BACKWARD");
    // By the address without its path nobody is found.
    project.write(
        "lavra.yaml",
        format!("project: theirs\nenvironments:\n  local: {{ registry: '{}' }}\n", theirs.server.url),
    );
    project.lavra(&["doctor"]).exits(1).says("is the path of its URL that of a schema registry?");
}

use crate::spec::Opening;
use kernel::clock::ManualClock;
use kernel::contract::{OnPersonalData, OnViolation, SchemaChange};
use kernel::laws::source::obeys;
use kernel::source::Source;
use kernel::{Entity, Positions};
use serde_json::{Value, json};
use std::sync::Arc;

fn opening(options: &Value, from: Positions) -> Opening {
    let mut all = json!({ "connection": "postgres://postgres:postgres@127.0.0.1/laws", "table": "orders" });
    all.as_object_mut().unwrap().extend(options.as_object().cloned().unwrap_or_default());
    Opening {
        source: "law".into(),
        options: all,
        base: ".".into(),
        entity: Entity {
            name: "law".into(),
            description: None,
            properties: Vec::new(),
            rules: Vec::new(),
            on_violation: OnViolation::default(),
            schema_change: SchemaChange::Evolve,
            on_personal_data: OnPersonalData::default(),
        },
        from,
        store: Default::default(),
        clock: Arc::new(ManualClock::default()),
    }
}

fn law(options: Value) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let spec = crate::by_name("postgres").expect("the connector");
    runtime.block_on(obeys(async |from: Positions| -> Box<dyn Source> {
        (spec.open)(opening(&options, from)).await.expect("an open source")
    }));
}

#[test]
fn tmp_snapshot() {
    law(json!({ "mode": "snapshot" }));
}

#[test]
fn tmp_incremental() {
    law(json!({ "mode": "incremental", "cursor": "at", "lookback": "1 hour" }));
}

/// Run after `tmp_slot` and changes.
#[test]
fn tmp_cdc() {
    law(json!({ "mode": "cdc" }));
}

#[test]
fn tmp_slot() {
    let spec = crate::by_name("postgres").expect("the connector");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on((spec.open)(opening(&json!({ "mode": "cdc" }), Positions::new()))).expect("a slot");
}

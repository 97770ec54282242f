//! A connector's source, opened without a project.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use connect::Opening;
use kernel::clock::{ManualClock, Timestamp};
use kernel::contract::{MaskSpec, OnPersonalData, OnViolation, Property, SchemaChange};
use kernel::source::{Pulled, Source};
use kernel::{Classification, Entity, Positions};
use serde_json::Value;
use std::sync::Arc;

/// Columns of text; the key first. Those whose name begins with `!` are personal and hidden.
pub fn entity(key: &[&str], columns: &[&str]) -> Entity {
    let place = |name: &str| key.iter().position(|own| *own == name).map(|at| at as u32 + 1);
    let property = |column: &&str| {
        let (name, hidden) = column.strip_prefix('!').map_or((*column, false), |name| (name, true));
        Property {
            name: name.into(),
            description: None,
            data_type: DataType::Utf8,
            required: false,
            unique: false,
            primary_key: place(name),
            constraints: Default::default(),
            classification: hidden.then(|| Classification::new("personal.cpf")),
            mask: hidden.then(|| MaskSpec::parse("redact").expect("a mask")),
            format: None,
            decimal_comma: false,
            not_personal: false,
        }
    };
    Entity {
        name: "t".into(),
        description: None,
        properties: columns.iter().map(property).collect(),
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: OnPersonalData::default(),
    }
}

/// Opened now.
pub fn opening(options: &Value, entity: &Entity, from: Positions) -> Opening {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
    Opening {
        source: "t".into(),
        project: "test".into(),
        options: options.clone(),
        base: std::env::temp_dir(),
        entity: entity.clone(),
        from,
        store: Default::default(),
        clock: Arc::new(ManualClock::at(now.as_micros() as i64)),
    }
}

pub async fn open(connector: &str, options: &Value, entity: &Entity, from: Positions) -> Box<dyn Source> {
    let spec = connect::by_name(connector).expect("the connector");
    spec.open(opening(options, entity, from)).await.expect("a source")
}

/// The rows as text, with what the gate stamps.
pub fn rows(pulled: Pulled) -> RecordBatch {
    let rows = pulled.rows.into_raw().expect("raw rows");
    let mut gate = kernel::laws::source::as_text(rows.has_changes());
    gate.pass(rows, Timestamp(0)).expect("a pass").safe.into_batch()
}

/// A column's value in a row, as text; empty where it is null or not there.
pub fn text(batch: &RecordBatch, column: &str, row: usize) -> String {
    let column = batch.column_by_name(column);
    column.map_or(String::new(), |column| arrow::util::display::array_value_to_string(column, row).expect("a text"))
}

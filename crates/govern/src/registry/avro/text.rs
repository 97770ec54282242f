//! The two written forms of a schema.

use super::model::{is_primitive, name_and_space, whole_name};
use serde_json::{Map, Value, json};

/// The order in which Avro's printer writes the attributes that the specification knows; all others follow as they came.
const ORDER: [&str; 16] = [
    "type",
    "name",
    "namespace",
    "doc",
    "fields",
    "symbols",
    "size",
    "items",
    "values",
    "default",
    "order",
    "aliases",
    "logicalType",
    "precision",
    "scale",
    "connect.name",
];
/// A field's name comes first.
const FIELD_ORDER: [&str; 6] = ["name", "type", "doc", "default", "order", "aliases"];

/// What the author wrote, without white space: `{"type":"string"}` is `"string"`, and attributes have one order.
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(branches) => Value::Array(branches.iter().map(canonical).collect()),
        Value::Object(object) => {
            let written = written(object, &ORDER, |key, inner| match (key, inner) {
                ("fields", Value::Array(fields)) => Value::Array(fields.iter().map(canonical_field).collect()),
                ("type" | "items" | "values", _) => canonical(inner),
                _ => inner.clone(),
            });
            bare(written)
        }
        other => other.clone(),
    }
}

fn canonical_field(field: &Value) -> Value {
    let Value::Object(object) = field else { return field.clone() };
    Value::Object(written(object, &FIELD_ORDER, |key, inner| match key {
        "type" => canonical(inner),
        _ => inner.clone(),
    }))
}

fn written(object: &Map<String, Value>, order: &[&str], of: impl Fn(&str, &Value) -> Value) -> Map<String, Value> {
    let place = |key: &str| order.iter().position(|known| *known == key).unwrap_or(order.len());
    let mut all: Vec<(&String, &Value)> = object.iter().collect();
    all.sort_by_key(|(key, _)| place(key));
    all.into_iter().map(|(key, value)| (key.clone(), of(key, value))).collect()
}

/// A type that has nothing but its name is that name; a type in a type is itself.
fn bare(object: Map<String, Value>) -> Value {
    match (object.len(), object.get("type")) {
        (1, Some(Value::String(name))) if is_primitive(name) => Value::String(name.clone()),
        (1, Some(inner @ (Value::Object(_) | Value::Array(_)))) => inner.clone(),
        _ => Value::Object(object),
    }
}

/// The same with whole names, without namespaces and empty docs, and with attributes that nobody knows in order.
pub fn normal(value: &Value) -> Value {
    normal_in(&canonical(value), "")
}

fn normal_in(value: &Value, space: &str) -> Value {
    match value {
        Value::String(name) if !is_primitive(name) => Value::String(whole_name(name, space)),
        Value::Array(branches) => Value::Array(branches.iter().map(|branch| normal_in(branch, space)).collect()),
        Value::Object(object) => {
            let Ok((name, inner)) = name_and_space(object, space) else { return parts(object, space) };
            let mut object = object.clone();
            object.shift_remove("namespace");
            object.insert("name".into(), json!(name));
            parts(&object, &inner)
        }
        other => other.clone(),
    }
}

fn parts(object: &Map<String, Value>, space: &str) -> Value {
    let nothing = |key: &str, value: &Value| {
        (key == "doc" && value == "") || (key == "aliases" && value == &json!([])) || (key == "scale" && value == 0)
    };
    let mut known = Map::new();
    let mut other = Vec::new();
    for (key, value) in object.iter().filter(|(key, value)| !nothing(key, value)) {
        let value = match (key.as_str(), value) {
            ("type", Value::String(kind)) if object.len() > 1 && is_kind(kind) => value.clone(),
            ("type" | "items" | "values", _) => normal_in(value, space),
            ("fields", Value::Array(fields)) => {
                Value::Array(fields.iter().map(|field| normal_field(field, space)).collect())
            }
            ("aliases", Value::Array(names)) => sorted_texts(names),
            _ => super::super::schema::sorted(value),
        };
        match ORDER.contains(&key.as_str()) {
            true => drop(known.insert(key.clone(), value)),
            false => other.push((key.clone(), value)),
        }
    }
    other.sort_by(|(one, _), (two, _)| one.cmp(two));
    known.extend(other);
    bare(known)
}

fn is_kind(name: &str) -> bool {
    is_primitive(name) || ["record", "error", "enum", "fixed", "array", "map"].contains(&name)
}

fn normal_field(field: &Value, space: &str) -> Value {
    let Value::Object(object) = field else { return field.clone() };
    // Ascending is what a field is ordered by when nothing is said.
    let kept = object.iter().filter(|(key, value)| !(*key == "order" && *value == "ascending"));
    let kept: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    match parts(&kept, space) {
        Value::Object(parts) => Value::Object(written(&parts, &FIELD_ORDER, |_, value| value.clone())),
        other => other,
    }
}

fn sorted_texts(names: &[Value]) -> Value {
    let mut names = names.to_vec();
    names.sort_by(|one, two| one.as_str().cmp(&two.as_str()));
    names.dedup();
    Value::Array(names)
}

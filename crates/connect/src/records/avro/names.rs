//! The names of Avro's types (avro.apache.org/docs/1.12.0/specification/#names).

use serde_json::{Map, Value};

/// What is no name of a type that a schema defines.
const OWN: [&str; 13] =
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "enum", "array", "map", "fixed"];

/// The full name of the type that an object with these parts defines in a namespace, if it defines one.
pub fn defined(parts: &Map<String, Value>, space: &str) -> Option<String> {
    let name = parts.get("name")?.as_str()?;
    let space = parts.get("namespace").and_then(Value::as_str).unwrap_or(space);
    Some(full(name, space))
}

/// The full name of the type that is meant by a name in a namespace; none of Avro's own types.
pub fn named(name: &str, space: &str) -> Option<String> {
    (!OWN.contains(&name)).then(|| full(name, space))
}

/// The namespace of what stands inside of the type of a full name.
pub fn space(full: &str) -> &str {
    full.rsplit_once('.').map_or("", |(space, _)| space)
}

fn full(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

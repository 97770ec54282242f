//! Avro: a schema's text in its shortest form, and which reader reads what a writer wrote.

mod compare;
mod model;
mod text;

pub use compare::compare;

use super::schema::Resolved;
use apache_avro::Schema;
use model::Types;
use serde_json::Value;
use std::sync::Arc;

/// A schema that was read.
#[derive(Debug, Clone)]
pub struct AvroSchema {
    value: Value,
    types: Arc<Types>,
}

impl AvroSchema {
    pub fn read(text: &str, resolved: &[Resolved]) -> Result<Self, String> {
        let value = json(text)?;
        let others: Vec<&str> = resolved.iter().map(|one| one.definition.schema.as_str()).collect();
        Schema::parse_str_with_list(&value.to_string(), &others).map_err(|e| format!("this is no Avro schema: {e}"))?;
        let others = others.into_iter().map(json).collect::<Result<Vec<_>, _>>()?;
        let types = Types::read(&value, &others)?;
        Ok(Self { value, types: Arc::new(types) })
    }

    /// As its author wrote it, in the order of attributes that Avro's own printer has, without white space.
    pub fn canonical(&self) -> String {
        text::canonical(&self.value).to_string()
    }

    /// … with whole names, and what has no order sorted.
    pub fn normal(&self) -> String {
        text::normal(&self.value).to_string()
    }
}

/// A name of a type alone is no JSON, and yet a schema: `string`.
fn json(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) if model::is_primitive(text.trim()) => Ok(Value::String(text.trim().to_owned())),
        Err(e) => Err(format!("this is no JSON: {e}")),
    }
}

#[cfg(test)]
mod tests;

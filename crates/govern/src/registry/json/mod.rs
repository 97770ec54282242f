//! JSON Schema: reading one with what it refers to, and what changes between two.
//!
//! Keywords are sorted into [`shape::Shape`]s (a text, a number, an object, a choice of schemas), and two schemas are compared
//! shape by shape, which is how the API's rules are told. Nothing is fetched: a `$ref` leads into the schema itself or
//! to one of its references.

mod array;
mod choice;
mod compare;
mod documents;
mod limits;
mod object;
mod rules;
mod shape;
#[cfg(test)]
mod tests;

pub use compare::compare;

use super::schema::{Resolved, sorted};
use documents::Documents;
use jsonschema::{Draft, Retrieve, Uri};
use serde_json::Value;
use std::sync::Arc;

/// A schema that was read.
#[derive(Debug, Clone)]
pub struct JsonSchema {
    documents: Arc<Documents>,
}

/// Where a schema without an `$id` lies, so that its relative references have something to be relative to.
const BASE: &str = "schema:///";

impl JsonSchema {
    pub fn read(text: &str, resolved: &[Resolved]) -> Result<Self, String> {
        let value = parse(text)?;
        if !value.is_object() && !value.is_boolean() {
            return Err("a JSON Schema is an object, or true or false".into());
        }
        let others = resolved.iter().map(|one| Ok((one.name.clone(), parse(&one.definition.schema)?)));
        let others = others.collect::<Result<Vec<_>, String>>()?;
        let documents = Arc::new(Documents::new(value, others)?);
        let mut options = jsonschema::options().with_retriever(Known(documents.clone()));
        if documents.main().get("$id").or_else(|| documents.main().get("id")).is_none() {
            options = options.with_base_uri(BASE);
        }
        // Without a word on the language it is the draft that most schemas of events are written in.
        if documents.main().get("$schema").is_none() {
            options = options.with_draft(Draft::Draft7);
        }
        options.build(documents.main()).map_err(|e| format!("this is no JSON Schema: {e}"))?;
        Ok(Self { documents })
    }

    /// As its author wrote it, without white space.
    pub fn canonical(&self) -> String {
        self.documents.main().to_string()
    }

    /// … with the keys of objects in order.
    pub fn normal(&self) -> String {
        sorted(self.documents.main()).to_string()
    }
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("this is no JSON: {e}"))
}

/// Gives the validator what the schema came with, and nothing from anywhere else.
struct Known(Arc<Documents>);

impl Retrieve for Known {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let uri = uri.as_str();
        let name = uri.strip_prefix(BASE).unwrap_or(uri);
        let found = self.0.named(name).map(|at| self.0.document(at).clone());
        found
            .ok_or_else(|| format!("`{name}` is not among the references of the schema, and nothing is fetched").into())
    }
}

//! Rules about rows and values.

use super::{AuthoritativeDefinition, CustomProperty, record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const DIMENSIONS: &[&str] =
    &["accuracy", "completeness", "conformity", "consistency", "coverage", "timeliness", "uniqueness"];

record! {
    /// A rule: what is measured, and what the measure must be.
    Quality
    must {}
    may {
        id: String,
        name: String,
        description: String,
        #[serde(rename = "type")]
        kind: QualityKind,
        metric: Metric,
        /// The name that v3.0 had for `metric`.
        rule: String,
        arguments: Arguments,
        /// The values allowed, in v3.0.
        valid_values: Vec<Value>,
        /// SQL that gives one number; `{table}` and `{property}` stand for the names.
        query: String,
        engine: String,
        implementation: Value,
        must_be: Value,
        must_not_be: Value,
        must_be_greater_than: f64,
        must_be_greater_or_equal_to: f64,
        must_be_less_than: f64,
        must_be_less_or_equal_to: f64,
        #[schemars(length(min = 2, max = 2))]
        must_be_between: Vec<f64>,
        #[schemars(length(min = 2, max = 2))]
        must_not_be_between: Vec<f64>,
        /// `rows` or `percent`.
        unit: String,
        #[schemars(extend("enum" = DIMENSIONS))]
        dimension: String,
        method: String,
        severity: String,
        business_impact: String,
        schedule: String,
        scheduler: String,
        tags: Vec<String>,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
        custom_properties: Vec<CustomProperty>,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QualityKind {
    Text,
    Library,
    Sql,
    Custom,
}

/// What the library measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    NullValues,
    MissingValues,
    InvalidValues,
    DuplicateValues,
    RowCount,
}

record! {
    Arguments
    must {}
    may {
        valid_values: Vec<Value>,
        pattern: String,
        missing_values: Vec<Value>,
        properties: Vec<String>,
    }
}

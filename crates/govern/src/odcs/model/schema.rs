//! Tables and columns.

use super::{AuthoritativeDefinition, Context, CustomProperty, Quality, record};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

record! {
    /// A table.
    SchemaObject
    must {
        /// The table's name.
        name: String,
    }
    may {
        id: String,
        logical_type: ObjectType,
        physical_type: String,
        physical_name: String,
        business_name: String,
        description: String,
        deprecated: bool,
        synonyms: Vec<Synonym>,
        tags: Vec<String>,
        data_granularity_description: String,
        context: Context,
        /// The columns.
        #[schemars(schema_with = "named")]
        properties: Vec<Property>,
        relationships: Vec<Relationship>,
        /// Rules about the table's rows.
        quality: Vec<Quality>,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
        /// `on_violation` and `schema_change` mean something to Lavra; others are kept. `schema_change` says what becomes
        /// of a field that this table does not name: `freeze` (the usual) stops, `quarantine` sets its rows aside, `evolve`
        /// takes it in as a column of text. Of a field whose name differs from another column's only in upper and lower
        /// case, or is kept for Lavra's own columns (`_source`, `_op`, …), `evolve` can make no column, and sets its rows
        /// aside.
        custom_properties: Vec<CustomProperty>,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObjectType {
    Object,
    Blob,
}

record! {
    /// A column, or what stands inside of one.
    Property
    must {}
    may {
        id: String,
        /// The column's name.
        name: String,
        logical_type: LogicalType,
        /// The exact type: `decimal(12,2)`, `varchar(20)`, `bigint`, `timestamp(6, UTC)`.
        physical_type: String,
        physical_name: String,
        logical_type_options: LogicalTypeOptions,
        primary_key: bool,
        /// Place in the primary key, from 1.
        primary_key_position: i64,
        /// No row may lack it.
        required: bool,
        /// No two rows may share it.
        unique: bool,
        /// What it says about people: `personal.cpf`, `sensitive.health`, `public`.
        classification: String,
        business_name: String,
        description: String,
        deprecated: bool,
        synonyms: Vec<Synonym>,
        #[schemars(extend("enum" = ["column", "measure", "dimension"]))]
        semantic_type: String,
        tags: Vec<String>,
        partitioned: bool,
        partition_key_position: i64,
        encrypted_name: String,
        transform_source_objects: Vec<String>,
        transform_logic: String,
        transform_description: String,
        examples: Vec<Value>,
        /// The only values allowed (v3.2).
        #[serde(rename = "enum")]
        accepted: Vec<EnumValue>,
        critical_data_element: bool,
        relationships: Vec<Relationship>,
        /// The fields of an `object`.
        #[schemars(schema_with = "named")]
        properties: Vec<Property>,
        /// What the items of an `array` are.
        items: Box<Property>,
        /// What keys and values of a `map` are (v3.2).
        map: Box<MapType>,
        /// Rules about the column's values.
        quality: Vec<Quality>,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
        /// `mask` and `decimal_separator` mean something to Lavra; others are kept.
        custom_properties: Vec<CustomProperty>,
    }
}

/// A list of properties that have names; the items of an array have none.
fn named(generator: &mut SchemaGenerator) -> Schema {
    let property = generator.subschema_for::<Property>();
    json_schema!({ "type": ["array", "null"], "items": { "allOf": [property, { "required": ["name"] }] } })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogicalType {
    String,
    Date,
    Timestamp,
    Time,
    Number,
    Integer,
    Boolean,
    Object,
    Array,
    Map,
    Vector,
}

record! {
    /// What values of the type may be; which options there are depends on `logicalType`.
    LogicalTypeOptions
    must {}
    may {
        min_length: u64,
        max_length: u64,
        /// A regular expression that the whole text must match.
        pattern: String,
        /// Dates: a pattern of the JDK's DateTimeFormatter such as `dd/MM/yyyy`. Integers: `i8` to `u64`. Numbers: `f32`, `f64`.
        format: String,
        #[schemars(schema_with = "limit")]
        minimum: Value,
        #[schemars(schema_with = "limit")]
        maximum: Value,
        /// The limit itself; in v3.0, whether `minimum` is one that no value may reach.
        #[schemars(schema_with = "exclusive_limit")]
        exclusive_minimum: Value,
        /// The limit itself; in v3.0, whether `maximum` is one that no value may reach.
        #[schemars(schema_with = "exclusive_limit")]
        exclusive_maximum: Value,
        multiple_of: f64,
        /// Whether values say their zone.
        timezone: bool,
        default_timezone: String,
        min_items: u64,
        max_items: u64,
        unique_items: bool,
        min_properties: u64,
        max_properties: u64,
        required: Vec<String>,
        dimensions: u64,
        element_type: String,
        distance_metric: String,
        embedding_model: String,
        embedding_model_version: String,
        normalized: bool,
    }
}

fn limit(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["number", "string", "null"] })
}

fn exclusive_limit(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["number", "string", "boolean", "null"] })
}

record! {
    MapType
    must { key: Property, value: Property }
    may {}
}

record! {
    EnumValue
    must { value: Value }
    may {
        label: String,
        id: String,
        description: String,
        custom_properties: Vec<CustomProperty>,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
        tags: Vec<String>,
    }
}

record! {
    Synonym
    must { synonym: String }
    may {
        id: String,
        description: String,
        locale: String,
        source: String,
        status: String,
        custom_properties: Vec<CustomProperty>,
    }
}

record! {
    /// A foreign key.
    Relationship
    must {}
    may {
        id: String,
        #[serde(rename = "type")]
        kind: String,
        from: References,
        to: References,
        custom_properties: Vec<CustomProperty>,
    }
}

/// `table.column`, or several of them for a composite key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum References {
    One(String),
    Many(Vec<String>),
}

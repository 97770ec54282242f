//! A schema as it is registered: its text, what it refers to, and what it is once it was read.

use super::avro::AvroSchema;
use super::change::Incompatible;
use super::json::JsonSchema;
use super::protobuf::ProtobufSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The three languages that a schema can be written in, by the names of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum SchemaType {
    #[default]
    #[serde(rename = "AVRO")]
    Avro,
    #[serde(rename = "JSON")]
    Json,
    #[serde(rename = "PROTOBUF")]
    Protobuf,
}

impl SchemaType {
    pub const ALL: [Self; 3] = [Self::Json, Self::Protobuf, Self::Avro];

    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }

    /// `avro`, `JSON`, …; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(text))
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Another schema that this one uses, by the name that it uses it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    pub name: String,
    pub subject: String,
    pub version: i32,
}

/// What is registered, in the shape that the API and the ledger share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "SchemaType::is_default")]
    pub schema_type: SchemaType,
    #[serde(default, deserialize_with = "or_default")]
    pub schema: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// Whatever its author says of it; kept and given back, and part of what makes it another schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Rules that clients apply; kept and given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<Value>,
}

/// Clients write `null` for what they leave out.
pub fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// A schema that its own can be resolved by: the name that it is referred to by, and its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub name: String,
    pub definition: Definition,
}

/// A schema that was read and found sound.
#[derive(Debug, Clone)]
pub enum Parsed {
    Avro(AvroSchema),
    Json(JsonSchema),
    Protobuf(Box<ProtobufSchema>),
}

impl Parsed {
    /// Reads a definition. `resolved` holds what it refers to, and what that refers to, each before whoever uses it. Nothing
    /// else is looked up anywhere: no file, no URL.
    pub fn read(definition: &Definition, resolved: &[Resolved]) -> Result<Self, String> {
        if definition.schema.trim().is_empty() {
            return Err("the schema is empty".into());
        }
        if let Some(other) = resolved.iter().find(|one| one.definition.schema_type != definition.schema_type) {
            return Err(format!("its reference `{}` is of another schema type", other.name));
        }
        match definition.schema_type {
            SchemaType::Avro => AvroSchema::read(&definition.schema, resolved).map(Self::Avro),
            SchemaType::Json => JsonSchema::read(&definition.schema, resolved).map(Self::Json),
            SchemaType::Protobuf => {
                ProtobufSchema::read(&definition.schema, resolved).map(Box::new).map(Self::Protobuf)
            }
        }
    }

    /// The text that is kept: that of the author without what says nothing, such as white space in JSON.
    pub fn kept(&self) -> String {
        match self {
            Self::Avro(schema) => schema.canonical(),
            Self::Json(schema) => schema.canonical(),
            Self::Protobuf(schema) => schema.kept(),
        }
    }

    /// The text in a form that does not depend on how its author ordered what has no order.
    pub fn normal(&self) -> String {
        match self {
            Self::Avro(schema) => schema.normal(),
            Self::Json(schema) => schema.normal(),
            Self::Protobuf(schema) => schema.canonical(),
        }
    }

    /// The text by which two schemas are the same.
    pub fn canonical(&self) -> String {
        match self {
            Self::Avro(schema) => schema.canonical(),
            Self::Json(schema) => schema.canonical(),
            Self::Protobuf(schema) => schema.canonical(),
        }
    }

    /// What keeps a reader with this schema from what was written by `writer`; nothing when it reads all of it.
    pub fn reads(&self, writer: &Self, lenient: bool) -> Vec<Incompatible> {
        match (self, writer) {
            (Self::Avro(reader), Self::Avro(writer)) => super::avro::compare(reader, writer),
            (Self::Json(reader), Self::Json(writer)) => super::json::compare(writer, reader, lenient),
            (Self::Protobuf(reader), Self::Protobuf(writer)) => super::protobuf::compare(writer, reader),
            _ => vec![Incompatible::new("SCHEMA_TYPE_CHANGED", "#", "the schemas are written in different languages")],
        }
    }
}

impl Definition {
    /// What tells this schema from all others, as a UUID: equal for equal schemas in every registry of ours.
    pub fn guid(&self, canonical: &str) -> String {
        let whole = serde_json::json!([self.schema_type, canonical, self.references, self.metadata, self.rule_set]);
        let digest: [u8; 32] = Sha256::digest(sorted(&whole).to_string()).into();
        let mut bytes: [u8; 16] = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        // Version 8 of RFC 9562: made by rules of one's own.
        bytes[6] = (bytes[6] & 0x0f) | 0x80;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let mut text = String::with_capacity(36);
        for (at, byte) in bytes.iter().enumerate() {
            if [4, 6, 8, 10].contains(&at) {
                text.push('-');
            }
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// The same value with the keys of its objects in order.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut all: Vec<(&String, &Value)> = fields.iter().collect();
            all.sort_by_key(|(key, _)| *key);
            Value::Object(all.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

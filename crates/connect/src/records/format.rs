//! The formats that values of records can have.

use super::avro::Avro;
use super::protobuf::Protobuf;
use super::text::Plain;
use super::{Decode, Json};
use crate::registry::Registry;
use kernel::{Entity, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Json,
    Avro,
    Protobuf,
    Text,
    Bytes,
}

impl Format {
    /// Whether values can be read only with the schemas of a registry.
    pub fn needs_registry(self) -> bool {
        matches!(self, Format::Avro | Format::Protobuf)
    }

    /// The reader of records.
    pub fn reader(self, entity: Arc<Entity>, registry: Option<Registry>) -> Result<Box<dyn Decode>> {
        let registry = || registry.ok_or_else(|| Error::project("read records", "this format needs a `registry`"));
        Ok(match self {
            Format::Json => Box::new(Json::new(entity)),
            Format::Avro => Box::new(Avro { registry: registry()? }),
            Format::Protobuf => Box::new(Protobuf::new(entity, registry()?)),
            Format::Text => Box::new(Plain { is_text: true }),
            Format::Bytes => Box::new(Plain { is_text: false }),
        })
    }
}

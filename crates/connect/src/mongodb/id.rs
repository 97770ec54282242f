//! The `_id` of a document as a place to go on from.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, RawBsonRef, doc};
use serde::{Deserialize, Serialize};

/// The types that an `_id` is mostly of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Id {
    #[serde(rename = "object_id")]
    Object(String),
    Int(i64),
    Text(String),
    /// Milliseconds since 1970.
    Date(i64),
    /// A UUID or other bytes, hexadecimal, and of which kind.
    Bytes(u8, String),
}

/// MongoDB's names of the types that an `_id` is of, in the order in which it sorts values of different ones. A comparison is
/// with values of the same type only.
const TYPES: [&str; 8] = ["number", "string", "object", "binData", "objectId", "bool", "date", "timestamp"];

impl Id {
    pub fn of(value: RawBsonRef<'_>) -> Option<Self> {
        Some(match value {
            RawBsonRef::ObjectId(id) => Self::Object(id.to_hex()),
            RawBsonRef::Int32(number) => Self::Int(number.into()),
            RawBsonRef::Int64(number) => Self::Int(number),
            RawBsonRef::String(text) => Self::Text(text.to_owned()),
            RawBsonRef::DateTime(at) => Self::Date(at.timestamp_millis()),
            RawBsonRef::Binary(binary) => {
                Self::Bytes(binary.subtype.into(), binary.bytes.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            _ => return None,
        })
    }

    fn value(&self) -> Option<(Bson, &'static str)> {
        Some(match self {
            Self::Object(hex) => (ObjectId::parse_str(hex).ok()?.into(), "objectId"),
            Self::Int(number) => (Bson::Int64(*number), "number"),
            Self::Text(text) => (text.clone().into(), "string"),
            Self::Date(millis) => (DateTime::from_millis(*millis).into(), "date"),
            Self::Bytes(kind, hex) => {
                let pair = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
                let bytes = (0..hex.len()).step_by(2).map(pair).collect::<Option<_>>()?;
                (Binary { subtype: BinarySubtype::from(*kind), bytes }.into(), "binData")
            }
        })
    }

    /// All documents behind it.
    pub fn behind(&self) -> Option<Document> {
        let (value, own) = self.value()?;
        let at = TYPES.iter().position(|name| *name == own)?;
        let mut ways = vec![doc! { "_id": { "$gt": value } }];
        ways.extend(TYPES[at + 1..].iter().map(|name| doc! { "_id": { "$type": *name } }));
        Some(doc! { "$or": ways })
    }
}

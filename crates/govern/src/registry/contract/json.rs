//! A contract in JSON Schema. The object is closed, for only then may a property be added to it later.

use super::{Column, Table, no_type, parts};
use arrow::datatypes::{DataType, TimeUnit};
use kernel::error::Result;
use serde_json::{Map, Value, json};

pub fn schema(table: &Table<'_>) -> Result<Value> {
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".into(), json!(format!("{}.{}", table.space, table.name)));
    if let Some(doc) = table.doc {
        schema.insert("description".into(), json!(doc));
    }
    schema.extend(object(&table.columns)?);
    Ok(Value::Object(schema))
}

fn object(columns: &[Column<'_>]) -> Result<Map<String, Value>> {
    let mut properties = Map::new();
    for column in columns {
        // JSON takes any name as it is.
        let name = column.written.unwrap_or(&column.name);
        properties.insert(name.to_owned(), Value::Object(property(column)?));
    }
    let required: Vec<&str> = columns
        .iter()
        .filter(|column| !column.may_be_null)
        .map(|column| column.written.unwrap_or(&column.name))
        .collect();
    let mut object = Map::new();
    object.insert("type".into(), json!("object"));
    object.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    object.insert("additionalProperties".into(), json!(false));
    Ok(object)
}

fn property(column: &Column<'_>) -> Result<Map<String, Value>> {
    let mut property = type_of(column, column.of, column.may_be_null)?;
    if let Some(doc) = column.doc {
        property.insert("description".into(), json!(doc));
    }
    if column.may_be_null {
        property.insert("default".into(), Value::Null);
    }
    Ok(property)
}

fn type_of(column: &Column<'_>, of: &DataType, may_be_null: bool) -> Result<Map<String, Value>> {
    let bounded = |least: i64, greatest: i64| json!({ "type": "integer", "minimum": least, "maximum": greatest });
    let described = match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => json!({ "type": "string" }),
        DataType::Boolean => json!({ "type": "boolean" }),
        DataType::Int8 => bounded(i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => bounded(i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => bounded(i32::MIN.into(), i32::MAX.into()),
        DataType::UInt8 => bounded(0, u8::MAX.into()),
        DataType::UInt16 => bounded(0, u16::MAX.into()),
        DataType::UInt32 => bounded(0, u32::MAX.into()),
        DataType::Int64 => json!({ "type": "integer" }),
        DataType::Float32 | DataType::Float64 => json!({ "type": "number" }),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            json!({ "type": "string", "contentEncoding": "base64" })
        }
        DataType::Date32 => json!({ "type": "string", "format": "date" }),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => json!({ "type": "string", "format": "date-time" }),
        DataType::Timestamp(TimeUnit::Microsecond, None) => json!({ "type": "string", "pattern": LOCAL }),
        DataType::Time64(TimeUnit::Microsecond) => json!({ "type": "string", "format": "time" }),
        DataType::Decimal128(precision, scale) if *scale >= 0 => decimal(*precision, *scale),
        DataType::List(item) | DataType::LargeList(item) => {
            let items = type_of(column, item.data_type(), item.is_nullable())?;
            json!({ "type": "array", "items": items })
        }
        DataType::Struct(inner) => Value::Object(object(&parts(inner))?),
        _ => return Err(no_type(column, "JSON Schema")),
    };
    let Value::Object(mut described) = described else { return Err(no_type(column, "JSON Schema")) };
    if may_be_null && let Some(of) = described.get("type").cloned() {
        described.insert("type".into(), json!([of, "null"]));
    }
    Ok(described)
}

const LOCAL: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?$";

/// As text: a number would become a binary fraction in most readers.
fn decimal(precision: u8, scale: i8) -> Value {
    let whole = i32::from(precision) - i32::from(scale);
    let pattern = match scale {
        0 => format!(r"^-?\d{{1,{whole}}}$"),
        scale => format!(r"^-?\d{{1,{}}}(\.\d{{1,{scale}}})?$", whole.max(1)),
    };
    json!({ "type": "string", "pattern": pattern })
}

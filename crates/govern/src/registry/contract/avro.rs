//! A contract in Avro, with logical types for what is more than its bytes.

use super::{Column, Table, inner_name, no_type, parts};
use arrow::datatypes::{DataType, TimeUnit};
use kernel::error::Result;
use serde_json::{Map, Value, json};

pub fn schema(table: &Table<'_>) -> Result<Value> {
    let mut record = Map::new();
    record.insert("type".into(), json!("record"));
    record.insert("name".into(), json!(table.name));
    record.insert("namespace".into(), json!(table.space));
    if let Some(doc) = table.doc {
        record.insert("doc".into(), json!(doc));
    }
    record.insert("fields".into(), fields(&table.columns, &table.name)?);
    Ok(Value::Object(record))
}

fn fields(columns: &[Column<'_>], outer: &str) -> Result<Value> {
    columns.iter().map(|column| field(column, outer)).collect::<Result<Vec<_>>>().map(Value::Array)
}

fn field(column: &Column<'_>, outer: &str) -> Result<Value> {
    let of = type_of(column, column.of, outer)?;
    let mut field = Map::new();
    field.insert("name".into(), json!(column.name));
    field.insert("type".into(), if column.may_be_null { json!(["null", of]) } else { of });
    if let Some(doc) = column.doc {
        field.insert("doc".into(), json!(doc));
    }
    if column.may_be_null {
        field.insert("default".into(), Value::Null);
    }
    if let Some(name) = column.written {
        field.insert("column".into(), json!(name));
    }
    Ok(Value::Object(field))
}

fn type_of(column: &Column<'_>, of: &DataType, outer: &str) -> Result<Value> {
    let logical = |of: &str, name: &str| json!({ "type": of, "logicalType": name });
    Ok(match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => json!("string"),
        DataType::Boolean => json!("boolean"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => json!("int"),
        DataType::Int64 | DataType::UInt32 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => json!("bytes"),
        DataType::Date32 => logical("int", "date"),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => logical("long", "timestamp-micros"),
        DataType::Timestamp(TimeUnit::Microsecond, None) => logical("long", "local-timestamp-micros"),
        DataType::Time64(TimeUnit::Microsecond) => logical("long", "time-micros"),
        DataType::List(item) | DataType::LargeList(item) => {
            let of = type_of(column, item.data_type(), &inner_name(outer, &column.name))?;
            json!({ "type": "array", "items": if item.is_nullable() { json!(["null", of]) } else { of } })
        }
        DataType::Struct(inner) => {
            let name = inner_name(outer, &column.name);
            json!({ "type": "record", "name": name, "fields": fields(&parts(inner), &name)? })
        }
        _ => return Err(no_type(column, "Avro")),
    })
}

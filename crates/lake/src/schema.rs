//! Arrow's types as Delta writes them (Delta protocol, "Schema Serialization Format").

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use kernel::error::{Error, Kind, Result};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The `schemaString` of a table.
pub(crate) fn delta_schema(schema: &Schema) -> Result<String> {
    let fields = schema.fields().iter().map(|field| delta_field(field)).collect::<Result<Vec<_>>>()?;
    Ok(json!({ "type": "struct", "fields": fields }).to_string())
}

fn delta_field(field: &Field) -> Result<Value> {
    let data_type = delta_type(field.name(), field.data_type())?;
    Ok(json!({ "name": field.name(), "type": data_type, "nullable": true, "metadata": {} }))
}

fn delta_type(name: &str, data_type: &DataType) -> Result<Value> {
    let simple = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary",
        DataType::Boolean => "boolean",
        DataType::Int8 => "byte",
        DataType::Int16 => "short",
        DataType::Int32 => "integer",
        DataType::Int64 => "long",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Date32 => "date",
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp",
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp_ntz",
        DataType::Decimal128(p, s) => return Ok(json!(format!("decimal({p},{s})"))),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|f| delta_field(f)).collect::<Result<Vec<_>>>()?;
            return Ok(json!({ "type": "struct", "fields": fields }));
        }
        DataType::List(item) | DataType::LargeList(item) => {
            let element = delta_type(name, item.data_type())?;
            return Ok(json!({ "type": "array", "elementType": element, "containsNull": true }));
        }
        other => {
            return Err(Error::project(
                format!("column `{name}`"),
                format!("Delta has no type for {other}; cast it, for example to bigint, decimal, timestamp or text"),
            ));
        }
    };
    Ok(json!(simple))
}

/// A type as the lake keeps it. What has a wider home goes there (unsigned and nanosecond results of SQL); the rest must
/// fit as it is.
pub(crate) fn kept_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Null => DataType::Utf8View,
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Dictionary(_, value) => kept_type(value),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Date64 => DataType::Date32,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Float16 => DataType::Float32,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(kept_field).collect()),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(Arc::new(Field::new("element", kept_type(item.data_type()), true)))
        }
        other => other.clone(),
    }
}

fn kept_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), kept_type(field.data_type()), true))
}

/// A schema as the lake keeps it; all columns are nullable.
pub(crate) fn kept_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(kept_field).collect::<Vec<_>>()))
}

/// Whether rows of one type go into a column of the other without a change of the table.
pub fn is_kept_as(given: &DataType, kept: &DataType) -> bool {
    kept_type(given) == kept_type(kept)
}

/// Whether readers must know `timestampNtz`.
pub(crate) fn has_plain_timestamp(schema: &Schema) -> bool {
    fn has(data_type: &DataType) -> bool {
        match data_type {
            DataType::Timestamp(_, None) => true,
            DataType::Struct(fields) => fields.iter().any(|f| has(f.data_type())),
            DataType::List(item) => has(item.data_type()),
            _ => false,
        }
    }
    schema.fields().iter().any(|field| has(field.data_type()))
}

/// Refuses columns that differ only in case, compared as Delta's readers do (delta-kernel's `StructType::try_new`): from the
/// commit on that brings such columns, no reader opens the table.
pub(crate) fn refuse_twins(table: &str, fields: &[FieldRef]) -> Result<()> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for field in fields {
        if let Some(twin) = seen.insert(field.name().to_lowercase(), field.name()) {
            return Err(Error::data(
                format!("change the columns of {table}"),
                format!(
                    "`{twin}` and `{}` differ only in upper and lower case, and no table can have both; nothing was written: \
                     write one as the other, or call it otherwise",
                    field.name()
                ),
            ));
        }
        let mut inner = field.data_type();
        while let DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) = inner {
            inner = item.data_type();
        }
        if let DataType::Struct(parts) = inner {
            refuse_twins(table, parts)?;
        }
    }
    Ok(())
}

/// The table's columns with the new ones behind them; a column never changes its type by itself.
pub(crate) fn evolve(table: &str, old: &Schema, new: &Schema) -> Result<Option<SchemaRef>> {
    let mut fields: Vec<FieldRef> = old.fields().iter().map(kept_field).collect();
    let before = fields.len();
    for field in new.fields() {
        match fields.iter().find(|f| f.name() == field.name()) {
            Some(known) if is_kept_as(field.data_type(), known.data_type()) => {}
            Some(known) => {
                return Err(Error::new(
                    Kind::Project,
                    format!("column `{}` of {table}", field.name()),
                    format!(
                        "the table has {}, the new rows have {}; only new columns are taken in by themselves: \
                         cast it back, or make the table anew under another name",
                        known.data_type(),
                        kept_type(field.data_type())
                    ),
                ));
            }
            None => fields.push(kept_field(field)),
        }
    }
    refuse_twins(table, &fields)?;
    Ok((fields.len() > before).then(|| Arc::new(Schema::new(fields))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_the_protocol_says() {
        let nested = DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into());
        let schema = Schema::new(vec![
            Field::new("d", DataType::Decimal128(12, 2), true),
            Field::new("l", DataType::new_list(nested, true), true),
        ]);
        let text = delta_schema(&schema).expect("a schema");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["fields"][0]["type"], "decimal(12,2)");
        assert_eq!(value["fields"][1]["type"]["elementType"]["fields"][0]["type"], "long");
        let time = Schema::new(vec![Field::new("t", DataType::Time64(TimeUnit::Microsecond), true)]);
        assert!(delta_schema(&time).is_err());
    }

    #[test]
    fn a_schema_grows_and_never_changes() {
        let old = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let more = Schema::new(vec![Field::new("b", DataType::Utf8, true), Field::new("a", DataType::Int64, true)]);
        let grown = evolve("silver.t", &old, &more).expect("additive").expect("a new column");
        assert_eq!(grown.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(evolve("silver.t", &old, &old).expect("the same").is_none());
        let other = Schema::new(vec![Field::new("a", DataType::Utf8, true)]);
        assert!(evolve("silver.t", &old, &other).is_err());
    }

    #[test]
    fn columns_that_differ_only_in_case_are_refused_at_every_depth() {
        let schema = |names: &[&str]| {
            Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>())
        };
        let grow = |old: &[&str], new: &[&str]| evolve("bronze.t", &schema(old), &schema(new));
        for (old, new) in [(["id", "v"], ["id", "V"]), (["id", "é"], ["id", "É"]), (["id", "v"], ["xy", "XY"])] {
            let error = grow(&old, &new).expect_err("a refusal");
            assert_eq!(error.kind, Kind::Data);
            assert!(error.detail.contains(&format!("`{}`", new[1])), "{error}");
        }
        assert!(grow(&["id", "v"], &["id", "w", "v "]).is_ok());
        let parts = DataType::Struct(schema(&["a", "A"]).fields);
        let nested = [parts.clone(), DataType::new_list(DataType::new_list(parts, true), true)];
        for data_type in nested {
            let new = Schema::new(vec![Field::new("o", data_type, true)]);
            assert_eq!(evolve("bronze.t", &schema(&["id"]), &new).err().map(|e| e.kind), Some(Kind::Data));
        }
        let parts = DataType::Struct(schema(&["id", "b"]).fields);
        let new = Schema::new(vec![Field::new("o", parts, true)]);
        assert!(evolve("bronze.t", &schema(&["id"]), &new).is_ok(), "a part is no column");
    }
}

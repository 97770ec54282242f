//! UUIDs of Avro, by their canonical text: a row has sixteen bytes of them, and only the schema tells what they are.

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    UnionArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, UnionFields};
use arrow::error::ArrowError;
use serde_json::Value;
use std::sync::Arc;

/// Arrow keeps what an attribute of this name says with the field, and the logical type of a `fixed` it forgets.
const MARK: &str = "lavra.is_uuid";

/// The schema's text, each `fixed` that is a UUID marked.
pub fn marked(schema: &str) -> String {
    let Ok(mut read) = serde_json::from_str::<Value>(schema) else { return schema.to_owned() };
    if mark(&mut read) { read.to_string() } else { schema.to_owned() }
}

fn mark(schema: &mut Value) -> bool {
    match schema {
        Value::Array(all) => all.iter_mut().fold(false, |marked, inner| mark(inner) | marked),
        Value::Object(fields) => {
            let is = |name: &str, value: &str| fields.get(name).and_then(Value::as_str) == Some(value);
            let is_uuid = is("type", "fixed") && is("logicalType", "uuid") && fields.get("size") == Some(&16.into());
            if is_uuid {
                fields.insert(MARK.into(), true.into());
            }
            // A default is no schema.
            let parts = fields.iter_mut().filter(|(name, _)| name.as_str() != "default");
            parts.fold(is_uuid, |marked, (_, inner)| mark(inner) | marked)
        }
        _ => false,
    }
}

/// The rows with text in place of the bytes.
pub fn told(rows: RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !rows.schema().fields().iter().any(has_ids) {
        return Ok(rows);
    }
    let (mut fields, mut columns): (Vec<FieldRef>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (field, values) in rows.schema().fields().iter().zip(rows.columns()) {
        let values = text(field, values)?;
        fields.push(typed(field, &values));
        columns.push(values);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn is_id(field: &Field) -> bool {
    let is_uuid = field.metadata().get("logicalType").is_some_and(|kind| kind == "uuid");
    field.data_type() == &DataType::FixedSizeBinary(16) && (is_uuid || field.metadata().contains_key(MARK))
}

fn has_ids(field: &FieldRef) -> bool {
    match field.data_type() {
        DataType::Struct(fields) => fields.iter().any(has_ids),
        DataType::List(inner) | DataType::Map(inner, _) => has_ids(inner),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_ids(field)),
        _ => is_id(field),
    }
}

/// The field of values that may have become others.
fn typed(field: &FieldRef, values: &ArrayRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(values.data_type().clone()))
}

fn text(field: &FieldRef, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !has_ids(field) {
        return Ok(values.clone());
    }
    match field.data_type() {
        DataType::Struct(fields) => Ok(Arc::new(of_struct(fields, values.as_struct())?)),
        DataType::List(item) => {
            let list = values.as_list::<i32>();
            let items = text(item, list.values())?;
            let list = ListArray::try_new(typed(item, &items), list.offsets().clone(), items, list.nulls().cloned());
            Ok(Arc::new(list?))
        }
        DataType::Map(entries, is_sorted) => {
            let (map, DataType::Struct(fields)) = (values.as_map(), entries.data_type()) else {
                return Ok(values.clone());
            };
            let pairs = of_struct(fields, map.entries())?;
            let field = Arc::new(entries.as_ref().clone().with_data_type(pairs.data_type().clone()));
            let map = MapArray::try_new(field, map.offsets().clone(), pairs, map.nulls().cloned(), *is_sorted);
            Ok(Arc::new(map?))
        }
        DataType::Union(fields, _) => {
            let Some(union) = values.as_any().downcast_ref::<UnionArray>() else { return Ok(values.clone()) };
            let branches = fields.iter().map(|(id, field)| text(field, union.child(id)));
            let branches = branches.collect::<Result<Vec<_>, _>>()?;
            let ids = fields.iter().map(|(id, _)| id);
            let typed = fields.iter().zip(&branches).map(|((_, field), values)| typed(field, values));
            let fields = UnionFields::try_new(ids, typed)?;
            let (type_ids, offsets) = (union.type_ids().clone(), union.offsets().cloned());
            Ok(Arc::new(UnionArray::try_new(fields, type_ids, offsets, branches)?))
        }
        _ => {
            let ids = values.as_fixed_size_binary().iter();
            Ok(Arc::new(ids.map(|id| id.map(canonical)).collect::<StringArray>()))
        }
    }
}

fn of_struct(fields: &Fields, values: &StructArray) -> Result<StructArray, ArrowError> {
    let columns = fields.iter().zip(values.columns()).map(|(field, values)| text(field, values));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let fields: Fields = fields.iter().zip(&columns).map(|(field, values)| typed(field, values)).collect();
    StructArray::try_new_with_length(fields, columns, values.nulls().cloned(), values.len())
}

fn canonical(id: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in id.iter().enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

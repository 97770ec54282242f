//! The collections behind a connection, for `lavra discover`; types by the first documents of each.

use super::client::{beginning, connect, fault};
use super::options::Options;
use crate::spec::{Discovered, Opening};
use arrow::datatypes::{DataType, Field, TimeUnit};
use futures::TryStreamExt;
use kernel::contract::{Constraints, OnPersonalData, OnViolation, Property, SchemaChange};
use kernel::{Entity, Result};
use mongodb::Database;
use mongodb::bson::{Bson, Document};
use serde_json::Map;
use std::sync::Arc;

/// Documents that are looked at.
const SAMPLE: i64 = 200;

pub async fn discover(opening: &Opening) -> Result<Vec<Discovered>> {
    let options = Options::of_connection(&opening.options)?;
    let (client, own) = connect(&opening.source, &options).await?;
    let what = "list the collections";
    let databases = match &own {
        Some(name) => vec![name.clone()],
        None => {
            beginning(options.timeout_ms, what, async {
                client.list_database_names().await.map_err(|e| fault(what, &e))
            })
            .await?
        }
    };
    let mut found = Vec::new();
    for name in databases.iter().filter(|name| !["admin", "config", "local"].contains(&name.as_str())) {
        let database = client.database(name);
        let names = async { database.list_collection_names().await.map_err(|e| fault(what, &e)) };
        let mut tables = beginning(options.timeout_ms, what, names).await?;
        tables.retain(|table| !table.starts_with("system."));
        tables.sort();
        for table in tables {
            let shown = if own.is_some() { table.clone() } else { format!("{name}.{table}") };
            let what = format!("look at the collection {shown}");
            found.push(beginning(options.timeout_ms, &what, collection(&database, &table, shown)).await?);
        }
    }
    Ok(found)
}

async fn collection(database: &Database, table: &str, shown: String) -> Result<Discovered> {
    let what = format!("look at the collection {shown}");
    let collection = database.collection::<Document>(table);
    let rows = collection.estimated_document_count().await.map_err(|e| fault(&what, &e))?;
    let mut documents = collection.find(Document::new()).limit(SAMPLE).await.map_err(|e| fault(&what, &e))?;
    let mut columns: Vec<(String, Option<DataType>)> = Vec::new();
    while let Some(document) = documents.try_next().await.map_err(|e| fault(&what, &e))? {
        for (name, value) in &document {
            let own = data_type(value);
            match columns.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = joined(known.take(), own),
                None => columns.push((name.clone(), own)),
            }
        }
    }
    let entity = Entity {
        name: table.to_owned(),
        description: None,
        properties: columns
            .into_iter()
            .map(|(name, data_type)| property(name, data_type.unwrap_or(DataType::Utf8)))
            .collect(),
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: OnPersonalData::default(),
    };
    let options = Map::from_iter([("table".to_owned(), shown.clone().into())]);
    Ok(Discovered { name: shown, options, entity, rows: Some(rows) })
}

fn property(name: String, data_type: DataType) -> Property {
    let is_key = name == "_id";
    Property {
        name,
        description: None,
        data_type,
        required: is_key,
        unique: false,
        primary_key: is_key.then_some(1),
        constraints: Constraints::default(),
        classification: None,
        mask: None,
        format: None,
        decimal_comma: false,
        not_personal: false,
    }
}

/// `None` for null, which is of every type.
fn data_type(value: &Bson) -> Option<DataType> {
    Some(match value {
        Bson::Null | Bson::Undefined => return None,
        Bson::Boolean(_) => DataType::Boolean,
        Bson::Int32(_) | Bson::Int64(_) => DataType::Int64,
        Bson::Double(_) => DataType::Float64,
        Bson::Decimal128(_) => DataType::Decimal128(38, 10),
        Bson::DateTime(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Bson::Binary(_) => DataType::Binary,
        Bson::Document(inner) => {
            let field =
                |(name, value): (&String, &Bson)| Field::new(name, data_type(value).unwrap_or(DataType::Utf8), true);
            DataType::Struct(inner.iter().map(field).collect())
        }
        Bson::Array(items) => {
            let item = items.iter().map(data_type).fold(None, joined).unwrap_or(DataType::Utf8);
            DataType::List(Arc::new(Field::new_list_field(item, true)))
        }
        _ => DataType::Utf8,
    })
}

/// A type that has the values of both; text, when nothing else does.
fn joined(one: Option<DataType>, other: Option<DataType>) -> Option<DataType> {
    use DataType::{Decimal128, Float64, Int64, List, Struct};
    Some(match (one, other) {
        (None, other) => return other,
        (one, None) => return one,
        (Some(one), Some(other)) if one == other => one,
        (Some(Int64), Some(Float64)) | (Some(Float64), Some(Int64)) => Float64,
        (Some(Int64 | Float64), Some(Decimal128(p, s))) | (Some(Decimal128(p, s)), Some(Int64 | Float64)) => {
            Decimal128(p, s)
        }
        (Some(Struct(one)), Some(Struct(other))) => {
            let mut fields: Vec<Field> = one.iter().map(|field| field.as_ref().clone()).collect();
            for field in &other {
                let own = Some(field.data_type().clone());
                match fields.iter_mut().find(|known| known.name() == field.name()) {
                    Some(known) => {
                        *known = Field::new(
                            known.name(),
                            joined(Some(known.data_type().clone()), own).unwrap_or(DataType::Utf8),
                            true,
                        )
                    }
                    None => fields.push(field.as_ref().clone()),
                }
            }
            Struct(fields.into())
        }
        (Some(List(one)), Some(List(other))) => {
            let item = joined(Some(one.data_type().clone()), Some(other.data_type().clone())).unwrap_or(DataType::Utf8);
            List(Arc::new(Field::new_list_field(item, true)))
        }
        _ => DataType::Utf8,
    })
}

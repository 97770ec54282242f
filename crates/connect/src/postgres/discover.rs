//! The tables behind a connection, each as a source and a contract would have it.

use super::client::Client;
use super::options::written;
use super::setup::Setup;
use super::table::{Table, TableColumn};
use crate::spec::{Discovered, Opening};
use arrow::datatypes::{DataType, Field};
use kernel::Entity;
use kernel::contract::{Constraints, OnPersonalData, OnViolation, Property, SchemaChange};
use kernel::error::Result;
use serde_json::{Map, Value};
use std::sync::Arc;

const TABLES: &str = "
    SELECT n.nspname, c.relname, c.reltuples::bigint, pg_catalog.obj_description(c.oid, 'pg_class')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
      AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
    ORDER BY 1, 2";

pub async fn discover(opening: &Opening) -> Result<Vec<Discovered>> {
    // The connection is enough: any table stands in for the one that is looked for.
    let mut options = opening.options.as_object().cloned().unwrap_or_default();
    options.entry("table").or_insert_with(|| Value::from("any"));
    let setup = Setup::read(&Opening { options: Value::Object(options), ..opening.clone() })?;
    let client = setup.connect().await?;
    let rows = client.ask("list tables", client.query(TABLES, &[])).await?;
    let mut all = Vec::new();
    for row in rows {
        let (schema, name, rows, comment): (String, String, i64, Option<String>) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        all.push(discovered(&client, &schema, &name, u64::try_from(rows).ok(), comment).await?);
    }
    Ok(all)
}

async fn discovered(
    client: &Client,
    schema: &str,
    name: &str,
    rows: Option<u64>,
    comment: Option<String>,
) -> Result<Discovered> {
    let nothing = entity(name, comment, Vec::new());
    let table = Table::look(client, (schema, name), &nothing).await?;
    let mut options = Map::new();
    options.insert("table".into(), written(schema, name).into());
    let follows = can_be_followed(&table);
    if follows {
        options.insert("mode".into(), "cdc".into());
    }
    // No change tells the value of a generated column.
    let properties = table.columns.iter().filter(|column| !(follows && column.generated)).map(property).collect();
    Ok(Discovered { name: table.shown(), options, entity: Entity { properties, ..nothing }, rows })
}

/// What can be followed is worth following. Changes must tell the key that the contract would have.
fn can_be_followed(table: &Table) -> bool {
    matches!(table.kind, 'r' | 'p')
        && table.columns.iter().any(|column| column.identifies)
        && table.columns.iter().all(|column| column.identifies || column.key.is_none())
        && !table.columns.iter().any(|column| column.generated && column.key.is_some())
}

fn entity(name: &str, description: Option<String>, properties: Vec<Property>) -> Entity {
    Entity {
        name: name.to_owned(),
        description,
        properties,
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: OnPersonalData::default(),
    }
}

fn property(column: &TableColumn) -> Property {
    let data_type = match column.kind.arrow() {
        _ if column.base.is_list() => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        DataType::Utf8View => DataType::Utf8,
        other => other,
    };
    Property {
        name: column.name.to_string(),
        description: column.comment.clone(),
        data_type,
        required: column.required,
        unique: false,
        primary_key: column.key,
        constraints: Constraints::default(),
        classification: None,
        mask: None,
        format: None,
        decimal_comma: false,
        not_personal: false,
    }
}

//! The tables behind a connection, for `lavra discover`.

use super::login::{Login, connect, fault};
use super::options::Options;
use super::table::Table;
use crate::spec::{Discovered, Opening};
use kernel::contract::{OnPersonalData, OnViolation, SchemaChange};
use kernel::{Entity, Error, Result};
use mysql_async::prelude::Queryable;
use serde_json::Map;

/// Databases of the server itself.
const SYSTEM: &str = "('mysql', 'information_schema', 'performance_schema', 'sys')";

pub async fn discover(opening: &Opening) -> Result<Vec<Discovered>> {
    let options = Options::of_connection(&opening.options)?;
    let login = Login::parse(&options.connection).map_err(|e| Error::project("the connection", e))?;
    let mut conn = connect(opening, &options).await?;
    let tables: Vec<(String, String, Option<u64>)> = conn
        .exec(
            format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' \
                 AND TABLE_SCHEMA NOT IN {SYSTEM} AND (? IS NULL OR TABLE_SCHEMA = ?) ORDER BY TABLE_SCHEMA, TABLE_NAME"
            ),
            (&login.database, &login.database),
        )
        .await
        .map_err(|e| fault("list the tables", e))?;
    let mut found = Vec::with_capacity(tables.len());
    for (database, name, rows) in tables {
        let one = Options { table: format!("{database}.{name}"), ..options.clone() };
        let table = Table::read(&mut conn, &opening.source, &one).await?;
        let named = if login.database.is_some() { name.clone() } else { one.table.clone() };
        let own = Map::from_iter([("table".to_owned(), named.into())]);
        found.push(Discovered { name: one.table, options: own, entity: entity(&table), rows });
    }
    Ok(found)
}

fn entity(table: &Table) -> Entity {
    Entity {
        name: table.name.clone(),
        description: None,
        properties: table.columns.iter().map(|column| column.property(&table.key)).collect(),
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: OnPersonalData::default(),
    }
}

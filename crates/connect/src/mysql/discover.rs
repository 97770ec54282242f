//! The tables behind a connection, for `lavra discover`.

use super::login::{Login, connect, fault};
use super::options::Options;
use super::patience::Patience;
use super::table::{Table, as_written, quoted};
use crate::spec::{Discovered, Opening};
use kernel::contract::{OnPersonalData, OnViolation, SchemaChange};
use kernel::{Entity, Error, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::Map;

/// Databases of the server itself.
const SYSTEM: &str = "('mysql', 'information_schema', 'performance_schema', 'sys')";

pub async fn discover(opening: &Opening) -> Result<Vec<Discovered>> {
    let options = Options::of_connection(&opening.options)?;
    let login = Login::parse(&options.connection).map_err(|e| Error::project("the connection", e))?;
    let mut conn = connect(opening, &options).await?;
    let (what, patience) = ("list the tables", Patience::of(&options));
    let tables = patience.beginning(what, tables(&mut conn, login.database.as_deref())).await?;
    let mut found = Vec::with_capacity(tables.len());
    for (database, name, rows) in tables {
        let written = format!("{}.{}", as_written(&database), as_written(&name));
        let one = Options { table: written.clone(), ..options.clone() };
        let looked = async {
            let mut table = Table::read(&mut conn, &opening.source, &one).await?;
            look_at_flags(&mut conn, &mut table).await;
            Ok(table)
        };
        let table = patience.beginning(&format!("look at the table {written}"), looked).await?;
        let named = if login.database.is_some() { as_written(&name) } else { written };
        let own = Map::from_iter([("table".to_owned(), named.into())]);
        found.push(Discovered { name: table.shown(), options: own, entity: entity(&table), rows });
    }
    Ok(found)
}

/// Database, name, and about how many rows.
async fn tables(conn: &mut Conn, database: Option<&str>) -> Result<Vec<(String, String, Option<u64>)>> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' \
         AND TABLE_SCHEMA NOT IN {SYSTEM} AND (? IS NULL OR TABLE_SCHEMA = ?) ORDER BY TABLE_SCHEMA, TABLE_NAME"
    );
    conn.exec(sql, (database, database)).await.map_err(|e| fault("list the tables", e))
}

/// `tinyint(1)` may hold other numbers than 0 and 1, and is no flag then. Who may not read the table is told so elsewhere.
async fn look_at_flags(conn: &mut Conn, table: &mut Table) {
    const ROWS_MAX: u32 = 10_000;
    let from = table.quoted();
    for column in table.columns.iter_mut().filter(|column| column.is_flag) {
        let name = quoted(&column.name);
        let sql = format!(
            "SELECT 1 FROM (SELECT {name} FROM {from} LIMIT {ROWS_MAX}) AS looked WHERE {name} NOT IN (0, 1) LIMIT 1"
        );
        let other: Option<u8> = conn.query_first(sql).await.unwrap_or_default();
        column.is_flag = other.is_none();
    }
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

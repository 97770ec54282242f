//! SQLite: a table of a database's file, once or by a cursor that grows. Nothing is ever written to it.

mod database;
mod options;
mod source;
#[cfg(test)]
mod tests;

use crate::marks;
use crate::spec::{Discovered, Fault, Finding, Grade, Opening, Pending, Progress, Spec};
use database::{Table, fault, open, tables};
use futures::FutureExt;
use kernel::contract::{OnPersonalData, OnViolation, SchemaChange};
use kernel::source::Source;
use kernel::{Entity, Error, Result, error::advice};
use options::Mode;
pub use options::Options;
use serde_json::{Map, Value};

pub fn spec() -> Spec {
    Spec {
        name: "sqlite",
        summary: "A table of a SQLite database: once, or by a cursor",
        schemes: &["sqlite"],
        example: EXAMPLE,
        options_schema: || {
            let mut schema = schemars::schema_for!(Options).to_value();
            schema["required"] = serde_json::json!(options::REQUIRED);
            schema
        },
        check: |given| Options::check(given).err().unwrap_or_default(),
        fits,
        way: crate::way::of_table,
        repeats: |_, _| None,
        open: |opening| async move { opened(opening) }.boxed(),
        pending: |opening| async move { pending(opening) }.boxed(),
        changes: |given| given["mode"] == "incremental",
        probe: |opening| {
            async move { blocking(opening, probe).await.unwrap_or_else(|error| vec![bad("database", &error)]) }.boxed()
        },
        discover: Some(|opening| async move { blocking(opening, discover).await? }.boxed()),
        listen: None,
    }
}

/// A change log takes each key many times, rows take it once.
fn fits(given: &Value, entity: &Entity) -> Vec<Fault> {
    let is_set = Options::check(given).is_ok_and(|options| options.mode == Mode::Snapshot && options.refresh.is_some());
    marks::again(is_set, entity, Some("mode: incremental"))
}

fn opened(opening: Opening) -> Result<Box<dyn Source>> {
    marks::demand(&opening.source, fits(&opening.options, &opening.entity))?;
    let options = Options::read(&opening.source, &opening.options)?;
    Ok(Box::new(source::Sqlite::open(opening, options)?))
}

async fn blocking<T: Send + 'static>(opening: &Opening, work: fn(Opening) -> T) -> Result<T> {
    let opening = opening.clone();
    let done = tokio::task::spawn_blocking(move || work(opening)).await;
    done.map_err(|e| Error::internal("look at a SQLite database", "the thread is gone").because(e))
}

fn pending(opening: &Opening) -> Result<Vec<Pending>> {
    let options = Options::read(&opening.source, &opening.options)?;
    let partition = source::partition(&options);
    let progress = match marks::mark(&opening.from, &partition) {
        Some((_, _, true)) => return Ok(Vec::new()),
        Some((rows, _, false)) => Progress::Partly(rows),
        None => Progress::New,
    };
    Ok(vec![Pending { partition: partition.to_string(), bytes: None, progress }])
}

fn bad(subject: &'static str, error: &Error) -> Finding {
    let remedy = Some(advice(error.kind).sentence.to_owned());
    Finding { subject, grade: Grade::Bad, found: error.to_string(), remedy }
}

fn probe(opening: Opening) -> Vec<Finding> {
    let good = |subject, found| Finding { subject, grade: Grade::Good, found, remedy: None };
    let options = match Options::read(&opening.source, &opening.options) {
        Ok(options) => options,
        Err(error) => return vec![bad("options", &error)],
    };
    let conn = match open(&opening, &options) {
        Ok(conn) => conn,
        Err(error) => return vec![bad("database", &error)],
    };
    let mut found = vec![good("database", options.file(&opening.base).display().to_string())];
    found.push(match Table::read(&conn, &options) {
        Ok(table) => match source::may_read(&table, &options, &opening) {
            Ok(()) => good("table", format!("{}, {} columns", table.name, table.columns.len())),
            Err(error) => bad("table", &error),
        },
        Err(error) => bad("table", &error),
    });
    let journal = conn.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
    found.push(match journal {
        Ok(mode) if mode.eq_ignore_ascii_case("wal") => good("journal mode", mode),
        Ok(mode) => Finding {
            subject: "journal mode",
            grade: Grade::Warning,
            found: format!(
                "{mode}: who reads and who writes wait for each other, and batches see the state of their moment"
            ),
            remedy: Some("PRAGMA journal_mode = WAL".into()),
        },
        Err(error) => bad("journal mode", &fault("ask for the journal mode", &error)),
    });
    found
}

fn discover(opening: Opening) -> Result<Vec<Discovered>> {
    let options = Options::of_connection(&opening.options)?;
    let conn = open(&opening, &options)?;
    let one = |(name, _): (String, bool)| {
        let table = Table::read(&conn, &Options { table: name.clone(), ..options.clone() })?;
        let entity = Entity {
            name: name.clone(),
            description: None,
            properties: table.columns.iter().map(database::Column::property).collect(),
            rules: Vec::new(),
            on_violation: OnViolation::default(),
            schema_change: SchemaChange::default(),
            on_personal_data: OnPersonalData::default(),
        };
        Ok(Discovered {
            options: Map::from_iter([("table".to_owned(), name.clone().into())]),
            name,
            entity,
            rows: None,
        })
    };
    tables(&conn)?.into_iter().map(one).collect()
}

const EXAMPLE: &str = "\
connector: sqlite
connection: sqlite:data/shop.db   # or sqlite:///var/lib/shop.db
table: orders
mode: incremental                 # or snapshot
cursor: updated_at
";

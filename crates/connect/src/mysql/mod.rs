//! MySQL and MariaDB: a table once, by a cursor that grows, or with every change out of the binary log.

mod cdc;
mod coverage;
mod discover;
mod gtid;
mod health;
mod incremental;
mod json;
mod key;
mod layout;
mod log;
mod login;
mod options;
mod patience;
mod plan;
mod scan;
mod snapshot;
mod statement;
mod table;
mod value;

use crate::marks;
use crate::spec::{Fault, Opening, Pending, Progress, Spec};
use futures::FutureExt;
use kernel::source::Source;
use kernel::{Entity, Result};
use options::Mode;
pub use options::Options;
use serde_json::Value;

pub fn spec() -> Spec {
    Spec {
        name: "mysql",
        summary: "A table of MySQL or MariaDB: once, by a cursor, or every change out of the binary log",
        schemes: &["mysql", "mariadb"],
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
        open: |opening| async move { open(opening) }.boxed(),
        pending: |opening| async move { pending(opening) }.boxed(),
        changes: |given| given["mode"] == "cdc" || given["mode"] == "incremental",
        probe: |opening| health::probe(opening).boxed(),
        discover: Some(|opening| discover::discover(opening).boxed()),
        listen: None,
    }
}

/// A change log takes each key many times, rows take it once.
fn fits(given: &Value, entity: &Entity) -> Vec<Fault> {
    let is_set = Options::check(given).is_ok_and(|options| options.mode == Mode::Snapshot && options.refresh.is_some());
    marks::again(is_set, entity, Some("mode: cdc"))
}

fn open(opening: Opening) -> Result<Box<dyn Source>> {
    marks::demand(&opening.source, fits(&opening.options, &opening.entity))?;
    let options = Options::read(&opening.source, &opening.options)?;
    Ok(match options.mode {
        Mode::Snapshot => Box::new(snapshot::Snapshot::open(opening, options)?),
        Mode::Incremental => Box::new(incremental::Incremental::open(opening, options)?),
        Mode::Cdc => Box::new(cdc::Cdc::open(opening, options)?),
    })
}

/// By what was committed alone: what is new is known when it is read.
fn pending(opening: &Opening) -> Result<Vec<Pending>> {
    let options = Options::read(&opening.source, &opening.options)?;
    let refresh = options.refresh.clone().filter(|_| options.mode != Mode::Cdc);
    let partition = snapshot::partition(opening, &Options { refresh, ..options })?;
    let progress = match marks::mark(&opening.from, &partition) {
        Some((_, _, true)) => return Ok(Vec::new()),
        Some((rows, _, false)) => Progress::Partly(rows),
        None => Progress::New,
    };
    Ok(vec![Pending { partition: partition.to_string(), bytes: None, progress }])
}

const EXAMPLE: &str = "\
connector: mysql
connection: mysql://lavra:${SHOP_PASSWORD}@db:3306/shop?ssl-mode=verify-identity
table: orders
mode: cdc                         # or snapshot, or incremental with a cursor
schedule: every 15 minutes
";

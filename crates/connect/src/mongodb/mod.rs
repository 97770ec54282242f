//! MongoDB: a collection once. Documents come as those of an NDJSON file do.

mod client;
mod discover;
mod id;
mod objects;
mod options;
mod source;
mod text;

use crate::marks;
use crate::spec::{Fault, Finding, Grade, Opening, Pending, Progress, Spec};
use client::{beginning, database, fault};
use futures::FutureExt;
use kernel::source::Source;
use kernel::{Entity, Error, Result, error::advice};
use mongodb::bson::doc;
pub use options::Options;
use serde_json::Value;

pub fn spec() -> Spec {
    Spec {
        name: "mongodb",
        summary: "A collection of MongoDB, once",
        schemes: &["mongodb", "mongodb+srv"],
        example: EXAMPLE,
        options_schema: || {
            let mut schema = schemars::schema_for!(Options).to_value();
            schema["required"] = serde_json::json!(options::REQUIRED);
            schema
        },
        check: |given| Options::check(given).err().unwrap_or_default(),
        fits,
        way: |_| None,
        repeats: |_, _| None,
        open: |opening| async move { opened(opening) }.boxed(),
        pending: |opening| async move { pending(opening) }.boxed(),
        changes: |_| false,
        probe: |opening| probe(opening).boxed(),
        discover: Some(|opening| discover::discover(opening).boxed()),
        listen: None,
    }
}

fn fits(given: &Value, entity: &Entity) -> Vec<Fault> {
    let is_set = Options::check(given).is_ok_and(|options| options.refresh.is_some());
    marks::again(is_set, entity, None)
}

fn opened(opening: Opening) -> Result<Box<dyn Source>> {
    marks::demand(&opening.source, fits(&opening.options, &opening.entity))?;
    let options = Options::read(&opening.source, &opening.options)?;
    Ok(Box::new(source::MongoDb::open(opening, options)?))
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

async fn probe(opening: &Opening) -> Vec<Finding> {
    let options = match Options::read(&opening.source, &opening.options) {
        Ok(options) => options,
        Err(error) => return vec![bad("server", &error)],
    };
    let mut found = Vec::new();
    let looked = look(opening, &options, &mut found);
    if let Err(error) = beginning(options.timeout_ms, "look at the server", looked).await {
        found.push(bad("server", &error));
    }
    found
}

fn bad(subject: &'static str, error: &Error) -> Finding {
    let remedy = Some(advice(error.kind).sentence.to_owned());
    Finding { subject, grade: Grade::Bad, found: error.to_string(), remedy }
}

async fn look(opening: &Opening, options: &Options, found: &mut Vec<Finding>) -> Result<()> {
    let good = |subject, found| Finding { subject, grade: Grade::Good, found, remedy: None };
    let (database, table) = database(&opening.source, options).await?;
    let what = format!("ask {}", client::shown(options));
    let info = database.run_command(doc! { "buildInfo": 1 }).await.map_err(|e| fault(&what, &e))?;
    found.push(good("connection", format!("MongoDB {}", info.get_str("version").unwrap_or("of an unknown version"))));
    let names = database.list_collection_names().await.map_err(|e| fault(&what, &e))?;
    if !names.contains(&table) {
        let hint = kernel::suggest::hint(&table, names.iter().map(String::as_str)).unwrap_or_default();
        found.push(Finding {
            subject: "table",
            grade: Grade::Bad,
            found: format!("there is no collection `{table}` in `{}`", database.name()),
            remedy: Some(format!("mend `table`; {hint}")),
        });
        return Ok(());
    }
    let rows = database
        .collection::<mongodb::bson::Document>(&table)
        .estimated_document_count()
        .await
        .map_err(|e| fault(&what, &e))?;
    found.push(good("table", format!("{table}, some {rows} documents")));
    found.push(match options.connection.contains("tls=true") || options.connection.contains("ssl=true") {
        true => good("TLS", "asked for by the connection".into()),
        false if options.connection.contains("localhost") || options.connection.contains("127.0.0.1") => {
            good("TLS", "none, on this machine".into())
        }
        false => Finding {
            subject: "TLS",
            grade: Grade::Warning,
            found: "none: documents and password can be read on the way".into(),
            remedy: Some("add `tls=true` to the connection".into()),
        },
    });
    Ok(())
}

const EXAMPLE: &str = "\
connector: mongodb
connection: mongodb://lavra:${SHOP_PASSWORD}@db:27017/shop?tls=true&authSource=admin
table: orders
schedule: every day at 02:00
";

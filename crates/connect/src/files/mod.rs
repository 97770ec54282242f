//! Files: CSV, JSON, Parquet, Avro and Arrow IPC, compressed or not, on a disk or in an object store.

mod avro;
mod bytes;
mod changes;
mod columnar;
mod compression;
mod csv;
mod ipc;
pub(crate) mod json;
mod list;
mod mark;
mod options;
mod parquet;
mod place;
mod reading;
pub(crate) mod rows;
mod source;
mod take;
pub(crate) mod text;
mod trouble;
mod views;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use testing::typed as testing_entity;

use crate::spec::{Finding, Grade, Opening, Spec};
use futures::FutureExt;
use kernel::error::advice;
use kernel::source::Source;
pub use options::Options;

pub fn spec() -> Spec {
    Spec {
        name: "files",
        summary: "CSV, JSON, Parquet, Avro and Arrow files, on a disk or in an object store",
        schemes: &[],
        example: EXAMPLE,
        options_schema: || {
            let mut schema = schemars::schema_for!(Options).to_value();
            schema["required"] = serde_json::json!(options::REQUIRED);
            schema
        },
        check: |given| Options::check(given).err().unwrap_or_default(),
        fits: |_, _| Vec::new(),
        way: |_| None,
        repeats: |_, _| None,
        open: |opening| async move { Ok(Box::new(source::Files::open(opening)?) as Box<dyn Source>) }.boxed(),
        pending: |opening| source::pending(opening).boxed(),
        changes: |options| !options["changes"].is_null(),
        probe: |opening| probe(opening).boxed(),
        discover: None,
        listen: None,
    }
}

/// Whether the place can be listed and has files.
async fn probe(opening: &Opening) -> Vec<Finding> {
    let (grade, found, remedy) = match source::pending(opening).await {
        Ok(files) if files.len() == 1 => (Grade::Good, "1 file to read".to_owned(), None),
        Ok(files) => (Grade::Good, format!("{} files to read", files.len()), None),
        Err(error) => (Grade::Bad, error.to_string(), Some(advice(error.kind).sentence.to_owned())),
    };
    vec![Finding { subject: "files", grade, found, remedy }]
}

const EXAMPLE: &str = "\
connector: files
path: data/payments-*.csv.gz      # or s3://bucket/prefix/*.parquet
encoding: auto                    # UTF-8, or Windows-1252 where it isn't
on_replaced: error                # what was taken of a file must not change
schedule: every 15 minutes
";

use super::Outcome;
use crate::cli::Context;
use crate::show;
use crate::wiring::Wiring;
use arrow::array::RecordBatch;
use futures::StreamExt;
use kernel::engine::{Engine, Rows, Session};
use kernel::error::{Error, Result};
use parquet::arrow::ArrowWriter;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Answers one `select` over the lake's tables.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra query \"select * from gold.revenue_by_day limit 5\"
  lavra query --format csv \"select count(*) from silver.payments\"
  lavra query \"select * from silver.payments version as of 3\"
  lavra query \"select * from silver.payments timestamp as of '2026-07-01 12:00:00'\"
  lavra query --output day.parquet \"select * from gold.revenue_by_day\"")]
pub struct Query {
    /// The query; `-` reads it from stdin
    pub sql: String,
    /// Write a Parquet, CSV or JSON file (by its ending) instead of printing
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

pub async fn run(context: &Context, args: Query) -> Outcome {
    let sql = match args.sql.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).map_err(|e| kernel::error::io("read the query", e))?,
        _ => args.sql,
    };
    let wiring = Wiring::open(context.ask()?).await?;
    let rows = wiring.engine.query(&Session::owner("query"), &sql).await?;
    match &args.output {
        Some(file) => {
            let count = write_file(rows, file).await?;
            eprintln!("{} rows in {}", show::count(count), file.display());
        }
        None => print(context, rows).await?,
    }
    Ok(0)
}

/// Prints a whole result.
pub async fn print(context: &Context, mut rows: Rows) -> Result<()> {
    let mut batches = Vec::new();
    while let Some(batch) = rows.batches.next().await {
        batches.push(batch?);
    }
    show::print_batches(context.format, &rows.schema, &batches)
}

/// Takes each batch, then `None` to close the file.
type Writer = Box<dyn FnMut(Option<&RecordBatch>) -> Result<(), String> + Send>;

async fn write_file(mut rows: Rows, path: &Path) -> Result<u64> {
    let what = || format!("write {}", path.display());
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if !["parquet", "csv", "json", "ndjson"].contains(&ending) {
        return Err(Error::project(what(), "name the file .parquet, .csv, .json or .ndjson"));
    }
    let file = File::create(path).map_err(|e| kernel::error::io(what(), e))?;
    let failed = |e: &dyn std::fmt::Display| Error::new(kernel::Kind::Storage, what(), e);
    let mut count = 0;
    let mut write: Writer = match ending {
        "parquet" => {
            let mut writer = Some(ArrowWriter::try_new(file, rows.schema.clone(), None).map_err(|e| failed(&e))?);
            Box::new(move |batch| match (batch, &mut writer) {
                (Some(batch), Some(writer)) => writer.write(batch).map_err(|e| e.to_string()),
                _ => writer.take().map_or(Ok(()), |writer| writer.close().map(drop).map_err(|e| e.to_string())),
            })
        }
        "csv" => {
            let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(file);
            Box::new(move |batch| match batch {
                Some(batch) => show::flat(batch).and_then(|flat| writer.write(&flat)).map_err(|e| e.to_string()),
                None => Ok(()),
            })
        }
        "json" => {
            let mut writer = arrow::json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, arrow::json::writer::JsonArray>(file);
            Box::new(move |batch| match batch {
                Some(batch) => writer.write(batch).map_err(|e| e.to_string()),
                None => writer.finish().map_err(|e| e.to_string()),
            })
        }
        _ => {
            let mut writer = arrow::json::LineDelimitedWriter::new(file);
            Box::new(move |batch| match batch {
                Some(batch) => writer.write(batch).map_err(|e| e.to_string()),
                None => writer.finish().map_err(|e| e.to_string()),
            })
        }
    };
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        count += batch.num_rows() as u64;
        write(Some(&batch)).map_err(|e| failed(&e))?;
    }
    write(None).map_err(|e| failed(&e))?;
    Ok(count)
}

use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Printer};
use crate::wiring::Wiring;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use futures::StreamExt;
use kernel::engine::{Engine, Rows};
use kernel::error::{Error, Kind, Result};
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
  lavra query --output day.parquet \"select * from gold.revenue_by_day\"
  lavra query --reason \"chargeback 4711\" \"select he_open(he_sum(amount), 'amounts') from bronze.payments\"")]
pub struct Query {
    /// The query; `-` reads it from stdin
    pub sql: String,
    /// Write a Parquet, CSV or JSON file (by its ending) instead of printing
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Why what is hidden is opened; needed where a query does that, and kept in the audit
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

pub async fn run(context: &Context, args: Query) -> Outcome {
    let sql = match args.sql.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).map_err(|e| kernel::error::io("read the query", e))?,
        _ => args.sql,
    };
    let wiring = Wiring::open(context.ask_to_read()?).await?;
    let answer = async {
        if args.reason.is_some() {
            wiring.open_keys().await?;
        }
        let session = wiring.session(args.reason.as_deref().unwrap_or_default());
        let rows = wiring.engine.query(&session, &sql).await?;
        match &args.output {
            Some(file) => {
                let count = write_file(rows, file).await?;
                eprintln!("{} in {}", show::plural(count, "row"), file.display());
                Ok(())
            }
            None => print(context, rows).await,
        }
    };
    until_interrupted(answer).await?;
    Ok(0)
}

/// Ends the work where it stands when somebody presses Ctrl-C.
pub async fn until_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        Ok(()) = tokio::signal::ctrl_c() => Err(Error::new(Kind::Stopped, "answer the query", "interrupted")),
    }
}

/// Prints a result as it comes. What fails before its first rows has printed nothing.
pub async fn print(context: &Context, mut rows: Rows) -> Result<()> {
    let mut printer = Printer::new(context.format, &rows.schema);
    while let Some(batch) = rows.batches.next().await {
        printer.batch(&batch?)?;
    }
    printer.end()
}

/// Writes aside and renames at the end, so that a file is whole or not there.
async fn write_file(rows: Rows, path: &Path) -> Result<u64> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if !ENDINGS.contains(&ending) {
        return Err(Error::project(writing(path), "name the file .parquet, .csv, .json or .ndjson"));
    }
    let aside = Aside(path.with_added_extension(format!("part-{}", std::process::id())));
    let failed = |e: ArrowError| Error::new(Kind::Storage, writing(path), e);
    let file = File::create(&aside.0).map_err(|e| kernel::error::io(writing(path), e))?;
    let write = match ending {
        "parquet" => parquet(file, &rows.schema).map_err(failed)?,
        "csv" => show::csv(file, &rows.schema),
        "json" => show::json(file),
        _ => show::ndjson(file),
    };
    let count = drain(rows, write, failed).await?;
    std::fs::rename(&aside.0, path).map_err(|e| kernel::error::io(writing(path), e))?;
    Ok(count)
}

const ENDINGS: [&str; 4] = ["parquet", "csv", "json", "ndjson"];

fn writing(path: &Path) -> String {
    format!("write {}", path.display())
}

/// A file that goes with its value, unless it got another name before.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // renamed, as a rule
    }
}

async fn drain(mut rows: Rows, mut write: show::Write, failed: impl Fn(ArrowError) -> Error) -> Result<u64> {
    let mut count = 0;
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        count += batch.num_rows() as u64;
        write(Some(&batch)).map_err(&failed)?;
    }
    write(None).map_err(failed)?;
    Ok(count)
}

fn parquet(file: File, schema: &SchemaRef) -> std::result::Result<show::Write, ArrowError> {
    let mut writer = Some(ArrowWriter::try_new(file, schema.clone(), None)?);
    Ok(Box::new(move |batch| {
        match (batch, &mut writer) {
            (Some(batch), Some(writer)) => writer.write(batch)?,
            _ => writer.take().map_or(Ok(()), |writer| writer.close().map(drop))?,
        }
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, RecordBatch};
    use std::sync::Arc;

    fn rows(last: Result<RecordBatch>) -> Rows {
        let first = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as _)]).expect("a batch");
        Rows { schema: first.schema(), batches: futures::stream::iter([Ok(first), last]).boxed() }
    }

    #[tokio::test]
    async fn a_result_that_breaks_off_leaves_no_file() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("lavra-query-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| kernel::error::io("make a folder", e))?;
        for ending in ENDINGS {
            let file = folder.join(format!("out.{ending}"));
            let broken = write_file(rows(Err(Error::data("read", "half of it"))), &file).await;
            assert!(broken.is_err_and(|e| e.detail == "half of it"), "{ending}");
            assert_eq!(std::fs::read_dir(&folder).map_or(1, Iterator::count), 0, "{ending}");
            let empty = RecordBatch::new_empty(rows(Err(Error::data("", ""))).schema);
            assert_eq!(write_file(rows(Ok(empty)), &file).await?, 1);
            assert!(std::fs::remove_file(&file).is_ok(), "{ending}");
        }
        let _ = std::fs::remove_dir(&folder);
        Ok(())
    }
}

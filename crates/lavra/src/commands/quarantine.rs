use super::{Outcome, query};
use crate::cli::Context;
use crate::project::STATE;
use crate::show::{self, Format};
use crate::wiring::Wiring;
use crate::work::ProjectWork;
use arrow::datatypes::{DataType, Field, Schema};
use kernel::TableName;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Result};
use kernel::gate::Tally;
use orchestrate::RunLock;
use serde_json::json;
use std::sync::Arc;

/// Rows that broke their contract. They are masked as bronze is.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra quarantine list                      how many rows, and why
  lavra quarantine list card_payments        the rows
  lavra quarantine replay card_payments      after the contract was mended: try them again")]
pub struct Quarantine {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// How many rows each rule set aside, or one table's rows
    List {
        table: Option<String>,
        /// How many rows
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Try rows again, by the contract as it is now
    Replay { table: String },
}

pub async fn run(context: &Context, args: Quarantine) -> Outcome {
    let wiring = Wiring::open(context.ask()?).await?;
    match args.action {
        Action::List { table: None, .. } => overview(context, &wiring).await,
        Action::List { table: Some(table), limit } => rows(context, &wiring, &table, limit).await,
        Action::Replay { table } => replay(context, wiring, &table).await,
    }
}

async fn overview(context: &Context, wiring: &Wiring) -> Outcome {
    let tables = wiring.store.tables().await?;
    let parts: Vec<String> = tables
        .iter()
        .filter(|name| name.layer() == "quarantine")
        .map(|name| {
            format!(
                "select '{0}' as table_name, _source as source, coalesce(\"column\", '') as column_name, rule, reason, count(*) as rows_ from {1} group by 1, 2, 3, 4, 5",
                name.table(),
                name
            )
        })
        .collect();
    if parts.is_empty() {
        return empty(context, &["table", "source", "column", "rule", "reason", "rows"]);
    }
    let sql = format!(
        "select table_name as \"table\", source, column_name as \"column\", rule, reason, rows_ as \"rows\" from ({}) order by 1, 6 desc, 2, 3, 4",
        parts.join(" union all ")
    );
    print(context, wiring, &sql).await
}

fn empty(context: &Context, columns: &[&str]) -> Outcome {
    if context.format == Format::Table {
        println!("no row was ever set aside");
        return Ok(0);
    }
    let fields: Vec<Field> = columns.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    show::print_batches(context.format, &Arc::new(Schema::new(fields)), &[])?;
    Ok(0)
}

async fn rows(context: &Context, wiring: &Wiring, table: &str, limit: usize) -> Outcome {
    let name = quarantine_of(table)?;
    if !wiring.store.tables().await?.contains(&name) {
        known_source(wiring, table)?;
        return empty(context, &["partition", "offset", "column", "rule", "reason", "row"]);
    }
    let sql = format!(
        "select _position['partition'] as \"partition\", _position['offset'] as \"offset\", \"column\", rule, reason, \"row\" from {name} order by 1, 2 limit {limit}"
    );
    print(context, wiring, &sql).await
}

async fn print(context: &Context, wiring: &Wiring, sql: &str) -> Outcome {
    query::print(context, wiring.engine.query(&Session::owner("quarantine"), sql).await?).await?;
    Ok(0)
}

fn quarantine_of(table: &str) -> Result<TableName> {
    TableName::new("quarantine", table.rsplit('.').next().unwrap_or(table))
}

fn known_source(wiring: &Wiring, table: &str) -> Result<()> {
    let bare = table.rsplit('.').next().unwrap_or(table);
    let all: Vec<&str> = wiring.project.sources.iter().map(|s| s.table.table()).collect();
    match all.contains(&bare) {
        true => Ok(()),
        false => {
            let help = kernel::suggest::hint(bare, all).unwrap_or_default();
            Err(Error::project(format!("no source writes a table `{bare}`"), help))
        }
    }
}

async fn replay(context: &Context, wiring: Wiring, table: &str) -> Outcome {
    known_source(&wiring, table)?;
    let wiring = Arc::new(wiring);
    let _lock = RunLock::acquire(&wiring.ask.folder.join(STATE), "lavra quarantine replay", wiring.clock.as_ref())?;
    let bare = table.rsplit('.').next().unwrap_or(table);
    let work = ProjectWork::new(&wiring, uuid::Uuid::now_v7().to_string(), 1).await?;
    let mut total = Tally::default();
    let sources = || wiring.project.sources.iter().filter(|source| source.table.table() == bare);
    // What a run that died had set aside comes again: it is taken back before any source's rows are written anew.
    for source in sources() {
        work.settle_source(source).await?;
    }
    for source in sources() {
        let mut gate = work.gate(source)?;
        work.remember_keys(source, &mut gate).await?;
        let options = work.sink_options(source, &gate);
        total.add(&lake::replay(&wiring.engine, options, &mut gate, wiring.clock.clone()).await?);
    }
    told(context, &format!("bronze.{bare}"), &total)
}

fn told(context: &Context, table: &str, total: &Tally) -> Outcome {
    let (passed, stay) = (total.rows_passed, total.rows_quarantined);
    let counts = [("rows_read", total.rows_read), ("rows_passed", passed), ("rows_staying", stay)];
    match context.format {
        Format::Json => println!(
            "{}",
            json!({ "table": table, "rows_read": total.rows_read, "rows_passed": passed, "rows_staying": stay })
        ),
        Format::Csv => {
            show::print_records(
                context.format,
                &counts,
                &[("what", &|c| c.0.to_owned()), ("rows", &|c| c.1.to_string())],
            )?;
        }
        Format::Table => {
            println!("{} rows went into {table}, {} stay in quarantine", show::count(passed), show::count(stay))
        }
    }
    if stay > 0 && context.format != Format::Json {
        show::say(
            context.format,
            "a row stays while it breaks a rule, or when the value that broke one is hidden: then mend the file and load it again",
        );
    }
    Ok(0)
}

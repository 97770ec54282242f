use super::Outcome;
use crate::cli::Context;
use crate::project::STATE;
use crate::show::{self, Format};
use crate::wiring::Wiring;
use crate::work::ProjectWork;
use futures::StreamExt;
use kernel::TableName;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Result};
use kernel::gate::Tally;
use orchestrate::{Pace, RunLock};
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
        return empty(context);
    }
    let sql = format!(
        "select table_name as \"table\", source, column_name as \"column\", rule, reason, rows_ as \"rows\" from ({}) order by 1, 6 desc, 2, 3, 4",
        parts.join(" union all ")
    );
    print(context, wiring, &sql).await
}

fn empty(context: &Context) -> Outcome {
    match context.format {
        Format::Json => println!("[]"),
        _ => println!("no row was ever set aside"),
    }
    Ok(0)
}

async fn rows(context: &Context, wiring: &Wiring, table: &str, limit: usize) -> Outcome {
    let name = quarantine_of(table)?;
    if !wiring.store.tables().await?.contains(&name) {
        known_source(wiring, table)?;
        return empty(context);
    }
    let sql = format!(
        "select _position['partition'] as \"partition\", _position['offset'] as \"offset\", \"column\", rule, reason, \"row\" from {name} order by 1, 2 limit {limit}"
    );
    print(context, wiring, &sql).await
}

async fn print(context: &Context, wiring: &Wiring, sql: &str) -> Outcome {
    let mut rows = wiring.engine.query(&Session::owner("quarantine"), sql).await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.batches.next().await {
        batches.push(batch?);
    }
    show::print_batches(context.format, &rows.schema, &batches)?;
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
    let work = ProjectWork {
        masks: wiring.masks()?,
        run_id: uuid::Uuid::now_v7().to_string(),
        full_refresh: false,
        pace: Pace::default(),
        lanes: 1,
        wiring: wiring.clone(),
    };
    let mut total = Tally::default();
    for source in wiring.project.sources.iter().filter(|s| s.table.table() == bare) {
        let mut gate = work.gate(source)?;
        work.remember_keys(source, &mut gate).await?;
        let options = work.sink_options(source, &gate);
        total.add(&lake::replay(&wiring.engine, options, &mut gate, wiring.clock.clone()).await?);
    }
    let (passed, stay) = (total.rows_passed, total.rows_quarantined);
    match context.format {
        Format::Json => println!(
            "{}",
            json!({ "table": format!("bronze.{bare}"), "rows_read": total.rows_read, "rows_passed": passed, "rows_staying": stay })
        ),
        _ => {
            println!("{} rows went into bronze.{bare}, {} stay in quarantine", show::count(passed), show::count(stay));
            if stay > 0 {
                println!(
                    "a row stays while it breaks a rule, or when the value that broke one is hidden: then mend the file and load it again"
                );
            }
        }
    }
    Ok(0)
}

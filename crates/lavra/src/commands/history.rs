use super::Outcome;
use crate::cli::Context;
use crate::show;
use crate::wiring::Wiring;
use kernel::TableName;
use kernel::error::Error;
use lake::{At, Table};

/// The versions of a table, the newest first, and what each was made from.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra history silver.payments --limit 5")]
pub struct History {
    /// `layer.table`
    pub table: String,
    /// How many versions
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

pub async fn run(context: &Context, args: History) -> Outcome {
    let name = TableName::parse(&args.table)?;
    let wiring = Wiring::open(context.ask()?).await?;
    let table = match Table::open(&wiring.store, &name, At::Latest).await? {
        Some(table) => table,
        None => {
            let all: Vec<String> = wiring.store.tables().await?.iter().map(ToString::to_string).collect();
            let help = kernel::suggest::hint(&args.table, all.iter().map(String::as_str)).unwrap_or_default();
            return Err(Error::project(format!("there is no table `{name}` in the lake"), help).into());
        }
    };
    let entries = table.history(args.limit).await?;
    let number = |n: Option<u64>| n.map_or(String::new(), show::count);
    show::print_records(
        context.format,
        &entries,
        &[
            ("version", &|e| e.version.to_string()),
            ("at", &|e| show::time(e.at_micros)),
            ("operation", &|e| e.operation.clone()),
            ("rows written", &|e| number(e.rows_written)),
            ("files added", &|e| number(e.files_added)),
            ("files removed", &|e| number(e.files_removed)),
            ("made from", &|e| e.made_from.clone().unwrap_or_default()),
        ],
    )?;
    Ok(0)
}

use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Format};
use crate::wiring::Wiring;
use kernel::TableName;
use kernel::error::Error;
use lake::{At, HistoryEntry, Table};
use serde::Serialize;

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

/// A version, with its time as programs read it.
#[derive(Serialize)]
struct Entry {
    /// RFC 3339, UTC.
    at: String,
    #[serde(flatten)]
    version: HistoryEntry,
}

impl Entry {
    fn of(version: HistoryEntry) -> Self {
        Self { at: show::rfc3339(version.at_micros), version }
    }
}

pub async fn run(context: &Context, args: History) -> Outcome {
    let name = TableName::parse(&args.table)?;
    let wiring = Wiring::open(context.ask_to_read()?).await?;
    let table = match Table::open(&wiring.store, &name, At::Latest).await? {
        Some(table) => table,
        None => {
            let all: Vec<String> = wiring.store.tables().await?.iter().map(ToString::to_string).collect();
            let help = kernel::suggest::hint(&args.table, all.iter().map(String::as_str)).unwrap_or_default();
            return Err(Error::project(format!("there is no table `{name}` in the lake"), help).into());
        }
    };
    let entries = table.history(args.limit).await?;
    let entries: Vec<Entry> = entries.into_iter().map(Entry::of).collect();
    let number = |n: Option<u64>| n.map_or(String::new(), show::count);
    show::print_records(
        context.format,
        &entries,
        &[
            ("version", &|e| e.version.version.to_string()),
            ("at", &|e| if context.format == Format::Csv { e.at.clone() } else { show::time(e.version.at_micros) }),
            ("operation", &|e| e.version.operation.clone()),
            ("rows written", &|e| number(e.version.rows_written)),
            ("files added", &|e| number(e.version.files_added)),
            ("files removed", &|e| number(e.version.files_removed)),
            ("made from", &|e| e.version.made_from.clone().unwrap_or_default()),
        ],
    )?;
    Ok(0)
}

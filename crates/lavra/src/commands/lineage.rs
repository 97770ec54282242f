use super::Outcome;
use crate::cli::Context;
use crate::show;
use crate::wiring;
use kernel::error::Error;
use lake::Via;
use serde::Serialize;

/// Which columns each column of a model is made of, read from its query. Opens no data.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra lineage gold.revenue_by_day\n  lavra lineage --format json")]
pub struct Lineage {
    /// `layer.table`; all models when left out
    pub table: Option<String>,
}

#[derive(Serialize)]
struct Row {
    table: String,
    column: String,
    /// `layer.table.column`; empty for a constant
    from: String,
    via: Option<Via>,
}

pub async fn run(context: &Context, args: Lineage) -> Outcome {
    let project = wiring::check(&context.ask_to_read()?).await?;
    let mut rows = Vec::new();
    for model in project.models.iter().filter(|m| args.table.as_ref().is_none_or(|t| m.name.to_string() == *t)) {
        for (column, sources) in &model.lineage.columns {
            let row = |from: String, via| Row { table: model.name.to_string(), column: column.clone(), from, via };
            if sources.is_empty() {
                rows.push(row(String::new(), None));
            }
            rows.extend(sources.iter().map(|(from, via)| row(format!("{}.{}", from.table, from.column), Some(*via))));
        }
    }
    if rows.is_empty()
        && let Some(table) = &args.table
    {
        let names: Vec<String> = project.models.iter().map(|m| m.name.to_string()).collect();
        let help = kernel::suggest::hint(table, names.iter().map(String::as_str)).unwrap_or_default();
        return Err(Error::project(format!("there is no model `{table}`"), help).into());
    }
    let via = |row: &Row| {
        row.via.map_or("constant", |via| match via {
            Via::Copied => "copied",
            Via::Derived => "derived",
            Via::Aggregated => "aggregated",
        })
    };
    show::print_records(
        context.format,
        &rows,
        &[
            ("table", &|r| r.table.clone()),
            ("column", &|r| r.column.clone()),
            ("from", &|r| r.from.clone()),
            ("via", &|r| via(r).to_owned()),
        ],
    )?;
    Ok(0)
}

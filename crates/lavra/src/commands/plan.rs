use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Format};
use crate::wiring::{Checked, Wiring};
use crate::work::opening;
use kernel::TableName;
use kernel::error::{Error, Result};
use lake::{At, Exposure, Model, Table, Write};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Shows what a run would change: tables, what they say about people, and what would be read. Changes nothing.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra plan\n  lavra plan --format json")]
pub struct Plan {}

#[derive(Serialize)]
struct TablePlan {
    table: String,
    /// new, changed, same, removed
    change: &'static str,
    why: String,
    /// Of a model known only when it reads all of its inputs, and these are not about to change.
    files_to_read: Option<u64>,
    bytes_to_read: Option<u64>,
    /// Unknown of files, which nobody has read yet.
    rows_to_read: Option<u64>,
    columns_added: Vec<String>,
    columns_gone: Vec<String>,
    /// Of a source: whether the schema of its contract is new to the registry, changed or the same.
    schema: Option<&'static str>,
    /// Columns that will say more, or less, about people than now.
    exposure: Vec<ExposureChange>,
    /// What the user must know before the run.
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct ExposureChange {
    column: String,
    now: Vec<String>,
    then: Vec<String>,
    /// Why the model says that the column may be seen.
    reason: Option<String>,
}

pub async fn run(context: &Context, _: Plan) -> Outcome {
    let wiring = Wiring::open(context.ask()?).await?;
    let schemas = schemas(&wiring).await?;
    let mut plans = Vec::new();
    // Tables that the run will change, so that what is made from them changes too.
    let mut moving = BTreeSet::new();
    for source in &wiring.project.sources {
        let plan = source_plan(&wiring, source).await?;
        if plan.files_to_read != Some(0) {
            moving.insert(source.table.clone());
        }
        plans.push(plan);
    }
    for model in &wiring.project.models {
        let plan = model_plan(&wiring, model, &moving).await?;
        if plan.change != "same" {
            moving.insert(model.name.clone());
        }
        plans.push(plan);
    }
    plans.extend(removed(&wiring).await?);
    for plan in &mut plans {
        let schema = schemas.iter().find(|one| one.table == plan.table);
        plan.schema = schema.map(|one| super::registry::word(&one.verdict));
    }
    print(context, &plans)?;
    Ok(0)
}

/// The schemas of all sources, held against the registry and the tables.
async fn schemas(wiring: &Wiring) -> Result<Vec<Checked>> {
    let registry = wiring.registry_if_any().await?;
    let sources: Vec<_> = wiring.project.sources.iter().collect();
    wiring.hold_schemas(registry.as_deref(), &sources).await
}

async fn model_plan(wiring: &Wiring, model: &Model, moving: &BTreeSet<TableName>) -> Result<TablePlan> {
    let is_new = Table::open(&wiring.store, &model.name, At::Latest).await?.is_none();
    let input = model.reads.iter().find(|input| moving.contains(input));
    let coming = || input.map(|input| format!("its input {input} will have new rows"));
    let why = lake::why_run(&wiring.store, model).await?.or_else(coming);
    let mut plan = table_plan(wiring, &model.name, &model.schema).await?;
    plan.change = match (&why, is_new) {
        (_, true) => "new",
        (Some(_), false) => "changed",
        (None, false) => "same",
    };
    let reads_all = is_new || (matches!(model.header.write, Write::Overwrite | Write::Scd2) && !model.follows);
    match &why {
        None => plan.reads(0, 0, Some(0)),
        Some(_) if reads_all && input.is_none() => {
            let (mut files, mut bytes, mut rows) = (0, 0, Some(0));
            for name in &model.reads {
                if let Some(table) = Table::open(&wiring.store, name, At::Latest).await? {
                    files += table.num_files() as u64;
                    bytes += table.num_bytes();
                    rows = rows.zip(table.num_rows()).map(|(all, more)| all + more);
                }
            }
            plan.reads(files, bytes, rows);
        }
        Some(_) => {}
    }
    plan.why = why.unwrap_or_else(|| "nothing new".into());
    Ok(plan)
}

impl TablePlan {
    fn reads(&mut self, files: u64, bytes: u64, rows: Option<u64>) {
        (self.files_to_read, self.bytes_to_read, self.rows_to_read) = (Some(files), Some(bytes), rows);
    }
}

async fn source_plan(wiring: &Wiring, source: &crate::project::Source) -> Result<TablePlan> {
    let spec =
        connect::by_name(&source.config.connector).ok_or_else(|| Error::internal("plan", "no such connector"))?;
    let from = crate::relay::reached(wiring, source).await?;
    let mut pending = spec.pending(&opening(wiring, source, from)).await?;
    pending.retain(|p| p.progress != connect::Progress::Settling);
    let mut plan = table_plan(wiring, &source.table, &source.schema).await?;
    let is_new = Table::open(&wiring.store, &source.table, At::Latest).await?.is_none();
    let bytes = pending.iter().filter_map(|p| p.bytes).sum();
    plan.reads(pending.len() as u64, bytes, pending.is_empty().then_some(0));
    plan.warnings = crate::subject::changed(wiring, source).await?;
    plan.change = match (is_new, pending.is_empty()) {
        (true, _) => "new",
        (false, false) => "changed",
        (false, true) => "same",
    };
    plan.why = match pending.len() {
        0 => "nothing new".into(),
        n => format!("{} to read from source {}", show::plural(n as u64, "file"), source.name),
    };
    Ok(plan)
}

async fn table_plan(wiring: &Wiring, name: &TableName, schema: &arrow::datatypes::SchemaRef) -> Result<TablePlan> {
    let table = Table::open(&wiring.store, name, At::Latest).await?;
    let then = wiring.project.exposures.get(&name.to_string()).cloned().unwrap_or_default();
    let names =
        |schema: &arrow::datatypes::Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let (now, old) = match &table {
        Some(table) => (lake::exposure(table).await?, names(&table.schema())),
        None => (Exposure::new(), Vec::new()),
    };
    let new = names(schema);
    let (added, gone) = match table.is_some() {
        true => (
            new.iter().filter(|c| !old.contains(c)).cloned().collect(),
            old.iter().filter(|c| !new.contains(c)).cloned().collect(),
        ),
        false => (Vec::new(), Vec::new()),
    };
    Ok(TablePlan {
        table: name.to_string(),
        change: "same",
        why: String::new(),
        files_to_read: None,
        bytes_to_read: None,
        rows_to_read: None,
        columns_added: added,
        columns_gone: gone,
        schema: None,
        exposure: exposure_changes(&now, &then, |column| {
            let model = wiring.project.models.iter().find(|model| model.name == *name)?;
            model.header.exposes.reason(column).map(str::to_owned)
        }),
        warnings: Vec::new(),
    })
}

fn exposure_changes(now: &Exposure, then: &Exposure, reason: impl Fn(&str) -> Option<String>) -> Vec<ExposureChange> {
    let mut columns: BTreeMap<&String, ()> = now.keys().map(|c| (c, ())).collect();
    columns.extend(then.keys().map(|c| (c, ())));
    let of = |side: &Exposure, column: &String| side.get(column).cloned().unwrap_or_default();
    columns
        .into_keys()
        .filter(|column| of(now, column) != of(then, column))
        .map(|column| ExposureChange {
            column: column.clone(),
            now: of(now, column),
            then: of(then, column),
            reason: reason(column),
        })
        .collect()
}

/// Tables of the lake that no source and no model makes any more.
async fn removed(wiring: &Wiring) -> Result<Vec<TablePlan>> {
    let project = &wiring.project;
    let is_made = |name: &TableName| {
        let base = TableName::new("bronze", name.table()).ok().filter(|_| name.layer() == "quarantine");
        let name = base.as_ref().unwrap_or(name);
        project.sources.iter().any(|s| s.table == *name) || project.models.iter().any(|m| m.name == *name)
    };
    let tables = wiring.store.tables().await?;
    Ok(tables
        .into_iter()
        .filter(|name| !is_made(name))
        .map(|name| TablePlan {
            table: name.to_string(),
            change: "removed",
            why: "nothing makes it any more; its data stays until you delete it".into(),
            files_to_read: Some(0),
            bytes_to_read: Some(0),
            rows_to_read: Some(0),
            columns_added: Vec::new(),
            columns_gone: Vec::new(),
            schema: None,
            exposure: Vec::new(),
            warnings: Vec::new(),
        })
        .collect())
}

/// Nothing for nothing, and for what is not known.
fn shown(number: Option<u64>, text: impl Fn(u64) -> String) -> String {
    number.filter(|number| *number > 0).map_or(String::new(), text)
}

fn print(context: &Context, plans: &[TablePlan]) -> Result<()> {
    show::print_records(
        context.format,
        plans,
        &[
            ("table", &|p| p.table.clone()),
            ("change", &|p| p.change.to_owned()),
            ("why", &|p| p.why.clone()),
            ("files", &|p| shown(p.files_to_read, show::count)),
            ("rows", &|p| shown(p.rows_to_read, show::count)),
            ("to read", &|p| shown(p.bytes_to_read, show::bytes)),
        ],
    )?;
    if context.format != Format::Json {
        plans.iter().flat_map(|plan| &plan.warnings).for_each(|warning| eprintln!("warning: {warning}"));
    }
    if context.format != Format::Table {
        return Ok(());
    }
    for plan in plans {
        if plan.schema == Some("changed") {
            println!("{}: its schema changes, and readers of the old rows can follow", plan.table);
        }
        for (word, columns) in [("new columns", &plan.columns_added), ("columns no longer filled", &plan.columns_gone)]
        {
            if !columns.is_empty() {
                println!("{}: {word}: {}", plan.table, columns.join(", "));
            }
        }
        for change in &plan.exposure {
            let shown =
                |list: &[String]| if list.is_empty() { "nothing about people".to_owned() } else { list.join(" and ") };
            let why = change.reason.as_ref().map_or(String::new(), |reason| format!(" (stated: {reason})"));
            println!("{}.{}: {} → {}{why}", plan.table, change.column, shown(&change.now), shown(&change.then));
        }
    }
    Ok(())
}

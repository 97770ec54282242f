//! Rows that are older than a contract lets them be. A day that has begun counts, so that a table is written anew once a
//! day at most.

use super::Upkept;
use crate::project::{Held, LegalHold, limits, nearest};
use crate::wiring::Wiring;
use crate::work::ProjectWork;
use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use kernel::TableName;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Result};
use lake::{At, Model, Rewriting, Table, Via, Write};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const DAY_MICROS: i64 = 86_400_000_000;

/// The column of a source's table that says when a row came in.
const ARRIVED: &str = "_ingested_at";

/// What such a rewrite says in its commit.
const NOTE: &str = "retention";

/// A table with rows that are too old.
#[derive(Debug, Clone, Serialize)]
pub struct Aged {
    pub table: String,
    /// For how long they may be kept.
    pub days: u32,
    pub rows: u64,
    /// The first version without them; null where they are still there.
    pub version: Option<u64>,
    /// Why they stay.
    pub held: Option<LegalHold>,
}

/// A table whose rows tell their age.
struct Limit {
    table: TableName,
    column: String,
    days: u32,
}

/// The tables with rows that are too old now.
pub async fn found(wiring: &Wiring) -> Result<Vec<Aged>> {
    let held = wiring.held();
    let mut found = Vec::new();
    for limit in limits_of(wiring) {
        if Table::open(&wiring.store, &limit.table, At::Latest).await?.is_none() {
            continue;
        }
        let rows = count(wiring, &limit).await?;
        if rows > 0 {
            let table = limit.table.to_string();
            let held = hold_on(wiring, &held, &limit.table).cloned();
            found.push(Aged { table, days: limit.days, rows, version: None, held });
        }
    }
    Ok(found)
}

/// Deletes them; a table that fails is told and the others go on.
pub async fn delete(work: &ProjectWork, upkept: &mut Upkept) -> Result<()> {
    let wiring = &work.wiring;
    let mut found = found(wiring).await?;
    if found.iter().any(|aged| aged.held.is_none()) {
        work.settle().await?;
    }
    let limits: BTreeMap<String, Limit> = limits_of(wiring).into_iter().map(|l| (l.table.to_string(), l)).collect();
    for aged in &mut found {
        let Some(limit) = limits.get(&aged.table).filter(|_| aged.held.is_none()) else { continue };
        match rewrite(work, limit).await {
            Ok(Some((rows, version))) => (aged.rows, aged.version) = (rows, Some(version)),
            Ok(None) => aged.rows = 0,
            Err(error) => upkept.fail(&aged.table, &error),
        }
    }
    upkept.aged = found;
    Ok(())
}

/// The tables whose rows tell their age, with their limits: those of sources, their quarantines, and those of models in
/// silver that keep rows and copy the time.
fn limits_of(wiring: &Wiring) -> Vec<Limit> {
    let project = &wiring.project;
    let days = limits(&project.sources, &project.models, &project.contracts);
    let of = |table: &TableName| days.get(&table.to_string()).copied();
    let mut all = Vec::new();
    let sources: BTreeSet<&TableName> = project.sources.iter().map(|source| &source.table).collect();
    for table in sources {
        let column = || ARRIVED.to_owned();
        if let Some(days) = of(table) {
            all.push(Limit { table: table.clone(), column: column(), days });
        }
        let aside = project.config.upkeep().quarantine_kept_days.min(of(table).unwrap_or(u32::MAX));
        all.push(Limit { table: table.quarantine(), column: column(), days: aside });
    }
    let tells = arrived(wiring);
    for model in project.models.iter().filter(|model| keeps_rows(model)) {
        if let (Some(column), Some(days)) = (tells.get(&model.name), of(&model.name)) {
            all.push(Limit { table: model.name.clone(), column: column.clone(), days });
        }
    }
    all
}

/// Models in silver that do not lose a row by themselves when their inputs have lost it.
fn keeps_rows(model: &Model) -> bool {
    model.name.layer() == "silver" && matches!(model.header.write, Write::Append | Write::Merge | Write::Scd2)
}

/// The column of each table that is a copy of the time at which a row came in.
fn arrived(wiring: &Wiring) -> BTreeMap<TableName, String> {
    let project = &wiring.project;
    let mut all: BTreeMap<TableName, String> =
        project.sources.iter().map(|source| (source.table.clone(), ARRIVED.to_owned())).collect();
    for model in &project.models {
        let copy = model.lineage.columns.iter().find(|(_, from)| {
            from.len() == 1
                && from.iter().all(|(at, via)| *via == Via::Copied && all.get(&at.table) == Some(&at.column))
        });
        if let Some((column, _)) = copy {
            all.insert(model.name.clone(), column.clone());
        }
    }
    all
}

/// Whether a model keeps rows of people that only its being made anew takes out. A history that takes the time of each
/// version from the clock would be lost by that.
pub fn can_refresh(wiring: &Wiring, model: &Model) -> bool {
    let carried = wiring.project.carrying.get(&model.name.to_string());
    let is_personal = carried.is_some_and(|columns| columns.values().any(|all| nearest(all).is_some()));
    let has_time = model.header.write != Write::Scd2 || model.header.time.is_some();
    keeps_rows(model) && is_personal && has_time && !arrived(wiring).contains_key(&model.name)
}

/// Whether an input has lost rows by age since a model read it.
pub async fn outlives(wiring: &Wiring, model: &Model) -> Result<bool> {
    let Some(made) = Table::open(&wiring.store, &model.name, At::Latest).await? else { return Ok(false) };
    let consumed = lake::consumed(&made).await?;
    for name in &model.reads {
        let Some(seen) = consumed.get(&name.to_string()) else { continue };
        let Some(input) = Table::open(&wiring.store, name, At::Latest).await? else { continue };
        if input.id() == seen.id && lake::was_rewritten(&input, NOTE, seen.version).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The hold on a table's rows. A person who is held keeps those of every table with personal data, for only their own
/// number would tell which are theirs.
fn hold_on<'a>(wiring: &Wiring, held: &'a Held, table: &TableName) -> Option<&'a LegalHold> {
    let name = match table.layer() {
        "quarantine" => format!("bronze.{}", table.table()),
        _ => table.to_string(),
    };
    let carried = wiring.project.carrying.get(&name);
    let is_personal = carried.is_some_and(|columns| columns.values().any(|all| nearest(all).is_some()));
    held.tables.get(table).or_else(|| held.of_anybody().filter(|_| is_personal))
}

/// Rows that came in before this are too old.
fn oldest(wiring: &Wiring, days: u32) -> i64 {
    let today = wiring.clock.now().0.div_euclid(DAY_MICROS);
    (today - i64::from(days)) * DAY_MICROS
}

async fn count(wiring: &Wiring, limit: &Limit) -> Result<u64> {
    let oldest = oldest(wiring, limit.days);
    let sql = format!(
        "select count(*) from {} where \"{}\" < arrow_cast({oldest}, 'Timestamp(Microsecond, Some(\"UTC\"))')",
        limit.table, limit.column
    );
    let mut rows = wiring.engine.query(&Session::owner("retention"), &sql).await?.batches;
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let numbers = cast(batch.column(0), &DataType::UInt64).map_err(|e| Error::internal("count old rows", &e))?;
        count += numbers.as_primitive::<arrow::datatypes::UInt64Type>().iter().flatten().sum::<u64>();
    }
    Ok(count)
}

/// Writes a table anew without them; how many went, and the version without.
async fn rewrite(work: &ProjectWork, limit: &Limit) -> Result<Option<(u64, u64)>> {
    let oldest = oldest(&work.wiring, limit.days);
    let change = |batch: &RecordBatch| {
        let fault = |e| Error::internal("delete old rows", "arrow refused a column").because(e);
        let Some(times) = batch.column_by_name(&limit.column) else { return Ok(None) };
        let times = cast(times, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))).map_err(fault)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let stays: BooleanArray = times.iter().map(|at| Some(at.is_none_or(|at| at >= oldest))).collect();
        match stays.true_count() == batch.num_rows() {
            true => Ok(None),
            false => filter_record_batch(batch, &stays).map(Some).map_err(fault),
        }
    };
    let how = Rewriting {
        run_id: work.run_id.clone(),
        note: NOTE.into(),
        is_forced: false,
        told_by: Some(BTreeSet::from([limit.column.clone()])),
    };
    let done = lake::rewrite(&work.wiring.store, &limit.table, &change, &how, work.wiring.clock.as_ref()).await?;
    Ok(done.map(|done| (done.rows_removed, done.after)))
}

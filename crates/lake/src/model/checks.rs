//! What must hold of a table before a result becomes visible.

use super::compile::named_tables;
use super::header::{Checks, Freshness, Header, Relationship};
use super::run::{Pinned, join, quoted};
use super::stage::Staged;
use crate::sql::{Catalog, SqlEngine, explain, failed, pin_versions, plan, single_number};
use datafusion::sql::parser::DFParser;
use kernel::diagnostic::Diagnostic;
use kernel::draft::Draft;
use kernel::error::{Error, Kind, Result};
use kernel::name::TableName;
use kernel::span;
use kernel::suggest;

/// One check as a query that finds what is wrong.
struct Question {
    name: String,
    /// Where the header asks it.
    place: String,
    sql: String,
    /// The query's rows are counted; else its single number is.
    is_number: bool,
}

/// Runs every check over the table as it would be. The error names all that failed.
pub(super) async fn hold(pinned: &Pinned<'_>, staged: &Staged) -> Result<u64> {
    let checks = &pinned.model.header.checks;
    let questions = questions(checks, &pinned.model.name.to_string(), pinned.run.clock.now().0)?;
    if questions.is_empty() {
        return Ok(0);
    }
    let mut catalog = Catalog::of_lake(pinned.run.engine.store()).await?;
    catalog.give(pinned.model.name.clone(), staged.as_committed(pinned).await?);
    ask(pinned, catalog, &questions).await
}

/// Asks of a table that is up to date what the passing of time alone can break.
pub(super) async fn hold_still(pinned: &Pinned<'_>) -> Result<u64> {
    let checks = Checks { freshness: pinned.model.header.checks.freshness.clone(), ..Checks::default() };
    let questions = questions(&checks, &pinned.model.name.to_string(), pinned.run.clock.now().0)?;
    if questions.is_empty() {
        return Ok(0);
    }
    ask(pinned, Catalog::of_lake(pinned.run.engine.store()).await?, &questions).await
}

async fn ask(pinned: &Pinned<'_>, catalog: Catalog, questions: &[Question]) -> Result<u64> {
    let mut broken = Vec::new();
    for question in questions {
        let frame = pinned.run.engine.frame_over(catalog.clone(), &question.sql).await?;
        let found = match question.is_number {
            true => single_number(frame).await?.unwrap_or(0.0),
            false => frame.count().await.map_err(failed)? as f64,
        };
        if found != 0.0 {
            broken.push(format!("{} ({found} rows)", question.name));
        }
    }
    if broken.is_empty() {
        return Ok(questions.len() as u64);
    }
    let version = pinned.target.version();
    Err(Error::new(
        Kind::Contract,
        format!("{}: {} of {} checks failed", pinned.model.name, broken.len(), questions.len()),
        format!("{}; the table stays at version {version}", broken.join("; ")),
    ))
}

/// The other tables that checks ask, a quarantine by the table it belongs to; what can't be read is a fault of
/// [`unplanned`].
pub(super) fn tables(checks: &Checks, own: &TableName) -> Vec<TableName> {
    let mut found: Vec<TableName> = checks.relationship.iter().filter_map(|r| Some(other(r)?.0)).collect();
    for check in &checks.sql {
        let Ok(sql) = pin_versions(&over(&check.query, &own.to_string())) else { continue };
        for statement in DFParser::parse_sql(&sql).unwrap_or_default() {
            found.extend(named_tables(&statement).unwrap_or_default().into_iter().filter_map(|(_, name, _)| name));
        }
    }
    for name in &mut found {
        if let Some(bronze) = TableName::new("bronze", name.table()).ok().filter(|_| name.layer() == "quarantine") {
            *name = bronze;
        }
    }
    found.sort();
    found.dedup();
    found.retain(|name| name != own);
    found
}

/// Faults of checks that are seen without planning them. `catalog` has the tables and the model's own.
pub(super) fn misread(draft: &Draft<Header>, catalog: &Catalog, known: &[TableName]) -> Vec<Diagnostic> {
    let checks = &draft.value.checks;
    let mut faults = Vec::new();
    for (at, relationship) in checks.relationship.iter().enumerate() {
        let fault = |message: String| draft.fault(&format!("checks.relationship[{at}].to"), message);
        let Some((table, column)) = other(relationship) else {
            let fault = fault(format!("`{}` is not a table's column", relationship.to));
            faults.push(fault.help(Some("write `layer.table.column`")));
            continue;
        };
        if !known.contains(&table) {
            let names: Vec<String> = known.iter().map(ToString::to_string).collect();
            let help = suggest::hint(&table.to_string(), names.iter().map(String::as_str));
            faults.push(fault(format!("there is no table `{table}`")).help(help));
        } else if let Some(schema) = catalog.given_schema(&table)
            && schema.field_with_name(column).is_err()
        {
            let help = suggest::hint(column, schema.fields().iter().map(|f| f.name().as_str()));
            faults.push(fault(format!("there is no column `{column}` in `{table}`")).help(help));
        }
    }
    if let Some(freshness) = checks.freshness.as_ref().filter(|freshness| span::micros(&freshness.within).is_none()) {
        let fault = draft.fault("checks.freshness.within", format!("`{}` is not a span of time", freshness.within));
        faults.push(fault.help(Some(span::HELP)));
    }
    if let Some((min, max)) = checks.volume.as_ref().and_then(|volume| volume.min.zip(volume.max))
        && min > max
    {
        faults.push(draft.fault("checks.volume.min", format!("no table has {min} rows or more and {max} or fewer")));
    }
    faults
}

/// Faults that show when the checks are planned over empty tables.
pub(super) async fn unplanned(
    engine: &SqlEngine,
    catalog: Catalog,
    draft: &Draft<Header>,
    table: &TableName,
    known: &[TableName],
) -> Vec<Diagnostic> {
    let questions = match questions(&draft.value.checks, &table.to_string(), 0) {
        Ok(questions) => questions,
        Err(e) => return vec![draft.fault("checks", e.to_string())],
    };
    let context = engine.context(catalog);
    let mut faults = Vec::new();
    for question in questions {
        let pinned = match pin_versions(&question.sql) {
            Ok(sql) => sql,
            Err(e) => {
                faults.push(draft.fault(&question.place, e.to_string()));
                continue;
            }
        };
        let planned = plan(&context, &pinned).await.and_then(|plan| context.state().optimize(&plan));
        if let Err(e) = planned {
            let found = explain(&e, &question.sql, known);
            faults.push(draft.fault(&question.place, found.message).help(found.help));
        }
    }
    faults
}

fn questions(checks: &Checks, table: &str, now_micros: i64) -> Result<Vec<Question>> {
    let mut all = Vec::new();
    let mut ask = |name: String, place: String, sql: String, is_number: bool| {
        all.push(Question { name, place: format!("checks.{place}"), sql, is_number });
    };
    for (at, column) in checks.not_null.iter().enumerate() {
        let sql = format!("select count(*) from {table} where {} is null", quoted(column));
        ask(format!("not_null {column}"), format!("not_null[{at}]"), sql, true);
    }
    for key in checks.unique.all() {
        let names = join(key, |k| k.to_owned(), ", ");
        let sql = format!("select count(*) from (select {names} from {table} group by {names} having count(*) > 1)");
        ask(format!("unique ({})", key.join(", ")), "unique".into(), sql, true);
    }
    for (column, values) in &checks.accepted {
        let list: Vec<String> = values.iter().map(super::header::Scalar::literal).collect();
        let sql = format!("select count(*) from {table} where {} not in ({})", quoted(column), list.join(", "));
        ask(format!("accepted {column}"), format!("accepted[\"{column}\"]"), sql, true);
    }
    for (at, relationship) in checks.relationship.iter().enumerate() {
        let name = format!("relationship {} → {}", relationship.column, relationship.to);
        ask(name, format!("relationship[{at}].to"), strangers(relationship, table)?, true);
    }
    if let Some(freshness) = &checks.freshness {
        let name = format!("freshness {} within {}", freshness.column, freshness.within);
        ask(name, "freshness.column".into(), fresh(freshness, table, now_micros)?, true);
    }
    if let Some(volume) = &checks.volume {
        let (min, max) = (volume.min.unwrap_or(0), volume.max.unwrap_or(i64::MAX as u64));
        let sql = format!("select count(*) from {table} having count(*) < {min} or count(*) > {max}");
        let name = format!("volume between {min} and {}", volume.max.map_or("any".into(), |m| m.to_string()));
        ask(name, "volume".into(), sql, false);
    }
    for (at, check) in checks.sql.iter().enumerate() {
        ask(check.name.clone(), format!("sql[{at}].query"), over(&check.query, table), false);
    }
    Ok(all)
}

fn over(query: &str, table: &str) -> String {
    query.replace("{table}", table)
}

/// The other side of a relationship.
fn other(relationship: &Relationship) -> Option<(TableName, &str)> {
    let (table, column) = relationship.to.rsplit_once('.')?;
    Some((TableName::parse(table).ok()?, column))
}

/// Counts values that are not in the other table's column.
fn strangers(relationship: &Relationship, table: &str) -> Result<String> {
    let (other, column) = other(relationship).ok_or_else(|| {
        Error::project(format!("relationship to `{}`", relationship.to), "write `layer.table.column`")
    })?;
    let own = quoted(&relationship.column);
    Ok(format!(
        "select count(*) from {table} a left anti join {other} b on a.{own} = b.{} where a.{own} is not null",
        quoted(column)
    ))
}

fn fresh(freshness: &Freshness, table: &str, now_micros: i64) -> Result<String> {
    let micros = span::micros(&freshness.within)
        .ok_or_else(|| Error::project(format!("freshness within `{}`", freshness.within), span::HELP))?;
    let column = quoted(&freshness.column);
    let limit = now_micros.saturating_sub(micros);
    Ok(format!(
        "select case when max(cast({column} as timestamp)) >= to_timestamp_micros({limit}) then 0 else 1 end from {table}"
    ))
}

//! What must hold of a table before a result becomes visible.

use super::header::{Checks, Freshness};
use super::run::{Pinned, join, quoted};
use super::stage::Staged;
use crate::sql::{Catalog, failed, single_number};
use kernel::error::{Error, Kind, Result};

/// One check as a query that finds what is wrong.
struct Question {
    name: String,
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
    let mut broken = Vec::new();
    for question in &questions {
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

fn questions(checks: &Checks, table: &str, now_micros: i64) -> Result<Vec<Question>> {
    let mut all = Vec::new();
    let mut ask = |name: String, sql: String, is_number: bool| all.push(Question { name, sql, is_number });
    for column in &checks.not_null {
        let sql = format!("select count(*) from {table} where {} is null", quoted(column));
        ask(format!("not_null {column}"), sql, true);
    }
    for key in checks.unique.all() {
        let names = join(key, |k| k.to_owned(), ", ");
        ask(
            format!("unique ({})", key.join(", ")),
            format!("select count(*) from (select {names} from {table} group by {names} having count(*) > 1)"),
            true,
        );
    }
    for (column, values) in &checks.accepted {
        let list: Vec<String> = values.iter().map(super::header::Scalar::literal).collect();
        let sql = format!("select count(*) from {table} where {} not in ({})", quoted(column), list.join(", "));
        ask(format!("accepted {column}"), sql, true);
    }
    for relationship in &checks.relationship {
        let (other, column) = relationship.to.rsplit_once('.').ok_or_else(|| {
            Error::project(format!("relationship to `{}`", relationship.to), "write `layer.table.column`")
        })?;
        let own = quoted(&relationship.column);
        let sql = format!(
            "select count(*) from {table} a left anti join {other} b on a.{own} = b.{} where a.{own} is not null",
            quoted(column)
        );
        ask(format!("relationship {} → {}", relationship.column, relationship.to), sql, true);
    }
    if let Some(freshness) = &checks.freshness {
        ask(
            format!("freshness {} within {}", freshness.column, freshness.within),
            fresh(freshness, table, now_micros)?,
            true,
        );
    }
    if let Some(volume) = &checks.volume {
        let (min, max) = (volume.min.unwrap_or(0), volume.max.unwrap_or(i64::MAX as u64));
        let sql = format!("select count(*) from {table} having count(*) < {min} or count(*) > {max}");
        ask(format!("volume between {min} and {}", volume.max.map_or("any".into(), |m| m.to_string())), sql, false);
    }
    for check in &checks.sql {
        ask(check.name.clone(), check.query.replace("{table}", table), false);
    }
    Ok(all)
}

fn fresh(freshness: &Freshness, table: &str, now_micros: i64) -> Result<String> {
    let micros = within(&freshness.within).ok_or_else(|| {
        Error::project(
            format!("freshness within `{}`", freshness.within),
            "write a number and a unit: `2 days`, `90 minutes`",
        )
    })?;
    let column = quoted(&freshness.column);
    let limit = now_micros - micros;
    Ok(format!(
        "select case when max(cast({column} as timestamp)) >= to_timestamp_micros({limit}) then 0 else 1 end from {table}"
    ))
}

/// Microseconds of `2 days`.
fn within(text: &str) -> Option<i64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let seconds = match unit.trim().trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 604_800,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(seconds * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_units() {
        assert_eq!(within("2 days"), Some(172_800_000_000));
        assert_eq!(within("1 minute"), Some(60_000_000));
        assert_eq!((within("2"), within("two days"), within("2 fortnights")), (None, None, None));
    }
}

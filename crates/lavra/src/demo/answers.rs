//! The demo's three questions to gold.

use super::chart::{Chart, compact};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use futures::StreamExt;
use kernel::engine::{Engine, Session};
use kernel::error::{Error, Result};
use lake::SqlEngine;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Asks all three; draws the answers if somebody looks.
pub async fn ask(engine: &SqlEngine, draw: bool) -> Result<Value> {
    let chart = Chart { width: 78, colour: draw && std::io::IsTerminal::is_terminal(&std::io::stdout()) };
    let revenue = revenue(engine, draw, &chart).await?;
    let bursts = bursts(engine, draw, &chart).await?;
    let retention = retention(engine, draw, &chart).await?;
    Ok(json!({ "revenue": revenue, "fraud_bursts": bursts, "retention": retention }))
}

async fn revenue(engine: &SqlEngine, draw: bool, chart: &Chart) -> Result<Value> {
    let rows = rows(
        engine,
        "select cast(day as varchar) as day, cast(revenue as double) as revenue from gold.revenue_by_day order by day",
    )
    .await?;
    let (days, values) = (rows.text("day")?, rows.numbers("revenue")?);
    let total: f64 = values.iter().sum();
    if draw {
        println!("\n   How much do we earn a day? R$ {} over {} days", compact(total), days.len());
        let labels: Vec<String> =
            days.iter().map(|d| if d.ends_with("-01") { d[..7].to_owned() } else { String::new() }).collect();
        println!("{}", chart.area(&values, 8, &labels));
    }
    Ok(json!({ "days": days.len(), "total": total }))
}

async fn bursts(engine: &SqlEngine, draw: bool, chart: &Chart) -> Result<Value> {
    let rows = rows(
        engine,
        "select person, cast(payments as double) as payments from gold.fraud_bursts order by payments desc, person",
    )
    .await?;
    let (people, payments) = (rows.text("person")?, rows.numbers("payments")?);
    if draw {
        println!(
            "\n   Whose card was tried eight times or more within ten minutes? {} people-days; the busiest, by pseudonym:",
            people.len()
        );
        let top = people.len().min(6);
        let labels: Vec<String> = people[..top].iter().map(|p| p.chars().take(14).collect()).collect();
        println!("{}", chart.bars(&labels, &payments[..top], "payments"));
    }
    Ok(json!({ "bursts": people.len() }))
}

async fn retention(engine: &SqlEngine, draw: bool, chart: &Chart) -> Result<Value> {
    let sql = "select cast(cohort as varchar) as cohort, cast(months_later as double) as later, share from gold.cohort_retention order by 1, 2";
    let rows = rows(engine, sql).await?;
    let (cohorts, later, share) = (rows.text("cohort")?, rows.numbers("later")?, rows.numbers("share")?);
    let mut cells: BTreeMap<String, BTreeMap<usize, f64>> = BTreeMap::new();
    for ((cohort, later), share) in cohorts.iter().zip(&later).zip(&share) {
        cells.entry(cohort[..7].to_owned()).or_default().insert(*later as usize, *share);
    }
    let width = later.iter().map(|l| *l as usize + 1).max().unwrap_or(0);
    if draw {
        println!("\n   Of the people who first paid in a month, how many pay in the months after?");
        let names: Vec<String> = cells.keys().cloned().collect();
        let columns: Vec<String> = (0..width).map(|m| format!("+{m}")).collect();
        let values: Vec<Vec<Option<f64>>> =
            cells.values().map(|row| (0..width).map(|m| row.get(&m).copied()).collect()).collect();
        println!("{}", chart.heat(&names, &columns, &values));
    }
    Ok(json!(cells))
}

struct Answer(Vec<RecordBatch>);

async fn rows(engine: &SqlEngine, sql: &str) -> Result<Answer> {
    let mut rows = engine.query(&Session::owner("demo"), sql).await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.batches.next().await {
        batches.push(batch?);
    }
    Ok(Answer(batches))
}

impl Answer {
    fn column(&self, name: &str, data_type: &DataType) -> Result<Vec<arrow::array::ArrayRef>> {
        let missing = || Error::internal("read the demo's answer", format!("no column `{name}`"));
        self.0
            .iter()
            .map(|batch| {
                let column = batch.column_by_name(name).ok_or_else(missing)?;
                arrow::compute::cast(column, data_type).map_err(|e| Error::internal("read the demo's answer", e))
            })
            .collect()
    }

    fn text(&self, name: &str) -> Result<Vec<String>> {
        let columns = self.column(name, &DataType::Utf8View)?;
        Ok(columns
            .iter()
            .flat_map(|c| c.as_string_view().iter().map(|v| v.unwrap_or_default().to_owned()).collect::<Vec<_>>())
            .collect())
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let columns = self.column(name, &DataType::Float64)?;
        Ok(columns
            .iter()
            .flat_map(|c| c.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or_default()).collect::<Vec<_>>())
            .collect())
    }
}

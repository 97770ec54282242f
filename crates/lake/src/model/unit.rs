//! Tests of models: rows given, rows expected, nothing else read.

use super::compile::Model;
use crate::sql::{Catalog, SqlEngine, failed};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use kernel::error::{Error, Result};
use kernel::name::TableName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One file of `tests/`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitTest {
    /// The model under test: `gold.revenue`.
    pub model: String,
    /// What it is to show.
    #[serde(default)]
    pub description: Option<String>,
    /// Rows of each input; columns that a row leaves out are null, inputs that are left out are empty.
    #[serde(default)]
    pub given: BTreeMap<String, Vec<Map<String, Value>>>,
    /// The rows of the result, in any order; only the columns named here are compared.
    pub expect: Vec<Map<String, Value>>,
}

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitVerdict {
    pub passed: bool,
    /// Rows that were expected and did not come.
    pub missing: Vec<String>,
    /// Rows that came and were not expected.
    pub unexpected: Vec<String>,
}

/// Runs a test. `schemas` has the type of every table.
pub async fn run_unit_test(
    engine: &SqlEngine,
    model: &Model,
    schemas: &BTreeMap<TableName, SchemaRef>,
    test: &UnitTest,
) -> Result<UnitVerdict> {
    for name in test.given.keys() {
        if !model.inputs.iter().any(|input| input.to_string() == *name) {
            return Err(Error::project(format!("test of {}", model.name), format!("the model does not read `{name}`")));
        }
    }
    let mut catalog = Catalog::default();
    for input in &model.inputs {
        let unknown = || Error::internal("run a test", format!("{input} has no schema"));
        let schema = schemas.get(input).ok_or_else(unknown)?;
        let rows = test.given.get(&input.to_string()).map_or(&[][..], Vec::as_slice);
        let batch = rows_of(&input.to_string(), schema, rows)?;
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(failed)?;
        catalog.give(input.clone(), Arc::new(table));
    }
    let got = engine.frame_over(catalog, &model.sql).await?.collect().await.map_err(failed)?;
    let named: Vec<String> = match test.expect.first() {
        Some(row) => row.keys().cloned().collect(),
        None => model.schema.fields().iter().map(|field| field.name().clone()).collect(),
    };
    let expected_schema = project(&model.name.to_string(), &model.schema, &named)?;
    let expected = shown(&rows_of("expect", &expected_schema, &test.expect)?, &named)?;
    let mut came = Vec::new();
    for batch in &got {
        came.extend(shown(&retyped(batch, &expected_schema)?, &named)?);
    }
    let missing = without(&expected, &came);
    let unexpected = without(&came, &expected);
    Ok(UnitVerdict { passed: missing.is_empty() && unexpected.is_empty(), missing, unexpected })
}

fn project(model: &str, schema: &SchemaRef, names: &[String]) -> Result<SchemaRef> {
    let all: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let fields = names.iter().map(|name| {
        schema.field_with_name(name).cloned().map_err(|_| {
            let help = kernel::suggest::hint(name, all.iter().copied()).unwrap_or_default();
            Error::project(format!("test of {model}"), format!("the model gives no column `{name}`; {help}"))
        })
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

/// Rows of YAML as a batch of the table's types; the text of a number or a date is read exactly.
fn rows_of(what: &str, schema: &SchemaRef, rows: &[Map<String, Value>]) -> Result<RecordBatch> {
    let wrong = |e: arrow::error::ArrowError| Error::project(format!("rows of `{what}`"), &e);
    for name in rows.iter().flat_map(Map::keys) {
        if schema.field_with_name(name).is_err() {
            let all = schema.fields().iter().map(|f| f.name().as_str());
            let help = kernel::suggest::hint(name, all).unwrap_or_default();
            return Err(Error::project(format!("rows of `{what}`"), format!("there is no column `{name}`; {help}")));
        }
    }
    let mut decoder = ReaderBuilder::new(schema.clone())
        .with_coerce_primitive(true)
        .with_batch_size(rows.len().max(1))
        .build_decoder()
        .map_err(wrong)?;
    decoder.serialize(rows).map_err(wrong)?;
    let batch = decoder.flush().map_err(wrong)?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(schema.clone())))
}

fn retyped(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let wrong = |e: arrow::error::ArrowError| Error::internal("compare rows", &e);
    let columns = schema.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name()).ok_or_else(|| Error::internal("compare rows", field.name()))?;
        arrow::compute::cast(column, field.data_type()).map_err(wrong)
    });
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<_>>()?, &options).map_err(wrong)
}

fn shown(batch: &RecordBatch, names: &[String]) -> Result<Vec<String>> {
    let options = FormatOptions::default().with_null("null");
    let cells = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| Error::internal("compare rows", &e))?;
    let line =
        |row| names.iter().zip(&cells).map(|(name, cell)| format!("{name}: {}", cell.value(row))).collect::<Vec<_>>();
    Ok((0..batch.num_rows()).map(|row| line(row).join(", ")).collect())
}

/// `all` less the rows of `other`, each taken off once.
fn without(all: &[String], other: &[String]) -> Vec<String> {
    let mut rest = other.to_vec();
    let mut left = Vec::new();
    for row in all {
        match rest.iter().position(|r| r == row) {
            Some(at) => drop(rest.swap_remove(at)),
            None => left.push(row.clone()),
        }
    }
    left
}

//! Rows, as a table, JSON or CSV.

use super::Format;
use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use kernel::error::{Error, Result};
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;

/// A table never shows more rows than this; the file formats give all.
const TABLE_ROWS_MAX: usize = 200;

/// Prints a result. The table is cut, and says so; JSON and CSV are whole.
pub fn print_batches(format: Format, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
    let out = std::io::stdout().lock();
    let fault = |e: arrow::error::ArrowError| Error::internal("print rows", e);
    match format {
        Format::Table => table(schema, batches),
        Format::Csv => {
            let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(out);
            if batches.is_empty() {
                writer.write(&flat(&RecordBatch::new_empty(schema.clone())).map_err(fault)?).map_err(fault)?;
            }
            batches.iter().try_for_each(|batch| writer.write(&flat(batch)?)).map_err(fault)
        }
        Format::Json => {
            let mut writer = arrow::json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, arrow::json::writer::JsonArray>(out);
            batches.iter().try_for_each(|batch| writer.write(batch)).map_err(fault)?;
            writer.finish().map_err(fault)?;
            writeln!(writer.into_inner()).map_err(|e| kernel::error::io("print rows", e))
        }
    }
}

/// Nested columns as text, for formats that have none.
pub fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let options = FormatOptions::default();
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if !field.data_type().is_nested() {
            fields.push(field.as_ref().clone());
            columns.push(column.clone());
            continue;
        }
        let shown = ArrayFormatter::try_new(column, &options)?;
        let text = (0..column.len()).map(|row| column.is_valid(row).then(|| shown.value(row).to_string()));
        fields.push(Field::new(field.name(), DataType::Utf8, true));
        columns.push(Arc::new(text.collect::<StringArray>()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
    let fault = |e: arrow::error::ArrowError| Error::internal("print rows", e);
    let mut shown = new_table(schema.fields().iter().map(|f| f.name().clone()));
    for (at, field) in schema.fields().iter().enumerate() {
        if let Some(column) = shown.column_mut(at)
            && field.data_type().is_numeric()
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let options = FormatOptions::default()
        .with_null("")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.fZ"));
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut left = TABLE_ROWS_MAX;
    for batch in batches {
        let cells = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c, &options))
            .collect::<std::result::Result<Vec<_>, _>>();
        let cells = cells.map_err(fault)?;
        for row in 0..batch.num_rows().min(left) {
            shown.add_row(cells.iter().map(|cell| cell.value(row).to_string()));
        }
        left = left.saturating_sub(batch.num_rows());
    }
    println!("{shown}");
    if total > TABLE_ROWS_MAX {
        println!(
            "{TABLE_ROWS_MAX} of {} rows; `--format csv` or `--output FILE` gives all",
            super::count(total as u64)
        );
    }
    Ok(())
}

fn new_table(header: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// A column's name, and its text for a record.
type Cell<'a, T> = (&'a str, &'a dyn Fn(&T) -> String);

/// Prints records of a command: JSON as one array, CSV and table by these columns.
pub fn print_records<T: Serialize>(format: Format, records: &[T], columns: &[Cell<'_, T>]) -> Result<()> {
    match format {
        Format::Json => {
            let text = serde_json::to_string_pretty(records).map_err(|e| Error::internal("print records", e))?;
            println!("{text}");
        }
        Format::Table => {
            let mut table = new_table(columns.iter().map(|(name, _)| (*name).to_owned()));
            for record in records {
                table.add_row(columns.iter().map(|(_, cell)| cell(record)));
            }
            println!("{table}");
        }
        Format::Csv => {
            let line = |cells: Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");
            println!("{}", line(columns.iter().map(|(name, _)| (*name).to_owned()).collect()));
            for record in records {
                println!("{}", line(columns.iter().map(|(_, cell)| cell(record)).collect()));
            }
        }
    }
    Ok(())
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

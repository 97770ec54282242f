//! Rows, as a table, JSON or CSV.

use super::Format;
use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use kernel::error::{Error, Result};
use serde::Serialize;
use std::sync::Arc;

/// A table never shows more rows than this; the file formats give all.
const TABLE_ROWS_MAX: usize = 200;

/// Takes each batch of a result, then `None` to end it. No more than one batch is held.
pub type Write = Box<dyn FnMut(Option<&RecordBatch>) -> Result<(), ArrowError> + Send>;

/// CSV with a header line, also when no row comes.
pub fn csv(out: impl std::io::Write + Send + 'static, schema: &SchemaRef) -> Write {
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(out);
    let mut empty = Some(RecordBatch::new_empty(schema.clone()));
    Box::new(move |batch| match (batch, empty.take()) {
        (Some(batch), _) => writer.write(&flat(batch)?),
        (None, Some(empty)) => writer.write(&flat(&empty)?),
        (None, None) => Ok(()),
    })
}

/// One array of objects.
pub fn json(out: impl std::io::Write + Send + 'static) -> Write {
    let mut writer =
        arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::JsonArray>(out);
    Box::new(move |batch| match batch {
        Some(batch) => writer.write(batch),
        None => writer.finish(),
    })
}

/// An object a line.
pub fn ndjson(out: impl std::io::Write + Send + 'static) -> Write {
    let mut writer = arrow::json::LineDelimitedWriter::new(out);
    Box::new(move |batch| match batch {
        Some(batch) => writer.write(batch),
        None => writer.finish(),
    })
}

/// Prints a result as it comes. JSON and CSV are whole, and hold one batch at a time; the table is cut, and says so.
pub struct Printer(Out);

enum Out {
    Table(Cut),
    Stream { write: Write, is_json: bool },
}

impl Printer {
    pub fn new(format: Format, schema: &SchemaRef) -> Self {
        Self(match format {
            Format::Table => Out::Table(Cut::new(schema)),
            Format::Csv => Out::Stream { write: csv(std::io::stdout(), schema), is_json: false },
            Format::Json => Out::Stream { write: json(std::io::stdout()), is_json: true },
        })
    }

    pub fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.0 {
            Out::Table(cut) => cut.add(batch),
            Out::Stream { write, .. } => write(Some(batch)),
        }
        .map_err(fault)
    }

    pub fn end(self) -> Result<()> {
        match self.0 {
            Out::Table(cut) => cut.print(),
            Out::Stream { mut write, is_json } => {
                write(None).map_err(fault)?;
                if is_json {
                    println!();
                }
            }
        }
        Ok(())
    }
}

/// Prints a result that is there already.
pub fn print_batches(format: Format, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
    let mut printer = Printer::new(format, schema);
    batches.iter().try_for_each(|batch| printer.batch(batch))?;
    printer.end()
}

fn fault(error: ArrowError) -> Error {
    Error::internal("print rows", error)
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

/// The first rows of a result as a table, and how many there are.
struct Cut {
    shown: Table,
    left: usize,
    total: u64,
}

impl Cut {
    fn new(schema: &SchemaRef) -> Self {
        let mut shown = new_table(schema.fields().iter().map(|f| f.name().clone()));
        for (at, field) in schema.fields().iter().enumerate() {
            if let Some(column) = shown.column_mut(at)
                && field.data_type().is_numeric()
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { shown, left: TABLE_ROWS_MAX, total: 0 }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let options = FormatOptions::default()
            .with_null("")
            .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
            .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.fZ"));
        let shown = batch.slice(0, batch.num_rows().min(self.left));
        let cells = shown.columns().iter().map(|c| ArrayFormatter::try_new(c, &options));
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        for row in 0..shown.num_rows() {
            self.shown.add_row(cells.iter().map(|cell| cell.value(row).to_string()));
        }
        self.left -= shown.num_rows();
        self.total += batch.num_rows() as u64;
        Ok(())
    }

    fn print(self) {
        println!("{}", self.shown);
        if self.total > TABLE_ROWS_MAX as u64 {
            let total = super::count(self.total);
            println!("{TABLE_ROWS_MAX} of {total} rows; `--format csv` or `--output FILE` gives all");
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use std::sync::{Mutex, PoisonError};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no panic in it").clone()).expect("text")
        }
    }

    fn batch(values: &[i64]) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(values.to_vec())) as _)]).expect("a batch")
    }

    #[test]
    fn csv_has_one_header_whether_rows_come_or_not() {
        let (empty, some) = (Page::default(), Page::default());
        csv(empty.clone(), &batch(&[]).schema())(None).expect("written");
        let mut write = csv(some.clone(), &batch(&[]).schema());
        for part in [Some(&batch(&[1])), Some(&batch(&[2])), None] {
            write(part).expect("written");
        }
        drop(write);
        assert_eq!((empty.text().as_str(), some.text().as_str()), ("n\n", "n\n1\n2\n"));
    }

    #[test]
    fn a_table_shows_its_first_rows_and_counts_all() {
        let mut cut = Cut::new(&batch(&[]).schema());
        for _ in 0..3 {
            cut.add(&batch(&[7; 150])).expect("rows");
        }
        assert_eq!((cut.left, cut.total, cut.shown.row_count()), (0, 450, TABLE_ROWS_MAX));
    }
}

//! Rows set aside: the rules they broke, the place and the masked row, as text that a person can read.

use super::judge::Judged;
use super::raw::{Malformed, Raw};
use super::violations::Cause;
use super::{Gate, cells, parse, stamp};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringViewArray};
use arrow::compute::{filter, is_not_null};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What stands where a value could not be kept.
pub const HIDDEN: &str = "***";

/// `rule, column, reason` of the first rule that the row broke, `also` (the others, as JSON), `row` (as JSON), `masks`
/// (how the columns of `row` were masked, as JSON) and the stamp of bronze.
pub fn schema() -> SchemaRef {
    let names = ["rule", "column", "reason", "also", "row", "masks"];
    let text = |name: &str| Arc::new(Field::new(name, DataType::Utf8View, true));
    let mut fields: Vec<FieldRef> = names.into_iter().map(text).collect();
    fields.extend(stamp::fields());
    Arc::new(Schema::new(fields))
}

/// One row for the quarantine.
pub(super) struct Aside {
    cause: Cause,
    also: Option<String>,
    /// The masked row as a JSON object; `None` when it could not be split into fields.
    row: Option<String>,
    offset: i64,
}

impl Aside {
    pub fn malformed(malformed: &Malformed) -> Self {
        let cause = Cause::new("malformed", None, &malformed.reason);
        Self { cause, also: None, row: None, offset: malformed.offset }
    }

    /// A record of a log that nobody knows.
    pub fn stranger(offset: i64) -> Self {
        let reason = "it bears no seal of this project's: somebody else wrote it, and its values were never masked";
        Self { cause: Cause::new("seal", None, reason), also: None, row: None, offset }
    }

    pub fn label(&self) -> String {
        self.cause.label()
    }
}

/// The rows as the quarantine's table has them; `masks` and the stamps' maker come from the gate.
pub(super) fn batch(
    asides: &[Aside],
    masks: Option<&str>,
    stamps: impl FnOnce(&Int64Array) -> Vec<ArrayRef>,
) -> Result<RecordBatch> {
    let offsets: Int64Array = asides.iter().map(|aside| aside.offset).collect();
    let text = |read: fn(&Aside) -> Option<&str>| -> ArrayRef {
        Arc::new(asides.iter().map(read).collect::<StringViewArray>())
    };
    let mut columns = vec![
        text(|a| Some(&a.cause.rule)),
        text(|a| a.cause.column.as_deref()),
        text(|a| Some(&a.cause.reason)),
        text(|a| a.also.as_deref()),
        text(|a| a.row.as_deref()),
        match masks {
            Some(masks) => stamp::constant(masks, asides.len()),
            None => Arc::new(StringViewArray::new_null(asides.len())),
        },
    ];
    columns.extend(stamps(&offsets));
    RecordBatch::try_new(schema(), columns).map_err(|e| Error::internal("set rows aside", &e))
}

/// A column's name and the text of its cells.
type Cells = (String, Vec<Option<String>>);

impl Gate {
    /// The rows that broke a rule, with nothing in them that bronze would have hidden.
    pub(super) fn set_aside(&self, raw: &Raw, judged: &Judged) -> Result<Vec<Aside>> {
        let Some(bad) = judged.violations.bad() else { return Ok(Vec::new()) };
        let mut columns = Vec::new();
        for (field, values) in raw.batch.schema().fields().iter().zip(raw.batch.columns()) {
            columns.extend(self.cells(field.name(), values, judged, &bad)?);
        }
        let mut asides = Vec::with_capacity(bad.true_count());
        for (place, row) in judged.violations.bad_rows().enumerate() {
            let cells = columns.iter_mut().map(|(name, cells)| (name.clone(), cells[place].take().into()));
            let mut cells: Map<String, Value> = cells.collect();
            cells.extend(raw.changes.iter().flat_map(|changes| changes.cells(row)));
            let mut causes = judged.violations.causes(row).cloned();
            let Some(cause) = causes.next() else { continue };
            let also: Vec<Cause> = causes.collect();
            asides.push(Aside {
                cause,
                also: if also.is_empty() { None } else { serde_json::to_string(&also).ok() },
                row: Some(Value::Object(cells).to_string()),
                offset: raw.offsets.value(row),
            });
        }
        Ok(asides)
    }

    /// The cells of the bad rows; `None` when the mask removes the column.
    fn cells(&self, name: &str, values: &ArrayRef, judged: &Judged, bad: &BooleanArray) -> Result<Option<Cells>> {
        let fault = |e| Error::internal("set rows aside", "arrow refused a filter").because(e);
        let values = &filter(&parse::decoded(values)?, bad).map_err(fault)?;
        let hide = |there: bool| there.then(|| HIDDEN.to_owned());
        let hide_all = |values: &ArrayRef| -> Result<Vec<Option<String>>> {
            Ok(is_not_null(values).map_err(fault)?.values().iter().map(hide).collect())
        };
        let Some(at) = self.place(name) else { return Ok(Some((name.to_owned(), hide_all(values)?))) };
        let property = &self.entity.properties[at];
        let texts = match (&self.columns[at].mask, &judged.masked[at]) {
            (Some(_), None) => return Ok(None),
            (Some(_), Some(masked)) => cells::texts(&filter(masked, bad).map_err(fault)?)?,
            (None, _) => match cells::texts(values) {
                Ok(texts) => texts,
                Err(_) => return Ok(Some((name.to_owned(), hide_all(values)?))),
            },
        };
        let of_bad = |marked: &Option<BooleanArray>| match marked {
            Some(marked) => Ok(filter(marked, bad).map_err(fault)?.as_boolean().clone()),
            None => Ok(BooleanArray::from(vec![false; texts.len()])),
        };
        let (failed, alarmed) = (of_bad(&judged.failed[at])?, of_bad(&judged.alarmed[at])?);
        // A typed number is written as the contract writes numbers, so that a replay reads the same one.
        let comma = property.decimal_comma && !parse::is_text(values.data_type()) && self.columns[at].mask.is_none();
        let write = |text: &str| if comma { text.replace('.', ",") } else { text.to_owned() };
        let marks = failed.values().iter().zip(alarmed.values());
        // Hexadecimal digits of refused bytes may look like a number, and a replay would take them for one.
        let is_bytes = values.data_type().is_binary();
        let cells = texts.iter().zip(marks).map(|(text, (failed, alarmed))| match alarmed {
            true => Some(HIDDEN.to_owned()),
            false => self.cell(at, text.filter(|_| !(failed && is_bytes)).map(write), failed),
        });
        Ok(Some((name.to_owned(), cells.collect())))
    }

    /// A value as it may be kept: `text` is the masked one where there is a mask, else the raw one. What could not be
    /// parsed was not masked either, and says that the row may be shifted.
    fn cell(&self, at: usize, text: Option<String>, failed: bool) -> Option<String> {
        let property = &self.entity.properties[at];
        let is_open = self.columns[at].mask.is_none();
        if failed {
            let shows =
                |text: &String| is_open && cells::may_show(text, &property.data_type) && !self.screen.is_personal(text);
            let instead = if self.drops(property) { None } else { Some(HIDDEN.to_owned()) };
            return text.filter(shows).or(instead);
        }
        text.map(|text| if is_open && self.screen.is_personal(&text) { HIDDEN.to_owned() } else { text })
    }
}

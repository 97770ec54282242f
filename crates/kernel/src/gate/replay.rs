//! Takes rows out of the quarantine, after the contract was mended: masked columns as they are, the rest parsed again.
//!
//! A value that was masked can't be looked at any more. It passes as it is if the contract asks for the very mask that it
//! has, and if no rule that it broke still stands. A column that was open then and is masked now is masked here.

use super::column::mask_record;
use super::violations::Cause;
use super::{CHANGES, Changes, Gate, HIDDEN, Passed, Safe, Tally, quarantine_schema, stamp};
use crate::contract::{Entity, Property, RowRule};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, UInt64Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a replay did with quarantined rows.
pub struct Replayed {
    /// The rows that pass now.
    pub passed: Passed,
    /// The quarantine's rows that stay.
    pub staying: RecordBatch,
}

/// A row of the quarantine, read.
struct Held {
    row: usize,
    /// All rules that it broke.
    causes: Vec<Cause>,
    cells: Map<String, Value>,
}

/// What the quarantine keeps of how each column is masked.
pub(super) fn records(entity: &Entity) -> Option<String> {
    let masks = entity.properties.iter().filter_map(|p| Some((p.name.clone(), mask_record(p)?.into())));
    let masks: Map<String, Value> = masks.collect();
    (!masks.is_empty()).then(|| Value::Object(masks).to_string())
}

impl Gate {
    /// Tries rows of the quarantine again. They keep their positions and get the new contract's version. A row stays when
    /// it breaks a rule still, when a value of it was hidden or has no column, or when it broke a rule that still stands
    /// and reads a masked column.
    pub fn replay(&mut self, rows: &RecordBatch) -> Result<Replayed> {
        let mut tally = Tally { rows_read: rows.num_rows() as u64, ..Tally::default() };
        let mut passed = vec![RecordBatch::new_empty(self.output_schema())];
        let mut stays = vec![true; rows.num_rows()];
        for (masks, held) in read(rows)? {
            let Some(stored) = self.stored(&masks) else { continue };
            let held: Vec<Held> = held.into_iter().filter(|held| self.may_try(held, &stored)).collect();
            let changes = self.stamp.changes.then(|| {
                let mut changes = Changes::default();
                held.iter().for_each(|held| changes.push_cells(&held.cells));
                changes
            });
            let judged = self.judge(&self.as_batch(&held)?, &stored, changes.as_ref(), false)?;
            for (place, held) in held.iter().enumerate() {
                stays[held.row] = judged.violations.is_bad(place);
            }
            tally.add(&Tally { rows_read: 0, ..judged.tally.clone() });
            let mut stamps = changes.map(|changes| changes.columns()).unwrap_or_default();
            stamps.extend(self.stamps_of(&pick(rows, held.iter().map(|held| held.row))?)?);
            passed.push(self.assemble(judged, stamps)?.into_batch());
        }
        let staying = pick(rows, (0..rows.num_rows()).filter(|row| stays[*row]))?;
        let safe = Safe { batch: concat_batches(&self.output_schema(), &passed).map_err(fault)? };
        (tally.rows_passed, tally.rows_quarantined) = (safe.num_rows() as u64, staying.num_rows() as u64);
        Ok(Replayed { passed: Passed { safe, quarantined: None, tally }, staying })
    }

    /// Which properties' values are masked already; `None` when one was masked in another way than the contract asks for.
    fn stored(&self, masks: &str) -> Option<Vec<bool>> {
        let masks: Map<String, Value> = serde_json::from_str(masks).ok()?;
        let stored = |property: &Property| match (masks.get(&property.name), mask_record(property)) {
            (None, _) => Some(false),
            (Some(then), Some(now)) => (then.as_str() == Some(&now)).then_some(true),
            (Some(_), None) => None,
        };
        self.entity.properties.iter().map(stored).collect()
    }

    fn may_try(&self, held: &Held, stored: &[bool]) -> bool {
        let is_open = |name: &str| self.place(name).is_none_or(|at| !stored[at]);
        let lost = held.cells.iter().any(|(name, cell)| {
            (is_open(name) && cell.as_str() == Some(HIDDEN))
                || (self.place(name).is_none() && !cell.is_null() && !CHANGES.contains(&name.as_str()))
        });
        !lost && !held.causes.iter().any(|cause| self.stands(cause, stored))
    }

    /// Whether a rule that was broken is still there and can't be held against the row again.
    fn stands(&self, cause: &Cause, stored: &[bool]) -> bool {
        // Rules in SQL are many on a column and known by their names; of any other kind a column has one.
        let same = |rule: &&dyn RowRule| {
            rule.rule() == cause.rule
                && rule.column() == cause.column.as_deref()
                && (rule.name() == cause.reason || cause.rule != "sql")
        };
        if let Some(rule) = self.row_rules.iter().map(|rule| rule.as_ref()).find(same) {
            return self.reads_stored(rule, stored, true);
        }
        let blind = |at: &usize| stored[*at] && !self.columns[*at].is_joinable();
        match (cause.rule.as_str(), &cause.column) {
            ("unique", Some(columns)) => {
                let key = self.unique.iter().find(|key| key.columns.join(", ") == *columns);
                key.is_some_and(|key| key.places.iter().any(blind))
            }
            // The value that nobody named was hidden. Of a change log, what did the row stands there under that name now.
            ("schema", _) => true,
            (rule, Some(column)) => self.place(column).is_some_and(|at| stored[at] && self.still_has(at, rule)),
            (_, None) => false,
        }
    }

    fn still_has(&self, at: usize, rule: &str) -> bool {
        match rule {
            "required" => self.entity.properties[at].required,
            // The value that could not be parsed or masked was not kept.
            "type" | "mask" => true,
            _ => self.columns[at].rules.iter().any(|r| r.cause.rule == rule),
        }
    }

    /// Whether a rule reads a column that is masked already; `unknown` is the answer for one that does not say.
    pub(super) fn reads_stored(&self, rule: &dyn RowRule, stored: &[bool], unknown: bool) -> bool {
        match rule.reads() {
            Some(columns) => columns.iter().any(|name| self.place(name).is_some_and(|at| stored[at])),
            None => unknown && stored.contains(&true),
        }
    }

    fn as_batch(&self, rows: &[Held]) -> Result<RecordBatch> {
        let mut fields = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        for property in &self.entity.properties {
            let texts = rows.iter().map(|held| held.cells.get(&property.name).and_then(Value::as_str));
            fields.push(Field::new(&property.name, DataType::Utf8View, true));
            columns.push(Arc::new(texts.collect::<StringViewArray>()));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(fault)
    }

    /// The stamps that the rows have, but for the contract's version.
    fn stamps_of(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let version = stamp::constant(&self.stamp.contract_version, rows.num_rows());
        let stamp = |field: &Arc<Field>| match field.name().as_str() {
            "_contract_version" => Ok(version.clone()),
            name => column(rows, name, field.data_type()),
        };
        stamp::fields().iter().map(stamp).collect()
    }

    /// A quarantine batch as the sink takes it.
    pub fn staying(&self, rows: &RecordBatch) -> Result<Safe> {
        let schema = quarantine_schema();
        let columns = schema.fields().iter().map(|field| column(rows, field.name(), field.data_type()));
        let batch = RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?).map_err(fault)?;
        Ok(Safe { batch })
    }
}

/// The rows that can be read, by how they were masked.
fn read(rows: &RecordBatch) -> Result<BTreeMap<String, Vec<Held>>> {
    let text = |name| Ok(column(rows, name, &DataType::Utf8View)?.as_string_view().clone());
    let (rules, columns, reasons) = (text("rule")?, text("column")?, text("reason")?);
    let (also, cells, masks) = (text("also")?, text("row")?, text("masks")?);
    let mut groups: BTreeMap<String, Vec<Held>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let of = |texts: &StringViewArray| texts.is_valid(row).then(|| texts.value(row).to_owned());
        let first = Cause {
            rule: of(&rules).unwrap_or_default(),
            column: of(&columns),
            reason: of(&reasons).unwrap_or_default(),
        };
        let others = of(&also).map_or(Ok(Vec::new()), |also| serde_json::from_str::<Vec<Cause>>(&also));
        let (Some(Ok(cells)), Ok(others)) = (of(&cells).map(|cells| serde_json::from_str(&cells)), others) else {
            continue;
        };
        let causes = std::iter::once(first).chain(others).collect();
        groups.entry(of(&masks).unwrap_or_else(|| "{}".into())).or_default().push(Held { row, causes, cells });
    }
    Ok(groups)
}

fn column(rows: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef> {
    let what = "read the quarantine";
    let column = rows.column_by_name(name).ok_or_else(|| Error::data(what, format!("no column `{name}`")))?;
    match column.data_type() == data_type {
        true => Ok(column.clone()),
        false => cast(column, data_type).map_err(|e| Error::data(what, format!("column `{name}`: {e}"))),
    }
}

fn pick(rows: &RecordBatch, places: impl Iterator<Item = usize>) -> Result<RecordBatch> {
    let places: UInt64Array = places.map(|place| place as u64).collect();
    take_record_batch(rows, &places).map_err(fault)
}

fn fault(error: arrow::error::ArrowError) -> Error {
    Error::internal("replay rows", "arrow refused its own rows").because(error)
}

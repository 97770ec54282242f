//! Parses, checks and masks all columns of a batch, before its rows are parted.

use super::column::Column;
use super::violations::{Cause, Violations};
use super::{Gate, Tally, parse};
use crate::contract::{OnViolation, Property};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow::compute::is_null;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use std::sync::Arc;

/// A batch after rules and masks.
pub(super) struct Judged {
    pub violations: Violations,
    /// One per property, masked; `None` is a column that the mask removes.
    pub masked: Vec<Option<ArrayRef>>,
    /// Where a value could not be parsed, per property.
    pub failed: Vec<Option<BooleanArray>>,
    /// Where a value looks personal and was not to, per property.
    pub alarmed: Vec<Option<BooleanArray>>,
    /// Columns that the contract doesn't name and `evolve` takes in.
    pub evolved: Vec<(FieldRef, ArrayRef)>,
    pub tally: Tally,
}

impl Gate {
    /// `stored` tells the properties whose values come out of the quarantine and are masked already.
    pub(super) fn judge(&mut self, batch: &RecordBatch, stored: &[bool]) -> Result<Judged> {
        let rows = batch.num_rows();
        let mut violations = Violations::default();
        let mut tally = Tally { rows_read: rows as u64, ..Tally::default() };
        let evolved = self.meet_strangers(batch, &mut violations)?;
        let (mut typed, mut failed, mut masked) = (Vec::new(), Vec::new(), Vec::new());
        for ((column, property), stored) in self.columns.iter().zip(&self.entity.properties).zip(stored) {
            let raw = batch.column_by_name(&property.name).cloned();
            let raw = raw.unwrap_or_else(|| new_null_array(&DataType::Null, rows));
            if *stored {
                masked.push(column.take_back(property, &raw, &mut violations)?);
                typed.push(new_null_array(&parse::kept_type(&property.data_type), rows));
                failed.push(None);
                continue;
            }
            let (values, unparsed) = self.check(column, property, &raw, &mut violations, &mut tally)?;
            masked.push(column.hide(property, &values, &mut tally)?);
            typed.push(values);
            failed.push(unparsed);
        }
        let alarmed = self.meet_drift(&typed, stored, &mut violations, &mut tally)?;
        self.check_rows(rows, &typed, stored, &mut violations)?;
        self.check_unique(&typed, &masked, &mut violations)?;
        tally.causes = violations.counts();
        Ok(Judged { violations, masked, failed, alarmed, evolved, tally })
    }

    /// One column against its type and rules.
    fn check(
        &self,
        column: &Column,
        property: &Property,
        raw: &ArrayRef,
        violations: &mut Violations,
        tally: &mut Tally,
    ) -> Result<(ArrayRef, Option<BooleanArray>)> {
        let parse::Parsed { mut values, failed } = parse::parse(raw, property)?;
        let drops = self.drops(property);
        let cause = |rule, reason: String| Cause::new(rule, Some(&property.name), reason);
        if let Some(failed) = &failed {
            match drops {
                true => tally.values_dropped += failed.true_count() as u64,
                false => violations.mark(failed, || cause("type", parse::expectation(property))),
            }
        }
        for rule in &column.rules {
            let broken = rule.broken(&values)?;
            if drops && broken.true_count() > 0 {
                tally.values_dropped += broken.true_count() as u64;
                values = parse::blank(&values, &broken)?;
            } else {
                violations.mark(&broken, || rule.cause.clone());
            }
        }
        if property.required && values.null_count() > 0 {
            let mut missing = is_null(&values).map_err(|e| Error::internal("look for nulls", &e))?;
            if let Some(failed) = &failed {
                missing = parse::except(&missing, failed);
            }
            violations.mark(&missing, || cause("required", "is missing".into()));
        }
        Ok((values, failed))
    }

    /// Whether a bad value of the property is put to null. A required one can't be.
    pub(super) fn drops(&self, property: &Property) -> bool {
        self.entity.on_violation == OnViolation::DropValue && !property.required
    }

    /// The rules over rows. Those that read what is masked already were held against it when it came in.
    fn check_rows(&self, rows: usize, typed: &[ArrayRef], stored: &[bool], violations: &mut Violations) -> Result<()> {
        if self.row_rules.is_empty() {
            return Ok(());
        }
        let fields = self.entity.properties.iter().zip(typed);
        let fields: Vec<Field> =
            fields.map(|(p, values)| Field::new(&p.name, values.data_type().clone(), true)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), typed.to_vec(), &options)
            .map_err(|e| Error::internal("check rows", &e))?;
        for rule in self.row_rules.iter().filter(|rule| !self.reads_stored(rule.as_ref(), stored, false)) {
            let broken = rule.violates(&batch)?;
            if broken.len() != rows {
                return Err(Error::internal("check rows", format!("`{}` answered for other rows", rule.name())));
            }
            violations.mark(&broken, || Cause::new(rule.rule(), rule.column(), rule.name()));
        }
        Ok(())
    }

    /// Keys are compared as they are stored, so that earlier runs count; a mask that can't be joined on leaves them
    /// comparable within the run only.
    fn check_unique(
        &mut self,
        typed: &[ArrayRef],
        masked: &[Option<ArrayRef>],
        violations: &mut Violations,
    ) -> Result<()> {
        let Self { columns, unique, .. } = self;
        for key in unique.iter_mut() {
            let stored = |at: &usize| masked[*at].as_ref().filter(|_| columns[*at].is_joinable());
            let values: Vec<ArrayRef> = key.places.iter().map(|at| stored(at).unwrap_or(&typed[*at]).clone()).collect();
            let doubles = key.doubles(&values, |row| violations.is_bad(row))?;
            violations
                .mark(&doubles, || Cause::new("unique", Some(&key.columns.join(", ")), "this key was seen before"));
        }
        Ok(())
    }
}

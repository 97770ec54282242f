//! Parses, checks and masks all columns of a batch, before its rows are parted.

use super::column::Column;
use super::violations::{Cause, Violations};
use super::{CHANGES, Changes, Gate, Tally, parse};
use crate::contract::{OnViolation, Property};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow::compute::{and, is_null, or};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use std::sync::Arc;

/// A batch after rules and masks.
pub(super) struct Judged {
    pub violations: Violations,
    /// One per property, masked; `None` is a column that the mask removes.
    pub masked: Vec<Option<ArrayRef>>,
    /// Where a value could not be parsed or masked, per property.
    pub failed: Vec<Option<BooleanArray>>,
    /// Where a value looks personal and was not to, per property.
    pub alarmed: Vec<Option<BooleanArray>>,
    /// Columns that the contract doesn't name and `evolve` takes in.
    pub evolved: Vec<(FieldRef, ArrayRef)>,
    /// Rows that came before, where the source may give one again.
    pub repeated: Option<BooleanArray>,
    pub tally: Tally,
}

impl Gate {
    /// `stored` tells the properties whose values come out of the quarantine and are masked already; `repeats`, that a row
    /// may have come before.
    pub(super) fn judge(
        &mut self,
        batch: &RecordBatch,
        stored: &[bool],
        changes: Option<&Changes>,
        repeats: bool,
    ) -> Result<Judged> {
        let rows = batch.num_rows();
        let mut violations = Violations::default();
        let mut tally = Tally { rows_read: rows as u64, ..Tally::default() };
        let evolved = self.meet_strangers(batch, &mut violations)?;
        if let Some(beyond) = changes.and_then(Changes::beyond) {
            let reason = format!("the time of the change is not of the {}", parse::YEARS);
            violations.mark(&beyond, || Cause::new("type", Some(CHANGES[1]), reason));
        }
        let (mut typed, mut failed) = (Vec::new(), Vec::new());
        for ((column, property), stored) in self.columns.iter().zip(&self.entity.properties).zip(stored) {
            if *stored {
                typed.push(new_null_array(&parse::kept_type(&property.data_type), rows));
                failed.push(None);
                continue;
            }
            let (values, unparsed) =
                self.check(column, property, &as_it_came(batch, property), changes, &mut violations, &mut tally)?;
            typed.push(values);
            failed.push(unparsed);
        }
        // A mask may need another column's values to know whose a row is.
        let mut masked = Vec::new();
        for (at, stored) in stored.iter().enumerate() {
            let (column, property) = (&self.columns[at], &self.entity.properties[at]);
            masked.push(match stored {
                true => column.take_back(property, &as_it_came(batch, property), &mut violations)?,
                false => self.hide(at, &typed, &mut failed[at], &mut violations, &mut tally)?,
            });
        }
        let alarmed = self.meet_drift(&typed, stored, &mut violations, &mut tally)?;
        self.check_rows(rows, &typed, stored, changes, &mut violations)?;
        // In a change log a key comes again and again.
        let repeated = match changes {
            None => self.check_unique(&typed, &masked, &mut violations, repeats)?,
            Some(_) => None,
        };
        tally.rows_repeated = repeated.as_ref().map_or(0, |rows| rows.true_count() as u64);
        tally.causes = violations.counts();
        Ok(Judged { violations, masked, failed, alarmed, evolved, repeated, tally })
    }

    /// One column against its type and rules.
    fn check(
        &self,
        column: &Column,
        property: &Property,
        raw: &ArrayRef,
        changes: Option<&Changes>,
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
            if let Some(changes) = changes {
                missing = parse::except(&missing, &changes.unsent(&property.name, property.primary_key.is_some()));
            }
            violations.mark(&missing, || cause("required", "is missing".into()));
        }
        Ok((values, failed))
    }

    /// Masks one column. A row whose value the mask could not hide falls, or loses that value.
    fn hide(
        &self,
        at: usize,
        typed: &[ArrayRef],
        failed: &mut Option<BooleanArray>,
        violations: &mut Violations,
        tally: &mut Tally,
    ) -> Result<Option<ArrayRef>> {
        let (column, property) = (&self.columns[at], &self.entity.properties[at]);
        let subjects = column.subject.map(|of| (&typed[of], self.entity.properties[of].classification.as_ref()));
        let mut masked = column.hide(property, &typed[at], subjects, tally)?;
        let mut refuse = |refused: BooleanArray, reason: &str| -> Result<()> {
            match self.drops(property) {
                true => tally.values_dropped += refused.true_count() as u64,
                false => violations.mark(&refused, || Cause::new("mask", Some(&property.name), reason)),
            }
            *failed = Some(match failed.take() {
                Some(failed) => or(&failed, &refused).map_err(|e| Error::internal("look for nulls", &e))?,
                None => refused,
            });
            Ok(())
        };
        if let Some((refused, reason)) = column.refused(&typed[at], masked.as_ref())? {
            refuse(refused, reason)?;
        }
        if let Some(values) = masked.as_ref().filter(|_| column.mask.is_some())
            && let Some(moved) = parse::beyond(values)
        {
            masked = Some(parse::blank(values, &moved)?);
            refuse(moved, &format!("its mask moves it out of the {}", parse::YEARS))?;
        }
        Ok(masked)
    }

    /// Whether a bad value of the property is put to null. A required one can't be.
    pub(super) fn drops(&self, property: &Property) -> bool {
        self.entity.on_violation == OnViolation::DropValue && !property.required
    }

    /// The rules over rows. Those that read what is masked already were held against it when it came in.
    fn check_rows(
        &self,
        rows: usize,
        typed: &[ArrayRef],
        stored: &[bool],
        changes: Option<&Changes>,
        violations: &mut Violations,
    ) -> Result<()> {
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
            let mut broken = rule.violates(&batch)?;
            if broken.len() != rows {
                return Err(Error::internal("check rows", format!("`{}` answered for other rows", rule.name())));
            }
            if let Some(changes) = changes {
                broken = and(&broken, &changes.told()).map_err(|e| Error::internal("check rows", &e))?;
            }
            violations.mark(&broken, || Cause::new(rule.rule(), rule.column(), rule.name()));
        }
        Ok(())
    }

    /// Keys are compared as they are stored, so that earlier runs count; a mask that can't be joined on leaves them
    /// comparable within the run only. Gives the rows that came before, where that may be.
    fn check_unique(
        &mut self,
        typed: &[ArrayRef],
        masked: &[Option<ArrayRef>],
        violations: &mut Violations,
        repeats: bool,
    ) -> Result<Option<BooleanArray>> {
        let Self { columns, unique, entity, .. } = self;
        let primary = entity.key();
        let mut repeated: Option<BooleanArray> = None;
        for key in unique.iter_mut() {
            let stored = |at: &usize| masked[*at].as_ref().filter(|_| columns[*at].is_joinable());
            let values: Vec<ArrayRef> = key.places.iter().map(|at| stored(at).unwrap_or(&typed[*at]).clone()).collect();
            let is_known = |row| repeated.as_ref().is_some_and(|rows| rows.value(row));
            let doubles = key.doubles(&values, |row| violations.is_bad(row) || is_known(row))?;
            if repeats && key.columns == primary {
                if !key.places.iter().all(|at| columns[*at].is_joinable()) {
                    return Err(uncomparable(&entity.name));
                }
                repeated = Some(doubles);
                continue;
            }
            violations
                .mark(&doubles, || Cause::new("unique", Some(&key.columns.join(", ")), "this key was seen before"));
        }
        Ok(repeated.filter(|rows| rows.true_count() > 0))
    }
}

/// A source that gives rows again, and a key by which they can't be told.
fn uncomparable(entity: &str) -> Error {
    Error::project(
        format!("take rows of `{entity}` in"),
        "its source may give a row again, and the mask of the primary key hides which: give the key a mask that can be \
         joined on, such as `pseudonym(scope)`",
    )
}

/// The property's column of the batch; one that is absent is null.
fn as_it_came(batch: &RecordBatch, property: &Property) -> ArrayRef {
    let column = batch.column_by_name(&property.name).cloned();
    column.unwrap_or_else(|| new_null_array(&DataType::Null, batch.num_rows()))
}

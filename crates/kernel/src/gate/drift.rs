//! Columns that nobody called personal and that begin to carry personal data.

use super::violations::{Cause, Violations};
use super::{Gate, Tally};
use crate::contract::{OnPersonalData, Property};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;

/// Values of a column and batch that are looked at as long as nothing was found. This bounds what the alarm costs; what
/// stands between them is seen when a later batch has it where it is looked for.
const SAMPLE: usize = 512;

impl Gate {
    /// Looks at columns without a mask that don't state to be harmless, and does with what it finds what the contract says.
    /// Gives the values found, per property.
    pub(super) fn meet_drift(
        &mut self,
        typed: &[ArrayRef],
        stored: &[bool],
        violations: &mut Violations,
        tally: &mut Tally,
    ) -> Result<Vec<Option<BooleanArray>>> {
        let mut alarmed = Vec::with_capacity(typed.len());
        for (at, values) in typed.iter().enumerate() {
            alarmed.push(match !stored[at] && self.is_watched(at) {
                true => self.look_for_drift(at, values, violations, tally)?,
                false => None,
            });
        }
        Ok(alarmed)
    }

    fn look_for_drift(
        &mut self,
        at: usize,
        values: &ArrayRef,
        violations: &mut Violations,
        tally: &mut Tally,
    ) -> Result<Option<BooleanArray>> {
        if !self.suspects.contains(&at) && self.screen.alarm(&sample(values)?, false).is_none() {
            return Ok(None);
        }
        self.suspects.insert(at);
        let Some(alarm) = self.screen.alarm(values, true) else { return Ok(None) };
        if alarm.rows.len() != values.len() {
            return Err(Error::internal("look for personal data", "the screen answered for other rows"));
        }
        let (property, count) = (&self.entity.properties[at], alarm.rows.true_count() as u64);
        *tally.undeclared.entry(format!("{}: {}", property.name, alarm.kind)).or_default() += count;
        match self.entity.on_personal_data {
            OnPersonalData::Warn => {}
            OnPersonalData::Quarantine => {
                let cause = || Cause::new("personal_data", Some(&property.name), remedy(&alarm.kind));
                violations.mark(&alarm.rows, cause);
            }
            OnPersonalData::Fail => {
                let what = format!("column `{}` of `{}`", property.name, self.entity.name);
                let detail = format!("{}; {count} values of this batch (on_personal_data: fail)", remedy(&alarm.kind));
                return Err(Error::refused(what, detail));
            }
        }
        Ok(Some(alarm.rows))
    }

    /// Whether values of the column are stored as they are, and could be somebody's.
    fn is_watched(&self, at: usize) -> bool {
        let property = &self.entity.properties[at];
        self.columns[at].mask.is_none() && !is_harmless(property) && may_hold(&property.data_type)
    }
}

/// Whether the contract says that nobody is in it.
fn is_harmless(property: &Property) -> bool {
    let class = property.classification.as_ref().map(|class| class.as_str());
    property.not_personal || class.is_some_and(|class| class.split('.').next() == Some("public"))
}

/// Dates, amounts and answers are nobody's number.
fn may_hold(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Int64 | DataType::UInt64 | DataType::Decimal128(_, 0) => true,
        nested => nested.is_nested(),
    }
}

/// What is wrong, and what to write; no value.
fn remedy(kind: &str) -> String {
    format!(
        "looks like personal data (`{kind}`), and the contract does not call the column personal: give it \
         `classification: personal.{kind}`, or, if it is nobody's, `classification: public` or the custom property \
         `holds_personal_data: false`"
    )
}

/// Values from all over the column, none of them null where there are others.
fn sample(values: &ArrayRef) -> Result<ArrayRef> {
    let there = values.len() - values.null_count();
    if values.len() <= SAMPLE {
        return Ok(values.clone());
    }
    let (count, stride) = (there.min(SAMPLE), there.max(1));
    let places: UInt64Array = match values.nulls() {
        None => (0..count).map(|n| (n * stride / count) as u64).collect(),
        Some(nulls) => {
            let valid: Vec<usize> = nulls.valid_indices().collect();
            (0..count).map(|n| valid[n * stride / count] as u64).collect()
        }
    };
    take(values, &places, None).map_err(|e| Error::internal("take a sample", "arrow refused it").because(e))
}

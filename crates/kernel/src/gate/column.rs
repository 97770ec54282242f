//! One column of the gate: its rules and its mask, compiled.

use super::rules::{self, ValueRule};
use super::violations::{Cause, Violations};
use super::{STAMPS, Tally, parse};
use crate::contract::Property;
use crate::error::{Error, Result};
use crate::mask::{Mask, MaskFactory};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

pub(super) struct Column {
    pub rules: Vec<ValueRule>,
    pub mask: Option<Box<dyn Mask>>,
    /// The masked type; `None` when the mask removes the column.
    pub output: Option<DataType>,
}

impl Column {
    pub fn compile(property: &Property, masks: &dyn MaskFactory) -> Result<Self> {
        if STAMPS.contains(&property.name.as_str()) {
            return Err(Error::project(
                format!("column `{}`", property.name),
                "this name is kept for the gate's own columns",
            ));
        }
        parse::check_format(property)?;
        let mut rules = rules::compile(property)?;
        let kept = parse::kept_type(&property.data_type);
        let Some(spec) = &property.mask else { return Ok(Self { rules, mask: None, output: Some(kept) }) };
        let mask = masks.build(spec, property.classification.as_ref())?;
        let output = mask.output(&kept)?;
        if let Some(constraints) = mask.limits(&kept) {
            rules.extend(rules::compile(&Property { constraints, ..property.clone() })?);
        }
        Ok(Self { rules, mask: Some(mask), output })
    }

    /// Masks a whole column and counts what was hidden.
    pub fn hide(&self, property: &Property, values: &ArrayRef, tally: &mut Tally) -> Result<Option<ArrayRef>> {
        let Some(mask) = &self.mask else { return Ok(Some(values.clone())) };
        let kind = property.classification.as_ref().and_then(|c| c.kind()).unwrap_or(&property.name);
        *tally.masked.entry(kind.to_owned()).or_default() += (values.len() - values.null_count()) as u64;
        match &self.output {
            None => Ok(None),
            Some(_) => mask.apply(values).map(Some),
        }
    }

    /// The text of masked values back to the type that the mask makes.
    pub fn take_back(
        &self,
        property: &Property,
        text: &ArrayRef,
        violations: &mut Violations,
    ) -> Result<Option<ArrayRef>> {
        let Some(output) = &self.output else { return Ok(None) };
        let stored = Property { data_type: output.clone(), format: None, decimal_comma: false, ..property.clone() };
        let parsed = parse::parse(text, &stored)?;
        if let Some(failed) = &parsed.failed {
            violations.mark(failed, || Cause::new("type", Some(&property.name), "was masked to another type"));
        }
        Ok(Some(parsed.values))
    }

    /// Whether equal values stay equal in the table, so that a key can be held against it.
    pub fn is_joinable(&self) -> bool {
        self.mask.as_ref().is_none_or(|mask| mask.promise().joinable)
    }
}

/// How a column is masked, to know later whether a value was masked in the way that the contract asks for then.
pub(super) fn mask_record(property: &Property) -> Option<String> {
    let spec = property.mask.as_ref()?;
    Some(match &property.classification {
        Some(class) => format!("{spec} {class}"),
        None => spec.to_string(),
    })
}

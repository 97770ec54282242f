//! One column of the gate: its rules and its mask, compiled.

use super::names::is_stamp;
use super::rules::{self, ValueRule};
use super::violations::{Cause, Violations};
use super::{Tally, parse};
use crate::classification::Classification;
use crate::contract::{Entity, Property};
use crate::error::{Error, Result};
use crate::mask::{Mask, MaskFactory};
use crate::suggest;
use arrow::array::{Array, ArrayRef, BooleanArray, new_empty_array};
use arrow::compute::{and, is_not_null, is_null};
use arrow::datatypes::DataType;

pub(super) struct Column {
    pub rules: Vec<ValueRule>,
    pub mask: Option<Box<dyn Mask>>,
    /// The masked type; `None` when the mask removes the column.
    pub output: Option<DataType>,
    /// The place of the property that tells the mask whose a row is.
    pub subject: Option<usize>,
}

impl Column {
    pub fn compile(property: &Property, entity: &Entity, masks: &dyn MaskFactory) -> Result<Self> {
        if is_stamp(&property.name) {
            return Err(kept(&property.name));
        }
        parse::check_format(property)?;
        let mut rules = rules::compile(property)?;
        let kept = parse::kept_type(&property.data_type);
        let Some(spec) = &property.mask else {
            return Ok(Self { rules, mask: None, output: Some(kept), subject: None });
        };
        let mask = masks.build(spec, property.classification.as_ref())?;
        let output = mask.output(&kept)?;
        if let Some(constraints) = mask.limits(&kept) {
            rules.extend(rules::compile(&Property { constraints, ..property.clone() })?);
        }
        let subject = subject(&*mask, property, entity)?;
        Ok(Self { rules, mask: Some(mask), output, subject })
    }

    /// Masks a whole column and counts what was hidden. `subjects` are the values of [`Self::subject`] and their class.
    pub fn hide(
        &self,
        property: &Property,
        values: &ArrayRef,
        subjects: Option<(&ArrayRef, Option<&Classification>)>,
        tally: &mut Tally,
    ) -> Result<Option<ArrayRef>> {
        let Some(mask) = &self.mask else { return Ok(Some(values.clone())) };
        let kind = property.classification.as_ref().and_then(|c| c.kind()).unwrap_or(&property.name);
        *tally.masked.entry(kind.to_owned()).or_default() += (values.len() - values.null_count()) as u64;
        match (&self.output, subjects) {
            (None, _) => Ok(None),
            (Some(_), None) => mask.apply(values).map(Some),
            (Some(_), Some((subjects, class))) => mask.apply_for(values, subjects, class).map(Some),
        }
    }

    /// The rows whose value the mask could not hide, and why.
    pub fn refused(&self, values: &ArrayRef, masked: Option<&ArrayRef>) -> Result<Option<(BooleanArray, &str)>> {
        let reason = self.mask.as_ref().and_then(|mask| mask.refusal());
        let (Some(reason), Some(masked)) = (reason, masked) else { return Ok(None) };
        let fault = |e| Error::internal("look for what a mask refused", &e);
        let refused = and(&is_not_null(values).map_err(fault)?, &is_null(masked).map_err(fault)?).map_err(fault)?;
        Ok((refused.true_count() > 0).then_some((refused, reason)))
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

/// A column of the contract with the name of one that the gate adds.
pub(super) fn kept(name: &str) -> Error {
    Error::project(format!("column `{name}`"), "this name is kept for the gate's own columns")
}

/// The place of the property that the mask names as its subject, which must be of a type that the mask takes.
fn subject(mask: &dyn Mask, property: &Property, entity: &Entity) -> Result<Option<usize>> {
    let Some(name) = mask.subject() else { return Ok(None) };
    let names = || entity.properties.iter().map(|p| p.name.as_str());
    let Some(at) = names().position(|known| known == name) else {
        let hint = suggest::hint(name, names()).unwrap_or_default();
        return Err(Error::project(format!("`subject: {name}`"), format!("the table has no such column; {hint}")));
    };
    let none = |of: &Property| new_empty_array(&parse::kept_type(&of.data_type));
    let class = entity.properties[at].classification.as_ref();
    mask.apply_for(&none(property), &none(&entity.properties[at]), class)?;
    Ok(Some(at))
}

/// How a column is masked, to know later whether a value was masked in the way that the contract asks for then.
pub(super) fn mask_record(property: &Property) -> Option<String> {
    let spec = property.mask.as_ref()?;
    Some(match &property.classification {
        Some(class) => format!("{spec} {class}"),
        None => spec.to_string(),
    })
}

//! A column.

use super::custom::{self, Level};
use super::notes::Notes;
use super::{limits, nested, resolve};
use crate::odcs::model;
use kernel::Classification;
use kernel::contract::Property;

/// Reads a column; its rules are read with its table's.
pub(super) fn read(property: &model::Property, path: &str, notes: &mut Notes) -> Property {
    let typed = resolve::column(property, path, notes);
    let customs = format!("{path}.customProperties");
    custom::misplaced(property.custom_properties.as_deref(), &customs, Level::Column, notes);
    let own = custom::column(property.custom_properties.as_deref(), &customs, notes);
    let mut column = Property {
        name: property.name.clone().unwrap_or_default(),
        description: property.description.clone(),
        data_type: typed.data_type.clone(),
        required: property.required.unwrap_or(false),
        unique: property.unique.unwrap_or(false),
        primary_key: None,
        constraints: Default::default(),
        classification: classification(property, path, notes),
        mask: own.mask,
        format: typed.format.clone(),
        decimal_comma: own.decimal_comma,
        not_personal: own.not_personal,
    };
    if column.name.trim().is_empty() {
        notes.error(&format!("{path}.name"), "a column needs a name");
    }
    if let Some(physical) = property.physical_name.as_ref().filter(|physical| **physical != column.name) {
        let message = format!("columns are found by `name`: `{}` is, `{physical}` is not", column.name);
        notes.warn(&format!("{path}.physicalName"), message);
    }
    if own.not_personal && column.classification.as_ref().is_some_and(Classification::is_personal) {
        notes.error(&customs, "`holds_personal_data: false`, and its `classification` says otherwise");
    }
    if own.decimal_comma && !(column.data_type.is_numeric()) {
        notes.error(&customs, "`decimal_separator` is for numbers, and this column holds none");
    }
    limits::read(property, &typed, path, &mut column, notes);
    nested::check(property, &column, path, notes);
    column
}

/// What a column says about people. A class that was meant to say so and does not would be stored raw.
pub(super) fn classification(property: &model::Property, path: &str, notes: &mut Notes) -> Option<Classification> {
    let class = property.classification.clone().map(Classification::new)?;
    if let Some(meant) = class.meant() {
        let here = format!("{path}.classification");
        let message =
            format!("`{}` is no class of personal data, so the column would be stored as it is", notes.written(&here));
        let help = notes.why(&here, format!("did you mean `{meant}`?"));
        notes.error_help(&here, message, help);
    }
    Some(class)
}

//! What stands inside of a column: the gate parses it, and masks and rules are for whole columns.

use super::custom::{self, Level};
use super::notes::Notes;
use crate::odcs::MASK;
use crate::odcs::model::{self, LogicalTypeOptions};
use kernel::contract::Property;

/// Refuses what would stay unmasked without anybody noticing, and says which rules are not held.
pub(super) fn check(property: &model::Property, column: &Property, path: &str, notes: &mut Notes) {
    each(property, path, &mut |inner, here| {
        let masked = inner.custom_properties.iter().flatten().position(|custom| custom.property == MASK);
        if let Some(place) = masked {
            let message = "a mask hides a whole column, not a part of it";
            let help = format!("put it on `{}`", column.name);
            notes.error_help(&format!("{here}.customProperties[{place}]"), message, help);
        }
        let customs = format!("{here}.customProperties");
        custom::near_misses(inner.custom_properties.as_deref(), &customs, Level::Column, notes);
        let personal = super::column::classification(inner, here, notes).is_some_and(|class| class.is_personal());
        if personal && masked.is_none() && column.mask.is_none() && column.classification.is_none() {
            notes.error_help(
                &format!("{here}.classification"),
                "personal data inside of a column can't be masked by itself",
                format!("give `{}` a mask or a classification", column.name),
            );
        }
        if let Some(rule) = rule(inner) {
            let message = format!("`{rule}` is not held inside of `{}`: rules are for whole columns", column.name);
            notes.warn(&format!("{here}.{rule}"), message);
        }
    });
}

fn each(property: &model::Property, path: &str, visit: &mut dyn FnMut(&model::Property, &str)) {
    let mut children: Vec<(String, &model::Property)> = Vec::new();
    for (place, child) in property.properties.iter().flatten().enumerate() {
        children.push((format!("{path}.properties[{place}]"), child));
    }
    children.extend(property.items.iter().map(|items| (format!("{path}.items"), &**items)));
    if let Some(map) = &property.map {
        children.extend([(format!("{path}.map.key"), &map.key), (format!("{path}.map.value"), &map.value)]);
    }
    for (here, child) in children {
        visit(child, &here);
        each(child, &here, visit);
    }
}

/// The first rule of a property, by the name of its field.
fn rule(property: &model::Property) -> Option<&'static str> {
    let how_written = LogicalTypeOptions {
        format: None,
        timezone: None,
        default_timezone: None,
        dimensions: None,
        element_type: None,
        ..property.logical_type_options.clone().unwrap_or_default()
    };
    let rules = [
        ("required", property.required == Some(true)),
        ("unique", property.unique == Some(true)),
        ("quality", property.quality.as_ref().is_some_and(|rules| !rules.is_empty())),
        ("enum", property.accepted.is_some()),
        ("logicalTypeOptions", how_written != LogicalTypeOptions::default()),
    ];
    rules.iter().find(|(_, there)| *there).map(|(name, _)| *name)
}

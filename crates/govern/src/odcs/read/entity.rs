//! A table.

use super::custom::{self, Level, Policy};
use super::notes::Notes;
use super::{column, quality};
use crate::odcs::Odcs;
use crate::odcs::model::{ObjectType, SchemaObject};
use kernel::contract::{Entity, Property};
use std::collections::HashMap;

/// Reads a schema object; a blob is no table, so there is none.
pub(super) fn read(object: &SchemaObject, path: &str, policy: &Policy, notes: &mut Notes) -> Option<Entity> {
    if object.logical_type == Some(ObjectType::Blob) {
        notes.warn(
            &format!("{path}.logicalType"),
            format!("`{}` is a blob, not a table: nothing is taken in", object.name),
        );
        return None;
    }
    let customs = format!("{path}.customProperties");
    let own = custom::policy(object.custom_properties.as_deref(), &customs, notes);
    custom::misplaced(object.custom_properties.as_deref(), &customs, Level::Table, notes);
    let columns = object.properties.as_deref().unwrap_or_default();
    let mut properties: Vec<Property> = Vec::new();
    for (place, property) in columns.iter().enumerate() {
        properties.push(column::read(property, &format!("{path}.properties[{place}]"), notes));
    }
    unique_columns(&properties, path, notes);
    primary_key(object, &mut properties, path, notes);
    let mut rules = quality::Rules::new(object);
    rules.table(&mut properties, path, notes);
    for (place, property) in columns.iter().enumerate() {
        rules.column(property, &mut properties[place], &format!("{path}.properties[{place}]"), notes);
    }
    Some(Entity {
        name: object.name.clone(),
        description: object.description.clone(),
        properties,
        rules: rules.finish(),
        on_violation: own.on_violation.or(policy.on_violation).unwrap_or_default(),
        schema_change: own.schema_change.or(policy.schema_change).unwrap_or_default(),
        on_personal_data: own.on_personal_data.or(policy.on_personal_data).unwrap_or_default(),
    })
}

/// Delta and most databases take `Id` and `id` for the same.
fn unique_columns(properties: &[Property], path: &str, notes: &mut Notes) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (place, property) in properties.iter().enumerate() {
        if let Some(first) = seen.insert(property.name.to_lowercase(), place) {
            let name = |place: usize| format!("{path}.properties[{place}].name");
            let (this, other) = (notes.written(&name(place)), notes.written(&name(first)));
            notes.error_help(
                &name(place),
                format!("there are two columns `{this}`"),
                format!("the first one is `{other}`"),
            );
        }
    }
}

pub(super) fn unique_names(odcs: &Odcs, notes: &mut Notes) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (place, object) in odcs.schema.iter().flatten().enumerate() {
        if seen.insert(object.name.to_lowercase(), place).is_some() {
            let name = format!("schema[{place}].name");
            notes.error(&name, format!("there are two tables `{}`", notes.written(&name)));
        }
    }
}

/// Numbers the key's columns: as written, or by their order when no position is.
fn primary_key(object: &SchemaObject, properties: &mut [Property], path: &str, notes: &mut Notes) {
    let columns = object.properties.as_deref().unwrap_or_default();
    let mut taken: Vec<(u32, usize)> = Vec::new();
    let mut without: Vec<usize> = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        let here = format!("{path}.properties[{place}]");
        // The standard's own examples write -1 for "no position".
        let position = column.primary_key_position.filter(|position| *position > 0);
        match (column.primary_key == Some(true), position.map(u32::try_from)) {
            (true, None) => without.push(place),
            (true, Some(Ok(position))) => taken.push((position, place)),
            (false, Some(_)) => notes.error_help(
                &format!("{here}.primaryKeyPosition"),
                format!("`{}` has a place in the primary key and is not in it", properties[place].name),
                "write `primaryKey: true`, or take the position away",
            ),
            (true, Some(Err(_))) => notes.error(&format!("{here}.primaryKeyPosition"), "this is not a position"),
            (false, None) => {}
        }
        if column.primary_key == Some(true) && properties[place].data_type.is_nested() {
            notes.error(&format!("{here}.primaryKey"), "a column with parts can't be in a primary key");
        }
    }
    if let (Some(place), false) = (without.first(), taken.is_empty()) {
        let here = format!("{path}.properties[{place}].primaryKey");
        return notes.error(&here, "this column of the primary key has no `primaryKeyPosition`, and others have");
    }
    taken.extend(without.into_iter().enumerate().map(|(order, place)| (order as u32 + 1, place)));
    taken.sort_unstable();
    for pair in taken.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let here = format!("{path}.properties[{}].primaryKeyPosition", pair[1].1);
        notes.error(&here, format!("two columns have place {} in the primary key", pair[1].0));
    }
    for (position, place) in taken {
        properties[place].primary_key = Some(position);
    }
}

//! The schema of what a contract lets through, in each of the three languages: columns as they are stored, so masked ones
//! have the type that their mask makes.
//!
//! A column that may be missing has null for its default, so one that is added breaks nobody. Decimals are exact everywhere.

mod avro;
mod json;
mod protobuf;
#[cfg(test)]
mod tests;

use super::schema::{Definition, SchemaType};
use arrow::datatypes::{DataType, Fields, Schema};
use kernel::Entity;
use kernel::error::{Error, Result};
use std::collections::BTreeSet;

/// A column, or a part of one.
struct Column<'a> {
    /// The name that the languages allow: letters, digits and `_`.
    name: String,
    /// The contract's own, when that is another one.
    written: Option<&'a str>,
    doc: Option<&'a str>,
    of: &'a DataType,
    may_be_null: bool,
}

/// What a schema is made of.
struct Table<'a> {
    /// `shop.bronze`
    space: String,
    name: String,
    doc: Option<&'a str>,
    columns: Vec<Column<'a>>,
}

/// The schema of an entity as it is `stored`, without the columns that say where a row came from. `space` is where it
/// belongs: project and layer. Protobuf numbers its fields, and a field keeps the number that it has in the schema `before`.
pub fn definition(
    schema_type: SchemaType,
    space: &str,
    entity: &Entity,
    stored: &Schema,
    before: Option<&Definition>,
) -> Result<Definition> {
    let table = Table {
        space: space.split('.').map(identifier).collect::<Vec<_>>().join("."),
        name: identifier(&entity.name),
        doc: entity.description.as_deref(),
        columns: columns(entity, stored),
    };
    let schema = match schema_type {
        SchemaType::Avro => avro::schema(&table)?.to_string(),
        SchemaType::Json => json::schema(&table)?.to_string(),
        SchemaType::Protobuf => protobuf::schema(&table, before.map(|one| one.schema.as_str()))?,
    };
    Ok(Definition { schema_type, schema, ..Definition::default() })
}

fn columns<'a>(entity: &'a Entity, stored: &'a Schema) -> Vec<Column<'a>> {
    let mut taken = BTreeSet::new();
    let kept =
        entity.properties.iter().filter_map(|property| Some((property, stored.field_with_name(&property.name).ok()?)));
    kept.map(|(property, field)| {
        let is_nulled = property.mask.as_ref().is_some_and(|mask| mask.name == "null");
        let may_be_null = !property.required && property.primary_key.is_none() || is_nulled;
        column(&property.name, property.description.as_deref(), field.data_type(), may_be_null, &mut taken)
    })
    .collect()
}

/// The parts of an object.
fn parts(fields: &Fields) -> Vec<Column<'_>> {
    let mut taken = BTreeSet::new();
    fields.iter().map(|field| column(field.name(), None, field.data_type(), field.is_nullable(), &mut taken)).collect()
}

fn column<'a>(
    name: &'a str,
    doc: Option<&'a str>,
    of: &'a DataType,
    may_be_null: bool,
    taken: &mut BTreeSet<String>,
) -> Column<'a> {
    let wanted = identifier(name);
    let mut own = wanted.clone();
    let mut number = 2;
    while !taken.insert(own.to_lowercase()) {
        own = format!("{wanted}_{number}");
        number += 1;
    }
    Column { written: (own != name).then_some(name), name: own, doc, of, may_be_null }
}

/// The name with `_` for every sign that the languages don't allow in one.
fn identifier(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// `PaymentsAddress` for the parts of `address` in `payments`.
fn inner_name(outer: &str, column: &str) -> String {
    let mut out = outer.to_owned();
    for word in column.split('_').filter(|word| !word.is_empty()) {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.extend(letters);
    }
    out
}

fn no_type(column: &Column<'_>, language: &str) -> Error {
    Error::project(
        format!("make the {language} schema of a contract"),
        format!(
            "the column `{}` has a type that {language} has no word for: {}",
            column.written.unwrap_or(&column.name),
            column.of
        ),
    )
}

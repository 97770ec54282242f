//! A contract as an ODCS file, tidy and always in the same order. Reading it gives the same contract.

mod column;
mod rules;
mod yaml;

use super::{ON_PERSONAL_DATA, ON_VIOLATION, SCHEMA_CHANGE};
use crate::odcs::read::words;
use arrow::datatypes::DataType;
use kernel::contract::{Contract, Entity, OnPersonalData, OnViolation, SchemaChange};
use yaml::{Fields, Yaml};

/// Writes v3.1.0; a contract with a map, which v3.1 does not know, is v3.2.0.
pub fn write(contract: &Contract) -> String {
    let columns = || contract.entities.iter().flat_map(|entity| &entity.properties);
    let version = if columns().any(|column| has_map(&column.data_type)) { "v3.2.0" } else { "v3.1.0" };
    let mut fields: Fields = vec![
        ("apiVersion", Yaml::Word(version.into())),
        ("kind", Yaml::Word("DataContract".into())),
        ("id", Yaml::Text(contract.id.clone())),
        ("version", Yaml::Text(contract.version.clone())),
        ("status", Yaml::Word("active".into())),
    ];
    // What holds for all tables is said once; what does not, by each table for itself.
    let violation = shared(contract, |entity| entity.on_violation);
    let change = shared(contract, |entity| entity.schema_change);
    let personal = shared(contract, |entity| entity.on_personal_data);
    let own = |entity: &Entity| {
        let violation = violation.is_none().then_some(entity.on_violation);
        let personal = personal.is_none().then_some(entity.on_personal_data);
        policy(violation, change.is_none().then_some(entity.schema_change), personal)
    };
    if !contract.entities.is_empty() {
        let tables = contract.entities.iter().map(|entity| table(entity, own(entity)));
        fields.push(("schema", Yaml::Lines(tables.collect())));
    }
    if let Some(owner) = &contract.owner {
        fields.push(("team", Yaml::Map(vec![("name", Yaml::Text(owner.clone()))])));
    }
    if let Some(days) = contract.retention_days {
        let retention = vec![("property", word("retention")), ("value", word(&days.to_string())), ("unit", word("d"))];
        fields.push(("slaProperties", Yaml::List(vec![Yaml::Map(retention)])));
    }
    let change = change.filter(|change| *change != SchemaChange::default());
    let policy = policy(violation, change, personal.filter(|personal| *personal != OnPersonalData::default()));
    if !policy.is_empty() {
        fields.push(("customProperties", Yaml::List(policy)));
    }
    yaml::document(&fields)
}

fn word(text: &str) -> Yaml {
    Yaml::Word(text.into())
}

fn has_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_map(field.data_type())),
        DataType::List(item) => has_map(item.data_type()),
        _ => false,
    }
}

fn shared<T: PartialEq>(contract: &Contract, of: impl Fn(&Entity) -> T) -> Option<T> {
    let first = of(contract.entities.first()?);
    contract.entities.iter().all(|entity| of(entity) == first).then_some(first)
}

fn policy(violation: Option<OnViolation>, change: Option<SchemaChange>, personal: Option<OnPersonalData>) -> Vec<Yaml> {
    let mut customs = Vec::new();
    customs.extend(violation.map(|value| custom(ON_VIOLATION, word(words::on_violation(value)))));
    customs.extend(change.map(|value| custom(SCHEMA_CHANGE, word(words::schema_change(value)))));
    customs.extend(personal.map(|value| custom(ON_PERSONAL_DATA, word(words::on_personal_data(value)))));
    customs
}

fn custom(property: &str, value: Yaml) -> Yaml {
    Yaml::Map(vec![("property", word(property)), ("value", value)])
}

fn table(entity: &Entity, policy: Vec<Yaml>) -> Yaml {
    let mut fields: Fields = vec![("name", Yaml::Text(entity.name.clone()))];
    fields.extend(entity.description.clone().map(|text| ("description", Yaml::Text(text))));
    let columns: Vec<Yaml> = entity.properties.iter().map(|property| column::column(property, entity)).collect();
    if !columns.is_empty() {
        fields.push(("properties", Yaml::Lines(columns)));
    }
    let rules: Vec<Yaml> = entity.rules.iter().filter(|rule| rule.property.is_none()).map(rules::sql).collect();
    if !rules.is_empty() {
        fields.push(("quality", Yaml::List(rules)));
    }
    if !policy.is_empty() {
        fields.push(("customProperties", Yaml::List(policy)));
    }
    Yaml::Map(fields)
}

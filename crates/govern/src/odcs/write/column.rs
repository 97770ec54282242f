//! A column, and what stands inside of one.

use super::yaml::{Fields, Yaml};
use super::{custom, rules, word};
use crate::odcs::{DECIMAL_SEPARATOR, HOLDS_PERSONAL_DATA, MASK, TIME, pattern, physical};
use arrow::datatypes::{DataType, Field};
use kernel::contract::{Bound, Constraints, Entity, Property};

pub(super) fn column(property: &Property, entity: &Entity) -> Yaml {
    let time = time_format(property);
    let mut fields: Fields = vec![("name", Yaml::Text(property.name.clone()))];
    let logical = if time.is_some() { "time" } else { logical(&property.data_type) };
    fields.push(("logicalType", word(logical)));
    fields.extend(physical::name(&property.data_type).map(|name| ("physicalType", Yaml::Text(name))));
    let options = options(property, time);
    if !options.is_empty() {
        fields.push(("logicalTypeOptions", Yaml::Map(options)));
    }
    if let Some(place) = property.primary_key {
        fields.push(("primaryKey", word("true")));
        if entity.key().len() > 1 || place != 1 {
            fields.push(("primaryKeyPosition", word(&place.to_string())));
        }
    }
    let flags = [("required", property.required), ("unique", property.unique)];
    fields.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name, word("true"))));
    fields.extend(property.classification.as_ref().map(|class| ("classification", Yaml::Text(class.to_string()))));
    fields.extend(property.description.clone().map(|text| ("description", Yaml::Text(text))));
    fields.extend(inside(&property.data_type));
    let quality = rules::of(property, entity);
    if !quality.is_empty() {
        fields.push(("quality", Yaml::List(quality)));
    }
    let mut customs = Vec::new();
    customs.extend(property.mask.as_ref().map(|mask| custom(MASK, Yaml::Text(mask.to_string()))));
    customs.extend(property.decimal_comma.then(|| custom(DECIMAL_SEPARATOR, Yaml::Text(",".into()))));
    customs.extend(property.not_personal.then(|| custom(HOLDS_PERSONAL_DATA, word("false"))));
    if !customs.is_empty() {
        fields.push(("customProperties", Yaml::List(customs)));
    }
    Yaml::Map(fields)
}

fn logical(data_type: &DataType) -> &'static str {
    match data_type {
        t if t.is_integer() => "integer",
        t if t.is_numeric() => "number",
        DataType::Boolean => "boolean",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(..) => "timestamp",
        DataType::Struct(_) => "object",
        DataType::List(_) | DataType::LargeList(_) => "array",
        DataType::Map(..) => "map",
        _ => "string",
    }
}

/// The fields that say what stands inside of a nested type.
fn inside(data_type: &DataType) -> Option<(&'static str, Yaml)> {
    match data_type {
        DataType::Struct(fields) => {
            Some(("properties", Yaml::List(fields.iter().map(|field| part(field, true)).collect())))
        }
        DataType::List(item) | DataType::LargeList(item) => Some(("items", part(item, false))),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                Some(("map", Yaml::Map(vec![("key", part(&pair[0], false)), ("value", part(&pair[1], false))])))
            }
            _ => None,
        },
        _ => None,
    }
}

fn part(field: &Field, named: bool) -> Yaml {
    let mut fields: Fields = Vec::new();
    fields.extend(named.then(|| ("name", Yaml::Text(field.name().clone()))));
    fields.push(("logicalType", word(logical(field.data_type()))));
    fields.extend(physical::name(field.data_type()).map(|name| ("physicalType", Yaml::Text(name))));
    fields.extend(inside(field.data_type()));
    Yaml::Map(fields)
}

/// The format of a text that is a time of day: only those have bounds, which other text can't have in ODCS.
fn time_format(property: &Property) -> Option<Option<&'static str>> {
    let limits = &property.constraints;
    let pattern = limits.pattern.as_deref().filter(|_| limits.min.is_some() || limits.max.is_some())?;
    if pattern == TIME {
        return Some(None);
    }
    let known = ["HH:mm", "HH:mm:ss", "HH:mm:ss.SSS", "HH:mm:ss.SSSSSS", "H:mm", "hh:mm a"];
    known.into_iter().find(|format| pattern::time_regex(format).is_ok_and(|regex| regex == pattern)).map(Some)
}

fn options(property: &Property, time: Option<Option<&str>>) -> Fields {
    let Constraints { pattern, min, max, min_length, max_length, multiple_of, .. } = &property.constraints;
    let mut options: Fields = Vec::new();
    let text = property.data_type == DataType::Utf8;
    if let Some(format) = time {
        options.extend(format.map(|format| ("format", Yaml::Text(format.into()))));
    } else if text {
        options.extend(min_length.map(|n| ("minLength", word(&n.to_string()))));
        options.extend(max_length.map(|n| ("maxLength", word(&n.to_string()))));
        options.extend(pattern.clone().map(|pattern| ("pattern", Yaml::Text(pattern))));
        return options;
    }
    let is_text = matches!(property.data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    let written = |format: &str| if is_text { format.to_owned() } else { pattern::to_jdk(format) };
    options.extend(property.format.as_deref().map(|format| ("format", Yaml::Text(written(format)))));
    let numeric = property.data_type.is_numeric();
    let mut bound = |plain: &'static str, exclusive: &'static str, bound: &Option<Bound>| {
        let Some(Bound { value, exclusive: is_exclusive }) = bound else { return };
        let value = if numeric { word(value) } else { Yaml::Text(value.clone()) };
        options.push((if *is_exclusive { exclusive } else { plain }, value));
    };
    bound("minimum", "exclusiveMinimum", min);
    bound("maximum", "exclusiveMaximum", max);
    options.extend(multiple_of.as_deref().map(|step| ("multipleOf", word(step))));
    options
}

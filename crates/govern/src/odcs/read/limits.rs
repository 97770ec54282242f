//! `logicalTypeOptions` and `enum` as bounds on single values.

use super::notes::Notes;
use super::resolve::Typed;
use super::value::{self, Value};
use crate::odcs::model::{self, LogicalType, LogicalTypeOptions};
use kernel::contract::{Bound, Constraints, Property};
use regex::Regex;
use std::cmp::Ordering;

/// Fills the column's constraints; one that contradicts another or the column's type is an error.
pub(super) fn read(property: &model::Property, typed: &Typed, path: &str, column: &mut Property, notes: &mut Notes) {
    let none = LogicalTypeOptions::default();
    let options = property.logical_type_options.as_ref().unwrap_or(&none);
    let here = format!("{path}.logicalTypeOptions");
    misplaced(typed.logical, &here, notes);
    let mut limits = Constraints::default();
    lengths(options, typed, &here, &mut limits, notes);
    limits.pattern = pattern(options, typed, &here, notes);
    let bounds = Bounds { typed, path: &here };
    let min = bounds.read("minimum", "exclusiveMinimum", options.exclusive_minimum.as_ref(), notes);
    let max = bounds.read("maximum", "exclusiveMaximum", options.exclusive_maximum.as_ref(), notes);
    bounds.contradict(min.as_ref(), max.as_ref(), notes);
    let range = |text: &str| Bound { value: text.into(), exclusive: false };
    limits.min = min.map(|(bound, _)| bound).or_else(|| typed.range.map(|(least, _)| range(least)));
    limits.max = max.map(|(bound, _)| bound).or_else(|| typed.range.map(|(_, most)| range(most)));
    if options.multiple_of.is_some() {
        limits.multiple_of = multiple_of(typed, &format!("{here}.multipleOf"), notes);
    }
    column.constraints = limits;
    if let Some(values) = &property.accepted {
        let places = (0..values.len()).map(|place| format!("{path}.enum[{place}].value"));
        accept(column, places.collect(), &format!("{path}.enum"), notes);
    }
}

/// Options that the standard has for each logical type.
fn known(logical: LogicalType) -> &'static [&'static str] {
    match logical {
        LogicalType::String => &["minLength", "maxLength", "pattern", "format"],
        LogicalType::Date => &["format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
        LogicalType::Timestamp | LogicalType::Time => {
            &["format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "timezone", "defaultTimezone"]
        }
        LogicalType::Integer | LogicalType::Number => {
            &["format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]
        }
        LogicalType::Object => &["minProperties", "maxProperties", "required"],
        LogicalType::Array => &["minItems", "maxItems", "uniqueItems"],
        LogicalType::Vector => {
            &["dimensions", "elementType", "distanceMetric", "embeddingModel", "embeddingModelVersion", "normalized"]
        }
        LogicalType::Boolean | LogicalType::Map => &[],
    }
}

fn misplaced(logical: LogicalType, path: &str, notes: &mut Notes) {
    for field in notes.fields(path) {
        if !known(logical).contains(&field) {
            let message = match known(logical) {
                [] => format!("`{field}` says nothing here: the type has no options"),
                known => format!("`{field}` says nothing here: the type has {}", known.join(", ")),
            };
            notes.error(&format!("{path}.{field}"), message);
        } else if logical == LogicalType::Object {
            notes.warn(&format!("{path}.{field}"), format!("`{field}` is not held: rules are for whole columns"));
        }
    }
}

fn lengths(options: &LogicalTypeOptions, typed: &Typed, path: &str, limits: &mut Constraints, notes: &mut Notes) {
    let length = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
    limits.min_length = length(options.min_length);
    limits.max_length = length(options.max_length).into_iter().chain(typed.max_length).min();
    if let (Some(min), Some(max)) = (limits.min_length, limits.max_length)
        && min > max
    {
        let message = format!("at least {min} and at most {max} characters: no text is both");
        notes.error(&format!("{path}.minLength"), message);
    }
}

fn pattern(options: &LogicalTypeOptions, typed: &Typed, path: &str, notes: &mut Notes) -> Option<String> {
    let Some(pattern) = &options.pattern else { return typed.pattern.clone() };
    compile(pattern, &format!("{path}.pattern"), notes).then(|| pattern.clone())
}

/// Whether the pattern is a regular expression that the gate can run.
pub(super) fn compile(pattern: &str, path: &str, notes: &mut Notes) -> bool {
    // The library's own message shows the pattern over several lines; the file does that already.
    let why = match Regex::new(&format!("^(?:{pattern})$")) {
        Ok(_) => return true,
        Err(regex::Error::CompiledTooBig(_)) => "it is too large".to_owned(),
        Err(error) => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    notes.error(path, format!("this pattern can't be used: {why}"));
    false
}

struct Bounds<'a> {
    typed: &'a Typed,
    path: &'a str,
}

type Limit = (Bound, Value);

impl Bounds<'_> {
    /// A bound: v3.1 gives an exclusive one its own value, v3.0 says of the other one that it is exclusive.
    fn read(&self, name: &str, exclusive: &str, flag: Option<&serde_json::Value>, notes: &mut Notes) -> Option<Limit> {
        let (plain, own) = (format!("{}.{name}", self.path), format!("{}.{exclusive}", self.path));
        match (notes.text(&plain).is_some(), flag) {
            (true, Some(serde_json::Value::Bool(exclusive))) => self.value(&plain, *exclusive, notes),
            (false, Some(serde_json::Value::Bool(true))) => {
                notes.error(&own, format!("`{exclusive}: true` is about `{name}`, which is not there"));
                None
            }
            (true, Some(_)) => {
                notes.error(&own, format!("write `{name}` or `{exclusive}`, not both"));
                None
            }
            (true, None) => self.value(&plain, false, notes),
            (false, Some(serde_json::Value::Bool(false)) | None) => None,
            (false, Some(_)) => self.value(&own, true, notes),
        }
    }

    fn value(&self, path: &str, exclusive: bool, notes: &mut Notes) -> Option<Limit> {
        match value::read(notes.text(path)?, &self.typed.data_type, self.typed.format.as_deref()) {
            Ok(value) => Some((Bound { value: value.text.clone(), exclusive }, value)),
            Err(why) => {
                notes.error(path, format!("`{}` {why}", notes.written(path)));
                None
            }
        }
    }

    fn contradict(&self, min: Option<&Limit>, max: Option<&Limit>, notes: &mut Notes) {
        let (Some((least, a)), Some((most, b))) = (min, max) else { return };
        let empty = match a.cmp(b) {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => least.exclusive || most.exclusive,
            _ => false,
        };
        if empty {
            let field = if most.exclusive && notes.text(&format!("{}.maximum", self.path)).is_none() {
                "exclusiveMaximum"
            } else {
                "maximum"
            };
            notes.error(&format!("{}.{field}", self.path), "no value is above the minimum and below this");
        }
    }
}

fn multiple_of(typed: &Typed, path: &str, notes: &mut Notes) -> Option<String> {
    let why = match value::read(notes.text(path)?, &typed.data_type, None) {
        Ok(step) if step.is_positive() => return Some(step.text),
        Ok(_) => "must be more than 0".to_owned(),
        Err(why) => why,
    };
    notes.error(path, format!("`{}` {why}", notes.written(path)));
    None
}

/// Takes the values at `places` as the only ones allowed. Null is none of them: `required` says whether it may be.
pub(super) fn accept(column: &mut Property, places: Vec<String>, path: &str, notes: &mut Notes) {
    let mut accepted: Vec<String> = Vec::new();
    for place in places {
        let Some(text) = notes.text(&place) else { continue };
        // Text is taken as it stands: blanks count.
        let value = match column.data_type {
            arrow::datatypes::DataType::Utf8 => Ok(text.to_owned()),
            _ => value::read(text, &column.data_type, column.format.as_deref()).map(|value| value.text),
        };
        match value.and_then(|value| allowed(&column.constraints, &value).map(|()| value)) {
            Ok(value) if !accepted.contains(&value) => accepted.push(value),
            Ok(_) => notes.warn(&place, format!("`{}` is in the list already", notes.written(&place))),
            Err(why) => notes.error(&place, format!("`{}` {why}", notes.written(&place))),
        }
    }
    match &column.constraints.accepted {
        Some(other) if *other != accepted => notes.error(path, "the values allowed are said twice, and differ"),
        _ => column.constraints.accepted = Some(accepted),
    }
}

/// Whether the column's other constraints on text let an allowed value pass.
fn allowed(limits: &Constraints, value: &str) -> Result<(), String> {
    let length = value.chars().count();
    if limits.min_length.is_some_and(|min| length < min) || limits.max_length.is_some_and(|max| length > max) {
        return Err("is allowed here, and its length is not".into());
    }
    let matches = |pattern: &String| Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(value));
    match &limits.pattern {
        Some(pattern) if !matches(pattern) => Err(format!("is allowed here, and does not match `{pattern}`")),
        _ => Ok(()),
    }
}

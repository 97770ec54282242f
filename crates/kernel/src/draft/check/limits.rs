//! Limits of single values and of lists.

use crate::draft::Span;
use crate::draft::place::Fault;
use crate::draft::scalar::Scalar;
use regex::Regex;
use serde_json::{Map, Value};

/// `minimum`, `maximum` and their exclusive forms on numbers; `pattern` and lengths on text.
pub(super) fn scalar(scalar: &Scalar, span: Span, schema: &Map<String, Value>) -> Option<Fault> {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let shown = |keyword: &str| schema.get(keyword).map(Value::to_string).unwrap_or_default();
    let why = if let Some(number) = scalar.number().map(|number| number.as_f64()) {
        if limit("minimum").is_some_and(|min| number < min) {
            format!("must be at least {}", shown("minimum"))
        } else if limit("maximum").is_some_and(|max| number > max) {
            format!("must be at most {}", shown("maximum"))
        } else if limit("exclusiveMinimum").is_some_and(|min| number <= min) {
            format!("must be more than {}", shown("exclusiveMinimum"))
        } else if limit("exclusiveMaximum").is_some_and(|max| number >= max) {
            format!("must be less than {}", shown("exclusiveMaximum"))
        } else {
            return None;
        }
    } else {
        text(scalar.as_text()?, schema)?
    };
    Some(Fault::new(span, format!("`{}` {why}", scalar.written())))
}

fn text(text: &str, schema: &Map<String, Value>) -> Option<String> {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
    let length = text.chars().count() as u64;
    if let Some(min) = limit("minLength").filter(|min| length < *min) {
        return Some(format!("must have at least {min} characters"));
    }
    if let Some(max) = limit("maxLength").filter(|max| length > *max) {
        return Some(format!("must have at most {max} characters"));
    }
    let pattern = schema.get("pattern").and_then(Value::as_str)?;
    let broken = Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text));
    broken.then(|| format!("does not match `{pattern}`"))
}

/// `minItems` and `maxItems`.
pub(super) fn length(items: usize, span: Span, schema: &Map<String, Value>) -> Option<Fault> {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
    if let Some(min) = limit("minItems").filter(|min| (items as u64) < *min) {
        return Some(Fault::new(span, format!("the list needs at least {min} items and has {items}")));
    }
    let max = limit("maxItems").filter(|max| items as u64 > *max)?;
    Some(Fault::new(span, format!("the list takes at most {max} items and has {items}")))
}

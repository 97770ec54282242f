//! A contract's bounds on single values, compiled once and held against whole columns.

use super::cells;
use super::parse::{self, is_text};
use super::violations::Cause;
use crate::contract::{Bound, Constraints, Property};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Scalar, StringViewArray};
use arrow::compute::kernels::cmp;
use arrow::compute::{cast, not, or};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use arrow::error::ArrowError;
use regex::Regex;
use std::collections::HashSet;
use std::sync::Arc;

/// One rule of a column: which values break it.
pub(super) struct ValueRule {
    pub cause: Cause,
    test: Test,
}

enum Test {
    Pattern(Regex),
    Length { min: usize, max: usize },
    Words(HashSet<String>),
    Values(Vec<Scalar<ArrayRef>>),
    Below(Scalar<ArrayRef>, bool),
    Above(Scalar<ArrayRef>, bool),
    MultipleOf(Step),
}

/// A decimal, as its unscaled integer.
struct Step {
    value: i128,
    scale: i8,
}

/// Compiles a property's constraints; an error names the property and what is wrong with the bound.
pub(super) fn compile(property: &Property) -> Result<Vec<ValueRule>> {
    let Constraints { pattern, min, max, min_length, max_length, accepted, multiple_of } = &property.constraints;
    let text = is_text(&property.data_type);
    let mut rules = Vec::new();
    let mut rule = |name: &str, reason: String, test: Test| {
        let cause = Cause { rule: name.into(), column: Some(property.name.clone()), reason };
        rules.push(ValueRule { cause, test });
    };
    if let Some(pattern) = pattern {
        let regex = Regex::new(&format!("^(?:{pattern})$")).map_err(|e| wrong(property, &e.to_string()))?;
        rule("pattern", format!("does not match {pattern}"), Test::Pattern(regex));
    }
    if text && (min_length.is_some() || max_length.is_some()) {
        let (min, max) = (min_length.unwrap_or(0), max_length.unwrap_or(usize::MAX));
        let most = max_length.map_or(String::new(), |m| format!(" and at most {m}"));
        rule("length", format!("must have at least {min}{most} characters"), Test::Length { min, max });
    }
    if let Some(accepted) = accepted {
        let test = if text {
            Test::Words(accepted.iter().cloned().collect())
        } else {
            Test::Values(accepted.iter().map(|value| scalar(property, value)).collect::<Result<_>>()?)
        };
        rule("accepted", format!("must be one of: {}", accepted.join(", ")), test);
    }
    if let Some(Bound { value, exclusive }) = min {
        let word = if *exclusive { "more than" } else { "at least" };
        rule("min", format!("must be {word} {value}"), Test::Below(scalar(property, value)?, *exclusive));
    }
    if let Some(Bound { value, exclusive }) = max {
        let word = if *exclusive { "less than" } else { "at most" };
        rule("max", format!("must be {word} {value}"), Test::Above(scalar(property, value)?, *exclusive));
    }
    if let Some(value) = multiple_of {
        rule("multiple_of", format!("must be a multiple of {value}"), Test::MultipleOf(step(property, value)?));
    }
    Ok(rules)
}

fn wrong(property: &Property, why: &str) -> Error {
    Error::project(format!("rule on `{}`", property.name), why)
}

fn scalar(property: &Property, text: &str) -> Result<Scalar<ArrayRef>> {
    let column: ArrayRef = Arc::new(StringViewArray::from(vec![text]));
    let parsed = parse::parse(&column, &Property { format: None, decimal_comma: false, ..property.clone() })?;
    if parsed.failed.is_some() {
        return Err(wrong(property, &format!("`{text}` is {}", parse::expectation(property))));
    }
    Ok(Scalar::new(parsed.values))
}

fn step(property: &Property, text: &str) -> Result<Step> {
    if !property.data_type.is_numeric() {
        return Err(wrong(property, "`multiple_of` is for numbers"));
    }
    match parse::exact(text) {
        Some((value, scale)) if value > 0 => Ok(Step { value, scale }),
        _ => Err(wrong(property, &format!("`multiple_of: {text}` is not a number above 0"))),
    }
}

impl ValueRule {
    /// True for each value that breaks the rule; null where there is no value.
    pub fn broken(&self, values: &ArrayRef) -> Result<BooleanArray> {
        match &self.test {
            Test::Pattern(regex) => words(values, |s| !regex.is_match(s)),
            Test::Words(accepted) => words(values, |s| !accepted.contains(s)),
            Test::Length { min, max } => words(values, |s| !(*min..=*max).contains(&s.chars().count())),
            Test::MultipleOf(step) => step.broken(values),
            other => other.compare(values).map_err(|e| Error::internal("check a rule", &self.cause.reason).because(e)),
        }
    }
}

impl Test {
    fn compare(&self, values: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        match self {
            Test::Below(bound, true) => cmp::lt_eq(values, bound),
            Test::Below(bound, false) => cmp::lt(values, bound),
            Test::Above(bound, true) => cmp::gt_eq(values, bound),
            Test::Above(bound, false) => cmp::gt(values, bound),
            Test::Values(accepted) => {
                let mut known = BooleanArray::from(vec![false; values.len()]);
                for value in accepted {
                    known = or(&known, &cmp::eq(values, value)?)?;
                }
                not(&known)
            }
            Test::Pattern(_) | Test::Words(_) | Test::Length { .. } | Test::MultipleOf(_) => {
                Err(ArrowError::ComputeError("not a comparison".into()))
            }
        }
    }
}

impl Step {
    /// Decimals and whole numbers are held as they are, floats by their shortest text: 0.3 is three times 0.1.
    fn broken(&self, values: &ArrayRef) -> Result<BooleanArray> {
        match values.data_type() {
            DataType::Decimal128(_, scale) => {
                let values = values.as_primitive::<Decimal128Type>().iter();
                Ok(values.map(|value| value.map(|v| self.is_broken(v, *scale))).collect())
            }
            t if t.is_integer() => {
                let fault = |e| Error::internal("check a rule", "arrow refused a number").because(e);
                let values = cast(values, &DataType::Int64).map_err(fault)?;
                let values = values.as_primitive::<Int64Type>().iter();
                Ok(values.map(|value| value.map(|v| self.is_broken(i128::from(v), 0))).collect())
            }
            _ => words(values, |text| parse::exact(text).is_none_or(|(value, scale)| self.is_broken(value, scale))),
        }
    }

    fn is_broken(&self, value: i128, scale: i8) -> bool {
        let power = |exponent: i8| 10i128.checked_pow(u32::from(exponent.unsigned_abs()));
        let both = if scale >= self.scale {
            power(scale - self.scale).and_then(|p| Some((value, self.value.checked_mul(p)?)))
        } else {
            power(self.scale - scale).and_then(|p| Some((value.checked_mul(p)?, self.value)))
        };
        // What 38 digits can't hold was not multiplied by anybody on purpose.
        let Some((value, step)) = both else { return value != 0 };
        match (i64::try_from(value), i64::try_from(step)) {
            (Ok(value), Ok(step)) => value % step != 0, // several times faster
            _ => value % step != 0,
        }
    }
}

/// Tests text; values of another type are tested as they print.
fn words(values: &ArrayRef, broken: impl Fn(&str) -> bool) -> Result<BooleanArray> {
    if let Some(text) = values.as_string_view_opt() {
        return Ok(text.iter().map(|value| value.map(&broken)).collect());
    }
    Ok(cells::texts(values)?.iter().map(|value| value.map(&broken)).collect())
}

//! Bounds of texts, numbers and counts.

use super::compare::Pair;
use super::documents::Node;
use serde_json::Value;
use std::cmp::Ordering;

/// The rules of a bound, each broken in one way.
pub struct Rules {
    pub added: &'static str,
    /// Set for a lower bound, which breaks readers when it grows.
    pub increased: Option<&'static str>,
    /// Set for an upper bound.
    pub decreased: Option<&'static str>,
}

const fn upper(added: &'static str, decreased: &'static str) -> Rules {
    Rules { added, increased: None, decreased: Some(decreased) }
}

const fn lower(added: &'static str, increased: &'static str) -> Rules {
    Rules { added, increased: Some(increased), decreased: None }
}

pub const MAX_ITEMS: Rules = upper("MAX_ITEMS_ADDED", "MAX_ITEMS_DECREASED");
pub const MIN_ITEMS: Rules = lower("MIN_ITEMS_ADDED", "MIN_ITEMS_INCREASED");
pub const MAX_CONTAINS: Rules = upper("MAX_CONTAINS_ADDED", "MAX_CONTAINS_DECREASED");
pub const MIN_CONTAINS: Rules = lower("MIN_CONTAINS_ADDED", "MIN_CONTAINS_INCREASED");
pub const MAX_PROPERTIES: Rules = upper("MAX_PROPERTIES_ADDED", "MAX_PROPERTIES_DECREASED");
pub const MIN_PROPERTIES: Rules = lower("MIN_PROPERTIES_ADDED", "MIN_PROPERTIES_INCREASED");

impl Pair {
    pub fn bound(&mut self, key: &str, rules: &Rules, old: Node<'_>, new: Node<'_>, at: &str) {
        let (old, new) = (limit(old, key), limit(new, key));
        let at = format!("{at}/{key}");
        match (old, new) {
            (None, Some(_)) => self.say(rules.added, &at),
            (Some(old), Some(new)) => match new.total_cmp(&old) {
                Ordering::Greater => rules.increased.into_iter().for_each(|rule| self.say(rule, &at)),
                Ordering::Less => rules.decreased.into_iter().for_each(|rule| self.say(rule, &at)),
                Ordering::Equal => {}
            },
            (_, None) => {}
        }
    }

    pub fn texts(&mut self, old: Node<'_>, new: Node<'_>, at: &str) {
        self.bound("maxLength", &upper("MAX_LENGTH_ADDED", "MAX_LENGTH_DECREASED"), old, new, at);
        self.bound("minLength", &lower("MIN_LENGTH_ADDED", "MIN_LENGTH_INCREASED"), old, new, at);
        match (old.value.get("pattern"), new.value.get("pattern")) {
            (None, Some(_)) => self.say("PATTERN_ADDED", &format!("{at}/pattern")),
            (Some(one), Some(other)) if one != other => self.say("PATTERN_CHANGED", &format!("{at}/pattern")),
            _ => {}
        }
    }

    pub fn numbers(&mut self, old: Node<'_>, new: Node<'_>, at: &str) {
        self.bound("maximum", &upper("MAXIMUM_ADDED", "MAXIMUM_DECREASED"), old, new, at);
        self.bound("minimum", &lower("MINIMUM_ADDED", "MINIMUM_INCREASED"), old, new, at);
        let rules = upper("EXCLUSIVE_MAXIMUM_ADDED", "EXCLUSIVE_MAXIMUM_DECREASED");
        self.bound("exclusiveMaximum", &rules, old, new, at);
        let rules = lower("EXCLUSIVE_MINIMUM_ADDED", "EXCLUSIVE_MINIMUM_INCREASED");
        self.bound("exclusiveMinimum", &rules, old, new, at);
        let at = format!("{at}/multipleOf");
        match (number(old, "multipleOf"), number(new, "multipleOf")) {
            (None, Some(_)) => self.say("MULTIPLE_OF_ADDED", &at),
            (Some(old), Some(new)) if old != new => match (divides(new, old), divides(old, new)) {
                // Whatever is a multiple of 4 is one of 2.
                (true, _) => {}
                (_, true) => self.say("MULTIPLE_OF_EXPANDED", &at),
                _ => self.say("MULTIPLE_OF_CHANGED", &at),
            },
            _ => {}
        }
    }
}

fn number(node: Node<'_>, key: &str) -> Option<f64> {
    node.value.get(key).and_then(Value::as_f64)
}

/// The number of a bound. Draft 4 says of a bound that it is exclusive; later drafts have another one for that.
fn limit(node: Node<'_>, key: &str) -> Option<f64> {
    match (node.value.get(key), key) {
        (Some(Value::Bool(true)), "exclusiveMaximum") => number(node, "maximum"),
        (Some(Value::Bool(true)), "exclusiveMinimum") => number(node, "minimum"),
        _ => number(node, key),
    }
}

/// Whether `whole` is a multiple of `part`, for decimals such as 0.1 too.
fn divides(part: f64, whole: f64) -> bool {
    if part == 0.0 {
        return false;
    }
    let times = whole / part;
    (times - times.round()).abs() < 1e-9 * times.abs().max(1.0)
}

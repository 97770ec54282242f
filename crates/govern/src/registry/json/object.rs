//! Objects: which properties they have, must have, and may have beside those that are named.

use super::compare::Pair;
use super::documents::Node;
use super::limits::{MAX_PROPERTIES, MIN_PROPERTIES};
use super::shape::{Shape, shape};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What an object, or a list, may hold beside what is named.
pub enum Content<'a> {
    /// Anything.
    Open,
    /// What goes with this schema.
    Partly(Node<'a>),
    /// Nothing.
    Closed,
}

impl Pair {
    pub fn objects(&mut self, old: Node<'_>, new: Node<'_>, at: &str) {
        self.required(old, new, at);
        self.properties(old, new, at);
        self.dependencies(old, new, at);
        self.unnamed("additionalProperties", &ADDITIONAL_PROPERTIES, old, new, at);
        self.unevaluated("unevaluatedProperties", &UNEVALUATED_PROPERTIES, old, new, at);
        self.bound("maxProperties", &MAX_PROPERTIES, old, new, at);
        self.bound("minProperties", &MIN_PROPERTIES, old, new, at);
    }

    fn required(&mut self, old: Node<'_>, new: Node<'_>, at: &str) {
        for name in names(old).intersection(&names(new)) {
            if requires(new, name) && !requires(old, name) && !has_default(new, name) {
                self.say("REQUIRED_ATTRIBUTE_ADDED", &format!("{at}/required/{name}"));
            }
        }
    }

    fn properties(&mut self, old: Node<'_>, new: Node<'_>, at: &str) {
        let all: BTreeSet<&str> = names(old).union(&names(new)).copied().collect();
        for name in all {
            let at = format!("{at}/properties/{name}");
            match (property(old, name), property(new, name)) {
                (Some(old), Some(new)) => self.nodes(old, new, &at),
                (Some(gone), None) => self.property_gone(gone, new, name, &at),
                (None, Some(added)) => self.property_added(old, new, added, name, &at),
                (None, None) => {}
            }
        }
    }

    /// A property may go if the new schema takes it as an unnamed one.
    fn property_gone(&mut self, gone: Node<'_>, new: Node<'_>, name: &str, at: &str) {
        match content(new, name) {
            Content::Open => {}
            Content::Partly(others) => {
                if !self.fits(|inner| inner.nodes(gone, others, at)) {
                    self.say("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at);
                }
            }
            Content::Closed if matches!(shape(gone), Shape::Never) => {}
            Content::Closed => self.say("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", at),
        }
    }

    /// A property may come if nobody can have written another thing under its name, and it may be missing.
    fn property_added(&mut self, old: Node<'_>, new: Node<'_>, added: Node<'_>, name: &str, at: &str) {
        let (is_required, has_default) = (requires(new, name), has_default(new, name));
        match content(old, name) {
            Content::Open if matches!(shape(added), Shape::Any) => return,
            Content::Open => {
                return self.say(
                    match (is_required, has_default) {
                        (true, false) => "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
                        (true, true) => "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL",
                        (false, _) => "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
                    },
                    at,
                );
            }
            Content::Partly(others) => {
                if !self.fits(|inner| inner.nodes(others, added, at)) {
                    self.say("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at);
                }
            }
            Content::Closed => {}
        }
        if is_required && !has_default {
            self.say("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", at);
        }
    }

    fn dependencies(&mut self, old: Node<'_>, new: Node<'_>, at: &str) {
        for key in ["dependencies", "dependentRequired", "dependentSchemas"] {
            for name in entries(new, key) {
                let at = format!("{at}/dependencies/{name}");
                let (before, after) = (entry(old, key, name), entry(new, key, name));
                match (before.map(|node| node.value), after.map(|node| node.value)) {
                    (Some(Value::Array(old)), Some(Value::Array(new))) => self.dependency(old, new, &at),
                    (_, Some(Value::Array(_))) => self.say("DEPENDENCY_ARRAY_ADDED", &at),
                    (Some(Value::Array(_)) | None, Some(_)) => self.say("DEPENDENCY_SCHEMA_ADDED", &at),
                    _ => self.maybe(before, after, &at),
                }
            }
        }
    }

    fn dependency(&mut self, old: &[Value], new: &[Value], at: &str) {
        let (lost, gained) = (old.iter().any(|v| !new.contains(v)), new.iter().any(|v| !old.contains(v)));
        match (lost, gained) {
            (false, true) => self.say("DEPENDENCY_ARRAY_EXTENDED", at),
            (true, true) => self.say("DEPENDENCY_ARRAY_CHANGED", at),
            (_, false) => {}
        }
    }

    /// What `additionalProperties` and `additionalItems` say: true, false, a schema, or nothing, which is true.
    pub fn unnamed(&mut self, key: &str, rules: &Unnamed, old: Node<'_>, new: Node<'_>, at: &str) {
        let at = format!("{at}/{key}");
        match (additional(old, key), additional(new, key)) {
            (Content::Open | Content::Partly(_), Content::Closed) => self.say(rules.removed, &at),
            (Content::Open, Content::Partly(_)) => self.say(rules.narrowed, &at),
            (Content::Partly(old), Content::Partly(new)) => self.nodes(old, new, &at),
            _ => {}
        }
    }

    /// The same of `unevaluatedProperties` and `unevaluatedItems`, where being there at all says something.
    pub fn unevaluated(&mut self, key: &str, rules: &Unnamed, old: Node<'_>, new: Node<'_>, at: &str) {
        let (Some(after), before) = (new.get(key), old.get(key)) else { return };
        let at = format!("{at}/{key}");
        let is = |node: Node<'_>, wanted: bool| match shape(node) {
            Shape::Any => wanted,
            Shape::Never => !wanted,
            _ => false,
        };
        match before {
            Some(before) if is(before, false) => {}
            _ if is(after, false) => self.say(rules.removed, &at),
            None => self.say(rules.narrowed, &at),
            Some(before) if is(before, true) && !is(after, true) => self.say(rules.narrowed, &at),
            Some(_) if is(after, true) => {}
            Some(before) => self.nodes(before, after, &at),
        }
    }
}

/// The rules of what is not named.
pub struct Unnamed {
    pub removed: &'static str,
    pub narrowed: &'static str,
}

const ADDITIONAL_PROPERTIES: Unnamed =
    Unnamed { removed: "ADDITIONAL_PROPERTIES_REMOVED", narrowed: "ADDITIONAL_PROPERTIES_NARROWED" };
const UNEVALUATED_PROPERTIES: Unnamed =
    Unnamed { removed: "UNEVALUATED_PROPERTIES_REMOVED", narrowed: "UNEVALUATED_PROPERTIES_NARROWED" };

pub fn additional<'a>(node: Node<'a>, key: &str) -> Content<'a> {
    match node.get(key) {
        None => Content::Open,
        Some(inner) => match inner.value {
            Value::Bool(true) => Content::Open,
            Value::Bool(false) => Content::Closed,
            _ => Content::Partly(inner),
        },
    }
}

/// What may stand under a name that is not among the properties.
fn content<'a>(node: Node<'a>, name: &str) -> Content<'a> {
    let patterns = node.value.get("patternProperties").and_then(Value::as_object).filter(|all| !all.is_empty());
    if let Some(patterns) = patterns {
        let matching = |pattern: &str| regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(name));
        if let Some((_, inner)) = patterns.iter().find(|(pattern, _)| matching(pattern)) {
            return Content::Partly(node.at(inner));
        }
    }
    match (additional(node, "additionalProperties"), node.get("unevaluatedProperties")) {
        // With patterns an object is not open, and what no pattern fits is not known to be of any type.
        (Content::Open, None) if patterns.is_some() => Content::Closed,
        (Content::Open, Some(inner)) => match shape(inner) {
            Shape::Any if patterns.is_none() => Content::Open,
            Shape::Any | Shape::Never => Content::Closed,
            _ => Content::Partly(inner),
        },
        (content, _) => content,
    }
}

fn entries<'a>(node: Node<'a>, key: &str) -> Vec<&'a str> {
    let all = node.value.get(key).and_then(Value::as_object);
    all.into_iter().flat_map(Map::keys).map(String::as_str).collect()
}

fn entry<'a>(node: Node<'a>, key: &str, name: &str) -> Option<Node<'a>> {
    node.get(key)?.get(name)
}

fn named(node: Node<'_>) -> Option<&Map<String, Value>> {
    node.value.get("properties").and_then(Value::as_object)
}

fn names(node: Node<'_>) -> BTreeSet<&str> {
    named(node).into_iter().flat_map(Map::keys).map(String::as_str).collect()
}

fn property<'a>(node: Node<'a>, name: &str) -> Option<Node<'a>> {
    named(node)?.get(name).map(|value| node.at(value))
}

fn requires(node: Node<'_>, name: &str) -> bool {
    node.value.get("required").and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| one == name))
}

fn has_default(node: Node<'_>, name: &str) -> bool {
    property(node, name).is_some_and(|property| property.value.get("default").is_some())
}

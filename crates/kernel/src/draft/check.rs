//! A tree held against the JSON Schema of its type. Every fault is collected, in words that need no knowledge of JSON
//! Schema. It knows the keywords that `schemars` writes.

mod branch;
mod limits;

use super::Span;
use super::path::first;
use super::place::Fault;
use super::scalar::{Kind, Scalar};
use super::tree::{Content, Entry, Node};
use crate::suggest;
use serde_json::{Map, Value};

/// Every fault of `node`.
pub(super) fn faults(node: &Node, schema: &Value) -> Vec<Fault> {
    let mut checker = Checker::new(schema);
    checker.node(node, schema, None);
    checker.finish()
}

struct Checker<'a> {
    root: &'a Value,
    faults: Vec<Fault>,
    /// Fields that a map lacks, and names that its unknown fields are near to.
    missing: Vec<(Span, &'a str, Fault)>,
    meant: Vec<(Span, &'a str)>,
}

impl<'a> Checker<'a> {
    fn new(root: &'a Value) -> Self {
        Self { root, faults: Vec::new(), missing: Vec::new(), meant: Vec::new() }
    }

    /// A misspelt field is reported once, as misspelt.
    fn finish(mut self) -> Vec<Fault> {
        self.missing.retain(|(map, name, _)| !self.meant.contains(&(*map, *name)));
        self.faults.extend(self.missing.into_iter().map(|(_, _, fault)| fault));
        self.faults
    }

    /// Checks `node`; `place` is where a fault of the node as a whole is shown: its key, if it has one.
    fn node(&mut self, node: &Node, schema: &'a Value, place: Option<Span>) {
        let Some(schema) = self.resolve(schema) else { return };
        if node.scalar().is_some_and(Scalar::is_unknown) {
            return;
        }
        for part in list(schema, "allOf") {
            self.node(node, part, place);
        }
        let branches = self.branches(schema);
        if !branches.is_empty() {
            self.one_of(node, &branches, place);
        }
        let words = words(schema);
        if !words.is_empty() {
            return self.word(node, &words);
        }
        let kinds = kinds(schema);
        if !kinds.is_empty() && !kinds.iter().any(|kind| fits(node, kind)) {
            let fault = wrong_kind(node, &kinds);
            let help = fault.help.clone().or_else(|| fields(schema, &kinds));
            return self.faults.push(fault.help(help));
        }
        match &node.content {
            Content::Scalar(scalar) => self.faults.extend(limits::scalar(scalar, node.span, schema)),
            Content::List(items) => {
                self.faults.extend(limits::length(items.len(), place.unwrap_or(node.span), schema));
                if let Some(item) = schema.get("items") {
                    items.iter().for_each(|node| self.node(node, item, None));
                }
            }
            Content::Map(entries) => self.map(node, entries, schema, place.or_else(|| first(node))),
        }
    }

    /// The keywords behind a `$ref`; `None` for a schema that allows everything.
    fn resolve(&self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        let mut schema = schema;
        while let Some(path) = schema.get("$ref").and_then(Value::as_str) {
            schema = self.root.pointer(path.strip_prefix('#')?)?;
        }
        schema.as_object().filter(|keywords| !keywords.is_empty())
    }

    fn map(&mut self, node: &Node, entries: &[Entry], schema: &'a Map<String, Value>, place: Option<Span>) {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let closed =
            others == Some(&Value::Bool(false)) || schema.get("unevaluatedProperties") == Some(&Value::Bool(false));
        let free = known.into_iter().flat_map(Map::keys).filter(|key| !entries.iter().any(|entry| entry.key == **key));
        let free: Vec<&str> = free.map(String::as_str).collect();
        for entry in entries {
            let here = Some(entry.key_span);
            match (known.and_then(|known| known.get(&entry.key)), others) {
                (Some(field), _) => self.node(&entry.value, field, here),
                (None, _) if closed => {
                    let near = suggest::nearest(&entry.key, free.iter().copied());
                    self.meant.extend(near.map(|name| (node.span, name)));
                    self.faults.push(unknown_field(entry, &free));
                }
                (None, Some(other)) => self.node(&entry.value, other, here),
                (None, None) => {}
            }
        }
        for name in list(schema, "required").iter().filter_map(Value::as_str) {
            if !entries.iter().any(|entry| entry.key == name) {
                let fault = Fault::new(place, format!("the field `{name}` is missing"));
                self.missing.push((node.span, name, fault));
            }
        }
    }

    /// One of a closed set of words.
    fn word(&mut self, node: &Node, words: &[&str]) {
        match node.scalar() {
            Some(scalar) if words.contains(&scalar.text()) => {}
            Some(scalar) if scalar.kind() != Kind::Nothing => {
                let message = format!("unknown value `{}`", scalar.written());
                let shown = if scalar.has_variable() { "" } else { scalar.text() };
                self.faults.push(Fault::new(node.span, message).help(suggest::hint(shown, words.iter().copied())));
            }
            _ => self.faults.push(wrong_kind(node, &["string"]).help(suggest::hint("", words.iter().copied()))),
        }
    }
}

fn unknown_field(entry: &Entry, free: &[&str]) -> Fault {
    let help = if entry.key == "<<" {
        Some("merge keys are not read: write the fields out, or repeat a whole value with `*name`".to_owned())
    } else {
        suggest::hint(&entry.key, free.iter().copied())
    };
    Fault::new(entry.key_span, format!("unknown field `{}`", entry.key)).help(help)
}

fn list<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The words of `enum` or `const`, when they are words.
fn words(schema: &Map<String, Value>) -> Vec<&str> {
    let one = schema.get("const").and_then(Value::as_str);
    one.into_iter().chain(list(schema, "enum").iter().filter_map(Value::as_str)).collect()
}

fn kinds(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn fits(node: &Node, kind: &str) -> bool {
    match (&node.content, kind) {
        (Content::List(_), kind) => kind == "array",
        (Content::Map(_), kind) => kind == "object",
        (Content::Scalar(scalar), "string") => scalar.as_text().is_some(),
        (Content::Scalar(scalar), "number") => scalar.number().is_some(),
        (Content::Scalar(scalar), "integer") => scalar.number().is_some_and(|n| n.is_whole()),
        (Content::Scalar(scalar), "boolean") => scalar.flag().is_some(),
        (Content::Scalar(scalar), "null") => scalar.kind() == Kind::Nothing,
        _ => false,
    }
}

/// `expected a number, found text`, with how it would be written.
fn wrong_kind(node: &Node, kinds: &[&str]) -> Fault {
    let mut names: Vec<&str> = kinds.iter().filter_map(|kind| name(kind)).collect();
    names.dedup();
    let expected = match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    };
    let message = format!("expected {expected}, found {}", found(node));
    Fault::new(node.span, message).help(remedy(node, kinds))
}

fn name(kind: &str) -> Option<&'static str> {
    match kind {
        "string" => Some("text"),
        "number" => Some("a number"),
        "integer" => Some("a whole number"),
        "boolean" => Some("true or false"),
        "array" => Some("a list"),
        "object" => Some("fields"),
        _ => None,
    }
}

fn found(node: &Node) -> &'static str {
    match &node.content {
        Content::List(_) => "a list",
        Content::Map(_) => "fields",
        Content::Scalar(scalar) => match scalar.kind() {
            Kind::Nothing => "nothing",
            Kind::Flag(true) => "true",
            Kind::Flag(false) => "false",
            Kind::Number if scalar.number().is_some_and(|n| !n.is_whole()) => "a number with decimals",
            Kind::Number => "a number",
            Kind::Text => "text",
        },
    }
}

/// The fields that a place wants which holds something else.
fn fields(schema: &Map<String, Value>, kinds: &[&str]) -> Option<String> {
    let known = schema.get("properties").and_then(Value::as_object).filter(|_| kinds.contains(&"object"))?;
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    Some(format!("write `{}: …` lines below it, or `{{ {0}: … }}`; it can have: {}", names.first()?, names.join(", ")))
}

fn remedy(node: &Node, kinds: &[&str]) -> Option<String> {
    let scalar = node.scalar()?;
    let wants = |kind| kinds.contains(&kind);
    match scalar.kind() {
        Kind::Nothing => Some("leave the field out, or give it a value".into()),
        Kind::Number | Kind::Flag(_) if wants("string") => {
            Some(format!("in quotes it is text: \"{}\"", scalar.written()))
        }
        Kind::Text if wants("boolean") => match scalar.text().to_lowercase().as_str() {
            _ if scalar.has_variable() => None,
            "yes" | "on" | "y" | "true" => Some("write `true`".into()),
            "no" | "off" | "n" | "false" => Some("write `false`".into()),
            _ => None,
        },
        _ if wants("array") => Some(format!("write it as a list: [{}]", scalar.written())),
        Kind::Text if wants("object") => Some("write `key: value` lines below it".into()),
        _ => None,
    }
}

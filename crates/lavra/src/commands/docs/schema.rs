//! JSON Schemas as tables: what a key is, what it may hold, what it means.

use super::markdown::{Page, anchor, code};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Adds the keys of an object, and a section for each further object that they lead to.
pub fn describe(page: &mut Page, schema: &Value) {
    let mut writer = Writer { root: schema, told: BTreeSet::new(), next: Vec::new() };
    writer.object(page, schema);
    let mut at = 0;
    while let Some(name) = writer.next.get(at).cloned() {
        page.heading(&name);
        if let Some(def) = schema["$defs"].get(&name) {
            page.say(text(def, "description"));
            writer.object(page, def);
        }
        at += 1;
    }
}

struct Writer<'a> {
    root: &'a Value,
    told: BTreeSet<String>,
    /// Objects that have a section, in the order in which they were met.
    next: Vec<String>,
}

impl Writer<'_> {
    fn object(&mut self, page: &mut Page, schema: &Value) {
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties: Vec<(&String, &Value)> = schema["properties"].as_object().into_iter().flatten().collect();
        let with_defaults = properties.iter().any(|(_, about)| default(about).is_some());
        let mut rows = Vec::new();
        for (name, about) in properties {
            let must = if required.contains(name.as_str()) { " (required)" } else { "" };
            let meaning = [self.meaning(about), self.words(about)]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" ");
            rows.push([format!("{}{must}", code(name)), self.kind(about), default(about).unwrap_or_default(), meaning]);
        }
        match with_defaults {
            true => page.table(["key", "value", "default", "meaning"], &rows),
            false => page.table(
                ["key", "value", "meaning"],
                &rows.into_iter().map(|[key, kind, _, meaning]| [key, kind, meaning]).collect::<Vec<_>>(),
            ),
        }
    }

    /// The description, or that of what it refers to.
    fn meaning(&self, schema: &Value) -> String {
        let own = text(schema, "description");
        match self.target(schema).filter(|(_, def)| own.is_empty() && !is_object(def)) {
            Some((_, def)) => text(def, "description").to_owned(),
            None => own.to_owned(),
        }
    }

    /// Words that are explained one by one.
    fn words(&self, schema: &Value) -> String {
        let schema = self.target(schema).map_or(schema, |(_, def)| def);
        let explained = |branch: &Value| {
            let word = branch["const"].as_str()?;
            Some(format!("`{word}`: {}", branch["description"].as_str()?))
        };
        schema["oneOf"].as_array().into_iter().flatten().filter_map(explained).collect::<Vec<_>>().join(" ")
    }

    fn target(&self, schema: &Value) -> Option<(String, &Value)> {
        let branches = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema[*key].as_array());
        let own = schema["$ref"].as_str();
        let reference = own.or_else(|| branches?.iter().find_map(|branch| branch["$ref"].as_str()))?;
        let name = reference.strip_prefix("#/$defs/")?;
        Some((name.to_owned(), self.root["$defs"].get(name)?))
    }

    fn kind(&mut self, schema: &Value) -> String {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            let Some(def) = self.root["$defs"].get(name) else { return code(name) };
            if !is_object(def) {
                return self.kind(&def.clone());
            }
            if self.told.insert(name.to_owned()) {
                self.next.push(name.to_owned());
            }
            return format!("[{name}](#{})", anchor(name));
        }
        if let Some(word) = schema["const"].as_str() {
            return code(word);
        }
        if let Some(words) = schema["enum"].as_array() {
            return words
                .iter()
                .filter(|word| !word.is_null())
                .map(|word| code(&plain(word)))
                .collect::<Vec<_>>()
                .join(", ");
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(branches) = schema[key].as_array() {
                let is_null = |branch: &&Value| branch["type"] == "null";
                let kinds: Vec<String> = branches
                    .iter()
                    .filter(|branch| !is_null(branch))
                    .map(|branch| self.kind(branch))
                    .filter(|kind| !kind.is_empty())
                    .collect();
                let between = if kinds.iter().all(|kind| kind.starts_with('`')) { ", " } else { " or " };
                return kinds.join(between);
            }
        }
        self.plain_kind(schema)
    }

    fn plain_kind(&mut self, schema: &Value) -> String {
        let own = schema["type"].as_str().map(|kind| vec![kind.to_owned()]);
        let listed =
            || schema["type"].as_array().map(|kinds| kinds.iter().map(plain).filter(|kind| kind != "null").collect());
        let mut kinds: Vec<String> = own.or_else(listed).unwrap_or_default();
        // Where a number is wanted, text is let in for variables only.
        if schema["pattern"] == r"\$\{" {
            kinds.retain(|kind| kind != "string");
        }
        let words: Vec<String> = kinds.iter().map(|kind| self.word(kind, schema)).collect();
        if words.is_empty() { "anything".to_owned() } else { words.join(" or ") }
    }

    fn word(&mut self, kind: &str, schema: &Value) -> String {
        match kind {
            "array" => match schema.get("items") {
                Some(items) => format!("list of {}", self.kind(items)),
                None => "list".to_owned(),
            },
            "object" => match schema.get("additionalProperties").filter(|value| value.is_object()) {
                Some(values) => format!("map of names to {}", self.kind(values)),
                None => "map".to_owned(),
            },
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "boolean" => "`true`, `false`".to_owned(),
            other => other.to_owned(),
        }
    }
}

fn is_object(schema: &Value) -> bool {
    schema["properties"].as_object().is_some_and(|properties: &Map<String, Value>| !properties.is_empty())
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema[key].as_str().unwrap_or_default()
}

/// Nothing, no text and an empty list or map say no more than that the key may be left out.
fn default(schema: &Value) -> Option<String> {
    let value = schema.get("default")?;
    let is_empty = value.is_null()
        || value.as_str() == Some("")
        || value.as_array().is_some_and(Vec::is_empty)
        || value.is_object();
    (!is_empty).then(|| code(&plain(value)))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_told_with_their_values() {
        let schema = json!({
            "properties": {
                "path": { "description": "Where.", "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
                "rows": { "type": ["integer", "null", "string"], "pattern": "\\$\\{", "default": 5 },
                "mode": { "$ref": "#/$defs/Mode" },
                "item": { "$ref": "#/$defs/Item" },
            },
            "required": ["path"],
            "$defs": {
                "Mode": { "oneOf": [{ "const": "fast", "description": "Not slow." }, { "const": "slow", "description": "Not fast." }] },
                "Item": { "description": "A thing.", "properties": { "next": { "anyOf": [{ "$ref": "#/$defs/Item" }, { "type": "null" }] } } },
            },
        });
        let mut page = Page::new("x.md", "X");
        describe(&mut page, &schema);
        for line in [
            "| `path` (required) | text or list of text |  | Where. |",
            "| `rows` | whole number | `5` |  |",
            "| `mode` | `fast`, `slow` |  | `fast`: Not slow. `slow`: Not fast. |",
            "| `item` | [Item](#item) |  |  |",
            "## Item\n\nA thing.\n",
            "| `next` | [Item](#item) |  |",
        ] {
            assert!(page.text.contains(line), "{line} is not in:\n{}", page.text);
        }
        assert_eq!(page.text.matches("## Item").count(), 1);
    }
}

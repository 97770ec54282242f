//! A schema and those that it refers to, and where a `$ref` leads.

use crate::registry::percent::decoded;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug)]
pub struct Documents {
    /// The schema itself comes first.
    all: Vec<Value>,
    /// By the name that they are referred to by, and by their `$id`.
    names: BTreeMap<String, usize>,
}

/// A place in one of the documents.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    pub documents: &'a Documents,
    pub document: usize,
    pub value: &'a Value,
}

impl Documents {
    pub fn new(main: Value, others: Vec<(String, Value)>) -> Result<Self, String> {
        let mut all = Self { all: vec![main], names: BTreeMap::new() };
        if let Some(id) = id_of(&all.all[0]) {
            all.names.insert(id.to_owned(), 0);
        }
        for (name, value) in others {
            let at = all.all.len();
            if let Some(id) = id_of(&value) {
                all.names.entry(id.to_owned()).or_insert(at);
            }
            all.names.insert(name, at);
            all.all.push(value);
        }
        for at in 0..all.all.len() {
            check_references(all.root_of(at))?;
        }
        Ok(all)
    }

    pub fn main(&self) -> &Value {
        &self.all[0]
    }

    pub fn document(&self, at: usize) -> &Value {
        &self.all[at]
    }

    pub fn root(&self) -> Node<'_> {
        self.root_of(0)
    }

    fn root_of(&self, document: usize) -> Node<'_> {
        Node { documents: self, document, value: &self.all[document] }
    }

    /// The document of this name or `$id`; of a URL its end may be the name, and a name may be the end of a URL.
    pub fn named(&self, name: &str) -> Option<usize> {
        let ends = name.match_indices('/').map(|(at, _)| &name[at + 1..]).filter(|end| !end.is_empty());
        let end = format!("/{name}");
        let found = self.names.get(name).or_else(|| ends.into_iter().find_map(|end| self.names.get(end)));
        found.or_else(|| self.names.iter().find(|(known, _)| known.ends_with(&end)).map(|(_, at)| at)).copied()
    }
}

/// Each `$ref` leads somewhere.
fn check_references(node: Node<'_>) -> Result<(), String> {
    match node.value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref")
                && node.follow(reference).is_none()
                && !is_of_the_language(reference)
            {
                let why = "neither into the schema nor to a reference of it";
                return Err(format!("`$ref: {reference}` leads nowhere: {why}"));
            }
            let values = ["enum", "const", "default", "examples"];
            let mut inner = object.iter().filter(|(key, _)| !values.contains(&key.as_str()));
            inner.try_for_each(|(_, value)| check_references(node.at(value)))
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_references(node.at(item))),
        _ => Ok(()),
    }
}

/// The language's own schema, which schemas of schemas refer to.
fn is_of_the_language(reference: &str) -> bool {
    reference.contains("//json-schema.org/")
}

fn id_of(value: &Value) -> Option<&str> {
    value.get("$id").or_else(|| value.get("id")).and_then(Value::as_str).map(|id| id.trim_end_matches('#'))
}

impl<'a> Node<'a> {
    /// Another value of the same document.
    pub fn at(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }

    /// The value of a keyword.
    pub fn get(self, key: &str) -> Option<Self> {
        self.value.get(key).map(|value| self.at(value))
    }

    /// What tells this place from every other.
    pub fn address(self) -> usize {
        std::ptr::from_ref(self.value).addr()
    }

    /// Where the `$ref`s of this place lead in the end; itself when it has none. `None` for a circle of them, and for the
    /// language's own schema.
    pub fn followed(self) -> Option<Self> {
        let mut node = self;
        for _ in 0..64 {
            match node.value.get("$ref").or_else(|| node.value.get("$dynamicRef")) {
                Some(Value::String(reference)) => node = node.follow(reference)?,
                _ => return Some(node),
            }
        }
        None
    }

    fn follow(self, reference: &str) -> Option<Self> {
        let (name, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let root = match name {
            "" => self.documents.root_of(self.document),
            name => match self.documents.named(name) {
                Some(at) => self.documents.root_of(at),
                None => self.documents.root_of(self.document).inner_id(name)?,
            },
        };
        match fragment {
            "" => Some(root),
            pointer if pointer.starts_with('/') => {
                let pointer = decoded(pointer);
                root.value.pointer(&pointer).map(|value| root.at(value))
            }
            anchor => root.anchored(anchor),
        }
    }

    /// A schema inside this one with that `$id`.
    fn inner_id(self, id: &str) -> Option<Self> {
        self.find(&|value| id_of(value).is_some_and(|own| own == id || own.rsplit('/').next() == Some(id)))
    }

    fn anchored(self, anchor: &str) -> Option<Self> {
        let is_named = |value: &Value, key: &str| value.get(key).and_then(Value::as_str) == Some(anchor);
        let is_old = |value: &Value| {
            value.get("$id").and_then(Value::as_str).and_then(|id| id.strip_prefix('#')) == Some(anchor)
        };
        self.find(&|value| is_named(value, "$anchor") || is_named(value, "$dynamicAnchor") || is_old(value))
    }

    fn find(self, is_it: &dyn Fn(&Value) -> bool) -> Option<Self> {
        if is_it(self.value) {
            return Some(self);
        }
        match self.value {
            Value::Object(object) => object.values().find_map(|value| self.at(value).find(is_it)),
            Value::Array(items) => items.iter().find_map(|value| self.at(value).find(is_it)),
            _ => None,
        }
    }
}

//! `anyOf` and `oneOf`: which branch the author meant, so that its faults are shown and not everybody's.

use super::{Checker, fits, kinds, list, unknown_field, words, wrong_kind};
use crate::draft::Span;
use crate::draft::path::first;
use crate::draft::place::Fault;
use crate::draft::tree::{Content, Node};
use crate::suggest;
use serde_json::{Map, Value};

type Keywords = Map<String, Value>;

impl<'a> Checker<'a> {
    /// The alternatives of a schema, those inside alternatives too.
    pub(super) fn branches(&self, schema: &'a Keywords) -> Vec<&'a Value> {
        let mut all = Vec::new();
        for branch in list(schema, "anyOf").iter().chain(list(schema, "oneOf")) {
            match self.resolve(branch) {
                Some(inner) if inner.contains_key("anyOf") || inner.contains_key("oneOf") => {
                    all.extend(self.branches(inner))
                }
                _ => all.push(branch),
            }
        }
        all
    }

    /// Faults of the branch that comes nearest, unless one has none.
    pub(super) fn one_of(&mut self, node: &Node, branches: &[&'a Value], place: Option<Span>) {
        let tried: Vec<Vec<Fault>> = branches.iter().map(|branch| self.attempt(node, branch, place)).collect();
        if tried.iter().any(Vec::is_empty) {
            return;
        }
        let resolved: Vec<&Keywords> = branches.iter().filter_map(|branch| self.resolve(branch)).collect();
        if let Content::Map(_) = &node.content
            && let Some(fault) = self.by_tag(node, &resolved, place).or_else(|| by_name(node, &resolved))
        {
            return self.faults.push(fault);
        }
        let all: Vec<&str> = resolved.iter().flat_map(|keywords| words(keywords)).collect();
        let free_text =
            resolved.iter().any(|keywords| words(keywords).is_empty() && kinds(keywords).contains(&"string"));
        if node.scalar().is_some_and(|scalar| scalar.as_text().is_some()) && !all.is_empty() && !free_text {
            return self.word(node, &all);
        }
        let meant = resolved.iter().zip(tried).filter(|(keywords, _)| self.may_be(node, keywords));
        match meant.map(|(_, faults)| faults).min_by_key(Vec::len) {
            Some(faults) => self.faults.extend(faults),
            None => {
                let kinds: Vec<&str> = resolved.iter().flat_map(|keywords| kinds(keywords)).collect();
                self.faults.push(wrong_kind(node, &kinds));
            }
        }
    }

    fn attempt(&self, node: &Node, branch: &'a Value, place: Option<Span>) -> Vec<Fault> {
        let mut checker = Checker::new(self.root);
        checker.node(node, branch, place);
        checker.finish()
    }

    /// Whether the branch is for nodes of this kind, and for this tag if it has one.
    fn may_be(&self, node: &Node, branch: &Keywords) -> bool {
        let tagged = tag(branch)
            .is_none_or(|(key, value)| node.get(key).and_then(Node::scalar).is_none_or(|s| s.text() == value));
        kinds(branch).iter().any(|kind| fits(node, kind)) && tagged
    }

    /// A fault of the field that says which branch is meant: missing, or unknown.
    fn by_tag(&self, node: &Node, branches: &[&Keywords], place: Option<Span>) -> Option<Fault> {
        let tags: Vec<(&str, &str)> = branches.iter().filter_map(|branch| tag(branch)).collect();
        let (key, _) = *tags.first()?;
        let values: Vec<&str> = tags.iter().filter(|(other, _)| *other == key).map(|(_, value)| *value).collect();
        let Some(written) = node.get(key) else {
            let fault = Fault::new(place.or_else(|| first(node)), format!("the field `{key}` is missing"));
            return Some(fault.help(suggest::hint("", values)));
        };
        let scalar = written.scalar().filter(|scalar| !values.contains(&scalar.text()))?;
        let fault = Fault::new(written.span, format!("unknown value `{}`", scalar.written()));
        let shown = if scalar.has_variable() { "" } else { scalar.text() };
        Some(fault.help(suggest::hint(shown, values)))
    }
}

/// The field with a fixed word that tells a branch from the others.
fn tag(branch: &Keywords) -> Option<(&str, &str)> {
    let fields = branch.get("properties")?.as_object()?;
    fields.iter().find_map(|(key, field)| Some((key.as_str(), field.get("const")?.as_str()?)))
}

/// Where each branch is one field with a name of its own, a name that is none of them.
fn by_name(node: &Node, branches: &[&Keywords]) -> Option<Fault> {
    let Content::Map(entries) = &node.content else { return None };
    let single =
        |branch: &&&Keywords| branch.get("properties").and_then(Value::as_object).is_some_and(|p| p.len() == 1);
    let maps: Vec<_> = branches.iter().filter(|branch| kinds(branch).contains(&"object")).collect();
    if maps.len() < 2 || !maps.iter().all(single) {
        return None;
    }
    let names: Vec<&str> = maps.iter().flat_map(|branch| list(branch, "required")).filter_map(Value::as_str).collect();
    entries.iter().find(|entry| !names.contains(&entry.key.as_str())).map(|entry| unknown_field(entry, &names))
}

//! Two schemas, shape by shape.

use super::JsonSchema;
use super::documents::Node;
use super::rules;
use super::shape::{Shape, shape};
use crate::registry::change::Incompatible;
use std::collections::{HashMap, HashSet};

/// What keeps a reader with the new schema from what was written with the old one. `lenient`: what an open object may hold
/// is not looked at.
pub fn compare(old: &JsonSchema, new: &JsonSchema, lenient: bool) -> Vec<Incompatible> {
    let mut bad = HashMap::new();
    loop {
        let known = bad.len();
        let mut pair = Pair { lenient, seen: HashSet::new(), bad, trusted: false, steps: 0, found: Vec::new() };
        pair.nodes(old.documents.root(), new.documents.root(), "#");
        // A pair that is met inside itself is trusted. If it, or one met before it was known, turned out bad, what was said on
        // that trust has to be looked at again; each round knows more pairs, so this ends.
        if !pair.trusted || pair.bad.len() == known {
            return pair.found;
        }
        bad = pair.bad;
    }
}

/// Beyond this many pairs of places nobody waits for the answer.
const STEPS_MAX: u32 = 200_000;

pub struct Pair {
    lenient: bool,
    /// Pairs of places, by their addresses, that were met in this round.
    seen: HashSet<(usize, usize)>,
    /// Those of any round that do not go together, with the first rule that says so.
    bad: HashMap<(usize, usize), &'static str>,
    trusted: bool,
    steps: u32,
    found: Vec<Incompatible>,
}

impl Pair {
    pub fn say(&mut self, rule: &'static str, at: &str) {
        if self.lenient && rules::LENIENT.contains(&rule) {
            return;
        }
        let found = Incompatible::new(rule, at, rules::why(rule));
        if !self.found.contains(&found) {
            self.found.push(found);
        }
    }

    /// Whether two go together; what is wrong with them is not kept.
    pub fn fits(&mut self, act: impl FnOnce(&mut Self)) -> bool {
        let before = std::mem::take(&mut self.found);
        act(self);
        std::mem::replace(&mut self.found, before).is_empty()
    }

    /// Two places that may be missing.
    pub fn maybe(&mut self, old: Option<Node<'_>>, new: Option<Node<'_>>, at: &str) {
        match (old, new) {
            (Some(old), Some(new)) => self.nodes(old, new, at),
            (None, Some(_)) => self.say("SCHEMA_ADDED", at),
            (_, None) => {}
        }
    }

    pub fn nodes(&mut self, old: Node<'_>, new: Node<'_>, at: &str) {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return self.say("TOO_COMPLEX", "#");
        }
        let address = |node: Node<'_>| node.followed().unwrap_or(node).address();
        let key = (address(old), address(new));
        if !self.seen.insert(key) {
            match self.bad.get(&key).copied() {
                Some(rule) => self.say(rule, at),
                None => self.trusted = true,
            }
            return;
        }
        let before = std::mem::take(&mut self.found);
        self.shapes(&shape(old), &shape(new), at);
        let own = std::mem::replace(&mut self.found, before);
        if let Some(first) = own.first() {
            self.bad.insert(key, first.rule);
        }
        let more = own.into_iter().filter(|one| !self.found.contains(one)).collect::<Vec<_>>();
        self.found.extend(more);
    }

    pub fn shapes(&mut self, old: &Shape<'_>, new: &Shape<'_>, at: &str) {
        if self.through_a_choice(old, new, at) {
            return;
        }
        match (old, new) {
            (Shape::Never, _) | (_, Shape::Any) => {}
            (Shape::Null, Shape::Null) | (Shape::Boolean, Shape::Boolean) => {}
            (Shape::Text(old), Shape::Text(new)) => self.texts(*old, *new, at),
            (Shape::Number { node: old, is_integer }, Shape::Number { node: new, is_integer: wants_integer }) => {
                self.numbers(*old, *new, at);
                if *wants_integer && !is_integer {
                    self.say("TYPE_NARROWED", at);
                }
            }
            (Shape::Object(old), Shape::Object(new)) => self.objects(*old, *new, at),
            (Shape::Array(old), Shape::Array(new)) => self.arrays(*old, *new, at),
            (Shape::Const(old), Shape::Const(new)) => {
                if old != new {
                    self.say("ENUM_ARRAY_CHANGED", &format!("{at}/const"));
                }
            }
            (Shape::Enum(old), Shape::Enum(new)) => {
                let (lost, gained) = (old.iter().any(|v| !new.contains(v)), new.iter().any(|v| !old.contains(v)));
                match (lost, gained) {
                    (true, false) => self.say("ENUM_ARRAY_NARROWED", &format!("{at}/enum")),
                    (true, true) => self.say("ENUM_ARRAY_CHANGED", &format!("{at}/enum")),
                    (false, _) => {}
                }
            }
            // What is excluded may only become less.
            (Shape::Not(old), Shape::Not(new)) => {
                let (old, new) = (*old, *new);
                if !self.fits(|inner| inner.nodes(new, old, at)) {
                    self.say("NOT_TYPE_EXTENDED", &format!("{at}/not"));
                }
            }
            (Shape::Choice(of, old), Shape::Choice(wanted, new)) => self.choices((*of, old), (*wanted, new), at),
            (Shape::Condition(old), Shape::Condition(new)) => {
                if old != new {
                    self.say("CONDITION_CHANGED", at);
                }
            }
            _ => self.say("TYPE_CHANGED", at),
        }
    }
}

//! Lists: what their items are, each by itself or all alike.

use super::compare::Pair;
use super::documents::Node;
use super::limits::{MAX_CONTAINS, MAX_ITEMS, MIN_CONTAINS, MIN_ITEMS};
use super::object::{Content, Unnamed, additional};
use super::shape::{Shape, shape};
use serde_json::Value;

const ADDITIONAL_ITEMS: Unnamed =
    Unnamed { removed: "ADDITIONAL_ITEMS_REMOVED", narrowed: "ADDITIONAL_ITEMS_NARROWED" };
const UNEVALUATED_ITEMS: Unnamed =
    Unnamed { removed: "UNEVALUATED_ITEMS_REMOVED", narrowed: "UNEVALUATED_ITEMS_NARROWED" };

impl Pair {
    pub fn arrays(&mut self, old: Node<'_>, new: Node<'_>, at: &str) {
        self.maybe(all_items(old), all_items(new), &format!("{at}/items"));
        self.places(old, new, at);
        // Of a list whose places are named, `items` is what comes behind them since draft 2020-12.
        match (old.get("prefixItems"), new.get("prefixItems")) {
            (None, None) => self.unnamed("additionalItems", &ADDITIONAL_ITEMS, old, new, at),
            _ => self.unnamed("items", &ADDITIONAL_ITEMS, old, new, at),
        }
        self.unevaluated("unevaluatedItems", &UNEVALUATED_ITEMS, old, new, at);
        self.bound("maxItems", &MAX_ITEMS, old, new, at);
        self.bound("minItems", &MIN_ITEMS, old, new, at);
        let unique = |node: Node<'_>| node.value.get("uniqueItems").and_then(Value::as_bool).unwrap_or_default();
        if unique(new) && !unique(old) {
            self.say("UNIQUE_ITEMS_ADDED", &format!("{at}/uniqueItems"));
        }
        self.bound("maxContains", &MAX_CONTAINS, old, new, at);
        self.bound("minContains", &MIN_CONTAINS, old, new, at);
    }

    /// Items that have a schema each, by their place.
    fn places(&mut self, old: Node<'_>, new: Node<'_>, at: &str) {
        let (before, after) = (item_list(old), item_list(new));
        for place in 0..before.len().max(after.len()) {
            let at = format!("{at}/items/{place}");
            match (before.get(place), after.get(place)) {
                (Some(one), Some(other)) => self.nodes(*one, *other, &at),
                (Some(gone), None) => self.item_gone(*gone, new, &at),
                (None, Some(added)) => self.item_added(old, *added, &at),
                (None, None) => {}
            }
        }
    }

    fn item_gone(&mut self, gone: Node<'_>, new: Node<'_>, at: &str) {
        match content(new) {
            Content::Open => {}
            Content::Partly(others) => {
                if !self.fits(|inner| inner.nodes(gone, others, at)) {
                    self.say("ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at);
                }
            }
            Content::Closed if matches!(shape(gone), Shape::Never) => {}
            Content::Closed => self.say("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL", at),
        }
    }

    fn item_added(&mut self, old: Node<'_>, added: Node<'_>, at: &str) {
        match content(old) {
            Content::Open if matches!(shape(added), Shape::Any) => {}
            Content::Open => self.say("ITEM_ADDED_TO_OPEN_CONTENT_MODEL", at),
            Content::Partly(others) => {
                if !self.fits(|inner| inner.nodes(others, added, at)) {
                    self.say("ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", at);
                }
            }
            Content::Closed => {}
        }
    }
}

/// The one schema of all items.
fn all_items(node: Node<'_>) -> Option<Node<'_>> {
    let has_places = node.value.get("prefixItems").is_some();
    node.get("items").filter(|items| !has_places && !items.value.is_array())
}

fn item_list(node: Node<'_>) -> Vec<Node<'_>> {
    let list = node.value.get("prefixItems").or_else(|| node.value.get("items")).and_then(Value::as_array);
    list.into_iter().flatten().map(|value| node.at(value)).collect()
}

/// What may stand behind the items that have a place.
fn content(node: Node<'_>) -> Content<'_> {
    let key = if node.value.get("prefixItems").is_some() { "items" } else { "additionalItems" };
    match (additional(node, key), node.get("unevaluatedItems")) {
        (Content::Open, Some(inner)) => match shape(inner) {
            Shape::Any => Content::Open,
            Shape::Never => Content::Closed,
            _ => Content::Partly(inner),
        },
        (content, _) => content,
    }
}

//! What no byte stands for: records without fields, and the type `null`. Arrow has no columns for them inside of others. As
//! fields they tell nothing, and a schema without them reads the same bytes. In a union, an array or a map it tells something
//! that a record is there: it is read as the text `{}`, whose byte [`super::filled`] puts where the record is.

use super::names;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The text of a record without fields, as JSON has it. No other enum has it: symbols are names.
const EMPTY: &str = "{}";

/// Takes such fields out of the schema, and makes such records enums of one symbol everywhere else.
pub fn take_out(schema: &mut Value) {
    Bare::default().look(schema, "");
}

/// Whether the type was such a record.
pub fn was_record(schema: &Value) -> bool {
    schema["type"] == "enum" && schema["symbols"] == json!([EMPTY])
}

/// Whether there is one in it.
pub fn is_left(schema: &Value) -> bool {
    match schema {
        Value::Array(branches) => branches.iter().any(is_left),
        Value::Object(parts) => {
            let mut all = ["type", "items", "values", "fields"].into_iter().filter_map(|part| parts.get(part));
            was_record(schema) || all.any(is_left)
        }
        _ => false,
    }
}

/// The full names of the records without fields so far: a schema may name them again.
#[derive(Default)]
struct Bare {
    names: HashSet<String>,
}

impl Bare {
    /// `space` is the namespace around it.
    fn look(&mut self, schema: &mut Value, space: &str) {
        match schema {
            Value::Array(branches) => branches.iter_mut().for_each(|branch| self.keep(branch, space)),
            Value::Object(parts) => {
                let name = names::defined(parts, space);
                let space = name.as_deref().map_or(space, names::space);
                if let Some(inner) = parts.get_mut("type") {
                    self.look(inner, space);
                }
                for part in ["items", "values"] {
                    parts.get_mut(part).into_iter().for_each(|inner| self.keep(inner, space));
                }
                let Some(Value::Array(fields)) = parts.get_mut("fields") else { return };
                fields.retain_mut(|field| {
                    let Some(of) = field.get_mut("type") else { return true };
                    self.look(of, space);
                    !is_null(of) && self.record(of, space).is_none()
                });
                if fields.is_empty() && parts.get("type").is_some_and(|kind| *kind == "record") {
                    self.names.extend(name);
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, schema: &mut Value, space: &str) {
        self.look(schema, space);
        if let Some(name) = self.record(schema, space) {
            *schema = json!({ "type": "enum", "name": name, "symbols": [EMPTY] });
        }
    }

    /// The full name of the record without fields that a schema is, or names.
    fn record(&self, of: &Value, space: &str) -> Option<String> {
        let name = match of {
            Value::String(name) => names::named(name, space),
            Value::Object(parts) => match parts.get("type")? {
                Value::String(kind) if kind == "record" => names::defined(parts, space),
                inner => return self.record(inner, space),
            },
            _ => None,
        };
        name.filter(|name| self.names.contains(name))
    }
}

fn is_null(of: &Value) -> bool {
    *of == "null" || of["type"] == "null"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, fields: Value) -> Value {
        json!({ "type": "record", "name": name, "fields": fields })
    }

    fn field(name: &str, of: Value) -> Value {
        json!({ "name": name, "type": of })
    }

    fn empty(name: &str) -> Value {
        record(name, json!([]))
    }

    fn text(name: &str) -> Value {
        json!({ "type": "enum", "name": name, "symbols": ["{}"] })
    }

    fn taken(mut schema: Value) -> Value {
        take_out(&mut schema);
        schema
    }

    #[test]
    fn what_has_no_bytes_is_no_field_and_a_text_elsewhere() {
        let around = record("Around", json!([field("in", empty("A")), field("nothing", json!("null"))]));
        let found = taken(record(
            "Order",
            json!([
                field("id", json!("string")),
                field("around", around),
                field("any", json!(["null", empty("B")])),
                field("all", json!({ "type": "array", "items": empty("C") })),
                field("by_name", json!({ "type": "map", "values": ["string", empty("D")] })),
            ]),
        ));
        let expected = record(
            "Order",
            json!([
                field("id", json!("string")),
                field("any", json!(["null", text("B")])),
                field("all", json!({ "type": "array", "items": text("C") })),
                field("by_name", json!({ "type": "map", "values": ["string", text("D")] })),
            ]),
        );
        assert_eq!(found, expected);
        assert!(is_left(&found));
        let without = taken(record("Order", json!([field("id", json!("string")), field("none", empty("A"))])));
        assert!(!is_left(&without));
    }

    #[test]
    fn what_has_no_bytes_has_none_where_it_is_named_again() {
        let around = record("Around", json!([field("in", json!("A"))]));
        let found = taken(record(
            "Order",
            json!([
                field("first", empty("A")),
                field("again", json!("A")),
                field("so", json!({ "type": "A" })),
                field("around", around),
                field("any", json!(["null", "A", "Around"])),
                field("all", json!({ "type": "array", "items": "A" })),
                field("other", json!("B")),
            ]),
        ));
        let expected = record(
            "Order",
            json!([
                field("any", json!(["null", text("A"), text("Around")])),
                field("all", json!({ "type": "array", "items": text("A") })),
                field("other", json!("B")),
            ]),
        );
        assert_eq!(found, expected);
    }

    #[test]
    fn a_name_is_that_of_its_namespace() {
        let mut inner =
            record("Inner", json!([field("b", empty("A")), field("c", json!("A")), field("d", json!("shop.A"))]));
        inner["namespace"] = json!("shop.inner");
        let mut order = record(
            "Order",
            json!([
                field("inner", inner),
                field("not_yet", json!("A")),
                field("inner_a", json!("shop.inner.A")),
                field("a", empty("A")),
                field("again", json!("shop.A")),
                field("long", json!("long")),
            ]),
        );
        order["namespace"] = json!("shop");
        let found = taken(order.clone());
        let mut inner = record("Inner", json!([field("d", json!("shop.A"))]));
        inner["namespace"] = json!("shop.inner");
        order["fields"] = json!([field("inner", inner), field("not_yet", json!("A")), field("long", json!("long"))]);
        assert_eq!(found, order, "what is named before it is defined is left for Arrow to refuse");
        let dotted = record("shop.Order", json!([field("a", empty("A")), field("b", json!("shop.A"))]));
        assert_eq!(taken(dotted), record("shop.Order", json!([])));
    }
}

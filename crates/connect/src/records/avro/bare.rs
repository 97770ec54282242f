//! Fields that no byte stands for: of a record without fields, or of the type `null`. Arrow has no columns for them inside of
//! others, and they tell nothing: a schema without them reads the same bytes.

use serde_json::Value;

/// Takes them out of the schema. Where one is a branch of a union, an item or named again elsewhere, it stays.
pub fn take_out(schema: &mut Value) {
    match schema {
        Value::Array(branches) => branches.iter_mut().for_each(take_out),
        Value::Object(parts) => {
            for part in ["type", "items", "values"] {
                parts.get_mut(part).into_iter().for_each(take_out);
            }
            if let Some(Value::Array(fields)) = parts.get_mut("fields") {
                fields.iter_mut().for_each(take_out);
                fields.retain(|field| !is_bare(&field["type"]));
            }
        }
        _ => {}
    }
}

/// Whether there still is one.
pub fn is_left(schema: &Value) -> bool {
    match schema {
        Value::Array(branches) => branches.iter().any(is_left),
        Value::Object(parts) => {
            let mut all = ["type", "items", "values", "fields"].into_iter().filter_map(|part| parts.get(part));
            is_empty(schema) || all.any(is_left)
        }
        _ => false,
    }
}

fn is_bare(of: &Value) -> bool {
    *of == "null" || *of == serde_json::json!({ "type": "null" }) || is_empty(of)
}

fn is_empty(of: &Value) -> bool {
    of["type"] == "record" && of["fields"].as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_no_bytes_is_taken_out_and_branches_and_items_stay() {
        let record = |name: &str, fields: Value| json!({ "type": "record", "name": name, "fields": fields });
        let field = |name: &str, of: Value| json!({ "name": name, "type": of });
        let empty = |name: &str| record(name, json!([]));
        let around = record("Around", json!([field("in", empty("A")), field("nothing", json!("null"))]));
        let kept = [
            field("id", json!("string")),
            field("any", json!(["null", empty("B")])),
            field("all", json!({ "type": "array", "items": empty("C") })),
        ];
        let mut all = kept.to_vec();
        all.insert(1, field("around", around));
        let mut schema = record("Order", json!(all));
        take_out(&mut schema);
        assert_eq!(schema, record("Order", json!(kept)));
        assert!(is_left(&schema));
        let mut without = record("Order", json!([field("id", json!("string")), field("none", empty("A"))]));
        take_out(&mut without);
        assert!(!is_left(&without));
    }
}

//! The JSON Schema of a type: one for the checks and for the editors.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema that files are checked against.
pub(super) fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// JSON Schema (draft 2020-12) of a file's type, for editors. Where a number or a flag is wanted it takes a `${VAR}` too.
pub fn json_schema<T: JsonSchema>() -> Value {
    let mut schema = of::<T>();
    allow_variables(&mut schema);
    schema
}

fn allow_variables(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    let is_word = fields.contains_key("enum") || fields.contains_key("const");
    if let Some(kinds) = fields.get("type").filter(|_| !is_word).and_then(with_text) {
        fields.insert("type".into(), kinds);
        fields.insert("pattern".into(), r"\$\{".into());
    }
    for (key, below) in fields.iter_mut() {
        match (key.as_str(), below) {
            ("properties" | "patternProperties" | "$defs", Value::Object(named)) => {
                named.iter_mut().for_each(|(_, schema)| allow_variables(schema));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(list)) => {
                list.iter_mut().for_each(allow_variables)
            }
            ("items" | "additionalProperties", below) => allow_variables(below),
            _ => {}
        }
    }
}

/// The types of a number or flag with `string` added, which `pattern` then narrows to variables.
fn with_text(kinds: &Value) -> Option<Value> {
    let mut all: Vec<&str> = match kinds {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let widened = all.iter().any(|kind| matches!(*kind, "integer" | "number" | "boolean")) && !all.contains(&"string");
    all.push("string");
    widened.then(|| all.into())
}

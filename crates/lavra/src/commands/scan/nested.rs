//! Objects and lists written as JSON text: what is inside of them is looked at too.

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use kernel::gate::Screen;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// More different keys than this are data, not names.
const KEYS_MAX: usize = 64;
const DEPTH_MAX: usize = 6;

/// How the values of one column are built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shape {
    /// Only nulls so far.
    #[default]
    Nothing,
    Leaf,
    Object(Vec<(String, Shape)>),
    List(Box<Shape>),
    /// Different things at one place, or keys that are data.
    Mixed,
}

/// The texts of leaves by their path.
type Leaves = BTreeMap<String, Vec<String>>;

/// A column's JSON, taken apart.
pub struct Opened {
    /// Values that are no JSON object or list; null where there is one.
    pub plain: ArrayRef,
    /// Values that are.
    pub nested: u64,
    pub leaves: Vec<(String, ArrayRef)>,
}

/// Takes a column of text apart; `None` when no value of it is an object or a list.
pub fn open(name: &str, values: &ArrayRef, shape: &mut Shape, screen: &dyn Screen) -> Option<Opened> {
    if !matches!(values.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        return None;
    }
    let text = cast(values, &DataType::Utf8View).ok()?;
    let text = text.as_string_view();
    if !text.iter().flatten().any(may_be) {
        return None;
    }
    let (mut leaves, mut nested) = (Leaves::new(), 0);
    let mut walk = Walk { screen, leaves: &mut leaves };
    let mut plain = |value: Option<&str>| -> Option<String> {
        let value = value?;
        match may_be(value).then(|| serde_json::from_str::<Value>(value)) {
            Some(Ok(value)) => {
                nested += 1;
                walk.value(name, &value, shape, 0);
                None
            }
            _ => Some(value.to_owned()),
        }
    };
    let plain: StringViewArray = text.iter().map(&mut plain).collect();
    let leaves =
        leaves.into_iter().map(|(path, texts)| (path, Arc::new(StringViewArray::from_iter_values(texts)) as ArrayRef));
    (nested > 0).then(|| Opened { plain: Arc::new(plain), nested, leaves: leaves.collect() })
}

fn may_be(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

struct Walk<'a> {
    screen: &'a dyn Screen,
    leaves: &'a mut Leaves,
}

impl Walk<'_> {
    fn value(&mut self, path: &str, value: &Value, shape: &mut Shape, depth: usize) {
        match value {
            Value::Null => {}
            Value::Object(fields) if depth < DEPTH_MAX => {
                if *shape == Shape::Nothing {
                    *shape = Shape::Object(Vec::new());
                }
                for (key, value) in fields {
                    self.field(path, key, value, shape, depth);
                }
            }
            Value::Array(items) if depth < DEPTH_MAX => {
                if *shape == Shape::Nothing {
                    *shape = Shape::List(Box::default());
                }
                for item in items {
                    match shape {
                        Shape::List(inner) => self.value(path, item, inner, depth + 1),
                        _ => self.value(path, item, &mut Shape::Nothing, depth + 1),
                    }
                }
                if !matches!(shape, Shape::List(_)) {
                    *shape = Shape::Mixed;
                }
            }
            leaf => {
                let is_new = matches!(shape, Shape::Nothing | Shape::Leaf) && !leaf.is_object() && !leaf.is_array();
                *shape = if is_new { Shape::Leaf } else { Shape::Mixed };
                let text = leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned);
                self.leaves.entry(path.to_owned()).or_default().push(text);
            }
        }
    }

    /// A key that looks like somebody's is looked at as a value, and never shown.
    fn field(&mut self, path: &str, key: &str, value: &Value, shape: &mut Shape, depth: usize) {
        let Shape::Object(known) = shape else {
            *shape = Shape::Mixed;
            let inner = format!("{path}.{}", self.shown(path, key));
            return self.value(&inner, value, &mut Shape::Nothing, depth + 1);
        };
        if let Some((_, inner)) = known.iter_mut().find(|(name, _)| name == key) {
            return self.value(&format!("{path}.{key}"), value, inner, depth + 1);
        }
        let is_name = known.len() < KEYS_MAX && !self.screen.is_personal(key) && !key.is_empty();
        let is_double = known.iter().any(|(name, _)| name.eq_ignore_ascii_case(key));
        if !is_name || is_double {
            *shape = Shape::Mixed;
            let inner = format!("{path}.{}", self.shown(path, key));
            return self.value(&inner, value, &mut Shape::Nothing, depth + 1);
        }
        let mut inner = Shape::Nothing;
        self.value(&format!("{path}.{key}"), value, &mut inner, depth + 1);
        known.push((key.to_owned(), inner));
    }

    /// What is shown of a key that may be data.
    fn shown(&mut self, path: &str, key: &str) -> &'static str {
        self.leaves.entry(format!("{path}.*")).or_default().push(key.to_owned());
        "*"
    }
}

impl Shape {
    /// The type of the column, its leaves by `leaf`; `None` where it has none.
    pub fn data_type(&self, path: &str, leaf: &dyn Fn(&str) -> DataType) -> Option<DataType> {
        match self {
            Shape::Nothing => Some(DataType::Utf8),
            Shape::Leaf => Some(leaf(path)),
            Shape::Mixed => None,
            Shape::List(inner) => Some(DataType::new_list(inner.data_type(path, leaf)?, true)),
            Shape::Object(fields) if fields.is_empty() => None,
            Shape::Object(fields) => {
                let field = |(name, inner): &(String, Shape)| {
                    Some(Field::new(name, inner.data_type(&format!("{path}.{name}"), leaf)?, true))
                };
                Some(DataType::Struct(fields.iter().map(field).collect::<Option<Fields>>()?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privacy::detect::PersonalScreen;

    fn opened(values: &[&str]) -> (Shape, Opened) {
        let screen = PersonalScreen::new().expect("a screen");
        let array: ArrayRef = Arc::new(StringViewArray::from_iter_values(values));
        let mut shape = Shape::default();
        let opened = open("x", &array, &mut shape, &screen).expect("JSON");
        (shape, opened)
    }

    fn paths(opened: &Opened) -> Vec<(&str, usize)> {
        opened.leaves.iter().map(|(path, values)| (path.as_str(), values.len())).collect()
    }

    #[test]
    fn leaves_are_found_by_their_path() {
        let (shape, opened) = opened(&[r#"{"a": 1, "b": {"c": ["p", "q"]}}"#, r#"{"a": null, "d": [{"e": true}]}"#]);
        assert_eq!(paths(&opened), [("x.a", 1), ("x.b.c", 2), ("x.d.e", 1)]);
        assert_eq!(opened.nested, 2);
        let data_type = shape.data_type("x", &|_| DataType::Utf8).expect("a type");
        assert_eq!(data_type.to_string().matches("Struct").count(), 3, "{data_type}");
    }

    #[test]
    fn what_has_no_one_type_is_mixed_and_still_looked_at() {
        for values in [
            &[r#"{"a": 1}"#, "[2]"][..],
            &[r#"{"a": {"b": 1}}"#, r#"{"a": 2}"#],
            &["[1, [2]]"],
            &[r#"{"A": 1, "a": 2}"#],
        ] {
            let (shape, opened) = opened(values);
            assert_eq!(shape.data_type("x", &|_| DataType::Utf8), None, "{values:?}");
            assert!(opened.leaves.iter().map(|(_, values)| values.len()).sum::<usize>() >= 2, "{values:?}");
        }
    }

    #[test]
    fn keys_that_are_somebodys_are_values() {
        let (shape, opened) = opened(&[r#"{"529.982.247-25": {"limit": 10}}"#]);
        assert_eq!(shape, Shape::Mixed);
        assert_eq!(paths(&opened), [("x.*", 1), ("x.*.limit", 1)]);
    }

    #[test]
    fn text_beside_json_stays_text() {
        let (_, opened) = opened(&["[1]", "note", "{broken"]);
        assert_eq!((opened.nested, opened.plain.null_count()), (1, 1));
    }
}

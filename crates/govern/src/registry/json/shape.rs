//! What a schema demands, sorted by the kind of value that it speaks of.

use super::documents::Node;
use serde_json::Value;

/// One demand. A schema with several of them demands all: it is a [`Shape::Choice`] of [`Of::All`].
#[derive(Debug, Clone)]
pub enum Shape<'a> {
    /// Everything passes: `true`, `{}`.
    Any,
    /// Nothing passes: `false`.
    Never,
    Null,
    Boolean,
    Text(Node<'a>),
    Number {
        node: Node<'a>,
        is_integer: bool,
    },
    Object(Node<'a>),
    Array(Node<'a>),
    Const(&'a Value),
    Enum(&'a [Value]),
    Not(Node<'a>),
    Choice(Of, Vec<Part<'a>>),
    /// Demands that are compared as a whole: `if`, `then`, `else`.
    Condition(Vec<&'a Value>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    All,
    Any,
    One,
}

impl Of {
    pub fn keyword(self) -> &'static str {
        match self {
            Self::All => "allOf",
            Self::Any => "anyOf",
            Self::One => "oneOf",
        }
    }
}

/// A part of a choice: a schema of its own, or one of the demands that stand side by side in one schema.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    Schema(Node<'a>),
    Demand(Box<Shape<'a>>),
}

const TEXT: [&str; 3] = ["minLength", "maxLength", "pattern"];
const NUMBER: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const ARRAY: [&str; 9] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
];
const OBJECT: [&str; 11] = [
    "properties",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
];

/// What the schema at a place demands, behind its `$ref`s.
pub fn shape(node: Node<'_>) -> Shape<'_> {
    let Some(node) = node.followed() else { return Shape::Any };
    if let Value::Bool(passes) = node.value {
        return if *passes { Shape::Any } else { Shape::Never };
    }
    let mut demands = Vec::new();
    if let Some(Value::Array(values)) = node.value.get("enum") {
        demands.push(Shape::Enum(values));
    }
    if let Some(value) = node.value.get("const") {
        demands.push(Shape::Const(value));
    }
    for of in [Of::All, Of::Any, Of::One] {
        if let Some(Value::Array(parts)) = node.value.get(of.keyword()) {
            demands.push(Shape::Choice(of, parts.iter().map(|part| Part::Schema(node.at(part))).collect()));
        }
    }
    if let Some(inner) = node.get("not") {
        demands.push(Shape::Not(inner));
    }
    let condition: Vec<&Value> = ["if", "then", "else"].iter().filter_map(|key| node.value.get(*key)).collect();
    if !condition.is_empty() {
        demands.push(Shape::Condition(condition));
    }
    demands.extend(of_types(node));
    match (demands.len(), demands.pop()) {
        (_, None) => Shape::Any,
        (1, Some(only)) => only,
        (_, Some(last)) => {
            let parts = demands.into_iter().chain([last]).map(|demand| Part::Demand(Box::new(demand))).collect();
            Shape::Choice(Of::All, parts)
        }
    }
}

/// The types that it names; without one, those that its keywords speak of.
fn of_types(node: Node<'_>) -> Vec<Shape<'_>> {
    match node.value.get("type") {
        Some(Value::String(name)) => of_type(name, node).into_iter().collect(),
        Some(Value::Array(names)) => {
            let mut shapes: Vec<Shape<'_>> =
                names.iter().filter_map(Value::as_str).filter_map(|name| of_type(name, node)).collect();
            match shapes.len() {
                0 | 1 => shapes,
                _ => {
                    let parts = shapes.drain(..).map(|shape| Part::Demand(Box::new(shape))).collect();
                    vec![Shape::Choice(Of::Any, parts)]
                }
            }
        }
        _ => {
            let speaks = |keywords: &[&str]| keywords.iter().any(|key| node.value.get(*key).is_some());
            let mut shapes = Vec::new();
            if speaks(&OBJECT) {
                shapes.push(Shape::Object(node));
            }
            if speaks(&ARRAY) {
                shapes.push(Shape::Array(node));
            }
            if speaks(&TEXT) {
                shapes.push(Shape::Text(node));
            }
            if speaks(&NUMBER) {
                shapes.push(Shape::Number { node, is_integer: false });
            }
            shapes
        }
    }
}

fn of_type<'a>(name: &str, node: Node<'a>) -> Option<Shape<'a>> {
    Some(match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "string" => Shape::Text(node),
        "number" => Shape::Number { node, is_integer: false },
        "integer" => Shape::Number { node, is_integer: true },
        "object" => Shape::Object(node),
        "array" => Shape::Array(node),
        _ => return None,
    })
}

impl<'a> Part<'a> {
    pub fn shape(&self) -> Shape<'a> {
        match self {
            Self::Schema(node) => shape(*node),
            Self::Demand(shape) => (**shape).clone(),
        }
    }
}

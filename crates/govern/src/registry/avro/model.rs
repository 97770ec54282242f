//! The types of an Avro schema, with their names resolved.

use serde_json::{Map, Value};
use std::collections::HashMap;

#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    Primitive(Primitive),
    /// `bytes` that are the digits of a decimal.
    Decimal(Digits),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    /// By its whole name.
    Named(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Primitive {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits {
    pub precision: u64,
    pub scale: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    Record { aliases: Vec<String>, fields: Vec<Field> },
    Enum { aliases: Vec<String>, symbols: Vec<String>, default: Option<String> },
    Fixed { aliases: Vec<String>, size: u64, digits: Option<Digits> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub has_default: bool,
    pub of: Type,
}

/// A schema: its type, and all types with names that it uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Types {
    pub root: Type,
    pub named: HashMap<String, Named>,
}

const PRIMITIVES: [(&str, Primitive); 8] = [
    ("null", Primitive::Null),
    ("boolean", Primitive::Boolean),
    ("int", Primitive::Int),
    ("long", Primitive::Long),
    ("float", Primitive::Float),
    ("double", Primitive::Double),
    ("bytes", Primitive::Bytes),
    ("string", Primitive::String),
];

pub fn is_primitive(name: &str) -> bool {
    primitive(name).is_some()
}

fn primitive(name: &str) -> Option<Primitive> {
    PRIMITIVES.iter().find(|(other, _)| *other == name).map(|(_, primitive)| *primitive)
}

impl Primitive {
    pub fn name(self) -> &'static str {
        PRIMITIVES.iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }
}

impl Types {
    /// Reads a schema behind those that it refers to. It was parsed by Avro's own library before: what is wrong with it is
    /// told there.
    pub fn read(value: &Value, others: &[Value]) -> Result<Self, String> {
        let mut reader = Reader::default();
        for other in others {
            reader.read(other, "")?;
        }
        let root = reader.read(value, "")?;
        match reader.used.iter().find(|name| !reader.named.contains_key(*name)) {
            Some(name) => Err(format!("the type `{name}` is nowhere defined")),
            None => Ok(Self { root, named: reader.named }),
        }
    }
}

#[derive(Default)]
struct Reader {
    named: HashMap<String, Named>,
    used: Vec<String>,
}

impl Reader {
    fn read(&mut self, value: &Value, space: &str) -> Result<Type, String> {
        match value {
            Value::String(name) => Ok(self.by_name(name, space)),
            Value::Array(branches) => {
                branches.iter().map(|branch| self.read(branch, space)).collect::<Result<_, _>>().map(Type::Union)
            }
            Value::Object(object) => self.object(object, space),
            _ => Err("a type is neither a name, nor a list, nor an object".into()),
        }
    }

    fn by_name(&mut self, name: &str, space: &str) -> Type {
        if let Some(primitive) = primitive(name) {
            return Type::Primitive(primitive);
        }
        let name = whole_name(name, space);
        self.used.push(name.clone());
        Type::Named(name)
    }

    fn object(&mut self, object: &Map<String, Value>, space: &str) -> Result<Type, String> {
        let inner = |key: &str| object.get(key).ok_or_else(|| format!("a type lacks its `{key}`"));
        let kind = match inner("type")? {
            Value::String(kind) => kind.as_str(),
            nested => return self.read(nested, space),
        };
        match kind {
            "array" => self.read(inner("items")?, space).map(|of| Type::Array(Box::new(of))),
            "map" => self.read(inner("values")?, space).map(|of| Type::Map(Box::new(of))),
            "bytes" => Ok(digits(object).map_or(Type::Primitive(Primitive::Bytes), Type::Decimal)),
            "record" | "error" | "enum" | "fixed" => self.define(object, kind, space),
            name => Ok(self.by_name(name, space)),
        }
    }

    fn define(&mut self, object: &Map<String, Value>, kind: &str, space: &str) -> Result<Type, String> {
        let (name, space) = name_and_space(object, space)?;
        let aliases = texts(object, "aliases").iter().map(|alias| whole_name(alias, &space)).collect();
        let named = match kind {
            "enum" => {
                let default = object.get("default").and_then(Value::as_str).map(str::to_owned);
                Named::Enum { aliases, symbols: texts(object, "symbols"), default }
            }
            "fixed" => {
                let size = object.get("size").and_then(Value::as_u64).unwrap_or_default();
                Named::Fixed { aliases, size, digits: digits(object) }
            }
            _ => {
                let fields = object.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let fields = fields.iter().map(|field| self.field(field, &space)).collect::<Result<_, _>>()?;
                Named::Record { aliases, fields }
            }
        };
        self.named.insert(name.clone(), named);
        Ok(Type::Named(name))
    }

    fn field(&mut self, field: &Value, space: &str) -> Result<Field, String> {
        let object = field.as_object().ok_or("a field is no object")?;
        let name = object.get("name").and_then(Value::as_str).ok_or("a field has no name")?;
        Ok(Field {
            name: name.to_owned(),
            aliases: texts(object, "aliases"),
            has_default: object.contains_key("default"),
            of: self.read(object.get("type").ok_or("a field has no type")?, space)?,
        })
    }
}

fn texts(object: &Map<String, Value>, key: &str) -> Vec<String> {
    let items = object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn digits(object: &Map<String, Value>) -> Option<Digits> {
    let number = |key: &str| object.get(key).and_then(Value::as_u64);
    (object.get("logicalType")?.as_str()? == "decimal")
        .then(|| Some(Digits { precision: number("precision")?, scale: number("scale").unwrap_or_default() }))?
}

/// The whole name of a type with a name, and the namespace that holds inside it.
pub fn name_and_space(object: &Map<String, Value>, space: &str) -> Result<(String, String), String> {
    let name = object.get("name").and_then(Value::as_str).ok_or("a type has no name")?;
    let space = object.get("namespace").and_then(Value::as_str).unwrap_or(space);
    let whole = whole_name(name, space);
    let space = whole.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
    Ok((whole, space))
}

pub fn whole_name(name: &str, space: &str) -> String {
    match name.contains('.') || space.is_empty() {
        true => name.trim_start_matches('.').to_owned(),
        false => format!("{space}.{name}"),
    }
}

//! Records' bytes with one more for each record without fields, which [`super::bare`] made an enum: its only symbol is a zero.
//! All other bytes stay (avro.apache.org/docs/1.12.0/specification/#binary-encoding), but for the sizes of blocks, which go.

use super::{bare, names};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Values without bytes that one record may have: an array of them is as long as its count says, and a few bytes would fill
/// the memory.
const EMPTY_MAX: usize = 1 << 16;

/// How the values of a type are written.
pub enum Shape {
    /// `null`, or a `fixed` of no bytes.
    Nothing,
    /// A record without fields: the enum's byte is put here.
    Empty,
    /// So many bytes.
    Bytes(usize),
    /// `int`, `long`, or an enum's symbol.
    Number,
    /// `string` or `bytes`: a length, and as many bytes.
    Text,
    Record(Vec<Arc<Shape>>),
    Union(Vec<Arc<Shape>>),
    Array(Arc<Shape>),
    Map(Arc<Shape>),
}

impl Shape {
    /// `None` for a schema that is none, or that contains itself.
    pub fn of(schema: &Value) -> Option<Arc<Self>> {
        Shapes::default().of(schema, "")
    }

    /// The value with the bytes that it lacks; `None` when it is not of the shape.
    pub fn filled(&self, value: &[u8]) -> Option<Vec<u8>> {
        let mut copy = Copy { from: value, to: Vec::with_capacity(value.len() + 16), left: EMPTY_MAX };
        copy.value(self)?;
        copy.from.is_empty().then_some(copy.to)
    }
}

/// The types that the schema gave names to so far.
#[derive(Default)]
struct Shapes {
    named: HashMap<String, Arc<Shape>>,
}

impl Shapes {
    fn of(&mut self, schema: &Value, space: &str) -> Option<Arc<Shape>> {
        match schema {
            Value::String(name) => self.by_name(name, space),
            Value::Array(branches) => Some(Arc::new(Shape::Union(self.all(branches.iter(), space)?))),
            Value::Object(parts) => {
                let kind = match parts.get("type")? {
                    Value::String(kind) => kind.as_str(),
                    inner => return self.of(inner, space),
                };
                let name = names::defined(parts, space);
                let inside = name.as_deref().map_or(space, names::space);
                let shape = Arc::new(match kind {
                    "record" => {
                        let fields = parts.get("fields")?.as_array()?;
                        Shape::Record(self.all(fields.iter().map(|field| &field["type"]), inside)?)
                    }
                    "enum" if bare::was_record(schema) => Shape::Empty,
                    "enum" => Shape::Number,
                    "fixed" => match usize::try_from(parts.get("size")?.as_u64()?).ok()? {
                        0 => Shape::Nothing,
                        size => Shape::Bytes(size),
                    },
                    "array" => Shape::Array(self.of(parts.get("items")?, space)?),
                    "map" => Shape::Map(self.of(parts.get("values")?, space)?),
                    name => return self.by_name(name, space),
                });
                self.named.extend(name.map(|name| (name, shape.clone())));
                Some(shape)
            }
            _ => None,
        }
    }

    fn all<'s>(&mut self, schemas: impl Iterator<Item = &'s Value>, space: &str) -> Option<Vec<Arc<Shape>>> {
        schemas.map(|schema| self.of(schema, space)).collect()
    }

    fn by_name(&self, name: &str, space: &str) -> Option<Arc<Shape>> {
        Some(Arc::new(match name {
            "null" => Shape::Nothing,
            "boolean" => Shape::Bytes(1),
            "int" | "long" => Shape::Number,
            "float" => Shape::Bytes(4),
            "double" => Shape::Bytes(8),
            "bytes" | "string" => Shape::Text,
            _ => return self.named.get(&names::named(name, space)?).cloned(),
        }))
    }
}

struct Copy<'v> {
    from: &'v [u8],
    to: Vec<u8>,
    /// Values without bytes that may still come.
    left: usize,
}

impl Copy<'_> {
    fn value(&mut self, shape: &Shape) -> Option<()> {
        match shape {
            Shape::Nothing => self.left = self.left.checked_sub(1)?,
            Shape::Empty => {
                self.left = self.left.checked_sub(1)?;
                self.to.push(0);
            }
            Shape::Bytes(count) => self.bytes(*count)?,
            Shape::Number => _ = self.number()?,
            Shape::Text => self.text()?,
            Shape::Record(fields) => fields.iter().try_for_each(|field| self.value(field))?,
            Shape::Union(branches) => {
                let branch = usize::try_from(self.number()?).ok()?;
                self.value(branches.get(branch)?)?;
            }
            Shape::Array(item) => self.blocks(|copy| copy.value(item))?,
            Shape::Map(inner) => self.blocks(|copy| {
                copy.text()?;
                copy.value(inner)
            })?,
        }
        Some(())
    }

    /// Blocks of items up to an empty one, each with its count in front. Behind one below zero is the block's size in bytes,
    /// which may become another.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        loop {
            let (count, length) = number(self.from)?;
            if count < 0 {
                self.from = &self.from[length..];
                let (size, length) = number(self.from)?;
                if size < 0 {
                    return None;
                }
                self.from = &self.from[length..];
                self.put(count.unsigned_abs())?;
            } else {
                self.bytes(length)?;
            }
            if count == 0 {
                return Some(());
            }
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
        }
    }

    fn text(&mut self) -> Option<()> {
        let length = self.number()?;
        self.bytes(usize::try_from(length).ok()?)
    }

    fn number(&mut self) -> Option<i64> {
        let (number, length) = number(self.from)?;
        self.bytes(length)?;
        Some(number)
    }

    fn bytes(&mut self, count: usize) -> Option<()> {
        let (bytes, rest) = self.from.split_at_checked(count)?;
        self.to.extend_from_slice(bytes);
        self.from = rest;
        Some(())
    }

    fn put(&mut self, count: u64) -> Option<()> {
        let mut rest = i64::try_from(count).ok()?.unsigned_abs() << 1;
        while rest > 0x7f {
            self.to.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.to.push(rest as u8);
        Some(())
    }
}

/// The number that stands in front, zigzag in groups of seven bits, and its length in bytes.
fn number(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut read = 0u64;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        read |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(((read >> 1) as i64 ^ -((read & 1) as i64), place + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shape(fields: Value) -> Arc<Shape> {
        let mut schema = json!({ "type": "record", "name": "Order", "namespace": "shop", "fields": fields });
        bare::take_out(&mut schema);
        Shape::of(&schema).expect("a shape")
    }

    fn field(of: Value) -> Value {
        json!({ "name": "f", "type": of })
    }

    fn empty() -> Value {
        json!({ "type": "record", "name": "None", "fields": [] })
    }

    #[test]
    fn what_lacks_no_bytes_is_copied_as_it_is() {
        let inner = json!({ "type": "record", "name": "In", "namespace": "shop.in", "fields": [field(json!("long"))] });
        let of: [(Value, &[u8]); 14] = [
            (json!("boolean"), &[1]),
            (json!("int"), &[3]),
            (json!({ "type": "long", "logicalType": "timestamp-micros" }), &[0x80, 0x80, 1]),
            (json!("float"), &[1, 2, 3, 4]),
            (json!("double"), &[1, 2, 3, 4, 5, 6, 7, 8]),
            (json!("bytes"), &[4, 0, 0xff]),
            (json!("string"), &[2, b'a']),
            (json!({ "type": "fixed", "name": "Three", "size": 3 }), &[7, 8, 9]),
            (json!("shop.Three"), &[9, 8, 7]),
            (json!({ "type": "enum", "name": "Kind", "symbols": ["A", "B"] }), &[2]),
            (json!({ "type": "array", "items": { "type": "map", "values": "Kind" } }), &[2, 4, 0, 2, 2, b'k', 0, 0, 0]),
            (inner, &[0x81, 1]),
            (json!(["null", "string", "shop.in.In"]), &[4, 6]),
            (json!(["null", "string", "shop.in.In"]), &[0]),
        ];
        let shape = shape(of.iter().map(|(of, _)| field(of.clone())).collect());
        let bytes: Vec<u8> = of.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        assert_eq!(shape.filled(&bytes).as_ref(), Some(&bytes));
        assert_eq!(shape.filled(&bytes[..bytes.len() - 1]), None, "it breaks off");
        assert_eq!(shape.filled(&[bytes, vec![0]].concat()), None, "something follows");
    }

    #[test]
    fn a_record_without_fields_gets_its_byte_where_it_is() {
        let shape = shape(json!([
            field(json!("string")),
            field(json!(["null", empty(), "long"])),
            field(json!({ "type": "array", "items": "None" })),
            field(json!({ "type": "map", "values": "shop.None" })),
            field(json!("long")),
        ]));
        let ends: [(&[u8], &[u8]); 3] = [(&[0], &[0]), (&[2], &[2, 0]), (&[4, 14], &[4, 14])];
        for (from, to) in ends {
            let from = [&[2, b'a'], from, &[0, 0, 18]].concat();
            assert_eq!(shape.filled(&from), Some([&[2, b'a'], to, &[0, 0, 18]].concat()));
        }
        // Two, then one in a block that tells its size; two entries in blocks as well.
        let from = [0, 0, 4, 1, 0, 0, 1, 4, 2, b'k', 2, 2, b'l', 0, 18];
        let to = [0, 0, 4, 0, 0, 2, 0, 0, 2, 2, b'k', 0, 2, 2, b'l', 0, 0, 18];
        assert_eq!(shape.filled(&from).as_deref(), Some(&to[..]));
        for broken in
            [&[0, 6, 0, 0, 18][..], &[0, 0, 1, 1, 0, 0, 18], &[0, 1, 0, 0, 18], &[0, 0, 4, 0, 18], &[0, 0, 0, 2, 0, 18]]
        {
            assert_eq!(shape.filled(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn an_array_of_nothing_is_not_believed_to_be_endless() {
        let all = shape(json!([field(json!({ "type": "array", "items": empty() }))]));
        let most = [&[0xfe][..], &[0xff; 8], &[1, 0]].concat();
        assert_eq!(all.filled(&most), None);
        // 100 of them, counted below zero.
        let filled = all.filled(&[0xc7, 1, 0, 0]).expect("a value");
        assert_eq!(filled, [&[0xc8, 1][..], &[0; 101]].concat());
        for nothing in [json!("null"), json!({ "type": "fixed", "name": "Zero", "size": 0 })] {
            let all = shape(json!([field(json!({ "type": "array", "items": nothing }))]));
            assert_eq!(all.filled(&most), None);
            assert_eq!(all.filled(&[6, 0]), Some(vec![6, 0]));
        }
    }

    #[test]
    fn what_contains_itself_or_names_what_is_not_there_has_no_shape() {
        for of in [json!(["null", "Order"]), json!("None"), json!({ "type": "array", "items": "other.Order" })] {
            let schema = json!({ "type": "record", "name": "Order", "fields": [field(of)] });
            assert!(Shape::of(&schema).is_none());
        }
    }
}

//! A checked tree to its type. What the schema can't say, the type's own reading says, and it gets a place too.

use super::Span;
use super::place::Fault;
use super::scalar::{Kind, Number, Scalar};
use super::tree::{Content, Entry, Node};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use std::fmt;

/// Reads `T`. A value that a variable put in is not shown in the message.
pub(super) fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, Fault> {
    T::deserialize(Reader(node)).map_err(|error| Fault::new(error.span, error.message))
}

/// Why, and the place of the innermost node that was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    span: Option<Span>,
    message: String,
}

impl Refusal {
    fn at(mut self, node: &Node) -> Self {
        if self.span.is_none() {
            self.span = Some(node.span);
            if node.has_variable() {
                self.message = "this does not fit here once its variables are put in".into();
            }
        }
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { span: None, message: message.to_string() }
    }
}

/// Reads from one node.
#[derive(Clone, Copy)]
pub(super) struct Reader<'de>(&'de Node);

impl<'de> Reader<'de> {
    fn found(self) -> de::Unexpected<'de> {
        match &self.0.content {
            Content::List(_) => de::Unexpected::Seq,
            Content::Map(_) => de::Unexpected::Map,
            Content::Scalar(scalar) if scalar.kind() == Kind::Nothing => de::Unexpected::Unit,
            Content::Scalar(scalar) => de::Unexpected::Str(scalar.written()),
        }
    }

    fn visit_number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let read = match self.0.scalar().and_then(Scalar::number) {
            Some(Number::Unsigned(n)) => visitor.visit_u64(n),
            Some(Number::Signed(n)) => visitor.visit_i64(n),
            Some(Number::Float(n)) => visitor.visit_f64(n),
            None => Err(de::Error::invalid_type(self.found(), &visitor)),
        };
        read.map_err(|e: Refusal| e.at(self.0))
    }

    fn visit_text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let read = match self.0.scalar().and_then(Scalar::as_text) {
            Some(text) => visitor.visit_borrowed_str(text),
            None => Err(de::Error::invalid_type(self.found(), &visitor)),
        };
        read.map_err(|e: Refusal| e.at(self.0))
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            self.visit_number(visitor)
        })*
    };
}

macro_rules! texts {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            self.visit_text(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Refusal;

    numbers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 }
    numbers! { deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 }
    numbers! { deserialize_f32 deserialize_f64 }
    texts! { deserialize_char deserialize_str deserialize_string deserialize_identifier }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let read = match &self.0.content {
            Content::List(items) => visitor.visit_seq(Items(items.iter())),
            Content::Map(entries) => visitor.visit_map(Fields { entries: entries.iter(), value: None }),
            Content::Scalar(scalar) => match scalar.kind() {
                Kind::Nothing => visitor.visit_unit(),
                Kind::Flag(flag) => visitor.visit_bool(flag),
                Kind::Number => return self.visit_number(visitor),
                Kind::Text => visitor.visit_borrowed_str(scalar.text()),
            },
        };
        read.map_err(|e: Refusal| e.at(self.0))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.0.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self).map_err(|e: Refusal| e.at(self.0))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let read = match &self.0.content {
            Content::Scalar(scalar) => {
                visitor.visit_enum(IntoDeserializer::<Refusal>::into_deserializer(scalar.text()))
            }
            Content::Map(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant(entry)),
                _ => Err(de::Error::custom("expected one field that names what is meant")),
            },
            Content::List(_) => Err(de::Error::invalid_type(self.found(), &visitor)),
        };
        read.map_err(|e: Refusal| e.at(self.0))
    }

    serde::forward_to_deserialize_any! {
        bool bytes byte_buf unit unit_struct seq tuple tuple_struct map struct ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        self.0.next().map(|node| seed.deserialize(Reader(node)).map_err(|e| e.at(node))).transpose()
    }
}

struct Fields<'de> {
    entries: std::slice::Iter<'de, Entry>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(&entry.value);
        let key = seed.deserialize(StrDeserializer::new(&entry.key)).map(Some);
        key.map_err(|error: Refusal| Refusal { span: Some(entry.key_span), ..error })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refusal> {
        let node = self.value.take().ok_or_else(|| <Refusal as de::Error>::custom("a value without its key"))?;
        seed.deserialize(Reader(node)).map_err(|e| e.at(node))
    }
}

/// `name: content`, an enum's variant with what it holds.
struct Variant<'de>(&'de Entry);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Refusal;
    type Variant = Reader<'de>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Reader<'de>), Refusal> {
        let name = seed.deserialize(StrDeserializer::<Refusal>::new(&self.0.key))?;
        Ok((name, Reader(&self.0.value)))
    }
}

impl<'de> VariantAccess<'de> for Reader<'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        if self.0.is_nothing() { Ok(()) } else { Err(<Refusal as de::Error>::custom("takes no fields").at(self.0)) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        seed.deserialize(self).map_err(|e| e.at(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_any(visitor)
    }
}

//! JSON of MySQL in one way of writing, whether a query gives it as text or the log as a tree: as MySQL writes it, without
//! blanks. Numbers keep all their digits.

use mysql_async::binlog::jsonb::{JsonDom, JsonNumber, JsonOpaque, JsonScalar, Value};
use std::fmt::Write;

/// The tree's bytes are broken.
#[derive(Debug)]
pub struct Broken;

/// Text of a query: blanks stand between its parts only.
pub fn compact(text: &str) -> String {
    let (mut to, mut inside, mut escaped) = (String::with_capacity(text.len()), false, false);
    for sign in text.chars() {
        if !inside && sign.is_ascii_whitespace() {
            continue;
        }
        if sign == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && sign == '\\' && !escaped;
        to.push(sign);
    }
    to
}

/// A tree of the log.
pub fn write(to: &mut String, value: &Value<'_>) -> Result<(), Broken> {
    match value {
        Value::SmallArray(items) => list(to, items.iter()),
        Value::LargeArray(items) => list(to, items.iter()),
        Value::SmallObject(fields) => {
            object(to, fields.iter().map(|field| field.map(|(key, value)| (key.value().into_owned(), value))))
        }
        Value::LargeObject(fields) => {
            object(to, fields.iter().map(|field| field.map(|(key, value)| (key.value().into_owned(), value))))
        }
        scalar => match scalar.clone().parse().map_err(|_| Broken)? {
            JsonDom::Scalar(scalar) => {
                write_scalar(to, &scalar);
                Ok(())
            }
            JsonDom::Container(_) => Err(Broken),
        },
    }
}

fn list<'v>(to: &mut String, items: impl Iterator<Item = std::io::Result<Value<'v>>>) -> Result<(), Broken> {
    to.push('[');
    for (place, item) in items.enumerate() {
        if place > 0 {
            to.push(',');
        }
        write(to, &item.map_err(|_| Broken)?)?;
    }
    to.push(']');
    Ok(())
}

fn object<'v>(
    to: &mut String,
    fields: impl Iterator<Item = std::io::Result<(String, Value<'v>)>>,
) -> Result<(), Broken> {
    to.push('{');
    for (place, field) in fields.enumerate() {
        let (name, value) = field.map_err(|_| Broken)?;
        if place > 0 {
            to.push(',');
        }
        string(to, &name);
        to.push(':');
        write(to, &value)?;
    }
    to.push('}');
    Ok(())
}

fn write_scalar(to: &mut String, scalar: &JsonScalar) {
    // Writing to a `String` can't fail.
    let _ = match scalar {
        JsonScalar::Null => to.write_str("null"),
        JsonScalar::Boolean(value) => write!(to, "{value}"),
        JsonScalar::String(text) => {
            string(to, text);
            Ok(())
        }
        JsonScalar::DateTime(time) => write!(to, "\"{time:.6}\""),
        JsonScalar::Number(JsonNumber::Decimal(number)) => write!(to, "{number}"),
        JsonScalar::Number(JsonNumber::Double(number)) => write!(to, "{number:?}"),
        JsonScalar::Number(JsonNumber::Int(number)) => write!(to, "{number}"),
        JsonScalar::Number(JsonNumber::Uint(number)) => write!(to, "{number}"),
        JsonScalar::Opaque(opaque) => {
            let _: &JsonOpaque = opaque;
            write!(to, "{}", serde_json::Value::from(JsonDom::Scalar(scalar.clone())))
        }
    };
}

fn string(to: &mut String, text: &str) {
    to.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_between_parts_go() {
        assert_eq!(
            compact(r#"{"a b": [1, 2.50, "x, \" y\\"], "c": 1e300}"#),
            r#"{"a b":[1,2.50,"x, \" y\\"],"c":1e300}"#
        );
    }
}

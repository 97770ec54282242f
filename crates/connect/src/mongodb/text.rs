//! A document as JSON text, from which columns are made as from a file's: numbers exact, times ISO 8601, bytes hexadecimal.

use crate::cells::{Cell, write_text};
use mongodb::bson::{Decimal128, RawArray, RawBsonRef, RawDocument};
use std::fmt::Write;

/// Writes a document. What can't be read of it is an error of its bytes.
pub fn document(to: &mut String, document: &RawDocument) -> Result<(), Broken> {
    to.push('{');
    for (place, field) in document.iter().enumerate() {
        let (name, value) = field.map_err(|_| Broken)?;
        if place > 0 {
            to.push(',');
        }
        string(to, name.as_str());
        to.push(':');
        self::value(to, value)?;
    }
    to.push('}');
    Ok(())
}

/// The document's bytes are no BSON.
#[derive(Debug, Clone, Copy)]
pub struct Broken;

fn array(to: &mut String, array: &RawArray) -> Result<(), Broken> {
    to.push('[');
    for (place, item) in array.into_iter().enumerate() {
        if place > 0 {
            to.push(',');
        }
        value(to, item.map_err(|_| Broken)?)?;
    }
    to.push(']');
    Ok(())
}

fn value(to: &mut String, value: RawBsonRef<'_>) -> Result<(), Broken> {
    // Writing to a `String` can't fail.
    let _ = match value {
        RawBsonRef::Null | RawBsonRef::Undefined => to.write_str("null"),
        RawBsonRef::Boolean(value) => write!(to, "{value}"),
        RawBsonRef::Int32(value) => write!(to, "{value}"),
        RawBsonRef::Int64(value) => write!(to, "{value}"),
        RawBsonRef::Double(value) if value.is_finite() => write!(to, "{value}"),
        RawBsonRef::Double(value) => {
            to.push('"');
            write_text(to, &Cell::Double(value));
            to.write_str("\"")
        }
        RawBsonRef::Decimal128(value) => to.write_str(&decimal(value)),
        RawBsonRef::String(text) | RawBsonRef::JavaScriptCode(text) | RawBsonRef::Symbol(text) => {
            string(to, text);
            return Ok(());
        }
        RawBsonRef::ObjectId(id) => write!(to, "\"{id}\""),
        RawBsonRef::DateTime(at) => write!(to, "\"{}\"", time(at.timestamp_millis())),
        RawBsonRef::Binary(binary) => {
            to.push('"');
            write_text(to, &Cell::Bytes(binary.bytes.into()));
            to.write_str("\"")
        }
        RawBsonRef::Timestamp(at) => write!(to, "{{\"time\":{},\"increment\":{}}}", at.time, at.increment),
        RawBsonRef::RegularExpression(regex) => {
            string(to, &format!("/{}/{}", regex.pattern.as_str(), regex.options.as_str()));
            return Ok(());
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            string(to, code.code);
            return Ok(());
        }
        RawBsonRef::DbPointer(_) => to.write_str("null"),
        RawBsonRef::MinKey => to.write_str("\"MinKey\""),
        RawBsonRef::MaxKey => to.write_str("\"MaxKey\""),
        RawBsonRef::Document(inner) => return document(to, inner),
        RawBsonRef::Array(inner) => return array(to, inner),
    };
    Ok(())
}

/// ISO 8601 in UTC.
fn time(millis: i64) -> String {
    let mut text = String::new();
    match millis.checked_mul(1000) {
        Some(micros) => write_text(&mut text, &Cell::Micros(micros)),
        // Beyond the years that anything here can hold.
        None => text = format!("{millis} ms"),
    }
    text.push('Z');
    text
}

/// All its digits, written out where that is short: `1E+3` is 1000. What is no number is text.
fn decimal(value: Decimal128) -> String {
    let text = value.to_string();
    let Some((digits, exponent)) = text.split_once(['E', 'e']) else {
        return if text.bytes().any(|byte| byte.is_ascii_digit()) { text } else { format!("\"{text}\"") };
    };
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent: i32 = exponent.parse().unwrap_or(i32::MAX);
    if !(-60..60).contains(&exponent) {
        return format!("\"{text}\"");
    }
    let all = format!("{whole}{fraction}");
    let point = whole.len() as i32 + exponent;
    let length = all.len() as i32;
    match point {
        ..=0 => format!("{sign}0.{}{all}", "0".repeat(-point as usize)),
        _ if point >= length => format!("{sign}{all}{}", "0".repeat((point - length) as usize)),
        _ => format!("{sign}{}.{}", &all[..point as usize], &all[point as usize..]),
    }
}

fn string(to: &mut String, text: &str) {
    to.push('"');
    for sign in text.chars() {
        let _ = match sign {
            '"' => to.write_str("\\\""),
            '\\' => to.write_str("\\\\"),
            '\u{0}'..='\u{1f}' => write!(to, "\\u{:04x}", sign as u32),
            sign => to.write_char(sign),
        };
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;
    use mongodb::bson::spec::BinarySubtype;
    use mongodb::bson::{Binary, Bson, DateTime, RawDocumentBuf, doc};

    #[test]
    fn every_value_has_its_text() {
        let decimal = |text: &str| Bson::Decimal128(text.parse().expect("a decimal"));
        let document = doc! {
            "_id": ObjectId::parse_str("0123456789abcdef01234567").expect("an id"),
            "exact": decimal("12345678901234567890.0100"), "large": decimal("1E+3"), "small": decimal("-1.5E-7"), "none": decimal("NaN"),
            "whole": 9_007_199_254_740_993_i64, "real": 0.1, "endless": [f64::INFINITY, f64::NEG_INFINITY, f64::NAN],
            "at": DateTime::from_millis(-1), "bytes": Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] },
            "text": "a\"\\\n\u{1}é", "list": [1, { "deep": Bson::Null }], "yes": true,
        };
        let raw = RawDocumentBuf::try_from(&document).expect("raw");
        let mut text = String::new();
        super::document(&mut text, &raw).expect("a text");
        assert_eq!(
            text,
            "{\"_id\":\"0123456789abcdef01234567\",\"exact\":12345678901234567890.0100,\"large\":1000,\"small\":-0.00000015,\"none\":\"NaN\",\
             \"whole\":9007199254740993,\"real\":0.1,\"endless\":[\"Infinity\",\"-Infinity\",\"NaN\"],\"at\":\"1969-12-31 23:59:59.999000Z\",\"bytes\":\"00ff\",\
             \"text\":\"a\\\"\\\\\\u000a\\u0001é\",\"list\":[1,{\"deep\":null}],\"yes\":true}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "it is JSON");
    }
}

//! Bounds of a query: the last key or cursor that was taken, as text in a position and as a value of a statement.

use super::table::{Column, Kind, quoted};
use mysql_async::Value;
use serde_json::Value as Json;

/// A value as a position keeps it; `None` for what can't be a bound.
pub fn kept(column: &Column, value: &Value) -> Option<Json> {
    Some(match (column.kind, value) {
        (_, Value::Int(number)) => (*number).into(),
        (_, Value::UInt(number)) => (*number).into(),
        (Kind::Bytes, Value::Bytes(bytes)) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
        (_, Value::Bytes(bytes)) => std::str::from_utf8(bytes).ok()?.into(),
        (kind, Value::Date(year, month, day, hour, minute, second, micro)) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            match kind {
                Kind::Date => date.into(),
                _ => format!("{date} {hour:02}:{minute:02}:{second:02}.{micro:06}").into(),
            }
        }
        _ => return None,
    })
}

fn param(column: &Column, kept: &Json) -> Option<Value> {
    Some(match (column.kind, kept) {
        (Kind::Int, Json::Number(number)) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::UInt(number.as_u64()?),
        },
        (Kind::Bytes, Json::String(hex)) => {
            let pair = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
            Value::Bytes((0..hex.len()).step_by(2).map(pair).collect::<Option<_>>()?)
        }
        (_, Json::String(text)) => Value::Bytes(text.clone().into_bytes()),
        _ => return None,
    })
}

/// Text beside a number would be compared as a floating one.
fn place(column: &Column) -> String {
    match column.kind {
        Kind::Decimal => format!("CAST(? AS DECIMAL({}, {}))", column.precision, column.scale),
        _ => "?".into(),
    }
}

/// Rows behind these values in the order of the columns: the condition, and what stands for its signs. The first column
/// is named once more, for an index to start from.
pub fn behind(columns: &[Column], values: &[Json]) -> Option<(String, Vec<Value>)> {
    if columns.is_empty() || columns.len() != values.len() {
        return None;
    }
    let params: Vec<Value> =
        columns.iter().zip(values).map(|(column, value)| param(column, value)).collect::<Option<_>>()?;
    let mut used = vec![params[0].clone()];
    let mut ways = Vec::new();
    for last in 0..columns.len() {
        let mut parts: Vec<String> =
            columns[..last].iter().map(|column| format!("{} = {}", quoted(&column.name), place(column))).collect();
        parts.push(format!("{} > {}", quoted(&columns[last].name), place(&columns[last])));
        used.extend_from_slice(&params[..=last]);
        ways.push(format!("({})", parts.join(" AND ")));
    }
    Some((format!("{} >= {} AND ({})", quoted(&columns[0].name), place(&columns[0]), ways.join(" OR ")), used))
}

/// Rows from this value on.
pub fn from(column: &Column, value: &Json) -> Option<(String, Vec<Value>)> {
    Some((format!("{} >= {}", quoted(&column.name), place(column)), vec![param(column, value)?]))
}

pub fn order(columns: &[Column]) -> String {
    columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
}

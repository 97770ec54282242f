//! A message as JSON. Unlike Protobuf's own mapping, names are as the schema writes them, whole numbers have no quotes and
//! bytes are hexadecimal digits: so the contract's types are parsed from them.

use chrono::Timelike;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};

pub fn message(out: &mut Vec<u8>, message: &DynamicMessage) {
    out.push(b'{');
    let mut is_first = true;
    for field in message.descriptor().fields() {
        // A field that can't be absent has a value, if not in the bytes.
        if field.supports_presence() && !message.has_field(&field) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        text(out, field.name());
        out.push(b':');
        value(out, &message.get_field(&field), &field);
    }
    out.push(b'}');
}

fn value(out: &mut Vec<u8>, value: &Value, field: &FieldDescriptor) {
    match value {
        Value::Map(map) => {
            let Kind::Message(entry) = field.kind() else { return };
            let inner = entry.map_entry_value_field();
            let mut keys: Vec<(String, &Value)> = map.iter().map(|(key, value)| (key_text(key), value)).collect();
            keys.sort_by(|a, b| a.0.cmp(&b.0));
            listed(out, (b'{', b'}'), keys, |out, (key, value)| {
                text(out, &key);
                out.push(b':');
                one(out, value, &inner);
            });
        }
        Value::List(all) => listed(out, (b'[', b']'), all, |out, value| one(out, value, field)),
        single => one(out, single, field),
    }
}

fn listed<T>(
    out: &mut Vec<u8>,
    (open, close): (u8, u8),
    all: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(open);
    for (place, item) in all.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(close);
}

fn one(out: &mut Vec<u8>, value: &Value, field: &FieldDescriptor) {
    match value {
        Value::Bool(value) => bare(out, value),
        Value::I32(value) => bare(out, value),
        Value::I64(value) => bare(out, value),
        Value::U32(value) => bare(out, value),
        Value::U64(value) => bare(out, value),
        Value::F32(value) => float(out, f64::from(*value), value),
        Value::F64(value) => float(out, *value, value),
        Value::String(value) => text(out, value),
        Value::Bytes(value) => {
            let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            text(out, &digits);
        }
        Value::EnumNumber(number) => match field.kind() {
            Kind::Enum(kind) => match kind.get_value(*number) {
                Some(named) => text(out, named.name()),
                None => bare(out, number),
            },
            _ => bare(out, number),
        },
        Value::Message(inner) => known(out, inner),
        Value::List(_) | Value::Map(_) => out.extend_from_slice(b"null"),
    }
}

/// The messages that stand for one value.
fn known(out: &mut Vec<u8>, inner: &DynamicMessage) {
    let name = inner.descriptor().full_name().to_owned();
    let number =
        |field: &str| inner.get_field_by_name(field).and_then(|value| value.as_i64().or(value.as_i32().map(i64::from)));
    match name.strip_prefix("google.protobuf.") {
        Some("Timestamp") => {
            let (seconds, nanos) = (number("seconds").unwrap_or_default(), number("nanos").unwrap_or_default());
            let whole = arrow::temporal_conversions::timestamp_s_to_datetime(seconds);
            match whole.and_then(|whole| whole.with_nanosecond(u32::try_from(nanos).ok()?)) {
                Some(time) => text(out, &format!("{}Z", time.to_string().replace(' ', "T"))),
                // No time, so that the contract sets it aside.
                None => text(out, &format!("{seconds}s {nanos}ns")),
            }
        }
        Some("Duration") => {
            let (seconds, nanos) = (number("seconds").unwrap_or_default(), number("nanos").unwrap_or_default());
            let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
            text(out, &format!("{sign}{}.{:09}s", seconds.unsigned_abs(), nanos.unsigned_abs()));
        }
        Some(wrapper) if wrapper.ends_with("Value") && inner.descriptor().fields().len() == 1 => {
            for field in inner.descriptor().fields() {
                value(out, &inner.get_field(&field), &field);
            }
        }
        _ => message(out, inner),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn bare(out: &mut Vec<u8>, value: &impl ToString) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// What is no number in JSON is text, as Protobuf's own mapping writes it and the gate reads it.
fn float(out: &mut Vec<u8>, value: f64, shown: &impl ToString) {
    match value {
        value if value.is_nan() => text(out, "NaN"),
        f64::INFINITY => text(out, "Infinity"),
        f64::NEG_INFINITY => text(out, "-Infinity"),
        _ => bare(out, shown),
    }
}

fn text(out: &mut Vec<u8>, value: &str) {
    // Text is always JSON.
    let _ = serde_json::to_writer(out, value);
}

//! The type of a column, from its logical type, its physical type and its options.

use super::notes::Notes;
use crate::odcs::TIME;
use crate::odcs::model::{LogicalType, Property};
use crate::odcs::pattern;
use crate::odcs::physical::{self, Physical, TEXT, timestamp};
use arrow::datatypes::{DataType, Field, Fields};
use std::sync::Arc;

/// A column's type, and what its type says about its values.
pub(super) struct Typed {
    pub data_type: DataType,
    /// The logical type, as written or as the physical type has it.
    pub logical: LogicalType,
    /// From `varchar(20)`.
    pub max_length: Option<usize>,
    /// What the text of a `time` must match.
    pub pattern: Option<String>,
    /// Least and greatest value of `u8` and its like.
    pub range: Option<(&'static str, &'static str)>,
    /// strftime.
    pub format: Option<String>,
}

/// The type that a column is parsed to. Numbers are floats only where that is written.
pub(super) fn column(property: &Property, path: &str, notes: &mut Notes) -> Typed {
    let physical = property.physical_type.as_deref().map(physical::parse);
    let physical = match physical.transpose() {
        Ok(physical) => physical,
        Err(why) => {
            let here = format!("{path}.physicalType");
            notes.error(&here, notes.why(&here, why));
            None
        }
    };
    let logical = property.logical_type.or_else(|| implied(property, physical.as_ref()));
    let Some(logical) = logical else {
        notes.warn(path, format!("`{}` has no type that is known here: it is taken as text", shown(path, notes)));
        return Typed { ..plain(TEXT, LogicalType::String) };
    };
    let typed = of(property, logical, physical.as_ref(), path, notes);
    with_format(property, typed, path, notes)
}

fn name(property: &Property) -> &str {
    property.name.as_deref().unwrap_or("item")
}

/// The name for a message.
fn shown<'a>(path: &str, notes: &Notes<'a>) -> &'a str {
    match notes.written(&format!("{path}.name")) {
        "" => "item",
        written => written,
    }
}

fn plain(data_type: DataType, logical: LogicalType) -> Typed {
    Typed { data_type, logical, max_length: None, pattern: None, range: None, format: None }
}

fn implied(property: &Property, physical: Option<&Physical>) -> Option<LogicalType> {
    if property.properties.is_some() {
        return Some(LogicalType::Object);
    }
    if property.items.is_some() {
        return Some(LogicalType::Array);
    }
    Some(match physical? {
        Physical::Is(data_type, _) => logical_of(data_type),
        Physical::Time => LogicalType::Time,
        Physical::Number => LogicalType::Number,
        Physical::Timestamp(_) => LogicalType::Timestamp,
        Physical::Nested | Physical::Unknown => return None,
    })
}

/// The logical type of a type that a physical type can have.
pub(super) fn logical_of(data_type: &DataType) -> LogicalType {
    match data_type {
        t if t.is_integer() => LogicalType::Integer,
        t if t.is_numeric() => LogicalType::Number,
        DataType::Boolean => LogicalType::Boolean,
        DataType::Date32 => LogicalType::Date,
        DataType::Timestamp(..) => LogicalType::Timestamp,
        DataType::Struct(_) => LogicalType::Object,
        DataType::List(_) => LogicalType::Array,
        DataType::Map(..) => LogicalType::Map,
        _ => LogicalType::String,
    }
}

fn of(property: &Property, logical: LogicalType, physical: Option<&Physical>, path: &str, notes: &mut Notes) -> Typed {
    use LogicalType as L;
    use Physical as P;
    match (logical, physical) {
        (L::Object, _) => object(property, path, notes),
        (L::Array, _) => array(property, path, notes),
        (L::Map, _) => map(property, path, notes),
        (L::Vector, _) => vector(property, path, notes),
        (L::String, Some(P::Is(DataType::Utf8, length))) => Typed { max_length: *length, ..plain(TEXT, logical) },
        (L::Integer, Some(P::Is(t, _))) if t.is_integer() || matches!(t, DataType::Decimal128(_, 0)) => {
            plain(t.clone(), logical)
        }
        (L::Integer, Some(P::Is(DataType::Decimal128(..), _))) => {
            notes.error(
                &format!("{path}.physicalType"),
                "an integer has no decimals: the two types contradict each other",
            );
            plain(DataType::Int64, logical)
        }
        (L::Number, Some(P::Is(t, _))) if t.is_numeric() => plain(t.clone(), logical),
        (L::Boolean, Some(P::Is(DataType::Boolean, _))) => plain(DataType::Boolean, logical),
        (L::Date, Some(P::Is(DataType::Date32, _))) => plain(DataType::Date32, logical),
        // v3.0 had no logical type for timestamps and times.
        (L::Date | L::Timestamp, Some(P::Timestamp(zoned))) => {
            plain(timestamp(zone(property, *zoned, path, notes)), L::Timestamp)
        }
        (L::Date | L::Time, Some(P::Time)) => plain(TEXT, L::Time),
        (L::String, Some(P::Nested)) | (L::Number, Some(P::Number)) | (_, None) => {
            default(property, logical, path, notes)
        }
        (_, Some(_)) => {
            let written = notes.written(&format!("{path}.physicalType"));
            notes.warn(
                &format!("{path}.physicalType"),
                format!("`{written}` is not known here as {}: `logicalType` decides", word(logical)),
            );
            default(property, logical, path, notes)
        }
    }
}

fn word(logical: LogicalType) -> &'static str {
    match logical {
        LogicalType::String => "text",
        LogicalType::Date => "a date",
        LogicalType::Timestamp => "a timestamp",
        LogicalType::Time => "a time",
        LogicalType::Number => "a number",
        LogicalType::Integer => "an integer",
        LogicalType::Boolean => "a boolean",
        LogicalType::Object => "an object",
        LogicalType::Array => "an array",
        LogicalType::Map => "a map",
        LogicalType::Vector => "a vector",
    }
}

/// The type of a logical type alone.
fn default(property: &Property, logical: LogicalType, path: &str, notes: &mut Notes) -> Typed {
    let format = property.logical_type_options.as_ref().and_then(|options| options.format.as_deref());
    match logical {
        LogicalType::Number => match format {
            Some("f32") => plain(DataType::Float32, logical),
            Some("f64") => plain(DataType::Float64, logical),
            _ => plain(DataType::Decimal128(38, 9), logical),
        },
        LogicalType::Integer => integer(format),
        LogicalType::Boolean => plain(DataType::Boolean, logical),
        LogicalType::Date => plain(DataType::Date32, logical),
        LogicalType::Timestamp => plain(timestamp(zone(property, None, path, notes)), logical),
        _ => plain(TEXT, logical),
    }
}

/// Delta has no unsigned types: the next wider one holds them, and bounds keep their range.
fn integer(format: Option<&str>) -> Typed {
    let (data_type, range) = match format {
        Some("i8") => (DataType::Int8, None),
        Some("i16") => (DataType::Int16, None),
        Some("i32") => (DataType::Int32, None),
        Some("u8") => (DataType::Int16, Some(("0", "255"))),
        Some("u16") => (DataType::Int32, Some(("0", "65535"))),
        Some("u32") => (DataType::Int64, Some(("0", "4294967295"))),
        Some("u64") => (DataType::Decimal128(20, 0), Some(("0", "18446744073709551615"))),
        Some("i128" | "u128") => (DataType::Decimal128(38, 0), None),
        _ => (DataType::Int64, None),
    };
    Typed { range, ..plain(data_type, LogicalType::Integer) }
}

/// Whether a timestamp has a zone: as its type or `timezone` says; with one, when neither does.
fn zone(property: &Property, physical: Option<bool>, path: &str, notes: &mut Notes) -> bool {
    let option = property.logical_type_options.as_ref().and_then(|options| options.timezone);
    if let (Some(true), Some(false)) = (physical, option) {
        let here = format!("{path}.logicalTypeOptions.timezone");
        notes.error(&here, "the physical type has a zone: the two contradict each other");
    }
    option.or(physical).unwrap_or(true)
}

/// Takes in `logicalTypeOptions.format`, where it says how values are written.
fn with_format(property: &Property, mut typed: Typed, path: &str, notes: &mut Notes) -> Typed {
    let options = property.logical_type_options.as_ref();
    let here = format!("{path}.logicalTypeOptions.format");
    let jdk = options.and_then(|options| options.format.as_deref());
    match (typed.logical, jdk) {
        (LogicalType::Date | LogicalType::Timestamp, Some(jdk)) => match pattern::from_jdk(jdk) {
            Ok(format) => typed.format = Some(format),
            Err(why) => notes.error_help(&here, notes.why(&here, why), "formats are written as `dd/MM/yyyy HH:mm:ss`"),
        },
        (LogicalType::Time, Some(jdk)) => match pattern::time_regex(jdk) {
            Ok(regex) => typed.pattern = Some(regex),
            Err(why) => notes.error_help(&here, notes.why(&here, why), "times are written as `HH:mm:ss`"),
        },
        (LogicalType::Time, None) => typed.pattern = Some(TIME.into()),
        (LogicalType::Integer, Some(width)) => known(width, &INTEGERS, &here, notes),
        (LogicalType::Number, Some(width)) => known(width, &["f32", "f64"], &here, notes),
        // What text must be (`cpf`, `email`) is kept by name; who reads the contract knows how to check it.
        (LogicalType::String, Some(name)) => typed.format = Some(name.to_owned()),
        _ => {}
    }
    let says_zone = typed.format.as_deref().is_some_and(pattern::has_zone);
    if says_zone && typed.data_type == timestamp(false) {
        notes.error(&here, "values of this format say their zone, and the type has none");
    }
    if let Some(zone) = options.and_then(|o| o.default_timezone.as_deref()).filter(|zone| !physical::is_utc(zone))
        && !says_zone
        && typed.data_type == timestamp(true)
    {
        notes.error_help(
            &format!("{path}.logicalTypeOptions.defaultTimezone"),
            format!("values without a zone can't be taken as of `{zone}`: they are UTC"),
            "write `timezone: false` to keep them as they are, or let the format say the zone (`XXX`)",
        );
    }
    typed
}

const INTEGERS: [&str; 10] = ["i8", "i16", "i32", "i64", "i128", "u8", "u16", "u32", "u64", "u128"];

fn known(width: &str, known: &[&str], path: &str, notes: &mut Notes) {
    if !known.contains(&width) {
        let message = format!("unknown format `{}`", notes.written(path));
        notes.unknown(path, message, known.iter().copied());
    }
}

/// The fields of an object as a struct.
fn object(property: &Property, path: &str, notes: &mut Notes) -> Typed {
    let children = property.properties.as_deref().unwrap_or_default();
    if children.is_empty() {
        notes.warn(path, format!("`{}` does not say its fields: it is taken as text (JSON)", shown(path, notes)));
        return plain(TEXT, LogicalType::Object);
    }
    let mut fields: Vec<Field> = Vec::new();
    for (place, child) in children.iter().enumerate() {
        let here = format!("{path}.properties[{place}]");
        if fields.iter().any(|field| field.name().eq_ignore_ascii_case(name(child))) {
            let here = format!("{here}.name");
            notes.error(&here, format!("there are two fields `{}`", notes.written(&here)));
        }
        fields.push(Field::new(name(child), column(child, &here, notes).data_type, true));
    }
    plain(DataType::Struct(Fields::from(fields)), LogicalType::Object)
}

fn array(property: &Property, path: &str, notes: &mut Notes) -> Typed {
    let item = match &property.items {
        Some(item) => column(item, &format!("{path}.items"), notes).data_type,
        None => {
            notes.warn(path, format!("`{}` does not say its `items`: they are taken as text", shown(path, notes)));
            TEXT
        }
    };
    plain(DataType::new_list(item, true), LogicalType::Array)
}

fn map(property: &Property, path: &str, notes: &mut Notes) -> Typed {
    let Some(map) = &property.map else {
        notes.error_help(
            path,
            format!("`{}` is a map and does not say of what", shown(path, notes)),
            "write `map: { key: …, value: … }`",
        );
        return plain(TEXT, LogicalType::Map);
    };
    let key = column(&map.key, &format!("{path}.map.key"), notes).data_type;
    let value = column(&map.value, &format!("{path}.map.value"), notes).data_type;
    let entry = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    let entries = Field::new("entries", DataType::Struct(entry), false);
    plain(DataType::Map(Arc::new(entries), false), LogicalType::Map)
}

/// A vector is a list; kinds of numbers that Delta does not have are kept as the next wider one.
fn vector(property: &Property, path: &str, notes: &mut Notes) -> Typed {
    let element = property.logical_type_options.as_ref().and_then(|options| options.element_type.as_deref());
    let item = match element {
        None | Some("float32" | "float16" | "bfloat16") => DataType::Float32,
        Some("float64") => DataType::Float64,
        Some("int8") => DataType::Int8,
        Some("uint8") => DataType::Int16,
        Some(_) => {
            let here = format!("{path}.logicalTypeOptions.elementType");
            let known = ["float32", "float64", "float16", "bfloat16", "int8", "uint8"];
            notes.unknown(&here, "vectors of this kind can't be kept", known);
            DataType::Float32
        }
    };
    plain(DataType::new_list(item, true), LogicalType::Vector)
}

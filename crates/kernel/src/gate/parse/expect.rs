//! What a value had to be, in the words of contracts.

use super::range;
use crate::contract::Property;
use arrow::datatypes::{DataType, Fields};

/// Parts that a reason names.
const PARTS_MAX: usize = 12;

/// For the quarantine's reader; says nothing of the value.
pub(in crate::gate) fn expectation(property: &Property) -> String {
    let format = property.format.as_deref();
    match &property.data_type {
        DataType::Decimal128(p, s) => format!("not a decimal({p},{s}), exactly"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => "not a whole number in range".into(),
        DataType::Float32 | DataType::Float64 => "not a number".into(),
        DataType::Boolean => "not true or false".into(),
        DataType::Date32 => format!("not a date of the {} ({})", range::YEARS, format.unwrap_or("ISO 8601")),
        DataType::Timestamp(_, zone) => {
            let what = if zone.is_some() { "with at most 6 decimals" } else { "without zone" };
            format!("not a timestamp {what} of the {} ({})", range::YEARS, format.unwrap_or("ISO 8601"))
        }
        text if super::is_text(text) => "not text, nor anything that text can tell exactly".into(),
        other if range::has_times(other) => {
            format!("not {}, or a time in it is not of the {}", one(other), range::YEARS)
        }
        other => format!("not {}", one(other)),
    }
}

/// A value of the type.
fn one(data_type: &DataType) -> String {
    match data_type {
        DataType::Struct(fields) if fields.is_empty() => "an object".into(),
        DataType::Struct(fields) => format!("an object with {}", named(fields)),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("an array of {}", many(item.data_type()))
        }
        DataType::Map(..) => "a map".into(),
        DataType::Decimal128(p, s) => format!("decimal({p},{s})"),
        DataType::Boolean => "true or false".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytes".into()
        }
        number if number.is_integer() => "whole number".into(),
        number if number.is_numeric() => "number".into(),
        text if super::is_text(text) => "text".into(),
        _ => "what the contract says".into(),
    }
}

/// Several of the type.
fn many(data_type: &DataType) -> String {
    match data_type {
        DataType::Struct(fields) if fields.is_empty() => "objects".into(),
        DataType::Struct(fields) => format!("objects with {}", named(fields)),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("arrays of {}", many(item.data_type()))
        }
        DataType::Map(..) => "maps".into(),
        DataType::Date32 => "dates".into(),
        DataType::Timestamp(..) => "timestamps".into(),
        DataType::Decimal128(..) => one(data_type),
        number if number.is_integer() => "whole numbers".into(),
        number if number.is_numeric() => "numbers".into(),
        other => one(other),
    }
}

/// The names are the contract's.
fn named(fields: &Fields) -> String {
    let part = |field: &arrow::datatypes::FieldRef| format!("`{}` ({})", field.name(), one(field.data_type()));
    let parts: Vec<String> = fields.iter().take(PARTS_MAX).map(part).collect();
    let (last, before) = match parts.split_last() {
        Some((last, before)) if !before.is_empty() => (last, before),
        _ => return parts.concat(),
    };
    match fields.len() > PARTS_MAX {
        true => format!("{}, …", parts.join(", ")),
        false => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use std::sync::Arc;

    #[test]
    fn types_are_told_in_the_words_of_contracts() {
        let list = |of: DataType| DataType::List(Arc::new(Field::new("item", of, true)));
        let pair = DataType::Struct(Fields::from(vec![
            Field::new("key", DataType::Utf8, false),
            Field::new("value", DataType::Int64, true),
            Field::new("at", DataType::Date32, true),
        ]));
        let told = "objects with `key` (text), `value` (whole number) and `at` (date)";
        assert_eq!(one(&list(pair)), format!("an array of {told}"));
        assert_eq!(one(&list(list(DataType::Float64))), "an array of arrays of numbers");
        assert_eq!(many(&DataType::Decimal128(5, 2)), "decimal(5,2)");
        let wide: Fields = (0..20).map(|n| Field::new(format!("f{n}"), DataType::Boolean, true)).collect();
        assert!(one(&DataType::Struct(wide)).ends_with("`f11` (true or false), …"));
    }
}

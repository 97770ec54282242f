//! The types that a contract gives to columns.

use arrow::datatypes::{DataType, Field, TimeUnit};
use kernel::Property;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether values of the type can name a row.
pub fn is_key_type(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Decimal128(_, 0)) || data_type.is_integer()
}

/// The type for values that came in several; `None` when they came in one, or as text.
pub fn widest(types: &[DataType]) -> Option<DataType> {
    let typed: Vec<&DataType> = types.iter().filter(|t| !matches!(t, DataType::Null)).collect();
    if typed.len() < 2
        || typed.iter().all(|t| is_text(t))
        || typed.iter().all(|t| t.is_integer() && **t != DataType::UInt64)
    {
        return None;
    }
    let is_float = typed.iter().any(|t| t.is_floating());
    if !typed.iter().all(|t| t.is_numeric()) {
        let zones: BTreeSet<_> = typed
            .iter()
            .map(|t| if let DataType::Timestamp(_, zone) = t { Some(zone.is_some()) } else { None })
            .collect();
        let is_moment = zones.len() == 1 && !zones.contains(&None);
        return (!is_moment).then_some(DataType::Utf8);
    }
    let whole = |t: &&DataType| match t {
        DataType::Decimal128(p, s) | DataType::Decimal64(p, s) | DataType::Decimal32(p, s) => {
            (i16::from(*p) - i16::from(*s), i16::from(*s))
        }
        _ => (20, 0),
    };
    let (digits, scale) = typed.iter().map(whole).fold((0, 0), |(a, b), (c, d)| (a.max(c), b.max(d)));
    let precision = u8::try_from(digits + scale).ok().filter(|precision| *precision <= 38 && !is_float);
    Some(precision.map_or(DataType::Float64, |precision| DataType::Decimal128(precision, scale as i8)))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether the gate can take values of the type in at all.
pub fn has_contract_type(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => has_contract_type(value),
        DataType::Null | DataType::Boolean | DataType::Date32 | DataType::Date64 => true,
        DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) => true,
        // With parts that no contract can name it is text, too: [`as_text`].
        nested if nested.is_nested() => true,
        // Bytes are taken in as hexadecimal text.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => true,
        other => is_text(other) || other.is_numeric(),
    }
}

/// How a nested column is taken in that has no type of its own in a contract; `None` of one that has.
pub fn as_text(nested: &DataType) -> Option<&'static str> {
    match nested {
        DataType::Union(..) => Some(
            "holds values of several types: in the contract it is a `string`, each value as the text of what it is",
        ),
        DataType::Map(..) => Some(
            "is a map: in the contract it is a `string` of JSON; an `array` of objects with `key` and `value` takes it apart",
        ),
        other => {
            let is_told = !other.is_nested() || contract_type(other).is_some();
            (!is_told).then_some("has parts that no contract can name: in the contract it is a `string` of JSON")
        }
    }
}

/// Values that a contract has no type for, as people call them.
pub fn spoken(data_type: &DataType) -> String {
    match data_type {
        DataType::Duration(_) | DataType::Interval(_) => "spans of time".to_owned(),
        other => format!("values of the type {other}"),
    }
}

/// The type that a contract gives to what stands inside of a nested column; `None` where it has none.
pub fn contract_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Struct(fields) => {
            let field = |field: &Arc<Field>| Some(Field::new(field.name(), contract_type(field.data_type())?, true));
            DataType::Struct(fields.iter().map(field).collect::<Option<_>>()?)
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::new_list(contract_type(item.data_type())?, true)
        }
        DataType::Dictionary(_, value) => contract_type(value)?,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
            DataType::Decimal128(*p, *s)
        }
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())),
        DataType::Boolean | DataType::Float32 | DataType::Float64 => data_type.clone(),
        integer if integer.is_integer() => integer.clone(),
        _ => return None,
    })
}

/// A column's type as its contract writes it, and how its values are written.
pub fn shown(property: &Property) -> String {
    let name = match &property.data_type {
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(_, Some(_)) => "timestamp(6, UTC)".to_owned(),
        DataType::Timestamp(_, None) => "timestamp(6)".to_owned(),
        DataType::Float64 | DataType::Float32 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Struct(_) => "object".to_owned(),
        DataType::List(_) => "array".to_owned(),
        integer if integer.is_integer() => "integer".to_owned(),
        _ => "string".to_owned(),
    };
    let written = [property.format.clone(), property.decimal_comma.then(|| "1.234,56".to_owned())];
    written.into_iter().flatten().fold(name, |name, how| format!("{name} {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType::{Date32, Decimal128, Float64, Int32, Int64, Struct, UInt64, Utf8, Utf8View};

    #[test]
    fn a_column_of_several_types_gets_one_that_holds_them_all() {
        let utc = |unit| DataType::Timestamp(unit, Some("UTC".into()));
        for (types, widest_type) in [
            (vec![Int64], None),
            (vec![Utf8View, Utf8], None),
            (vec![Int32, Int64], None),
            (vec![Int64, Float64], Some(Float64)),
            (vec![Int64, UInt64], Some(Decimal128(20, 0))),
            (vec![Decimal128(12, 2), Decimal128(10, 4)], Some(Decimal128(14, 4))),
            (vec![Int64, Decimal128(12, 2)], Some(Decimal128(22, 2))),
            (vec![Int64, Date32], Some(Utf8)),
            (vec![Utf8View, Int64], Some(Utf8)),
            (vec![utc(TimeUnit::Nanosecond), utc(TimeUnit::Microsecond)], None),
            (vec![utc(TimeUnit::Nanosecond), DataType::Timestamp(TimeUnit::Nanosecond, None)], Some(Utf8)),
        ] {
            assert_eq!(widest(&types), widest_type, "{types:?}");
        }
    }

    #[test]
    fn what_no_contract_can_name_is_known() {
        let object = |inner| Struct(vec![Field::new("x", inner, true)].into());
        assert!(has_contract_type(&object(Int32)) && has_contract_type(&DataType::Time64(TimeUnit::Microsecond)));
        let span = DataType::Duration(TimeUnit::Second);
        assert!(has_contract_type(&DataType::Binary) && !has_contract_type(&span));
        assert_eq!(spoken(&span), "spans of time");
        assert_eq!(contract_type(&object(UInt64)), Some(object(Decimal128(20, 0))));
    }

    #[test]
    fn what_is_nested_is_taken_as_text_where_no_contract_can_name_it() {
        let object = |inner| Struct(vec![Field::new("x", inner, true)].into());
        let fields = vec![Field::new("a", Int64, true), Field::new("b", Utf8, true)];
        let fields = arrow::datatypes::UnionFields::from_fields(fields);
        let union = DataType::Union(fields, arrow::datatypes::UnionMode::Dense);
        let entries = Struct(vec![Field::new("key", Utf8, false), Field::new("value", Int64, true)].into());
        let map = DataType::Map(Arc::new(Field::new("entries", entries, false)), false);
        for (nested, words) in [(&union, "several types"), (&map, "`key` and `value`")] {
            assert!(has_contract_type(nested), "{nested}");
            assert!(as_text(nested).is_some_and(|told| told.contains(words)), "{nested}");
        }
        for with_parts in [object(DataType::Binary), object(union), DataType::new_list(map, true)] {
            assert!(as_text(&with_parts).is_some_and(|told| told.contains("parts")), "{with_parts}");
        }
        assert_eq!((as_text(&object(Int32)), as_text(&Utf8)), (None, None));
    }
}

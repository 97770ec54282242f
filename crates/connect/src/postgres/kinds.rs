//! What each type of the server becomes. What has an exact Arrow type comes typed; all else is text as the server writes
//! it, which the gate parses to the contract's types.

use super::client::{Client, quoted};
use arrow::datatypes::{DataType, Field, TimeUnit};
use kernel::error::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// What is made of dates and timestamps at infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Infinity {
    Quarantine,
    Clamp,
    Empty,
}

/// How a column's values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// A number with as many digits as a decimal of Arrow has.
    Decimal(u8, u8),
    Date,
    Timestamp,
    TimestampTz,
    Bytes,
    Uuid,
    /// Text that the server sends as it is.
    Text,
    /// Anything that has a text.
    Shown,
    /// A list where the contract wants one; else it is shown.
    List,
}

impl Kind {
    /// `wanted` is the contract's type, if it has one for the column.
    fn of(base: &Base, wanted: Option<&DataType>) -> Self {
        let as_text = wanted.is_some_and(|to| matches!(to, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8));
        let as_list = wanted.is_some_and(|to| matches!(to, DataType::List(_) | DataType::LargeList(_)));
        match base.oid {
            16 => Kind::Bool,
            21 => Kind::Int2,
            23 => Kind::Int4,
            20 => Kind::Int8,
            700 => Kind::Float4,
            701 => Kind::Float8,
            1700 => decimal(base.modifier),
            1082 => Kind::Date,
            1114 => Kind::Timestamp,
            1184 => Kind::TimestampTz,
            17 if as_text => Kind::Shown,
            17 => Kind::Bytes,
            2950 => Kind::Uuid,
            25 | 1043 | 1042 | 19 | 114 => Kind::Text,
            _ if base.class == b'e' => Kind::Text,
            _ if base.category == b'A' && as_list => Kind::List,
            _ => Kind::Shown,
        }
    }

    pub fn arrow(self) -> DataType {
        match self {
            Kind::Bool => DataType::Boolean,
            Kind::Int2 => DataType::Int16,
            Kind::Int4 => DataType::Int32,
            Kind::Int8 => DataType::Int64,
            Kind::Float4 => DataType::Float32,
            Kind::Float8 => DataType::Float64,
            Kind::Decimal(precision, scale) => DataType::Decimal128(precision, scale as i8),
            Kind::Date => DataType::Date32,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Bytes => DataType::Binary,
            Kind::Uuid | Kind::Text | Kind::Shown => DataType::Utf8View,
            Kind::List => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        }
    }

    /// What a query asks for. A cast to text is not always what the type's output function gives (`inet`, `char(n)`), and a
    /// stream of changes has the latter.
    pub fn selected(self, column: &str) -> String {
        let name = quoted(column);
        match self {
            Kind::Shown | Kind::List => shown(&name),
            _ => name,
        }
    }
}

/// The text that the type's output function gives. A row of nulls IS NULL, and yet it is there.
pub fn shown(name: &str) -> String {
    format!("CASE WHEN {name} IS DISTINCT FROM NULL THEN concat({name}) END")
}

/// `numeric(p,s)`; without digits that are told, or with more than Arrow's, it is shown.
fn decimal(modifier: i32) -> Kind {
    if modifier < 4 {
        return Kind::Shown;
    }
    let precision = ((modifier - 4) >> 16) & 0xffff;
    // The scale has eleven bits with a sign since version 15.
    let scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if precision <= 38 && scale <= precision => Kind::Decimal(precision, scale),
        _ => Kind::Shown,
    }
}

/// A type without the domains around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    oid: u32,
    modifier: i32,
    /// `typtype` and `typcategory` of the catalog.
    class: u8,
    category: u8,
}

impl Base {
    /// A type that is not in the catalog any more.
    pub fn unknown() -> Self {
        Self { oid: 0, modifier: -1, class: b'b', category: b'U' }
    }

    pub fn kind(&self, wanted: Option<&DataType>) -> Kind {
        Kind::of(self, wanted)
    }

    pub fn is_list(&self) -> bool {
        self.category == b'A'
    }
}

const BASES: &str = "
    WITH RECURSIVE given AS (SELECT * FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS g(oid, modifier, place)),
    base(place, oid, modifier) AS (
      SELECT place, oid, modifier FROM given
      UNION ALL
      SELECT b.place, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.modifier END
      FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
    )
    SELECT b.place, b.oid, b.modifier, t.typtype, t.typcategory
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype <> 'd' ORDER BY b.place";

/// Looks types up, each with its modifier.
pub async fn bases(client: &Client, types: &[(u32, i32)]) -> Result<Vec<Base>> {
    let (oids, modifiers): (Vec<u32>, Vec<i32>) = types.iter().copied().unzip();
    let rows = client.ask("look types up", client.query(BASES, &[&oids, &modifiers])).await?;
    let mut found = vec![Base::unknown(); types.len()];
    for row in rows {
        let place: i64 = row.get(0);
        let (class, category): (i8, i8) = (row.get(3), row.get(4));
        let base = Base { oid: row.get(1), modifier: row.get(2), class: class as u8, category: category as u8 };
        if let Some(slot) = usize::try_from(place - 1).ok().and_then(|place| found.get_mut(place)) {
            *slot = base;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_told_digits_are_decimals() {
        let modifier = |p: i32, s: i32| ((p << 16) | (s & 0x7ff)) + 4;
        assert_eq!(decimal(modifier(15, 2)), Kind::Decimal(15, 2));
        assert_eq!(decimal(modifier(38, 38)), Kind::Decimal(38, 38));
        for shown in [-1, modifier(39, 0), modifier(3, -2), modifier(2, 5)] {
            assert_eq!(decimal(shown), Kind::Shown);
        }
    }
}

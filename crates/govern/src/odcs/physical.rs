//! Physical types: the words that databases have for the types of columns.

use arrow::datatypes::{DataType, TimeUnit};

/// What a physical type says.
#[derive(Debug, PartialEq)]
pub(super) enum Physical {
    /// A type of ours; text may have a greatest length.
    Is(DataType, Option<usize>),
    /// A time of day, which Delta has no type for.
    Time,
    /// A number without precision.
    Number,
    /// A timestamp, and whether it says that it has a zone.
    Timestamp(Option<bool>),
    /// Something with parts: the logical type says which.
    Nested,
    /// No type that we know.
    Unknown,
}

/// Text as UTF-8.
pub(super) const TEXT: DataType = DataType::Utf8;

/// A timestamp in microseconds, in UTC or without a zone.
pub(super) fn timestamp(zoned: bool) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| "UTC".into()))
}

/// Reads `decimal(12,2)`, `varchar(20)`, `timestamp(6, UTC)`, `double precision`. The error is about a type that we know
/// with arguments that it can't have.
pub(super) fn parse(text: &str) -> Result<Physical, String> {
    let lower = text.trim().to_lowercase();
    let (name, args, rest) = match lower.split_once('(') {
        None => (lower.as_str(), Vec::new(), ""),
        Some((name, inner)) => match inner.split_once(')') {
            Some((args, rest)) => (name.trim(), args.split(',').map(str::trim).collect(), rest.trim()),
            None => return Err(format!("`{text}` lacks its closing `)`")),
        },
    };
    // `timestamp(6) with time zone` says the zone behind its arguments.
    let name = if rest.is_empty() { name.to_owned() } else { format!("{name} {rest}") };
    match name.as_str() {
        "decimal" | "numeric" | "number" | "dec" => decimal(text, &args),
        "timestamp"
        | "timestamptz"
        | "timestamp_tz"
        | "timestamp_ltz"
        | "timestamp_ntz"
        | "datetime"
        | "datetime2"
        | "datetimeoffset"
        | "timestamp with time zone"
        | "timestamp without time zone"
        | "timestamp with local time zone" => timestamps(text, &name, &args),
        "time" | "time without time zone" => Ok(Physical::Time),
        other => Ok(by_name(other, &args)),
    }
}

fn by_name(name: &str, args: &[&str]) -> Physical {
    let is = |data_type| Physical::Is(data_type, None);
    match name {
        "string" | "text" | "varchar" | "char" | "character" | "character varying" | "nvarchar" | "nchar"
        | "varchar2" | "nvarchar2" | "bpchar" | "utf8" => {
            Physical::Is(TEXT, args.first().and_then(|length| length.parse().ok()))
        }
        "clob" | "nclob" | "tinytext" | "mediumtext" | "longtext" | "ntext" | "uuid" | "uniqueidentifier" | "enum"
        | "xml" => is(TEXT),
        "bigint" | "long" | "int64" | "bigserial" => is(DataType::Int64),
        "int" | "integer" | "int4" | "int32" | "mediumint" | "serial" => is(DataType::Int32),
        "smallint" | "short" | "int2" | "int16" => is(DataType::Int16),
        "tinyint" | "byte" => is(DataType::Int8),
        // `float` is 32 bits in some databases and 64 in others: the wider one loses no digit.
        "double" | "double precision" | "float" | "float8" | "float64" => is(DataType::Float64),
        "real" | "float4" | "float32" => is(DataType::Float32),
        "boolean" | "bool" => is(DataType::Boolean),
        "date" | "date32" => is(DataType::Date32),
        "array" | "list" | "struct" | "record" | "row" | "object" | "map" | "json" | "jsonb" | "variant" | "vector" => {
            Physical::Nested
        }
        _ if ["array<", "list<", "struct<", "map<", "row<"].iter().any(|nested| name.starts_with(nested)) => {
            Physical::Nested
        }
        _ => Physical::Unknown,
    }
}

fn decimal(text: &str, args: &[&str]) -> Result<Physical, String> {
    let number = |at: usize| args.get(at).map(|arg| arg.parse::<i32>());
    let (precision, scale) = match (number(0), number(1)) {
        (None, _) => return Ok(Physical::Number),
        (Some(Ok(precision)), None) => (precision, 0),
        (Some(Ok(precision)), Some(Ok(scale))) => (precision, scale),
        _ => return Err(format!("`{text}` is not understood; write it as `decimal(12,2)`")),
    };
    if !(1..=38).contains(&precision) || scale < 0 || scale > precision {
        return Err(format!(
            "`{text}` can't be kept: a decimal has 1 to 38 digits, and not more of them behind the point"
        ));
    }
    Ok(Physical::Is(DataType::Decimal128(precision as u8, scale as i8), None))
}

fn timestamps(text: &str, name: &str, args: &[&str]) -> Result<Physical, String> {
    if let Some(precision) = args.first() {
        match precision.parse::<u32>() {
            Ok(0..=6) => {}
            Ok(_) => return Err(format!("`{text}` can't be kept: Delta stores microseconds, which are 6 decimals")),
            Err(_) => return Err(format!("`{text}` is not understood; write it as `timestamp(6, UTC)`")),
        }
    }
    let zoned = match (name, args.get(1)) {
        ("timestamp", Some(zone)) if is_utc(zone) => Some(true),
        (_, Some(zone)) => {
            return Err(format!(
                "`{text}` can't be kept: Delta stores timestamps in UTC or without a zone, none in `{zone}`"
            ));
        }
        ("timestamp", None) if args.is_empty() => None,
        ("timestamp" | "timestamp_ntz" | "datetime" | "datetime2" | "timestamp without time zone", None) => Some(false),
        _ => Some(true),
    };
    Ok(Physical::Timestamp(zoned))
}

/// Whether a name of a zone means UTC.
pub(super) fn is_utc(zone: &str) -> bool {
    ["utc", "etc/utc", "z", "gmt", "etc/gmt", "+00:00"].contains(&zone.to_lowercase().as_str())
}

/// How a type of ours is written; `None` for text and nested types, whose logical type says all.
pub fn name(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(_, Some(_)) => "timestamp(6, UTC)".into(),
        DataType::Timestamp(_, None) => "timestamp(6)".into(),
        DataType::Int32 => "int".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int8 => "tinyint".into(),
        DataType::Float64 => "double".into(),
        DataType::Float32 => "real".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_many_databases_are_understood() {
        let is = |text: &str| match parse(text) {
            Ok(Physical::Is(data_type, None)) => data_type,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(is("decimal(12,2)"), DataType::Decimal128(12, 2));
        assert_eq!(is("NUMERIC( 38 , 0 )"), DataType::Decimal128(38, 0));
        assert_eq!(is("number(10)"), DataType::Decimal128(10, 0));
        assert_eq!(
            (is("BIGINT"), is("int"), is("smallint"), is("long")),
            (DataType::Int64, DataType::Int32, DataType::Int16, DataType::Int64)
        );
        assert_eq!(
            (is("double precision"), is("float(3,2)"), is("REAL")),
            (DataType::Float64, DataType::Float64, DataType::Float32)
        );
        assert_eq!((is("bool"), is("date"), is("uuid")), (DataType::Boolean, DataType::Date32, TEXT));
        assert_eq!(parse("varchar(20)"), Ok(Physical::Is(TEXT, Some(20))));
        assert_eq!(parse("character varying(9)"), Ok(Physical::Is(TEXT, Some(9))));
        assert_eq!((parse("numeric"), parse("time")), (Ok(Physical::Number), Ok(Physical::Time)));
        assert_eq!((parse("map<string, string>"), parse("geography")), (Ok(Physical::Nested), Ok(Physical::Unknown)));
    }

    #[test]
    fn timestamps_keep_zone_and_precision_or_are_refused() {
        for (text, zoned) in [
            ("timestamp", None),
            ("timestamp(6)", Some(false)),
            ("timestamp(3, UTC)", Some(true)),
            ("TIMESTAMP(6) WITH TIME ZONE", Some(true)),
            ("timestamp without time zone", Some(false)),
            ("timestamptz", Some(true)),
            ("datetime", Some(false)),
        ] {
            assert_eq!(parse(text), Ok(Physical::Timestamp(zoned)), "{text}");
        }
        for bad in [
            "timestamp(9)",
            "timestamp(6, America/Sao_Paulo)",
            "timestamp(x)",
            "decimal(39,2)",
            "decimal(2,3)",
            "decimal(12",
            "decimal(a)",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

//! A file's statistics as Delta keeps them, from the footer that the Parquet writer made.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use chrono::{DateTime, NaiveDate, SecondsFormat};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

/// Readers look at the first columns only, by Delta's own default.
const COLUMNS_MAX: usize = 32;

/// `{"numRecords":…,"minValues":{…},"maxValues":{…},"nullCount":{…}}` of top-level columns with plain values.
pub(crate) fn of(footer: &ParquetMetaData, schema: &Schema) -> String {
    let (mut least, mut most, mut nulls) = (Map::new(), Map::new(), Map::new());
    for field in schema.fields().iter().take(COLUMNS_MAX).filter(|field| !field.data_type().is_nested()) {
        let columns: Vec<_> = footer
            .row_groups()
            .iter()
            .filter_map(|group| group.columns().iter().find(|c| c.column_path().parts() == [field.name().clone()]))
            .collect();
        let statistics: Option<Vec<&Statistics>> = columns.iter().map(|column| column.statistics()).collect();
        let Some(statistics) = statistics else { continue };
        if let Some(count) = statistics.iter().map(|s| s.null_count_opt()).sum::<Option<u64>>() {
            nulls.insert(field.name().clone(), json!(count));
        }
        let bound = |end: fn(&Statistics, &DataType) -> Option<Bound>, keep: fn(&Bound, &Bound) -> bool| {
            // A group of nulls only has no bounds and bounds nothing.
            let filled: Vec<_> = statistics.iter().filter(|s| s.min_bytes_opt().is_some()).collect();
            let bounds: Option<Vec<Bound>> = filled.iter().map(|s| end(s, field.data_type())).collect();
            bounds?.into_iter().reduce(|a, b| if keep(&a, &b) { a } else { b })
        };
        if let Some(value) = bound(min_of, |a, b| a.order <= b.order) {
            least.insert(field.name().clone(), value.shown);
        }
        if let Some(value) = bound(max_of, |a, b| a.order >= b.order) {
            most.insert(field.name().clone(), value.shown);
        }
    }
    json!({ "numRecords": footer.file_metadata().num_rows(), "minValues": least, "maxValues": most, "nullCount": nulls })
        .to_string()
}

struct Bound {
    order: Order,
    shown: Value,
}

#[derive(PartialEq, PartialOrd)]
enum Order {
    Number(i128),
    Float(f64),
    Text(Vec<u8>),
}

fn min_of(statistics: &Statistics, data_type: &DataType) -> Option<Bound> {
    match statistics {
        Statistics::Int32(s) => number(i128::from(*s.min_opt()?), data_type),
        Statistics::Int64(s) => number(i128::from(*s.min_opt()?), data_type),
        Statistics::Float(s) => float(f64::from(*s.min_opt()?)),
        Statistics::Double(s) => float(*s.min_opt()?),
        Statistics::ByteArray(_) | Statistics::FixedLenByteArray(_) => bytes(statistics.min_bytes_opt()?, data_type),
        _ => None,
    }
}

fn max_of(statistics: &Statistics, data_type: &DataType) -> Option<Bound> {
    match statistics {
        Statistics::Int32(s) => number(i128::from(*s.max_opt()?), data_type),
        Statistics::Int64(s) => number(i128::from(*s.max_opt()?), data_type),
        Statistics::Float(s) => float(f64::from(*s.max_opt()?)),
        Statistics::Double(s) => float(*s.max_opt()?),
        Statistics::ByteArray(_) | Statistics::FixedLenByteArray(_) => bytes(statistics.max_bytes_opt()?, data_type),
        _ => None,
    }
}

fn float(value: f64) -> Option<Bound> {
    value.is_finite().then(|| Bound { order: Order::Float(value), shown: json!(value) })
}

fn bytes(value: &[u8], data_type: &DataType) -> Option<Bound> {
    match data_type {
        DataType::Decimal128(..) => {
            let sign = if value.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
            let mut wide = [sign; 16];
            wide.get_mut(16usize.checked_sub(value.len())?..)?.copy_from_slice(value);
            number(i128::from_be_bytes(wide), data_type)
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
            let text = std::str::from_utf8(value).ok()?;
            Some(Bound { order: Order::Text(value.to_vec()), shown: json!(text) })
        }
        _ => None,
    }
}

fn number(value: i128, data_type: &DataType) -> Option<Bound> {
    let shown = match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => json!(i64::try_from(value).ok()?),
        DataType::Date32 => {
            let day = NaiveDate::from_epoch_days(i32::try_from(value).ok()?)?;
            json!(day.format("%Y-%m-%d").to_string())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let at = DateTime::from_timestamp_micros(i64::try_from(value).ok()?)?;
            match zone {
                Some(_) => json!(at.to_rfc3339_opts(SecondsFormat::Micros, true)),
                None => json!(at.naive_utc().format("%Y-%m-%dT%H:%M:%S%.6f").to_string()),
            }
        }
        // Exact digits where JSON's numbers hold them; else no bound, which is always true.
        DataType::Decimal128(_, scale) => decimal(value, *scale)?,
        _ => return None,
    };
    Some(Bound { order: Order::Number(value), shown })
}

fn decimal(value: i128, scale: i8) -> Option<Value> {
    let scale = u32::try_from(scale).ok()?;
    if value.unsigned_abs() >= 1_000_000_000_000_000 {
        return None;
    }
    let power = 10i128.checked_pow(scale)?;
    let sign = if value < 0 { "-" } else { "" };
    let (whole, rest) = (value.abs() / power, value.abs() % power);
    let text = match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{rest:0width$}", width = scale as usize),
    };
    serde_json::from_str(&text).ok()
}

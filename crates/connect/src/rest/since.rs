//! What grows from record to record, and where a pass begins by it.

use super::form::Form;
use super::number::Number;
use super::options::{Boundary, Incremental};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType;
use chrono::format::{Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};
use kernel::{Entity, Property, span};
use std::fmt::Write;
use std::ops::RangeInclusive;

/// A compiled `incremental`.
pub struct Since {
    pub field: String,
    pub param: Option<String>,
    /// As it is sent.
    start: Option<String>,
    /// In microseconds for times, else in the field's own unit.
    lookback: i64,
    format: Option<String>,
    scale: Scale,
    /// Of its column.
    data_type: DataType,
    /// How the API writes times, where the contract says so.
    written: Option<String>,
    /// Whether it writes numbers with a comma.
    comma: bool,
    pub boundary: Boundary,
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Time,
    Whole,
    /// Decimals and floats, by the digits that they are written with.
    Number,
    Text,
}

/// A value, as it is compared.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Time(i64),
    Number(Number),
}

impl Since {
    pub fn compile(options: &Incremental, entity: &Entity) -> Result<Self, String> {
        let property = entity.property(&options.field);
        let scale = property.map_or(Scale::Text, scale);
        let lookback = match (options.lookback.as_ref().map(ToString::to_string), scale) {
            (None, _) => 0,
            (Some(text), Scale::Time) => {
                span::micros(&text).filter(|micros| *micros >= 0).ok_or("`lookback` of a time: write `2 hours`")?
            }
            (Some(text), Scale::Whole) => {
                text.parse().ok().filter(|number| *number >= 0).ok_or("`lookback` of a whole number: write `100`")?
            }
            (Some(_), Scale::Number | Scale::Text) => {
                return Err(format!(
                    "`lookback` needs a time or a whole number: give `{}` such a type in the contract",
                    options.field
                ));
            }
        };
        Ok(Self {
            field: options.field.clone(),
            param: options.param.clone(),
            start: start(options)?,
            lookback,
            format: options.format.clone(),
            scale,
            data_type: property.map_or(DataType::Utf8, |property| property.data_type.clone()),
            written: property.and_then(|property| property.format.clone()),
            comma: property.is_some_and(|property| property.decimal_comma),
            boundary: options.boundary,
        })
    }

    /// Whether the API gives records again that were taken before.
    pub fn may_repeat(&self) -> bool {
        self.boundary == Boundary::Inclusive || self.lookback > 0
    }

    /// Whether it is a time, which mostly grows on updates; a number mostly counts records.
    pub fn is_time(&self) -> bool {
        self.scale == Scale::Time
    }

    /// Where a pass begins that follows one with this highest value.
    pub fn begin(&self, high: Option<&str>) -> Option<String> {
        let Some(high) = high else { return self.start.clone() };
        if self.lookback == 0 && self.format.is_none() {
            return Some(high.to_owned());
        }
        let begun = match self.scale {
            Scale::Time => self.earlier(high),
            Scale::Whole => self.number(high).map(|number| number.saturating_sub(self.lookback.into()).to_string()),
            Scale::Number | Scale::Text => None,
        };
        Some(begun.unwrap_or_else(|| high.to_owned()))
    }

    /// A time that is `lookback` before another one: in `format`, else as the API wrote that, for it may compare texts.
    fn earlier(&self, time: &str) -> Option<String> {
        let micros = self.micros(time)?.saturating_sub(self.lookback);
        if let Some(format) = &self.format {
            return sent(micros, format);
        }
        // What the contract says of it and what it looks like must be the same time, before and behind.
        let is_so = |text: &str, form: Option<(i64, Form)>| {
            form.filter(|(read, _)| self.micros(text) == Some(*read)).map(|(_, form)| form)
        };
        let alike = is_so(time, Form::read(time)).and_then(|form| form.write(micros));
        if let Some(alike) = alike.filter(|alike| is_so(alike, Form::read(alike)).is_some()) {
            return Some(alike);
        }
        match &self.written {
            Some(written) => rewritten(time, written, self.lookback).or_else(|| sent(micros, written)),
            None => sent(micros, ISO),
        }
    }

    /// The highest value of these rows and of what was highest before, as the API wrote it. What the column can't hold is set
    /// aside, so that it does not count: behind it, no later record would be asked for.
    pub fn highest(&self, rows: &RecordBatch, before: Option<String>) -> Option<String> {
        let Some(values) = rows.column_by_name(&self.field).and_then(|column| column.as_string_view_opt()) else {
            return before;
        };
        let best = values.iter().flatten().fold(None::<&str>, |best, value| match best {
            Some(best) if !self.is_above(value, best) => Some(best),
            _ if self.scale != Scale::Text && self.rank(value).is_none() => best,
            _ => Some(value),
        });
        match (best, before) {
            (Some(best), Some(before)) if !self.is_above(best, &before) => Some(before),
            (Some(best), _) => Some(best.to_owned()),
            (None, before) => before,
        }
    }

    /// When each row changed, where that is what grows.
    pub fn times(&self, rows: &RecordBatch) -> Vec<Option<i64>> {
        let values = rows.column_by_name(&self.field).and_then(|column| column.as_string_view_opt());
        match values.filter(|_| self.scale == Scale::Time) {
            Some(values) => values.iter().map(|value| self.micros(value?)).collect(),
            None => vec![None; rows.num_rows()],
        }
    }

    fn is_above(&self, one: &str, other: &str) -> bool {
        match self.scale {
            Scale::Text => one > other,
            _ => self.rank(one) > self.rank(other),
        }
    }

    /// `None` of what is no value of the column.
    fn rank(&self, value: &str) -> Option<Rank> {
        match self.scale {
            Scale::Time => self.micros(value).filter(|micros| YEARS.contains(micros)).map(Rank::Time),
            Scale::Whole | Scale::Number => {
                let number = Number::parse(value, self.comma)?;
                self.holds(value, &number).then_some(Rank::Number(number))
            }
            Scale::Text => None,
        }
    }

    /// Whether the column can hold a number that is written so.
    fn holds(&self, text: &str, number: &Number) -> bool {
        match &self.data_type {
            DataType::Decimal128(precision, scale) => number.fits(*precision, *scale),
            DataType::Float32 => (number.float() as f32).is_finite(),
            whole if whole.is_integer() => {
                // The gate reads digits alone; with a comma for the point, points part them into groups.
                let is_sign = |byte: u8| matches!(byte, b'+' | b'-') || self.comma && byte == b'.';
                let is_plain = text.trim_ascii().bytes().all(|byte| byte.is_ascii_digit() || is_sign(byte));
                let range = range(whole);
                is_plain && number.whole().zip(range).is_some_and(|(number, range)| range.contains(&number))
            }
            _ => number.float().is_finite(),
        }
    }

    fn number(&self, value: &str) -> Option<i128> {
        Number::parse(value, self.comma)?.whole()
    }

    fn micros(&self, value: &str) -> Option<i64> {
        if let Some(format) = &self.written {
            let time = DateTime::parse_from_str(value, format).map(|time| time.timestamp_micros());
            let local = || NaiveDateTime::parse_from_str(value, format).map(|time| time.and_utc().timestamp_micros());
            let day = || NaiveDate::parse_from_str(value, format).map(of_day);
            return time.or_else(|_| local()).or_else(|_| day()).ok();
        }
        iso(value)
    }
}

/// What the first pass begins at, as it is sent: a date or a time is brought into `format`, and what is in it stays.
pub fn start(options: &Incremental) -> Result<Option<String>, String> {
    let start = options.start.as_ref().map(ToString::to_string);
    let Some(format) = options.format.as_deref() else { return Ok(start) };
    if !is_format(format) {
        return Err("no time can be sent in this `format`: write `epoch`, `epoch_ms`, or one such as `%Y-%m-%d`".into());
    }
    let Some(start) = start else { return Ok(None) };
    let brought = iso(&start).and_then(|micros| sent(micros, format));
    match brought.or_else(|| is_in(&start, format).then_some(start)) {
        Some(start) => Ok(Some(start)),
        None => Err("`start` can't be brought into `format`: write a date (`2026-01-01`), a time \
                     (`2026-01-01T00:00:00Z`), or what the API takes"
            .into()),
    }
}

/// The years 0001 to 9999, which are all that the lake keeps, in microseconds since 1970.
const YEARS: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// What a time is sent as that is written like no other.
const ISO: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// A time as the API takes it; `None` where the format has signs for reading only.
fn sent(micros: i64, format: &str) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)?;
    let mut text = String::new();
    match format {
        "epoch" => write!(text, "{}", micros.div_euclid(1_000_000)),
        "epoch_ms" => write!(text, "{}", micros.div_euclid(1_000)),
        format => write!(text, "{}", time.format(format)),
    }
    .ok()?;
    Some(text)
}

/// A time that is earlier than one which has a zone, in the same zone.
fn rewritten(time: &str, format: &str, earlier: i64) -> Option<String> {
    let time = DateTime::parse_from_str(time, format).ok()?.checked_sub_signed(TimeDelta::microseconds(earlier))?;
    let mut text = String::new();
    write!(text, "{}", time.format(format)).ok()?;
    Some(text)
}

/// A format without a sign would send the same text for every time.
fn is_format(format: &str) -> bool {
    matches!(format, "epoch" | "epoch_ms") || format.contains('%') && sent(0, format).is_some()
}

fn is_in(text: &str, format: &str) -> bool {
    match format {
        "epoch" | "epoch_ms" => text.parse().is_ok_and(f64::is_finite),
        _ => parse(&mut Parsed::new(), text, StrftimeItems::new(format)).is_ok(),
    }
}

/// A date or a time by ISO 8601; one without a zone is UTC.
fn iso(value: &str) -> Option<i64> {
    if let Some((micros, _)) = Form::read(value.trim_ascii()) {
        return Some(micros);
    }
    let time = DateTime::parse_from_rfc3339(value).map(|time| time.timestamp_micros());
    let local = || value.parse::<NaiveDateTime>().map(|time| time.and_utc().timestamp_micros());
    let blank = || NaiveDateTime::parse_from_str(value, "%Y-%m-%d %H:%M:%S%.f").map(|t| t.and_utc().timestamp_micros());
    let day = || value.parse::<NaiveDate>().map(of_day);
    time.or_else(|_| local()).or_else(|_| blank()).or_else(|_| day()).ok()
}

fn of_day(day: NaiveDate) -> i64 {
    day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
}

/// What a column of whole numbers holds.
fn range(data_type: &DataType) -> Option<RangeInclusive<i128>> {
    match data_type {
        DataType::Int8 => Some(i8::MIN.into()..=i8::MAX.into()),
        DataType::Int16 => Some(i16::MIN.into()..=i16::MAX.into()),
        DataType::Int32 => Some(i32::MIN.into()..=i32::MAX.into()),
        DataType::Int64 => Some(i64::MIN.into()..=i64::MAX.into()),
        _ => None,
    }
}

fn scale(property: &Property) -> Scale {
    match &property.data_type {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Scale::Time,
        DataType::Decimal128(_, 0) => Scale::Whole,
        data_type if data_type.is_integer() => Scale::Whole,
        data_type if data_type.is_numeric() => Scale::Number,
        _ => Scale::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::typed;
    use arrow::array::StringViewArray;
    use arrow::datatypes::TimeUnit;
    use std::sync::Arc;

    fn since(options: serde_json::Value, data_type: DataType) -> Since {
        let options = serde_json::from_value(options).expect("options");
        Since::compile(&options, &typed(&[("at", data_type)])).expect("a cursor")
    }

    fn rows(values: &[&str]) -> RecordBatch {
        let values = StringViewArray::from_iter_values(values);
        RecordBatch::try_from_iter([("at", Arc::new(values) as _)]).expect("a batch")
    }

    const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

    #[test]
    fn times_are_compared_as_times_and_sent_as_they_came() {
        let since = since(serde_json::json!({ "field": "at", "start": "2026-01-01" }), TIME);
        assert_eq!(since.begin(None).as_deref(), Some("2026-01-01"));
        let high = since.highest(&rows(&["2026-07-01T10:00:00Z", "2026-07-01T09:30:00-01:00", "soon"]), None);
        assert_eq!(high.as_deref(), Some("2026-07-01T09:30:00-01:00"), "half past ten in UTC");
        assert_eq!(since.highest(&rows(&["2026-06-30"]), high.clone()), high);
        assert_eq!(since.begin(high.as_deref()), high);
        assert_eq!(since.times(&rows(&["1970-01-01 00:00:01.5", "soon"])), [Some(1_500_000), None]);
    }

    #[test]
    fn the_first_pass_begins_in_the_format_that_later_ones_do() {
        let begun = |format: &str, start: serde_json::Value| {
            let options = serde_json::json!({ "field": "at", "format": format, "start": start });
            since(options, TIME).begin(None)
        };
        for (format, start, sent) in [
            ("epoch", "2026-01-01", "1767225600"),
            ("epoch_ms", "2026-01-01T01:00:00.25+01:00", "1767225600250"),
            ("%Y-%m-%d", "2026-01-01T23:30:00-01:00", "2026-01-02"),
            ("%Y-%m-%d", "2026-01-01", "2026-01-01"),
            ("%d/%m/%Y %H:%M", "2026-02-01 10:20:30", "01/02/2026 10:20"),
            ("%d/%m/%Y", "01/02/2026", "01/02/2026"),
            ("epoch", "1767225600", "1767225600"),
        ] {
            assert_eq!(begun(format, start.into()).as_deref(), Some(sent), "{start} as {format}");
        }
        assert_eq!(begun("epoch_ms", 0.into()).as_deref(), Some("0"));
        assert_eq!(begun("%Y%m%d", 20_260_101.into()).as_deref(), Some("20260101"));
        let ids = since(serde_json::json!({ "field": "at", "start": 17 }), DataType::Int64);
        assert_eq!(ids.begin(None).as_deref(), Some("17"), "without a format, as it is written");
    }

    #[test]
    fn a_lookback_goes_behind_the_highest_value() {
        let hours = since(serde_json::json!({ "field": "at", "lookback": "2 hours" }), TIME);
        assert_eq!(hours.begin(Some("2026-07-01T01:00:00.250Z")).as_deref(), Some("2026-06-30T23:00:00.250Z"));
        let epoch = since(serde_json::json!({ "field": "at", "format": "epoch" }), TIME);
        assert_eq!(epoch.begin(Some("1970-01-01T00:01:00Z")).as_deref(), Some("60"));
        let day = since(serde_json::json!({ "field": "at", "format": "%d/%m/%Y", "lookback": "1 day" }), TIME);
        assert_eq!(day.begin(Some("2026-07-01")).as_deref(), Some("30/06/2026"));
        let ids = since(serde_json::json!({ "field": "at", "lookback": 10 }), DataType::Int64);
        assert_eq!(ids.begin(ids.highest(&rows(&["9", "100", "20"]), None).as_deref()).as_deref(), Some("90"));
        let ids = since(serde_json::json!({ "field": "at", "lookback": 10 }), DataType::Decimal128(20, 0));
        let high = ids.highest(&rows(&["18446744073709551615", "7"]), None);
        assert_eq!(ids.begin(high.as_deref()).as_deref(), Some("18446744073709551605"), "64 bits are not enough");
        let text = serde_json::from_value(serde_json::json!({ "field": "at", "lookback": 10 })).expect("options");
        assert!(Since::compile(&text, &typed(&[("at", DataType::Utf8)])).is_err());
    }

    #[test]
    fn an_earlier_time_is_written_as_the_api_writes() {
        let options = serde_json::json!({ "field": "at", "lookback": "90 minutes" });
        let plain = since(options.clone(), TIME);
        for (high, begun) in [
            ("2026-01-01 10:00:03", "2026-01-01 08:30:03"),
            ("2026-01-01T10:00:03.000Z", "2026-01-01T08:30:03.000Z"),
            ("2026-01-01T01:00:03+02:00", "2025-12-31T23:30:03+02:00"),
            ("2026-01-10", "2026-01-09"),
        ] {
            assert_eq!(plain.begin(Some(high)).as_deref(), Some(begun));
        }
        for (format, high, begun) in [
            ("%d/%m/%Y %H:%M", "01/02/2026 01:00", "31/01/2026 23:30"),
            ("%d/%m/%Y %H:%M %z", "01/02/2026 01:00 +0200", "31/01/2026 23:30 +0200"),
            ("%Y-%m-%d %H:%M:%S%.f", "2026-01-01 10:00:03.00", "2026-01-01 08:30:03.00"),
            // Day before month, though it does not look so.
            ("%Y-%d-%m", "2026-02-02", "2026-01-02"),
        ] {
            let mut entity = typed(&[("at", TIME)]);
            entity.properties[0].format = Some(format.into());
            let options = serde_json::from_value(options.clone()).expect("options");
            let written = Since::compile(&options, &entity).expect("a cursor");
            assert_eq!(written.begin(Some(high)).as_deref(), Some(begun), "{format}");
        }
    }

    #[test]
    fn what_the_column_can_not_hold_moves_nothing() {
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let all: [(DataType, &str, &[&str]); 12] = [
            (DataType::Int64, "9223372036854775807", &["9223372036854775808", "18446744073709551615", "1e18"]),
            (DataType::Int64, "-5", &["15.0", "-9223372036854775809", "9.9"]),
            (DataType::Int32, "2147483647", &["2147483648", "9223372036854775807"]),
            (DataType::Int16, "32767", &["32768"]),
            (DataType::Int8, "127", &["128"]),
            (DataType::Decimal128(5, 2), "999.990", &["1000", "999.991", "1e300"]),
            (DataType::Decimal128(3, 0), "9.99e2", &["1000", "1.5"]),
            (DataType::Float64, "1e308", &["1e309", "Infinity", "NaN"]),
            (DataType::Float32, "1e38", &["1e39"]),
            (TIME, "9999-12-31T23:59:59", &["+10000-01-01T00:00:00"]),
            (zoned, "9999-12-31T23:59:59.999999Z", &["+10000-01-01T00:00:00", "9999-12-31T23:00:00-02:00"]),
            (DataType::Date32, "9999-12-31", &["+10000-01-01", "soon"]),
        ];
        for (data_type, held, beyond) in all {
            let since = since(serde_json::json!({ "field": "at" }), data_type.clone());
            assert_eq!(since.highest(&rows(beyond), None), None, "{data_type}");
            let mixed = [beyond, &[held]].concat();
            assert_eq!(since.highest(&rows(&mixed), None).as_deref(), Some(held), "{data_type}");
            assert_eq!(since.highest(&rows(beyond), Some(held.into())).as_deref(), Some(held), "{data_type}");
        }
        let mut entity = typed(&[("at", DataType::Int32)]);
        entity.properties[0].decimal_comma = true;
        let options = serde_json::from_value(serde_json::json!({ "field": "at" })).expect("options");
        let groups = Since::compile(&options, &entity).expect("a cursor");
        let high = groups.highest(&rows(&["1.234.567", "7", "4.000.000.000", "9.999.999,5"]), None);
        assert_eq!(high.as_deref(), Some("1.234.567"));
    }

    #[test]
    fn decimals_and_floats_are_compared_as_numbers() {
        for data_type in [DataType::Decimal128(10, 2), DataType::Float64] {
            let since = since(serde_json::json!({ "field": "at" }), data_type);
            let high = since.highest(&rows(&["1.5", "10.25", "2", "n/a"]), None);
            assert_eq!(high.as_deref(), Some("10.25"));
            assert_eq!(since.highest(&rows(&["9.99", "10.250"]), high.clone()), high);
            assert_eq!(since.highest(&rows(&["1.1e1"]), high).as_deref(), Some("1.1e1"));
        }
        let since = since(serde_json::json!({ "field": "at" }), DataType::Decimal128(38, 0));
        let high = since.highest(&rows(&["99999999999999999999999999999999999998", "5"]), None);
        assert_eq!(high.as_deref(), Some("99999999999999999999999999999999999998"));
    }
}

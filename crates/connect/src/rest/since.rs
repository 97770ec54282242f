//! What grows from record to record, and where a pass begins by it.

use super::options::{Boundary, Incremental};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType;
use chrono::format::{Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use kernel::{Entity, Property, span};
use std::fmt::Write;

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
    /// How the API writes times, where the contract says so.
    written: Option<String>,
    pub boundary: Boundary,
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Time,
    Whole,
    Text,
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
                text.parse().ok().filter(|number| *number >= 0).ok_or("`lookback` of a number: write a number")?
            }
            (Some(_), Scale::Text) => {
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
            written: property.and_then(|property| property.format.clone()),
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
        let begun = self.rank(high).map(|rank| rank.saturating_sub(self.lookback));
        Some(match (begun, self.scale) {
            (Some(micros), Scale::Time) => sent(micros, self.format.as_deref()).unwrap_or_else(|| high.to_owned()),
            (Some(number), Scale::Whole) => number.to_string(),
            _ => high.to_owned(),
        })
    }

    /// The highest value of these rows and of what was highest before, as the API wrote it.
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
            Some(values) => values.iter().map(|value| self.rank(value?)).collect(),
            None => vec![None; rows.num_rows()],
        }
    }

    fn is_above(&self, one: &str, other: &str) -> bool {
        match self.scale {
            Scale::Text => one > other,
            _ => self.rank(one) > self.rank(other),
        }
    }

    fn rank(&self, value: &str) -> Option<i64> {
        match self.scale {
            Scale::Time => self.micros(value),
            Scale::Whole => value.parse().ok(),
            Scale::Text => None,
        }
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
    let brought = iso(&start).and_then(|micros| sent(micros, Some(format)));
    match brought.or_else(|| is_in(&start, format).then_some(start)) {
        Some(start) => Ok(Some(start)),
        None => Err("`start` can't be brought into `format`: write a date (`2026-01-01`), a time \
                     (`2026-01-01T00:00:00Z`), or what the API takes"
            .into()),
    }
}

/// A time as the API takes it; `None` where the format has signs for reading only.
fn sent(micros: i64, format: Option<&str>) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)?;
    let mut text = String::new();
    match format {
        Some("epoch") => write!(text, "{}", micros.div_euclid(1_000_000)),
        Some("epoch_ms") => write!(text, "{}", micros.div_euclid(1_000)),
        format => write!(text, "{}", time.format(format.unwrap_or("%Y-%m-%dT%H:%M:%S%.fZ"))),
    }
    .ok()?;
    Some(text)
}

/// A format without a sign would send the same text for every time.
fn is_format(format: &str) -> bool {
    matches!(format, "epoch" | "epoch_ms") || format.contains('%') && sent(0, Some(format)).is_some()
}

fn is_in(text: &str, format: &str) -> bool {
    match format {
        "epoch" | "epoch_ms" => text.parse().is_ok_and(f64::is_finite),
        _ => parse(&mut Parsed::new(), text, StrftimeItems::new(format)).is_ok(),
    }
}

/// A date or a time by RFC 3339; one without a zone is UTC.
fn iso(value: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(value).map(|time| time.timestamp_micros());
    let local = || value.parse::<NaiveDateTime>().map(|time| time.and_utc().timestamp_micros());
    let blank = || NaiveDateTime::parse_from_str(value, "%Y-%m-%d %H:%M:%S%.f").map(|t| t.and_utc().timestamp_micros());
    let day = || value.parse::<NaiveDate>().map(of_day);
    time.or_else(|_| local()).or_else(|_| blank()).or_else(|_| day()).ok()
}

fn of_day(day: NaiveDate) -> i64 {
    day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
}

fn scale(property: &Property) -> Scale {
    match &property.data_type {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Scale::Time,
        DataType::Decimal128(_, 0) => Scale::Whole,
        data_type if data_type.is_integer() => Scale::Whole,
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
        let text = serde_json::from_value(serde_json::json!({ "field": "at", "lookback": 10 })).expect("options");
        assert!(Since::compile(&text, &typed(&[("at", DataType::Utf8)])).is_err());
    }
}

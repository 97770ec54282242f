//! Dates and timestamps back to the start of their day, week, month, quarter or year.

use super::{takes, text};
use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use chrono::{Datelike, NaiveDate, TimeDelta};
use kernel::error::{Error, Result};
use kernel::suggest;
use std::sync::Arc;

const SECONDS_PER_DAY: i64 = 86_400;

const NAMES: [(&str, Period); 5] = [
    ("day", Period::Day),
    ("week", Period::Week),
    ("month", Period::Month),
    ("quarter", Period::Quarter),
    ("year", Period::Year),
];

/// A stretch of the calendar; a timestamp's calendar is that of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    Day,
    /// From Monday (ISO 8601).
    Week,
    Month,
    Quarter,
    Year,
}

impl Period {
    pub fn parse(text: &str) -> Result<Self> {
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, period)| *period).ok_or_else(|| {
            let hint = suggest::hint(text, NAMES.map(|(name, _)| name)).unwrap_or_default();
            Error::project(format!("generalize to `{text}`"), format!("it is not a period; {hint}"))
        })
    }

    /// Whether values of the type have such periods, and are more than the start of one.
    pub fn check(self, plain: &DataType) -> Result<()> {
        let what = "generalize to a period";
        let is_date = matches!(plain, DataType::Date32 | DataType::Date64);
        takes(what, plain, is_date || matches!(plain, DataType::Timestamp(..)), "dates and timestamps")?;
        if is_date && self == Self::Day {
            let detail =
                "a date is a day already, so `day` changes nothing; write `generalize(month)` or `generalize(year)`";
            return Err(Error::refused(what, detail));
        }
        Ok(())
    }

    /// The type stays; a moment whose start is out of the type's range becomes null, which tells nothing of it.
    pub fn apply(self, column: &ArrayRef) -> Result<ArrayRef> {
        match column.data_type() {
            DataType::Date32 => self.floored::<Date32Type>(column, 1),
            DataType::Date64 => self.floored::<Date64Type>(column, SECONDS_PER_DAY * 1_000),
            DataType::Timestamp(TimeUnit::Second, _) => self.floored::<TimestampSecondType>(column, SECONDS_PER_DAY),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                self.floored::<TimestampMillisecondType>(column, SECONDS_PER_DAY * 1_000)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                self.floored::<TimestampMicrosecondType>(column, SECONDS_PER_DAY * 1_000_000)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                self.floored::<TimestampNanosecondType>(column, SECONDS_PER_DAY * 1_000_000_000)
            }
            other => Err(Error::internal("generalize a column", format!("{other} was not accepted"))),
        }
    }

    fn floored<T: ArrowPrimitiveType>(self, column: &ArrayRef, per_day: i64) -> Result<ArrayRef>
    where
        i64: From<T::Native>,
        T::Native: TryFrom<i64>,
    {
        let floor = |value: T::Native| {
            let day = self.start(i64::from(value).div_euclid(per_day))?;
            T::Native::try_from(day.checked_mul(per_day)?).ok()
        };
        let array =
            column.as_primitive_opt::<T>().ok_or_else(|| Error::internal("generalize a column", "another type"))?;
        let floored = array.unary_opt::<_, T>(floor);
        Ok(Arc::new(floored.with_data_type(text::plain_type(column.data_type()))))
    }

    /// The first day of the period of `day`, both since 1970-01-01.
    fn start(self, day: i64) -> Option<i64> {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
        let date = epoch.checked_add_signed(TimeDelta::try_days(day)?)?;
        let first = match self {
            Self::Day => date,
            Self::Week => date.checked_sub_signed(TimeDelta::days(date.weekday().num_days_from_monday().into()))?,
            Self::Month => date.with_day(1)?,
            Self::Quarter => NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1)?,
            Self::Year => NaiveDate::from_ymd_opt(date.year(), 1, 1)?,
        };
        Some(first.signed_duration_since(epoch).num_days())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::mask;
    use super::*;
    use arrow::array::{Date32Array, Date64Array, TimestampMicrosecondArray, TimestampNanosecondArray};
    use arrow::compute::cast;
    use kernel::Kind;
    use kernel::laws::mask::obeys;

    fn days(texts: &[&str]) -> ArrayRef {
        let day =
            |text: &&str| text.parse::<NaiveDate>().unwrap().signed_duration_since(NaiveDate::default()).num_days();
        Arc::new(texts.iter().map(|text| Some(i32::try_from(day(text)).unwrap())).collect::<Date32Array>())
    }

    #[test]
    fn they_obey_the_laws() {
        let dates: ArrayRef =
            Arc::new(Date32Array::from(vec![Some(0), None, Some(-1), Some(i32::MIN), Some(i32::MAX)]));
        let millis: ArrayRef = Arc::new(Date64Array::from(vec![Some(0), None, Some(i64::MIN), Some(i64::MAX)]));
        let extremes = vec![Some(0), None, Some(i64::MIN), Some(i64::MAX), Some(1_700_000_000_000_000)];
        let zoned: ArrayRef = Arc::new(TimestampMicrosecondArray::from(extremes.clone()).with_timezone("UTC"));
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(extremes));
        for (name, _) in NAMES {
            let mut samples = vec![zoned.clone(), nanos.clone()];
            if name != "day" {
                samples.extend([dates.clone(), millis.clone()]);
            }
            obeys(&|| mask(&format!("generalize({name})")), &samples);
        }
    }

    #[test]
    fn each_period_starts_where_it_does() {
        let input = days(&["2024-02-29", "1969-12-31", "2026-11-23"]);
        let expected = [
            ("week", ["2024-02-26", "1969-12-29", "2026-11-23"]),
            ("month", ["2024-02-01", "1969-12-01", "2026-11-01"]),
            ("quarter", ["2024-01-01", "1969-10-01", "2026-10-01"]),
            ("year", ["2024-01-01", "1969-01-01", "2026-01-01"]),
        ];
        for (period, starts) in expected {
            let masked = mask(&format!("generalize({period})")).apply(&input).unwrap();
            assert!(masked.as_ref() == days(&starts).as_ref(), "{period}");
        }
    }

    #[test]
    fn the_day_of_a_date_hides_nothing_and_is_refused() {
        let output = |mask_text: &str, data_type: &DataType| mask(mask_text).output(data_type).err().map(|e| e.kind);
        for date in [DataType::Date32, DataType::Date64] {
            assert_eq!(output("generalize(day)", &date), Some(Kind::Refused));
            assert_eq!(output("generalize(month)", &date), None);
        }
        assert_eq!(output("generalize(day)", &DataType::Timestamp(TimeUnit::Microsecond, None)), None);
        assert_eq!(output("generalize(day)", &DataType::Utf8), Some(Kind::Project));
    }

    #[test]
    fn a_timestamp_keeps_its_type_and_zone() {
        let at = |day: &str| {
            let midnight = cast(&days(&[day]), &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
            midnight.as_primitive::<TimestampMicrosecondType>().value(0)
        };
        let zoned = |at: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC")) };
        let masked = mask("generalize(month)").apply(&zoned(at("2026-11-23") + 86_399_999_999)).unwrap();
        assert!(masked.as_ref() == zoned(at("2026-11-01")).as_ref());
    }
}

//! The years that are kept: 0001 to 9999, in UTC. One rule for all sources.
//!
//! The Delta log tells the first and the last value of each file by ISO 8601, whose years have four digits: a single date
//! beyond them is enough that other readers can't open the table any more.

use super::parts;
use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};

/// As they are told.
pub(in crate::gate) const YEARS: &str = "years 0001 to 9999";

/// Days since 1970 of 0001-01-01 and of 9999-12-31.
const FIRST: i32 = -719_162;
const LAST: i32 = 2_932_896;

/// True where a date or a timestamp, be it a part of a value, is of another year; `None` when none is.
pub(in crate::gate) fn beyond(values: &ArrayRef) -> Option<BooleanArray> {
    parts::rows(values, &leaf).map(|rows| BooleanArray::new(rows, None))
}

/// Whether a moment, in microseconds since 1970, is of these years.
pub(in crate::gate) fn is_kept(micros: i64) -> bool {
    let day = micros.div_euclid(86_400_000_000);
    (i64::from(FIRST)..=i64::from(LAST)).contains(&day)
}

/// Whether values of the type are times, or have such parts.
pub(in crate::gate) fn has_times(data_type: &DataType) -> bool {
    match data_type {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_times(field.data_type())),
        DataType::List(item) | DataType::LargeList(item) => has_times(item.data_type()),
        _ => false,
    }
}

pub(in crate::gate) fn leaf(values: &ArrayRef) -> Option<BooleanBuffer> {
    match values.data_type() {
        DataType::Date32 => outside::<Date32Type>(values, FIRST, LAST),
        DataType::Date64 => of_days::<Date64Type>(values, 86_400_000),
        DataType::Timestamp(TimeUnit::Second, _) => of_days::<TimestampSecondType>(values, 86_400),
        DataType::Timestamp(TimeUnit::Millisecond, _) => of_days::<TimestampMillisecondType>(values, 86_400_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of_days::<TimestampMicrosecondType>(values, 86_400_000_000),
        // 64 bits of nanoseconds end in the year 2262.
        DataType::Timestamp(TimeUnit::Nanosecond, _) => None,
        _ => None,
    }
}

/// `day` is how many units a day has.
fn of_days<T: ArrowPrimitiveType<Native = i64>>(values: &ArrayRef, day: i64) -> Option<BooleanBuffer> {
    outside::<T>(values, i64::from(FIRST) * day, (i64::from(LAST) + 1) * day - 1)
}

/// The values before `first` and after `last`; nulls may be among them.
pub(super) fn outside<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    first: T::Native,
    last: T::Native,
) -> Option<BooleanBuffer> {
    let all = values.as_primitive::<T>().values();
    // Nearly always all are good: without a branch, several are looked at together.
    if all.iter().fold(true, |good, value| good & (*value >= first) & (*value <= last)) {
        return None;
    }
    Some(BooleanBuffer::collect_bool(all.len(), |row| all[row] < first || all[row] > last))
}

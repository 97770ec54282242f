//! The years that are kept: 0001 to 9999, in UTC. One rule for all sources.
//!
//! The Delta log tells the first and the last value of each file by ISO 8601, whose years have four digits: a single date
//! beyond them is enough that other readers can't open the table any more.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, GenericListArray, OffsetSizeTrait};
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
    parts_beyond(values).map(|rows| BooleanArray::new(rows, None))
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

fn parts_beyond(values: &ArrayRef) -> Option<BooleanBuffer> {
    match values.data_type() {
        DataType::Date32 => outside::<Date32Type>(values, FIRST, LAST),
        DataType::Date64 => of_days::<Date64Type>(values, 86_400_000),
        DataType::Timestamp(TimeUnit::Second, _) => of_days::<TimestampSecondType>(values, 86_400),
        DataType::Timestamp(TimeUnit::Millisecond, _) => of_days::<TimestampMillisecondType>(values, 86_400_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of_days::<TimestampMicrosecondType>(values, 86_400_000_000),
        // 64 bits of nanoseconds end in the year 2262.
        DataType::Timestamp(TimeUnit::Nanosecond, _) => None,
        DataType::Struct(_) => {
            let fields = values.as_struct().columns().iter().filter_map(parts_beyond);
            let rows = fields.reduce(|one, other| &one | &other)?;
            there(&rows, values)
        }
        DataType::List(item) if has_times(item.data_type()) => items_beyond(values.as_list::<i32>(), values),
        DataType::LargeList(item) if has_times(item.data_type()) => items_beyond(values.as_list::<i64>(), values),
        _ => None,
    }
}

/// `day` is how many units a day has.
fn of_days<T: ArrowPrimitiveType<Native = i64>>(values: &ArrayRef, day: i64) -> Option<BooleanBuffer> {
    outside::<T>(values, i64::from(FIRST) * day, (i64::from(LAST) + 1) * day - 1)
}

fn outside<T: ArrowPrimitiveType>(values: &ArrayRef, first: T::Native, last: T::Native) -> Option<BooleanBuffer> {
    let all = values.as_primitive::<T>().values();
    // Nearly always all are good: without a branch, several are looked at together.
    if all.iter().fold(true, |good, value| good & (*value >= first) & (*value <= last)) {
        return None;
    }
    there(&BooleanBuffer::collect_bool(all.len(), |row| all[row] < first || all[row] > last), values)
}

/// A list of which an item is.
fn items_beyond<O: OffsetSizeTrait>(list: &GenericListArray<O>, values: &ArrayRef) -> Option<BooleanBuffer> {
    let ends = list.value_offsets();
    let (first, last) = (ends.first()?.as_usize(), ends.last()?.as_usize());
    let items = parts_beyond(&list.values().slice(first, last - first))?;
    let is_beyond = |row: usize| (ends[row].as_usize()..ends[row + 1].as_usize()).any(|item| items.value(item - first));
    there(&BooleanBuffer::collect_bool(list.len(), is_beyond), values)
}

/// What is below a null is nothing.
fn there(rows: &BooleanBuffer, values: &ArrayRef) -> Option<BooleanBuffer> {
    let rows = match values.nulls() {
        Some(valid) => rows & valid.inner(),
        None => rows.clone(),
    };
    (rows.count_set_bits() > 0).then_some(rows)
}

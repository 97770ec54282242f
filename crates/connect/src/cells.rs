//! Rows of a database, one value after another, into columns of Arrow.

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int64Builder,
    RecordBatchOptions, StringViewBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f32),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01.
    Micros(i64),
}

/// What a column is built as. What does not fit is put in as text by `Text`, and refused by the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Bool,
    Int,
    UInt,
    Float,
    Double,
    /// Takes every value; bytes in hexadecimal.
    Text,
    Bytes,
    Date,
    /// Microseconds; with a zone they are UTC.
    Time {
        zoned: bool,
    },
}

enum Values {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    UInt(UInt64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Text(StringViewBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(TimestampMicrosecondBuilder, bool),
}

/// A batch that grows by rows.
pub struct Cells {
    schema: SchemaRef,
    columns: Vec<Values>,
    rows: usize,
    /// About how many bytes of memory it has.
    bytes: usize,
    scratch: String,
}

impl Cells {
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Form)>) -> Self {
        let (fields, columns): (Vec<Field>, Vec<Values>) = columns
            .into_iter()
            .map(|(name, form)| (Field::new(name, form.data_type(), true), Values::new(form)))
            .unzip();
        Self { schema: Arc::new(Schema::new(fields)), columns, rows: 0, bytes: 0, scratch: String::new() }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a value into a column of the row that is being written. False when the column can't hold it: null is there then.
    #[must_use]
    pub fn push(&mut self, column: usize, cell: Cell<'_>) -> bool {
        self.bytes += 8;
        let Some(values) = self.columns.get_mut(column) else { return false };
        match (values, cell) {
            (values, Cell::Null) => values.push_null(),
            (Values::Bool(to), Cell::Bool(value)) => to.append_value(value),
            (Values::UInt(to), Cell::Bool(value)) => to.append_value(u64::from(value)),
            (Values::Int(to), Cell::Int(value)) => to.append_value(value),
            (Values::UInt(to), Cell::UInt(value)) => to.append_value(value),
            (Values::Float(to), Cell::Float(value)) => to.append_value(value),
            (Values::Double(to), Cell::Double(value)) => to.append_value(value),
            (Values::Bytes(to), Cell::Bytes(value)) => {
                self.bytes += value.len();
                to.append_value(value);
            }
            (Values::Date(to), Cell::Date(value)) => to.append_value(value),
            (Values::Time(to, _), Cell::Micros(value)) => to.append_value(value),
            (Values::Text(to), Cell::Text(value)) => {
                self.bytes += 8 + value.len();
                to.append_value(value);
            }
            (Values::Text(to), cell) => {
                self.scratch.clear();
                write_text(&mut self.scratch, &cell);
                self.bytes += 8 + self.scratch.len();
                to.append_value(&self.scratch);
            }
            (values, _) => {
                values.push_null();
                return false;
            }
        }
        true
    }

    /// The row is whole: each column has got its value.
    pub fn end_row(&mut self) {
        self.rows += 1;
    }

    /// What was gathered, as a batch; the next one begins empty.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(Values::finish).collect();
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }
}

impl Form {
    pub fn data_type(self) -> DataType {
        match self {
            Form::Bool => DataType::Boolean,
            Form::Int => DataType::Int64,
            Form::UInt => DataType::UInt64,
            Form::Float => DataType::Float32,
            Form::Double => DataType::Float64,
            Form::Text => DataType::Utf8View,
            Form::Bytes => DataType::Binary,
            Form::Date => DataType::Date32,
            Form::Time { zoned } => timestamp(zoned),
        }
    }
}

fn timestamp(zoned: bool) -> DataType {
    DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zoned.then(|| "UTC".into()))
}

impl Values {
    fn new(form: Form) -> Self {
        match form {
            Form::Bool => Self::Bool(BooleanBuilder::new()),
            Form::Int => Self::Int(Int64Builder::new()),
            Form::UInt => Self::UInt(UInt64Builder::new()),
            Form::Float => Self::Float(Float32Builder::new()),
            Form::Double => Self::Double(Float64Builder::new()),
            Form::Text => Self::Text(StringViewBuilder::new()),
            Form::Bytes => Self::Bytes(BinaryBuilder::new()),
            Form::Date => Self::Date(Date32Builder::new()),
            Form::Time { zoned } => Self::Time(TimestampMicrosecondBuilder::new(), zoned),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Bool(to) => to.append_null(),
            Self::Int(to) => to.append_null(),
            Self::UInt(to) => to.append_null(),
            Self::Float(to) => to.append_null(),
            Self::Double(to) => to.append_null(),
            Self::Text(to) => to.append_null(),
            Self::Bytes(to) => to.append_null(),
            Self::Date(to) => to.append_null(),
            Self::Time(to, _) => to.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(from) => Arc::new(from.finish()),
            Self::Int(from) => Arc::new(from.finish()),
            Self::UInt(from) => Arc::new(from.finish()),
            Self::Float(from) => Arc::new(from.finish()),
            Self::Double(from) => Arc::new(from.finish()),
            Self::Text(from) => Arc::new(from.finish()),
            Self::Bytes(from) => Arc::new(from.finish()),
            Self::Date(from) => Arc::new(from.finish()),
            Self::Time(from, zoned) => Arc::new(from.finish().with_timezone_opt(zoned.then_some("UTC"))),
        }
    }
}

/// The text that the gate reads the same value from.
pub fn write_text(to: &mut String, cell: &Cell<'_>) {
    // Writing to a `String` can't fail.
    let _ = match cell {
        Cell::Null => Ok(()),
        Cell::Bool(value) => write!(to, "{value}"),
        Cell::Int(value) => write!(to, "{value}"),
        Cell::UInt(value) => write!(to, "{value}"),
        Cell::Float(value) => write_float(to, f64::from(*value), value),
        Cell::Double(value) => write_float(to, *value, value),
        Cell::Text(value) => to.write_str(value),
        Cell::Bytes(value) => value.iter().try_for_each(|byte| write!(to, "{byte:02x}")),
        Cell::Date(days) => {
            let (year, month, day) = civil(*days);
            write!(to, "{year:04}-{month:02}-{day:02}")
        }
        Cell::Micros(micros) => write_time(to, *micros),
    };
}

fn write_float(to: &mut String, value: f64, shown: &dyn std::fmt::Display) -> std::fmt::Result {
    match value {
        f64::INFINITY => to.write_str("Infinity"),
        f64::NEG_INFINITY => to.write_str("-Infinity"),
        _ => write!(to, "{shown}"),
    }
}

fn write_time(to: &mut String, micros: i64) -> std::fmt::Result {
    const DAY: i64 = 86_400_000_000;
    let (day, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (year, month, day) = civil(day.try_into().unwrap_or(i32::MAX));
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(to, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")?;
    if fraction == 0 { Ok(()) } else { write!(to, ".{fraction:06}") }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; `None` when there is no such day. (Howard Hinnant,
/// "chrono-compatible low-level date algorithms".)
pub fn days(year: i32, month: u32, day: u32) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day < 1 || day > last {
        return None;
    }
    let (month, day) = (month as i32, day as i32);
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of [`days`].
fn civil(days: i32) -> (i64, i64, i64) {
    let days = i64::from(days) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Microseconds since 1970-01-01 of a day and a time of day.
pub fn micros(days: i32, hour: u32, minute: u32, second: u32, micro: u32) -> i64 {
    let seconds = (i64::from(days) * 24 + i64::from(hour)) * 3600 + i64::from(minute) * 60 + i64::from(second);
    seconds * 1_000_000 + i64::from(micro)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};

    fn text(cell: Cell<'_>) -> String {
        let mut text = String::new();
        write_text(&mut text, &cell);
        text
    }

    #[test]
    fn days_come_back_and_days_that_are_none_are_refused() {
        for (year, month, day, expected) in
            [(1970, 1, 1, 0), (2000, 2, 29, 11_016), (1969, 12, 31, -1), (1, 1, 1, -719_162)]
        {
            assert_eq!(days(year, month, day), Some(expected));
            assert_eq!(text(Cell::Date(expected)), format!("{year:04}-{month:02}-{day:02}"));
        }
        for (year, month, day) in [(2026, 2, 29), (0, 0, 0), (2026, 13, 1), (2026, 1, 0), (2026, 4, 31)] {
            assert_eq!(days(year, month, day), None);
        }
        for day in (-1_000_000..2_000_000).step_by(997) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year as i32, month as u32, of_month as u32), Some(day));
        }
    }

    #[test]
    fn a_column_of_text_takes_every_value_and_others_their_own() {
        let noon = micros(0, 12, 0, 0, 5);
        assert_eq!(text(Cell::Micros(noon)), "1970-01-01 12:00:00.000005");
        assert_eq!(text(Cell::Micros(-1_000_000)), "1969-12-31 23:59:59");
        assert_eq!(text(Cell::Bytes(vec![0, 255].into())), "00ff");
        let floats = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.1];
        assert_eq!(floats.map(|value| text(Cell::Double(value))), ["Infinity", "-Infinity", "NaN", "0.1"]);
        assert_eq!([f32::INFINITY, 0.1].map(|value| text(Cell::Float(value))), ["Infinity", "0.1"]);
        let mut cells = Cells::new([("t", Form::Text), ("n", Form::Int), ("at", Form::Time { zoned: true })]);
        assert!(cells.push(0, Cell::Int(-3)) && cells.push(1, Cell::Int(7)) && cells.push(2, Cell::Micros(noon)));
        cells.end_row();
        assert!(cells.push(0, Cell::Null));
        assert!(!cells.push(1, Cell::Text("7".into())) && !cells.push(2, Cell::Date(1)), "what does not fit is told");
        cells.end_row();
        let batch = cells.finish().expect("a batch");
        assert_eq!((batch.num_rows(), cells.rows(), cells.bytes()), (2, 0, 0));
        assert_eq!(batch.column(0).as_string_view().value(0), "-3");
        assert!(batch.column(0).is_null(1) && batch.column(1).is_null(1));
        assert_eq!(cells.finish().expect("an empty batch").num_rows(), 0);
    }
}

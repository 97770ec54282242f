//! Values into Arrow columns, from both forms in which the server sends them.
//!
//! A value that its column's type can't hold (infinity, NaN among decimals) makes the column one of text for this batch:
//! the gate parses the others as they were, and sets that one aside.

use super::kinds::{Infinity, Kind};
use super::time::{self, Moment};
use super::{list, numeric};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder, StringViewBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use kernel::error::{Error, Result};
use std::sync::Arc;

pub struct Column {
    pub name: Arc<str>,
    kind: Kind,
    infinity: Infinity,
    values: Values,
}

enum Values {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Decimal(Decimal128Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Bytes(BinaryBuilder),
    List(ListBuilder<StringBuilder>),
    Text(StringViewBuilder),
}

impl Values {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Values::Bool(BooleanBuilder::new()),
            Kind::Int2 => Values::Int2(Int16Builder::new()),
            Kind::Int4 => Values::Int4(Int32Builder::new()),
            Kind::Int8 => Values::Int8(Int64Builder::new()),
            Kind::Float4 => Values::Float4(Float32Builder::new()),
            Kind::Float8 => Values::Float8(Float64Builder::new()),
            Kind::Decimal(..) => Values::Decimal(Decimal128Builder::new().with_data_type(kind.arrow())),
            Kind::Date => Values::Date(Date32Builder::new()),
            Kind::Timestamp | Kind::TimestampTz => {
                Values::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(kind.arrow()))
            }
            Kind::Bytes => Values::Bytes(BinaryBuilder::new()),
            Kind::List => Values::List(ListBuilder::new(StringBuilder::new())),
            Kind::Uuid | Kind::Text | Kind::Shown => Values::Text(StringViewBuilder::new()),
        }
    }
}

/// What a column can't be made of.
enum Bad {
    /// Not of the type; here it is as text.
    Text(String),
    /// Not even of the form that the server sends.
    Broken,
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Bad> {
    bytes.try_into().map_err(|_| Bad::Broken)
}

fn text(bytes: &[u8]) -> Result<&str, Bad> {
    std::str::from_utf8(bytes).map_err(|_| Bad::Broken)
}

fn read<T: std::str::FromStr>(text: &str) -> Result<T, Bad> {
    text.parse().map_err(|_| Bad::Broken)
}

impl Column {
    pub fn new(name: Arc<str>, kind: Kind, infinity: Infinity) -> Self {
        Self { name, kind, infinity, values: Values::of(kind) }
    }

    /// A value of a binary COPY; what comes as text there is text.
    pub fn push_binary(&mut self, bytes: Option<&[u8]>) -> Result<()> {
        let Some(bytes) = bytes else {
            self.push_null();
            return Ok(());
        };
        let pushed = self.binary(bytes);
        self.settle(pushed)
    }

    /// A value of a stream of changes.
    pub fn push_text(&mut self, bytes: Option<&[u8]>) -> Result<()> {
        let Some(bytes) = bytes else {
            self.push_null();
            return Ok(());
        };
        let pushed = text(bytes).and_then(|text| self.shown(text));
        self.settle(pushed)
    }

    fn settle(&mut self, pushed: Result<(), Bad>) -> Result<()> {
        match pushed {
            Ok(()) => Ok(()),
            Err(Bad::Text(text)) => {
                self.fall_back()?;
                if let Values::Text(values) = &mut self.values {
                    values.append_value(text);
                }
                Ok(())
            }
            Err(Bad::Broken) => Err(Error::data(
                format!("read column `{}`", self.name),
                "a value is not in the form that the server sends for its type, or is no UTF-8",
            )),
        }
    }

    fn push_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.append_null(),
            Values::Int2(values) => values.append_null(),
            Values::Int4(values) => values.append_null(),
            Values::Int8(values) => values.append_null(),
            Values::Float4(values) => values.append_null(),
            Values::Float8(values) => values.append_null(),
            Values::Decimal(values) => values.append_null(),
            Values::Date(values) => values.append_null(),
            Values::Timestamp(values) => values.append_null(),
            Values::Bytes(values) => values.append_null(),
            Values::List(values) => values.append(false),
            Values::Text(values) => values.append_null(),
        }
    }

    #[inline]
    fn binary(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let infinity = self.infinity;
        match (&mut self.values, self.kind) {
            (Values::Bool(values), _) => values.append_value(fixed::<1>(bytes)?[0] != 0),
            (Values::Int2(values), _) => values.append_value(i16::from_be_bytes(fixed(bytes)?)),
            (Values::Int4(values), _) => values.append_value(i32::from_be_bytes(fixed(bytes)?)),
            (Values::Int8(values), _) => values.append_value(i64::from_be_bytes(fixed(bytes)?)),
            (Values::Float4(values), _) => values.append_value(f32::from_be_bytes(fixed(bytes)?)),
            (Values::Float8(values), _) => values.append_value(f64::from_be_bytes(fixed(bytes)?)),
            (Values::Decimal(values), Kind::Decimal(_, scale)) => match numeric::from_binary(bytes, scale) {
                Some(value) => values.append_value(value),
                None => return Err(Bad::Text("NaN".into())),
            },
            (Values::Date(values), _) => {
                values.append_option(day(time::date(i32::from_be_bytes(fixed(bytes)?)), infinity)?);
            }
            (Values::Timestamp(values), _) => {
                values.append_option(instant(time::timestamp(i64::from_be_bytes(fixed(bytes)?)), infinity)?);
            }
            (Values::Bytes(values), _) => values.append_value(bytes),
            (Values::Text(values), Kind::Uuid) => values.append_value(uuid(&fixed(bytes)?)),
            // A column that fell back takes what its type would have held, as text.
            (Values::Text(_), kind) if is_typed(kind) => return self.binary_as_text(bytes),
            (Values::Text(values), Kind::List) => values.append_value(list_as_text(text(bytes)?)),
            (Values::Text(values), _) => values.append_value(text(bytes)?),
            (Values::List(values), _) => append_list(values, text(bytes)?)?,
            (Values::Decimal(_), _) => return Err(Bad::Broken),
        }
        Ok(())
    }

    fn binary_as_text(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let mut one = Column::new(self.name.clone(), self.kind, self.infinity);
        match one.binary(bytes) {
            Ok(()) => {}
            Err(Bad::Text(text)) => return Err(Bad::Text(text)),
            Err(Bad::Broken) => return Err(Bad::Broken),
        }
        let value = one.finish_as_text().map_err(|_| Bad::Broken)?;
        match &mut self.values {
            Values::Text(values) if value.is_valid(0) => values.append_value(value.as_string_view().value(0)),
            Values::Text(values) => values.append_null(),
            _ => return Err(Bad::Broken),
        }
        Ok(())
    }

    fn shown(&mut self, text: &str) -> Result<(), Bad> {
        let infinity = self.infinity;
        match (&mut self.values, self.kind) {
            (Values::Bool(values), _) => values.append_value(text == "t"),
            (Values::Int2(values), _) => values.append_value(read(text)?),
            (Values::Int4(values), _) => values.append_value(read(text)?),
            (Values::Int8(values), _) => values.append_value(read(text)?),
            (Values::Float4(values), _) => values.append_value(read(text)?),
            (Values::Float8(values), _) => values.append_value(read(text)?),
            (Values::Decimal(values), Kind::Decimal(_, scale)) => match numeric::from_text(text, scale) {
                Some(value) => values.append_value(value),
                None => return Err(Bad::Text(text.to_owned())),
            },
            (Values::Date(values), _) => {
                values.append_option(day(time::date_text(text).ok_or(Bad::Broken)?, infinity)?);
            }
            (Values::Timestamp(values), _) => {
                values.append_option(instant(time::timestamp_text(text).ok_or(Bad::Broken)?, infinity)?);
            }
            (Values::Bytes(values), _) => values.append_value(from_hex(text).ok_or(Bad::Broken)?),
            (Values::Text(values), Kind::List) => values.append_value(list_as_text(text)),
            (Values::Text(values), _) => values.append_value(text),
            (Values::List(values), _) => append_list(values, text)?,
            (Values::Decimal(_), _) => return Err(Bad::Broken),
        }
        Ok(())
    }

    /// What is there becomes text, and so does all that follows in this batch.
    fn fall_back(&mut self) -> Result<()> {
        if matches!(self.values, Values::Text(_)) {
            return Ok(());
        }
        let shown = self.finish_as_text()?;
        let mut values = StringViewBuilder::with_capacity(shown.len());
        shown.as_string_view().iter().for_each(|text| values.append_option(text));
        self.values = Values::Text(values);
        Ok(())
    }

    fn finish_as_text(&mut self) -> Result<ArrayRef> {
        let fault = |e| Error::internal("show a column", "arrow can't show its type").because(e);
        let values = self.finish();
        // A text without a zone is in UTC where the contract wants one.
        let values = match values.data_type() {
            DataType::Timestamp(..) => {
                cast(&values, &DataType::Timestamp(TimeUnit::Microsecond, None)).map_err(fault)?
            }
            DataType::List(_) => return Ok(Arc::new(lists_as_text(&values))),
            _ => values,
        };
        let text = cast(&values, &DataType::Utf8).map_err(fault)?;
        cast(&text, &DataType::Utf8View).map_err(fault)
    }

    /// What was pushed; the column is empty and of its own type again.
    pub fn finish(&mut self) -> ArrayRef {
        match std::mem::replace(&mut self.values, Values::of(self.kind)) {
            Values::Bool(mut values) => Arc::new(values.finish()),
            Values::Int2(mut values) => Arc::new(values.finish()),
            Values::Int4(mut values) => Arc::new(values.finish()),
            Values::Int8(mut values) => Arc::new(values.finish()),
            Values::Float4(mut values) => Arc::new(values.finish()),
            Values::Float8(mut values) => Arc::new(values.finish()),
            Values::Decimal(mut values) => Arc::new(values.finish()),
            Values::Date(mut values) => Arc::new(values.finish()),
            Values::Timestamp(mut values) => Arc::new(values.finish()),
            Values::Bytes(mut values) => Arc::new(values.finish()),
            Values::List(mut values) => Arc::new(values.finish()),
            Values::Text(mut values) => Arc::new(values.finish()),
        }
    }
}

fn is_typed(kind: Kind) -> bool {
    !matches!(kind, Kind::Uuid | Kind::Text | Kind::Shown | Kind::List)
}

const BEYOND: &str = "out of range";

fn day(moment: Moment<i32>, infinity: Infinity) -> Result<Option<i32>, Bad> {
    match moment {
        Moment::At(days) => Ok(Some(days)),
        Moment::Infinite { future } => time::clamped_date(future, infinity).ok_or_else(|| infinite(future)),
        Moment::Beyond => Err(Bad::Text(BEYOND.into())),
    }
}

fn instant(moment: Moment<i64>, infinity: Infinity) -> Result<Option<i64>, Bad> {
    match moment {
        Moment::At(micros) => Ok(Some(micros)),
        Moment::Infinite { future } => time::clamped_timestamp(future, infinity).ok_or_else(|| infinite(future)),
        Moment::Beyond => Err(Bad::Text(BEYOND.into())),
    }
}

fn infinite(future: bool) -> Bad {
    Bad::Text(if future { "infinity" } else { "-infinity" }.into())
}

fn append_list(values: &mut ListBuilder<StringBuilder>, text: &str) -> Result<(), Bad> {
    let elements = list::elements(text).ok_or_else(|| Bad::Text(text.to_owned()))?;
    elements.into_iter().for_each(|element| values.values().append_option(element));
    values.append(true);
    Ok(())
}

/// Lists of a batch that has one of more dimensions: the contract can't take that one, and the others as JSON.
fn lists_as_text(values: &ArrayRef) -> arrow::array::StringViewArray {
    let lists = values.as_list::<i32>();
    let json = |list: ArrayRef| serde_json::to_string(&list.as_string::<i32>().iter().collect::<Vec<_>>()).ok();
    lists.iter().map(|list| list.and_then(json)).collect()
}

/// One of them that comes behind.
fn list_as_text(text: &str) -> String {
    let json = list::elements(text).and_then(|elements| serde_json::to_string(&elements).ok());
    json.unwrap_or_else(|| text.to_owned())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

fn uuid(bytes: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Date32Type;

    fn column(kind: Kind) -> Column {
        Column::new("c".into(), kind, Infinity::Quarantine)
    }

    #[test]
    fn infinity_makes_a_batch_of_text_and_no_more() {
        let mut days = column(Kind::Date);
        for value in [0i32, i32::MAX, 1] {
            days.push_binary(Some(&value.to_be_bytes())).expect("a date");
        }
        days.push_binary(None).expect("a null");
        let shown = days.finish();
        let shown: Vec<_> = shown.as_string_view().iter().collect();
        assert_eq!(shown, [Some("2000-01-01"), Some("infinity"), Some("2000-01-02"), None]);
        days.push_binary(Some(&0i32.to_be_bytes())).expect("a date");
        assert_eq!(days.finish().as_primitive::<Date32Type>().value(0), 10_957);
    }

    #[test]
    fn a_date_too_far_to_be_shown_spoils_no_other() {
        for infinity in [Infinity::Quarantine, Infinity::Clamp] {
            let mut times = Column::new("c".into(), Kind::Timestamp, infinity);
            let mut days = Column::new("c".into(), Kind::Date, infinity);
            for value in [0i64, 9_214_646_400_000_000_000 - 1, i64::MAX] {
                times.push_binary(Some(&value.to_be_bytes())).expect("a timestamp");
            }
            for value in [0i32, 2_145_031_948, i32::MAX] {
                days.push_binary(Some(&value.to_be_bytes())).expect("a date");
            }
            for (shown, first) in [(times.finish(), "2000-01-01T00:00:00"), (days.finish(), "2000-01-01")] {
                let shown: Vec<_> = shown.as_string_view().iter().flatten().map(str::to_owned).collect();
                assert_eq!(shown[..2], [first, "out of range"], "{infinity:?}");
            }
        }
    }

    #[test]
    fn a_list_of_two_dimensions_spoils_no_other() {
        let mut lists = column(Kind::List);
        for list in ["{1,NULL}", "{{1,2},{3,4}}", "{\"a b\",c}"] {
            lists.push_text(Some(list.as_bytes())).expect("a list");
        }
        let shown = lists.finish();
        let shown: Vec<_> = shown.as_string_view().iter().flatten().collect();
        assert_eq!(shown, ["[\"1\",null]", "{{1,2},{3,4}}", "[\"a b\",\"c\"]"]);
    }

    #[test]
    fn infinity_is_clamped_or_empty_when_told_so() {
        for (infinity, expected) in [(Infinity::Clamp, Some(2_932_896)), (Infinity::Empty, None)] {
            let mut days = Column::new("c".into(), Kind::Date, infinity);
            days.push_text(Some(b"infinity")).expect("a date");
            assert_eq!(days.finish().as_primitive::<Date32Type>().iter().next().flatten(), expected);
        }
    }

    #[test]
    fn a_value_of_no_known_form_is_an_error_without_the_value() {
        for (kind, bytes) in [(Kind::Int4, &b"SECRET"[..]), (Kind::Text, &b"\xff"[..]), (Kind::Date, &b"SECRET"[..])] {
            let told = column(kind).push_text(Some(bytes)).expect_err("no value").to_string();
            assert!(told.contains("`c`") && !told.contains("SECRET"), "{told}");
        }
    }

    #[test]
    fn both_forms_give_the_same() {
        let both = |kind: Kind, binary: &[u8], text: &str| {
            let (mut one, mut other) = (column(kind), column(kind));
            one.push_binary(Some(binary)).expect("a value");
            other.push_text(Some(text.as_bytes())).expect("a value");
            assert_eq!(&one.finish(), &other.finish(), "{kind:?}");
        };
        both(Kind::Bool, &[1], "t");
        both(Kind::Int2, &(-3i16).to_be_bytes(), "-3");
        both(Kind::Float8, &0.1f64.to_be_bytes(), "0.1");
        both(Kind::Timestamp, &1_500_000i64.to_be_bytes(), "2000-01-01 00:00:01.5");
        both(Kind::TimestampTz, &0i64.to_be_bytes(), "2000-01-01 00:00:00+00");
        both(Kind::Bytes, &[0, 255], "\\x00ff");
        both(Kind::Uuid, &[17; 16], "11111111-1111-1111-1111-111111111111");
        both(Kind::List, b"{a,NULL}", "{a,NULL}");
    }
}

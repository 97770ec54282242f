//! One value of the driver as a cell: as a query gives it, and as the binary log does.

use super::json;
use super::options::{Options, ZeroDates};
use super::table::{Column, Kind};
use crate::cells::{Cell, days, micros};
use crate::marks::Refused;
use encoding_rs::Encoding;
use kernel::{Error, Result};
use mysql_async::Value;
use mysql_async::binlog::value::BinlogValue;
use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Reads the values of one column.
#[derive(Debug, Clone)]
pub struct Reader {
    kind: Kind,
    unsigned: bool,
    /// Of a whole number.
    bits: u32,
    /// A time with one or two decimals.
    has_short_fraction: bool,
    labels: Vec<Option<String>>,
    octets: usize,
    /// Of text in the log, when it isn't UTF-8.
    encoding: Option<&'static Encoding>,
    zero_dates: ZeroDates,
    /// MySQL keeps JSON parsed, and writes it in one way; MariaDB keeps it as text.
    parses_json: bool,
}

/// Why a value is none that can be read.
type Why = &'static str;

const UNTOLD: Why = "is a word that the log tells only with `binlog_row_metadata = FULL`";

impl Reader {
    pub fn new(column: &Column, options: &Options, is_mariadb: bool) -> Self {
        let encoding = match column.kind {
            Kind::Text | Kind::Json | Kind::Enum | Kind::Set => charset(&column.charset),
            _ => None,
        };
        let encoding = encoding.filter(|encoding| *encoding != encoding_rs::UTF_8);
        Self {
            kind: column.kind,
            unsigned: column.unsigned,
            bits: column.bits,
            has_short_fraction: column.kind == Kind::Time && (1..=2).contains(&column.precision),
            labels: column.labels.clone(),
            octets: column.octets,
            encoding,
            zero_dates: options.zero_dates,
            parses_json: column.kind == Kind::Json && !is_mariadb,
        }
    }

    /// A value of a query's row, whose text is UTF-8.
    pub fn of_query<'v>(&self, value: &'v Value) -> Result<Cell<'v>, Refused> {
        let cell = match (self.kind, value) {
            (Kind::Bit(bits), Value::Bytes(bytes)) => bit(bits, bytes),
            (Kind::Bytes, Value::Bytes(bytes)) => Ok(Cell::Bytes(Cow::Borrowed(bytes))),
            (Kind::Json, Value::Bytes(bytes)) if self.parses_json => {
                utf8(bytes).map(|text| Cell::Text(json::compact(text).into()))
            }
            (_, Value::Bytes(bytes)) => text(bytes),
            (_, other) => self.typed(other),
        };
        cell.map_err(Refused::Value)
    }

    /// A value of a row of the log.
    pub fn of_log<'v>(&self, value: &'v BinlogValue<'_>) -> Result<Cell<'v>, Refused> {
        match value {
            BinlogValue::Value(value) => self.of_log_value(value).map_err(Refused::Value),
            BinlogValue::Jsonb(value) => {
                let mut text = String::new();
                json::write(&mut text, value).map_err(|json::Broken| Refused::Value("is no JSON"))?;
                Ok(Cell::Text(text.into()))
            }
            BinlogValue::JsonDiff(_) => Err(Refused::Source(
                "comes as a part of JSON (`binlog_row_value_options = PARTIAL_JSON`): set it to an empty text",
            )),
        }
    }

    fn of_log_value<'v>(&self, value: &'v Value) -> Result<Cell<'v>, Why> {
        match (self.kind, value) {
            // Without the metadata of a newer server the driver takes each number for a signed one.
            (Kind::Int, Value::Int(number)) if self.unsigned && *number < 0 => Ok(Cell::UInt(self.wrapped(*number))),
            // Three bytes come without their sign.
            (Kind::Int, Value::Int(number)) if self.bits == 24 && !self.unsigned && *number >= 1 << 23 => {
                Ok(Cell::Int(*number - (1 << 24)))
            }
            (Kind::Time, Value::Time(negative, days, hours, minutes, seconds, micro)) if self.has_short_fraction => {
                let hours = i64::from(*days) * 24 + i64::from(*hours);
                self.typed(&unwrapped(*negative, hours << 12 | i64::from(*minutes) << 6 | i64::from(*seconds), *micro))
            }
            (Kind::Enum, Value::Int(place)) => self.label(*place),
            (Kind::Set, Value::Bytes(bits)) => self.set(bits),
            (Kind::Bit(bits), Value::Bytes(bytes)) => bit(bits, bytes),
            (Kind::Timestamp, Value::Bytes(seconds)) => self.timestamp(seconds),
            (Kind::Timestamp, Value::Int(seconds)) => self.timestamp(seconds.to_string().as_bytes()),
            (Kind::Year, Value::Bytes(bytes)) if bytes == b"1900" => Ok(Cell::Text("0000".into())),
            (Kind::Uuid, Value::Bytes(bytes)) => uuid(&self.padded(bytes)),
            (Kind::Inet, Value::Bytes(bytes)) => inet(&self.padded(bytes)),
            (Kind::Bytes, Value::Bytes(bytes)) => Ok(Cell::Bytes(self.padded(bytes))),
            (_, Value::Bytes(bytes)) => match self.encoding {
                None => text(bytes),
                Some(encoding) => Ok(Cell::Text(encoding.decode_without_bom_handling(bytes).0)),
            },
            (_, other) => self.typed(other),
        }
    }

    fn typed(&self, value: &Value) -> Result<Cell<'static>, Why> {
        Ok(match *value {
            Value::NULL => Cell::Null,
            Value::Int(number) if self.unsigned && self.kind == Kind::Int => Cell::UInt(self.wrapped(number)),
            Value::Int(number) if self.kind == Kind::Year => Cell::Text(format!("{number:04}").into()),
            Value::Int(number) => Cell::Int(number),
            Value::UInt(number) if self.kind == Kind::Year => Cell::Text(format!("{number:04}").into()),
            Value::UInt(number) if self.unsigned => Cell::UInt(number),
            Value::UInt(number) => Cell::Int(i64::try_from(number).map_err(|_| "is a number beyond its type")?),
            Value::Float(number) => Cell::Float(number),
            Value::Double(number) => Cell::Double(number),
            Value::Date(year, month, day, hour, minute, second, micro) => {
                let clock = [u32::from(hour), u32::from(minute), u32::from(second), micro];
                self.date([u32::from(year), u32::from(month), u32::from(day)], clock)
            }
            Value::Time(negative, days, hours, minutes, seconds, micro) => {
                let sign = if negative { "-" } else { "" };
                let hours = days * 24 + u32::from(hours);
                let fraction = if micro == 0 { String::new() } else { format!(".{micro:06}") };
                Cell::Text(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}").into())
            }
            Value::Bytes(_) => return Err("is of an unknown type"),
        })
    }

    /// The unsigned number of the same bits.
    fn wrapped(&self, number: i64) -> u64 {
        match self.bits {
            bits @ 1..64 => number as u64 & ((1 << bits) - 1),
            _ => number as u64,
        }
    }

    fn date(&self, [year, month, day]: [u32; 3], [hour, minute, second, micro]: [u32; 4]) -> Cell<'static> {
        let Some(days) = i32::try_from(year).ok().filter(|year| *year > 0).and_then(|year| days(year, month, day))
        else {
            return self.zero(|| {
                let date = format!("{year:04}-{month:02}-{day:02}");
                if self.kind == Kind::Date { date } else { format!("{date} {hour:02}:{minute:02}:{second:02}") }
            });
        };
        match self.kind {
            Kind::Date => Cell::Date(days),
            _ => Cell::Micros(micros(days, hour, minute, second, micro)),
        }
    }

    fn zero(&self, text: impl FnOnce() -> String) -> Cell<'static> {
        match self.zero_dates {
            ZeroDates::Null => Cell::Null,
            ZeroDates::Text => Cell::Text(text().into()),
        }
    }

    /// Seconds since 1970 with their fraction.
    fn timestamp(&self, text: &[u8]) -> Result<Cell<'static>, Why> {
        let wrong = "is no timestamp";
        let text = std::str::from_utf8(text).map_err(|_| wrong)?;
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let (seconds, fraction): (i64, i64) =
            (seconds.parse().map_err(|_| wrong)?, fraction.parse().map_err(|_| wrong)?);
        // Of 32 bits without a sign, which the driver takes for one with.
        let seconds = if seconds < 0 { seconds + (1 << 32) } else { seconds };
        // Zero is no date; a fraction of the first second of 1970 is one.
        if (seconds, fraction) == (0, 0) {
            return Ok(self.zero(|| "0000-00-00 00:00:00".into()));
        }
        Ok(Cell::Micros(seconds * 1_000_000 + fraction))
    }

    fn label(&self, place: i64) -> Result<Cell<'static>, Why> {
        // 0 stands for a word that was none of them when it was written.
        let Some(at) = usize::try_from(place).ok().and_then(|place| place.checked_sub(1)) else {
            return Ok(Cell::Text("".into()));
        };
        let label = self.labels.get(at).ok_or("is a word that the enum does not have any more")?;
        Ok(Cell::Text(label.clone().ok_or(UNTOLD)?.into()))
    }

    fn set(&self, bits: &[u8]) -> Result<Cell<'static>, Why> {
        let mut words = Vec::new();
        for (at, byte) in bits.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                let word = self.labels.get(at * 8 + bit).ok_or("has a word that the set does not have any more")?;
                words.push(word.as_deref().ok_or(UNTOLD)?);
            }
        }
        Ok(Cell::Text(words.join(",").into()))
    }

    /// The log leaves zeros out at the end of `binary`, of addresses and of UUIDs.
    fn padded<'v>(&self, bytes: &'v [u8]) -> Cow<'v, [u8]> {
        if bytes.len() >= self.octets {
            return Cow::Borrowed(bytes);
        }
        let mut padded = bytes.to_vec();
        padded.resize(self.octets, 0);
        Cow::Owned(padded)
    }
}

/// A negative time with one or two decimals as it was written: the driver takes its fraction, which counts down from 256, for
/// one of 32 bits without a sign, so that hours, minutes and seconds are off by 2^32 fractions of 10,000 microseconds.
fn unwrapped(negative: bool, clock: i64, micro: u32) -> Value {
    const MICROS_BITS: u32 = 24;
    const OFF: i64 = (10_000 << 32) >> MICROS_BITS;
    let packed = (clock << MICROS_BITS) + i64::from(micro);
    // A true fraction is below a second; what the driver calls negative with a fraction is always off.
    let right = match negative {
        true if micro > 0 => packed + (OFF << MICROS_BITS),
        false if micro >= 1_000_000 => (OFF << MICROS_BITS) - packed,
        _ => packed,
    };
    let is_negative = negative || micro >= 1_000_000;
    let (clock, micro) = (right >> MICROS_BITS, right & ((1 << MICROS_BITS) - 1));
    let (hours, minutes, seconds) = (clock >> 12, clock >> 6 & 63, clock & 63);
    Value::Time(is_negative, (hours / 24) as u32, (hours % 24) as u8, minutes as u8, seconds as u8, micro as u32)
}

fn text(bytes: &[u8]) -> Result<Cell<'_>, Why> {
    utf8(bytes).map(|text| Cell::Text(Cow::Borrowed(text)))
}

fn utf8(bytes: &[u8]) -> Result<&str, Why> {
    std::str::from_utf8(bytes).map_err(|_| "is no UTF-8")
}

fn bit(bits: u32, bytes: &[u8]) -> Result<Cell<'static>, Why> {
    if bytes.len() > 8 {
        return Err("has more than 64 bits");
    }
    let number = bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    Ok(if bits == 1 { Cell::Bool(number == 1) } else { Cell::UInt(number) })
}

fn uuid(bytes: &[u8]) -> Result<Cell<'static>, Why> {
    let own = <[u8; 16]>::try_from(bytes).map_err(|_| "has not 16 bytes")?;
    let hex = |range: std::ops::Range<usize>| own[range].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(Cell::Text([hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16)].join("-").into()))
}

fn inet(bytes: &[u8]) -> Result<Cell<'static>, Why> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(Cell::Text(Ipv4Addr::from(four).to_string().into()));
    }
    let sixteen = <[u8; 16]>::try_from(bytes).map_err(|_| "has neither 4 nor 16 bytes")?;
    Ok(Cell::Text(inet6(Ipv6Addr::from(sixteen)).into()))
}

/// As the server writes it, so that it is the same by a query: the longest row of zeros is left out, be it of one group, and
/// an address of version 4 in one of version 6 keeps its points.
fn inet6(address: Ipv6Addr) -> String {
    let groups = address.segments();
    let zeros = |at: usize| groups[at..].iter().take_while(|group| **group == 0).count();
    // The first of the longest.
    let gap = (0..groups.len()).map(|at| (zeros(at), at)).rev().max_by_key(|(length, _)| *length);
    let (length, first) = gap.unwrap_or_default();
    let hex = |groups: &[u16]| groups.iter().map(|group| format!("{group:x}")).collect::<Vec<_>>().join(":");
    let [.., a, b, c, d] = address.octets();
    match (length, first) {
        (6, 0) => format!("::{}", Ipv4Addr::new(a, b, c, d)),
        (5, 0) if groups[5] == 0xffff => format!("::ffff:{}", Ipv4Addr::new(a, b, c, d)),
        (0, _) => hex(&groups),
        _ => format!("{}::{}", hex(&groups[..first]), hex(&groups[first + length..])),
    }
}

/// The words of an enum or a set as the log's map has them, which is in the column's character set.
pub fn words_of(column: &Column, is_bytes: bool, words: &[Vec<u8>]) -> Result<Vec<Option<String>>> {
    let (name, encoding) = match is_bytes {
        true => ("binary", Some(encoding_rs::UTF_8)),
        false => (column.charset.as_str(), charset(&column.charset)),
    };
    // A sign put in for what can't be read might make two words the same.
    let read = |word: &Vec<u8>| Some(encoding?.decode_without_bom_handling_and_without_replacement(word)?.into_owned());
    words.iter().map(|word| read(word).map(Some).ok_or_else(|| unread(&column.name, name))).collect()
}

/// Refuses text that the log has in a character set that is not known; a query's is always UTF-8.
pub fn log_can_be_read(column: &Column) -> Result<()> {
    match (column.kind, charset(&column.charset)) {
        (Kind::Text, None) if !column.charset.is_empty() => Err(unread(&column.name, &column.charset)),
        _ => Ok(()),
    }
}

fn unread(column: &str, charset: &str) -> Error {
    let detail = format!(
        "its character set `{charset}` can't be read from the binary log: convert the column to utf8mb4, or leave it out by `columns`"
    );
    Error::project(format!("column `{column}`"), detail)
}

/// How text of this character set is read; MySQL's `latin1` is Windows-1252.
fn charset(name: &str) -> Option<&'static Encoding> {
    let label = match name {
        "utf8" | "utf8mb3" | "utf8mb4" | "ascii" => "utf-8",
        "latin1" => "windows-1252",
        "latin2" => "iso-8859-2",
        "latin5" => "windows-1254",
        "latin7" => "iso-8859-13",
        "greek" => "iso-8859-7",
        "hebrew" => "iso-8859-8-i",
        "cp1250" => "windows-1250",
        "cp1251" => "windows-1251",
        "cp1256" => "windows-1256",
        "cp1257" => "windows-1257",
        "cp866" => "ibm866",
        "koi8r" => "koi8-r",
        "koi8u" => "koi8-u",
        "macroman" => "macintosh",
        "tis620" => "windows-874",
        "sjis" | "cp932" => "shift_jis",
        "ujis" | "eucjpms" => "euc-jp",
        "euckr" => "euc-kr",
        "gb2312" | "gbk" => "gbk",
        "gb18030" => "gb18030",
        "big5" => "big5",
        "utf16" | "ucs2" => "utf-16be",
        "utf16le" => "utf-16le",
        _ => return None,
    };
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(kind: Kind) -> Reader {
        let labels = ["a", "b", "c"].map(|word| Some(word.to_owned())).to_vec();
        let (zero_dates, octets) = (ZeroDates::Null, 4);
        let (encoding, has_short_fraction) = (None, kind == Kind::Time);
        Reader {
            kind,
            unsigned: true,
            bits: 16,
            has_short_fraction,
            labels,
            octets,
            encoding,
            zero_dates,
            parses_json: true,
        }
    }

    fn log(kind: Kind, value: Value) -> Cell<'static> {
        match reader(kind).of_log(&BinlogValue::Value(value)).expect("a cell") {
            Cell::Text(text) => Cell::Text(text.into_owned().into()),
            Cell::Bytes(bytes) => Cell::Bytes(bytes.into_owned().into()),
            Cell::Null => Cell::Null,
            Cell::Bool(value) => Cell::Bool(value),
            Cell::Int(value) => Cell::Int(value),
            Cell::UInt(value) => Cell::UInt(value),
            Cell::Float(value) => Cell::Float(value),
            Cell::Double(value) => Cell::Double(value),
            Cell::Date(value) => Cell::Date(value),
            Cell::Micros(value) => Cell::Micros(value),
        }
    }

    #[test]
    fn the_log_keeps_values_in_its_own_ways() {
        assert_eq!(log(Kind::Enum, Value::Int(2)), Cell::Text("b".into()));
        assert_eq!(log(Kind::Enum, Value::Int(0)), Cell::Text("".into()));
        assert!(reader(Kind::Enum).of_log(&BinlogValue::Value(Value::Int(4))).is_err());
        assert_eq!(log(Kind::Set, Value::Bytes(vec![0b101])), Cell::Text("a,c".into()));
        assert_eq!(log(Kind::Bit(12), Value::Bytes(vec![0x0f, 0xff])), Cell::UInt(4095));
        assert_eq!(log(Kind::Bit(1), Value::Bytes(vec![1])), Cell::Bool(true));
        assert_eq!(log(Kind::Bytes, Value::Bytes(vec![1])), Cell::Bytes(vec![1, 0, 0, 0].into()));
        assert_eq!(log(Kind::Timestamp, Value::Bytes(b"1.000005".to_vec())), Cell::Micros(1_000_005));
        assert_eq!(log(Kind::Timestamp, Value::Bytes(b"0".to_vec())), Cell::Null);
        assert_eq!(log(Kind::Year, Value::Bytes(b"1900".to_vec())), Cell::Text("0000".into()));
        assert_eq!(log(Kind::Int, Value::Int(-1)), Cell::UInt(65_535));
    }

    #[test]
    fn a_value_that_can_not_be_read_is_refused_alone_and_json_in_parts_with_its_source() {
        let words = Reader { labels: vec![Some("a".into()), None], ..reader(Kind::Enum) };
        let told = |reader: &Reader, value: Value| reader.of_log(&BinlogValue::Value(value)).expect_err("a refusal");
        assert_eq!(told(&words, Value::Int(2)), Refused::Value(UNTOLD));
        assert!(matches!(told(&words, Value::Int(3)), Refused::Value(_)), "a word of before");
        let ascii = reader(Kind::Text);
        assert_eq!(told(&ascii, Value::Bytes(vec![b'a', 0xe9])), Refused::Value("is no UTF-8"));
        assert_eq!(ascii.of_query(&Value::Bytes(vec![0xe9])), Err(Refused::Value("is no UTF-8")));
        let parts = reader(Kind::Json).of_log(&BinlogValue::JsonDiff(Vec::new())).expect_err("a refusal");
        assert!(matches!(parts, Refused::Source(why) if why.contains("PARTIAL_JSON")));
    }

    #[test]
    fn addresses_and_uuids_have_the_zeros_that_the_log_leaves_out() {
        let of = |kind, octets, bytes: &[u8]| {
            let reader = Reader { octets, ..reader(kind) };
            match reader.of_log(&BinlogValue::Value(Value::Bytes(bytes.to_vec()))) {
                Ok(Cell::Text(text)) => text.into_owned(),
                other => panic!("{other:?}"),
            }
        };
        for (bytes, is) in [(&[10, 20][..], "10.20.0.0"), (&[], "0.0.0.0"), (&[0, 0, 0, 1], "0.0.0.1")] {
            assert_eq!(of(Kind::Inet, 4, bytes), is);
        }
        let six = |text: &str| {
            let octets = text.parse::<Ipv6Addr>().expect("an address").octets();
            let end = octets.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            of(Kind::Inet, 16, &octets[..end])
        };
        for is in [
            "::",
            "::1",
            "::1.2.3.4",
            "::0.1.0.0",
            "::ffff:1.2.3.4",
            "::ffff:0.0.0.0",
            "2001:db8::",
            "2001:db8::1:0:0:1",
            "a14::",
            "1::3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8",
            "::2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "fe80::ffff:102:304",
        ] {
            assert_eq!(six(is), is);
        }
        let mut uuid = vec![0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x42, 0xd3, 0xa4];
        assert_eq!(of(Kind::Uuid, 16, &uuid), "123e4567-e89b-42d3-a400-000000000000");
        uuid.resize(17, 1);
        let long = Reader { octets: 16, ..reader(Kind::Uuid) };
        assert!(long.of_log(&BinlogValue::Value(Value::Bytes(uuid))).is_err());
    }

    #[test]
    fn a_fraction_of_the_first_second_of_1970_is_no_zero_date() {
        for (text, is) in [("0.001000", 1_000), ("0.999999", 999_999)] {
            assert_eq!(log(Kind::Timestamp, Value::Bytes(text.into())), Cell::Micros(is));
        }
        assert_eq!(log(Kind::Timestamp, Value::Bytes(b"0.000000".to_vec())), Cell::Null);
    }

    #[test]
    fn dates_that_are_none_are_null_or_text() {
        let zero = Value::Date(2026, 2, 0, 0, 0, 0, 0);
        assert_eq!(log(Kind::Date, zero.clone()), Cell::Null);
        let text = Reader { zero_dates: ZeroDates::Text, ..reader(Kind::Date) };
        assert_eq!(text.of_query(&zero), Ok(Cell::Text("2026-02-00".into())));
        assert_eq!(log(Kind::Date, Value::Date(1970, 1, 2, 0, 0, 0, 0)), Cell::Date(1));
        let time = Value::Time(true, 34, 22, 59, 59, 5);
        let six = Reader { has_short_fraction: false, ..reader(Kind::Time) };
        assert_eq!(six.of_query(&time), Ok(Cell::Text("-838:59:59.000005".into())));
    }

    /// What the driver makes of `-0.1`, `-12:34:56.05`, `-838:59:59.99` and others, as it was seen with MariaDB 10.11.
    #[test]
    fn negative_numbers_of_three_bytes_and_short_fractions_are_put_right() {
        let medium = Reader { unsigned: false, bits: 24, ..reader(Kind::Int) };
        for (came, is) in [(16_777_215, -1), (16_707_216, -70_000), (8_388_608, -8_388_608), (8_388_607, 8_388_607)] {
            assert_eq!(medium.of_log(&BinlogValue::Value(Value::Int(came))), Ok(Cell::Int(is)));
        }
        for (negative, hours, minutes, seconds, micro, is) in [
            (false, 624_u32, 63, 63, 16_677_216, "-00:00:00.100000"),
            (false, 612, 29, 7, 16_727_216, "-12:34:56.050000"),
            (true, 213, 59, 59, 990_000, "-838:59:59.990000"),
            (true, 12, 34, 56, 0, "-12:34:56"),
            (false, 12, 34, 56, 50_000, "12:34:56.050000"),
        ] {
            let came = Value::Time(negative, hours / 24, (hours % 24) as u8, minutes, seconds, micro);
            assert_eq!(log(Kind::Time, came), Cell::Text(is.into()), "{is}");
        }
        assert_eq!(log(Kind::Timestamp, Value::Bytes(b"-1".to_vec())), Cell::Micros(((1 << 32) - 1) * 1_000_000));
    }

    #[test]
    fn every_character_set_that_is_named_is_known() {
        for name in ["utf8mb4", "latin1", "gbk", "sjis", "utf16", "koi8u", "macroman", "big5", "euckr"] {
            assert!(charset(name).is_some(), "{name}");
        }
        assert!(charset("swe7").is_none());
    }
}

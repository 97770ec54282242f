//! What type a column of text has: every value is tried in every way that all before it were written in.

use super::dates::{COMPACT, WAYS};
use arrow::datatypes::{DataType, TimeUnit};
use serde::Serialize;

/// The most digits that decimals have, and that `int64` holds for sure.
const DECIMAL_DIGITS_MAX: u32 = 38;
const INTEGER_DIGITS_MAX: u32 = 18;
/// A number with more decimals than this is a measurement: a float.
const SCALE_MAX: u32 = 12;
/// Room above the largest value seen, so that the next file fits.
const PRECISION_MIN: u32 = 18;
/// No number or date is written longer.
const LENGTH_MAX: usize = 48;
/// A column of numbers or dates may have one value in so many that is a word: `N/D`, `unknown`.
const STRAY_EVERY: u64 = 50;

/// A type for the contract, in the words of ODCS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProposedType {
    /// `string`, `boolean`, `integer`, `number`, `date` or `timestamp`.
    pub logical: &'static str,
    /// `decimal(18,2)`, `timestamp(6, UTC)`, `double`; absent where the logical type says it all.
    pub physical: Option<String>,
    /// How dates are written, in chrono's letters; absent for ISO 8601.
    pub format: Option<&'static str>,
    /// Numbers are written as `1.234,56`.
    pub decimal_comma: bool,
    #[serde(skip)]
    pub data_type: DataType,
}

impl ProposedType {
    fn new(logical: &'static str, physical: Option<String>, data_type: DataType) -> Self {
        Self { logical, physical, format: None, decimal_comma: false, data_type }
    }

    pub(super) fn string() -> Self {
        Self::new("string", None, DataType::Utf8)
    }

    fn decimal(precision: u32, scale: u32) -> Self {
        let data_type = DataType::Decimal128(precision as u8, scale as i8);
        Self::new("number", Some(format!("decimal({precision},{scale})")), data_type)
    }

    fn timestamp(zoned: bool) -> Self {
        let zone = zoned.then(|| "UTC".into());
        let physical = if zoned { "timestamp(6, UTC)" } else { "timestamp(6)" };
        Self::new("timestamp", Some(physical.into()), DataType::Timestamp(TimeUnit::Microsecond, zone))
    }

    /// The type of a column that has one already (Parquet, JSON).
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(_, value) => Self::of(value),
            DataType::Boolean => Self::new("boolean", None, DataType::Boolean),
            DataType::UInt64 => Self::decimal(20, 0),
            integer if integer.is_integer() => Self::new("integer", None, DataType::Int64),
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) if *s >= 0 => {
                Self::decimal(u32::from(*p), u32::from(s.unsigned_abs()))
            }
            float if float.is_floating() => Self::double(),
            DataType::Date32 | DataType::Date64 => Self::new("date", None, DataType::Date32),
            DataType::Timestamp(_, zone) => Self::timestamp(zone.is_some()),
            _ => Self::string(),
        }
    }

    fn double() -> Self {
        Self::new("number", Some("double".into()), DataType::Float64)
    }
}

/// What is still possible, and how large it gets.
#[derive(Debug)]
pub(super) struct Profile {
    values: u64,
    /// Values without a digit.
    words: u64,
    booleans: bool,
    integers: bool,
    point: Decimals,
    comma: Decimals,
    floats: bool,
    /// Which of [`WAYS`] all values keep to.
    ways: u16,
    has_zone: bool,
    pub min_length: usize,
    pub max_length: usize,
}

/// Numbers with one of the two decimal signs.
#[derive(Debug, Clone, Copy)]
struct Decimals {
    possible: bool,
    whole_max: u32,
    fraction_max: u32,
    /// Some value can't be read with the other sign: `1,5`, `1.234,5`, but not `1,234`.
    certain: bool,
}

const POSSIBLE: Decimals = Decimals { possible: true, whole_max: 0, fraction_max: 0, certain: false };

impl Default for Profile {
    fn default() -> Self {
        Self {
            values: 0,
            words: 0,
            booleans: true,
            integers: true,
            point: POSSIBLE,
            comma: POSSIBLE,
            floats: true,
            ways: (1 << WAYS.len()) - 1,
            has_zone: false,
            min_length: usize::MAX,
            max_length: 0,
        }
    }
}

impl Profile {
    /// Takes in a value that is not blank.
    pub fn take(&mut self, value: &str) {
        self.values += 1;
        let length = value.chars().count();
        self.min_length = self.min_length.min(length);
        self.max_length = self.max_length.max(length);
        let text = value.trim();
        let fits = text.len() <= LENGTH_MAX;
        self.booleans &= fits && is_boolean(text);
        if !text.bytes().any(|c| c.is_ascii_digit()) {
            self.words += 1;
            return;
        }
        self.integers &= fits && is_integer(text);
        self.point.take(text, fits, b'.', None);
        self.comma.take(text, fits, b',', Some(b'.'));
        self.floats &= fits && is_float(text);
        self.take_date(text, fits);
    }

    fn take_date(&mut self, text: &str, fits: bool) {
        let alive = self.ways;
        for (at, way) in WAYS.iter().enumerate().filter(|(at, _)| alive & (1 << at) != 0) {
            match way.read(text).filter(|_| fits) {
                Some(moment) => self.has_zone |= moment.has_zone,
                None => self.ways &= !(1 << at),
            }
        }
    }

    /// How many values are not of this proposed type.
    pub fn strays(&self, proposed: &ProposedType) -> u64 {
        let takes_words = matches!(proposed.data_type, DataType::Utf8 | DataType::Boolean);
        if takes_words { 0 } else { self.words }
    }

    /// The narrowest type that all values have, but for a few words. `is_code` says that digits are a name and not a number (a CPF), `is_date`
    /// that the column's name speaks of a date.
    pub fn proposed(&self, is_code: bool, is_date: bool) -> ProposedType {
        if self.values == 0 || is_code {
            return ProposedType::string();
        }
        if self.booleans {
            return ProposedType::new("boolean", None, DataType::Boolean);
        }
        if self.words * STRAY_EVERY > self.values {
            return ProposedType::string();
        }
        if let Some(date) = self.date(is_date) {
            return date;
        }
        let digits = self.point.whole_max;
        if self.integers && digits <= INTEGER_DIGITS_MAX {
            return ProposedType::new("integer", None, DataType::Int64);
        }
        if self.integers && digits > DECIMAL_DIGITS_MAX {
            return ProposedType::string();
        }
        if let Some(number) = self.point.proposed(true) {
            return number;
        }
        if let Some(number) = self.comma.proposed(self.comma.certain) {
            return ProposedType { decimal_comma: true, ..number };
        }
        if self.floats { ProposedType::double() } else { ProposedType::string() }
    }

    fn date(&self, is_date: bool) -> Option<ProposedType> {
        let at = (0..WAYS.len()).find(|at| self.ways & (1 << at) != 0 && (*at != COMPACT || is_date))?;
        let way = &WAYS[at];
        let base = if way.has_time() {
            ProposedType::timestamp(self.has_zone)
        } else {
            ProposedType::new("date", None, DataType::Date32)
        };
        Some(ProposedType { format: way.format, ..base })
    }
}

impl Decimals {
    fn take(&mut self, text: &str, fits: bool, sign: u8, group: Option<u8>) {
        if !self.possible {
            return;
        }
        let Some((whole, fraction, grouped)) = parts(text, sign, group).filter(|_| fits) else {
            self.possible = false;
            return;
        };
        self.whole_max = self.whole_max.max(whole);
        self.fraction_max = self.fraction_max.max(fraction);
        self.certain |= fraction > 0 && (fraction != 3 || grouped) || grouped && fraction == 0;
    }

    fn proposed(&self, certain: bool) -> Option<ProposedType> {
        if !self.possible || !certain {
            return None;
        }
        if self.fraction_max == 0 && self.whole_max <= INTEGER_DIGITS_MAX {
            return Some(ProposedType::new("integer", None, DataType::Int64));
        }
        let precision = (self.whole_max + self.fraction_max).max(PRECISION_MIN);
        if self.fraction_max > SCALE_MAX || precision > DECIMAL_DIGITS_MAX {
            return None;
        }
        Some(ProposedType::decimal(precision, self.fraction_max))
    }
}

/// Digits before and after the decimal sign, and whether groups of three are set apart.
fn parts(text: &str, sign: u8, group: Option<u8>) -> Option<(u32, u32, bool)> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let (whole, fraction) = match digits.iter().position(|c| *c == sign) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let fraction = fraction.map_or(Some(0), count_digits)?;
    let Some(group) = group.filter(|group| whole.contains(group)) else {
        return (!has_leading_zero(whole)).then_some((count_digits(whole)?, fraction, false));
    };
    let mut groups = whole.split(|c| *c == group);
    let first = count_digits(groups.next()?).filter(|count| (1..=3).contains(count))?;
    let rest =
        groups.try_fold(0, |sum, part| (part.len() == 3).then(|| count_digits(part))?.map(|count| sum + count))?;
    (!has_leading_zero(whole)).then_some((first + rest, fraction, true))
}

fn count_digits(text: &[u8]) -> Option<u32> {
    (!text.is_empty() && text.iter().all(u8::is_ascii_digit)).then_some(text.len() as u32)
}

/// `007` is a code: as a number it would lose its zeros.
fn has_leading_zero(whole: &[u8]) -> bool {
    matches!(whole, [b'0', next, ..] if next.is_ascii_digit())
}

/// One letter (`S`, `N`) is as often a code as it is an answer.
fn is_boolean(text: &str) -> bool {
    let words = ["true", "false", "yes", "no", "sim", "não", "nao"];
    words.iter().any(|word| word.eq_ignore_ascii_case(text)) || text == "NÃO"
}

fn is_integer(text: &str) -> bool {
    parts(text, b'.', None).is_some() && !text.contains('.')
}

fn is_float(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'));
    starts
        && !has_leading_zero(text.trim_start_matches('-').as_bytes())
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed(values: &[&str]) -> ProposedType {
        let mut profile = Profile::default();
        values.iter().for_each(|value| profile.take(value));
        profile.proposed(false, false)
    }

    fn shown(values: &[&str]) -> String {
        let proposed = proposed(values);
        let mut text = proposed.physical.unwrap_or(proposed.logical.into());
        text += &proposed.format.map_or(String::new(), |format| format!(" {format}"));
        if proposed.decimal_comma { text + " comma" } else { text }
    }

    #[test]
    fn the_narrowest_type_is_proposed() {
        for (expected, values) in [
            ("boolean", vec!["true", "FALSE"]),
            ("boolean", vec!["sim", "não"]),
            ("string", vec!["S", "N"]),
            ("integer", vec!["1", "-20", "0"]),
            ("string", vec!["007", "123"]),
            ("decimal(20,0)", vec!["12345678901234567890"]),
            ("decimal(18,2)", vec!["1", "-2.5", "3.25"]),
            ("decimal(22,2)", vec!["12345678901234567890.25"]),
            ("decimal(18,2) comma", vec!["1.234,56", "7", "-0,5"]),
            ("integer comma", vec!["1.234.567", "12"]),
            ("double", vec!["1e-7", "2.5"]),
            ("double", vec!["0.1234567890123456"]),
            ("string", vec!["1,234", "5,678"]),
            ("string", vec!["1,234.56"]),
            ("string", vec!["+55"]),
            ("date", vec!["2025-01-31", "1999-12-01"]),
            ("date %d/%m/%Y", vec!["01/02/2025", "03/04/2025"]),
            ("date %m/%d/%Y", vec!["01/02/2025", "01/31/2025"]),
            ("timestamp(6)", vec!["2025-01-31 08:00:00", "2025-01-31"]),
            ("timestamp(6, UTC)", vec!["2025-01-31T08:00:00Z", "2025-01-31T08:00:00-03:00"]),
            ("timestamp(6) %d/%m/%Y %H:%M:%S", vec!["31/01/2025 08:00:00"]),
            ("integer", vec!["20250131"]),
            ("string", vec!["12", "x"]),
            ("string", vec!["nan"]),
            ("string", vec![]),
        ] {
            assert_eq!(shown(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_few_words_do_not_make_text_of_numbers() {
        let mut values = vec!["12.50"; 99];
        values.push("N/D");
        let mut profile = Profile::default();
        values.iter().for_each(|value| profile.take(value));
        let proposed = profile.proposed(false, false);
        assert_eq!((proposed.logical, profile.strays(&proposed)), ("number", 1));
        values.extend(["N/D", "-"]);
        assert_eq!(shown(&values), "string");
        assert_eq!(shown(&["12", "12a"].repeat(99)), "string");
    }

    #[test]
    fn names_and_kinds_decide_what_digits_are() {
        let mut profile = Profile::default();
        profile.take("20250131");
        assert_eq!(profile.proposed(false, true).format, Some("%Y%m%d"));
        assert_eq!(profile.proposed(true, true).logical, "string");
        assert_eq!((profile.min_length, profile.max_length), (8, 8));
    }

    #[test]
    fn typed_columns_keep_their_type() {
        assert_eq!(ProposedType::of(&DataType::Int32).logical, "integer");
        assert_eq!(ProposedType::of(&DataType::Decimal128(12, 2)).physical.as_deref(), Some("decimal(12,2)"));
        let zoned = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        assert_eq!(ProposedType::of(&zoned).physical.as_deref(), Some("timestamp(6, UTC)"));
    }
}

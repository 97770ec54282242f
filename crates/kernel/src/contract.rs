//! What an entity's rows must be. The file format (ODCS) is `govern`'s; this is its meaning, checked.

use crate::classification::Classification;
use crate::error::Result;
use arrow::array::BooleanArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// A contract with its entities (tables). `version` is stored with every row that it let pass.
#[derive(Debug, Clone)]
pub struct Contract {
    pub id: String,
    pub version: String,
    pub entities: Vec<Entity>,
    pub owner: Option<String>,
    /// How long rows are kept, in days, when the contract says so.
    pub retention_days: Option<u32>,
}

/// One table of a contract.
#[derive(Debug, Clone)]
pub struct Entity {
    pub name: String,
    pub description: Option<String>,
    pub properties: Vec<Property>,
    /// SQL quality rules over `{table}`, as written.
    pub rules: Vec<SqlRule>,
    pub on_violation: OnViolation,
    pub schema_change: SchemaChange,
    pub on_personal_data: OnPersonalData,
}

/// One column.
#[derive(Debug, Clone)]
pub struct Property {
    pub name: String,
    pub description: Option<String>,
    /// The type the gate parses to, before any mask.
    pub data_type: DataType,
    pub required: bool,
    pub unique: bool,
    /// Place in the primary key, from 1.
    pub primary_key: Option<u32>,
    pub constraints: Constraints,
    pub classification: Option<Classification>,
    pub mask: Option<MaskSpec>,
    /// How dates and timestamps are written, as `%Y-%m-%d`; ISO 8601 when absent.
    pub format: Option<String>,
    /// `,` for numbers written as `1.234,56`.
    pub decimal_comma: bool,
    /// It states that it holds no personal data, whatever its values look like.
    pub not_personal: bool,
}

/// Bounds on one value. Bounds are text and parsed to the column's type when the gate is built.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    /// A regular expression that the whole text must match.
    pub pattern: Option<String>,
    pub min: Option<Bound>,
    pub max: Option<Bound>,
    pub min_length: Option<usize>,
    pub max_length: Option<usize>,
    /// The only values allowed.
    pub accepted: Option<Vec<String>>,
    /// A decimal must be a whole multiple of this.
    pub multiple_of: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    pub value: String,
    pub exclusive: bool,
}

/// A quality rule written in SQL: the query's single number is held against `must_be`.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlRule {
    pub name: String,
    /// `{table}` and `{property}` already replaced by names but for `{table}`, which is bound when it runs.
    pub query: String,
    pub must: Must,
    /// The column it was written under, if any.
    pub property: Option<String>,
}

/// What a rule's number must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Must {
    Be(f64),
    NotBe(f64),
    BeGreaterThan(f64),
    BeAtLeast(f64),
    BeLessThan(f64),
    BeAtMost(f64),
    BeBetween(f64, f64),
    NotBeBetween(f64, f64),
}

impl Must {
    pub fn holds(self, value: f64) -> bool {
        match self {
            Must::Be(x) => value == x,
            Must::NotBe(x) => value != x,
            Must::BeGreaterThan(x) => value > x,
            Must::BeAtLeast(x) => value >= x,
            Must::BeLessThan(x) => value < x,
            Must::BeAtMost(x) => value <= x,
            Must::BeBetween(a, b) => (a..=b).contains(&value),
            Must::NotBeBetween(a, b) => !(a..=b).contains(&value),
        }
    }
}

/// A mask as written: `pseudonym(person)`, `partial(first: 6, last: 4)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskSpec {
    pub name: String,
    /// Arguments in order; the name is empty for a positional one.
    pub args: Vec<(String, String)>,
}

impl MaskSpec {
    /// Reads `name`, `name(value)`, `name(key: value, …)`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, rest) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => {
                let inner = rest.strip_suffix(')').ok_or_else(|| format!("`{text}` lacks its closing `)`"))?;
                (name.trim(), Some(inner))
            }
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            return Err(format!("`{text}` is not a mask; write it as `redact` or `pseudonym(person)`"));
        }
        let args = rest.into_iter().flat_map(|inner| inner.split(',')).filter(|arg| !arg.trim().is_empty());
        let args = args
            .map(|arg| match arg.split_once([':', '=']) {
                Some((key, value)) => (key.trim().to_owned(), value.trim().to_owned()),
                None => (String::new(), arg.trim().to_owned()),
            })
            .collect();
        Ok(Self { name: name.to_owned(), args })
    }

    /// The argument of this name, or the positional one at `place`.
    pub fn arg(&self, name: &str, place: usize) -> Option<&str> {
        let named = self.args.iter().find(|(key, _)| key == name);
        named.or_else(|| self.args.iter().filter(|(key, _)| key.is_empty()).nth(place)).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Display for MaskSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if self.args.is_empty() {
            return Ok(());
        }
        let args: Vec<String> = self
            .args
            .iter()
            .map(|(key, value)| if key.is_empty() { value.clone() } else { format!("{key}: {value}") })
            .collect();
        write!(f, "({})", args.join(", "))
    }
}

/// What the gate does with a row that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnViolation {
    /// Sets the row aside, masked, with the rule that it broke.
    #[default]
    Quarantine,
    /// Stops; nothing of the batch is kept.
    Fail,
    /// Puts null in the place of the value; a required value can't be dropped and is quarantined.
    DropValue,
}

/// What the gate does with values that look like somebody's in a column that nobody called personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnPersonalData {
    /// Sets their rows aside, the values hidden.
    #[default]
    Quarantine,
    /// Stops; nothing of the batch is kept.
    Fail,
    /// Lets them pass, and says so in the run's report.
    Warn,
}

/// What the gate does with a column that the contract doesn't name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchemaChange {
    /// Stops and names the column: nothing unclassified enters by itself.
    #[default]
    Freeze,
    /// Takes it in as nullable text, unless the detector finds personal data in it: then it is redacted.
    Evolve,
    /// Sets aside each row that has a value there.
    Quarantine,
}

/// A rule over rows that needs more than the kernel can do (SQL); trusted, like a mask, with unmasked values.
pub trait RowRule: Send + Sync {
    /// The kind of rule, as the quarantine shows it.
    fn rule(&self) -> &'static str {
        "sql"
    }

    fn name(&self) -> &str;

    /// The column it is about, for the quarantine's reader.
    fn column(&self) -> Option<&str>;

    /// The columns it reads, when that is known. Asked when rows are replayed from the quarantine: what is masked there
    /// can't be looked at again.
    fn reads(&self) -> Option<&[String]> {
        None
    }

    /// True for each row that breaks the rule; null counts as kept.
    fn violates(&self, typed: &RecordBatch) -> Result<BooleanArray>;
}

impl Entity {
    /// The schema the gate parses to, before masks.
    pub fn typed_schema(&self) -> SchemaRef {
        let fields = self.properties.iter().map(|p| Field::new(&p.name, p.data_type.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.name == name)
    }

    /// The primary key's columns in order.
    pub fn key(&self) -> Vec<&str> {
        let mut parts: Vec<(u32, &str)> =
            self.properties.iter().filter_map(|p| p.primary_key.map(|place| (place, p.name.as_str()))).collect();
        parts.sort_unstable();
        parts.into_iter().map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_read_as_they_are_written() {
        let mask = MaskSpec::parse("partial(first: 6, last: 4)").expect("a mask");
        assert_eq!((mask.arg("first", 0), mask.arg("last", 1)), (Some("6"), Some("4")));
        assert_eq!(mask.to_string(), "partial(first: 6, last: 4)");
        assert_eq!(MaskSpec::parse("pseudonym( person )").expect("a mask").arg("scope", 0), Some("person"));
        assert!(MaskSpec::parse("partial(6").is_err() && MaskSpec::parse("").is_err());
    }
}

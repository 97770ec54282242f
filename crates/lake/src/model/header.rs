//! The header of a model: `-- key: value` lines that say how it is written, checked and found.

use super::checks::{GroupSize, KAnonymity, LDiversity, TCloseness, Uniqueness};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How a model is written and what must hold of it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What the table is, in a sentence.
    #[serde(default)]
    pub description: Option<String>,
    /// Words to select it by: `lavra run tag:finance`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Who answers for it.
    #[serde(default)]
    pub owner: Option<String>,
    /// How its rows reach the table.
    #[serde(default)]
    pub write: Write,
    /// The columns that name a row, for `merge` and `scd2`.
    #[serde(default)]
    pub key: Vec<String>,
    /// A date or a timestamp. For `incremental`: the column that says to which part of the table a row belongs. For `scd2`:
    /// since when a row holds.
    #[serde(default)]
    pub time: Option<String>,
    /// For `incremental`: the size of the parts that are made anew.
    #[serde(default)]
    pub grain: Option<Grain>,
    /// What must hold before a result becomes visible.
    #[serde(default)]
    pub checks: Checks,
    /// Columns that carry personal data on purpose, each with the reason: `[person: "fraud analysts call these customers"]`.
    /// A gold table needs one for each such column; one for a column that carries none is refused.
    #[serde(default)]
    pub exposes: Exposes,
}

/// Columns with the reason why they may be seen.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Exposes {
    List(Vec<BTreeMap<String, String>>),
    Map(BTreeMap<String, String>),
}

impl Default for Exposes {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Exposes {
    /// Each column with its reason and where the header says so.
    pub fn all(&self) -> Vec<(&str, &str, String)> {
        fn each<'a>(map: &'a BTreeMap<String, String>, at: &str) -> Vec<(&'a str, &'a str, String)> {
            map.iter().map(|(c, reason)| (c.as_str(), reason.as_str(), format!("{at}[\"{c}\"]"))).collect()
        }
        match self {
            Exposes::Map(map) => each(map, "exposes"),
            Exposes::List(list) => {
                list.iter().enumerate().flat_map(|(at, map)| each(map, &format!("exposes[{at}]"))).collect()
            }
        }
    }

    /// Why this column may be seen.
    pub fn reason(&self, column: &str) -> Option<&str> {
        self.all().into_iter().find(|(name, ..)| *name == column).map(|(_, reason, _)| reason)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Write {
    /// The whole table, each time an input changed.
    #[default]
    Overwrite,
    /// The query over the new rows of its first table, added at the end. The query filters, computes and joins other tables
    /// to that one, and nothing else: no groups, windows, unions, limits, and that table once. New rows of the other tables
    /// do not come to old rows of the first.
    Append,
    /// The whole query; rows that are new or differ replace those of the same key. Over all of its input the query gives one
    /// row a key; a key that comes twice is refused, in whichever runs its rows came. Rows that the query does not give any
    /// more stay.
    Merge,
    /// The parts of the table (by `time` and `grain`) that changed rows touch are made anew. All parts are, where changed
    /// rows alone don't tell which: with windows, limits, `having`, a table read twice, groups without the time column, or
    /// changes in a table behind an outer join or in a subquery.
    Incremental,
    /// Every version of a key is kept, with `valid_from`, `valid_to` and `is_current`. With `time`, a row that comes late
    /// takes its place between the others; without, another row than the current one holds from the run on.
    Scd2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grain {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Grain {
    pub fn as_str(self) -> &'static str {
        match self {
            Grain::Hour => "hour",
            Grain::Day => "day",
            Grain::Week => "week",
            Grain::Month => "month",
            Grain::Year => "year",
        }
    }
}

/// What must hold of a table. A result that breaks one is not committed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// Columns without nulls.
    #[serde(default)]
    pub not_null: Vec<String>,
    /// The columns that together are there once; or a list of such lists.
    #[serde(default)]
    pub unique: Keys,
    /// The only values of a column.
    #[serde(default)]
    pub accepted: BTreeMap<String, Vec<Scalar>>,
    /// Columns whose values are all in another table's column.
    #[serde(default)]
    pub relationship: Vec<Relationship>,
    /// The newest value of a time column is not older than this; also asked when nothing is new.
    #[serde(default)]
    pub freshness: Option<Freshness>,
    /// How many rows the table has.
    #[serde(default)]
    pub volume: Option<Volume>,
    /// Every group that the query makes has at least so many rows, or people: totals over it say nothing of one of them.
    #[serde(default)]
    pub group_size: Option<GroupSize>,
    /// Every row shares its quasi-identifiers with at least `k - 1` others.
    #[serde(default)]
    pub k_anonymity: Option<KAnonymity>,
    /// Every group of equal quasi-identifiers has at least `l` well-represented values of a sensitive column.
    #[serde(default)]
    pub l_diversity: Option<LDiversity>,
    /// In every group of equal quasi-identifiers a sensitive column is spread as in the whole table, but for `t`.
    #[serde(default)]
    pub t_closeness: Option<TCloseness>,
    /// Few rows are alone with their quasi-identifiers.
    #[serde(default)]
    pub uniqueness: Option<Uniqueness>,
    /// Queries that find what is wrong: they must give no row.
    #[serde(default)]
    pub sql: Vec<SqlCheck>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Keys {
    One(Vec<String>),
    Many(Vec<Vec<String>>),
}

impl Default for Keys {
    fn default() -> Self {
        Self::One(Vec::new())
    }
}

impl Keys {
    pub fn all(&self) -> Vec<&[String]> {
        match self {
            Keys::One(key) if key.is_empty() => Vec::new(),
            Keys::One(key) => vec![key],
            Keys::Many(keys) => keys.iter().map(Vec::as_slice).collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

impl Scalar {
    /// As SQL writes it.
    pub fn literal(&self) -> String {
        match self {
            Scalar::Bool(value) => value.to_string(),
            Scalar::Integer(value) => value.to_string(),
            Scalar::Number(value) => value.to_string(),
            Scalar::Text(value) => format!("'{}'", value.replace('\'', "''")),
        }
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relationship {
    pub column: String,
    /// `layer.table.column`
    pub to: String,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    pub column: String,
    /// `2 days`, `90 minutes`
    pub within: String,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    #[serde(default)]
    pub min: Option<u64>,
    #[serde(default)]
    pub max: Option<u64>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlCheck {
    pub name: String,
    pub query: String,
}

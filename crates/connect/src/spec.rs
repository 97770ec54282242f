//! What a connector says of itself, and what it is opened with.

use futures::future::BoxFuture;
use kernel::clock::Clock;
use kernel::source::Source;
use kernel::{Entity, Positions, Result, suggest};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// One connector. Its reference page, its editor schema and its checks are made from this.
pub struct Spec {
    pub name: &'static str,
    /// One sentence for a list.
    pub summary: &'static str,
    /// A whole `sources/*.yaml`.
    pub example: &'static str,
    /// JSON Schema of the options, that is of a source's YAML without the keys that every source has.
    pub options_schema: fn() -> Value,
    /// All that is wrong with the options as written. Pure: opens no file and no socket.
    pub check: fn(&Value) -> Vec<Fault>,
    /// Opens the source behind `Opening::from`. It may list, but reads no row before the first `next`.
    pub open: Open,
    /// What a run would read now. Takes nothing.
    pub pending: for<'a> fn(&'a Opening) -> BoxFuture<'a, Result<Vec<Pending>>>,
}

type Open = fn(Opening) -> BoxFuture<'static, Result<Box<dyn Source>>>;

/// What a source is opened with.
#[derive(Clone)]
pub struct Opening {
    /// The source's name, for messages.
    pub source: String,
    pub options: Value,
    /// The project's folder: relative paths start here.
    pub base: PathBuf,
    /// What rows are expected to be; without properties when nothing is known yet.
    pub entity: Entity,
    /// What was committed. Partitions that are not in it are new.
    pub from: Positions,
    /// Credentials and settings of object stores, by the names that `object_store` knows (`aws_access_key_id`).
    pub store: BTreeMap<String, String>,
    pub clock: Arc<dyn Clock>,
}

/// A partition that a run would read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub partition: String,
    /// Size of the whole partition as stored, when it is known.
    pub bytes: Option<u64>,
    pub progress: Progress,
}

/// How far a pending partition is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    New,
    /// Read up to and with this line or row.
    Partly(u64),
    /// Taken before, with other content. What happens is up to the source's options.
    Replaced,
    /// Written to a moment ago; left for a later run.
    Settling,
}

/// Something wrong in a source's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The option's name; empty when it is about the options as a whole.
    pub option: String,
    pub message: String,
    pub help: Option<String>,
}

impl Fault {
    pub fn new(option: impl Into<String>, message: impl Into<String>) -> Self {
        Self { option: option.into(), message: message.into(), help: None }
    }
}

/// Reads options, or tells everything that is wrong with them at once.
///
/// `T` must be readable from any single option (`#[serde(default)]`), for each is tried alone.
pub(crate) fn read_options<T>(options: &Value, required: &[&str]) -> Result<T, Vec<Fault>>
where
    T: DeserializeOwned + JsonSchema,
{
    let nothing = Map::new();
    let given = match options {
        Value::Object(given) => given,
        Value::Null => &nothing,
        _ => return Err(vec![Fault::new("", "options are written as `name: value`")]),
    };
    let schema = schemars::schema_for!(T).to_value();
    let known: Vec<&str> =
        schema["properties"].as_object().map(|all| all.keys().map(String::as_str).collect()).unwrap_or_default();
    let mut faults: Vec<Fault> = given.iter().filter_map(|(name, value)| fault::<T>(name, value, &known)).collect();
    for name in required.iter().filter(|name| !given.contains_key(**name)) {
        faults.push(Fault::new("", format!("`{name}` is missing")));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(Value::Object(given.clone())).map_err(|e| vec![Fault::new("", e.to_string())])
}

fn fault<T: DeserializeOwned>(name: &str, value: &Value, known: &[&str]) -> Option<Fault> {
    if !known.contains(&name) {
        let help = suggest::hint(name, known.iter().copied());
        return Some(Fault { help, ..Fault::new(name, format!("unknown option `{name}`")) });
    }
    let alone = Map::from_iter([(name.to_owned(), value.clone())]);
    let error = serde_json::from_value::<T>(Value::Object(alone)).err()?;
    Some(Fault::new(name, format!("`{name}`: {error}")))
}

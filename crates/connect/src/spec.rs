//! What a connector says of itself, and what it is opened with.

use axum::Router;
use futures::future::BoxFuture;
use kernel::clock::Clock;
use kernel::gate::Screen;
use kernel::source::Source;
use kernel::{Entity, Positions, Result, suggest};
use schemars::JsonSchema;
use serde::Serialize;
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
    /// Schemes of the URLs that its `connection` is written as, for `lavra discover`: `postgres`, `postgresql`.
    pub schemes: &'static [&'static str],
    /// A whole `sources/*.yaml`.
    pub example: &'static str,
    /// JSON Schema of the options, that is of a source's YAML without the keys that every source has.
    pub options_schema: fn() -> Value,
    /// All that is wrong with the options as written. Pure: opens no file and no socket.
    pub check: fn(&Value) -> Vec<Fault>,
    /// All that makes options that are right by themselves unfit for the rows that a contract tells of. Pure, and silent while
    /// options have faults or the entity has no properties. `open` refuses the same.
    pub fits: fn(&Value, &Entity) -> Vec<Fault>,
    /// What of the options positions depend on, as it is written there: `mode: incremental, cursor: id`; `None` where they don't.
    pub way: fn(&Value) -> Option<String>,
    /// The option by which records come again with each run, to be told from new ones by the contract's primary key; `None` where
    /// none do.
    pub repeats: fn(&Value, &Entity) -> Option<&'static str>,
    /// Makes the source.
    pub open: Open,
    /// Lists what it would read.
    pub pending: for<'a> fn(&'a Opening) -> BoxFuture<'a, Result<Vec<Pending>>>,
    /// Whether, with these options, it gives the changes of a table and not its rows.
    pub changes: fn(&Value) -> bool,
    /// Looks whether it would work.
    pub probe: for<'a> fn(&'a Opening) -> BoxFuture<'a, Vec<Finding>>,
    /// The tables, topics or collections behind a connection, for `lavra discover`; absent where nothing can be listed.
    pub discover: Option<Discover>,
    /// What takes requests for a source that others push to, and the source that they come out of; absent where rows are
    /// fetched. Served by a long-running process.
    pub listen: Option<Listen>,
}

/// Takes what the gate tells personal data by, too: what a whole source would stop at is refused to its sender.
pub type Listen = fn(&Opening, Arc<dyn Screen>) -> Result<Listening>;

/// What takes requests, and the source behind it: what the router takes, the source gives, and it is answered once that was
/// settled.
pub struct Listening {
    /// Where the router answers: `/hooks/payments`.
    pub path: String,
    pub router: Router,
    pub source: Box<dyn Source>,
}

/// Takes the options, of which the connection is enough.
pub type Discover = for<'a> fn(&'a Opening) -> BoxFuture<'a, Result<Vec<Discovered>>>;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in few words: `wal_level`, `free disk`.
    pub subject: &'static str,
    pub grade: Grade,
    /// What was found, without secrets: `replica, must be logical`.
    pub found: String,
    /// What to do about it, as a command or a setting; `None` when all is well.
    pub remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Good,
    /// It works, and will not for ever.
    Warning,
    /// A run would fail.
    Bad,
}

/// A table that could be a source.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// As the system names it: `public.orders`.
    pub name: String,
    /// The options that read it, beside those of the connection.
    pub options: serde_json::Map<String, Value>,
    /// Its columns as a contract would have them: types, keys, what is required; nothing classified yet.
    pub entity: Entity,
    /// By the system's own statistics.
    pub rows: Option<u64>,
}

type Open = fn(Opening) -> BoxFuture<'static, Result<Box<dyn Source>>>;

/// What a source is opened with.
#[derive(Clone)]
pub struct Opening {
    /// The source's name, for messages.
    pub source: String,
    /// The project and its environment as one word: by it, what a source keeps on a server is told from what another has there.
    pub project: String,
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
    /// Whether nothing is wrong with the option, and what the contract hides forbids it.
    pub is_refused: bool,
}

impl Fault {
    pub fn new(option: impl Into<String>, message: impl Into<String>) -> Self {
        Self { option: option.into(), message: message.into(), help: None, is_refused: false }
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
    let mut faults: Vec<Fault> =
        given.iter().filter_map(|(name, value)| fault::<T>(name, value, &known, &schema)).collect();
    for name in required.iter().filter(|name| !given.contains_key(**name)) {
        faults.push(Fault::new("", format!("`{name}` is missing")));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(Value::Object(given.clone())).map_err(|e| vec![Fault::new("", e.to_string())])
}

fn fault<T: DeserializeOwned>(name: &str, value: &Value, known: &[&str], schema: &Value) -> Option<Fault> {
    if !known.contains(&name) {
        let help = suggest::hint(name, known.iter().copied());
        return Some(Fault { help, ..Fault::new(name, format!("unknown option `{name}`")) });
    }
    let alone = Map::from_iter([(name.to_owned(), value.clone())]);
    let error = serde_json::from_value::<T>(Value::Object(alone)).err()?;
    let mut takes = Takes::default();
    takes.read(&schema["properties"][name], schema);
    Some(match (value, takes.wanted()) {
        (Value::String(text), _) if takes.is_closed() => {
            let help = suggest::hint(text, takes.words.iter().copied());
            Fault { help, ..Fault::new(name, format!("unknown value `{text}`")) }
        }
        (_, Some(wanted)) if !takes.fits(value) => {
            Fault::new(name, format!("`{name}`: expected {wanted}, found {}", found(value)))
        }
        _ => Fault::new(name, format!("`{name}`: {error}")),
    })
}

/// What an option's schema takes: the words of a closed set, or the kinds of value.
#[derive(Default)]
struct Takes<'a> {
    words: Vec<&'a str>,
    kinds: Vec<&'a str>,
}

impl<'a> Takes<'a> {
    fn read(&mut self, schema: &'a Value, root: &'a Value) {
        if let Some(path) = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
            root.pointer(path).into_iter().for_each(|schema| self.read(schema, root));
        }
        for branch in ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
            self.read(branch, root);
        }
        let words = schema["const"].as_str().into_iter();
        self.words.extend(words.chain(schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str)));
        let many = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.kinds.extend(schema["type"].as_str().into_iter().chain(many).filter(|kind| *kind != "null"));
    }

    /// Whether text is one of the words or wrong; where flags are taken too, the option's own message says more.
    fn is_closed(&self) -> bool {
        !self.words.is_empty() && !self.kinds.contains(&"boolean")
    }

    fn fits(&self, value: &Value) -> bool {
        let fits = |kind: &&str| match *kind {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        self.kinds.iter().any(fits)
    }

    fn wanted(&self) -> Option<String> {
        let mut names: Vec<&str> = self.kinds.iter().filter_map(|kind| kind_name(kind)).collect();
        names.dedup();
        (!names.is_empty()).then(|| names.join(" or "))
    }
}

fn kind_name(kind: &str) -> Option<&'static str> {
    match kind {
        "string" => Some("text"),
        "boolean" => Some("true or false"),
        "integer" => Some("a whole number"),
        "number" => Some("a number"),
        "array" => Some("a list"),
        "object" => Some("fields"),
        _ => None,
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "fields",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Options {
        path: String,
        format: Option<Format>,
        rows: usize,
        names: Vec<String>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Format {
        Csv,
        /// With a text of its own, the schema has it in another place.
        Parquet,
    }

    fn told(options: Value) -> Vec<String> {
        let faults = read_options::<Options>(&options, &["path"]).err().unwrap_or_default();
        faults.iter().map(|f| format!("{}: {} [{}]", f.option, f.message, f.help.as_deref().unwrap_or("-"))).collect()
    }

    #[test]
    fn a_word_that_is_none_of_the_options_gets_a_suggestion() {
        assert_eq!(
            told(json!({ "path": "a", "format": "cvs" })),
            ["format: unknown value `cvs` [did you mean `csv`?]"]
        );
        assert_eq!(
            told(json!({ "path": "a", "format": "xyz" })),
            ["format: unknown value `xyz` [it can be: csv, parquet]"]
        );
        assert_eq!(
            told(json!({ "path": "a", "formt": "csv" })),
            ["formt: unknown option `formt` [did you mean `format`?]"]
        );
    }

    #[test]
    fn a_wrong_type_is_told_in_plain_words_without_the_value() {
        assert_eq!(
            told(json!({ "path": 7, "rows": "many", "names": "x" })),
            [
                "path: `path`: expected text, found a number [-]",
                "rows: `rows`: expected a whole number, found text [-]",
                "names: `names`: expected a list, found text [-]",
            ]
        );
        assert!(told(json!({ "path": "a", "rows": -1 }))[0].contains("`rows`"));
    }
}

//! What a `connector: files` source can be told.

use crate::spec::{Fault, read_options};
use kernel::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Options of the files connector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Files to read: a path or a list of them, relative to the project, or a URL (`s3://`, `gs://`, `az://`,
    /// `file://`). `*` and `?` stand for characters of one name, `**` for any folders. A folder stands for all files
    /// below it. Hidden and unfinished names (`.x`, `_x`, `x.tmp`, `x.part`, `x.crdownload`) are not matched by patterns.
    pub path: Paths,
    /// By default from the name's ending, looking through `.gz` and `.zst`.
    pub format: Option<Format>,
    /// By default from the first bytes of the file.
    pub compression: Compression,
    /// Of text files. `auto`: the byte order mark; else UTF-8, unless the first character that is not ASCII is not
    /// valid UTF-8: then Windows-1252.
    pub encoding: Encoding,
    /// CSV: one ASCII character, `tab`, or `auto`, which looks at the first lines for `,` `;` tab and `|`.
    #[schemars(with = "String", extend("default" = "auto"))]
    pub delimiter: Delimiter,
    /// CSV: whether the first line names the columns (`true`, `false`, `auto`). Without a header the columns are the
    /// contract's, in its order.
    #[schemars(with = "HeaderWords", extend("default" = "auto"))]
    pub header: Header,
    /// CSV: the character around fields that hold delimiters or line ends, or `none`.
    #[schemars(with = "String", extend("default" = "\""))]
    pub quote: Quote,
    /// CSV: fields that stand for null when they are not quoted. By default only the empty field.
    pub null_values: Vec<String>,
    /// What to do when a file no longer begins with what was taken of it: end the run with an error, when all other
    /// files are taken (`error`), read it again from its start as further rows (`new_version`), or leave it (`ignore`). A
    /// text file that was written on is taken on where it ended before, and a file with the very same content (touched,
    /// copied, restored) is nothing new, whatever is set here. Files that are no text are compared as a whole, and in an
    /// object store by their etag alone.
    pub on_replaced: OnReplaced,
    /// Rows in a batch at most.
    pub batch_rows_max: usize,
    /// A text record longer than this is set aside as malformed and never held in memory.
    pub line_bytes_max: usize,
    /// Leave files that were written to less than this many seconds ago for a later run. 0 takes them at once, but for
    /// the last line of an uncompressed text file when it has no line end and the file was written to less than 2 seconds
    /// ago: it may go on, and waits for the next run. A file that changes while it is being read is an error in any case.
    pub settle_seconds: u32,
    /// Says that the rows are the changes of a table: `debezium` for JSON records that are Debezium's envelope (`op`,
    /// `before`, `after`, with or without `payload` around them), or the columns that say it, `{ op: column, at: column }`.
    /// The change log of a table is read in the order of its files' names, and in each from top to bottom.
    pub changes: Option<Changes>,
}

/// How records say what happened to a row.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `debezium` or `{ op: column, at: column }`")]
pub enum Changes {
    Envelope(Envelope),
    Columns(ChangeColumns),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Envelope {
    Debezium,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeColumns {
    /// What happened: `r`, `c`, `u`, `d`, `t`, or `read`, `create` or `insert`, `update`, `delete`, `truncate`, in any case.
    pub op: String,
    /// When it was committed: ISO 8601, or milliseconds since 1970.
    #[serde(default)]
    pub at: Option<String>,
}

/// The name of each option that has no default.
pub const REQUIRED: [&str; 1] = ["path"];

impl Default for Options {
    fn default() -> Self {
        Self {
            path: Paths::Many(Vec::new()),
            format: None,
            compression: Compression::Auto,
            encoding: Encoding::Auto,
            delimiter: Delimiter::Auto,
            header: Header::Auto,
            quote: Quote(Some(b'"')),
            null_values: vec![String::new()],
            on_replaced: OnReplaced::Error,
            batch_rows_max: 65_536,
            line_bytes_max: 16 << 20,
            settle_seconds: 0,
            changes: None,
        }
    }
}

impl Options {
    /// Reads the options, or tells the first thing that is wrong with them; `check` tells all.
    pub fn read(source: &str, options: &Value) -> Result<Self> {
        Self::check(options).map_err(|faults| {
            let all: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
            Error::project(format!("source `{source}`"), all.join("; "))
        })
    }

    /// Reads the options, or tells all that is wrong with them.
    pub fn check(options: &Value) -> Result<Self, Vec<Fault>> {
        let read: Self = read_options(options, &REQUIRED)?;
        let mut faults = Vec::new();
        if read.path.all().is_empty() {
            faults.push(Fault::new("path", "`path` names no file"));
        }
        for (name, value) in [("batch_rows_max", read.batch_rows_max), ("line_bytes_max", read.line_bytes_max)] {
            if value == 0 {
                faults.push(Fault::new(name, format!("`{name}` must be at least 1")));
            }
        }
        if read.line_bytes_max > LINE_BYTES_LIMIT {
            faults.push(Fault::new("line_bytes_max", "`line_bytes_max` must be at most 256 MiB (268435456)"));
        }
        if let (Delimiter::Byte(delimiter), Quote(Some(quote))) = (&read.delimiter, &read.quote)
            && delimiter == quote
        {
            faults.push(Fault::new("quote", "`quote` and `delimiter` must differ"));
        }
        let is_json = read.format.is_none_or(|format| matches!(format, Format::Ndjson | Format::Json));
        if read.changes == Some(Changes::Envelope(Envelope::Debezium)) && !is_json {
            faults.push(Fault::new("changes", "`changes: debezium` reads `format: ndjson` and `json`"));
        }
        if read.changes.is_some() && read.on_replaced == OnReplaced::NewVersion {
            let message = "a change log is never replaced: what was taken of it would be applied twice";
            faults.push(Fault::new("on_replaced", message));
        }
        for pattern in read.path.all() {
            if let Err(message) = super::list::check_pattern(pattern) {
                faults.push(Fault::new("path", message));
            }
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }
}

/// Places in a block of text are kept in 32 bits and lengths in 30.
const LINE_BYTES_LIMIT: usize = 256 << 20;

/// One path or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a path or a list of paths")]
pub enum Paths {
    One(String),
    Many(Vec<String>),
}

impl Paths {
    pub fn all(&self) -> &[String] {
        match self {
            Paths::One(path) => std::slice::from_ref(path),
            Paths::Many(paths) => paths,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Csv,
    Ndjson,
    Json,
    Parquet,
    Avro,
    Arrow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Auto,
    None,
    Gzip,
    Zstd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Encoding {
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "utf-16")]
    Utf16,
    #[serde(rename = "latin-1")]
    Latin1,
    #[serde(rename = "windows-1252")]
    Windows1252,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReplaced {
    Error,
    NewVersion,
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Delimiter {
    Auto,
    Byte(u8),
}

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(Delimiter::Auto),
            "tab" => Ok(Delimiter::Byte(b'\t')),
            _ => {
                one_byte(&text).map(Delimiter::Byte).ok_or_else(|| "write one ASCII character, `tab` or `auto`".into())
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Quote(pub Option<u8>);

impl TryFrom<String> for Quote {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "none" => Ok(Quote(None)),
            _ => one_byte(&text)
                .map(|byte| Quote(Some(byte)))
                .ok_or_else(|| "write one ASCII character or `none`".into()),
        }
    }
}

/// An ASCII character that can stand between or around fields.
fn one_byte(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, 0 | b'\n' | b'\r') => Some(*byte),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Header {
    Auto,
    Given(bool),
}

impl TryFrom<Value> for Header {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Bool(given) => Ok(Header::Given(given)),
            Value::String(text) if text == "auto" => Ok(Header::Auto),
            _ => Err("write `true`, `false` or `auto`"),
        }
    }
}

/// The schema of [`Header`] for editors.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum HeaderWords {
    Given(bool),
    Auto(AutoWord),
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum AutoWord {
    Auto,
}

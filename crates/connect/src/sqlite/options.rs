//! What a `connector: sqlite` source can be told.

use crate::spec::{Fault, read_options};
use kernel::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Options of the sqlite connector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// `sqlite:data/shop.db`: the database's file, relative to the project, or `sqlite:///var/lib/shop.db`.
    pub connection: String,
    /// The table.
    pub table: String,
    /// `snapshot` takes the table once; `incremental` takes the rows whose `cursor` grew.
    pub mode: Mode,
    /// Columns to read; by default all.
    pub columns: Option<Vec<String>>,
    /// For `incremental`: a column that grows with every change, such as `updated_at`. It may be neither masked nor
    /// personal, for its last value is kept in the clear.
    pub cursor: Option<String>,
    /// Any text, such as a date. A new one makes the table be taken again, as further rows: for `snapshot` the contract may
    /// then have neither a primary key nor unique columns.
    pub refresh: Option<String>,
    /// Rows in a batch at most.
    pub batch_rows_max: usize,
    /// How long to wait for a writer that holds the database.
    pub timeout_ms: u32,
}

pub const REQUIRED: [&str; 2] = ["connection", "table"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Snapshot,
    Incremental,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connection: String::new(),
            table: String::new(),
            mode: Mode::Snapshot,
            columns: None,
            cursor: None,
            refresh: None,
            batch_rows_max: 65_536,
            timeout_ms: 10_000,
        }
    }
}

impl Options {
    /// Reads the options, or tells the first thing that is wrong with them; `check` tells all.
    pub fn read(source: &str, options: &Value) -> Result<Self> {
        Self::check(options).map_err(|faults| told(&format!("source `{source}`"), &faults))
    }

    /// Of `lavra discover`: the connection is enough.
    pub fn of_connection(options: &Value) -> Result<Self> {
        read_options(options, &REQUIRED[..1]).map_err(|faults| told("the connection", &faults))
    }

    pub fn check(options: &Value) -> Result<Self, Vec<Fault>> {
        let read: Self = read_options(options, &REQUIRED)?;
        let mut faults = Vec::new();
        let mut fault = |option: &str, message: &str| faults.push(Fault::new(option, message));
        if path(&read.connection).is_none() {
            fault("connection", "`connection` is written as `sqlite:data/shop.db`");
        }
        if read.table.is_empty() {
            fault("table", "`table` names no table");
        }
        if (read.mode == Mode::Incremental) != read.cursor.is_some() {
            fault("cursor", "`mode: incremental` needs a `cursor`, and only that mode has one");
        }
        if read.columns.as_ref().is_some_and(Vec::is_empty) {
            fault("columns", "`columns` names no column");
        }
        if read.batch_rows_max == 0 {
            fault("batch_rows_max", "`batch_rows_max` must be at least 1");
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    /// The database's file.
    pub fn file(&self, base: &Path) -> PathBuf {
        base.join(path(&self.connection).unwrap_or_default())
    }
}

fn told(what: &str, faults: &[Fault]) -> Error {
    let all: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
    Error::project(what, all.join("; "))
}

fn path(connection: &str) -> Option<&str> {
    let path = connection.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_a_path_behind_a_word() {
        assert_eq!(path("sqlite:data/a.db"), Some("data/a.db"));
        assert_eq!(path("sqlite://data/a.db"), Some("data/a.db"));
        assert_eq!(path("sqlite:///var/a.db"), Some("/var/a.db"));
        assert_eq!((path("data/a.db"), path("sqlite:"), path("sqlite://")), (None, None, None));
    }
}

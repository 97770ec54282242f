//! What a `connector: mysql` source can be told.

use crate::spec::{Fault, read_options};
use kernel::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Options of the mysql connector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// `mysql://user:${PASSWORD}@host:3306/database`, of MySQL or MariaDB. `?ssl-mode=` is `disabled`, `preferred` (the
    /// default: TLS if the server has it), `required`, `verify-ca` or `verify-identity`; `&ssl-ca=` a file with the
    /// authority's certificate, relative to the project.
    pub connection: String,
    /// The table, or `database.table`. A name with a point stands in backquotes.
    pub table: String,
    /// `snapshot` takes the table once; `incremental` takes the rows whose `cursor` grew; `cdc` takes the table and then
    /// every change of it from the binary log, deletions too.
    pub mode: Mode,
    /// Columns to read; by default all.
    pub columns: Option<Vec<String>>,
    /// For `incremental`: a column that grows with every change, such as `updated_at`; a whole number, a decimal or a
    /// time. It may be neither masked nor personal, for its last value is kept in the clear.
    pub cursor: Option<String>,
    /// For `incremental`: how far behind the last value rows are looked for again, because they were committed late:
    /// `15 minutes`, or a whole number for a cursor that is a number. Rows taken already are not taken again.
    #[schemars(with = "Option<LookbackWords>")]
    pub lookback: Option<Lookback>,
    /// Any text, such as a date. A new one makes `snapshot` and `incremental` take the table again, as further rows (for
    /// `snapshot` the contract may then have neither a primary key nor unique columns), and `cdc` begin anew: the table is
    /// emptied and read again.
    pub refresh: Option<String>,
    /// What a zero date (`0000-00-00`, `2026-02-00`) becomes: `null`, or the text as it is (`text`), which the gate sets
    /// aside where the contract says date.
    pub zero_dates: ZeroDates,
    /// For `cdc`: the id by which the server knows this replica, unlike that of any other. By default made of the
    /// source's name and table.
    pub server_id: Option<u32>,
    /// Rows in a batch at most.
    pub batch_rows_max: usize,
    /// How long to wait for a server that says nothing, in milliseconds: for a connection, between the rows of a table, and
    /// for a sign of life of the binary log. A query may take ten times as long before its first row.
    pub timeout_ms: u64,
}

pub const REQUIRED: [&str; 2] = ["connection", "table"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Snapshot,
    Incremental,
    Cdc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ZeroDates {
    Null,
    Text,
}

/// In microseconds for a cursor that is a time, else in units of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Lookback {
    Units(u64),
    Micros(u64),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum LookbackWords {
    Units(u64),
    Span(String),
}

impl TryFrom<Value> for Lookback {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, &'static str> {
        const HELP: &str = "write a whole number, or a span such as `90 seconds`, `15 minutes`, `2 hours` or `1 day`";
        if let Some(units) = value.as_u64() {
            return Ok(Self::Units(units));
        }
        let text = value.as_str().ok_or(HELP)?.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or(HELP)?);
        let number: u64 = number.parse().map_err(|_| HELP)?;
        let seconds = match unit.trim().trim_end_matches('s') {
            "" | "second" => 1,
            "m" | "minute" => 60,
            "h" | "hour" => 3600,
            "d" | "day" => 86_400,
            _ => return Err(HELP),
        };
        number.checked_mul(seconds * 1_000_000).map(Self::Micros).ok_or(HELP)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connection: String::new(),
            table: String::new(),
            mode: Mode::Snapshot,
            columns: None,
            cursor: None,
            lookback: None,
            refresh: None,
            zero_dates: ZeroDates::Null,
            server_id: None,
            batch_rows_max: 65_536,
            timeout_ms: 30_000,
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

    /// Of `lavra discover`: the connection is enough.
    pub fn of_connection(options: &Value) -> Result<Self> {
        read_options(options, &REQUIRED[..1]).map_err(|faults: Vec<Fault>| {
            let all: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
            Error::project("the connection", all.join("; "))
        })
    }

    pub fn check(options: &Value) -> Result<Self, Vec<Fault>> {
        let read: Self = read_options(options, &REQUIRED)?;
        let mut faults = Vec::new();
        let mut fault = |option: &str, message: String| faults.push(Fault::new(option, message));
        if let Err(message) = super::login::Login::parse(&read.connection) {
            fault("connection", message);
        }
        if super::table::written(&read.table).is_none() {
            let shape = "`table` is written as `orders` or `shop.orders`; a name with a point in backquotes";
            fault("table", shape.into());
        }
        match read.mode {
            Mode::Incremental if read.cursor.is_none() => {
                fault("cursor", "`mode: incremental` needs a `cursor`: the column that grows with every change".into());
            }
            Mode::Snapshot | Mode::Cdc if read.cursor.is_some() || read.lookback.is_some() => {
                fault("cursor", "`cursor` and `lookback` are for `mode: incremental`".into());
            }
            _ => {}
        }
        if read.server_id.is_some() && read.mode != Mode::Cdc {
            fault("server_id", "`server_id` is for `mode: cdc`".into());
        }
        if read.server_id == Some(0) {
            fault("server_id", "`server_id` must be at least 1".into());
        }
        if read.columns.as_ref().is_some_and(Vec::is_empty) {
            fault("columns", "`columns` names no column".into());
        }
        for (name, value) in [("batch_rows_max", read.batch_rows_max as u64), ("timeout_ms", read.timeout_ms)] {
            if value == 0 {
                fault(name, format!("`{name}` must be at least 1"));
            }
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(options: Value) -> Vec<String> {
        Options::check(&options).err().unwrap_or_default().into_iter().map(|fault| fault.message).collect()
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        let good = json!({ "connection": "mysql://u:secret@h/shop", "table": "orders" });
        assert!(told(good).is_empty());
        let bad = json!({ "connection": "postgres://u:secret@h/shop", "table": "a.b.c", "mode": "incremental", "server_id": 0 });
        let all = told(bad);
        assert_eq!(all.len(), 5, "{all:?}");
        assert!(!all.join(" ").contains("secret"), "{all:?}");
    }

    #[test]
    fn a_lookback_is_a_number_or_a_span() {
        let read = |value: Value| Lookback::try_from(value).ok();
        assert_eq!(read(json!(5)), Some(Lookback::Units(5)));
        assert_eq!(read(json!("15 minutes")), Some(Lookback::Micros(900_000_000)));
        assert_eq!(read(json!("1 day")), read(json!("24h")));
        for bad in [json!("soon"), json!("5 parsecs"), json!(-1), json!(null), json!("99999999999999999 days")] {
            assert_eq!(read(bad), None);
        }
        for bad in [json!(1.5), json!("1.5")] {
            let told = told(json!({
                "connection": "mysql://u@h/shop", "table": "t", "mode": "incremental", "cursor": "id", "lookback": bad
            }));
            assert!(told.len() == 1 && told[0].contains("whole number"), "{told:?}");
        }
    }
}

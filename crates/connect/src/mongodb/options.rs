//! What a `connector: mongodb` source can be told.

use crate::spec::{Fault, read_options};
use kernel::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Options of the mongodb connector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// `mongodb://user:${PASSWORD}@host:27017/shop?tls=true`, with MongoDB's own parameters.
    pub connection: String,
    /// The collection, or `database.collection`.
    pub table: String,
    /// Any text, such as a date. A new one makes the collection be taken again, as further rows: the contract may then have
    /// neither a primary key nor unique columns.
    pub refresh: Option<String>,
    /// Documents in a batch at most.
    pub batch_rows_max: usize,
    /// How long to wait for a server that says nothing, in milliseconds: for a connection, and for each further answer with
    /// documents, of 16 MB at most. The first one may take ten times as long.
    pub timeout_ms: u64,
}

pub const REQUIRED: [&str; 2] = ["connection", "table"];

impl Default for Options {
    fn default() -> Self {
        Self {
            connection: String::new(),
            table: String::new(),
            refresh: None,
            batch_rows_max: 65_536,
            timeout_ms: 30_000,
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
        let is_url = ["mongodb://", "mongodb+srv://"].iter().any(|scheme| read.connection.starts_with(scheme));
        if !is_url {
            faults.push(Fault::new(
                "connection",
                "`connection` is written as `mongodb://user:${PASSWORD}@host:27017/shop`",
            ));
        }
        if read.connection.starts_with("mongodb+srv://") {
            faults.push(Fault::new(
                "connection",
                "names by DNS (`mongodb+srv://`) are not looked up: name the hosts, `mongodb://a:27017,b:27017/shop`",
            ));
        }
        if read.table.is_empty() || read.table.starts_with('.') || read.table.ends_with('.') {
            faults.push(Fault::new("table", "`table` is written as `orders` or `shop.orders`"));
        }
        for (name, value) in [("batch_rows_max", read.batch_rows_max as u64), ("timeout_ms", read.timeout_ms)] {
            if value == 0 {
                faults.push(Fault::new(name, format!("`{name}` must be at least 1")));
            }
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }
}

fn told(what: &str, faults: &[Fault]) -> Error {
    let all: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
    Error::project(what, all.join("; "))
}

//! What a `connector: postgres` source can be told.

use super::address::Address;
use super::kinds::Infinity;
use crate::spec::{Fault, read_options};
use kernel::{Error, Result, span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Options of the PostgreSQL connector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The server and who signs in: `postgres://user:${PASSWORD}@host:5432/database`. Parameters: `sslmode` (`disable`,
    /// `prefer`, which is the default, `require`, `verify-ca`, `verify-full`), `sslrootcert`, `sslcert`, `sslkey`.
    pub connection: String,
    /// The table, with its schema unless that is `public`: `sales.orders`. A name with a dot stands in double quotes, as in
    /// SQL: `sales."orders.2026"`.
    pub table: String,
    /// `snapshot` (default): the table as it is, once, as one state of it. `incremental`: rows whose `cursor` grew since
    /// the last run, by one query. `cdc`: the table, and then every change of it, by logical replication.
    pub mode: Mode,
    /// Incremental: the column that grows with each change, such as `updated_at`. It is kept in clear as the position, so
    /// that it can't be a column that is masked.
    pub cursor: Option<String>,
    /// Incremental: how far behind the cursor to look for rows that were committed late: `1 hour` for times, a number for
    /// numbers. Rows that were taken are not taken again. By default nothing.
    pub lookback: Option<Lookback>,
    /// Cdc: the replication slot, made if it is not there. Each source needs its own; names are the server's, not the
    /// database's. Default: `lavra_PROJECT_ENVIRONMENT_DATABASE_SOURCE`
    pub slot: Option<String>,
    /// Cdc: the publication that names the table, made if it is not there. Default: as the slot
    pub publication: Option<String>,
    /// Connections that read a snapshot at once. Default: 2
    pub parallel: usize,
    /// Snapshot: take the whole table again, as further rows, when this number is another than before. The contract may then
    /// have neither a primary key nor unique columns. Default: 0
    pub refresh: u32,
    /// Dates and timestamps at infinity: `quarantine` (default) gives them to the gate, which sets their rows aside;
    /// `clamp` makes them the first day of year 1 and the last of 9999; `empty` makes them null.
    pub infinity: Infinity,
    /// Cdc: how much of its log the server may keep for the slot, as `10 GiB`. At four fifths of it a run warns. By default
    /// there is no budget.
    pub wal_budget: Option<String>,
    /// Cdc: what to do when the budget is exceeded: `warn` (default) and go on, or `drop` the slot so that the server's disk
    /// is safe, and stop; the table has to be taken again then.
    pub on_wal_budget: OnWalBudget,
    /// Rows in a batch at most. Default: 65536
    pub batch_rows_max: usize,
    /// How long to wait for a server that says nothing, in milliseconds. Default: 60000
    pub timeout_ms: u64,
}

/// The name of each option that has no default.
pub const REQUIRED: [&str; 2] = ["connection", "table"];

impl Default for Options {
    fn default() -> Self {
        Self {
            connection: String::new(),
            table: String::new(),
            mode: Mode::Snapshot,
            cursor: None,
            lookback: None,
            slot: None,
            publication: None,
            parallel: 2,
            refresh: 0,
            infinity: Infinity::Quarantine,
            wal_budget: None,
            on_wal_budget: OnWalBudget::Warn,
            batch_rows_max: 65_536,
            timeout_ms: 60_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Snapshot,
    Incremental,
    Cdc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnWalBudget {
    Warn,
    Drop,
}

/// A span of time or a number.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `1 hour` or a number")]
pub enum Lookback {
    Number(u64),
    Span(String),
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
        let mut refuse = |option: &str, message: &str| faults.push(Fault::new(option, message));
        if let Err(why) = Address::parse(&read.connection) {
            refuse("connection", &format!("`connection` can't be read: {why}"));
        }
        if names(&read.table).is_none() {
            refuse(
                "table",
                "write the table as `orders` or `sales.orders`, and a name with a dot in double quotes: `sales.\"orders.2026\"`",
            );
        }
        if read.mode == Mode::Incremental && read.cursor.is_none() {
            refuse("mode", "`mode: incremental` needs a `cursor`, a column that grows with each change");
        }
        let only = [
            ("cursor", read.cursor.is_some(), Mode::Incremental),
            ("lookback", read.lookback.is_some(), Mode::Incremental),
            ("slot", read.slot.is_some(), Mode::Cdc),
            ("publication", read.publication.is_some(), Mode::Cdc),
            ("wal_budget", read.wal_budget.is_some(), Mode::Cdc),
            ("refresh", read.refresh > 0, Mode::Snapshot),
        ];
        for (option, given, mode) in only {
            if given && mode != read.mode {
                refuse(option, &format!("`{option}` is for `mode: {}`", mode.word()));
            }
        }
        if let Some(Lookback::Span(text)) = &read.lookback
            && span::micros(text).is_none_or(|micros| micros < 0)
        {
            refuse("lookback", &format!("`lookback` is a number or a span of time: {}", span::HOW));
        }
        for (option, name) in [("slot", &read.slot), ("publication", &read.publication)] {
            if name.as_deref().is_some_and(|name| !is_plain(name)) {
                refuse(option, &format!("`{option}` may have a-z, 0-9 and _, at most 63 of them"));
            }
        }
        match read.wal_budget.as_deref().map(bytes) {
            Some(None) => refuse("wal_budget", "write `wal_budget` as `10 GiB` or `500 MiB`"),
            Some(Some(budget)) if budget < WAL_BUDGET_MIN => refuse(
                "wal_budget",
                "`wal_budget` must be at least 32 MiB: the slot of a table that rests moves on every 16 MiB of the server's log only",
            ),
            Some(Some(_)) | None => {}
        }
        for (option, value) in [("batch_rows_max", read.batch_rows_max), ("parallel", read.parallel)] {
            if value == 0 {
                refuse(option, &format!("`{option}` must be at least 1"));
            }
        }
        if read.parallel > PARALLEL_MAX {
            refuse("parallel", "`parallel` is at most 32: each is a connection of the server");
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    /// Schema and name of the table.
    pub fn table(&self) -> (String, String) {
        names(&self.table).unwrap_or_else(|| ("public".to_owned(), self.table.clone()))
    }

    pub fn wal_budget(&self) -> Option<u64> {
        self.wal_budget.as_deref().and_then(bytes)
    }
}

impl Mode {
    pub fn word(self) -> &'static str {
        match self {
            Mode::Snapshot => "snapshot",
            Mode::Incremental => "incremental",
            Mode::Cdc => "cdc",
        }
    }
}

const PARALLEL_MAX: usize = 32;
/// Less would be exceeded, or nearly, by a table that rests.
const WAL_BUDGET_MIN: u64 = 32 << 20;
/// What the server takes as a name.
const NAME_MAX: usize = 63;

fn is_plain(name: &str) -> bool {
    let is_sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(is_sign)
}

/// Schema and name of `orders`, `sales.orders` or `"a schema"."a.table"`. Without quotes a name is taken as it is, in any case.
fn names(text: &str) -> Option<(String, String)> {
    let (first, rest) = name(text)?;
    if rest.is_empty() {
        return Some(("public".to_owned(), first));
    }
    let (second, rest) = name(rest.strip_prefix('.')?)?;
    rest.is_empty().then_some((first, second))
}

/// The name at the start, and what comes behind it.
fn name(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (name, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('"')?;
        name += part;
        match behind.strip_prefix('"') {
            Some(behind) => {
                name.push('"');
                rest = behind;
            }
            None => return (!name.is_empty()).then_some((name, behind)),
        }
    }
}

/// A table as `table:` names it.
pub fn written(schema: &str, table: &str) -> String {
    let own = |name: &str| match name.contains(['.', '"']) {
        true => super::client::quoted(name),
        false => name.to_owned(),
    };
    match schema {
        "public" => own(table),
        _ => format!("{}.{}", own(schema), own(table)),
    }
}

/// The name of a slot or publication that was not given one.
pub fn by_default(project: &str, database: &str, source: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let whole = format!("lavra_{project}_{database}_{source}");
    let mut name: String = whole.chars().map(sign).collect();
    if name.len() > NAME_MAX {
        // What is cut off would have told it from others.
        let rest = format!("_{:08x}", twox_hash::XxHash32::oneshot(0, whole.as_bytes()));
        name.truncate(NAME_MAX - rest.len());
        name += &rest;
    }
    name
}

/// `10 GiB`, `500 MiB`, `1 TiB`, in bytes.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let power = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "kib" | "kb" => 10,
        "mib" | "mb" => 20,
        "gib" | "gb" => 30,
        "tib" | "tb" => 40,
        _ => return None,
    };
    number.checked_mul(1 << power).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(more: Value) -> Vec<String> {
        let mut options = json!({ "connection": "postgres://a:b@c/d", "table": "orders" });
        let (all, more) = (options.as_object_mut().expect("fields"), more.as_object().cloned().expect("fields"));
        all.extend(more);
        let faults = Options::check(&options).err().unwrap_or_default();
        faults.into_iter().map(|fault| format!("{}: {}", fault.option, fault.message)).collect()
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        assert_eq!(told(json!({})), Vec::<String>::new());
        let good = json!({ "mode": "cdc", "wal_budget": "10 GiB", "slot": "orders_1", "on_wal_budget": "drop" });
        assert_eq!(told(good), Vec::<String>::new());
        let faults = told(json!({
            "connection": "db", "table": "a.b.c", "cursor": "at", "slot": "Ä", "parallel": 0, "wal_budget": "much"
        }));
        assert_eq!(faults.len(), 8, "{faults:?}");
        assert_eq!(told(json!({ "mode": "cdc", "wal_budget": "32 MiB" })), Vec::<String>::new());
        assert!(
            told(json!({ "mode": "cdc", "wal_budget": "31 MiB" }))[0]
                .contains("wal_budget: `wal_budget` must be at least 32 MiB")
        );
        assert!(told(json!({ "mode": "incremental" }))[0].contains("needs a `cursor`"));
        assert!(told(json!({ "mode": "incremental", "cursor": "at", "lookback": "soon" }))[0].contains("lookback"));
        assert!(told(json!({ "mode": "cdcs" }))[0].contains("mode"));
    }

    #[test]
    fn a_name_with_a_dot_stands_in_quotes() {
        let own = |schema: &str, table: &str| Some((schema.to_owned(), table.to_owned()));
        assert_eq!(names("orders"), own("public", "orders"));
        assert_eq!(names("sales.Odd Name"), own("sales", "Odd Name"));
        for (schema, table) in [("public", "Odd Name.x"), ("a.b", "c\"d"), ("public", "plain"), ("s", "t"), ("s", "\"")]
        {
            assert_eq!(names(&written(schema, table)), own(schema, table));
        }
        assert_eq!(written("public", "Odd Name.x"), "\"Odd Name.x\"");
        for bad in ["", ".", "a.", ".a", "a.b.c", "\"a", "\"\"", "\"a\"b", "a.\"b\".c"] {
            assert_eq!(names(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_and_sizes_are_what_they_say() {
        assert_eq!(
            (bytes("10 GiB"), bytes("1kb"), bytes("0 MB"), bytes("7")),
            (Some(10 << 30), Some(1024), None, None)
        );
        assert_eq!(by_default("shop_local", "erp", "Sales-2026.x"), "lavra_shop_local_erp_sales_2026_x");
        let long = |source: &str| by_default("a_company_with_a_long_name_production", "warehouse", source);
        assert_ne!(long("a_source_with_a_long_name_1"), long("a_source_with_a_long_name_2"));
        assert!(is_plain(&long("a_source_with_a_long_name_1")));
    }
}

//! Databases of a PostgreSQL server, and what a change log says a table is.

use super::{Own, Server, server, unique};
use crate::harness::Project;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// A database that is made for one test. It goes with the value, and its slots with it.
pub struct Database {
    pub name: String,
    server: Server,
    _own: Option<Own>,
}

impl Database {
    pub fn new() -> Self {
        Self::on(server("postgres"), None)
    }

    /// On a server of its own.
    pub fn alone() -> Self {
        let own = Own::start("postgres");
        Self::on(own.server.clone(), Some(own))
    }

    fn on(server: Server, own: Option<Own>) -> Self {
        let database = Self { name: unique("lavra").replace('-', "_"), server, _own: own };
        database.ask("postgres", &format!("create database {}", database.name));
        database
    }

    /// What a source says of the connection, with a password.
    pub fn url(&self, user: &str, password: &str) -> String {
        format!("postgres://{user}:{password}@{}/{}", self.server.address(), self.name)
    }

    /// Of the superuser.
    pub fn own_url(&self) -> String {
        self.url("postgres", "postgres")
    }

    pub fn port(&self) -> &str {
        self.server.address().rsplit(':').next().expect("a port")
    }

    /// What SQL gives, as lines of unaligned text.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.ask(&self.name, sql)
    }

    #[track_caller]
    fn ask(&self, database: &str, sql: &str) -> String {
        let mut command = self.psql(database);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql");
        let mut input = child.stdin.take().expect("its input");
        let text = sql.to_owned();
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = child.wait_with_output().expect("its end");
        writer.join().expect("a writer").expect("all of the SQL");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("ERROR"), "psql: {said}\n{}", &sql[..sql.len().min(500)]);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A psql that reads its standard input.
    pub fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command.args(["-h", "127.0.0.1", "-p", self.port(), "-U", "postgres", "-d", database, "-qAtX"]);
        command.args(["-v", "ON_ERROR_STOP=1"]).env("PGPASSWORD", "postgres");
        command
    }

    /// A source of the project.
    pub fn source(&self, project: &Project, name: &str, options: &[&str]) {
        let more: String = options.iter().map(|option| format!("{option}\n")).collect();
        let text = format!("connector: postgres\nconnection: {}\n{more}", self.own_url());
        project.write(&format!("sources/{name}.yaml"), text);
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let name = &self.name;
        self.ask(
            "postgres",
            &format!(
                "select pg_terminate_backend(active_pid) from pg_replication_slots where database = '{name}' and active;
                 select pg_sleep(0.3);
                 select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = '{name}';
                 drop database {name} with (force)"
            ),
        );
    }
}

/// A row without what the gate stamps on it.
pub type Row = Map<String, Value>;

/// The table that a change log tells of, by its key: rows that were read first, then every change in its order. What was not
/// sent stays what it was.
pub fn replayed(project: &Project, table: &str, key: &str, columns: &str) -> BTreeMap<String, Row> {
    let sql = format!(
        "select {columns}, _op, _unchanged, _position['offset'] as place, _position['partition'] as part from {table}"
    );
    let mut log = project.rows(&sql);
    log.sort_by_key(|row| (row["_op"] != "r", row["place"].as_i64()));
    let mut state: BTreeMap<String, Row> = BTreeMap::new();
    for change in log {
        let Value::Object(mut change) = change else { panic!("a row is an object") };
        let (op, unchanged) = (change.remove("_op").expect("an op"), change.remove("_unchanged").expect("a list"));
        let _ = (change.remove("place"), change.remove("part"));
        let id = change[key].to_string();
        match op.as_str() {
            Some("t") => state.clear(),
            Some("d") => drop(state.remove(&id)),
            _ => {
                let unchanged: Vec<&str> =
                    unchanged.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let before = state.remove(&id).unwrap_or_default();
                for (name, value) in &mut change {
                    if unchanged.contains(&name.as_str()) {
                        *value = before.get(name).cloned().unwrap_or(Value::Null);
                    }
                }
                state.insert(id, change);
            }
        }
    }
    state
}

/// The same of the database: `select` gives each row as JSON.
pub fn expected(database: &Database, key: &str, select: &str) -> BTreeMap<String, Row> {
    let lines = database.sql(&format!("select row_to_json(t) from ({select}) t"));
    let read = |line: &str| match serde_json::from_str(line).expect("JSON") {
        Value::Object(row) => row,
        other => panic!("a row is an object: {other}"),
    };
    lines.lines().map(read).map(|row: Row| (row[key].to_string(), row)).collect()
}

// ---- a table of orders, and a project that takes it

pub const ORDERS: &str = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: note, logicalType: string }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }";

pub const CREATE: &str = "create table orders (id bigint primary key, amount numeric(12,2), note text, at timestamptz)";

/// What is compared: exact text of all, and a hash of what is large.
const KEPT: &str = "id, cast(amount as varchar) as amount, md5(note) as note, cast(at as varchar) as at";
const THERE: &str = "select id, amount::text, md5(note) as note, to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') || 'Z' as at \
                     from orders";

pub fn project(database: &Database, options: &[&str]) -> Project {
    let project = Project::new("shop");
    database.source(&project, "orders", &[&["table: orders"], options].concat());
    project.contract("orders", ORDERS, &[]);
    project
}

pub fn fill(database: &Database, from: u32, to: u32) {
    database.sql(&format!(
        "insert into orders select n, n * 1.01, 'note ' || n, '2026-07-01 12:00+00'::timestamptz + n * interval '1 second' \
         from generate_series({from}, {to}) n"
    ));
}

#[track_caller]
pub fn is_same(project: &Project, database: &Database) {
    let (found, wanted) = (replayed(project, "bronze.orders", "id", KEPT), expected(database, "id", THERE));
    let differs = wanted.iter().find(|(id, row)| found.get(*id) != Some(row));
    assert_eq!(
        differs.map(|(id, row)| (id, row, found.get(id))),
        None,
        "a row of the database is another one in the lake"
    );
    assert_eq!(found.len(), wanted.len(), "rows of the lake that the database does not have");
}

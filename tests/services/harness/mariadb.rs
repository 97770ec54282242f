//! A database of its own on MariaDB, and writers that never stop.

use super::{Server, server, unique};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

pub struct Database {
    pub name: String,
    server: Server,
}

impl Database {
    pub fn new(name: &str) -> Self {
        Self::on(&server("mariadb"), name)
    }

    pub fn on(server: &Server, name: &str) -> Self {
        let database = Self { name: unique(name).replace('-', "_"), server: server.clone() };
        database.admin(&format!("CREATE DATABASE {} CHARACTER SET utf8mb4", database.name));
        database
    }

    /// As an option of a source.
    pub fn url(&self) -> String {
        format!("mysql://root:root@{}/{}", self.server.address(), self.name)
    }

    fn client(&self, database: &str) -> Command {
        let (host, port) = self.server.address().split_once(':').expect("host and port");
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--protocol=tcp", "--default-character-set=utf8mb4", "-N", "-B", "--raw"]);
        command.args(["-h", host, "-P", port, "-u", "root", "-proot", database]);
        command
    }

    fn call(&self, database: &str, sql: &str) -> String {
        let output = self.client(database).args(["-e", sql]).output().expect("the client `mariadb`");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Statements of the server, not of the database.
    pub fn admin(&self, sql: &str) -> String {
        self.call("mysql", sql)
    }

    pub fn sql(&self, sql: &str) -> String {
        self.call(&self.name, sql)
    }

    /// Rows as the client prints them, sorted.
    pub fn lines(&self, sql: &str) -> Vec<String> {
        let mut lines: Vec<String> = self.sql(sql).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Runs transactions one after another, each made by `next` of its number, until it is stopped.
    pub fn writer(&self, next: impl Fn(u64) -> String + Send + 'static) -> Writer {
        let mut client =
            self.client(&self.name).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the client `mariadb`");
        let mut input = client.stdin.take().expect("its input");
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, count) = (stop.clone(), written.clone());
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                let number = count.fetch_add(1, Ordering::SeqCst);
                writeln!(input, "{}", next(number)).expect("a client that takes it");
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
        Writer { stop, written, thread: Some(thread), client }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A connection whose runtime is busy with this can't end before it: it must not be waited for.
        let sql = format!("SET lock_wait_timeout = 1; DROP DATABASE {}", self.name);
        let _ = self.client("mysql").args(["-e", &sql]).output();
    }
}

pub struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    client: Child,
}

impl Writer {
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// All that was written is committed then.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a writer without a fault");
            assert!(self.client.wait().expect("its end").success(), "every statement was taken");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

// ---- a table of accounts

pub const ACCOUNT: &str = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: name, logicalType: string }
    { name: amount, logicalType: number, physicalType: 'decimal(20,2)' }
    { name: n, logicalType: integer, physicalType: int }";

pub fn accounts(database: &Database, rows: u64) {
    database.sql("CREATE TABLE accounts (id BIGINT PRIMARY KEY, name VARCHAR(60), amount DECIMAL(20,2), n INT); CREATE TABLE other (n BIGINT)");
    let row = |id: u64| format!("({}, 'old {id}', {id}.75, {id})", 1_000_000 + id);
    for part in (0..rows).collect::<Vec<_>>().chunks(2000) {
        let all: Vec<String> = part.iter().map(|id| row(*id)).collect();
        database.sql(&format!("INSERT INTO accounts VALUES {}", all.join(", ")));
    }
}

//! A project in a temporary folder, and the real binary at work in it.

use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No command of a journey has so much to do; one that hangs must not take the others with it.
const LONGEST: Duration = Duration::from_secs(180);

/// The `lavra` under test: of the same build as this test, or the one that `LAVRA_BIN` names.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let own = std::env::current_exe().expect("this test's program");
        let built = own.ancestors().nth(2).expect("target/debug").join("lavra");
        let binary = std::env::var_os("LAVRA_BIN").map_or(built, PathBuf::from);
        let help = "build it with `cargo build --workspace --bins`, or name another one in LAVRA_BIN";
        assert!(binary.is_file(), "{} is missing: {help}", binary.display());
        binary
    })
}

/// A project's folder; it goes with the value.
pub struct Project {
    folder: PathBuf,
    _temp: TempDir,
}

impl Project {
    /// What `lavra init NAME` makes.
    pub fn new(name: &str) -> Self {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(binary());
        command.current_dir(temp.path()).args(["init", name]);
        Call { command, stdin: Vec::new() }.done().exits(0);
        Self { folder: temp.path().join(name), _temp: temp }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the file's folder");
        std::fs::write(path, content).expect("the file");
        self
    }

    /// Makes a file old: of a young one, a line without an end may still be written on.
    pub fn age(&self, path: &str) -> &Self {
        let file = std::fs::File::options().write(true).open(self.path(path)).expect("the file");
        let modified = file.metadata().and_then(|data| data.modified()).expect("its time");
        file.set_modified(modified - Duration::from_secs(60)).expect("an older file");
        self
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).expect("a text file")
    }

    /// `sources/NAME.yaml` for files, with further options, each a line.
    pub fn source(&self, name: &str, path: &str, options: &[&str]) -> &Self {
        let more: String = options.iter().map(|option| format!("{option}\n")).collect();
        self.write(&format!("sources/{name}.yaml"), format!("connector: files\npath: {path}\n{more}"))
    }

    /// `contracts/NAME.yaml`: its columns, and its policies.
    pub fn contract(&self, name: &str, columns: &str, policies: &[(&str, &str)]) -> &Self {
        self.write(&format!("contracts/{name}.yaml"), contract(name, columns, policies))
    }

    /// `models/LAYER/TABLE.sql`
    pub fn model(&self, table: &str, text: &str) -> &Self {
        self.write(&format!("models/{}.sql", table.replace('.', "/")), text)
    }

    /// A command that is not started yet.
    pub fn call(&self, args: &[&str]) -> Call {
        let mut command = Command::new(binary());
        command.current_dir(&self.folder).args(args).env_remove("LAVRA_ENV").env_remove("RUST_LOG");
        Call { command, stdin: Vec::new() }
    }

    pub fn lavra(&self, args: &[&str]) -> Answer {
        self.call(args).done()
    }

    /// `lavra run`, with its document; `args` are selectors and options.
    pub fn run_with(&self, args: &[&str]) -> Answer {
        self.lavra(&[&["run", "--quiet", "--format", "json"], args].concat())
    }

    /// A whole run that must succeed.
    pub fn run(&self) -> Value {
        self.run_with(&[]).exits(0).json()
    }

    /// A query's rows.
    pub fn rows(&self, sql: &str) -> Vec<Value> {
        match self.lavra(&["query", "--format", "json", sql]).exits(0).json() {
            Value::Array(rows) => rows,
            other => panic!("`{sql}` gives no list of rows: {other}"),
        }
    }

    /// A query's only value.
    pub fn value(&self, sql: &str) -> Value {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "`{sql}` gives one row: {rows:?}");
        rows[0].as_object().and_then(|row| row.values().next()).cloned().unwrap_or_default()
    }

    pub fn count(&self, table: &str) -> u64 {
        self.value(&format!("select count(*) from {table}")).as_u64().expect("a count")
    }

    /// A query's rows as CSV prints them, sorted: the exact text of decimals and times.
    pub fn lines(&self, sql: &str) -> Vec<String> {
        let answer = self.lavra(&["query", "--format", "csv", sql]).exits(0);
        let mut lines: Vec<String> = answer.stdout.lines().skip(1).map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// A table's version.
    pub fn version(&self, table: &str) -> u64 {
        let history = self.lavra(&["history", table, "--limit", "1", "--format", "json"]).exits(0).json();
        history[0]["version"].as_u64().unwrap_or_else(|| panic!("{table} has a version: {history}"))
    }

    /// Every file under a folder of the project, with its content.
    pub fn files_below(&self, path: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        walk(&self.path(path), &mut found);
        found.sort();
        found
    }

    /// Runs `command` by a shell in the project's folder, with the binary as `$LAVRA`.
    pub fn shell(&self, script: &str) -> Answer {
        let mut command = Command::new("bash");
        command.current_dir(&self.folder).args(["-c", script]).env("LAVRA", binary());
        Call { command, stdin: Vec::new() }.done()
    }
}

/// An ODCS contract of one table: a column starts on each line that opens with `{`.
pub fn contract(name: &str, columns: &str, policies: &[(&str, &str)]) -> String {
    let head = format!("apiVersion: v3.1.0\nkind: DataContract\nid: {name}\nversion: 1.0.0\nstatus: active\n");
    let mut text = format!("{head}schema:\n  - name: {name}\n    properties:\n");
    for column in columns.lines().map(str::trim).filter(|column| !column.is_empty()) {
        let sign = if column.starts_with('{') { "-" } else { " " };
        text.push_str(&format!("      {sign} {column}\n"));
    }
    if !policies.is_empty() {
        text.push_str("customProperties:\n");
    }
    for (property, value) in policies {
        text.push_str(&format!("  - {{ property: {property}, value: {value} }}\n"));
    }
    text
}

fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if let Ok(content) = std::fs::read(&path) {
            found.push((path, content));
        }
    }
}

/// A command with what it gets.
pub struct Call {
    pub command: Command,
    stdin: Vec<u8>,
}

impl Call {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.into();
        self
    }

    /// Starts it and looks no further.
    pub fn start(&mut self) -> Child {
        let piped = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("a started process");
        let mut input = child.stdin.take().expect("its input");
        // A process that does not read its input may be gone already.
        let _ = input.write_all(&self.stdin);
        child
    }

    /// Starts it and waits for its end.
    pub fn done(mut self) -> Answer {
        let what = format!("{:?}", self.command);
        let output = finish(self.start(), &what);
        Answer::of(what, &output)
    }
}

/// Waits for a process and reads all that it says meanwhile.
pub fn finish(mut child: Child, what: &str) -> Output {
    let stdout = collect(child.stdout.take().expect("its stdout"));
    let stderr = collect(child.stderr.take().expect("its stderr"));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            break status;
        }
        if start.elapsed() > LONGEST {
            child.kill().expect("an end");
            panic!("{what} did not end within {LONGEST:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Output { status, stdout: stdout.join().expect("stdout"), stderr: stderr.join().expect("stderr") }
}

fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("what it says");
        bytes
    })
}

/// The most memory that a command held, as the operating system counts it, without its own program and without what the
/// allocator keeps for each thread that once had something.
pub fn peak(project: &Project, args: &[&str]) -> u64 {
    let mut child = project.call(args).env("MALLOC_ARENA_MAX", "1").start();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("a child to wait for").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default() << 10);
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = finish(child, "a run whose memory is measured");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    peak
}

/// What became of a command.
#[derive(Debug)]
pub struct Answer {
    pub what: String,
    /// None after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn of(what: String, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { what, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    fn shown(&self) -> String {
        format!("{}\n-- stdout\n{}\n-- stderr\n{}", self.what, self.stdout, self.stderr)
    }

    /// The exit code must be this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code of {}", self.shown());
        self
    }

    /// It must say this, on stdout or on stderr.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "`{text}` is not said by {}", self.shown());
        self
    }

    /// Stdout must be one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(document) => document,
            Err(e) => panic!("stdout is not one JSON document ({e}): {}", self.shown()),
        }
    }
}

/// A node of a run's document.
#[track_caller]
pub fn node<'a>(run: &'a Value, name: &str) -> &'a Value {
    let nodes = run["nodes"].as_array().unwrap_or_else(|| panic!("a run has nodes: {run}"));
    nodes.iter().find(|node| node["node"] == name).unwrap_or_else(|| panic!("`{name}` was run: {run}"))
}

/// The status of each node of a run, in its order.
pub fn statuses(run: &Value) -> Vec<(&str, &str)> {
    let nodes = run["nodes"].as_array().unwrap_or_else(|| panic!("a run has nodes: {run}"));
    nodes
        .iter()
        .map(|node| (node["node"].as_str().unwrap_or_default(), node["status"].as_str().unwrap_or_default()))
        .collect()
}

pub fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes.as_ref()).expect("compressed");
    encoder.finish().expect("compressed")
}

//! The connection on which PostgreSQL's changes come: what it asks for, and whom it trusts. Needs: postgres.

use super::harness::opened::{entity, open, opening, rows, text};
use super::harness::postgres::{CREATE, Database, fill};
use super::harness::{sized, state_of};
use kernel::source::Source;
use kernel::{Kind, Point, Positions, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A table that was read, and a way to its changes.
struct Followed {
    database: Database,
    runtime: Runtime,
    from: Positions,
    folder: tempfile::TempDir,
    patience: Duration,
}

impl Followed {
    fn new() -> Self {
        let database = Database::new();
        database.sql(CREATE);
        fill(&database, 1, 3);
        let (runtime, folder) = (Runtime::new().expect("a runtime"), tempfile::tempdir().expect("a folder"));
        let patience = Duration::from_secs(60);
        let mut followed = Self { database, runtime, from: Positions::new(), folder, patience };
        let mut source = followed.open("127.0.0.1", "sslmode=prefer");
        while let Some(pulled) = followed.runtime.block_on(source.next(1 << 20)).expect("rows") {
            followed.from.advance(&pulled.upto);
        }
        followed
    }

    fn open(&self, host: &str, parameters: &str) -> Box<dyn Source> {
        let (port, name) = (self.database.port(), &self.database.name);
        let url = format!("postgres://postgres:postgres@{host}:{port}/{name}?{parameters}");
        let options = json!({ "connection": url, "table": "orders", "mode": "cdc", "timeout_ms": self.patience.as_millis() as u64 });
        self.runtime.block_on(open("postgres", &options, &entity(&[], &[]), self.from.clone()))
    }

    /// The numbers of the rows that come next, be it behind batches that only move the position.
    fn next(&mut self, source: &mut Box<dyn Source>) -> Result<Vec<String>> {
        loop {
            let pulled = self.runtime.block_on(source.next(1 << 20))?.expect("rows");
            self.from.advance(&pulled.upto);
            if pulled.rows.num_rows() > 0 {
                let batch = rows(pulled);
                return Ok((0..batch.num_rows()).map(|row| text(&batch, "id", row)).collect());
            }
        }
    }

    /// The fields of the position of the stream.
    fn position(&self) -> Value {
        match self.from.get("public.orders changes").expect("a position") {
            Point::Mark { token, .. } => serde_json::from_str(token).expect("JSON"),
            other => panic!("another connector's: {other:?}"),
        }
    }

    /// Sets a field of it.
    fn put(&mut self, field: &str, value: Value) {
        let mut position = self.position();
        position[field] = value;
        let point = Point::Mark { rows: 3, token: position.to_string(), done: false };
        self.from.set("public.orders changes", point);
    }

    /// What the server says of the stream that is open.
    fn seen(&self, what: &str) -> String {
        self.database.sql(&format!(
            "select {what} from pg_replication_slots s join pg_stat_activity a on a.pid = s.active_pid
             join pg_stat_ssl l on l.pid = a.pid join pg_stat_replication r on r.pid = a.pid where s.database = current_database()"
        ))
    }

    fn roots(&self) -> PathBuf {
        self.folder.path().join("roots.pem")
    }
}

fn authority() -> PathBuf {
    state_of("postgres").join("ca.crt")
}

/// Another one who signs.
fn stranger(at: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=Somebody else"]);
    let done = openssl.arg("-keyout").arg(at.with_extension("key")).arg("-out").arg(at).output().expect("openssl");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn changes_are_asked_for_once_they_are_committed_by_the_newest_version_there_is() {
    let mut followed = Followed::new();
    fill(&followed.database, 4, 5);
    let mut source = followed.open("127.0.0.1", "sslmode=prefer");
    assert_eq!(followed.next(&mut source).expect("changes"), ["4", "5"]);
    let version = match followed.database.sql("select current_setting('server_version_num')::int / 10000").as_str() {
        "14" => 2,
        "15" => 3,
        _ => 4,
    };
    let asked = followed.seen("a.query");
    assert!(asked.contains(&format!("proto_version '{version}'")) && asked.contains("streaming 'off'"), "{asked}");
    // Not of the year 2000: who looks at the server sees when it heard of us.
    assert_eq!(followed.seen("abs(extract(epoch from now() - r.reply_time)) < 300, r.application_name"), "t|lavra");
    drop(source);
    let held = "select bool_or(active) from pg_replication_slots where database = current_database()";
    let mut tries = 0;
    while followed.database.sql(held) == "t" {
        tries += 1;
        assert!(tries < 50, "who goes lets go of the slot");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_stream_checks_the_certificate_as_it_is_asked_to() {
    let mut followed = Followed::new();
    std::fs::copy(authority(), followed.roots()).expect("the roots");
    let roots = format!("sslrootcert={}", followed.roots().display());
    // The certificate is that of `localhost`.
    let ways = [
        ("127.0.0.1", "sslmode=disable".to_owned(), "f"),
        ("127.0.0.1", "sslmode=prefer".to_owned(), "t"),
        ("127.0.0.1", "sslmode=require".to_owned(), "t"),
        ("127.0.0.1", format!("sslmode=verify-ca&{roots}"), "t"),
        ("localhost", format!("sslmode=verify-full&{roots}"), "t"),
    ];
    for (number, (host, parameters, encrypted)) in (10..).zip(&ways) {
        fill(&followed.database, number, number);
        let mut source = followed.open(host, parameters);
        assert_eq!(followed.next(&mut source).expect(parameters), [number.to_string()], "{parameters}");
        assert_eq!(followed.seen("l.ssl"), *encrypted, "{parameters}");
    }
    for (host, parameters, _) in &ways[3..] {
        std::fs::copy(authority(), followed.roots()).expect("the roots");
        let mut source = followed.open(host, parameters);
        // The stream has a connection of its own, which is made now.
        stranger(&followed.roots());
        fill(&followed.database, 100, 100);
        let told = followed.next(&mut source).expect_err("signed by somebody else");
        assert!(told.kind == Kind::Refused && told.to_string().contains("sslrootcert"), "{parameters}: {told}");
        followed.database.sql("delete from orders where id = 100");
    }
}

/// As long as it hears of us, the server looks through the log of others without a word, if it is not asked for one. What it has
/// looked through, the next run does not ask for again.
#[test]
fn a_server_that_looks_through_what_is_not_for_us_is_waited_for() {
    let mut followed = Followed::new();
    followed.database.sql("create table other (n bigint, text text)");
    for _ in 0..sized(150, 600) {
        followed.database.sql("insert into other select n, md5(n::text) from generate_series(1, 20000) n");
    }
    fill(&followed.database, 10, 10);
    followed.patience = Duration::from_millis(500);
    let mut source = followed.open("127.0.0.1", "sslmode=prefer");
    let start = Instant::now();
    let before = followed.position()["lsn"].as_u64().expect("a place");
    let first = followed.runtime.block_on(source.next(1 << 20)).expect("a call that ends").expect("a batch");
    followed.from.advance(&first.upto);
    let reached = followed.position()["lsn"].as_u64().expect("a place");
    assert_eq!(first.rows.num_rows(), 0, "the change is far behind");
    assert!(first.whole && reached >= before + (64 << 20), "from {before} to {reached}");
    drop(source);
    let mut source = followed.open("127.0.0.1", "sslmode=prefer");
    assert_eq!(followed.next(&mut source).expect("the change behind it"), ["10"]);
    println!("{:?} of silence but for answers", start.elapsed());
    assert!(start.elapsed() > followed.patience, "it took longer than a silent server is waited for");
    let asked = followed.seen("a.query");
    assert!(asked.contains(&format!(" LOGICAL {:X}/{:X} ", reached >> 32, reached & 0xFFFF_FFFF)), "{asked}");
}

/// In the middle of a transaction it reads what we say only when half of its own time-out is over, and operators raise that for
/// just such transactions.
#[test]
fn a_server_that_waits_long_for_its_clients_is_waited_for_in_a_large_transaction_of_others() {
    let mut followed = Followed::new();
    followed.database.sql(&format!(
        "alter database {} set wal_sender_timeout = '10min'; create table other (n bigint, text text);
         insert into other select n, md5(n::text) from generate_series(1, {}) n",
        followed.database.name,
        sized(3_000_000, 12_000_000)
    ));
    fill(&followed.database, 10, 10);
    followed.patience = Duration::from_secs(2);
    let mut source = followed.open("127.0.0.1", "sslmode=prefer");
    let start = Instant::now();
    assert_eq!(followed.next(&mut source).expect("the change behind it"), ["10"]);
    println!("{:?} of silence but for answers", start.elapsed());
    assert!(start.elapsed() > followed.patience, "it took longer than a silent server is waited for");
}

#[test]
fn a_position_of_another_history_is_not_gone_on_behind() {
    let mut followed = Followed::new();
    let url = format!("postgres://postgres:postgres@127.0.0.1:{}/{}", followed.database.port(), followed.database.name);
    let options = json!({ "connection": url, "table": "orders", "mode": "cdc" });
    let written = followed.from.clone();
    assert_eq!(followed.position()["history"]["timeline"], 1, "with the first position");
    let told = |followed: &Followed| {
        let opening = opening(&options, &entity(&[], &[]), followed.from.clone());
        let spec = connect::by_name("postgres").expect("the connector");
        let told = followed.runtime.block_on(async { spec.open(opening).await?.next(1 << 20).await.map(drop) });
        told.expect_err("an error").to_string()
    };
    fill(&followed.database, 10, 10);
    let other = json!({ "system": 7, "timeline": 1 });
    followed.put("history", other);
    let error = told(&followed);
    assert!(error.contains("system identifier") && error.contains("taken anew"), "{error}");
    followed.from = written.clone();
    let later = json!({ "system": followed.position()["history"]["system"], "timeline": 2 });
    followed.put("history", later);
    let error = told(&followed);
    assert!(error.contains("on timeline 1") && error.contains("of timeline 2"), "{error}");
    followed.from = written;
    followed.put("lsn", json!(1_u64 << 50));
    let error = told(&followed);
    assert!(error.contains("went back") && error.contains("taken anew"), "{error}");
}

/// Positions of before do not tell whose they are; they do from the next run on.
#[test]
fn a_position_that_was_written_without_its_history_is_gone_on_behind() {
    let mut followed = Followed::new();
    let history = followed.position()["history"].clone();
    followed.put("history", Value::Null);
    let mut source = followed.open("127.0.0.1", "sslmode=prefer");
    let pulled = followed.runtime.block_on(source.next(1 << 20)).expect("a call").expect("a batch");
    followed.from.advance(&pulled.upto);
    assert_eq!((pulled.rows.num_rows(), &followed.position()["history"]), (0, &history));
    fill(&followed.database, 10, 10);
    assert_eq!(followed.next(&mut source).expect("changes"), ["10"]);
}

#[test]
fn a_server_that_waits_for_its_taker_hears_that_it_lives() {
    let mut followed = Followed::new();
    let rows = 40_000;
    // Far more than is read ahead, and a server that soon takes whom it does not hear of for dead.
    followed.database.sql(&format!(
        "alter database {} set wal_sender_timeout = '3s';
         insert into orders select n, n, repeat(md5(n::text), 32), null from generate_series(100, 99 + {rows}) n",
        followed.database.name
    ));
    let mut source = followed.open("127.0.0.1", "sslmode=prefer");
    let mut seen = followed.next(&mut source).expect("the first of them").len();
    let process = followed.seen("a.pid");
    std::thread::sleep(Duration::from_secs(8));
    assert!(seen < rows, "there are more");
    while seen < rows {
        seen += followed.next(&mut source).expect("more of them").len();
    }
    assert_eq!((seen, followed.seen("a.pid")), (rows, process), "each once, by one stream");
}

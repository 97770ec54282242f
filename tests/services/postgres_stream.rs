//! The connection on which PostgreSQL's changes come: what it asks for, and whom it trusts. Needs: postgres.

use super::harness::opened::{entity, open, rows, text};
use super::harness::postgres::{CREATE, Database, fill};
use super::harness::{sized, state_of};
use kernel::source::Source;
use kernel::{Kind, Positions, Result};
use serde_json::json;
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

    /// The numbers of the rows that come next.
    fn next(&mut self, source: &mut Box<dyn Source>) -> Result<Vec<String>> {
        let pulled = self.runtime.block_on(source.next(1 << 20))?.expect("rows");
        self.from.advance(&pulled.upto);
        let batch = rows(pulled);
        Ok((0..batch.num_rows()).map(|row| text(&batch, "id", row)).collect())
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

/// As long as it hears of us, the server looks through the log of others without a word, if it is not asked for one.
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
    assert_eq!(followed.next(&mut source).expect("the change behind it"), ["10"]);
    println!("{:?} of silence but for answers", start.elapsed());
    assert!(start.elapsed() > followed.patience, "it took longer than a silent server is waited for");
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

use super::*;
use kernel::Kind;
use std::fs;
use std::time::Duration;
use tempfile::{TempDir, tempdir};

async fn ledger() -> (TempDir, SqliteLedger) {
    let folder = tempdir().expect("a folder");
    let ledger = SqliteLedger::open(folder.path().join("state/ledger.db")).await.expect("a new ledger");
    (folder, ledger)
}

async fn version(ledger: &SqliteLedger, key: &str) -> u64 {
    ledger.get(key).await.expect("a read").expect("a value").version
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_obeys_the_laws_of_ledgers() {
    let folder = tempdir().expect("a folder");
    let open = async || {
        let ledger = SqliteLedger::open(folder.path().join("ledger.db")).await.expect("a ledger");
        let ledger: Box<dyn Ledger> = Box::new(ledger);
        ledger
    };
    kernel::laws::ledger::obeys(open).await;
}

#[tokio::test]
async fn a_value_is_replaced_only_under_its_version() {
    let (_folder, ledger) = ledger().await;
    assert_eq!(ledger.get("lease/a").await.expect("a read"), None);
    assert!(ledger.swap("lease/a", None, "1").await.expect("a write"));
    assert!(!ledger.swap("lease/a", None, "2").await.expect("a write"));
    let first = version(&ledger, "lease/a").await;
    assert!(!ledger.swap("lease/a", Some(first + 1), "2").await.expect("a write"));
    assert!(!ledger.swap("lease/a", Some(u64::MAX), "2").await.expect("a write"));
    assert!(!ledger.swap("lease/b", Some(first), "2").await.expect("a write"));
    assert!(ledger.swap("lease/a", Some(first), "2").await.expect("a write"));
    let entry = ledger.get("lease/a").await.expect("a read").expect("a value");
    assert_eq!(entry.value, "2");
    assert!(entry.version > first);
}

#[tokio::test]
async fn versions_only_grow_also_over_a_remove() {
    let (folder, ledger) = ledger().await;
    assert!(ledger.swap("a", None, "1").await.expect("a write"));
    let before = version(&ledger, "a").await;
    assert!(!ledger.remove("a", before + 1).await.expect("a remove"));
    assert!(ledger.remove("a", before).await.expect("a remove"));
    assert!(!ledger.remove("a", before).await.expect("a remove"));
    assert!(!ledger.swap("a", Some(before), "2").await.expect("a write"));
    drop(ledger);
    let again = SqliteLedger::open(folder.path().join("state/ledger.db")).await.expect("the same ledger");
    assert!(again.swap("a", None, "2").await.expect("a write"));
    assert!(version(&again, "a").await > before);
}

#[tokio::test]
async fn keys_are_listed_by_prefix_in_order() {
    let (_folder, ledger) = ledger().await;
    for key in ["run/2", "run/10", "run", "run/é", "run/\u{10ffff}x", "runs", "run%", "run_2", "RUN/3", "lease/1"] {
        assert!(ledger.swap(key, None, key).await.expect("a write"));
    }
    let listed = ledger.list("run/").await.expect("a list");
    let keys: Vec<&str> = listed.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["run/10", "run/2", "run/é", "run/\u{10ffff}x"]);
    assert!(listed.iter().all(|(key, entry)| *key == entry.value && entry.version > 0));
    assert_eq!(ledger.list("").await.expect("a list").len(), 10);
    assert_eq!(ledger.list("nobody").await.expect("a list"), []);
}

/// Two handles are two connections, as two processes have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_swap_at_once_each_count_is_kept() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let path = path.clone();
        writers.spawn(async move {
            let ledger = SqliteLedger::open(path).await.expect("a ledger that others open too");
            for _ in 0..25 {
                count(&ledger).await;
            }
        });
    }
    while let Some(joined) = writers.join_next().await {
        joined.expect("no writer fails");
    }
    let ledger = SqliteLedger::open(path).await.expect("the ledger");
    assert_eq!(ledger.get("count").await.expect("a read").map(|entry| entry.value), Some("100".into()));
}

async fn count(ledger: &SqliteLedger) {
    loop {
        let entry = ledger.get("count").await.expect("a read");
        let (version, count) = entry.map_or((None, 0), |e| (Some(e.version), e.value.parse().expect("a count")));
        if ledger.swap("count", version, &(count + 1_u32).to_string()).await.expect("a write") {
            return;
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_told() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    fs::write(&path, "id;name\n".repeat(1_000)).expect("a file");
    let error = SqliteLedger::open(&path).await.err().expect("no ledger");
    assert_eq!(error.kind, Kind::Data);
    assert!(error.to_string().contains("ledger.db: it is damaged, or no SQLite file"), "{error}");
    let error = SqliteLedger::open(folder.path()).await.err().expect("a folder");
    assert_eq!(error.kind, Kind::Storage);
}

#[tokio::test]
async fn a_damaged_page_is_told_when_it_is_met() {
    let (folder, ledger) = ledger().await;
    for key in 0..200 {
        assert!(ledger.swap(&format!("run/{key:03}"), None, &"x".repeat(100)).await.expect("a write"));
    }
    drop(ledger);
    let path = folder.path().join("state/ledger.db");
    let mut bytes = fs::read(&path).expect("the file");
    bytes[8_192..].fill(0xaa);
    fs::write(&path, bytes).expect("a damaged file");
    let told = match SqliteLedger::open(&path).await {
        Ok(ledger) => ledger.list("").await.expect_err("a damaged page"),
        Err(error) => error,
    };
    assert_eq!(told.kind, Kind::Data, "{told}");
}

#[tokio::test]
async fn a_file_that_may_not_be_written_is_the_stores_fault() {
    let (folder, ledger) = ledger().await;
    drop(ledger);
    let path = folder.path().join("state/ledger.db");
    // Root may write whatever the permissions say, so the connection itself is made read-only.
    let connection = LEDGER.connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a ledger to read");
    let ledger = SqliteLedger { path: path.as_path().into(), connection: Arc::new(Mutex::new(connection)) };
    assert_eq!(ledger.get("a").await.expect("a read"), None);
    let error = ledger.swap("a", None, "1").await.expect_err("a write");
    assert_eq!(error.kind, Kind::Storage);
    assert!(error.to_string().contains("may not be written"), "{error}");
}

#[tokio::test]
async fn a_ledger_that_another_keeps_locked_is_a_conflict() {
    let (folder, ledger) = ledger().await;
    let other = Connection::open(folder.path().join("state/ledger.db")).expect("another process's connection");
    other.execute_batch("begin exclusive").expect("a lock");
    ledger.act("prepare", |c| c.busy_timeout(Duration::from_millis(20))).await.expect("a shorter wait");
    let error = ledger.swap("a", None, "1").await.expect_err("locked");
    assert_eq!(error.kind, Kind::Conflict);
    assert!(error.to_string().contains("another process has kept it locked"), "{error}");
    other.execute_batch("rollback").expect("an end");
    assert!(ledger.swap("a", None, "1").await.expect("a write"));
}

#[tokio::test]
async fn a_file_of_a_later_version_is_left_alone() {
    let (folder, ledger) = ledger().await;
    ledger.act("prepare", |c| c.pragma_update(None, "user_version", LEDGER.schema + 1)).await.expect("a later version");
    let error = SqliteLedger::open(folder.path().join("state/ledger.db")).await.err().expect("too new");
    assert_eq!(error.kind, Kind::Project);
    assert!(error.to_string().contains("of version 2"), "{error}");
}

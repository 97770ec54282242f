//! Tables of MariaDB that are not what they seem, and servers whose log lacks a table's changes. Needs: mariadb.

use super::harness::Own;
use super::harness::mariadb::Database;
use super::harness::opened::{entity, open, opening, rows, text};
use super::mysql::{changes, column, options};
use connect::{Finding, Grade};
use kernel::{Entity, Positions};
use serde_json::{Value, json};

async fn probe(given: &Value, entity: &Entity) -> Vec<Finding> {
    let spec = connect::by_name("mysql").expect("the connector");
    spec.probe(&opening(given, entity, Positions::new())).await
}

fn bad(findings: &[Finding]) -> Vec<String> {
    let bad = findings.iter().filter(|finding| finding.grade == Grade::Bad);
    bad.map(|finding| {
        format!("{}: {}; {}", finding.subject, finding.found, finding.remedy.as_deref().expect("a remedy"))
    })
    .collect()
}

/// Ten pages of each tenant, told apart by the end of a long text alone.
fn pages(database: &Database) -> Vec<String> {
    database.sql(
        "CREATE TABLE pages (tenant INT, url VARCHAR(500), n INT NOT NULL, PRIMARY KEY (tenant, url(191))); \
         INSERT INTO pages SELECT t.seq, CONCAT('/', t.seq, '/', p.seq), p.seq FROM seq_1_to_3 t, seq_1_to_10 p",
    );
    database.lines("SELECT url FROM pages")
}

#[tokio::test]
async fn a_table_whose_key_has_the_beginning_of_a_column_is_read_whole_whatever_breaks_off() {
    let database = Database::new("beginning");
    let all = pages(&database);
    let entity = entity(&["tenant", "url"], &["tenant", "url", "n"]);
    for mode in ["snapshot", "cdc"] {
        let given = options(&database, json!({ "table": "pages", "mode": mode, "batch_rows_max": 4 }));
        let (mut from, mut pending, mut committed) = (Positions::new(), Vec::new(), Vec::new());
        // Each commit is the last of its process.
        'process: loop {
            let mut source = open("mysql", &given, &entity, from.clone()).await;
            pending.clear();
            while let Some(pulled) = source.next(1 << 20).await.expect("a batch") {
                let (upto, whole) = (pulled.upto.clone(), pulled.whole);
                let batch = rows(pulled);
                pending.extend((0..batch.num_rows()).map(|row| text(&batch, "url", row)));
                if whole {
                    from.advance(&upto);
                    committed.append(&mut pending);
                    continue 'process;
                }
            }
            break;
        }
        committed.sort();
        assert_eq!(committed, all, "{mode}");
    }
    let findings = probe(&options(&database, json!({ "table": "pages" })), &entity).await;
    let key = findings.iter().find(|finding| finding.subject == "primary key").expect("a finding");
    assert!(key.grade == Grade::Warning && key.found.contains("beginning of a column"), "{}", key.found);
    let spec = connect::by_name("mysql").expect("the connector");
    let given = json!({ "connection": database.url() });
    let discovers = spec.discover.expect("it discovers");
    let found = discovers(&opening(&given, &entity, Positions::new())).await.expect("tables");
    assert_eq!(found[0].entity.key(), Vec::<&str>::new(), "tenant is no key");
}

#[tokio::test]
async fn a_cursor_in_an_index_with_the_beginning_of_a_column_is_not_unique() {
    let database = Database::new("cursors");
    pages(&database);
    database.sql(
        "CREATE TABLE orders (id INT PRIMARY KEY, at DATETIME NOT NULL, name VARCHAR(40), UNIQUE (at, name(10))); \
         INSERT INTO orders VALUES (1, '2026-01-01', 'a'), (2, '2026-01-01', 'b')",
    );
    let incremental = |table: &str, more: Value| {
        let mut given = options(&database, json!({ "table": table, "mode": "incremental" }));
        given.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        given
    };
    let (given, entity) = (incremental("orders", json!({ "cursor": "at" })), entity(&["id"], &["id", "at", "name"]));
    let mut from = Positions::new();
    let columns = ["id"];
    assert_eq!(changes(&given, &entity, &mut from, &columns).await.expect("rows"), ["u 1", "u 2"]);
    database.sql("INSERT INTO orders VALUES (3, '2026-01-01', 'c')");
    assert_eq!(changes(&given, &entity, &mut from, &columns).await.expect("rows"), ["u 3"], "of the same cursor");
    let pages = super::harness::opened::entity(&["tenant", "url"], &["tenant", "url", "n"]);
    for more in [json!({ "cursor": "n" }), json!({ "cursor": "n", "lookback": 5 }), json!({ "cursor": "tenant" })] {
        let told = column(&incremental("pages", more), &pages, "url").await.expect_err("a refusal");
        assert!(told.contains("several rows may have one value of it") && told.contains("whole"), "{told}");
    }
}

#[tokio::test]
async fn a_table_with_old_versions_of_its_rows_is_not_followed() {
    let database = Database::new("versions");
    database.sql(
        "CREATE TABLE orders (id INT PRIMARY KEY, n INT, since TIMESTAMP(6) GENERATED ALWAYS AS ROW START, \
         upto TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (since, upto)) WITH SYSTEM VERSIONING; \
         INSERT INTO orders (id, n) VALUES (1, 1), (2, 2); UPDATE orders SET n = 3 WHERE id = 1; DELETE FROM orders WHERE id = 2; \
         CREATE TABLE plain (id INT PRIMARY KEY, n INT); INSERT INTO plain VALUES (1, 1); CREATE VIEW seen AS SELECT * FROM plain",
    );
    let entity = entity(&["id"], &["id", "n"]);
    for (table, word) in [("orders", "DROP SYSTEM VERSIONING"), ("seen", "it is a view")] {
        let given = |mode: &str| options(&database, json!({ "table": table, "mode": mode, "columns": ["id", "n"] }));
        let told = column(&given("cdc"), &entity, "n").await.expect_err("a refusal");
        assert!(told.contains(word) && told.contains("`mode: snapshot`"), "{told}");
        let told = bad(&probe(&given("cdc"), &entity).await);
        assert!(told.iter().any(|told| told.contains(word)), "{told:?}");
        let now = if table == "orders" { "3" } else { "1" };
        assert_eq!(column(&given("snapshot"), &entity, "n").await.expect("the rows of now"), [now]);
        assert_eq!(bad(&probe(&given("snapshot"), &entity).await), Vec::<String>::new());
    }
    // One that becomes such while it is followed.
    let given = options(&database, json!({ "table": "plain", "mode": "cdc" }));
    let mut source = open("mysql", &given, &entity, Positions::new()).await;
    while source.next(1 << 20).await.expect("a good start").is_some() {}
    database.sql("ALTER TABLE plain ADD SYSTEM VERSIONING; UPDATE plain SET n = 2");
    let told = loop {
        match source.next(1 << 20).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it says that nothing is new"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(told.contains("DROP SYSTEM VERSIONING"), "{told}");
}

#[tokio::test]
async fn a_hidden_column_of_the_server_is_not_told() {
    let database = Database::new("hashes");
    database
        .sql("CREATE TABLE orders (id INT PRIMARY KEY, url TEXT, UNIQUE (url)); INSERT INTO orders VALUES (1, 'a')");
    let (given, entity) = (options(&database, json!({ "mode": "cdc" })), entity(&["id"], &["id", "url"]));
    let (mut from, columns) = (Positions::new(), ["id", "url", "DB_ROW_HASH_1"]);
    let mut next = async || changes(&given, &entity, &mut from, &columns).await.expect("changes");
    assert_eq!(next().await, ["r 1 a"]);
    database.sql("INSERT INTO orders VALUES (2, 'b'); UPDATE orders SET url = 'bb' WHERE id = 2; DELETE FROM orders WHERE id = 1");
    assert_eq!(next().await, ["c 2 b", "u 2 bb", "d 1 a"]);
    database
        .sql("ALTER TABLE orders DROP INDEX url, ADD COLUMN DB_ROW_HASH_1 INT; INSERT INTO orders VALUES (3, 'c', 7)");
    assert_eq!(next().await, ["c 3 c 7"], "one of this name may be the table's own");
}

#[tokio::test]
async fn a_hidden_column_in_a_log_without_names_is_told_before_the_table_is_read() {
    let own = Own::start("mariadb");
    let database = Database::on(&own.server, "hidden");
    database
        .sql("CREATE TABLE orders (id INT PRIMARY KEY, url TEXT, UNIQUE (url)); INSERT INTO orders VALUES (1, 'a')");
    let (given, entity) = (options(&database, json!({ "mode": "cdc" })), entity(&["id"], &["id", "url"]));
    assert_eq!(bad(&probe(&given, &entity).await), Vec::<String>::new());
    database.admin("SET GLOBAL binlog_row_metadata = 'NO_LOG'");
    let told = column(&given, &entity, "id").await.expect_err("a refusal");
    assert!(told.contains("binlog_row_metadata = FULL"), "{told}");
    assert!(bad(&probe(&given, &entity).await).iter().any(|told| told.contains("binlog_row_metadata = FULL")));
}

#[tokio::test]
async fn a_server_whose_log_lacks_the_changes_of_a_table_is_refused() {
    let arguments = "--skip-log-slave-updates --binlog-ignore-db=apart";
    let own = Own::with("mariadb", &[("LAVRA_MARIADB_ARGS", arguments)]);
    let database = Database::on(&own.server, "replica");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY); INSERT INTO orders VALUES (1)");
    database.admin("CREATE DATABASE apart; CREATE TABLE apart.orders (id INT PRIMARY KEY)");
    let entity = entity(&["id"], &["id"]);
    let given = |user: &str, table: &str| {
        let url = database.url().replace("root:root", user);
        json!({ "connection": url, "table": table, "mode": "cdc" })
    };
    let told = async |user: &str, table: &str| {
        let given = given(user, table);
        let found = bad(&probe(&given, &entity).await);
        let error = column(&given, &entity, "id").await.err();
        assert_eq!(error.is_some(), !found.is_empty(), "the doctor and a run say the same: {error:?}, {found:?}");
        error.unwrap_or_default()
    };
    let (root, may_follow) = ("root:root", "repl:repl");
    assert_eq!(told(root, "orders").await, "", "nothing comes from elsewhere");
    assert_eq!(told(may_follow, "orders").await, "", "nor did it ever");
    let apart = told(root, "apart.orders").await;
    assert!(apart.contains("binlog_ignore_db = apart") && apart.contains("refresh"), "{apart}");
    database.admin("SET GLOBAL gtid_slave_pos = CONCAT(@@gtid_binlog_pos, ',7-9-5')");
    database.admin("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1, MASTER_USER = 'x'");
    let replica = told(root, "orders").await;
    assert!(replica.contains("log_slave_updates = ON") && replica.contains("is a replica"), "{replica}");
    let unseen = told(may_follow, "orders").await;
    assert!(unseen.contains("GRANT SLAVE MONITOR"), "{unseen}");
    database.admin("RESET SLAVE ALL");
    assert_eq!(told(root, "orders").await, "", "it is one no more");
}

#[tokio::test]
async fn a_value_that_the_log_does_not_tell_sets_its_row_aside_and_the_source_goes_on() {
    let own = Own::start("mariadb");
    let database = Database::on(&own.server, "values");
    database.admin("SET GLOBAL binlog_row_metadata = 'NO_LOG'");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY, a VARCHAR(9) CHARACTER SET ascii, e ENUM('x', '😀'))");
    let (given, entity) = (options(&database, json!({ "mode": "cdc" })), entity(&["id"], &["id", "a", "e"]));
    let mut from = Positions::new();
    changes(&given, &entity, &mut from, &["id"]).await.expect("a good start");
    database.sql(
        "SET sql_mode = ''; INSERT INTO orders VALUES (1, 'a', 'x'), (2, X'61E9', 'x'), (3, 'c', '😀'), (4, 'd', 'x'); \
         UPDATE orders SET a = 'cc' WHERE id = 3; DELETE FROM orders WHERE id IN (2, 3)",
    );
    let found = changes(&given, &entity, &mut from, &["id", "a"]).await.expect("changes");
    assert_eq!(found, ["c 1 a", "c 4 d", "d 2", "d 3 cc"], "what goes is told by its key");
    let taken = from.iter().map(|(_, point)| match point {
        kernel::Point::Mark { rows, .. } => *rows,
        _ => 0,
    });
    assert_eq!(taken.sum::<u64>(), 7, "also those that were set aside");
    database.sql("INSERT INTO orders VALUES (5, 'e', 'x')");
    assert_eq!(changes(&given, &entity, &mut from, &["id"]).await.expect("changes"), ["c 5"]);
}

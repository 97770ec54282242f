//! Tables of MariaDB, and their changes. Needs: mariadb.

use super::harness::mariadb::{ACCOUNT, Database, accounts};
use super::harness::opened::{entity, open, opening, rows, text};
use crate::harness::{Project, node};
use connect::Grade;
use kernel::{Entity, Point, Positions};
use serde_json::{Value, json};

const COLUMNS: [&str; 4] = ["id", "name", "amount", "at"];

fn orders(database: &Database) {
    database.sql("CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(40) CHARACTER SET latin1, amount DECIMAL(12,2), at TIMESTAMP(6) NULL, KEY (at))");
}

fn fill(database: &Database, ids: std::ops::Range<u64>) {
    let row = |id: u64| format!("({id}, 'né {id}', {id}.25, '2026-01-01 00:00:{:02}.5')", id / 7 % 60);
    let all: Vec<String> = ids.map(row).collect();
    database.sql(&format!("INSERT INTO orders VALUES {}", all.join(", ")));
}

pub(super) fn options(database: &Database, more: Value) -> Value {
    let mut options = json!({ "connection": database.url(), "table": "orders" });
    options.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
    options
}

async fn obeys(options: &Value, entity: &Entity) {
    kernel::laws::source::obeys(async |from| open("mysql", options, entity, from).await).await;
}

#[tokio::test]
async fn a_snapshot_keeps_the_laws_with_an_open_a_hidden_and_no_key() {
    let database = Database::new("laws");
    orders(&database);
    fill(&database, 1..13);
    let open = entity(&["id"], &COLUMNS);
    obeys(&options(&database, json!({})), &open).await;
    obeys(&options(&database, json!({ "batch_rows_max": 5 })), &entity(&["id"], &["!id", "name", "amount", "at"]))
        .await;
    database.sql("CREATE TABLE pairs (a VARCHAR(10), b INT UNSIGNED, c VARBINARY(8), PRIMARY KEY (a, b, c))");
    let row = |n: u32| format!("('k{}', {}, X'{:02X}')", n % 5, n % 7, n % 200);
    database.sql(&format!("INSERT INTO pairs VALUES {}", (0..11).map(row).collect::<Vec<_>>().join(", ")));
    let pairs = options(&database, json!({ "table": "pairs", "batch_rows_max": 4 }));
    obeys(&pairs, &entity(&["a", "b", "c"], &["a", "b", "c"])).await;
    database.sql("CREATE TABLE plain AS SELECT * FROM orders");
    obeys(&options(&database, json!({ "table": "plain", "batch_rows_max": 15 })), &open).await;
}

#[tokio::test]
async fn an_incremental_source_keeps_the_laws_with_and_without_lookback() {
    let database = Database::new("laws");
    orders(&database);
    fill(&database, 1..30);
    let open = entity(&["id"], &COLUMNS);
    for more in [
        json!({ "cursor": "at" }),
        json!({ "cursor": "at", "lookback": "10 seconds" }),
        json!({ "cursor": "id" }),
        json!({ "cursor": "amount", "lookback": 3 }),
    ] {
        let mut given = options(&database, json!({ "mode": "incremental", "batch_rows_max": 20 }));
        given.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        obeys(&given, &open).await;
    }
}

#[tokio::test]
async fn changes_keep_the_laws() {
    // The log of others would move the position on.
    let own = super::harness::Own::start("mariadb");
    let database = Database::on(&own.server, "laws");
    orders(&database);
    fill(&database, 1..50);
    let given = options(&database, json!({ "mode": "cdc", "batch_rows_max": 10 }));
    let open_key = entity(&["id"], &COLUMNS);
    // A position in front of the changes: what is read of it is the table, and then they.
    let mut first = open("mysql", &given, &open_key, Positions::new()).await;
    first.next(1).await.expect("a batch").expect("rows");
    let mut from = Positions::new();
    while let Some(pulled) = first.next(1 << 20).await.expect("a batch") {
        from.advance(&pulled.upto);
    }
    drop(first);
    for n in 0..12 {
        let (a, b) = (1000 + n * 3, 1001 + n * 3);
        database.sql(&format!(
            "BEGIN; INSERT INTO orders VALUES ({a}, 'ü', 1, NULL), ({b}, NULL, NULL, NOW(6)); UPDATE orders SET amount = amount + 1 WHERE id <= {n} + 20; \
             UPDATE orders SET id = id + 5000 WHERE id = {a}; DELETE FROM orders WHERE id = {n}; COMMIT"
        ));
    }
    database.sql("TRUNCATE orders");
    fill(&database, 1..5);
    let all = async |from_now: Positions| {
        let start = if from_now.is_empty() { from.clone() } else { from_now };
        open("mysql", &given, &open_key, start).await
    };
    kernel::laws::source::obeys(all).await;
    // From the table on.
    obeys(&given, &open_key).await;
    obeys(&given, &entity(&["id"], &["!id", "name", "amount", "at"])).await;
}

const ALL_TYPES: &str = "CREATE TABLE types (id INT PRIMARY KEY, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT UNSIGNED, m MEDIUMINT UNSIGNED, i INT UNSIGNED, \
    b BIGINT UNSIGNED, flag TINYINT(1), f FLOAT, d DOUBLE, dec_ DECIMAL(38,10), bit1 BIT(1), bit12 BIT(12), bit64 BIT(64), da DATE, dt DATETIME(6), \
    ts TIMESTAMP(3) NULL, ti TIME(6), y YEAR, c CHAR(5), v VARCHAR(20) CHARACTER SET latin1, g VARCHAR(20) CHARACTER SET gbk, \
    u16 VARCHAR(20) CHARACTER SET utf16, tx LONGTEXT, bi BINARY(4), vb VARBINARY(9), bl BLOB, e ENUM('a','b''c','é'), se SET('x','y','z'), \
    j JSON, uu UUID, ip INET6, p POINT, ms MEDIUMINT, t1 TIME(1), t2 TIME(2), el ENUM('é','ß','a') CHARACTER SET latin1, sl SET('é','ß','€') CHARACTER SET latin1, \
    ec ENUM('д','ж') CHARACTER SET cp1251, sc SET('да','нет') CHARACTER SET cp1251, su SET('é','日') CHARACTER SET utf8mb4, \
    i4 INET4, virt INT AS (id + 1) VIRTUAL, stored INT AS (id + 2) STORED)";

const TYPES: &str = "id, t, tu, s, m, i, b, flag, f, d, dec_, bit1, bit12, bit64, da, dt, ts, ti, y, c, v, g, u16, tx, bi, vb, bl, e, se, j, uu, ip, p, ms, t1, t2, el, sl, ec, sc, su, i4";

const ROWS: [&str; 4] = [
    "-128, 255, 65535, 16777215, 4294967295, 18446744073709551615, 1, 0.1, 1e300, -1234567890123456789012345678.0123456789, b'1', b'101010101010', \
     b'1111111111111111111111111111111111111111111111111111111111111111', '9999-12-31', '1000-01-01 23:59:59.999999', '2038-01-19 03:14:07.999', \
     '-838:59:59.999999', 2155, 'ab', 'né€', '中文', '😀x', 'text', X'01', X'0000ff', X'00ff00', 'b''c', 'x,z', '{\"a\": [1, 2.50]}', \
     'ee5a7a5e-1f2b-11ef-9a3b-0242ac120002', '::1.2.3.4', ST_GeomFromText('POINT(1 2)'), -70000, '-12:34:56.5', '-838:59:59.99', \
     'é', 'é,€', 'ж', 'да,нет', 'é,日', '10.20.0.0'",
    "0, 0, 0, 0, 0, 0, 0, -0.0, 0, 0, b'0', 0, 0, '0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '00:00:00', 0, '', '', '', '', '', \
     X'00000000', '', '', 0, '', '{}', '123e4567-e89b-42d3-a400-000000000000', '::', NULL, 8388607, '-00:00:00.1', '-00:00:00.01', \
     'ß', 'ß', 'д', '', '日', '0.0.0.0'",
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
    "5, 5, 5, 5, 5, 5, 0, 3.4e38, 0.1, 0.5, b'1', b'1', b'1', '2026-02-00', '2026-02-00 10:00:00', '1970-01-01 00:00:00.001', '12:30:00.5', 1901, 'é', \
     'z', 'z', 'z', REPEAT('long ', 20000), X'deadbeef', 'v', REPEAT('b', 300), 'é', 'x,y,z', '[]', '00000000-0000-0000-0000-000000000001', '::ffff:1.2.3.4', NULL, -8388608, '12:30:00.5', '-700:00:00', \
     'a', '', 'д', 'нет', '', '255.0.0.1'",
];

/// The same rows, read from the table and from the log.
#[tokio::test]
async fn every_type_is_the_same_in_the_table_and_in_the_log() {
    for metadata in ["FULL", "NO_LOG"] {
        let own = super::harness::Own::start("mariadb");
        let database = Database::on(&own.server, "types");
        database.admin(&format!("SET GLOBAL binlog_row_metadata = '{metadata}'"));
        database.sql(ALL_TYPES);
        let insert = |from: usize| {
            let rows = ROWS.iter().enumerate().map(|(at, row)| format!("({}, {row})", from + at));
            database.sql(&format!(
                "SET sql_mode = '', time_zone = '+00:00'; INSERT INTO types ({TYPES}) VALUES {}",
                rows.collect::<Vec<_>>().join(", ")
            ));
        };
        insert(0);
        for zero_dates in ["null", "text"] {
            let given =
                json!({ "connection": database.url(), "table": "types", "mode": "cdc", "zero_dates": zero_dates });
            let none = entity(&[], &[]);
            let mut source = open("mysql", &given, &none, Positions::new()).await;
            let mut table = Vec::new();
            while let Some(pulled) = source.next(1 << 30).await.expect("a batch") {
                table.push(rows(pulled));
            }
            insert(100);
            let mut log = Vec::new();
            while let Some(pulled) = source.next(1 << 30).await.expect("a batch") {
                log.push(rows(pulled));
            }
            database.sql("DELETE FROM types WHERE id >= 100");
            let (table, log) = (&table[0], &log[0]);
            assert_eq!((table.num_rows(), log.num_rows()), (4, 4));
            for column in TYPES.split(", ").filter(|column| *column != "id").chain(["virt", "stored"]) {
                let all = |batch| (0..4).map(|row| text(batch, column, row)).collect::<Vec<_>>();
                let (from_table, from_log) = (all(table), all(log));
                if !["virt", "stored"].contains(&column) {
                    assert_eq!(from_log, from_table, "{column} with metadata {metadata}");
                }
            }
            let row = |column: &str, at: usize| text(log, column, at);
            assert_eq!([row("tu", 0), row("i", 0), row("b", 0)], ["255", "4294967295", "18446744073709551615"]);
            assert_eq!(
                [row("f", 0), row("dec_", 0), row("bit12", 0)],
                ["0.1", "-1234567890123456789012345678.0123456789", "2730"]
            );
            assert_eq!(
                [row("v", 0), row("g", 0), row("u16", 0), row("e", 0), row("se", 0)],
                ["né€", "中文", "😀x", "b'c", "x,z"]
            );
            assert_eq!(
                ["el", "sl", "ec", "sc", "su"].map(|column| row(column, 0)),
                ["é", "é,€", "ж", "да,нет", "é,日"]
            );
            assert_eq!(["el", "sl"].map(|column| row(column, 1)), ["ß", "ß"]);
            assert_eq!([row("ti", 0), row("y", 0), row("y", 1)], ["-838:59:59.999999", "2155", "0000"]);
            assert_eq!([row("bi", 0), row("bi", 3)], ["01000000", "deadbeef"]);
            assert_eq!([row("ms", 0), row("t2", 0), row("t1", 1)], ["-70000", "-838:59:59.990000", "-00:00:00.100000"]);
            assert_eq!(
                [row("uu", 0), row("uu", 1)],
                ["ee5a7a5e-1f2b-11ef-9a3b-0242ac120002", "123e4567-e89b-42d3-a400-000000000000"]
            );
            assert_eq!([row("ip", 0), row("i4", 0), row("i4", 1)], ["::1.2.3.4", "10.20.0.0", "0.0.0.0"]);
            assert!(row("ts", 3).contains("00:00:00.001"), "no zero date: {}", row("ts", 3));
            assert_eq!(row("da", 3), if zero_dates == "null" { "" } else { "2026-02-00" });
            assert_eq!([row("virt", 0), row("stored", 0)], ["101", "102"], "what the server computes");
        }
    }
}

/// Changes since the positions, as `op column=value…`.
pub(super) async fn changes(
    given: &Value,
    entity: &Entity,
    from: &mut Positions,
    columns: &[&str],
) -> Result<Vec<String>, String> {
    let mut source = open("mysql", given, entity, from.clone()).await;
    let mut found = Vec::new();
    loop {
        match source.next(1 << 20).await {
            Ok(Some(pulled)) => {
                from.advance(&pulled.upto);
                let batch = rows(pulled);
                for row in 0..batch.num_rows() {
                    let values: Vec<String> = columns.iter().map(|column| text(&batch, column, row)).collect();
                    found.push(format!("{} {}", text(&batch, "_op", row), values.join(" ")).trim().to_owned());
                }
            }
            Ok(None) => return Ok(found),
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[tokio::test]
async fn the_table_may_be_altered_while_it_is_followed() {
    let database = Database::new("altered");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY, a VARCHAR(10), e ENUM('x','y'))");
    let given = options(&database, json!({ "mode": "cdc" }));
    let (entity, mut from) = (entity(&["id"], &["id", "a", "e"]), Positions::new());
    let columns = ["id", "a", "b", "e"];
    let mut next = async || changes(&given, &entity, &mut from, &columns).await.expect("changes");
    assert_eq!(next().await, Vec::<String>::new());
    database.sql("INSERT INTO orders VALUES (1, 'one', 'x'); ALTER TABLE orders ADD COLUMN b INT AFTER a; INSERT INTO orders VALUES (2, 'two', 22, 'y')");
    database.sql("ALTER TABLE orders MODIFY e ENUM('y','x','z'); INSERT INTO orders VALUES (3, 'three', 33, 'z')");
    database.sql("ALTER TABLE orders CHANGE a aa VARCHAR(10); ALTER TABLE orders CHANGE aa a VARCHAR(20) CHARACTER SET latin1; INSERT INTO orders VALUES (4, 'é', 4, 'y')");
    database.sql("ALTER TABLE orders DROP COLUMN b; UPDATE orders SET a = 'x' WHERE id = 4");
    assert_eq!(next().await, ["c 1 one  x", "c 2 two 22 y", "c 3 three 33 z", "c 4 é 4 y", "u 4 x  y"]);
    database.sql("TRUNCATE TABLE orders; INSERT INTO orders VALUES (5, 'five', 'x'); UPDATE orders SET id = 6");
    assert_eq!(next().await, ["t", "c 5 five  x", "d 5 five  x", "c 6 five  x"]);
    database
        .sql("DROP TABLE orders; CREATE TABLE orders (id INT PRIMARY KEY, a INT); INSERT INTO orders VALUES (9, 9)");
    assert_eq!(next().await, ["t", "c 9 9"]);
    database.sql("REPLACE INTO orders VALUES (9, 10); INSERT INTO orders VALUES (9, 1) ON DUPLICATE KEY UPDATE a = 11");
    assert_eq!(next().await, ["u 9 10", "u 9 11"]);
    database.sql("SET SESSION binlog_row_image = MINIMAL; UPDATE orders SET a = 12; DELETE FROM orders");
    assert_eq!(next().await, ["u 9 12", "d 9"], "what was not sent is told by the state before, or is not there");
}

#[tokio::test]
async fn what_the_log_does_not_tell_is_a_loud_stop_that_a_refresh_heals() {
    let database = Database::new("stops");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY, a INT); INSERT INTO orders VALUES (50, 50)");
    let entity = entity(&["id"], &["id", "a"]);
    let mut from = Positions::new();
    let mut refresh = 0;
    for (sql, told) in [
        (
            "CREATE TABLE _new LIKE orders; INSERT INTO _new VALUES (7, 7); RENAME TABLE orders TO _old, _new TO orders",
            "another one",
        ),
        (
            "RENAME TABLE orders TO _away; INSERT INTO _away VALUES (8, 8); RENAME TABLE IF EXISTS _away WAIT 3 TO orders",
            "another one",
        ),
        (
            "ALTER TABLE orders RENAME TO _gone; CREATE TABLE orders LIKE _gone; INSERT INTO orders VALUES (9, 9)",
            "another one",
        ),
        ("SET SESSION binlog_format = STATEMENT; INSERT INTO orders VALUES (1, 1)", "binlog_format = ROW"),
        ("SET SESSION binlog_row_image = MINIMAL; INSERT INTO orders (id) VALUES (2)", "binlog_row_image = FULL"),
        (
            "ALTER TABLE orders PARTITION BY RANGE (id) (PARTITION p1 VALUES LESS THAN (100), PARTITION p2 VALUES LESS THAN MAXVALUE); ALTER TABLE orders DROP PARTITION p2",
            "partition",
        ),
        ("XA START 'x'; INSERT INTO orders VALUES (3, 3); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'", "two phases"),
    ] {
        let given = |refresh: i32| options(&database, json!({ "mode": "cdc", "refresh": refresh.to_string() }));
        changes(&given(refresh), &entity, &mut from, &["id"]).await.expect("a good start");
        database.sql(sql);
        let error = changes(&given(refresh), &entity, &mut from, &["id"]).await.expect_err("a stop");
        assert!(error.contains(told), "{sql}: {error}");
        let again = changes(&given(refresh), &entity, &mut from, &["id"]).await.expect_err("the same stop");
        assert_eq!(again, error);
        refresh += 1;
        let healed = changes(&given(refresh), &entity, &mut from, &["id"]).await.expect("it begins anew");
        let expected: Vec<String> =
            std::iter::once("t".into()).chain(database.lines("SELECT CONCAT('r ', id) FROM orders")).collect();
        assert_eq!(healed, expected);
    }
}

#[tokio::test]
async fn a_log_that_is_gone_is_told_with_its_remedy() {
    let own = super::harness::Own::start("mariadb");
    let database = Database::on(&own.server, "purged");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY); INSERT INTO orders VALUES (0)");
    let (given, entity, mut from) =
        (options(&database, json!({ "mode": "cdc" })), entity(&["id"], &["id"]), Positions::new());
    changes(&given, &entity, &mut from, &["id"]).await.expect("a good start");
    database.sql("INSERT INTO orders VALUES (1); FLUSH BINARY LOGS; FLUSH BINARY LOGS; DO SLEEP(1); PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY");
    let error = changes(&given, &entity, &mut from, &["id"]).await.expect_err("a stop");
    assert!(error.contains("refresh") && error.contains("does not have any more"), "{error}");
    let given = options(&database, json!({ "mode": "cdc", "refresh": "again" }));
    assert_eq!(changes(&given, &entity, &mut from, &["id"]).await.expect("it begins anew"), ["t", "r 0", "r 1"]);
}

#[tokio::test]
async fn an_idle_table_does_not_hold_the_log_back() {
    let own = super::harness::Own::start("mariadb");
    let database = Database::on(&own.server, "idle");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY); CREATE TABLE busy (t LONGTEXT)");
    let (given, entity, mut from) =
        (options(&database, json!({ "mode": "cdc" })), entity(&["id"], &["id"]), Positions::new());
    changes(&given, &entity, &mut from, &["id"]).await.expect("a good start");
    let before = from.clone();
    database.sql("INSERT INTO busy VALUES ('little')");
    changes(&given, &entity, &mut from, &["id"]).await.expect("nothing");
    assert_eq!(from, before, "for little the position stays, so that there is no commit");
    database.sql("FLUSH BINARY LOGS; INSERT INTO busy VALUES ('x')");
    changes(&given, &entity, &mut from, &["id"]).await.expect("nothing");
    assert_ne!(from, before, "a new file moves it on");
    assert!(from.iter().all(|(_, point)| matches!(point, Point::Mark { rows: 0, .. })));
}

#[tokio::test]
async fn rows_that_were_committed_late_are_found_by_a_lookback_and_none_is_taken_twice() {
    let database = Database::new("late");
    orders(&database);
    fill(&database, 1..50);
    let entity = entity(&["id"], &COLUMNS);
    let given = options(&database, json!({ "mode": "incremental", "cursor": "at", "lookback": "5 seconds" }));
    let mut from = Positions::new();
    let mut count = async || {
        let mut source = open("mysql", &given, &entity, from.clone()).await;
        let mut count = 0;
        while let Some(pulled) = source.next(1 << 20).await.expect("a batch") {
            from.advance(&pulled.upto);
            count += rows(pulled).num_rows();
        }
        count
    };
    assert_eq!((count().await, count().await), (49, 0));
    database.sql("INSERT INTO orders VALUES (100, 'late', 1, '2026-01-01 00:00:03'), (101, 'too late', 1, '2026-01-01 00:00:01'), (102, 'same', 1, '2026-01-01 00:00:07.5')");
    database.sql("UPDATE orders SET at = '2026-01-01 00:00:08' WHERE id = 1");
    assert_eq!((count().await, count().await), (3, 0));
}

#[tokio::test]
async fn who_may_not_or_can_not_is_told_what_to_do() {
    let database = Database::new("errors");
    orders(&database);
    let entity = entity(&["id"], &COLUMNS);
    let told = async |given: Value| {
        let spec = connect::by_name("mysql").expect("the connector");
        let findings = spec.probe(&opening(&given, &entity, Positions::new())).await;
        let mut source = open("mysql", &given, &entity, Positions::new()).await;
        let error = source.next(1).await.err().map(|error| error.to_string());
        (error, findings)
    };
    let (error, findings) = told(options(&database, json!({ "mode": "cdc" }))).await;
    assert_eq!(error, None);
    assert!(findings.iter().all(|finding| finding.grade == Grade::Good), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.subject == "TLS" && finding.found.contains("TLSv1")), "{findings:?}");
    let is_bad = |findings: &[connect::Finding]| {
        findings.iter().any(|finding| finding.grade == Grade::Bad && finding.remedy.is_some())
    };
    for (change, word) in [
        (json!({ "connection": database.url().replace("root:root", "root:secret") }), "Access denied"),
        (json!({ "connection": "mysql://root:secret@127.0.0.1:1/x" }), "refused"),
        (json!({ "table": "order" }), "did you mean `orders`"),
        (json!({ "connection": format!("{}?ssl-mode=verify-identity", database.url()) }), "TLS"),
        (json!({ "connection": database.url().replace("root:root", "app:app"), "mode": "cdc" }), ""),
    ] {
        let (error, findings) = told(options(&database, change.clone())).await;
        let error = error.unwrap_or_else(|| panic!("{change} fails"));
        assert!(error.contains(word) && !error.contains("secret"), "{change}: {error}");
        assert!(is_bad(&findings), "{change}: {findings:?}");
        assert!(!format!("{findings:?}").contains("secret"), "{findings:?}");
    }
    let spec = connect::by_name("mysql").expect("the connector");
    let given = json!({ "connection": database.url() });
    let found =
        (spec.discover.expect("it discovers"))(&opening(&given, &entity, Positions::new())).await.expect("tables");
    assert_eq!(
        found.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(),
        [format!("{}.orders", database.name)]
    );
    assert_eq!((found[0].entity.key(), &found[0].options["table"]), (vec!["id"], &json!("orders")));
}

#[test]
fn a_project_takes_a_table_once_by_a_cursor_and_by_its_changes() {
    let own = super::harness::Own::start("mariadb");
    let database = Database::on(&own.server, "modes");
    accounts(&database, 500);
    let project = Project::new("modes");
    let source = |name: &str, more: &str| {
        let text = format!("connector: mysql\nconnection: {}\ntable: accounts\n{more}", database.url());
        project.write(&format!("sources/{name}.yaml"), text).contract(name, ACCOUNT, &[]);
    };
    source("once", "mode: snapshot\n");
    source("grown", "mode: incremental\ncursor: id\n");
    source("seen", "mode: incremental\ncursor: n\nmaterialize: current\n");
    source("followed", "mode: cdc\n");
    project.run();
    let again = project.run();
    for name in ["once", "grown", "followed"] {
        assert_eq!(node(&again, name)["status"], "up_to_date", "{again}");
        assert_eq!(project.count(&format!("bronze.{name}")), 500);
    }
    database.sql("INSERT INTO accounts VALUES (2000000, 'new', 1.5, 8000); UPDATE accounts SET n = 7000 WHERE id = 1000001; DELETE FROM accounts WHERE id = 1000002");
    project.run();
    assert_eq!(["once", "grown", "followed"].map(|name| project.count(&format!("bronze.{name}"))), [500, 501, 503]);
    let log = project.lines("select _op, id, n from bronze.followed where _op <> 'r'");
    assert_eq!(log, ["c,2000000,8000", "d,1000002,", "u,1000001,7000"]);
    // Rows that changed are told by the cursor; that one is gone is not.
    assert_eq!(project.count("silver.seen"), 501);
    assert_eq!(
        project.lines("select id, n from silver.seen where id in (1000001, 2000000)"),
        ["1000001,7000", "2000000,8000"]
    );
    assert_eq!(project.count("bronze.seen"), 502, "each as a change, and none set aside");
    database.sql("INSERT INTO accounts VALUES (2000001, 'nowhere', 1, NULL)");
    project.lavra(&["run", "source:seen"]).exits(0).says("never takes them").says("NOT NULL");
    assert_eq!(project.count("bronze.seen"), 502);
}

/// The values of a column, as all rows of the source have it.
pub(super) async fn column(given: &Value, entity: &Entity, name: &str) -> Result<Vec<String>, String> {
    let mut source = open("mysql", given, entity, Positions::new()).await;
    let mut found = Vec::new();
    while let Some(pulled) = source.next(1 << 20).await.map_err(|error| error.to_string())? {
        let batch = rows(pulled);
        found.extend((0..batch.num_rows()).map(|row| text(&batch, name, row)));
    }
    Ok(found)
}

//! What the log of MariaDB takes back, moves or tells in seconds, and what the tables kept from it are then. Needs: mariadb.

use super::harness::Own;
use super::harness::mariadb::{ACCOUNT, Database, accounts};
use super::harness::opened::{entity, opening};
use super::mysql::{changes, column, options};
use crate::harness::Project;
use kernel::Positions;
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_table_that_is_taken_anew_is_kept_as_it_was_read() {
    let database = Database::new("anew");
    accounts(&database, 3);
    let project = Project::new("anew");
    let write = |name: &str, materialize: &str, more: &str| {
        let url = database.url();
        let text = format!(
            "connector: mysql\nconnection: {url}\ntable: accounts\nmode: cdc\nmaterialize: {materialize}\n{more}"
        );
        project.write(&format!("sources/{name}.yaml"), text);
    };
    let write_all = |more: &str| {
        write("kept", "current", more);
        write("versions", "history", more);
    };
    for name in ["kept", "versions"] {
        project.contract(name, ACCOUNT, &[]);
    }
    let current = |project: &Project| {
        let rows = ["silver.kept", "silver.versions where is_current"];
        rows.map(|from| project.lines(&format!("select id, n from {from} order by id")))
    };
    write_all("");
    project.run();
    database.sql("UPDATE accounts SET n = 7 WHERE id = 1000001; DELETE FROM accounts WHERE id = 1000002");
    project.run();
    write_all("refresh: a\n");
    project.run();
    let expected = ["1000000,0", "1000001,7"];
    assert_eq!(current(&project), [expected, expected], "as it was read anew");
    database.sql("INSERT INTO accounts VALUES (1, 'new', 1, 1); UPDATE accounts SET n = 8 WHERE id = 1000001");
    project.run();
    let expected = ["1,1", "1000000,0", "1000001,8"];
    assert_eq!(current(&project), [expected, expected], "and changed since");
    for table in ["silver.kept", "silver.versions"] {
        project.lavra(&["run", "--full-refresh", table]).exits(0);
    }
    assert_eq!(current(&project), [expected, expected], "and made anew from the log");
}

#[test]
fn versions_of_one_second_are_all_there_and_none_overlaps() {
    let database = Database::new("ticks");
    accounts(&database, 1);
    let project = Project::new("ticks");
    let url = database.url();
    let source = format!("connector: mysql\nconnection: {url}\ntable: accounts\nmode: cdc\nmaterialize: history\n");
    project.write("sources/ticks.yaml", source).contract("ticks", ACCOUNT, &[]);
    project.run();
    // The log says each of these with the same second.
    let change = "SET timestamp = UNIX_TIMESTAMP() + 5; UPDATE accounts SET n = 9; UPDATE accounts SET n = 10; \
        INSERT INTO accounts VALUES (1, 'short', 1, 1); DELETE FROM accounts WHERE id = 1; UPDATE accounts SET n = 11";
    database.sql(change);
    project.run();
    database.sql("UPDATE accounts SET n = 12");
    project.run();
    let all = "select id, n from silver.ticks";
    assert_eq!(project.lines(all), ["1,1", "1000000,0", "1000000,10", "1000000,11", "1000000,12", "1000000,9"]);
    let wrong = "select a.id from silver.ticks a join silver.ticks b on a.id = b.id \
        and a._position['offset'] < b._position['offset'] where a.valid_to is null or a.valid_to > b.valid_from";
    assert_eq!(project.lines(wrong), Vec::<String>::new(), "each version ends before the next begins");
    let current = "select id, n from silver.ticks where is_current";
    assert_eq!(project.lines(current), ["1000000,12"]);
}

#[tokio::test]
async fn what_a_transaction_takes_back_is_not_told() {
    let database = Database::new("undone");
    // Of a table without transactions the log can't take rows back, so that it tells those of others with their end.
    database.sql(
        "CREATE TABLE orders (id INT PRIMARY KEY, a INT) ENGINE = InnoDB; CREATE TABLE notes (id INT) ENGINE = MyISAM",
    );
    let given = options(&database, json!({ "mode": "cdc" }));
    let (entity, mut from) = (entity(&["id"], &["id", "a"]), Positions::new());
    let columns = ["id", "a"];
    assert_eq!(changes(&given, &entity, &mut from, &columns).await.expect("a start"), Vec::<String>::new());
    database.sql(
        "INSERT INTO orders VALUES (100, 0); \
         BEGIN; INSERT INTO orders VALUES (1, 1); SAVEPOINT a; INSERT INTO orders VALUES (2, 2); INSERT INTO notes VALUES (1); \
         SAVEPOINT `b c`; INSERT INTO orders VALUES (3, 3); ROLLBACK TO a; INSERT INTO orders VALUES (4, 4); COMMIT; \
         BEGIN; SAVEPOINT a; INSERT INTO orders VALUES (11, 1); INSERT INTO notes VALUES (2); ROLLBACK TO a; \
         INSERT INTO orders VALUES (12, 2); COMMIT; \
         BEGIN; INSERT INTO orders VALUES (21, 1); SAVEPOINT s; UPDATE orders SET a = 5; INSERT INTO notes VALUES (3); \
         ROLLBACK TO SAVEPOINT S; DELETE FROM orders WHERE id = 1; SAVEPOINT t; DELETE FROM orders; \
         INSERT INTO notes VALUES (4); ROLLBACK TO t; COMMIT",
    );
    let told = changes(&given, &entity, &mut from, &columns).await.expect("changes");
    assert_eq!(told, ["c 100 0", "c 1 1", "c 4 4", "c 12 2", "c 21 1", "d 1 1"]);
    assert_eq!(database.lines("SELECT id FROM orders"), ["100", "12", "21", "4"]);
    let small = options(&database, json!({ "mode": "cdc", "batch_rows_max": 1 }));
    database.sql(
        "BEGIN; INSERT INTO orders VALUES (31, 1); SAVEPOINT a; INSERT INTO orders VALUES (32, 2); INSERT INTO notes VALUES (5); \
         INSERT INTO orders VALUES (33, 3); ROLLBACK TO a; COMMIT",
    );
    let error = changes(&small, &entity, &mut from.clone(), &columns).await.expect_err("a stop");
    assert!(error.contains("rolled back") && error.contains("refresh"), "{error}");
    assert_eq!(changes(&given, &entity, &mut from, &columns).await.expect("changes"), ["c 31 1"]);
}

#[tokio::test]
async fn who_lacks_a_right_to_follow_the_log_is_told_which() {
    let database = Database::new("rights");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY)");
    let entity = entity(&["id"], &["id"]);
    for (at, has, lacks) in [(0, "REPLICATION SLAVE", "BINLOG MONITOR"), (1, "BINLOG MONITOR", "REPLICATION SLAVE")] {
        let user = format!("{}_{at}", database.name);
        database.admin(&format!(
            "CREATE USER '{user}'@'%' IDENTIFIED BY 'secret'; GRANT {has} ON *.* TO '{user}'@'%'; \
             GRANT SELECT ON {}.* TO '{user}'@'%'",
            database.name
        ));
        let url = database.url().replace("root:root@", &format!("{user}:secret@"));
        let given = options(&database, json!({ "mode": "cdc", "connection": url }));
        let told = changes(&given, &entity, &mut Positions::new(), &["id"]).await;
        database.admin(&format!("DROP USER '{user}'@'%'"));
        let told = told.expect_err("a refusal");
        assert!(told.contains(&format!("GRANT {lacks} ON *.* TO")), "{told}");
        assert!(!told.contains("password,") && !told.contains("1064") && !told.contains("secret"), "{told}");
    }
}

#[tokio::test]
async fn a_character_set_that_the_log_can_not_tell_stops_no_query() {
    let database = Database::new("charsets");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY, a VARCHAR(9) CHARACTER SET utf32); INSERT INTO orders VALUES (1, 'né😀')");
    let entity = entity(&["id"], &["id", "a"]);
    let found = column(&options(&database, json!({})), &entity, "a").await;
    assert_eq!(found.expect("rows"), ["né😀"]);
    let refused = column(&options(&database, json!({ "mode": "cdc" })), &entity, "a").await.expect_err("a refusal");
    assert!(refused.contains("`a`") && refused.contains("`columns`"), "{refused}");
}

#[tokio::test]
async fn a_cursor_with_more_digits_than_a_lookback_reckons_with_is_told_with_its_column() {
    let database = Database::new("digits");
    let large = "88888888888888888888888888888888888.000000000000000000000000000001";
    database.sql(&format!(
        "CREATE TABLE orders (id INT PRIMARY KEY, c DECIMAL(65,30)); INSERT INTO orders VALUES (1, {large}), (2, 5)"
    ));
    let entity = entity(&["id"], &["id", "c"]);
    let given = |more: Value| {
        let mut given = options(&database, json!({ "mode": "incremental", "cursor": "c" }));
        given.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        given
    };
    let mut from = Positions::new();
    let told = changes(&given(json!({})), &entity, &mut from, &["id", "c"]).await.expect("rows");
    assert_eq!(told, ["u 2 5.000000000000000000000000000000".to_owned(), format!("u 1 {large}")]);
    database.sql(&format!("INSERT INTO orders VALUES (3, {large} + 1)"));
    let told = changes(&given(json!({})), &entity, &mut from, &["id"]).await.expect("rows");
    assert_eq!(told, ["u 3"], "its place is exact");
    let refused = column(&given(json!({ "lookback": 1 })), &entity, "c").await.expect_err("a refusal");
    assert!(refused.contains("`c`") && refused.contains("lookback"), "{refused}");
    assert!(!refused.contains("88888"), "{refused}");
}

#[tokio::test]
async fn discovered_tables_can_be_read_under_the_names_that_are_proposed() {
    let database = Database::new("found");
    database.sql(
        "CREATE TABLE `o.d-b` (id INT PRIMARY KEY, a VARCHAR(5)); INSERT INTO `o.d-b` VALUES (1, 'x'); \
         CREATE TABLE flags (id INT PRIMARY KEY, is_one TINYINT(1), is_many TINYINT(1)); \
         INSERT INTO flags VALUES (1, 1, 5), (2, 0, -1), (3, NULL, NULL)",
    );
    let spec = connect::by_name("mysql").expect("the connector");
    let given = json!({ "connection": database.url() });
    let none = entity(&[], &[]);
    let found =
        (spec.discover.expect("it discovers"))(&opening(&given, &none, Positions::new())).await.expect("tables");
    let types = |at: usize| -> Vec<String> {
        found[at].entity.properties.iter().map(|property| property.data_type.to_string()).collect()
    };
    assert_eq!(types(0), ["Int64", "Boolean", "Int64"]);
    let given = options(&database, json!({ "table": found[1].options["table"] }));
    assert_eq!(column(&given, &entity(&["id"], &["id", "a"]), "a").await.expect("rows"), ["x"]);
}

/// A server whose log names no columns, as is its default.
fn without_names() -> Own {
    let own = Own::start("mariadb");
    Database::on(&own.server, "names").admin("SET GLOBAL binlog_row_metadata = NO_LOG");
    own
}

#[tokio::test]
async fn without_names_in_the_log_rows_are_laid_out_by_the_columns_that_they_were_written_with() {
    let own = without_names();
    let database = Database::on(&own.server, "nameless");
    let columns = ["id", "name", "note", "nick", "e"];
    let entity = entity(&["id"], &columns);
    let table = "CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(9), note VARCHAR(9), e ENUM('x','y'))";
    for (alter, insert, expected) in [
        ("ADD COLUMN nick VARCHAR(9)", "2, 'b', 'm', 'y', 'é'", "c 2 b m é y"),
        ("ADD COLUMN nick VARCHAR(9) CHARACTER SET latin1 AFTER id", "2, 'é', 'b', 'm', 'y'", "c 2 b m é y"),
        ("DROP COLUMN name, ADD COLUMN nick VARCHAR(9) AFTER note", "2, 'm', 'n', 'y'", "c 2  m n y"),
        ("MODIFY e ENUM('y','x')", "2, 'b', 'm', 'y'", "c 2 b m  y"),
        ("CHANGE name nick VARCHAR(9) AFTER note", "2, 'm', 'n', 'y'", "c 2  m n y"),
    ] {
        database.sql(table);
        let given = options(&database, json!({ "mode": "cdc", "refresh": alter }));
        let mut from = Positions::new();
        changes(&given, &entity, &mut from, &columns).await.expect("a start");
        database.sql(&format!(
            "INSERT INTO orders VALUES (1, 'a', 'n', 'x'); ALTER TABLE orders {alter}; INSERT INTO orders VALUES ({insert})"
        ));
        let told = changes(&given, &entity, &mut from, &columns).await.expect("changes");
        assert_eq!(told, ["c 1 a n  x", expected], "{alter}");
        // The position knows them too, and goes on from there.
        database.sql("DELETE FROM orders WHERE id = 2; ALTER TABLE orders ADD COLUMN last INT");
        let told = changes(&given, &entity, &mut from, &columns).await.expect("changes");
        assert_eq!(told, [expected.replacen('c', "d", 1)], "{alter}");
        database.sql("DROP TABLE orders");
    }
}

#[tokio::test]
async fn without_names_in_the_log_what_can_not_be_followed_stops_and_a_refresh_heals() {
    let own = without_names();
    let database = Database::on(&own.server, "unknown");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY, a INT)");
    let entity = entity(&["id"], &["id", "a"]);
    let mut from = Positions::new();
    let given = options(&database, json!({ "mode": "cdc" }));
    changes(&given, &entity, &mut from, &["id", "a"]).await.expect("a start");
    database.sql(
        "INSERT INTO orders VALUES (1, 1); ALTER TABLE orders ADD COLUMN n NATIONAL VARCHAR(9) AFTER id, DROP COLUMN a; \
         ALTER TABLE orders ADD COLUMN a INT; INSERT INTO orders VALUES (2, NULL, 2)",
    );
    for _ in 0..2 {
        let error = changes(&given, &entity, &mut from.clone(), &["id", "a"]).await.expect_err("a stop");
        assert!(error.contains("binlog_row_metadata = FULL") && error.contains("refresh"), "{error}");
    }
    let given = options(&database, json!({ "mode": "cdc", "refresh": "a" }));
    let told = changes(&given, &entity, &mut from, &["id", "a"]).await.expect("it begins anew");
    assert_eq!(told, ["r 1", "r 2 2"], "nothing was taken before");
    database.sql("INSERT INTO orders VALUES (3, NULL, 3)");
    assert_eq!(changes(&given, &entity, &mut from, &["id", "a"]).await.expect("changes"), ["c 3 3"]);
}

#[tokio::test]
async fn tables_whose_names_differ_in_case_are_different_ones() {
    let database = Database::new("cases");
    let table = |name: &str| format!("CREATE TABLE {name} (id INT PRIMARY KEY)");
    database.sql(&format!("{}; {}", table("orders"), table("Orders")));
    let (given, entity) = (options(&database, json!({ "mode": "cdc" })), entity(&["id"], &["id"]));
    let mut from = Positions::new();
    changes(&given, &entity, &mut from, &["id"]).await.expect("a start");
    database.sql(
        "INSERT INTO orders VALUES (1); INSERT INTO Orders VALUES (2); TRUNCATE Orders; INSERT INTO orders VALUES (3)",
    );
    assert_eq!(changes(&given, &entity, &mut from, &["id"]).await.expect("changes"), ["c 1", "c 3"]);
}

#[tokio::test]
async fn an_alter_of_two_phases_is_followed_once() {
    let own = without_names();
    let database = Database::on(&own.server, "phases");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY, e ENUM('x','y'))");
    let (given, entity) = (options(&database, json!({ "mode": "cdc" })), entity(&["id"], &["id", "e", "n"]));
    let mut from = Positions::new();
    let columns = ["id", "e", "n"];
    changes(&given, &entity, &mut from, &columns).await.expect("a start");
    database.sql(
        "SET SESSION binlog_alter_two_phase = 1; INSERT INTO orders VALUES (1, 'x'); \
         ALTER TABLE orders ADD COLUMN n INT, ALGORITHM = COPY; ALTER TABLE orders MODIFY e ENUM('y','x'), ALGORITHM = COPY; \
         INSERT INTO orders VALUES (2, 'x', 5)",
    );
    assert_eq!(changes(&given, &entity, &mut from, &columns).await.expect("changes"), ["c 1 x", "c 2 x 5"]);
}

/// A port whose connections lead to the first server, or from some connection on to both by turns.
fn balancer(servers: [String; 2]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    let by_turns = Arc::new(AtomicUsize::new(0));
    let turns = by_turns.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let turn = turns.load(Ordering::SeqCst);
            turns.store(if turn == 0 { 0 } else { turn + 1 }, Ordering::SeqCst);
            let server = TcpStream::connect(&servers[turn % 2]).expect("a server");
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().expect("a stream"), to.try_clone().expect("a stream"));
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    (address, by_turns)
}

#[tokio::test]
async fn connections_that_lead_to_different_servers_are_told() {
    let (first, second) = (Own::start("mariadb"), Own::start("mariadb"));
    let database = Database::on(&first.server, "balanced");
    let table = "CREATE TABLE orders (id INT PRIMARY KEY)";
    database.sql(table);
    Database::on(&second.server, "balanced").admin(&format!("CREATE DATABASE {0}; USE {0}; {table}", database.name));
    let (address, turns) = balancer([first.server.address().to_owned(), second.server.address().to_owned()]);
    let url = format!("{}?ssl-mode=disabled", database.url().replace(first.server.address(), &address));
    let given = options(&database, json!({ "mode": "cdc", "connection": url }));
    let (entity, mut from) = (entity(&["id"], &["id"]), Positions::new());
    changes(&given, &entity, &mut from, &["id"]).await.expect("a start, on one server");
    database.sql("INSERT INTO orders VALUES (1)");
    turns.store(1, Ordering::SeqCst);
    let error = changes(&given, &entity, &mut from.clone(), &["id"]).await.expect_err("two servers");
    assert!(error.contains("different servers") && error.contains("`connection`"), "{error}");
    turns.store(0, Ordering::SeqCst);
    assert_eq!(changes(&given, &entity, &mut from, &["id"]).await.expect("changes"), ["c 1"]);
}

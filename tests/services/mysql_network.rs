//! MariaDB behind a network that falls silent, is cut or is slow. Needs: mariadb.

use super::harness::mariadb::{Database, accounts};
use super::harness::opened::{entity, open};
use super::harness::proxy::Proxy;
use super::harness::server;
use super::mysql::{column, options};
use kernel::source::Source;
use kernel::{Error, Kind, Positions};
use serde_json::json;
use std::time::Duration;

/// How many rows the source gives, to its end or an error.
async fn count(source: &mut dyn Source, rows: &mut usize) -> Result<(), Error> {
    while let Some(pulled) = source.next(1 << 20).await? {
        *rows += pulled.rows.num_rows();
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_falls_silent_is_told_in_time_and_the_read_goes_on_where_it_was() {
    const ROWS: u64 = 20_000;
    let database = Database::new("silent");
    accounts(&database, ROWS);
    let entity = entity(&["id"], &["id", "name", "amount", "n"]);
    for more in [json!({}), json!({ "mode": "incremental", "cursor": "n" }), json!({ "mode": "cdc" })] {
        let address = server("mariadb").address().to_owned();
        let proxy = Proxy::to(&address);
        let mut given = options(
            &database,
            json!({
                "connection": database.url().replace(&address, &proxy.address), "table": "accounts", "timeout_ms": 1000,
                "batch_rows_max": 1000
            }),
        );
        given.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        let (mut source, mut rows) = (open("mysql", &given, &entity, Positions::new()).await, 0);
        proxy.silent_after(300_000);
        let patience = Duration::from_secs(20);
        let told = tokio::time::timeout(patience, count(&mut *source, &mut rows)).await.expect("an end in time");
        let told = told.expect_err("silence");
        assert!(proxy.is_silent() && rows > 0 && rows < ROWS as usize, "{more}: in the middle, behind {rows} rows");
        assert_eq!(told.kind, Kind::Unreachable, "{told}");
        assert!(told.to_string().contains("says nothing (`timeout_ms`)"), "{told}");
        is_let_go(&proxy).await;
        let again = tokio::time::timeout(patience, count(&mut *source, &mut rows)).await.expect("an end in time");
        assert_eq!(again.expect_err("still silence").kind, Kind::Unreachable);
        proxy.mend();
        count(&mut *source, &mut rows).await.expect("the rest");
        assert_eq!(rows, ROWS as usize, "{more}");
    }
}

async fn is_let_go(proxy: &Proxy) {
    for _ in 0..50 {
        if proxy.held() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(proxy.held(), 0, "no connection is left");
}

/// The driver would read the rest of the answer before it ends the connection, and that never comes.
#[tokio::test]
async fn a_table_that_is_left_in_the_middle_is_not_read_on() {
    let database = Database::new("left");
    accounts(&database, 20_000);
    let entity = entity(&["id"], &["id", "name", "amount", "n"]);
    let address = server("mariadb").address().to_owned();
    for more in [json!({}), json!({ "mode": "incremental", "cursor": "n" }), json!({ "mode": "cdc" })] {
        let proxy = Proxy::to(&address);
        let url = database.url().replace(&address, &proxy.address);
        let mut given = options(&database, json!({ "connection": url, "table": "accounts", "batch_rows_max": 1000 }));
        given.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        proxy.silent_after(300_000);
        let mut source = open("mysql", &given, &entity, Positions::new()).await;
        assert!(source.next(1 << 20).await.expect("rows").is_some(), "{more}: the first of them");
        drop(source);
        is_let_go(&proxy).await;
    }
}

#[tokio::test]
async fn a_query_may_take_longer_before_its_first_row_than_between_two() {
    let database = Database::new("slow");
    database.sql(
        "CREATE TABLE one (id INT PRIMARY KEY); INSERT INTO one VALUES (1); \
         CREATE VIEW slow AS SELECT id, SLEEP(4) AS slept FROM one",
    );
    let entity = entity(&["id"], &["id", "slept"]);
    let given = |timeout_ms: u64| options(&database, json!({ "table": "slow", "timeout_ms": timeout_ms }));
    assert_eq!(column(&given(1000), &entity, "id").await.expect("rows"), ["1"]);
    let told = column(&given(300), &entity, "id").await.expect_err("silence");
    assert!(told.contains("10 times as long as `timeout_ms`"), "{told}");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_told_without_a_link_for_programmers() {
    let database = Database::new("cut");
    accounts(&database, 20_000);
    let address = server("mariadb").address().to_owned();
    let proxy = Proxy::to(&address);
    let url = database.url().replace(&address, &proxy.address);
    for ssl in ["required", "disabled"] {
        let given = options(&database, json!({ "connection": format!("{url}?ssl-mode={ssl}"), "table": "accounts" }));
        proxy.mend();
        proxy.cut_after(300_000);
        let told = column(&given, &entity(&["id"], &["id"]), "id").await.expect_err("an end");
        assert!(told.contains("closed the connection") && !told.contains("http"), "{ssl}: {told}");
    }
}

//! The source over real databases, written to by others.
#![allow(clippy::disallowed_methods, reason = "a test")]

use super::*;
use arrow::datatypes::DataType;
use kernel::clock::{ManualClock, Timestamp};
use kernel::contract::{MaskSpec, Property};
use kernel::{Classification, Kind, Positions};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

struct Shop {
    folder: TempDir,
    db: Connection,
}

impl Shop {
    fn new(journal: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Connection::open(folder.path().join("shop.db")).expect("a database");
        db.execute_batch(&format!(
            "PRAGMA journal_mode = {journal}; CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT, price DECIMAL(12,2), photo BLOB, at TEXT)"
        ))
        .expect("a table");
        Self { folder, db }
    }

    fn fill(&self, ids: std::ops::Range<i64>) {
        for id in ids {
            let row = (
                id,
                format!("é {id}"),
                format!("{id}.50"),
                vec![0_u8, 255],
                format!("2026-01-01 00:00:{:02}", id / 10 % 60),
            );
            self.db.execute("INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5)", row).expect("a row");
        }
    }

    fn opening(&self, options: Value, hidden: &[&str], from: Positions) -> Opening {
        let mut given = json!({ "connection": "sqlite:shop.db", "table": "orders" });
        given.as_object_mut().expect("fields").extend(options.as_object().expect("fields").clone());
        let names = ["id", "name", "price", "photo", "at"];
        let properties = names.iter().map(|name| property(name, hidden.contains(name))).collect();
        let entity = Entity {
            name: "orders".into(),
            description: None,
            properties,
            rules: Vec::new(),
            on_violation: OnViolation::default(),
            schema_change: SchemaChange::default(),
            on_personal_data: OnPersonalData::default(),
        };
        Opening {
            source: "orders".into(),
            project: "test".into(),
            options: given,
            base: self.folder.path().into(),
            entity,
            from,
            store: Default::default(),
            clock: Arc::new(ManualClock::at(0)),
        }
    }

    async fn obeys(&self, options: Value, hidden: &[&str]) {
        kernel::laws::source::obeys(async |from| {
            opened(self.opening(options.clone(), hidden, from)).expect("a source")
        })
        .await;
    }

    /// Rows of one run, and the positions behind them.
    async fn run(&self, options: &Value, from: Positions) -> (usize, Positions) {
        let mut source = opened(self.opening(options.clone(), &[], from.clone())).expect("a source");
        let (mut rows, mut upto) = (0, from);
        while let Some(pulled) = source.next(1 << 20).await.expect("a batch") {
            rows += pulled.rows.num_rows();
            upto.advance(&pulled.upto);
        }
        (rows, upto)
    }
}

fn property(name: &str, hidden: bool) -> Property {
    Property {
        name: name.into(),
        description: None,
        data_type: DataType::Utf8,
        required: false,
        unique: false,
        primary_key: None,
        constraints: Default::default(),
        classification: hidden.then(|| Classification::new("personal.cpf")),
        mask: hidden.then(|| MaskSpec::parse("redact").expect("a mask")),
        format: None,
        decimal_comma: false,
        not_personal: false,
    }
}

#[tokio::test]
async fn it_keeps_the_laws_in_both_modes_and_journals_with_open_and_hidden_keys() {
    for journal in ["wal", "delete"] {
        let shop = Shop::new(journal);
        shop.fill(1..60);
        shop.obeys(json!({}), &[]).await;
        shop.obeys(json!({ "batch_rows_max": 7 }), &["id"]).await;
        shop.obeys(json!({ "mode": "incremental", "cursor": "at" }), &["name"]).await;
        shop.obeys(json!({ "mode": "incremental", "cursor": "id", "batch_rows_max": 20 }), &[]).await;
    }
}

#[tokio::test]
async fn rows_that_get_the_last_cursor_later_are_found_and_others_not_twice() {
    let shop = Shop::new("wal");
    shop.fill(1..25);
    let options = json!({ "mode": "incremental", "cursor": "at" });
    let (rows, upto) = shop.run(&options, Positions::new()).await;
    assert_eq!(rows, 24);
    let (rows, upto) = shop.run(&options, upto).await;
    assert_eq!(rows, 0);
    shop.fill(25..28);
    shop.db.execute("UPDATE orders SET name = 'x', at = '2026-01-01 00:00:02' WHERE id = 3", []).expect("an update");
    let (rows, upto) = shop.run(&options, upto).await;
    assert_eq!(rows, 4, "three new ones with the cursor that was the last, and a changed one");
    assert_eq!(shop.run(&options, upto).await.0, 0);
}

#[tokio::test]
async fn a_hidden_key_is_in_no_position() {
    let shop = Shop::new("wal");
    shop.fill(4_000..4_040);
    for (hidden, shows) in [(vec![], true), (vec!["id"], false)] {
        let mut source =
            opened(shop.opening(json!({ "batch_rows_max": 10 }), &hidden, Positions::new())).expect("a source");
        let first = source.next(1 << 20).await.expect("a batch").expect("rows");
        let shown = format!("{:?}", first.upto);
        assert_eq!((shown.contains("4009"), first.whole), (shows, shows), "{shown}");
    }
    let refused = shop.opening(json!({ "mode": "incremental", "cursor": "at" }), &["at"], Positions::new());
    let error = opened(refused).expect("a source").next(1 << 20).await.err().expect("a refusal");
    assert!(error.to_string().contains("in the clear"), "{error}");
}

#[tokio::test]
async fn a_writer_is_not_kept_out_between_batches() {
    for journal in ["wal", "delete"] {
        let shop = Shop::new(journal);
        shop.fill(1..200);
        let mut source =
            opened(shop.opening(json!({ "batch_rows_max": 10 }), &[], Positions::new())).expect("a source");
        let mut rows = source.next(1 << 20).await.expect("a batch").expect("rows").rows.num_rows();
        shop.db.busy_timeout(std::time::Duration::ZERO).expect("no patience");
        shop.fill(1000..1001);
        while let Some(pulled) = source.next(1 << 20).await.expect("a batch") {
            rows += pulled.rows.num_rows();
        }
        assert_eq!(
            rows,
            if journal == "wal" { 199 } else { 200 },
            "{journal}: one state, or that of each batch's moment"
        );
    }
}

#[tokio::test]
async fn text_comes_as_text_bytes_as_bytes_and_numbers_exactly() {
    let shop = Shop::new("wal");
    shop.fill(1..3);
    let mut source = opened(shop.opening(json!({}), &[], Positions::new())).expect("a source");
    let pulled = source.next(1 << 20).await.expect("a batch").expect("rows");
    let passed = kernel::laws::source::as_text(false)
        .pass(pulled.rows.into_raw().expect("raw rows"), Timestamp(0))
        .expect("a pass");
    let batch = passed.safe.into_batch();
    let text = |name: &str| {
        let column = batch.column_by_name(name).expect("the column");
        arrow::util::display::array_value_to_string(column, 1).expect("its text")
    };
    assert_eq!([text("id"), text("name"), text("price"), text("photo")], ["2", "é 2", "2.5", "00ff"]);
}

#[tokio::test]
async fn text_that_is_none_costs_its_row_and_nothing_else() {
    for journal in ["wal", "delete"] {
        let shop = Shop::new(journal);
        shop.fill(1..8);
        // As a program wrote it that keeps text in Latin-1.
        let spoil = "UPDATE orders SET name = CAST(X'66E97465' AS TEXT) WHERE id IN (1, 4, 5, 7)";
        shop.db.execute_batch(spoil).expect("an update");
        let incremental = json!({ "mode": "incremental", "cursor": "id", "batch_rows_max": 2 });
        for (options, hidden) in [
            (json!({}), vec![]),
            (json!({ "batch_rows_max": 1 }), vec![]),
            (json!({ "batch_rows_max": 2 }), vec!["id"]),
            (incremental, vec![]),
        ] {
            let mut source = opened(shop.opening(options.clone(), &hidden, Positions::new())).expect("a source");
            let (mut good, mut told, mut upto) = (Vec::new(), Vec::new(), Positions::new());
            while let Some(pulled) = source.next(1 << 20).await.expect("a batch") {
                upto.advance(&pulled.upto);
                let passed = kernel::laws::source::as_text(options["mode"] == "incremental")
                    .pass(pulled.rows.into_raw().expect("raw rows"), Timestamp(0))
                    .expect("a pass");
                good.extend(texts(&passed.safe.into_batch(), "id"));
                told.extend(passed.quarantined.iter().flat_map(|aside| texts(aside.batch(), "reason")));
            }
            assert_eq!(good, ["2", "3", "6"], "{journal} {options}");
            let reason = |id: u32| match hidden.is_empty() {
                true => format!("the text of column `name` is no UTF-8 (rowid {id})"),
                false => "the text of column `name` is no UTF-8".to_owned(),
            };
            assert_eq!(told, [1, 4, 5, 7].map(reason), "{journal} {options}");
            assert!(matches!(marks::mark(&upto, "orders"), Some((7, ..))), "{upto:?}");
            shop.obeys(options, &hidden).await;
        }
    }
}

fn texts(batch: &arrow::record_batch::RecordBatch, name: &str) -> Vec<String> {
    let column = batch.column_by_name(name).expect("the column");
    let text = |row| arrow::util::display::array_value_to_string(column, row).expect("its text");
    (0..batch.num_rows()).map(text).collect()
}

#[test]
fn rows_without_a_cursor_are_seen() {
    let shop = Shop::new("wal");
    shop.fill(1..4);
    shop.db
        .execute_batch(
            "CREATE TABLE other (id INTEGER PRIMARY KEY, code TEXT NOT NULL); CREATE TABLE named (id TEXT PRIMARY KEY)",
        )
        .expect("two tables");
    let has_null = |table: &str, column: &str| {
        let given = json!({ "connection": "sqlite:shop.db", "table": table });
        let table = Table::read(&shop.db, &Options::read("t", &given).expect("options")).expect("a table");
        table.has_null(&shop.db, column).expect("an answer")
    };
    assert!(!has_null("orders", "at") && !has_null("orders", "id") && !has_null("other", "code"));
    assert!(!has_null("named", "id"));
    shop.db.execute_batch("UPDATE orders SET at = NULL WHERE id = 2; INSERT INTO named VALUES (NULL)").expect("nulls");
    assert!(has_null("orders", "at") && !has_null("orders", "id"));
    assert!(has_null("named", "id"), "SQLite lets a key of text be null");
}

#[tokio::test]
async fn a_file_that_is_none_and_a_table_that_is_not_there_are_told() {
    let shop = Shop::new("wal");
    let told = async |options: Value| {
        let mut opening = shop.opening(options, &[], Positions::new());
        let findings = spec().probe(&opening).await;
        opening.from = Positions::new();
        let error = opened(opening).expect("a source").next(1).await.err().expect("an error").to_string();
        (error, findings.iter().any(|finding| finding.grade == Grade::Bad && finding.remedy.is_some()))
    };
    let (error, is_bad) = told(json!({ "table": "order" })).await;
    assert!(is_bad && error.contains("did you mean `orders`"), "{error}");
    let (error, is_bad) = told(json!({ "connection": "sqlite:none.db" })).await;
    assert!(is_bad && error.contains("no such file"), "{error}");
    std::fs::write(
        shop.folder.path().join("text.db"),
        "a text that is no database, and long enough to be looked at".repeat(20),
    )
    .expect("a file");
    let (error, is_bad) = told(json!({ "connection": "sqlite:text.db" })).await;
    assert!(is_bad && error.contains("no SQLite database"), "{error}");
}

#[tokio::test]
async fn tables_are_discovered_with_types_and_keys() {
    let shop = Shop::new("wal");
    shop.db.execute_batch("CREATE TABLE pairs (a TEXT, b INT, PRIMARY KEY (b, a)) WITHOUT ROWID").expect("a table");
    let opening = shop.opening(json!({}), &[], Positions::new());
    let opening = Opening { options: json!({ "connection": "sqlite:shop.db" }), ..opening };
    let found = (spec().discover.expect("it discovers"))(&opening).await.expect("tables");
    assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["orders", "pairs"]);
    assert_eq!(found[0].entity.property("price").expect("a column").data_type, DataType::Decimal128(12, 2));
    assert_eq!(found[1].entity.key(), ["b", "a"]);
}

#[tokio::test]
async fn cursors_that_are_the_same_to_sqlite_are_taken_once() {
    let shop = Shop::new("wal");
    shop.db
        .execute_batch(
            "DROP TABLE orders;
             CREATE TABLE orders (id INTEGER PRIMARY KEY, name, price, photo, at TEXT COLLATE NOCASE);
             INSERT INTO orders (id, name, at) VALUES (1, 1, 'a9'), (2, 1.0, 'A9'), (3, 2, 'B1'), (4, 2.0, 'b1')",
        )
        .expect("a table");
    for cursor in ["at", "name"] {
        let options = json!({ "mode": "incremental", "cursor": cursor, "batch_rows_max": 1 });
        let (rows, upto) = shop.run(&options, Positions::new()).await;
        assert_eq!(rows, 4, "{cursor}");
        let (rows, upto) = shop.run(&options, upto).await;
        assert_eq!(rows, 0, "{cursor}: nothing comes twice");
        shop.db.execute_batch("INSERT INTO orders (id, name, at) VALUES (5, 2, 'B1')").expect("a row");
        let (rows, upto) = shop.run(&options, upto).await;
        assert_eq!(rows, 1, "{cursor}: a row of the last cursor is found");
        assert_eq!(shop.run(&options, upto).await.0, 0, "{cursor}");
        shop.db.execute_batch("DELETE FROM orders WHERE id = 5").expect("a delete");
        shop.obeys(options, &[]).await;
    }
}

/// Most numbers of so many digits are another one when they are read in the quick way.
#[tokio::test]
async fn a_cursor_with_a_fraction_is_the_same_when_it_is_read_from_its_position() {
    let shop = Shop::new("wal");
    shop.fill(1..2);
    let (given, mut from) = (json!({ "mode": "incremental", "cursor": "price" }), Positions::new());
    for number in 2..150 {
        let price = f64::from(number).sqrt() * 1e5;
        shop.db.execute("UPDATE orders SET price = ?1", [price]).expect("a row");
        let (rows, upto) = shop.run(&given, from).await;
        assert_eq!(rows, 1, "{price}");
        let (again, upto) = shop.run(&given, upto).await;
        assert_eq!(again, 0, "{price}");
        from = upto;
    }
}

#[tokio::test]
async fn bytes_as_a_cursor_are_left_out_and_what_else_is_none_is_named() {
    let shop = Shop::new("wal");
    shop.fill(1..4);
    let options = json!({ "mode": "incremental", "cursor": "at" });
    let has_bytes = || {
        let given = json!({ "connection": "sqlite:shop.db", "table": "orders" });
        let table = Table::read(&shop.db, &Options::read("t", &given).expect("options")).expect("a table");
        table.has_bytes(&shop.db, "at").expect("an answer")
    };
    assert!(!has_bytes());
    shop.db.execute_batch("UPDATE orders SET at = X'00FF' WHERE id = 2").expect("an update");
    assert!(has_bytes());
    let (rows, upto) = shop.run(&options, Positions::new()).await;
    assert_eq!(rows, 2);
    shop.fill(4..6);
    assert_eq!(shop.run(&options, upto).await.0, 2);
    shop.db.execute_batch("UPDATE orders SET at = CAST(X'66E9' AS TEXT) WHERE id = 3").expect("an update");
    let mut source = opened(shop.opening(options, &[], Positions::new())).expect("a source");
    let told = source.next(1 << 20).await.err().expect("an error").to_string();
    assert!(told.contains("cursor `at`") && told.contains("rowid 3") && told.contains("another value"), "{told}");
}

#[tokio::test]
async fn another_table_is_not_mixed_in() {
    let shop = Shop::new("wal");
    shop.fill(1..4);
    shop.db.execute_batch("CREATE TABLE others (id INTEGER PRIMARY KEY)").expect("a table");
    let (_, upto) = shop.run(&json!({}), Positions::new()).await;
    let again = shop.opening(json!({ "refresh": "2026" }), &[], upto.clone());
    assert!(opened(again).is_ok());
    let other = shop.opening(json!({ "table": "others" }), &[], upto);
    assert!(spec().probe(&other).await.iter().any(|finding| finding.found.contains("rows of orders")));
    let told = opened(other).err().expect("an error").to_string();
    assert!(told.contains("rows of orders") && told.contains("source of its own"), "{told}");
}

/// Rows would be missing, or come twice.
#[tokio::test]
async fn rows_that_were_read_in_one_way_are_not_gone_on_with_in_another() {
    let shop = Shop::new("wal");
    shop.fill(1..4);
    let by = |cursor: &str| json!({ "mode": "incremental", "cursor": cursor });
    let read = async |options: &Value, mut upto: Positions| {
        let mut source = spec().open(shop.opening(options.clone(), &[], upto.clone())).await?;
        let mut rows = 0;
        while let Some(pulled) = source.next(1 << 20).await? {
            rows += pulled.rows.num_rows();
            upto.advance(&pulled.upto);
        }
        Ok::<_, Error>((rows, upto))
    };
    let (rows, upto) = read(&by("id"), Positions::new()).await.expect("the first way");
    assert_eq!(rows, 3);
    shop.fill(4..6);
    for other in [json!({}), by("at"), json!({ "mode": "snapshot", "refresh": "2026" })] {
        let told = read(&other, upto.clone()).await.expect_err("another way").to_string();
        assert!(told.contains("by `mode: incremental, cursor: id`"), "{told}");
        let opening = shop.opening(other, &[], upto.clone());
        assert_eq!(spec().pending(&opening).await.expect_err("another way").kind, Kind::Project);
        assert_eq!(spec().probe(&opening).await[0].grade, Grade::Bad);
    }
    assert_eq!(read(&by("id"), upto).await.expect("the same way").0, 2);
    let (_, once) = read(&json!({}), Positions::new()).await.expect("a snapshot");
    assert_eq!(read(&json!({ "refresh": "2026" }), once.clone()).await.expect("the same way").0, 5);
    assert!(read(&by("id"), once).await.is_err());
}

/// As text they are words that the gate knows as numbers, as those of any format are.
#[tokio::test]
async fn numbers_without_end_are_numbers() {
    let shop = Shop::new("wal");
    shop.db
        .execute_batch("DROP TABLE orders; CREATE TABLE orders (id INTEGER PRIMARY KEY, price REAL)")
        .expect("a table");
    for (id, price) in [(1, f64::INFINITY), (2, f64::NEG_INFINITY), (3, 1.5)] {
        shop.db.execute("INSERT INTO orders VALUES (?1, ?2)", (id, price)).expect("a row");
    }
    let mut source = opened(shop.opening(json!({}), &[], Positions::new())).expect("a source");
    let rows = source.next(1 << 20).await.expect("a batch").expect("rows").rows.into_raw().expect("raw rows");
    let passed = kernel::laws::source::as_text(false).pass(rows, Timestamp(0)).expect("a pass");
    let batch = passed.safe.into_batch();
    let column = batch.column_by_name("price").expect("the column");
    let shown = |row| arrow::util::display::array_value_to_string(column, row).expect("its text");
    assert_eq!([shown(0), shown(1), shown(2)], ["Infinity", "-Infinity", "1.5"]);
}

#[tokio::test]
async fn a_table_that_no_cursor_can_be_followed_in_is_told_with_what_to_do() {
    let shop = Shop::new("wal");
    let told = async |hidden: &[&str]| {
        let opening = shop.opening(json!({ "mode": "incremental", "cursor": "at" }), hidden, Positions::new());
        let findings = spec().probe(&opening).await;
        let error = opened(opening).expect("a source").next(1).await.err().map(|error| error.to_string());
        (error, findings.iter().any(|finding| finding.grade == Grade::Bad))
    };
    assert_eq!(told(&[]).await, (None, false));
    let (error, is_bad) = told(&["id"]).await;
    let error = error.expect("a hidden rowid");
    assert!(is_bad && error.contains("without a mask") && error.contains("mode: snapshot"), "{error}");
    shop.db
        .execute_batch("DROP TABLE orders; CREATE TABLE orders (id INTEGER PRIMARY KEY, at TEXT) WITHOUT ROWID")
        .expect("a table");
    let (error, is_bad) = told(&[]).await;
    let error = error.expect("no rowid");
    assert!(is_bad && error.contains("`WITHOUT ROWID`") && error.contains("mode: snapshot"), "{error}");
}

//! What MySQL wrote into its log, followed without a server: see `recorded/README.md`.

mod made;

use super::follow::{Following, Transaction};
use super::written::Drawn;
use super::*;
use crate::cells::Cell;
use crate::mysql::gtid::{Gtid, Gtids};
use crate::mysql::log::Log;
use crate::mysql::table::{Column, Kind};
use arrow::array::{Array, AsArray};
use kernel::Entity;
use kernel::clock::{ManualClock, Timestamp};
use kernel::contract::{OnPersonalData, OnViolation, SchemaChange};
use kernel::gate::Op;
use mysql_async::binlog::BinlogVersion;
use mysql_async::binlog::events::{Event, EventData, FormatDescriptionEvent, TransactionPayloadEvent};
use serde_json::json;
use std::collections::HashMap;
use std::io::Cursor;

fn column(name: &str, kind: Kind) -> Column {
    Column {
        name: name.into(),
        kind,
        unsigned: false,
        bits: 32,
        is_flag: false,
        precision: 10,
        scale: 0,
        octets: 0,
        charset: "utf8mb4".into(),
        labels: ["one", "two", "three", "four"].map(|word| Some(word.to_owned())).into(),
        nullable: true,
        is_virtual: false,
        comment: String::new(),
    }
}

/// The events of a file, those of compressed transactions among them.
fn events(file: &[u8]) -> Vec<Event> {
    let mut version = FormatDescriptionEvent::new(BinlogVersion::Version4);
    let mut found = Vec::new();
    let mut input = Cursor::new(&file[4..]);
    while (input.position() as usize) < file.len() - 4 {
        let event = Event::read(&version, &mut input).expect("an event");
        if event.header().event_type_raw() == 15 {
            version = event
                .read_event::<FormatDescriptionEvent<'_>>()
                .expect("a format")
                .into_owned()
                .with_footer(event.footer());
        }
        let inner = (event.header().event_type_raw() == 40).then(|| {
            let payload = event.read_event::<TransactionPayloadEvent<'_>>().expect("a payload").danger_decompress();
            let plain = FormatDescriptionEvent::new(BinlogVersion::Version4);
            let (end, mut input) = (payload.len(), Cursor::new(payload));
            let mut inner = Vec::new();
            while (input.position() as usize) < end {
                inner.push(Event::read(&plain, &mut input).expect("an inner event"));
            }
            inner
        });
        found.push(event);
        found.extend(inner.into_iter().flatten());
    }
    found
}

fn follower(database: &str, name: &str, columns: Vec<Column>) -> Cdc {
    let entity = Entity {
        name: name.into(),
        description: None,
        properties: Vec::new(),
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: OnPersonalData::default(),
    };
    let given = json!({ "connection": format!("mysql://u@h/{database}"), "table": name, "mode": "cdc" });
    let opening = Opening {
        source: "t".into(),
        project: "test".into(),
        options: given.clone(),
        base: Default::default(),
        entity,
        from: Positions::new(),
        store: Default::default(),
        clock: Arc::new(ManualClock::at(0)),
    };
    let options = Options::read("t", &given).expect("options");
    let mut cdc = Cdc::open(opening, options).expect("a source");
    let table = Table {
        database: database.into(),
        name: name.into(),
        key: vec![columns[0].name.clone()],
        columns,
        unique: Vec::new(),
        engine: "InnoDB".into(),
    };
    let plan = Plan::new(table.clone(), table.columns.clone(), &cdc.opening.entity, &cdc.options, false);
    plan.begin(&mut cdc.batch);
    cdc.following = Some(Following {
        log: Log::without_server(false, Vec::new()),
        conn: None,
        server: String::new(),
        written: Some(Written { columns: table.columns.iter().map(Drawn::of).collect(), charset: "utf8mb4".into() }),
        names: (database.into(), name.into()),
        has_case: true,
        table,
        stale: false,
        charsets: [(8, "latin1"), (45, "utf8mb4"), (255, "utf8mb4")]
            .map(|(number, name)| (number, name.to_owned()))
            .into(),
        layouts: HashMap::new(),
        plan,
        gtids: Gtids::parse("", false).expect("none"),
        open: None,
        is_void: false,
        resume: None,
        event: None,
        moved: false,
    });
    cdc
}

/// Looks at all events; rows as `op value…`, the position behind them, and the error that ended it.
async fn follow(mut cdc: Cdc, events: Vec<Event>) -> (Vec<String>, Token, Option<String>) {
    let mut rows = Vec::new();
    for event in events {
        let kind = event.header().event_type_raw();
        let Some(following) = &mut cdc.following else { break };
        // These logs were written with and without GTIDs.
        if kind == 34 {
            let gtid = Gtid::MySql { server: [1; 16], number: 1 };
            following.open = Some(Transaction::begin(gtid, None, true, false, 0));
            continue;
        }
        // There is no server to ask what the table is now.
        following.stale = false;
        following.event = Some(event);
        match cdc.look().await {
            Ok(pulled) => assert!(pulled.is_none(), "one plan serves for all"),
            // A row that was begun is in the batch by half: nobody asks a source that failed for more.
            Err(error) => return (rows, cdc.handed, Some(error.to_string())),
        }
        if cdc.batch.cells.rows() > 0 {
            rows.extend(shown(cdc.hand_out(true).expect("a batch")));
        }
    }
    rows.extend(shown(cdc.hand_out(true).expect("the end")));
    (rows, cdc.handed, None)
}

fn shown(pulled: Pulled) -> Vec<String> {
    let batch = kernel::laws::source::as_text(true)
        .pass(pulled.rows.into_raw().expect("raw rows"), Timestamp(0))
        .expect("a pass")
        .safe
        .into_batch();
    let names: Vec<String> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .filter(|name| !name.starts_with('_'))
        .collect();
    let show = |name: &str, row: usize| {
        let column = batch.column_by_name(name).expect("a column").as_string_view();
        if column.is_null(row) { "-".to_owned() } else { column.value(row).to_owned() }
    };
    let row = |row: usize| {
        let values: Vec<String> = names.iter().map(|name| show(name, row)).collect();
        format!("{} {}", show("_op", row), values.join(" "))
    };
    (0..batch.num_rows()).map(row).collect()
}

#[tokio::test]
async fn json_of_mysql_is_read_from_its_tree_in_the_order_of_its_keys() {
    let columns = vec![
        column("id", Kind::Int),
        column("json_col", Kind::Json),
        Column { is_virtual: true, ..column("name", Kind::Text) },
        Column { is_virtual: true, ..column("age", Kind::Int) },
    ];
    let recorded = events(include_bytes!("recorded/json-8.0.22.binlog"));
    let database = "mysql";
    let (rows, _, failed) = follow(follower(database, "t", columns), recorded).await;
    assert_eq!(rows.len(), 12, "{rows:#?} {failed:?}");
    assert!(
        rows[0].starts_with("c 1 {\"") && rows[0].contains("\"age\":") && rows[0].contains("\"name\":\"Joe\""),
        "{}",
        rows[0]
    );
    assert!(rows[6].starts_with("u 1 {\"") && rows[6].contains("\"age\":25,"), "{}", rows[6]);
    // The last statement was written with `binlog_row_value_options = PARTIAL_JSON`.
    assert!(failed.as_deref().is_some_and(|error| error.contains("PARTIAL_JSON")), "{failed:?}");
}

#[tokio::test]
async fn dates_times_and_decimals_inside_of_json_keep_their_digits() {
    let recorded = events(include_bytes!("recorded/json-opaque-9.0.1.binlog"));
    let (rows, _, failed) = follow(follower("foo", "test", vec![column("a", Kind::Json)]), recorded).await;
    assert_eq!(failed, None);
    assert_eq!(
        rows[..6],
        [
            "c {\"a\":\"base64:type15:VQ==\"}",
            "c {\"b\":\"2012-03-18\"}",
            "c {\"c\":\"2012-03-18 11:30:45.000000\"}",
            "c {\"c\":\"87:31:46.654321\"}",
            "c {\"d\":123.456}",
            "c {\"e\":9.00}",
        ]
    );
}

#[tokio::test]
async fn the_words_of_an_enum_are_those_of_the_logs_own_map() {
    let columns = vec![
        column("f1", Kind::Text),
        column("f2", Kind::Text),
        column("f3", Kind::Enum),
        column("f4", Kind::Set),
        column("f5", Kind::Text),
    ];
    let recorded = events(include_bytes!("recorded/enum-set-8.0.28.binlog"));
    let (rows, token, failed) = follow(follower("mysql", "t", columns), recorded).await;
    assert_eq!(failed, None);
    let short: Vec<String> = rows.iter().map(|row| row.replace("0123456789", "")).collect();
    let word = |row: &str, at: usize| row.split(' ').nth(at).unwrap_or_default().to_owned();
    assert_eq!(
        (word(&short[0], 0), word(&short[0], 3), word(&short[0], 4)),
        ("c".into(), "var1".into(), "one,three".into()),
        "{short:?}"
    );
    assert!(rows.iter().any(|row| row.contains("field1 field_2 variant2 two,four")), "{short:?}");
    assert!(short.iter().any(|row| row.starts_with("d ")), "{short:?}");
    let gtid = token.gtid.expect("a position");
    assert!(gtid.len() > 36 && gtid.contains(":") && gtid.matches('-').count() >= 4, "{gtid}");
    assert_eq!(token.open, None);
}

#[tokio::test]
async fn a_compressed_transaction_is_one_like_others() {
    let recorded = events(include_bytes!("recorded/compressed-8.0.32.binlog"));
    let map = recorded.iter().find_map(|event| match event.read_data() {
        Ok(Some(EventData::TableMapEvent(map))) => {
            Some((map.database_name().into_owned(), map.table_name().into_owned(), map.columns_count()))
        }
        _ => None,
    });
    let (database, name, count) = map.expect("a map");
    let names: Vec<String> = (0..count).map(|at| format!("c{at}")).collect();
    let columns = names.iter().map(|name| column(name, Kind::Int)).collect();
    let (rows, _, failed) = follow(follower(&database, &name, columns), recorded).await;
    assert_eq!((rows.len(), failed), (1, None), "{rows:?}");
}

#[tokio::test]
async fn a_compressed_transaction_at_the_end_of_the_log_is_taken_in_the_same_run() {
    let recorded = events(include_bytes!("recorded/compressed-8.0.32.binlog"));
    let payload = recorded.iter().position(|event| event.header().event_type_raw() == 40).expect("a payload");
    let until = u64::from(recorded[payload].header().log_pos());
    let mut cdc = follower("shop", "t", vec![column("c0", Kind::Int)]);
    let following = cdc.following.as_mut().expect("it follows");
    let mut places = Vec::new();
    for event in &recorded[payload..] {
        following.log.meaning(event).expect("a meaning");
        places.push(following.log.place.at);
    }
    let inner = places.iter().take_while(|at| **at < until).count();
    assert!(inner > 3, "its rows come before its end: {places:?} of {until}");
    assert!(places[inner] == until, "and with the commit it is reached: {places:?}");
}

/// A follower inside of a transaction, of which so many rows were taken before.
fn inside(skip: u64) -> Cdc {
    let mut cdc = follower("shop", "orders", vec![column("id", Kind::Int)]);
    let gtid = Gtid::MySql { server: [1; 16], number: 7 };
    let following = cdc.following.as_mut().expect("it follows");
    following.open = Some(Transaction::begin(gtid, None, false, false, skip));
    cdc
}

fn open(cdc: &mut Cdc) -> &mut Transaction {
    cdc.following.as_mut().and_then(|following| following.open.as_mut()).expect("a transaction")
}

fn put(cdc: &mut Cdc, id: i64) {
    if open(cdc).takes() {
        cdc.batch.push("id", 0, Ok(Cell::Int(id))).expect("a cell");
        cdc.batch.cells.end_row();
        cdc.batch.changes.as_mut().expect("changes").push(Op::Create, None, Vec::new());
    }
}

#[tokio::test]
async fn rows_behind_a_savepoint_are_taken_back_while_they_are_in_the_batch() {
    let mut cdc = inside(0);
    put(&mut cdc, 1);
    open(&mut cdc).save("a");
    put(&mut cdc, 2);
    open(&mut cdc).save("b");
    put(&mut cdc, 3);
    let pulled = cdc.roll_back_to("A").expect("they are in the batch").expect("what is before them");
    assert!(!pulled.whole);
    assert_eq!(shown(pulled), ["c 1"]);
    let taken = cdc.handed.open.clone().expect("a place in the transaction").1;
    assert!(cdc.roll_back_to("a").expect("nothing").is_none(), "there is nothing more to take back");
    put(&mut cdc, 4);
    assert_eq!(shown(cdc.hand_out(true).expect("a batch")), ["c 4"]);
    // From that place on the same comes.
    let mut again = inside(taken);
    put(&mut again, 1);
    open(&mut again).save("a");
    put(&mut again, 2);
    put(&mut again, 3);
    assert!(again.roll_back_to("a").expect("it was done before").is_none());
    put(&mut again, 4);
    assert_eq!(shown(again.hand_out(true).expect("a batch")), ["c 4"]);
}

#[tokio::test]
async fn rows_that_went_out_can_not_be_taken_back_and_that_is_told() {
    let mut cdc = inside(0);
    put(&mut cdc, 1);
    open(&mut cdc).save("a");
    put(&mut cdc, 2);
    drop(cdc.hand_out(false).expect("a batch"));
    put(&mut cdc, 3);
    let error = cdc.roll_back_to("a").err().expect("a stop").to_string();
    assert!(error.contains("refresh"), "{error}");
    let mut cdc = inside(1);
    put(&mut cdc, 1);
    assert!(cdc.roll_back().is_err(), "a row of it was taken");
}

#[tokio::test]
async fn a_transaction_that_is_taken_back_as_a_whole_leaves_those_before_it() {
    let mut cdc = inside(0);
    put(&mut cdc, 1);
    cdc.following.as_mut().expect("it follows").commit();
    let gtid = Gtid::MySql { server: [1; 16], number: 8 };
    cdc.following.as_mut().expect("it follows").open = Some(Transaction::begin(gtid, None, false, false, 0));
    put(&mut cdc, 2);
    let pulled = cdc.roll_back().expect("it is in the batch").expect("what is before it");
    assert!(pulled.whole && cdc.handed.open.is_none());
    assert_eq!(shown(pulled), ["c 1"]);
    assert!(cdc.handed.gtid.as_ref().is_some_and(|gtid| gtid.ends_with(":7-8")), "{:?}", cdc.handed.gtid);
}

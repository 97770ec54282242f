//! Events as a server writes them without names of columns.

use super::*;
use kernel::clock::Clock;
use std::sync::atomic::{AtomicI64, Ordering};

const QUERY: u8 = 2;
const ROTATE: u8 = 4;
const INTVAR: u8 = 5;
const XID: u8 = 16;
const MAP: u8 = 19;
const WRITE: u8 = 23;
/// What begins a transaction in these tests.
const BEGIN: u8 = 34;

const LONG: [u8; 1] = [3];
const VARCHAR: [u8; 3] = [15, 40, 0];
const ENUM: [u8; 3] = [254, 247, 1];

fn event(kind: u8, body: &[u8]) -> Event {
    let mut bytes = vec![0, 0, 0, 0, kind, 1, 0, 0, 0];
    bytes.extend((19 + body.len() as u32).to_le_bytes());
    bytes.extend([0; 6]);
    bytes.extend(body);
    let version = FormatDescriptionEvent::new(BinlogVersion::Version4);
    Event::read(&version, &mut bytes.as_slice()).expect("an event")
}

fn begin() -> Event {
    event(BEGIN, &[])
}

fn commit() -> Event {
    event(XID, &[0; 8])
}

fn rotate() -> Event {
    event(ROTATE, &[&4_u64.to_le_bytes()[..], b"binlog.000007"].concat())
}

fn statement(sql: &str) -> Event {
    let head = [0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    event(QUERY, &[&head[..], b"shop\0", sql.as_bytes()].concat())
}

/// The map of a table: each column as its type and what belongs to it.
fn map(id: u8, table: &str, columns: &[&[u8]]) -> Event {
    let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0];
    for name in ["shop", table] {
        body.push(name.len() as u8);
        body.extend(name.as_bytes());
        body.push(0);
    }
    body.push(columns.len() as u8);
    body.extend(columns.iter().map(|column| column[0]));
    let meta: Vec<u8> = columns.iter().flat_map(|column| &column[1..]).copied().collect();
    body.push(meta.len() as u8);
    body.extend(meta);
    body.push(0xff);
    event(MAP, &body)
}

/// A new row of a few columns.
fn write(id: u8, values: &[&[u8]]) -> Event {
    let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0, values.len() as u8, (1_u8 << values.len()) - 1, 0];
    values.iter().for_each(|value| body.extend(*value));
    event(WRITE, &body)
}

/// A follower of `shop.orders`, which is now as `now`, at a place where its rows are written as `written`.
fn orders(now: &[(&str, Kind)], written: Option<&[(&str, Kind)]>) -> Cdc {
    let columns =
        |all: &[(&str, Kind)]| -> Vec<Column> { all.iter().map(|(name, kind)| column(name, *kind)).collect() };
    let mut cdc = follower("shop", "orders", columns(now));
    let following = cdc.following.as_mut().expect("it follows");
    following.written = written.map(|written| Written {
        columns: columns(written).iter().map(Drawn::of).collect(),
        charset: "utf8mb4".into(),
    });
    cdc
}

const ID: (&str, Kind) = ("id", Kind::Int);
const NAME: (&str, Kind) = ("name", Kind::Text);
const NICK: (&str, Kind) = ("nick", Kind::Text);
const NOTE: (&str, Kind) = ("note", Kind::Text);

#[tokio::test]
async fn a_number_that_another_table_got_by_a_restart_brings_none_of_its_rows() {
    let columns: [&[u8]; 2] = [&LONG, &VARCHAR];
    for between in [vec![rotate()], vec![]] {
        let mut events = vec![begin(), map(92, "orders", &columns), write(92, &[&[1, 0, 0, 0], b"\x01a"]), commit()];
        events.extend(between);
        events.extend([begin(), map(92, "customers", &columns), write(92, &[&[2, 0, 0, 0], b"\x03x@y"]), commit()]);
        let (rows, _, failed) = follow(orders(&[ID, NAME], Some(&[ID, NAME])), events).await;
        assert_eq!((rows, failed), (vec!["c 1 a".to_owned()], None));
    }
}

#[tokio::test]
async fn a_table_whose_name_has_another_case_is_another_one() {
    let columns: [&[u8]; 2] = [&LONG, &VARCHAR];
    let events = vec![begin(), map(92, "Orders", &columns), write(92, &[&[1, 0, 0, 0], b"\x01a"]), commit()];
    for (has_case, expected) in [(true, Vec::new()), (false, vec!["c 1 a"])] {
        let mut cdc = orders(&[ID, NAME], Some(&[ID, NAME]));
        cdc.following.as_mut().expect("it follows").has_case = has_case;
        let (rows, _, failed) = follow(cdc, events.clone()).await;
        assert_eq!((rows, failed), (expected.into_iter().map(str::to_owned).collect(), None));
    }
}

#[tokio::test]
async fn the_same_number_may_be_the_tables_own_with_other_columns() {
    let events = vec![
        begin(),
        map(92, "orders", &[&LONG, &VARCHAR]),
        write(92, &[&[1, 0, 0, 0], b"\x01a"]),
        commit(),
        begin(),
        statement("ALTER TABLE orders ADD COLUMN n INT FIRST"),
        rotate(),
        begin(),
        map(92, "orders", &[&LONG, &LONG, &VARCHAR]),
        write(92, &[&[7, 0, 0, 0], &[2, 0, 0, 0], b"\x01b"]),
        commit(),
    ];
    let (rows, _, failed) = follow(orders(&[ID, NAME], Some(&[ID, NAME])), events).await;
    assert_eq!((rows, failed), (vec!["c 1 a".to_owned(), "c 7 2 b".to_owned()], None));
}

#[tokio::test]
async fn rows_are_laid_out_by_the_columns_that_they_were_written_with() {
    let events = vec![
        begin(),
        map(92, "orders", &[&LONG, &VARCHAR, &VARCHAR]),
        write(92, &[&[1, 0, 0, 0], b"\x01a", b"\x01n"]),
        commit(),
        begin(),
        statement("ALTER TABLE orders ADD COLUMN nick varchar(20) AFTER id"),
        begin(),
        map(93, "orders", &[&LONG, &VARCHAR, &VARCHAR, &VARCHAR]),
        write(93, &[&[2, 0, 0, 0], b"\x01k", b"\x01b", b"\x01m"]),
        commit(),
    ];
    let cdc = orders(&[ID, NICK, NAME, NOTE], Some(&[ID, NAME, NOTE]));
    let (rows, token, failed) = follow(cdc, events).await;
    assert_eq!(failed, None);
    assert_eq!(rows, ["c 1 a n", "c 2 k b m"]);
    let names = |token: &Token| -> Vec<String> {
        token.columns.as_ref().expect("columns").columns.iter().map(|column| column.name.clone()).collect()
    };
    assert_eq!(names(&token), ["id", "nick", "name", "note"], "and the position knows them");
    let text = write_token(&token).expect("a position");
    assert_eq!(read_token::<Token>("shop.orders", &text).expect("the same"), token);
}

#[tokio::test]
async fn words_of_an_enum_are_those_that_it_had() {
    let columns: [&[u8]; 2] = [&LONG, &ENUM];
    let events = vec![
        begin(),
        map(92, "orders", &columns),
        write(92, &[&[1, 0, 0, 0], &[2]]),
        commit(),
        begin(),
        statement("ALTER TABLE orders MODIFY e ENUM('two','one')"),
        begin(),
        map(93, "orders", &columns),
        write(93, &[&[2, 0, 0, 0], &[2]]),
        commit(),
    ];
    let both = [ID, ("e", Kind::Enum)];
    let (rows, _, failed) = follow(orders(&both, Some(&both)), events).await;
    assert_eq!((rows, failed), (vec!["c 1 two".to_owned(), "c 2 one".to_owned()], None));
}

#[tokio::test]
async fn what_rows_were_written_with_is_not_guessed() {
    let rows_of =
        |columns: &[&[u8]], values: &[&[u8]]| vec![begin(), map(93, "orders", columns), write(93, values), commit()];
    let (two, one): ([&[u8]; 2], [&[u8]; 2]) = ([&LONG, &VARCHAR], [&[1, 0, 0, 0], b"\x01a"]);
    // A position of before.
    let (rows, token, failed) = follow(orders(&[ID, NAME], None), rows_of(&two, &one)).await;
    assert!(rows.is_empty() && token.gtid.is_none(), "{rows:?}");
    let told = failed.expect("a stop");
    assert!(told.contains("binlog_row_metadata = FULL") && told.contains("refresh"), "{told}");
    // A statement that does not tell what it makes of the columns.
    let mut events =
        vec![begin(), statement("ALTER TABLE orders ADD COLUMN p NATIONAL CHAR(3) FIRST, DROP COLUMN name")];
    events.extend(rows_of(&two, &one));
    let (rows, _, failed) = follow(orders(&[ID, NAME], Some(&[ID, NAME])), events).await;
    assert!(rows.is_empty() && failed.as_ref().is_some_and(|told| told.contains("refresh")), "{rows:?} {failed:?}");
    // Other columns than are known, by number and by kind.
    for written in [&[ID, NAME, NOTE][..], &[NAME, ID]] {
        let (rows, _, failed) = follow(orders(&[ID, NAME], Some(written)), rows_of(&two, &one)).await;
        assert!(rows.is_empty() && failed.as_ref().is_some_and(|told| told.contains("refresh")), "{rows:?} {failed:?}");
    }
}

/// A second passes each time that somebody looks at it.
#[derive(Default)]
struct Seconds(AtomicI64);

impl Clock for Seconds {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1_000_000, Ordering::SeqCst))
    }
}

/// A follower of a log of a transaction of others, and of much more of them.
fn of_others(cdc: &mut Cdc) {
    let others = std::iter::once(commit()).chain((0..40).map(|_| event(INTVAR, &[0; 9]))).collect();
    let following = cdc.following.as_mut().expect("it follows");
    let gtid = Gtid::MySql { server: [1; 16], number: 7 };
    following.open = Some(Transaction::begin(gtid, None, false, false, 0));
    following.log = Log::without_server(false, others);
    cdc.until = Some(Place { file: "binlog.000009".into(), at: 1 << 40 });
}

#[tokio::test]
async fn a_long_stretch_of_the_log_of_others_moves_the_position_on_in_time() {
    let mut cdc = orders(&[ID], Some(&[ID]));
    cdc.opening.clock = Arc::new(Seconds::default());
    of_others(&mut cdc);
    for _ in 0..2 {
        let pulled = cdc.follow_until(1 << 20).await.expect("no wait for the end").expect("a position");
        assert!(pulled.whole && shown(pulled).is_empty());
        assert!(cdc.handed.gtid.as_ref().is_some_and(|gtid| gtid.ends_with(":7")), "{:?}", cdc.handed.gtid);
        assert!(cdc.until.is_some(), "the same run goes on");
    }
}

#[tokio::test]
async fn a_long_stretch_of_the_log_of_others_moves_the_position_on_by_its_size() {
    let mut cdc = orders(&[ID], Some(&[ID]));
    of_others(&mut cdc);
    let large = event(INTVAR, &vec![0; 64 << 20]);
    cdc.following.as_mut().expect("it follows").log = Log::without_server(false, vec![commit(), large]);
    let pulled = cdc.follow_until(1 << 20).await.expect("no wait for the end").expect("a position");
    assert!(pulled.whole && shown(pulled).is_empty());
    assert!(cdc.handed.gtid.as_ref().is_some_and(|gtid| gtid.ends_with(":7")), "{:?}", cdc.handed.gtid);
}

#[tokio::test]
async fn before_a_cut_transaction_is_reached_again_its_position_stays() {
    for begun in [false, true] {
        let mut cdc = orders(&[ID], Some(&[ID]));
        cdc.opening.clock = Arc::new(Seconds::default());
        of_others(&mut cdc);
        let gtid = Gtid::MySql { server: [1; 16], number: 8 };
        let cut = Some((gtid.to_string(), 500));
        (cdc.token.open, cdc.handed.open) = (cut.clone(), cut.clone());
        let following = cdc.following.as_mut().expect("it follows");
        following.log = Log::without_server(false, (0..80).map(|_| event(INTVAR, &[0; 9])).collect());
        (following.open, following.resume) = if begun {
            (Some(Transaction { rows: 5, ..Transaction::begin(gtid, None, false, false, 495) }), None)
        } else {
            (None, cut.clone())
        };
        let pulled = cdc.follow_until(1 << 20).await.expect("no wait for the end").expect("a position");
        assert!(!pulled.whole && shown(pulled).is_empty());
        assert_eq!(cdc.handed.open, cut);
    }
}

//! The binary log as the server sends it to a replica: its events, and how far they reach.

use super::gtid::{Gtid, Gtids};
use super::login::fault;
use futures::StreamExt;
use futures::stream::BoxStream;
use kernel::{Error, Kind, Result};
use mysql_async::binlog::events::{
    Event, GtidEvent, QueryEvent, RotateEvent, StatusVarVal, TableMapEvent, TransactionPayloadEvent,
};
use mysql_async::binlog::{EventType, StatusVarKey};
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStreamRequest, Conn, Row};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

/// How long the server waits with nothing to send before it says where it is.
const HEARTBEAT_NANOS: u64 = 100_000_000;

/// MariaDB's own events.
const MARIADB_GTID: u8 = 162;
const MARIADB_ENCRYPTED: u8 = 164;
const MARIADB_COMPRESSED: std::ops::RangeInclusive<u8> = 165..=171;
/// The right to follow the log.
const FOLLOW: &str = "REPLICATION SLAVE";
/// Bits of [`MARIADB_GTID`].
const STANDALONE: u8 = 1;
const HAS_GROUP: u8 = 2;
const PREPARED_XA: u8 = 64;
const ENDED_XA: u8 = 128;
/// Of the byte behind them: an `ALTER` that begins, and one that was given up (`binlog_alter_two_phase`).
const ALTER_BEGINS: u8 = 2;
const ALTER_IS_UNDONE: u8 = 8;

/// A place in the log's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub at: u64,
}

impl Place {
    fn number(&self) -> u64 {
        self.file.rsplit('.').next().and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    pub fn reaches(&self, other: &Self) -> bool {
        match self.number().cmp(&other.number()) {
            Ordering::Equal => self.at >= other.at,
            order => order == Ordering::Greater,
        }
    }

    /// An event's end is told in 32 bits, and a file may be longer.
    fn advance(&mut self, end: u32) {
        let mut at = self.at & !0xffff_ffff | u64::from(end);
        if at + (1 << 31) < self.at {
            at += 1 << 32;
        }
        self.at = self.at.max(at);
    }
}

/// What an event is to the one who follows a table.
#[derive(Debug)]
pub enum Meaning {
    /// A transaction begins; one of a single statement has no end of its own.
    Begin {
        gtid: Gtid,
        at: Option<i64>,
        single: bool,
        is_xa: bool,
        /// Its statement does nothing: it is only announced, or was given up.
        is_void: bool,
    },
    Statement {
        sql: String,
        database: String,
        /// The number of a collation of the character set that it was sent in.
        charset: Option<u16>,
    },
    Commit,
    /// A file begins, or the log goes on behind a restart: numbers of tables begin anew.
    File,
    Table {
        id: u64,
        database: String,
        name: String,
    },
    Rows,
    Nothing,
}

pub struct Log {
    stream: Option<BoxStream<'static, mysql_async::Result<Event>>>,
    /// The tables of the rows that follow.
    maps: HashMap<u64, TableMapEvent<'static>>,
    is_mariadb: bool,
    timeout: Duration,
    /// Everything before is read.
    pub place: Place,
    /// Bytes that were sent since this was set to 0; a new file counts as many.
    pub passed: u64,
    /// Bytes that were sent since this was set to 0.
    pub bytes: u64,
    /// Where the compressed transaction ends whose events come now; 0 outside of one.
    unpacking: u32,
}

/// Where the log ends now.
pub async fn end(conn: &mut Conn) -> Result<Place> {
    let mut row: mysql_async::Result<Option<Row>> = conn.query_first("SHOW MASTER STATUS").await;
    // MySQL 8.4 has another word for it, and does not know this one.
    if matches!(&row, Err(mysql_async::Error::Server(error)) if error.code == SYNTAX) {
        row = conn.query_first("SHOW BINARY LOG STATUS").await;
    }
    let what = "ask where the binary log ends";
    let row = row.map_err(|e| {
        denied(what, &e, "BINLOG MONITOR", "; of MySQL it is REPLICATION CLIENT").unwrap_or_else(|| fault(what, e))
    })?;
    let place = row.as_ref().and_then(|row| Some(Place { file: row.get_opt(0)?.ok()?, at: row.get_opt(1)?.ok()? }));
    place.ok_or_else(|| {
        Error::project(
            what,
            "the server keeps no binary log: set `log_bin` and `binlog_format = ROW`, and start it again",
        )
    })
}

/// A statement that the server does not know.
const SYNTAX: u16 = 1064;

/// What a user that has signed in is told by the server when it lacks a right; some servers say no more than that it may not
/// come in.
fn denied(what: &str, error: &mysql_async::Error, right: &str, more: &str) -> Option<Error> {
    const DENIED: [u16; 4] = [1045, 1227, 1698, 3118];
    let mysql_async::Error::Server(error) = error else { return None };
    let detail = format!("this user lacks the right {right}: `GRANT {right} ON *.* TO` it{more} ({})", error.message);
    DENIED.contains(&error.code).then(|| Error::refused(what, detail))
}

/// What tells a server from all others.
pub async fn identity(conn: &mut Conn, is_mariadb: bool) -> Result<String> {
    let asked = match is_mariadb {
        true => "SELECT CONCAT_WS(' ', @@server_id, @@hostname, @@port, @@datadir)",
        false => "SELECT @@server_uuid",
    };
    let found: Option<String> = conn.query_first(asked).await.map_err(|e| fault("ask which server it is", e))?;
    Ok(found.unwrap_or_default())
}

/// Where the log ends is asked beside it: of another server it says nothing of this one's log.
pub fn one_server(log: &str, beside: &str) -> Result<()> {
    if log == beside {
        return Ok(());
    }
    Err(Error::new(
        Kind::Unreachable,
        "follow the binary log",
        "its connections lead to different servers: let `connection` name one server, or a balancer that keeps a client on one",
    ))
}

impl Log {
    /// Begins behind these transactions.
    pub async fn start(mut conn: Conn, behind: &Gtids, server_id: u32, timeout: Duration) -> Result<Self> {
        let what = "follow the binary log";
        let is_mariadb = matches!(behind, Gtids::MariaDb(_));
        let mut set =
            format!("SET @master_heartbeat_period = {HEARTBEAT_NANOS}, @source_heartbeat_period = {HEARTBEAT_NANOS}");
        if is_mariadb {
            set.push_str(&format!(
                ", @mariadb_slave_capability = 4, @slave_connect_state = '{behind}', @slave_gtid_strict_mode = 1, \
                 @slave_gtid_ignore_duplicates = 0"
            ));
        }
        conn.query_drop(set).await.map_err(|e| fault(what, e))?;
        let mut request = BinlogStreamRequest::new(server_id);
        if !is_mariadb {
            request = request.with_gtid().with_gtid_set(behind.sids());
        }
        let stream = conn.get_binlog_stream(request).await;
        let stream = stream.map_err(|e| denied(what, &e, FOLLOW, "").unwrap_or_else(|| fault(what, e)))?;
        Ok(Self { stream: Some(stream.boxed()), timeout, ..Self::of(is_mariadb) })
    }

    fn of(is_mariadb: bool) -> Self {
        Self {
            stream: None,
            maps: HashMap::new(),
            is_mariadb,
            timeout: Duration::ZERO,
            place: Place::default(),
            passed: 0,
            bytes: 0,
            unpacking: 0,
        }
    }

    /// Without a server: these events come, and others are brought by hand.
    #[cfg(test)]
    pub fn without_server(is_mariadb: bool, events: Vec<Event>) -> Self {
        let stream = futures::stream::iter(events.into_iter().map(Ok)).boxed();
        Self { stream: Some(stream), timeout: Duration::from_secs(1), ..Self::of(is_mariadb) }
    }

    pub fn table_map(&self, id: u64) -> Option<&TableMapEvent<'static>> {
        self.maps.get(&id)
    }

    /// The next event. A call that is dropped has taken nothing.
    pub async fn next(&mut self) -> Result<Event> {
        let what = "follow the binary log";
        let silent = |_| {
            Error::new(
                Kind::Unreachable,
                what,
                format!("the server was silent for {} ms (`timeout_ms`)", self.timeout.as_millis()),
            )
        };
        let stream = self.stream.as_mut().ok_or_else(|| Error::internal(what, "there is no server"))?;
        let event = tokio::time::timeout(self.timeout, stream.next()).await.map_err(silent)?;
        match event {
            Some(Ok(event)) => Ok(event),
            Some(Err(mysql_async::Error::Server(error))) if is_displaced(&error) => Err(displaced()),
            Some(Err(mysql_async::Error::Server(error))) if error.code == GONE => Err(Error::data(
                what,
                format!(
                    "the server does not have any more what comes behind this position, or has another history ({}); keep its logs longer \
                     (`binlog_expire_logs_seconds`), and take the table anew by `refresh: <any new text>`",
                    error.message
                ),
            )),
            Some(Err(error)) => Err(denied(what, &error, FOLLOW, "").unwrap_or_else(|| fault(what, error))),
            None => Err(displaced()),
        }
    }

    /// What an event means; how far the log is read moves with it.
    pub fn meaning(&mut self, event: &Event) -> Result<Meaning> {
        let meaning = self.meant(event)?;
        let ends = match &meaning {
            Meaning::Commit => true,
            Meaning::Statement { sql, .. } => ["COMMIT", "ROLLBACK"].iter().any(|end| sql.eq_ignore_ascii_case(end)),
            _ => false,
        };
        if ends && self.unpacking > 0 {
            self.place.advance(std::mem::take(&mut self.unpacking));
        }
        Ok(meaning)
    }

    fn meant(&mut self, event: &Event) -> Result<Meaning> {
        let header = event.header();
        self.passed += u64::from(header.event_size());
        self.bytes += u64::from(header.event_size());
        let kind = header.event_type_raw();
        if kind == EventType::ROTATE_EVENT as u8 {
            let rotate: RotateEvent<'_> = event.read_event().map_err(unread)?;
            self.place = Place { file: file_name(rotate.name_raw()), at: rotate.position() };
            self.maps.clear();
            self.unpacking = 0;
            // One that is sent before a file, to name it, is in no file.
            if header.log_pos() > 0 && header.timestamp() > 0 {
                self.passed += 1 << 30;
            }
            return Ok(Meaning::File);
        }
        if kind == EventType::HEARTBEAT_EVENT as u8 {
            let file = file_name(event.data());
            if file != self.place.file {
                self.place = Place { file, at: 0 };
            }
            self.unpacking = 0;
            self.place.advance(header.log_pos());
            return Ok(Meaning::Nothing);
        }
        self.move_on(kind, header.log_pos());
        match kind {
            MARIADB_GTID if self.is_mariadb => mariadb_begin(event),
            MARIADB_ENCRYPTED if self.is_mariadb => Ok(Meaning::Nothing),
            kind if self.is_mariadb && MARIADB_COMPRESSED.contains(&kind) => Err(Error::refused(
                "follow the binary log",
                "it is compressed: set `log_bin_compress = OFF`, and take the table anew by `refresh`",
            )),
            _ => self.common(event),
        }
    }

    /// What is in a compressed transaction is not read before its own events were looked at, which tell no place.
    fn move_on(&mut self, kind: u8, end: u32) {
        const OUTSIDE: [EventType; 5] = [
            EventType::GTID_EVENT,
            EventType::GTID_TAGGED_LOG_EVENT,
            EventType::ANONYMOUS_GTID_EVENT,
            EventType::FORMAT_DESCRIPTION_EVENT,
            EventType::STOP_EVENT,
        ];
        if kind == EventType::TRANSACTION_PAYLOAD_EVENT as u8 {
            self.unpacking = end;
        } else if OUTSIDE.iter().any(|outside| *outside as u8 == kind) {
            self.unpacking = 0;
        }
        if self.unpacking == 0 && end > 0 {
            self.place.advance(end);
        }
    }

    fn common(&mut self, event: &Event) -> Result<Meaning> {
        use EventType as E;
        let Ok(kind) = event.header().event_type() else { return Ok(Meaning::Nothing) };
        Ok(match kind {
            E::GTID_EVENT => mysql_begin(event)?,
            E::GTID_TAGGED_LOG_EVENT => {
                return Err(Error::refused(
                    "follow the binary log",
                    "a transaction has a tag in its GTID, which is not read yet",
                ));
            }
            E::ANONYMOUS_GTID_EVENT => {
                return Err(Error::project(
                    "follow the binary log",
                    "transactions have no GTID: set `gtid_mode = ON` and `enforce_gtid_consistency = ON`",
                ));
            }
            E::QUERY_EVENT => {
                let query: QueryEvent<'_> = event.read_event().map_err(unread)?;
                let charset = query.status_vars().get_status_var(StatusVarKey::Charset);
                let charset = charset.and_then(|charset| match charset.get_value() {
                    Ok(StatusVarVal::Charset { charset_client, .. }) => Some(charset_client),
                    _ => None,
                });
                Meaning::Statement { sql: query.query().into_owned(), database: query.schema().into_owned(), charset }
            }
            E::FORMAT_DESCRIPTION_EVENT => {
                self.maps.clear();
                Meaning::File
            }
            E::XID_EVENT => Meaning::Commit,
            E::XA_PREPARE_LOG_EVENT => {
                Meaning::Statement { sql: "XA PREPARE".into(), database: String::new(), charset: None }
            }
            E::TABLE_MAP_EVENT => {
                let map: TableMapEvent<'_> = event.read_event().map_err(unread)?;
                let (id, database, name) =
                    (map.table_id(), map.database_name().into_owned(), map.table_name().into_owned());
                self.maps.insert(id, map.into_owned());
                Meaning::Table { id, database, name }
            }
            E::WRITE_ROWS_EVENT_V1
            | E::UPDATE_ROWS_EVENT_V1
            | E::DELETE_ROWS_EVENT_V1
            | E::WRITE_ROWS_EVENT
            | E::UPDATE_ROWS_EVENT
            | E::DELETE_ROWS_EVENT
            | E::PARTIAL_UPDATE_ROWS_EVENT => Meaning::Rows,
            // The driver goes on behind one that it can't unpack.
            E::TRANSACTION_PAYLOAD_EVENT => {
                event.read_event::<TransactionPayloadEvent<'_>>().map_err(unread)?;
                Meaning::Nothing
            }
            E::INCIDENT_EVENT => {
                return Err(Error::data(
                    "follow the binary log",
                    "the server says that it lost events; take the table anew by `refresh: <any new text>`",
                ));
            }
            _ => Meaning::Nothing,
        })
    }
}

/// The log can't be read on: for one of several causes, which only the words tell.
const GONE: u16 = 1236;

/// Whether the server ended the stream for another replica of the same number: the log is still there then.
fn is_displaced(error: &mysql_async::ServerError) -> bool {
    let words = error.message.to_lowercase();
    error.code == GONE && (words.contains("same server_uuid") || words.contains("same server_id"))
}

fn displaced() -> Error {
    Error::new(
        Kind::Unreachable,
        "follow the binary log",
        "the server ended the stream; another replica may have the same `server_id`: follow the table by one process alone, or give each source \
         a `server_id` of its own",
    )
}

/// The name of a file of the log: it ends in its number. The first one that is sent has a checksum behind it, before the
/// event that tells that there are checksums.
fn file_name(raw: &[u8]) -> String {
    let is_name = |name: &&[u8]| {
        let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && name.len() > digits && name[name.len() - digits - 1] == b'.'
    };
    let without = raw.len().checked_sub(4).map(|end| &raw[..end]);
    let name = Some(raw).filter(is_name).or_else(|| without.filter(is_name)).unwrap_or(raw);
    String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()
}

/// The driver's words may hold bytes of the event.
pub fn unread(error: std::io::Error) -> Error {
    Error::data("follow the binary log", format!("an event can't be read ({})", error.kind()))
}

fn seconds(event: &Event) -> Option<i64> {
    Some(i64::from(event.header().timestamp())).filter(|at| *at > 0).map(|at| at * 1_000_000)
}

fn mariadb_begin(event: &Event) -> Result<Meaning> {
    let short = || Error::data("follow the binary log", "a GTID event is too short");
    let data = event.data();
    let number = u64::from_le_bytes(data.get(..8).and_then(|bytes| bytes.try_into().ok()).ok_or_else(short)?);
    let domain = u32::from_le_bytes(data.get(8..12).and_then(|bytes| bytes.try_into().ok()).ok_or_else(short)?);
    let flags = *data.get(12).ok_or_else(short)?;
    debug_assert!(flags & HAS_GROUP == 0 || data.len() >= 21, "a commit id follows");
    let more = match flags & (PREPARED_XA | ENDED_XA) {
        0 => data.get(if flags & HAS_GROUP == 0 { 13 } else { 21 }).copied().unwrap_or_default(),
        _ => 0,
    };
    Ok(Meaning::Begin {
        gtid: Gtid::MariaDb { domain, server: event.header().server_id(), number },
        at: seconds(event),
        single: flags & STANDALONE != 0,
        is_xa: flags & PREPARED_XA != 0,
        is_void: more & (ALTER_BEGINS | ALTER_IS_UNDONE) != 0,
    })
}

fn mysql_begin(event: &Event) -> Result<Meaning> {
    let gtid: GtidEvent = event.read_event().map_err(unread)?;
    let at = i64::try_from(gtid.immediate_commit_timestamp()).ok().filter(|at| *at > 0).or_else(|| seconds(event));
    // Whether it is of a single statement is known when that comes, or `BEGIN`.
    let gtid = Gtid::MySql { server: gtid.sid(), number: gtid.gno() };
    Ok(Meaning::Begin { gtid, at, single: true, is_xa: false, is_void: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_a_right_is_told_which() {
        let refused = |code, message: &str| {
            mysql_async::Error::Server(mysql_async::ServerError {
                code,
                message: message.into(),
                state: "42000".into(),
            })
        };
        for (code, message) in [(1045, "Access denied for user 'a'@'%' (using password: YES)"), (1227, "Access denied")]
        {
            let told = denied("follow the binary log", &refused(code, message), FOLLOW, "").expect("a refusal");
            assert!(matches!(told.kind, Kind::Refused), "{told}");
            let told = told.to_string();
            assert!(
                told.contains("GRANT REPLICATION SLAVE ON *.* TO") && !told.contains("look at the password"),
                "{told}"
            );
        }
        assert!(denied("follow", &refused(SYNTAX, "near"), FOLLOW, "").is_none());
    }

    #[test]
    fn an_alter_that_is_announced_or_given_up_does_nothing() {
        use mysql_async::binlog::BinlogVersion;
        use mysql_async::binlog::events::FormatDescriptionEvent;
        let is_void = |flags: u8, more: &[u8]| {
            let body = [&[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags][..], more].concat();
            let mut bytes = vec![0, 0, 0, 0, MARIADB_GTID, 1, 0, 0, 0, 19 + body.len() as u8];
            bytes.extend([0; 9]);
            bytes.extend(body);
            let version = FormatDescriptionEvent::new(BinlogVersion::Version4);
            let event = Event::read(&version, &mut bytes.as_slice()).expect("an event");
            match mariadb_begin(&event).expect("a beginning") {
                Meaning::Begin { is_void, .. } => is_void,
                other => panic!("{other:?}"),
            }
        };
        assert!(!is_void(STANDALONE, &[0; 6]) && !is_void(STANDALONE | HAS_GROUP, &[2; 8]));
        assert!(is_void(STANDALONE, &[2, 0, 0, 0, 0, 0]) && is_void(STANDALONE, &[8, 5, 0, 0, 0, 0, 0, 0, 0]));
        assert!(!is_void(STANDALONE, &[4, 5, 0, 0, 0, 0, 0, 0, 0]), "one that ends does what it says");
        assert!(is_void(STANDALONE | HAS_GROUP, &[0, 0, 0, 0, 0, 0, 0, 0, 2]));
    }

    #[test]
    fn both_connections_must_lead_to_one_server() {
        assert!(one_server("1 a 3306 /data/", "1 a 3306 /data/").is_ok());
        let error = one_server("1 a 3306 /data/", "2 b 3306 /data/").expect_err("two servers");
        assert!(error.kind == Kind::Unreachable && error.to_string().contains("different servers"), "{error}");
    }

    #[test]
    fn another_replica_of_the_same_number_is_no_log_that_is_gone() {
        let told = |code: u16, message: &str| {
            is_displaced(&mysql_async::ServerError { code, message: message.into(), state: "HY000".into() })
        };
        let displaced = "A slave with the same server_uuid/server_id as this slave has connected to the master; the first event 'binlog.000002' at 4";
        assert!(told(1236, displaced) && told(1236, &displaced.replace("slave", "replica")));
        assert!(!told(1236, "Could not find first log file name in binary log index file"));
        assert!(!told(1045, displaced));
    }

    #[test]
    fn places_are_ordered_by_the_number_of_their_file() {
        let place = |file: &str, at| Place { file: file.into(), at };
        assert!(place("binlog.1000000", 4).reaches(&place("binlog.999999", 900)));
        assert!(place("a-bin.000002", 10).reaches(&place("a-bin.000002", 10)));
        assert!(!place("a-bin.000002", 9).reaches(&place("a-bin.000002", 10)));
        assert!(!Place::default().reaches(&place("a-bin.000001", 4)));
    }

    #[test]
    fn a_file_is_named_without_the_checksum_behind_it() {
        for raw in [b"log-bin.000012".as_slice(), b"log-bin.000012\x01\xff0x"] {
            assert_eq!(file_name(raw), "log-bin.000012");
        }
        assert_eq!(file_name(b"odd"), "odd");
    }

    #[test]
    fn a_file_may_be_longer_than_an_event_can_tell() {
        let mut place = Place { file: "b.1".into(), at: 0xffff_fff0 };
        place.advance(0x10);
        assert_eq!(place.at, 0x1_0000_0010);
        place.advance(0x8);
        assert_eq!(place.at, 0x1_0000_0010, "it never goes back");
        place.advance(0x20);
        assert_eq!(place.at, 0x1_0000_0020);
    }
}

//! `mode: incremental`: rows whose cursor grew, by one query a run.
//!
//! Rows that were committed late have an old cursor; `lookback` finds them. Which rows were taken before is known by the
//! server's own numbers of transactions: a row is taken if the transaction that wrote it was not yet over when the run
//! before looked. So nothing is taken twice, and nothing of a row is remembered.

use super::client::{fault, literal, quoted};
use super::cursor::Cursor;
use super::kinds::shown;
use super::options::Lookback;
use super::ranges::Place;
use super::rows::{Copied, Rows};
use super::setup::Setup;
use super::table::{ANEW, Table, Wanted};
use crate::spec::Opening;
use arrow::array::Int64Array;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt;
use kernel::error::{Error, Kind, Result};
use kernel::gate::{Changes, Op, Raw};
use kernel::source::{Pulled, Source};
use kernel::{Classification, Entity, Point, Positions, span};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What the run before has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// The greatest cursor.
    cursor: String,
    /// Every transaction before this number was over.
    horizon: u64,
    /// Of those from there on, the ones that were over, in the 32 bits that rows have.
    over: Vec<String>,
}

/// A position: what was seen, and where an unfinished query is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    seen: Option<Seen>,
    inside: Option<Inside>,
}

/// The last row of a query that is not at its end, and how the transactions were when it began: one that takes it up looks
/// at another state, and what was late in between must be found by the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Inside {
    cursor: String,
    place: Place,
    /// Whether the server orders it at the last run's cursor or behind it. It nearly always is, where it was not written down.
    #[serde(default = "usually")]
    is_ahead: bool,
    horizon: u64,
    over: Vec<String>,
}

fn usually() -> bool {
    true
}

pub struct Incremental {
    query: Arc<Query>,
    partition: Arc<str>,
    token: Token,
    rows: u64,
    reading: Option<Reading>,
    /// Whether rows that are never taken were looked for.
    is_looked: bool,
}

struct Query {
    setup: Arc<Setup>,
    wanted: Wanted,
    relation: String,
    cursor: Cursor,
}

struct Reading {
    pieces: mpsc::Receiver<Result<Piece>>,
    _task: JoinSet<()>,
}

struct Piece {
    batch: RecordBatch,
    token: Token,
    is_last: bool,
}

/// More transactions than these are not kept: their rows come once more.
const OVER_MAX: usize = 10_000;

pub fn partition(table: &Table) -> String {
    format!("{}{ROWS}", table.shown())
}

const ROWS: &str = " rows";

/// Makes sure that what was read before was this table.
pub fn check_same(table: &Table, from: &Positions) -> Result<()> {
    let mut known = from.iter().filter_map(|(partition, point)| match point {
        Point::Mark { .. } => partition.strip_suffix(ROWS),
        Point::Offset(_) | Point::File { .. } => None,
    });
    match known.find(|name| *name != table.shown()) {
        Some(other) => Err(table.is_not(other, ANEW)),
        None => Ok(()),
    }
}

/// A cursor is kept in clear, beside what is masked.
pub fn check_cursor(entity: &Entity, cursor: &str, source: &str) -> Result<()> {
    let hidden = entity
        .property(cursor)
        .is_some_and(|p| p.mask.is_some() || p.classification.as_ref().is_some_and(Classification::is_personal));
    match hidden {
        true => Err(Error::refused(
            format!("source `{source}`"),
            format!("the cursor `{cursor}` is personal data, and a position is kept in clear: choose another column"),
        )),
        false => Ok(()),
    }
}

impl Incremental {
    pub async fn open(opening: &Opening) -> Result<Self> {
        let setup = Arc::new(Setup::read(opening)?);
        let cursor = setup.options.cursor.clone().unwrap_or_default();
        check_cursor(&setup.entity, &cursor, &setup.source)?;
        let client = setup.connect().await?;
        let table = Table::look(&client, setup.options.table(), &setup.entity).await?;
        let what = format!("source `{}`", setup.source);
        if !matches!(table.kind, 'r' | 'p' | 'm') {
            let why = "rows of a view do not tell when they were written: use `mode: snapshot`, or the table behind it";
            return Err(Error::project(what, why));
        }
        let cursor = Cursor::look(&table, &cursor, &setup.source)?;
        check_same(&table, &opening.from)?;
        table.warn_of_heirs();
        let partition: Arc<str> = partition(&table).into();
        let (token, rows) = match opening.from.get(&partition) {
            Some(Point::Mark { rows, token, .. }) => {
                let read = serde_json::from_str(token);
                (read.map_err(|e| Error::data(format!("read the position of {partition}"), &e))?, *rows)
            }
            _ => (Token::default(), 0),
        };
        let (infinity, batch_rows_max) = (setup.options.infinity, setup.options.batch_rows_max);
        let query = Query {
            wanted: Wanted { layout: table.layout(), infinity, batch_rows_max },
            relation: table.own_rows(),
            cursor,
            setup,
        };
        Ok(Self { query: Arc::new(query), partition, token, rows, reading: None, is_looked: false })
    }

    fn start(&self, bytes_max: usize) -> Reading {
        let (sender, pieces) = mpsc::channel(1);
        let (query, token, looks) = (self.query.clone(), self.token.clone(), !self.is_looked);
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = query.run(token, bytes_max, looks, &sender).await {
                // Who is gone needs no word.
                let _ = sender.send(Err(error)).await;
            }
        });
        Reading { pieces, _task: task }
    }

    fn pulled(&mut self, piece: Piece) -> Result<Pulled> {
        let (before, count) = (self.rows, piece.batch.num_rows());
        let offsets: Int64Array = (0..count as i64).map(|row| before as i64 + row + 1).collect();
        let mut changes = Changes::default();
        (0..count).for_each(|_| changes.push(Op::Update, None, Vec::new()));
        let rows = Raw::new(piece.batch, self.partition.clone(), offsets)?.with_changes(changes)?;
        let token = serde_json::to_string(&piece.token).map_err(|e| Error::internal("write a position", &e))?;
        (self.token, self.rows) = (piece.token, before + count as u64);
        let mut upto = Positions::new();
        upto.set(&*self.partition, Point::Mark { rows: self.rows, token, done: false });
        Ok(Pulled { rows: rows.into(), upto, whole: piece.is_last })
    }
}

#[async_trait]
impl Source for Incremental {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None => {
                let reading = self.start(bytes_max);
                self.is_looked = true;
                self.reading.insert(reading)
            }
        };
        let piece = reading.pieces.recv().await;
        // From here on nothing waits. Without a last piece there was nothing to take.
        let Some(piece) = piece else {
            self.reading = None;
            return Ok(None);
        };
        let pulled = piece.and_then(|piece| self.pulled(piece));
        if pulled.is_err() {
            self.reading = None;
        }
        pulled.map(Some)
    }

    /// The table keeps its rows.
    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}

/// The server's transactions as a query sees them.
struct View {
    /// Every transaction before is over.
    horizon: u64,
    /// None at or behind has begun.
    next: u64,
}

impl View {
    /// Reads `horizon:next:open,…`.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        Some(Self { horizon: parts.next()?.parse().ok()?, next: parts.next()?.parse().ok()? })
    }

    /// Whether the numbers in rows, of 32 bits, still tell before from after.
    fn can_tell(&self, horizon: u64) -> bool {
        // On another server the numbers begin anew.
        horizon <= self.next && self.next - horizon < 1 << 31
    }
}

impl Query {
    /// Runs the query behind `token`, in one state of the table. Without rows it sends nothing.
    async fn run(
        &self,
        token: Token,
        bytes_max: usize,
        looks: bool,
        sender: &mpsc::Sender<Result<Piece>>,
    ) -> Result<()> {
        let client = self.setup.connect().await?;
        if looks {
            for (why, remedy) in self.cursor.untaken(&client, &self.relation).await? {
                tracing::warn!(table = self.relation, "{why}: {remedy}");
            }
        }
        let what = format!("read {}", self.relation);
        client.ask(&what, client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await?;
        let row = client.query_one("SELECT pg_catalog.txid_current_snapshot()::text", &[]);
        let row = client.ask(&what, row).await?;
        let view = View::read(row.get(0)).ok_or_else(|| Error::internal(&what, "no snapshot of transactions"))?;
        let horizon = token.inside.as_ref().map_or(view.horizon, |inside| inside.horizon);
        let sql = self.sql(&token, &view, horizon);
        let stream = client.ask(&what, client.copy_out(sql.as_str())).await?;
        let (mut stream, mut copied) = (std::pin::pin!(stream), Copied::new(EXTRA));
        let mut rows = Rows::new(&self.wanted.layout, self.wanted.infinity);
        let mut taken = Taken::behind(&token, horizon);
        loop {
            let late = |_| Error::new(Kind::Unreachable, &what, "the server says nothing (`timeout_ms`)");
            let message = tokio::time::timeout(self.setup.patience(), stream.next()).await.map_err(late)?;
            let Some(message) = message else { break };
            copied.feed(message.map_err(|e| fault(&what, &e))?, &mut rows, |own| taken.row(own))?;
            if rows.bytes >= bytes_max || rows.count >= self.wanted.batch_rows_max {
                let piece = Piece { batch: rows.finish()?, token: taken.inside(&token), is_last: false };
                if sender.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
            }
        }
        // In the middle of a query that was cut, its end is news even without rows.
        if taken.last.is_some() {
            let piece = Piece { batch: rows.finish()?, token: taken.end(&token), is_last: true };
            let _ = sender.send(Ok(piece)).await;
        }
        Ok(())
    }

    fn sql(&self, token: &Token, view: &View, horizon: u64) -> String {
        let (cursor, selected) = (quoted(&self.cursor.name), self.wanted.selected());
        let of = &self.cursor.type_name;
        let written = |horizon: u64| format!("age(xmin) <= age('{}'::xid)", horizon & 0xffff_ffff);
        let mut conditions = vec![self.cursor.taken()];
        // The server alone knows its order: that of the type, and of the column's collation.
        let mut is_ahead = "true".to_owned();
        if let Some(seen) = &token.seen {
            let last = format!("{}::{of}", literal(&seen.cursor));
            is_ahead = format!("{cursor} >= {last}");
            conditions.push(format!("{cursor} >= {last}{}", self.lookback()));
            if view.can_tell(seen.horizon) {
                let over: Vec<String> = seen.over.iter().map(|number| literal(number)).collect();
                let over = match over.is_empty() {
                    true => String::new(),
                    false => format!(" AND xmin::text NOT IN ({})", over.join(", ")),
                };
                conditions.push(format!("({cursor} > {last} OR {}{over})", written(seen.horizon)));
            }
        }
        if let Some(Inside { cursor: at, place: (block, item), .. }) = &token.inside {
            conditions.push(format!("({cursor}, ctid) > ({}::{of}, '({block},{item})'::tid)", literal(at)));
        }
        format!(
            "COPY (SELECT ctid, {}, {is_ahead}, CASE WHEN {} THEN xmin::text END, {selected} FROM {} WHERE {} \
             ORDER BY {cursor}, ctid) TO STDOUT (FORMAT binary)",
            shown(&cursor),
            written(horizon),
            self.relation,
            conditions.join(" AND ")
        )
    }

    fn lookback(&self) -> String {
        match &self.setup.options.lookback {
            None => String::new(),
            Some(Lookback::Number(number)) => format!(" - {number}"),
            Some(Lookback::Span(text)) => {
                format!(" - interval '{} microseconds'", span::micros(text).unwrap_or_default())
            }
        }
    }
}

/// Place, cursor, whether it is ahead, and transaction of a row.
const EXTRA: usize = 4;

/// The last row that a query has given.
#[derive(Debug, Clone)]
struct Last {
    cursor: String,
    place: Place,
    is_ahead: bool,
}

/// What a query has given so far.
struct Taken {
    last: Option<Last>,
    horizon: u64,
    over: Vec<String>,
}

impl Taken {
    fn behind(token: &Token, horizon: u64) -> Self {
        let inside = token.inside.clone();
        let over = inside.as_ref().map(|inside| inside.over.clone()).unwrap_or_default();
        let last = |Inside { cursor, place, is_ahead, .. }| Last { cursor, place, is_ahead };
        Self { last: inside.map(last), horizon, over }
    }

    fn row(&mut self, own: &[Option<&[u8]>]) {
        let [Some([a, b, c, d, e, f]), Some(cursor), is_ahead, number] = own else { return };
        let place = (u32::from_be_bytes([*a, *b, *c, *d]), u16::from_be_bytes([*e, *f]));
        let cursor = String::from_utf8_lossy(cursor).into_owned();
        self.last = Some(Last { cursor, place, is_ahead: matches!(is_ahead, Some([1])) });
        if let Some(number) = number
            && self.over.len() < OVER_MAX
        {
            let number = String::from_utf8_lossy(number).into_owned();
            if self.over.last() != Some(&number) && !self.over.contains(&number) {
                self.over.push(number);
            }
        }
    }

    /// Behind the last row so far.
    fn inside(&self, before: &Token) -> Token {
        let (horizon, over) = (self.horizon, self.over.clone());
        let inside = |Last { cursor, place, is_ahead }| Inside { cursor, place, is_ahead, horizon, over };
        let inside = self.last.clone().map(inside);
        Token { seen: before.seen.clone(), inside }
    }

    /// Behind the last row.
    fn end(self, before: &Token) -> Token {
        let Taken { last, horizon, mut over } = self;
        // What was over then and is not yet before the horizon is not read again either.
        let kept = before.seen.iter().flat_map(|seen| &seen.over).filter(|number| {
            number.parse::<u64>().is_ok_and(|number| number >= horizon & 0xffff_ffff) && !over.contains(number)
        });
        let kept: Vec<String> = kept.cloned().collect();
        over.extend(kept);
        let cursor = match (&before.seen, last) {
            // Late rows come before those that are newer: the last one has the greatest cursor, unless all were late.
            (Some(seen), Some(last)) if !last.is_ahead => seen.cursor.clone(),
            (_, Some(last)) => last.cursor,
            (seen, None) => seen.as_ref().map(|seen| seen.cursor.clone()).unwrap_or_default(),
        };
        Token { seen: Some(Seen { cursor, horizon, over }), inside: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(cursor: &'a [u8], is_ahead: &'a [u8; 1], number: &'a [u8]) -> [Option<&'a [u8]>; EXTRA] {
        [Some(&[0, 0, 0, 1, 0, 2]), Some(cursor), Some(is_ahead), Some(number)]
    }

    /// `9` may be behind `20`, `1 day` ahead of `23:00:00`: only the server tells.
    #[test]
    fn a_cursor_goes_on_by_the_order_of_the_server_and_never_back() {
        let seen = Seen { cursor: "20".into(), horizon: 10, over: Vec::new() };
        let before = Token { seen: Some(seen), inside: None };
        for (is_ahead, expected) in [(1, "9"), (0, "20")] {
            let mut taken = Taken::behind(&before, 15);
            taken.row(&row(b"9", &[is_ahead], b"11"));
            let cut = taken.inside(&before);
            let cursor = |taken: Taken, before: &Token| taken.end(before).seen.expect("a position").cursor;
            assert_eq!(cursor(taken, &before), expected);
            assert_eq!(cursor(Taken::behind(&cut, 15), &cut), expected, "taken up where it was cut");
        }
        let older = r#"{"seen":null,"inside":{"cursor":"9","place":[1,2],"horizon":3,"over":[]}}"#;
        let older: Token = serde_json::from_str(older).expect("an older position");
        assert!(older.inside.is_some_and(|inside| inside.is_ahead));
    }

    #[test]
    fn positions_of_another_table_stop_the_source() {
        let table = |name: &str| Table {
            oid: 1,
            schema: "s".into(),
            name: name.into(),
            kind: 'r',
            identity: 'd',
            has_heirs: false,
            columns: Vec::new(),
        };
        let mut from = Positions::new();
        assert!(check_same(&table("t"), &from).is_ok());
        from.set(partition(&table("t")), Point::Mark { rows: 1, token: "{}".into(), done: false });
        assert!(check_same(&table("t"), &from).is_ok());
        let told = check_same(&table("u"), &from).expect_err("another table").to_string();
        assert!(told.contains("rows of s.t"), "{told}");
    }

    #[test]
    fn what_was_over_stays_known_until_the_horizon_passes_it() {
        let seen = Seen { cursor: "5".into(), horizon: 10, over: vec!["11".into(), "20".into()] };
        let before = Token { seen: Some(seen), inside: None };
        let mut taken = Taken::behind(&before, 15);
        taken.row(&row(b"7", &[1], b"21"));
        let inside = taken.inside(&before);
        let after = taken.end(&before).seen.expect("a position");
        assert_eq!((after.cursor.as_str(), after.horizon, after.over), ("7", 15, vec!["21".into(), "20".to_owned()]));
        // Taken up in a later state, it still knows the earlier one.
        assert_eq!(inside.inside.as_ref().map(|inside| inside.horizon), Some(15));
        assert_eq!(
            Taken::behind(&inside, 15).end(&inside).seen.map(|seen| (seen.horizon, seen.over.len())),
            Some((15, 2))
        );
    }
}

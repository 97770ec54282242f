//! `mode: cdc`: the table, then every change of it.
//!
//! First the position of the log is read, then the table, then the log from that position. MariaDB tells the position that
//! belongs to the very state that is read. Elsewhere, and where a run died in the middle of the table, the log tells some
//! changes again that the table had already: by key, the last one is right.
//!
//! A transaction is taken as one: batches that end inside of it are not `whole`. A position is the set of transactions that
//! are taken, and of the one that is open its name and how many rows of it are taken.

use super::gtid::{Gtid, Gtids};
use super::health;
use super::layout::{Charsets, Image, Known, Layout};
use super::log::{Log, Meaning, Place, end, unread};
use super::login::{connect, fault};
use super::options::Options;
use super::plan::Plan;
use super::scan::Scan;
use super::snapshot::{remember, which};
use super::statement::{Does, does};
use super::table::Table;
use crate::cells::Cell;
use crate::marks::{Batch, mark, read_token, write_token};
use crate::spec::Opening;
use async_trait::async_trait;
use kernel::gate::Op;
use kernel::source::{Pulled, Source};
use kernel::{Error, Positions, Result};
use mysql_async::Conn;
use mysql_async::binlog::events::{Event, EventData};
use mysql_async::prelude::Queryable;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// So much of the log may pass without a row of the table before the position moves on without one.
const PASSED_MAX: u64 = 4 << 20;

/// Where changes go on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Token {
    /// The transactions that are taken; absent before the first state of the table was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gtid: Option<String>,
    #[serde(default)]
    is_mariadb: bool,
    /// While the table itself is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reading: Option<Reading>,
    /// The transaction that is open, and how many of its rows are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<(String, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Reading {
    /// Rows of the partition before the table was begun.
    from: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<Vec<Json>>,
}

struct Transaction {
    gtid: Gtid,
    at: Option<i64>,
    single: bool,
    is_xa: bool,
    /// Rows of the table, also those that were taken before.
    rows: u64,
    /// Rows that were taken before.
    skip: u64,
}

/// What following the log takes.
struct Following {
    log: Log,
    /// For questions beside the log.
    conn: Option<Conn>,
    table: Table,
    /// The table was altered since it was looked at.
    stale: bool,
    charsets: Charsets,
    layouts: HashMap<u64, Arc<Layout>>,
    plan: Plan,
    gtids: Gtids,
    open: Option<Transaction>,
    /// The transaction that was open where the position is, and how many of its rows are taken.
    resume: Option<(String, u64)>,
    /// The event that is looked at: what takes long does not lose it.
    event: Option<Event>,
    /// Transactions passed since the last position.
    moved: bool,
}

pub struct Cdc {
    opening: Opening,
    options: Options,
    batch: Batch,
    token: Token,
    handed: Token,
    scan: Option<(Scan, bool)>,
    following: Option<Following>,
    /// How far this run goes.
    until: Option<Place>,
    ended: bool,
    lost: bool,
}

impl Cdc {
    pub fn open(opening: Opening, options: Options) -> Result<Self> {
        let (database, table) = Table::names(&opening.source, &options)?;
        let partition: Arc<str> = format!("{database}.{table}").into();
        let (taken, mut token) = match mark(&opening.from, &partition) {
            Some((rows, token, _)) => (rows, read_token(&partition, token)?),
            None => (0, Token { refresh: options.refresh.clone(), ..Token::default() }),
        };
        if token.refresh != options.refresh {
            token = Token { refresh: options.refresh.clone(), ..Token::default() };
        }
        let batch = Batch::new(partition, taken, true);
        Ok(Self {
            opening,
            options,
            batch,
            handed: token.clone(),
            token,
            scan: None,
            following: None,
            until: None,
            ended: false,
            lost: false,
        })
    }

    fn error(&self, detail: impl std::fmt::Display) -> Error {
        Error::data(format!("follow {}", self.batch.partition), detail)
    }

    fn finish(&mut self, whole: bool) -> Result<Pulled> {
        self.handed = self.token.clone();
        self.batch.finish(write_token(&self.handed)?, false, whole)
    }

    // ---- the table

    async fn start_reading(&mut self) -> Result<()> {
        let mut conn = connect(&self.opening, &self.options).await?;
        let table = Table::read(&mut conn, &self.opening.source, &self.options).await?;
        health::must_be_good(&mut conn, &self.opening, &self.options, &table).await?;
        let server = health::Server::ask(&mut conn).await?;
        let gtid = first_position(&mut conn, server.is_mariadb).await?;
        let columns = table.chosen(&self.options)?.into_iter().filter(|column| !column.is_virtual).collect();
        let plan = Plan::new(table, columns, &self.opening.entity, &self.options, server.is_mariadb)?;
        let reading = self.token.reading.clone().unwrap_or(Reading { from: self.batch.taken, behind: None });
        // The row that empties the table is no row of it.
        let emptied = u64::from(reading.from > 0);
        let skip = (self.batch.taken - reading.from).saturating_sub(emptied);
        let (which, whole) = which(&plan, &self.opening, reading.behind.as_deref(), skip)?;
        plan.begin(&mut self.batch);
        if self.batch.taken == reading.from && reading.from > 0 {
            empty(&mut self.batch, &plan, None)?;
        }
        let scan = Scan::start(conn, plan, which).await?;
        // A position that was written holds for all that is read after it.
        let gtid = self.token.gtid.clone().unwrap_or(gtid);
        self.token = Token { gtid: Some(gtid), is_mariadb: server.is_mariadb, reading: Some(reading), ..self.token.clone() };
        self.scan = Some((scan, whole));
        Ok(())
    }

    async fn read_table(&mut self, bytes_max: usize) -> Result<Pulled> {
        if self.scan.is_none() {
            self.start_reading().await?;
        }
        let (Some((scan, whole)), Some(reading)) = (&mut self.scan, &mut self.token.reading) else {
            return Err(Error::internal("read a table", "it was not begun"));
        };
        let behind = &mut reading.behind;
        let size = (bytes_max, self.options.batch_rows_max);
        let more = scan
            .fill(&mut self.batch, size, |beside| {
                remember(&beside, behind)?;
                Ok(true)
            })
            .await?;
        let whole = *whole || !more;
        if !more {
            self.scan = None;
            self.token.reading = None;
        }
        self.finish(whole)
    }

    // ---- the log

    async fn start_following(&mut self) -> Result<Following> {
        let mut conn = connect(&self.opening, &self.options).await?;
        let table = Table::read(&mut conn, &self.opening.source, &self.options).await?;
        health::must_be_good(&mut conn, &self.opening, &self.options, &table).await?;
        let is_mariadb = health::Server::ask(&mut conn).await?.is_mariadb;
        if is_mariadb != self.token.is_mariadb {
            return Err(self.error("the position is of another kind of server; take the table anew by `refresh: <any new text>`"));
        }
        let gtids = Gtids::parse(self.token.gtid.as_deref().unwrap_or_default(), is_mariadb)?;
        let rows: Vec<(u16, String)> = conn
            .query("SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL AND CHARACTER_SET_NAME IS NOT NULL AND ID < 65536")
            .await
            .map_err(|e| fault("ask for character sets", e))?;
        let charsets: Charsets = rows.into_iter().collect();
        let columns = table.chosen(&self.options)?.into_iter().filter(|column| !column.is_virtual).collect();
        let plan = Plan::new(table.clone(), columns, &self.opening.entity, &self.options, is_mariadb)?;
        let server_id = self.options.server_id.unwrap_or_else(|| self.server_id());
        let replica = connect(&self.opening, &self.options).await?;
        let log = Log::start(replica, &gtids, server_id, Duration::from_millis(self.options.timeout_ms)).await?;
        Ok(Following {
            log,
            conn: Some(conn),
            table,
            stale: false,
            charsets,
            layouts: HashMap::new(),
            plan,
            gtids,
            open: None,
            resume: self.token.open.clone(),
            event: None,
            moved: false,
        })
    }

    /// The same in each run, and hardly that of anybody else.
    fn server_id(&self) -> u32 {
        let mut hasher = twox_hash::XxHash64::with_seed(0);
        for part in [self.opening.source.as_str(), &self.batch.partition, &self.opening.base.to_string_lossy(), &self.options.connection] {
            hasher.write(part.as_bytes());
            hasher.write_u8(0);
        }
        1_000_000_000 + (hasher.finish() % 3_000_000_000) as u32
    }

    async fn follow(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if self.following.is_none() {
            let following = self.start_following().await?;
            following.plan.begin(&mut self.batch);
            self.following = Some(following);
        }
        let Some(following) = &mut self.following else { return Ok(None) };
        let until = match &self.until {
            Some(until) => until.clone(),
            None => {
                let mut conn = match following.conn.take() {
                    Some(conn) => conn,
                    None => connect(&self.opening, &self.options).await?,
                };
                let until = end(&mut conn).await?;
                following.conn = Some(conn);
                self.until.insert(until).clone()
            }
        };
        loop {
            let Some(following) = &mut self.following else { return Ok(None) };
            let inside = following.open.as_ref().is_some_and(|open| open.rows > 0);
            if self.batch.is_full(bytes_max, self.options.batch_rows_max) {
                return self.hand_out(!inside).map(Some);
            }
            if following.event.is_none() && !inside && following.log.place.reaches(&until) {
                self.until = None;
                let idle = following.moved && following.log.passed >= PASSED_MAX;
                if self.batch.cells.rows() > 0 || idle {
                    self.ended = true;
                    return self.hand_out(true).map(Some);
                }
                return Ok(None);
            }
            if following.event.is_none() {
                following.event = Some(following.log.next().await?);
            }
            if let Some(pulled) = self.look().await? {
                return Ok(Some(pulled));
            }
        }
    }

    /// Looks at the event. It is let go when all of it is in the batch; a batch that has to go out before is given.
    async fn look(&mut self) -> Result<Option<Pulled>> {
        let Some(following) = &mut self.following else { return Ok(None) };
        let Some(event) = following.event.take() else { return Ok(None) };
        match following.log.meaning(&event)? {
            Meaning::Nothing => {}
            Meaning::Begin { gtid, at, single, is_xa } => {
                let skip = following.resume.take_if(|(open, _)| *open == gtid.to_string()).map_or(0, |(_, rows)| rows);
                following.open = Some(Transaction { gtid, at, single, is_xa, rows: 0, skip });
            }
            Meaning::Commit => following.commit(),
            Meaning::Statement { sql, database } => self.statement(&sql, &database)?,
            Meaning::Table { id, database, name } => {
                let ours = database.eq_ignore_ascii_case(&following.table.database) && name.eq_ignore_ascii_case(&following.table.name);
                if ours && !following.layouts.contains_key(&id) {
                    following.event = Some(event);
                    self.map(id).await?;
                    if let Some(following) = &mut self.following {
                        following.event = None;
                    }
                }
            }
            Meaning::Rows => return self.rows(event),
        }
        Ok(None)
    }

    /// Reads what the log says of the table's columns.
    async fn map(&mut self, id: u64) -> Result<()> {
        let Some(following) = &mut self.following else { return Ok(()) };
        if following.stale {
            let mut conn = match following.conn.take() {
                Some(conn) => conn,
                None => connect(&self.opening, &self.options).await?,
            };
            following.table = Table::read(&mut conn, &self.opening.source, &self.options).await?;
            (following.conn, following.stale) = (Some(conn), false);
        }
        let known = Known {
            table: &following.table,
            charsets: &following.charsets,
            entity: &self.opening.entity,
            options: &self.options,
            is_mariadb: self.token.is_mariadb,
        };
        let map = following.log.table_map(id).ok_or_else(|| Error::internal("follow the binary log", "a map is not remembered"))?;
        let layout = Layout::new(map, &known)?;
        following.layouts.insert(id, Arc::new(layout));
        Ok(())
    }

    fn rows(&mut self, event: Event) -> Result<Option<Pulled>> {
        let Some(following) = &mut self.following else { return Ok(None) };
        let data = event.read_data().map_err(unread)?;
        let Some(EventData::RowsEvent(rows)) = data else { return Ok(None) };
        let Some(layout) = following.layouts.get(&rows.table_id()).cloned() else { return Ok(None) };
        let Some(open) = &mut following.open else {
            return Err(self.error("rows came outside of a transaction"));
        };
        if open.is_xa {
            return Err(xa(&self.batch.partition));
        }
        if !layout.plan.is_like(&following.plan) {
            if self.batch.cells.rows() > 0 {
                let whole = open.rows == 0;
                drop(rows);
                following.event = Some(event);
                return self.hand_out(whole).map(Some);
            }
            following.plan = layout.plan.clone();
            layout.plan.begin(&mut self.batch);
        }
        let before_bits: Option<Vec<bool>> = rows.columns_before_image().map(|bits| bits.iter().by_vals().collect());
        let after_bits: Option<Vec<bool>> = rows.columns_after_image().map(|bits| bits.iter().by_vals().collect());
        let map = following.log.table_map(rows.table_id()).ok_or_else(|| Error::internal("follow the binary log", "a map is not remembered"))?;
        for pair in rows.rows(map) {
            let (before, after) = pair.map_err(unread)?;
            let states = (Image::of(before.as_ref(), &before_bits), Image::of(after.as_ref(), &after_bits));
            change(&mut self.batch, &layout, open, states)?;
        }
        Ok(None)
    }

    fn statement(&mut self, sql: &str, database: &str) -> Result<()> {
        let Some(following) = &mut self.following else { return Ok(()) };
        let table = (following.table.database.as_str(), following.table.name.as_str());
        let does = does(sql, database, table);
        let has_rows = following.open.as_ref().is_some_and(|open| open.rows > 0);
        match does {
            Does::Begin => {
                if let Some(open) = &mut following.open {
                    open.single = false;
                }
                return Ok(());
            }
            Does::Commit => {
                following.commit();
                return Ok(());
            }
            Does::Rollback if has_rows => return Err(self.error("a transaction with rows of this table was rolled back in the log; take the table anew by `refresh: <any new text>`")),
            Does::Rollback => {
                following.commit();
                return Ok(());
            }
            Does::Xa if has_rows => return Err(xa(&self.batch.partition)),
            Does::LoseSome => {
                return Err(self.error("a partition of the table was dropped, emptied or exchanged, and the log does not say which rows it had; take the table anew by `refresh: <any new text>`"));
            }
            Does::Write => {
                return Err(self.error("rows were changed by a statement that is in the log as a statement: set `binlog_format = ROW` for all sessions, and take the table anew by `refresh: <any new text>`"));
            }
            Does::Empty => {
                let open = following.open.as_mut();
                let (skipped, at) = open.map_or((false, None), |open| {
                    let skipped = open.skip > 0;
                    open.skip = open.skip.saturating_sub(1);
                    open.rows += 1;
                    (skipped, open.at)
                });
                if !skipped {
                    empty(&mut self.batch, &following.plan, at)?;
                }
                following.stale = true;
            }
            Does::Alter => {
                following.stale = true;
                if sql.trim_start().get(..5).is_some_and(|word| word.eq_ignore_ascii_case("alter")) {
                    tracing::warn!(
                        table = &*self.batch.partition,
                        "the table was altered: values that this gave to rows that were there are not in the log; `refresh` takes them"
                    );
                }
            }
            Does::AlterOther | Does::Nothing | Does::Xa => {}
        }
        if following.open.as_ref().is_some_and(|open| open.single) {
            following.commit();
        }
        Ok(())
    }

    fn hand_out(&mut self, whole: bool) -> Result<Pulled> {
        if let Some(following) = &mut self.following {
            let open = following.open.as_ref().filter(|open| open.rows > 0);
            self.token.open = open.map(|open| (open.gtid.to_string(), open.rows));
            self.token.gtid = Some(following.gtids.to_string());
            (following.moved, following.log.passed) = (false, 0);
        }
        self.finish(whole)
    }
}

impl Following {
    fn commit(&mut self) {
        if let Some(open) = self.open.take() {
            self.gtids.add(open.gtid);
            self.moved = true;
        }
    }
}

/// Puts one change of a row into the batch: as two when it moves the row to another key.
fn change(
    batch: &mut Batch,
    layout: &Layout,
    open: &mut Transaction,
    states: (Option<Image<'_>>, Option<Image<'_>>),
) -> Result<()> {
    let at = open.at;
    let mut put = |op: Op, image: &Image<'_>, before: Option<&Image<'_>>| -> Result<()> {
        open.rows += 1;
        if open.skip > 0 {
            open.skip -= 1;
            return Ok(());
        }
        let absent = layout.put(batch, image, before)?;
        if op == Op::Create && !absent.is_empty() {
            return Err(Error::data(
                format!("follow {}", batch.partition),
                "a new row came without all of its columns: set `binlog_row_image = FULL` for all sessions, and take the table anew by `refresh`",
            ));
        }
        if let Some(changes) = &mut batch.changes {
            changes.push(op, at, if op == Op::Update { absent } else { Vec::new() });
        }
        Ok(())
    };
    match &states {
        (None, Some(after)) => put(Op::Create, after, None),
        (Some(before), None) => put(Op::Delete, before, None),
        (Some(before), Some(after)) if layout.moves(before, after) => {
            put(Op::Delete, before, None)?;
            put(Op::Create, after, Some(before))
        }
        (Some(before), Some(after)) => put(Op::Update, after, Some(before)),
        (None, None) => Ok(()),
    }
}

/// The change that empties the table.
fn empty(batch: &mut Batch, plan: &Plan, at: Option<i64>) -> Result<()> {
    for (at, column) in plan.columns.iter().enumerate() {
        batch.push(&column.name, at, Ok(Cell::Null))?;
    }
    batch.cells.end_row();
    if let Some(changes) = &mut batch.changes {
        changes.push(Op::Truncate, at, Vec::new());
    }
    Ok(())
}

fn xa(partition: &str) -> Error {
    Error::refused(
        format!("follow {partition}"),
        "rows came in a transaction of two phases (XA), of which it is not yet sure that it is kept; that is not followed: take the table anew by \
         `refresh: <any new text>` when it has ended",
    )
}

/// Begins the transaction that reads the table, and tells the transactions that are in what it reads, at least.
async fn first_position(conn: &mut Conn, is_mariadb: bool) -> Result<String> {
    let what = "read the position of the binary log";
    let fail = |e| fault(what, e);
    let before = if is_mariadb { "SELECT @@GLOBAL.gtid_binlog_pos" } else { "SELECT @@GLOBAL.gtid_executed" };
    let before: Option<String> = conn.query_first(before).await.map_err(fail)?;
    conn.query_drop("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await.map_err(fail)?;
    conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").await.map_err(fail)?;
    let before = before.unwrap_or_default();
    if !is_mariadb {
        return Ok(before);
    }
    // Where the log was when the state that is read was made.
    let places: Vec<(String, String)> = conn.query("SHOW STATUS LIKE 'binlog_snapshot_%'").await.map_err(fail)?;
    let place = |name: &str| places.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
    let (Some(file), Some(at)) = (place("binlog_snapshot_file"), place("binlog_snapshot_position")) else { return Ok(before) };
    let exact: Option<Option<String>> =
        conn.exec_first("SELECT BINLOG_GTID_POS(?, ?)", (file, at.parse::<u64>().unwrap_or_default())).await.map_err(fail)?;
    Ok(exact.flatten().unwrap_or(before))
}

#[async_trait]
impl Source for Cdc {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if std::mem::take(&mut self.ended) {
            return Ok(None);
        }
        if self.lost {
            let detail = "the read broke off, and without an open primary key it can't be gone on with: open the source again";
            return Err(Error::new(kernel::Kind::Unreachable, format!("read {}", self.batch.partition), detail));
        }
        let reading = self.token.gtid.is_none() || self.token.reading.is_some();
        let pulled = match reading {
            true => self.read_table(bytes_max).await.map(Some),
            false => self.follow(bytes_max).await,
        };
        if pulled.is_err() {
            let begun = self.handed.reading.as_ref().is_some_and(|reading| self.batch.taken > reading.from && reading.behind.is_none());
            self.lost = reading && begun;
            (self.scan, self.following, self.until) = (None, None, None);
            self.token = self.handed.clone();
            self.batch.cells = crate::cells::Cells::new([]);
        }
        pulled
    }

    /// Nothing to tell the server: it keeps its log by its own rule.
    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}

//! Following the log: its events, one after another, into changes of the table.

use super::definition::{Scene, after};
use super::undo::Savepoint;
use super::written::Written;
use super::{Cdc, last_position};
use crate::cells::Cell;
use crate::marks::Batch;
use crate::mysql::gtid::{Gtid, Gtids};
use crate::mysql::health;
use crate::mysql::layout::{Charsets, Image, Known, Layout};
use crate::mysql::log::{Log, Meaning, Place, end, identity, one_server, unread};
use crate::mysql::login::{connect, fault};
use crate::mysql::patience::{Patience, cut};
use crate::mysql::plan::Plan;
use crate::mysql::statement::{Does, Names, does};
use crate::mysql::table::Table;
use kernel::gate::Op;
use kernel::source::Pulled;
use kernel::{Error, Result};
use mysql_async::Conn;
use mysql_async::binlog::events::{Event, EventData};
use mysql_async::prelude::Queryable;
use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

/// So much of the log may pass without a row of the table before the position moves on without one.
const PASSED_MAX: u64 = 4 << 20;

/// So long, and through so much of the log, one call reads on: who asks does not wait for ever, and a failure loses no more.
const CALL_MICROS: i64 = 10_000_000;
const CALL_BYTES: u64 = 64 << 20;
/// A transaction of the table is cut later than this only by its size, for what is cut can't be taken back.
const CUT_MICROS: i64 = 60_000_000;

pub(super) struct Transaction {
    pub(super) gtid: Gtid,
    pub(super) at: Option<i64>,
    pub(super) single: bool,
    pub(super) is_xa: bool,
    /// Rows of the table, also those that were taken before, and those that were taken back.
    pub(super) rows: u64,
    /// Rows that were taken before.
    pub(super) skip: u64,
    /// Rows that were not taken back.
    pub(super) kept: u64,
    /// Those of them that are in the batch.
    pub(super) held: u64,
    pub(super) savepoints: Vec<Savepoint>,
}

impl Transaction {
    pub(super) fn begin(gtid: Gtid, at: Option<i64>, single: bool, is_xa: bool, skip: u64) -> Self {
        Self { gtid, at, single, is_xa, rows: 0, skip, kept: 0, held: 0, savepoints: Vec::new() }
    }

    /// Counts a row; false for one that was taken before.
    pub(super) fn takes(&mut self) -> bool {
        (self.rows, self.kept) = (self.rows + 1, self.kept + 1);
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.held += 1;
        true
    }
}

/// What following the log takes.
pub(super) struct Following {
    pub(super) log: Log,
    /// For questions beside the log, of the same server.
    pub(super) conn: Option<Conn>,
    pub(super) server: String,
    pub(super) table: Table,
    /// Database and table as the log has them.
    pub(super) names: (String, String),
    /// Another case of a name is another name.
    pub(super) has_case: bool,
    /// The table was altered since it was looked at.
    pub(super) stale: bool,
    pub(super) charsets: Charsets,
    /// By the numbers that the server gives to tables while it runs.
    pub(super) layouts: HashMap<u64, Arc<Layout>>,
    /// The columns that rows are written with where the log is read; none where they are not known.
    pub(super) written: Option<Written>,
    pub(super) plan: Plan,
    pub(super) gtids: Gtids,
    pub(super) open: Option<Transaction>,
    /// The statement that comes does nothing.
    pub(super) is_void: bool,
    /// The transaction that was open where the position is, and how many of its rows are taken.
    pub(super) resume: Option<(String, u64)>,
    /// The event that is looked at: what takes long does not lose it.
    pub(super) event: Option<Event>,
    /// Transactions passed since the last position.
    pub(super) moved: bool,
}

impl Cdc {
    async fn start_following(&mut self) -> Result<Following> {
        let mut conn = connect(&self.opening, &self.options).await?;
        let table = Table::read(&mut conn, &self.opening.source, &self.options).await?;
        let is_mariadb = health::good_server(&mut conn, &self.opening.source, &table).await?.is_mariadb;
        if is_mariadb != self.token.is_mariadb {
            return Err(self
                .error("the position is of another kind of server; take the table anew by `refresh: <any new text>`"));
        }
        let gtids = Gtids::parse(self.token.gtid.as_deref().unwrap_or_default(), is_mariadb)?;
        let (names, has_case) = names_of(&mut conn, &table).await?;
        let rows: Vec<(u16, String)> = conn
            .query("SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL AND CHARACTER_SET_NAME IS NOT NULL AND ID < 65536")
            .await
            .map_err(|e| fault("ask for character sets", e))?;
        let charsets: Charsets = rows.into_iter().collect();
        let written = match self.token.columns.clone() {
            Some(written) => Some(written),
            // Where nothing came since, they are those of now.
            None => {
                let now = Written::now(&mut conn, &table).await?;
                let last = Gtids::parse(&last_position(&mut conn, is_mariadb).await?, is_mariadb);
                last.is_ok_and(|last| last == gtids).then_some(now)
            }
        };
        let columns = table.chosen(&self.options)?;
        let plan = Plan::new(table.clone(), columns, &self.opening.entity, &self.options, is_mariadb).of_log()?;
        let server_id = self.options.server_id.unwrap_or_else(|| self.server_id());
        let mut replica = connect(&self.opening, &self.options).await?;
        let server = identity(&mut replica, is_mariadb).await?;
        one_server(&server, &identity(&mut conn, is_mariadb).await?)?;
        let log = Log::start(replica, &gtids, server_id, Duration::from_millis(self.options.timeout_ms)).await?;
        Ok(Following {
            log,
            conn: Some(conn),
            server,
            table,
            names,
            has_case,
            stale: false,
            charsets,
            layouts: HashMap::new(),
            written,
            plan,
            gtids,
            open: None,
            is_void: false,
            resume: self.token.open.clone(),
            event: None,
            moved: false,
        })
    }

    /// A connection for questions beside the log: a new one where there is none.
    async fn beside(&mut self) -> Result<Conn> {
        let Some(following) = &mut self.following else { return connect(&self.opening, &self.options).await };
        if let Some(conn) = following.conn.take() {
            return Ok(conn);
        }
        let mut conn = connect(&self.opening, &self.options).await?;
        let asked = identity(&mut conn, self.token.is_mariadb);
        let server = Patience::of(&self.options).soon("ask which server it is", asked).await?;
        one_server(&following.server, &server)?;
        Ok(conn)
    }

    /// The same in each run, and hardly that of anybody else.
    fn server_id(&self) -> u32 {
        let mut hasher = twox_hash::XxHash64::with_seed(0);
        for part in [
            self.opening.source.as_str(),
            &self.batch.partition,
            &self.opening.base.to_string_lossy(),
            &self.options.connection,
        ] {
            hasher.write(part.as_bytes());
            hasher.write_u8(0);
        }
        1_000_000_000 + (hasher.finish() % 3_000_000_000) as u32
    }

    pub(super) async fn follow(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if self.following.is_none() {
            let patience = Patience::of(&self.options);
            let following = patience.beginning("follow the binary log", self.start_following()).await?;
            following.plan.begin(&mut self.batch);
            self.following = Some(following);
        }
        self.follow_until(bytes_max).await
    }

    /// How far the log goes now, once in a run.
    async fn end_of_run(&mut self) -> Result<Place> {
        if let Some(until) = &self.until {
            return Ok(until.clone());
        }
        let mut conn = self.beside().await?;
        // A connection that was idle for hours may be closed, or be forgotten on the way.
        let (what, patience) = ("ask where the binary log ends", Patience::of(&self.options));
        let until = match patience.soon(what, end(&mut conn)).await {
            Ok(until) => until,
            Err(_) => {
                cut(conn);
                conn = self.beside().await?;
                patience.soon(what, end(&mut conn)).await?
            }
        };
        if let Some(following) = &mut self.following {
            following.conn = Some(conn);
        }
        Ok(self.until.insert(until).clone())
    }

    pub(super) async fn follow_until(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        let until = self.end_of_run().await?;
        let begun = self.opening.clock.now().0;
        loop {
            let Some(following) = &mut self.following else { return Ok(None) };
            let inside = following.open.as_ref().is_some_and(|open| open.rows > 0);
            if self.batch.is_full(bytes_max, self.options.batch_rows_max) {
                return self.hand_out(!inside).map(Some);
            }
            // A transaction that was cut must be told to be whole, be it without a row more.
            if following.has_ended(self.handed.open.as_ref()) {
                return self.hand_out(true).map(Some);
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
            let lasted = self.opening.clock.now().0 - begun;
            let is_long = lasted >= CALL_MICROS || following.log.bytes >= CALL_BYTES;
            if following.event.is_none() && (is_long && !inside || lasted >= CUT_MICROS) {
                // What was taken of a transaction is not reached again yet: the position stays.
                if following.is_behind() {
                    following.log.bytes = 0;
                    return self.finish(false).map(Some);
                }
                return self.hand_out(!inside).map(Some);
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
    pub(super) async fn look(&mut self) -> Result<Option<Pulled>> {
        let Some(following) = &mut self.following else { return Ok(None) };
        let Some(event) = following.event.take() else { return Ok(None) };
        match following.log.meaning(&event)? {
            Meaning::Nothing => {}
            Meaning::Begin { gtid, at, single, is_xa, is_void } => {
                following.is_void = is_void;
                let skip = following.resume.take_if(|(open, _)| *open == gtid.to_string()).map_or(0, |(_, rows)| rows);
                following.open = Some(Transaction::begin(gtid, at, single, is_xa, skip));
            }
            Meaning::Commit => following.commit(),
            Meaning::Statement { sql, database, charset } => {
                let is_utf8 = charset.and_then(|number| following.charsets.get(&number));
                let is_utf8 = is_utf8.is_some_and(|name| name.starts_with("utf8"));
                return self.statement(&sql, &database, is_utf8);
            }
            // Numbers of tables are given anew by a server that was started again.
            Meaning::File => following.layouts.clear(),
            Meaning::Table { id, database, name } => {
                if !following.names().is_table(&database, &name) {
                    following.layouts.remove(&id);
                } else if !following.layouts.contains_key(&id) {
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
            let mut conn = self.beside().await?;
            let (what, patience) = ("look at the table again", Patience::of(&self.options));
            let table = patience.beginning(what, Table::read(&mut conn, &self.opening.source, &self.options)).await?;
            let Some(following) = &mut self.following else { return Ok(()) };
            (following.table, following.conn, following.stale) = (table, Some(conn), false);
        }
        let Some(following) = &mut self.following else { return Ok(()) };
        let known = Known {
            table: &following.table,
            written: following.written.as_ref(),
            charsets: &following.charsets,
            entity: &self.opening.entity,
            options: &self.options,
            is_mariadb: self.token.is_mariadb,
        };
        let map = following
            .log
            .table_map(id)
            .ok_or_else(|| Error::internal("follow the binary log", "a map is not remembered"))?;
        let layout = Layout::new(map, &known)?;
        if let Some(columns) = layout.named.clone() {
            let charset = following.written.take().map(|written| written.charset).unwrap_or_default();
            following.written = Some(Written { columns, charset });
        }
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
        let map = following
            .log
            .table_map(rows.table_id())
            .ok_or_else(|| Error::internal("follow the binary log", "a map is not remembered"))?;
        for pair in rows.rows(map) {
            let (before, after) = pair.map_err(unread)?;
            let states =
                (Image::of(before.as_ref(), before_bits.as_deref()), Image::of(after.as_ref(), after_bits.as_deref()));
            change(&mut self.batch, &layout, open, states)?;
        }
        Ok(None)
    }

    fn statement(&mut self, sql: &str, database: &str, is_utf8: bool) -> Result<Option<Pulled>> {
        let is_mariadb = self.token.is_mariadb;
        let Some(following) = &mut self.following else { return Ok(None) };
        let does = if following.is_void { Does::Nothing } else { does(sql, database, following.names()) };
        let has_rows = following.open.as_ref().is_some_and(|open| open.rows > 0);
        match does {
            Does::Begin => {
                if let Some(open) = &mut following.open {
                    open.single = false;
                }
                return Ok(None);
            }
            Does::Commit => {
                following.commit();
                return Ok(None);
            }
            Does::Save(name) => {
                if let Some(open) = &mut following.open {
                    open.save(&name);
                }
                return Ok(None);
            }
            Does::RollbackTo(name) => return self.roll_back_to(&name),
            Does::Rollback => return self.roll_back(),
            Does::Rename => {
                return Err(self.error("the table was renamed, or another one was given its name: it is another one, of whose rows the log tells only the changes since then; take the table anew by `refresh: <any new text>`"));
            }
            Does::Xa if has_rows => return Err(xa(&self.batch.partition)),
            Does::LoseSome => {
                return Err(self.error("a partition of the table was dropped, emptied or exchanged, and the log does not say which rows it had; take the table anew by `refresh: <any new text>`"));
            }
            Does::Write => {
                return Err(self.error("rows were changed by a statement that is in the log as a statement: set `binlog_format = ROW` for all sessions, and take the table anew by `refresh: <any new text>`"));
            }
            Does::Empty => {
                let (takes, at) = following.open.as_mut().map_or((true, None), |open| (open.takes(), open.at));
                if takes {
                    empty(&mut self.batch, &following.plan, at)?;
                }
                following.alter(sql, database, is_utf8, is_mariadb);
            }
            Does::Alter => {
                following.alter(sql, database, is_utf8, is_mariadb);
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
        Ok(None)
    }

    pub(super) fn hand_out(&mut self, whole: bool) -> Result<Pulled> {
        self.note_place();
        self.finish(whole)
    }

    /// Writes down how far the log is read; what is in the batch goes out.
    pub(super) fn note_place(&mut self) {
        let Some(following) = &mut self.following else { return };
        let open = following.open.as_ref().filter(|open| open.rows > 0);
        self.token.open = open.map(|open| (open.gtid.to_string(), open.rows));
        self.token.gtid = Some(following.gtids.to_string());
        self.token.columns.clone_from(&following.written);
        (following.moved, following.log.passed, following.log.bytes) = (false, 0, 0);
        if let Some(open) = &mut following.open {
            open.held = 0;
        }
    }
}

/// The table's names as the server keeps them, and whether names that differ in case are of different tables.
async fn names_of(conn: &mut Conn, table: &Table) -> Result<((String, String), bool)> {
    let asked: Vec<(String, String, u8)> = conn
        .exec(
            "SELECT TABLE_SCHEMA, TABLE_NAME, @@lower_case_table_names FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
            (&table.database, &table.name),
        )
        .await
        .map_err(|e| fault("ask how the server compares names", e))?;
    let own = (table.database.clone(), table.name.clone());
    let mut found: Vec<_> = asked.into_iter().map(|(database, name, rule)| ((database, name), rule == 0)).collect();
    let at = found.iter().position(|(names, _)| *names == own).unwrap_or_default();
    Ok(if found.is_empty() { (own, false) } else { found.swap_remove(at) })
}

impl Following {
    fn names(&self) -> Names<'_> {
        Names { database: &self.names.0, name: &self.names.1, has_case: self.has_case }
    }

    /// Whether rows come that were taken before.
    fn is_behind(&self) -> bool {
        self.resume.is_some() || self.open.as_ref().is_some_and(|open| open.skip > 0)
    }

    /// Whether a transaction that was handed out in part is read to its end.
    fn has_ended(&self, cut: Option<&(String, u64)>) -> bool {
        let is_open = |gtid: &str| self.open.as_ref().is_some_and(|open| open.gtid.to_string() == gtid);
        cut.is_some_and(|(gtid, _)| self.resume.is_none() && !is_open(gtid))
    }

    /// A statement made other columns of the table, or may have.
    fn alter(&mut self, sql: &str, database: &str, is_utf8: bool, is_mariadb: bool) {
        self.stale = true;
        self.layouts.clear();
        let scene = Scene { session: database, table: self.names(), is_mariadb };
        // Names and words in another character set were not read as they are.
        let is_read = sql.is_ascii() || is_utf8 && !sql.contains(char::REPLACEMENT_CHARACTER);
        let written = after(sql, self.written.as_ref(), &scene).filter(|_| is_read);
        self.written = written;
    }

    pub(super) fn commit(&mut self) {
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
        if !open.takes() {
            return Ok(());
        }
        let absent = layout.put(batch, image, before)?;
        if op == Op::Create && absent.iter().any(|name| !layout.is_virtual(name)) {
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
pub(super) fn empty(batch: &mut Batch, plan: &Plan, at: Option<i64>) -> Result<()> {
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

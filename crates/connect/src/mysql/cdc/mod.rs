//! `mode: cdc`: the table, then every change of it.
//!
//! First the position of the log is read, then the table, then the log from that position. MariaDB tells the position that
//! belongs to the very state that is read. Elsewhere, and where a run died in the middle of the table, the log tells some
//! changes again that the table had already: by key, the last one is right.
//!
//! A transaction is taken as one: batches that end inside of it are not `whole`. A position is the set of transactions that
//! are taken, and of the one that is open its name and how many rows of it are taken; and the columns that rows are written
//! with there, for a log that does not name them.

mod definition;
mod follow;
#[cfg(test)]
mod tests;
mod undo;
pub(super) mod written;

use super::health;
use super::log::Place;
use super::login::{connect, fault};
use super::options::Options;
use super::patience::Patience;
use super::plan::Plan;
use super::scan::Scan;
use super::snapshot::{remember, which};
use super::table::Table;
use crate::marks::{Batch, mark, read_token, write_token};
use crate::spec::Opening;
use async_trait::async_trait;
use follow::{Following, empty};
use kernel::source::{Pulled, Source};
use kernel::{Error, Positions, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::sync::Arc;
use written::Written;

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
    /// The columns that rows are written with there; absent where they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Written>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Reading {
    /// Rows of the partition before the table was begun.
    from: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<Vec<Json>>,
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
        let server = health::good_server(&mut conn, &self.opening.source, &table).await?;
        let written = Written::now(&mut conn, &table).await?;
        let gtid = first_position(&mut conn, server.is_mariadb).await?;
        let again = Table::read(&mut conn, &self.opening.source, &self.options).await?;
        // What the columns were before and after the position they were at it.
        if Written::now(&mut conn, &again).await? != written {
            let detail = "the table was altered while its reading began";
            return Err(Error::new(kernel::Kind::Unreachable, format!("read {}", self.batch.partition), detail));
        }
        let columns = table.chosen(&self.options)?;
        let plan = Plan::new(table, columns, &self.opening.entity, &self.options, server.is_mariadb).of_log()?;
        let reading = self.token.reading.clone().unwrap_or(Reading { from: self.batch.taken, behind: None });
        // The row that empties the table is no row of it.
        let emptied = u64::from(reading.from > 0);
        let skip = (self.batch.taken - reading.from).saturating_sub(emptied);
        let (which, whole) = which(&plan, &self.opening, reading.behind.as_deref(), skip)?;
        plan.begin(&mut self.batch);
        if self.batch.taken == reading.from && reading.from > 0 {
            empty(&mut self.batch, &plan, None)?;
        }
        let scan = Scan::start(conn, plan, which, Patience::of(&self.options)).await?;
        // A position that was written holds for all that is read after it.
        let (gtid, columns) = match self.token.gtid.clone() {
            Some(gtid) => (gtid, self.token.columns.clone()),
            None => (gtid, Some(written)),
        };
        self.token = Token {
            gtid: Some(gtid),
            is_mariadb: server.is_mariadb,
            reading: Some(reading),
            columns,
            ..self.token.clone()
        };
        self.scan = Some((scan, whole));
        Ok(())
    }

    async fn read_table(&mut self, bytes_max: usize) -> Result<Pulled> {
        if self.scan.is_none() {
            let (what, patience) = (format!("read the table {}", self.options.table), Patience::of(&self.options));
            patience.beginning(&what, self.start_reading()).await?;
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
}

/// All transactions that are in the log now.
async fn last_position(conn: &mut Conn, is_mariadb: bool) -> Result<String> {
    let asked = if is_mariadb { "SELECT @@GLOBAL.gtid_binlog_pos" } else { "SELECT @@GLOBAL.gtid_executed" };
    let found: Option<String> =
        conn.query_first(asked).await.map_err(|e| fault("read the position of the binary log", e))?;
    Ok(found.unwrap_or_default())
}

/// Begins the transaction that reads the table, and tells the transactions that are in what it reads, at least.
async fn first_position(conn: &mut Conn, is_mariadb: bool) -> Result<String> {
    let what = "read the position of the binary log";
    let fail = |e| fault(what, e);
    let before = last_position(conn, is_mariadb).await?;
    conn.query_drop("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await.map_err(fail)?;
    conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").await.map_err(fail)?;
    if !is_mariadb {
        return Ok(before);
    }
    // Where the log was when the state that is read was made.
    let places: Vec<(String, String)> = conn.query("SHOW STATUS LIKE 'binlog_snapshot_%'").await.map_err(fail)?;
    let place =
        |name: &str| places.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
    let (Some(file), Some(at)) = (place("binlog_snapshot_file"), place("binlog_snapshot_position")) else {
        return Ok(before);
    };
    let exact: Option<Option<String>> = conn
        .exec_first("SELECT BINLOG_GTID_POS(?, ?)", (file, at.parse::<u64>().unwrap_or_default()))
        .await
        .map_err(fail)?;
    Ok(exact.flatten().unwrap_or(before))
}

#[async_trait]
impl Source for Cdc {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if std::mem::take(&mut self.ended) {
            return Ok(None);
        }
        if self.lost {
            let detail =
                "the read broke off, and without an open primary key it can't be gone on with: open the source again";
            return Err(Error::new(kernel::Kind::Unreachable, format!("read {}", self.batch.partition), detail));
        }
        let reading = self.token.gtid.is_none() || self.token.reading.is_some();
        let pulled = match reading {
            true => self.read_table(bytes_max).await.map(Some),
            false => self.follow(bytes_max).await,
        };
        if pulled.is_err() {
            let begun = self
                .handed
                .reading
                .as_ref()
                .is_some_and(|reading| self.batch.taken > reading.from && reading.behind.is_none());
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

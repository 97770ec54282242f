//! `mode: snapshot`: the table once, in the order of its key.
//!
//! One statement in one transaction reads it all. When the key hides nothing, each batch's position has the last key, so
//! that a run that died is gone on with from there, in a later state of the table. Else a batch may be committed with the
//! others only.

use super::key;
use super::login::{connect, fault};
use super::options::Options;
use super::patience::Patience;
use super::plan::Plan;
use super::scan::{Scan, Which};
use super::table::Table;
use crate::marks::{Batch, mark, read_token, write_token};
use crate::spec::Opening;
use async_trait::async_trait;
use kernel::source::{Pulled, Source};
use kernel::{Error, Positions, Result};
use mysql_async::prelude::Queryable;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::sync::Arc;

/// Where a snapshot goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Token {
    /// Values of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<Vec<Json>>,
}

pub struct Snapshot {
    opening: Opening,
    options: Options,
    scan: Option<Scan>,
    batch: Batch,
    token: Token,
    /// The token of the last batch that was handed out.
    handed: Token,
    done: bool,
    /// Whether each batch may be committed by itself; known when the table is.
    whole: bool,
    /// What was handed out can't be gone on with: it was of a transaction that is no more.
    lost: bool,
}

impl Snapshot {
    pub fn open(opening: Opening, options: Options) -> Result<Self> {
        let partition = partition(&opening, &options)?;
        let (taken, token, done) = match mark(&opening.from, &partition) {
            Some((rows, token, done)) => (rows, read_token(&partition, token)?, done),
            None => (0, Token::default(), false),
        };
        let batch = Batch::new(partition, taken, false);
        Ok(Self { opening, options, scan: None, batch, handed: token.clone(), token, done, whole: false, lost: false })
    }

    async fn start(&mut self) -> Result<(Scan, bool)> {
        let mut conn = connect(&self.opening, &self.options).await?;
        let table = Table::read(&mut conn, &self.opening.source, &self.options).await?;
        let what = format!("read the table {}", table.shown());
        conn.query_drop("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await.map_err(|e| fault(&what, e))?;
        conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").await.map_err(|e| fault(&what, e))?;
        let is_mariadb = is_mariadb(&mut conn).await?;
        let columns = table.chosen(&self.options)?;
        let plan = Plan::new(table, columns, &self.opening.entity, &self.options, is_mariadb);
        let (which, whole) = which(&plan, &self.opening, self.token.behind.as_deref(), self.batch.taken)?;
        Ok((Scan::start(conn, plan, which, Patience::of(&self.options)).await?, whole))
    }

    async fn pull(&mut self, bytes_max: usize) -> Result<Pulled> {
        let scan = match &mut self.scan {
            Some(scan) => scan,
            None => {
                let (what, patience) = (format!("read the table {}", self.options.table), Patience::of(&self.options));
                let (scan, whole) = patience.beginning(&what, self.start()).await?;
                scan.plan().begin(&mut self.batch);
                self.whole = whole;
                self.scan.insert(scan)
            }
        };
        let behind = &mut self.token.behind;
        let rows_max = self.options.batch_rows_max;
        let more = scan
            .fill(&mut self.batch, (bytes_max, rows_max), |beside| {
                remember(&beside, behind)?;
                Ok(true)
            })
            .await?;
        self.done = !more;
        self.handed = self.token.clone();
        self.batch.finish(write_token(&self.handed)?, self.done, self.whole || self.done)
    }
}

/// Writes down the key of a row that is taken, where keys may be.
pub fn remember(beside: &super::scan::Beside<'_>, behind: &mut Option<Vec<Json>>) -> Result<()> {
    let count = beside.len();
    if count == 0 {
        return Ok(());
    }
    let kept: Option<Vec<Json>> = (0..count).map(|at| beside.kept(at)).collect();
    *behind =
        Some(kept.ok_or_else(|| {
            Error::data("read a table by its key", "a value of the key can't be a place to go on from")
        })?);
    Ok(())
}

/// How a table is read from a place on, and whether that place can be written down.
pub fn which(plan: &Plan, opening: &Opening, behind: Option<&[Json]>, taken: u64) -> Result<(Which, bool)> {
    let other = || {
        let detail = "its position is of another primary key; take the table anew: under `mode: cdc` by `refresh: <any new text>`, \
            else move the folder of the bronze table away, and run again";
        Error::data(format!("go on with {}", plan.table.shown()), detail)
    };
    if behind.is_some() && plan.table.key.is_empty() {
        return Err(other());
    }
    let Some(columns) = plan.table.open_key(&opening.entity) else {
        let order = plan.table.key.iter().map(|name| super::table::quoted(name)).collect::<Vec<_>>().join(", ");
        return Ok((Which { order, skip: taken, ..Which::default() }, false));
    };
    let condition = match behind {
        None => None,
        Some(values) => Some(key::behind(&columns, values).ok_or_else(other)?),
    };
    Ok((Which { condition, order: key::order(&columns), beside: columns, ..Which::default() }, true))
}

pub async fn is_mariadb(conn: &mut mysql_async::Conn) -> Result<bool> {
    let version: Option<String> =
        conn.query_first("SELECT VERSION()").await.map_err(|e| fault("ask for the server's version", e))?;
    Ok(version.unwrap_or_default().to_lowercase().contains("mariadb"))
}

/// The name of what is read: another `refresh` is another one.
pub fn partition(opening: &Opening, options: &Options) -> Result<Arc<str>> {
    let (database, table) = Table::names(&opening.source, options)?;
    Ok(match &options.refresh {
        Some(refresh) => format!("{database}.{table}@{refresh}").into(),
        None => format!("{database}.{table}").into(),
    })
}

#[async_trait]
impl Source for Snapshot {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if self.done {
            return Ok(None);
        }
        if self.lost {
            let detail =
                "the read broke off, and without an open primary key it can't be gone on with: open the source again";
            return Err(Error::new(kernel::Kind::Unreachable, format!("read {}", self.batch.partition), detail));
        }
        match self.pull(bytes_max).await {
            Ok(pulled) => Ok(Some(pulled)),
            Err(error) => {
                (self.scan, self.token) = (None, self.handed.clone());
                self.lost = !self.whole && self.batch.taken > 0;
                Err(error)
            }
        }
    }

    /// Nothing to forget: a table stays where it is.
    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}

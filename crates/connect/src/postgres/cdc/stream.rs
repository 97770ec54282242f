//! The changes of a table, behind its snapshot: from the server's messages to batches, transaction by transaction.
//!
//! The position is the end of the last transaction that is taken whole, or a place behind it where none of ours was open, and
//! how many rows of the next one are taken: the server begins again there, and sends the same rows in the same order.

use super::link::{Event, Link};
use super::pending::{Change, Earlier, Pending, updated};
use super::pgoutput::{self, Cell, Message, Old, Relation, Tuple};
use super::position::At;
use super::publication;
use super::slot::{self, Slot};
use crate::postgres::client::Client;
use crate::postgres::kinds::{Infinity, bases};
use crate::postgres::rows::Rows;
use crate::postgres::setup::Setup;
use crate::postgres::table::{Layout, Table};
use arrow::array::Int64Array;
use kernel::Positions;
use kernel::clock::Clock;
use kernel::error::{Error, Result};
use kernel::gate::{Changes, Op, Raw};
use kernel::source::Pulled;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

pub struct Stream {
    setup: Arc<Setup>,
    clock: Arc<dyn Clock>,
    /// For questions; none behind an error, for it may be silent for good.
    client: Option<Arc<Client>>,
    table: Table,
    partition: Arc<str>,
    /// What was handed on.
    at: At,
    rows: u64,
    link: Option<Link>,
    read: Reading,
    /// The log's end at the beginning of this round; what comes behind it is for the next.
    target: Option<u64>,
    settled: u64,
    /// The snapshot is whole, and the lake does not know yet.
    is_news: bool,
    /// What was warned of: once is enough.
    warned: BTreeSet<String>,
}

/// What was read and not yet handed on.
#[derive(Default)]
struct Reading {
    /// Everything before is read.
    upto: u64,
    /// The end of the last transaction that was read whole, or a place behind it: where the next batch ends.
    end: u64,
    /// The time of the open transaction's commit and its rows so far.
    open: Option<(i64, u64)>,
    /// Where the open transaction's commit is.
    commit: u64,
    /// Rows of the next transaction that were handed on before.
    skip: u64,
    layout: Layout,
    key: Vec<usize>,
    /// Whether the contract names the key.
    is_named: bool,
    relation: Option<Relation>,
    /// One that is announced, for the changes behind those that wait.
    announced: Option<Relation>,
    pending: Pending,
    /// A column of the contract's key whose old value changes do not tell.
    untold: Option<Arc<str>>,
    /// How far the log must be read before a batch is made of what waits, and how far it was when that was found.
    until: Option<u64>,
    since: u64,
    /// A batch is to be made now.
    is_due: bool,
    /// Bytes of the log since the slot was looked at.
    looked: u64,
}

/// So much of the log may pass without a change of the table before the position is moved all the same: else the server
/// would keep it for a table that rests.
const HEARTBEAT_BYTES: u64 = 16 << 20;

/// The same while more log waits: who falls behind is to get on also where a run ends before it is through, and the server is
/// to forget what is read.
const PASSED_BYTES: u64 = 64 << 20;

/// How long a call looks through what is not for us before it answers with what there is, be it nothing: a call has its time,
/// and who is cut off begins again.
const CALL: Duration = Duration::from_secs(10);

/// What waits for the log to be read up to a look-up is this many batches at most, and as much of the log. What is more gets what
/// was found, be it of a later transaction.
const HELD_BATCHES: usize = 4;
const HELD_BYTES: u64 = 1 << 30;

/// How often the slot is looked at, in bytes of the log.
const GUARD_BYTES: u64 = 64 << 20;

impl Stream {
    pub fn new(
        setup: Arc<Setup>,
        clock: Arc<dyn Clock>,
        client: Client,
        table: Table,
        partition: Arc<str>,
        (at, rows): (At, u64),
    ) -> Self {
        let mut stream = Self {
            is_news: false,
            warned: BTreeSet::new(),
            setup,
            clock,
            client: Some(Arc::new(client)),
            table,
            partition,
            at,
            rows,
            link: None,
            read: Reading::default(),
            target: None,
            settled: 0,
        };
        stream.begin_again();
        stream
    }

    /// Hands the position on before any change.
    #[must_use]
    pub fn with_news(self) -> Self {
        Self { is_news: true, ..self }
    }

    /// Forgets what was read behind the last batch.
    fn begin_again(&mut self) {
        self.link = None;
        self.target = None;
        self.read = Reading {
            upto: self.at.lsn,
            end: self.at.lsn,
            skip: self.at.taken,
            looked: self.at.lsn,
            ..Reading::default()
        };
    }

    pub async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(Arc::new(self.setup.connect().await?)).clone(),
        };
        let pulled = self.pull(&client, bytes_max).await;
        if pulled.is_err() {
            self.begin_again();
            self.client = None;
        }
        pulled
    }

    async fn pull(&mut self, client: &Client, bytes_max: usize) -> Result<Option<Pulled>> {
        let mut bell = pin!(sleep(CALL));
        loop {
            let is_time = bell.is_elapsed();
            if is_time {
                self.ends_here(1);
            }
            if (self.read.is_due || self.is_news) && self.complete(client, bytes_max).await? {
                return self.batch().map(Some);
            }
            if is_time {
                return self.nothing_yet().map(Some);
            }
            if self.read.pending.changes.is_empty()
                && let Some(relation) = self.read.announced.clone()
            {
                self.announce(client, relation).await?;
            }
            let target = match self.target {
                Some(target) => target,
                None => {
                    let end = slot::log_end_behind(client, &self.setup.slot(), self.at.reached()).await?;
                    // Behind it, so that all before was published as it was.
                    publication::watch(client, &self.setup, &self.table, self.at.published).await?;
                    *self.target.insert(end)
                }
            };
            if self.read.open.is_none() && self.read.upto >= target {
                if self.at_end() {
                    continue;
                }
                self.target = None;
                return Ok(None);
            }
            if self.link.is_none() {
                let (link, history) = Link::open(&self.setup, self.clock.clone(), self.at).await?;
                (self.link, self.at.history) = (Some(link), Some(history));
            }
            self.guard(client).await?;
            let Some(link) = &mut self.link else { continue };
            let event = tokio::select! {
                biased;
                event = link.next() => event?,
                () = &mut bell => continue,
            };
            self.take(event, bytes_max)?;
        }
    }

    /// Asks for what was not sent; false while the log must be read further. What is looked up for a row that has another key
    /// now may be of a later transaction: only the log up to the look-up tells.
    async fn complete(&mut self, client: &Client, bytes_max: usize) -> Result<bool> {
        let rows_max = self.setup.options.batch_rows_max.saturating_mul(HELD_BATCHES);
        let read = &mut self.read;
        let is_much = read.pending.bytes >= bytes_max.saturating_mul(HELD_BATCHES)
            || read.pending.changes.len() >= rows_max
            || read.until.is_some() && read.upto.saturating_sub(read.since) >= HELD_BYTES;
        // Other columns can't wait in one batch with these.
        let must = is_much || read.announced.is_some();
        let is_behind = |read: &Reading| read.until.is_some_and(|until| read.open.is_some() || read.upto < until);
        if is_behind(read) && !must {
            read.is_due = false;
            return Ok(false);
        }
        read.pending.complete(client, &self.table, &read.layout).await?;
        if read.pending.is_unsure && !must {
            (read.until, read.since) = (Some(slot::log_end(client).await?), read.upto);
            self.target = self.target.max(read.until);
            read.pending.is_unsure = false;
            if is_behind(read) {
                read.is_due = false;
                return Ok(false);
            }
        }
        read.pending.settle(&read.key);
        read.until = None;
        Ok(true)
    }

    /// At the end of what there is now: whether there is something to hand on.
    fn at_end(&mut self) -> bool {
        let rests = self.read.upto.saturating_sub(self.at.lsn) >= HEARTBEAT_BYTES;
        if rests {
            self.read.end = self.read.upto;
        }
        self.read.is_due =
            !self.read.pending.changes.is_empty() || rests || self.at.taken > 0 && self.read.end > self.at.lsn;
        self.read.is_due
    }

    async fn guard(&mut self, client: &Client) -> Result<()> {
        if self.setup.options.wal_budget.is_none() || self.read.upto.saturating_sub(self.read.looked) < GUARD_BYTES {
            return Ok(());
        }
        let name = self.setup.slot();
        if let Some(slot) = Slot::look(client, &name).await? {
            slot::guard(client, &self.setup, &slot).await?;
        }
        self.read.looked = self.read.upto;
        Ok(())
    }

    /// An event of the server. Nothing waits here.
    fn take(&mut self, event: Event, bytes_max: usize) -> Result<()> {
        match event {
            Event::Alive(upto) => {
                if self.read.open.is_none() {
                    self.read.upto = self.read.upto.max(upto);
                    self.ends_here(PASSED_BYTES);
                }
            }
            Event::Change(data) => {
                let bytes = data.len();
                match pgoutput::read(data)? {
                    Message::Begin { commit, at } => {
                        self.read.open = Some((at, 0));
                        self.read.commit = commit;
                    }
                    Message::Commit { end } => self.committed(end, bytes_max),
                    message => {
                        self.message(message, bytes)?;
                        self.read.is_due |= self.is_full(bytes_max);
                    }
                }
            }
        }
        Ok(())
    }

    fn committed(&mut self, end: u64, bytes_max: usize) {
        let read = &mut self.read;
        read.open = None;
        (read.end, read.upto, read.skip) = (end, end, 0);
        // A transaction that was cut must be told to be whole, be it without a row more.
        let was_cut = self.at.taken > 0 && read.pending.changes.is_empty();
        self.read.is_due = was_cut || self.is_full(bytes_max);
        self.ends_here(PASSED_BYTES);
    }

    /// Lets a batch end at what is read, if so much of the log was passed for one position. In a transaction, or before one that
    /// was cut has come again, there is no such place.
    fn ends_here(&mut self, passed: u64) {
        let read = &mut self.read;
        if read.open.is_none() && read.skip == 0 && read.upto.saturating_sub(self.at.lsn) >= passed {
            (read.end, read.is_due) = (read.upto, true);
        }
    }

    fn is_full(&self, bytes_max: usize) -> bool {
        let pending = &self.read.pending;
        !pending.changes.is_empty()
            && (pending.bytes >= bytes_max || pending.changes.len() >= self.setup.options.batch_rows_max)
    }

    fn message(&mut self, message: Message, bytes: usize) -> Result<()> {
        let is_ours = |id: u32| self.read.known().is_some_and(|relation| relation.id == id);
        let at = self.read.open.map_or(0, |(at, _)| at);
        let earlier = if self.read.commit < self.at.snapshot { Earlier::Missed } else { Earlier::Known };
        if let Message::Update { relation, old, .. } | Message::Delete { relation, old } = &message
            && is_ours(*relation)
            && let Some(name) = self.read.untold(old)
        {
            return Err(other_identity(&self.table, name));
        }
        let changes = match message {
            Message::Relation(relation) => return self.relation(relation),
            Message::Insert { relation, new } if is_ours(relation) => {
                vec![Change { op: Op::Create, at, cells: new, earlier: Earlier::Known }]
            }
            Message::Update { relation, old, new } if is_ours(relation) => {
                updated(old, new, &self.read.key, at, earlier)
            }
            Message::Delete { relation, old: Old::Key(old) | Old::Whole(old) } if is_ours(relation) => {
                vec![Change { op: Op::Delete, at, cells: old, earlier: Earlier::Known }]
            }
            Message::Truncate { relations } if relations.iter().any(|id| is_ours(*id)) => {
                let nothing: Tuple = vec![Cell::Null; self.read.layout.len()];
                vec![Change { op: Op::Truncate, at, cells: nothing, earlier: Earlier::Known }]
            }
            _ => return Ok(()),
        };
        self.push(changes, bytes);
        Ok(())
    }

    fn push(&mut self, changes: Vec<Change>, bytes: usize) {
        let read = &mut self.read;
        for change in changes {
            if let Some((_, count)) = &mut read.open {
                *count += 1;
            }
            match read.skip {
                0 => read.pending.push(change, bytes),
                _ => read.skip -= 1,
            }
        }
    }

    /// A table is announced before its first change, and again when its columns are others.
    fn relation(&mut self, relation: Relation) -> Result<()> {
        let is_named = relation.schema == self.table.schema && relation.name == self.table.name;
        if relation.id != self.table.oid && is_named {
            return Err(another_table(&self.table));
        }
        if relation.id != self.table.oid || self.read.relation.as_ref() == Some(&relation) {
            return Ok(());
        }
        self.read.announced = Some(relation);
        // What waits has the old columns.
        self.read.is_due = !self.read.pending.changes.is_empty();
        Ok(())
    }

    async fn announce(&mut self, client: &Client, relation: Relation) -> Result<()> {
        let types: Vec<(u32, i32)> = relation.columns.iter().map(|column| (column.oid, column.modifier)).collect();
        let bases = bases(client, &types).await?;
        let entity = &self.setup.entity;
        let wanted = |name: &str| entity.property(name).map(|property| &property.data_type);
        let columns = relation.columns.iter().zip(bases);
        let layout: Layout =
            columns.map(|(column, base)| (column.name.clone(), base.kind(wanted(&column.name)))).collect();
        let is_gone = |name: &str| self.table.column(name).is_none() && !layout.iter().any(|(own, _)| **own == *name);
        for property in entity.properties.iter().filter(|property| is_gone(&property.name)) {
            if !self.warned.insert(property.name.clone()) {
                continue;
            }
            tracing::warn!(
                table = self.table.shown(),
                "has no column `{}` any more, which its contract names: it is null from here on",
                property.name
            );
        }
        // Without a key in the contract, the table's own.
        let own = self.table.columns.iter().filter(|column| column.key.is_some()).map(|column| &*column.name);
        let key = entity.key();
        let is_untold =
            |name: &&&str| !relation.columns.iter().any(|column| *column.name == ***name && column.identifies);
        self.read.untold = key.iter().find(is_untold).map(|name| Arc::from(*name));
        self.read.is_named = !key.is_empty();
        let key: Vec<&str> = if key.is_empty() { own.collect() } else { key };
        let place = |name: &&str| layout.iter().position(|(column, _)| **column == **name);
        self.read.key = key.iter().filter_map(place).collect();
        (self.read.layout, self.read.relation, self.read.announced) = (layout, Some(relation), None);
        Ok(())
    }

    /// What waits as a batch.
    fn batch(&mut self) -> Result<Pulled> {
        let infinity: Infinity = self.setup.options.infinity;
        let mut rows = Rows::new(&self.read.layout, infinity);
        let count = self.read.pending.changes.len();
        let changes = self.read.pending.columns(&self.read.layout, &mut rows)?;
        let offsets: Int64Array = (0..count as i64).map(|row| self.rows as i64 + row + 1).collect();
        let raw = Raw::new(rows.finish()?, self.partition.clone(), offsets)?.with_changes(changes)?;
        self.rows += count as u64;
        let taken = self.read.open.map_or(0, |(_, count)| count);
        self.at = At { lsn: self.read.end, taken, ..self.at };
        (self.read.is_due, self.is_news) = (false, false);
        self.pulled(raw)
    }

    /// No row, and no place further: the server works at something that is not for us, or what waits is not complete.
    fn nothing_yet(&self) -> Result<Pulled> {
        let rows = Rows::new(&self.read.layout, self.setup.options.infinity).finish()?;
        let raw = Raw::new(rows, self.partition.clone(), Int64Array::from_iter_values([]))?;
        self.pulled(raw.with_changes(Changes::default())?)
    }

    fn pulled(&self, raw: Raw) -> Result<Pulled> {
        let mut upto = Positions::new();
        upto.set(&*self.partition, self.at.point(self.rows)?);
        Ok(Pulled { rows: raw.into(), upto, whole: self.at.taken == 0 })
    }

    /// What is durable up to the end of a transaction, the server may forget.
    pub async fn settled(&mut self, upto: &Positions) -> Result<()> {
        let Some(point) = upto.get(&self.partition) else { return Ok(()) };
        let (at, _) = At::read(&self.partition, point)?;
        self.settled = self.settled.max(at.lsn);
        if let Some(link) = &self.link {
            link.settle(self.settled, self.target.is_none()).await;
        }
        Ok(())
    }
}

/// Of changes that were written before the identity was mended, or while it was another one.
fn other_identity(table: &Table, column: &str) -> Error {
    let why = format!(
        "a change was written while the table's REPLICA IDENTITY did not tell `{column}`, which is part of the contract's key: \
         which row it changed is not known"
    );
    slot::again(&format!("follow {}", table.shown()), &why)
}

/// Rows of the one that is gone were never deleted, and those of the new one may have been missed.
pub fn another_table(table: &Table) -> Error {
    let what = format!("follow {}", table.shown());
    slot::again(&what, "the table was dropped and made anew: it is another one than the lake has followed")
}

impl Reading {
    /// The column of the contract's key that a change does not tell as it was.
    fn untold(&self, old: &Old) -> Option<&str> {
        if let Some(name) = &self.untold {
            return Some(name);
        }
        // A partition may have another identity than its table.
        let Old::Key(before) = old else { return None };
        let is_missing = |at: &&usize| before.get(**at) == Some(&Cell::Null);
        let at = self.key.iter().find(is_missing).filter(|_| self.is_named)?;
        self.layout.get(*at).map(|(name, _)| &**name)
    }

    /// The table as it was announced last.
    fn known(&self) -> Option<&Relation> {
        self.announced.as_ref().or(self.relation.as_ref())
    }
}

#[cfg(test)]
mod tests;

//! `mode: cdc`: the slot first, then the table, then every change since the slot began.
//!
//! Rows that change while the table is read come twice, as they were read and as they changed; the changes are behind the
//! rows in order, and so the last state of every key is the table's.

mod link;
mod pending;
mod pgoutput;
pub mod publication;
pub mod slot;
mod stream;

use super::setup::Setup;
use super::snapshot::Snapshot;
use super::table::{Table, Wanted};
use crate::spec::Opening;
use async_trait::async_trait;
use kernel::error::Result;
use kernel::source::{Pulled, Source};
use kernel::{Point, Positions};
use slot::Ready;
use std::sync::Arc;
pub use stream::At;
use stream::Stream;

pub struct Cdc {
    setup: Arc<Setup>,
    partition: Arc<str>,
    at: At,
    rows: u64,
    /// Whether the position of the stream was told.
    is_told: bool,
    phase: Phase,
}

enum Phase {
    Snapshot(Snapshot),
    Stream(Box<Stream>),
}

pub fn partition(schema: &str, table: &str) -> String {
    format!("{schema}.{table} changes")
}

impl Cdc {
    pub async fn open(opening: &Opening) -> Result<Self> {
        let setup = Arc::new(Setup::read(opening)?);
        let client = setup.connect().await?;
        let (schema, name) = setup.options.table();
        let table = Table::look(&client, (schema, name), &setup.entity).await?;
        let partition: Arc<str> = partition(schema, name).into();
        let known = known(&opening.from, &partition, &table)?;
        let Ready { lsn, published, sent } = slot::ensure(&client, &setup, &table, known.map(|(at, _)| at)).await?;
        let nothing = At { lsn, taken: 0, snapshot: 0, table: table.oid, published: Some(published) };
        let (at, rows) = known.unwrap_or((nothing, 0));
        // Written down at once: a table that rests would have it only when it is too late. In the middle of a transaction a
        // position is no end.
        let is_older = at.published.is_none() && at.taken == 0;
        let at = At { table: table.oid, published: Some(published), ..at };
        if let Some(filter) = &sent.filter {
            tracing::warn!(
                publication = setup.publication(),
                "tells changes of {} only where {filter}: all other rows stay as they were read first",
                table.shown()
            );
        }
        let mut layout = table.layout();
        layout.retain(|(name, _)| sent.columns.contains(name));
        let (infinity, batch_rows_max) = (setup.options.infinity, setup.options.batch_rows_max);
        let wanted = Wanted { layout, infinity, batch_rows_max };
        let phase = match at.snapshot {
            0 => Phase::Snapshot(Snapshot::open(setup.clone(), &client, &table, wanted, true, &opening.from).await?),
            _ => {
                let stream = Stream::new(setup.clone(), client, table, partition.clone(), at, rows);
                Phase::Stream(Box::new(if is_older { stream.with_news() } else { stream }))
            }
        };
        Ok(Self { setup, partition, at, rows, is_told: known.is_some(), phase })
    }

    /// Adds the position of the stream to the first batch: with it, it is committed where the slot began.
    fn told(&mut self, mut pulled: Pulled) -> Result<Pulled> {
        if !self.is_told {
            pulled.upto.set(&*self.partition, self.at.point(self.rows)?);
            self.is_told = true;
        }
        Ok(pulled)
    }

    /// The table is read: from here on, its changes.
    async fn hand_over(&mut self) -> Result<()> {
        let client = self.setup.connect().await?;
        let (schema, name) = self.setup.options.table();
        let table = Table::look(&client, (schema, name), &self.setup.entity).await?;
        // Never 0, which means that the snapshot is not whole.
        let at = At { snapshot: slot::log_end(&client).await?.max(1), ..self.at };
        let stream = Stream::new(self.setup.clone(), client, table, self.partition.clone(), at, self.rows);
        self.phase = Phase::Stream(Box::new(stream.with_news()));
        Ok(())
    }
}

#[async_trait]
impl Source for Cdc {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        loop {
            match &mut self.phase {
                Phase::Snapshot(snapshot) => match snapshot.next(bytes_max).await? {
                    Some(pulled) => return self.told(pulled).map(Some),
                    None => self.hand_over().await?,
                },
                Phase::Stream(stream) => return stream.next(bytes_max).await,
            }
        }
    }

    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        match &mut self.phase {
            Phase::Snapshot(_) => Ok(()),
            Phase::Stream(stream) => stream.settled(upto).await,
        }
    }
}

/// How far the stream is, and how many rows it gave; an error when that was of another table.
fn known(from: &Positions, partition: &str, table: &Table) -> Result<Option<(At, u64)>> {
    let known = from.get(partition).map(|point| At::read(partition, point)).transpose()?;
    match known.is_some_and(|(at, _)| at.table != 0 && at.table != table.oid) {
        true => Err(stream::another_table(table)),
        false => Ok(known),
    }
}

/// How far the stream of this very table is, for whoever looks at it.
pub fn reached(from: &Positions, table: &Table) -> Result<Option<At>> {
    Ok(known(from, &partition(&table.schema, &table.name), table)?.map(|(at, _)| at))
}

/// How far the stream is, for what a run would read.
pub fn position(partition: &str, from: &Positions) -> Result<Option<u64>> {
    let read = |point: &Point| At::read(partition, point).map(|(at, _)| at.lsn);
    from.get(partition).map(read).transpose()
}

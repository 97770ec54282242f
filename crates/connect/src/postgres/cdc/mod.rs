//! `mode: cdc`: the slot first, then the table, then every change since the slot began.
//!
//! Rows that change while the table is read come twice, as they were read and as they changed; the changes are behind the
//! rows in order, and so the last state of every key is the table's.

mod link;
mod pending;
mod pgoutput;
mod position;
pub mod publication;
pub mod slot;
mod stream;
mod wire;

use super::ranges::read_before;
use super::setup::Setup;
use super::snapshot::Snapshot;
use super::table::{Table, Wanted};
use crate::spec::Opening;
use async_trait::async_trait;
use kernel::clock::Clock;
use kernel::error::Result;
use kernel::source::{Pulled, Source};
use kernel::{Point, Positions};
pub use position::At;
use position::History;
use slot::Ready;
use std::sync::Arc;
use stream::Stream;

pub struct Cdc {
    setup: Arc<Setup>,
    clock: Arc<dyn Clock>,
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

const CHANGES: &str = " changes";

impl Cdc {
    pub async fn open(opening: &Opening) -> Result<Self> {
        let setup = Arc::new(Setup::read(opening)?);
        let client = setup.connect().await?;
        let table = Table::look(&client, setup.options.table(), &setup.entity).await?;
        let Known { partition, reached: known } = Known::of(&opening.from, &table)?;
        table.warn_of_heirs();
        let ready = slot::ensure(&client, &setup, &table, known.map(|(at, _)| at)).await?;
        let Ready { lsn, history, published, sent } = ready;
        let (published, history) = (Some(published), Some(history));
        let nothing = At { lsn, taken: 0, snapshot: 0, table: table.oid, published, history };
        let (at, rows) = known.unwrap_or((nothing, 0));
        // Written down at once: a table that rests would have it only when it is too late. In the middle of a transaction a
        // position is no end.
        let is_older = (at.published.is_none() || at.history.is_none()) && at.taken == 0;
        let at = At { table: table.oid, published, history, ..at };
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
                let clock = opening.clock.clone();
                let stream = Stream::new(setup.clone(), clock, client, table, partition.clone(), (at, rows));
                Phase::Stream(Box::new(if is_older { stream.with_news() } else { stream }))
            }
        };
        Ok(Self { setup, clock: opening.clock.clone(), partition, at, rows, is_told: known.is_some(), phase })
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
        // Another server that took over while the table was read has an end of its own.
        let history = Some(History::ask(&self.setup, Some(self.at)).await?);
        let client = self.setup.connect().await?;
        let table = Table::look(&client, self.setup.options.table(), &self.setup.entity).await?;
        // Never 0, which means that the snapshot is not whole.
        let at = At { snapshot: slot::log_end(&client).await?.max(1), history, ..self.at };
        let (setup, clock) = (self.setup.clone(), self.clock.clone());
        let stream = Stream::new(setup, clock, client, table, self.partition.clone(), (at, self.rows));
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

/// What the lake has of a table's changes.
pub struct Known {
    pub partition: Arc<str>,
    /// How far the stream is, and how many rows it gave.
    pub reached: Option<(At, u64)>,
}

impl Known {
    /// An error when what the lake has is of another table. One that was given another name goes on under its old one.
    pub fn of(from: &Positions, table: &Table) -> Result<Self> {
        let own = format!("{}{CHANGES}", table.shown());
        let stream = |(partition, point)| Some((partition, At::read(partition, point).ok()?));
        let named = |(partition, _): &(&str, &Point)| partition.ends_with(CHANGES) && *partition != own;
        let mut others = from.iter().filter(named).filter_map(stream);
        let reached = from.get(&own).map(|point| At::read(&own, point)).transpose()?;
        if let Some((other, (at, rows))) = others.next() {
            let is_same = at.table == table.oid && at.snapshot > 0 && reached.is_none() && others.next().is_none();
            return match is_same {
                true => Ok(Self { partition: other.into(), reached: Some((at, rows)) }),
                false => Err(table.is_not(other.trim_end_matches(CHANGES), slot::ANEW)),
            };
        }
        match reached {
            Some((at, _)) if at.table != 0 && at.table != table.oid => Err(stream::another_table(table)),
            None if from.iter().any(|(partition, point)| read_before(partition, point).is_some()) => {
                let why =
                    "the lake has this source's rows by `mode: snapshot`, and what changed since is told by nobody";
                Err(slot::again(&format!("follow {}", table.shown()), why))
            }
            reached => Ok(Self { partition: own.into(), reached }),
        }
    }
}

/// How far the stream of this very table is, for whoever looks at it.
pub fn reached(from: &Positions, table: &Table) -> Result<Option<At>> {
    Ok(Known::of(from, table)?.reached.map(|(at, _)| at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(partition: &str, snapshot: u64) -> Positions {
        let at = At { lsn: 9, taken: 0, snapshot, table: 5, published: None, history: None };
        let mut from = Positions::new();
        from.set(partition, at.point(3).expect("a point"));
        from
    }

    #[test]
    fn positions_are_of_the_table_that_they_were_made_for() {
        let known = Known::of(&Positions::new(), &Table::bare("t", 5)).expect("nothing yet");
        assert_eq!((&*known.partition, known.reached), ("s.t changes", None));
        let of = |name: &str, oid, from: &Positions| Known::of(from, &Table::bare(name, oid));
        let whole = taken("s.t changes", 8);
        assert_eq!(of("t", 5, &whole).expect("the table").reached.map(|(_, rows)| rows), Some(3));
        let renamed = of("u", 5, &whole).expect("the same by its number");
        assert_eq!((&*renamed.partition, renamed.reached.map(|(_, rows)| rows)), ("s.t changes", Some(3)));
        let told = |known: Result<Known>| known.err().expect("an error").to_string();
        assert!(told(of("t", 6, &whole)).contains("made anew"));
        assert!(told(of("u", 6, &whole)).contains("rows of s.t"));
        assert!(told(of("u", 5, &taken("s.t changes", 0))).contains("rows of s.t"), "its ranges have the old name");
        let mut both = taken("s.t changes", 8);
        both.advance(&taken("s.u changes", 8));
        assert!(told(of("u", 5, &both)).contains("rows of s.t"));
        let mut once = Positions::new();
        once.set("s.t 1/1", Point::Mark { rows: 1, token: "{}".into(), done: true });
        assert!(told(of("t", 5, &once)).contains("mode: snapshot"));
    }
}

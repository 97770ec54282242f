//! The rows of a table as it is, read by several connections at once.
//!
//! On its own, a snapshot is one state of the table, and is seen as a whole or not at all: no batch before the last may
//! end a commit, and a run that dies begins again. Under `cdc` each range is committed as it comes and taken up again
//! where it ended, in whatever state the table is then: the changes that follow put right what moved meanwhile. Of a table
//! that is written anew they tell nothing, so that it is read again.

use super::client::{Client, fault, literal};
use super::ranges::{Place, Range, check_same, cut};
use super::rows::{Copied, Rows};
use super::setup::Setup;
use super::table::{Table, Wanted};
use arrow::array::Int64Array;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use kernel::Positions;
use kernel::error::{Error, Kind, Result};
use kernel::gate::{Changes, Op, Raw};
use kernel::source::Pulled;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub struct Snapshot {
    setup: Arc<Setup>,
    wanted: Wanted,
    /// Whether it is the first part of `cdc`.
    is_part: bool,
    ranges: Vec<Range>,
    /// What was taken before.
    taken: Positions,
    reading: Option<Reading>,
}

/// Connections at work. They end with this value.
struct Reading {
    pieces: mpsc::Receiver<Result<Came>>,
    _tasks: JoinSet<()>,
}

/// Rows; none from a file that is another one by now.
type Came = Option<Piece>;

/// Rows of a range.
struct Piece {
    range: usize,
    batch: RecordBatch,
    after: Option<Place>,
    last: bool,
}

/// Under `cdc`, a query reads as many blocks at most, so that it keeps no old rows alive on the server for long: 512 MiB.
const BLOCKS_A_QUERY: u32 = 65_536;

const MESSAGES_MAX: usize = 512;

impl Snapshot {
    pub async fn open(
        setup: Arc<Setup>,
        client: &Client,
        table: &Table,
        wanted: Wanted,
        is_part: bool,
        taken: &Positions,
    ) -> Result<Self> {
        let heaps = table.heaps(client).await?;
        if !is_part {
            check_same(table, &heaps, taken)?;
        }
        let mut ranges = cut(table, &heaps, setup.options.parallel, setup.options.refresh, taken)?;
        if !is_part {
            ranges.iter_mut().for_each(|range| range.file = None);
        }
        let begun = ranges.iter().any(|range| range.rows > 0 || range.done);
        if begun && !is_part && ranges.iter().any(|range| !range.done) {
            tracing::warn!(
                table = table.shown(),
                "goes on in the middle of a snapshot, in the state that the table has now"
            );
        }
        Ok(Self { setup, wanted, is_part, ranges, taken: taken.clone(), reading: None })
    }

    pub fn is_done(&self) -> bool {
        self.ranges.iter().all(|range| range.done)
    }

    pub async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        while !self.is_done() {
            if self.reading.is_none() {
                self.reading = Some(self.start(bytes_max).await?);
            }
            let pieces = self.reading.as_mut().map(|reading| &mut reading.pieces);
            let came = match pieces {
                Some(pieces) => pieces.recv().await,
                None => None,
            };
            let gone = || Error::internal("read a snapshot", "a reader ended before its range did");
            if let Some(Ok(None)) = came {
                self.reading = None;
                self.cut_again().await?;
                continue;
            }
            // From here on nothing waits.
            let piece = came.ok_or_else(gone).and_then(|came| came).and_then(|piece| piece.ok_or_else(gone));
            let pulled = piece.and_then(|piece| self.pulled(piece));
            if pulled.is_err() || self.is_done() {
                self.reading = None;
            }
            return pulled.map(Some);
        }
        Ok(None)
    }

    /// The table was written anew: its rows are at other places now, also those that were read.
    async fn cut_again(&mut self) -> Result<()> {
        let client = self.setup.connect().await?;
        let table = Table::look(&client, self.setup.options.table(), &self.setup.entity).await?;
        tracing::warn!(table = table.shown(), "was written anew while it was read: it is read again");
        let heaps = table.heaps(&client).await?;
        for range in self.ranges.iter().filter(|range| range.rows > 0 || range.done) {
            self.taken.set(range.partition.clone(), range.point()?);
        }
        self.ranges = cut(&table, &heaps, self.setup.options.parallel, self.setup.options.refresh, &self.taken)?;
        Ok(())
    }

    fn pulled(&mut self, piece: Piece) -> Result<Pulled> {
        let range = &mut self.ranges[piece.range];
        let (before, count) = (range.rows, piece.batch.num_rows());
        range.rows += count as u64;
        range.after = piece.after.or(range.after);
        range.done = piece.last;
        let offsets: Int64Array = (0..count as i64).map(|row| before as i64 + row + 1).collect();
        let mut rows = Raw::new(piece.batch, range.partition.as_str(), offsets)?;
        if self.is_part {
            let mut changes = Changes::default();
            (0..count).for_each(|_| changes.push(Op::Read, None, Vec::new()));
            rows = rows.with_changes(changes)?;
        }
        let mut upto = Positions::new();
        upto.set(range.partition.clone(), range.point()?);
        // Counted off in another state of the table, rows would be passed over that no change tells of.
        let can_go_on = self.is_part && range.has_places;
        Ok(Pulled { rows: rows.into(), upto, whole: can_go_on || self.is_done() })
    }

    async fn start(&self, bytes_max: usize) -> Result<Reading> {
        let (sender, pieces) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        let left: Vec<(usize, &Range)> = self.ranges.iter().enumerate().filter(|(_, range)| !range.done).collect();
        // One connection holds the state until all others have it.
        let (mut holder, mut state) = (None, None);
        if !self.is_part && left.len() > 1 {
            let client = self.setup.connect().await?;
            begin(&client, None).await?;
            let exported = client.query_one("SELECT pg_catalog.pg_export_snapshot()", &[]);
            state = Some(client.ask("share a snapshot", exported).await?.get::<_, String>(0));
            holder = Some(client);
        }
        let lanes = self.setup.options.parallel.min(left.len());
        let mut work: Vec<Vec<(usize, Range)>> = vec![Vec::new(); lanes];
        for (place, (at, range)) in left.into_iter().enumerate() {
            work[place % lanes].push((at, range.clone()));
        }
        for ranges in work {
            let client = self.setup.connect().await?;
            if !self.is_part {
                begin(&client, state.as_deref()).await?;
                for (_, range) in ranges.iter().filter(|(_, range)| range.has_places) {
                    client.ask("hold the table", client.batch_execute(&held(range))).await?;
                }
            }
            let reader = Reader {
                client,
                wanted: self.wanted.clone(),
                step: self.is_part.then_some(BLOCKS_A_QUERY),
                bytes_max,
                patience: self.setup.patience(),
                sender: sender.clone(),
            };
            tasks.spawn(reader.run(ranges));
        }
        drop(holder);
        Ok(Reading { pieces, _tasks: tasks })
    }
}

async fn begin(client: &Client, state: Option<&str>) -> Result<()> {
    let mut sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned();
    if let Some(state) = state {
        sql = format!("{sql}; SET TRANSACTION SNAPSHOT '{state}'");
    }
    client.ask("begin a snapshot", client.batch_execute(&sql)).await
}

/// Nobody writes a table anew, by which rows get other places, until the end of the transaction that read of it.
fn held(range: &Range) -> String {
    format!("SELECT FROM {} LIMIT 0", range.relation)
}

/// One connection that reads ranges, one after the other.
struct Reader {
    client: Client,
    wanted: Wanted,
    step: Option<u32>,
    bytes_max: usize,
    patience: Duration,
    sender: mpsc::Sender<Result<Came>>,
}

/// Nobody wants the rows any more.
struct Unwanted;

impl Reader {
    async fn run(self, ranges: Vec<(usize, Range)>) {
        for (at, range) in ranges {
            match self.range(at, range).await {
                Ok(Ok(())) => {}
                Ok(Err(Unwanted)) => return,
                Err(error) => {
                    // Who is gone needs no word.
                    let _ = self.sender.send(Err(error)).await;
                    return;
                }
            }
        }
    }

    /// Query after query; the last sends what is left, and that the range is done.
    async fn range(&self, at: usize, mut range: Range) -> Result<Result<(), Unwanted>> {
        let mut rows = Rows::new(&self.wanted.layout, self.wanted.infinity);
        let mut block = range.after.map_or(range.from, |(block, _)| block);
        loop {
            let next = self
                .step
                .map(|step| block.saturating_add(step))
                .filter(|next| range.has_places && range.to.map_or(*next < range.blocks(), |to| *next < to));
            let to = next.or(range.to);
            if self.query(at, &mut range, to, &mut rows).await?.is_err() {
                return Ok(Err(Unwanted));
            }
            match next {
                Some(next) => block = next,
                None => break,
            }
        }
        let piece = Piece { range: at, batch: rows.finish()?, after: range.after, last: true };
        Ok(self.sender.send(Ok(Some(piece))).await.map_err(|_| Unwanted))
    }

    /// Holds the range's file until the end of the transaction; false when it is another one by now.
    async fn hold(&self, range: &Range, file: u32) -> Result<bool> {
        const WHAT: &str = "hold the table";
        self.client.ask(WHAT, self.client.batch_execute(&format!("BEGIN; {}", held(range)))).await?;
        let sql = format!("SELECT pg_catalog.pg_relation_filenode({}::pg_catalog.regclass)", literal(&range.heap));
        let row = self.client.ask(WHAT, self.client.query_one(sql.as_str(), &[])).await?;
        Ok(row.get::<_, Option<u32>>(0) == Some(file))
    }

    async fn query(
        &self,
        at: usize,
        range: &mut Range,
        to: Option<u32>,
        rows: &mut Rows,
    ) -> Result<Result<(), Unwanted>> {
        if let Some(file) = range.file
            && !self.hold(range, file).await?
        {
            // Who waits for rows reads it again, and then this reader ends.
            drop(self.sender.send(Ok(None)).await);
            return Ok(Err(Unwanted));
        }
        let (extra, selected, relation) = (usize::from(range.has_places), self.wanted.selected(), &range.relation);
        let sql = match range.has_places {
            true => format!(
                "COPY (SELECT ctid, {selected} FROM {relation} WHERE {}) TO STDOUT (FORMAT binary)",
                range.condition(to)
            ),
            // Rows without a place come in the order of the query, and those that were taken are counted off.
            false => {
                format!("COPY (SELECT {selected} FROM {relation} OFFSET {}) TO STDOUT (FORMAT binary)", range.rows)
            }
        };
        let what = format!("read {}", range.partition);
        let stream = self.client.ask(&what, self.client.copy_out(sql.as_str())).await?;
        // The server sends a message a row: what is there is taken at once, and one clock is wound up for all of it.
        let mut stream = std::pin::pin!(stream.ready_chunks(MESSAGES_MAX));
        let mut copied = Copied::new(extra);
        loop {
            let late = |_| Error::new(Kind::Unreachable, &what, "the server says nothing (`timeout_ms`)");
            let messages = tokio::time::timeout(self.patience, stream.next()).await.map_err(late)?;
            let Some(messages) = messages else { break };
            for message in messages {
                copied.feed(message.map_err(|e| fault(&what, &e))?, rows, |own| {
                    if let Some(Some([a, b, c, d, e, f])) = own.first() {
                        range.after = Some((u32::from_be_bytes([*a, *b, *c, *d]), u16::from_be_bytes([*e, *f])));
                    }
                })?;
                if rows.bytes >= self.bytes_max || rows.count >= self.wanted.batch_rows_max {
                    let piece = Piece { range: at, batch: rows.finish()?, after: range.after, last: false };
                    if self.sender.send(Ok(Some(piece))).await.is_err() {
                        return Ok(Err(Unwanted));
                    }
                }
            }
        }
        if range.file.is_some() {
            self.client.ask(&what, self.client.batch_execute("COMMIT")).await?;
        }
        Ok(Ok(()))
    }
}

//! One source's way into bronze; everything else is somebody's trait.
//!
//! Reading and judging go on side by side: while the gate has one batch, the source reads the next.

use kernel::clock::Clock;
use kernel::error::{Error, Kind, Result};
use kernel::gate::{Gate, Tally};
use kernel::position::Positions;
use kernel::sink::{Commit, Sink};
use kernel::source::{Pulled, Source};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How much is taken at once.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes of one batch, as it came.
    pub batch_bytes: usize,
    /// Bytes after which what was taken is committed.
    pub commit_bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { batch_bytes: 8 << 20, commit_bytes: 2 << 30 }
    }
}

/// What is told while it goes on. Each is called from one place, and should return at once.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// A batch was judged: its rows, its bytes as they came, and how far the source is read.
    pub read: &'a (dyn Fn(u64, u64, &Positions) + Send + Sync),
    /// A commit was made: all that is committed so far.
    pub committed: &'a (dyn Fn(&Ingested) + Send + Sync),
}

/// What was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingested {
    pub tally: Tally,
    /// The version of the last commit, if there was one.
    pub version: Option<u64>,
}

/// Takes all that the source has now. What was committed when it fails stays committed; the rest was never seen.
pub async fn ingest(
    source: Box<dyn Source>,
    mut gate: Gate,
    sink: &mut dyn Sink,
    pace: Pace,
    clock: &dyn Clock,
    cancel: &CancellationToken,
    told: Told<'_>,
) -> Result<Ingested> {
    let (pulled, mut batches) = mpsc::channel(1);
    let (settle, settled) = mpsc::unbounded_channel();
    let reader = tokio::spawn(read(source, pace.batch_bytes, pulled, settled));
    let mut done = Ingested::default();
    let mut open = Open::default();
    let outcome = loop {
        let next = tokio::select! {
            biased;
            () = cancel.cancelled() => break Err(Error::new(Kind::Stopped, "take rows in", "stopped on request")),
            next = batches.recv() => next,
        };
        let Some(pulled) = next else { break Ok(()) };
        let Pulled { rows, upto, whole } = match pulled {
            Ok(pulled) => pulled,
            Err(error) => break Err(error),
        };
        let bytes = rows.num_bytes();
        let passed = match gate.pass(rows, clock.now()) {
            Ok(passed) => passed,
            Err(error) => break Err(error),
        };
        open.bytes += bytes;
        open.tally.add(&passed.tally);
        open.upto.advance(&upto);
        open.whole = whole;
        (told.read)(passed.tally.rows_read, bytes as u64, &upto);
        sink.write(passed).await?;
        if whole && open.bytes >= pace.commit_bytes {
            commit(sink, &mut open, &mut done, &settle).await?;
            (told.committed)(&done);
        }
    };
    // What was read before the source failed is covered by its positions, and they cover nothing else. In the middle of a
    // transaction it is let go: it comes again.
    if open.whole && open.is_known() {
        done.tally.add(&open.tally);
        // Its rows are durable since an earlier commit; who sent them again may be told.
        let _ = settle.send(std::mem::take(&mut open.upto));
    } else if open.whole && !open.upto.is_empty() {
        commit(sink, &mut open, &mut done, &settle).await?;
        (told.committed)(&done);
    }
    drop(settle);
    batches.close();
    let ended = reader.await.map_err(|e| Error::internal("read the source", e))?;
    outcome.and(ended).map(|()| done)
}

/// What was taken since the last commit.
#[derive(Default)]
struct Open {
    upto: Positions,
    /// No transaction of the source is open.
    whole: bool,
    tally: Tally,
    bytes: usize,
}

impl Open {
    /// Whether all of it came before. Then the table would not change, and what its positions passed comes again.
    fn is_known(&self) -> bool {
        self.tally.rows_read > 0 && self.tally.rows_read == self.tally.rows_repeated
    }
}

async fn commit(
    sink: &mut dyn Sink,
    open: &mut Open,
    done: &mut Ingested,
    settle: &mpsc::UnboundedSender<Positions>,
) -> Result<()> {
    let open = std::mem::take(open);
    match sink.commit(&open.upto).await? {
        Commit::Done(version) => {
            done.version = Some(version);
            done.tally.add(&open.tally);
        }
        Commit::AlreadyDone(_) => {}
        Commit::Conflict(found) => return Err(Error::new(Kind::Conflict, "commit", found)),
    }
    // A reader that has ended needs no word.
    let _ = settle.send(open.upto);
    Ok(())
}

/// Pulls until there is nothing more; tells the source what is durable as the news come.
async fn read(
    mut source: Box<dyn Source>,
    bytes_max: usize,
    pulled: mpsc::Sender<Result<Pulled>>,
    mut settled: mpsc::UnboundedReceiver<Positions>,
) -> Result<()> {
    loop {
        while let Ok(upto) = settled.try_recv() {
            source.settled(&upto).await?;
        }
        let next = match source.next(bytes_max).await {
            Ok(Some(next)) => Ok(next),
            Ok(None) => break,
            Err(error) => Err(error),
        };
        let failed = next.is_err();
        if pulled.send(next).await.is_err() || failed {
            break;
        }
    }
    drop(pulled);
    while let Some(upto) = settled.recv().await {
        source.settled(&upto).await?;
    }
    Ok(())
}

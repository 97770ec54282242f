//! One source's way into bronze; everything else is somebody's trait.
//!
//! Reading and judging go on side by side: while the gate has one batch, the source reads the next. So at most three batches
//! are held: the one that is read, the one that waits, the one that is judged.

use kernel::clock::{Clock, Timestamp};
use kernel::error::{Error, Kind, Result};
use kernel::gate::{Gate, Passed, Tally};
use kernel::position::Positions;
use kernel::sink::{Commit, Sink};
use kernel::source::{Pulled, Rows, Source};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How much is taken at once, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes of one batch, as it came.
    pub batch_bytes: usize,
    /// Bytes after which what was taken is committed.
    pub commit_bytes: usize,
    /// Time after which what was taken is committed. When the source has nothing more before that, at once; but there is
    /// no more than one commit in this time, so that a source that drips makes no table of crumbs.
    pub commit_every: Option<Duration>,
    /// How long to wait before a source that has nothing more now is asked again; without it, that is the end.
    pub ask_again: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { batch_bytes: 8 << 20, commit_bytes: 2 << 30, commit_every: None, ask_again: None }
    }
}

/// What is told while it goes on. Each is called from one place, and should return at once.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// A batch was judged: its rows, its bytes as they came, and how far the source is read.
    pub read: &'a (dyn Fn(u64, u64, &Positions) + Send + Sync),
    /// A commit was made: all that is committed so far.
    pub committed: &'a (dyn Fn(&Ingested) + Send + Sync),
    /// The source has nothing more now.
    pub idle: &'a (dyn Fn() + Send + Sync),
}

/// What was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingested {
    pub tally: Tally,
    /// The version of the last commit, if there was one.
    pub version: Option<u64>,
}

/// What comes from the reader.
enum Read {
    Batch(Box<Pulled>),
    /// Nothing more now; it will be asked again.
    Idle,
}

/// Takes all that the source has now, or what it has until it is stopped. What was committed when it fails stays committed;
/// the rest was never seen.
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
    // In a set, so that leaving early ends it too.
    let mut reader = JoinSet::new();
    reader.spawn(read(source, pace, pulled, settled, cancel.clone()));
    let mut done = Ingested::default();
    let (mut open, mut rests) = (Open::new(pace), false);
    let outcome = loop {
        let next = tokio::select! {
            biased;
            () = cancel.cancelled() => break Err(stopped()),
            () = open.is_due() => None,
            next = batches.recv() => match next {
                Some(next) => Some(next),
                None => break Ok(()),
            },
        };
        match next {
            Some(Ok(Read::Batch(pulled))) => {
                let Pulled { rows, upto, whole } = *pulled;
                let bytes = rows.num_bytes();
                let passed = match judge(&mut gate, rows, clock.now()) {
                    Ok(passed) => passed,
                    Err(error) => break Err(error),
                };
                open.take(&passed.tally, bytes, &upto, whole);
                (told.read)(passed.tally.rows_read, bytes as u64, &upto);
                sink.write(passed).await?;
                rests = false;
            }
            Some(Ok(Read::Idle)) => (open.idle, rests) = (true, true),
            Some(Err(error)) => break Err(error),
            None => open.hurry = true,
        }
        if open.should_commit() {
            bring(sink, &mut open, &mut done, &settle, &told).await?;
        }
        // Behind the commit: one whose rows can't be brought anywhere is not at rest.
        if rests && open.upto.is_empty() {
            rests = false;
            (told.idle)();
        }
    };
    // What was read before the source failed is covered by its positions, and they cover nothing else. In the middle of a
    // transaction it is let go: it comes again.
    if open.whole && !open.upto.is_empty() {
        bring(sink, &mut open, &mut done, &settle, &told).await?;
    }
    drop(settle);
    batches.close();
    let ended = match reader.join_next().await {
        Some(ended) => ended.map_err(|e| Error::internal("read the source", e))?,
        None => Ok(()),
    };
    outcome.and(ended).map(|()| done)
}

fn judge(gate: &mut Gate, rows: Rows, now: Timestamp) -> Result<Passed> {
    match rows {
        Rows::Raw(rows) => gate.pass(rows, now),
        Rows::Sealed(rows) => gate.admit(rows, now),
    }
}

fn stopped() -> Error {
    Error::new(Kind::Stopped, "take rows in", "stopped on request")
}

/// What was taken since the last commit.
struct Open {
    pace: Pace,
    upto: Positions,
    /// No transaction of the source is open.
    whole: bool,
    tally: Tally,
    bytes: usize,
    /// When what was taken is to be committed: some time behind its first batch.
    due: Option<Instant>,
    /// It is due, and was not whole when it came to be.
    hurry: bool,
    /// Nothing has come since the source had nothing more.
    idle: bool,
    /// Before this there is no commit only because the source is idle.
    not_before: Option<Instant>,
}

impl Open {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            upto: Positions::new(),
            whole: false,
            tally: Tally::default(),
            bytes: 0,
            due: None,
            hurry: false,
            idle: false,
            not_before: None,
        }
    }

    fn take(&mut self, tally: &Tally, bytes: usize, upto: &Positions, whole: bool) {
        self.bytes += bytes;
        self.tally.add(tally);
        self.upto.advance(upto);
        self.whole = whole;
        self.idle = false;
        if self.due.is_none() {
            self.due = self.pace.commit_every.and_then(|every| Instant::now().checked_add(every));
        }
    }

    /// Answers when the time has come, once.
    async fn is_due(&self) {
        let early = self.not_before.filter(|_| self.idle && self.whole && !self.upto.is_empty());
        match early.or(self.due).filter(|_| !self.hurry) {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    fn should_commit(&self) -> bool {
        let is_rested = self.not_before.is_none_or(|at| Instant::now() >= at);
        let is_time = self.hurry || self.bytes >= self.pace.commit_bytes || self.idle && is_rested;
        self.whole && !self.upto.is_empty() && is_time
    }

    /// What is to be committed; from here on it is empty.
    fn close(&mut self) -> Self {
        let mut next = Self::new(self.pace);
        next.not_before = self.pace.commit_every.and_then(|every| Instant::now().checked_add(every));
        std::mem::replace(self, next)
    }
}

impl Open {
    /// Whether all of it came before. Then the table would not change, and what its positions passed comes again.
    fn is_known(&self) -> bool {
        self.tally.rows_read > 0 && self.tally.rows_read == self.tally.rows_repeated
    }

    /// Takes what is known as done. Its rows are durable since an earlier commit; who sent them again may be told.
    fn let_go(&mut self, done: &mut Ingested, settle: &mpsc::UnboundedSender<Positions>) {
        let known = std::mem::replace(self, Self { not_before: self.not_before, ..Self::new(self.pace) });
        done.tally.add(&known.tally);
        // A reader that has ended needs no word.
        let _ = settle.send(known.upto);
    }
}

/// Commits what is open, or lets it go where all of it came before.
async fn bring(
    sink: &mut dyn Sink,
    open: &mut Open,
    done: &mut Ingested,
    settle: &mpsc::UnboundedSender<Positions>,
    told: &Told<'_>,
) -> Result<()> {
    if open.is_known() {
        open.let_go(done, settle);
        return Ok(());
    }
    commit(sink, open, done, settle).await?;
    (told.committed)(done);
    Ok(())
}

async fn commit(
    sink: &mut dyn Sink,
    open: &mut Open,
    done: &mut Ingested,
    settle: &mpsc::UnboundedSender<Positions>,
) -> Result<()> {
    let open = open.close();
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

/// Pulls until there is nothing more, or on and on; tells the source what is durable as the news come.
async fn read(
    mut source: Box<dyn Source>,
    pace: Pace,
    pulled: mpsc::Sender<Result<Read>>,
    mut settled: mpsc::UnboundedReceiver<Positions>,
    cancel: CancellationToken,
) -> Result<()> {
    let mut was_idle = false;
    loop {
        while let Ok(upto) = settled.try_recv() {
            source.settled(&upto).await?;
        }
        let next = tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            next = source.next(pace.batch_bytes) => next,
        };
        let (read, goes_on) = match (next, pace.ask_again) {
            (Ok(Some(next)), _) => (Some(Ok(Read::Batch(Box::new(next)))), true),
            (Ok(None), None) => break,
            // Said once: what is due afterwards is a matter of time.
            (Ok(None), Some(_)) => ((!was_idle).then_some(Ok(Read::Idle)), true),
            (Err(error), _) => (Some(Err(error)), false),
        };
        was_idle = !matches!(read, Some(Ok(Read::Batch(_))));
        if let Some(read) = read
            && (pulled.send(read).await.is_err() || !goes_on)
        {
            break;
        }
        if was_idle && !pause(&mut source, &mut settled, pace.ask_again.unwrap_or_default(), &cancel).await? {
            break;
        }
    }
    drop(pulled);
    while let Some(upto) = settled.recv().await {
        source.settled(&upto).await?;
    }
    Ok(())
}

/// Waits before the source is asked again; false when there is nobody any more to ask for.
async fn pause(
    source: &mut Box<dyn Source>,
    settled: &mut mpsc::UnboundedReceiver<Positions>,
    wait: Duration,
    cancel: &CancellationToken,
) -> Result<bool> {
    let Some(end) = Instant::now().checked_add(wait) else { return Ok(false) };
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(true),
            upto = settled.recv() => match upto {
                Some(upto) => source.settled(&upto).await?,
                None => return Ok(false),
            },
            () = source.awake() => return Ok(true),
            () = sleep_until(end) => return Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::position::Point;

    #[tokio::test(start_paused = true)]
    async fn what_came_before_is_let_go_without_a_commit_and_what_is_new_is_not() {
        let pace = Pace { commit_every: Some(Duration::from_secs(5)), ..Pace::default() };
        let (settle, mut settled) = mpsc::unbounded_channel();
        let (mut open, mut done) = (Open::new(pace), Ingested::default());
        open.close();
        let not_before = open.not_before;
        let take = |open: &mut Open, repeated, at| {
            let tally = Tally { rows_read: 3, rows_repeated: repeated, ..Tally::default() };
            let mut upto = Positions::new();
            upto.set("p", Point::Offset(at));
            open.take(&tally, 10, &upto, true);
            upto
        };
        let upto = take(&mut open, 3, 7);
        open.hurry = true;
        assert!(open.should_commit() && open.is_known());
        open.let_go(&mut done, &settle);
        assert_eq!(settled.try_recv(), Ok(upto), "who sent them again is told");
        assert_eq!((done.tally.rows_repeated, done.version), (3, None));
        assert!(open.upto.is_empty() && open.due.is_none() && !open.hurry, "nothing of it is left");
        assert_eq!(open.not_before, not_before, "the next commit does not wait for it");
        take(&mut open, 3, 8);
        take(&mut open, 2, 9);
        assert!(!open.is_known(), "one of them is new");
    }
}

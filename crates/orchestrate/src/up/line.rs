//! One source in a long-running process, from its lease to its end.

use super::board::LineState;
use super::event::UpEvent;
use super::{Opened, Planned, Up};
use crate::ingest::{Ingested, Pace, Told, ingest};
use crate::lease::Claim;
use crate::run::dice;
use crate::timetable::Timetable;
use futures::FutureExt;
use kernel::clock::Timestamp;
use kernel::error::{Error, Kind, Result, advice};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a lease that somebody else has is asked for.
const CLAIM_EVERY: Duration = Duration::from_secs(2);

/// After this a wait for a time is looked at again: the machine may have slept, or its time was set.
const LONGEST: Duration = Duration::from_secs(60);

pub(super) async fn line(up: Arc<Up>, planned: Planned) {
    let source = planned.source.clone();
    let (dice, token) = (dice(up.options.seed, &source), up.stop.child_token());
    let mut line = Line { dice, failures: 0, last: None, token, up, planned };
    line.run().await;
    line.up.board.is(&source, LineState::Stopped);
}

struct Line {
    up: Arc<Up>,
    planned: Planned,
    dice: fastrand::Rng,
    /// In a row.
    failures: u32,
    /// When it was opened last, for its timetable.
    last: Option<Timestamp>,
    /// Of the present opening.
    token: CancellationToken,
}

impl Line {
    async fn run(&mut self) {
        // The lease may be lost in a long wait, so it is asked for again behind it.
        while self.own().await && self.wait_for_its_time().await && self.own().await {
            let now = self.up.clock.now();
            // A panic of one source must not end it for ever, and the others not at all.
            let outcome = AssertUnwindSafe(self.attempt()).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|_| {
                let why = "its code panicked; what it said is withheld, since it may quote data";
                Err(Error::internal(format!("take in `{}`", self.planned.source), why))
            });
            match outcome {
                Ok(done) => {
                    self.last = Some(now);
                    self.failures = 0;
                    self.up.board.is(&self.planned.source, LineState::Idle);
                    let (source, rows) = (self.planned.source.clone(), done.tally.rows_passed);
                    (self.up.tell)(UpEvent::SourceFinished { source, rows });
                }
                // Told to stop, or its lease was lost.
                Err(error) if error.kind == Kind::Stopped && self.token.is_cancelled() => {}
                Err(error) => self.rest(&error).await,
            }
        }
    }

    /// Comes to hold the lease; false when the process ends before that.
    async fn own(&mut self) -> bool {
        let source = &self.planned.source.clone();
        let mut told = None;
        while !self.up.stop.is_cancelled() {
            match self.up.leases.claim(source).await {
                Ok(Claim::Mine) => return true,
                Ok(Claim::Of(holder)) => {
                    if told.as_ref() != Some(&holder) {
                        self.up.board.elsewhere(source, holder.clone());
                        (self.up.tell)(UpEvent::SourceElsewhere { source: source.clone(), holder: holder.clone() });
                        told = Some(holder);
                    }
                    self.sleep(CLAIM_EVERY).await;
                }
                Err(error) => self.rest(&error).await,
            }
        }
        false
    }

    /// False when the process ends before it, or the time never comes.
    async fn wait_for_its_time(&mut self) -> bool {
        // One that failed is due at once; its wait was another.
        let last = self.last.filter(|_| self.failures == 0);
        if self.failures > 0 {
            return !self.up.stop.is_cancelled();
        }
        let due = self.planned.timetable.next(last, self.up.clock.now()).unwrap_or(Timestamp(i64::MAX));
        loop {
            let wait = micros(due.0.saturating_sub(self.up.clock.now().0));
            if wait.is_zero() || self.up.stop.is_cancelled() {
                return !self.up.stop.is_cancelled();
            }
            self.up.board.waits(&self.planned.source, due);
            self.sleep(wait.min(LONGEST)).await;
        }
    }

    /// Opens the source and takes in what comes: all that there is, or until it is stopped.
    async fn attempt(&mut self) -> Result<Ingested> {
        let (up, source) = (self.up.clone(), self.planned.source.clone());
        self.token = up.token(&source);
        let token = self.token.clone();
        up.board.starts(&source);
        let Opened { source: rows, gate, mut sink, version } = tokio::select! {
            biased;
            () = token.cancelled() => return Err(Error::new(Kind::Stopped, "open", "stopped on request")),
            opened = up.lines.open(&source) => opened?,
        };
        up.board.opened(&source, version);
        (up.tell)(UpEvent::SourceOpened { source: source.clone() });
        let went_on = AtomicBool::new(false);
        let outcome = self.take_in(rows, gate, sink.as_mut(), &token, &went_on).await;
        if went_on.into_inner() {
            self.failures = 0;
        }
        outcome
    }

    async fn take_in(
        &self,
        rows: Box<dyn kernel::source::Source>,
        gate: kernel::gate::Gate,
        sink: &mut dyn kernel::sink::Sink,
        token: &CancellationToken,
        went_on: &AtomicBool,
    ) -> Result<Ingested> {
        let (up, source, failures) = (&self.up, &self.planned.source, self.failures);
        let goes_on = || {
            if !went_on.swap(true, Ordering::Relaxed) && failures > 0 {
                (up.tell)(UpEvent::SourceRecovered { source: source.clone(), failures });
            }
        };
        let read = |rows, bytes, _: &kernel::Positions| up.board.read(source, rows, bytes);
        let committed = |done: &Ingested| {
            goes_on();
            let (rows, quarantined) = up.board.committed(source, done);
            if self.planned.feeds_models {
                up.changed([source.clone()]);
            }
            (up.tell)(UpEvent::Committed { source: source.clone(), version: done.version, rows, quarantined });
        };
        let idle = || {
            goes_on();
            up.board.idle(source);
        };
        let told = Told { read: &read, committed: &committed, idle: &idle };
        ingest(rows, gate, sink, self.pace(), up.clock.as_ref(), token, told).await
    }

    fn pace(&self) -> Pace {
        let options = &self.up.options;
        let pace = Pace { batch_bytes: options.batch_bytes, commit_bytes: options.commit_bytes, ..Pace::default() };
        (self.planned.pace)(match self.planned.timetable {
            Timetable::Continuous => {
                let every = self.planned.commit_every;
                Pace { commit_every: Some(every), ask_again: Some(options.ask_again.min(every)), ..pace }
            }
            Timetable::Every(_) | Timetable::Cron(_) => pace,
        })
    }

    /// Waits behind a failure: longer each time, and not before its systems may be called again.
    async fn rest(&mut self, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        let (up, source) = (&self.up, &self.planned.source);
        let waits = if advice(error.kind).retry { &up.options.retry } else { &up.options.mend };
        let wait = waits.wait(self.failures, &mut self.dice);
        let now = up.clock.now();
        let closed = up.lines.retry_at(source).map_or(Duration::ZERO, |at| micros(at.0.saturating_sub(now.0)));
        let wait = wait.max(closed);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let next = now.0.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        up.board.failed(source, error, Timestamp(next));
        let (source, failures) = (source.clone(), self.failures);
        (up.tell)(UpEvent::SourceFailed { source, failures, wait_ms, fault: error.into() });
        self.sleep(wait).await;
    }

    async fn sleep(&self, wait: Duration) {
        tokio::select! {
            biased;
            () = self.up.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

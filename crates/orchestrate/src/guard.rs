//! The breakers of all outside systems, and how calls of sources and sinks go through them.

#[cfg(test)]
mod tests;

use crate::breaker::{Breaker, BreakerConfig, BreakerState, BreakerView, Permit};
use async_trait::async_trait;
use kernel::clock::{Clock, Timestamp};
use kernel::error::{Error, Kind, Result, advice};
use kernel::gate::Passed;
use kernel::position::Positions;
use kernel::sink::{Commit, Sink};
use kernel::source::{Pulled, Source};
use serde::Serialize;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A breaker went from one state to another.
#[derive(Debug, Clone, Serialize)]
pub struct Turned {
    pub system: String,
    pub from: BreakerState,
    pub to: BreakerState,
    pub failure_rate: Option<f64>,
    pub slow_call_rate: Option<f64>,
}

type Tell = Box<dyn Fn(Turned) + Send + Sync>;

/// A breaker for each outside system, made when it is first called.
pub struct Breakers {
    config: BreakerConfig,
    /// How long one call may take. The lake's commits have no such limit, for their outcome would be unknown; nor has `next` of
    /// a source that limits each of its questions.
    call_timeout: Duration,
    clock: Arc<dyn Clock>,
    all: Mutex<BTreeMap<Arc<str>, Breaker>>,
    tell: Tell,
}

impl Breakers {
    pub fn new(
        config: BreakerConfig,
        call_timeout: Duration,
        clock: Arc<dyn Clock>,
        tell: impl Fn(Turned) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { config, call_timeout, clock, all: Mutex::default(), tell: Box::new(tell) })
    }

    /// What calls to this system go through.
    pub fn guard(self: &Arc<Self>, system: &str) -> Guard {
        Guard { breakers: self.clone(), system: system.into() }
    }

    /// All that were called, by system.
    pub fn views(&self) -> BTreeMap<String, BreakerView> {
        let now = self.clock.now();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().map(|(system, breaker)| (system.to_string(), breaker.view(now))).collect()
    }

    /// Acts on a breaker, and tells when it turned by that.
    fn on<T>(&self, system: &Arc<str>, act: impl FnOnce(&mut Breaker, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let (answer, turned) = {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            let breaker = all.entry(system.clone()).or_insert_with(|| Breaker::new(self.config));
            let from = breaker.state();
            let answer = act(breaker, now);
            let to = breaker.state();
            let view = breaker.view(now);
            (answer, (from != to).then_some((from, to, view)))
        };
        if let Some((from, to, BreakerView { failure_rate, slow_call_rate, .. })) = turned {
            (self.tell)(Turned { system: system.to_string(), from, to, failure_rate, slow_call_rate });
        }
        answer
    }
}

/// Calls to one outside system.
#[derive(Clone)]
pub struct Guard {
    breakers: Arc<Breakers>,
    system: Arc<str>,
}

/// What a call that did not fail says of the system.
enum Says {
    Well,
    /// Nothing came, which a system that is away may say too. When the breaker is closed, an idle system would outvote its own
    /// failures; when it is half-open, this may be all that ever comes.
    Idle,
    /// It may have asked nobody.
    Nothing,
}

impl Guard {
    pub fn system(&self) -> &str {
        &self.system
    }

    /// When the system may be called again; `None` when it may be called now.
    pub fn retry_at(&self) -> Option<Timestamp> {
        self.breakers.on(&self.system, |breaker, now| breaker.retry_at().filter(|at| *at > now))
    }

    /// Opens something by a call that may be dropped before its end, for no longer than one may take. That it fails counts.
    /// That it does not counts for nothing: many a source asks its system nothing before its first rows, and a table that
    /// can be read may not be written. What is done with it afterwards counts.
    pub async fn open<T>(&self, what: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.through(self.in_time(what, call), |_| Says::Nothing, is_of_the_system).await
    }

    /// The same of a call that signs in: who is refused should not go on knocking, for that locks accounts.
    pub async fn sign_in<T>(&self, what: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let is_failure = |error: &Error| is_of_the_system(error) || error.kind == Kind::Refused;
        self.through(self.in_time(what, call), |_| Says::Nothing, is_failure).await
    }

    /// A source whose calls all go through the breaker.
    pub fn source(&self, source: Box<dyn Source>) -> Box<dyn Source> {
        Box::new(GuardedSource { guard: self.clone(), source, is_behind_rows: false })
    }

    /// The same of a sink.
    pub fn sink(&self, sink: Box<dyn Sink>) -> Box<dyn Sink> {
        Box::new(GuardedSink { guard: self.clone(), sink: sink.into() })
    }

    async fn in_time<T>(&self, what: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.breakers.call_timeout;
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            let what = format!("{what} of {}", self.system);
            Err(Error::new(
                Kind::Unreachable,
                what,
                format!("it did not answer within {} s (`call_timeout`)", limit.as_secs_f64()),
            ))
        })
    }

    async fn through<T>(
        &self,
        call: impl Future<Output = Result<T>>,
        says: impl Fn(&T) -> Says,
        is_failure: impl Fn(&Error) -> bool,
    ) -> Result<T> {
        let held = self.permit()?;
        let begun = self.breakers.clock.now();
        let outcome = call.await;
        let took = self.breakers.clock.now().0.saturating_sub(begun.0);
        let took = Duration::from_micros(u64::try_from(took).unwrap_or(0));
        held.tell(outcome.as_ref().map(says), is_failure, took);
        outcome
    }

    fn permit(&self) -> Result<Held<'_>> {
        let permit = self.breakers.on(&self.system, Breaker::acquire).map_err(|at| self.refused(at))?;
        Ok(Held { guard: self, permit: Some(permit) })
    }

    fn refused(&self, at: Timestamp) -> Error {
        let wait = at.0.saturating_sub(self.breakers.clock.now().0).max(0) as f64 / 1e6;
        let what = format!("call {}", self.system);
        Error::new(Kind::Unreachable, what, format!("its circuit breaker is open; the next call in {wait:.0} s"))
    }
}

/// Whether an error tells that the system is in trouble. One that answers with bad data is there.
fn is_of_the_system(error: &Error) -> bool {
    advice(error.kind).retry
}

/// A permit that is given back when its call is dropped.
struct Held<'a> {
    guard: &'a Guard,
    permit: Option<Permit>,
}

impl Held<'_> {
    /// A call of any length, whose questions have their own limits. A half-open breaker waits for it no longer than for others.
    async fn however_long<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let limit = self.guard.breakers.call_timeout;
        if let Ok(outcome) = tokio::time::timeout(limit, &mut call).await {
            return outcome;
        }
        if let Some(permit) = &mut self.permit {
            self.guard.breakers.on(&self.guard.system, |breaker, _| breaker.lend(permit));
        }
        call.await
    }

    fn tell(mut self, says: Result<Says, &Error>, is_failure: impl Fn(&Error) -> bool, took: Duration) {
        let Some(permit) = self.permit.take() else { return };
        self.guard.breakers.on(&self.guard.system, |breaker, now| match says {
            Ok(Says::Idle) if breaker.state() == BreakerState::Closed => breaker.release(permit),
            Ok(Says::Nothing) => breaker.release(permit),
            Ok(Says::Well | Says::Idle) => breaker.record(permit, false, took, now),
            Err(error) => breaker.record(permit, is_failure(error), took, now),
        });
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.guard.breakers.on(&self.guard.system, |breaker, _| breaker.release(permit));
        }
    }
}

struct GuardedSource {
    guard: Guard,
    source: Box<dyn Source>,
    /// The last answer had rows. That nothing more comes behind them is often known without asking.
    is_behind_rows: bool,
}

#[async_trait]
impl Source for GuardedSource {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        let Self { guard, source, is_behind_rows } = self;
        let without_rows = || if *is_behind_rows { Says::Nothing } else { Says::Idle };
        let says = |pulled: &Option<Pulled>| if pulled.is_some() { Says::Well } else { without_rows() };
        let next = if source.slowest_question().is_none() {
            guard.through(guard.in_time("the next rows", source.next(bytes_max)), says, is_of_the_system).await?
        } else {
            let mut held = guard.permit()?;
            let outcome = held.however_long(source.next(bytes_max)).await;
            // How long all of its questions took together says nothing of the system.
            let slowest = source.slowest_question().unwrap_or_default();
            held.tell(outcome.as_ref().map(says), is_of_the_system, slowest);
            outcome?
        };
        *is_behind_rows = next.is_some();
        Ok(next)
    }

    fn slowest_question(&mut self) -> Option<Duration> {
        self.source.slowest_question()
    }

    async fn awake(&mut self) {
        self.source.awake().await
    }

    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        let Self { guard, source, .. } = self;
        guard.through(source.settled(upto), |()| Says::Nothing, is_of_the_system).await
    }
}

struct GuardedSink {
    guard: Guard,
    /// Locked by who only looks; a sink need not bear two at once.
    sink: tokio::sync::Mutex<Box<dyn Sink>>,
}

#[async_trait]
impl Sink for GuardedSink {
    async fn positions(&self) -> Result<Positions> {
        self.sink.lock().await.positions().await
    }

    async fn write(&mut self, rows: Passed) -> Result<()> {
        self.sink.get_mut().write(rows).await
    }

    async fn commit(&mut self, upto: &Positions) -> Result<Commit> {
        let Self { guard, sink } = self;
        guard.through(sink.get_mut().commit(upto), |_| Says::Well, is_of_the_system).await
    }
}

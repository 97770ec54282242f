//! The breakers of all outside systems, and how calls of sources and sinks go through them.

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
    /// How long one call may take; the lake's commits have no such limit, for their outcome would be unknown.
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
        let permit = self.breakers.on(&self.system, Breaker::acquire).map_err(|at| self.refused(at))?;
        let mut held = Held { guard: self, permit: Some(permit) };
        let begun = self.breakers.clock.now();
        let outcome = call.await;
        let Some(permit) = held.permit.take() else { return outcome };
        let took = self.breakers.clock.now().0.saturating_sub(begun.0);
        let took = Duration::from_micros(u64::try_from(took).unwrap_or(0));
        self.breakers.on(&self.system, |breaker, now| match outcome.as_ref().map(says) {
            Ok(Says::Idle) if breaker.state() == BreakerState::Closed => breaker.release(permit),
            Ok(Says::Nothing) => breaker.release(permit),
            Ok(Says::Well | Says::Idle) => breaker.record(permit, false, took, now),
            Err(error) => breaker.record(permit, is_failure(error), took, now),
        });
        outcome
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
        let next =
            guard.through(guard.in_time("the next rows", source.next(bytes_max)), says, is_of_the_system).await?;
        *is_behind_rows = next.is_some();
        Ok(next)
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

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::clock::ManualClock;

    /// A source of a system that answers as told, the last first.
    struct Told(Vec<Option<Kind>>);

    /// A source of a system that takes its time for rows, and says for nothing that there are no more.
    struct Slow {
        clock: Arc<ManualClock>,
        has_rows: bool,
    }

    #[async_trait]
    impl Source for Slow {
        async fn next(&mut self, _: usize) -> Result<Option<Pulled>> {
            self.has_rows = !self.has_rows;
            if !self.has_rows {
                return Ok(None);
            }
            self.clock.advance(61_000_000);
            let schema = Arc::new(arrow::datatypes::Schema::empty());
            let rows = kernel::gate::Raw::new(
                arrow::record_batch::RecordBatch::new_empty(schema),
                "p",
                Vec::<i64>::new().into(),
            )?;
            Ok(Some(Pulled { rows: rows.into(), upto: Positions::new(), whole: true }))
        }

        async fn settled(&mut self, _: &Positions) -> Result<()> {
            Ok(())
        }
    }

    #[async_trait]
    impl Source for Told {
        async fn next(&mut self, _: usize) -> Result<Option<Pulled>> {
            match self.0.pop().flatten() {
                Some(kind) => Err(Error::new(kind, "read", "no")),
                None => Ok(None),
            }
        }

        async fn settled(&mut self, _: &Positions) -> Result<()> {
            Ok(())
        }
    }

    struct Desk {
        breakers: Arc<Breakers>,
        clock: Arc<ManualClock>,
        turns: Arc<Mutex<Vec<BreakerState>>>,
    }

    fn desk() -> Desk {
        let (clock, turns) = (Arc::new(ManualClock::at(0)), Arc::new(Mutex::new(Vec::new())));
        let config = BreakerConfig { minimum_number_of_calls: 3, ..BreakerConfig::default() };
        let told = turns.clone();
        let tell = move |turned: Turned| told.lock().expect("turns").push(turned.to);
        Desk { breakers: Breakers::new(config, Duration::from_secs(9), clock.clone(), tell), clock, turns }
    }

    #[tokio::test]
    async fn a_system_that_fails_is_left_alone_and_others_are_not() {
        let desk = desk();
        let (db, other) = (desk.breakers.guard("db:5432"), desk.breakers.guard("other"));
        let mut source = db.source(Box::new(Told(vec![Some(Kind::Unreachable); 9])));
        for _ in 0..3 {
            assert!(source.next(1).await.is_err());
        }
        let error = source.next(1).await.map(drop).expect_err("open");
        assert!(
            error.to_string().contains("call db:5432: its circuit breaker is open; the next call in 30 s"),
            "{error}"
        );
        assert_eq!((error.kind, db.retry_at()), (Kind::Unreachable, Some(Timestamp(30_000_000))));
        assert!(other.source(Box::new(Told(vec![]))).next(1).await.is_ok() && other.retry_at().is_none());
        desk.clock.advance(30_000_000);
        let mut well = db.source(Box::new(Told(vec![])));
        for _ in 0..2 {
            assert!(well.next(1).await.is_ok());
        }
        let turns = desk.turns.lock().expect("turns").clone();
        assert_eq!(turns, [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed]);
        assert_eq!(desk.breakers.views()["db:5432"].not_permitted_calls, 1);
    }

    #[tokio::test]
    async fn bad_data_is_no_fault_of_the_system_and_idleness_no_merit() {
        let desk = desk();
        let guard = desk.breakers.guard("db");
        let mut source = guard.source(Box::new(Told(vec![Some(Kind::Data); 9])));
        for _ in 0..9 {
            assert!(source.next(1).await.is_err());
        }
        let mut idle = guard.source(Box::new(Told(vec![])));
        for _ in 0..9 {
            assert!(idle.next(1).await.is_ok());
        }
        let view = desk.breakers.views()["db"];
        assert_eq!((view.state, view.failed_calls, view.buffered_calls), (BreakerState::Closed, 0, 9));
    }

    #[tokio::test]
    async fn a_system_that_is_opened_for_nothing_and_always_fails_is_measured_so() {
        let desk = desk();
        let guard = desk.breakers.guard("api");
        let open = async |kind| {
            let source: Box<dyn Source> = Box::new(Told(vec![Some(kind)]));
            guard.sign_in("the source", async { Ok(source) }).await.map(|source| guard.source(source))
        };
        for _ in 0..3 {
            assert!(open(Kind::Unreachable).await.expect("nobody was asked").next(1).await.is_err());
        }
        let view = desk.breakers.views()["api"];
        assert_eq!((view.state, view.failure_rate, view.buffered_calls), (BreakerState::Open, Some(100.0), 3));
        for _ in 0..2 {
            desk.clock.advance(30_000_000);
            for _ in 0..9 {
                guard.open("the source", async { Ok(()) }).await.expect("half-open");
            }
            let view = desk.breakers.views()["api"];
            assert_eq!((view.state, view.buffered_calls), (BreakerState::HalfOpen, 0), "no opening is a trial");
            for _ in 0..2 {
                assert!(open(Kind::Unreachable).await.expect("half-open").next(1).await.is_err());
            }
            assert_eq!(desk.breakers.views()["api"].state, BreakerState::Open);
        }
        let turns = desk.turns.lock().expect("turns").clone();
        assert!(!turns.contains(&BreakerState::Closed), "{turns:?}");
    }

    #[tokio::test]
    async fn a_system_that_is_always_slow_stays_open_whatever_is_free() {
        let desk = desk();
        let guard = desk.breakers.guard("api");
        for _ in 0..3 {
            let call = async { Err::<(), _>(Error::new(Kind::Unreachable, "open", "no")) };
            assert!(guard.open("the source", call).await.is_err());
        }
        desk.clock.advance(30_000_000);
        let source = Slow { clock: desk.clock.clone(), has_rows: false };
        let mut source = guard.source(Box::new(source));
        for turn in 1..=3 {
            assert!(source.next(1).await.is_ok());
            // The second slow call opens it, and then nothing is let through.
            assert_eq!(source.settled(&Positions::new()).await.is_ok(), turn < 3);
        }
        let view = desk.breakers.views()["api"];
        assert_eq!((view.state, view.slow_call_rate, view.slow_calls), (BreakerState::Open, Some(100.0), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_never_comes_back_is_given_up() {
        let desk = desk();
        let guard = desk.breakers.guard("db");
        let error = guard.open("open", std::future::pending::<Result<()>>()).await.expect_err("given up");
        assert_eq!(error.to_string(), "open of db: it did not answer within 9 s (`call_timeout`)");
        assert_eq!(desk.breakers.views()["db"].failed_calls, 1);
    }

    #[tokio::test]
    async fn a_dropped_call_gives_its_permit_back() {
        let desk = desk();
        let guard = desk.breakers.guard("db");
        (0..3).for_each(|_| {
            desk.breakers.on(&guard.system, |breaker, now| {
                let permit = breaker.acquire(now).expect("closed");
                breaker.record(permit, true, Duration::ZERO, now);
            });
        });
        desk.clock.advance(30_000_000);
        for _ in 0..5 {
            let call = guard.open("open", std::future::pending::<Result<()>>());
            assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
        }
        assert!(guard.open("open", async { Ok(()) }).await.is_ok(), "half-open, and nothing is missing");
    }
}

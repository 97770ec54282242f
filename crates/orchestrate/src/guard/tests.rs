use super::*;
use kernel::clock::ManualClock;

/// A source of a system that answers as told, the last first.
struct Told(Vec<Option<Kind>>);

/// A source whose `next` takes 100 s, and has no rows, or fails.
struct Long {
    clock: Arc<ManualClock>,
    /// Of its many questions, if it has a limit for each.
    slowest: Option<Duration>,
    fails: bool,
}

#[async_trait]
impl Source for Long {
    async fn next(&mut self, _: usize) -> Result<Option<Pulled>> {
        tokio::time::sleep(Duration::from_secs(100)).await;
        self.clock.advance(100_000_000);
        match self.fails {
            true => Err(Error::new(Kind::Unreachable, "ask", "no answer")),
            false => Ok(None),
        }
    }

    fn slowest_question(&mut self) -> Option<Duration> {
        self.slowest
    }

    async fn settled(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}

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
        let rows =
            kernel::gate::Raw::new(arrow::record_batch::RecordBatch::new_empty(schema), "p", Vec::<i64>::new().into())?;
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
    assert!(error.to_string().contains("call db:5432: its circuit breaker is open; the next call in 30 s"), "{error}");
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

#[tokio::test(start_paused = true)]
async fn a_source_that_limits_each_question_is_waited_for_and_another_is_not() {
    let desk = desk();
    let guard = desk.breakers.guard("api");
    let source = |slowest, fails| guard.source(Box::new(Long { clock: desk.clock.clone(), slowest, fails }));
    let error = source(None, false).next(1).await.map(drop).expect_err("given up");
    assert!(error.to_string().contains("it did not answer within 9 s (`call_timeout`)"), "{error}");
    assert!(source(Some(Duration::ZERO), false).next(1).await.expect("answered").is_none());
    let error = source(Some(Duration::ZERO), true).next(1).await.map(drop).expect_err("a question failed");
    assert_eq!(error.to_string(), "ask: no answer");
    assert_eq!(desk.breakers.views()["api"].failed_calls, 1, "the first is forgotten by now");
}

#[tokio::test(start_paused = true)]
async fn a_long_call_of_short_questions_is_not_slow() {
    let desk = half_open();
    let guard = desk.breakers.guard("db");
    let slow = async |seconds| {
        let slowest = Some(Duration::from_secs(seconds));
        let mut source = guard.source(Box::new(Long { clock: desk.clock.clone(), slowest, fails: false }));
        assert!(source.next(1).await.expect("answered").is_none());
        desk.breakers.views()["db"].slow_calls
    };
    assert_eq!((slow(61).await, slow(60).await), (1, 0), "of the half-open state, and of the closed one behind it");
    assert_eq!(desk.breakers.views()["db"].state, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_system_waits_for_no_long_call() {
    let desk = half_open();
    let guard = desk.breakers.guard("db");
    let long = || {
        let source = Long { clock: desk.clock.clone(), slowest: Some(Duration::ZERO), fails: false };
        let mut source = guard.source(Box::new(source));
        tokio::spawn(async move { source.next(1).await.map(drop) })
    };
    let both = [long(), long()];
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(guard.open("open", async { Ok(()) }).await.is_err(), "both trials are under way");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(guard.open("open", async { Ok(()) }).await.is_ok());
    for call in both {
        call.abort();
        assert!(call.await.expect_err("it was dropped").is_cancelled());
    }
    let trials = [(); 3].map(|()| desk.breakers.on(&guard.system, Breaker::acquire).is_ok());
    assert_eq!(trials, [true, true, false], "what was lent is not given back a second time");
}

/// With the breaker of `db` half-open at its next call.
fn half_open() -> Desk {
    let desk = desk();
    let guard = desk.breakers.guard("db");
    (0..3).for_each(|_| {
        desk.breakers.on(&guard.system, |breaker, now| {
            let permit = breaker.acquire(now).expect("closed");
            breaker.record(permit, true, Duration::ZERO, now);
        });
    });
    desk.clock.advance(30_000_000);
    desk
}

#[tokio::test]
async fn a_dropped_call_gives_its_permit_back() {
    let desk = half_open();
    let guard = desk.breakers.guard("db");
    for _ in 0..5 {
        let call = guard.open("open", std::future::pending::<Result<()>>());
        assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
    }
    assert!(guard.open("open", async { Ok(()) }).await.is_ok(), "half-open, and nothing is missing");
}

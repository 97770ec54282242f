//! Sources with a time of their own: when they are opened, and what holds them up.

use super::*;

/// The clock of a machine that sleeps: its time goes on without the process.
struct Sleeping(Virtual, std::sync::atomic::AtomicI64);

impl Sleeping {
    fn sleep(&self, seconds: i64) {
        self.1.fetch_add(seconds * 1_000_000, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for Sleeping {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.now().0 + self.1.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[tokio::test(start_paused = true)]
async fn one_by_the_clock_that_has_nothing_new_is_over_its_failure() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("hourly", 0, 0)]);
    stage.on("hourly", |world| world.always = Some(Kind::Unreachable));
    let process = process(&stage, &ledger, 1, "every hour");
    let running = tokio::spawn(process.up.clone().run(process.planned.clone()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(process.up.board.state("hourly"), Some(LineState::Retrying));
    stage.on("hourly", |world| world.always = None);
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(process.up.board.state("hourly"), Some(LineState::Waiting));
    process.up.cancel.cancel();
    running.await.expect("its end");
}

#[tokio::test(start_paused = true)]
async fn one_by_the_clock_is_opened_at_its_time_and_read_to_its_end() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("hourly", 10, 0)]);
    let process = process(&stage, &ledger, 1, "every hour");
    let (up, planned) = (process.up.clone(), process.planned.clone());
    let running = tokio::spawn(up.run(planned));
    for hour in 1..4 {
        tokio::time::sleep(Duration::from_secs(3_590)).await;
        all_once(&stage, "hourly");
        assert_eq!(stage.on("hourly", |world| (world.rows += 10, world.opened).1), hour);
        assert_eq!(process.up.board.state("hourly"), Some(LineState::Waiting));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    process.up.cancel.cancel();
    running.await.expect("its end");
    let finished = process.count(|event| matches!(event, UpEvent::SourceFinished { .. }));
    assert_eq!(finished, 4);
}

#[tokio::test(start_paused = true)]
async fn one_by_the_clock_is_not_late_because_the_machine_slept() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("daily", 10, 0)]);
    let clock = Arc::new(Sleeping(Virtual(Instant::now()), 0.into()));
    // It is 22:13 in UTC.
    let process = process_by(clock.clone(), &stage, &ledger, 1, "0 6 * * *");
    let running = tokio::spawn(process.up.clone().run(process.planned.clone()));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(process.up.board.state("daily"), Some(LineState::Waiting));
    clock.sleep(8 * 3_600);
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(stage.on("daily", |world| world.opened), 1, "it is past its time");
    all_once(&stage, "daily");
    process.up.cancel.cancel();
    running.await.expect("its end");
}

#[tokio::test(start_paused = true)]
async fn one_whose_lease_was_lost_while_it_waited_for_its_time_is_not_opened_then() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("hourly", 10, 0)]);
    let process = process(&stage, &ledger, 1, "every hour");
    let running = tokio::spawn(process.up.clone().run(process.planned.clone()));
    tokio::time::sleep(Duration::from_secs(3_585)).await;
    assert_eq!(stage.on("hourly", |world| world.opened), 1);
    // To this one the first one looks dead, and has its lease until half a minute later.
    let other = Leases::new(ledger.clone(), holder(2), process.up.clock.clone(), |_| true);
    assert_eq!(other.claim("hourly").await.expect("a ledger"), Claim::Mine);
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(process.up.board.state("hourly"), Some(LineState::Elsewhere));
    assert_eq!(stage.on("hourly", |world| (world.rows += 10, world.opened).1), 1, "it is somebody else's");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(stage.on("hourly", |world| world.opened), 2, "taken over");
    all_once(&stage, "hourly");
    process.up.cancel.cancel();
    running.await.expect("its end");
}

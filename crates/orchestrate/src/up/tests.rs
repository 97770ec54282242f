//! Sources that fail, a lake that loses its answers, a process that is killed: in virtual time, by a seed.

use super::*;
use crate::lease::Claim;
use crate::lock::Holder;
use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::record_batch::RecordBatch;
use kernel::error::{Error, Kind};
use kernel::gate::{Passed, Raw};
use kernel::ledger::{Entry, Ledger};
use kernel::position::{Point, Positions};
use kernel::sink::Commit;
use kernel::source::Pulled;
use tokio::time::Instant;

mod by_the_clock;
mod refine;

struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000_000 + i64::try_from(self.0.elapsed().as_micros()).expect("a short test"))
    }
}

/// A ledger that takes no real time.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Entry>>);

#[async_trait]
impl Ledger for Memory {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(self.0.lock().expect("entries").get(key).cloned())
    }

    async fn swap(&self, key: &str, expected: Option<u64>, value: &str) -> Result<bool> {
        let mut entries = self.0.lock().expect("entries");
        let version = entries.get(key).map(|entry| entry.version);
        if version == expected {
            let entry = Entry { value: value.to_owned(), version: version.unwrap_or(0) + 1 };
            entries.insert(key.to_owned(), entry);
        }
        Ok(version == expected)
    }

    async fn list(&self, _: &str) -> Result<Vec<(String, Entry)>> {
        Ok(Vec::new())
    }
}

/// One source outside, and its table.
#[derive(Default)]
struct World {
    /// Rows that are there to be read.
    rows: u64,
    /// Rows that are visible in the lake.
    lake: Vec<u64>,
    settled: u64,
    /// Percent of calls that fail.
    trouble: u32,
    /// Each call fails so.
    always: Option<Kind>,
    /// But for opening it.
    is_open_to_all: bool,
    /// Its table takes no commit, and does not say so.
    stalls: bool,
    /// Somebody is handing rows over.
    has_guests: bool,
    opened: u32,
}

type Worlds = Arc<Mutex<BTreeMap<String, World>>>;

#[derive(Clone)]
struct Stage {
    worlds: Worlds,
    dice: Arc<Mutex<fastrand::Rng>>,
}

impl Stage {
    fn new(seed: u64, sources: &[(&str, u64, u32)]) -> Self {
        let world = |(name, rows, trouble): &(&str, u64, u32)| {
            (name.to_string(), World { rows: *rows, trouble: *trouble, ..World::default() })
        };
        let worlds = Arc::new(Mutex::new(sources.iter().map(world).collect()));
        Self { worlds, dice: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))) }
    }

    fn on<T>(&self, source: &str, act: impl FnOnce(&mut World) -> T) -> T {
        act(self.worlds.lock().expect("worlds").get_mut(source).expect("a source"))
    }

    fn roll(&self, below: u32) -> u32 {
        self.dice.lock().expect("dice").u32(0..below)
    }

    fn may_fail(&self, source: &str, what: &str) -> Result<()> {
        let (trouble, always) = self.on(source, |world| (world.trouble, world.always));
        match always {
            Some(kind) => Err(Error::new(kind, what, "as always")),
            None if self.roll(100) < trouble => {
                let kind = if self.roll(4) == 0 { Kind::Data } else { Kind::Unreachable };
                Err(Error::new(kind, what, "the dice said so"))
            }
            None => Ok(()),
        }
    }
}

struct Rows {
    stage: Stage,
    name: String,
    at: u64,
}

#[async_trait]
impl Source for Rows {
    async fn next(&mut self, _: usize) -> Result<Option<Pulled>> {
        tokio::time::sleep(Duration::from_millis(u64::from(self.stage.roll(50)))).await;
        self.stage.may_fail(&self.name, "read")?;
        let left = self.stage.on(&self.name, |world| world.rows) - self.at;
        if left == 0 {
            return Ok(None);
        }
        let taken = left.min(u64::from(1 + self.stage.roll(9)));
        let numbers: Vec<i64> = (self.at..self.at + taken).map(|n| n as i64).collect();
        let column = Arc::new(Int64Array::from(numbers.clone())) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("n", column)]).expect("a batch");
        let rows = Raw::new(batch, "p", numbers.into())?;
        self.at += taken;
        let mut upto = Positions::new();
        upto.set("p", Point::Offset(self.at));
        // Transactions end in every row that is a multiple of ten, and at the end.
        let whole = self.at.is_multiple_of(10) || left == taken || self.stage.roll(3) == 0;
        Ok(Some(Pulled { rows: rows.into(), upto, whole }))
    }

    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        let Some(Point::Offset(at)) = upto.get("p") else { panic!("no position") };
        self.stage.on(&self.name, |world| {
            assert!(world.lake.len() as u64 >= *at, "nothing is forgotten that is not durable");
            world.settled = *at;
        });
        self.stage.may_fail(&self.name, "settle")
    }
}

struct Table {
    stage: Stage,
    name: String,
    written: Vec<u64>,
    before: u64,
}

#[async_trait]
impl Sink for Table {
    async fn positions(&self) -> Result<Positions> {
        Ok(Positions::new())
    }

    async fn write(&mut self, rows: Passed) -> Result<()> {
        let batch = rows.safe.into_batch();
        let texts = batch.column_by_name("n").expect("the column").clone();
        let texts = arrow::compute::cast(&texts, &arrow::datatypes::DataType::Utf8).expect("text");
        self.written.extend(texts.as_string::<i32>().iter().flatten().map(|n| n.parse::<u64>().expect("a number")));
        self.stage.may_fail(&self.name, "write")
    }

    async fn commit(&mut self, _: &Positions) -> Result<Commit> {
        while self.stage.on(&self.name, |world| world.stalls) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.stage.may_fail(&self.name, "commit")?;
        let written = std::mem::take(&mut self.written);
        let before = self.before;
        self.before += written.len() as u64;
        let version = self.stage.on(&self.name, |world| {
            if world.lake.len() as u64 != before {
                return None;
            }
            world.lake.extend(written);
            Some(world.lake.len() as u64)
        });
        // Its answer can be lost.
        self.stage.may_fail(&self.name, "hear of the commit")?;
        Ok(version.map_or_else(|| Commit::Conflict("somebody was faster".into()), Commit::Done))
    }
}

#[async_trait]
impl Lines for Stage {
    async fn open(&self, source: &str) -> Result<Opened> {
        if !self.on(source, |world| world.is_open_to_all) {
            self.may_fail(source, "open")?;
        }
        let at = self.on(source, |world| {
            world.opened += 1;
            world.lake.len() as u64
        });
        let (stage, name) = (self.clone(), source.to_owned());
        Ok(Opened {
            source: Box::new(Rows { stage: stage.clone(), name: name.clone(), at }),
            gate: kernel::laws::source::as_text(false),
            sink: Box::new(Table { stage, name, written: Vec::new(), before: at }),
            version: None,
        })
    }

    async fn lag(&self, _: &str) -> Result<Lag> {
        Ok(Lag::default())
    }

    fn retry_at(&self, _: &str) -> Option<Timestamp> {
        None
    }

    async fn are_left(&self) {
        while self.worlds.lock().expect("worlds").values().any(|world| world.has_guests) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

struct Process {
    up: Arc<Up>,
    events: Arc<Mutex<Vec<UpEvent>>>,
    planned: Vec<Planned>,
}

/// A process of this number with its tables of times.
fn process(stage: &Stage, ledger: &Arc<Memory>, pid: u32, schedule: &str) -> Process {
    process_by(Arc::new(Virtual(Instant::now())), stage, ledger, pid, schedule)
}

fn holder(pid: u32) -> Holder {
    Holder { id: pid.to_string(), pid, since: String::new(), command: "lavra up".into(), makes_way: true }
}

fn process_by(clock: Arc<dyn Clock>, stage: &Stage, ledger: &Arc<Memory>, pid: u32, schedule: &str) -> Process {
    let names: Vec<String> = stage.worlds.lock().expect("worlds").keys().cloned().collect();
    let holder = holder(pid);
    let dead = move |other: &Holder| other.pid < pid;
    let leases = Arc::new(Leases::new(ledger.clone(), holder, clock.clone(), dead));
    let board = names.iter().map(|name| (name.clone(), schedule.to_owned(), "here".to_owned()));
    let board = Arc::new(Board::new(clock.clone(), board));
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = events.clone();
    let tell: Tell = Arc::new(move |event| told.lock().expect("events").push(event));
    let timetable = Timetable::parse(schedule).expect("a schedule");
    let planned = |source| Planned {
        source,
        timetable: timetable.clone(),
        commit_every: Duration::from_secs(5),
        pace: |pace| pace,
        feeds_models: true,
    };
    let planned = names.into_iter().map(planned).collect();
    let options = UpOptions { seed: 7, ..UpOptions::default() };
    let lines = Arc::new(stage.clone());
    let up = Up::new(lines, leases, board, clock, options, tell, None, CancellationToken::new());
    Process { up, events, planned }
}

impl Process {
    /// Lets virtual time pass, with the process at work.
    async fn work(&self, for_how_long: Duration) {
        let _ = tokio::time::timeout(for_how_long, self.up.clone().run(self.planned.clone())).await;
    }

    fn count(&self, is_it: impl Fn(&UpEvent) -> bool) -> usize {
        self.events.lock().expect("events").iter().filter(|event| is_it(event)).count()
    }
}

fn all_once(stage: &Stage, source: &str) {
    stage.on(source, |world| {
        let expected: Vec<u64> = (0..world.rows).collect();
        assert!(world.lake == expected, "{source}: {:?}", world.lake);
    });
}

#[tokio::test(start_paused = true)]
async fn kills_and_errors_at_any_point_lose_nothing_and_double_nothing() {
    for seed in 0..20 {
        let ledger = Arc::default();
        let stage = Stage::new(seed, &[("good", 100, 0), ("bad", 100, 8), ("worse", 100, 20)]);
        let mut failures = 0;
        for pid in 1..12 {
            ["good", "bad", "worse"].iter().for_each(|name| stage.on(name, |world| world.rows += 10));
            let process = process(&stage, &ledger, pid, "continuous");
            process.work(Duration::from_millis(u64::from(stage.roll(20_000)))).await;
            failures += process.count(|event| matches!(event, UpEvent::SourceFailed { .. }));
        }
        ["bad", "worse"].iter().for_each(|name| stage.on(name, |world| world.trouble = 0));
        let last = process(&stage, &ledger, 99, "continuous");
        last.work(Duration::from_secs(1_000)).await;
        assert!(failures > 5, "seed {seed} was trouble: {failures}");
        ["good", "bad", "worse"].iter().for_each(|name| all_once(&stage, name));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_for_ever_holds_nobody_up_and_is_tried_again() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("broken", 10, 0), ("good", 100, 0)]);
    stage.on("broken", |world| world.always = Some(Kind::Data));
    let process = process(&stage, &ledger, 1, "continuous");
    let running = tokio::spawn(process.up.clone().run(process.planned.clone()));
    tokio::time::sleep(Duration::from_secs(60)).await;
    all_once(&stage, "good");
    let broken = process.up.board.views().into_iter().find(|view| view.source == "broken").expect("a view");
    assert_eq!((broken.state, stage.on("broken", |world| world.lake.len())), (LineState::Failed, 0));
    assert_eq!(broken.last_failure.expect("a failure").kind, "data");
    stage.on("broken", |world| world.always = None);
    tokio::time::sleep(Duration::from_secs(900)).await;
    all_once(&stage, "broken");
    assert_eq!(process.count(|event| matches!(event, UpEvent::SourceRecovered { .. })), 1);
    process.up.cancel.cancel();
    running.await.expect("its end");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_to_be_seen_until_the_source_has_gone_on() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("away", 0, 0)]);
    stage.on("away", |world| world.always = Some(Kind::Unreachable));
    let process = process(&stage, &ledger, 1, "continuous");
    let running = tokio::spawn(process.up.clone().run(process.planned.clone()));
    let view = || process.up.board.views().remove(0);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(view().failures > 0);
    // That it can be opened is no success. It is looked at often enough to be met while it is open.
    stage.on("away", |world| world.is_open_to_all = true);
    for round in 0..6_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let view = view();
        assert_eq!(view.state, LineState::Retrying, "round {round}");
        assert!(view.last_failure.is_some(), "round {round}");
    }
    assert!(stage.on("away", |world| world.opened) > 0, "it was opened in between");
    stage.on("away", |world| world.always = None);
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(view().state, LineState::Idle);
    process.up.cancel.cancel();
    running.await.expect("its end");
}

#[tokio::test(start_paused = true)]
async fn one_whose_rows_are_nowhere_yet_is_not_at_rest() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("stuck", 10, 0)]);
    stage.on("stuck", |world| world.stalls = true);
    let process = process(&stage, &ledger, 1, "continuous");
    let running = tokio::spawn(process.up.clone().run(process.planned.clone()));
    let state = || process.up.board.state("stuck");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((state(), stage.on("stuck", |world| world.lake.len())), (Some(LineState::Running), 0));
    stage.on("stuck", |world| world.stalls = false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(state(), Some(LineState::Idle));
    all_once(&stage, "stuck");
    process.up.cancel.cancel();
    running.await.expect("its end");
}

#[tokio::test(start_paused = true)]
async fn it_drains_at_once_and_commits_what_is_whole() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("good", 1_000_000, 0)]);
    let process = process(&stage, &ledger, 1, "continuous");
    let (up, planned) = (process.up.clone(), process.planned.clone());
    let running = tokio::spawn(up.run(planned));
    tokio::time::sleep(Duration::from_secs(12)).await;
    let before = stage.on("good", |world| world.lake.len());
    process.up.cancel.cancel();
    assert_eq!(running.await.expect("its end"), Vec::<String>::new());
    let after = stage.on("good", |world| world.lake.len());
    assert!(after > before && before > 0, "{before} {after}");
    assert_eq!(stage.on("good", |world| world.settled), after as u64, "the source has heard of the last commit");
}

#[tokio::test(start_paused = true)]
async fn who_is_handing_rows_over_is_taken_in_before_the_end_unless_he_takes_too_long() {
    for (is_slow, taken, seconds) in [(false, 12, 3), (true, 10, 15)] {
        let ledger = Arc::default();
        let stage = Stage::new(1, &[("pushed", 10, 0)]);
        let process = process(&stage, &ledger, 1, "continuous");
        let running = tokio::spawn(process.up.clone().run(process.planned.clone()));
        tokio::time::sleep(Duration::from_secs(12)).await;
        stage.on("pushed", |world| world.has_guests = true);
        process.up.cancel.cancel();
        let told = Instant::now();
        let guest = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(if is_slow { 20 } else { 1 })).await;
            stage.on("pushed", |world| world.rows += 2);
            tokio::time::sleep(Duration::from_secs(2)).await;
            stage.on("pushed", |world| world.has_guests = false);
            stage
        });
        assert_eq!(running.await.expect("its end"), Vec::<String>::new());
        assert_eq!(told.elapsed().as_secs(), seconds);
        let stage = guest.await.expect("a guest");
        assert_eq!(stage.on("pushed", |world| world.lake.len()), taken);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_one_takes_a_source_and_the_other_takes_over() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("good", 50, 0)]);
    // To the older one the younger one is alive, and the other way round it is not asked: it comes second.
    let (second, first) = (process(&stage, &ledger, 1, "continuous"), process(&stage, &ledger, 2, "continuous"));
    let running = tokio::spawn(first.up.clone().run(first.planned.clone()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let waiting = tokio::spawn(second.up.clone().run(second.planned.clone()));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(second.up.board.state("good"), Some(LineState::Elsewhere), "the lease is renewed");
    assert_eq!(stage.on("good", |world| (world.rows += 50, world.opened).1), 1);
    first.up.cancel.cancel();
    running.await.expect("its end");
    tokio::time::sleep(Duration::from_secs(10)).await;
    all_once(&stage, "good");
    assert_eq!((second.up.board.state("good"), stage.on("good", |world| world.opened)), (Some(LineState::Idle), 2));
    second.up.cancel.cancel();
    assert_eq!(waiting.await.expect("its end"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_drips_makes_no_crumbs() {
    let ledger = Arc::default();
    let stage = Stage::new(1, &[("drips", 0, 0)]);
    let process = process(&stage, &ledger, 1, "continuous");
    let running = tokio::spawn(process.up.clone().run(process.planned.clone()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let commits = || process.count(|event| matches!(event, UpEvent::Committed { .. }));
    stage.on("drips", |world| world.rows += 1);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(commits(), 1, "the first row behind a rest is there at once");
    for _ in 0..60 {
        stage.on("drips", |world| world.rows += 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((12..=14).contains(&commits()), "one in five seconds: {}", commits());
    tokio::time::sleep(Duration::from_secs(10)).await;
    process.up.cancel.cancel();
    running.await.expect("its end");
    all_once(&stage, "drips");
}

//! Runs over scripted work, on a clock that jumps to the next thing to happen.

mod any_graph;
mod script;

use super::*;
use crate::dag::Node;
use crate::dag::tests::node;
use kernel::Kind;
use script::{Script, Then, play, play_all};

/// orders → silver.orders → gold.revenue ← silver.people ← people
fn shop() -> Dag {
    Dag::new(vec![
        node("orders", &[]),
        node("people", &[]),
        node("silver.orders", &["orders"]),
        node("silver.people", &["people"]),
        node("gold.revenue", &["silver.orders", "silver.people"]),
    ])
    .expect("a good graph")
}

fn jobs(jobs: usize) -> Options {
    Options { jobs: NonZeroUsize::new(jobs).expect("some"), ..Options::default() }
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn statuses(outcome: &Outcome<u64>) -> Vec<(&str, Status)> {
    outcome.nodes.iter().map(|ended| (ended.node.as_str(), ended.end.status())).collect()
}

fn error<'a>(outcome: &'a Outcome<u64>, node: &str) -> &'a kernel::Error {
    outcome.errors().find(|(name, _)| *name == node).map(|(_, error)| error).expect("a failed node")
}

#[tokio::test(start_paused = true)]
async fn nodes_run_in_order_and_at_once_where_they_can() {
    for (at_once, elapsed) in [(1, 500), (2, 300), (8, 300)] {
        let script = Script::new(100);
        let (outcome, _) = play_all(&shop(), &script, &jobs(at_once)).await;
        let order = ["orders", "people", "silver.orders", "silver.people", "gold.revenue"];
        assert_eq!(script.started(), order);
        assert_eq!(statuses(&outcome), order.map(|name| (name, Status::Done)));
        assert_eq!((outcome.elapsed_ms, outcome.exit(), outcome.stopped), (elapsed, 0, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_tells_what_it_does() {
    let script = Script::new(600).on("orders", [Then::UpToDate]);
    let selected = BTreeSet::from(["orders".to_string()]);
    let (_, events) = play(&shop(), &selected, &script, &jobs(2)).await;
    let node = || "orders".to_string();
    let (done, failed, skipped, cancelled) = (0, 0, 0, 0);
    assert_eq!(
        events,
        [
            Event::RunStarted { nodes: vec![node()], jobs: 2 },
            Event::NodeStarted { node: node() },
            Event::NodeProgress { node: node(), rows: 1, bytes: 10, bytes_total: None },
            Event::NodeFinished { node: node(), status: Status::UpToDate, attempts: 1, elapsed_ms: 600, report: 1 },
            Event::RunFinished { done, up_to_date: 1, failed, skipped, cancelled, elapsed_ms: 600, stopped: None },
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_soon_done_tells_its_progress_too() {
    let (_, events) = play_all(&shop(), &Script::new(1), &jobs(2)).await;
    let told = events.iter().filter(|event| matches!(event, Event::NodeProgress { rows: 1, .. })).count();
    assert_eq!(told, 5, "once a node: {events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_stops_what_is_made_from_it_and_nothing_else() {
    let script = Script::new(10).on("silver.people", [Then::Fail(Kind::Data)]);
    let (outcome, events) = play_all(&shop(), &script, &jobs(2)).await;
    assert_eq!(outcome.count(Status::Done), 3);
    assert_eq!(error(&outcome, "silver.people").kind, Kind::Data);
    let skipped = outcome.node("gold.revenue").map(|ended| &ended.end);
    assert!(matches!(skipped, Some(End::Skipped { because }) if because == "silver.people"), "{skipped:?}");
    assert!(events.contains(&Event::NodeSkipped { node: "gold.revenue".into(), because: "silver.people".into() }));
    assert_eq!(outcome.exit(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_tried_again_is_after_a_wait() {
    let fails = Then::Fail(Kind::Unreachable);
    let mut options = jobs(1);
    options.retry = Retry { attempts_max: 3, base: millis(1_000), delay_max: millis(1_500) };
    let script =
        Script::new(10).on("orders", [fails, fails, Then::Done]).on("people", [fails, fails, fails, Then::Done]);
    let (outcome, events) = play_all(&shop(), &script, &options).await;
    let orders = outcome.node("orders").expect("an end");
    assert_eq!((orders.attempts, orders.end.status()), (3, Status::Done));
    let people = outcome.node("people").expect("an end");
    assert_eq!((people.attempts, people.end.status()), (3, Status::Failed));
    assert_eq!(outcome.exit(), 4);
    let waits = |node: &str| -> Vec<u64> {
        let wait = |event: &Event<u64>| match event {
            Event::NodeRetried { node: name, wait_ms, .. } if name == node => Some(*wait_ms),
            _ => None,
        };
        events.iter().filter_map(wait).collect()
    };
    assert_eq!(orders.elapsed_ms, 30 + waits("orders").iter().sum::<u64>());
    assert_eq!(waits("people").len(), 2);
    let again = play_all(&shop(), &Script::new(10).on("orders", [fails, fails]), &options).await;
    assert_eq!(
        again.0.node("orders").map(|ended| ended.elapsed_ms),
        Some(orders.elapsed_ms),
        "the same seed waits alike"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_node_only_and_tells_nothing_of_the_data() {
    let script = Script::new(10).on("orders", [Then::Panic, Then::Done]);
    let (outcome, _) = play_all(&shop(), &script, &jobs(2)).await;
    let error = error(&outcome, "orders");
    assert_eq!(error.kind, Kind::Internal);
    assert!(!error.to_string().contains("123.456.789-09"), "{error}");
    assert_eq!((outcome.count(Status::Done), outcome.count(Status::Skipped)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_too_long_is_stopped() {
    let mut options = jobs(2);
    (options.node_timeout, options.grace) = (Some(millis(500)), millis(100));
    for (then, elapsed, words) in [
        (Then::UntilTold, 500, "it took longer than the 500ms a node may take"),
        (Then::Hang, 600, "it did not stop within the 100ms it was given"),
    ] {
        let script = Script::new(100).on("orders", [then, Then::Done]);
        let (outcome, _) = play_all(&shop(), &script, &options).await;
        let ended = outcome.node("orders").expect("an end");
        assert_eq!((ended.elapsed_ms, ended.attempts), (elapsed, 1));
        let error = error(&outcome, "orders");
        assert_eq!(error.kind, Kind::Stopped);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(ended.end.report(), Some(&1), "what it kept is in its report");
        assert_eq!(outcome.count(Status::Done), 2, "the others go on");
        assert_eq!(script.running(), 0, "what hangs is dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_done_in_the_time_of_grace_is_done() {
    let mut options = jobs(2);
    (options.node_timeout, options.grace) = (Some(millis(500)), millis(1_000));
    let script = Script::new(900);
    let (outcome, _) = play_all(&shop(), &script, &options).await;
    assert_eq!(outcome.count(Status::Done), 5);
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_told_when_the_time_to_retry_it_is_over() {
    let mut options = jobs(1);
    options.node_timeout = Some(millis(500));
    options.retry = Retry { attempts_max: u32::MAX, base: millis(100_000), delay_max: millis(100_000) };
    let script = Script::new(10).on("orders", [Then::Fail(Kind::Unreachable); 9]);
    let (outcome, _) = play_all(&shop(), &script, &options).await;
    assert_eq!(error(&outcome, "orders").kind, Kind::Unreachable);
    assert_eq!(outcome.node("orders").map(|ended| ended.elapsed_ms), Some(500));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_starts_nothing_and_waits_for_what_runs() {
    let mut options = jobs(2);
    options.grace = millis(1_000);
    let script = Script::new(100).on("silver.orders", [Then::UntilTold]).on("silver.people", [Then::Hang]);
    let cancel = options.cancel.clone();
    let stopper = tokio::spawn(async move {
        tokio::time::sleep(millis(250)).await;
        cancel.cancel();
    });
    let (outcome, events) = play_all(&shop(), &script, &options).await;
    stopper.await.expect("a stop");
    let expected = [
        ("orders", Status::Done),
        ("people", Status::Done),
        ("silver.orders", Status::Cancelled),
        ("silver.people", Status::Cancelled),
        ("gold.revenue", Status::Cancelled),
    ];
    assert_eq!(statuses(&outcome), expected);
    assert_eq!((outcome.stopped, outcome.exit(), outcome.elapsed_ms), (Some(Stop::Requested), 1, 1_250));
    assert_eq!(outcome.node("silver.orders").map(|ended| ended.elapsed_ms), Some(150));
    let because = |node: &str| match &outcome.node(node).expect("an end").end {
        End::Cancelled { because, .. } => because.clone(),
        _ => String::new(),
    };
    assert_eq!(because("gold.revenue"), "stopped on request");
    assert!(because("silver.people").contains("may or may not have been made"), "{}", because("silver.people"));
    assert!(matches!(events.last(), Some(Event::RunFinished { done: 2, cancelled: 3, .. })));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_whole_run_and_the_waits_in_it() {
    let mut options = jobs(2);
    options.deadline = Some(millis(350));
    options.retry = Retry { attempts_max: u32::MAX, base: millis(100_000), delay_max: millis(100_000) };
    let script =
        Script::new(200).on("people", [Then::Fail(Kind::Unreachable); 9]).on("silver.orders", [Then::UntilTold]);
    let (outcome, _) = play_all(&shop(), &script, &options).await;
    assert_eq!((outcome.stopped, outcome.elapsed_ms), (Some(Stop::Deadline), 400));
    assert_eq!((outcome.count(Status::Done), outcome.count(Status::Cancelled)), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_failure_during_the_stop_is_still_a_failure() {
    let mut options = jobs(2);
    options.deadline = Some(millis(50));
    let script = Script::new(100).on("orders", [Then::Fail(Kind::Data)]);
    let (outcome, _) = play_all(&shop(), &script, &options).await;
    let expected = [
        ("orders", Status::Failed),
        ("people", Status::Done),
        ("silver.orders", Status::Skipped),
        ("silver.people", Status::Cancelled),
        ("gold.revenue", Status::Skipped),
    ];
    assert_eq!(statuses(&outcome), expected);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_leaves_nothing_running() {
    let script = Script::new(1_000);
    let dag = shop();
    let options = jobs(2);
    let run = play_all(&dag, &script, &options);
    assert!(tokio::time::timeout(millis(300), run).await.is_err(), "it is not done so soon");
    tokio::task::yield_now().await;
    assert_eq!(script.running(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_node_that_never_awaits_does_not_hold_up_the_others() {
    let mut options = jobs(2);
    (options.node_timeout, options.grace) = (Some(millis(100)), millis(50));
    let script = Script::new(5).on("orders", [Then::Hog]);
    let (outcome, _) = play_all(&shop(), &script, &options).await;
    assert_eq!(error(&outcome, "orders").kind, Kind::Stopped);
    assert_eq!((outcome.count(Status::Done), outcome.count(Status::Skipped)), (2, 2));
    assert_eq!(script.running(), 1, "the run has ended, and it still does not await");
    script.hog.wait();
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_nodes_run() {
    let name = |i: usize| format!("silver.t{i:05}");
    let upstream = |i: usize| if i < 100 { Vec::new() } else { vec![name(i - 100)] };
    let nodes = (0..10_000).map(|i| Node { upstream: upstream(i), ..node(&name(i), &[]) }).collect();
    let dag = Dag::new(nodes).expect("a good graph");
    let (outcome, _) = play_all(&dag, &Script::new(10), &jobs(50)).await;
    assert_eq!((outcome.count(Status::Done), outcome.elapsed_ms), (10_000, 2_000));
}

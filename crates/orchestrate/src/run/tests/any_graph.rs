//! What holds for every graph, every selection and every way to fail.

use super::script::Did;
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

#[derive(Debug, Clone)]
struct World {
    /// By node: what it reads, how long it takes, what its attempts do, and whether it is selected.
    nodes: Vec<(Vec<usize>, u64, Vec<Then>, bool)>,
    jobs: usize,
    attempts_max: u32,
    seed: u64,
}

fn name(index: usize) -> String {
    // Names are not in the order of the graph.
    format!("silver.n{:02}", (index * 37 + 11) % 100)
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        8 => Just(Then::Done),
        2 => Just(Then::UpToDate),
        2 => Just(Then::Fail(Kind::Unreachable)),
        1 => Just(Then::Fail(Kind::Data)),
        1 => Just(Then::Panic),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let node = |index: usize| {
        let upstream = prop::collection::vec(0..index.max(1), 0..=index.min(3));
        (upstream, 0..50_u64, prop::collection::vec(then(), 1..4), prop::bool::weighted(0.8))
    };
    let nodes = (1..24_usize).prop_flat_map(move |count| (0..count).map(node).collect::<Vec<_>>());
    (nodes, 1..5_usize, 1..4_u32, any::<u64>()).prop_map(|(nodes, jobs, attempts_max, seed)| World {
        nodes,
        jobs,
        attempts_max,
        seed,
    })
}

impl World {
    fn dag(&self) -> Dag {
        let nodes = self.nodes.iter().enumerate().map(|(index, (upstream, ..))| {
            let upstream = upstream.iter().filter(|&&from| from != index).map(|&from| name(from)).collect();
            Node { upstream, ..node(&name(index), &[]) }
        });
        Dag::new(nodes.collect()).expect("a graph without cycles")
    }

    fn selected(&self) -> BTreeSet<String> {
        let selected = self.nodes.iter().enumerate().filter(|(_, (.., selected))| *selected);
        selected.map(|(index, _)| name(index)).collect()
    }

    fn script(&self) -> Script {
        let nodes = self.nodes.iter().enumerate();
        nodes.fold(Script::new(0), |script, (index, (_, takes, then, _))| {
            script.takes(&name(index), *takes).on(&name(index), then.iter().copied())
        })
    }

    fn options(&self) -> Options {
        let retry = Retry { attempts_max: self.attempts_max, base: millis(20), delay_max: millis(100) };
        Options { retry, seed: self.seed, ..jobs(self.jobs) }
    }

    /// What becomes of each selected node, said without running anything.
    fn expected(&self) -> BTreeMap<String, Status> {
        let mut ends = BTreeMap::new();
        let mut dead = HashSet::new();
        for (index, (upstream, _, then, selected)) in self.nodes.iter().enumerate() {
            let skipped = upstream.iter().any(|from| *from != index && dead.contains(from));
            let status = if skipped { Status::Skipped } else { self.alone(then) };
            if skipped || (*selected && status == Status::Failed) {
                dead.insert(index);
            }
            if *selected {
                ends.insert(name(index), status);
            }
        }
        ends
    }

    fn alone(&self, then: &[Then]) -> Status {
        for attempt in 0..self.attempts_max as usize {
            match then.get(attempt).unwrap_or(&Then::Done) {
                Then::Done => return Status::Done,
                Then::UpToDate => return Status::UpToDate,
                Then::Fail(Kind::Unreachable) => {}
                _ => return Status::Failed,
            }
        }
        Status::Failed
    }
}

fn play_paused(world: &World, options: &Options, cancel_ms: Option<u64>) -> (Script, Outcome<u64>, Vec<Event<u64>>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let script = world.script();
    let (outcome, events) = runtime.block_on(async {
        if let Some(ms) = cancel_ms {
            let cancel = options.cancel.clone();
            tokio::spawn(async move {
                tokio::time::sleep(millis(ms)).await;
                cancel.cancel();
            });
        }
        play(&world.dag(), &world.selected(), &script, options).await
    });
    (script, outcome, events)
}

/// Replays what the work saw against the laws of order, number and success.
fn keeps_the_laws(world: &World, script: &Script) -> std::result::Result<(), TestCaseError> {
    let (dag, selected) = (world.dag(), world.selected());
    let (mut succeeded, mut running) = (HashSet::new(), HashSet::new());
    for did in script.log() {
        match did {
            Did::Start { node, told, .. } => {
                prop_assert!(!told, "{} started after the stop", node);
                prop_assert!(!succeeded.contains(&node), "{} ran again after its success", node);
                for ancestor in dag.ancestors(&node).iter().filter(|ancestor| selected.contains(&ancestor.name)) {
                    prop_assert!(succeeded.contains(&ancestor.name), "{} before {}", node, ancestor.name);
                }
                prop_assert!(running.insert(node), "one node twice at once");
                prop_assert!(running.len() <= world.jobs, "more at once than jobs");
            }
            Did::Success { node } => prop_assert!(succeeded.insert(node)),
            Did::End { node } => prop_assert!(running.remove(&node)),
        }
    }
    prop_assert!(running.is_empty());
    Ok(())
}

/// Each selected node has one end, told once, after its start if it had one.
fn tells_each_end_once(world: &World, events: &[Event<u64>]) -> std::result::Result<(), TestCaseError> {
    let (mut started, mut ended) = (HashSet::new(), HashSet::new());
    for event in events {
        match event {
            Event::NodeStarted { node } => prop_assert!(started.insert(node.clone())),
            Event::NodeProgress { node, .. } | Event::NodeRetried { node, .. } => {
                prop_assert!(started.contains(node) && !ended.contains(node));
            }
            Event::NodeFinished { node, .. } | Event::NodeFailed { node, .. } => {
                prop_assert!(started.contains(node) && ended.insert(node.clone()));
            }
            Event::NodeSkipped { node, .. } | Event::NodeCancelled { node, .. } => {
                prop_assert!(ended.insert(node.clone()));
            }
            Event::RunStarted { .. } | Event::RunFinished { .. } => {}
        }
    }
    prop_assert_eq!(ended.into_iter().collect::<BTreeSet<_>>(), world.selected());
    let framed = matches!(events, [Event::RunStarted { .. }, .., Event::RunFinished { .. }]);
    prop_assert!(framed, "a run's first and last event are its own");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_run_comes_to_the_end_that_its_failures_leave(world in world()) {
        let (script, outcome, events) = play_paused(&world, &world.options(), None);
        keeps_the_laws(&world, &script)?;
        tells_each_end_once(&world, &events)?;
        let ends: BTreeMap<String, Status> =
            outcome.nodes.iter().map(|ended| (ended.node.clone(), ended.end.status())).collect();
        prop_assert_eq!(ends, world.expected());
        prop_assert_eq!(outcome.stopped, None);
    }

    #[test]
    fn a_run_is_the_same_each_time(world in world()) {
        let (script, _, events) = play_paused(&world, &world.options(), None);
        let (other_script, _, other_events) = play_paused(&world, &world.options(), None);
        prop_assert_eq!(script.log(), other_script.log());
        prop_assert_eq!(events, other_events);
    }

    #[test]
    fn a_run_may_be_stopped_at_any_time(world in world(), cancel_ms in 0..400_u64) {
        let options = world.options();
        let (script, outcome, events) = play_paused(&world, &options, Some(cancel_ms));
        keeps_the_laws(&world, &script)?;
        tells_each_end_once(&world, &events)?;
        let expected = world.expected();
        for ended in &outcome.nodes {
            let status = ended.end.status();
            prop_assert!(status == Status::Cancelled || Some(&status) == expected.get(&ended.node), "{:?}", ended);
        }
        prop_assert!(outcome.count(Status::Cancelled) == 0 || outcome.stopped == Some(Stop::Requested));
    }
}

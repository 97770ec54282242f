//! Runs the selected nodes, each after all that it is made from, some at once, and goes on around failures.

mod event;
mod node;
mod outcome;
mod retry;
mod schedule;
#[cfg(test)]
mod tests;
mod work;

pub use event::{Event, Events, Fault};
pub use outcome::{End, Ended, Outcome, Status, Stop};
pub use retry::Retry;
pub(crate) use retry::dice;
pub use work::{Finished, Task, Work};

use crate::dag::Dag;
use futures::stream::{FuturesUnordered, StreamExt};
use kernel::Result;
use node::Crew;
use schedule::{Schedule, Skipped};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
pub struct Options {
    /// How many nodes are at work at once. A node that waits to try again keeps its place, so that a system in
    /// trouble is not given more to do.
    pub jobs: NonZeroUsize,
    pub retry: Retry,
    /// For one node with all its attempts and the waits between them.
    pub node_timeout: Option<Duration>,
    /// For the whole run.
    pub deadline: Option<Duration>,
    /// How long a node that is told to stop may take to do so, before it is dropped where it stands.
    pub grace: Duration,
    /// How often progress is told, if there is any.
    pub progress_every: Duration,
    /// Of the waits between attempts. With the same seed and the same failures a run waits the same.
    pub seed: u64,
    /// Stops the run: nothing new is started, what runs is told to stop.
    pub cancel: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: NonZeroUsize::MIN,
            retry: Retry::default(),
            node_timeout: None,
            deadline: None,
            grace: Duration::from_secs(30),
            progress_every: Duration::from_millis(200),
            seed: 0,
            cancel: CancellationToken::new(),
        }
    }
}

/// Runs the nodes named in `selected`; the order holds also over nodes that are not. A node that fails ends those that
/// are made from it, near or far, as skipped; all others go on. Answers when nothing runs any more, with an end for each
/// selected node. Dropping the future aborts what runs.
///
/// An error means that nothing was started: a name is not in the graph.
pub async fn run<R: Clone + Send + 'static>(
    dag: &Dag,
    selected: &BTreeSet<String>,
    work: Arc<dyn Work<R>>,
    options: &Options,
    events: Events<'_, R>,
) -> Result<Outcome<R>> {
    let mut schedule = Schedule::new(dag, selected)?;
    let names = schedule.selected().map(|rank| dag.nodes()[rank].name.clone()).collect();
    events(Event::RunStarted { nodes: names, jobs: options.jobs.get() });
    let started = Instant::now();
    let mut deadline = Timer::after(options.deadline);
    let crew = Crew { work, options, events, stop: options.cancel.child_token() };
    let mut ends = Ends { dag, events, ends: dag.nodes().iter().map(|_| None).collect() };
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < options.jobs.get() && !crew.stop.is_cancelled() {
            let Some(rank) = schedule.next_ready() else { break };
            running.push(crew.node(rank, &dag.nodes()[rank].name));
        }
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some((rank, ended)) => ends.take(rank, ended, &mut schedule),
                None => break,
            },
            () = deadline.passed() => crew.stop.cancel(),
        }
    }
    let stopped = crew.stopped();
    ends.close(&mut schedule, stopped);
    let outcome = Outcome { nodes: ends.ends.into_iter().flatten().collect(), elapsed_ms: ms(started), stopped };
    events(outcome.finished());
    Ok(outcome)
}

/// The ends so far, by rank.
struct Ends<'a, R> {
    dag: &'a Dag,
    events: Events<'a, R>,
    ends: Vec<Option<Ended<R>>>,
}

impl<R: Clone> Ends<'_, R> {
    fn take(&mut self, rank: usize, ended: Ended<R>, schedule: &mut Schedule<'_>) {
        let skipped = match ended.end.status() {
            Status::Done | Status::UpToDate => schedule.succeeded(rank),
            Status::Failed | Status::Skipped => schedule.failed(rank),
            // The run is being stopped: nothing is started any more, and the rest ends in `close`.
            Status::Cancelled => Vec::new(),
        };
        self.put(rank, ended);
        skipped.into_iter().for_each(|skip| self.skip(skip));
    }

    /// Ends what was never started.
    fn close(&mut self, schedule: &mut Schedule<'_>, stopped: Option<Stop>) {
        let because = stopped.map_or("the run ended before it", Stop::because);
        for (rank, skip) in schedule.left() {
            match skip {
                Some(skip) => self.skip(skip),
                None => self.never_started(rank, End::Cancelled { because: because.into(), report: None }),
            }
        }
    }

    fn skip(&mut self, Skipped { rank, because }: Skipped) {
        let because = self.dag.nodes()[because].name.clone();
        self.never_started(rank, End::Skipped { because });
    }

    fn never_started(&mut self, rank: usize, end: End<R>) {
        let node = self.dag.nodes()[rank].name.clone();
        self.put(rank, Ended { node, attempts: 0, elapsed_ms: 0, end });
    }

    fn put(&mut self, rank: usize, ended: Ended<R>) {
        (self.events)(ended.event());
        self.ends[rank] = Some(ended);
    }
}

/// A limit that may not be there, or lie beyond what a clock can say.
struct Timer(Option<Instant>);

impl Timer {
    fn after(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// Answers once, when the time has come.
    async fn passed(&mut self) {
        match self.0 {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        self.0 = None;
    }
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

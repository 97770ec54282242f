//! One node from its first attempt to its end.

use super::event::{Event, Events};
use super::outcome::{End, Ended, Stop};
use super::retry::dice;
use super::work::{Desk, Finished, Task, Work};
use super::{Options, Timer, ms};
use kernel::error::{Error, Kind, Result, advice};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// An aborted task is dropped at its next await. One that never comes to any is left behind after this time.
const DROP_TIME: Duration = Duration::from_millis(100);

/// What all nodes of a run share.
pub(super) struct Crew<'a, R> {
    pub work: Arc<dyn Work<R>>,
    pub options: &'a Options,
    pub events: Events<'a, R>,
    /// Cancelled by the caller's token, or when the deadline passes.
    pub stop: CancellationToken,
}

/// One node at work.
struct Post<'a, R> {
    node: &'a str,
    desk: Arc<Desk<R>>,
    /// Cancelled with the run, and when the node takes too long.
    cancel: CancellationToken,
    limit: Timer,
}

/// Why a node is told to stop.
#[derive(Clone, Copy)]
enum Why {
    Run(Stop),
    Timeout,
}

type Joined<R> = std::result::Result<Result<Finished<R>>, JoinError>;

impl<R: Clone + Send + 'static> Crew<'_, R> {
    pub async fn node(&self, rank: usize, node: &str) -> (usize, Ended<R>) {
        let started = Instant::now();
        self.tell(Event::NodeStarted { node: node.into() });
        let limit = Timer::after(self.options.node_timeout);
        let mut post = Post { node, desk: Arc::new(Desk::new()), cancel: self.stop.child_token(), limit };
        let (end, attempts) = self.attempts(&mut post).await;
        (rank, Ended { node: node.into(), attempts, elapsed_ms: ms(started), end })
    }

    /// Why the run stops, if it does.
    pub fn stopped(&self) -> Option<Stop> {
        if self.options.cancel.is_cancelled() {
            return Some(Stop::Requested);
        }
        self.stop.is_cancelled().then_some(Stop::Deadline)
    }

    async fn attempts(&self, post: &mut Post<'_, R>) -> (End<R>, u32) {
        let mut dice = dice(self.options.seed, post.node);
        let mut attempt = 1;
        loop {
            let error = match self.attempt(post, attempt).await {
                End::Failed { error, .. } if self.again(attempt, &error) => error,
                end => return (end, attempt),
            };
            if post.cancel.is_cancelled() {
                return (self.given_up(post, self.why(), error), attempt);
            }
            let wait = self.options.retry.wait(attempt, &mut dice);
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.tell(Event::NodeRetried { node: post.node.into(), attempt, wait_ms, fault: (&error).into() });
            if let Some(why) = self.pause(post, wait).await {
                return (self.given_up(post, why, error), attempt);
            }
            attempt += 1;
        }
    }

    fn again(&self, attempt: u32, error: &Error) -> bool {
        advice(error.kind).retry && attempt < self.options.retry.attempts_max
    }

    async fn attempt(&self, post: &mut Post<'_, R>, attempt: u32) -> End<R> {
        post.desk.restart();
        // A child, so that a node that cancels its own work does not look like one that was told to stop.
        let (cancel, desk) = (post.cancel.child_token(), Arc::clone(&post.desk));
        let task = Task { node: post.node.into(), attempt, cancel, desk };
        let work = Arc::clone(&self.work);
        // A task of its own, so that a panic ends it alone, and a node that hogs its thread does not keep us from
        // seeing the time. In a set, so that dropping the run drops it too.
        let mut running = JoinSet::new();
        running.spawn(async move {
            // The run may have been stopped between the spawn and now.
            if task.cancel.is_cancelled() {
                return Err(Error::new(Kind::Stopped, format!("run `{}`", task.node), "stopped before it began"));
            }
            work.run(task).await
        });
        match self.watch(post, &mut running).await {
            // It may have heard of the stop, and ended, before we did.
            Ok(joined) => end_of(post, joined, post.cancel.is_cancelled().then(|| (self.why(), self.options))),
            Err(why) => self.stop_it(post, &mut running, why).await,
        }
    }

    /// Waits for the node's end, and tells its progress; answers why it must stop if that comes first.
    async fn watch(
        &self,
        post: &mut Post<'_, R>,
        running: &mut JoinSet<Result<Finished<R>>>,
    ) -> std::result::Result<Option<Joined<R>>, Why> {
        let mut told = (0, 0);
        loop {
            tokio::select! {
                biased;
                joined = running.join_next() => {
                    self.tell_progress(post, &mut told);
                    return Ok(joined);
                }
                () = post.cancel.cancelled() => return Err(self.why()),
                () = post.limit.passed() => return Err(Why::Timeout),
                () = sleep(self.options.progress_every) => self.tell_progress(post, &mut told),
            }
        }
    }

    /// Tells what was done since it was told last, if there is any.
    fn tell_progress(&self, post: &Post<'_, R>, told: &mut (u64, u64)) {
        let (rows, bytes) = post.desk.seen();
        if (rows, bytes) != *told {
            *told = (rows, bytes);
            let bytes_total = post.desk.bytes_total();
            self.tell(Event::NodeProgress { node: post.node.into(), rows, bytes, bytes_total });
        }
    }

    fn why(&self) -> Why {
        self.stopped().map_or(Why::Timeout, Why::Run)
    }

    async fn stop_it(&self, post: &Post<'_, R>, running: &mut JoinSet<Result<Finished<R>>>, why: Why) -> End<R> {
        post.cancel.cancel();
        let grace = self.options.grace;
        if let Ok(joined) = timeout(grace, running.join_next()).await {
            return end_of(post, joined, Some((why, self.options)));
        }
        running.abort_all();
        if let Ok(joined @ Some(Ok(_))) = timeout(DROP_TIME, running.join_next()).await {
            return end_of(post, joined, Some((why, self.options)));
        }
        let sentence = format!(
            "{}; it did not stop within the {grace:?} it was given, so its last commit may or may not have been made",
            why.sentence(self.options)
        );
        why.end(post, sentence)
    }

    /// Waits before the next attempt; answers why there is none if that comes first.
    async fn pause(&self, post: &mut Post<'_, R>, wait: Duration) -> Option<Why> {
        tokio::select! {
            biased;
            () = post.cancel.cancelled() => Some(self.why()),
            () = post.limit.passed() => Some(Why::Timeout),
            () = sleep(wait) => None,
        }
    }

    fn given_up(&self, post: &Post<'_, R>, why: Why, error: Error) -> End<R> {
        match why {
            // What went wrong helps more than that there was no time to try it again.
            Why::Timeout => End::Failed { error, report: post.desk.kept() },
            Why::Run(stop) => {
                let because = format!("{}, before it was tried again after: {error}", stop.because());
                End::Cancelled { because, report: post.desk.kept() }
            }
        }
    }

    fn tell(&self, event: Event<R>) {
        (self.events)(event);
    }
}

impl Why {
    fn sentence(self, options: &Options) -> String {
        match (self, options.node_timeout) {
            (Why::Run(stop), _) => stop.because().into(),
            (Why::Timeout, Some(limit)) => format!("it took longer than the {limit:?} a node may take"),
            (Why::Timeout, None) => "it took too long".into(),
        }
    }

    fn end<R: Clone>(self, post: &Post<'_, R>, sentence: String) -> End<R> {
        let report = post.desk.kept();
        match self {
            Why::Run(_) => End::Cancelled { because: sentence, report },
            Why::Timeout => {
                let error = Error::new(Kind::Stopped, format!("run `{}`", post.node), sentence);
                End::Failed { error, report }
            }
        }
    }
}

/// `told` is why it was told to stop, if it was. One that was done nevertheless is done: its commit stands.
fn end_of<R: Clone>(post: &Post<'_, R>, joined: Option<Joined<R>>, told: Option<(Why, &Options)>) -> End<R> {
    let error = match joined {
        Some(Ok(Ok(Finished::Done(report)))) => return End::Done { report },
        Some(Ok(Ok(Finished::UpToDate(report)))) => return End::UpToDate { report },
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => broken(post.node, &error),
        None => Error::internal(format!("run `{}`", post.node), "its task vanished"),
    };
    match told {
        Some((why, options)) if error.kind == Kind::Stopped => why.end(post, why.sentence(options)),
        _ => End::Failed { error, report: post.desk.kept() },
    }
}

fn broken(node: &str, error: &JoinError) -> Error {
    let what = format!("run `{node}`");
    if error.is_panic() {
        // What a panic says may quote a value of a row.
        return Error::internal(what, "its code panicked; what it said is withheld, since it may quote data");
    }
    Error::new(Kind::Stopped, what, "its task was aborted from outside")
}

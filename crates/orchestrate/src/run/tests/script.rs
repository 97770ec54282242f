//! Work that does what a test says, and remembers what was asked of it.

use super::*;
use crate::run::{Event, Finished, Task, Work};
use async_trait::async_trait;
use kernel::Error;
use std::collections::HashMap;
use std::sync::{Barrier, Mutex};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Done,
    UpToDate,
    Fail(Kind),
    Panic,
    /// Works until it is told to stop.
    UntilTold,
    /// Does not listen.
    Hang,
    /// Does not even await, until the test lets it.
    Hog,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    Start { node: String, attempt: u32, told: bool },
    Success { node: String },
    End { node: String },
}

#[derive(Clone)]
pub struct Script {
    takes: HashMap<String, u64>,
    otherwise: u64,
    then: HashMap<String, Vec<Then>>,
    log: Arc<Mutex<Vec<Did>>>,
    /// Where a hog and its test meet.
    pub hog: Arc<Barrier>,
}

impl Script {
    /// Each attempt takes so many milliseconds and succeeds.
    pub fn new(takes_ms: u64) -> Self {
        Self {
            takes: HashMap::new(),
            otherwise: takes_ms,
            then: HashMap::new(),
            log: Arc::default(),
            hog: Arc::new(Barrier::new(2)),
        }
    }

    /// What the attempts at a node do, one after the other; further ones succeed.
    pub fn on(mut self, node: &str, then: impl IntoIterator<Item = Then>) -> Self {
        self.then.insert(node.into(), then.into_iter().collect());
        self
    }

    pub fn takes(mut self, node: &str, ms: u64) -> Self {
        self.takes.insert(node.into(), ms);
        self
    }

    pub fn log(&self) -> Vec<Did> {
        self.log.lock().expect("no panic in it").clone()
    }

    /// The nodes in the order in which they were first started.
    pub fn started(&self) -> Vec<String> {
        let first = |did: Did| match did {
            Did::Start { node, attempt: 1, .. } => Some(node),
            _ => None,
        };
        self.log().into_iter().filter_map(first).collect()
    }

    /// How many are at work.
    pub fn running(&self) -> usize {
        let log = self.log();
        let started = log.iter().filter(|did| matches!(did, Did::Start { .. })).count();
        started - log.iter().filter(|did| matches!(did, Did::End { .. })).count()
    }

    fn add(&self, did: Did) {
        self.log.lock().expect("no panic in it").push(did);
    }
}

/// Notes the end also of what is dropped.
struct Noted<'a>(&'a Script, String);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.add(Did::End { node: self.1.clone() });
    }
}

#[async_trait]
impl Work<u64> for Script {
    async fn run(&self, task: Task<u64>) -> Result<Finished<u64>> {
        let Task { node, attempt, cancel, .. } = task.clone();
        self.add(Did::Start { node: node.clone(), attempt, told: cancel.is_cancelled() });
        let _noted = Noted(self, node.clone());
        task.progress(1, 10);
        task.keep(u64::from(attempt));
        let takes = self.takes.get(&node).copied().unwrap_or(self.otherwise);
        tokio::time::sleep(millis(takes)).await;
        let index = attempt as usize - 1;
        let then = self.then.get(&node).and_then(|all| all.get(index)).copied().unwrap_or(Then::Done);
        if matches!(then, Then::Done | Then::UpToDate) {
            self.add(Did::Success { node });
        }
        match then {
            Then::Done => Ok(Finished::Done(u64::from(attempt))),
            Then::UpToDate => Ok(Finished::UpToDate(u64::from(attempt))),
            Then::Fail(kind) => Err(Error::new(kind, "read", "as the script says")),
            // Past the panic hook, which would fill the tests' output.
            Then::Panic => std::panic::resume_unwind(Box::new("the row holds 123.456.789-09")),
            Then::UntilTold => {
                cancel.cancelled().await;
                Err(Error::new(Kind::Stopped, "read", "told to stop"))
            }
            Then::Hang => std::future::pending().await,
            Then::Hog => {
                self.hog.wait();
                Ok(Finished::Done(0))
            }
        }
    }
}

pub async fn play(
    dag: &Dag,
    selected: &BTreeSet<String>,
    script: &Script,
    options: &Options,
) -> (Outcome<u64>, Vec<Event<u64>>) {
    let events = Mutex::new(Vec::new());
    let listen = |event| events.lock().expect("no panic in it").push(event);
    let work: Arc<dyn Work<u64>> = Arc::new(script.clone());
    let outcome = run(dag, selected, work, options, &listen).await.expect("known names");
    let events = events.into_inner().expect("no panic in it");
    (outcome, events)
}

pub async fn play_all(dag: &Dag, script: &Script, options: &Options) -> (Outcome<u64>, Vec<Event<u64>>) {
    play(dag, &dag.names(), script, options).await
}

//! What became of a run.

use super::event::{Event, Fault};
use kernel::error::{Error, Kind, advice};
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Done,
    UpToDate,
    Failed,
    Skipped,
    Cancelled,
}

impl Status {
    /// As it is written in documents.
    pub fn word(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::UpToDate => "up_to_date",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
            Status::Cancelled => "cancelled",
        }
    }
}

/// Why a run ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    Requested,
    Deadline,
}

impl Stop {
    pub(super) fn because(self) -> &'static str {
        match self {
            Stop::Requested => "stopped on request",
            Stop::Deadline => "the run's deadline passed",
        }
    }
}

/// How a node ended. A report beside a failure is of what was committed before it.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum End<R> {
    Done {
        report: R,
    },
    UpToDate {
        report: R,
    },
    Failed {
        #[serde(flatten, serialize_with = "as_fault")]
        error: Error,
        report: Option<R>,
    },
    /// It was not started, because this node, from which it is made, failed.
    Skipped {
        because: String,
    },
    /// It was not started, or did not come to its end; the sentence says which.
    Cancelled {
        because: String,
        report: Option<R>,
    },
}

fn as_fault<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    Fault::from(error).serialize(serializer)
}

impl<R> End<R> {
    pub fn status(&self) -> Status {
        match self {
            End::Done { .. } => Status::Done,
            End::UpToDate { .. } => Status::UpToDate,
            End::Failed { .. } => Status::Failed,
            End::Skipped { .. } => Status::Skipped,
            End::Cancelled { .. } => Status::Cancelled,
        }
    }

    pub fn report(&self) -> Option<&R> {
        match self {
            End::Done { report } | End::UpToDate { report } => Some(report),
            End::Failed { report, .. } | End::Cancelled { report, .. } => report.as_ref(),
            End::Skipped { .. } => None,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Ended<R> {
    pub node: String,
    /// None is 0: it was not started.
    pub attempts: u32,
    #[serde(flatten, serialize_with = "as_time")]
    pub elapsed_ms: u64,
    #[serde(flatten)]
    pub end: End<R>,
}

/// The same time in both units that readers ask for.
#[derive(Serialize)]
struct Time {
    elapsed_ms: u64,
    seconds: f64,
}

fn as_time<S: Serializer>(elapsed_ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    Time { elapsed_ms: *elapsed_ms, seconds: *elapsed_ms as f64 / 1000.0 }.serialize(serializer)
}

impl<R: Clone> Ended<R> {
    pub(super) fn event(&self) -> Event<R> {
        let (node, attempts, elapsed_ms, status) =
            (self.node.clone(), self.attempts, self.elapsed_ms, self.end.status());
        match &self.end {
            End::Done { report } | End::UpToDate { report } => {
                Event::NodeFinished { node, status, attempts, elapsed_ms, report: report.clone() }
            }
            End::Failed { error, .. } => Event::NodeFailed { node, attempts, elapsed_ms, fault: error.into() },
            End::Skipped { because } => Event::NodeSkipped { node, because: because.clone() },
            End::Cancelled { because, .. } => Event::NodeCancelled { node, elapsed_ms, because: because.clone() },
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Outcome<R> {
    /// The selected nodes, each after what it is made from.
    pub nodes: Vec<Ended<R>>,
    pub elapsed_ms: u64,
    pub stopped: Option<Stop>,
}

impl<R> Outcome<R> {
    pub fn node(&self, name: &str) -> Option<&Ended<R>> {
        self.nodes.iter().find(|ended| ended.node == name)
    }

    pub fn count(&self, status: Status) -> usize {
        self.nodes.iter().filter(|ended| ended.end.status() == status).count()
    }

    pub fn errors(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.nodes.iter().filter_map(|ended| match &ended.end {
            End::Failed { error, .. } => Some((ended.node.as_str(), error)),
            _ => None,
        })
    }

    /// The program's exit code: that of the failures if they agree on one, else the general one.
    pub fn exit(&self) -> u8 {
        let mut exits: BTreeSet<u8> = self.errors().map(|(_, error)| advice(error.kind).exit).collect();
        if self.count(Status::Cancelled) > 0 {
            exits.insert(advice(Kind::Stopped).exit);
        }
        match exits.len() {
            0 => 0,
            1 => exits.pop_first().unwrap_or(1),
            _ => 1,
        }
    }

    pub(super) fn finished(&self) -> Event<R> {
        Event::RunFinished {
            done: self.count(Status::Done),
            up_to_date: self.count(Status::UpToDate),
            failed: self.count(Status::Failed),
            skipped: self.count(Status::Skipped),
            cancelled: self.count(Status::Cancelled),
            elapsed_ms: self.elapsed_ms,
            stopped: self.stopped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failed(node: &str, kind: Kind) -> Ended<u64> {
        let end = End::Failed { error: Error::new(kind, "read a.csv", "half of it"), report: Some(3) };
        Ended { node: node.into(), attempts: 2, elapsed_ms: 40, end }
    }

    fn outcome(nodes: Vec<Ended<u64>>) -> Outcome<u64> {
        Outcome { nodes, elapsed_ms: 40, stopped: None }
    }

    #[test]
    fn failures_that_agree_give_the_exit_code() {
        assert_eq!(outcome(vec![]).exit(), 0);
        assert_eq!(outcome(vec![failed("a", Kind::Refused), failed("b", Kind::Refused)]).exit(), 3);
        assert_eq!(outcome(vec![failed("a", Kind::Refused), failed("b", Kind::Unreachable)]).exit(), 1);
    }

    #[test]
    fn an_outcome_is_one_flat_document() {
        let written = serde_json::to_value(outcome(vec![failed("silver.a", Kind::Data)])).expect("a document");
        let sentence = advice(Kind::Data).sentence;
        let node = json!({
            "node": "silver.a", "attempts": 2, "elapsed_ms": 40, "seconds": 0.04, "status": "failed",
            "error": "read a.csv: half of it", "kind": "data", "advice": sentence, "report": 3,
        });
        assert_eq!(written, json!({ "nodes": [node], "elapsed_ms": 40, "stopped": null }));
    }

    #[test]
    fn an_event_is_one_line_named_by_its_kind() {
        let event: Event<u64> = failed("silver.a", Kind::Data).event();
        let line = serde_json::to_string(&event).expect("a line");
        assert!(line.starts_with(r#"{"event":"node_failed","node":"silver.a","attempts":2,"#), "{line}");
        assert!(line.contains(r#""error":"read a.csv: half of it","kind":"data","advice":"#), "{line}");
    }
}

//! Events of a long-running process, on stderr: lines for people on a terminal, else one JSON document each.

use super::state::ProcessView;
use crate::show::{Format, count, plural, seconds};
use crate::work::Report;
use orchestrate::up::UpEvent;
use orchestrate::{BreakerState, Event, Status};
use serde::Serialize;
use serde_json::json;
use std::io::IsTerminal;

pub enum Teller {
    People,
    Programs,
    Nobody,
}

impl Teller {
    pub fn new(quiet: bool, format: Format) -> Self {
        match (quiet, format == Format::Table && std::io::stderr().is_terminal()) {
            (true, _) => Self::Nobody,
            (false, true) => Self::People,
            (false, false) => Self::Programs,
        }
    }

    /// What it has begun with; `left_out` are sources that nobody takes in by himself.
    pub fn started(&self, view: &ProcessView, left_out: &[String]) {
        match self {
            Self::Nobody => {}
            Self::Programs => self.json(&json!({ "event": "started", "process": view, "left_out": left_out })),
            Self::People => {
                let place = view.address.map(|at| format!(", http://{at}/status")).unwrap_or_default();
                eprintln!("{} in {}, process {}{place}", view.project, view.environment, view.holder.pid);
                for source in &view.sources {
                    eprintln!("  {:<24} {:<20} {}", source.source, source.schedule, source.system);
                }
                if !left_out.is_empty() {
                    eprintln!("left to `lavra run`, for they have no `schedule`: {}", left_out.join(", "));
                }
            }
        }
    }

    pub fn tell(&self, event: &UpEvent) {
        match self {
            Self::Nobody => {}
            Self::Programs => self.json(event),
            Self::People => eprintln!("{} {}", time(), sentence(event)),
        }
    }

    /// An event of making models: what came to an end otherwise than by there being nothing to do.
    pub fn model(&self, event: &Event<Report>) {
        let line = match event {
            Event::NodeFinished { node, status: Status::Done, elapsed_ms, report, .. } => {
                let version = report.version.map_or(String::new(), |version| format!("version {version}, "));
                format!("{node}: made, {version}{}", seconds(*elapsed_ms))
            }
            Event::NodeFailed { node, fault, .. } => format!("{node}: {}\n  {}", fault.error, fault.advice),
            Event::NodeRetried { node, fault, wait_ms, .. } => {
                format!("{node}: {}; again in {}", fault.error, seconds(*wait_ms))
            }
            _ => return,
        };
        match self {
            Self::Nobody => {}
            Self::Programs => self.json(event),
            Self::People => eprintln!("{} {line}", time()),
        }
    }

    fn json(&self, event: &impl Serialize) {
        if let Ok(line) = serde_json::to_string(event) {
            eprintln!("{line}");
        }
    }
}

fn time() -> String {
    chrono::Local::now().format("%H:%M:%S").to_string()
}

fn sentence(event: &UpEvent) -> String {
    match event {
        UpEvent::SourceOpened { source } => format!("{source}: opened"),
        UpEvent::SourceElsewhere { source, holder } => {
            format!("{source}: taken in by {holder}; this process takes over when that ends")
        }
        UpEvent::Committed { source, version, rows, quarantined } => {
            let version = version.map_or(String::new(), |version| format!(", version {version}"));
            let aside = match quarantined {
                0 => String::new(),
                rows => format!(", {} quarantined", count(*rows)),
            };
            format!("{source}: {} committed{aside}{version}", plural(*rows, "row"))
        }
        UpEvent::SourceFailed { source, wait_ms, fault, .. } => {
            format!("{source}: {}; again in {}\n  {}", fault.error, seconds(*wait_ms), fault.advice)
        }
        UpEvent::SourceRecovered { source, failures } => {
            format!("{source}: goes on again behind {}", plural(u64::from(*failures), "failure"))
        }
        UpEvent::SourceFinished { source, rows } => format!("{source}: read to its end, {}", plural(*rows, "row")),
        UpEvent::BreakerTurned(turned) => {
            let rate = |rate: Option<f64>, what: &str| rate.map(|rate| format!("{rate:.0} % of the calls {what}"));
            let rates: Vec<String> = [rate(turned.failure_rate, "failed"), rate(turned.slow_call_rate, "were slow")]
                .into_iter()
                .flatten()
                .collect();
            let because = match turned.to {
                BreakerState::Open => format!(": {}", rates.join(", ")),
                BreakerState::HalfOpen => ": some calls are tried".to_owned(),
                BreakerState::Closed => String::new(),
            };
            format!("breaker of {}: {} → {}{because}", turned.system, turned.from.word(), turned.to.word())
        }
        UpEvent::ModelsFailed { wait_ms, fault } => {
            format!("{}; made again with the next commit, or in {}", fault.error, seconds(*wait_ms))
        }
        UpEvent::ResumeFailed { wait_ms, fault } => {
            format!("can't go on yet: {}; again in {}\n  {}", fault.error, seconds(*wait_ms), fault.advice)
        }
        UpEvent::Draining => "stopping: nothing more is pulled, what is whole is committed".to_owned(),
        UpEvent::Stopped { left } if left.is_empty() => "stopped; all that was read is committed".to_owned(),
        UpEvent::Stopped { left } => format!("stopped; not at their end: {}", left.join(", ")),
    }
}

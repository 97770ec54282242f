//! A run while it goes on: bars on a terminal, one JSON line per event otherwise.

use crate::work::Report;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use orchestrate::Event;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Where events go.
pub enum Progress {
    Bars { all: MultiProgress, bars: Mutex<BTreeMap<String, ProgressBar>> },
    Lines,
    Quiet,
}

impl Progress {
    /// Bars if somebody is looking at stderr.
    pub fn new(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bars { all: MultiProgress::new(), bars: Mutex::default() },
            (false, false) => Self::Lines,
        }
    }

    pub fn event(&self, event: &Event<Report>) {
        match self {
            Self::Quiet => {}
            Self::Lines => {
                if let Ok(line) = serde_json::to_string(event) {
                    eprintln!("{line}");
                }
            }
            Self::Bars { all, bars } => bar(all, &mut bars.lock().unwrap_or_else(PoisonError::into_inner), event),
        }
    }
}

fn bar(all: &MultiProgress, bars: &mut BTreeMap<String, ProgressBar>, event: &Event<Report>) {
    match event {
        Event::NodeStarted { node } => {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<28} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_prefix(node.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bars.insert(node.clone(), bar);
        }
        Event::NodeProgress { node, rows, bytes } => {
            if let Some(bar) = bars.get(node) {
                bar.set_message(format!("{} rows, {}", super::count(*rows), super::bytes(*bytes)));
            }
        }
        Event::NodeRetried { node, attempt, wait_ms, fault } => {
            if let Some(bar) = bars.get(node) {
                bar.set_message(format!(
                    "attempt {attempt} failed ({}); again in {}",
                    fault.error,
                    super::seconds(*wait_ms)
                ));
            }
        }
        Event::NodeFinished { node, .. } | Event::NodeFailed { node, .. } | Event::NodeCancelled { node, .. } => {
            if let Some(bar) = bars.remove(node) {
                bar.finish_and_clear();
            }
        }
        Event::RunFinished { .. } => drop(all.clear()),
        Event::RunStarted { .. } | Event::NodeSkipped { .. } => {}
    }
}

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

const SPINNER: &str = "{spinner} {prefix:<28} {msg} {elapsed}";
const BAR: &str = "{spinner} {prefix:<28} [{bar:20}] {percent:>3} % {msg} {elapsed}";

fn bar(all: &MultiProgress, bars: &mut BTreeMap<String, ProgressBar>, event: &Event<Report>) {
    match event {
        Event::NodeStarted { node } => {
            let bar = all.add(ProgressBar::new_spinner());
            style(&bar, SPINNER);
            bar.set_prefix(node.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bars.insert(node.clone(), bar);
        }
        Event::NodeProgress { node, rows, bytes, bytes_total } => {
            if let Some(bar) = bars.get(node) {
                move_on(bar, *rows, *bytes, *bytes_total);
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

/// A template of ours is right; were it not, the bar keeps the one that it has.
fn style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

fn move_on(bar: &ProgressBar, rows: u64, bytes: u64, bytes_total: Option<u64>) {
    if let Some(total) = bytes_total {
        if bar.length() != Some(total) {
            style(bar, BAR);
            bar.set_length(total);
        }
        bar.set_position(bytes);
    }
    bar.set_message(message(rows, bytes, bytes_total, bar.elapsed()));
}

/// `1,200 rows, 3.0 MB of 12.0 MB, 1.5 MB/s`
fn message(rows: u64, bytes: u64, bytes_total: Option<u64>, elapsed: Duration) -> String {
    let of = bytes_total.map_or(String::new(), |total| format!(" of {}", super::bytes(total)));
    let rate = bytes as f64 / elapsed.as_secs_f64().max(0.001);
    format!("{} rows, {}{of}, {}/s", super::count(rows), super::bytes(bytes), super::bytes(rate as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_with_known_bytes_has_a_bar_with_its_share_and_rate() {
        let bar = ProgressBar::hidden();
        move_on(&bar, 1_200, 3_000_000, Some(12_000_000));
        assert_eq!((bar.length(), bar.position()), (Some(12_000_000), 3_000_000));
        let shown = message(1_200, 3_000_000, Some(12_000_000), Duration::from_secs(2));
        assert_eq!(shown, "1,200 rows, 3.0 MB of 12.0 MB, 1.5 MB/s");
        assert_eq!(message(5, 10, None, Duration::from_secs(1)), "5 rows, 10 B, 10 B/s");
    }
}

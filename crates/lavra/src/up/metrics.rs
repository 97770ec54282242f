//! The document of a process in Prometheus' text format, version 0.0.4.

use super::state::{ProcessState, ProcessView};
use orchestrate::BreakerState;
use orchestrate::up::{LineState, SourceView};
use std::fmt::Write;

/// One metric: its name, what it is, its kind, and its value for each set of labels.
struct Metric {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
}

pub fn text(view: &ProcessView) -> String {
    let mut out = String::new();
    let up = f64::from(u8::from(view.state == ProcessState::Running));
    metric(
        &mut out,
        Metric { name: "lavra_up", help: "1 while the process runs, 0 while it drains.", kind: "gauge" },
        [(vec![("project", view.project.as_str())], up)],
    );
    states(&mut out, view);
    counters(&mut out, view);
    gauges(&mut out, view);
    breakers(&mut out, view);
    models(&mut out, view);
    out
}

fn states(out: &mut String, view: &ProcessView) {
    let rows = view.sources.iter().flat_map(|source| {
        LineState::ALL
            .into_iter()
            .map(|state| (labels(source, &[("state", state.word())]), f64::from(u8::from(source.state == state))))
    });
    let help = "1 for the state that a source is in.";
    metric(out, Metric { name: "lavra_source_state", help, kind: "gauge" }, rows);
}

fn counters(out: &mut String, view: &ProcessView) {
    type Counter = (&'static str, &'static str, fn(&SourceView) -> u64);
    let all: [Counter; 6] = [
        ("lavra_source_rows_read_total", "Rows pulled.", |s| s.rows_read),
        ("lavra_source_bytes_read_total", "Bytes pulled, as they are in memory.", |s| s.bytes_read),
        ("lavra_source_rows_committed_total", "Rows visible in bronze.", |s| s.rows_committed),
        ("lavra_source_rows_quarantined_total", "Rows set aside.", |s| s.rows_quarantined),
        ("lavra_source_commits_total", "Commits.", |s| s.commits),
        ("lavra_source_failures_total", "Failures behind which a source was opened again.", |s| s.failures),
    ];
    for (name, help, of) in all {
        let rows = view.sources.iter().map(|source| (labels(source, &[]), of(source) as f64));
        metric(out, Metric { name, help, kind: "counter" }, rows);
    }
}

fn gauges(out: &mut String, view: &ProcessView) {
    type Gauge = (&'static str, &'static str, fn(&SourceView) -> Option<f64>);
    let all: [Gauge; 5] = [
        ("lavra_source_rows_per_second", "Rows pulled, over the last ten seconds.", |s| Some(s.rows_per_second)),
        ("lavra_source_lag_partitions", "Partitions with something to read, when that was counted last.", |s| {
            s.lag.map(|lag| lag.partitions as f64)
        }),
        ("lavra_source_lag_bytes", "Bytes of these partitions, where they are known.", |s| {
            s.lag.map(|lag| lag.bytes as f64)
        }),
        ("lavra_source_version", "The version of the bronze table.", |s| s.version.map(|version| version as f64)),
        ("lavra_source_last_commit_timestamp_seconds", "When the last commit was made.", |s| {
            s.committed_at.map(seconds)
        }),
    ];
    for (name, help, of) in all {
        let rows = view.sources.iter().filter_map(|source| Some((labels(source, &[]), of(source)?)));
        metric(out, Metric { name, help, kind: "gauge" }, rows);
    }
}

fn breakers(out: &mut String, view: &ProcessView) {
    let all = [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen];
    let rows = view.breakers.iter().flat_map(|(system, breaker)| {
        all.into_iter().map(move |state| {
            (vec![("system", system.as_str()), ("state", state.word())], f64::from(u8::from(breaker.state == state)))
        })
    });
    let help = "1 for the state that the breaker of an outside system is in.";
    metric(out, Metric { name: "lavra_breaker_state", help, kind: "gauge" }, rows);
    let of = |out: &mut String, name, help, kind, value: fn(&orchestrate::BreakerView) -> Option<f64>| {
        let rows = view.breakers.iter();
        let rows = rows.filter_map(|(system, breaker)| Some((vec![("system", system.as_str())], value(breaker)?)));
        metric(out, Metric { name, help, kind }, rows);
    };
    let rate = "Percentage of the calls in the window that failed; absent with too few calls.";
    of(out, "lavra_breaker_failure_rate", rate, "gauge", |b| b.failure_rate);
    let rate = "Percentage of the calls in the window that were slow; absent with too few calls.";
    of(out, "lavra_breaker_slow_call_rate", rate, "gauge", |b| b.slow_call_rate);
    of(out, "lavra_breaker_buffered_calls", "Calls in the window.", "gauge", |b| Some(b.buffered_calls as f64));
    let help = "Calls that an open breaker refused.";
    of(out, "lavra_breaker_not_permitted_calls_total", help, "counter", |b| Some(b.not_permitted_calls as f64));
}

fn models(out: &mut String, view: &ProcessView) {
    let failed = |status: &str| f64::from(u8::from(status == "failed"));
    let rows = view.models.iter().map(|model| (vec![("model", model.model.as_str())], failed(&model.status)));
    let help = "1 while the last time that a model was made failed.";
    metric(out, Metric { name: "lavra_model_failed", help, kind: "gauge" }, rows);
    let made = view.models.iter();
    let rows = made.filter_map(|model| Some((vec![("model", model.model.as_str())], seconds(model.made_at?))));
    let help = "When a model was made last.";
    metric(out, Metric { name: "lavra_model_last_made_timestamp_seconds", help, kind: "gauge" }, rows);
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

fn labels<'a>(source: &'a SourceView, more: &[(&'static str, &'a str)]) -> Labels<'a> {
    std::iter::once(("source", source.source.as_str())).chain(more.iter().copied()).collect()
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn metric<'a>(out: &mut String, metric: Metric, rows: impl IntoIterator<Item = (Labels<'a>, f64)>) {
    let Metric { name, help, kind } = metric;
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return;
    }
    // Writing into text can't fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in rows {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(out, "{name}{{{}}} {value}", labels.join(","));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::clock::{Clock, ManualClock};
    use orchestrate::up::Board;
    use orchestrate::{Breakers, Holder};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn every_metric_is_said_once_with_its_kind_and_labels_are_escaped() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_700_000_000_000_000));
        let source = |name: &str| (name.to_owned(), "continuous".to_owned(), "db:5432".to_owned());
        let breakers = Breakers::new(Default::default(), Duration::from_secs(1), clock.clone(), |_| {});
        assert!(breakers.guard("db:5432").retry_at().is_none());
        let view = ProcessView {
            project: "a \"b\"".into(),
            environment: "local".into(),
            holder: Holder::of_this_process("lavra up", clock.as_ref()),
            state: ProcessState::Running,
            updated_at: 0,
            address: None,
            sources: Board::new(clock, ["orders", "people"].map(source)).views(),
            breakers: breakers.views(),
            models: Vec::new(),
        };
        let text = text(&view);
        assert!(text.contains("lavra_up{project=\"a \\\"b\\\"\"} 1"), "{text}");
        assert!(text.contains("lavra_source_state{source=\"people\",state=\"starting\"} 1"), "{text}");
        assert!(text.contains("lavra_breaker_state{system=\"db:5432\",state=\"closed\"} 1"), "{text}");
        let mut heads: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let all = heads.len();
        heads.dedup();
        assert_eq!((heads.len(), text.lines().filter(|line| line.starts_with("# HELP")).count()), (all, all));
        let is_sound = |line: &str| {
            line.starts_with('#') || line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok())
        };
        assert!(text.lines().all(is_sound), "{text}");
    }
}

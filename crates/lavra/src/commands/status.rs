use super::Outcome;
use crate::cli::Context;
use crate::clock::SystemClock;
use crate::project::STATE;
use crate::show::{self, Format, bytes, count, print_records};
use crate::up::{ProcessState, ProcessView, is_over, processes};
use kernel::clock::Clock;
use kernel::error::{Error, Result};
use orchestrate::BreakerState;
use orchestrate::up::{LineState, SourceView};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

/// Shows the sources of `lavra up` and of workers: state, circuit breaker, lag, rows per second, last commit, and the last
/// error with its remedy. Ends with 1 when nothing is at work, a process has died or a source has to be mended, with 4 when
/// one waits for an outside system, else with 0.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra status
  lavra status --watch
  lavra status --format json | jq '.processes[].sources[] | select(.state == \"failed\")'")]
pub struct Status {
    /// Show it again every second, in place on a terminal, until control-C
    #[arg(long, short)]
    pub watch: bool,
}

pub async fn run(context: &Context, args: Status) -> Outcome {
    let state = context.ask()?.folder.join(STATE);
    loop {
        let now = SystemClock::default().now().0;
        let all = current(processes(&state));
        if args.watch && context.format == Format::Table && std::io::stdout().is_terminal() {
            // Home, and what is below goes.
            print!("\x1b[H\x1b[2J");
        }
        show_all(context.format, &all, now)?;
        if !args.watch {
            return Ok(exit(&all));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What is at work, and what died with sources that nobody has taken in since; when nothing is at work, what was last.
fn current(mut all: Vec<ProcessView>) -> Vec<ProcessView> {
    if all.iter().all(is_over) {
        return all.split_off(all.len().saturating_sub(1));
    }
    let of = |view: &ProcessView| view.sources.iter().map(|source| source.source.clone()).collect::<Vec<_>>();
    let mut had: BTreeSet<String> = all.iter().filter(|view| !is_over(view)).flat_map(of).collect();
    for view in all.iter_mut().rev().filter(|view| is_over(view)) {
        view.sources.retain(|source| had.insert(source.source.clone()));
    }
    all.retain(|view| !is_over(view) || view.state == ProcessState::Dead && !view.sources.is_empty());
    all
}

fn is_at_work(view: &ProcessView) -> bool {
    matches!(view.state, ProcessState::Running | ProcessState::Draining)
}

fn exit(all: &[ProcessView]) -> u8 {
    let states = || all.iter().flat_map(|view| &view.sources).map(|source| source.state);
    let is_dead = |view: &ProcessView| view.state == ProcessState::Dead;
    if !all.iter().any(is_at_work) || all.iter().any(is_dead) || states().any(|state| state == LineState::Failed) {
        return 1;
    }
    if states().any(|state| state == LineState::Retrying) { 4 } else { 0 }
}

/// A source as a line, with the process that knows of it.
#[derive(serde::Serialize)]
struct Line<'a> {
    source: &'a SourceView,
    process: &'a ProcessView,
}

fn show_all(format: Format, all: &[ProcessView], now: i64) -> Result<()> {
    if format == Format::Json {
        let text = serde_json::to_string(&json!({ "processes": all })).map_err(|e| Error::internal("print", e))?;
        println!("{text}");
        return Ok(());
    }
    if all.is_empty() {
        show::say(format, "nothing is at work in this project; `lavra up` starts it");
        return Ok(());
    }
    all.iter().for_each(|view| show::say(format, &heading(view, now)));
    // A source that a process only waits for is shown by the one that has it.
    let has_it = |line: &Line<'_>| line.source.state != LineState::Elsewhere;
    let mut lines: Vec<Line<'_>> =
        all.iter().flat_map(|process| process.sources.iter().map(move |source| Line { source, process })).collect();
    let shown: Vec<String> = lines.iter().filter(|line| has_it(line)).map(|line| line.source.source.clone()).collect();
    lines.retain(|line| has_it(line) || !shown.contains(&line.source.source));
    lines.sort_by(|a, b| a.source.source.cmp(&b.source.source));
    table(format, &lines, now)?;
    if format == Format::Table {
        troubles(all, &lines, now);
    }
    Ok(())
}

fn heading(view: &ProcessView, now: i64) -> String {
    let place = view.address.map(|at| format!(", http://{at}/status")).unwrap_or_default();
    let what = format!("{} in {}: {}", view.project, view.environment, view.holder);
    let since = show::rfc3339(view.updated_at).chars().take(19).collect::<String>().replace('T', " ");
    match view.state {
        ProcessState::Running if now - view.updated_at > 10_000_000 => {
            format!("{what} has told nothing for {}{place}", ago(view.updated_at, now))
        }
        ProcessState::Running => format!("{what}{place}"),
        ProcessState::Draining => format!("{what} is stopping"),
        ProcessState::Paused => format!("{what} made way at {since} UTC for a command that has the project alone"),
        ProcessState::Stopped => format!("{what} was stopped at {since} UTC; nothing is at work now"),
        ProcessState::Dead => {
            format!(
                "{what} ended without a word after {since} UTC; nothing is lost, it goes on when it is started again"
            )
        }
    }
}

fn table(format: Format, lines: &[Line<'_>], now: i64) -> Result<()> {
    print_records(
        format,
        lines,
        &[
            ("source", &|l| l.source.source.clone()),
            ("state", &|l| state(l, now)),
            ("system", &|l| l.source.system.clone()),
            ("breaker", &|l| breaker(l)),
            ("lag", &|l| lag(l.source)),
            ("rows/s", &|l| if is_at_work(l.process) { rate(l.source) } else { String::new() }),
            ("rows", &|l| rows(l.source)),
            ("last commit", &|l| commit(l.source, now)),
        ],
    )
}

/// Committed since the process started: `1,200, 3 aside`.
fn rows(source: &SourceView) -> String {
    match (source.rows_committed, source.rows_quarantined) {
        (0, 0) => String::new(),
        (rows, 0) => count(rows),
        (rows, aside) => format!("{}, {} aside", count(rows), count(aside)),
    }
}

/// `version 12, 3 s ago`
fn commit(source: &SourceView, now: i64) -> String {
    let version = source.version.map(|version| format!("version {version}"));
    let when = source.committed_at.map(|at| format!("{} ago", ago(at, now)));
    [version, when].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn state(line: &Line<'_>, now: i64) -> String {
    let word = line.source.state.word();
    match line.process.state {
        ProcessState::Running | ProcessState::Draining => {}
        ProcessState::Dead => return "dead".to_owned(),
        ProcessState::Paused | ProcessState::Stopped => return LineState::Stopped.word().to_owned(),
    }
    match (line.source.state, line.source.next_at) {
        (LineState::Waiting | LineState::Retrying | LineState::Failed, Some(next)) if next < i64::MAX => {
            format!("{word}, next in {}", ago(now, next))
        }
        _ => word.to_owned(),
    }
}

fn breaker(line: &Line<'_>) -> String {
    let Some(breaker) = line.process.breakers.get(&line.source.system) else { return String::new() };
    let share = |rate: Option<f64>, what| rate.filter(|rate| *rate > 0.0).map(|rate| format!("{rate:.0} % {what}"));
    let shares = [share(breaker.failure_rate, "failed"), share(breaker.slow_call_rate, "slow")];
    match breaker.state {
        BreakerState::Open => format!("open ({})", shares.into_iter().flatten().collect::<Vec<_>>().join(", ")),
        state => state.word().replace('_', "-"),
    }
}

fn lag(source: &SourceView) -> String {
    match source.lag {
        None => String::new(),
        Some(lag) if lag.partitions == 0 => "none".to_owned(),
        Some(lag) if lag.bytes == 0 => format!("{} to read", count(lag.partitions)),
        Some(lag) => format!("{} to read, {}", count(lag.partitions), bytes(lag.bytes)),
    }
}

fn rate(source: &SourceView) -> String {
    match source.rows_per_second {
        0.0 => String::new(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => count(rate as u64),
    }
}

/// What somebody has to look at, below the table: errors that are not over, and models that could not be made.
fn troubles(all: &[ProcessView], lines: &[Line<'_>], now: i64) {
    for Line { source, process } in lines {
        let is_over = !matches!(source.state, LineState::Failed | LineState::Retrying) && is_at_work(process);
        if let Some(failure) = source.last_failure.as_ref().filter(|_| !is_over) {
            println!("{}, {} ago: {}\n  {}", source.source, ago(failure.at, now), failure.error, failure.remedy);
        }
        // One that was taken over since is known to have had another holder.
        if let Some(holder) = source.holder.as_ref().filter(|_| source.state == LineState::Elsewhere) {
            println!("{} is taken in by {holder}", source.source);
        }
    }
    for model in all.iter().flat_map(|view| &view.models).filter(|model| model.status == "failed") {
        if let Some(failure) = &model.last_failure {
            println!("{}, {} ago: {}\n  {}", model.model, ago(failure.at, now), failure.error, failure.remedy);
        }
    }
}

/// `12 s`, `3 min`, `2 h`, `4 days`
fn ago(from: i64, to: i64) -> String {
    let seconds = to.saturating_sub(from).max(0) / 1_000_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

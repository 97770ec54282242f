//! A run when it is over.

use super::{Format, bytes, count, print_records, say, seconds};
use crate::commands::run::Ran;
use crate::upkeep::{Aged, Purged, Upkept, Vacuumed};
use crate::work::Report;
use kernel::diagnostic::Diagnostic;
use kernel::error::Result;
use orchestrate::{End, Ended, Status};
use serde_json::json;
use std::collections::BTreeMap;

/// Prints what became of a run: one JSON document, or a table with what was masked, set aside and gone wrong.
pub fn summary(format: Format, ran: &Ran, warnings: &[Diagnostic]) -> Result<()> {
    let outcome = &ran.outcome;
    if format == Format::Json {
        println!("{}", document(ran, warnings));
        return Ok(());
    }
    let report = |node: &Ended<Report>| node.end.report().cloned().unwrap_or_default();
    let number = |number: u64| if number == 0 { String::new() } else { count(number) };
    print_records(
        format,
        &outcome.nodes,
        &[
            ("table", &|n| if report(n).table.is_empty() { n.node.clone() } else { report(n).table }),
            ("status", &|n| word(n.end.status()).to_owned()),
            ("rows in", &|n| number(report(n).rows_read)),
            ("rows out", &|n| number(report(n).rows_written)),
            ("quarantined", &|n| number(report(n).rows_quarantined)),
            ("written", &|n| if report(n).bytes_written == 0 { String::new() } else { bytes(report(n).bytes_written) }),
            ("version", &|n| report(n).version.map_or(String::new(), |v| v.to_string())),
            ("time", &|n| seconds(n.elapsed_ms)),
        ],
    )?;
    let mut masked: BTreeMap<String, u64> = BTreeMap::new();
    for (kind, number) in outcome.nodes.iter().flat_map(|n| report(n).values_masked) {
        *masked.entry(kind).or_default() += number;
    }
    if !masked.is_empty() {
        let list: Vec<String> = masked.iter().map(|(kind, number)| format!("{kind} {}", count(*number))).collect();
        say(format, &format!("masked before they were stored: {}", list.join(", ")));
    }
    for node in &outcome.nodes {
        let report = report(node);
        let because = report.quarantined_because.iter().map(|(cause, number)| format!("{cause} {}", count(*number)));
        let because: Vec<String> = because.collect();
        if !because.is_empty() {
            say(format, &format!("quarantined from {}: {}", report.table, because.join(", ")));
        }
    }
    if outcome.nodes.iter().all(|n| n.end.status() == Status::UpToDate) && !outcome.nodes.is_empty() {
        say(format, "nothing new: no table was touched");
    }
    upkeep(format, &ran.upkept);
    for warning in outcome.nodes.iter().filter_map(|n| report(n).warning) {
        eprintln!("warning: {warning}");
    }
    for node in &outcome.nodes {
        match &node.end {
            End::Failed { error, .. } => {
                eprintln!("error in {}: {error}\n  {}", node.node, kernel::advice(error.kind).sentence)
            }
            End::Skipped { because } => eprintln!("{} was not run, because {because} failed", node.node),
            End::Cancelled { because, .. } => eprintln!("{} was not finished: {because}", node.node),
            End::Done { .. } | End::UpToDate { .. } => {}
        }
    }
    Ok(())
}

/// What upkeep did, or would do.
pub fn upkeep(format: Format, upkept: &Upkept) {
    let of = |aged: &Aged| format!("{} {} rows older than {} days", aged.table, count(aged.rows), aged.days);
    let tell = |what: &str, list: Vec<String>| {
        if !list.is_empty() {
            say(format, &format!("{what}: {}", list.join(", ")));
        }
    };
    let (held, free): (Vec<&Aged>, Vec<&Aged>) = upkept.aged.iter().partition(|aged| aged.held.is_some());
    tell("deleted by age", free.into_iter().map(of).collect());
    tell("too old, and kept by law", held.into_iter().map(of).collect());
    let files =
        |gone: &Vacuumed| format!("{} before version {} ({} files)", gone.table, gone.floor.unwrap_or(0), gone.files);
    tell("old versions removed", upkept.vacuumed.iter().map(files).collect());
    let person = |purged: &Purged| match &purged.purged_at {
        Some(_) => purged.pseudonym.clone(),
        None => format!("{} in part", purged.pseudonym),
    };
    tell("old versions of forgotten people removed", upkept.purged.iter().map(person).collect());
    for sentence in &upkept.failed {
        eprintln!("error in upkeep: {sentence}");
    }
}

fn document(ran: &Ran, warnings: &[Diagnostic]) -> serde_json::Value {
    json!({
        "run_id": ran.run_id,
        "seconds": ran.outcome.elapsed_ms as f64 / 1000.0,
        "exit": ran.exit(),
        "warnings": warnings,
        "nodes": ran.outcome.nodes,
        "upkeep": ran.upkept,
    })
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Done => "done",
        Status::UpToDate => "up to date",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
        Status::Cancelled => "cancelled",
    }
}

//! `lavra doctor`: looks whether everything is there that a run needs.

mod project;

use super::Outcome;
use super::up::known;
use crate::cli::Context;
use crate::project::Source;
use crate::relay;
use crate::show::{self, Format, print_records};
use crate::wiring::Wiring;
use crate::work::opening;
use connect::{Finding, Grade};
use futures::future::join_all;
use govern::registry::{Remote, Schemas};
use kernel::error::{Error, Kind, Result, advice};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;

/// How long one source may take to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// Looks at the project's own places (lake, free disk, keys, clock, ledger) and at each source: can it be reached, may it
/// be read, is it set up as it must be. Changes nothing. Ends with 4 when an outside system can't be reached, with 1 when
/// something else is bad.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra doctor
  lavra doctor orders customers
  lavra doctor --format json | jq '.findings[] | select(.grade == \"bad\")'")]
pub struct Doctor {
    /// Sources to look at [default: all, and the project itself]
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,
}

/// A finding with what it is about.
#[derive(Debug, Serialize)]
pub struct Told {
    /// `project`, or a source's name.
    about: String,
    #[serde(flatten)]
    finding: Finding,
    /// Whether it is that something does not answer.
    #[serde(skip)]
    is_unreachable: bool,
}

impl Told {
    fn project(subject: &'static str, grade: Grade, found: impl Into<String>, remedy: Option<String>) -> Self {
        let finding = Finding { subject, grade, found: found.into(), remedy };
        Self { about: "project".to_owned(), finding, is_unreachable: false }
    }

    fn failed(about: &str, subject: &'static str, error: &Error) -> Self {
        let remedy = Some(advice(error.kind).sentence.to_owned());
        let finding = Finding { subject, grade: Grade::Bad, found: error.to_string(), remedy };
        Self { about: about.to_owned(), finding, is_unreachable: error.kind == Kind::Unreachable }
    }
}

pub async fn run(context: &Context, args: Doctor) -> Outcome {
    let wiring = Wiring::open(context.ask()?).await?;
    show::warnings(context.format, &wiring.project);
    known(&wiring, &args.sources)?;
    let mut told = if args.sources.is_empty() { project::look(&wiring).await } else { Vec::new() };
    let all = wiring.project.sources.iter();
    let meant = all.filter(|source| args.sources.is_empty() || args.sources.contains(&source.name));
    told.extend(join_all(meant.map(|source| look(&wiring, source))).await.into_iter().flatten());
    super::run::keep_tokens(LIMIT).await;
    show_all(context.format, &told)?;
    Ok(exit(&told))
}

/// What a source's connector finds.
async fn look(wiring: &Wiring, source: &Source) -> Vec<Told> {
    let Some(spec) = connect::by_name(&source.config.connector) else { return Vec::new() };
    let from = match relay::reached(wiring, source).await {
        Ok(from) => from,
        Err(error) => return vec![Told::failed(&source.name, "progress", &error)],
    };
    let opening = opening(wiring, source, from);
    let silent = |_| Error::new(Kind::Unreachable, "ask it", format!("it did not answer within {} s", LIMIT.as_secs()));
    let mut told = in_log(wiring, source).await;
    told.extend(registry(source).await);
    let findings = match tokio::time::timeout(LIMIT, spec.probe(&opening)).await.map_err(silent) {
        Ok(findings) => findings,
        Err(error) => {
            told.push(Told::failed(&source.name, "reachability", &error));
            return told;
        }
    };
    // A connector says in words that it reaches nothing; the kind of a look's error tells programs.
    let is_bad = findings.iter().any(|finding| finding.grade == Grade::Bad);
    let is_unreachable = is_bad && {
        let pending = tokio::time::timeout(LIMIT, spec.pending(&opening)).await;
        pending.map_or(true, |pending| pending.is_err_and(|error| error.kind == Kind::Unreachable))
    };
    told.extend(findings.into_iter().map(|finding: Finding| {
        let is_unreachable = is_unreachable && finding.grade == Grade::Bad;
        Told { about: source.name.clone(), finding, is_unreachable }
    }));
    told
}

/// The registry that a source's records were written with, which is not the environment's.
async fn registry(source: &Source) -> Option<Told> {
    let text = |option: &str| source.config.options.get(option).and_then(serde_json::Value::as_str);
    let url = text("registry")?;
    // What is asked for need not be there. Where only some subjects may be read, these records' are among them.
    let subject = format!("{}-value", text("topic").unwrap_or(&source.name));
    Some(match ask(url, &subject).await {
        Ok(place) => {
            let found = format!("{place} answers");
            let finding = Finding { subject: "registry", grade: Grade::Good, found, remedy: None };
            Told { about: source.name.clone(), finding, is_unreachable: false }
        }
        Err(error) => Told::failed(&source.name, "registry", &error),
    })
}

async fn ask(url: &str, subject: &str) -> Result<String> {
    let registry = Remote::new(url)?;
    registry.version(subject, None).await?;
    Ok(registry.place())
}

/// How many rows wait in the source's topic, if the table may go on there.
async fn in_log(wiring: &Wiring, source: &Source) -> Vec<Told> {
    let behind = async {
        let Some(relay) = relay::Relay::of(wiring, source).await? else { return Ok(None) };
        relay.refuse_other_table(wiring, source).await?;
        let (_, offsets) = relay.behind(wiring, source).await?;
        Ok(Some(format!("{}: {} behind {}", relay.topic(), show::plural(offsets, "offset"), source.table)))
    };
    match behind.await {
        Ok(None) => Vec::new(),
        Ok(Some(found)) => {
            let finding = Finding { subject: "broker", grade: Grade::Good, found, remedy: None };
            vec![Told { about: source.name.clone(), finding, is_unreachable: false }]
        }
        Err(error) => vec![Told::failed(&source.name, "broker", &error)],
    }
}

fn exit(told: &[Told]) -> u8 {
    let is_bad = |told: &&Told| told.finding.grade == Grade::Bad;
    match (told.iter().filter(is_bad).count(), told.iter().any(|told| told.is_unreachable)) {
        (0, _) => 0,
        (_, true) => advice(Kind::Unreachable).exit,
        (_, false) => 1,
    }
}

fn show_all(format: Format, told: &[Told]) -> Result<()> {
    if format == Format::Json {
        println!("{}", json!({ "exit": exit(told), "findings": told }));
        return Ok(());
    }
    print_records(
        format,
        told,
        &[
            ("about", &|t| t.about.clone()),
            ("looked at", &|t| t.finding.subject.to_owned()),
            ("grade", &|t| word(t.finding.grade).to_owned()),
            ("found", &|t| t.finding.found.clone()),
            ("remedy", &|t| t.finding.remedy.clone().unwrap_or_default()),
        ],
    )?;
    let number = |grade: Grade| told.iter().filter(|told| told.finding.grade == grade).count() as u64;
    let (bad, warnings) = (number(Grade::Bad), number(Grade::Warning));
    match (bad, warnings) {
        (0, 0) => show::say(format, "all is well"),
        _ => show::say(format, &format!("{} bad, {}", show::count(bad), show::plural(warnings, "warning"))),
    }
    Ok(())
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "good",
        Grade::Warning => "warning",
        Grade::Bad => "bad",
    }
}

//! `lavra scan`: what is in files, whose data it is, and what a project should make of it.

mod column_type;
pub(super) mod group;
pub(super) mod look;
pub(super) mod name;
mod nested;
pub(super) mod print;
pub(super) mod propose;
pub(super) mod target;
pub(super) mod watch;
pub(super) mod write;

use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Format};
use crate::wiring::{Failure, Wiring};
use group::Group;
use kernel::error::Error;
use kernel::name::TableName;
use look::Looked;
use propose::{Proposal, Proposer, Record};
use serde_json::{Map, Value};
use target::{Project, Target};
use write::Written;

/// Looks for personal data, column by column, and proposes sources, contracts and masks.
///
/// Values are looked at and forgotten: an example shows the shape of a value (999.999.999-99), never a value.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra scan data/*.csv                    what is in these files
  lavra scan data/*.csv --write            and write sources/ and contracts/ for them
  lavra scan export.txt --set delimiter='|' --set header=false --set format=csv
  lavra scan s3://acme/raw/orders-*.parquet --format json
  lavra scan payments                      a source of this project
  lavra scan bronze.payments               a table: what is still readable in it?")]
pub struct Scan {
    /// Files, patterns, folders or URLs; a source's name; or `layer.table`
    #[arg(required = true, value_name = "FILE|SOURCE|TABLE")]
    pub what: Vec<String>,
    /// Write sources/<table>.yaml and contracts/<table>.yaml into the project, where there are none
    #[arg(long)]
    pub write: bool,
    /// With --write: replace files that are there
    #[arg(long, requires = "write")]
    pub force: bool,
    /// Look at about this many rows of each table
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: u64,
    /// An option of the files connector: `delimiter=;`, `encoding=latin-1`, `header=false`, …
    #[arg(long = "set", value_name = "OPTION=VALUE", value_parser = group::option)]
    pub options: Vec<(String, Value)>,
}

/// A table with what is proposed for it.
struct Found {
    looked: Looked,
    proposal: Proposal,
    origin: Origin,
}

/// Where a table's rows come from, which says what can be written.
enum Origin {
    Files(Group),
    /// The name of its contract, and whether it reads JSON.
    Source(String, bool),
    Lake,
}

pub async fn run(context: &Context, args: Scan) -> Outcome {
    if args.write {
        // Without a project there is no place to write to: the search for one says so.
        context.ask()?;
    }
    let project = Project::open(context)?;
    let files = project.files(args.options.iter().cloned().collect::<Map<_, _>>())?;
    files.check()?;
    let proposer = Proposer::new(project.config.as_ref().map(|config| config.masks.clone()).unwrap_or_default());
    let targets = target::find(&project, &files, &args.what).await?;
    let is_one = targets.len() == 1;
    let (mut found, mut exit) = (Vec::new(), 0);
    for target in targets {
        match look_at(&project, &files, target, args.rows).await {
            Ok((looked, origin)) => {
                let proposal = propose(&proposer, &looked, &origin, &files);
                found.push(Found { looked, proposal, origin });
            }
            // One broken file of many is no reason not to look at the others.
            Err(Failure::Error(error)) if !is_one => {
                eprintln!("error: {error}");
                exit = kernel::advice(error.kind).exit.max(exit);
            }
            Err(failure) => return Err(failure),
        }
    }
    show(context.format, &found)?;
    if args.write {
        write_all(context.format, &project, &files, &proposer, &found, args.force).await?;
    } else {
        hint(context.format, &project, &found);
    }
    Ok(exit)
}

async fn look_at(
    project: &Project,
    files: &group::Files,
    target: Target,
    rows: u64,
) -> Result<(Looked, Origin), Failure> {
    Ok(match target {
        Target::Files(group) => (look::files(files, &group, rows).await?, Origin::Files(group)),
        Target::Source(source) => {
            let looked = look::source(&source.spec, source.opening, rows, &project.own_kinds).await?;
            (looked, Origin::Source(source.contract, source.is_json))
        }
        Target::Table(name) => (table(project, &name, rows).await?, Origin::Lake),
    })
}

async fn table(project: &Project, name: &TableName, rows: u64) -> Result<Looked, Failure> {
    let Some(ask) = &project.ask else {
        return Err(Error::project(format!("scan {name}"), "a table is looked at from inside its project").into());
    };
    let wiring = Wiring::open(ask.clone()).await?;
    Ok(look::table(&wiring.engine, name, rows, &project.own_kinds).await?)
}

fn propose(proposer: &Proposer, looked: &Looked, origin: &Origin, files: &group::Files) -> Proposal {
    match origin {
        Origin::Files(group) => {
            let is_json = write::is_json(&group.files, &files.options);
            proposer.propose(looked, is_json, write::may_have_key(&group.files))
        }
        Origin::Source(_, is_json) => proposer.propose(looked, *is_json, true),
        Origin::Lake => proposer.propose(looked, false, false),
    }
}

fn show(format: Format, found: &[Found]) -> Result<(), Error> {
    for Found { looked, proposal, .. } in found {
        show::say(format, &print::heading(looked));
        print::notes(looked, proposal).iter().for_each(|note| show::say(format, &format!("  {note}")));
        if format == Format::Table && !proposal.records.is_empty() {
            print::records(format, &proposal.records)?;
        }
    }
    if format != Format::Table {
        let all: Vec<Record> = found.iter().flat_map(|found| found.proposal.records.clone()).collect();
        print::records(format, &all)?;
    }
    Ok(())
}

/// What to do next, when nothing was written.
fn hint(format: Format, project: &Project, found: &[Found]) {
    if format != Format::Table {
        return;
    }
    let personal =
        found.iter().flat_map(|found| &found.proposal.records).filter(|record| record.kind.is_some()).count();
    println!("{personal} column{} of personal data", if personal == 1 { "" } else { "s" });
    let is_new = |found: &Found| match &found.origin {
        Origin::Files(group) => {
            !found.proposal.entity.properties.is_empty() && !project.has(&format!("sources/{}.yaml", group.table))
        }
        Origin::Source(contract, _) => !project.has(&format!("contracts/{contract}.yaml")),
        Origin::Lake => false,
    };
    match &project.ask {
        _ if !found.iter().any(is_new) => {}
        None => {
            println!("to keep them:  lavra init NAME, put the files into NAME/data, and scan them there with --write")
        }
        Some(_) => println!("the same with --write makes sources and contracts of this"),
    }
}

async fn write_all(
    format: Format,
    project: &Project,
    files: &group::Files,
    proposer: &Proposer,
    found: &[Found],
    force: bool,
) -> Result<(), Error> {
    let mut all = Vec::new();
    for Found { looked, proposal, origin } in found {
        if proposal.entity.properties.is_empty() {
            continue;
        }
        let contract = proposer
            .contract(&proposal.entity)
            .map_err(|why| Error::data(format!("propose a contract for {}", looked.table), why))?;
        let place = |folder: &str, name: &str| format!("{folder}/{name}.yaml");
        match origin {
            Origin::Files(group) => {
                let mut options = files.options.clone();
                if looked.is_headerless {
                    options.insert("header".to_owned(), false.into());
                }
                let source = write::source(&files.paths(group).await?, &options);
                all.push((place("sources", &group.table), source));
                all.push((place("contracts", &group.table), contract));
            }
            Origin::Source(name, _) => all.push((place("contracts", name), contract)),
            Origin::Lake => {
                return Err(Error::project(
                    format!("scan {} --write", looked.table),
                    "a table of the lake has its contract or its model already",
                ));
            }
        }
    }
    let mut is_any_new = false;
    for (file, text) in &all {
        let written = write::put(&files.base, file, text, force)?;
        is_any_new |= written != Written::Kept;
        show::say(format, &told(file, written));
    }
    if all.is_empty() {
        show::say(format, "nothing to write");
    } else if is_any_new {
        show::say(
            format,
            &format!("\nlook over the masks in {}, then:  lavra check && lavra run", project.shown("contracts")),
        );
    }
    Ok(())
}

pub(super) fn told(file: &str, written: Written) -> String {
    match written {
        Written::New => format!("wrote {file}"),
        Written::Replaced => format!("replaced {file}"),
        Written::Kept => format!("{file} is there already: nothing of it was changed (--force replaces it)"),
    }
}

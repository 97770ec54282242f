use super::Outcome;
use crate::cli::Context;
use crate::project::STATE;
use crate::show::{self, Format, Progress};
use crate::up;
use crate::upkeep::{self, Upkept};
use crate::wiring::{Failure, Wiring};
use crate::work::{ProjectWork, Report};
use kernel::error::{Error, Kind, Result};
use orchestrate::lease::LEASE;
use orchestrate::{Claim, Holder, Leases, Options, Retry, RunLock, Selector};
use serde_json::json;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// Takes in what is new and makes what depends on it. Nothing new, nothing written.
#[derive(clap::Args, Clone)]
#[command(after_help = "Examples:
  lavra run                       everything
  lavra run gold.revenue          one model
  lavra run +gold.revenue         it and all it is made from
  lavra run card_payments+        a source and all that is made from it
  lavra run tag:finance --dry-run what would run
  lavra run changed:main+         what differs from a git revision, and what is made from it")]
pub struct Run {
    /// What to run: names, globs, `layer:`, `tag:`, `source:`, `changed:REV`, with `+` before (upstream) or behind (downstream)
    #[arg(value_name = "SELECTOR")]
    pub select: Vec<String>,
    /// What to leave out
    #[arg(long, value_name = "SELECTOR")]
    pub exclude: Vec<String>,
    /// How many tables are worked on at once [default: one per core]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Say what would run, and in which order
    #[arg(long)]
    pub dry_run: bool,
    /// Make models anew from all of their inputs
    #[arg(long)]
    pub full_refresh: bool,
    /// How often a table is tried again when an outside system fails
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub retries: u32,
    /// Seconds after which a table that is not done is given up
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// No progress on stderr
    #[arg(long, short)]
    pub quiet: bool,
    /// Remove old versions even if that was done less than `maintenance.vacuum_every` ago
    #[arg(skip)]
    pub upkeep_now: bool,
}

impl Run {
    /// Everything, without a word.
    pub fn quiet() -> Self {
        Self {
            select: Vec::new(),
            exclude: Vec::new(),
            jobs: None,
            dry_run: false,
            full_refresh: false,
            retries: 0,
            timeout: None,
            quiet: true,
            upkeep_now: false,
        }
    }
}

pub async fn run(context: &Context, args: Run) -> Outcome {
    let wiring = Arc::new(Wiring::open(context.ask()?).await?);
    show::warnings(context.format, &wiring.project);
    let selected = select(&wiring, &args)?;
    if args.dry_run {
        return dry_run(context, &wiring, &selected).await;
    }
    let ran = run_project(wiring.clone(), &args, selected).await?;
    show::summary(context.format, &ran, &wiring.project.warnings)?;
    Ok(ran.exit())
}

/// What a run did.
pub struct Ran {
    pub run_id: String,
    pub outcome: orchestrate::Outcome<Report>,
    pub upkept: Upkept,
}

impl Ran {
    /// The exit code: that of the nodes, or 1 when only upkeep failed.
    pub fn exit(&self) -> u8 {
        match (self.outcome.exit(), self.upkept.failed.is_empty()) {
            (0, false) => 1,
            (exit, _) => exit,
        }
    }
}

/// Runs nodes of a wired project, under the project's lock. Rows that are too old go before, old versions after.
pub async fn run_project(wiring: Arc<Wiring>, args: &Run, selected: BTreeSet<String>) -> Result<Ran, Failure> {
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let holder = Holder::of_this_process(&command, wiring.clock.as_ref());
    let _lock = RunLock::share(&wiring.ask.folder.join(STATE), &holder)?;
    wiring.clear_spill()?;
    let leases = up::leases(&wiring, holder).await?;
    let claimed = claim(&leases, &selected).await;
    let keeping = tokio::spawn(keep(leases.clone()));
    let outcome = match claimed {
        Ok(()) => run_claimed(wiring, args, selected).await,
        Err(error) => Err(error.into()),
    };
    keeping.abort();
    leases.release_all().await?;
    outcome
}

fn is_alone(wiring: &Wiring) -> bool {
    orchestrate::at_work(&wiring.ask.folder.join(STATE)).len() <= 1
}

/// Takes the leases of all nodes, or fails with who has one.
async fn claim(leases: &Leases, nodes: &BTreeSet<String>) -> Result<()> {
    for node in nodes {
        if let Claim::Of(holder) = leases.claim(node).await? {
            let since = &holder.since;
            let detail = format!(
                "{holder} has been at work on it since {since}; wait for its end, stop it, or leave it out with `--exclude {node}`"
            );
            return Err(Error::new(Kind::Conflict, format!("run {node}"), detail));
        }
    }
    Ok(())
}

/// Renews the leases. One that is lost all the same, to a process that found this one asleep, is found at the commit.
async fn keep(leases: Arc<Leases>) {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        let _ = leases.renew().await;
    }
}

async fn run_claimed(wiring: Arc<Wiring>, args: &Run, selected: BTreeSet<String>) -> Result<Ran, Failure> {
    let run_id = uuid::Uuid::now_v7().to_string();
    let jobs = args.jobs.or(NonZeroUsize::new(wiring.ask.jobs)).unwrap_or(NonZeroUsize::MIN);
    // What models hide needs the keys; what they read never opens anything.
    if wiring.project.models.iter().any(|model| model.sql.contains("he_pack")) {
        wiring.open_keys().await?;
    }
    let lanes = 1 + wiring.ask.jobs / jobs.get();
    let mut work = ProjectWork::new(&wiring, run_id.clone(), lanes).await?;
    work.full_refresh = args.full_refresh;
    // A mask without its key is found before anything is read.
    for source in wiring.project.sources.iter().filter(|source| selected.contains(&source.name)) {
        work.gate(source)?;
    }
    // So is a contract that readers of its old rows could not follow, or that its table would refuse.
    let sources: Vec<_> = wiring.project.sources.iter().filter(|source| selected.contains(&source.name)).collect();
    wiring.register_schemas(&sources).await?;
    // Rows and versions go only when nobody else is at work.
    let alone = is_alone(&wiring);
    let mut upkept = if alone { upkeep::before(&work).await } else { Upkept::default() };
    let options = Options {
        jobs,
        retry: Retry { attempts_max: args.retries + 1, ..Retry::default() },
        node_timeout: args.timeout.map(Duration::from_secs),
        seed: fastrand::u64(..),
        ..Options::default()
    };
    let cancel = options.cancel.clone();
    let mut signals = up::Signals::listen()?;
    let listener = tokio::spawn(async move {
        signals.told_to_end().await;
        eprintln!("stopping: what is committed stays; running tables end at their last commit");
        cancel.cancel();
    });
    let progress = Progress::new(args.quiet);
    let outcome =
        orchestrate::run(&wiring.project.dag, &selected, Arc::new(work), &options, &|event| progress.event(&event))
            .await;
    keep_tokens(options.grace).await;
    let outcome = outcome?;
    if alone && is_alone(&wiring) {
        // A signal that is listened for does not end the process by itself. What is left of upkeep is for the next run.
        tokio::select! {
            biased;
            () = options.cancel.cancelled() => {}
            () = upkeep::after(&wiring, args.upkeep_now, &mut upkept) => {}
        }
    }
    listener.abort();
    Ok(Ran { run_id, outcome, upkept })
}

/// Who was told to stop, or was not waited for, may have asked for a refresh token, which its server gives once.
pub async fn keep_tokens(grace: Duration) {
    if tokio::time::timeout(grace, connect::rest::tokens_are_kept()).await.is_err() {
        let left = show::plural(connect::rest::tokens_under_way() as u64, "refresh token");
        tracing::warn!(
            "{left} did not come in time; if its server no longer takes the one in `token_file`, put a new one there"
        );
    }
}

/// The nodes that are meant.
pub fn select(wiring: &Wiring, args: &Run) -> Result<BTreeSet<String>> {
    let selector = Selector::parse(&args.select, &args.exclude)?;
    let dag = &wiring.project.dag;
    selector.apply(dag, &|rev| changed(wiring, rev))
}

/// The nodes whose files differ from a revision.
fn changed(wiring: &Wiring, rev: &str) -> Result<BTreeSet<String>> {
    let files = orchestrate::changed_files(&wiring.ask.folder, rev)?;
    let has = |file: &str| files.contains(file);
    let project = &wiring.project;
    let sources = project.sources.iter().filter(|s| {
        let contract = format!("contracts/{}.yaml", s.config.contract.as_deref().unwrap_or(&s.name));
        has(&s.file) || has(&contract)
    });
    let models = project.models.iter().filter(|m| has(&m.file));
    Ok(sources.map(|s| s.name.clone()).chain(models.map(|m| m.name.to_string())).collect())
}

async fn dry_run(context: &Context, wiring: &Wiring, selected: &BTreeSet<String>) -> Outcome {
    let upkept = upkeep::plan(wiring, false).await?;
    let nodes: Vec<_> = wiring.project.dag.nodes().iter().filter(|n| selected.contains(&n.name)).collect();
    if context.format == Format::Json {
        let text = serde_json::to_string_pretty(&json!({ "would_run": nodes, "upkeep": upkept }))
            .map_err(|e| Error::internal("print", e))?;
        println!("{text}");
        return Ok(0);
    }
    show::print_records(
        context.format,
        &nodes,
        &[("would run", &|n| n.name.clone()), ("after", &|n| n.upstream.join(", ")), ("tags", &|n| n.tags.join(", "))],
    )?;
    show::upkeep(context.format, &upkept);
    Ok(0)
}

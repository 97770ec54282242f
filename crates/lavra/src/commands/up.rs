use super::Outcome;
use crate::cli::Context;
use crate::show;
use crate::up::{Call, run as run_on_and_on};
use crate::wiring::Wiring;
use kernel::error::{Error, Result};
use kernel::suggest;
use std::sync::Arc;

/// Takes in every source that has a `schedule`, on and on, and makes the models that depend on them. A source that fails
/// is tried again by itself and holds up no other. SIGTERM, or control-C, commits what is whole and ends with 0.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra up                          all sources with a schedule
  lavra up orders customers         these, whether they have one or not
  lavra up --exclude orders         all but this, which runs as `lavra worker --source orders`
  lavra status --watch              in another terminal: how it goes
  curl http://127.0.0.1:7400/metrics")]
pub struct Up {
    /// Sources to take in [default: all that have a schedule]
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Sources to leave out
    #[arg(long, value_name = "SOURCE")]
    pub exclude: Vec<String>,
    /// Where /status, /metrics, /healthz and /readyz are served [default: 127.0.0.1:7400, or a free port beside it]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// No events on stderr
    #[arg(long, short)]
    pub quiet: bool,
}

pub async fn run(context: &Context, args: Up) -> Outcome {
    let wiring = Arc::new(Wiring::open(context.ask()?).await?);
    show::warnings(context.format, &wiring.project);
    known(&wiring, args.sources.iter().chain(&args.exclude))?;
    let all = wiring.project.sources.iter();
    let is_meant = |source: &&crate::project::Source| match args.sources.is_empty() {
        true => source.config.schedule.is_some(),
        false => args.sources.contains(&source.name),
    };
    let sources: Vec<String> =
        all.filter(is_meant).map(|source| source.name.clone()).filter(|name| !args.exclude.contains(name)).collect();
    if sources.is_empty() {
        let detail = "no source has a `schedule`: write `schedule: continuous` or `schedule: every 15 minutes` into its file \
                      in sources/, or name sources on the command line";
        return Err(Error::project("start", detail).into());
    }
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let call = Call {
        command,
        sources,
        others: args.exclude,
        with_models: true,
        listen: args.listen,
        quiet: args.quiet,
        format: context.format,
    };
    run_on_and_on(wiring, call).await
}

/// Refuses names that are no source's.
pub fn known<'a>(wiring: &Wiring, names: impl IntoIterator<Item = &'a String>) -> Result<()> {
    let all = || wiring.project.sources.iter().map(|source| source.name.as_str());
    for name in names {
        if !all().any(|known| known == name) {
            let hint = suggest::hint(name, all()).unwrap_or_default();
            return Err(Error::project(format!("there is no source `{name}`"), hint));
        }
    }
    Ok(())
}

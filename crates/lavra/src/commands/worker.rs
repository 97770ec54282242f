use super::Outcome;
use super::up::known;
use crate::cli::Context;
use crate::show;
use crate::up::{Call, run as run_on_and_on};
use crate::wiring::Wiring;
use std::sync::Arc;

/// What `lavra up` does, for some sources and without models: a source with a process, a memory limit and a restart of
/// its own. Where `lavra up` or another worker has the source already, this one waits and takes over when that ends.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra worker --source orders
  lavra up --exclude orders         beside it: the other sources, and the models of all")]
pub struct Worker {
    /// The source to take in; may be given several times
    #[arg(long = "source", required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Where /status, /metrics, /healthz and /readyz are served [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// No events on stderr
    #[arg(long, short)]
    pub quiet: bool,
}

pub async fn run(context: &Context, args: Worker) -> Outcome {
    let wiring = Arc::new(Wiring::open(context.ask()?).await?);
    show::warnings(context.format, &wiring.project);
    known(&wiring, &args.sources)?;
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let call = Call {
        command,
        sources: args.sources,
        others: Vec::new(),
        with_models: false,
        listen: Some(args.listen),
        quiet: args.quiet,
        format: context.format,
    };
    run_on_and_on(wiring, call).await
}

use super::Outcome;
use super::run::{Run, run_project};
use crate::cli::Context;
use crate::show::{self, Format};
use crate::upkeep;
use crate::wiring::Wiring;
use kernel::error::Error;
use std::sync::Arc;

/// What `lavra run` does beside its tables: rows go that are older than their contract allows, what is made of them is made
/// anew, and old versions and files go as `maintenance:` of lavra.yaml says.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra maintain --dry-run        what would go
  lavra maintain                  do it now, whenever it was done last")]
pub struct Maintain {
    /// Say what would go
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(context: &Context, args: Maintain) -> Outcome {
    let wiring = Arc::new(Wiring::open(context.ask()?).await?);
    let planned = upkeep::plan(&wiring, true).await?;
    if args.dry_run {
        if context.format == Format::Json {
            let text = serde_json::to_string_pretty(&planned).map_err(|e| Error::internal("print", &e))?;
            println!("{text}");
        } else {
            show::upkeep(context.format, &planned);
        }
        return Ok(0);
    }
    let stale = upkeep::made_of(&wiring, &planned);
    let ran = run_project(wiring.clone(), &Run { upkeep_now: true, ..Run::quiet() }, stale).await?;
    show::summary(context.format, &ran, &wiring.project.warnings)?;
    Ok(ran.exit())
}

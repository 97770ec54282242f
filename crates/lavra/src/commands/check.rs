use super::Outcome;
use crate::cli::Context;
use crate::show::Format;
use crate::wiring;
use serde_json::json;

/// Reads every file of the project and plans every query. Opens no socket and no data file.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra check\n  lavra check --format json")]
pub struct Check {}

pub async fn run(context: &Context, _: Check) -> Outcome {
    let project = wiring::check(&context.ask()?).await?;
    let (sources, models, tests) = (project.sources.len(), project.models.len(), project.tests.len());
    if context.format == Format::Json {
        println!(
            "{}",
            json!({ "faults": [], "warnings": project.warnings, "sources": sources, "models": models, "tests": tests })
        );
        return Ok(0);
    }
    for warning in &project.warnings {
        eprintln!("{}", project.files.render(warning));
    }
    println!("{}: {sources} sources, {models} models, {tests} tests, no fault", project.config.project);
    Ok(0)
}

use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Format};
use crate::wiring;
use serde_json::json;

/// Reads every file of the project and plans every query. Opens no socket and no data file. Ends with exit code 3 when
/// nothing is wrong but what a privacy law refuses: personal data in a gold table without a reason, or a project that
/// can't forget anybody in time.
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
    show::warnings(context.format, &project);
    let counts = [("sources", sources), ("models", models), ("tests", tests), ("warnings", project.warnings.len())];
    if context.format == Format::Csv {
        show::print_records(
            context.format,
            &counts,
            &[("what", &|c| c.0.to_owned()), ("number", &|c| c.1.to_string())],
        )?;
        return Ok(0);
    }
    println!("{}: {sources} sources, {models} models, {tests} tests, no fault", project.config.project);
    Ok(0)
}

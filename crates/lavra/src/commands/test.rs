use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Format};
use crate::wiring::Wiring;
use arrow::datatypes::SchemaRef;
use kernel::TableName;
use kernel::error::Error;
use serde::Serialize;
use std::collections::BTreeMap;

/// Runs the tests of models: given rows in, expected rows out, no data read.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra test\n  lavra test revenue")]
pub struct Test {
    /// Only the tests whose file or model has this in its name
    pub filter: Option<String>,
}

#[derive(Serialize)]
struct Verdict {
    test: String,
    model: String,
    passed: bool,
    missing: Vec<String>,
    unexpected: Vec<String>,
    error: Option<String>,
}

pub async fn run(context: &Context, args: Test) -> Outcome {
    let wiring = Wiring::open(context.ask()?).await?;
    let project = &wiring.project;
    let mut schemas: BTreeMap<TableName, SchemaRef> =
        project.sources.iter().map(|s| (s.table.clone(), s.schema.clone())).collect();
    schemas.extend(project.models.iter().map(|m| (m.name.clone(), m.schema.clone())));
    let mut verdicts = Vec::new();
    for (file, test) in &project.tests {
        if args.filter.as_ref().is_some_and(|f| !file.contains(f) && !test.model.contains(f)) {
            continue;
        }
        let model = project.models.iter().find(|m| m.name.to_string() == test.model);
        let model = model.ok_or_else(|| Error::internal("run a test", &test.model))?;
        let mut verdict = Verdict {
            test: file.clone(),
            model: test.model.clone(),
            passed: false,
            missing: Vec::new(),
            unexpected: Vec::new(),
            error: None,
        };
        match lake::run_unit_test(&wiring.engine, model, &schemas, test).await {
            Ok(done) => {
                (verdict.passed, verdict.missing, verdict.unexpected) = (done.passed, done.missing, done.unexpected)
            }
            Err(e) => verdict.error = Some(e.to_string()),
        }
        verdicts.push(verdict);
    }
    if let (Some(filter), true) = (&args.filter, verdicts.is_empty()) {
        let names = project.tests.iter().flat_map(|(file, test)| [file.as_str(), test.model.as_str()]);
        let help = kernel::suggest::hint(filter, names).unwrap_or_else(|| "`lavra test` runs all".to_owned());
        return Err(Error::project(format!("no test and no model has `{filter}` in its name"), help).into());
    }
    let passed = |v: &Verdict| if v.passed { "passed" } else { "FAILED" }.to_owned();
    show::print_records(
        context.format,
        &verdicts,
        &[("test", &|v| v.test.clone()), ("model", &|v| v.model.clone()), ("verdict", &passed)],
    )?;
    if context.format == Format::Table {
        for verdict in verdicts.iter().filter(|v| !v.passed) {
            println!("{}:", verdict.test);
            verdict.error.iter().for_each(|e| println!("  {e}"));
            verdict.missing.iter().for_each(|row| println!("  expected, did not come:  {row}"));
            verdict.unexpected.iter().for_each(|row| println!("  came, not expected:      {row}"));
        }
    }
    Ok(u8::from(verdicts.iter().any(|v| !v.passed)))
}

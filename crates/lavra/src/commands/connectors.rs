use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Format};
use kernel::error::Error;
use serde_json::{Value, json};

/// Lists the connectors; with a name, its options and an example.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra connectors\n  lavra connectors files")]
pub struct Connectors {
    pub name: Option<String>,
}

pub async fn run(context: &Context, args: Connectors) -> Outcome {
    let all = connect::all();
    let Some(name) = args.name else {
        let rows: Vec<Value> = all.iter().map(|spec| json!({ "name": spec.name, "summary": spec.summary })).collect();
        show::print_records(
            context.format,
            &rows,
            &[("name", &|r| text(&r["name"])), ("what it reads", &|r| text(&r["summary"]))],
        )?;
        return Ok(0);
    };
    let Some(spec) = all.iter().find(|spec| spec.name == name) else {
        let help = kernel::suggest::hint(&name, all.iter().map(|spec| spec.name)).unwrap_or_default();
        return Err(Error::project(format!("there is no connector `{name}`"), help).into());
    };
    let schema = (spec.options_schema)();
    if context.format == Format::Json {
        println!(
            "{}",
            json!({ "name": spec.name, "summary": spec.summary, "options": schema, "example": spec.example })
        );
        return Ok(0);
    }
    show::say(context.format, &format!("{}: {}\n", spec.name, spec.summary));
    let options: Vec<(&String, &Value)> = schema["properties"].as_object().into_iter().flatten().collect();
    let rows: Vec<Value> =
        options.iter().map(|(name, about)| json!({ "option": name, "about": about["description"] })).collect();
    show::print_records(
        context.format,
        &rows,
        &[("option", &|r| text(&r["option"])), ("what it does", &|r| text(&r["about"]))],
    )?;
    show::say(context.format, &format!("\n# sources/example.yaml\n{}", spec.example));
    Ok(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

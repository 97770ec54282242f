//! `lavra privacy`: the paperwork that a privacy law asks for, from what the project says.

mod facts;
mod impact;
mod page;
mod record;
mod schedule;
mod words;

use super::Outcome;
use crate::cli::Context;
use crate::show::{self, Format};
use crate::wiring::{self, Wiring};
use facts::{Facts, Kept};
use kernel::error::{Error, Kind, Result, advice, io};
use page::{Lang, Page};
use std::path::{Path, PathBuf};

/// The paperwork of privacy, from what the project says
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra privacy report --out report")]
pub struct Privacy {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write the record of processing (LGPD art. 37, GDPR art. 30), a draft of the impact assessment (RIPD, DPIA) and the
    /// retention schedule. What the project does not state is shown as missing, with where to state it. Ends with exit
    /// code 3 when a table can't keep to its deadlines
    Report(Report),
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra privacy report                        to read here
  lavra privacy report --out report           Markdown and HTML, in both languages
  lavra privacy report --out report --lang pt-BR
  lavra privacy report --format json          the facts, for programs")]
struct Report {
    /// Write files into this folder: `record-of-processing`, `impact-assessment` and `retention-schedule`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// The language [default: English to read here, both as files]
    #[arg(long, value_enum)]
    lang: Option<Lang>,
}

pub async fn run(context: &Context, args: Privacy) -> Outcome {
    let Command::Report(args) = args.command;
    let ask = context.ask()?;
    let project = wiring::check_but_refusals(&ask).await?;
    let wiring = Wiring::of(ask, project).await?;
    let facts = facts::gather(&wiring).await?;
    if let Some(folder) = &args.out {
        let langs = args.lang.map_or(vec![Lang::En, Lang::Pt], |lang| vec![lang]);
        let pages: Vec<Page> = langs.into_iter().flat_map(|lang| pages(&facts, lang)).collect();
        write(folder, &pages)?;
        show::say(context.format, &format!("{} files in {}", pages.len() * 2, folder.display()));
    }
    print(context, &args, &facts)?;
    if facts.complies {
        return Ok(0);
    }
    for refused in &facts.refused {
        eprintln!("{}", wiring.project.files.render(refused));
    }
    for kept in facts.retention.iter().filter(|kept| kept.overdue) {
        eprintln!("refused: {}", overdue(kept));
    }
    Ok(advice(Kind::Refused).exit)
}

fn overdue(kept: &Kept) -> String {
    let days = |days: Option<u32>| days.unwrap_or_default();
    format!(
        "{} holds rows of {} days, and its contract lets them be kept for {}",
        kept.verdict.table,
        days(kept.oldest_days),
        days(kept.verdict.retention_days)
    )
}

fn pages(facts: &Facts, lang: Lang) -> [Page; 3] {
    [record::page(facts, lang), impact::page(facts, lang), schedule::page(facts, lang)]
}

fn print(context: &Context, args: &Report, facts: &Facts) -> Result<()> {
    match context.format {
        Format::Json => {
            let text = serde_json::to_string_pretty(facts).map_err(|e| Error::internal("print the report", e))?;
            println!("{text}");
            Ok(())
        }
        Format::Csv => show::print_records(
            context.format,
            &facts.retention,
            &[
                ("table", &|k| k.verdict.table.clone()),
                ("last_byte_days", &|k| k.verdict.last_byte_days.to_string()),
                ("deadline_days", &|k| k.verdict.deadline_days.to_string()),
                ("retention_days", &|k| k.verdict.retention_days.map_or(String::new(), |days| days.to_string())),
                ("oldest_days", &|k| k.oldest_days.map_or(String::new(), |days| days.to_string())),
                ("complies", &|k| (k.verdict.complies && !k.overdue).to_string()),
            ],
        ),
        Format::Table if args.out.is_some() => Ok(()),
        Format::Table => {
            let pages = pages(facts, args.lang.unwrap_or(Lang::En));
            println!("{}", pages.map(|page| page.markdown()).join("\n"));
            Ok(())
        }
    }
}

fn write(folder: &Path, pages: &[Page]) -> Result<()> {
    let failed = |path: &Path| format!("write {}", path.display());
    std::fs::create_dir_all(folder).map_err(|e| io(failed(folder), e))?;
    for page in pages {
        for (ending, text) in [("md", page.markdown()), ("html", page.html())] {
            let path = folder.join(format!("{}.{ending}", page.name));
            std::fs::write(&path, text).map_err(|e| io(failed(&path), e))?;
        }
    }
    Ok(())
}

//! The command line. Every command is a file in `commands/`.

use crate::commands;
use crate::show::{self, Format};
use crate::wiring::{Ask, Failure, cores};
use clap::{Parser, Subcommand};
use kernel::error::Error;
use std::path::PathBuf;

#[derive(Parser)]
#[command(
    name = "lavra",
    version,
    about = "Takes data in, hides what must be hidden, refines it, answers.",
    max_term_width = 100
)]
#[command(after_help = "Start with `lavra demo`, or `lavra init shop && cd shop`.")]
pub struct Cli {
    /// The project's folder [default: the nearest one above with a lavra.yaml]
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,

    /// The environment of lavra.yaml
    #[arg(long = "env", global = true, default_value = "local", value_name = "NAME", env = "LAVRA_ENV")]
    environment: String,

    /// Memory that queries may hold before they spill: 512MiB, 4GiB [default: half of the machine's]
    #[arg(long, global = true, value_name = "SIZE", value_parser = show::parse_bytes)]
    memory: Option<usize>,

    /// table for people; json and csv for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a project
    Init(commands::init::Init),
    /// Check the whole project without touching any data
    Check(commands::check::Check),
    /// Show what a run would change
    Plan(commands::plan::Plan),
    /// Take data in and make what depends on it
    Run(commands::run::Run),
    /// Run on and on: take in sources by their schedules, and make what depends on them
    Up(commands::up::Up),
    /// Take in one source as a process of its own
    Worker(commands::worker::Worker),
    /// How `up` and workers are doing: state, breaker, lag, last commit and last error of each source
    Status(commands::status::Status),
    /// Delete rows that are too old, and old versions of tables
    Maintain(commands::maintain::Maintain),
    /// Ask a question in SQL
    Query(commands::query::Query),
    /// Ask questions one after the other
    Shell(commands::shell::Shell),
    /// Look for personal data in files, and propose sources, contracts and masks
    Scan(commands::scan::Scan),
    /// List the tables behind a connection, and propose sources, contracts and masks
    Discover(commands::discover::Discover),
    /// Look whether everything is there that a run needs; each finding with its remedy
    Doctor(commands::doctor::Doctor),
    /// The versions of a table, and what each was made from
    History(commands::history::History),
    /// Which columns each column is made of
    Lineage(commands::lineage::Lineage),
    /// Rows that broke their contract: list them, or try them again
    Quarantine(commands::quarantine::Quarantine),
    /// The paperwork of privacy: record of processing, impact assessment, retention schedule
    Privacy(commands::privacy::Privacy),
    /// The keys of masks: their versions, and a new one
    Keys(commands::keys::Keys),
    /// Who opened what is hidden, and why
    Audit(commands::audit::Audit),
    /// The key that encrypts for homomorphic sums, and opens nothing
    PublicKey(commands::public_key::PublicKey),
    /// A person's request: where their rows are, a copy of them, or their end
    Subject(commands::subject::Subject),
    /// Schemas of events: list, show, check, serve
    Registry(commands::registry::RegistryCommand),
    /// Run the tests of models
    Test(commands::test::Test),
    /// List connectors and their options
    Connectors(commands::connectors::Connectors),
    /// Write the JSON Schemas of the project's files, for editors
    Schema(commands::schema::Schema),
    /// Make a payments company, mask it, refine it, and ask it three questions
    Demo(commands::demo::Demo),
    /// Write the reference pages
    #[command(hide = true)]
    Docs(commands::docs::Docs),
}

/// What every command gets.
pub struct Context {
    pub format: Format,
    project: Option<PathBuf>,
    environment: String,
    memory: Option<usize>,
}

impl Context {
    /// Finds the project.
    pub fn ask(&self) -> Result<Ask, Error> {
        let start = match &self.project {
            Some(folder) => folder.clone(),
            None => std::env::current_dir().map_err(|e| kernel::error::io("find the project", e))?,
        };
        self.ask_in(crate::project::find_folder(&start)?)
    }

    /// Of who reads the lake and opens no source.
    pub fn ask_to_read(&self) -> Result<Ask, Error> {
        Ok(Ask { opens_sources: false, ..self.ask()? })
    }

    /// Of a folder with a project.
    #[cfg(test)]
    pub fn of(folder: PathBuf) -> Self {
        Self { format: Format::Json, project: Some(folder), environment: "local".to_owned(), memory: None }
    }

    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The same for a folder that is known.
    pub fn ask_in(&self, folder: PathBuf) -> Result<Ask, Error> {
        Ok(Ask {
            folder,
            environment: self.environment.clone(),
            memory: self.memory.unwrap_or_else(show::half_of_memory),
            jobs: cores(),
            opens_sources: true,
        })
    }
}

/// Runs the command; gives the exit code.
pub async fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { misused(&error) } else { 0 };
        }
    };
    let context =
        Context { format: cli.format, project: cli.project, environment: cli.environment, memory: cli.memory };
    show::notes::show(context.format);
    let outcome = run(&context, cli.command).await;
    match outcome {
        Ok(code) => code,
        Err(Failure::Faults(files, faults)) => show::faults(context.format, &files, &faults),
        // A reader that has seen enough is no failure.
        Err(Failure::Error(error)) if error.detail.contains("Broken pipe") => 0,
        Err(Failure::Error(error)) => show::error(context.format, &error),
    }
}

async fn run(context: &Context, command: Command) -> commands::Outcome {
    match command {
        Command::Init(args) => commands::init::run(context, args).await,
        Command::Check(args) => commands::check::run(context, args).await,
        Command::Plan(args) => commands::plan::run(context, args).await,
        Command::Run(args) => commands::run::run(context, args).await,
        Command::Up(args) => commands::up::run(context, args).await,
        Command::Worker(args) => commands::worker::run(context, args).await,
        Command::Status(args) => commands::status::run(context, args).await,
        Command::Maintain(args) => commands::maintain::run(context, args).await,
        Command::Query(args) => commands::query::run(context, args).await,
        Command::Shell(args) => commands::shell::run(context, args).await,
        Command::Scan(args) => commands::scan::run(context, args).await,
        Command::Discover(args) => commands::discover::run(context, args).await,
        Command::Doctor(args) => commands::doctor::run(context, args).await,
        Command::History(args) => commands::history::run(context, args).await,
        Command::Lineage(args) => commands::lineage::run(context, args).await,
        Command::Quarantine(args) => commands::quarantine::run(context, args).await,
        Command::Privacy(args) => commands::privacy::run(context, args).await,
        Command::Keys(args) => commands::keys::run(context, args).await,
        Command::Audit(args) => commands::audit::run(context, args).await,
        Command::PublicKey(args) => commands::public_key::run(context, args).await,
        Command::Subject(args) => commands::subject::run(context, args).await,
        Command::Registry(args) => commands::registry::run(context, args).await,
        Command::Test(args) => commands::test::run(context, args).await,
        Command::Connectors(args) => commands::connectors::run(context, args).await,
        Command::Schema(args) => commands::schema::run(context, args).await,
        Command::Demo(args) => commands::demo::run(context, args).await,
        Command::Docs(args) => commands::docs::run(context, args).await,
    }
}

/// A call that can't be read: a program that asked for JSON gets a document of it. The option is looked for by hand, for
/// the call as a whole was not understood.
fn misused(error: &clap::Error) -> u8 {
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let what = lines.first().map_or("", |line| line.strip_prefix("error: ").unwrap_or(line));
    let detail = lines.get(1..).unwrap_or_default().join("; ");
    show::error_document(format_asked(&args), &Error::project(what, detail));
    2
}

fn format_asked(args: &[String]) -> Format {
    let split = args.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    match split || args.iter().any(|arg| arg == "--format=json") {
        true => Format::Json,
        false => Format::Table,
    }
}

/// The command tree, for the reference pages.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_understood_in_a_call_that_is_not() {
        let asked = |text: &str| format_asked(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(asked("lavra rnu --format json"), Format::Json);
        assert_eq!(asked("lavra --format=json run --jobs 0"), Format::Json);
        assert_eq!(asked("lavra rnu --format csv json"), Format::Table);
    }
}

use super::{Outcome, init, run as run_command};
use crate::cli::Context;
use crate::demo::generate::{self, Facts};
use crate::demo::search::{Searched, Wanted};
use crate::demo::{answers, project};
use crate::show::{self, Format};
use crate::wiring::{Failure, Wiring};
use kernel::error::{Error, Kind};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Makes the files of a payments company, takes them in, hides who people are, and answers three questions.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lavra demo\n  lavra demo --folder pagamentos --payments 100000")]
pub struct Demo {
    /// Where the demo's project is made
    #[arg(long, default_value = "lavra-demo", value_name = "DIR")]
    pub folder: PathBuf,
    /// How many payments
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub payments: usize,
    /// The same seed makes the same company
    #[arg(long, default_value_t = 2026, value_name = "N")]
    pub seed: u64,
}

pub async fn run(context: &Context, args: Demo) -> Outcome {
    let started = Instant::now();
    let is_table = context.format == Format::Table;
    let say = |text: String| match context.format {
        Format::Json => {}
        format => show::say(format, &text),
    };
    if args.folder.exists() && !args.folder.join(".lavra-demo").exists() {
        let what = format!("make the demo in {}", args.folder.display());
        return Err(Error::project(what, "the folder is there and is not a demo; name another with --folder").into());
    }
    say(format!("1. A payments company in Brazil, with the dirt of real files, in {}", args.folder.display()));
    let facts = make(&args)?;
    for file in &facts.files {
        say(format!("   {:<38} {:>9} rows  {:>9}", file.path, show::count(file.rows as u64), show::bytes(file.bytes)));
    }
    say("\n2. Check the project, then take everything in: parse, hold to the contracts, mask, refine".to_owned());
    let wiring = Arc::new(Wiring::open(context.ask_in(folder(&args)?)?).await?);
    let all = wiring.project.dag.names();
    let quiet = run_command::Run::quiet();
    let ran = run_command::run_project(wiring.clone(), &quiet, all).await?;
    if context.format != Format::Json || ran.exit() != 0 {
        show::summary(context.format, &ran, &wiring.project.warnings)?;
    }
    if ran.exit() != 0 {
        return Ok(ran.exit());
    }
    say(format!(
        "\n3. Look for the raw CPF, e-mail and phone of all {} customers in every byte under {}/lake, however written",
        show::count(facts.cpfs.len() as u64),
        args.folder.display()
    ));
    let wanted = Wanted::new(&facts.cpfs, &facts.emails, &facts.phones);
    let searched = wanted.search(&args.folder.join("lake"), wiring.ask.jobs)?;
    if searched.hits() > 0 {
        let Searched { cpfs, emails, phones, .. } = searched;
        let detail = format!("{cpfs} CPFs, {emails} e-mails and {phones} phones were found");
        return Err(Error::new(Kind::Refused, "raw personal data in the lake", detail).into());
    }
    let (files, bytes) = (searched.files, show::bytes(searched.bytes));
    let values = show::count(searched.values);
    say(format!("   0 found in {values} values and {files} files, {bytes} as stored and unpacked"));
    say("\n4. Three questions".to_owned());
    let answers = answers::ask(&wiring.engine, is_table).await?;
    if context.format == Format::Json {
        let document = json!({
            "run_id": ran.run_id, "seconds": started.elapsed().as_secs_f64(), "nodes": ran.outcome.nodes,
            "raw_cpfs_searched": facts.cpfs.len(), "raw_cpfs_found": searched.cpfs,
            "raw_emails_searched": facts.emails.len(), "raw_emails_found": searched.emails,
            "raw_phones_searched": facts.phones.len(), "raw_phones_found": searched.phones,
            "files_searched": files, "answers": answers,
        });
        println!("{document}");
    }
    say(format!("\nDone in {:.1} s. Go on:  cd {}", started.elapsed().as_secs_f64(), args.folder.display()));
    say("   lavra query \"select * from gold.fraud_bursts limit 5\"".to_owned());
    say("   lavra quarantine list      rows that broke their contract, masked".to_owned());
    say("   lavra run                  again: nothing new, nothing written".to_owned());
    Ok(0)
}

fn folder(args: &Demo) -> Result<PathBuf, Error> {
    std::path::absolute(&args.folder).map_err(|e| kernel::error::io("find the demo's folder", e))
}

/// Makes the project anew: an older demo's lake would hold other people.
fn make(args: &Demo) -> Result<Facts, Failure> {
    let folder = &args.folder;
    for old in ["lake", "data", ".lavra"] {
        let old = folder.join(old);
        if old.exists() {
            std::fs::remove_dir_all(&old).map_err(|e| kernel::error::io(format!("remove {}", old.display()), e))?;
        }
    }
    init::make(folder, &[(".lavra-demo", "made by `lavra demo`; it may be made anew\n")])?;
    for (path, text) in project::FILES {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(|e| kernel::error::io(format!("make {}", parent.display()), e))?;
        }
        std::fs::write(&file, text).map_err(|e| kernel::error::io(format!("write {}", file.display()), e))?;
    }
    let made = generate::write(folder, args.seed, args.payments);
    made.map_err(|e| Error::new(Kind::Storage, "make the demo's files", format!("{e:#}")).into())
}

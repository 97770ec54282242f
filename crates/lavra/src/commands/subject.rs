use super::Outcome;
use crate::cli::Context;
use crate::project::STATE;
use crate::show::{self, Format};
use crate::subject::{self, Action, Case, Certificate, Located, Step};
use crate::wiring::{Failure, Wiring};
use crate::work::ProjectWork;
use kernel::error::{Error, Kind, Result};
use orchestrate::RunLock;
use privacy::sign::Signer;
use serde_json::{Value, json};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A person's request (LGPD art. 18, GDPR art. 15, 17 and 20). Their identifier is read from stdin or asked for, never
/// taken from the command line.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lavra subject locate --kind cpf                    asks for the CPF, hidden
  lavra subject export --kind cpf --output copy.zip < cpf.txt
  lavra subject forget --kind cpf --dry-run          what would be erased
  lavra subject forget --kind cpf --yes < cpf.txt    erase, and write the certificate
  lavra subject purge                                delete old versions whose time has come
  lavra subject verify .lavra/certificates/s1_….json")]
pub struct Subject {
    #[command(subcommand)]
    request: Request,
}

#[derive(clap::Subcommand)]
enum Request {
    /// Where the person's rows are: tables, versions, files
    Locate(Person),
    /// A copy of the person's rows, opened where the keys open them
    Export {
        #[command(flatten)]
        person: Person,
        /// A new folder for it, or a new file that ends in `.zip` [default: subject-<pseudonym>]
        #[arg(long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Erase the person everywhere, and write a signed certificate
    Forget {
        #[command(flatten)]
        person: Person,
        /// Say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
        /// Delete old versions at once: nobody may be reading them
        #[arg(long)]
        purge_now: bool,
        /// Days until nothing may be left [default: `privacy.erasure_deadline` of lavra.yaml]
        #[arg(long, value_name = "DAYS")]
        deadline: Option<u32>,
    },
    /// Delete old versions that hold erased people, once `maintenance.vacuum_after` of lavra.yaml has passed
    Purge {
        /// Without waiting
        #[arg(long)]
        now: bool,
    },
    /// Let somebody who was forgotten come in again
    Readmit {
        #[command(flatten)]
        person: Person,
        /// Why: it is kept
        #[arg(long)]
        reason: String,
    },
    /// Check a certificate's signature
    Verify {
        certificate: PathBuf,
        /// The key to check it by [default: that of this project's keys]
        #[arg(long, value_name = "HEX")]
        public_key: Option<String>,
    },
}

#[derive(clap::Args)]
struct Person {
    /// What identifies the person: cpf, email, … as in the contracts' `personal.<kind>`
    #[arg(long)]
    kind: String,
    /// Not allowed: the shell's history and the list of processes would keep it
    #[arg(hide = true, value_name = "VALUE")]
    value: Option<String>,
}

impl Person {
    /// The identifier, from a pipe or a hidden prompt.
    fn ask(&self) -> Result<Zeroizing<String>> {
        let what = || format!("read the {}", self.kind);
        if self.value.is_some() {
            let why = "a value on the command line stays in the shell's history and shows in the list of processes; \
                       give it on stdin, or type it when asked. Remove it from the history now";
            return Err(Error::refused(what(), why));
        }
        if std::io::stdin().is_terminal() {
            let typed = rpassword::prompt_password(format!("{} (it is not shown): ", self.kind));
            return typed.map(Zeroizing::new).map_err(|e| kernel::error::io(what(), e));
        }
        let mut text = Zeroizing::new(String::new());
        std::io::stdin().take(4096).read_to_string(&mut text).map_err(|e| kernel::error::io(what(), e))?;
        Ok(text)
    }

    async fn case(&self, wiring: Arc<Wiring>) -> Result<Case> {
        let typed = self.ask()?;
        Case::open(wiring, &self.kind, &typed).await
    }
}

pub async fn run(context: &Context, args: Subject) -> Outcome {
    match args.request {
        Request::Locate(person) => locate(context, &person).await,
        Request::Export { person, output } => export(context, &person, output).await,
        Request::Forget { person, dry_run: true, .. } => {
            let case = person.case(wiring(context).await?).await?;
            told_plan(context, &case, &subject::plan(&case).await?)
        }
        Request::Forget { person, yes, purge_now, deadline, .. } => {
            forget(context, &person, yes, purge_now, deadline).await
        }
        Request::Purge { now } => purge(context, now).await,
        Request::Readmit { person, reason } => readmit(context, &person, &reason).await,
        Request::Verify { certificate, public_key } => verify(context, &certificate, public_key).await,
    }
}

async fn wiring(context: &Context) -> Result<Arc<Wiring>, Failure> {
    Ok(Arc::new(Wiring::open(context.ask()?).await?))
}

fn lock(wiring: &Wiring, command: &str) -> Result<RunLock> {
    RunLock::acquire(&wiring.ask.folder.join(STATE), command, wiring.clock.as_ref())
}

fn print(document: &Value) -> Outcome {
    println!("{}", serde_json::to_string_pretty(document).map_err(|e| Error::internal("print", e))?);
    Ok(0)
}

async fn locate(context: &Context, person: &Person) -> Outcome {
    let case = person.case(wiring(context).await?).await?;
    let found = subject::locate(&case).await?;
    if context.format == Format::Json {
        let blind = &case.marks.blind;
        return print(&json!({
            "kind": case.subject.kind(), "pseudonym": case.pseudonym, "found": found, "blind": blind,
        }));
    }
    show::say(context.format, &format!("{}: {}", case.subject.kind(), case.pseudonym));
    show::print_records(
        context.format,
        &found,
        &[
            ("table", &|f: &Located| f.table.clone()),
            ("column", &|f| f.columns.keys().cloned().collect::<Vec<_>>().join(", ")),
            ("rows", &|f| show::count(f.rows)),
            ("versions", &|f| f.versions()),
            ("files", &|f| f.files.len().to_string()),
        ],
    )?;
    for column in &case.marks.blind {
        let what = match case.marks.tells_some(column) {
            false => "hides whose a row is; it was not searched",
            true => {
                "was masked otherwise before, in a way that hides whose a row is: rows of that time are not told by it"
            }
        };
        show::say(context.format, &format!("{}.{} {what}", column.table, column.column));
    }
    Ok(0)
}

async fn export(context: &Context, person: &Person, output: Option<PathBuf>) -> Outcome {
    let case = person.case(wiring(context).await?).await?;
    let folder = output.unwrap_or_else(|| PathBuf::from(format!("subject-{}", case.pseudonym)));
    let manifest = subject::export(&case, &folder).await?;
    if context.format == Format::Json {
        return print(&json!({
            "kind": manifest.kind, "pseudonym": manifest.pseudonym, "folder": folder, "tables": manifest.tables,
        }));
    }
    show::print_records(
        context.format,
        &manifest.tables,
        &[
            ("table", &|t| t.table.clone()),
            ("rows", &|t| show::count(t.rows)),
            ("file", &|t| t.file.clone()),
            ("opened", &|t| t.opened.join(", ")),
        ],
    )?;
    show::say(context.format, &format!("in {}", folder.display()));
    Ok(0)
}

fn told_plan(context: &Context, case: &Case, plan: &[Step]) -> Outcome {
    if context.format == Format::Json {
        return print(&json!({ "kind": case.subject.kind(), "pseudonym": case.pseudonym, "plan": plan }));
    }
    show_plan(context.format, case, plan)?;
    Ok(0)
}

fn show_plan(format: Format, case: &Case, plan: &[Step]) -> Result<()> {
    show::say(format, &format!("{}: {}", case.subject.kind(), case.pseudonym));
    let action = |step: &Step| match step.action {
        Action::Erase => "erase rows, purge old versions",
        Action::Purge => "purge old versions",
        Action::Hold => "keep: legal hold",
    };
    show::print_records(
        format,
        plan,
        &[
            ("table", &|s| s.located.table.clone()),
            ("what", &|s| action(s).to_owned()),
            ("rows", &|s| show::count(s.located.rows)),
            ("versions", &|s| s.located.versions()),
            ("files", &|s| s.located.files.len().to_string()),
        ],
    )
}

/// Asks a person at a terminal; elsewhere `--yes` is the answer.
fn agreed(context: &Context, case: &Case, plan: &[Step], yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let what = "erase a person";
    if !std::io::stdin().is_terminal() {
        return Err(Error::project(what, "say --yes, for there is nobody to ask; --dry-run shows what would be done"));
    }
    if context.format == Format::Table {
        show_plan(context.format, case, plan)?;
    }
    eprint!("This can't be undone. Type `forget` to go on: ");
    std::io::stderr().flush().map_err(|e| kernel::error::io(what, e))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| kernel::error::io(what, e))?;
    match answer.trim() {
        "forget" => Ok(()),
        _ => Err(Error::new(Kind::Stopped, what, "not agreed to; nothing was done")),
    }
}

async fn forget(context: &Context, person: &Person, yes: bool, purge_now: bool, deadline: Option<u32>) -> Outcome {
    let wiring = wiring(context).await?;
    let case = person.case(wiring.clone()).await?;
    if !yes {
        agreed(context, &case, &subject::plan(&case).await?, yes)?;
    }
    let _lock = lock(&wiring, "lavra subject forget")?;
    wiring.clear_spill()?;
    let run_id = uuid::Uuid::now_v7().to_string();
    let work = ProjectWork::new(&wiring, run_id, 1 + wiring.ask.jobs).await?;
    let deadline = deadline.unwrap_or(wiring.project.config.upkeep().erasure_deadline_days);
    let (mut certificate, mut file) = subject::forget(&case, work, deadline).await?;
    if purge_now {
        file = subject::purge(&wiring, &mut certificate, &Signer::of(case.keys.as_ref())?).await?;
    }
    if context.format == Format::Json {
        print(&json!({
            "kind": case.subject.kind(), "pseudonym": case.pseudonym, "certificate": certificate, "file": file,
        }))?;
    } else {
        told(context.format, &certificate, &file)?;
    }
    let Some(hold) = case.hold_on_person() else { return Ok(0) };
    show::say(context.format, &format!("nothing of this person was erased: the law keeps it {}", hold.sentence()));
    Ok(kernel::advice(Kind::Refused).exit)
}

fn told(format: Format, certificate: &Certificate, file: &Path) -> Result<()> {
    let tables: Vec<_> = certificate.tables.iter().collect();
    show::print_records(
        format,
        &tables,
        &[
            ("table", &|(name, _)| (*name).clone()),
            ("rows erased", &|(_, table)| show::count(table.rows)),
            ("first version without", &|(_, table)| table.version_after.to_string()),
            ("old versions", &|(_, table)| if table.is_purged { "purged" } else { "still there" }.to_owned()),
        ],
    )?;
    for sentence in &certificate.remains {
        show::say(format, &format!("remains: {sentence}"));
    }
    if !certificate.is_purged() {
        show::say(format, &subject::later(certificate));
    }
    show::say(format, &format!("certificate: {}", file.display()));
    Ok(())
}

async fn purge(context: &Context, now: bool) -> Outcome {
    let wiring = wiring(context).await?;
    let _lock = lock(&wiring, "lavra subject purge")?;
    let done = subject::purge_due(&wiring, now).await?;
    show::print_records(
        context.format,
        &done,
        &[
            ("person", &|c| c.request.pseudonym.clone()),
            ("tables", &|c| c.tables.len().to_string()),
            ("purged", &|c| c.purged_at.clone().unwrap_or_else(|| "in part".into())),
        ],
    )?;
    Ok(0)
}

async fn readmit(context: &Context, person: &Person, reason: &str) -> Outcome {
    let wiring = wiring(context).await?;
    let case = person.case(wiring.clone()).await?;
    if reason.trim().is_empty() {
        return Err(Error::project("readmit a person", "say why: the reason is kept").into());
    }
    let _lock = lock(&wiring, "lavra subject readmit")?;
    let is_done = subject::readmit(&case, reason).await?;
    if context.format == Format::Json {
        return print(&json!({ "kind": case.subject.kind(), "pseudonym": case.pseudonym, "readmitted": is_done }));
    }
    let sentence = match is_done {
        true => "rows of this person come in again from now on",
        false => "this person was never forgotten, or was readmitted before",
    };
    show::say(context.format, &format!("{}: {sentence}", case.pseudonym));
    Ok(0)
}

async fn verify(context: &Context, file: &Path, public_key: Option<String>) -> Outcome {
    let public_key = match public_key {
        Some(key) => key,
        None => Signer::of(&*wiring(context).await?.open_keys().await?)?.public_key(),
    };
    let signed = subject::verify(file, &public_key)?;
    if context.format == Format::Json {
        return print(&json!({ "is_valid": true, "certificate": signed.certificate }));
    }
    let (request, at) = (&signed.certificate.request, &signed.certificate.issued_at);
    show::say(context.format, &format!("good: {} was signed {at} by {public_key}", request.pseudonym));
    Ok(0)
}

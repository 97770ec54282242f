use super::Outcome;
use crate::cli::Context;
use crate::clock::SystemClock;
use crate::project::{Config, STATE};
use crate::show::{self, Format};
use crate::wiring::{KEY_FILE, place};
use kernel::clock::Clock;
use kernel::error::{Error, Result, io};
use privacy::keys::{KeyFile, Place};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Makes a project's folder with a key file that only you can read. In a project that was cloned, makes the key file that
/// it lacks.
#[derive(clap::Args)]
#[command(after_help = "Example:
  lavra init shop && cd shop
  cp ~/orders.csv data/
  lavra scan data/*.csv --write
  lavra check && lavra run")]
pub struct Init {
    /// The folder to make
    pub folder: PathBuf,
}

const GITIGNORE: &str =
    "# keys, lock and spilled rows; never to be shared\n.lavra/\n# the lake is made, not written\nlake/\n";

const README: &str = "\
# A Lavra project

    data/        drop files here, then `lavra scan data/*.csv --write`
    sources/     where data comes from
    contracts/   what it must look like, and what is hidden (Open Data Contract Standard)
    models/      SQL: models/silver/orders.sql becomes the table silver.orders
    tests/       rows in, rows out

`lavra check` finds every mistake, `lavra run` does the work, `lavra query \"select …\"` answers.
The key file `.lavra/keys.json` opens every mask: keep a copy of it where nobody else can read it.
";

pub async fn run(context: &Context, args: Init) -> Outcome {
    let folder = std::path::absolute(&args.folder).map_err(|e| io("find the folder", e))?;
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if args.folder.join("lavra.yaml").exists() {
        return mend(context, &args.folder);
    }
    let project: String =
        name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    make(
        &args.folder,
        &[
            (
                "lavra.yaml",
                &format!(
                    "project: {project}\nenvironments:\n  local: {{}}   # all embedded; see `lavra schema` for what else there is\n"
                ),
            ),
            ("README.md", README),
        ],
    )?;
    let keys = args.folder.join(KEY_FILE);
    made(context, &project, &args.folder, &keys)?;
    show::say(
        context.format,
        &format!("{} is a project. Its keys are in {KEY_FILE}: keep a copy.", args.folder.display()),
    );
    show::say(
        context.format,
        &format!("next:  cd {} && cp …/orders.csv data/ && lavra scan data/*.csv --write", args.folder.display()),
    );
    Ok(0)
}

/// For programs: what was made.
fn made(context: &Context, project: &str, folder: &Path, keys: &Path) -> Result<()> {
    match context.format {
        Format::Table => Ok(()),
        Format::Json => {
            println!("{}", json!({ "project": project, "folder": folder, "keys": keys }));
            Ok(())
        }
        Format::Csv => show::print_records(
            context.format,
            &[(project, folder, keys)],
            &[
                ("project", &|m| m.0.to_owned()),
                ("folder", &|m| m.1.display().to_string()),
                ("keys", &|m| m.2.display().to_string()),
            ],
        ),
    }
}

/// Makes what a project lacks after it was cloned: git keeps neither its key file nor an empty folder.
fn mend(context: &Context, folder: &Path) -> Outcome {
    let what = format!("make a project in {}", folder.display());
    let (project, keys) = keys_of(folder, context.environment())?;
    if keys.exists() {
        return Err(Error::project(what, "there is one already, and it has its keys").into());
    }
    make_folders(folder)?;
    KeyFile::create(&keys, SystemClock::default().now())?;
    made(context, &project, folder, &keys)?;
    show::say(
        context.format,
        &format!(
            "{} is a project already; it had no key file, so {} was made: keep a copy.\n\
             warning: these keys are new. Whoever was masked with other keys gets another pseudonym from now on, and is not \
             joined with what the lake holds. If there is a key file of this project elsewhere, put it in the place of the \
             new one before `lavra run`.",
            folder.display(),
            keys.display()
        ),
    );
    Ok(0)
}

/// The name of a project that is there, and where its key file has to be.
fn keys_of(folder: &Path, environment: &str) -> Result<(String, PathBuf)> {
    let file = folder.join("lavra.yaml");
    let text = std::fs::read_to_string(&file).map_err(|e| io(format!("read {}", file.display()), e))?;
    let read = kernel::draft::read::<Config>("lavra.yaml", &text, &|name| std::env::var(name).ok());
    let config = read.map_err(|_| Error::project("read lavra.yaml", "it has faults; `lavra check` shows them"))?.value;
    let named = config.environments.get(environment).and_then(|environment| environment.keys.clone());
    let what = format!("make a project in {}", folder.display());
    match Place::parse(named.as_deref().unwrap_or(KEY_FILE)) {
        Ok(Place::File(path)) => Ok((config.project, PathBuf::from(place(folder, &path)))),
        Ok(Place::System(_)) => Err(Error::project(
            what,
            "there is one already, and its keys are kept by a system that makes them when they are needed",
        )),
        Err(why) => Err(Error::project(what, why)),
    }
}

fn make_folders(folder: &Path) -> Result<()> {
    for sub in ["data", "sources", "contracts", "models/silver", "models/gold", "tests", STATE] {
        let sub = folder.join(sub);
        std::fs::create_dir_all(&sub).map_err(|e| io(format!("make {}", sub.display()), e))?;
    }
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, GITIGNORE).map_err(|e| io(format!("write {}", ignore.display()), e))?;
    }
    Ok(())
}

/// Makes the folders, the keys and these files.
pub fn make(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    make_folders(folder)?;
    for (path, text) in files {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(|e| io(format!("make {}", parent.display()), e))?;
        }
        if !file.exists() {
            std::fs::write(&file, text).map_err(|e| io(format!("write {}", file.display()), e))?;
        }
    }
    let keys = folder.join(KEY_FILE);
    match keys.exists() {
        true => Ok(()),
        false => KeyFile::create(&keys, SystemClock::default().now()),
    }
}

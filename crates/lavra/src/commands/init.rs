use super::Outcome;
use crate::cli::Context;
use crate::project::STATE;
use crate::show::Format;
use kernel::error::{Error, Result, io};
use privacy::keys::KeyFile;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Makes a project's folder with a key file that only you can read.
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
    let name = args.folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if args.folder.join("lavra.yaml").exists() {
        let what = format!("make a project in {}", args.folder.display());
        return Err(Error::project(what, "there is one already").into());
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
    if context.format == Format::Json {
        println!(
            "{}",
            json!({ "project": project, "folder": args.folder, "keys": args.folder.join(STATE).join("keys.json") })
        );
        return Ok(0);
    }
    println!(
        "{} is a project. Its keys are in {}: keep a copy.",
        args.folder.display(),
        Path::new(STATE).join("keys.json").display()
    );
    println!("next:  cd {} && cp …/orders.csv data/ && lavra scan data/*.csv --write", args.folder.display());
    Ok(0)
}

/// Makes the folders, the keys and these files.
pub fn make(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    for sub in ["data", "sources", "contracts", "models/silver", "models/gold", "tests", STATE] {
        let sub = folder.join(sub);
        std::fs::create_dir_all(&sub).map_err(|e| io(format!("make {}", sub.display()), e))?;
    }
    for (path, text) in files.iter().copied().chain([(".gitignore", GITIGNORE)]) {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(|e| io(format!("make {}", parent.display()), e))?;
        }
        if !file.exists() {
            std::fs::write(&file, text).map_err(|e| io(format!("write {}", file.display()), e))?;
        }
    }
    let keys = folder.join(STATE).join("keys.json");
    match keys.exists() {
        true => Ok(()),
        false => KeyFile::create(&keys),
    }
}

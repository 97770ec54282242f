//! `cargo x services`: real servers on loopback, each started by its recipe. (Not called `services`: that is the word by
//! which `cargo x test` leaves tests out.)

use crate::repo::root;
use crate::{DONE, FAILED, MISUSED, misuse};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const HELP: &str = "\
cargo x services list|up|down|status [NAME…]: real servers on 127.0.0.1, from public packages, without containers

  list      what there is, with versions
  up        installs what is missing, after asking, and starts it; without a name, all
  down      stops those that are up
  status    one line each: NAME VERSION up|down|absent [URL]; fails unless all that are named are up
  --yes     install without asking

Programs are kept in ~/.cache/lavra/services (or $LAVRA_SERVICES_CACHE), data and logs in target/services/NAME until the
next start. docs/services.md tells how to use each.

example: cargo x services up openbao moto";

/// A server's recipe: a program in tests/services/recipes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub name: String,
    about: String,
    program: PathBuf,
}

/// What a recipe says of its server: `NAME VERSION up|down|absent [URL]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub line: String,
}

impl Status {
    pub fn is_up(&self) -> bool {
        self.words().nth(2) == Some("up")
    }

    /// Name, version and URL, for a reader.
    pub fn shown(&self) -> String {
        self.words().filter(|word| *word != "up").collect::<Vec<_>>().join(" ")
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.line.split(' ')
    }
}

impl Recipe {
    pub fn status(&self) -> Result<Status> {
        let output = Command::new(&self.program).arg("status").output().with_context(|| self.starting())?;
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || line.split(' ').count() < 3 {
            bail!("{} status: {}", self.program.display(), String::from_utf8_lossy(&output.stderr));
        }
        Ok(Status { line })
    }

    /// Starts it unless it is up. With an owner, it ends when that process has, however that came to be.
    pub fn start(&self, yes: bool, owner: Option<u32>) -> Result<Status> {
        let mut command = Command::new(&self.program);
        command.arg("start").args(yes.then_some("--yes"));
        command.envs(owner.map(|owner| ("LAVRA_SERVICES_OWNER", owner.to_string())));
        if !command.status().with_context(|| self.starting())?.success() {
            bail!("{} was not started", self.name);
        }
        self.status()
    }

    pub fn stop(&self) -> Result<()> {
        let status = Command::new(&self.program).arg("stop").status().with_context(|| self.starting())?;
        if !status.success() {
            bail!("{} was not stopped", self.name);
        }
        Ok(())
    }

    fn starting(&self) -> String {
        format!("starting {}: is it executable?", self.program.display())
    }
}

pub fn run(args: &[String]) -> Result<u8> {
    let Some((verb, rest)) = args.split_first() else {
        eprintln!("{HELP}");
        return Ok(MISUSED);
    };
    let (options, names): (Vec<&String>, Vec<&String>) = rest.iter().partition(|arg| arg.starts_with('-'));
    if let Some(other) = options.iter().find(|option| *option != &"--yes" || verb != "up") {
        return Ok(misuse("services", other));
    }
    let all = recipes(&root()?)?;
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|recipe| recipe.name == ***name)) {
        eprintln!("cargo x services: there is no recipe `{unknown}`\n{}", list(&all)?);
        return Ok(MISUSED);
    }
    let chosen: Vec<&Recipe> = all.iter().filter(|recipe| names.is_empty() || names.contains(&&recipe.name)).collect();
    match verb.as_str() {
        "list" => print!("{}", list(&all)?),
        "up" => return up(&chosen, !options.is_empty()),
        "down" => chosen.iter().try_for_each(|recipe| recipe.stop())?,
        "status" => return status(&chosen, !names.is_empty()),
        other => return Ok(misuse("services", other)),
    }
    Ok(DONE)
}

/// One that does not start does not keep the others from it.
fn up(chosen: &[&Recipe], yes: bool) -> Result<u8> {
    let mut code = DONE;
    for recipe in chosen {
        match recipe.start(yes, None) {
            Ok(status) => println!("{}", status.line),
            Err(error) => {
                eprintln!("cargo x services: {error:#}");
                code = FAILED;
            }
        }
    }
    Ok(code)
}

fn status(chosen: &[&Recipe], must_be_up: bool) -> Result<u8> {
    let mut code = DONE;
    for recipe in chosen {
        let status = recipe.status()?;
        println!("{}", status.line);
        if must_be_up && !status.is_up() {
            code = FAILED;
        }
    }
    Ok(code)
}

fn list(recipes: &[Recipe]) -> Result<String> {
    let mut text = String::new();
    for recipe in recipes {
        let status = recipe.status()?;
        let words: Vec<&str> = status.words().collect();
        text.push_str(&format!("  {:<10} {:<7} {:<7} {}\n", recipe.name, words[1], words[2], recipe.about));
    }
    Ok(text)
}

/// All recipes, by name.
pub fn recipes(root: &Path) -> Result<Vec<Recipe>> {
    let folder = root.join("tests/services/recipes");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
        let program = entry?.path();
        let text = std::fs::read_to_string(&program).with_context(|| format!("reading {}", program.display()))?;
        // Beside them are what they share, and lists of packages.
        if text.starts_with("#!") {
            let about = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default().to_owned();
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push(Recipe { name, about, program });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_a_program_that_says_in_one_line_how_its_server_is() {
        let all = recipes(&root().unwrap()).unwrap();
        let names: Vec<&str> = all.iter().map(|recipe| recipe.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "azurite",
                "datasette",
                "ferretdb",
                "gcs",
                "kafka",
                "kafka3",
                "mariadb",
                "moto",
                "openbao",
                "postgres",
                "pulsar",
                "registry",
                "spark",
                "versitygw"
            ]
        );
        for recipe in &all {
            let status = recipe.status().unwrap();
            let words: Vec<&str> = status.words().collect();
            assert_eq!(words[0], recipe.name);
            assert!(words[1].starts_with(|c: char| c.is_ascii_digit()), "{status:?}");
            assert!(["up", "down", "absent"].contains(&words[2]), "{status:?}");
        }
    }

    #[test]
    fn a_server_that_is_up_is_shown_with_its_version_and_place() {
        let up = Status { line: "moto 5.2.5 up http://127.0.0.1:5000".into() };
        assert!(up.is_up());
        assert_eq!(up.shown(), "moto 5.2.5 http://127.0.0.1:5000");
        assert!(!Status { line: "moto 5.2.5 down".into() }.is_up());
    }
}

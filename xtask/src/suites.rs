//! `cargo x test --services`: the suites that need real servers, each with the servers it asks for.

use crate::servers::{Recipe, Status, recipes};
use crate::steps::{self, Count, Report, Verdict};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// All tests of suites have this in their names, and no others have.
pub const MARK: &str = "services::";
const FOLDER: &str = "tests/services";

/// Tells the tests that they run at full size.
const FULL: &str = "LAVRA_TORTURE";

/// How large the cases are: for every change, or for the whole truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Small,
    Full,
}

/// One file of tests/services.
#[derive(Debug, PartialEq, Eq)]
struct Suite {
    name: String,
    needs: Vec<String>,
    /// How many of its tests run at a time, where that is not the number of cores.
    at_once: Option<String>,
}

/// The servers that were started for suites: they end with this value, whatever happened meanwhile.
#[derive(Default)]
struct Started(Vec<Recipe>);

impl Started {
    /// Ends what none of these suites needs: a server that only stands by takes memory and time from the next one.
    fn end_all_but(&mut self, suites: &[Suite]) {
        let needed = |recipe: &mut Recipe| suites.iter().any(|suite| suite.needs.contains(&recipe.name));
        for recipe in self.0.extract_if(.., |recipe| !needed(recipe)) {
            if let Err(error) = recipe.stop() {
                eprintln!("cargo x test: {error:#}");
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.end_all_but(&[]);
    }
}

/// Runs all suites, or those whose name contains a word. A server that was up before stays up.
pub fn run(root: &Path, filter: Option<&str>, yes: bool, size: Size) -> Result<Report> {
    let mut suites = suites(root)?;
    suites.retain(|suite| suite.name.contains(filter.unwrap_or_default()));
    ensure!(!suites.is_empty(), "no suite in {FOLDER} has `{}` in its name", filter.unwrap_or_default());
    let recipes = recipes(root)?;
    let mut report = Report::default();
    if !report.step("build", || steps::check(root, steps::BUILD)) {
        return Ok(report);
    }
    let (mut started, mut met) = (Started::default(), Vec::new());
    for (at, suite) in suites.iter().enumerate() {
        report.step(&suite.name, || {
            let servers = up(suite, &recipes, &mut started, yes)?;
            let shown: Vec<String> = servers.iter().map(Status::shown).collect();
            met.push(format!("suite {} met {}", suite.name, shown.join(", ")));
            println!("{}", met.last().map_or("", String::as_str));
            tests(root, suite, &servers, size)
        });
        started.end_all_but(&suites[at + 1..]);
    }
    println!("\n{}", met.join("\n"));
    Ok(report)
}

fn up(suite: &Suite, recipes: &[Recipe], started: &mut Started, yes: bool) -> Result<Vec<Status>> {
    let mut servers = Vec::new();
    for name in &suite.needs {
        let recipe = recipes.iter().find(|recipe| recipe.name == *name);
        let recipe = recipe.with_context(|| format!("suite {} needs `{name}`, which has no recipe", suite.name))?;
        let mut status = recipe.status()?;
        if !status.is_up() {
            status = recipe.start(yes, Some(std::process::id()))?;
            started.0.push(recipe.clone());
        }
        servers.push(status);
    }
    Ok(servers)
}

fn tests(root: &Path, suite: &Suite, servers: &[Status], size: Size) -> Result<Verdict> {
    let filter = format!("{MARK}{}::", suite.name);
    let lines: Vec<&str> = servers.iter().map(|server| server.line.as_str()).collect();
    let mut told = vec![("LAVRA_SERVICES", lines.join("\n"))];
    let mut args = vec!["test", "--workspace", "--test", "all", &filter];
    match size {
        Size::Full => {
            told.push((FULL, "yes".to_owned()));
            // One at a time, and heard: what a case found is its result.
            args.extend(["--", "--nocapture", "--test-threads", "1"]);
        }
        Size::Small => args.extend(suite.at_once.iter().flat_map(|number| ["--", "--test-threads", number])),
    }
    let verdict = steps::test(root, &args, &told)?;
    ensure!(verdict != Verdict::Checked(Count::default()), "suite {} has no test", suite.name);
    Ok(verdict)
}

/// Every file beside `mod.rs` is a suite, so that none can be forgotten.
fn suites(root: &Path) -> Result<Vec<Suite>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join(FOLDER)).with_context(|| format!("listing {FOLDER}"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|end| end == "rs") && name != "mod" {
            let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let needs =
                needs(&text).with_context(|| format!("the first line of {} says no `Needs: …`", path.display()))?;
            found.push(Suite { name, needs, at_once: at_once(&text) });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Of `//! A lake in S3. Needs: moto, versitygw.` the names.
fn needs(text: &str) -> Option<Vec<String>> {
    let (_, names) = text.lines().next()?.split_once("Needs: ")?;
    Some(names.trim_end_matches('.').split(", ").map(str::to_owned).collect())
}

/// Of `//! At once: 6, since they wait.` the number.
fn at_once(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("//! At once: "))?;
    Some(line.chars().take_while(char::is_ascii_digit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::root;

    #[test]
    fn what_a_suite_needs_stands_in_its_first_line() {
        assert_eq!(needs("//! A lake in S3. Needs: moto, versitygw.\n"), Some(vec!["moto".into(), "versitygw".into()]));
        assert_eq!(needs("//! A lake in S3.\n//! Needs: moto."), None);
        assert_eq!(at_once("//! A lake. Needs: moto.\n//! At once: 6, since they wait.\n"), Some("6".into()));
        assert_eq!(at_once("//! A lake. Needs: moto.\n"), None);
    }

    #[test]
    fn every_suite_needs_servers_that_have_recipes_and_is_compiled() {
        let root = root().unwrap();
        let recipes = recipes(&root).unwrap();
        let modules = std::fs::read_to_string(root.join(FOLDER).join("mod.rs")).unwrap();
        let suites = suites(&root).unwrap();
        assert!(!suites.is_empty());
        for Suite { name, needs, .. } in suites {
            assert!(modules.contains(&format!("\nmod {name};")), "{name} is not in mod.rs");
            assert!(needs.iter().all(|need| recipes.iter().any(|recipe| recipe.name == *need)), "{name}: {needs:?}");
        }
    }

    /// `cargo x test` leaves out by name: a crate's own module of that name would be left out unseen.
    #[test]
    fn no_other_module_has_the_name_by_which_suites_are_left_out() {
        let repo = crate::repo::Repo::load().unwrap();
        let folder = format!("/{}", MARK.trim_end_matches(':'));
        for file in repo.with_extension("rs").filter(|file| !file.path.starts_with(FOLDER)) {
            let path = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
            assert!(
                !path.ends_with(&folder) && !file.path.contains(&format!("{folder}/")),
                "{} would never be tested",
                file.path
            );
        }
    }
}

//! `cargo x docs`: docs/reference is written by the binary itself, so it cannot differ from what the binary does.

use crate::repo::{self, Finding, Repo};
use crate::{DONE, FAILED, misuse, steps};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const HELP: &str = "\
cargo x docs [--check]: builds the binary and lets it write docs/reference; with --check it only says what would change

example: cargo x docs --check";

const FOLDER: &str = "docs/reference";
const REMEDY: &str = "run `cargo x docs` and commit what it wrote";

/// Pages by their path inside the folder.
type Pages = BTreeMap<String, String>;

pub fn run(args: &[String]) -> Result<u8> {
    let only_check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        [arg, ..] => return Ok(misuse("docs", arg)),
    };
    let repo = Repo::load()?;
    if !steps::succeeds(&repo.root, steps::BUILD, &[])? {
        return Ok(FAILED);
    }
    let binary = binary(&repo.root)?;
    if !only_check {
        return write(&repo, &generate(&repo, &binary)?);
    }
    let findings = check(&repo, &binary)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    println!("docs: {} offences", findings.len());
    Ok(if findings.is_empty() { DONE } else { FAILED })
}

/// Where the build leaves the program.
pub fn binary(root: &Path) -> Result<PathBuf> {
    let answer = repo::ask_cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: serde_json::Value = serde_json::from_slice(&answer).context("reading what cargo metadata said")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata named no target folder")?;
    Ok(Path::new(target).join("debug").join(format!("lavra{}", std::env::consts::EXE_SUFFIX)))
}

/// Says how the committed pages differ from those that `binary` writes.
pub fn check(repo: &Repo, binary: &Path) -> Result<Vec<Finding>> {
    Ok(match generate(repo, binary) {
        Ok(fresh) => differences(&committed(repo), &fresh),
        Err(error) => {
            vec![Finding::new(FOLDER, 1, format!("{error:#}"), "`lavra docs --out DIR` must write every page")]
        }
    })
}

fn committed(repo: &Repo) -> Pages {
    let inside =
        |file: &repo::File| Some((file.path.strip_prefix(FOLDER)?.strip_prefix('/')?.to_owned(), file.text.clone()));
    repo.files.iter().filter_map(inside).collect()
}

fn differences(committed: &Pages, fresh: &Pages) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, page) in fresh {
        let whole = format!("{FOLDER}/{path}");
        match committed.get(path) {
            None => findings.push(Finding::new(&whole, 1, "the page is missing", REMEDY)),
            Some(old) if old != page => {
                let same = old.lines().zip(page.lines()).take_while(|(old, new)| old == new).count();
                findings.push(Finding::new(&whole, same + 1, "the page is not what the binary writes", REMEDY));
            }
            Some(_) => {}
        }
    }
    for path in committed.keys().filter(|path| !fresh.contains_key(*path)) {
        let what = "the binary writes no such page";
        findings.push(Finding::new(
            &format!("{FOLDER}/{path}"),
            1,
            what,
            "delete it, or move what a person wrote out of the folder",
        ));
    }
    findings
}

fn generate(repo: &Repo, binary: &Path) -> Result<Pages> {
    let folder = std::env::temp_dir().join(format!("lavra-reference-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let pages = written_by(&repo.root, binary, &folder);
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    let pages = pages?;
    if pages.is_empty() {
        bail!("`lavra docs --out DIR` wrote no page");
    }
    Ok(pages)
}

fn written_by(root: &Path, binary: &Path, folder: &Path) -> Result<Pages> {
    let mut command = Command::new(binary);
    command.args(["docs", "--out"]).arg(folder).current_dir(root);
    let output = command.output().with_context(|| format!("starting {}", binary.display()))?;
    if !output.status.success() {
        bail!("`lavra docs --out DIR` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let mut pages = Pages::new();
    collect(folder, "", &mut pages)?;
    Ok(pages)
}

fn collect(folder: &Path, prefix: &str, pages: &mut Pages) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), pages)?;
        } else {
            let page = std::fs::read_to_string(entry.path()).with_context(|| format!("reading the page {path}"))?;
            pages.insert(path, page);
        }
    }
    Ok(())
}

/// Replaces the folder, only once all pages are there.
fn write(repo: &Repo, pages: &Pages) -> Result<u8> {
    let folder = repo.root.join(FOLDER);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("emptying {FOLDER}"))?;
    }
    for (path, page) in pages {
        let whole = folder.join(path);
        let above = whole.parent().unwrap_or(&folder);
        std::fs::create_dir_all(above).with_context(|| format!("making {}", above.display()))?;
        std::fs::write(&whole, page).with_context(|| format!("writing {FOLDER}/{path}"))?;
    }
    let changed = differences(&committed(repo), pages).len();
    println!("docs: {} pages in {FOLDER}, {changed} changed", pages.len());
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(pages: &[(&str, &str)]) -> Pages {
        pages.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect()
    }

    #[test]
    fn the_same_pages_are_no_offence() {
        let repo = Repo::of(&[("docs/reference/cli.md", "a\nb\n"), ("docs/other.md", "")]);
        assert_eq!(differences(&committed(&repo), &pages(&[("cli.md", "a\nb\n")])), []);
    }

    #[test]
    fn a_missing_a_stale_and_a_left_over_page_are_told() {
        let old = pages(&[("cli.md", "a\nold\n"), ("gone.md", "")]);
        let new = pages(&[("cli.md", "a\nnew\n"), ("connectors/files.md", "")]);
        let found: Vec<_> = differences(&old, &new).iter().map(ToString::to_string).collect();
        assert!(found[0].starts_with("docs/reference/cli.md:2: the page is not what the binary writes"), "{found:?}");
        assert!(found[1].starts_with("docs/reference/connectors/files.md:1: the page is missing"), "{found:?}");
        assert!(found[2].starts_with("docs/reference/gone.md:1: the binary writes no such page"), "{found:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_binary_that_writes_nothing_or_fails_is_an_offence() {
        for program in ["true", "false", "no-such-program"] {
            let found = check(&Repo { root: ".".into(), files: vec![] }, Path::new(program)).unwrap();
            assert_eq!(found.len(), 1, "{program}");
        }
    }
}

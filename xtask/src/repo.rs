//! The checkout in memory, and what a rule says about a place in it.

use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file of the checkout.
#[derive(Debug)]
pub struct File {
    /// Relative to the root, with `/` on every system.
    pub path: String,
    /// Empty when the file is not UTF-8.
    pub text: String,
}

/// All files that are, or could be, committed. Rules are pure functions of it, so a test makes one by hand.
#[derive(Debug, Default)]
pub struct Repo {
    pub root: PathBuf,
    pub files: Vec<File>,
}

/// What is wrong, where, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub what: String,
    pub remedy: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.remedy)
    }
}

impl Repo {
    /// Reads the checkout that the current folder is in.
    pub fn load() -> Result<Self> {
        let root = root()?;
        let mut files = Vec::new();
        for path in listed(&root)? {
            let whole = root.join(&path);
            // A file deleted but not yet committed as deleted is still listed.
            if whole.is_file() {
                let bytes = std::fs::read(&whole).with_context(|| format!("reading {path}"))?;
                files.push(File { path, text: String::from_utf8(bytes).unwrap_or_default() });
            }
        }
        Ok(Self { root, files })
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
        Self { root: PathBuf::new(), files }
    }

    pub fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| Path::new(&file.path).extension().is_some_and(|e| e == extension))
    }

    pub fn text_of(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    /// Every folder that holds a file, however deep.
    pub fn folders(&self) -> BTreeSet<&str> {
        let mut folders = BTreeSet::new();
        for file in &self.files {
            folders.extend(file.path.match_indices('/').map(|(at, _)| &file.path[..at]));
        }
        folders
    }
}

/// The nearest folder, from here upwards, whose manifest holds the workspace.
pub fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder")?;
    for folder in here.ancestors() {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        if manifest.lines().any(|line| line.trim() == "[workspace]") {
            return Ok(folder.to_owned());
        }
    }
    bail!("{} is not inside the Lavra workspace: go there first", here.display())
}

/// The cargo that started us, or the one on the path. What `cargo run` tells us of ourselves (`CARGO_PKG_NAME`, …) is not
/// handed on: some build scripts look at it, and half the tree would be built anew each time that `cargo build` and
/// `cargo x` take turns.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|start| name.starts_with(start))
        });
        if told {
            command.env_remove(name);
        }
    }
    command
}

/// Runs cargo for its answer.
pub fn ask_cargo(root: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let output = cargo().args(args).current_dir(root).output().context("starting cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed:\n{}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

fn listed(root: &Path) -> Result<Vec<String>> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let git = Command::new("git").args(args).current_dir(root).output();
    let Some(output) = git.ok().filter(|output| output.status.success()) else {
        // An unpacked archive has no git; then everything but the build folder counts.
        let mut found = Vec::new();
        walk(root, "", &mut found)?;
        return Ok(found);
    };
    let mut paths: Vec<String> =
        output.stdout.split(|byte| *byte == 0).map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    paths.retain(|path| !path.is_empty());
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if name != ".git" && name != "target" {
                walk(&entry.path(), &format!("{path}/"), found)?;
            }
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_above_the_files() {
        let repo = Repo::of(&[("a/b/c.rs", ""), ("a/d.md", ""), ("e.md", "")]);
        assert_eq!(repo.folders().into_iter().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(repo.with_extension("md").count(), 2);
    }

    #[test]
    fn a_finding_says_where_what_and_what_to_do() {
        let finding = Finding::new("a.rs", 3, "it is too long", "split it");
        assert_eq!(finding.to_string(), "a.rs:3: it is too long; split it");
    }

    #[test]
    fn without_git_the_folder_is_walked_and_the_build_folder_left_out() {
        let folder = std::env::temp_dir().join(format!("xtask-walk-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("src")).unwrap();
        std::fs::create_dir_all(folder.join("target")).unwrap();
        for path in ["src/a.rs", "target/b", "c.md"] {
            std::fs::write(folder.join(path), "x").unwrap();
        }
        let mut found = Vec::new();
        walk(&folder, "", &mut found).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, ["c.md", "src/a.rs"]);
    }
}

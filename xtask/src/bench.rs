//! `cargo x bench`: each comparison is a folder under benches/ with a program called `run`.

use crate::repo::root;
use crate::{DONE, FAILED, MISUSED};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

pub const HELP: &str = "\
cargo x bench [NAME [ARGUMENTS]]: runs benches/NAME/run, which prints a ratio to the best peer; without a name it lists them

example: cargo x bench file2delta";

/// A comparison and the first comment of its program.
#[derive(Debug, PartialEq, Eq)]
struct Bench {
    name: String,
    about: String,
}

pub fn run(args: &[String]) -> Result<u8> {
    let root = root()?;
    let benches = benches(&root.join("benches"))?;
    let Some((name, rest)) = args.split_first() else {
        print!("{}", list(&benches));
        return Ok(DONE);
    };
    if !benches.iter().any(|bench| bench.name == *name) {
        eprintln!("cargo x bench: there is no benches/{name}/run\n{}", list(&benches));
        return Ok(MISUSED);
    }
    let program = root.join("benches").join(name).join("run");
    let status = Command::new(&program).args(rest).current_dir(&root).status();
    let status = status.with_context(|| format!("starting benches/{name}/run: is it executable?"))?;
    Ok(if status.success() { DONE } else { FAILED })
}

fn benches(folder: &Path) -> Result<Vec<Bench>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(folder).context("listing benches")? {
        let entry = entry?;
        if let Ok(program) = std::fs::read(entry.path().join("run")) {
            let about = first_comment(&String::from_utf8_lossy(&program)).to_owned();
            found.push(Bench { name: entry.file_name().to_string_lossy().into_owned(), about });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn first_comment(program: &str) -> &str {
    let comment = program.lines().find_map(|line| line.strip_prefix("# "));
    comment.unwrap_or_default()
}

fn list(benches: &[Bench]) -> String {
    if benches.is_empty() {
        return "there is no bench yet\n".into();
    }
    benches.iter().map(|bench| format!("  {:<16}{}\n", bench.name, bench.about)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_is_a_folder_with_a_program_called_run() {
        let folder = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("file2delta")).unwrap();
        std::fs::create_dir_all(folder.join("data")).unwrap();
        std::fs::write(folder.join("file2delta/run"), "#!/bin/sh\n# files to Delta\n").unwrap();
        let found = benches(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [Bench { name: "file2delta".into(), about: "files to Delta".into() }]);
        assert!(list(&found).contains("files to Delta"));
        assert_eq!(list(&[]), "there is no bench yet\n");
    }
}

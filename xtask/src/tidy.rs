//! The laws of the house that no compiler checks. Each rule is a pure function of the checkout.

mod arrows;
mod banned;
mod length;
mod links;
mod markdown;
mod names;
mod places;

use crate::repo::{Finding, Repo};
use crate::{DONE, FAILED, misuse, reference};
use anyhow::Result;
use std::path::Path;

pub const HELP: &str = "\
cargo x tidy [--binary PATH]: checks what no compiler checks, and says for each offence its place and the remedy

  arrows      which crate may depend on which: rooms stand on the kernel and have no doors between them
  length      a file ends at 700 lines, a function at 70
  names       no folder or module called core, common, utils, types or helpers
  banned      calls that clippy cannot tell from allowed ones, and exceptions without a reason
  links       every relative link and anchor in a .md file leads somewhere
  places      no path of one machine, no host of a package registry
  reference   docs/reference is what PATH writes; only with --binary

example: cargo x tidy --binary target/debug/lavra";

pub fn run(args: &[String]) -> Result<u8> {
    let binary = match args {
        [] => None,
        [flag, path] if flag == "--binary" => Some(path),
        [arg, ..] => return Ok(misuse("tidy", arg)),
    };
    Ok(if check(binary.map(Path::new))? { DONE } else { FAILED })
}

/// Prints every offence; true when there is none.
pub fn check(binary: Option<&Path>) -> Result<bool> {
    let repo = Repo::load()?;
    let mut findings = arrows::check(&repo, &arrows::packages(&repo.root)?);
    for rule in [length::check, banned::check, names::check, links::check] {
        findings.extend(rule(&repo));
    }
    findings.extend(places::check(&repo, &places::of_this_machine(&repo.root)));
    match binary {
        Some(binary) => findings.extend(reference::check(&repo, binary)?),
        None => println!("tidy: docs/reference was not compared: give --binary for that"),
    }
    Ok(report(findings, repo.files.len()))
}

fn report(mut findings: Vec<Finding>, files: usize) -> bool {
    findings.sort();
    findings.dedup();
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {files} files, {} offences", findings.len());
    findings.is_empty()
}

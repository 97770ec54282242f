//! `cargo x test`: every check that needs no outside server, and one summary.

use crate::repo::root;
use crate::steps::{self, Count, Report, Verdict};
use crate::{DONE, FAILED, MISUSED, deny, misuse, reference, tidy};
use anyhow::{Result, ensure};
use std::path::Path;

pub const HELP: &str = "\
cargo x test [FILTER]: every check that needs no outside server, then one summary

  format, build, tidy, clippy, licences and bans, advisories, then all tests; a failure does not stop the rest
  FILTER       only the tests whose name contains it, and none of the other checks
  --services   the tests that need real servers

example: cargo x test
example: cargo x test quarantine";

const FORMAT: &[&str] = &["fmt", "--all", "--check"];
const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
const TEST: &[&str] = &["test", "--workspace", "--no-fail-fast"];

pub fn run(args: &[String]) -> Result<u8> {
    let mut filter = None;
    for arg in args {
        match arg.as_str() {
            "--services" => {
                println!(
                    "cargo x test --services: there is no suite that needs servers yet; `cargo x test` runs everything there is"
                );
                return Ok(MISUSED);
            }
            word if !word.starts_with('-') && filter.is_none() => filter = Some(word),
            other => return Ok(misuse("test", other)),
        }
    }
    let root = root()?;
    let report = match filter {
        Some(filter) => only_tests(&root, filter),
        None => everything(&root),
    };
    println!("{}", report.summary());
    Ok(if report.total().failed == 0 { DONE } else { FAILED })
}

fn only_tests(root: &Path, filter: &str) -> Report {
    let mut report = Report::default();
    // Journeys start the binaries: those of an earlier build would vouch for code that is not there any more.
    if !report.step("build", || steps::check(root, steps::BUILD)) {
        return report;
    }
    report.step("test", || {
        let verdict = steps::test(root, &[TEST, &[filter]].concat())?;
        // A slip in the word must not look like a success.
        ensure!(verdict != Verdict::Checked(Count::default()), "no test has `{filter}` in its name");
        Ok(verdict)
    });
    report
}

fn everything(root: &Path) -> Report {
    let mut report = Report::default();
    report.step("format", || steps::check(root, FORMAT));
    let built = report.step("build", || {
        println!("the first build compiles the whole engine: some 15 minutes on two cores");
        steps::check(root, steps::BUILD)
    });
    report.step("tidy", || {
        // A binary of an earlier build would vouch for pages that the present one does not write.
        let binary = if built { Some(reference::binary(root)?) } else { None };
        Ok(Verdict::Checked(Count::one(tidy::check(binary.as_deref())?)))
    });
    report.step("clippy", || steps::check(root, CLIPPY));
    report.step("deny", || deny::licences_and_bans(root));
    report.step("advisories", || deny::advisories(root));
    report.step("test", || steps::test(root, TEST));
    report
}

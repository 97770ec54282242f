//! `cargo x test`: every check that needs no outside server, and one summary.

use crate::repo::root;
use crate::steps::{self, Count, Report, Verdict};
use crate::{DONE, FAILED, deny, misuse, reference, suites, tidy};
use anyhow::{Result, ensure};
use std::path::Path;

pub const HELP: &str = "\
cargo x test [FILTER]: every check that needs no outside server, then one summary

  format, build, tidy, clippy, licences and bans, advisories, then all tests; a failure does not stop the rest
  FILTER       only the tests whose name contains it, and none of the other checks
  --services   only the suites that need real servers, which are started before and stopped after; FILTER is of suites
  --yes        with --services: install the servers without asking

example: cargo x test
example: cargo x test quarantine
example: cargo x test --services lake";

const FORMAT: &[&str] = &["fmt", "--all", "--check"];
const LINT: &[&str] = &["build", "--workspace", "--all-targets"];
const TEST: &[&str] = &["test", "--workspace", "--no-fail-fast"];
const WITHOUT_SUITES: &[&str] = &["--", "--skip", suites::MARK];

pub fn run(args: &[String]) -> Result<u8> {
    let (mut filter, mut services, mut yes) = (None, false, false);
    for arg in args {
        match arg.as_str() {
            "--services" => services = true,
            "--yes" => yes = true,
            word if !word.starts_with('-') && filter.is_none() => filter = Some(word),
            other => return Ok(misuse("test", other)),
        }
    }
    if yes && !services {
        return Ok(misuse("test", "--yes"));
    }
    let root = root()?;
    let report = match filter {
        filter if services => suites::run(&root, filter, yes, suites::Size::Small)?,
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
        let verdict = steps::test(root, &[TEST, &[filter], WITHOUT_SUITES].concat(), &[])?;
        // A slip in the word must not look like a success.
        ensure!(verdict != Verdict::Checked(Count::default()), "no test without a server has `{filter}` in its name");
        Ok(verdict)
    });
    report
}

/// What `cargo clippy --workspace --all-targets -- -D warnings` finds, over the dependencies as they were built. That command
/// would check each of them once more, which takes longer than all of our own code does. It is what it does itself, but for
/// `check`; what is compiled here is for nobody, so that it is compiled fast and not linked.
fn lints(root: &Path) -> Result<Verdict> {
    const ARGS: &[&str] = &["-Dwarnings", "-Copt-level=0", "-Cdebuginfo=0", "-Clinker=true"];
    let env =
        [("RUSTC_WORKSPACE_WRAPPER", "clippy-driver".to_owned()), ("CLIPPY_ARGS", ARGS.join("__CLIPPY_HACKERY__"))];
    Ok(Verdict::Checked(Count::one(steps::succeeds(root, LINT, &env)?)))
}

fn everything(root: &Path) -> Report {
    let mut report = Report::default();
    report.step("format", || steps::check(root, FORMAT));
    let built = report.step("build", || {
        println!("the first build compiles the whole engine: some 25 minutes on two cores");
        steps::check(root, steps::BUILD)
    });
    report.step("tidy", || {
        // A binary of an earlier build would vouch for pages that the present one does not write.
        let binary = if built { Some(reference::binary(root)?) } else { None };
        Ok(Verdict::Checked(Count::one(tidy::check(binary.as_deref())?)))
    });
    report.step("clippy", || lints(root));
    report.step("deny", || deny::licences_and_bans(root));
    report.step("advisories", || deny::advisories(root));
    report.step("test", || steps::test(root, &[TEST, WITHOUT_SUITES].concat(), &[]));
    report
}

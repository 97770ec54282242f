//! Steps that are timed, go on after a failure, and end in one summary.

use crate::repo::cargo;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub const BUILD: &[&str] = &["build", "--workspace", "--bins"];

/// How often something was right and how often wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
    /// Tests that their authors switched off. They are shown, not counted.
    pub ignored: u64,
}

impl Count {
    /// A step that is one check.
    pub fn one(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), ignored: 0 }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// What became of a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Checked(Count),
    /// It could not be looked at; the reason is shown, and it counts as neither passed nor failed.
    NotChecked(&'static str),
}

/// The steps done so far.
#[derive(Debug, Default)]
pub struct Report(Vec<(String, Duration, Verdict)>);

impl Report {
    /// Does one step. An error in doing it is a failure of the step, not the end.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<Verdict>) -> bool {
        println!("\n==> {name}");
        let start = Instant::now();
        let verdict = work().unwrap_or_else(|error| {
            println!("{name}: {error:#}");
            Verdict::Checked(Count::one(false))
        });
        let good = !matches!(verdict, Verdict::Checked(Count { failed: 1.., .. }));
        self.0.push((name.to_owned(), start.elapsed(), verdict));
        good
    }

    pub fn total(&self) -> Count {
        let mut total = Count::default();
        for (_, _, verdict) in &self.0 {
            if let Verdict::Checked(count) = verdict {
                total.add(*count);
            }
        }
        total
    }

    /// A table of the steps, then the line that a machine reads.
    pub fn summary(&self) -> String {
        let mut text = format!("\n{:<12}{:>9}  verdict\n", "step", "seconds");
        for (name, time, verdict) in &self.0 {
            text.push_str(&format!("{name:<12}{:>9.1}  {}\n", time.as_secs_f64(), describe(verdict)));
        }
        let total = self.total();
        format!("{text}\n{} passed, {} failed", total.passed, total.failed)
    }
}

fn describe(verdict: &Verdict) -> String {
    match verdict {
        Verdict::NotChecked(why) => format!("not checked, {why}"),
        Verdict::Checked(Count { passed: 1, failed: 0, ignored: 0 }) => "passed".into(),
        Verdict::Checked(Count { passed: 0, failed: 1, ignored: 0 }) => "FAILED".into(),
        Verdict::Checked(count) => {
            let mut text = format!("{} passed", count.passed);
            if count.failed > 0 {
                text.push_str(&format!(", {} FAILED", count.failed));
            }
            if count.ignored > 0 {
                text.push_str(&format!(", {} ignored", count.ignored));
            }
            text
        }
    }
}

/// Runs cargo with what it prints going straight to the terminal.
pub fn succeeds(root: &Path, args: &[&str], env: &[(&str, String)]) -> Result<bool> {
    println!("$ cargo {}", args.join(" "));
    Ok(cargo().args(args).envs(env.iter().cloned()).current_dir(root).status().context("starting cargo")?.success())
}

/// One cargo command that is one check.
pub fn check(root: &Path, args: &[&str]) -> Result<Verdict> {
    Ok(Verdict::Checked(Count::one(succeeds(root, args, &[])?)))
}

/// Runs `cargo test`, shows what it prints as it comes, and counts the single tests.
pub fn test(root: &Path, args: &[&str], env: &[(&str, String)]) -> Result<Verdict> {
    println!("$ cargo {}", args.join(" "));
    let mut command = cargo();
    let mut child = command
        .args(args)
        .current_dir(root)
        .envs(env.iter().cloned())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting cargo")?;
    let mut count = Count::default();
    let stdout = child.stdout.take().context("the output of cargo test")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("reading what cargo test prints")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        count.add(result_line(&line).unwrap_or_default());
    }
    let good = child.wait().context("waiting for cargo test")?.success();
    if !good && count.failed == 0 {
        count.failed = 1; // it did not compile, or a test took the process down
    }
    Ok(Verdict::Checked(count))
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn result_line(line: &str) -> Option<Count> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |label: &str| counts.split("; ").find_map(|part| part.strip_suffix(label)?.trim().parse().ok());
    Some(Count { passed: number("passed")?, failed: number("failed")?, ignored: number("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_line_of_a_test_binary_is_read() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.52s";
        assert_eq!(result_line(line), Some(Count { passed: 12, failed: 2, ignored: 1 }));
        assert_eq!(result_line("test result is not this"), None);
        assert_eq!(result_line("test a::b ... ok"), None);
    }

    #[test]
    fn the_summary_ends_with_the_sum_of_all_steps() {
        let mut report = Report::default();
        assert!(report.step("format", || Ok(Verdict::Checked(Count::one(true)))));
        assert!(report.step("advisories", || Ok(Verdict::NotChecked("no network"))));
        assert!(!report.step("clippy", || anyhow::bail!("no cargo")));
        assert!(!report.step("test", || Ok(Verdict::Checked(Count { passed: 410, failed: 2, ignored: 1 }))));
        let summary = report.summary();
        assert!(summary.contains("not checked, no network"), "{summary}");
        assert!(summary.contains("410 passed, 2 FAILED, 1 ignored"), "{summary}");
        assert_eq!(summary.lines().last(), Some("411 passed, 3 failed"));
    }
}

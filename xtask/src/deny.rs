//! cargo-deny: licences, bans and sources always; known vulnerabilities where their database can be fetched.

use crate::repo::cargo;
use crate::steps::{Count, Verdict};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Pinned, so that everybody is judged alike.
const VERSION: &str = "0.20.2";
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);

pub fn licences_and_bans(root: &Path) -> Result<Verdict> {
    let tool = installed(root)?;
    let passed = shown(root, &tool, &["check", "--hide-inclusion-graph", "licenses", "bans", "sources"])
        .status()
        .context("starting cargo-deny")?;
    Ok(Verdict::Checked(Count::one(passed.success())))
}

pub fn advisories(root: &Path) -> Result<Verdict> {
    let tool = installed(root)?;
    if !fetched(root, &tool)? {
        println!("advisories: not checked, no network");
        return Ok(Verdict::NotChecked("no network"));
    }
    // The step before has brought everything else that it reads.
    let mut check = shown(root, &tool, &["--offline", "check", "advisories"]);
    Ok(Verdict::Checked(Count::one(check.status().context("starting cargo-deny")?.success())))
}

/// Fetches the database of advisories; false when it does not come.
fn fetched(root: &Path, tool: &Path) -> Result<bool> {
    let mut fetch = shown(root, tool, &["fetch", "db"]).stdin(Stdio::null()).spawn().context("starting cargo-deny")?;
    let start = Instant::now();
    while start.elapsed() < FETCH_TIMEOUT {
        if let Some(status) = fetch.try_wait().context("waiting for the advisories")? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    fetch.kill().context("stopping the fetch of the advisories")?;
    fetch.wait().context("waiting for the advisories")?;
    Ok(false)
}

fn shown(root: &Path, tool: &Path, args: &[&str]) -> Command {
    println!("$ cargo deny {}", args.join(" "));
    let mut command = Command::new(tool);
    command.args(args).current_dir(root);
    command
}

/// The pinned cargo-deny, built into target/tools when it is not there yet.
fn installed(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/tools");
    let tool = folder.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    if has_version(&tool) {
        return Ok(tool);
    }
    println!("cargo-deny {VERSION} is not in target/tools: building it, once; some minutes");
    let build = folder.join("build");
    let mut install = cargo();
    install.args(["install", "--locked", "--debug", "--force", "--version", VERSION, "--root"]).arg(&folder);
    install.arg("--target-dir").arg(&build).arg("cargo-deny").current_dir(root);
    // Nobody debugs it, and the symbols would weigh more than it does.
    install.env("CARGO_PROFILE_DEV_DEBUG", "0");
    if !install.status().context("starting cargo install")?.success() {
        bail!("cargo-deny {VERSION} could not be installed, so licences and bans are not checked");
    }
    std::fs::remove_dir_all(&build).context("removing the build folder of cargo-deny")?;
    Ok(tool)
}

fn has_version(tool: &Path) -> bool {
    let output = Command::new(tool).arg("--version").output();
    output.is_ok_and(|output| is_version(&String::from_utf8_lossy(&output.stdout)))
}

fn is_version(said: &str) -> bool {
    said.split_whitespace().nth(1) == Some(VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_version_will_do() {
        assert!(is_version(&format!("cargo-deny {VERSION}\n")));
        assert!(!is_version("cargo-deny 0.1.0"));
        assert!(!is_version(""));
        assert!(!has_version(Path::new("no-such-program")));
    }
}

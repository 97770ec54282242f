//! Which crate may depend on which. This is the drawing of the house; the manifests must agree with it.

use crate::repo::{Finding, Repo, ask_cargo};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

const FLOOR: &str = "kernel";
/// Stands on nothing of ours; only the lake writes files.
const ENCODER: &str = "encode";
const ROOF: &str = "lavra";
const ROOMS: [&str; 7] = ["connect", "privacy", "stream", "lake", "govern", "orchestrate", "serve"];
/// A binary that links the engine is some 280 MB and takes seconds to link.
const ENGINE: [&str; 3] = ["datafusion", "deltalake", "delta_kernel"];
const LINKS_ENGINE: [&str; 3] = ["lake", "lavra", "tests"];

/// A member of the workspace, as its manifest says.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    /// Relative to the root.
    pub manifest: String,
    /// Of every kind: normal, dev and build, for any target.
    pub dependencies: Vec<Dependency>,
}

#[derive(Debug)]
pub struct Dependency {
    pub name: String,
    /// The key it has in the manifest.
    pub key: String,
}

/// Reads the manifests through cargo, which knows every way to write a dependency.
pub fn packages(root: &Path) -> Result<Vec<Package>> {
    let answer = ask_cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_slice(&answer).context("reading what cargo metadata said")?;
    let members = metadata["packages"].as_array().context("cargo metadata named no packages")?;
    members.iter().map(|member| package(root, member).context("a package of cargo metadata")).collect()
}

fn package(root: &Path, member: &Value) -> Option<Package> {
    let manifest = Path::new(member["manifest_path"].as_str()?);
    let dependency = |value: &Value| {
        let name = value["name"].as_str()?.to_owned();
        let key = value["rename"].as_str().map_or_else(|| name.clone(), str::to_owned);
        Some(Dependency { name, key })
    };
    Some(Package {
        name: member["name"].as_str()?.to_owned(),
        manifest: manifest.strip_prefix(root).unwrap_or(manifest).to_string_lossy().replace('\\', "/"),
        dependencies: member["dependencies"].as_array()?.iter().map(dependency).collect::<Option<_>>()?,
    })
}

pub fn check(repo: &Repo, packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let text = repo.text_of(&package.manifest).unwrap_or_default();
        for dependency in &package.dependencies {
            let internal = packages.iter().any(|other| other.name == dependency.name);
            if let Some((what, remedy)) = refusal(package, &dependency.name, internal) {
                findings.push(Finding::new(&package.manifest, line_of(text, &dependency.key), what, remedy));
            }
        }
        findings.extend(place(package));
        findings.extend(lints(package, text));
    }
    findings
}

/// Why this arrow is not in the drawing, and what to do instead.
fn refusal(package: &Package, to: &str, internal: bool) -> Option<(String, String)> {
    let from = package.name.as_str();
    let is_bench = package.manifest.starts_with("benches/");
    if ENGINE.iter().any(|engine| to.starts_with(engine)) && !is_bench && !LINKS_ENGINE.contains(&from) {
        let what = format!("`{from}` depends on `{to}`, and only {} may link the engine", LINKS_ENGINE.join(", "));
        return Some((what, "put what needs it into lake, behind a trait of the kernel".into()));
    }
    if !internal
        || is_bench
        || from == ROOF
        || from == "tests"
        || (ROOMS.contains(&from) && to == FLOOR)
        || (from, to) == ("lake", ENCODER)
    {
        return None;
    }
    let remedy = match from {
        ENCODER => "the encoder stands on nothing",
        FLOOR => "the kernel stands on nothing: move the noun or trait it needs down into it",
        "xtask" => "xtask is built before the rest: ask the binary instead",
        _ => "rooms have no doors between them: put a trait into the kernel and let the roof wire the two",
    };
    Some((format!("`{from}` depends on `{to}`"), remedy.into()))
}

fn place(package: &Package) -> Option<Finding> {
    let folder = package.manifest.strip_prefix("crates/")?;
    let drawn = [FLOOR, ENCODER, ROOF].contains(&package.name.as_str()) || ROOMS.contains(&package.name.as_str());
    (!drawn || folder != format!("{}/Cargo.toml", package.name)).then(|| {
        let what = format!("`{}` is not in the drawing of the house", package.name);
        Finding::new(&package.manifest, 1, what, "name it in xtask/src/tidy/arrows.rs, with what it may depend on")
    })
}

/// A crate without the workspace's lints would escape every ban.
fn lints(package: &Package, text: &str) -> Option<Finding> {
    let inherits = text.split("[lints]").nth(1).is_some_and(|rest| rest.trim_start().starts_with("workspace = true"));
    (package.manifest.starts_with("crates/") && !inherits).then(|| {
        let what = format!("`{}` does not take the lints of the workspace", package.name);
        Finding::new(&package.manifest, 1, what, "add `[lints]` with `workspace = true`")
    })
}

fn line_of(manifest: &str, key: &str) -> usize {
    let names_it = |line: &str| {
        let line = line.trim().trim_start_matches(['[', '"']);
        let key_at = if line.starts_with(key) { Some(0) } else { line.find(&format!(".{key}]")).map(|at| at + 1) };
        key_at.is_some_and(|at| line[at + key.len()..].starts_with(['.', ' ', '=', '"', ']']))
    };
    manifest.lines().position(names_it).map_or(1, |line| line + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(packages: &[(&str, &[&str])]) -> Vec<String> {
        let package = |(name, dependencies): &(&str, &[&str])| Package {
            name: (*name).into(),
            manifest: match *name {
                "tests" | "xtask" => format!("{name}/Cargo.toml"),
                "file2delta" => "benches/file2delta/Cargo.toml".into(),
                _ => format!("crates/{name}/Cargo.toml"),
            },
            dependencies: dependencies.iter().map(|n| Dependency { name: (*n).into(), key: (*n).into() }).collect(),
        };
        let packages: Vec<_> = packages.iter().map(package).collect();
        let text = "[lints]\nworkspace = true\n\n[dependencies]\nkernel.workspace = true\nprivacy.workspace = true\n";
        let files: Vec<_> = packages.iter().map(|package| (package.manifest.as_str(), text)).collect();
        check(&Repo::of(&files), &packages).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rooms_stand_on_the_kernel_and_the_roof_and_the_tests_know_all() {
        let everything: &[&str] = &["kernel", "lake", "connect", "datafusion", "deltalake-core"];
        let house: &[(&str, &[&str])] = &[
            ("kernel", &["serde"]),
            ("connect", &["kernel", "arrow"]),
            ("lake", &["kernel", "encode", "datafusion", "deltalake-core"]),
            ("encode", &["parquet"]),
            ("lavra", everything),
            ("tests", everything),
            ("file2delta", everything),
            ("xtask", &["anyhow"]),
        ];
        assert_eq!(found(house), [] as [&str; 0]);
    }

    #[test]
    fn every_other_arrow_is_refused_with_its_line() {
        for (from, to) in [
            ("lake", "privacy"),
            ("kernel", "privacy"),
            ("connect", "lavra"),
            ("connect", "encode"),
            ("encode", "kernel"),
            ("xtask", "kernel"),
        ] {
            let findings = found(&[(from, &[to]), (to, &[])]);
            assert_eq!(findings.len(), 1, "{from} -> {to}: {findings:?}");
            assert!(findings[0].contains(&format!("`{from}` depends on `{to}`")), "{findings:?}");
        }
        assert!(found(&[("lake", &["privacy"]), ("privacy", &[])])[0].starts_with("crates/lake/Cargo.toml:6:"));
        assert!(found(&[("govern", &["datafusion-expr"])])[0].contains("only lake, lavra, tests"));
    }

    #[test]
    fn a_crate_outside_the_drawing_or_the_lints_is_refused() {
        assert!(found(&[("attic", &[])])[0].contains("not in the drawing"));
        let package = Package { name: "lake".into(), manifest: "crates/lake/Cargo.toml".into(), dependencies: vec![] };
        let findings = check(&Repo::of(&[("crates/lake/Cargo.toml", "[package]\n")]), &[package]);
        assert!(findings[0].what.contains("lints"));
    }

    #[test]
    fn the_line_is_found_in_each_way_of_writing_it() {
        for manifest in
            ["x\nlake.workspace = true", "x\nlake = { path = \"a\" }", "x\n[dev-dependencies.lake]", "x\n\"lake\" = 1"]
        {
            assert_eq!(line_of(manifest, "lake"), 2, "{manifest}");
        }
        assert_eq!(line_of("lakes = 1\nlake-x = 1", "lake"), 1);
    }
}

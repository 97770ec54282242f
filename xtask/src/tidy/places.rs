//! The repository is the same everywhere: it names no folder of one machine and no host to fetch packages from.

use crate::repo::{File, Finding, Repo};
use std::path::Path;

/// Folders that belong to a person. In pieces, so that this file passes its own rule.
const HOMES: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("C:\\Us", "ers\\")];
/// Registries are the business of each machine's own configuration: a company has a mirror, an offline build has none.
const REGISTRIES: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("yarnpkg", ".com"),
    concat!("proxy.golang", ".org"),
    concat!("repo.maven", ".apache.org"),
    concat!("rubygems", ".org"),
];
/// Options that point a client at another registry.
const REDIRECTS: [&str; 4] =
    [concat!("index", "-url"), concat!("INDEX", "_URL"), concat!("replace", "-with"), concat!("find", "-links")];
/// A lock file names the registry that each client has built in, and no other.
const LOCKED_FROM: &str = concat!("registry+https://github.com/rust-lang/crates", ".io-index\"");
/// Folders so widely used that a checkout inside one makes them no secret of a machine.
const PUBLIC: [&str; 13] = [
    "/",
    "/app",
    "/build",
    "/builds",
    "/data",
    "/lavra",
    "/mnt",
    "/opt",
    "/src",
    "/srv",
    "/tmp",
    "/usr/src",
    "/workspace",
];

/// The paths that only this machine has: the checkout, the folder that holds it, and the home of who calls.
pub fn of_this_machine(root: &Path) -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let folders = [root.to_str(), root.parent().and_then(Path::to_str), Some(home.as_str())];
    let own = folders.into_iter().flatten().filter(|folder| folder.starts_with('/') && !PUBLIC.contains(folder));
    own.map(|folder| format!("{folder}/")).collect()
}

pub fn check(repo: &Repo, own: &[String]) -> Vec<Finding> {
    repo.files.iter().flat_map(|file| in_file(file, own)).collect()
}

fn in_file(file: &File, own: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lock = file.path.ends_with("Cargo.lock");
    for (index, line) in file.text.lines().enumerate() {
        let mut tell = |what: String, remedy: &str| findings.push(Finding::new(&file.path, index + 1, what, remedy));
        let homes = HOMES.iter().copied().chain(own.iter().map(String::as_str));
        if let Some(folder) = homes.into_iter().find(|folder| starts_path(line, folder)) {
            tell(
                format!("the path `{folder}…` exists on one machine"),
                "write it relative to the repository, or take it from a variable",
            );
        }
        if lock {
            if line.contains("registry+") && !line.ends_with(LOCKED_FROM) {
                tell(
                    "a package is locked to a registry of one network".into(),
                    "lock it again with cargo's own registry",
                );
            }
        } else if let Some(host) = REGISTRIES.iter().find(|host| line.contains(*host)) {
            tell(format!("`{host}` is named"), "leave the registry to the client's own configuration");
        }
        if let Some(option) = REDIRECTS.iter().find(|option| line.contains(*option)) {
            tell(
                format!("`{option}` points a client at another registry"),
                "leave that to the machine's own configuration",
            );
        }
    }
    findings
}

/// Whether `folder` occurs as the start of an absolute path, not as the middle of another one.
fn starts_path(line: &str, folder: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "._-}/\\*".contains(c);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(inside) || line[..at].ends_with("file://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Repo::of(&[(path, text)]), &["/checkout/of/me/".into()]).len()
    }

    #[test]
    fn a_path_of_one_machine_is_refused() {
        for home in HOMES {
            assert_eq!(found("a.sh", &format!("cd {home}ana/lavra")), 1, "{home}");
            assert_eq!(found("a.md", &format!("url: file://{home}ana")), 1, "{home}");
        }
        assert_eq!(found("a.yaml", "path: \"/checkout/of/me/data\""), 1);
    }

    #[test]
    fn the_middle_of_another_path_is_not_a_home() {
        for fine in ["https://example.org/home/page", "cd $ROOT/home/x", "docs/root/a", "${DIR}/home/x", "/etc/lavra"] {
            assert_eq!(found("a.sh", fine), 0, "{fine}");
        }
    }

    #[test]
    fn a_registry_is_named_nowhere_but_in_the_lock_file() {
        for host in REGISTRIES.iter().chain(&REDIRECTS) {
            assert_eq!(found("a.toml", &format!("x = \"{host}/x\"")), 1, "{host}");
        }
        assert_eq!(found("Cargo.lock", &format!("source = \"{LOCKED_FROM}")), 0);
        assert_eq!(found("Cargo.lock", "source = \"registry+https://mirror.example.org/index\""), 1);
        assert_eq!(found("a.yaml", "registry: http://schema-registry:8081"), 0);
    }

    #[test]
    fn a_checkout_in_a_public_folder_is_no_secret() {
        assert!(!of_this_machine(Path::new("/src/lavra")).contains(&"/src/".to_owned()));
        assert!(of_this_machine(Path::new("/src/lavra")).contains(&"/src/lavra/".to_owned()));
    }
}

//! Names that say nothing attract everything.

use crate::repo::{Finding, Repo};
use crate::scan::{self, Lines};
use std::path::Path;

const REFUSED: [&str; 5] = ["core", "common", "utils", "types", "helpers"];
const REMEDY: &str = "name it after what it holds";

pub fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in repo.folders() {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        if REFUSED.contains(&name) {
            findings.push(Finding::new(folder, 1, format!("a folder is named `{name}`"), REMEDY));
        }
    }
    for file in repo.with_extension("rs") {
        let stem = Path::new(&file.path).file_stem().unwrap_or_default().to_string_lossy();
        if REFUSED.contains(&stem.as_ref()) {
            findings.push(Finding::new(&file.path, 1, format!("a module is named `{stem}`"), REMEDY));
        }
        let blanked = scan::blank(&file.text);
        for name in REFUSED {
            let opening = format!("mod {name} {{");
            for at in scan::occurrences(&blanked, &opening) {
                let line = Lines::of(&blanked).at(at);
                findings.push(Finding::new(&file.path, line, format!("a module is named `{name}`"), REMEDY));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_nothing_are_refused_wherever_they_stand() {
        let repo = Repo::of(&[("data/common/a.csv", ""), ("src/utils.rs", ""), ("src/a.rs", "\nmod helpers {}\n")]);
        let found: Vec<_> = check(&repo).iter().map(|f| format!("{}:{}", f.path, f.line)).collect();
        assert_eq!(found, ["data/common:1", "src/utils.rs:1", "src/a.rs:2"]);
    }

    #[test]
    fn names_that_only_contain_them_are_fine() {
        let repo = Repo::of(&[("data/common_law/types.csv", ""), ("src/datatypes.rs", "// mod core {\nmod score {}")]);
        assert!(check(&repo).is_empty());
    }
}

//! Calls that are right in one place and wrong in another, which clippy's one list for all crates cannot say.

use crate::repo::{File, Finding, Repo};
use crate::scan::{self, Lines};

struct Ban {
    calls: &'static [&'static str],
    /// Whether a file is under the ban. Code that is compiled for tests only never is.
    applies: fn(&str) -> bool,
    why: &'static str,
    remedy: &'static str,
}

const BANS: [Ban; 2] = [
    Ban {
        calls: &["println!(", "print!(", "eprintln!(", "eprint!("],
        applies: |path| is_crate_source(path) && !path.starts_with("crates/lavra/"),
        why: "a room writes on the user's terminal",
        remedy: "return it, or give it to `tracing`: stdout belongs to the one document of `--format json`",
    },
    Ban {
        calls: &["fs::", "net::", "process::"],
        applies: |path| path.starts_with("crates/kernel/src/"),
        why: "the kernel does I/O",
        remedy: "take the bytes or a trait as an argument: the kernel holds nouns, laws and traits only",
    },
];

pub fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.with_extension("rs") {
        let blanked = scan::blank(&file.text);
        let lines = Lines::of(&blanked);
        findings.extend(calls(file, &blanked, &lines));
        findings.extend(exceptions(file, &blanked, &lines));
        findings.extend(skipped_tests(file, &blanked, &lines));
    }
    findings
}

fn is_crate_source(path: &str) -> bool {
    path.strip_prefix("crates/").is_some_and(|rest| rest.contains("/src/"))
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

fn calls(file: &File, blanked: &str, lines: &Lines) -> Vec<Finding> {
    let tests = scan::test_ranges(blanked);
    let mut findings = Vec::new();
    for ban in BANS.iter().filter(|ban| (ban.applies)(&file.path) && !is_test_file(&file.path)) {
        for call in ban.calls {
            for at in scan::occurrences(blanked, call).filter(|at| !tests.iter().any(|range| range.contains(at))) {
                let what = format!("{} with `{}`", ban.why, call.trim_end_matches(['(', ':']));
                findings.push(Finding::new(&file.path, lines.at(at), what, ban.remedy));
            }
        }
    }
    findings
}

/// An exception to a lint says why, or nobody dares to take it away again.
fn exceptions(file: &File, blanked: &str, lines: &Lines) -> Vec<Finding> {
    let mut findings = Vec::new();
    for opening in ["[allow(", "[expect("] {
        for at in scan::occurrences(blanked, opening).filter(|at| blanked[..*at].ends_with(['#', '!'])) {
            if !blanked[at..scan::close(blanked, at)].contains("reason =") {
                let what = "a lint is switched off and no reason is given";
                findings.push(Finding::new(
                    &file.path,
                    lines.at(at),
                    what,
                    "add `reason = \"…\"` or mend what it complains of",
                ));
            }
        }
    }
    findings
}

fn skipped_tests(file: &File, blanked: &str, lines: &Lines) -> Vec<Finding> {
    let finding = |at| {
        let what = "a test is skipped and no reason is given";
        Finding::new(&file.path, lines.at(at), what, "write `#[ignore = \"what it needs\"]` or let it run")
    };
    scan::occurrences(blanked, "#[ignore]").map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Repo::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_the_roof_writes_on_the_terminal() {
        let text = "fn f() {\n    println!(\"x\");\n}\n";
        assert!(found("crates/lake/src/a.rs", text)[0].starts_with("crates/lake/src/a.rs:2:"));
        assert!(found("crates/lake/src/a.rs", "fn f() { eprint!(\"x\") }")[0].contains("`eprint!`"));
        for allowed in ["crates/lavra/src/main.rs", "xtask/src/a.rs", "tests/a.rs", "crates/lake/build.rs"] {
            assert_eq!(found(allowed, text), [] as [&str; 0], "{allowed}");
        }
        assert!(
            found("crates/lake/src/a.rs", "// println!(1)\n#[cfg(test)]\nmod tests { fn f() { println!() } }")
                .is_empty()
        );
    }

    #[test]
    fn the_kernel_does_no_io() {
        assert_eq!(found("crates/kernel/src/a.rs", "use std::net::TcpStream;\nfn f() { std::fs::read(p) }").len(), 2);
        assert!(found("crates/kernel/src/a.rs", "fn f() { offs::x() } // std::fs::read").is_empty());
        assert!(found("crates/connect/src/a.rs", "fn f() { std::fs::read(p) }").is_empty());
    }

    #[test]
    fn an_exception_needs_a_reason() {
        for attribute in ["#[allow(dead_code)]", "#![allow(clippy::panic)]", "#[expect(unused)]"] {
            assert!(found("a.rs", attribute)[0].contains("no reason"), "{attribute}");
        }
        assert!(found("a.rs", "#[allow(\n    dead_code,\n    reason = \"read by serde\"\n)]").is_empty());
        assert!(found("a.rs", "x.expect(1); // #[allow(dead_code)]").is_empty());
    }

    #[test]
    fn a_skipped_test_needs_a_reason() {
        assert_eq!(found("tests/a.rs", "#[test]\n#[ignore]\nfn f() {}")[0].split(':').nth(1), Some("2"));
        assert!(found("tests/a.rs", "#[test]\n#[ignore = \"needs PostgreSQL\"]\nfn f() {}").is_empty());
    }
}

//! A file or function that has grown past its end is two things under one name.

use crate::repo::{Finding, Repo};
use crate::scan;

const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 70;

pub fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.with_extension("rs") {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            let what = format!("the file is {lines} lines long, and {FILE_LINES_MAX} is the end");
            findings.push(Finding::new(
                &file.path,
                lines,
                what,
                "find the second nature in it and give it its own file",
            ));
        }
        for function in scan::functions(&scan::blank(&file.text)) {
            let lines = function.lines.end() - function.lines.start() + 1;
            if lines > FUNCTION_LINES_MAX {
                let what = format!("`fn {}` is {lines} lines long, and {FUNCTION_LINES_MAX} is the end", function.name);
                let remedy = "give its steps names of their own; 30 lines are enough for most";
                findings.push(Finding::new(&file.path, *function.lines.start(), what, remedy));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        check(&Repo::of(&[("a.rs", text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_ends_at_700_lines() {
        assert!(found(&"// x\n".repeat(700)).is_empty());
        assert!(found(&"// x\n".repeat(701))[0].starts_with("a.rs:701: the file is 701 lines long"));
    }

    #[test]
    fn a_function_ends_at_70_lines() {
        let function = |lines: usize| format!("\nfn long() {{\n{}}}\n", "    x(\"}\");\n".repeat(lines - 2));
        assert!(found(&function(70)).is_empty());
        assert!(found(&function(71))[0].starts_with("a.rs:2: `fn long` is 71 lines long"));
    }
}

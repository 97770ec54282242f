//! A link in a document leads to a file of this repository and to a heading in it.

use super::markdown::{self, Link};
use crate::repo::{File, Finding, Repo};
use std::collections::BTreeSet;

pub fn check(repo: &Repo) -> Vec<Finding> {
    let mut known = repo.folders();
    known.extend(repo.files.iter().map(|file| file.path.as_str()));
    let mut findings = Vec::new();
    for file in repo.with_extension("md") {
        for link in markdown::links(&file.text) {
            if let Some((what, remedy)) = fault(repo, &known, file, &link) {
                findings.push(Finding::new(&file.path, link.line, what, remedy));
            }
        }
    }
    findings
}

fn fault(repo: &Repo, known: &BTreeSet<&str>, file: &File, link: &Link) -> Option<(String, &'static str)> {
    if has_scheme(&link.target) {
        return None;
    }
    let (path, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
    let path = decoded(path.split('?').next().unwrap_or_default());
    let Some(path) = (if path.is_empty() { Some(file.path.clone()) } else { resolved(&file.path, &path) }) else {
        return Some((format!("the link `{}` leads out of the repository", link.target), "give the whole address"));
    };
    if !path.is_empty() && !known.contains(path.as_str()) {
        return Some((
            format!("the link `{}` is dead: there is no {path}", link.target),
            "mend the path or add the file",
        ));
    }
    if anchor.is_empty() || !path.ends_with(".md") {
        return None;
    }
    let missing = !markdown::anchors(repo.text_of(&path)?).contains(&decoded(anchor));
    missing.then(|| {
        (format!("the link `{}` is dead: {path} has no heading #{anchor}", link.target), "name a heading that is there")
    })
}

fn has_scheme(target: &str) -> bool {
    target.starts_with("//")
        || target.split_once(':').is_some_and(|(scheme, _)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        })
}

/// The path from the root that `target` means in the file at `from`; nothing when it climbs above the root.
fn resolved(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => from.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// `%20` and its like, as the bytes that they stand for.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]).1,
            None => (bytes.push(*first), rest = tail).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(link: &str) -> Vec<String> {
        let text = format!("# Here\n\n[x]({link})\n");
        let repo = Repo::of(&[
            ("docs/a.md", &text),
            ("docs/b c.md", "# There\n"),
            ("README.md", "# Lavra\n## Run it\n"),
            ("x/y.rs", ""),
        ]);
        check(&repo).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_link_that_leads_somewhere_is_fine() {
        for link in [
            "../README.md",
            "../README.md#run-it",
            "#here",
            "b%20c.md#there",
            "../x",
            "../x/",
            "/README.md",
            "../x/y.rs#L3",
        ] {
            assert_eq!(found(link), [] as [&str; 0], "{link}");
        }
        for elsewhere in ["https://example.org/a.md", "mailto:a@example.org", "//example.org/x"] {
            assert!(found(elsewhere).is_empty(), "{elsewhere}");
        }
    }

    #[test]
    fn a_dead_link_is_told_with_its_line() {
        assert!(
            found("missing.md")[0]
                .starts_with("docs/a.md:3: the link `missing.md` is dead: there is no docs/missing.md")
        );
        assert!(found("README.md")[0].contains("no docs/README.md"));
        assert!(found("../../outside.md")[0].contains("out of the repository"));
        for dead_anchor in ["../README.md#runit", "#there", "b%20c.md#here"] {
            assert!(found(dead_anchor)[0].contains("has no heading"), "{dead_anchor}");
        }
    }
}

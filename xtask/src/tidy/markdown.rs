//! Just enough of Markdown to follow its links: destinations and the anchors that headings get on a code host.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    pub line: usize,
    pub target: String,
}

/// Every destination of an inline link, an image, a reference definition, or an HTML `href` or `src`.
pub fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, prose) in prose(text) {
        let targets =
            inline_targets(&prose).into_iter().chain(definition(&prose)).chain(html(&prose, &["href", "src"]));
        links.extend(targets.filter(|target| !target.is_empty()).map(|target| Link { line, target }));
    }
    links
}

/// The anchors that a link into this text may name.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for heading in headings(text) {
        let slug = slug(&heading);
        let times = seen.entry(slug.clone()).or_default();
        anchors.insert(if *times == 0 { slug } else { format!("{slug}-{times}") });
        *times += 1;
    }
    for (_, line) in prose(text) {
        anchors.extend(html(&line, &["id", "name"]));
    }
    anchors
}

/// The lines outside code blocks, with their numbers; the inside of code spans is blanked.
fn prose(text: &str) -> Vec<(usize, String)> {
    outside_fences(text).into_iter().map(|(line, text)| (line, without_code_spans(text))).collect()
}

fn outside_fences(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut kept = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start().trim_start_matches("> ").trim_start();
        let mark = &start[..start.len() - start.trim_start_matches(['`', '~']).len()];
        match fence {
            Some(open) if mark.starts_with(open) && start.trim_end().len() == mark.len() => fence = None,
            Some(_) => {}
            None if mark.starts_with("```") || mark.starts_with("~~~") => fence = Some(mark),
            None => kept.push((index + 1, line)),
        }
    }
    kept
}

fn without_code_spans(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('`') {
        let after = rest[open..].trim_start_matches('`');
        let mark = &rest[open..rest.len() - after.len()];
        let Some(close) = closing(after, mark) else {
            out.push_str(&rest[..open + mark.len()]);
            rest = after;
            continue;
        };
        out.push_str(&rest[..open]);
        out.push_str(mark);
        out.push_str(&" ".repeat(close));
        out.push_str(mark);
        rest = &after[close + mark.len()..];
    }
    out + rest
}

/// Where a run of exactly these backticks starts.
fn closing(text: &str, mark: &str) -> Option<usize> {
    let alone = |at: &usize| !text[..*at].ends_with('`') && !text[at + mark.len()..].starts_with('`');
    text.match_indices(mark).map(|(at, _)| at).find(alone)
}

fn inline_targets(line: &str) -> Vec<String> {
    line.match_indices("](").map(|(at, _)| destination(&line[at + 2..])).collect()
}

/// A destination: in angle brackets, or up to a space or the bracket that closes the link.
fn destination(text: &str) -> String {
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix('<') {
        return rest.split('>').next().unwrap_or_default().into();
    }
    let mut depth = 0;
    let end = text.find(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth < 0 || c.is_whitespace()
    });
    text[..end.unwrap_or(text.len())].into()
}

/// `[name]: destination`, which is not `[^1]: a footnote`.
fn definition(line: &str) -> Option<String> {
    let (name, rest) = line.trim_start().strip_prefix('[')?.split_once("]:")?;
    (!name.starts_with('^') && !name.contains(']')).then(|| destination(rest))
}

fn html(line: &str, attributes: &[&str]) -> Vec<String> {
    let mut values = Vec::new();
    for attribute in attributes {
        let opening = format!(" {attribute}=\"");
        for (at, _) in line.match_indices(&opening).filter(|(at, _)| line[..*at].contains('<')) {
            values.extend(line[at + opening.len()..].split('"').next().map(str::to_owned));
        }
    }
    values
}

/// Headings in both forms, with their code spans kept.
fn headings(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut above = "";
    for (_, line) in outside_fences(text) {
        let bare = line.trim();
        let level = bare.bytes().take_while(|byte| *byte == b'#').count();
        if (1..=6).contains(&level) && bare[level..].starts_with(' ') {
            found.push(bare[level..].trim().trim_end_matches('#').trim_end().to_owned());
        } else if !above.is_empty()
            && bare.len() > 1
            && (bare.trim_matches('=').is_empty() || bare.trim_matches('-').is_empty())
        {
            found.push(above.to_owned());
        }
        above = bare;
    }
    found
}

/// The anchor of a heading: its visible words in lower case, spaces as hyphens, other marks left out.
fn slug(heading: &str) -> String {
    let mut visible = String::new();
    let mut rest = heading;
    while let Some(at) = rest.find("](") {
        visible.push_str(&rest[..at]);
        let target = destination(&rest[at + 2..]);
        rest = rest[at + 2..].trim_start()[target.len()..].trim_start_matches(')');
    }
    visible.push_str(rest);
    let kept = visible.chars().filter(|c| c.is_alphanumeric() || ['_', '-', ' '].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<String> {
        links(text).into_iter().map(|link| link.target).collect()
    }

    #[test]
    fn every_form_of_a_link_is_followed() {
        let text = "see [a](a.md) and ![b](b.png \"title\") or [c](<c d.md>)\n\n[ref]: e.md\n[^1]: not one\n<img src=\"f.png\">";
        assert_eq!(targets(text), ["a.md", "b.png", "c d.md", "e.md", "f.png"]);
        assert_eq!(targets("[x](a_(b).md)"), ["a_(b).md"]);
        assert_eq!(targets("[![badge](b.svg)](c.md)"), ["b.svg", "c.md"]);
    }

    #[test]
    fn what_stands_in_code_is_no_link() {
        assert_eq!(targets("```\n[a](a.md)\n```\n`[b](b.md)` [c](c.md) ``x`[d](d.md)``"), ["c.md"]);
        assert_eq!(targets("~~~md\n```\n[a](a.md)\n~~~\n[b](b.md)"), ["b.md"]);
    }

    #[test]
    fn headings_get_the_anchors_that_a_code_host_gives_them() {
        let text = "# The house\n## Exit codes: 0 · 1\n## `cargo x` [verb](a.md)!\nTitle\n=====\n## The house\n# Ação\n<a id=\"here\"></a>";
        let anchors = anchors(text);
        for anchor in ["the-house", "exit-codes-0--1", "cargo-x-verb", "title", "the-house-1", "ação", "here"] {
            assert!(anchors.contains(anchor), "{anchor} is not in {anchors:?}");
        }
        assert!(super::anchors("```\n# not a heading\n```").is_empty());
    }
}

//! Paths such as `schema[0].properties[2].name`.

use super::Span;
use super::tree::{Content, Node};

pub(super) struct Found<'a> {
    pub node: &'a Node,
    pub key: Option<Span>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

/// The node at `path`; the empty path is the whole.
pub(super) fn find<'a>(root: &'a Node, path: &str) -> Option<Found<'a>> {
    let mut found = Found { node: root, key: None };
    for step in steps(path) {
        found = follow(found.node, &step?)?;
    }
    Some(found)
}

/// Where to point at for `path`: at its scalar, or at the key of what is no scalar; at what holds it if it is not written.
pub(super) fn nearest(root: &Node, path: &str) -> Option<Span> {
    let mut found = Found { node: root, key: None };
    for step in steps(path) {
        match step.and_then(|step| follow(found.node, &step)) {
            Some(next) => found = next,
            None => return found.key.or_else(|| first(found.node)),
        }
    }
    match found.node.content {
        Content::Scalar(_) => Some(found.node.span),
        _ => found.key.or_else(|| first(found.node)).or(Some(found.node.span)),
    }
}

/// Where a node without a key is pointed at: its first key, for a caret under a whole block helps nobody.
pub(super) fn first(node: &Node) -> Option<Span> {
    match &node.content {
        Content::Map(entries) => entries.first().map(|entry| entry.key_span),
        Content::List(items) => items.first().and_then(first),
        Content::Scalar(_) => Some(node.span),
    }
}

fn follow<'a>(node: &'a Node, step: &Step) -> Option<Found<'a>> {
    match step {
        Step::Key(key) => node.entry(key).map(|entry| Found { node: &entry.value, key: Some(entry.key_span) }),
        Step::Item(index) => node.item(*index).map(|node| Found { node, key: None }),
    }
}

/// The steps of a path; `None` where it can't be read.
fn steps(path: &str) -> impl Iterator<Item = Option<Step<'_>>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        let (step, after) = next(rest);
        rest = after;
        Some(step)
    })
}

fn next(rest: &str) -> (Option<Step<'_>>, &str) {
    if let Some((key, after)) = rest.strip_prefix("[\"").and_then(|inner| inner.split_once("\"]")) {
        return (Some(Step::Key(key)), after);
    }
    if let Some(inner) = rest.strip_prefix('[') {
        return match inner.split_once(']') {
            Some((index, after)) => (index.parse().ok().map(Step::Item), after),
            None => (None, ""),
        };
    }
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    (Some(Step::Key(&rest[..end])), &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_step_by_step() {
        let read: Vec<_> = steps("a.b[2][\"x.y\"].c").map(|step| step.expect("a step")).collect();
        assert_eq!(read, [Step::Key("a"), Step::Key("b"), Step::Item(2), Step::Key("x.y"), Step::Key("c")]);
        assert!(steps("a[x]").any(|step| step.is_none()));
    }
}

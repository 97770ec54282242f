//! From text to what is meant, without looking at a project.

use super::pattern::Pattern;
use kernel::suggest::hint;
use kernel::{Error, Result};

/// Nodes that each of the atoms selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Intersection(pub Vec<Atom>);

/// `2+tag:finance+`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Atom {
    /// As written, for errors.
    pub text: String,
    /// How many steps upstream and downstream come along; `usize::MAX` is all.
    pub up: usize,
    pub down: usize,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Name(Pattern),
    Layer(Pattern),
    Tag(Pattern),
    Source(Pattern),
    Changed(String),
}

const METHODS: [&str; 4] = ["layer", "tag", "source", "changed"];

pub(super) fn all(arguments: &[impl AsRef<str>]) -> Result<Vec<Intersection>> {
    arguments.iter().flat_map(|argument| argument.as_ref().split_whitespace()).map(intersection).collect()
}

fn intersection(text: &str) -> Result<Intersection> {
    text.split(',').map(|part| atom(part, text)).collect::<Result<_>>().map(Intersection)
}

fn atom(text: &str, whole: &str) -> Result<Atom> {
    let (up, rest) = upstream(text);
    let (rest, down) = downstream(rest);
    if rest.is_empty() {
        return Err(Error::project(format!("select `{whole}`"), format!("`{text}` has no name in it")));
    }
    Ok(Atom { text: text.into(), up, down, what: what(rest, text)? })
}

/// `+x`, `2+x`
fn upstream(text: &str) -> (usize, &str) {
    match text.split_once('+') {
        Some((steps, rest)) if is_steps(steps) => (depth(steps), rest),
        _ => (0, text),
    }
}

/// `x+`, `x+2`
fn downstream(text: &str) -> (&str, usize) {
    match text.rsplit_once('+') {
        Some((rest, steps)) if is_steps(steps) => (rest, depth(steps)),
        _ => (text, 0),
    }
}

fn is_steps(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// No number is all, and so is one too great to be read.
fn depth(steps: &str) -> usize {
    steps.parse().unwrap_or(usize::MAX)
}

fn what(text: &str, atom: &str) -> Result<What> {
    let Some((method, value)) = text.split_once(':') else { return Ok(What::Name(Pattern::new(text))) };
    if value.is_empty() {
        return Err(Error::project(format!("select `{atom}`"), format!("`{method}:` has no name in it")));
    }
    Ok(match method {
        "layer" => What::Layer(Pattern::new(value)),
        "tag" => What::Tag(Pattern::new(value)),
        "source" => What::Source(Pattern::new(value)),
        "changed" => What::Changed(value.into()),
        _ => {
            let hint = hint(method, METHODS).unwrap_or_default();
            return Err(Error::project(
                format!("select `{atom}`"),
                format!("nothing can be selected by `{method}`; {hint}"),
            ));
        }
    })
}

//! From what is meant to the nodes of one project.

use super::Changed;
use super::parse::{Atom, Intersection, What};
use super::pattern::Pattern;
use crate::dag::{Dag, Direction, Node, NodeKind};
use kernel::suggest::hint;
use kernel::{Error, Result};
use std::collections::BTreeSet;

pub(super) fn union(all: &[Intersection], dag: &Dag, changed: Changed<'_>) -> Result<BTreeSet<usize>> {
    let mut ranks = BTreeSet::new();
    for selector in all {
        ranks.extend(intersection(selector, dag, changed)?);
    }
    Ok(ranks)
}

fn intersection(all: &Intersection, dag: &Dag, changed: Changed<'_>) -> Result<BTreeSet<usize>> {
    let mut ranks: Option<BTreeSet<usize>> = None;
    for atom in &all.0 {
        let found = with_relatives(atom, dag, changed)?;
        ranks = Some(match ranks {
            None => found,
            Some(ranks) => ranks.intersection(&found).copied().collect(),
        });
    }
    Ok(ranks.unwrap_or_default())
}

fn with_relatives(atom: &Atom, dag: &Dag, changed: Changed<'_>) -> Result<BTreeSet<usize>> {
    let found = matching(atom, dag, changed)?;
    let mut ranks = dag.reach(found.iter().copied(), Direction::Upstream, atom.up);
    ranks.extend(dag.reach(found, Direction::Downstream, atom.down));
    Ok(ranks)
}

fn matching(atom: &Atom, dag: &Dag, changed: Changed<'_>) -> Result<Vec<usize>> {
    let found = match &atom.what {
        What::Changed(rev) => return Ok(changed(rev)?.iter().filter_map(|name| dag.rank(name)).collect()),
        What::Name(pattern) => return named(atom, pattern, dag),
        What::Layer(pattern) => filtered(dag, |node| pattern.matches(&node.layer)),
        What::Tag(pattern) => filtered(dag, |node| node.tags.iter().any(|tag| pattern.matches(tag))),
        What::Source(pattern) => filtered(dag, |node| is_source(node) && pattern.matches(&node.name)),
    };
    if found.is_empty() { Err(unknown(atom, dag)) } else { Ok(found) }
}

fn filtered(dag: &Dag, is: impl Fn(&Node) -> bool) -> Vec<usize> {
    dag.nodes().iter().enumerate().filter(|(_, node)| is(node)).map(|(rank, _)| rank).collect()
}

fn is_source(node: &Node) -> bool {
    node.kind == NodeKind::Source
}

/// With a layer it is compared to `layer.table`, without one to the table in any layer.
fn named(atom: &Atom, pattern: &Pattern, dag: &Dag) -> Result<Vec<usize>> {
    let found = match pattern.as_str().contains('.') {
        true => filtered(dag, |node| pattern.matches(&node.qualified())),
        // `*` alone, or `*payments`, is meant for whatever is written before the table.
        false => filtered(dag, |node| pattern.matches(node.table())),
    };
    match found.as_slice() {
        [] => Err(unknown(atom, dag)),
        [_, _, ..] if !pattern.is_glob() => Err(ambiguous(atom, dag, &found)),
        _ => Ok(found),
    }
}

fn ambiguous(atom: &Atom, dag: &Dag, found: &[usize]) -> Error {
    let exact = |rank: &usize| match &dag.nodes()[*rank] {
        node if is_source(node) => format!("source:{}", node.name),
        node => node.name.clone(),
    };
    let names: Vec<String> = found.iter().map(exact).collect();
    Error::project(
        format!("select `{}`", atom.text),
        format!("two or more nodes have this name; write one of: {}", names.join(", ")),
    )
}

fn unknown(atom: &Atom, dag: &Dag) -> Error {
    let nodes = dag.nodes().iter();
    let (wrong, noun, candidates): (_, _, BTreeSet<String>) = match &atom.what {
        What::Name(pattern) => (pattern.as_str(), "no node is called", names_like(pattern, dag)),
        What::Layer(pattern) => (pattern.as_str(), "no node is in layer", nodes.map(|n| n.layer.clone()).collect()),
        What::Tag(pattern) => (pattern.as_str(), "no node has the tag", nodes.flat_map(|n| n.tags.clone()).collect()),
        What::Source(pattern) => {
            (pattern.as_str(), "no source is called", nodes.filter(|n| is_source(n)).map(|n| n.name.clone()).collect())
        }
        What::Changed(rev) => (rev, "nothing is changed since", BTreeSet::new()),
    };
    let hint = hint(wrong, candidates.iter().map(String::as_str)).map(|hint| format!("; {hint}"));
    Error::project(format!("select `{}`", atom.text), format!("{noun} `{wrong}`{}", hint.unwrap_or_default()))
}

/// What a wrong name is compared with: names written as it is written, so that `sliver.*` finds `silver.*`.
fn names_like(pattern: &Pattern, dag: &Dag) -> BTreeSet<String> {
    let nodes = dag.nodes().iter();
    match pattern.as_str().split_once('.') {
        None => nodes.map(|node| node.table().to_string()).collect(),
        Some((_, table)) if pattern.is_glob() => nodes.map(|node| format!("{}.{table}", node.layer)).collect(),
        Some(_) => nodes.map(|node| node.qualified().into_owned()).collect(),
    }
}

//! From a list of nodes to a graph, in time that grows with nodes and edges only.

use super::{Dag, DagFault, Node};
use kernel::suggest::hint;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// A hint compares with every name, so a project whose every reference is wrong gets hints for the first ones only.
const HINTS_MAX: usize = 20;

pub(super) fn dag(nodes: Vec<Node>) -> Result<Dag, Vec<DagFault>> {
    let mut faults = Vec::new();
    let nodes = distinct(nodes, &mut faults);
    let upstream = resolved(&nodes, &mut faults);
    let downstream = reversed(&upstream);
    let order = ordered(&nodes, &upstream, &downstream);
    if order.len() < nodes.len() {
        faults.extend(cycles(&nodes, &upstream, &order));
    }
    if faults.is_empty() { Ok(ranked(nodes, &upstream, &order)) } else { Err(faults) }
}

/// Keeps the first node of each table.
fn distinct(nodes: Vec<Node>, faults: &mut Vec<DagFault>) -> Vec<Node> {
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(nodes.len());
    for node in nodes {
        if seen.insert(node.qualified().into_owned()) {
            kept.push(node);
        } else {
            faults.push(DagFault::DuplicateName { name: node.name });
        }
    }
    kept
}

fn resolved(nodes: &[Node], faults: &mut Vec<DagFault>) -> Vec<Vec<usize>> {
    let mut indices: HashMap<String, usize> = HashMap::with_capacity(nodes.len() * 2);
    for (index, node) in nodes.iter().enumerate() {
        indices.insert(node.qualified().into_owned(), index);
    }
    for (index, node) in nodes.iter().enumerate() {
        indices.entry(node.name.clone()).or_insert(index);
    }
    let mut all = Vec::with_capacity(nodes.len());
    for node in nodes {
        let mut own = Vec::with_capacity(node.upstream.len());
        for upstream in &node.upstream {
            match indices.get(upstream) {
                Some(&index) => own.push(index),
                None => faults.push(unknown(node, upstream, nodes, faults.len())),
            }
        }
        own.sort_unstable();
        own.dedup();
        all.push(own);
    }
    all
}

fn unknown(node: &Node, upstream: &str, nodes: &[Node], faults_so_far: usize) -> DagFault {
    let candidates = || nodes.iter().filter(|other| other.name != node.name).map(|other| other.name.as_str());
    let hint = (faults_so_far < HINTS_MAX).then(|| hint(upstream, candidates())).flatten();
    DagFault::UnknownUpstream { node: node.name.clone(), upstream: upstream.into(), hint }
}

fn reversed(upstream: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut downstream = vec![Vec::new(); upstream.len()];
    for (index, own) in upstream.iter().enumerate() {
        for &from in own {
            downstream[from].push(index);
        }
    }
    downstream
}

/// Kahn's algorithm with the nodes that could come next in a heap by name. Nodes on a cycle, or behind one, are left out.
fn ordered(nodes: &[Node], upstream: &[Vec<usize>], downstream: &[Vec<usize>]) -> Vec<usize> {
    let mut missing: Vec<usize> = upstream.iter().map(Vec::len).collect();
    let entry = |index: usize| Reverse((nodes[index].name.as_str(), index));
    let mut ready: BinaryHeap<_> = (0..nodes.len()).filter(|&index| missing[index] == 0).map(entry).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse((_, index))) = ready.pop() {
        order.push(index);
        for &next in &downstream[index] {
            missing[next] -= 1;
            if missing[next] == 0 {
                ready.push(entry(next));
            }
        }
    }
    order
}

/// A cycle from each knot of nodes that could not be ordered. Each of them reads another of them, so a walk upstream
/// ends in a cycle or in an earlier walk.
fn cycles(nodes: &[Node], upstream: &[Vec<usize>], order: &[usize]) -> Vec<DagFault> {
    let mut stuck = vec![true; nodes.len()];
    order.iter().for_each(|&index| stuck[index] = false);
    let mut starts: Vec<usize> = (0..nodes.len()).filter(|&index| stuck[index]).collect();
    starts.sort_by_key(|&index| &nodes[index].name);
    let mut walk_of: Vec<Option<usize>> = vec![None; nodes.len()];
    let mut faults = Vec::new();
    for (walk, &start) in starts.iter().enumerate() {
        let mut path = Vec::new();
        let mut at = Some(start);
        while let Some(index) = at.filter(|&index| walk_of[index].is_none()) {
            walk_of[index] = Some(walk);
            path.push(index);
            at = upstream[index].iter().copied().find(|&from| stuck[from]);
        }
        let Some(end) = at.filter(|&index| walk_of[index] == Some(walk)) else { continue };
        if let Some(from) = path.iter().position(|&index| index == end) {
            faults.push(DagFault::Cycle { path: closed(nodes, &path[from..]) });
        }
    }
    faults
}

/// The names of a cycle that was walked upstream: turned into the data's direction, from the first by name round to it.
fn closed(nodes: &[Node], walked: &[usize]) -> Vec<String> {
    let mut names: Vec<String> = walked.iter().rev().map(|&index| nodes[index].name.clone()).collect();
    let first = (0..names.len()).min_by_key(|&at| &names[at]).unwrap_or_default();
    names.rotate_left(first);
    names.extend(names.first().cloned());
    names
}

fn ranked(nodes: Vec<Node>, upstream: &[Vec<usize>], order: &[usize]) -> Dag {
    let mut rank_of = vec![0; nodes.len()];
    order.iter().enumerate().for_each(|(rank, &index)| rank_of[index] = rank);
    let by_rank = |index: &usize| {
        let mut own: Vec<usize> = upstream[*index].iter().map(|&from| rank_of[from]).collect();
        own.sort_unstable();
        own
    };
    let upstream: Vec<Vec<usize>> = order.iter().map(by_rank).collect();
    let mut placed: Vec<(usize, Node)> = rank_of.into_iter().zip(nodes).collect();
    placed.sort_unstable_by_key(|(rank, _)| *rank);
    let nodes: Vec<Node> = placed.into_iter().map(|(_, node)| node).collect();
    let ranks = nodes.iter().enumerate().map(|(rank, node)| (node.name.clone(), rank)).collect();
    Dag { downstream: reversed(&upstream), nodes, ranks, upstream }
}

#[cfg(test)]
mod tests {
    use super::super::tests::node;
    use super::*;

    fn faults(nodes: Vec<Node>) -> Vec<String> {
        let faults = Dag::new(nodes).expect_err("a bad graph");
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_cycle_is_named_with_its_whole_path() {
        let nodes = vec![
            node("silver.b", &["silver.a", "orders"]),
            node("silver.c", &["silver.b"]),
            node("silver.a", &["silver.c"]),
            node("gold.z", &["silver.c"]),
            node("gold.self", &["gold.self"]),
            node("orders", &[]),
        ];
        let told = "tables are made from each other";
        assert_eq!(
            faults(nodes),
            [format!("{told}: gold.self → gold.self"), format!("{told}: silver.a → silver.b → silver.c → silver.a"),]
        );
    }

    #[test]
    fn an_unknown_upstream_is_told_with_the_nearest_name() {
        let nodes = vec![node("silver.payments", &["paymnets"]), node("payments", &[])];
        assert_eq!(
            faults(nodes),
            ["`silver.payments` reads `paymnets`, which nothing in the project makes; did you mean `payments`?"]
        );
    }

    #[test]
    fn all_faults_come_at_once() {
        let nodes = vec![
            node("silver.a", &["silver.a"]),
            node("silver.b", &["nothing_like_it"]),
            node("orders", &[]),
            node("bronze.orders", &[]),
        ];
        let faults = Dag::new(nodes).expect_err("three faults");
        let named: Vec<&str> = faults.iter().map(DagFault::node).collect();
        assert_eq!(named, ["bronze.orders", "silver.b", "silver.a"]);
        assert_eq!(faults[0], DagFault::DuplicateName { name: "bronze.orders".into() });
    }
}

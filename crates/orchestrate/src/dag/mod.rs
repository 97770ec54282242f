//! The graph of a project: sources and models, each with what it reads.

mod build;
mod fault;

pub use fault::DagFault;

use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, VecDeque};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    Source,
    Model,
}

/// Something that a run can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// A model's table (`silver.payments`), or a source's bare name (`payments`).
    pub name: String,
    /// The layer it writes; a source's is `bronze`.
    pub layer: String,
    pub tags: Vec<String>,
    pub kind: NodeKind,
    /// The nodes that it reads, by name or, for a source, by the table it writes (`bronze.payments`).
    pub upstream: Vec<String>,
}

impl Node {
    /// The name without its layer.
    pub fn table(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(_, table)| table)
    }

    /// `layer.table`, also for a source.
    pub fn qualified(&self) -> Cow<'_, str> {
        if self.name.contains('.') || self.layer.is_empty() {
            Cow::Borrowed(&self.name)
        } else {
            Cow::Owned(format!("{}.{}", self.layer, self.name))
        }
    }
}

/// A graph without cycles. Inside, a node is its rank: its place in the topological order in which, of the nodes that
/// could come next, the first by name does.
#[derive(Debug, Clone)]
pub struct Dag {
    nodes: Vec<Node>,
    ranks: HashMap<String, usize>,
    upstream: Vec<Vec<usize>>,
    downstream: Vec<Vec<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Upstream,
    Downstream,
}

impl Dag {
    /// Checks and orders the nodes. All faults come at once.
    pub fn new(nodes: Vec<Node>) -> Result<Self, Vec<DagFault>> {
        build::dag(nodes)
    }

    /// Each node after everything that it reads.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.ranks.get(name).map(|&rank| &self.nodes[rank])
    }

    /// The names of all nodes, to run everything.
    pub fn names(&self) -> BTreeSet<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// What `name` is made from, near and far, in topological order; nothing if there is no such node.
    pub fn ancestors(&self, name: &str) -> Vec<&Node> {
        self.relatives(name, Direction::Upstream)
    }

    /// What is made from `name`, near and far, in topological order; nothing if there is no such node.
    pub fn descendants(&self, name: &str) -> Vec<&Node> {
        self.relatives(name, Direction::Downstream)
    }

    fn relatives(&self, name: &str, direction: Direction) -> Vec<&Node> {
        let Some(&start) = self.ranks.get(name) else { return Vec::new() };
        let mut reached = self.reach([start], direction, usize::MAX);
        reached.remove(&start);
        reached.into_iter().map(|rank| &self.nodes[rank]).collect()
    }

    /// The starts and all that is at most `depth` steps away from any of them.
    pub(crate) fn reach(
        &self,
        starts: impl IntoIterator<Item = usize>,
        direction: Direction,
        depth: usize,
    ) -> BTreeSet<usize> {
        let neighbours = match direction {
            Direction::Upstream => &self.upstream,
            Direction::Downstream => &self.downstream,
        };
        let mut reached: BTreeSet<usize> = starts.into_iter().collect();
        let mut queue: VecDeque<(usize, usize)> = reached.iter().map(|&rank| (rank, 0)).collect();
        // Breadth first, so a node is met first by its shortest way and its depth is never judged too great.
        while let Some((rank, steps)) = queue.pop_front() {
            if steps == depth {
                continue;
            }
            for &next in &neighbours[rank] {
                if reached.insert(next) {
                    queue.push_back((next, steps + 1));
                }
            }
        }
        reached
    }

    pub(crate) fn rank(&self, name: &str) -> Option<usize> {
        self.ranks.get(name).copied()
    }

    pub(crate) fn upstream_of(&self, rank: usize) -> &[usize] {
        &self.upstream[rank]
    }

    pub(crate) fn downstream_of(&self, rank: usize) -> &[usize] {
        &self.downstream[rank]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A node by name; without a dot it is a source.
    pub(crate) fn node(name: &str, upstream: &[&str]) -> Node {
        let (layer, kind) = match name.split_once('.') {
            Some((layer, _)) => (layer, NodeKind::Model),
            None => ("bronze", NodeKind::Source),
        };
        let upstream = upstream.iter().map(|name| name.to_string()).collect();
        Node { name: name.into(), layer: layer.into(), tags: Vec::new(), kind, upstream }
    }

    fn names(nodes: &[&Node]) -> Vec<String> {
        nodes.iter().map(|node| node.name.clone()).collect()
    }

    fn shop() -> Dag {
        Dag::new(vec![
            node("gold.revenue", &["silver.orders", "silver.people"]),
            node("silver.people", &["people"]),
            node("silver.orders", &["bronze.orders", "orders"]),
            node("people", &[]),
            node("orders", &[]),
        ])
        .expect("a good graph")
    }

    #[test]
    fn nodes_come_after_what_they_read_and_then_by_name() {
        let dag = shop();
        let order: Vec<&Node> = dag.nodes().iter().collect();
        assert_eq!(names(&order), ["orders", "people", "silver.orders", "silver.people", "gold.revenue"]);
        assert_eq!(dag.node("gold.revenue").map(Node::table), Some("revenue"));
        assert_eq!(dag.node("orders").map(|n| n.qualified().into_owned()), Some("bronze.orders".into()));
    }

    #[test]
    fn relatives_are_all_that_can_be_reached() {
        let dag = shop();
        assert_eq!(names(&dag.ancestors("silver.orders")), ["orders"]);
        assert_eq!(names(&dag.descendants("people")), ["silver.people", "gold.revenue"]);
        assert!(dag.ancestors("orders").is_empty() && dag.ancestors("nobody").is_empty());
    }

    #[test]
    fn ten_thousand_nodes_are_ordered_in_a_blink() {
        let name = |i: usize| format!("silver.t{i:05}");
        let node_at = |i: usize| {
            let upstream: Vec<String> = (1..=5).filter(|step| i >= step * 7).map(|step| name(i - step * 7)).collect();
            Node { upstream, ..node(&name(i), &[]) }
        };
        let start = tokio::time::Instant::now();
        let dag = Dag::new((0..10_000).rev().map(node_at).collect()).expect("a good graph");
        assert_eq!(dag.descendants(&name(0)).len() + 1, 10_000_usize.div_ceil(7));
        assert!(start.elapsed().as_millis() < 3_000, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn any_graph_is_ordered_or_has_a_cycle(edges in prop::collection::vec((0..12_usize, 0..12_usize), 0..30)) {
            let name = |i: usize| format!("silver.n{i:02}");
            let mut nodes: Vec<Node> = (0..12).map(|i| node(&name(i), &[])).collect();
            for (from, to) in &edges {
                nodes[*to].upstream.push(name(*from));
            }
            match Dag::new(nodes) {
                Ok(dag) => for (from, to) in &edges {
                    prop_assert!(dag.rank(&name(*from)) < dag.rank(&name(*to)));
                },
                Err(faults) => for fault in faults {
                    let DagFault::Cycle { path } = fault else { return Err(TestCaseError::fail("no cycle")) };
                    for step in path.windows(2) {
                        let edge = |(from, to): &(usize, usize)| name(*from) == step[0] && name(*to) == step[1];
                        prop_assert!(edges.iter().any(edge), "{} -> {} is no edge", step[0], step[1]);
                    }
                    prop_assert_eq!(path.first(), path.last());
                }
            }
        }
    }
}

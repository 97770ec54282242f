//! What can be wrong with a graph.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DagFault {
    /// Two nodes write one table.
    DuplicateName { name: String },
    /// `node` reads what nobody makes.
    UnknownUpstream { node: String, upstream: String, hint: Option<String> },
    /// In the direction of the data; the first node stands again at the end.
    Cycle { path: Vec<String> },
}

impl DagFault {
    /// The node whose file shows the fault.
    pub fn node(&self) -> &str {
        match self {
            DagFault::DuplicateName { name } => name,
            DagFault::UnknownUpstream { node, .. } => node,
            DagFault::Cycle { path } => path.first().map_or("", String::as_str),
        }
    }
}

impl fmt::Display for DagFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DagFault::DuplicateName { name } => write!(f, "`{name}` is defined twice"),
            DagFault::UnknownUpstream { node, upstream, hint } => {
                write!(f, "`{node}` reads `{upstream}`, which nothing in the project makes")?;
                hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
            DagFault::Cycle { path } => write!(f, "tables are made from each other: {}", path.join(" → ")),
        }
    }
}

//! What a change of a schema breaks, and which changes a subject allows.

use super::schema::Parsed;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One reason why a reader can't read what a writer wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incompatible {
    /// The rule that is broken, by the name that the API has for it.
    pub rule: &'static str,
    /// Where in the schema, as a path: `#/properties/amount`, `/fields/2/type`.
    pub at: String,
    /// In words; `{reader}` and `{writer}` stand for the schemas until [`Level::check`] says which is which.
    pub why: String,
}

impl Incompatible {
    pub fn new(rule: &'static str, at: impl Into<String>, why: impl Into<String>) -> Self {
        Self { rule, at: at.into(), why: why.into() }
    }

    /// Says which schema is the one that `{reader}` and `{writer}` stand for.
    fn told(mut self, reader: &str, writer: &str) -> Self {
        let name = |which: &str| format!("the {which} schema");
        self.why = self.why.replace("{reader}", &name(reader)).replace("{writer}", &name(writer));
        self
    }
}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.rule, self.at, self.why)
    }
}

/// Which changes a subject allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    /// Every change.
    None,
    /// The new schema reads what the last one wrote.
    #[default]
    Backward,
    /// … and what all before wrote.
    BackwardTransitive,
    /// The last schema reads what the new one writes.
    Forward,
    ForwardTransitive,
    /// Both ways.
    Full,
    FullTransitive,
}

impl Level {
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text))
    }

    fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    fn is_backward(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive)
    }

    fn is_forward(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// How many of the schemas before a new one it is held against: none, the last, or all.
    pub fn depth(self) -> usize {
        match self {
            Self::None => 0,
            _ if self.is_transitive() => usize::MAX,
            _ => 1,
        }
    }

    /// Holds a new schema against those before it, the newest first; gives the place of the first in that list which it does
    /// not go with, and all that is wrong with that one.
    pub fn check<'a>(
        self,
        new: &Parsed,
        before: impl IntoIterator<Item = &'a Parsed>,
        lenient: bool,
    ) -> Option<(usize, Vec<Incompatible>)> {
        for (at, old) in before.into_iter().take(self.depth()).enumerate() {
            let mut found = Vec::new();
            if self.is_backward() {
                found.extend(new.reads(old, lenient).into_iter().map(|one| one.told("new", "old")));
            }
            if self.is_forward() {
                found.extend(old.reads(new, lenient).into_iter().map(|one| one.told("old", "new")));
            }
            if !found.is_empty() {
                return Some((at, found));
            }
        }
        None
    }
}

//! How far a partition is read, as its position keeps it.

use super::pages::Next;
use kernel::error::{Error, Result};
use kernel::{Point, Positions};
use serde::{Deserialize, Serialize};

/// The token of a partition's mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When the pass began, in microseconds since 1970.
    pub began: i64,
    /// Whether it is the first pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first: bool,
    /// What the pass asks to begin at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The highest value so far of what grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<String>,
    /// Which of its parents is read, where they share a partition.
    #[serde(default, skip_serializing_if = "is_first")]
    pub walk: usize,
    /// What is asked next; nothing when the pass is at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Next>,
}

fn is_first(walk: &usize) -> bool {
    *walk == 0
}

impl Place {
    /// Rows taken of a partition, and its place.
    pub fn of(positions: &Positions, partition: &str) -> Result<Option<(u64, Place)>> {
        match positions.get(partition) {
            None => Ok(None),
            Some(Point::Mark { rows, token, .. }) => match serde_json::from_str(token) {
                Ok(place) => Ok(Some((*rows, place))),
                Err(_) => Err(strange(partition)),
            },
            Some(_) => Err(strange(partition)),
        }
    }

    pub fn point(&self, rows: u64, is_once: bool) -> Result<Point> {
        let token = serde_json::to_string(self).map_err(|e| Error::internal("write a position", &e))?;
        Ok(Point::Mark { rows, token, done: is_once && self.at.is_none() })
    }
}

fn strange(partition: &str) -> Error {
    let detail = "its position was written by another connector, or by another version of this one; take it into another \
                  table (`into`), or under another source's name";
    Error::data(format!("go on with {partition}"), detail)
}

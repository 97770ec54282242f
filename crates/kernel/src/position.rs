//! Progress: how far each partition of a source has been taken. It lives inside the commit it belongs to.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far one partition is taken. Ordered: a source never goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// The next offset to read of an ordered log: a Kafka offset, an LSN.
    Offset(u64),
    /// A file of this `etag`, read up to and with `row` (a line number in text formats, else a row number,
    /// both from 1); `done` when nothing of it is left.
    File { etag: String, row: u64, done: bool },
    /// `rows` rows are taken of this partition, and its source goes on at `token`: a page's cursor, a binlog's transactions,
    /// a chunk of a snapshot. Only the source reads the token, and no token holds a value that a mask hides. A token may
    /// move on without rows; `done` when nothing is left.
    Mark { rows: u64, token: String, done: bool },
}

impl Point {
    /// Whether `self` is further than, or equal to, `other`. Another etag is a new file and always further.
    pub fn reaches(&self, other: &Point) -> bool {
        match (self, other) {
            (Point::Offset(a), Point::Offset(b)) => a >= b,
            (Point::File { etag: a, row: i, done: x }, Point::File { etag: b, row: j, done: y }) => {
                a != b || (i >= j && (*x || !*y))
            }
            (Point::Mark { rows: i, done: x, .. }, Point::Mark { rows: j, done: y, .. }) => i >= j && (*x || !*y),
            _ => false,
        }
    }
}

/// One point per partition (a file, a topic partition, a slot). A commit carries only the partitions that moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positions(BTreeMap<String, Point>);

impl Positions {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn set(&mut self, partition: impl Into<String>, point: Point) {
        self.0.insert(partition.into(), point);
    }

    pub fn get(&self, partition: &str) -> Option<&Point> {
        self.0.get(partition)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Point)> {
        self.0.iter().map(|(partition, point)| (partition.as_str(), point))
    }

    /// Takes every point of `later` over its own.
    pub fn advance(&mut self, later: &Positions) {
        self.0.extend(later.0.iter().map(|(k, v)| (k.clone(), v.clone())));
    }

    /// Whether all of `upto` is in `self`. A file of another etag is another file, and a token may move on without rows: a
    /// source must not be told that what is behind it is durable before it is.
    pub fn holds(&self, upto: &Positions) -> bool {
        let is_done = |partition, point: &Point| match (self.get(partition), point) {
            (Some(Point::File { etag: a, .. }), Point::File { etag: b, .. }) if a != b => false,
            (Some(Point::Mark { rows: i, token: a, .. }), Point::Mark { rows: j, token: b, .. })
                if i == j && a != b =>
            {
                false
            }
            (Some(own), point) => own.reaches(point),
            (None, _) => false,
        };
        !upto.is_empty() && upto.iter().all(|(partition, point)| is_done(partition, point))
    }

    /// Whether each partition of `earlier` is reached.
    pub fn reaches(&self, earlier: &Positions) -> bool {
        earlier.iter().all(|(partition, point)| self.get(partition).is_some_and(|own| own.reaches(point)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_file_is_further_than_any_row_of_it() {
        let half = Point::File { etag: "a".into(), row: 10, done: false };
        let whole = Point::File { etag: "a".into(), row: 10, done: true };
        assert!(whole.reaches(&half) && !half.reaches(&whole));
        assert!(!Point::Offset(3).reaches(&Point::Offset(4)));
        let mark = |rows, done| Point::Mark { rows, token: "t".into(), done };
        assert!(mark(3, true).reaches(&mark(3, false)) && !mark(3, false).reaches(&mark(3, true)));
    }

    #[test]
    fn positions_advance_by_partition() {
        let mut all = Positions::new();
        all.set("a", Point::Offset(1));
        let mut later = Positions::new();
        later.set("b", Point::Offset(7));
        all.advance(&later);
        assert_eq!(all.len(), 2);
        assert!(all.reaches(&later) && !later.reaches(&all));
    }

    #[test]
    fn a_token_that_moved_without_rows_is_not_held_yet() {
        let at = |rows, token: &str| {
            let mut positions = Positions::new();
            positions.set("p", Point::Mark { rows, token: token.into(), done: false });
            positions
        };
        assert!(at(3, "a").holds(&at(3, "a")) && at(3, "a").holds(&at(2, "b")));
        assert!(!at(3, "a").holds(&at(3, "b")) && !at(3, "a").holds(&at(4, "b")));
        assert!(!at(3, "a").holds(&Positions::new()));
    }
}

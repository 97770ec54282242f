//! Rows that an append had brought which did not come to its end: they come again, in whatever portions, and are passed over
//! one by one.

use kernel::broker::Places;
use kernel::{Point, Positions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Written as ranges, for most of them are behind one another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Ranges", into = "Ranges")]
pub struct Unfinished(Places);

/// By the source's partition, the first and the last offset of each.
type Ranges = BTreeMap<String, Vec<(i64, i64)>>;

impl Unfinished {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn places(&self) -> &Places {
        &self.0
    }

    pub fn add(&mut self, partition: &str, offset: i64) {
        self.0.entry(partition.to_owned()).or_default().insert(offset);
    }

    pub fn holds(&self, partition: &str, offset: i64) -> bool {
        self.0.get(partition).is_some_and(|offsets| offsets.contains(&offset))
    }

    /// After an append of rows up to these offsets of their partitions, and up to these positions. A source gives a partition in
    /// order: what was before them and did not come will not come, for the gate lets it through no more.
    pub fn settle(&mut self, given: &BTreeMap<String, i64>, upto: &Positions) {
        self.0.retain(|partition, offsets| {
            let is_done =
                matches!(upto.get(partition), Some(Point::File { done: true, .. } | Point::Mark { done: true, .. }));
            if let Some(last) = given.get(partition) {
                offsets.retain(|offset| offset > last);
            }
            !is_done && !offsets.is_empty()
        });
    }
}

impl From<Unfinished> for Ranges {
    fn from(unfinished: Unfinished) -> Self {
        let ranges = |offsets: std::collections::BTreeSet<i64>| {
            offsets.into_iter().fold(Vec::new(), |mut ranges: Vec<(i64, i64)>, offset| {
                match ranges.last_mut() {
                    Some((_, last)) if last.checked_add(1) == Some(offset) => *last = offset,
                    _ => ranges.push((offset, offset)),
                }
                ranges
            })
        };
        unfinished.0.into_iter().map(|(partition, offsets)| (partition, ranges(offsets))).collect()
    }
}

impl From<Ranges> for Unfinished {
    fn from(ranges: Ranges) -> Self {
        let offsets = |ranges: Vec<(i64, i64)>| ranges.into_iter().flat_map(|(first, last)| first..=last).collect();
        Self(ranges.into_iter().map(|(partition, ranges)| (partition, offsets(ranges))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Unfinished {
        let mut some = Unfinished::default();
        [("a", 1), ("a", 2), ("a", 3), ("a", 7), ("b", 5)].into_iter().for_each(|(at, offset)| some.add(at, offset));
        some
    }

    #[test]
    fn what_is_left_is_kept_as_ranges() {
        let text = serde_json::to_string(&some()).expect("text");
        assert_eq!(text, r#"{"a":[[1,3],[7,7]],"b":[[5,5]]}"#);
        assert_eq!(serde_json::from_str::<Unfinished>(&text).expect("places"), some());
    }

    #[test]
    fn a_row_is_waited_for_until_its_partition_is_behind_it() {
        let mut left = some();
        left.settle(&BTreeMap::from([("a".to_owned(), 2)]), &Positions::new());
        assert!(!left.holds("a", 2) && left.holds("a", 3) && left.holds("a", 7) && left.holds("b", 5));
        left.settle(&BTreeMap::from([("a".to_owned(), 9)]), &Positions::new());
        assert!(!left.holds("a", 7) && left.holds("b", 5), "another partition's rows are not told by it");
        let mut upto = Positions::new();
        upto.set("b", Point::File { etag: "e".into(), row: 9, done: true });
        left.settle(&BTreeMap::new(), &upto);
        assert!(left.is_empty(), "nothing of it comes again");
    }
}

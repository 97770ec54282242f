//! Where a source goes on in a partition, by what was committed, and whether the partition still has it.

use super::options::OnLost;
use kernel::{Error, Point, Positions, Result};

/// The offset that comes next in a partition; `None` where nothing of the topic was taken up yet. A source takes up all
/// partitions that are there when it first sees them, so one that it does not know was added since: Kafka counts from 0 there.
pub fn due(from: &Positions, topic: &str, partition: i32) -> Result<Option<i64>> {
    let name = format!("{topic}/{partition}");
    match from.get(&name) {
        Some(Point::Offset(offset)) => Ok(Some(i64::try_from(*offset).unwrap_or(i64::MAX))),
        Some(_) => Err(Error::internal(name, "a position of a topic is an offset")),
        None => Ok(from.iter().any(|(other, _)| is_of(topic, other)).then_some(0)),
    }
}

/// Whether a position is of the topic. Its id is not: that says nothing of any partition.
fn is_of(topic: &str, name: &str) -> bool {
    name.strip_prefix(topic).is_some_and(|rest| rest.starts_with('/'))
}

/// Where to go on in a partition that has the offsets from `low` to `high`.
pub fn is_there(on_lost: OnLost, name: &str, offset: i64, low: i64, high: i64) -> Result<i64> {
    if offset > high {
        let detail = format!(
            "offset {offset} was taken, and it ends at {high}: the topic was made anew or cut; give the source another \
             name to take it from its start"
        );
        return Err(Error::data(format!("go on in {name}"), detail));
    }
    if offset >= low {
        return Ok(offset);
    }
    let lost = low - offset;
    match on_lost {
        OnLost::Skip => {
            tracing::warn!(
                partition = name,
                "{lost} offsets were removed before they were taken; it goes on behind them"
            );
            Ok(low)
        }
        OnLost::Error => {
            let detail = format!(
                "{lost} offsets (from {offset} on) were removed by the topic's retention before they were taken; `on_lost: \
                 skip` goes on without them"
            );
            Err(Error::data(format!("go on in {name}"), detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(all: &[(&str, u64)]) -> Positions {
        all.iter().fold(Positions::new(), |mut positions, (name, offset)| {
            positions.set(*name, Point::Offset(*offset));
            positions
        })
    }

    #[test]
    fn a_partition_that_came_later_is_due_from_its_first_offset() {
        let from = positions(&[("t/0", 7), ("t/1", 0)]);
        let due = |from: &Positions, partition| due(from, "t", partition).expect("an offset");
        assert_eq!([0, 1, 2].map(|partition| due(&from, partition)), [Some(7), Some(0), Some(0)]);
        assert_eq!(due(&Positions::new(), 0), None, "it is where `start_from` says");
        assert_eq!(due(&positions(&[("tt/0", 7), ("other/0", 7)]), 0), None, "those are of other topics");
        let mut id = Positions::new();
        id.set("t#id", Point::Mark { rows: 0, token: "a".into(), done: false });
        assert_eq!(due(&id, 0), None);
    }

    #[test]
    fn what_is_gone_is_told_or_passed_over() {
        let error = is_there(OnLost::Error, "t/1", 0, 50, 50).expect_err("a loud stop").to_string();
        assert!(error.contains("t/1") && error.contains("50 offsets (from 0 on)"), "{error}");
        assert_eq!(is_there(OnLost::Skip, "t/1", 0, 50, 80).expect("the rest"), 50);
        assert_eq!(is_there(OnLost::Error, "t/1", 50, 50, 80).expect("all of it"), 50);
        assert!(is_there(OnLost::Skip, "t/1", 81, 50, 80).is_err(), "it ends before that");
    }
}

//! A topic read from where its rows were taken last: what the gate let through, on its way to a table.

use async_trait::async_trait;
use kernel::broker::{Broker, Topic};
use kernel::gate::{Safe, Sealed};
use kernel::source::{Pulled, Source};
use kernel::{Error, Point, Positions, Result};
use std::sync::Arc;

/// A table's positions name a partition of a log by this and its topic, beside the partitions of the source itself.
const LOG: &str = "log ";

/// Whether a table's position is one of a log.
pub fn is_of_log(partition: &str) -> bool {
    partition.starts_with(LOG)
}

pub struct TopicSource {
    broker: Arc<dyn Broker>,
    topic: Topic,
    group: String,
    parts: Vec<Part>,
    /// The partition that is asked first.
    turn: usize,
}

struct Part {
    /// As positions name it.
    name: Arc<str>,
    at: u64,
    /// What was visible when it was asked last.
    end: u64,
}

impl TopicSource {
    /// Goes on behind `from`, the table's positions; where they say nothing, where the group was, or at the first row there
    /// is. The group is told of what is in the table.
    pub async fn open(broker: Arc<dyn Broker>, topic: Topic, group: String, from: &Positions) -> Result<Self> {
        let ends = broker.ends(&topic.name).await?;
        let consumed = broker.consumed(&topic.name, &group).await?;
        let mut first = Positions::new();
        let parts = ends.iter().enumerate().map(|(number, ends)| {
            let name: Arc<str> = format!("{LOG}{}/{number}", topic.name).into();
            let known = from.get(&name).or(consumed.get(&number.to_string()));
            let at = if let Some(Point::Offset(at)) = known {
                *at
            } else {
                // From here on retention can remove nothing unseen.
                first.set(number.to_string(), Point::Offset(ends.first));
                ends.first
            };
            Part { name, at, end: ends.next }
        });
        let parts = parts.collect();
        if !first.is_empty() {
            broker.consume(&topic.name, &group, &first).await?;
        }
        Ok(Self { broker, topic, group, parts, turn: 0 })
    }

    /// The partitions with rows that are not taken, and how many offsets those are.
    pub async fn behind(broker: &dyn Broker, topic: &str, from: &Positions) -> Result<(u64, u64)> {
        let ends = broker.ends(topic).await?;
        let left = ends.iter().enumerate().map(|(number, ends)| match from.get(&format!("{LOG}{topic}/{number}")) {
            Some(Point::Offset(at)) => ends.next.saturating_sub(*at),
            _ => ends.next.saturating_sub(ends.first),
        });
        Ok(left.filter(|left| *left > 0).fold((0, 0), |(parts, sum), left| (parts + 1, sum + left)))
    }

    fn next_part(&self) -> Option<usize> {
        let count = self.parts.len();
        (0..count).map(|step| (self.turn + step) % count).find(|at| self.parts[*at].at < self.parts[*at].end)
    }
}

#[async_trait]
impl Source for TopicSource {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if self.next_part().is_none() {
            let ends = self.broker.ends(&self.topic.name).await?;
            for (part, ends) in self.parts.iter_mut().zip(ends) {
                part.end = ends.next;
            }
        }
        let Some(at) = self.next_part() else { return Ok(None) };
        let part = &self.parts[at];
        let fetched = self.broker.fetch(&self.topic, at as u32, part.at, bytes_max).await?;
        let strangers = fetched.strangers.iter().map(|offset| i64::try_from(*offset).unwrap_or(i64::MAX)).collect();
        let rows = Sealed { rows: Safe::concat(&fetched.rows)?, partition: part.name.clone(), strangers };
        let mut upto = Positions::new();
        upto.set(part.name.as_ref(), Point::Offset(fetched.next));
        if fetched.next <= part.at {
            return Err(Error::internal(format!("read {}", self.topic.name), "a fetch before the end gave nothing"));
        }
        self.parts[at].at = fetched.next;
        self.turn = at + 1;
        Ok(Some(Pulled { rows: kernel::source::Rows::Sealed(rows), upto, whole: true }))
    }

    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        let mut consumed = Positions::new();
        for (number, part) in self.parts.iter().enumerate() {
            if let Some(point) = upto.get(&part.name) {
                consumed.set(number.to_string(), point.clone());
            }
        }
        match consumed.is_empty() {
            true => Ok(()),
            false => self.broker.consume(&self.topic.name, &self.group, &consumed).await,
        }
    }
}

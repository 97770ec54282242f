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

impl Part {
    /// A log that ends before what was taken of it is another one of its name.
    fn check(&self, topic: &str) -> Result<()> {
        if self.at <= self.end {
            return Ok(());
        }
        let detail = format!(
            "offset {} of {} was taken, and it ends at {}: it was removed and made anew, or is that of another machine. Put it \
             back; or remove what is there of the topic too, move the table's folder away, and load all again",
            self.at, self.name, self.end
        );
        Err(Error::data(format!("read {topic}"), detail))
    }
}

impl TopicSource {
    /// Goes on behind `from`, the table's positions. Where they say nothing it begins where it once began to look, which is
    /// kept beside the group's own positions, so that retention takes nothing unseen. A table that is behind its group was
    /// removed, or brought back as it was before: it is not made again out of the log, which may have lost some of its rows
    /// and have others that the table was to lose.
    pub async fn open(broker: Arc<dyn Broker>, topic: Topic, group: String, from: &Positions) -> Result<Self> {
        let origin = format!("{group}.origin");
        let begun = broker.consumed(&topic.name, &origin).await?;
        let consumed = broker.consumed(&topic.name, &group).await?;
        // Last, for others append meanwhile: what is taken is before the end.
        let ends = broker.ends(&topic.name).await?;
        let mut new = Positions::new();
        let parts = ends.iter().enumerate().map(|(number, ends)| {
            let (name, key) = (Arc::from(format!("{LOG}{}/{number}", topic.name)), number.to_string());
            let at = match from.get(&name).or(begun.get(&key)) {
                Some(Point::Offset(at)) => *at,
                _ => {
                    new.set(key, Point::Offset(ends.first));
                    ends.first
                }
            };
            Part { name, at, end: ends.next }
        });
        let parts: Vec<Part> = parts.collect();
        for (number, part) in parts.iter().enumerate() {
            part.check(&topic.name)?;
            if let Some(Point::Offset(known)) = consumed.get(&number.to_string())
                && part.at < *known
            {
                let what = format!("take {} into {group}", topic.name);
                let detail = format!(
                    "the table was at offset {known} of {} and knows of {} now: was it removed, or brought back as it was \
                     before? Put it back as it was; or remove the topic too, and load all again. Where the lake of another \
                     environment goes through this topic: give one of the two another broker",
                    part.name, part.at
                );
                return Err(Error::data(what, detail));
            }
        }
        if !new.is_empty() {
            broker.consume(&topic.name, &origin, &new).await?;
        }
        Ok(Self { broker, topic, group, parts, turn: 0 })
    }

    /// The partitions with rows that are not taken, and how many offsets those are.
    pub async fn behind(broker: &dyn Broker, topic: &str, from: &Positions) -> Result<(u64, u64)> {
        let ends = broker.ends(topic).await?;
        let mut left = Vec::new();
        for (number, ends) in ends.iter().enumerate() {
            let name = Arc::from(format!("{LOG}{topic}/{number}"));
            let at = if let Some(Point::Offset(at)) = from.get(&name) { *at } else { ends.first };
            if at < ends.first {
                let detail = format!(
                    "retention has removed {} offsets before offset {} that were not taken. Say a longer `retention` in \
                     `broker:`; what is gone is in the source only: remove the topic, move the table's folder away, and load \
                     all again",
                    ends.first - at,
                    ends.first
                );
                return Err(Error::data(format!("read {name}"), detail));
            }
            Part { name, at, end: ends.next }.check(topic)?;
            left.push(ends.next - at);
        }
        Ok(left.into_iter().filter(|left| *left > 0).fold((0, 0), |(parts, sum), left| (parts + 1, sum + left)))
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
                part.check(&self.topic.name)?;
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

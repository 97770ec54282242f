//! A source's way through the broker: rows go to its topic, and from there to its table.
//!
//! Each half has its own positions: the source's are in the topic, beside the rows that they cover; the topic's are in the
//! table's commits. Rows that are set aside go to the quarantine at once, before those beside them are in the topic.

use crate::project::Source;
use crate::wiring::Wiring;
use async_trait::async_trait;
use connect::broker::{Home, TopicSource, is_of_log};
use kernel::broker::{Appended, Appender, Broker, Places, Topic, topic_name};
use kernel::clock::Clock;
use kernel::error::{Error, Result};
use kernel::gate::{Passed, Safe};
use kernel::position::Positions;
use kernel::sink::{Commit, Sink};
use kernel::{Kind, Point, TableName};
use lake::{AsideSink, BronzeSink};
use orchestrate::Pace;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Bytes of one append, but for a batch that is larger.
const APPEND_BYTES: usize = 16 << 20;
/// What a source gives as one transaction is in memory until its end, and may not be larger.
const TRANSACTION_BYTES: usize = 256 << 20;
/// Under which the log knows how many commits have set rows aside.
const ASIDE: &str = "lavra:quarantine";
/// How long a row may wait for others before it is appended.
const LINGER: Duration = Duration::from_millis(100);

pub struct Relay {
    broker: Arc<dyn Broker>,
    topic: Topic,
    /// The name under which the source appends, and the one under which the table's half consumes.
    writer: String,
    group: String,
    clock: Arc<dyn Clock>,
}

impl Relay {
    /// Of a source that goes through the broker.
    pub async fn of(wiring: &Wiring, source: &Source) -> Result<Option<Self>> {
        let Some(home) = home(wiring, source)? else { return Ok(None) };
        let broker = wiring.log(&home).await?;
        let keys = source.entity.properties.iter().filter_map(|p| Some((p.primary_key?, p)));
        // A key that a mask drops is in no row.
        let mut keys: Vec<_> = keys.filter(|(_, p)| source.schema.field_with_name(&p.name).is_ok()).collect();
        keys.sort_by_key(|(place, _)| *place);
        let topic = Topic {
            name: topic_of(wiring, source)?,
            partitions: home.partitions,
            key: keys.into_iter().map(|(_, property)| property.name.clone()).collect(),
            schema: source.schema.clone(),
            retention: home.retention,
        };
        let group = format!("{}.{}", wiring.project.config.project, source.table);
        Ok(Some(Self { broker, topic, writer: source.name.clone(), group, clock: wiring.clock.clone() }))
    }

    pub fn topic(&self) -> &str {
        &self.topic.name
    }

    /// The half from the source to the topic.
    pub async fn sink(&self, wiring: &Wiring, source: &Source, run_id: &str) -> Result<TopicSink> {
        self.broker.create(&self.topic).await?;
        let mut appender = self.broker.appender(&self.topic, &self.writer).await?;
        if appender.positions().is_empty() {
            // What went into the table before there was a broker is not read again.
            let before = BronzeSink::progress_of(&wiring.store, &source.table, &source.name).await?;
            // Rows of an append that was cut off before it wrote its positions may be in the table already.
            if appender.unfinished().is_empty() && self.is_taken(&before, is_of_log).await? {
                return Err(self.made_anew(source));
            }
            let before = own(&before);
            if !before.is_empty() {
                settled(&self.topic, appender.append(&[], &before).await?)?;
            }
        }
        let known = match appender.positions().get(ASIDE) {
            Some(Point::Offset(known)) => *known,
            _ => 0,
        };
        let reached = own(appender.positions());
        let aside = AsideSink::open(&wiring.store, &source.table, &source.name, run_id, wiring.clock.clone(), known);
        Ok(TopicSink { aside: aside.await?, reached, appender: Mutex::new(appender), rows: Vec::new(), bytes: 0 })
    }

    /// The half from the topic to the table, behind the table's positions.
    pub async fn source(&self, from: &Positions) -> Result<TopicSource> {
        self.broker.create(&self.topic).await?;
        let (broker, topic, group) = (self.broker.clone(), self.topic.clone(), self.group.clone());
        TopicSource::open(broker, topic, group, from, self.clock.clone()).await
    }

    /// How far the source is in the topic.
    pub async fn reached(&self) -> Result<Positions> {
        match self.broker.has(&self.topic.name).await? {
            true => Ok(own(&self.broker.appended(&self.topic.name, &self.writer).await?)),
            // Nothing was ever appended.
            false => Ok(Positions::new()),
        }
    }

    /// Partitions with rows that are not in the table, and how many offsets those are.
    pub async fn behind(&self, wiring: &Wiring, source: &Source) -> Result<(u64, u64)> {
        let from = BronzeSink::progress_of(&wiring.store, &source.table, &source.name).await?;
        match self.broker.has(&self.topic.name).await? {
            true => TopicSource::behind(self.broker.as_ref(), &self.topic.name, &from).await,
            false => Ok((0, 0)),
        }
    }

    /// Refuses what taking rows out of the topic would: a table that is behind what the topic knows of it, or one of a topic that
    /// is not there. Changes nothing.
    pub async fn refuse_other_table(&self, wiring: &Wiring, source: &Source) -> Result<()> {
        let (broker, topic) = (self.broker.as_ref(), &self.topic.name);
        let table = BronzeSink::progress_of(&wiring.store, &source.table, &source.name).await?;
        if !broker.has(topic).await? {
            return self.refuse_without_topic(source, &table);
        }
        let ends = broker.ends(topic).await?;
        let consumed = broker.consumed(topic, &self.group).await?;
        let begun = broker.consumed(topic, &format!("{}.origin", self.group)).await?;
        if begun.is_empty()
            && consumed.is_empty()
            && broker.appended(topic, &self.writer).await?.is_empty()
            && self.is_taken(&table, |partition| is_of_topic(partition, topic)).await?
        {
            return Err(self.made_anew(source));
        }
        for (number, ends) in ends.iter().enumerate() {
            let key = number.to_string();
            let taken = match in_log(&table, topic, &key).or(begun.get(&key)) {
                Some(Point::Offset(taken)) => *taken,
                _ => ends.first,
            };
            if let Some(Point::Offset(known)) = consumed.get(&key)
                && taken < *known
            {
                let detail = format!(
                    "the table was at offset {known} of partition {key} and knows of {taken} now: was it removed, or brought \
                     back as it was before? Put it back as it was; or remove the topic too, and load all again. Where the lake \
                     of another environment goes through this topic: give one of the two another broker"
                );
                return Err(Error::data(format!("take {topic} into {}", source.table), detail));
            }
        }
        Ok(())
    }

    /// Whether the table has taken something of a topic, or of this one: where it begins, it is told before there are rows.
    async fn is_taken(&self, table: &Positions, is_meant: impl Fn(&str) -> bool) -> Result<bool> {
        let (broker, topic) = (self.broker.as_ref(), &self.topic.name);
        let begun = broker.consumed(topic, &format!("{}.origin", self.group)).await?;
        let ends = broker.ends(topic).await?;
        let is_begin = |partition: &str, point: &Point| {
            let number = partition.rsplit('/').next().unwrap_or_default();
            let first = number.parse().ok().and_then(|number: usize| ends.get(number)).map_or(0, |ends| ends.first);
            is_of_topic(partition, topic)
                && (begun.get(number) == Some(point) || [0, first].map(Point::Offset).contains(point))
        };
        Ok(table.iter().any(|(partition, point)| is_meant(partition) && !is_begin(partition, point)))
    }

    fn made_anew(&self, source: &Source) -> Error {
        let detail = format!(
            "{} has rows that came through this topic, which knows nothing of them: it was made anew, or is that of another \
             machine. Put it back, or move the table's folder away and load all again",
            source.table
        );
        Error::data(format!("go on in topic {}", self.topic.name), detail)
    }

    /// A topic comes into being with its first rows: without any there is nothing to go on in.
    fn refuse_without_topic(&self, source: &Source, table: &Positions) -> Result<()> {
        let topic = &self.topic.name;
        if !table.iter().any(|(partition, _)| is_of_topic(partition, topic)) {
            return Ok(());
        }
        let detail = format!(
            "{} has rows that came through it, and there is no such topic now. Put it back, or move the table's folder away and \
             load all again",
            source.table
        );
        Err(Error::data(format!("go on in topic {topic}"), detail))
    }

    /// How rows are brought to the topic: soon, and in small appends.
    pub fn pace(pace: Pace) -> Pace {
        Pace { commit_bytes: APPEND_BYTES, commit_every: pace.commit_every.map(|every| every.min(LINGER)), ..pace }
    }
}

/// Where the logs are that this source goes through.
pub fn home(wiring: &Wiring, source: &Source) -> Result<Option<Home>> {
    match wiring.environment.broker() {
        Some(home) if source.config.broker != Some(false) => {
            home.map(Some).map_err(|why| Error::project("open the broker", why))
        }
        _ => Ok(None),
    }
}

/// How far a source is taken, wherever that is kept.
pub async fn reached(wiring: &Wiring, source: &Source) -> Result<Positions> {
    let in_table = BronzeSink::progress_of(&wiring.store, &source.table, &source.name).await?;
    let Some(relay) = Relay::of(wiring, source).await? else { return Ok(in_table) };
    let reached = relay.reached().await?;
    Ok(if reached.is_empty() { own(&in_table) } else { reached })
}

/// What topics keep of rows that went through them: each with its home and how long.
pub fn kept(wiring: &Wiring) -> Result<Vec<(String, String, Option<Duration>)>> {
    let mut kept = Vec::new();
    for source in &wiring.project.sources {
        if let Some(home) = home(wiring, source)? {
            kept.push((topic_of(wiring, source)?, home.shown(), home.retention.time));
        }
    }
    Ok(kept)
}

/// By the source's name, for several may end in one table.
fn topic_of(wiring: &Wiring, source: &Source) -> Result<String> {
    topic_name(&wiring.project.config.project, &TableName::new("bronze", &source.name)?)
}

/// Refuses to take a source straight into a table that it came to through a log: what it is told there would come again.
pub fn refuse_detour(source: &Source, positions: &Positions) -> Result<()> {
    if !positions.iter().any(|(partition, _)| is_of_log(partition)) {
        return Ok(());
    }
    Err(Error::project(
        format!("take `{}` into {}", source.name, source.table),
        "its rows came through a broker so far, which knows how far the source is taken: set `broker:` in lavra.yaml as it \
         was, or move the table's folder away and load all again",
    ))
}

/// The name of the line in a long-running process that takes a source's topic into its table.
pub fn line(source: &str) -> String {
    format!("bronze.{source}")
}

/// Whether a table's position is one of this topic.
fn is_of_topic(partition: &str, topic: &str) -> bool {
    let place = partition.rsplit_once('/').filter(|_| is_of_log(partition));
    place.is_some_and(|(place, _)| place.rsplit(' ').next() == Some(topic))
}

/// A table's position in a partition of a topic.
fn in_log<'a>(table: &'a Positions, topic: &str, number: &str) -> Option<&'a Point> {
    let is_meant = |partition: &str| is_of_topic(partition, topic) && partition.rsplit('/').next() == Some(number);
    table.iter().find(|(partition, _)| is_meant(partition)).map(|(_, point)| point)
}

/// A source's own positions, without those of a log.
fn own(positions: &Positions) -> Positions {
    let mut own = Positions::new();
    for (partition, point) in positions.iter().filter(|(partition, _)| !is_of_log(partition) && *partition != ASIDE) {
        own.set(partition, point.clone());
    }
    own
}

fn settled(topic: &Topic, appended: Appended) -> Result<()> {
    match appended {
        Appended::Done | Appended::AlreadyDone => Ok(()),
        Appended::Conflict(why) => Err(Error::new(Kind::Conflict, format!("append to {}", topic.name), why)),
    }
}

/// Takes what the gate let through to the topic, and the rest to the quarantine.
pub struct TopicSink {
    /// Never locked: an appender need not bear two at once, and a sink may be looked at by several.
    appender: Mutex<Box<dyn Appender>>,
    reached: Positions,
    aside: AsideSink,
    rows: Vec<Safe>,
    bytes: usize,
}

impl TopicSink {
    /// Rows that may be in the table though the source gives them again: the topic passes over them.
    pub fn unfinished(&mut self) -> Places {
        self.appender.get_mut().unfinished()
    }
}

/// Of a topic, which has no versions.
const NO_VERSION: u64 = 0;

#[async_trait]
impl Sink for TopicSink {
    async fn positions(&self) -> Result<Positions> {
        Ok(self.reached.clone())
    }

    async fn write(&mut self, rows: Passed) -> Result<()> {
        if let Some(aside) = rows.quarantined {
            self.aside.write(aside).await?;
        }
        if rows.safe.num_rows() > 0 {
            self.bytes += rows.safe.batch().get_array_memory_size();
            self.rows.push(rows.safe);
        }
        match self.bytes > TRANSACTION_BYTES {
            true => Err(Error::new(
                Kind::Memory,
                "append to a topic",
                "a transaction or a snapshot of the source, which can't be cut, is larger than 256 MiB: say `broker: false` for it",
            )),
            false => Ok(()),
        }
    }

    async fn commit(&mut self, upto: &Positions) -> Result<Commit> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        if self.reached.holds(upto) {
            self.aside.forget().await?;
            return Ok(Commit::AlreadyDone(NO_VERSION));
        }
        let mut moved = upto.clone();
        moved.set(ASIDE, Point::Offset(self.aside.commit().await?));
        Ok(match self.appender.get_mut().append(&rows, &moved).await? {
            Appended::Done => {
                self.reached.advance(upto);
                Commit::Done(NO_VERSION)
            }
            Appended::AlreadyDone => Commit::AlreadyDone(NO_VERSION),
            Appended::Conflict(why) => Commit::Conflict(why),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_a_topic_are_told_from_all_others() {
        let mut table = Positions::new();
        let all = [("log shop.bronze.orders/1", 7), ("log shop.bronze.orders/11", 8), ("log shop.bronze.order/1", 9)];
        for (partition, at) in all.into_iter().chain([("shop.bronze.orders/1", 10), ("data/log orders/1", 11)]) {
            table.set(partition, Point::Offset(at));
        }
        let at = |topic: &str, number: &str| in_log(&table, topic, number).cloned();
        assert_eq!(at("shop.bronze.orders", "1"), Some(Point::Offset(7)));
        assert_eq!(at("shop.bronze.orders", "11"), Some(Point::Offset(8)));
        assert_eq!(at("shop.bronze.orders", "0"), None);
        assert_eq!(at("orders", "1"), None);
    }
}

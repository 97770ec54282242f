//! The thread that polls: all partitions of a topic, from positions that it is given, round by round. A round ends where the
//! partitions ended when it began, so that a run over a busy topic has an end.

use super::client::{Access, Told};
use super::due::{due, is_there};
use super::identity;
use super::keys::Keys;
use super::options::{Mode, Options, StartFrom};
use super::part::Part;
use super::polled::{POLL, Polled};
use crate::records::Decode;
use kernel::clock::Clock;
use kernel::gate::Raw;
use kernel::source::Pulled;
use kernel::{Entity, Error, Point, Positions, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How many times the time-out a partition may stand still whose leader answers.
const TURNS: u32 = 10;

pub struct Reader {
    pub access: Access,
    pub consumer: Arc<BaseConsumer<Told>>,
    pub options: Arc<Options>,
    pub entity: Arc<Entity>,
    pub decoder: Box<dyn Decode>,
    /// What reads records' keys, where they are the contract's primary key.
    keys: Option<Keys>,
    /// What was committed when the source was opened, and where it has begun since.
    pub from: Positions,
    /// The id of the topic and where partitions begin, for the next batch to bring along: until they are committed, nobody
    /// could say whether retention has removed something.
    untold: Positions,
    parts: BTreeMap<i32, Part>,
    ready: VecDeque<Pulled>,
    /// Bytes that wait in the partitions.
    bytes: usize,
    rows: usize,
    in_round: bool,
    polled: Polled,
    /// What is to be told once all that waits was handed on.
    fault: Option<Error>,
}

impl Reader {
    pub fn new(
        access: Access,
        consumer: Arc<BaseConsumer<Told>>,
        options: Arc<Options>,
        entity: Arc<Entity>,
        decoder: Box<dyn Decode>,
        from: Positions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let (parts, ready) = (BTreeMap::new(), VecDeque::new());
        let keys = if options.mode == Mode::Upsert { Keys::new(&entity)? } else { None };
        Ok(Self {
            access,
            consumer,
            options,
            entity,
            decoder,
            keys,
            from,
            untold: Positions::new(),
            parts,
            ready,
            bytes: 0,
            rows: 0,
            in_round: false,
            polled: Polled::new(clock),
            fault: None,
        })
    }

    /// The next batch, or `None` at the end of a round. After an error it goes on where the last batch ended.
    pub fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        self.step(bytes_max).inspect_err(|_| self.rewind())
    }

    /// Back to what was handed on; the next round fetches the rest again.
    fn rewind(&mut self) {
        for part in self.parts.values() {
            self.from.advance(&part.upto());
        }
        self.parts.clear();
        (self.bytes, self.rows, self.in_round) = (0, 0, false);
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!("{error}");
        }
    }

    fn step(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        loop {
            if let Some(mut pulled) = self.ready.pop_front() {
                // Of a partition that moves already, the batch knows better.
                let moved = std::mem::replace(&mut pulled.upto, std::mem::take(&mut self.untold));
                pulled.upto.advance(&moved);
                return Ok(Some(pulled));
            }
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            if !std::mem::replace(&mut self.in_round, true) {
                self.begin()?;
            }
            if self.ready.is_empty() && !self.fill(bytes_max)? {
                self.in_round = false;
                return Ok(None);
            }
        }
    }

    /// Looks where the partitions end, and takes in those that are new.
    fn begin(&mut self) -> Result<()> {
        let topic = &self.options.topic;
        let partitions = partitions(&self.access, &self.consumer, topic)?;
        let is_first = self.parts.is_empty() && !self.from.iter().any(|(_, point)| matches!(point, Point::Offset(_)));
        if let Some(id) = identity::check(&self.access, &self.consumer, topic, &self.from)? {
            self.from.advance(&id);
            self.untold.advance(&id);
        }
        let mut new = Vec::new();
        for partition in partitions {
            let (low, high) = self.watermarks(partition)?;
            match self.parts.get_mut(&partition) {
                Some(part) => (part.end, part.moved_at) = (high, self.polled.spent),
                None => new.push((partition, low, high)),
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let starts = if is_first { self.starts(&new)? } else { BTreeMap::new() };
        let (mut assigned, mut begun) = (TopicPartitionList::new(), BTreeMap::new());
        for (partition, low, high) in new {
            let from = match due(&self.from, topic, partition)? {
                Some(offset) => is_there(self.options.on_lost, &format!("{topic}/{partition}"), offset, low, high)?,
                None => starts.get(&partition).copied().unwrap_or(low),
            };
            let mut part = Part::new(topic, partition, from, &self.entity);
            (part.end, part.moved_at) = (high, self.polled.spent);
            let at = self.consumer.client();
            add(&mut assigned, topic, partition, from).map_err(|e| self.access.error("assign", &e, at.context()))?;
            begun.insert(partition, part);
        }
        // Where each begins counts from now on, whether or not it has records: what comes there and is removed before the next
        // opening is missing.
        for upto in begun.values().map(Part::upto).filter(|upto| !self.from.holds(upto)) {
            self.untold.advance(&upto);
        }
        self.from.advance(&self.untold);
        self.parts.extend(begun);
        let assigned = self.consumer.incremental_assign(&assigned);
        assigned.map_err(|e| self.access.error("assign", &e, self.consumer.client().context()))?;
        if !self.untold.is_empty() {
            let moved = self.moved(Positions::new())?;
            self.ready.push_back(moved);
        }
        Ok(())
    }

    fn watermarks(&self, partition: i32) -> Result<(i64, i64)> {
        let (topic, client) = (&self.options.topic, self.consumer.client());
        let marks = client.fetch_watermarks(topic, partition, self.access.timeout);
        marks.map_err(|e| {
            listen(&self.consumer);
            self.access.error(&format!("look for the end of {topic}/{partition}"), &e, client.context())
        })
    }

    /// By partition, where a source starts that has taken nothing.
    fn starts(&self, new: &[(i32, i64, i64)]) -> Result<BTreeMap<i32, i64>> {
        let millis = match self.options.start_from {
            StartFrom::Earliest => return Ok(BTreeMap::new()),
            StartFrom::Latest => return Ok(new.iter().map(|(partition, _, high)| (*partition, *high)).collect()),
            StartFrom::Group => return self.starts_of_group(new),
            StartFrom::Time(millis) => millis,
        };
        let (topic, told) = (&self.options.topic, self.consumer.client().context());
        let fault = |e| self.access.error(&format!("look for a time in {topic}"), &e, told);
        let mut times = TopicPartitionList::new();
        for (partition, ..) in new {
            add(&mut times, topic, *partition, millis).map_err(fault)?;
        }
        let found = self.consumer.offsets_for_times(times, self.access.timeout).map_err(fault)?;
        let start = |(partition, _, high): &(i32, i64, i64)| {
            let offset = found.find_partition(topic, *partition).map(|found| found.offset());
            // Nothing is as young: it starts at the end.
            (*partition, if let Some(Offset::Offset(offset)) = offset { offset } else { *high })
        };
        Ok(new.iter().map(start).collect())
    }

    /// What the group has committed, by others who read for it before.
    fn starts_of_group(&self, new: &[(i32, i64, i64)]) -> Result<BTreeMap<i32, i64>> {
        let (topic, told) = (&self.options.topic, self.consumer.client().context());
        let mut asked = TopicPartitionList::new();
        for (partition, ..) in new {
            asked.add_partition(topic, *partition);
        }
        let found = self.consumer.committed_offsets(asked, self.access.timeout);
        let found = found.map_err(|e| self.access.error(&format!("look where the group is in {topic}"), &e, told))?;
        let start = |(partition, low, high): &(i32, i64, i64)| match found.find_partition(topic, *partition)?.offset() {
            // What was removed since is lost to who takes over, as it would be to the group.
            Offset::Offset(offset) => {
                let name = format!("{topic}/{partition}");
                let start = is_there(self.options.on_lost, &name, offset, *low, *high);
                Some(start.map(|start| (*partition, start)))
            }
            _ => None,
        };
        new.iter().filter_map(start).collect()
    }

    /// Polls until there is a batch in `ready`; false when the round is at its end.
    fn fill(&mut self, bytes_max: usize) -> Result<bool> {
        self.polled.begin();
        let mut behind = self.parts.values().filter(|part| part.is_behind()).count();
        while behind > 0 && self.bytes < bytes_max.max(1) && self.rows < self.options.batch_rows_max {
            let polled = self.consumer.poll(POLL);
            self.polled.count(polled.is_some());
            match polled {
                Some(Ok(message)) => {
                    let Some(part) = self.parts.get_mut(&message.partition()) else { continue };
                    // What is fetched again after a broken connection was taken already.
                    if message.offset() < part.next {
                        continue;
                    }
                    let was_behind = part.is_behind();
                    self.bytes += part.take(&message, &self.options, self.keys.as_ref());
                    part.moved_at = self.polled.spent;
                    self.rows += 1;
                    behind -= usize::from(was_behind && !part.is_behind());
                }
                Some(Err(error)) if is_overtaken(&error) => return self.overtaken(&error),
                Some(Err(error)) => self.forgive(&error)?,
                None => {
                    behind = self.follow()?;
                    if self.bytes > 0 {
                        break;
                    }
                }
            }
            if self.polled.is_time() {
                behind = self.follow()?;
                if let Some(fault) = self.silent() {
                    self.give()?;
                    self.rewind();
                    self.fault = Some(fault);
                    return Ok(true);
                }
            }
        }
        self.polled.end();
        self.give()?;
        Ok(!self.ready.is_empty())
    }

    /// What there is to tell of a partition that has more and has not moved for as long as the cluster may take to answer. While
    /// others move, its turn may only not have come: then its leader is asked, and one that answers has more time.
    fn silent(&mut self) -> Option<Error> {
        let (now, timeout) = (self.polled.spent, self.access.timeout);
        let is_late = |since: Duration| now.saturating_sub(since) > timeout;
        let late = |part: &Part| part.is_behind() && is_late(part.moved_at.max(part.asked_at));
        let (partition, part) = self.parts.iter_mut().find(|(_, part)| late(part))?;
        part.asked_at = now;
        let (partition, name, moved_at) = (*partition, part.name.clone(), part.moved_at);
        let is_over = now.saturating_sub(moved_at) > timeout.saturating_mul(TURNS);
        if !is_over && self.parts.values().any(|part| !is_late(part.moved_at)) {
            return self.watermarks(partition).err();
        }
        let error = KafkaError::MessageConsumption(Code::OperationTimedOut);
        Some(self.access.error(&format!("read {name}"), &error, self.consumer.client().context()))
    }

    /// What the client tells while it goes on by itself is no error yet; the time-out makes one of it.
    fn forgive(&self, error: &KafkaError) -> Result<()> {
        let fault = self.access.error(&format!("read {}", self.options.topic), error, self.consumer.client().context());
        match fault.kind {
            kernel::Kind::Unreachable => Ok(()),
            _ => Err(fault),
        }
    }

    /// The cluster no longer has what comes next. What waits is handed on; the next round then begins where there is something,
    /// or says what is missing.
    fn overtaken(&mut self, error: &KafkaError) -> Result<bool> {
        let mut is_lost = false;
        for (partition, part) in &self.parts {
            let (low, high) = self.watermarks(*partition)?;
            is_lost |= !(low..=high).contains(&part.next);
        }
        if is_lost {
            self.give()?;
            self.rewind();
        } else {
            self.forgive(error)?;
        }
        Ok(true)
    }

    /// Ends of transactions and what they took back are offsets without records: the client goes over them by itself. Gives
    /// the number of partitions that have more.
    fn follow(&mut self) -> Result<usize> {
        let told = self.consumer.client().context();
        let places = self.consumer.position().map_err(|e| self.access.error("ask for positions", &e, told))?;
        for place in places.elements() {
            if let (Some(part), Offset::Offset(at)) = (self.parts.get_mut(&place.partition()), place.offset())
                && at > part.next
            {
                (part.next, part.moved_at) = (at, self.polled.spent);
            }
        }
        Ok(self.parts.values().filter(|part| part.is_behind()).count())
    }

    /// Turns what waits into batches.
    fn give(&mut self) -> Result<()> {
        (self.bytes, self.rows) = (0, 0);
        let mut silent = Positions::new();
        for part in self.parts.values_mut() {
            if part.has_any() {
                self.ready.extend(part.give(self.decoder.as_mut(), self.keys.as_mut(), &self.options)?);
            } else if part.moved_silently() {
                silent.advance(&part.upto());
            }
        }
        if !silent.is_empty() {
            match self.ready.back_mut() {
                Some(last) => last.upto.advance(&silent),
                None => {
                    let moved = self.moved(silent)?;
                    self.ready.push_back(moved);
                }
            }
        }
        Ok(())
    }

    /// Positions that move without rows.
    fn moved(&mut self, upto: Positions) -> Result<Pulled> {
        let rows = self.decoder.decode(Default::default())?.into_iter().next();
        let rows = rows.ok_or_else(|| Error::internal("read records", "a reader gives a batch, if an empty one"))?;
        let name = self.options.topic.clone();
        let raw = Raw::new(rows.batch, name, rows.offsets)?;
        let raw = if self.options.mode == Mode::Upsert { raw.with_changes(Default::default())? } else { raw };
        Ok(Pulled { rows: raw.into(), upto, whole: true })
    }
}

fn add(list: &mut TopicPartitionList, topic: &str, partition: i32, offset: i64) -> KafkaResult<()> {
    list.add_partition_offset(topic, partition, Offset::Offset(offset))
}

/// Whether the cluster no longer has the offset that comes next.
fn is_overtaken(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::AutoOffsetReset | Code::OffsetOutOfRange))
}

/// Why nobody answers is among the events that wait to be polled.
pub fn listen(consumer: &BaseConsumer<Told>) {
    for _ in 0..EVENTS_MAX {
        match consumer.poll(POLL) {
            // It was told by the poll itself, with its reason.
            Some(_) => {}
            None => return,
        }
    }
}

/// A client that can't connect tells the same again and again.
const EVENTS_MAX: usize = 50;

/// Who is not let in need not wait until the time is up: so often it is looked whether that has been told.
const SLICE: Duration = Duration::from_secs(2);

/// The partitions that a topic has now.
pub fn partitions(access: &Access, consumer: &BaseConsumer<Told>, topic: &str) -> Result<Vec<i32>> {
    let (client, what) = (consumer.client(), format!("look for topic {topic}"));
    let (mut left, told) = (access.timeout, client.context());
    let metadata = loop {
        let slice = left.min(SLICE);
        match client.fetch_metadata(Some(topic), slice) {
            Ok(metadata) => break metadata,
            Err(error) => {
                listen(consumer);
                left = left.saturating_sub(slice);
                if left.is_zero() || told.has_reason() {
                    return Err(access.error(&what, &error, told));
                }
            }
        }
    };
    client.context().forget();
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let error = found.and_then(|found| found.error()).map(Code::from);
    match found {
        Some(found) if error.is_none() && !found.partitions().is_empty() => {
            Ok(found.partitions().iter().map(|partition| partition.id()).collect())
        }
        _ => {
            let code = error.unwrap_or(Code::UnknownTopic);
            Err(access.error(&what, &KafkaError::MetadataFetch(code), client.context()))
        }
    }
}

#[cfg(test)]
mod tests;

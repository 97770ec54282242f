//! The Kafka connector as a source: asks the polling thread for one batch after another.

use super::client::{Access, Told};
use super::options::Options;
use super::reader::{Reader, partitions};
use crate::registry::Registry;
use crate::spec::{Opening, Pending, Progress};
use async_trait::async_trait;
use kernel::source::{Pulled, Source};
use kernel::{Error, Point, Positions, Result};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use tokio::sync::mpsc;

/// A topic, partition by partition in the order of offsets.
///
/// Positions are the lake's: partitions are assigned with the offsets that were committed there, no group is joined, and
/// what a group's offsets say is not asked. Records of transactions come when these are committed.
pub struct Kafka {
    topic: String,
    group: Option<String>,
    consumer: Arc<BaseConsumer<Told>>,
    /// Bytes of the batch that is asked for.
    asked: Sender<usize>,
    answers: mpsc::Receiver<Result<Option<Pulled>>>,
    /// Whether an answer is on its way.
    waiting: bool,
}

impl Kafka {
    pub fn open(opening: Opening) -> Result<Self> {
        let options = Options::read(&opening.source, &opening.options)?;
        options.demand(&opening.entity, &opening.source)?;
        options.demand_start(&opening.from, opening.clock.now(), &opening.source)?;
        let access = Access::new(&options, &opening.base)?;
        let consumer = Arc::new(access.consumer(&group(&opening, &options))?);
        let entity = Arc::new(opening.entity);
        let registry = options.registry.as_deref().map(|url| Registry::new(url, access.timeout)).transpose()?;
        let decoder = options.format.reader(entity.clone(), registry)?;
        let (asked, asking) = channel::<usize>();
        let (answer, answers) = mpsc::channel(1);
        let (topic, group) = (options.topic.clone(), options.group.clone());
        let (options, from, clock) = (Arc::new(options), opening.from, opening.clock);
        let mut reader = Reader::new(access, consumer.clone(), options, entity, decoder, from, clock)?;
        let thread = std::thread::Builder::new().name("lavra-kafka".into()).spawn(move || {
            while let Ok(bytes_max) = asking.recv() {
                if answer.blocking_send(reader.next(bytes_max)).is_err() {
                    return;
                }
            }
        });
        thread.map_err(|e| Error::internal("read Kafka", "no thread could be started").because(e))?;
        Ok(Self { topic, group, consumer, asked, answers, waiting: false })
    }
}

/// The name under which this client is known, also when it tells no offsets.
fn group(opening: &Opening, options: &Options) -> String {
    options.group.clone().unwrap_or_else(|| format!("lavra-{}", opening.source))
}

#[async_trait]
impl Source for Kafka {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        let gone = || Error::internal("read Kafka", "the polling thread is gone");
        // Who dropped the call before is answered now.
        if !self.waiting {
            self.asked.send(bytes_max).map_err(|_| gone())?;
            self.waiting = true;
        }
        let answer = self.answers.recv().await.ok_or_else(gone)?;
        self.waiting = false;
        answer
    }

    /// Tells the group's offsets, for others to see. What the cluster says of it changes nothing here.
    async fn settled(&mut self, upto: &Positions) -> Result<()> {
        if self.group.is_none() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::new();
        for (name, point) in upto.iter() {
            let partition = name.rsplit_once('/').and_then(|(_, partition)| partition.parse().ok());
            if let (Some(partition), Point::Offset(offset)) = (partition, point) {
                let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
                let _ = offsets.add_partition_offset(&self.topic, partition, offset);
            }
        }
        if offsets.count() > 0
            && let Err(error) = self.consumer.commit(&offsets, CommitMode::Async)
        {
            tracing::warn!(topic = self.topic, "the group's offsets were not told to the cluster: {error}");
        }
        Ok(())
    }
}

/// The partitions with records that were not taken.
pub async fn pending(opening: &Opening) -> Result<Vec<Pending>> {
    let options = Options::read(&opening.source, &opening.options)?;
    let access = Access::new(&options, &opening.base)?;
    let (group, from) = (group(opening, &options), opening.from.clone());
    let look = move || {
        let consumer = access.consumer(&group)?;
        let mut pending = Vec::new();
        for partition in partitions(&access, &consumer, &options.topic)? {
            let name = format!("{}/{partition}", options.topic);
            let marks = consumer.fetch_watermarks(&options.topic, partition, access.timeout);
            let told = consumer.client().context();
            let (low, high) = marks.map_err(|e| access.error(&format!("look for the end of {name}"), &e, told))?;
            let (taken, progress) = match from.get(&name) {
                Some(Point::Offset(offset)) => (i64::try_from(*offset).unwrap_or(i64::MAX), Progress::Partly(*offset)),
                _ => (low, Progress::New),
            };
            if taken < high {
                pending.push(Pending { partition: name, bytes: None, progress });
            }
        }
        Ok(pending)
    };
    tokio::task::spawn_blocking(look).await.map_err(|e| Error::internal("look at Kafka", e))?
}

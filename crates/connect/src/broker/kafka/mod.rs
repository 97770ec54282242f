//! Kafka as a home of logs: a record a row, appended in transactions. Others read them as they read any topic.

mod appender;
mod cursor;

use crate::kafka::client::{Access, Told};
use crate::kafka::options::Options;
use crate::spec::Fault;
use appender::{KafkaAppender, Reading};
use async_trait::async_trait;
use cursor::Cursor;
use kernel::broker::{Appender, Broker, Capabilities, Ends, Fetched, Retention, Topic, other_partitions};
use kernel::error::redacted;
use kernel::gate::Seal;
use kernel::suggest::nearest;
use kernel::{Error, Kind, Point, Positions, Result};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// By topic and partition.
type Cursors = Mutex<HashMap<(String, u32), Arc<Mutex<Cursor>>>>;
/// By topic of positions.
type Readings = Mutex<HashMap<String, Arc<tokio::sync::Mutex<Reading>>>>;

pub struct KafkaBroker {
    access: Arc<Access>,
    seal: Seal,
    /// Copies that the cluster keeps of what is made here.
    replication: i32,
    /// Who reads a partition goes on where they were.
    cursors: Cursors,
    /// What was read of positions is not read again by who asks next; and who asks while one reads waits for that.
    readings: Readings,
}

impl KafkaBroker {
    /// Of `kafka://host:9092,host2:9092?security=sasl_tls&…`: the settings are the options of a `kafka` source, and
    /// `replication`, by default the cluster's own. Opens no connection.
    pub fn open(url: &str, base: &Path, seal: Seal) -> Result<Self> {
        let wrong =
            |why| Error::project(format!("broker {}", redacted(url.split('?').next().unwrap_or_default())), why);
        let (options, replication) = Self::settings(url).map_err(wrong)?;
        let access = Arc::new(Access::new(&options, base)?);
        Ok(Self { access, seal, replication, cursors: Mutex::default(), readings: Mutex::default() })
    }

    /// What of the URL is wrong, before anything is opened.
    pub fn check(url: &str) -> Result<(), String> {
        Self::settings(url).map(drop)
    }

    /// The options of a source, and the copies of each topic.
    fn settings(url: &str) -> Result<(Options, i32), String> {
        let (connection, query) = url.split_once('?').unwrap_or((url, ""));
        let mut options =
            Map::from_iter([("connection".to_owned(), json!(connection)), ("topic".to_owned(), json!("all"))]);
        let mut replication = -1;
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match (&*name, value.parse::<i32>()) {
                ("replication", copies) => {
                    let copies = copies.ok().filter(|copies| *copies > 0);
                    replication = copies.ok_or("`replication` is a number of copies")?;
                }
                ("timeout_ms", Ok(ms)) => drop(options.insert(name.into(), json!(ms))),
                _ => drop(options.insert(name.into(), json!(value))),
            }
        }
        let told = |fault: &Fault| match (nearest(&fault.option, OWN), &fault.help) {
            (Some(meant), _) => format!("{}; did you mean `{meant}`?", fault.message),
            (None, Some(help)) => format!("{}; {help}", fault.message),
            (None, None) => fault.message.clone(),
        };
        let read = Options::check(&Value::Object(options));
        let read = read.map_err(|faults| faults.iter().map(told).collect::<Vec<_>>().join("; "))?;
        Ok((read, replication))
    }

    /// Makes a topic; false if it is there, which any node knows: only the controller can make one, and one that stands still
    /// is replaced after half a minute. Each try has a part of the time, for the node that was asked may stand still too. Where
    /// the cluster refuses its settings, it is made as `plain` says.
    async fn make<'a>(
        &self,
        what: &str,
        mut new: &'a NewTopic<'a>,
        mut plain: Option<&'a NewTopic<'a>>,
    ) -> Result<bool> {
        match self.has(new.name).await {
            Ok(true) => return Ok(false),
            // Who is not let in here is not let in there, and would have to wait for the answer.
            Err(error) if error.kind == Kind::Project => return Err(error),
            _ => {}
        }
        let mut tries = TRIES;
        loop {
            let (admin, options) = self.admin(what)?;
            let fault = |e: KafkaError| self.access.error(what, &e, admin.inner().context());
            let made = match admin.create_topics([new], &options).await {
                Ok(made) => match made.into_iter().next() {
                    Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
                    Some(Err((_, Code::InvalidConfig | Code::PolicyViolation))) if plain.is_some() => {
                        new = plain.take().unwrap_or(new);
                        continue;
                    }
                    Some(Err((_, code))) => Err(KafkaError::MetadataFetch(code)),
                    _ => Ok(true),
                },
                Err(error) => Err(error),
            };
            tries -= 1;
            match made.map_err(fault) {
                Err(error) if error.kind == Kind::Unreachable && tries > 0 => tokio::time::sleep(STEP).await,
                made => return made,
            }
        }
    }

    fn admin(&self, what: &str) -> Result<(AdminClient<Told>, AdminOptions)> {
        let admin = self.access.config().create_with_context(Told::default());
        let admin = admin.map_err(|e| self.access.error(what, &e, &Told::default()))?;
        let part = Some(self.access.timeout / TRIES);
        Ok((admin, AdminOptions::new().request_timeout(part).operation_timeout(part)))
    }

    /// Gives these settings to a topic that is there. What else was set by whoever runs the cluster stays as it is.
    async fn alter(&self, what: &str, topic: &str, settings: &[(&str, String)]) -> Result<()> {
        let (admin, options) = self.admin(what)?;
        let fault = |e: KafkaError| self.access.error(what, &e, admin.inner().context());
        let known = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await.map_err(fault)?;
        let known = match known.into_iter().next() {
            Some(Err(code)) => return Err(fault(KafkaError::AdminOp(code))),
            Some(Ok(resource)) => resource.entries,
            None => Vec::new(),
        };
        let own = known.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let before: HashMap<&str, &str> =
            own.filter_map(|entry| Some((&*entry.name, entry.value.as_deref()?))).collect();
        let mut all = before.clone();
        all.extend(settings.iter().map(|(key, value)| (*key, value.as_str())));
        if all == before {
            return Ok(());
        }
        let change = all.iter().fold(AlterConfig::new(ResourceSpecifier::Topic(topic)), |c, (k, v)| c.set(k, v));
        let changed = admin.alter_configs([&change], &options).await.map_err(fault)?;
        match changed.into_iter().next() {
            Some(Err((_, code))) => Err(fault(KafkaError::MetadataFetch(code))),
            _ => Ok(()),
        }
    }

    /// Makes the topic of a writer's positions, or sees to it that one that is there stays small.
    async fn make_positions(&self, name: &str) -> Result<()> {
        let what = format!("make topic {name}");
        let settings = positions_settings();
        let new = || NewTopic::new(name, 1, TopicReplication::Fixed(self.replication));
        let kept_small = settings.iter().fold(new(), |new, (key, value)| new.set(key, value));
        let plain = new().set(COMPACTED.0, COMPACTED.1);
        let is_new = self.make(&what, &kept_small, Some(&plain)).await?;
        let (access, own) = (self.access.clone(), name.to_owned());
        blocking(move || Self::settle(&access, &own, 1)).await?;
        // One that was made plain is found so by who opens it next.
        if !is_new && let Err(error) = self.alter(&format!("set up topic {name}"), name, &settings).await {
            let wanted = settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
            tracing::warn!(
                "{error}. {name} grows to a gigabyte before Kafka compacts it, which is read when its source is opened: let this \
                 user alter it, or set {wanted} yourself"
            );
        }
        Ok(())
    }

    /// What was read of a writer's positions so far, for who reads on.
    async fn reading(&self, positions_topic: &str) -> Result<OwnedMutexGuard<Reading>> {
        let fault = |_| Error::internal("read positions", "a thread died");
        let reading = self.readings.lock().map_err(fault)?.entry(positions_topic.to_owned()).or_default().clone();
        Ok(reading.lock_owned().await)
    }

    /// Blocks until the topic can be written to.
    fn settle(access: &Access, topic: &str, partitions: usize) -> Result<()> {
        let consumer = access.consumer(LOOKER)?;
        let (mut waited, mut differed) = (Duration::ZERO, Duration::ZERO);
        loop {
            let found = crate::kafka::reader::partitions(access, &consumer, topic);
            match found {
                Ok(found) if found.len() == partitions => return Ok(()),
                Ok(found) if found.len() > partitions || differed > SETTLE => {
                    return Err(other_partitions(topic, found.len(), partitions));
                }
                Ok(_) => {
                    differed += STEP;
                    std::thread::sleep(STEP);
                }
                Err(error) if waited > access.timeout => return Err(error),
                _ => std::thread::sleep(STEP),
            }
            waited += STEP;
        }
    }
}

/// The name under which this program asks for what no group keeps.
const LOOKER: &str = "lavra-broker";
const STEP: Duration = Duration::from_millis(50);
const TRIES: u32 = 3;
/// What a row may have in a topic that is made here: 16 MiB. Kafka's own default is 1 MiB.
const MESSAGE_BYTES: &str = "16777216";
/// How long a topic may show fewer partitions than it was made with.
const SETTLE: Duration = Duration::from_secs(2);
/// What is said of topics, beside the options of a source.
const OWN: [&str; 4] = ["partitions", "retention", "retention_bytes", "replication"];
const RETENTION: [&str; 2] = ["retention.ms", "retention.bytes"];

fn settings(retention: Retention) -> Vec<(&'static str, String)> {
    let time = retention.time.map_or("-1".to_owned(), |time| time.as_millis().to_string());
    let bytes = retention.bytes.map_or("-1".to_owned(), |bytes| bytes.to_string());
    vec![("cleanup.policy", "delete".to_owned()), (RETENTION[0], time), (RETENTION[1], bytes)]
}

/// The last of each key is all that counts.
const COMPACTED: (&str, &str) = ("cleanup.policy", "compact");

/// Of a topic of positions, which is read from its start when a writer is opened. Kafka compacts nothing of the segment that is
/// written to, which by default ends with a gigabyte; and it keeps what says that a transaction ended for a day, which is
/// longer than anybody reads here.
fn positions_settings() -> Vec<(&'static str, String)> {
    let small = [("segment.bytes", "4194304"), ("min.cleanable.dirty.ratio", "0.1"), ("delete.retention.ms", "900000")];
    [COMPACTED].into_iter().chain(small).map(|(key, value)| (key, value.to_owned())).collect()
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(act).await.map_err(|e| Error::internal("ask Kafka", e))?
}

#[async_trait]
impl Broker for KafkaBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities { transactions: true, fences: true }
    }

    async fn create(&self, topic: &Topic) -> Result<()> {
        let what = format!("make topic {}", topic.name);
        let settings = settings(topic.retention);
        let count = i32::try_from(topic.partitions).map_err(|e| Error::project(&what, e))?;
        let mut new = NewTopic::new(&topic.name, count, TopicReplication::Fixed(self.replication));
        for (key, value) in &settings {
            new = new.set(key, value);
        }
        new = new.set("max.message.bytes", MESSAGE_BYTES);
        if !self.make(&what, &new, None).await? {
            self.alter(&what, &topic.name, &settings).await?;
        }
        let (access, name, partitions) = (self.access.clone(), topic.name.clone(), topic.partitions as usize);
        blocking(move || Self::settle(&access, &name, partitions)).await
    }

    async fn appender(&self, topic: &Topic, writer: &str) -> Result<Box<dyn Appender>> {
        let name = appender::positions_topic(&topic.name, writer)?;
        self.make_positions(&name).await?;
        let mut reading = self.reading(&name).await?;
        let (access, seal) = (self.access.clone(), self.seal.clone());
        let (topic, writer) = (topic.clone(), writer.to_owned());
        let open = move || KafkaAppender::open(access, seal, topic, &writer, name, &mut reading);
        Ok(Box::new(blocking(open).await?))
    }

    async fn fetch(&self, topic: &Topic, partition: u32, from: u64, bytes_max: usize) -> Result<Fetched> {
        let key = (topic.name.clone(), partition);
        let fault = || Error::internal("fetch from Kafka", "a thread died");
        let cursor = {
            let mut cursors = self.cursors.lock().map_err(|_| fault())?;
            match cursors.get(&key) {
                Some(cursor) => cursor.clone(),
                None => {
                    let new = Cursor::open(self.access.clone(), self.seal.clone(), &topic.name, partition)?;
                    cursors.entry(key).or_insert(Arc::new(Mutex::new(new))).clone()
                }
            }
        };
        let schema = topic.schema.clone();
        blocking(move || cursor.lock().map_err(|_| fault())?.fetch(&schema, from, bytes_max)).await
    }

    async fn appended(&self, topic: &str, writer: &str) -> Result<Positions> {
        let (access, topic) = (self.access.clone(), appender::positions_topic(topic, writer)?);
        let mut reading = self.reading(&topic).await?;
        blocking(move || match appender::read(&access, &topic, &mut reading) {
            Err(error) if error.kind == Kind::Project => Ok(Positions::new()),
            read => Ok(read?.positions),
        })
        .await
    }

    async fn has(&self, topic: &str) -> Result<bool> {
        let (access, topic) = (self.access.clone(), topic.to_owned());
        blocking(move || {
            let consumer = access.consumer(LOOKER)?;
            match crate::kafka::reader::partitions(&access, &consumer, &topic) {
                Err(error) if error.kind == Kind::Project && !consumer.client().context().has_reason() => Ok(false),
                found => found.map(|found| !found.is_empty()),
            }
        })
        .await
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        let (access, topic) = (self.access.clone(), topic.to_owned());
        blocking(move || {
            let consumer = access.consumer(LOOKER)?;
            let mut all = crate::kafka::reader::partitions(&access, &consumer, &topic)?;
            all.sort_unstable();
            all.into_iter().map(|partition| ends(&access, &consumer, &topic, partition)).collect()
        })
        .await
    }

    async fn consumed(&self, topic: &str, group: &str) -> Result<Positions> {
        let (access, topic, group) = (self.access.clone(), topic.to_owned(), group.to_owned());
        blocking(move || {
            let consumer = access.consumer(&group)?;
            let fault = |e| access.error(&format!("ask how far group {group} is"), &e, consumer.client().context());
            let mut asked = TopicPartitionList::new();
            for partition in crate::kafka::reader::partitions(&access, &consumer, &topic)? {
                asked.add_partition(&topic, partition);
            }
            let known = consumer.committed_offsets(asked, access.timeout).map_err(fault)?;
            let mut found = Positions::new();
            for place in known.elements() {
                if let Offset::Offset(offset) = place.offset() {
                    found.set(place.partition().to_string(), Point::Offset(u64::try_from(offset).unwrap_or_default()));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn consume(&self, topic: &str, group: &str, upto: &Positions) -> Result<()> {
        let (access, topic, group, upto) = (self.access.clone(), topic.to_owned(), group.to_owned(), upto.clone());
        blocking(move || {
            let consumer = access.consumer(&group)?;
            let fault = |e| access.error(&format!("tell how far group {group} is"), &e, consumer.client().context());
            let mut told = TopicPartitionList::new();
            for (partition, point) in upto.iter() {
                let (Ok(partition), Point::Offset(offset)) = (partition.parse(), point) else {
                    return Err(Error::internal("tell how far a group is", "a position of a topic is an offset"));
                };
                let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
                told.add_partition_offset(&topic, partition, offset).map_err(fault)?;
            }
            consumer.commit(&told, CommitMode::Sync).map_err(fault)
        })
        .await
    }
}

/// What of a partition can be read by who reads what is committed.
fn ends(access: &Access, consumer: &BaseConsumer<Told>, topic: &str, partition: i32) -> Result<Ends> {
    let marks = consumer.fetch_watermarks(topic, partition, access.timeout);
    let what = || format!("look for the end of {topic}/{partition}");
    let (first, next) = marks.map_err(|e| access.error(&what(), &e, consumer.client().context()))?;
    let offset = |at: i64| u64::try_from(at).unwrap_or_default();
    Ok(Ends { first: offset(first), next: offset(next) })
}

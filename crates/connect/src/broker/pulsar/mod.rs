//! Pulsar as a home of logs: a message a row. There are no transactions in its client: rows become visible one by one, and
//! those that an append had brought before it broke off are known by their positions and not brought again.

mod admin;
mod appender;
mod bound;
mod cursor;
mod kept;
mod spans;
mod unfinished;

use admin::Admin;
use appender::PulsarAppender;
use async_trait::async_trait;
use bound::Bound;
use cursor::Cursor;
use kernel::broker::{Appender, Broker, Capabilities, Ends, Fetched, Topic};
use kernel::gate::Seal;
use kernel::{Error, Kind, Positions, Result};
use pulsar::{Authentication, Pulsar, TokioExecutor};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

pub type Client = Pulsar<TokioExecutor>;

/// By topic and partition.
type Cursors = Mutex<HashMap<(String, u32), Arc<Mutex<Cursor>>>>;

pub struct PulsarBroker {
    home: Arc<Home>,
    cursors: Cursors,
}

/// A cluster and one namespace of it.
pub struct Home {
    url: Url,
    /// What topics' names begin with: `persistent://public/default/`.
    namespace: String,
    pub admin: Admin,
    pub timeout: Duration,
    pub seal: Seal,
    client: OnceCell<Client>,
}

impl PulsarBroker {
    /// Of `pulsar://host:6650/tenant/namespace?admin=http://host:8080`, by default in `public/default`; a user's password
    /// is their token. Opens no connection.
    pub fn open(url: &str, timeout: Duration, seal: Seal) -> Result<Self> {
        let shown = kernel::error::redacted(url);
        let wrong = |why: &str| Error::project(format!("broker {shown}"), why);
        let url = Url::parse(url).map_err(|_| wrong("write it as `pulsar://host:6650`"))?;
        if !matches!(url.scheme(), "pulsar" | "pulsar+ssl") || !url.has_host() {
            return Err(wrong("write it as `pulsar://host:6650` or `pulsar+ssl://host:6651`"));
        }
        Self::check(url.as_str()).map_err(|why| wrong(&why))?;
        let path = url.path().trim_matches('/');
        let namespace = if path.is_empty() { "public/default" } else { path };
        if namespace.split('/').count() != 2 {
            return Err(wrong("its path is a tenant and a namespace: `public/default`"));
        }
        let given = url.query_pairs().find(|(name, _)| name == "admin").map(|(_, value)| value.into_owned());
        let host = url.host_str().unwrap_or_default();
        let admin = given.unwrap_or_else(|| format!("http://{host}:8080"));
        let admin = Admin::new(&admin, namespace, url.password(), timeout)?;
        let namespace = format!("persistent://{namespace}/");
        let home = Home { url, namespace, admin, timeout, seal, client: OnceCell::new() };
        Ok(Self { home: Arc::new(home), cursors: Mutex::default() })
    }

    /// Options that nobody reads, before anything is opened.
    pub fn check(url: &str) -> Result<(), String> {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let unknown = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name != "admin");
        match unknown {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "unknown option `{name}`; Pulsar knows `admin`, and a topic `partitions`, `retention` and `retention_bytes`"
            )),
        }
    }
}

impl Home {
    pub async fn client(&self) -> Result<&Client> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Client> {
        let mut plain = self.url.clone();
        plain.set_query(None);
        plain.set_path("");
        let _ = (plain.set_username(""), plain.set_password(None));
        let mut builder = Pulsar::builder(plain.as_str(), TokioExecutor);
        if let Some(token) = self.url.password() {
            builder = builder.with_auth(Authentication { name: "token".into(), data: token.as_bytes().to_vec() });
        }
        let operations = pulsar::OperationRetryOptions {
            operation_timeout: self.timeout,
            retry_delay: Duration::from_millis(200),
            max_retries: Some(u32::try_from(self.timeout.as_millis() / 200).unwrap_or(100)),
        };
        let client = tokio::time::timeout(self.timeout, builder.with_operation_retry_options(operations).build()).await;
        let client = client.map_err(|_| self.unreachable("connect"))?;
        client.map_err(|e| self.error("connect", e))
    }

    /// The whole name of a topic, or of one partition.
    pub fn whole(&self, topic: &str) -> String {
        format!("{}{topic}", self.namespace)
    }

    pub fn error(&self, what: &str, error: impl std::fmt::Display) -> Error {
        let host = self.url.host_str().unwrap_or_default();
        Error::new(Kind::Unreachable, format!("{what} on Pulsar at {host}"), error)
    }

    pub fn unreachable(&self, what: &str) -> Error {
        self.error(what, format!("no answer within {} ms", self.timeout.as_millis()))
    }
}

/// A number that no other process draws: of the hasher's random keys.
fn unlike_any() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// One partition's own topic, as Pulsar names it.
pub fn partition_name(topic: &str, partition: u32) -> String {
    format!("{topic}-partition-{partition}")
}

#[async_trait]
impl Broker for PulsarBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities { transactions: false, fences: false }
    }

    async fn create(&self, topic: &Topic) -> Result<()> {
        self.home.admin.make(&topic.name, topic.partitions, Some(topic.retention)).await
    }

    async fn appender(&self, topic: &Topic, writer: &str) -> Result<Box<dyn Appender>> {
        Ok(Box::new(PulsarAppender::open(self.home.clone(), topic.clone(), writer).await?))
    }

    async fn fetch(&self, topic: &Topic, partition: u32, from: u64, bytes_max: usize) -> Result<Fetched> {
        let cursor = {
            let mut cursors = self.cursors.lock().await;
            let key = (topic.name.clone(), partition);
            let new = || Arc::new(Mutex::new(Cursor::new(self.home.clone(), &topic.name, partition)));
            cursors.entry(key).or_insert_with(new).clone()
        };
        let mut cursor = cursor.lock().await;
        cursor.fetch(&topic.schema, from, bytes_max).await
    }

    async fn appended(&self, topic: &str, writer: &str) -> Result<Positions> {
        Ok(kept::read(&self.home, topic, &kept::kept_in(topic, "writer", writer)?).await?.positions)
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        let partitions = self.home.admin.partitions(topic).await?;
        let names = (0..partitions).map(|partition| partition_name(topic, partition));
        let mut all = Vec::new();
        for name in names {
            all.push(self.home.admin.ends(&name).await?);
        }
        Ok(all)
    }

    async fn consumed(&self, topic: &str, group: &str) -> Result<Positions> {
        self.home.admin.partitions(topic).await?;
        Ok(kept::read(&self.home, topic, &kept::kept_in(topic, "group", group)?).await?.positions)
    }

    async fn consume(&self, topic: &str, group: &str, upto: &Positions) -> Result<()> {
        let kept_in = kept::kept_in(topic, "group", group)?;
        let mut kept = kept::read(&self.home, topic, &kept_in).await?;
        kept.positions.advance(upto);
        // A number a partition: it is never large.
        let mut writer = kept::Writer::open(&self.home, &kept_in, Bound::default()).await?;
        writer.write(&kept).await?;
        writer.close().await
    }
}

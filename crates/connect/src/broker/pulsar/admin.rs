//! Pulsar's administration over HTTP: topics, how long they keep what, and where they end.

use kernel::broker::{Ends, Retention, other_partitions};
use kernel::error::redacted;
use kernel::{Error, Kind, Result};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

pub struct Admin {
    url: Url,
    namespace: String,
    token: Option<String>,
    client: reqwest::Client,
}

/// An offset is a ledger and a place in it. Ledgers of a cluster are numbered up from 0; one of them has 50,000 entries by
/// default, and 2 GB at most.
const ENTRY_BITS: u32 = 28;

pub fn offset(ledger: u64, entry: u64) -> u64 {
    ledger << ENTRY_BITS | entry
}

/// The ledger and the entry.
pub fn place(offset: u64) -> (u64, u64) {
    (offset >> ENTRY_BITS, offset & ((1 << ENTRY_BITS) - 1))
}

/// Whether nothing of its ledger is before it.
pub fn is_begin(offset: u64) -> bool {
    place(offset).1 == 0
}

/// The property of a topic that no other one has the value of, and how a topic is made with it.
const NAME: &str = "lavra-made";
const WITH_PROPERTIES: &str = "application/vnd.partitioned-topic-metadata+json";

impl Admin {
    pub fn new(url: &str, namespace: &str, token: Option<&str>, timeout: Duration) -> Result<Self> {
        let wrong =
            || Error::project(format!("administration {}", redacted(url)), "write `admin` as `http://host:8080`");
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(wrong)?;
        let client = reqwest::Client::builder().timeout(timeout).build();
        let client = client.map_err(|e| Error::internal("make a client for Pulsar", e.without_url()))?;
        Ok(Self { url: parsed, namespace: namespace.to_owned(), token: token.map(str::to_owned), client })
    }

    /// The status and the answer of a call below `/admin/v2/persistent/NAMESPACE/`.
    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        self.call_with(method, path, body.map(|body| ("application/json", body))).await
    }

    /// The same with the kind of the body.
    async fn call_with(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<(&str, Value)>,
    ) -> Result<(u16, Value)> {
        self.ask(method, &format!("persistent/{}/{path}", self.namespace), body).await
    }

    /// The same of a call below `/admin/v2/`.
    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<(&str, Value)>) -> Result<(u16, Value)> {
        let what = || format!("ask Pulsar's administration at {}", redacted(self.url.as_str()));
        let unreachable = |e: reqwest::Error| Error::new(Kind::Unreachable, what(), e.without_url());
        let mut url = self.url.clone();
        url.set_path(&format!("admin/v2/{path}"));
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body.to_string());
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(unreachable)?;
        match status {
            401 | 403 => Err(Error::project(what(), "it does not let this user in")),
            500.. => Err(Error::new(Kind::Unreachable, what(), format!("it answers {status}"))),
            _ => Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))),
        }
    }

    /// Makes a topic of so many partitions, which keeps all, or what the retention says. Without a subscription Pulsar by
    /// itself keeps nothing.
    pub async fn make(&self, topic: &str, partitions: u32, retention: Option<Retention>) -> Result<()> {
        let what = || format!("make topic {topic}");
        let path = format!("{topic}/partitions");
        let named =
            json!({ "partitions": partitions, "properties": { NAME: format!("{:016x}", super::unlike_any()) } });
        let (mut status, _) = self.call_with(reqwest::Method::PUT, &path, Some((WITH_PROPERTIES, named))).await?;
        if !matches!(status, 200..300 | 409) {
            // Before 2.10 topics have no properties.
            (status, _) = self.call(reqwest::Method::PUT, &path, Some(json!(partitions))).await?;
        }
        if !matches!(status, 200..300 | 409) {
            return Err(Error::project(what(), format!("Pulsar answers {status}")));
        }
        let known = self.partitions(topic).await?;
        if known != partitions {
            return Err(other_partitions(topic, known as usize, partitions as usize));
        }
        let Retention { time, bytes } = retention.unwrap_or_default();
        let minutes = time.map_or(-1, |time| i64::try_from(time.as_secs().div_ceil(60)).unwrap_or(-1));
        let megabytes = bytes.map_or(-1, |bytes| i64::try_from(bytes.div_ceil(1 << 20)).unwrap_or(-1));
        let kept = json!({ "retentionTimeInMinutes": minutes, "retentionSizeInMB": megabytes });
        self.set(topic, "retention", kept).await?;
        // Else a partition without messages goes when nobody is connected to it for a minute, and one with messages after its
        // retention. How long a topic must rest has to be said, but nothing comes of it.
        let stays = json!({
            "deleteWhileInactive": false,
            "inactiveTopicDeleteMode": "delete_when_no_subscriptions",
            "maxInactiveDurationSeconds": 60,
        });
        self.set(topic, "inactiveTopicPolicies", stays).await?;
        // What the client sends again after a broken connection is there once.
        self.set(topic, "deduplicationEnabled", json!(true)).await
    }

    async fn set(&self, topic: &str, policy: &str, value: Value) -> Result<()> {
        match self.call(reqwest::Method::POST, &format!("{topic}/{policy}"), Some(value)).await? {
            (200..300, _) => Ok(()),
            (status, _) => {
                let detail =
                    format!("Pulsar answers {status}: are topic level policies enabled (topicLevelPoliciesEnabled)?");
                Err(Error::project(format!("set {policy} of topic {topic}"), detail))
            }
        }
    }

    /// What a message may have at most; none where that is not told, which it is to administrators alone.
    pub async fn message_bytes_max(&self) -> Option<usize> {
        let told = self.ask(reqwest::Method::GET, "brokers/configuration/runtime", None).await;
        let told = told.inspect_err(|error| tracing::debug!("{error}")).ok()?.1;
        // All of the configuration is told as text.
        told["maxMessageSize"].as_str()?.parse().ok().filter(|bytes| *bytes > 0)
    }

    pub async fn partitions(&self, topic: &str) -> Result<u32> {
        Ok(self.topic(topic).await?.0)
    }

    /// The number of its partitions, and what tells it from one of its name that was made before or after it; topics that
    /// somebody else made have no such thing.
    pub async fn topic(&self, topic: &str) -> Result<(u32, Option<String>)> {
        let (_, answer) = self.call(reqwest::Method::GET, &format!("{topic}/partitions"), None).await?;
        match answer["partitions"].as_u64().and_then(|count| u32::try_from(count).ok()) {
            Some(count @ 1..) => Ok((count, answer["properties"][NAME].as_str().map(str::to_owned))),
            _ => {
                Err(Error::project(format!("topic {topic}"), "there is no such topic in this namespace; make it first"))
            }
        }
    }

    /// The topics of the namespace whose names begin so.
    pub async fn topics(&self, begin: &str) -> Result<Vec<String>> {
        let (status, answer) = self.call(reqwest::Method::GET, "partitioned", None).await?;
        let all = answer
            .as_array()
            .filter(|_| status < 300)
            .ok_or_else(|| Error::internal("list Pulsar's topics", "Pulsar lists them in a way that is not known"))?;
        let names = all.iter().filter_map(|name| name.as_str()?.rsplit('/').next());
        Ok(names.filter(|name| name.starts_with(begin)).map(str::to_owned).collect())
    }

    /// Of one partition's own topic; nothing is there before the first message.
    pub async fn ends(&self, partition: &str) -> Result<Ends> {
        let (status, stats) = self.call(reqwest::Method::GET, &format!("{partition}/internalStats"), None).await?;
        if status == 404 {
            return Ok(Ends { first: 0, next: 0 });
        }
        let broken = || {
            Error::internal(format!("look for the end of {partition}"), "Pulsar tells it in a way that is not known")
        };
        let ledgers = stats["ledgers"].as_array().ok_or_else(broken)?;
        let first = ledgers.first().and_then(|ledger| ledger["ledgerId"].as_u64()).ok_or_else(broken)?;
        let (ledger, entry) =
            stats["lastConfirmedEntry"].as_str().and_then(|last| last.split_once(':')).ok_or_else(broken)?;
        let next = match (ledger.parse::<u64>(), entry.parse::<u64>()) {
            (Ok(ledger), Ok(entry)) => offset(ledger, entry + 1),
            // The last ledger is empty still: what there is ends in one before.
            _ => {
                let counts =
                    ledgers.iter().rev().map(|ledger| (ledger["ledgerId"].as_u64(), ledger["entries"].as_u64()));
                let last = counts.flat_map(|(id, entries)| Some((id?, entries?))).find(|(_, entries)| *entries > 0);
                last.map_or(offset(first, 0), |(ledger, entries)| offset(ledger, entries))
            }
        };
        let first = offset(first, 0);
        Ok(Ends { first, next: next.max(first) })
    }

    /// Those that are connected to append to one partition.
    pub async fn publishers(&self, partition: &str) -> Result<Vec<String>> {
        let (_, stats) = self.call(reqwest::Method::GET, &format!("{partition}/stats"), None).await?;
        let all = stats["publishers"].as_array().into_iter().flatten();
        Ok(all.filter_map(|one| one["producerName"].as_str().map(str::to_owned)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_place_in_a_ledger() {
        assert_eq!(place(offset(123, 49_999)), (123, 49_999));
        assert!(offset(123, 49_999) < offset(124, 0));
        assert!(is_begin(0) && is_begin(offset(124, 0)) && !is_begin(offset(124, 1)));
    }
}

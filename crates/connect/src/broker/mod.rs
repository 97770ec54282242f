//! Homes of logs: embedded in this process, Kafka, Pulsar. Each holds to `kernel::laws::broker`.

pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "pulsar")]
pub mod pulsar;
#[cfg(any(feature = "kafka", feature = "pulsar"))]
mod rows;
mod source;

use kernel::Result;
use kernel::broker::{Broker, Retention};
use kernel::clock::Clock;
use kernel::error::redacted;
use kernel::gate::Seal;
pub use source::{TopicSource, is_of_log};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where a project's logs are, and how its topics are made: `embedded`, `kafka://…` or `pulsar://…`, each with `?partitions=`,
/// `retention=` and `retention_bytes=` beside the home's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    kind: HomeKind,
    pub partitions: u32,
    pub retention: Retention,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HomeKind {
    Embedded,
    Kafka(String),
    Pulsar(String),
}

const PARTITIONS: u32 = 4;
/// Kafka's own.
const RETENTION: Duration = Duration::from_secs(7 * 86_400);
/// How long Pulsar may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Home {
    /// `span` reads `7 days`.
    pub fn parse(text: &str, span: impl Fn(&str) -> Option<Duration>) -> Result<Self, String> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut partitions, mut retention) = (PARTITIONS, Retention { time: Some(RETENTION), bytes: None });
        let mut rest = url::form_urlencoded::Serializer::new(String::new());
        let mut has_rest = false;
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "partitions" => {
                    let count = value.parse().ok().filter(|count| (1..=1_000).contains(count));
                    partitions = count.ok_or("`partitions` is a number from 1 to 1000")?;
                }
                "retention" => {
                    let time = span(&value).filter(|time| !time.is_zero());
                    retention.time = Some(time.ok_or("`retention` is a time such as `7 days`")?);
                }
                "retention_bytes" => {
                    retention.bytes = Some(value.parse().map_err(|_| "`retention_bytes` is a number of bytes")?);
                }
                _ => {
                    rest.append_pair(&name, &value);
                    has_rest = true;
                }
            }
        }
        let whole = if has_rest { format!("{place}?{}", rest.finish()) } else { place.to_owned() };
        let kind = match place.split_once("://").map(|(scheme, _)| scheme) {
            None if place == "embedded" && has_rest => {
                return Err("`embedded` knows `partitions`, `retention` and `retention_bytes`".into());
            }
            None if place == "embedded" => HomeKind::Embedded,
            Some("kafka") => HomeKind::Kafka(whole),
            Some("pulsar" | "pulsar+ssl") => HomeKind::Pulsar(whole),
            _ => return Err("write `embedded`, `kafka://host:9092` or `pulsar://host:6650`".into()),
        };
        match &kind {
            #[cfg(feature = "kafka")]
            HomeKind::Kafka(url) => kafka::KafkaBroker::check(url)?,
            #[cfg(feature = "pulsar")]
            HomeKind::Pulsar(url) => pulsar::PulsarBroker::check(url)?,
            _ => {}
        }
        Ok(Self { kind, partitions, retention })
    }

    /// What circuit breakers and messages call it.
    pub fn shown(&self) -> String {
        match &self.kind {
            HomeKind::Embedded => "the embedded log".to_owned(),
            HomeKind::Kafka(url) | HomeKind::Pulsar(url) => redacted(url.split('?').next().unwrap_or_default()),
        }
    }

    /// Opens it, and says whether it can be kept: the embedded log of another process ends with that one. `folder` is that of
    /// the embedded log, `base` what paths in settings start from.
    pub fn open(
        &self,
        folder: &Path,
        base: &Path,
        clock: Arc<dyn Clock>,
        seal: Seal,
    ) -> Result<(Arc<dyn Broker>, bool)> {
        let outside: Arc<dyn Broker> = match &self.kind {
            HomeKind::Embedded => {
                let log = embedded::Embedded::open(folder, clock, seal)?;
                let is_owner = log.is_owner();
                return Ok((Arc::new(log), is_owner));
            }
            #[cfg(feature = "kafka")]
            HomeKind::Kafka(url) => Arc::new(kafka::KafkaBroker::open(url, base, seal)?),
            #[cfg(feature = "pulsar")]
            HomeKind::Pulsar(url) => Arc::new(pulsar::PulsarBroker::open(url, PATIENCE, seal)?),
            #[cfg(not(all(feature = "kafka", feature = "pulsar")))]
            HomeKind::Kafka(_) | HomeKind::Pulsar(_) => {
                let detail = "this build has no client of it";
                return Err(kernel::Error::project(format!("broker {}", self.shown()), detail));
            }
        };
        Ok((outside, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn parse(text: &str) -> Result<Home, String> {
        Home::parse(text, |text| (text == "2 days").then_some(2 * DAY))
    }

    #[test]
    fn a_home_is_a_url_with_what_its_topics_are_like() {
        let home = parse("kafka://k:9092?partitions=12&retention=2%20days&replication=3").expect("a home");
        assert_eq!(home.kind, HomeKind::Kafka("kafka://k:9092?replication=3".into()));
        assert_eq!((home.partitions, home.retention.time), (12, Some(2 * DAY)));
        let home = parse("embedded?retention=2 days&retention_bytes=9").expect("a home");
        assert_eq!((home.kind, home.retention.bytes), (HomeKind::Embedded, Some(9)));
        assert_eq!(parse("embedded").expect("a home").retention.time, Some(RETENTION));
        for wrong in ["", "log", "http://h", "embedded?replication=3", "embedded?partitions=0", "embedded?retention=x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for (wrong, told) in [
            ("kafka://k:9092?partitons=5", "did you mean `partitions`?"),
            ("kafka://k:9092?security=sasl", "no `user:password@`"),
            ("kafka://k:9092?replication=many", "a number of copies"),
            ("pulsar://p:6650?partitons=5", "unknown option `partitons`"),
        ] {
            let why = parse(wrong).err().unwrap_or_default();
            assert!(why.contains(told), "{wrong}: {why}");
        }
        assert_eq!(
            parse("pulsar://u:secret@p:6650?admin=http://p:8080").expect("a home").shown(),
            "pulsar://***@p:6650"
        );
    }
}

//! What can be found out about a cluster without taking a record: for `lavra doctor` and `lavra discover`.

use super::client::{Access, Told};
use super::due::due;
use super::identity;
use super::options::Options;
use super::reader::{listen, partitions};
use crate::spec::{Discovered, Finding, Grade, Opening};
use kernel::contract::{OnViolation, SchemaChange};
use kernel::error::advice;
use kernel::{Entity, Error, Kind, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataTopic;
use serde_json::{Map, Value, json};

/// Whether the cluster answers, has the topic, and still has what comes next.
pub async fn probe(opening: &Opening) -> Vec<Finding> {
    let opening = opening.clone();
    let look = move || {
        let options = Options::read(&opening.source, &opening.options)?;
        options.demand_start(&opening.from, opening.clock.now(), &opening.source)?;
        let access = Access::new(&options, &opening.base)?;
        let consumer = access.consumer("lavra-doctor")?;
        let found = partitions(&access, &consumer, &options.topic)?;
        let topic = format!("{} has {} partitions", options.topic, found.len());
        let mut findings = vec![good("topic", topic)];
        identity::check(&access, &consumer, &options.topic, &opening.from)?;
        let lost = lost(&access, &consumer, &options, &opening, &found)?;
        findings.push(match lost {
            0 => good("retention", "all that was not taken is there".into()),
            lost => Finding {
                subject: "retention",
                grade: Grade::Bad,
                found: format!("{lost} offsets were removed before they were taken"),
                remedy: Some(
                    "let the topic keep records for longer (retention.ms), and state `on_lost: skip` once".into(),
                ),
            },
        });
        Ok(findings)
    };
    let looked = tokio::task::spawn_blocking(look).await.unwrap_or_else(|e| Err(Error::internal("look at Kafka", e)));
    looked.unwrap_or_else(|error: Error| {
        let remedy = Some(advice(error.kind).sentence.to_owned());
        vec![Finding { subject: "topic", grade: Grade::Bad, found: error.to_string(), remedy }]
    })
}

fn good(subject: &'static str, found: String) -> Finding {
    Finding { subject, grade: Grade::Good, found, remedy: None }
}

/// Offsets that the topic's retention has passed since they were due.
fn lost(
    access: &Access,
    consumer: &BaseConsumer<Told>,
    options: &Options,
    opening: &Opening,
    partitions: &[i32],
) -> Result<i64> {
    let mut lost = 0;
    for partition in partitions {
        let marks = consumer.fetch_watermarks(&options.topic, *partition, access.timeout);
        let (low, _) = marks.map_err(|e| access.error("look at the topic", &e, consumer.client().context()))?;
        if let Some(offset) = due(&opening.from, &options.topic, *partition)? {
            lost += (low - offset).max(0);
        }
    }
    Ok(lost)
}

/// The topics that are neither the cluster's own nor Lavra's. What their records hold, nobody says but a registry.
pub async fn discover(opening: &Opening) -> Result<Vec<Discovered>> {
    let mut given = opening.options.as_object().cloned().unwrap_or_default();
    // What the caller says of all topics stays so, and is with the caller already.
    let format = (!given.contains_key("format")).then(|| ("format".to_owned(), json!("json")));
    given.entry("topic").or_insert_with(|| json!("all"));
    let options = Options::read(&opening.source, &Value::Object(given))?;
    let access = Access::new(&options, &opening.base)?;
    let look = move || {
        let consumer = access.consumer("lavra-discover")?;
        let told = consumer.client().context();
        let metadata = consumer.fetch_metadata(None, access.timeout).map_err(|e| {
            listen(&consumer);
            access.error("list topics", &e, told)
        })?;
        let names: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
        let mut found = Vec::new();
        for topic in metadata.topics().iter().filter(|topic| !is_own(topic.name(), &names)) {
            let name = topic.name();
            let mut options = Map::from_iter([("topic".to_owned(), json!(name))]);
            options.extend(format.clone());
            let rows = rows(&access, &consumer, topic)?;
            found.push(Discovered { name: name.into(), options, entity: unknown(name), rows });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    };
    tokio::task::spawn_blocking(look).await.map_err(|e| Error::internal("look at Kafka", e))?
}

/// The records of a topic, by its offsets; none where it does not say: others may.
fn rows(access: &Access, consumer: &BaseConsumer<Told>, topic: &MetadataTopic) -> Result<Option<u64>> {
    let mut rows = 0;
    for partition in topic.partitions() {
        // Who has no leader would be waited for.
        if partition.error().is_some() {
            return Ok(None);
        }
        let marks = consumer.fetch_watermarks(topic.name(), partition.id(), access.timeout);
        match marks.map_err(|e| access.error("list topics", &e, consumer.client().context())) {
            Ok((low, high)) => rows += u64::try_from(high - low).unwrap_or_default(),
            Err(error) if error.kind == Kind::Unreachable => return Err(error),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(rows))
}

/// Whether a topic is the cluster's own, or one of Lavra's as a broker: `shop.bronze.orders` with sealed rows, and
/// `shop.bronze.orders.positions.…` beside it, which may outlive it.
fn is_own(name: &str, all: &[&str]) -> bool {
    const POSITIONS: &str = ".positions.";
    let is_log = |name: &str| name.contains(".bronze.");
    let has_positions =
        || all.iter().any(|other| other.strip_prefix(name).is_some_and(|rest| rest.starts_with(POSITIONS)));
    name.starts_with("__")
        || name.split_once(POSITIONS).is_some_and(|(log, _)| is_log(log))
        || (is_log(name) && has_positions())
}

fn unknown(name: &str) -> Entity {
    Entity {
        name: name.into(),
        description: None,
        properties: Vec::new(),
        rules: Vec::new(),
        on_violation: OnViolation::default(),
        schema_change: SchemaChange::default(),
        on_personal_data: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_the_cluster_and_of_a_broker_are_not_listed() {
        let all = [
            "__consumer_offsets",
            "fleet",
            "fleet.positions.live",
            "old.bronze.gone.positions.orders",
            "shop.bronze.orders",
            "shop.bronze.orders.positions.orders",
            "their.bronze.orders",
        ];
        let listed: Vec<&str> = all.into_iter().filter(|name| !is_own(name, &all)).collect();
        assert_eq!(listed, ["fleet", "fleet.positions.live", "their.bronze.orders"]);
    }
}

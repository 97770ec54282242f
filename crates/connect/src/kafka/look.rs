//! What can be found out about a cluster without taking a record: for `lavra doctor` and `lavra discover`.

use super::client::{Access, Told};
use super::identity;
use super::options::Options;
use super::reader::partitions;
use crate::spec::{Discovered, Finding, Grade, Opening};
use kernel::contract::{OnViolation, SchemaChange};
use kernel::error::advice;
use kernel::{Entity, Error, Point, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Map, Value, json};

/// Whether the cluster answers, has the topic, and still has what comes next.
pub async fn probe(opening: &Opening) -> Vec<Finding> {
    let opening = opening.clone();
    let look = move || {
        let options = Options::read(&opening.source, &opening.options)?;
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
        if let Some(Point::Offset(offset)) = opening.from.get(&format!("{}/{partition}", options.topic)) {
            lost += (low - i64::try_from(*offset).unwrap_or(i64::MAX)).max(0);
        }
    }
    Ok(lost)
}

/// The topics that are not the cluster's own. What their records hold, nobody says but a registry.
pub async fn discover(opening: &Opening) -> Result<Vec<Discovered>> {
    let mut given = opening.options.as_object().cloned().unwrap_or_default();
    given.entry("topic").or_insert_with(|| json!("all"));
    let options = Options::read(&opening.source, &Value::Object(given))?;
    let access = Access::new(&options, &opening.base)?;
    let look = move || {
        let consumer = access.consumer("lavra-discover")?;
        let told = consumer.client().context();
        let metadata = consumer.fetch_metadata(None, access.timeout);
        let metadata = metadata.map_err(|e| access.error("list topics", &e, told))?;
        let mut found = Vec::new();
        for topic in metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")) {
            let mut rows = 0;
            for partition in topic.partitions() {
                let marks = consumer.fetch_watermarks(topic.name(), partition.id(), access.timeout);
                let (low, high) = marks.map_err(|e| access.error("list topics", &e, told))?;
                rows += u64::try_from(high - low).unwrap_or_default();
            }
            let options =
                Map::from_iter([("topic".to_owned(), json!(topic.name())), ("format".to_owned(), json!("json"))]);
            found.push(Discovered {
                name: topic.name().into(),
                options,
                entity: unknown(topic.name()),
                rows: Some(rows),
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    };
    tokio::task::spawn_blocking(look).await.map_err(|e| Error::internal("look at Kafka", e))?
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

//! Apache Kafka as a source: topics, with positions of our own.

mod address;
pub(crate) mod client;
mod due;
mod empty;
pub(crate) mod identity;
mod keys;
mod look;
mod meta;
pub(crate) mod options;
mod part;
mod polled;
pub(crate) mod reader;
mod source;
#[cfg(test)]
mod tests;

use crate::spec::{Opening, Spec};
use futures::FutureExt;
use kernel::source::Source;
pub use options::Options;

pub fn spec() -> Spec {
    Spec {
        name: "kafka",
        summary: "topics of Apache Kafka, exactly once: JSON, Avro, Protobuf, text or bytes",
        schemes: &["kafka"],
        example: EXAMPLE,
        options_schema: || {
            let mut schema = schemars::schema_for!(Options).to_value();
            schema["required"] = serde_json::json!(options::REQUIRED);
            schema
        },
        check: |given| Options::check(given).err().unwrap_or_default(),
        fits: options::fits,
        way: |_| None,
        repeats: |_, _| None,
        open: |opening: Opening| async move { Ok(Box::new(source::Kafka::open(opening)?) as Box<dyn Source>) }.boxed(),
        pending: |opening| source::pending(opening).boxed(),
        changes: |given| given["mode"] == "upsert",
        probe: |opening| look::probe(opening).boxed(),
        discover: Some(|opening| look::discover(opening).boxed()),
        listen: None,
    }
}

const EXAMPLE: &str = "\
connector: kafka
connection: kafka://lavra:${KAFKA_PASSWORD}@kafka-1:9092,kafka-2:9092
security: sasl_tls                # SCRAM by default; `ca_file` for a certificate of your own
topic: orders
format: json
group: lavra-orders               # tells others how far it is; the positions are the lake's
schedule: continuous
";

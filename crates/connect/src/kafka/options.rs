//! What a `connector: kafka` source can be told.

use super::address::Address;
use crate::records::Format;
use crate::spec::{Fault, read_options};
use kernel::clock::Timestamp;
use kernel::{Entity, Error, Point, Positions, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Options of the Kafka connector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The cluster: `kafka://host:9092`, with further brokers behind commas, and with `user:password@` in front of them where
    /// it asks who is there.
    pub connection: String,
    /// The topic to read, all partitions of it. Beside a record's value, a contract can name columns of the record itself:
    /// `_key` and `_headers` (text, the headers as a JSON object; bytes that are no UTF-8 in hexadecimal digits), `_timestamp`
    /// (when it was written), `_topic`, `_partition` and `_offset`.
    pub topic: String,
    /// What a record's value is. `avro` and `protobuf` are read with the schemas of the `registry`; values of `json` may have
    /// its five bytes in front. `text` and `bytes` are one column, `value`.
    pub format: Format,
    /// The schema registry that the records were written with: `http://host:8081`, with `user:password@` where it asks who is
    /// there. It speaks Confluent's API. A record of a schema that it says it does not have is a malformed one.
    pub registry: Option<String>,
    /// The group under which the offsets that are committed in the lake are told to the cluster, for others to see how far
    /// this source is; it is not joined. By default they are not told.
    pub group: Option<String>,
    /// Where to start when nothing was committed yet: `earliest`, `latest`, a time such as `2026-11-25T00:00:00Z`, or where the
    /// `group` is (`group`): a partition of which the group tells nothing is taken from its start.
    #[schemars(with = "String", extend("default" = "earliest"))]
    pub start_from: StartFrom,
    /// How the connection is protected. `sasl` and `sasl_tls` sign in with the user and the password of `connection`.
    pub security: Security,
    /// How to sign in: `scram-sha-512` where nothing is said. A server that refuses a user whose password is right may want
    /// another one.
    pub mechanism: Mechanism,
    /// With TLS: a PEM file of the certificates to trust, relative to the project. By default the system's.
    pub ca_file: Option<String>,
    /// With TLS: a PEM file of the certificate and key that this client shows, relative to the project.
    pub certificate_file: Option<String>,
    /// What the records of the topic are: rows of their own (`append`), or the last state by key (`upsert`, of a compacted
    /// topic of JSON): then the record's key holds the contract's primary key, whether or not the value repeats it, and a record
    /// without value deletes.
    pub mode: Mode,
    /// In `append`: what a record without value is: a malformed record (`malformed`), a row without values (`keep`), or nothing
    /// (`skip`).
    pub tombstones: Tombstones,
    /// What to do when records were removed by the topic's retention before they were taken: end the run with an error
    /// (`error`), or go on with what is there and say how many are lost (`skip`).
    pub on_lost: OnLost,
    /// Rows in a batch at most.
    pub batch_rows_max: usize,
    /// How long the cluster may take to answer, in milliseconds.
    pub timeout_ms: u64,
}

/// The name of each option that has no default.
pub const REQUIRED: [&str; 2] = ["connection", "topic"];

impl Default for Options {
    fn default() -> Self {
        Self {
            connection: String::new(),
            topic: String::new(),
            format: Format::default(),
            registry: None,
            group: None,
            start_from: StartFrom::Earliest,
            security: Security::default(),
            mechanism: Mechanism::default(),
            ca_file: None,
            certificate_file: None,
            mode: Mode::default(),
            tombstones: Tombstones::default(),
            on_lost: OnLost::default(),
            batch_rows_max: 65_536,
            timeout_ms: 30_000,
        }
    }
}

/// What the contract lacks for these options; nothing while they have faults of their own, or while nothing is known of the
/// rows.
pub fn fits(given: &Value, entity: &Entity) -> Vec<Fault> {
    match Options::check(given) {
        Ok(options) if !entity.properties.is_empty() => options.lacks_key(entity).into_iter().collect(),
        _ => Vec::new(),
    }
}

impl Options {
    /// Whose state a record is, its key says: without a primary key it would have no place in the table.
    fn lacks_key(&self, entity: &Entity) -> Option<Fault> {
        if self.mode != Mode::Upsert || !entity.key().is_empty() {
            return None;
        }
        let message = "with `mode: upsert` the record's key is the contract's primary key, and the contract has none";
        let help = "name the key's columns in the contract and give them `primaryKey: true`; or leave `mode` out, and each \
                    record is a row of its own (`_key` is a column for its key)";
        Some(Fault { help: Some(help.into()), ..Fault::new("mode", message) })
    }

    /// What `fits` tells, as an error.
    pub fn demand(&self, entity: &Entity, source: &str) -> Result<()> {
        match self.lacks_key(entity).filter(|_| !entity.properties.is_empty()) {
            None => Ok(()),
            Some(fault) => {
                let told: Vec<String> = [Some(fault.message), fault.help].into_iter().flatten().collect();
                Err(Error::project(format!("source `{source}`"), told.join("; ")))
            }
        }
    }

    /// A time to start at must have come, unless the topic was started: a partition without a record that young starts at its
    /// end, and what is written there until then would be taken.
    pub fn demand_start(&self, from: &Positions, now: Timestamp, source: &str) -> Result<()> {
        let is_started = from.iter().any(|(_, point)| matches!(point, Point::Offset(_)));
        match self.start_from {
            StartFrom::Time(millis) if !is_started && millis > now.0 / 1_000 => {
                let detail = "`start_from` lies in the future, and records that are written until then would be taken, too. \
                              Write a time that has passed or `latest`, or run it then";
                Err(Error::project(format!("source `{source}`"), detail))
            }
            _ => Ok(()),
        }
    }

    /// Reads the options, or tells all that is wrong with them as one error.
    pub fn read(source: &str, options: &Value) -> Result<Self> {
        Self::check(options).map_err(|faults| {
            let all: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
            Error::project(format!("source `{source}`"), all.join("; "))
        })
    }

    pub fn check(options: &Value) -> Result<Self, Vec<Fault>> {
        let read: Self = read_options(options, &REQUIRED)?;
        let mut faults = Vec::new();
        match Address::parse(&read.connection) {
            Err(why) => faults.push(Fault::new("connection", why)),
            Ok(address) => {
                let signs_in = matches!(read.security, Security::Sasl | Security::SaslTls);
                if address.user.is_some() && !signs_in {
                    let message = "`connection` has a user, but `security` does not sign in";
                    let help = Some("write `security: sasl_tls`, or `sasl` where there is no TLS".into());
                    faults.push(Fault { help, ..Fault::new("security", message) });
                }
                if address.user.is_none() && signs_in {
                    let message = "`security` signs in, but `connection` has no `user:password@`";
                    faults.push(Fault::new("connection", message));
                }
            }
        }
        if read.topic.is_empty() || read.topic.starts_with('^') {
            faults.push(Fault::new("topic", "`topic` is the name of one topic"));
        }
        if read.format.needs_registry() && read.registry.is_none() {
            faults.push(Fault::new("format", "`avro` and `protobuf` are read with a `registry`"));
        }
        if let Some(Err(why)) = read.registry.as_deref().map(crate::registry::parse) {
            faults.push(Fault::new("registry", why));
        }
        if read.start_from == StartFrom::Group && read.group.is_none() {
            faults.push(Fault::new("start_from", "`start_from: group` starts where the `group` is, and none is named"));
        }
        if read.mode == Mode::Upsert && read.format != Format::Json {
            faults.push(Fault::new("mode", "`mode: upsert` reads `format: json` only"));
        }
        for (name, value) in [("batch_rows_max", read.batch_rows_max as u64), ("timeout_ms", read.timeout_ms)] {
            if value == 0 {
                faults.push(Fault::new(name, format!("`{name}` must be at least 1")));
            }
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    #[default]
    Plaintext,
    Tls,
    Sasl,
    SaslTls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum Mechanism {
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[default]
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    #[serde(rename = "plain")]
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Append,
    Upsert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tombstones {
    #[default]
    Malformed,
    Keep,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    #[default]
    Error,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StartFrom {
    Earliest,
    Latest,
    /// Where the group is.
    Group,
    /// Milliseconds since 1970.
    Time(i64),
}

impl TryFrom<String> for StartFrom {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "earliest" => Ok(StartFrom::Earliest),
            "latest" => Ok(StartFrom::Latest),
            "group" => Ok(StartFrom::Group),
            time => arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(time)
                .map(|nanos| StartFrom::Time(nanos / 1_000_000))
                .map_err(|_| "write `earliest`, `latest`, `group`, or a time such as `2026-11-25T00:00:00Z`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(options: Value) -> String {
        let faults = Options::check(&options).err().unwrap_or_default();
        faults.iter().map(|fault| format!("{}: {}; ", fault.option, fault.message)).collect()
    }

    #[test]
    fn a_source_does_not_start_in_the_future() {
        let given = json!({ "connection": "kafka://a:9092", "topic": "t", "start_from": "2030-01-01T00:00:00Z" });
        let options = Options::check(&given).expect("options");
        let (before, then) = (Timestamp(1_893_455_999_000_000), Timestamp(1_893_456_000_000_000));
        let (mut started, nowhere) = (Positions::new(), Positions::new());
        started.set("t/0", Point::Offset(0));
        let error = options.demand_start(&nowhere, before, "orders").expect_err("too early").to_string();
        assert!(error.contains("`orders`") && error.contains("in the future"), "{error}");
        assert!(options.demand_start(&nowhere, then, "orders").is_ok());
        assert!(options.demand_start(&started, before, "orders").is_ok(), "where it starts is settled");
    }

    #[test]
    fn states_by_key_need_a_primary_key() {
        let given = |mode: &str| json!({ "connection": "kafka://a:9092", "topic": "t", "mode": mode });
        let mut entity = crate::files::testing_entity(&[]);
        assert!(fits(&given("upsert"), &entity).is_empty(), "nothing is known of the rows");
        entity = crate::files::testing_entity(&[("id", arrow::datatypes::DataType::Utf8)]);
        let faults = fits(&given("upsert"), &entity);
        assert!(matches!(&faults[..], [fault] if fault.option == "mode" && fault.message.contains("has none")));
        assert!(fits(&given("append"), &entity).is_empty() && fits(&given("upset"), &entity).is_empty());
        let options = Options::check(&given("upsert")).expect("options");
        let error = options.demand(&entity, "orders").expect_err("no key").to_string();
        assert!(error.contains("`orders`") && error.contains("primaryKey: true"), "{error}");
        entity.properties[0].primary_key = Some(1);
        assert!(fits(&given("upsert"), &entity).is_empty() && options.demand(&entity, "orders").is_ok());
    }

    #[test]
    fn what_can_not_be_meant_is_told_without_the_password() {
        let base = |more: Value| {
            let mut all = json!({ "connection": "kafka://a:9092", "topic": "t" });
            all.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
            all
        };
        assert_eq!(told(base(json!({}))), "");
        assert_eq!(told(base(json!({ "start_from": "2026-11-25T00:00:00Z" }))), "");
        assert_eq!(told(base(json!({ "start_from": "group", "group": "g" }))), "");
        assert!(told(base(json!({ "start_from": "group" }))).contains("none is named"));
        assert!(told(base(json!({ "start_from": "soon" }))).contains("earliest"));
        assert!(told(base(json!({ "security": "sasl" }))).contains("no `user:password@`"));
        let user = told(base(json!({ "connection": "kafka://u:hunter2@a:9092" })));
        assert!(user.contains("does not sign in") && !user.contains("hunter2"), "{user}");
        assert!(told(base(json!({ "connection": "http://a" }))).contains("kafka://"));
        assert!(told(json!({ "connection": "kafka://a:9092" })).contains("`topic` is missing"));
    }
}

//! Clients of a cluster: their settings, and what their errors mean.

use super::address::Address;
use super::options::{Mechanism, Options, Security};
use kernel::{Error, Kind, Result};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How to reach a cluster, for sources and brokers alike.
#[derive(Clone)]
pub struct Access {
    address: Address,
    security: Security,
    mechanism: Mechanism,
    ca_file: Option<String>,
    certificate_file: Option<String>,
    pub timeout: Duration,
}

impl Access {
    pub fn new(options: &Options, base: &Path) -> Result<Self> {
        let address = Address::parse(&options.connection).map_err(|why| Error::project("option `connection`", why))?;
        let file = |path: &Option<String>| path.as_ref().map(|path| base.join(path).to_string_lossy().into_owned());
        Ok(Self {
            address,
            security: options.security,
            mechanism: options.mechanism,
            ca_file: file(&options.ca_file),
            certificate_file: file(&options.certificate_file),
            timeout: Duration::from_millis(options.timeout_ms),
        })
    }

    /// The brokers, as a message shows them.
    pub fn shown(&self) -> &str {
        &self.address.brokers
    }

    /// What all clients have in common.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let protocol = match self.security {
            Security::Plaintext => "plaintext",
            Security::Tls => "ssl",
            Security::Sasl => "sasl_plaintext",
            Security::SaslTls => "sasl_ssl",
        };
        config
            .set("bootstrap.servers", &self.address.brokers)
            .set("client.id", "lavra")
            .set("security.protocol", protocol)
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", "2000")
            .set_log_level(RDKafkaLogLevel::Warning);
        if let Some(user) = &self.address.user {
            let mechanism = match self.mechanism {
                Mechanism::ScramSha256 => "SCRAM-SHA-256",
                Mechanism::ScramSha512 => "SCRAM-SHA-512",
                Mechanism::Plain => "PLAIN",
            };
            config
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", user)
                .set("sasl.password", &self.address.password);
        }
        if let Some(file) = &self.ca_file {
            config.set("ssl.ca.location", file);
        }
        if let Some(file) = &self.certificate_file {
            config.set("ssl.certificate.location", file).set("ssl.key.location", file);
        }
        config
    }

    /// A client that reads what is committed, from where it is told to and nowhere else.
    pub fn consumer(&self, group: &str) -> Result<BaseConsumer<Told>> {
        self.consumer_of(group, "read_committed")
    }

    /// The same with another `isolation.level`.
    pub fn consumer_of(&self, group: &str, isolation: &str) -> Result<BaseConsumer<Told>> {
        let mut config = self.config();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", isolation)
            .set("fetch.wait.max.ms", "50")
            .set("fetch.error.backoff.ms", "50")
            // A full queue is looked at again after this; librdkafka's usual second leaves a fast reader idle.
            .set("fetch.queue.backoff.ms", "20")
            .set("queued.max.messages.kbytes", "65536")
            // A partition's messages are told apart by this program: the library's own check is of no use twice.
            .set("check.crcs", "true");
        config.create_with_context(Told::default()).map_err(|e| self.wrong("make a client", &e))
    }

    /// What a failed call means. Nothing of it is of a record.
    pub fn error(&self, what: &str, error: &KafkaError, told: &Told) -> Error {
        let what = format!("{what} on {}", self.shown());
        if let Some((kind, why)) = told.reason() {
            return Error::new(kind, what, why);
        }
        let Some(code) = code_of(error) else { return self.wrong(&what, error) };
        let kind = kind_of(code);
        let detail = match code {
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                "there is no such topic; `lavra discover` lists those that are there".to_owned()
            }
            Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => {
                format!("no broker answers within {} ms{}", self.timeout.as_millis(), told.beside())
            }
            // A refusal would be in `told`.
            Code::Authentication => "the connection ended while it signed in: the broker's log may say why".to_owned(),
            Code::OperationTimedOut | Code::RequestTimedOut => {
                format!("no answer within {} ms (`timeout_ms`){}", self.timeout.as_millis(), told.beside())
            }
            Code::MessageSizeTooLarge => {
                "a row is larger than the topic lets a record be: raise its `max.message.bytes`".to_owned()
            }
            code => format!("{code}"),
        };
        Error::new(kind, what, detail)
    }

    /// Settings that the library refuses. The value is not told: it may be a password.
    fn wrong(&self, what: &str, error: &KafkaError) -> Error {
        let detail = match error {
            KafkaError::ClientConfig(_, why, key, _) => format!("setting `{key}`: {why}"),
            KafkaError::ClientCreation(why) => why.clone(),
            other => other.to_string(),
        };
        Error::project(format!("{what} for {}", self.shown()), detail)
    }
}

/// What rdkafka itself answers leaves errors of administration out.
fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

fn kind_of(code: Code) -> Kind {
    match code {
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SSL
        | Code::InvalidConfig
        | Code::InvalidReplicationFactor
        | Code::InvalidPartitions => Kind::Project,
        Code::OffsetOutOfRange
        | Code::AutoOffsetReset
        | Code::BadMessage
        | Code::BadCompression
        | Code::MessageSizeTooLarge => Kind::Data,
        Code::Fenced | Code::InvalidProducerEpoch => Kind::Conflict,
        _ => Kind::Unreachable,
    }
}

/// What the library tells beside the answers of calls: why nobody answers is told here only.
#[derive(Default)]
pub struct Told {
    last: Mutex<Option<(Kind, String)>>,
    /// The host of a broker whose name means nothing here. Others may answer, so it is no reason alone.
    unresolved: Mutex<Option<String>>,
    /// A connection ended before the broker had answered whether it lets this user in. The next one may be answered.
    broke_off: AtomicBool,
}

impl Told {
    fn reason(&self) -> Option<(Kind, String)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it was told why nobody answers, and waiting changes nothing.
    pub fn has_reason(&self) -> bool {
        self.reason().is_some()
    }

    /// It answers: what was told before is mended.
    pub fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.unresolved.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.broke_off.store(false, Ordering::Relaxed);
    }

    /// What to add where nobody answers.
    fn beside(&self) -> String {
        let host = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = |host| {
            format!(
                ", and the name of `{host}` can't be resolved: look at the hosts in `connection`; where it is none of them, the \
                 cluster gives it (`advertised.listeners`)"
            )
        };
        let unresolved = host.map(told).unwrap_or_default();
        match self.broke_off.load(Ordering::Relaxed) {
            true => format!("{unresolved}, and connections ended while they signed in: the broker's log may say why"),
            false => unresolved,
        }
    }
}

/// The host in what the client says of a name that means nothing.
fn host_in(reason: &str) -> Option<&str> {
    reason.split_once("Failed to resolve '")?.1.split_once('\'').map(|(host, _)| host)
}

/// Whether a connection ended before the broker had said how a user can sign in: the client calls that a failed
/// authentication, too, and tries again by itself. A broker that refuses has answered, with its mechanisms or with a reason.
fn is_broken_off(reason: &str) -> bool {
    reason.contains("mechanism handshake failed") && reason.contains("supported mechanisms: (n/a)")
}

impl ClientContext for Told {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
        if let Some(host) = host_in(reason) {
            *self.unresolved.lock().unwrap_or_else(PoisonError::into_inner) = Some(host.to_owned());
        }
        let told = match error.rdkafka_error_code() {
            Some(Code::Authentication) if is_broken_off(reason) => {
                return self.broke_off.store(true, Ordering::Relaxed);
            }
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
                "the cluster does not let this user in: look at the user and the password in `connection`; and it may want \
                 another `mechanism` than this one (`scram-sha-512` where nothing is said; there are `scram-sha-256` and `plain`)"
            }
            Some(Code::SSL) => "TLS fails: look at `ca_file`, the host's name and `security`",
            _ => return,
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Kind::Project, told.into()));
    }
}

impl ConsumerContext for Told {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!("the group's offsets were not told to the cluster, the lake's positions stand: {error}");
        }
    }
}

impl ProducerContext for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn access() -> Access {
        let options = Options::read("s", &json!({ "connection": "kafka://a:9092,b:9092", "topic": "t" }));
        Access::new(&options.expect("options"), Path::new(".")).expect("an access")
    }

    /// As the client tells it when a node goes away, and when it answers that it does not let somebody in.
    #[test]
    fn a_connection_that_ends_while_it_signs_in_is_no_refusal() {
        let (access, told) = (access(), Told::default());
        let error = |code| access.error("read t", &KafkaError::MessageConsumption(code), &told);
        let broken = |why: &str| {
            format!(
                "sasl_ssl://b:9093/2: SASL SCRAM-SHA-512 mechanism handshake failed: Local: {why}: broker's supported \
                 mechanisms: (n/a) (after 12ms in state AUTH_HANDSHAKE)"
            )
        };
        for why in ["Broker transport failure", "Timed out"] {
            told.error(KafkaError::Global(Code::Authentication), &broken(why));
            let said = error(Code::Authentication);
            assert!(said.kind == Kind::Unreachable && !told.has_reason(), "{said}");
        }
        let late = error(Code::OperationTimedOut);
        assert!(late.kind == Kind::Unreachable && late.to_string().contains("while they signed in"), "{late}");
        let refused = [
            "sasl_ssl://b:9093/2: SASL authentication error: Authentication failed during authentication due to invalid \
             credentials with SASL mechanism SCRAM-SHA-512 (after 30ms in state AUTH_REQ)",
            "sasl_ssl://b:9093/2: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Unsupported SASL mechanism: \
             broker's supported mechanisms: PLAIN (after 30ms in state AUTH_HANDSHAKE)",
        ];
        for reason in refused {
            told.error(KafkaError::Global(Code::Authentication), reason);
            let said = error(Code::Authentication);
            assert!(said.kind == Kind::Project && said.to_string().contains("let this user in"), "{said}");
            told.forget();
            let late = error(Code::OperationTimedOut);
            assert!(late.kind == Kind::Unreachable && !late.to_string().contains("signed in"), "{late}");
        }
    }

    #[test]
    fn a_name_that_means_nothing_is_told_where_nobody_answers() {
        let access = access();
        let told = Told::default();
        let said = |code| access.error("read t", &KafkaError::MetadataFetch(code), &told).to_string();
        assert!(!said(Code::AllBrokersDown).contains("resolved"));
        let reason =
            "b:9092/bootstrap: Failed to resolve 'b:9092': Name or service not known (after 3ms in state CONNECT)";
        told.error(KafkaError::Global(Code::Resolve), reason);
        told.error(KafkaError::Global(Code::Resolve), "");
        for code in [Code::AllBrokersDown, Code::BrokerTransportFailure, Code::OperationTimedOut] {
            assert!(said(code).contains("the name of `b:9092` can't be resolved"), "{}", said(code));
        }
        assert!(!told.has_reason(), "the other one may answer");
        assert!(!said(Code::UnknownTopic).contains("resolved"));
        told.forget();
        assert!(!said(Code::AllBrokersDown).contains("resolved"));
    }
}

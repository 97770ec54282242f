//! Kafka, and Confluent's own client beside ours.

use super::appending::{safe, topic, upto};
use super::{Server, server};
use crate::harness::Project;
use crate::python::Python;
use kernel::broker::{Appended, Broker};
use std::path::PathBuf;

/// Confluent's Python client with what it needs to speak to a registry.
static CLIENT: Python =
    Python::of("kafka-venv", &["confluent-kafka[avro,protobuf,json,schemaregistry]==2.16.1", "protobuf==7.36.2"]);

const PRELUDE: &str = "
import json, os, random, sys, time
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, NewPartitions
admin = AdminClient({'bootstrap.servers': servers})
def done(answers):
    for answer in answers.values(): answer.result()
def topic(name, partitions=3):
    done(admin.create_topics([NewTopic(name, partitions, 1)]))
def produce(name, records, **options):
    producer = Producer({'bootstrap.servers': servers, 'linger.ms': 20, 'partitioner': 'murmur2_random', **options})
    for record in records:
        value = record['value']
        record['value'] = json.dumps(value) if isinstance(value, (dict, list)) else value
        while True:
            try:
                producer.produce(name, **record)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0
def consume(name, partitions=3, isolation='read_committed'):
    consumer = Consumer({'bootstrap.servers': servers, 'group.id': 'check', 'isolation.level': isolation,
                         'enable.auto.commit': False, 'enable.partition.eof': True})
    consumer.assign([TopicPartition(name, p, 0) for p in range(partitions)])
    ends = 0
    while ends < partitions:
        message = consumer.poll(30)
        if message.error():
            ends += 1
        else:
            yield message
";

pub struct Kafka {
    pub server: Server,
}

impl Kafka {
    pub fn new() -> Self {
        Self { server: server("kafka") }
    }

    /// What a source's `connection` is, through another address where there is one.
    pub fn connection(&self) -> String {
        format!("kafka://{}", self.server.address())
    }

    /// Host and port that ask for TLS and SCRAM.
    pub fn secure(&self) -> String {
        let (host, port) = self.server.address().rsplit_once(':').expect("host and port");
        format!("{host}:{}", port.parse::<u16>().expect("a port") + 2)
    }

    /// The folder of its data, where its certificate is.
    pub fn state(&self) -> PathBuf {
        super::state_of("kafka")
    }

    /// Runs a script that has `servers`, `topic`, `produce` and `consume`.
    pub fn python(&self, project: &Project, script: &str) -> String {
        CLIENT.run(project, &format!("servers = '{}'\n{PRELUDE}\n{script}\n", self.server.address()))
    }

    /// Starts such a script and leaves it at work.
    pub fn start_python(&self, project: &Project, script: &str) -> std::process::Child {
        CLIENT.start(project, &format!("servers = '{}'\n{PRELUDE}\n{script}\n", self.server.address()))
    }
}

/// Makes a topic and appends a hundred rows to it; gives the topic's name.
pub async fn append(broker: &dyn Broker, project: &str) -> String {
    let topic = topic(&format!("{project}.bronze.orders"));
    broker.create(&topic).await.expect("a topic");
    let mut appender = broker.appender(&topic, "orders").await.expect("an appender");
    assert_eq!(appender.append(&[safe(0, 100)], &upto(100)).await.expect("rows"), Appended::Done);
    topic.name
}

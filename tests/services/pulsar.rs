//! Pulsar as a home of logs. Needs: pulsar.

use super::harness::appending::{append_until_killed, is_killed, runtime};
use super::harness::kafka::append;
use super::harness::{relayed, server, unique};
use crate::harness::Project;
use crate::python::Python;
use connect::broker::pulsar::PulsarBroker;
use kernel::broker::Broker;
use kernel::laws::broker::seal;
use std::time::Duration;

static CLIENT: Python = Python::of("pulsar-venv", &["pulsar-client==3.13.0"]);

fn url() -> String {
    let server = server("pulsar");
    let (host, port) = server.address().rsplit_once(':').expect("host and port");
    let admin = port.parse::<u16>().expect("a port") + 1;
    format!("pulsar://{host}:{port}?admin=http://{host}:{admin}")
}

fn open() -> Box<dyn Broker> {
    Box::new(PulsarBroker::open(&url(), Duration::from_secs(30), seal()).expect("a broker"))
}

#[test]
fn pulsar_obeys_the_laws_of_brokers() {
    let project = unique("law");
    runtime().block_on(kernel::laws::broker::obeys(&project, async || open()));
}

/// What this program appends, Pulsar's own client reads.
#[test]
fn what_is_appended_others_read() {
    let topic = runtime().block_on(append(open().as_ref(), &unique("interop")));
    let script = format!(
        "import json, pulsar\n\
         client = pulsar.Client('{}', logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))\n\
         reader = client.subscribe('persistent://public/default/{topic}', 'check', initial_position=pulsar.InitialPosition.Earliest)\n\
         rows = []\n\
         for _ in range(100):\n\
         \x20   m = reader.receive(30000)\n\
         \x20   rows.append((json.loads(m.data())['id'], m.partition_key()))\n\
         print(len(set(rows)), all(a == b for a, b in rows))\n\
         client.close()\n",
        server("pulsar").url
    );
    assert_eq!(CLIENT.run(&Project::new("interop"), &script), "100 True\n");
}

#[test]
fn a_source_goes_through_a_topic_and_a_strangers_record_does_not() {
    relayed::goes_through(&url(), |project, topic, secret| {
        let row = format!("{{'id': 'forged', 'amount': '1.00', 'cpf': '{secret}'}}");
        let script = format!(
            "import json, pulsar\n\
             client = pulsar.Client('{}', logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))\n\
             producer = client.create_producer('persistent://public/default/{topic}')\n\
             producer.send(json.dumps({row}).encode(), partition_key='forged', properties={{'lavra-seal': 'AQAAAA'}})\n\
             client.close()\n",
            server("pulsar").url
        );
        CLIENT.run(project, &script);
    });
}

#[test]
fn kill_nine_of_who_appends_loses_and_doubles_nothing() {
    is_killed(15, "services::pulsar::appends_until_it_is_killed", open);
}

#[test]
#[ignore = "the process that `kill_nine_of_who_appends_loses_and_doubles_nothing` kills"]
fn appends_until_it_is_killed() {
    append_until_killed(open);
}

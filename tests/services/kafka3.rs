//! A cluster of three nodes, of which one stands still. Needs: kafka3.

use super::harness::appending::{places, runtime, safe, topic, upto};
use super::harness::kafka::Kafka;
use super::harness::{server, state_of, unique};
use crate::harness::Project;
use connect::broker::kafka::KafkaBroker;
use kernel::broker::{Appended, Broker};
use kernel::laws::broker::seal;
use std::process::Command;

/// A node, which goes on with the value's end.
struct Still(String);

impl Still {
    fn node(number: u32) -> Self {
        let process = std::fs::read_to_string(state_of("kafka3").join(format!("{number}.process")));
        let node = Self(process.expect("its process").trim().to_owned());
        node.signal("-STOP");
        node
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.0]).status().expect("kill");
        assert!(status.success(), "kill {name} {}", self.0);
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[test]
fn a_node_that_stands_still_costs_no_record() {
    let kafka = Kafka { server: server("kafka3") };
    let (name, project) = (unique("three"), Project::new("three"));
    let source = format!("connector: kafka\nconnection: {}\ntopic: {name}\n", kafka.connection());
    project.write("sources/orders.yaml", source);
    project.contract("orders", "{ name: id, logicalType: string, required: true }", &[]);
    kafka.python(&project, &format!("done(admin.create_topics([NewTopic('{name}', 3, 3)]))"));
    let produce = |from: u32| {
        let rows = format!("range({from}, {})", from + 5_000);
        let script = format!(
            "produce('{name}', ({{'value': {{'id': f'o{{n}}'}}, 'partition': n % 3}} for n in {rows}), **{{'enable.idempotence': True}})"
        );
        kafka.python(&project, &script);
    };
    let has = |rows: u32| {
        assert_eq!(project.lines("select count(*), count(distinct id) from bronze.orders"), [format!("{rows},{rows}")]);
    };
    produce(0);
    project.run();
    has(5_000);
    let log = topic(&format!("{}.bronze.rows", unique("three")));
    let broker = KafkaBroker::open(&format!("{}?replication=3", kafka.connection()), &std::env::temp_dir(), seal());
    let broker = broker.expect("a broker");
    let append = async |from: i64| {
        let mut appender = broker.appender(&log, "law").await.expect("an appender");
        assert_eq!(appender.append(&[safe(from, 100)], &upto(from + 100)).await.expect("rows"), Appended::Done);
    };
    runtime().block_on(async {
        broker.create(&log).await.expect("a topic");
        append(0).await;
    });
    for number in [2, 3] {
        let still = Still::node(number);
        let round = u32::from(number == 3) + 1;
        produce(round * 5_000);
        project.run();
        has((round + 1) * 5_000);
        runtime().block_on(append(i64::from(round) * 100));
        drop(still);
    }
    let mut found = runtime().block_on(places(&broker, &log));
    found.sort_unstable();
    assert_eq!(found, (0..300).collect::<Vec<_>>());
}

//! Kafka as a source, at length: runs that die, groups that rebalance, a broker that vanishes. Needs: kafka.
//! At once: 3, since most of the time they wait for the broker.

use super::harness::kafka::Kafka;
use super::harness::{Own, sized, unique};
use super::kafka::{project, source};
use crate::harness::{Answer, finish};
use std::time::{Duration, Instant};

/// Transactions arrive and never stop, some are taken back, and the run is killed again and again.
#[test]
fn kill_nine_while_records_stream_in_loses_and_doubles_nothing() {
    let (kafka, topic) = (Kafka::new(), unique("killed"));
    let project = project(&kafka, &topic, &["batch_rows_max: 500"]);
    kafka.python(&project, &format!("topic('{topic}', 4)"));
    let mut producing = kafka.start_python(
        &project,
        &format!(
            "producer = Producer({{'bootstrap.servers': servers, 'transactional.id': '{topic}'}})\n\
             producer.init_transactions(30)\n\
             n, parent = 0, os.getppid()\n\
             while not os.path.exists('stop') and os.getppid() == parent:\n\
             \x20   producer.begin_transaction()\n\
             \x20   is_good = random.random() < 0.8\n\
             \x20   for k in range(n, n + 1000):\n\
             \x20       producer.produce('{topic}', json.dumps({{'id': f'o{{k}}', 'amount': k % 1000}}), key=str(k))\n\
             \x20       producer.poll(0)\n\
             \x20   if is_good: producer.commit_transaction(30)\n\
             \x20   else: producer.flush(30); producer.abort_transaction(30)\n\
             \x20   n += 1000 if is_good else 0\n\
             \x20   time.sleep(0.02)\n\
             open('written', 'w').write(str(n))\n"
        ),
    );
    let mut dice = fastrand::Rng::with_seed(20_261_126);
    let (mut kills, mut longest) = (0, Duration::from_millis(1500));
    while kills < sized(30, 200) {
        let (start, patience) = (Instant::now(), longest.mul_f64(dice.f64()));
        let mut child = project.call(&["run", "--quiet", "--retries", "0"]).start();
        while start.elapsed() < patience && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        if child.try_wait().expect("a child").is_some() {
            Answer::of("a run".into(), &finish(child, "a run")).exits(0);
            longest = start.elapsed().max(Duration::from_millis(100));
        } else {
            child.kill().expect("kill -9");
            child.wait().expect("its end");
            kills += 1;
        }
    }
    assert!(producing.try_wait().expect("the producer").is_none(), "it never stopped");
    project.write("stop", "");
    assert!(producing.wait().expect("the producer").success());
    let rows: u64 = project.read("written").parse().expect("a number");
    assert!(rows > 10_000, "{rows} rows were written");
    project.run();
    let counts = project.lines("select count(*), count(distinct id), cast(sum(amount) as bigint) from bronze.orders");
    assert_eq!(counts, [format!("{rows},{rows},{}", (0..rows).map(|k| k % 1000).sum::<u64>())]);
    assert!(!project.path("lake/quarantine").exists(), "nothing was set aside");
    project.lavra(&["run"]).exits(0).says("nothing new");
}

/// Other members of the group come and go, and one lake is fed from two machines.
#[test]
fn a_group_that_rebalances_and_a_second_machine_change_nothing() {
    const ROWS: u64 = 30_000;
    let (kafka, topic) = (Kafka::new(), unique("group"));
    let options = [format!("group: {topic}"), "batch_rows_max: 500".into()];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (one, two) = (project(&kafka, &topic, &options), project(&kafka, &topic, &options));
    let lake = one.path("lake");
    two.write("lavra.yaml", format!("project: kafka\nenvironments:\n  local:\n    lake: {}\n", lake.display()));
    two.write(".lavra/keys.json", one.read(".lavra/keys.json"));
    kafka.python(&one, &format!("topic('{topic}', 4)\nproduce('{topic}', ({{'value': {{'id': f'o{{n}}'}}, 'key': str(n)}} for n in range({ROWS})))"));
    let mut members = kafka.start_python(
        &one,
        &format!(
            "end = time.time() + 12\n\
             while time.time() < end:\n\
             \x20   members = [Consumer({{'bootstrap.servers': servers, 'group.id': '{topic}', 'session.timeout.ms': 6000}}) for _ in range(2)]\n\
             \x20   for member in members: member.subscribe(['{topic}'])\n\
             \x20   for _ in range(10):\n\
             \x20       for member in members: member.poll(0.05)\n\
             \x20   for member in members: member.close()\n"
        ),
    );
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let mut calls = [&one, &two].map(|project| project.call(&["run", "--quiet", "--format", "json"]));
        let started = calls.each_mut().map(|call| call.start());
        for child in started {
            let answer = Answer::of("one of two runs".into(), &finish(child, "a run"));
            assert!(matches!(answer.code, Some(0 | 1)), "{answer:?}");
            for node in answer.json()["nodes"].as_array().expect("nodes") {
                assert!(node["status"] != "failed" || node["kind"] == "conflict", "{node}");
            }
        }
    }
    assert!(members.wait().expect("the members").success());
    one.run();
    assert_eq!(one.lines("select count(*), count(distinct id) from bronze.orders"), [format!("{ROWS},{ROWS}")]);
}

/// It stands still in the middle of a run, as when a network is gone: who may wait goes on, and who may not is told.
#[test]
fn a_broker_that_vanishes_costs_the_time_that_it_was_away() {
    const ROWS: u64 = 400_000;
    let own = Own::start("kafka");
    let (kafka, topic) = (Kafka { server: own.server.clone() }, unique("vanished"));
    let project = project(&kafka, &topic, &["batch_rows_max: 200", "timeout_ms: 120000"]);
    let values = format!("({{'value': {{'id': f'o{{n}}'}}, 'partition': n % 3}} for n in range({ROWS}))");
    kafka.python(&project, &format!("topic('{topic}')\nproduce('{topic}', {values})"));
    let child = project.call(&["run", "--quiet", "--retries", "0"]).start();
    std::thread::sleep(Duration::from_millis(700));
    own.signal("STOP");
    std::thread::sleep(Duration::from_secs(sized(15, 60)));
    own.signal("CONT");
    Answer::of("a run that waits".into(), &finish(child, "a run")).exits(0);
    assert_eq!(project.lines("select count(*), count(distinct id) from bronze.orders"), [format!("{ROWS},{ROWS}")]);
    own.signal("STOP");
    source(&project, &kafka.connection(), &topic, &["timeout_ms: 3000"]);
    project.lavra(&["run", "--retries", "0"]).exits(4).says("no broker answers within 3000 ms");
    own.signal("CONT");
    project.lavra(&["run"]).exits(0).says("nothing new");
}

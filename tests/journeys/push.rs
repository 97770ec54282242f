//! Webhooks: who is answered with success finds the rows in the table, once, whatever happens to the process.

use super::up::{Running, is_in, source, status, wait_for};
use crate::harness::Project;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const COLUMNS: &str = "
    { name: id, logicalType: integer, physicalType: bigint, required: true }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }";

const HOOK: &str = "connector: push\npath: /hooks/orders\nauth: { type: bearer, secret: \"${HOOK_TOKEN}\" }\n\
                    schedule: continuous\ncommit_every: 1 second\n";

fn project(name: &str) -> Project {
    let project = Project::new(name);
    project.write("sources/orders.yaml", HOOK.replace("${HOOK_TOKEN}", "s3cret")).contract("orders", COLUMNS, &[]);
    project
}

/// Sends one delivery; its status, or `None` when nobody answered.
fn send(url: &str, token: &str, name: Option<&str>, body: &str) -> Option<(u16, Value)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into();
    let mut request = agent.post(url).header("content-type", "application/json");
    request = request.header("authorization", &format!("Bearer {token}"));
    if let Some(name) = name {
        request = request.header("idempotency-key", name);
    }
    let mut answer = request.send(body).ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

fn listening(project: &Project) -> String {
    let address = || {
        let all = status(project)["processes"].as_array().cloned().unwrap_or_default();
        let living = all.iter().find(|process| process["state"] == "running");
        living.and_then(|process| process["address"].as_str()).map(str::to_owned)
    };
    format!("http://{}", wait_for("an address", address))
}

#[test]
fn a_delivery_is_answered_when_it_is_in_the_table() {
    let project = project("hooks");
    let up = Running::up(&project);
    is_in(&project, "orders", "idle");
    let base = listening(&project);
    let hook = format!("{base}/hooks/orders");
    let body = json!([{ "id": 1, "cpf": "111.444.777-35" }, { "id": 2, "cpf": null }]).to_string();
    assert_eq!(send(&hook, "s3cret", Some("a"), &body), Some((200, json!({ "rows": 2 }))));
    assert_eq!(project.count("bronze.orders"), 2, "success is told when the rows can be read");
    assert_eq!(send(&hook, "s3cret", Some("a"), &body), Some((200, json!({ "repeated": true, "rows": 0 }))));
    assert_eq!(send(&hook, "wrong", None, &body).map(|(status, _)| status), Some(401));
    assert_eq!(send(&hook, "s3cret", None, "[{").map(|(status, _)| status), Some(400));
    assert_eq!(send(&format!("{base}/hooks/other"), "s3cret", None, &body).map(|(status, _)| status), Some(404));
    // One without a number goes where it can be found, and is durable too.
    assert_eq!(send(&hook, "s3cret", None, r#"{"id":"none","cpf":"x"}"#).map(|(status, _)| status), Some(200));
    wait_for("the quarantine", || (source(&project, "orders")["rows_quarantined"] == 1).then_some(()));
    assert_eq!(project.count("bronze.orders"), 2);
    // What else this process serves.
    let agent = ureq::agent();
    let registry = |path: &str| {
        let mut answer = agent.get(format!("{base}/registry{path}")).call().expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a body");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    assert_eq!(registry("/schemas/types"), json!(["JSON", "PROTOBUF", "AVRO"]));
    assert_eq!(registry("/subjects"), json!(["hooks.bronze.orders-value"]));
    assert_eq!(up.end(), Some(0));
    for (path, bytes) in project.files_below("") {
        let is_clear = bytes.windows(14).any(|window| window == b"111.444.777-35");
        assert!(!is_clear, "{} holds a CPF", path.display());
    }
}

const KEYED: &str = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: state, logicalType: string }";

#[test]
fn a_key_that_comes_again_is_set_aside_and_an_unknown_field_stops_nobody() {
    let project = Project::new("keyed_hooks");
    project.write("sources/orders.yaml", HOOK.replace("${HOOK_TOKEN}", "s3cret")).contract("orders", KEYED, &[]);
    let up = Running::up(&project);
    is_in(&project, "orders", "idle");
    let hook = format!("{}/hooks/orders", listening(&project));
    let taken = |rows: u64| Some((200, json!({ "rows": rows })));
    let repeated = Some((200, json!({ "repeated": true, "rows": 0 })));
    assert_eq!(send(&hook, "s3cret", Some("a"), r#"{"id":1,"state":"new"}"#), taken(1));
    assert_eq!(send(&hook, "s3cret", Some("b"), r#"{"id":1,"state":"paid"}"#), taken(1));
    assert_eq!(send(&hook, "s3cret", Some("c"), r#"[{"id":2,"state":"new"},{"id":2,"state":"paid"}]"#), taken(2));
    assert_eq!(send(&hook, "s3cret", Some("c"), r#"{"id":3}"#).map(|(status, _)| status), Some(422));
    assert_eq!(send(&hook, "s3cret", None, r#"{"id":3,"state":"new"}"#), taken(1));
    assert_eq!(send(&hook, "s3cret", None, r#"{"id":3,"state":"new"}"#), repeated);
    let refused = send(&hook, "s3cret", Some("d"), r#"{"id":4,"coupon":"X"}"#).expect("an answer");
    assert!(refused.0 == 422 && refused.1.to_string().contains("coupon"), "{refused:?}");
    assert_eq!(send(&hook, "s3cret", Some("e"), r#"{"id":4,"state":"new"}"#), taken(1), "at once");
    assert_eq!(project.lines("select id, state from bronze.orders order by id"), ["1,new", "2,new", "3,new", "4,new"]);
    assert_eq!(project.count("quarantine.orders"), 2, "the states that came second");
    assert_eq!(up.end(), Some(0));
}

/// Its name may be somebody's, so that it becomes no column and is told nowhere. Who sends it is told, and nobody else waits.
#[test]
fn a_field_with_a_name_that_looks_personal_stops_nobody() {
    for policy in ["evolve", "quarantine"] {
        let project = project("poison");
        project.contract("orders", COLUMNS, &[("schema_change", policy)]);
        let up = Running::up(&project);
        is_in(&project, "orders", "idle");
        let hook = format!("{}/hooks/orders", listening(&project));
        for _ in 0..2 {
            let refused = send(&hook, "s3cret", Some("p"), r#"{"id":9999,"maria@example.com":1}"#).expect("an answer");
            assert!(refused.0 == 422 && refused.1.to_string().contains("looks like personal data"), "{refused:?}");
            assert!(!refused.1.to_string().contains("maria"), "{refused:?}");
        }
        assert_eq!(send(&hook, "s3cret", Some("q"), r#"{"id":1,"coupon":"X"}"#), Some((200, json!({ "rows": 1 }))));
        let taken = if policy == "evolve" { "bronze.orders" } else { "quarantine.orders" };
        assert_eq!(project.count(taken), 1, "other new fields are taken as {policy} has it");
        is_in(&project, "orders", "idle");
        assert_eq!(up.end(), Some(0));
    }
}

/// Of such a field no column can be made; who sends it is told, and the table and the others go on.
#[test]
fn a_field_that_differs_from_a_column_only_in_case_is_refused_to_its_sender() {
    let project = Project::new("twins");
    project.write("sources/orders.yaml", HOOK.replace("${HOOK_TOKEN}", "s3cret"));
    project.contract("orders", KEYED, &[("schema_change", "evolve")]);
    let up = Running::up(&project);
    is_in(&project, "orders", "idle");
    let hook = format!("{}/hooks/orders", listening(&project));
    assert_eq!(send(&hook, "s3cret", None, r#"{"id":1,"state":"new"}"#), Some((200, json!({ "rows": 1 }))));
    for (body, says) in [
        (r#"{"id":2,"State":"new"}"#, "`State` differs from the column `state`"),
        (r#"[{"id":2,"xy":1},{"id":3,"XY":1}]"#, "`XY` and the field `xy` differ"),
        (r#"{"id":2,"_source":"x"}"#, "`_source` is kept"),
        (r#"{"id":2,"_op":"d"}"#, "`_op` is kept"),
    ] {
        let refused = send(&hook, "s3cret", None, body).expect("an answer");
        assert!(refused.0 == 422 && refused.1.to_string().contains(says), "{refused:?}");
    }
    assert_eq!(send(&hook, "s3cret", None, r#"{"id":4,"xy":"x"}"#), Some((200, json!({ "rows": 1 }))));
    // Which columns the table has by now the gate knows; it sets the row aside.
    assert_eq!(send(&hook, "s3cret", None, r#"{"id":5,"XY":"x"}"#), Some((200, json!({ "rows": 1 }))));
    assert_eq!(send(&hook, "s3cret", None, r#"{"id":6,"xy":"y"}"#), Some((200, json!({ "rows": 1 }))));
    assert_eq!(project.lines("select id, state, xy from bronze.orders"), ["1,new,", "4,,x", "6,,y"]);
    assert_eq!(project.count("quarantine.orders"), 1);
    assert_eq!(up.end(), Some(0));
}

/// Some libraries send the header always, and empty where they have no name.
#[test]
fn deliveries_with_an_empty_name_are_not_one() {
    let project = project("nameless");
    let up = Running::up(&project);
    is_in(&project, "orders", "idle");
    let hook = format!("{}/hooks/orders", listening(&project));
    for id in 1..4 {
        let body = format!("{{\"id\":{id}}}");
        assert_eq!(send(&hook, "s3cret", Some(""), &body), Some((200, json!({ "rows": 1 }))), "{id}");
    }
    assert_eq!(project.lines("select id from bronze.orders order by id"), ["1", "2", "3"]);
    assert_eq!(up.end(), Some(0));
}

#[test]
fn who_is_sending_when_it_is_told_to_end_is_heard_out() {
    heard_out("heard_out", |_, up| up.signal("-TERM"), |_| {});
}

#[test]
fn one_that_makes_way_and_is_told_to_end_then_hears_out_all_the_same() {
    let request = Mutex::new(None);
    let make_way = |project: &Project, _: &Running| {
        let file = std::fs::File::create(project.path(".lavra/at-work/make-way")).expect("a request");
        file.lock().expect("nobody else asks");
        *request.lock().expect("a request") = Some(file);
    };
    heard_out("heard_out_on_the_way", make_way, |up| up.signal("-TERM"));
}

/// One has sent all, one half of it, when the process is told to drain: both have their answer and their rows. Who comes then
/// is told to come again.
fn heard_out(name: &str, drain: impl Fn(&Project, &Running), while_draining: impl Fn(&Running)) {
    let project = Project::new(name);
    // The next commit is far away when it is told to end.
    let hook = HOOK.replace("${HOOK_TOKEN}", "s3cret").replace("1 second", "8 seconds");
    project.write("sources/orders.yaml", hook).contract("orders", COLUMNS, &[]);
    let up = Running::up(&project);
    is_in(&project, "orders", "idle");
    let base = listening(&project);
    let url = format!("{base}/hooks/orders");
    let first = std::time::Instant::now();
    assert_eq!(send(&url, "s3cret", None, r#"{"id":1}"#).map(|(status, _)| status), Some(200));
    assert!(first.elapsed() < Duration::from_secs(6), "the first one behind a pause is committed at once");
    let whole = std::thread::spawn({
        let url = url.clone();
        move || send(&url, "s3cret", None, r#"{"id":2}"#)
    });
    let body = r#"{"id":3}"#;
    let mut slow = std::net::TcpStream::connect(base.trim_start_matches("http://")).expect("a connection");
    let head = "POST /hooks/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer s3cret\r\nconnection: close\r\n\
                content-type: application/json\r\n";
    write!(slow, "{head}content-length: {}\r\n\r\n{}", body.len(), &body[..4]).expect("half of it");
    std::thread::sleep(Duration::from_millis(500));
    drain(&project, &up);
    wait_for("its draining", || send(&url, "s3cret", None, r#"{"id":4}"#).filter(|(status, _)| *status == 503));
    while_draining(&up);
    slow.write_all(&body.as_bytes()[4..]).expect("the rest");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#"{"rows":1}"#), "{answer}");
    assert_eq!(whole.join().expect("a sender"), Some((200, json!({ "rows": 1 }))));
    assert_eq!(up.ended(), Some(0));
    // Who found out that it drains may have come in before.
    assert_eq!(project.lines("select id from bronze.orders where id < 4 order by id"), ["1", "2", "3"]);
}

#[test]
fn who_would_be_told_too_early_to_send_again_is_told_by_check() {
    let project = project("patience");
    project.lavra(&["check"]).exits(0);
    project.write("sources/orders.yaml", HOOK.replace("1 second", "30 seconds").replace("${HOOK_TOKEN}", "x"));
    let told = project.lavra(&["check"]).exits(2);
    told.says("sources/orders.yaml:5")
        .says("told to send again after 30s")
        .says("`timeout_ms` to more than `commit_every`");
    project.write("sources/orders.yaml", HOOK.replace("${HOOK_TOKEN}", "x") + "timeout_ms: 900\n");
    project.lavra(&["check"]).exits(2).says("sources/orders.yaml:6");
}

#[test]
fn two_that_want_one_path_are_told_by_check() {
    let project = project("doors");
    let other = HOOK.replace("${HOOK_TOKEN}", "other");
    project.write("sources/others.yaml", &other).contract("others", COLUMNS, &[]);
    project.lavra(&["check"]).exits(2).says("sources/others.yaml:2").says("source `orders` answers at this path");
    project.write("sources/others.yaml", other.replace("/hooks/orders", "/hooks/others"));
    project.lavra(&["check"]).exits(0);
    // A worker of its own has an address of its own.
    project.write("sources/others.yaml", other.replace("schedule: continuous\n", ""));
    project.lavra(&["check"]).exits(0);
}

#[test]
fn a_path_that_up_answers_at_itself_and_a_header_that_is_none_are_told_by_check() {
    let project = project("own");
    let hook = HOOK.replace("${HOOK_TOKEN}", "s3cret");
    for path in ["/status", "/metrics", "/registry/subjects"] {
        project.write("sources/orders.yaml", hook.replace("/hooks/orders", path));
        project.lavra(&["check"]).exits(2).says("sources/orders.yaml:2").says("`lavra up` itself answers at this path");
    }
    project.write("sources/orders.yaml", hook.replace("/hooks/orders", "/statuses"));
    project.lavra(&["check"]).exits(0);
    project.write("sources/orders.yaml", format!("{hook}key_header: a b\n"));
    project.lavra(&["check"]).exits(2).says("sources/orders.yaml:6").says("`key_header` is the name of a header");
}

/// Three senders, who send each delivery again until they hear of its success, and a process that is killed.
#[test]
fn kills_under_senders_lose_nothing_that_was_answered_and_double_nothing() {
    const KILLS: usize = 8;
    let project = project("pushed");
    let is_over = Arc::new(AtomicBool::new(false));
    let (place, sent) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..3)
        .map(|sender: u64| {
            let (is_over, place, sent) = (is_over.clone(), place.clone(), sent.clone());
            std::thread::spawn(move || {
                let mut number = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let id = sender * 1_000_000 + number;
                    let name = format!("{sender}-{number}");
                    let body = json!([{ "id": id, "cpf": format!("c{id}") }, { "id": id + 500_000, "cpf": "y" }]);
                    loop {
                        let url = place.lock().expect("an address").clone();
                        match send(&url, "s3cret", Some(&name), &body.to_string()) {
                            Some((200, _)) => break,
                            Some((status, said)) => assert!(matches!(status, 404 | 409 | 503), "{status}: {said}"),
                            None => {}
                        }
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    number += 1;
                    sent.fetch_add(2, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut dice = fastrand::Rng::with_seed(20_261_126);
    for _ in 0..KILLS {
        let before = sent.load(Ordering::Relaxed);
        let up = Running::up(&project);
        is_in(&project, "orders", "idle");
        *place.lock().expect("an address") = format!("{}/hooks/orders", listening(&project));
        wait_for("deliveries", || (sent.load(Ordering::Relaxed) > before).then_some(()));
        std::thread::sleep(Duration::from_millis(dice.u64(0..1500)));
        up.kill();
    }
    let up = Running::up(&project);
    is_in(&project, "orders", "idle");
    *place.lock().expect("an address") = format!("{}/hooks/orders", listening(&project));
    is_over.store(true, Ordering::Relaxed);
    senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
    assert_eq!(up.end(), Some(0));
    let all = sent.load(Ordering::Relaxed);
    assert!(all >= KILLS * 2, "{all} rows came under {KILLS} kills");
    let counts = project.lines("select count(*), count(distinct id) from bronze.orders");
    assert_eq!(counts, [format!("{all},{all}")]);
}

//! The schema registry: Confluent's own clients against it, several processes at once, and contracts that change.

use crate::harness::Project;
use crate::python::CONFLUENT;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::{Duration, Instant};

/// `lavra registry serve`, until the value goes.
pub struct Serving {
    child: Child,
    pub url: String,
}

impl Serving {
    pub fn start(project: &Project) -> Self {
        let mut child = project.call(&["registry", "serve", "--listen", "127.0.0.1:0"]).start();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("its stdout")).read_line(&mut line).expect("where it listens");
        let url = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{line}");
        Self { child, url }
    }

    fn kill(&mut self) {
        self.child.kill().expect("an end");
        self.child.wait().expect("an end");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and answer; 0 when nobody answers.
pub fn ask(method: &str, url: &str, body: &Value) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = ureq::http::Request::builder().method(method).uri(url);
    let request = request.header("Content-Type", "application/vnd.schemaregistry.v1+json");
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let Ok(mut answer) = agent.run(request.body(text).expect("a request")) else { return (0, Value::Null) };
    let text = answer.body_mut().read_to_string().unwrap_or_default();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn avro(field: &str) -> Value {
    let schema = json!({ "type": "record", "name": "R", "fields": [{ "name": field, "type": "int", "default": 0 }] });
    json!({ "schema": schema.to_string() })
}

#[test]
fn confluents_clients_serializers_and_deserializers_find_all_that_they_ask_for() {
    let project = Project::new("clients");
    let serving = Serving::start(&project);
    let script = include_str!("registry_clients.py").replace("sys.argv[1]", &format!("{:?}", serving.url));
    let said = CONFLUENT.run(&project, &script);
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 9, "{said}");
}

/// Two processes over one ledger, one of which is killed again and again: no id and no version is given twice, and what was
/// answered stays.
#[test]
fn two_processes_give_no_id_twice_though_one_is_killed() {
    let project = Project::new("two");
    let steady = Serving::start(&project);
    let answered: Vec<(String, i64, i64)> = std::thread::scope(|scope| {
        let own = scope.spawn(|| {
            let mut answered = Vec::new();
            for round in 0..60 {
                for name in [format!("steady{round}"), format!("both{}", round % 20)] {
                    let (status, done) = ask("POST", &format!("{}/subjects/s/versions", steady.url), &avro(&name));
                    assert_eq!(status, 200, "{done}");
                    answered.push((
                        name,
                        done["id"].as_i64().expect("an id"),
                        done["version"].as_i64().expect("a version"),
                    ));
                }
            }
            answered
        });
        let mut answered = Vec::new();
        for life in 0..6 {
            let mut other = Serving::start(&project);
            let url = other.url.clone();
            let end = Instant::now() + Duration::from_millis(40 + 60 * life);
            let asker = scope.spawn(move || {
                let mut answered = Vec::new();
                for round in 0.. {
                    let name =
                        if round % 2 == 0 { format!("other{life}_{round}") } else { format!("both{}", round % 20) };
                    let (status, done) = ask("POST", &format!("{url}/subjects/s/versions"), &avro(&name));
                    if status == 0 || done["id"].is_null() {
                        break;
                    }
                    answered.push((
                        name,
                        done["id"].as_i64().expect("an id"),
                        done["version"].as_i64().expect("a version"),
                    ));
                }
                answered
            });
            while Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            other.kill();
            answered.extend(asker.join().expect("no panic"));
        }
        answered.extend(own.join().expect("no panic"));
        answered
    });
    let after = Serving::start(&project);
    let mut seen: std::collections::BTreeMap<&str, (i64, i64)> = Default::default();
    for (name, id, version) in &answered {
        assert_eq!(*seen.entry(name).or_insert((*id, *version)), (*id, *version), "{name} has one id and one version");
    }
    let (ids, versions): (BTreeSet<i64>, BTreeSet<i64>) = seen.values().copied().unzip();
    assert_eq!((ids.len(), versions.len()), (seen.len(), seen.len()), "no id and no version twice");
    for (name, (id, version)) in &seen {
        let (_, found) = ask("GET", &format!("{}/subjects/s/versions/{version}", after.url), &Value::Null);
        assert_eq!(found["id"].as_i64(), Some(*id), "{name}: {found}");
        assert!(found["schema"].as_str().expect("a schema").contains(&format!("\"{name}\"")), "{name}: {found}");
    }
    let (_, all) = ask("GET", &format!("{}/subjects/s/versions", after.url), &Value::Null);
    let count = all.as_array().expect("versions").len() as i64;
    assert_eq!(all, json!((1..=count).collect::<Vec<i64>>()), "versions have no holes");
}

#[test]
fn thousands_of_subjects_are_registered_and_found() {
    let project = Project::new("many");
    let serving = Serving::start(&project);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for part in 0..4 {
            let url = &serving.url;
            scope.spawn(move || {
                for at in (part * 500)..((part + 1) * 500) {
                    let (status, done) =
                        ask("POST", &format!("{url}/subjects/s{at}/versions"), &avro(&format!("f{at}")));
                    assert_eq!(status, 200, "{done}");
                }
            });
        }
    });
    println!("2,000 subjects registered in {:?}", start.elapsed());
    let timed = |path: &str| {
        let start = Instant::now();
        let (status, answer) = ask("GET", &format!("{}{path}", serving.url), &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
        println!("{path} in {:?}", start.elapsed());
        answer
    };
    assert_eq!(timed("/subjects").as_array().expect("subjects").len(), 2_000);
    assert_eq!(timed("/subjects?subjectPrefix=s19&limit=50").as_array().expect("subjects").len(), 50);
    let schema = timed("/schemas/ids/1999");
    assert!(schema["schema"].as_str().expect("a schema").contains("\"f"), "{schema}");
    assert_eq!(timed("/subjects/s1234/versions/latest")["version"], 1);
    // Another process reads it all when it is first asked for something new.
    let other = Serving::start(&project);
    let (status, done) = ask("POST", &format!("{}/subjects/new/versions", other.url), &avro("new"));
    assert_eq!((status, done["id"].as_i64()), (200, Some(2_001)), "{done}");
}

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: redact }] }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)', description: What was paid }";

fn project(name: &str) -> Project {
    let project = Project::new(name);
    project.source("orders", "data/*.ndjson", &[]).contract("orders", COLUMNS, &[]);
    project.write("data/1.ndjson", "{\"id\":\"1\",\"cpf\":null,\"amount\":\"1.10\"}\n");
    project
}

#[test]
fn a_contract_is_registered_and_an_incompatible_change_refused() {
    let project = project("shop");
    let plan = project.lavra(&["plan", "--format", "json"]).exits(0).json();
    assert_eq!(plan[0]["schema"], "new", "{plan}");
    assert!(!project.path(".lavra/ledger.sqlite").exists(), "a plan leaves no trace");
    project.run();
    let subject = "shop.bronze.orders-value";
    let shown = project.lavra(&["registry", "show", subject, "--format", "json"]).exits(0).json();
    let schema: Value = serde_json::from_str(shown["schema"].as_str().expect("a schema")).expect("JSON");
    assert_eq!(schema["fields"][0], json!({ "name": "id", "type": "string" }));
    assert_eq!(schema["fields"][2]["type"][1]["precision"], 12, "{schema}");
    assert_eq!((&shown["version"], &shown["level"]), (&json!(1), &json!("BACKWARD")));
    project.run();
    let list = project.lavra(&["registry", "list", "--format", "json"]).exits(0).json();
    assert_eq!(list, json!([{ "subject": subject, "version": 1, "id": 1, "versions": 1 }]));

    let more = format!("{COLUMNS}\n{{ name: note, logicalType: string }}");
    project.contract("orders", &more, &[]);
    assert_eq!(project.lavra(&["plan", "--format", "json"]).exits(0).json()[0]["schema"], "changed");
    project.lavra(&["plan"]).exits(0).says("its schema changes, and readers of the old rows can follow");
    project.run();

    project.contract("orders", &more.replace("decimal(12,2)", "decimal(12,3)"), &[]);
    for args in [&["plan"][..], &["run", "--quiet"], &["registry", "check"]] {
        let told = project.lavra(args).exits(3);
        for part in
            [subject, "version 2", "BACKWARD", "MISSING_UNION_BRANCH", "decimal(12,2)", "lavra registry level", "NONE"]
        {
            assert!(told.stderr.contains(part), "{part} in {}", told.stderr);
        }
    }
    project.lavra(&["check"]).exits(0);
    let checked = project.lavra(&["registry", "check", "--format", "json"]).exits(3).json();
    assert_eq!((&checked[0]["change"], &checked[0]["version"]), (&json!("incompatible"), &json!(2)), "{checked}");
    assert_eq!(project.count("bronze.orders"), 1, "nothing was read");
    project.lavra(&["registry", "level", subject, "NONE"]).exits(0).says("NONE");
    project.lavra(&["registry", "check"]).exits(0).says("changed");
}

/// What is registered is the contract as its table keeps it, and a table never changes the type of a column. Of a change
/// that Protobuf writes alike the registry sees nothing.
#[test]
fn what_a_table_refuses_is_told_by_a_plan_and_never_registered() {
    let amount = "logicalType: number, physicalType: 'decimal(12,2)', description: What was paid";
    let (as_text, as_flag) =
        (COLUMNS.replace(amount, "logicalType: string"), COLUMNS.replace(amount, "logicalType: boolean"));
    let subject = "shop.bronze.orders-value";
    for format in ["avro", "json", "protobuf"] {
        let project = project("shop");
        let environment = format!("registry_format: {format}");
        project.write("lavra.yaml", format!("project: shop\nenvironments:\n  local: {{ {environment} }}\n"));
        project.contract("orders", &as_text, &[]);
        project.lavra(&["plan"]).exits(0);
        project.contract("orders", COLUMNS, &[]);
        project.run();
        project.contract("orders", &as_flag, &[]);
        let told = project.lavra(&["plan"]).exits(3).says("lavra registry level").says("That alone is not enough");
        assert!(told.stderr.contains("decimal(12,2) in the table and boolean by its contract"), "{}", told.stderr);
        project.contract("orders", &as_text, &[]);
        project.lavra(&["registry", "level", subject, "NONE"]).exits(0);
        for args in [&["plan"][..], &["run", "--quiet"]] {
            let told = project.lavra(args).exits(2).says("a column of another name");
            let says = "column `amount` of bronze.orders is decimal(12,2) in the table and string by its contract";
            assert!(told.stderr.contains(says), "{format}: {}", told.stderr);
        }
        let list = project.lavra(&["registry", "list", "--format", "json"]).exits(0).json();
        assert_eq!((&list[0]["version"], &list[0]["versions"]), (&json!(1), &json!(1)), "{format}: {list}");
        assert_eq!(project.count("bronze.orders"), 1);
        // Where no table is, there is nothing that could refuse it.
        std::fs::remove_dir_all(project.path("lake/bronze/orders")).expect("the table's folder");
        project.lavra(&["plan"]).exits(0);
        project.run();
        assert_eq!(project.lines("select amount from bronze.orders"), ["1.10"]);
    }
}

/// The environment's, and a source's own, which its records were written with.
#[test]
fn a_registry_that_is_gone_or_at_another_path_is_told_by_doctor() {
    let keeper = Project::new("keeper");
    let serving = Serving::start(&keeper);
    let project = project("shop");
    let looks = |project: &Project, about: &str, exit: i32| {
        let told = project.lavra(&["doctor", "--format", "json"]).exits(exit).json();
        let all = told["findings"].as_array().expect("findings").clone();
        let found = all.into_iter().find(|one| one["about"] == about && one["subject"] == "registry");
        let found = found.unwrap_or_else(|| panic!("a finding about the registry of {about}: {told}"));
        (found["grade"].as_str().unwrap_or_default().to_owned(), found["found"].to_string())
    };
    let environment = |registry: &str| {
        project.write("lavra.yaml", format!("project: shop\nenvironments:\n  local: {{ registry: '{registry}' }}\n"));
    };
    environment(&serving.url);
    assert_eq!(looks(&project, "project", 0).0, "good");
    environment(&format!("{}/elsewhere", serving.url));
    let (grade, found) = looks(&project, "project", 1);
    assert!(grade == "bad" && found.contains("is the path of its URL that of a schema registry?"), "{found}");
    project.lavra(&["plan"]).exits(2).says("is the path of its URL");

    let project = Project::new("own");
    project.contract("orders", COLUMNS, &[]);
    let kafka = |registry: &str| {
        let place =
            "connector: kafka\nconnection: kafka://127.0.0.1:1\ntopic: orders\nformat: avro\ntimeout_ms: 1000\n";
        project.write("sources/orders.yaml", format!("{place}registry: {registry}\n"));
    };
    // Nobody answers as Kafka either.
    for (registry, grade, says) in [
        (serving.url.clone(), "good", "answers"),
        (format!("{}/elsewhere", serving.url), "bad", "is the path of its URL"),
        ("http://ana:hunter2@127.0.0.1:1".to_owned(), "bad", "it can't be reached"),
    ] {
        kafka(&registry);
        let found = looks(&project, "orders", 4);
        assert!(found.0 == grade && found.1.contains(says) && !found.1.contains("hunter2"), "{found:?}");
    }
}

#[test]
fn another_registry_is_named_by_its_url() {
    let keeper = Project::new("keeper");
    let serving = Serving::start(&keeper);
    let project = project("shop");
    let with = |format: &str| {
        let environment = format!("registry: {}, registry_format: {format}", serving.url);
        project.write("lavra.yaml", format!("project: shop-{format}\nenvironments:\n  local: {{ {environment} }}\n"));
    };
    for format in ["avro", "json", "protobuf"] {
        with(format);
        project.lavra(&["check"]).exits(0);
        assert_eq!(project.lavra(&["plan", "--format", "json"]).exits(0).json()[0]["schema"], "new", "{format}");
        project.run();
        let subject = format!("shop-{format}.bronze.orders-value");
        let (status, found) = ask("GET", &format!("{}/subjects/{subject}/versions/latest", serving.url), &Value::Null);
        assert_eq!((status, &found["version"]), (200, &json!(1)), "{found}");
        assert_eq!(project.lavra(&["plan", "--format", "json"]).exits(0).json()[0]["schema"], "same", "{format}");
        project.lavra(&["registry", "show", &subject]).exits(0).says("amount");
        let changed = COLUMNS.replace(
            "{ name: amount, logicalType: number, physicalType: 'decimal(12,2)'",
            "{ name: amount, logicalType: boolean",
        );
        project.contract("orders", &changed, &[]);
        project.lavra(&["plan"]).exits(3).says(&subject);
        project.lavra(&["run", "--quiet"]).exits(3).says(&subject);
        project.contract("orders", COLUMNS, &[]);
    }
    let config = project.read("lavra.yaml");
    project.write("lavra.yaml", "project: shop-protobuf\n");
    assert_eq!(project.lavra(&["registry", "list", "--format", "json"]).exits(0).json(), json!([]), "the embedded one");
    project.write("lavra.yaml", config);
    project.lavra(&["registry", "serve"]).exits(2).says("has another registry");
    let url = serving.url.clone();
    drop(serving);
    let dead = project.lavra(&["plan"]).exits(4);
    assert!(dead.stderr.contains(&url), "{}", dead.stderr);
    project.write("lavra.yaml", "project: shop\nenvironments:\n  local: { registry: 'ftp://u:SECRET@host' }\n");
    let told = project.lavra(&["check"]).exits(2).says("`ftp://` is no place that `registry` can be at");
    assert!(!told.stderr.contains("SECRET"));
    project.write("lavra.yaml", "project: shop\nenvironments:\n  local: { registry_format: thrift }\n");
    project.lavra(&["check"]).exits(2).says("write avro, json or protobuf");
}

#[test]
fn beyond_this_machine_one_has_to_sign_in() {
    let project = Project::new("guarded");
    project.lavra(&["registry", "serve", "--listen", "0.0.0.0:0"]).exits(3).says("--user");
    project
        .lavra(&["registry", "serve", "--listen", "127.0.0.1:0", "--user", "ana"])
        .exits(2)
        .says("LAVRA_REGISTRY_PASSWORD");
    let mut call = project
        .call(&["registry", "serve", "--listen", "127.0.0.1:0", "--user", "ana"])
        .env("LAVRA_REGISTRY_PASSWORD", "s3cr:t");
    let mut child = call.start();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("its stdout")).read_line(&mut line).expect("where it listens");
    let serving = Serving { url: line.trim().rsplit(' ').next().unwrap_or_default().to_owned(), child };
    assert_eq!(ask("GET", &format!("{}/subjects", serving.url), &Value::Null).0, 401);
    let other = Project::new("other");
    let write = |who: &str| {
        let url = serving.url.replace("http://", &format!("http://{who}@"));
        other.write("lavra.yaml", format!("project: other\nenvironments:\n  local: {{ registry: '{url}' }}\n"));
        other.lavra(&["registry", "list"])
    };
    write("ana:s3cr%3At").exits(0);
    let wrong = write("ana:WRONG").exits(3).says("refuses whoever asks");
    assert!(!wrong.stderr.contains("WRONG"), "{}", wrong.stderr);
}

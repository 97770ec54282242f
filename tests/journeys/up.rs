//! `lavra up`: on and on, through kills, failures and ends.

mod making_way;

use super::outside::{Mood, Store};
use crate::harness::{Project, binary, gzip};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const COLUMNS: &str = "
    { name: id, logicalType: string, primaryKey: true, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }";

/// A process of `lavra` that goes on; it is killed with the value.
pub(super) struct Running {
    child: Child,
    log: std::path::PathBuf,
}

impl Running {
    pub(super) fn start(project: &Project, args: &[&str]) -> Self {
        let log = project.path(&format!("{}.log", fastrand::u64(..)));
        let file = std::fs::File::create(&log).expect("a log");
        let mut command = Command::new(binary());
        command.current_dir(project.path("")).args(args).stdout(Stdio::null()).stderr(file);
        Self { child: command.spawn().expect("a started process"), log }
    }

    pub(super) fn up(project: &Project) -> Self {
        Self::start(project, &["up", "--listen", "127.0.0.1:0"])
    }

    pub(super) fn worker(project: &Project, source: &str) -> Self {
        Self::start(project, &["worker", "--source", source, "--listen", "127.0.0.1:0"])
    }

    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().expect("kill");
        assert!(status.success(), "kill {name} {id}");
    }

    /// Asks for its end and waits for it; gives the exit code.
    pub(super) fn end(self) -> Option<i32> {
        self.signal("-TERM");
        self.ended()
    }

    /// Waits for its end; gives the exit code.
    pub(super) fn ended(mut self) -> Option<i32> {
        let ended = wait_for("its end", || self.child.try_wait().expect("a child to wait for"));
        ended.code()
    }

    pub(super) fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("its end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until there is something.
#[track_caller]
pub(super) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(90), "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(super) fn status(project: &Project) -> Value {
    let answer = project.lavra(&["status", "--format", "json"]);
    serde_json::from_str(&answer.stdout).unwrap_or_else(|e| panic!("a document ({e}): {answer:?}"))
}

/// A source in the status, of the process that has it.
pub(super) fn source(project: &Project, name: &str) -> Value {
    let status = status(project);
    let processes = status["processes"].as_array().cloned().unwrap_or_default();
    let all = processes
        .iter()
        .filter(|process| process["state"] != "dead")
        .flat_map(|process| process["sources"].as_array().cloned().unwrap_or_default());
    all.into_iter().find(|source| source["source"] == name && source["state"] != "elsewhere").unwrap_or_default()
}

#[track_caller]
pub(super) fn is_in(project: &Project, name: &str, state: &str) {
    wait_for(&format!("{name} {state}"), || (source(project, name)["state"] == state).then_some(()));
}

#[track_caller]
fn has_rows(project: &Project, name: &str, rows: u64) {
    wait_for(&format!("{rows} rows of {name}"), || (source(project, name)["rows_committed"] == rows).then_some(()));
}

fn project(name: &str) -> Project {
    let project = Project::new(name);
    project.source("orders", "data/*.csv", &["schedule: continuous"]).contract("orders", COLUMNS, &[]);
    project.model("silver.totals", "select count(*) as n, sum(amount) as amount from bronze.orders\n");
    let config = "project: shop\nup: { models_every: 1 second, retry_max: 2 seconds }\n";
    project.write("lavra.yaml", config);
    project
}

fn rows(from: u64, to: u64) -> String {
    (from..to).map(|id| format!("o{id},{id}.25\n")).collect()
}

fn get(address: &str, path: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(&format!("http://{address}{path}")).call().expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a body"))
}

#[test]
fn a_growing_folder_is_taken_in_and_refined_until_it_is_told_to_end() {
    let project = project("growing");
    project.write("data/1.csv", format!("id,amount\n{}", rows(0, 100)));
    let up = Running::up(&project);
    has_rows(&project, "orders", 100);
    project.write("data/2.csv", format!("id,amount\n{}broken\n", rows(100, 150)));
    has_rows(&project, "orders", 150);
    wait_for("the model", || (project.lines("select n from silver.totals") == ["150"]).then_some(()));
    is_in(&project, "orders", "idle");
    let found = source(&project, "orders");
    assert_eq!(
        (found["rows_quarantined"].as_u64(), found["lag"]["partitions"].as_u64()),
        (Some(1), Some(0)),
        "{found}"
    );
    let address = status(&project)["processes"][0]["address"].as_str().expect("an address").to_owned();
    assert_eq!(get(&address, "/healthz"), (200, "ok\n".into()));
    assert_eq!(get(&address, "/readyz"), (200, "ready\n".into()));
    let served: Value = serde_json::from_str(&get(&address, "/status").1).expect("a document");
    assert_eq!(served["sources"][0]["rows_committed"], 150);
    let metrics = get(&address, "/metrics").1;
    assert!(metrics.contains("lavra_source_rows_committed_total{source=\"orders\"} 150"), "{metrics}");
    assert!(metrics.contains("lavra_breaker_state{system=\"disk\",state=\"closed\"} 1"), "{metrics}");
    project.lavra(&["status"]).exits(0).says("orders").says("idle").says("closed");
    let said = up.said();
    assert_eq!(up.end(), Some(0), "{said}");
    project.lavra(&["status"]).exits(1).says("was stopped");
    project.lavra(&["run"]).exits(0).says("nothing new");
    assert_eq!(project.count("bronze.orders"), 150);
}

#[test]
fn kills_over_a_growing_folder_lose_nothing_and_double_nothing() {
    const KILLS: u32 = 12;
    let project = project("killed");
    project.source("lines", "lines/*.ndjson", &["schedule: continuous", "commit_every: 1 second"]);
    project.contract("lines", "{ name: n, logicalType: integer, physicalType: bigint, required: true }", &[]);
    let mut dice = fastrand::Rng::with_seed(20_261_125);
    // How long a process takes from its start to its first commit, on this machine now.
    let start = Instant::now();
    project.write("data/first.csv", format!("id,amount\n{}", rows(1_000_000, 1_000_020)));
    let up = Running::up(&project);
    has_rows(&project, "orders", 20);
    up.kill();
    let longest = u64::try_from(start.elapsed().as_millis()).expect("a short while") * 3 / 2;
    let (mut orders, mut lines) = (0, 0);
    let mut append = std::collections::BTreeMap::new();
    for kill in 0..KILLS {
        let up = Running::up(&project);
        let until = Instant::now() + Duration::from_millis(dice.u64(longest / 10..longest));
        while Instant::now() < until {
            project.write(&format!("data/.young-{orders}"), format!("id,amount\n{}", rows(orders, orders + 20)));
            let (young, old) = (format!("data/.young-{orders}"), format!("data/{orders}.csv"));
            std::fs::rename(project.path(&young), project.path(&old)).expect("a whole file");
            orders += 20;
            // A file that is written on, with a line that is not at its end.
            let text: &mut String = append.entry(kill / 4).or_default();
            text.push_str(&format!("{{\"n\":{lines}}}\n"));
            lines += 1;
            project.write(&format!("lines/{}.ndjson", kill / 4), format!("{text}{{\"n\":"));
            std::thread::sleep(Duration::from_millis(dice.u64(1..80)));
        }
        up.kill();
        // A line that stays unfinished for long is taken as it is.
        if let Some(text) = append.get(&(kill / 4)) {
            project.write(&format!("lines/{}.ndjson", kill / 4), text);
        }
    }
    for place in append.keys() {
        project.age(&format!("lines/{place}.ndjson"));
    }
    let up = Running::up(&project);
    let all = orders + 20;
    let asked = |sql: &str| project.lavra(&["query", "--format", "csv", sql]).stdout.lines().nth(1).map(str::to_owned);
    let count =
        |table: &str, key: &str| asked(&format!("select count(*) as n, count(distinct {key}) as d from {table}"));
    wait_for("all orders", || (count("bronze.orders", "id") == Some(format!("{all},{all}"))).then_some(()));
    wait_for("all lines", || (count("bronze.lines", "n") == Some(format!("{lines},{lines}"))).then_some(()));
    wait_for("the model", || (asked("select n from silver.totals") == Some(all.to_string())).then_some(()));
    assert_eq!(up.end(), Some(0));
    assert!(orders > 200 && lines > 10, "{orders} orders and {lines} lines came under {KILLS} kills");
    project.lavra(&["run"]).exits(0).says("nothing new");
}

#[test]
fn a_source_that_fails_holds_up_no_other_is_told_with_its_remedy_and_heals() {
    let project = project("failing");
    project.source("other", "other/*.csv.gz", &["schedule: continuous"]).contract("other", COLUMNS, &[]);
    project.write("other/1.csv.gz", b"\x1f\x8b\x08\x00 no gzip");
    project.write("data/1.csv", format!("id,amount\n{}", rows(0, 10)));
    let up = Running::up(&project);
    has_rows(&project, "orders", 10);
    is_in(&project, "other", "failed");
    project.lavra(&["status"]).exits(1).says("other/1.csv.gz").says("what was read before is safe");
    project.write("data/2.csv", format!("id,amount\n{}", rows(10, 20)));
    has_rows(&project, "orders", 20);
    project.write("other/1.csv.gz", gzip(format!("id,amount\n{}", rows(0, 7))));
    has_rows(&project, "other", 7);
    is_in(&project, "other", "idle");
    project.lavra(&["status"]).exits(0);
    assert!(up.said().contains("\"event\":\"source_recovered\",\"source\":\"other\""), "{}", up.said());
    assert_eq!(up.end(), Some(0));
}

#[test]
fn up_run_and_workers_agree_on_who_has_what() {
    let project = project("shared");
    project.source("by_hand", "hand/*.csv", &[]).contract("by_hand", COLUMNS, &[]);
    project.source("people", "people/*.csv", &["schedule: every 1 hour"]).contract("people", COLUMNS, &[]);
    project.write("data/1.csv", format!("id,amount\n{}", rows(0, 10)));
    project.write("hand/1.csv", format!("id,amount\n{}", rows(0, 5)));
    project.write("people/1.csv", format!("id,amount\n{}", rows(0, 3)));
    let up = Running::up(&project);
    has_rows(&project, "orders", 10);
    is_in(&project, "people", "waiting");
    let told = project.lavra(&["run"]).exits(1).says("at work on it").says("lavra up");
    assert!(told.stderr.contains("--exclude"), "{}", told.stderr);
    project.lavra(&["run", "by_hand"]).exits(0);
    assert_eq!(project.count("bronze.by_hand"), 5, "what nobody has can be run beside it");
    let worker = Running::start(&project, &["worker", "--source", "orders"]);
    wait_for("a worker that waits", || worker.said().contains("source_elsewhere").then_some(()));
    up.kill();
    project.write("data/2.csv", format!("id,amount\n{}", rows(10, 30)));
    wait_for("the worker to take over", || (project.count("bronze.orders") == 30).then_some(()));
    let up = Running::up(&project);
    wait_for("an up that leaves it", || up.said().contains("source_elsewhere").then_some(()));
    wait_for("the models of both", || (project.lines("select n from silver.totals") == ["30"]).then_some(()));
    project.write("data/3.csv", format!("id,amount\n{}", rows(30, 35)));
    wait_for("a commit of the worker", || (project.count("bronze.orders") == 35).then_some(()));
    wait_for("its models", || (project.lines("select n from silver.totals") == ["35"]).then_some(()));
    project.lavra(&["status"]).exits(0).says("lavra worker --source orders").says("lavra up");
    assert_eq!(worker.end(), Some(0));
    is_in(&project, "orders", "idle");
    assert_eq!(up.end(), Some(0));
}

/// Nobody tells the process that makes the model of commits of the other one.
#[test]
fn a_model_of_sources_of_two_processes_follows_both() {
    let project = project("two");
    project.source("people", "people/*.csv", &["schedule: continuous"]).contract("people", COLUMNS, &[]);
    project.model("silver.both", "select id from bronze.orders union all select id from bronze.people\n");
    project.write("data/1.csv", format!("id,amount\n{}", rows(0, 10)));
    project.write("people/1.csv", format!("id,amount\n{}", rows(0, 3)));
    project.run();
    let first = Running::start(&project, &["up", "orders", "--listen", "127.0.0.1:0"]);
    wait_for("who makes the model", || {
        let models = status(&project)["processes"][0]["models"].clone();
        models.as_array()?.iter().any(|model| model["model"] == "silver.both").then_some(())
    });
    let second = Running::start(&project, &["up", "people", "--listen", "127.0.0.1:0"]);
    is_in(&project, "people", "idle");
    project.write("people/2.csv", format!("id,amount\n{}", rows(3, 8)));
    has_rows(&project, "people", 5);
    wait_for("its rows in the model", || (project.count("silver.both") == 18).then_some(()));
    let looked_at = || {
        let processes = status(&project)["processes"].as_array().cloned().unwrap_or_default();
        let models = processes.iter().filter_map(|process| process["models"].as_array()).flatten();
        models.filter(|model| model["model"] == "silver.both").filter_map(|model| model["looked_at"].as_i64()).max()
    };
    wait_for("an end of looks at a model whose sources rest", || {
        let before = looked_at()?;
        std::thread::sleep(Duration::from_secs(3));
        (looked_at() == Some(before)).then_some(())
    });
    assert_eq!((first.end(), second.end()), (Some(0), Some(0)));
}

#[test]
fn calls_that_can_not_be_meant_are_told() {
    let project = Project::new("calls");
    project.source("orders", "data/*.csv", &[]).contract("orders", COLUMNS, &[]);
    project.lavra(&["up"]).exits(2).says("no source has a `schedule`");
    project.lavra(&["up", "ordres"]).exits(2).says("did you mean `orders`");
    project.lavra(&["worker", "--source", "x"]).exits(2).says("there is no source `x`");
    project.lavra(&["up", "orders", "--listen", "here"]).exits(2).says("127.0.0.1:7400");
    project.lavra(&["status"]).exits(1).says("nothing is at work");
    project.source("orders", "data/*.csv", &["schedule: 99 * * * *", "commit_every: soon"]);
    project.lavra(&["check"]).exits(2).says("`99` is no minute of cron").says("not a span of time");
}

#[test]
fn a_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let project = project("ill");
    project.write("data/1.csv", "id,amount\na,1.00\n");
    project.lavra(&["doctor"]).exits(0).says("can be written").says("1 file to read");
    let mode = |mode: &str| project.shell(&format!("chmod {mode} .lavra/keys.json")).exits(0);
    mode("644");
    let told = project.lavra(&["doctor", "--format", "json"]).exits(1).json();
    let findings = told["findings"].as_array().expect("findings");
    let bad: Vec<&Value> = findings.iter().filter(|finding| finding["grade"] == "bad").collect();
    assert_eq!(
        (bad.len(), bad[0]["subject"].as_str(), bad[0]["about"].as_str()),
        (1, Some("key file"), Some("project"))
    );
    assert!(bad[0]["remedy"].as_str().is_some_and(|remedy| remedy.contains("chmod 600")), "{told}");
    project.lavra(&["doctor", "orders"]).exits(0);
    mode("600");
    project.source("away", "s3://bucket/a.csv", &[]).contract("away", COLUMNS, &[]);
    let store = "project: shop\nenvironments: { local: { store: { aws_endpoint: 'http://127.0.0.1:9', aws_allow_http: 'true', \
                 aws_access_key_id: x, aws_secret_access_key: x, aws_region: x } } }\n";
    project.write("lavra.yaml", store);
    project.lavra(&["doctor", "away"]).exits(4).says("away");
    project.write("lavra.yaml", "project: shop\nenvironments: { local: { registry: 'http://127.0.0.1:9' } }\n");
    project.lavra(&["doctor"]).exits(4).says("registry");
    project.lavra(&["discover", "oracle://db/x"]).exits(2).says("lavra scan");
    project.lavra(&["discover", "db"]).exits(2).says("a connection is a URL");
}

/// Two sources of a store that misbehaves in each way that stores do, and one of a folder.
#[test]
fn a_store_in_trouble_is_left_alone_others_go_on_and_it_heals_by_itself() {
    let project = project("troubled");
    let store = Store::start();
    for name in ["one", "two"] {
        let path = format!("s3://raw/{name}/*.csv");
        project.source(name, &path, &["schedule: continuous"]).contract(name, COLUMNS, &[]);
    }
    project.write(
        "lavra.yaml",
        format!(
            "project: shop\nenvironments: {{ local: {{ store: {{ aws_endpoint: 'http://{}', aws_allow_http: 'true', \
             aws_access_key_id: x, aws_secret_access_key: x, aws_region: x }} }} }}\n\
             up: {{ models_every: 1 second, retry_max: 1 second, call_timeout: 2 seconds, breaker: {{ \
             minimum_number_of_calls: 4, wait_duration_in_open_state: 3 seconds, sliding_window_size: 20 seconds }} }}\n",
            store.address
        ),
    );
    let up = Running::up(&project);
    let (mut of_store, mut of_disk) = (0, 0);
    let moods = [Mood::Status(500), Mood::Status(429), Mood::Half, Mood::Slow, Mood::Gone];
    for (round, mood) in moods.into_iter().enumerate() {
        let body = |from: u64| format!("id,amount\n{}", rows(from, from + 50));
        store.put(&format!("one/{round}.csv"), body(of_store));
        store.put(&format!("two/{round}.csv"), body(of_store));
        of_store += 50;
        has_rows(&project, "one", of_store);
        store.is(mood);
        store.put(&format!("one/{round}-late.csv"), body(of_store));
        store.put(&format!("two/{round}-late.csv"), body(of_store));
        of_store += 50;
        let open = || status(&project)["processes"][0]["breakers"][&store.address]["state"] == "open";
        wait_for(&format!("an open breaker for {mood:?}"), || open().then_some(()));
        store.calls();
        project.write(&format!("data/{round}.csv"), body(of_disk));
        of_disk += 50;
        has_rows(&project, "orders", of_disk);
        project.lavra(&["status"]).exits(4).says("open (");
        store.is(Mood::Well);
        has_rows(&project, "one", of_store);
        has_rows(&project, "two", of_store);
    }
    wait_for("a closed breaker", || {
        (status(&project)["processes"][0]["breakers"][&store.address]["state"] == "closed").then_some(())
    });
    let said = up.said();
    for turn in ["\"from\":\"closed\",\"to\":\"open\"", "\"to\":\"half_open\"", "\"to\":\"closed\""] {
        assert!(said.contains(turn), "{turn}: {said}");
    }
    assert_eq!(up.end(), Some(0));
    for name in ["one", "two"] {
        assert_eq!(
            project.lines(&format!("select count(*) as n, count(distinct id) as d from bronze.{name}")),
            ["500,500"]
        );
    }
}

/// A person's request does not wait until somebody stops the process, and is not undone by it.
#[test]
fn it_makes_way_for_a_command_that_needs_the_project_alone_and_goes_on_with_what_is_new() {
    let project = Project::new("polite");
    project.write("lavra.yaml", "project: shop\nup: { models_every: 1 second }\n");
    let columns = "
    { name: id, logicalType: string, required: true }
    { name: cpf, logicalType: string, classification: personal.cpf,
        customProperties: [{ property: mask, value: pseudonym(person) }] }";
    project.source("people", "people/*.csv", &["schedule: continuous"]).contract("people", columns, &[]);
    let row = |id: &str, person: u64| format!("id,cpf\n{id},{}\n", crate::people::cpf(person));
    project.write("people/1.csv", row("a", 1));
    let up = Running::up(&project);
    has_rows(&project, "people", 1);
    project.lavra(&["keys", "rotate"]).exits(0);
    project.write("people/2.csv", row("b", 1)).write("people/3.csv", row("c", 2));
    has_rows(&project, "people", 2);
    let counts = project.lines("select count(*) as n, count(distinct cpf) as d from bronze.people");
    assert_eq!(counts, ["3,2"], "one person has one pseudonym, of the new key");
    let said = up.said();
    assert_eq!(said.matches("\"event\":\"started\"").count(), 2, "{said}");
    assert_eq!(up.end(), Some(0));
}

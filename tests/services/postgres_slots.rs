//! Publications and slots of PostgreSQL: what they may not leave out, whose they are, what they keep. Needs: postgres.

use super::harness::postgres::{CREATE, Database, ORDERS, fill, is_same, project};
use crate::harness::Project;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[test]
fn a_slot_beyond_its_budget_is_dropped_when_the_project_says_so() {
    let database = Database::alone();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let options = ["mode: cdc", "wal_budget: 40 MiB"];
    let project = project(&database, &options);
    project.run();
    let write = |mebibytes: u32| {
        for _ in 0..mebibytes {
            database.sql("select pg_logical_emit_message(false, 'fill', repeat('x', 1048576)) is null");
        }
    };
    write(35);
    project.lavra(&["run"]).exits(0).says("the budget is 40 MiB");
    write(45);
    database.source(&project, "orders", &[&["table: orders", "on_wal_budget: drop"], &options[..]].concat());
    project.lavra(&["run", "--retries", "0"]).exits(3).says("dropped the replication slot");
    assert_eq!(database.sql("select count(*) from pg_replication_slots where database = current_database()"), "0");
    project.lavra(&["run", "--retries", "0"]).exits(1).says("it is gone");
    project.lavra(&["doctor", "orders"]).exits(1).says("it is gone");
}

#[test]
fn a_table_or_a_publication_that_is_made_anew_is_no_more_what_was_followed() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let project = project(&database, &["mode: cdc", "publication: again"]);
    project.run();
    database.sql("drop table orders");
    database.sql(CREATE);
    database.sql("alter publication again add table orders; insert into orders values (20, 1, 'new', null)");
    project.lavra(&["run", "--retries", "0"]).exits(1).says("dropped and made anew");
    project.lavra(&["doctor", "orders"]).exits(1).says("dropped and made anew");
    assert_eq!(project.count("bronze.orders"), 10);
    database.source(&project, "other", &["table: orders", "mode: cdc", "publication: other"]);
    project.contract("other", ORDERS, &[]);
    project.run_with(&["other"]).exits(0);
    database.sql("drop publication other; insert into orders values (21, 1, 'new', null)");
    project.lavra(&["doctor", "other"]).exits(1).says("the publication was dropped");
    for _ in 0..2 {
        project.lavra(&["run", "other", "--retries", "0"]).exits(1).says("the publication was dropped");
    }
}

#[test]
fn a_publication_that_was_another_one_for_a_while_stops_its_source() {
    let database = Database::new();
    database.sql(CREATE);
    database.sql("create table beside (id int primary key)");
    fill(&database, 1, 10);
    let project = Project::new("shop");
    for name in ["away", "named", "kinds", "kept"] {
        database.source(&project, name, &["table: orders", "mode: cdc", &format!("publication: {name}")]);
        project.contract(name, ORDERS, &[]);
    }
    project.run();
    let run = |name: &str| project.lavra(&["run", name, "--retries", "0"]);
    let lost = "published by nothing";
    // Between two runs.
    database.sql("alter publication away drop table orders; insert into orders values (91, 1, 'lost', null)");
    database.sql("alter publication away add table orders; insert into orders values (92, 1, 'told', null)");
    run("away").exits(1).says(lost);
    project.lavra(&["doctor", "away"]).exits(1).says(lost);
    // Seen while it lasts, and still after its remedy.
    database.sql("alter publication named drop table orders; insert into orders values (93, 1, 'lost', null)");
    run("named").exits(2).says("ADD TABLE").says("taken anew");
    project.lavra(&["doctor", "named"]).exits(1).says("taken anew");
    database.sql("alter publication named add table orders");
    run("named").exits(1).says(lost);
    database.sql("alter publication kinds set (publish = 'insert'); delete from orders where id = 5");
    run("kinds").exits(2).says("SET (publish").says("taken anew");
    database.sql("alter publication kinds set (publish = 'insert, update, delete, truncate')");
    run("kinds").exits(1).says(lost);
    // What is done for another table is nothing to this one.
    database.sql("alter publication kept add table beside; insert into orders values (94, 1, 'told', null)");
    database.sql("vacuum (freeze) pg_publication; vacuum (freeze) pg_publication_rel");
    project.run_with(&["kept"]).exits(0);
    assert_eq!(project.lines("select id from bronze.kept where _op = 'c'"), ["91", "92", "93", "94"]);
}

#[test]
fn what_a_publication_leaves_out_is_told() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 10);
    database.sql("create publication narrow for table orders (id, amount)");
    let project = project(&database, &["mode: cdc", "publication: narrow"]);
    project.lavra(&["run", "--retries", "0"]).exits(2).says("`note`, `at`").says("column list");
    project.lavra(&["doctor", "orders"]).exits(1).says("column list");
    let slots = "select count(*) from pg_replication_slots where database = current_database()";
    assert_eq!(database.sql(slots), "0", "no slot keeps the log for what can't be followed");
    database.sql("drop publication narrow; create publication narrow for table orders where (id < 1000)");
    project.lavra(&["run"]).exits(0).says("id < 1000");
    project.lavra(&["doctor", "orders"]).exits(0).says("id < 1000");
}

#[test]
fn a_slot_that_another_copy_of_the_project_may_read_is_told() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 10);
    project(&database, &["mode: cdc"]).run();
    let copy = project(&database, &["mode: cdc"]);
    copy.lavra(&["doctor", "orders"]).exits(0).says("a `slot` of its own");
    copy.lavra(&["run"]).exits(0).says("a `slot` of its own");
    is_same(&copy, &database);
    copy.lavra(&["doctor", "orders"]).exits(0).says("MiB of the server's log");
}

/// Two environments of one project follow the same table side by side.
#[test]
fn environments_have_slots_of_their_own() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let project = project(&database, &["mode: cdc"]);
    project.write("lavra.yaml", "project: shop\nenvironments:\n  local: {}\n  dev: { lake: lake_dev }\n");
    for amount in [1, 2, 3] {
        database.sql(&format!("update orders set amount = {amount}"));
        for env in ["local", "dev"] {
            project.lavra(&["run", "--quiet", "--env", env]).exits(0);
        }
    }
    assert_eq!(database.sql("select count(*) from pg_replication_slots where database = current_database()"), "2");
}

#[test]
fn a_table_that_rests_does_not_hold_the_log() {
    let database = Database::alone();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let project = project(&database, &["mode: cdc"]);
    project.run();
    for _ in 0..20 {
        database.sql("select pg_logical_emit_message(false, 'fill', repeat('x', 1048576)) is null");
    }
    project.run();
    let kept = "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) < 1000000 from pg_replication_slots
        where database = current_database()";
    assert_eq!(database.sql(kept), "t");
    assert_eq!(project.run()["nodes"][0]["status"], "up_to_date");
}

/// What was written under an identity without the contract's key stays in the log as it was written.
#[test]
fn changes_of_before_an_identity_was_mended_stop_their_source() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let project = project(&database, &["mode: cdc"]);
    project.run();
    database.sql(
        "alter table orders drop constraint orders_pkey; alter table orders alter amount set not null;
         alter table orders add primary key (amount); delete from orders where id in (2, 3)",
    );
    let run = || project.lavra(&["run", "--retries", "0"]);
    run().exits(2).says("do not tell the old value of `id`").says("taken anew");
    project.lavra(&["doctor", "orders"]).exits(1).says("old value of `id`");
    database.sql("alter table orders replica identity full");
    for _ in 0..2 {
        run().exits(1).says("did not tell `id`").says("taken anew");
    }
    assert_eq!(project.count("bronze.orders"), 10, "nothing of it is taken, nor set aside");
}

#[test]
fn an_identity_that_is_not_the_key_is_told_before_the_first_run() {
    let database = Database::new();
    database.sql(
        "create table orders (id bigint primary key, amount numeric(12,2) not null unique, note text, at timestamptz);
         alter table orders replica identity nothing",
    );
    let project = project(&database, &["mode: cdc"]);
    let both = |said: &str| {
        project.lavra(&["doctor", "orders"]).exits(1).says(said);
        project.lavra(&["run", "--retries", "0"]).exits(2).says(said);
    };
    both("REPLICA IDENTITY names no column");
    database.sql("alter table orders replica identity using index orders_amount_key");
    both("old value of `id`");
    database.sql("alter table orders replica identity default");
    project.run();
}

// ---- transactions that are open while a slot is made

/// A session that does what it is told, and stays.
struct Session<'a> {
    name: &'a str,
    database: &'a Database,
    process: Child,
}

impl<'a> Session<'a> {
    /// In a transaction that has a number. It waits for no standby.
    fn begin(database: &'a Database, name: &'a str) -> Self {
        let mut psql = database.psql(&database.name);
        let psql = psql.env("PGAPPNAME", name).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut session = Self { name, database, process: psql.spawn().expect("psql") };
        session.says("set synchronous_commit = local; begin; select pg_current_xact_id();");
        session.is("state = 'idle in transaction' and backend_xid is not null");
        session
    }

    fn says(&mut self, sql: &str) {
        writeln!(self.process.stdin.as_mut().expect("its input"), "{sql}").expect("a line");
    }

    #[track_caller]
    fn is(&self, what: &str) {
        until(self.database, &format!("from pg_stat_activity where application_name = '{}' and {what}", self.name));
    }

    /// Ends it.
    fn commits(mut self) {
        self.says("commit;");
        drop(self.process.stdin.take());
        assert!(self.process.wait().expect("its end").success());
    }
}

/// Waits until there is such a row.
#[track_caller]
fn until(database: &Database, from: &str) {
    for _ in 0..300 {
        if database.sql(&format!("select count(*) > 0 {from}")) == "t" {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("there is none {from}");
}

/// Waiting for them is no waiting for a lock, which has a limit of its own.
#[test]
fn a_transaction_that_is_open_for_long_is_waited_for_where_a_slot_is_made() {
    let database = Database::alone();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let project = project(&database, &["mode: cdc"]);
    let open = Session::begin(&database, "open");
    std::thread::scope(|scope| {
        let run = scope.spawn(|| project.lavra(&["run", "--retries", "0"]).exits(0));
        std::thread::sleep(Duration::from_secs(33));
        assert!(!run.is_finished(), "it waits");
        open.commits();
        run.join().expect("a run");
    });
    is_same(&project, &database);
}

/// It is in the log before the slot begins, and its row is not seen before a standby has it.
#[test]
fn a_commit_that_waits_for_its_standby_while_the_slot_is_made_is_not_missed() {
    let database = Database::alone();
    database.sql(CREATE);
    fill(&database, 1, 10);
    database.sql("create publication kept for table orders");
    let project = project(&database, &["mode: cdc", "publication: kept"]);
    database.sql("alter system set synchronous_standby_names = 'nobody'");
    database.sql("select pg_reload_conf()");
    until(&database, "from pg_settings where name = 'synchronous_standby_names' and setting = 'nobody'");
    let waits_for = |name: &str| {
        until(
            &database,
            &format!(
                "from pg_locks l join pg_stat_activity a on a.backend_xid = l.transactionid
                 where not l.granted and a.application_name = '{name}'"
            ),
        );
    };
    std::thread::scope(|scope| {
        let first = Session::begin(&database, "first");
        let run = scope.spawn(|| project.lavra(&["run", "--retries", "0"]).exits(0));
        waits_for("first");
        let second = Session::begin(&database, "second");
        first.commits();
        // From here on the slot knows of all commits, and what is open now is not in it.
        waits_for("second");
        let late = scope.spawn(|| fill(&database, 20, 20));
        until(&database, "from pg_stat_activity where wait_event = 'SyncRep'");
        second.commits();
        until(&database, "from pg_replication_slots where confirmed_flush_lsn is not null");
        std::thread::sleep(Duration::from_secs(3));
        database.sql("alter system reset synchronous_standby_names");
        database.sql("select pg_reload_conf()");
        late.join().expect("a commit");
        run.join().expect("a run");
    });
    project.run();
    is_same(&project, &database);
}

// ---- servers that take the place of others

/// A server of a test's own that is stopped and started again by hand. It ends with the value, which must outlive its database.
struct Again {
    programs: String,
    data: String,
    settings: String,
    process: Option<Child>,
}

impl Again {
    fn of(database: &Database) -> Self {
        let [programs, data, settings] = [
            "select setting from pg_config where name = 'BINDIR'",
            "select current_setting('data_directory')",
            "select current_setting('config_file')",
        ]
        .map(|sql| database.sql(sql));
        Self { programs, data, settings, process: None }
    }

    /// A program of the server's, by whom the files belong to.
    fn program(&self, name: &str) -> Command {
        let path = format!("{}/{name}", self.programs);
        let id = Command::new("id").arg("-u").output().expect("id");
        let mut command = Command::new(if id.stdout == b"0\n" { "setpriv" } else { &path });
        if id.stdout == b"0\n" {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", &path]);
        }
        command.args(["-D", &self.data]).current_dir("/").stdin(Stdio::null());
        command
    }

    fn stop(&mut self) {
        done(self.program("pg_ctl").args(["stop", "-w", "-m", "fast"]));
        if let Some(mut process) = self.process.take() {
            process.wait().expect("its end");
        }
    }

    fn start(&mut self, database: &Database) {
        let mut server = self.program("postgres");
        server.args(["-c", &format!("config_file={}", self.settings), "-p", database.port()]);
        self.process = Some(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a server"));
        for _ in 0..300 {
            let mut asks = database.psql(&database.name);
            if asks.args(["-c", "select 1"]).output().expect("psql").status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("it does not answer");
    }

    /// As a standby takes over from a server that is gone.
    fn promote(&mut self, database: &Database) {
        self.stop();
        // Who owns the folder owns the file.
        let (version, signal) = (format!("{}/PG_VERSION", self.data), format!("{}/standby.signal", self.data));
        done(Command::new("cp").args(["-a", &version, &signal]));
        self.start(database);
        assert_eq!(database.sql("select pg_is_in_recovery(), pg_promote()"), "t|t");
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let told = Command::new("kill").args(["-QUIT", &process.id().to_string()]).status();
            let ended = told.and_then(|_| process.wait());
            assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
        }
    }
}

#[track_caller]
fn done(command: &mut Command) {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_standby_that_takes_over_with_all_of_the_log_is_followed() {
    let mut server;
    let database = Database::alone();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let project = project(&database, &["mode: cdc"]);
    project.run();
    server = Again::of(&database);
    for last in [20, 30] {
        fill(&database, last - 9, last - 5);
        project.run();
        server.promote(&database);
        fill(&database, last - 4, last);
        project.run();
        is_same(&project, &database);
    }
    project.lavra(&["doctor", "orders"]).exits(0);
}

#[test]
fn a_server_that_went_back_is_not_followed() {
    let mut server;
    let database = Database::alone();
    database.sql(CREATE);
    fill(&database, 1, 10);
    let project = project(&database, &["mode: cdc"]);
    project.run();
    server = Again::of(&database);
    let older = format!("{}.older", server.data);
    server.stop();
    done(Command::new("cp").args(["-a", &server.data, &older]));
    server.start(&database);
    fill(&database, 11, 5000);
    project.run();
    // The disk of before is put back.
    server.stop();
    done(Command::new("rm").args(["-r", &server.data]));
    done(Command::new("mv").args([&older, &server.data]));
    server.start(&database);
    let run = || project.lavra(&["run", "--retries", "0"]);
    for _ in 0..2 {
        run().exits(1).says("went back").says("taken anew");
    }
    project.lavra(&["doctor", "orders"]).exits(1).says("went back");
    project.lavra(&["plan"]).exits(1).says("went back");
    // A standby of it takes over, and by now its log is as long.
    server.promote(&database);
    fill(&database, 6000, 20_000);
    for _ in 0..2 {
        run().exits(1).says("lost in the failover").says("taken anew");
    }
    assert_eq!(project.count("bronze.orders"), 5000, "nothing of it is taken");
}

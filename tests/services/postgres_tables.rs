//! Which table of PostgreSQL is read, with which rights, and over a way that falls silent. Needs: postgres.

use super::harness::opened::{entity, open, opening, rows, text};
use super::harness::postgres::{CREATE, Database, ORDERS, fill};
use super::harness::proxy::Proxy;
use crate::harness::Project;
use kernel::source::Source;
use kernel::{Kind, Positions, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn a_grant_on_a_partitioned_table_is_enough() {
    let database = Database::new();
    let user = database.name.clone();
    database.sql(&format!(
        "create table parted (id bigint primary key, note text) partition by range (id);
         create table parted_a partition of parted for values from (0) to (100);
         create table parted_b partition of parted for values from (100) to (1000);
         insert into parted select n, 'note ' || n from generate_series(1, 200) n;
         create publication parted for table parted with (publish_via_partition_root = true);
         create role {user} login replication password 'first'; grant select on parted, parted_b to {user}"
    ));
    let project = Project::new("shop");
    for (name, mode) in [("once", "snapshot"), ("parted", "cdc\npublication: parted")] {
        let url = database.url(&user, "first");
        let source = format!("connector: postgres\nconnection: {url}\ntable: parted\nmode: {mode}\n");
        project.write(&format!("sources/{name}.yaml"), source);
        let columns = "
    { name: id, logicalType: integer, physicalType: bigint, primaryKey: true, required: true }
    { name: note, logicalType: string }";
        project.contract(name, columns, &[]);
    }
    for name in ["once", "parted"] {
        project.lavra(&["doctor", name]).exits(0).says("in one piece").says("parted_a");
    }
    project.lavra(&["doctor", "parted"]).exits(0).says("is truncated");
    project.run();
    database.sql(&format!(
        "insert into parted values (201, 'new'); update parted set note = 'other' where id = 7; grant select on parted_a to {user}"
    ));
    project.run();
    assert_eq!(project.count("bronze.once"), 200, "a right that came later takes nothing twice");
    let told = project.lines("select id, note, _op from bronze.parted where _op <> 'r'");
    assert_eq!(told, ["201,new,c", "7,other,u"]);
    assert_eq!(project.count("bronze.parted"), 202);
    database.sql(&format!("drop owned by {user}; drop role {user}"));
}

/// The numbers of the rows that the changes come to, from here to the end of what there is.
async fn left(source: &mut dyn Source, ids: &mut BTreeSet<i64>) {
    while let Some(pulled) = source.next(1 << 20).await.expect("rows") {
        let batch = rows(pulled);
        for row in 0..batch.num_rows() {
            let id = text(&batch, "id", row).parse().expect("a number");
            match text(&batch, "_op", row).as_str() {
                "d" => ids.remove(&id),
                _ => ids.insert(id),
            };
        }
    }
}

/// Rows that were not read yet move in front of those that were, and no change tells of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_written_anew_while_it_is_read_loses_no_row() {
    for anew in ["vacuum full t", "cluster t using t_pkey", "alter table t alter note type varchar(300)"] {
        let database = Database::new();
        database.sql(
            "create table t (id bigint primary key, note text);
             insert into t select n, repeat('x', 100) from generate_series(1, 20000) n",
        );
        let given = json!({ "connection": database.own_url(), "table": "t", "mode": "cdc", "parallel": 1, "batch_rows_max": 3000 });
        let entity = entity(&["id"], &["id"]);
        let mut source = open("postgres", &given, &entity, Positions::new()).await;
        let first = source.next(1 << 20).await.expect("rows").expect("the first of them");
        let (upto, mut ids) = (first.upto.clone(), (1..=first.rows.num_rows() as i64).collect::<BTreeSet<i64>>());
        drop(source);
        database.sql("delete from t where id <= 2500");
        database.sql(anew);
        let mut source = open("postgres", &given, &entity, upto).await;
        left(&mut *source, &mut ids).await;
        assert_eq!(ids, (2501..=20_000).collect(), "{anew}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_written_anew_before_its_turn_is_read_as_it_is_then() {
    let database = Database::new();
    database.sql(
        "create table t (id bigint primary key, note text) partition by range (id);
         create table t_a partition of t for values from (0) to (20001);
         create table t_b partition of t for values from (20001) to (100000);
         insert into t select n, repeat('x', 100) from generate_series(1, 40000) n",
    );
    let given =
        json!({ "connection": database.own_url(), "table": "t", "mode": "cdc", "parallel": 1, "batch_rows_max": 3000 });
    let entity = entity(&["id"], &["id"]);
    let mut source = open("postgres", &given, &entity, Positions::new()).await;
    let first = source.next(1 << 20).await.expect("rows").expect("the first of them");
    let mut ids: BTreeSet<i64> = (1..=first.rows.num_rows() as i64).collect();
    database.sql("delete from t where id between 20001 and 22500");
    database.sql("vacuum full t_b");
    left(&mut *source, &mut ids).await;
    assert_eq!(ids, (1..=20_000).chain(22_501..=40_000).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_rests_is_not_ended_by_the_servers_own_limit() {
    let database = Database::new();
    database.sql(&format!("alter database {} set idle_session_timeout = '500ms'", database.name));
    database.sql("create table t (id bigint primary key, note text); insert into t values (1, 'one')");
    let given = json!({ "connection": database.own_url(), "table": "t", "mode": "cdc" });
    let mut source = open("postgres", &given, &entity(&["id"], &["id"]), Positions::new()).await;
    let mut ids = BTreeSet::new();
    for id in [1, 2] {
        left(&mut *source, &mut ids).await;
        assert!(ids.contains(&id), "{ids:?}");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        database.sql(&format!("insert into t values ({id} + 1, 'more')"));
    }
    left(&mut *source, &mut ids).await;
    assert_eq!(ids, BTreeSet::from([1, 2, 3]));
}

/// Columns that an index has beside its key are no part of it.
#[test]
fn what_an_index_includes_is_no_key() {
    let database = Database::new();
    database.sql(
        "create table items (id bigint, status text, note text, primary key (id) include (status));
         insert into items select n, 'new', 'n' from generate_series(1, 10) n",
    );
    let project = Project::new("shop");
    let found = ["--write", "--table", "public.items", "--set", "mode=cdc"];
    project.lavra(&[&["discover", &database.own_url()], &found[..]].concat()).exits(0);
    let (source, file) = (project.read("sources/items.yaml"), "sources/items.yaml");
    let (before, rest) = source.split_once("${").expect("a variable for the password");
    let (_, after) = rest.split_once('}').expect("its end");
    project.write(file, format!("{before}postgres{after}"));
    project.run();
    database.sql("update items set status = 'old' where id = 1; delete from items where id = 2");
    project.run();
    assert_eq!(project.lines("select id, _op from bronze.items where _op <> 'r'"), ["1,u", "2,d"]);
}

#[test]
fn another_table_stops_its_source_and_one_with_another_name_goes_on() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 10);
    database.sql("create table others (like orders including all); insert into others select * from orders");
    let project = Project::new("shop");
    let modes = [
        ("once", vec!["mode: snapshot"]),
        ("fresh", vec!["mode: incremental", "cursor: at"]),
        ("every", vec!["mode: cdc"]),
    ];
    let name = |table: &str| {
        for (source, options) in &modes {
            database.source(&project, source, &[&[&*format!("table: {table}")], &options[..]].concat());
        }
    };
    name("orders");
    for (source, _) in &modes {
        project.contract(source, ORDERS, &[]);
    }
    project.run();
    name("others");
    for (source, _) in &modes {
        project.lavra(&["run", source, "--retries", "0"]).exits(2).says("rows of public.orders");
        project.lavra(&["doctor", source]).exits(1).says("rows of public.orders");
        assert_eq!(project.count(&format!("bronze.{source}")), 10);
    }
    database.sql("insert into orders values (20, 1, 'before', null); alter table orders rename to renamed");
    database.sql("insert into renamed values (21, 1, 'after', null)");
    name("renamed");
    project.run_with(&["every"]).exits(0);
    assert_eq!(project.lines("select id from bronze.every where _op = 'c'"), ["20", "21"]);
    project.lavra(&["run", "once", "--retries", "0"]).exits(2).says("rows of public.orders");
}

#[test]
fn rows_of_children_by_inheritance_are_theirs_and_that_is_told() {
    let database = Database::new();
    database.sql(CREATE);
    fill(&database, 1, 10);
    database
        .sql("create table kids () inherits (orders); insert into kids values (1, 1, 'of the child', '2026-07-01')");
    let project = Project::new("shop");
    let modes = [
        ("once", vec!["mode: snapshot"]),
        ("fresh", vec!["mode: incremental", "cursor: at"]),
        ("every", vec!["mode: cdc"]),
    ];
    for (source, options) in &modes {
        database.source(&project, source, &[&["table: orders"], &options[..]].concat());
        project.contract(source, ORDERS, &[]);
        project.lavra(&["doctor", source]).exits(0).says("children by inheritance");
        project.lavra(&["run", source]).exits(0).says("children by inheritance");
    }
    database
        .sql("insert into kids values (2, 1, 'of the child', '2027-07-01'); update orders set note = 'x' where id < 3");
    project.run();
    for (source, _) in &modes {
        assert_eq!(
            project.lines(&format!("select id from bronze.{source} where note = 'of the child'")),
            Vec::<String>::new()
        );
    }
}

#[test]
fn rights_that_are_missing_are_told_with_what_gives_them() {
    let database = Database::new();
    let user = database.name.clone();
    database.sql(&format!(
        "create role {user} login password 'first'; create schema hidden; create table hidden.orders (id bigint primary key);
         create table guarded (id bigint primary key); alter table guarded enable row level security;
         grant select on hidden.orders, guarded to {user}"
    ));
    let project = Project::new("shop");
    for (name, table, remedy) in
        [("hidden", "hidden.orders", "GRANT USAGE ON SCHEMA"), ("guarded", "guarded", "BYPASSRLS")]
    {
        let url = database.url(&user, "first");
        project.write(
            &format!("sources/{name}.yaml"),
            format!("connector: postgres\nconnection: {url}\ntable: {table}\n"),
        );
        project.contract(name, "\n    { name: id, logicalType: integer, physicalType: bigint }", &[]);
        project.lavra(&["doctor", name]).exits(1).says(remedy);
        project.lavra(&["run", name, "--retries", "0"]).exits(3).says("lavra doctor");
    }
    database.sql(&format!("drop owned by {user}; drop role {user}"));
}

/// A source, and the way to its server.
struct Over {
    proxy: Proxy,
    options: Value,
    from: Positions,
    source: Option<Box<dyn Source>>,
    rows: usize,
}

impl Over {
    fn new(database: &Database, sslmode: &str, more: Value) -> Self {
        let proxy = Proxy::to(&format!("127.0.0.1:{}", database.port()));
        let connection = format!("postgres://postgres:postgres@{}/{}?sslmode={sslmode}", proxy.address, database.name);
        let mut options =
            json!({ "connection": connection, "table": "orders", "timeout_ms": 1000, "batch_rows_max": 1000 });
        options.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        Self { proxy, options, from: Positions::new(), source: None, rows: 0 }
    }

    /// To the end or to an error, from where it was.
    async fn read(&mut self) -> Result<()> {
        let source = match &mut self.source {
            Some(source) => source,
            None => {
                let spec = connect::by_name("postgres").expect("the connector");
                let opening = opening(&self.options, &entity(&[], &[]), self.from.clone());
                self.source.insert(spec.open(opening).await?)
            }
        };
        while let Some(pulled) = source.next(1 << 20).await? {
            self.rows += pulled.rows.num_rows();
            self.from.advance(&pulled.upto);
        }
        Ok(())
    }

    async fn in_time(&mut self) -> Result<()> {
        tokio::time::timeout(Duration::from_secs(60), self.read()).await.expect("an end in time")
    }

    /// Reads while the way falls silent after so many bytes, and then over the mended one; tells whether it was silent.
    async fn falls_silent(&mut self, case: &str, bytes: u64, rows: usize) -> bool {
        let case = format!("{case}, silent after {bytes} bytes");
        self.rows = 0;
        self.proxy.silent_after(bytes);
        let told = self.in_time().await.err();
        if let Some(told) = &told {
            let shown = told.to_string();
            assert!(self.proxy.is_silent(), "{case}, behind {} rows: {shown}", self.rows);
            assert_eq!(told.kind, Kind::Unreachable, "{case}: {shown}");
            // The server lets go of one whom it does not hear for as long, too.
            assert!(shown.contains("`timeout_ms`") || shown.contains("closed the connection"), "{case}: {shown}");
            is_let_go(&self.proxy, &case).await;
            // The same source goes on, and so does another one.
            if bytes.is_multiple_of(2) {
                self.source = None;
            }
            self.proxy.mend();
            if let Err(error) = self.in_time().await {
                panic!("{case}, and mended: {error}");
            }
        }
        self.proxy.mend();
        assert_eq!(self.rows, rows, "{case}");
        self.source = None;
        is_let_go(&self.proxy, &case).await;
        told.is_some()
    }
}

async fn is_let_go(proxy: &Proxy, case: &str) {
    for _ in 0..100 {
        if proxy.held() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(proxy.held(), 0, "{case}: no connection is kept");
}

/// From the first word on, through what is asked before the first row, and into the rows: about so many bytes, as a power of 2.
const SILENT_AT: [u32; 6] = [9, 11, 12, 13, 15, 19];

/// All of them at once, each by its own way.
async fn fall_silent(all: Vec<Over>, dice: &mut fastrand::Rng, case: &str, rows: usize) -> Vec<Over> {
    let read = |(mut over, power): (Over, u32)| {
        let (case, bytes) = (case.to_owned(), dice.u64(1 << (power - 1)..1 << power));
        tokio::spawn(async move {
            let was_silent = over.falls_silent(&case, bytes, rows).await;
            (over, was_silent)
        })
    };
    let running: Vec<_> = all.into_iter().zip(SILENT_AT).map(read).collect();
    let (mut done, mut silent) = (Vec::new(), 0);
    for one in running {
        let (over, was_silent) = one.await.expect("a read");
        done.push(over);
        silent += usize::from(was_silent);
    }
    assert!(silent > 4, "{case}: {silent} of them fell silent");
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_is_told_in_time_whatever_it_was_asked() {
    const ROWS: u32 = 24_000;
    // On a server of its own, so that no transaction of another test is waited for.
    let database = Database::alone();
    // Blocks enough for two ranges.
    database.sql(&format!("{CREATE} with (fillfactor = 10)"));
    fill(&database, 1, ROWS);
    let mut dice = fastrand::Rng::with_seed(20_261_127);
    let over = |number: usize, mode: &str| {
        let more = match mode {
            "snapshot" => json!({}),
            "incremental" => json!({ "mode": mode, "cursor": "at" }),
            _ => json!({ "mode": mode, "slot": format!("silent_{number}"), "publication": format!("silent_{number}") }),
        };
        Over::new(&database, if number.is_multiple_of(2) { "disable" } else { "require" }, more)
    };
    let ways = |mode: &str| (0..SILENT_AT.len()).map(|number| over(number, mode)).collect::<Vec<_>>();
    for mode in ["snapshot", "incremental"] {
        fall_silent(ways(mode), &mut dice, mode, ROWS as usize).await;
    }
    let followed = fall_silent(ways("cdc"), &mut dice, "the table of cdc", ROWS as usize).await;
    database.sql("update orders set amount = amount + 1 where id <= 6000");
    fall_silent(followed, &mut dice, "changes", 6000).await;
}

#[tokio::test]
async fn who_looks_at_a_server_that_is_silent_is_told_in_time() {
    let database = Database::new();
    database.sql(CREATE);
    let over = Over::new(&database, "disable", json!({ "mode": "cdc" }));
    let spec = connect::by_name("postgres").expect("the connector");
    let opening = opening(&over.options, &entity(&[], &[]), Positions::new());
    let patience = Duration::from_secs(60);
    // In the greeting, and in what is asked then.
    for bytes in [500, 2500] {
        over.proxy.silent_after(bytes);
        let found = tokio::time::timeout(patience, spec.probe(&opening)).await.expect("an end in time");
        let shown = format!("{found:?}");
        assert!(shown.contains("`timeout_ms`") && over.proxy.is_silent(), "{bytes}: {shown}");
        over.proxy.silent_after(bytes);
        let discover = spec.discover.expect("it discovers");
        let told = tokio::time::timeout(patience, discover(&opening)).await.expect("an end in time");
        let told = told.expect_err("silence");
        assert!(told.kind == Kind::Unreachable && told.to_string().contains("`timeout_ms`"), "{bytes}: {told}");
        is_let_go(&over.proxy, "a look").await;
    }
}

#[tokio::test]
async fn a_query_may_take_longer_before_its_first_row_than_between_two() {
    let database = Database::new();
    database.sql(
        "create table one (id int primary key); insert into one values (1);
         create view slow as select id, (pg_sleep(6) is null)::text as slept from one",
    );
    let read = async |timeout_ms: u64| {
        let mut over = Over::new(&database, "disable", json!({ "table": "slow", "timeout_ms": timeout_ms }));
        over.in_time().await.map(|()| over.rows)
    };
    assert_eq!(read(1000).await.expect("rows"), 1);
    let told = read(500).await.expect_err("silence").to_string();
    assert!(told.contains("10 times as long as `timeout_ms`"), "{told}");
}

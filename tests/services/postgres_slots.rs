//! Publications and slots of PostgreSQL: what they may not leave out, whose they are, what they keep. Needs: postgres.

use super::harness::postgres::{CREATE, Database, ORDERS, fill, is_same, project};
use crate::harness::Project;

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

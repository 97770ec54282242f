//! Which table of PostgreSQL is read, and with which rights. Needs: postgres.

use super::harness::postgres::{CREATE, Database, ORDERS, fill};
use crate::harness::Project;

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

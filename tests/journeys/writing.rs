//! Each way of writing: what three runs make of files that come one by one is what one run makes of all of them.

use crate::harness::{Project, node};

const COLUMNS: &str = "
    { name: id, logicalType: string, required: true }
    { name: amount, logicalType: number, physicalType: 'decimal(12,2)' }
    { name: status, logicalType: string }
    { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)', required: true }";

/// New rows, changed rows, late rows, and rows that come again as they were.
pub(super) const FILES: [&str; 3] = [
    "id,amount,status,at\na,1.00,new,2026-07-01T10:00:00Z\nb,2.00,new,2026-07-01T11:00:00Z\nc,3.00,new,2026-07-02T10:00:00Z\n",
    "id,amount,status,at\na,1.50,paid,2026-07-02T12:00:00Z\nd,4.00,new,2026-07-03T10:00:00Z\nc,3.00,new,2026-07-03T11:00:00Z\n",
    "id,amount,status,at\nb,2.00,lost,2026-07-04T10:00:00Z\ne,5.00,new,2026-07-01T23:00:00Z\na,1.50,new,2026-07-05T10:00:00Z\n",
];

pub(super) const LATEST: &str = "select id, amount, status, at from (
    select *, row_number() over (partition by id order by at desc) as place from bronze.orders) where place = 1\n";

pub(super) fn project(model: &str) -> Project {
    let project = Project::new("writing");
    project.source("orders", "data/*.csv", &[]).contract("orders", COLUMNS, &[]);
    project.model("silver.made", model);
    project
}

pub(super) fn content(project: &Project) -> Vec<String> {
    project.lines("select * from silver.made")
}

/// Lets the files come one by one, and all at once in another project, and holds the results against each other.
pub(super) fn comes_to_the_same(model: &str) -> (Project, Vec<String>) {
    let (slow, quick) = (project(model), project(model));
    for (place, file) in FILES.iter().enumerate() {
        slow.write(&format!("data/{place}.csv"), file);
        quick.write(&format!("data/{place}.csv"), file);
        assert_eq!(node(&slow.run(), "silver.made")["status"], "done");
        assert_eq!(node(&slow.run(), "silver.made")["status"], "up_to_date", "nothing new makes no version");
    }
    quick.run();
    let made = content(&slow);
    assert_eq!(made, content(&quick), "one by one is as all at once");
    slow.run_with(&["--full-refresh"]).exits(0);
    assert_eq!(made, content(&slow), "made anew it is the same");
    (slow, made)
}

#[test]
fn overwrite() {
    let (_, made) = comes_to_the_same(&format!("-- write: overwrite\n{LATEST}"));
    assert_eq!(made.len(), 5);
}

#[test]
fn append() {
    let (project, made) = comes_to_the_same(
        "-- write: append\nselect id, amount * 2 as twice, at from bronze.orders where status <> 'lost'\n",
    );
    assert_eq!(made.len(), 8);
    project.write("data/9.csv", "id,amount,status,at\nz,9.00,new,2026-07-09T10:00:00Z\n");
    let run = project.run();
    assert_eq!(node(&run, "silver.made")["report"]["rows_written"], 1, "new rows alone are written");
}

#[test]
fn append_refuses_what_needs_old_rows() {
    let project = project(
        "-- write: append\nselect status, cast(count(*) as bigint) as orders from bronze.orders group by status\n",
    );
    project.write("data/0.csv", FILES[0]);
    project.run();
    project.write("data/1.csv", FILES[1]);
    project.run_with(&[]).exits(2).says("merge");
    assert_eq!(content(&project), ["new,3"], "what stood stays");
}

#[test]
fn merge() {
    let (project, made) = comes_to_the_same(&format!("-- write: merge\n-- key: [id]\n{LATEST}"));
    assert_eq!(made[..2], ["a,1.50,new,2026-07-05T10:00:00Z", "b,2.00,lost,2026-07-04T10:00:00Z"]);
    project.write(
        "data/9.csv",
        "id,amount,status,at\na,1.50,gone,2026-07-09T10:00:00Z\nz,1.00,new,2026-07-09T10:00:00Z\n",
    );
    let run = project.run();
    assert!(node(&run, "silver.made")["report"]["files_removed"].as_u64() > Some(0), "{run}");
    assert_eq!(project.lines("select status from silver.made where id in ('a', 'z')"), ["gone", "new"]);
}

#[test]
fn merge_by_two_columns_one_of_them_null_nowhere() {
    let (_, made) = comes_to_the_same(
        "-- write: merge\n-- key: [status, day]\n\
         select status, cast(at as date) as day, sum(amount) as amount from bronze.orders group by 1, 2\n",
    );
    assert_eq!(made.len(), 6);
}

#[test]
fn merge_refuses_a_key_that_comes_twice() {
    let project = project("-- write: merge\n-- key: [id]\nselect id, status from bronze.orders\n");
    project.write("data/0.csv", FILES[0]);
    project.run();
    project.write("data/1.csv", "id,amount,status,at\nx,1,one,2026-07-02T12:00:00Z\nx,1,two,2026-07-02T12:00:00Z\n");
    project.run_with(&[]).exits(1).says("more than once");
    assert_eq!(content(&project).len(), 3);
}

#[test]
fn incremental() {
    let (project, made) = comes_to_the_same(
        "-- write: incremental\n-- time: day\n-- grain: day\n\
         select cast(at as date) as day, cast(count(*) as bigint) as orders, sum(amount) as amount from bronze.orders group by 1\n",
    );
    let days =
        ["2026-07-01,3,8.00", "2026-07-02,2,4.50", "2026-07-03,2,7.00", "2026-07-04,1,2.00", "2026-07-05,1,1.50"];
    assert_eq!(made, days, "a late row is in its day");
    project.write("data/9.csv", "id,amount,status,at\nz,1.00,new,2026-07-03T10:00:00Z\n");
    let run = project.run();
    assert_eq!(node(&run, "silver.made")["report"]["rows_written"], 1, "one day is made anew");
    assert!(content(&project).contains(&"2026-07-03,3,8.00".to_owned()));
}

#[test]
fn scd2_with_the_time_of_the_rows() {
    let model = "-- write: scd2\n-- key: [id]\n-- time: at\nselect id, status, at from bronze.orders\n";
    let (project, made) = comes_to_the_same(model);
    let of_a = project.lines("select status, valid_from, valid_to, is_current from silver.made where id = 'a'");
    let expected = [
        "new,2026-07-01T10:00:00Z,2026-07-02T12:00:00Z,false",
        "new,2026-07-05T10:00:00Z,,true",
        "paid,2026-07-02T12:00:00Z,2026-07-05T10:00:00Z,false",
    ];
    assert_eq!(of_a, expected);
    assert_eq!(project.count("silver.made where is_current"), 5, "{made:?}");
    assert_eq!(project.count("silver.made where id = 'c'"), 1, "a row that comes again as it was makes no new version");
}

#[test]
fn scd2_without_a_time_keeps_one_current_row_a_key() {
    let project = project(&format!(
        "-- write: scd2\n-- key: [id]\n{}",
        LATEST.replace("select id, amount, status, at", "select id, status")
    ));
    for (place, file) in FILES.iter().enumerate() {
        project.write(&format!("data/{place}.csv"), file);
        project.run();
    }
    assert_eq!(project.count("silver.made where is_current"), 5);
    assert_eq!(
        project.lines("select status, is_current from silver.made where id = 'a'"),
        ["new,false", "new,true", "paid,false"]
    );
    let gaps = "select count(*) from silver.made a where not is_current and not exists (
        select 1 from silver.made b where b.id = a.id and b.valid_from = a.valid_to)";
    assert_eq!(project.value(gaps), 0);
}

#[test]
fn a_changed_model_is_made_anew_and_may_gain_columns() {
    let project = project("-- write: merge\n-- key: [id]\nselect id, amount from bronze.orders\n");
    project.write("data/0.csv", FILES[0]);
    project.run();
    project.model(
        "silver.made",
        "-- write: merge\n-- key: [id]\nselect id, cast(amount + 1 as decimal(12,2)) as amount, status from bronze.orders\n",
    );
    assert_eq!(node(&project.run(), "silver.made")["status"], "done");
    assert_eq!(project.lines("select id, amount, status from silver.made"), ["a,2.00,new", "b,3.00,new", "c,4.00,new"]);
    project.model(
        "silver.made",
        "-- write: merge\n-- key: [id]\nselect id, cast(amount as varchar) as amount from bronze.orders\n",
    );
    project.run_with(&[]).exits(2).says("amount");
}

#[test]
fn a_chain_of_models_takes_in_what_is_new_at_each_step() {
    let project = project(&format!("-- write: merge\n-- key: [id]\n{LATEST}"));
    project.model(
        "gold.by_status",
        "-- write: merge\n-- key: [status]\nselect status, cast(count(*) as bigint) as orders, sum(amount) as amount from silver.made group by status\n",
    );
    project.model("gold.days", "-- write: incremental\n-- time: at\n-- grain: month\nselect date_trunc('month', at) as at, sum(amount) as amount from silver.made group by 1\n");
    for (place, file) in FILES.iter().enumerate() {
        project.write(&format!("data/{place}.csv"), file);
        project.run();
        let (gold, silver) =
            ("select sum(amount) as a from gold.by_status", "select sum(amount) as a from silver.made");
        assert!(place > 0 || project.lines(gold) == project.lines(silver));
        assert_eq!(project.lines("select sum(amount) as a from gold.days"), project.lines(silver));
    }
    assert_eq!(project.lines("select amount from gold.by_status where status = 'new'"), ["13.50"]);
}

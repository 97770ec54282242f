//! What comes late, comes again or meets older rows: a shortcut of a model gives what the whole query gives, or is not taken.

use super::writing::{FILES, LATEST, comes_to_the_same, content, project};
use crate::harness::{Project, node};
use serde_json::json;

/// A project whose first file, then second file came, each with a run that must end so.
fn after_two(model: &str, files: [&str; 2], exit: i32) -> Project {
    let project = project(model);
    project.write("data/0.csv", format!("id,amount,status,at\n{}\n", files[0]));
    project.run();
    project.write("data/1.csv", format!("id,amount,status,at\n{}\n", files[1]));
    project.run_with(&[]).exits(exit);
    project
}

const TWO: [&str; 2] = ["a,1.00,b,2026-07-01T10:00:00Z", "b,2.00,x,2026-07-02T10:00:00Z"];

#[test]
fn append_refuses_queries_where_new_rows_meet_old_ones() {
    for query in [
        "select id, amount from bronze.orders union all select id, -amount from bronze.orders",
        "select o.id, p.amount from bronze.orders o join bronze.orders p on o.status = p.id or o.id = p.id",
        "select id, amount from bronze.orders where amount >= (select max(amount) from bronze.orders)",
    ] {
        let project = after_two(&format!("-- write: append\n{query}\n"), TWO, 2);
        project.run_with(&[]).exits(2).says("overwrite");
        assert!(project.count("silver.made where id = 'b'") == 0, "what stood stays: {query}");
    }
}

#[test]
fn append_takes_new_rows_of_its_first_table_beside_another() {
    let project = project(
        "-- write: append\nselect o.id, o.amount, n.name from bronze.orders o left join silver.names n on o.status = n.id\n",
    );
    project.model("silver.names", "select 'b' as id, 'one' as name union all select 'x', 'two'\n");
    for (place, row) in [TWO[0], TWO[1], "c,3.00,b,2026-07-03T10:00:00Z"].iter().enumerate() {
        project.write(&format!("data/{place}.csv"), format!("id,amount,status,at\n{row}\n"));
        assert_eq!(node(&project.run(), "silver.made")["report"]["rows_written"], 1);
    }
    assert_eq!(content(&project), ["a,1.00,one", "b,2.00,two", "c,3.00,one"]);
}

#[test]
fn merge_sees_a_new_row_that_meets_an_old_one_of_the_same_table() {
    let project = after_two(
        "-- write: merge\n-- key: [id]\n\
         select o.id, p.amount from bronze.orders o join bronze.orders p on o.status = p.id\n",
        TWO,
        0,
    );
    assert_eq!(content(&project), ["a,2.00"]);
}

#[test]
fn merge_refuses_a_key_that_comes_again_in_whichever_run_it_came() {
    let model = "-- write: merge\n-- key: [id]\nselect id, amount from bronze.orders\n";
    let project = after_two(model, ["a,1,new,2026-07-01T10:00:00Z", "a,2,new,2026-07-02T10:00:00Z"], 1);
    project.run_with(&[]).exits(1).says("more than once");
    project.run_with(&["--full-refresh"]).exits(1).says("more than once");
    project.model("silver.made", &format!("{model}-- the same in other words\n"));
    project.run_with(&[]).exits(1).says("more than once");
    assert_eq!(content(&project), ["a,1.00"], "what stood stays");
    project.model("silver.made", &format!("-- write: merge\n-- key: [id]\n{LATEST}"));
    project.run();
    assert_eq!(project.lines("select id, amount from silver.made"), ["a,2.00"]);
}

#[test]
fn merge_takes_new_keys_alone() {
    let project = after_two("-- write: merge\n-- key: [id]\nselect id, amount from bronze.orders\n", TWO, 0);
    assert_eq!(content(&project), ["a,1.00", "b,2.00"]);
}

#[test]
fn incremental_makes_all_parts_anew_where_new_rows_do_not_tell_which_changed() {
    let head = "-- write: incremental\n-- time: day\n-- grain: day\n";
    for query in [
        "select cast(at as date) as day, sum(amount) as amount from bronze.orders group by 1 having sum(amount) > 5",
        "select id, status, cast(at as date) as day from (
           select *, row_number() over (partition by id order by at desc) as place from bronze.orders) where place = 1",
        "select o.id, cast(o.at as date) as day from bronze.orders o where not exists (
           select 1 from bronze.orders p where p.id = o.id and p.at > o.at)",
        "select id, cast(max(at) as date) as day, sum(amount) as amount from bronze.orders group by id",
    ] {
        comes_to_the_same(&format!("{head}{query}\n"));
    }
}

#[test]
fn incremental_over_two_rewritten_tables_finds_parts_that_both_left() {
    let days = "-- write: incremental\n-- time: day\n-- grain: day\n\
        select cast(m.at as date) as day, cast(count(*) as bigint) as n from silver.made m \
        join silver.twin t on m.id = t.id and m.at = t.at group by 1\n";
    let latest = format!("-- write: merge\n-- key: [id]\n{LATEST}");
    let project = project(&latest);
    project.model("silver.twin", &latest).model("gold.days", days);
    for (place, file) in FILES.iter().enumerate() {
        project.write(&format!("data/{place}.csv"), file);
        project.run();
    }
    let made = project.lines("select * from gold.days");
    project.run_with(&["--full-refresh"]).exits(0);
    assert_eq!(made, project.lines("select * from gold.days"));
}

#[test]
fn scd2_puts_a_late_row_in_its_place() {
    let model = "-- write: scd2\n-- key: [id]\n-- time: at\nselect id, status, at from bronze.orders\n";
    let (_, straight) = comes_to_the_same(model);
    for order in [[2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        let late = project(model);
        for (place, file) in order.iter().enumerate() {
            late.write(&format!("data/{place}.csv"), FILES[*file]);
            late.run();
        }
        assert_eq!(content(&late), straight, "the order {order:?} makes no difference");
    }
}

#[test]
fn scd2_keeps_versions_that_the_query_does_not_give_any_more() {
    let project = project(&format!("-- write: scd2\n-- key: [id]\n-- time: at\n{LATEST}"));
    for (place, file) in FILES.iter().enumerate() {
        project.write(&format!("data/{place}.csv"), file);
        project.run();
    }
    let of_a = "select status, is_current from silver.made where id = 'a'";
    assert_eq!(project.lines(of_a), ["new,false", "new,true", "paid,false"]);
}

#[test]
fn scd2_refuses_rows_without_a_key_or_a_time() {
    for header in ["-- key: [status]\n-- time: at\n", "-- key: [id]\n-- time: until\n", "-- key: [status]\n"] {
        let query = "select id, status, at, case when status = 'paid' then null else at end as until";
        let project = project(&format!("-- write: scd2\n{header}{query} from bronze.orders\n"));
        project.write("data/0.csv", "id,amount,status,at\na,1,,2026-07-01T10:00:00Z\na,1,paid,2026-07-02T10:00:00Z\n");
        project.run_with(&[]).exits(1).says("1 rows have a null");
    }
}

#[test]
fn scd2_gains_a_column() {
    for time in ["-- time: at\n", ""] {
        let head = format!("-- write: scd2\n-- key: [id]\n{time}");
        let project = project(&format!("{head}select id, status, at from bronze.orders\n"));
        project.write("data/0.csv", FILES[0]);
        project.run();
        project.model("silver.made", &format!("{head}select id, status, at, amount from bronze.orders\n"));
        project.run();
        let now = project.lines("select id, amount from silver.made where is_current");
        assert_eq!(now, ["a,1.00", "b,2.00", "c,3.00"], "{time}");
    }
}

#[test]
fn a_model_reads_the_version_that_it_pins() {
    let project = project("select id, amount from bronze.orders\n");
    project.write("data/0.csv", FILES[0]);
    project.run();
    let version = project.version("bronze.orders");
    project.model("silver.made", &format!("select id, amount from bronze.orders version as of {version}\n"));
    project.write("data/1.csv", FILES[1]);
    project.run();
    assert_eq!(content(&project), ["a,1.00", "b,2.00", "c,3.00"]);
    project.write("data/2.csv", FILES[2]);
    assert_eq!(node(&project.run(), "silver.made")["status"], "up_to_date");
    let both = format!(
        "select n.id from bronze.orders n left join bronze.orders version as of {version} o on n.id = o.id where o.id is null\n"
    );
    project.model("silver.made", &both);
    project.run();
    assert_eq!(project.lines("select id from silver.made"), ["d", "e"]);
}

#[test]
fn check_refuses_what_scd2_and_checks_can_not_do() {
    let project = project("select id, amount, status, at from bronze.orders\n");
    let scd2 = |query: &str| format!("-- write: scd2\n-- key: [id]\n-- time: at\nselect {query} from bronze.orders\n");
    project.model("silver.own", &scd2("id, at, at as valid_from"));
    project.model("silver.text", &scd2("id, cast(at as varchar) as at"));
    let checked = |check: &str| format!("-- checks: {{ {check} }}\nselect id, amount, at from bronze.orders\n");
    for (name, check) in [
        ("table", "relationship: [{ column: id, to: silver.mode.id }]"),
        ("column", "relationship: [{ column: id, to: silver.made.idd }]"),
        ("place", "relationship: [{ column: id, to: made }]"),
        ("span", "freshness: { column: at, within: two moons }"),
        ("volume", "volume: { min: 7, max: 3 }"),
        ("query", "sql: [{ name: alien, query: select 1 from silver.made where idx = 1 }]"),
        ("lost", "sql: [{ name: lost, query: select 1 from silver.maid }]"),
    ] {
        project.model(&format!("silver.bad_{name}"), &checked(check));
    }
    let answer = project.lavra(&["check"]).exits(2);
    for said in [
        "which `write: scd2` makes itself",
        "not a date or a timestamp",
        "there is no table `silver.mode`",
        "there is no column `idd` in `silver.made`",
        "layer.table.column",
        "`two moons` is not a span of time",
        "7 rows or more and 3 or fewer",
        "there is no column `idx`",
        "there is no table `silver.maid`",
    ] {
        assert!(answer.stdout.contains(said) || answer.stderr.contains(said), "`{said}` is not in {answer:?}");
    }
}

#[test]
fn a_table_that_a_check_asks_is_made_before() {
    let project = project(
        "-- checks:\n--   relationship: [{ column: id, to: silver.zones.id }]\n\
         --   sql: [{ name: late, query: \"select 1 from {table} m where not exists (select 1 from gold.ids g where g.id = m.id)\" }]\n\
         select id from bronze.orders\n",
    );
    project.model("silver.zones", "select distinct id from bronze.orders\n");
    project.model("gold.ids", "select id from silver.zones\n");
    project.write("data/0.csv", FILES[0]);
    project.run();
    project.model("gold.ids", "select id from silver.zones where id <> 'q'\n");
    let run = project.run();
    assert_eq!(node(&run, "silver.made")["status"], "up_to_date", "a table that only a check asks is no news");
}

#[test]
fn a_personal_column_that_is_gone_is_said_once() {
    let project = Project::new("gone");
    let columns = "{ name: id, logicalType: string }\n\
        { name: cpf, logicalType: string, classification: personal.cpf, customProperties: [{ property: mask, value: pseudonym(person) }] }";
    project.source("people", "data/*.csv", &[]).contract("people", columns, &[]);
    project.write("data/0.csv", "id,cpf\na,111.444.777-35\n");
    project.model("silver.people", "select id, cpf from bronze.people\n");
    project.run();
    project.model("silver.people", "select id from bronze.people\n");
    let exposure = |project: &Project| {
        let plans = project.lavra(&["plan", "--format", "json"]).exits(0).json();
        let plan = plans.as_array().into_iter().flatten().find(|plan| plan["table"] == "silver.people").cloned();
        plan.expect("a plan of the model")["exposure"].clone()
    };
    assert_ne!(exposure(&project), json!([]), "the run will take it away");
    project.run();
    assert_eq!(exposure(&project), json!([]), "it is gone");
}

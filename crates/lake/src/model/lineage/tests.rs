use super::*;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;

async fn lineage(sql: &str) -> Lineage {
    lineage_of(sql, None).await
}

async fn lineage_of(sql: &str, promised: Option<&GroupSize>) -> Lineage {
    let config = SessionConfig::new().with_default_catalog_and_schema("lake", "silver");
    let context = SessionContext::new_with_config(config);
    let fields = |names: [&str; 2]| names.map(|name| Field::new(name, DataType::Utf8, true)).to_vec();
    for (name, columns) in [("a", ["cpf", "n"]), ("b", ["k", "o"])] {
        let table = EmptyTable::new(Arc::new(Schema::new(fields(columns))));
        context.register_table(name, Arc::new(table)).expect("a table");
    }
    let plan = context.state().create_logical_plan(sql).await.expect(sql);
    of_plan(&plan, promised).expect("a lineage")
}

fn is_held_against(lineage: &Lineage, one: &str, other: &str) -> bool {
    let is = |column: &ColumnRef, name: &str| format!("{}.{}", column.table, column.column) == format!("silver.{name}");
    lineage.joins.iter().any(|(a, b)| (is(a, one) && is(b, other)) || (is(a, other) && is(b, one)))
}

#[tokio::test]
async fn a_join_is_seen_through_every_spelling() {
    for condition in [
        "a.cpf = b.k",
        "lower(a.cpf) = lower(b.k)",
        "coalesce(a.cpf, '') = coalesce(b.k, '')",
        "trim(a.cpf) = b.k",
        "a.cpf is not distinct from b.k",
        "cast(a.cpf as bigint) = cast(b.k as bigint)",
        "a.cpf || '' = replace(b.k, '.', '')",
        "a.n = 'x' or (a.n = b.o and upper(a.cpf) = b.k)",
        "case when a.n = 'x' then a.cpf else '' end = b.k",
        "a.cpf in (b.k, 'x')",
    ] {
        let joined = lineage(&format!("select a.n from a join b on {condition}")).await;
        assert!(is_held_against(&joined, "a.cpf", "b.k"), "on {condition}: {joined:?}");
        let filtered = lineage(&format!("select a.n from a, b where {condition}")).await;
        assert!(is_held_against(&filtered, "a.cpf", "b.k"), "where {condition}: {filtered:?}");
    }
}

#[tokio::test]
async fn a_join_is_seen_through_subqueries() {
    for sql in [
        "select n from a where cpf in (select k from b)",
        "select n from a where lower(cpf) not in (select trim(k) from b)",
        "select n from a where exists (select 1 from b where b.k = a.cpf)",
        "select n from a where not exists (select 1 from b where trim(b.k) = lower(a.cpf))",
        "select n, (select max(o) from b where b.k = a.cpf) from a",
        "with x as (select lower(cpf) as c from a), y as (select * from b) select c from x join y on x.c = y.k",
        "select cpf from a intersect select k from b",
    ] {
        let found = lineage(sql).await;
        assert!(is_held_against(&found, "a.cpf", "b.k"), "{sql}: {found:?}");
    }
}

#[tokio::test]
async fn what_only_measures_a_value_holds_it_against_nothing() {
    for condition in ["length(a.cpf) = length(b.k)", "a.cpf < b.k", "a.n = b.o"] {
        let found = lineage(&format!("select a.n from a join b on {condition}")).await;
        assert!(!is_held_against(&found, "a.cpf", "b.k"), "{condition}: {found:?}");
    }
}

#[tokio::test]
async fn a_spelling_is_derived_and_holds_its_column() {
    let found = lineage("select lower(cpf) as c, cpf, count(*) as n, length(n) as l from a group by cpf, a.n").await;
    let cpf = ColumnRef { table: TableName::parse("silver.a").expect("a name"), column: "cpf".into() };
    assert_eq!(found.columns[0].1, Sources::from([(cpf.clone(), Via::Derived)]));
    assert_eq!(found.columns[1].1, Sources::from([(cpf.clone(), Via::Copied)]));
    assert_eq!(found.holds["c"], BTreeSet::from([cpf]));
    assert!(found.holds["l"].is_empty() && found.holds["n"].is_empty());
}

fn carried(lineage: &Lineage, column: &str) -> Option<Carries> {
    let from = &lineage.carries[column];
    assert!(from.len() <= 1, "{from:?}");
    from.values().next().copied()
}

fn total(least: u64, is_distinct: bool) -> Option<Carries> {
    Some(Carries::Total(Floor { least, is_distinct }))
}

#[tokio::test]
async fn a_total_is_as_large_as_its_groups_are_held_to_be() {
    for (sql, expected) in [
        ("select sum(length(cpf)) as x from a", total(0, false)),
        ("select sum(length(cpf)) as x from a group by n having count(*) >= 10", total(10, false)),
        ("select sum(length(cpf)) as x from a group by n having 9 < count(*) and n > 'b'", total(10, false)),
        ("select sum(length(cpf)) as x from a group by n having count(*) >= 10 or n > 'b'", total(0, false)),
        ("select sum(length(cpf)) as x from a group by n having count(distinct n) > 4", total(5, true)),
        ("select sum(length(cpf)) as x from a group by n having count(*) <= 10", total(0, false)),
        (
            "with g as (select avg(length(cpf)) as x, cast(count(*) as int) as c from a group by n) select x / 2 as x from g where c >= 7",
            total(7, false),
        ),
        // The groups that are counted are others.
        (
            "select x from (select sum(length(cpf)) as x from a group by n) join (select count(*) as c from b) on c >= 10 where c >= 10",
            total(0, false),
        ),
        // Of the inner groups only.
        (
            "select sum(x) as x from (select sum(length(cpf)) as x from a group by n having count(*) >= 10)",
            total(0, false),
        ),
        // A part of the group, however large it is.
        ("select sum(length(cpf)) filter (where cpf > 'b') as x from a having count(*) >= 10", Some(Carries::Value)),
        (
            "select sum(case when cpf > 'b' then length(cpf) end) as x from a having count(*) >= 10",
            Some(Carries::Value),
        ),
        // The smaller of two.
        (
            "select sum(length(cpf)) as x from a having count(*) >= 10 union all select sum(length(cpf)) from a having count(*) >= 3",
            total(3, false),
        ),
    ] {
        assert_eq!(carried(&lineage(sql).await, "x"), expected, "{sql}");
    }
}

#[tokio::test]
async fn what_gives_one_value_back_is_no_total() {
    for picked in
        ["max(cpf)", "min(cpf)", "first_value(cpf)", "array_agg(cpf)", "string_agg(cpf, ',')", "median(length(cpf))"]
    {
        let found = lineage(&format!("select {picked} as x from a having count(*) >= 100")).await;
        assert_eq!(carried(&found, "x"), Some(Carries::Value), "{picked}");
        assert_eq!(found.columns[0].1.values().copied().collect::<Vec<_>>(), [Via::Aggregated]);
    }
    for running in ["sum(length(cpf)) over (order by n)", "lag(cpf) over (order by n)", "max(cpf) over ()"] {
        let found = lineage(&format!("select {running} as x from a")).await;
        assert_eq!(found.carries["x"].values().collect::<Vec<_>>(), [&Carries::Value], "{running}");
    }
    let ranked = lineage("select row_number() over (partition by cpf order by n) as x from a").await;
    assert_eq!(carried(&ranked, "x"), None, "a place says nothing of what it was made by");
    assert_eq!(ranked.columns[0].1.len(), 2);
}

#[tokio::test]
async fn a_promise_is_of_the_outermost_groups() {
    let promised = GroupSize { min: 10, people: Some("cpf".into()) };
    let of = |sql: &'static str| {
        let promised = promised.clone();
        async move { carried(&lineage_of(sql, Some(&promised)).await, "x") }
    };
    assert_eq!(of("select n, sum(length(cpf)) as x from a group by n").await, total(10, true));
    assert_eq!(of("select max(x) as x from (select sum(length(cpf)) as x from a group by n)").await, total(0, false));
    assert_eq!(of("select (select sum(length(cpf)) from a where a.n = b.k) as x from b").await, total(0, false));
    assert_eq!(of("select max(cpf) as x from a group by n").await, Some(Carries::Value));
}

#[tokio::test]
async fn sets_of_groups_do_not_shift_what_columns_are_made_of() {
    let found = lineage("select n, cpf, sum(length(n)) as l from a group by rollup (n, cpf)").await;
    let made = |at: usize| found.columns[at].1.keys().map(|c| c.column.as_str()).collect::<Vec<_>>();
    assert_eq!([made(0), made(1), made(2)], [["n"], ["cpf"], ["n"]]);
}

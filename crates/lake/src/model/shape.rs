//! What new rows alone can tell of a result, read from the planned query: a shortcut is taken only where it gives what the
//! whole query gives.

use crate::sql::unpin_name;
use crate::table::At;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, JoinType, Result};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, TableScan};
use kernel::name::TableName;
use std::collections::{BTreeMap, BTreeSet};

/// Which shortcuts a query allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The first table of `from`, if the query over its new rows alone gives exactly the rows that are new in the result.
    pub grows_with: Option<TableName>,
    /// Tables of which rows that came or went, put in the place of the whole table, tell by the time column all parts of
    /// the result that they touch.
    pub tells_parts: BTreeSet<TableName>,
}

/// Reads a plan that is not optimised; `time` is the column that says to which part a row of the result belongs.
pub(super) fn of_plan(plan: &LogicalPlan, time: Option<&str>) -> Result<Shape> {
    let read_once = read_once(plan)?;
    let mut tells_parts = BTreeSet::new();
    if let Some(at) = time.and_then(|time| plan.schema().fields().iter().position(|field| field.name() == time)) {
        touching(plan, &BTreeSet::from([at]), false, &mut tells_parts);
    }
    tells_parts.retain(|table| read_once.contains(table));
    let leading = leading(plan).and_then(named).map(|(name, _)| name);
    let grows_with = match is_plain(plan)? {
        true => leading.filter(|table| read_once.contains(table)),
        false => None,
    };
    Ok(Shape { grows_with, tells_parts })
}

/// The table of a scan and the version it is read at; `None` for what is no table of the lake.
fn named(scan: &TableScan) -> Option<(TableName, At)> {
    let (bare, at) = unpin_name(scan.table_name.table());
    Some((TableName::new(scan.table_name.schema()?, bare).ok()?, at))
}

/// Tables that stand in the query once, counting subqueries and pinned versions, and at their latest version.
fn read_once(plan: &LogicalPlan) -> Result<BTreeSet<TableName>> {
    let mut places: BTreeMap<TableName, Vec<At>> = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some((name, at)) = named(scan)
        {
            places.entry(name).or_default().push(at);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(places.into_iter().filter(|(_, at)| at[..] == [At::Latest]).map(|(name, _)| name).collect())
}

/// Whether nothing in the query, subqueries included, looks at many rows at once or puts two results together.
fn is_plain(plan: &LogicalPlan) -> Result<bool> {
    let mut plain = true;
    plan.apply_with_subqueries(|node| {
        plain &= match node {
            LogicalPlan::Sort(sort) => sort.fetch.is_none(), // an order that cuts nothing off
            node => matches!(
                node,
                LogicalPlan::Projection(_)
                    | LogicalPlan::Filter(_)
                    | LogicalPlan::Join(_)
                    | LogicalPlan::TableScan(_)
                    | LogicalPlan::EmptyRelation(_)
                    | LogicalPlan::Values(_)
                    | LogicalPlan::Subquery(_)
                    | LogicalPlan::SubqueryAlias(_)
                    | LogicalPlan::Unnest(_)
            ),
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(plain)
}

/// The first table of `from`, if each of its rows gives its own rows of the result, whatever its other rows are.
fn leading(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::Projection(p) => leading(&p.input),
        LogicalPlan::Filter(f) => leading(&f.input),
        LogicalPlan::Sort(sort) => leading(&sort.input),
        LogicalPlan::SubqueryAlias(alias) => leading(&alias.input),
        LogicalPlan::Unnest(unnest) => leading(&unnest.input),
        LogicalPlan::Join(join) => match join.join_type {
            // A right or full join also gives rows of the other side that no row of this one meets.
            JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => leading(&join.left),
            JoinType::Right
            | JoinType::Full
            | JoinType::RightSemi
            | JoinType::RightAnti
            | JoinType::LeftMark
            | JoinType::RightMark => None,
        },
        _ => None,
    }
}

/// Finds tables whose rows reach the result one by one, then perhaps in groups that each lie in one part. `time` are the
/// columns that decide the part. Where rows were filtered or joined above (`is_cut`), no group may come below: a group of
/// new rows alone could be cut off where the whole group is not.
fn touching(plan: &LogicalPlan, time: &BTreeSet<usize>, is_cut: bool, found: &mut BTreeSet<TableName>) {
    match plan {
        LogicalPlan::TableScan(scan) => found.extend(named(scan).map(|(name, _)| name)),
        LogicalPlan::SubqueryAlias(alias) => touching(&alias.input, time, is_cut, found),
        LogicalPlan::Filter(filter) => touching(&filter.input, time, true, found),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => touching(&sort.input, time, is_cut, found),
        LogicalPlan::Distinct(Distinct::All(input)) => touching(input, time, is_cut, found),
        LogicalPlan::Union(union) => union.inputs.iter().for_each(|input| touching(input, time, is_cut, found)),
        LogicalPlan::Projection(p) => touching(&p.input, &below(&p.expr, time, p.input.schema()), is_cut, found),
        LogicalPlan::Unnest(unnest) => {
            let of = &unnest.dependency_indices;
            let time: BTreeSet<usize> = time.iter().filter_map(|at| of.get(*at).copied()).collect();
            touching(&unnest.input, &time, true, found);
        }
        LogicalPlan::Aggregate(groups) => {
            let is_by_part = time.iter().all(|at| *at < groups.group_expr.len())
                && !groups.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
            if is_by_part && !is_cut {
                touching(&groups.input, &below(&groups.group_expr, time, groups.input.schema()), false, found);
            }
        }
        LogicalPlan::Join(join) => {
            let width = join.left.schema().fields().len();
            let left = || -> BTreeSet<usize> { time.iter().filter(|at| **at < width).copied().collect() };
            let right = || -> BTreeSet<usize> { time.iter().filter_map(|at| at.checked_sub(width)).collect() };
            match join.join_type {
                JoinType::Inner => {
                    touching(&join.left, &left(), true, found);
                    touching(&join.right, &right(), true, found);
                }
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => touching(&join.left, &left(), true, found),
                JoinType::Right => touching(&join.right, &right(), true, found),
                JoinType::RightSemi | JoinType::RightAnti => touching(&join.right, time, true, found),
                JoinType::Full | JoinType::LeftMark | JoinType::RightMark => {}
            }
        }
        _ => {}
    }
}

/// The columns of an input that the expressions at these places are made of.
fn below(exprs: &[Expr], places: &BTreeSet<usize>, input: &DFSchema) -> BTreeSet<usize> {
    let used = places.iter().filter_map(|at| exprs.get(*at)).flat_map(Expr::column_refs);
    used.filter_map(|column| input.maybe_index_of_column(column)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Catalog, EngineOptions, SqlEngine, pin_versions, plan};
    use crate::store::Store;
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use datafusion::datasource::empty::EmptyTable;
    use std::collections::HashMap;
    use std::sync::Arc;

    /// The shape of a query over `bronze.a` and `bronze.b`, each with `id`, `x`, `many` and `at`; the time column is `at`.
    async fn shape(sql: &str) -> Shape {
        let folder = std::env::temp_dir();
        let store = Store::open(&folder.display().to_string(), &HashMap::new()).expect("a store");
        let options = EngineOptions { memory_bytes: 1 << 24, spill_folder: folder, partitions: 1 };
        let engine = SqlEngine::new(store, &options).expect("an engine");
        let many = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("x", DataType::Int64, true),
            Field::new("many", many, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        ]));
        let mut catalog = Catalog::default();
        for name in ["bronze.a", "bronze.b"] {
            catalog.give(TableName::parse(name).expect("a name"), Arc::new(EmptyTable::new(schema.clone())));
        }
        let pinned = pin_versions(sql).expect("a query");
        let planned = plan(&engine.context(catalog), &pinned).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        of_plan(&planned, Some("at")).expect("a shape")
    }

    #[tokio::test]
    async fn new_rows_alone_give_new_rows_where_each_row_stands_for_itself() {
        for sql in [
            "select id, x * 2 as x from bronze.a where x > 1 order by x",
            "with n as (select * from bronze.a) select n.id, unnest(n.many) as one from n",
            "select a.id, b.x from bronze.a a left join bronze.b b on a.id = b.id",
            "select a.id, b.x from bronze.a a, bronze.b b where a.id = b.id",
            "select id from bronze.a left semi join bronze.b on a.id = b.id",
            "select id from bronze.a where x in (select x from bronze.b) and not exists (select 1 from bronze.b where b.id = a.id)",
            "select a.id from bronze.a a join bronze.b b on a.id = b.id join bronze.b c on a.id = c.id",
            "select a.id, b.x from bronze.a a join bronze.b version as of 3 b on a.id = b.id",
        ] {
            let found = shape(sql).await.grows_with.map(|name| name.to_string());
            assert_eq!(found.as_deref(), Some("bronze.a"), "{sql}");
        }
    }

    #[tokio::test]
    async fn new_rows_alone_tell_nothing_where_rows_meet() {
        for sql in [
            "select id from bronze.a union all select id from bronze.b",
            "select b.id from bronze.a a right join bronze.b b on a.id = b.id",
            "select b.id from bronze.a a full join bronze.b b on a.id = b.id",
            "select b.id from bronze.a a right anti join bronze.b b on a.id = b.id",
            "select a.id from bronze.a a join bronze.a c on a.id = c.x",
            "select id from bronze.a where x > (select max(x) from bronze.a)",
            "select id from bronze.a where x > (select max(x) from bronze.b)",
            "select id from bronze.a where not exists (select 1 from bronze.a c where c.x = a.id)",
            "select id, (select max(x) from bronze.b) as most from bronze.a",
            "select id, sum(x) as x from bronze.a group by id",
            "select id, row_number() over (order by x) as place from bronze.a",
            "select distinct id from bronze.a",
            "select id from bronze.a order by x limit 3",
            "select id from bronze.a version as of 3",
            "select a.id from bronze.a a join bronze.a version as of 3 c on a.id = c.id",
        ] {
            assert_eq!(shape(sql).await.grows_with, None, "{sql}");
        }
    }

    #[tokio::test]
    async fn parts_are_told_by_the_rows_of_tables_whose_groups_lie_in_one_part() {
        for (sql, expected) in [
            ("select date_trunc('day', at) as at, sum(x) as x from bronze.a where x > 0 group by 1", "bronze.a"),
            ("select at, x from bronze.a", "bronze.a"),
            (
                "select date_trunc('day', a.at) as at, sum(b.x) as x from bronze.a a join bronze.b b on a.id = b.id group by 1",
                "bronze.a bronze.b",
            ),
            ("select a.at, b.x from bronze.a a left join bronze.b b on a.id = b.id", "bronze.a"),
            ("select a.at from bronze.a a where not exists (select 1 from bronze.b b where b.id = a.id)", "bronze.a"),
            ("select at, n from (select at, id, count(*) as n from bronze.a group by 1, 2)", "bronze.a"),
            ("select distinct at from bronze.a union all select at from bronze.b", "bronze.a bronze.b"),
            ("select at, sum(x) as x from bronze.a group by at having sum(x) > 3", ""),
            ("select id, max(at) as at from bronze.a group by id", ""),
            ("select coalesce(max(at), at) as at from bronze.a group by at, id", ""),
            (
                "select at from (select *, row_number() over (partition by id order by at desc) as n from bronze.a) where n = 1",
                "",
            ),
            ("select a.at from bronze.a a where not exists (select 1 from bronze.a b where b.x = a.id)", ""),
            ("select at from bronze.a order by at limit 3", ""),
            ("select distinct on (id) id, at from bronze.a order by id, at", ""),
            ("select at, sum(x) as x from bronze.a group by rollup(at)", ""),
        ] {
            let found = shape(sql).await.tells_parts;
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{sql}");
        }
    }
}

//! Which columns each column is made of, read from the planned query.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use kernel::name::TableName;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How a value got from one column into another; the later, the further away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The value itself.
    Copied,
    /// An expression over it.
    Derived,
    /// An aggregate or window over many rows.
    Aggregated,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ColumnRef {
    #[serde(serialize_with = "as_text")]
    pub table: TableName,
    pub column: String,
}

fn as_text<S: serde::Serializer>(name: &TableName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

/// What one column is made of.
pub type Sources = BTreeMap<ColumnRef, Via>;

/// Lineage of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Per output column, in order.
    pub columns: Vec<(String, Sources)>,
    /// Columns that decide which rows there are: filters, join keys, groups.
    pub rows: BTreeSet<ColumnRef>,
    /// Pairs of columns that a join holds against each other, as they are.
    pub joins: BTreeSet<(ColumnRef, ColumnRef)>,
}

/// Reads a plan. Analysed or not, but not optimised: the optimiser drops what it does not need.
pub fn of_plan(plan: &LogicalPlan) -> Result<Lineage> {
    let mut seen = Seen::default();
    let sources = walk(plan, &mut seen, &BTreeMap::new())?;
    let names = plan.schema().fields().iter().map(|field| field.name().clone());
    Ok(Lineage { columns: names.zip(sources).collect(), rows: seen.rows, joins: seen.joins })
}

/// What a walk finds beside the columns.
#[derive(Default)]
struct Seen {
    rows: BTreeSet<ColumnRef>,
    joins: BTreeSet<(ColumnRef, ColumnRef)>,
}

/// Recursive queries in scope, by name: what their columns are made of so far.
type Scope = BTreeMap<String, Vec<Sources>>;

/// The sources of each column of a plan's output.
fn walk(plan: &LogicalPlan, seen: &mut Seen, scope: &Scope) -> Result<Vec<Sources>> {
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scan_columns(plan, &scan.table_name, scope)),
        LogicalPlan::Projection(p) => through(&p.expr, &p.input, None, seen, scope),
        LogicalPlan::Window(w) => {
            let mut columns = walk(&w.input, seen, scope)?;
            columns.extend(through(&w.window_expr, &w.input, Some(Via::Aggregated), seen, scope)?);
            Ok(columns)
        }
        LogicalPlan::Aggregate(a) => {
            let mut columns = through(&a.group_expr, &a.input, None, seen, scope)?;
            seen.rows.extend(columns.iter().flat_map(|sources| sources.keys().cloned()));
            columns.extend(through(&a.aggr_expr, &a.input, Some(Via::Aggregated), seen, scope)?);
            columns.resize(plan.schema().fields().len(), Sources::new());
            Ok(columns)
        }
        LogicalPlan::Filter(f) => {
            let columns = walk(&f.input, seen, scope)?;
            equal(&f.predicate, f.input.schema(), &columns, seen);
            decide(std::slice::from_ref(&f.predicate), f.input.schema(), &columns, seen, scope)?;
            Ok(columns)
        }
        LogicalPlan::Join(join) => {
            let (left, right) = (walk(&join.left, seen, scope)?, walk(&join.right, seen, scope)?);
            if let Some(filter) = &join.filter {
                let both: Vec<Sources> = left.iter().chain(&right).cloned().collect();
                equal(filter, &join.left.schema().join(join.right.schema())?, &both, seen);
            }
            for (a, b) in &join.on {
                pair(a, join.left.schema(), &left, b, join.right.schema(), &right, seen);
                decide(std::slice::from_ref(a), join.left.schema(), &left, seen, scope)?;
                decide(std::slice::from_ref(b), join.right.schema(), &right, seen, scope)?;
            }
            let width = plan.schema().fields().len();
            let is_right_only = format!("{}", join.join_type).starts_with("Right")
                && width == right.len()
                && width != left.len() + right.len();
            let mut columns = if is_right_only { right } else { left.into_iter().chain(right).collect() };
            columns.resize(width, Sources::new());
            if let Some(filter) = &join.filter {
                decide(std::slice::from_ref(filter), plan.schema(), &columns, seen, scope)?;
            }
            Ok(columns)
        }
        LogicalPlan::Union(union) => {
            let mut columns: Vec<Sources> = vec![Sources::new(); plan.schema().fields().len()];
            for input in &union.inputs {
                for (own, more) in columns.iter_mut().zip(walk(input, seen, scope)?) {
                    merge(own, more);
                }
            }
            Ok(columns)
        }
        LogicalPlan::RecursiveQuery(query) => {
            let start = walk(&query.static_term, seen, scope)?;
            let mut inner = scope.clone();
            inner.insert(query.name.clone(), start.clone());
            let step = walk(&query.recursive_term, seen, &inner)?;
            let merged = start.into_iter().zip(step).map(|(mut a, b)| {
                merge(&mut a, b);
                a
            });
            Ok(merged.collect())
        }
        other => passed_on(other, seen, scope),
    }
}

/// Nodes that hand their input's columns on (sort, limit, alias, distinct) or make up new ones (values, unnest).
fn passed_on(plan: &LogicalPlan, seen: &mut Seen, scope: &Scope) -> Result<Vec<Sources>> {
    let width = plan.schema().fields().len();
    let inputs = plan.inputs();
    let [input] = inputs[..] else { return Ok(vec![Sources::new(); width]) };
    let columns = walk(input, seen, scope)?;
    if columns.len() == width {
        return Ok(columns);
    }
    // Unnest widens: a column comes from the input column of its name, or of the struct that it was a field of.
    let names: Vec<&String> = input.schema().fields().iter().map(|f| f.name()).collect();
    let found = plan.schema().fields().iter().map(|field| {
        let at = names.iter().position(|name| field.name() == *name || field.name().starts_with(&format!("{name}.")));
        let derived = |sources: &Sources| sources.keys().map(|key| (key.clone(), Via::Derived)).collect();
        at.and_then(|at| columns.get(at)).map(derived).unwrap_or_default()
    });
    Ok(found.collect())
}

fn scan_columns(plan: &LogicalPlan, table: &datafusion::common::TableReference, scope: &Scope) -> Vec<Sources> {
    if let Some(columns) = scope.get(table.table()) {
        return columns.clone();
    }
    let (name, _) = crate::sql::unpin_name(table.table());
    let Ok(name) = TableName::new(table.schema().unwrap_or("silver"), name) else {
        return vec![Sources::new(); plan.schema().fields().len()];
    };
    let column = |field: &str| ColumnRef { table: name.clone(), column: field.to_owned() };
    plan.schema().fields().iter().map(|field| Sources::from([(column(field.name()), Via::Copied)])).collect()
}

/// The sources of expressions over an input.
fn through(
    exprs: &[Expr],
    input: &LogicalPlan,
    at_least: Option<Via>,
    seen: &mut Seen,
    scope: &Scope,
) -> Result<Vec<Sources>> {
    let columns = walk(input, seen, scope)?;
    exprs.iter().map(|expr| of_expr(expr, input.schema(), &columns, at_least, seen, scope)).collect()
}

fn of_expr(
    expr: &Expr,
    schema: &DFSchema,
    columns: &[Sources],
    at_least: Option<Via>,
    seen: &mut Seen,
    scope: &Scope,
) -> Result<Sources> {
    let via = match expr.clone().unalias_nested().data {
        Expr::Column(_) => Via::Copied,
        _ => Via::Derived,
    };
    let via = at_least.map_or(via, |least| via.max(least));
    let mut found = Sources::new();
    expr.apply(|part| {
        match part {
            Expr::Column(column) => add(&mut found, column, schema, columns, via),
            Expr::ScalarSubquery(query) => {
                let inner = walk(&query.subquery, seen, scope)?;
                for sources in inner {
                    let lifted = sources.into_iter().map(|(key, via)| (key, via.max(Via::Derived))).collect();
                    merge(&mut found, lifted);
                }
            }
            Expr::InSubquery(query) => {
                let inner = walk(&query.subquery.subquery, seen, scope)?;
                seen.rows.extend(inner.into_iter().flat_map(BTreeMap::into_keys));
            }
            Expr::Exists(query) => drop(walk(&query.subquery.subquery, seen, scope)?),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn add(found: &mut Sources, column: &Column, schema: &DFSchema, columns: &[Sources], via: Via) {
    let Some(sources) = schema.maybe_index_of_column(column).and_then(|at| columns.get(at)) else { return };
    merge(found, sources.iter().map(|(key, inner)| (key.clone(), (*inner).max(via))).collect());
}

/// Remembers two columns that are compared as they are.
fn pair(
    a: &Expr,
    a_schema: &DFSchema,
    left: &[Sources],
    b: &Expr,
    b_schema: &DFSchema,
    right: &[Sources],
    seen: &mut Seen,
) {
    let copied = |expr: &Expr, schema: &DFSchema, columns: &[Sources]| -> Vec<ColumnRef> {
        let Expr::Column(column) = expr else { return Vec::new() };
        let mut found = Sources::new();
        add(&mut found, column, schema, columns, Via::Copied);
        found.into_iter().filter(|(_, via)| *via == Via::Copied).map(|(key, _)| key).collect()
    };
    for one in copied(a, a_schema, left) {
        for other in copied(b, b_schema, right) {
            seen.joins.insert((one.clone(), other));
        }
    }
}

/// Remembers the columns that a condition holds equal: the planner leaves `on a.x = b.y` as a condition of the join.
fn equal(condition: &Expr, schema: &DFSchema, columns: &[Sources], seen: &mut Seen) {
    for part in datafusion::logical_expr::utils::split_conjunction(condition) {
        if let Expr::BinaryExpr(both) = part
            && both.op == datafusion::logical_expr::Operator::Eq
        {
            pair(&both.left, schema, columns, &both.right, schema, columns, seen);
        }
    }
}

fn decide(exprs: &[Expr], schema: &DFSchema, columns: &[Sources], seen: &mut Seen, scope: &Scope) -> Result<()> {
    for expr in exprs {
        let sources = of_expr(expr, schema, columns, None, seen, scope)?;
        seen.rows.extend(sources.into_keys());
    }
    Ok(())
}

/// Keeps the nearest way of each source.
fn merge(into: &mut Sources, more: Sources) {
    for (key, via) in more {
        into.entry(key).and_modify(|own| *own = (*own).min(via)).or_insert(via);
    }
}

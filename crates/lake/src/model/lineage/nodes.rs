//! What each node of a plan makes of its input's columns.

use super::{ColumnRef, Scope, Seen, Way, Ways, at, decide, equal, merge, of_expr, pair, values};
use crate::model::totals;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Filter, Join, LogicalPlan};
use kernel::name::TableName;
use std::collections::BTreeSet;

/// The sources of each column of a plan's output.
pub(super) fn walk(plan: &LogicalPlan, seen: &mut Seen, scope: &Scope) -> Result<Vec<Ways>> {
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scan_columns(plan, &scan.table_name, scope)),
        LogicalPlan::Projection(p) => through(&p.expr, &p.input, seen, scope),
        LogicalPlan::Distinct(Distinct::On(on)) => through(&on.select_expr, &on.input, seen, scope),
        LogicalPlan::Window(w) => {
            let mut columns = walk(&w.input, seen, scope)?;
            for expr in &w.window_expr {
                let added = windowed(expr, w.input.schema(), &columns, seen, scope)?;
                columns.push(added);
            }
            Ok(columns)
        }
        LogicalPlan::Aggregate(a) => aggregated(a, seen, scope),
        LogicalPlan::Filter(f) => filtered(f, seen, scope),
        LogicalPlan::Join(join) => joined(join, seen, scope),
        LogicalPlan::Union(union) => {
            let mut columns: Vec<Ways> = vec![Ways::default(); plan.schema().fields().len()];
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
            inner.recursive.insert(query.name.clone(), start.clone());
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

fn aggregated(a: &Aggregate, seen: &mut Seen, scope: &Scope) -> Result<Vec<Ways>> {
    let inner = Scope { is_inner: true, ..scope.clone() };
    let input = walk(&a.input, seen, &inner)?;
    let schema = a.input.schema();
    let mut columns = Vec::new();
    for key in grouping_set_to_exprlist(&a.group_expr)? {
        columns.push(of_expr(key, schema, &input, seen, scope)?);
    }
    seen.rows.extend(columns.iter().flat_map(|ways: &Ways| ways.from.keys().cloned()));
    if let [Expr::GroupingSet(_)] = a.group_expr[..] {
        columns.push(Ways::default()); // tells the sets apart
    }
    let group = seen.groups.add(!scope.is_inner);
    for expr in &a.aggr_expr {
        let way = if totals::is_total(expr) { Way::Total } else { Way::Picked };
        let mut ways = of_expr(expr, schema, &input, seen, scope)?.at_least(way);
        if way == Way::Total {
            // What was a total before is one over this group now.
            ways.from.values_mut().for_each(|trace| trace.groups = BTreeSet::from([group]));
        }
        ways.count = totals::counts(expr, group);
        columns.push(ways);
    }
    columns.resize(a.schema.fields().len(), Ways::default());
    Ok(columns)
}

/// A window's argument comes out again; what it is parted and ordered by does not.
fn windowed(expr: &Expr, schema: &DFSchema, columns: &[Ways], seen: &mut Seen, scope: &Scope) -> Result<Ways> {
    let expr = expr.clone().unalias_nested().data;
    let Expr::WindowFunction(window) = &expr else {
        return Ok(of_expr(&expr, schema, columns, seen, scope)?.at_least(Way::Picked));
    };
    let params = &window.params;
    let mut found = Ways::default();
    for arg in &params.args {
        merge(&mut found, of_expr(arg, schema, columns, seen, scope)?.at_least(Way::Picked));
    }
    let order = params.order_by.iter().map(|sort| &sort.expr);
    for place in params.partition_by.iter().chain(order).chain(params.filter.as_deref()) {
        merge(&mut found, of_expr(place, schema, columns, seen, scope)?.at_least(Way::Placed));
    }
    Ok(found)
}

fn filtered(f: &Filter, seen: &mut Seen, scope: &Scope) -> Result<Vec<Ways>> {
    let columns = walk(&f.input, seen, scope)?;
    let schema = f.input.schema();
    equal(&f.predicate, schema, &columns, seen, scope)?;
    decide(std::slice::from_ref(&f.predicate), schema, &columns, seen, scope)?;
    for (column, least) in totals::least(&f.predicate) {
        if let Some(count) = at(column, schema, &columns).and_then(|ways| ways.count) {
            seen.groups.raise(count, least);
        }
    }
    Ok(columns)
}

fn joined(join: &Join, seen: &mut Seen, scope: &Scope) -> Result<Vec<Ways>> {
    let (left, right) = (walk(&join.left, seen, scope)?, walk(&join.right, seen, scope)?);
    if let Some(filter) = &join.filter {
        let both: Vec<Ways> = left.iter().chain(&right).cloned().collect();
        let schema = join.left.schema().join(join.right.schema())?;
        equal(filter, &schema, &both, seen, scope)?;
    }
    for (a, b) in &join.on {
        pair(&values(a, join.left.schema(), &left, scope), &values(b, join.right.schema(), &right, scope), seen);
        decide(std::slice::from_ref(a), join.left.schema(), &left, seen, scope)?;
        decide(std::slice::from_ref(b), join.right.schema(), &right, seen, scope)?;
    }
    let width = join.schema.fields().len();
    let is_right_only =
        format!("{}", join.join_type).starts_with("Right") && width == right.len() && width != left.len() + right.len();
    let mut columns = if is_right_only { right } else { left.into_iter().chain(right).collect() };
    columns.resize(width, Ways::default());
    if let Some(filter) = &join.filter {
        decide(std::slice::from_ref(filter), &join.schema, &columns, seen, scope)?;
    }
    Ok(columns)
}

/// Nodes that hand their input's columns on (sort, limit, alias, distinct) or make up new ones (values, unnest).
fn passed_on(plan: &LogicalPlan, seen: &mut Seen, scope: &Scope) -> Result<Vec<Ways>> {
    let width = plan.schema().fields().len();
    let inputs = plan.inputs();
    let [input] = inputs[..] else { return Ok(vec![Ways::default(); width]) };
    let columns = walk(input, seen, scope)?;
    if columns.len() == width {
        return Ok(columns);
    }
    // Unnest widens: a column comes from the input column of its name, or of the struct that it was a field of.
    let names: Vec<&String> = input.schema().fields().iter().map(|f| f.name()).collect();
    let found = plan.schema().fields().iter().map(|field| {
        let at = names.iter().position(|name| field.name() == *name || field.name().starts_with(&format!("{name}.")));
        at.and_then(|at| columns.get(at)).map(|ways| ways.clone().at_least(Way::Derived)).unwrap_or_default()
    });
    Ok(found.collect())
}

fn scan_columns(plan: &LogicalPlan, table: &datafusion::common::TableReference, scope: &Scope) -> Vec<Ways> {
    if let Some(columns) = scope.recursive.get(table.table()) {
        return columns.clone();
    }
    let (name, _) = crate::sql::unpin_name(table.table());
    let Ok(name) = TableName::new(table.schema().unwrap_or("silver"), name) else {
        return vec![Ways::default(); plan.schema().fields().len()];
    };
    let column = |field: &str| ColumnRef { table: name.clone(), column: field.to_owned() };
    plan.schema().fields().iter().map(|field| Ways::one(column(field.name()), Way::Copied)).collect()
}

/// The sources of expressions over an input.
fn through(exprs: &[Expr], input: &LogicalPlan, seen: &mut Seen, scope: &Scope) -> Result<Vec<Ways>> {
    let columns = walk(input, seen, scope)?;
    exprs.iter().map(|expr| of_expr(expr, input.schema(), &columns, seen, scope)).collect()
}

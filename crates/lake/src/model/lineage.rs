//! Which columns each column is made of, read from the planned query.

mod nodes;

use super::checks::GroupSize;
use super::totals::{self, Count, Floor, Groups};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, Subquery};
use kernel::name::TableName;
use nodes::walk;
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

/// What a column says of one row of the column that it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carries {
    /// Its value, or something computed over it.
    Value,
    /// Its part in a total over a group of rows, of which this is known.
    Total(Floor),
}

/// Lineage of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Per output column, in order.
    pub columns: Vec<(String, Sources)>,
    /// Columns that decide which rows there are: filters, join keys, groups.
    pub rows: BTreeSet<ColumnRef>,
    /// Pairs of columns whose values are held against each other, as they are or in another spelling.
    pub joins: BTreeSet<(ColumnRef, ColumnRef)>,
    /// Per output column, the columns whose values it holds, as they are or in another spelling: `lower(email)`.
    pub holds: BTreeMap<String, BTreeSet<ColumnRef>>,
    /// Per output column, what it says of rows of other columns.
    pub carries: BTreeMap<String, BTreeMap<ColumnRef, Carries>>,
    /// Whether a group of the query is one that [`GroupSize`] can be asked of.
    pub groups: bool,
}

/// Functions whose result stands for their argument: two of these are equal because the arguments are.
const SPELLINGS: [&str; 27] = [
    "lower",
    "upper",
    "initcap",
    "trim",
    "btrim",
    "ltrim",
    "rtrim",
    "lpad",
    "rpad",
    "replace",
    "regexp_replace",
    "translate",
    "reverse",
    "concat",
    "coalesce",
    "nvl",
    "nvl2",
    "nullif",
    "arrow_cast",
    "encode",
    "decode",
    "digest",
    "md5",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
];

/// How a value got from one column into another, with what only joins and classes need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Copied,
    /// The value in another spelling.
    Spelled,
    Derived,
    /// One of the values of many rows: `max`, `first_value`, `array_agg`, and totals whose rows change from row to row.
    Picked,
    /// A total over a group.
    Total,
    /// It decides only which rows stand together, or in which order.
    Placed,
}

impl From<Way> for Via {
    fn from(way: Way) -> Self {
        match way {
            Way::Copied => Via::Copied,
            Way::Spelled | Way::Derived => Via::Derived,
            Way::Picked | Way::Total | Way::Placed => Via::Aggregated,
        }
    }
}

/// How one source got into a column, and for a total the groups it was made over.
#[derive(Debug, Clone)]
struct Trace {
    way: Way,
    groups: BTreeSet<usize>,
}

/// What one column is made of, while a plan is walked.
#[derive(Debug, Clone, Default)]
struct Ways {
    from: BTreeMap<ColumnRef, Trace>,
    /// The column counts the rows of a group.
    count: Option<Count>,
}

impl Ways {
    fn one(column: ColumnRef, way: Way) -> Self {
        Self { from: BTreeMap::from([(column, Trace { way, groups: BTreeSet::new() })]), count: None }
    }

    /// The same, at least as far away as this.
    fn at_least(mut self, least: Way) -> Self {
        for trace in self.from.values_mut() {
            trace.way = trace.way.max(least);
        }
        if least > Way::Copied {
            self.count = None;
        }
        self
    }
}

/// Reads a plan. Analysed or not, but not optimised: the optimiser drops what it does not need. `promised` is what the
/// model's checks hold its groups to.
pub fn of_plan(plan: &LogicalPlan, promised: Option<&GroupSize>) -> Result<Lineage> {
    let mut seen = Seen::default();
    let columns = walk(plan, &mut seen, &Scope::default())?;
    if let Some(promised) = promised {
        seen.groups.promise(promised);
    }
    let mut lineage =
        Lineage { rows: seen.rows, joins: seen.joins, groups: seen.groups.any_outermost(), ..Lineage::default() };
    for (field, ways) in plan.schema().fields().iter().zip(columns) {
        lineage.holds.entry(field.name().clone()).or_default().extend(held(&ways));
        let carries = lineage.carries.entry(field.name().clone()).or_default();
        for (key, trace) in &ways.from {
            match trace.way {
                Way::Placed => {}
                Way::Total => drop(carries.insert(key.clone(), Carries::Total(seen.groups.floor(&trace.groups)))),
                _ => drop(carries.insert(key.clone(), Carries::Value)),
            }
        }
        let sources = ways.from.into_iter().map(|(key, trace)| (key, trace.way.into())).collect();
        lineage.columns.push((field.name().clone(), sources));
    }
    Ok(lineage)
}

/// The columns whose values these are.
fn held(ways: &Ways) -> impl Iterator<Item = ColumnRef> {
    ways.from.iter().filter(|(_, trace)| trace.way <= Way::Spelled).map(|(key, _)| key.clone())
}

/// What a walk finds beside the columns.
#[derive(Default)]
struct Seen {
    rows: BTreeSet<ColumnRef>,
    joins: BTreeSet<(ColumnRef, ColumnRef)>,
    groups: Groups,
}

/// What a plan may name beside its inputs.
#[derive(Clone, Default)]
struct Scope {
    /// Recursive queries, by name: what their columns are made of so far.
    recursive: BTreeMap<String, Vec<Ways>>,
    /// The rows around a subquery, outermost first.
    outer: Vec<(DFSchema, Vec<Ways>)>,
    /// Inside of a group, or of a subquery.
    is_inner: bool,
}

impl Scope {
    /// The scope of a subquery beside these columns.
    fn below(&self, schema: &DFSchema, columns: &[Ways]) -> Self {
        let mut inner = self.clone();
        inner.outer.push((schema.clone(), columns.to_vec()));
        inner.is_inner = true;
        inner
    }
}

fn of_expr(expr: &Expr, schema: &DFSchema, columns: &[Ways], seen: &mut Seen, scope: &Scope) -> Result<Ways> {
    let is_column = matches!(expr.clone().unalias_nested().data, Expr::Column(_));
    // What is spelled is found below as derived too; the nearer way stays.
    let mut found = spelled(expr, schema, columns, scope);
    if !is_column {
        found = found.at_least(Way::Spelled);
    }
    expr.apply(|part| {
        match part {
            Expr::Column(column) => add(&mut found, column, schema, columns, Way::Derived),
            Expr::OuterReferenceColumn(_, column) => add_outer(&mut found, column, scope, Way::Derived),
            Expr::ScalarSubquery(query) => {
                for ways in below(query, schema, columns, seen, scope)? {
                    merge(&mut found, ways.at_least(Way::Derived));
                }
            }
            Expr::InSubquery(query) => is_in(query, schema, columns, seen, scope)?,
            Expr::Exists(query) => drop(below(&query.subquery, schema, columns, seen, scope)?),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    found.count = totals::column(expr).and_then(|column| at(column, schema, columns)?.count);
    Ok(found)
}

/// What the column of this name is made of.
fn at<'a>(column: &Column, schema: &DFSchema, columns: &'a [Ways]) -> Option<&'a Ways> {
    schema.maybe_index_of_column(column).and_then(|at| columns.get(at))
}

/// The columns of a subquery that stands beside these columns.
fn below(query: &Subquery, schema: &DFSchema, columns: &[Ways], seen: &mut Seen, scope: &Scope) -> Result<Vec<Ways>> {
    walk(&query.subquery, seen, &scope.below(schema, columns))
}

/// `x in (select y …)` holds x against y.
fn is_in(query: &InSubquery, schema: &DFSchema, columns: &[Ways], seen: &mut Seen, scope: &Scope) -> Result<()> {
    let inner = below(&query.subquery, schema, columns, seen, scope)?;
    if let Some(first) = inner.first() {
        pair(&values(&query.expr, schema, columns, scope), &held(first).collect::<Vec<_>>(), seen);
    }
    seen.rows.extend(inner.into_iter().flat_map(|ways| ways.from.into_keys()));
    Ok(())
}

fn add(found: &mut Ways, column: &Column, schema: &DFSchema, columns: &[Ways], least: Way) {
    let Some(ways) = at(column, schema, columns) else { return };
    merge(found, ways.clone().at_least(least));
}

/// A column of the rows around a subquery; the nearest that has it.
fn add_outer(found: &mut Ways, column: &Column, scope: &Scope, least: Way) {
    let around = scope.outer.iter().rev().find(|(schema, _)| schema.maybe_index_of_column(column).is_some());
    if let Some((schema, columns)) = around {
        add(found, column, schema, columns, least);
    }
}

/// What an expression is a spelling of, at any depth: `lower(trim(a.email))`, `coalesce(a.email, '')`.
fn spelled(expr: &Expr, schema: &DFSchema, columns: &[Ways], scope: &Scope) -> Ways {
    let mut found = Ways::default();
    let mut each =
        |exprs: &[&Expr]| exprs.iter().for_each(|inner| merge(&mut found, spelled(inner, schema, columns, scope)));
    match expr {
        Expr::Column(column) => add(&mut found, column, schema, columns, Way::Copied),
        Expr::OuterReferenceColumn(_, column) => add_outer(&mut found, column, scope, Way::Copied),
        Expr::Alias(alias) => each(&[&alias.expr]),
        Expr::Cast(cast) => each(&[&cast.expr]),
        Expr::TryCast(cast) => each(&[&cast.expr]),
        Expr::BinaryExpr(both) if both.op == Operator::StringConcat => each(&[&both.left, &both.right]),
        Expr::ScalarFunction(call) if SPELLINGS.contains(&call.name()) => each(&call.args.iter().collect::<Vec<_>>()),
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            each(&results.chain(case.else_expr.as_deref()).collect::<Vec<_>>());
        }
        _ => {}
    }
    found
}

/// The columns whose values an expression holds, as they are or in another spelling.
fn values(expr: &Expr, schema: &DFSchema, columns: &[Ways], scope: &Scope) -> Vec<ColumnRef> {
    held(&spelled(expr, schema, columns, scope)).collect()
}

/// Remembers columns that are held against each other.
fn pair(these: &[ColumnRef], those: &[ColumnRef], seen: &mut Seen) {
    for one in these {
        seen.joins.extend(those.iter().map(|other| (one.clone(), other.clone())));
    }
}

/// Remembers the columns that a condition holds equal, wherever in it: the planner leaves `on a.x = b.y` as a condition
/// of the join.
fn equal(condition: &Expr, schema: &DFSchema, columns: &[Ways], seen: &mut Seen, scope: &Scope) -> Result<()> {
    let of = |expr: &Expr| values(expr, schema, columns, scope);
    let found = condition.apply(|part| {
        match part {
            Expr::BinaryExpr(both) if matches!(both.op, Operator::Eq | Operator::IsNotDistinctFrom) => {
                pair(&of(&both.left), &of(&both.right), seen);
            }
            Expr::InList(list) => list.list.iter().for_each(|one| pair(&of(&list.expr), &of(one), seen)),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.map(drop)
}

fn decide(exprs: &[Expr], schema: &DFSchema, columns: &[Ways], seen: &mut Seen, scope: &Scope) -> Result<()> {
    for expr in exprs {
        let sources = of_expr(expr, schema, columns, seen, scope)?;
        seen.rows.extend(sources.from.into_keys());
    }
    Ok(())
}

/// Keeps the nearest way of each source. What two columns became counts nothing.
fn merge(into: &mut Ways, more: Ways) {
    into.count = None;
    for (key, trace) in more.from {
        match into.from.get_mut(&key) {
            None => drop(into.from.insert(key, trace)),
            Some(own) if trace.way < own.way => *own = trace,
            Some(own) if trace.way == own.way => own.groups.extend(trace.groups),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;

//! Which columns each column is made of, read from the planned query.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Operator, Subquery};
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
    /// Pairs of columns whose values are held against each other, as they are or in another spelling.
    pub joins: BTreeSet<(ColumnRef, ColumnRef)>,
    /// Per output column, the columns whose values it holds, as they are or in another spelling: `lower(email)`.
    pub holds: BTreeMap<String, BTreeSet<ColumnRef>>,
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

/// How a value got from one column into another, with what only joins need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Copied,
    /// The value in another spelling.
    Spelled,
    Derived,
    Aggregated,
}

impl From<Way> for Via {
    fn from(way: Way) -> Self {
        match way {
            Way::Copied => Via::Copied,
            Way::Spelled | Way::Derived => Via::Derived,
            Way::Aggregated => Via::Aggregated,
        }
    }
}

/// What one column is made of, while a plan is walked.
type Ways = BTreeMap<ColumnRef, Way>;

/// Reads a plan. Analysed or not, but not optimised: the optimiser drops what it does not need.
pub fn of_plan(plan: &LogicalPlan) -> Result<Lineage> {
    let mut seen = Seen::default();
    let columns = walk(plan, &mut seen, &Scope::default())?;
    let mut lineage = Lineage { rows: seen.rows, joins: seen.joins, ..Lineage::default() };
    for (field, ways) in plan.schema().fields().iter().zip(columns) {
        lineage.holds.entry(field.name().clone()).or_default().extend(held(&ways));
        let sources = ways.into_iter().map(|(key, way)| (key, way.into())).collect();
        lineage.columns.push((field.name().clone(), sources));
    }
    Ok(lineage)
}

/// The columns whose values these are.
fn held(ways: &Ways) -> impl Iterator<Item = ColumnRef> {
    ways.iter().filter(|(_, way)| **way <= Way::Spelled).map(|(key, _)| key.clone())
}

/// What a walk finds beside the columns.
#[derive(Default)]
struct Seen {
    rows: BTreeSet<ColumnRef>,
    joins: BTreeSet<(ColumnRef, ColumnRef)>,
}

/// What a plan may name beside its inputs.
#[derive(Clone, Default)]
struct Scope {
    /// Recursive queries, by name: what their columns are made of so far.
    recursive: BTreeMap<String, Vec<Ways>>,
    /// The rows around a subquery, outermost first.
    outer: Vec<(DFSchema, Vec<Ways>)>,
}

impl Scope {
    /// The scope of a subquery beside these columns.
    fn below(&self, schema: &DFSchema, columns: &[Ways]) -> Self {
        let mut inner = self.clone();
        inner.outer.push((schema.clone(), columns.to_vec()));
        inner
    }
}

/// The sources of each column of a plan's output.
fn walk(plan: &LogicalPlan, seen: &mut Seen, scope: &Scope) -> Result<Vec<Ways>> {
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scan_columns(plan, &scan.table_name, scope)),
        LogicalPlan::Projection(p) => through(&p.expr, &p.input, None, seen, scope),
        LogicalPlan::Window(w) => {
            let mut columns = walk(&w.input, seen, scope)?;
            columns.extend(through(&w.window_expr, &w.input, Some(Way::Aggregated), seen, scope)?);
            Ok(columns)
        }
        LogicalPlan::Aggregate(a) => {
            let mut columns = through(&a.group_expr, &a.input, None, seen, scope)?;
            seen.rows.extend(columns.iter().flat_map(|sources| sources.keys().cloned()));
            columns.extend(through(&a.aggr_expr, &a.input, Some(Way::Aggregated), seen, scope)?);
            columns.resize(plan.schema().fields().len(), Ways::new());
            Ok(columns)
        }
        LogicalPlan::Filter(f) => {
            let columns = walk(&f.input, seen, scope)?;
            equal(&f.predicate, f.input.schema(), &columns, seen, scope)?;
            decide(std::slice::from_ref(&f.predicate), f.input.schema(), &columns, seen, scope)?;
            Ok(columns)
        }
        LogicalPlan::Join(join) => joined(join, seen, scope),
        LogicalPlan::Union(union) => {
            let mut columns: Vec<Ways> = vec![Ways::new(); plan.schema().fields().len()];
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
    columns.resize(width, Ways::new());
    if let Some(filter) = &join.filter {
        decide(std::slice::from_ref(filter), &join.schema, &columns, seen, scope)?;
    }
    Ok(columns)
}

/// Nodes that hand their input's columns on (sort, limit, alias, distinct) or make up new ones (values, unnest).
fn passed_on(plan: &LogicalPlan, seen: &mut Seen, scope: &Scope) -> Result<Vec<Ways>> {
    let width = plan.schema().fields().len();
    let inputs = plan.inputs();
    let [input] = inputs[..] else { return Ok(vec![Ways::new(); width]) };
    let columns = walk(input, seen, scope)?;
    if columns.len() == width {
        return Ok(columns);
    }
    // Unnest widens: a column comes from the input column of its name, or of the struct that it was a field of.
    let names: Vec<&String> = input.schema().fields().iter().map(|f| f.name()).collect();
    let found = plan.schema().fields().iter().map(|field| {
        let at = names.iter().position(|name| field.name() == *name || field.name().starts_with(&format!("{name}.")));
        let derived = |sources: &Ways| sources.keys().map(|key| (key.clone(), Way::Derived)).collect();
        at.and_then(|at| columns.get(at)).map(derived).unwrap_or_default()
    });
    Ok(found.collect())
}

fn scan_columns(plan: &LogicalPlan, table: &datafusion::common::TableReference, scope: &Scope) -> Vec<Ways> {
    if let Some(columns) = scope.recursive.get(table.table()) {
        return columns.clone();
    }
    let (name, _) = crate::sql::unpin_name(table.table());
    let Ok(name) = TableName::new(table.schema().unwrap_or("silver"), name) else {
        return vec![Ways::new(); plan.schema().fields().len()];
    };
    let column = |field: &str| ColumnRef { table: name.clone(), column: field.to_owned() };
    plan.schema().fields().iter().map(|field| Ways::from([(column(field.name()), Way::Copied)])).collect()
}

/// The sources of expressions over an input.
fn through(
    exprs: &[Expr],
    input: &LogicalPlan,
    at_least: Option<Way>,
    seen: &mut Seen,
    scope: &Scope,
) -> Result<Vec<Ways>> {
    let columns = walk(input, seen, scope)?;
    exprs.iter().map(|expr| of_expr(expr, input.schema(), &columns, at_least, seen, scope)).collect()
}

fn of_expr(
    expr: &Expr,
    schema: &DFSchema,
    columns: &[Ways],
    at_least: Option<Way>,
    seen: &mut Seen,
    scope: &Scope,
) -> Result<Ways> {
    let least = at_least.unwrap_or(Way::Copied);
    let is_column = matches!(expr.clone().unalias_nested().data, Expr::Column(_));
    let mut found = Ways::new();
    // What is spelled is found below as derived too; the nearer way stays.
    for (key, way) in spelled(expr, schema, columns, scope) {
        let way = if is_column { way } else { way.max(Way::Spelled) };
        found.insert(key, way.max(least));
    }
    expr.apply(|part| {
        match part {
            Expr::Column(column) => add(&mut found, column, schema, columns, least.max(Way::Derived)),
            Expr::OuterReferenceColumn(_, column) => add_outer(&mut found, column, scope, least.max(Way::Derived)),
            Expr::ScalarSubquery(query) => {
                for ways in below(query, schema, columns, seen, scope)? {
                    merge(&mut found, ways.into_iter().map(|(key, way)| (key, way.max(Way::Derived))).collect());
                }
            }
            Expr::InSubquery(query) => is_in(query, schema, columns, seen, scope)?,
            Expr::Exists(query) => drop(below(&query.subquery, schema, columns, seen, scope)?),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
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
    seen.rows.extend(inner.into_iter().flat_map(BTreeMap::into_keys));
    Ok(())
}

fn add(found: &mut Ways, column: &Column, schema: &DFSchema, columns: &[Ways], least: Way) {
    let Some(ways) = schema.maybe_index_of_column(column).and_then(|at| columns.get(at)) else { return };
    merge(found, ways.iter().map(|(key, inner)| (key.clone(), (*inner).max(least))).collect());
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
    let mut found = Ways::new();
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
        let sources = of_expr(expr, schema, columns, None, seen, scope)?;
        seen.rows.extend(sources.into_keys());
    }
    Ok(())
}

/// Keeps the nearest way of each source.
fn merge(into: &mut Ways, more: Ways) {
    for (key, via) in more {
        into.entry(key).and_modify(|own| *own = (*own).min(via)).or_insert(via);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::empty::EmptyTable;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use std::sync::Arc;

    async fn lineage(sql: &str) -> Lineage {
        let config = SessionConfig::new().with_default_catalog_and_schema("lake", "silver");
        let context = SessionContext::new_with_config(config);
        let fields = |names: [&str; 2]| names.map(|name| Field::new(name, DataType::Utf8, true)).to_vec();
        for (name, columns) in [("a", ["cpf", "n"]), ("b", ["k", "o"])] {
            let table = EmptyTable::new(Arc::new(Schema::new(fields(columns))));
            context.register_table(name, Arc::new(table)).expect("a table");
        }
        let plan = context.state().create_logical_plan(sql).await.expect(sql);
        of_plan(&plan).expect("a lineage")
    }

    fn is_held_against(lineage: &Lineage, one: &str, other: &str) -> bool {
        let is =
            |column: &ColumnRef, name: &str| format!("{}.{}", column.table, column.column) == format!("silver.{name}");
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
        let found =
            lineage("select lower(cpf) as c, cpf, count(*) as n, length(n) as l from a group by cpf, a.n").await;
        let cpf = ColumnRef { table: TableName::parse("silver.a").expect("a name"), column: "cpf".into() };
        assert_eq!(found.columns[0].1, Sources::from([(cpf.clone(), Via::Derived)]));
        assert_eq!(found.columns[1].1, Sources::from([(cpf.clone(), Via::Copied)]));
        assert_eq!(found.holds["c"], BTreeSet::from([cpf]));
        assert!(found.holds["l"].is_empty() && found.holds["n"].is_empty());
    }
}

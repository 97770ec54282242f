//! Totals over groups: which aggregates are one, and how large the groups are at least.
//!
//! A total says nothing of one row only if its group has many. That is so where the query leaves out smaller groups
//! (`having count(*) >= 10`, or a filter further out over a column that counts), or where the model's checks promise it
//! ([`GroupSize`]), which [`super::checks`] then holds the result to.

use super::checks::GroupSize;
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Operator};
use std::collections::BTreeSet;

/// Aggregates that give no row's value back. All others (`min`, `first_value`, `array_agg`, `median`, …) may.
const TOTALS: [&str; 24] = [
    "count",
    "sum",
    "avg",
    "mean",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "var",
    "var_pop",
    "var_samp",
    "covar",
    "covar_pop",
    "covar_samp",
    "corr",
    "approx_distinct",
    "regr_slope",
    "regr_intercept",
    "regr_count",
    "regr_r2",
    "regr_avgx",
    "regr_avgy",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
];

/// What is known of the groups that a total is made over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Floor {
    /// No group is smaller.
    pub least: u64,
    /// What is counted is distinct values of a column, not rows.
    pub is_distinct: bool,
}

/// A column that counts what a group holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    group: usize,
    is_distinct: bool,
}

/// The groups of a query, one for each place in it that makes some.
#[derive(Default)]
pub(super) struct Groups(Vec<Group>);

struct Group {
    floor: Floor,
    /// Nothing around it groups its rows again.
    is_outermost: bool,
}

impl Groups {
    pub fn add(&mut self, is_outermost: bool) -> usize {
        self.0.push(Group { floor: Floor::default(), is_outermost });
        self.0.len() - 1
    }

    /// Groups that count less than this are left out.
    pub fn raise(&mut self, count: Count, least: u64) {
        if let Some(group) = self.0.get_mut(count.group) {
            group.floor = group.floor.max(Floor { least, is_distinct: count.is_distinct });
        }
    }

    /// What a check holds the outermost groups to.
    pub fn promise(&mut self, promised: &GroupSize) {
        let floor = Floor { least: promised.min, is_distinct: promised.people.is_some() };
        for group in self.0.iter_mut().filter(|group| group.is_outermost) {
            group.floor = group.floor.max(floor);
        }
    }

    pub fn any_outermost(&self) -> bool {
        self.0.iter().any(|group| group.is_outermost)
    }

    /// What holds of all of these.
    pub fn floor(&self, groups: &BTreeSet<usize>) -> Floor {
        let floors = groups.iter().filter_map(|group| self.0.get(*group)).map(|group| group.floor);
        floors.min().unwrap_or_default()
    }
}

/// Whether an aggregate is a total over all rows of its group. One with a `filter` or a `case` is over some of them, and
/// how many these are nobody counts.
pub(super) fn is_total(expr: &Expr) -> bool {
    let Some(call) = aggregate(expr) else { return false };
    let is_part = |expr: &Expr| expr.exists(|part| Ok(matches!(part, Expr::Case(_)))).unwrap_or(true);
    TOTALS.contains(&call.func.name()) && call.params.filter.is_none() && !call.params.args.iter().any(is_part)
}

/// What a column of this expression counts, if it counts.
pub(super) fn counts(expr: &Expr, group: usize) -> Option<Count> {
    let call = aggregate(expr).filter(|call| call.func.name() == "count" && is_total(expr))?;
    Some(Count { group, is_distinct: call.params.distinct })
}

fn aggregate(expr: &Expr) -> Option<&AggregateFunction> {
    match expr {
        Expr::Alias(alias) => aggregate(&alias.expr),
        Expr::AggregateFunction(call) => Some(call),
        _ => None,
    }
}

/// The column that an expression is, in another type or under another name.
pub(super) fn column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(found) => Some(found),
        Expr::Alias(alias) => column(&alias.expr),
        Expr::Cast(cast) => column(&cast.expr),
        _ => None,
    }
}

/// Columns that a condition keeps from falling below a number.
pub(super) fn least(condition: &Expr) -> Vec<(&Column, u64)> {
    split_conjunction(condition).into_iter().filter_map(bound).collect()
}

fn bound(part: &Expr) -> Option<(&Column, u64)> {
    let Expr::BinaryExpr(both) = part else { return None };
    let (name, op, number) = match (column(&both.left), number(&both.right)) {
        (Some(name), Some(number)) => (name, both.op, number),
        _ => (column(&both.right)?, both.op.swap()?, number(&both.left)?),
    };
    match op {
        Operator::GtEq | Operator::Eq => Some((name, number)),
        Operator::Gt => Some((name, number.checked_add(1)?)),
        _ => None,
    }
}

fn number(expr: &Expr) -> Option<u64> {
    match expr {
        Expr::Literal(value, _) => value.to_string().parse().ok(),
        Expr::Cast(cast) => number(&cast.expr),
        _ => None,
    }
}

//! How large the groups of a model's query are: counted over its inputs, for the result need not show it.

use super::super::run::{Pinned, two_numbers};
use crate::sql::failed;
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, sum};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::prelude::DataFrame;
use kernel::error::Result;
use kernel::suggest;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSize {
    /// The smallest group that is allowed.
    pub min: u64,
    /// The column of the query's tables that tells people apart: its distinct values are counted. Rows are counted when it
    /// is left out, which is the same only where nobody has two.
    #[serde(default)]
    pub people: Option<String>,
}

const ROWS: &str = "_lavra_rows";
const PEOPLE: &str = "_lavra_people";

/// Groups that are too small, and their rows.
pub(super) async fn small(pinned: &Pinned<'_>, check: &GroupSize) -> Result<[u64; 2]> {
    let frame = pinned.query(pinned.catalog(BTreeMap::new()).await?).await?;
    let (state, plan) = frame.into_parts();
    let mut found = [0, 0];
    for group in outermost(&plan) {
        let counted = counted(group, check).map_err(failed)?;
        let [groups, rows] = two_numbers(DataFrame::new(state.clone(), counted)).await?;
        found = [found[0] + groups, found[1] + rows];
    }
    Ok(found)
}

/// Where a query makes groups that nothing around it groups again.
fn outermost(plan: &LogicalPlan) -> Vec<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(group) => vec![group],
        other => other.inputs().into_iter().flat_map(outermost).collect(),
    }
}

/// The column that tells people apart, among the rows that are grouped.
fn people(group: &Aggregate, name: &str) -> Option<Expr> {
    let mut fields = group.input.schema().iter();
    fields.find(|(_, field)| field.name() == name).map(|pair| Expr::Column(pair.into()))
}

fn counted(group: &Aggregate, check: &GroupSize) -> datafusion::common::Result<LogicalPlan> {
    let people = check.people.as_ref().and_then(|name| people(group, name));
    let people = people.map_or_else(|| count(lit(1)), count_distinct);
    LogicalPlanBuilder::from(group.input.clone())
        .aggregate(group.group_expr.clone(), [count(lit(1)).alias(ROWS), people.alias(PEOPLE)])?
        .filter(col(ROWS).gt(lit(0)).and(col(PEOPLE).lt(lit(check.min))))?
        .aggregate(Vec::<Expr>::new(), [count(lit(1)), sum(col(ROWS))])?
        .build()
}

/// What is wrong with the check of this query: where, what, and what would be right.
pub(in super::super) fn faults(check: &GroupSize, plan: &LogicalPlan) -> Vec<(String, String, Option<String>)> {
    let mut faults = Vec::new();
    let mut wrong = |key: &str, message: String, help: Option<String>| {
        faults.push((format!("checks.group_size{key}"), message, help));
    };
    if check.min < 2 {
        wrong(
            ".min",
            format!("every group has {} or more", check.min),
            Some("write 2 or more; 5 and 10 are usual".into()),
        );
    }
    let groups = outermost(plan);
    if groups.is_empty() {
        let help = "take the check away, or write a `group by`";
        wrong("", "the query makes no groups".into(), Some(help.into()));
    }
    if let Some(name) = &check.people
        && let Some(group) = groups.iter().find(|group| people(group, name).is_none())
    {
        let names = group.input.schema().fields().iter().map(|field| field.name().as_str());
        let help = suggest::hint(name, names);
        wrong(".people", format!("the rows that are grouped have no column `{name}`"), help);
    }
    faults
}

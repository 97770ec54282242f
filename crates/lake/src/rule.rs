//! A contract's SQL rules. `select count(*) from {table} where …` that must be 0 judges rows one by one, in the gate; any
//! other query is asked of the rows about to be committed.

use crate::sql::{SqlFault, explain};
use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{Expr, FunctionArguments, GroupByExpr, SelectItem, SetExpr, Statement as Ast};
use kernel::contract::{Must, RowRule, SqlRule};
use kernel::error::{Error, Result};
use std::sync::Arc;

/// A rule that judges rows.
pub struct SqlRowRule {
    name: String,
    column: Option<String>,
    condition: Arc<dyn PhysicalExpr>,
}

/// The condition that wrong rows fulfil, if the rule judges rows one by one.
pub fn row_condition(rule: &SqlRule) -> Option<String> {
    if rule.must != Must::Be(0.0) {
        return None;
    }
    let sql = rule.query.replace("{table}", "rows_");
    let mut statements = DFParser::parse_sql(&sql).ok()?;
    let Statement::Statement(statement) = statements.pop_front()? else { return None };
    let Ast::Query(query) = *statement else { return None };
    let SetExpr::Select(select) = *query.body else { return None };
    let one_table = matches!(&select.from[..], [from] if from.joins.is_empty() && from.relation.to_string() == "rows_");
    let no_groups =
        matches!(&select.group_by, GroupByExpr::Expressions(list, _) if list.is_empty()) && select.having.is_none();
    let counts = matches!(&select.projection[..], [SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. }] if is_count(e));
    (one_table && no_groups && counts && query.with.is_none())
        .then(|| select.selection.map(|e| e.to_string()))
        .flatten()
}

fn is_count(expr: &Expr) -> bool {
    match expr {
        Expr::Function(f) => {
            let star =
                matches!(&f.args, FunctionArguments::List(list) if list.to_string() == "*" || list.to_string() == "1");
            f.name.to_string().eq_ignore_ascii_case("count") && star && f.filter.is_none() && f.over.is_none()
        }
        _ => false,
    }
}

impl SqlRowRule {
    /// Compiles a condition over an entity's typed columns.
    pub fn compile(rule: &SqlRule, condition: &str, schema: &SchemaRef) -> Result<Self, SqlFault> {
        let fault = |e| explain(&e, &rule.query, &[]);
        let context = SessionContext::new();
        let columns = DFSchema::try_from(schema.as_ref().clone()).map_err(fault)?;
        let expr = context.parse_sql_expr(condition, &columns).map_err(fault)?;
        let condition = context.create_physical_expr(expr, &columns).map_err(fault)?;
        Ok(Self { name: rule.name.clone(), column: rule.property.clone(), condition })
    }
}

impl RowRule for SqlRowRule {
    fn name(&self) -> &str {
        &self.name
    }

    fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }

    fn violates(&self, typed: &RecordBatch) -> Result<BooleanArray> {
        let fault =
            |e: datafusion::common::DataFusionError| Error::data(format!("rule `{}`", self.name), e.strip_backtrace());
        let found =
            self.condition.evaluate(typed).and_then(|value| value.into_array(typed.num_rows())).map_err(fault)?;
        let found = found
            .as_boolean_opt()
            .ok_or_else(|| Error::project(format!("rule `{}`", self.name), "its condition is not true or false"))?;
        Ok(found.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};

    fn rule(query: &str) -> SqlRule {
        SqlRule { name: "positive".into(), query: query.into(), must: Must::Be(0.0), property: Some("a".into()) }
    }

    #[test]
    fn a_count_that_must_be_zero_judges_rows() {
        let query = rule("select count(*) from {table} where a <= 0");
        let condition = row_condition(&query).expect("a row rule");
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let compiled = SqlRowRule::compile(&query, &condition, &schema).expect("a condition");
        let batch =
            RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![Some(1), Some(0), None]))]).expect("rows");
        let broken = compiled.violates(&batch).expect("a verdict");
        assert_eq!(broken.iter().collect::<Vec<_>>(), [Some(false), Some(true), None]);
    }

    #[test]
    fn other_queries_do_not() {
        for query in [
            "select sum(a) from {table}",
            "select count(*) from {table}",
            "select count(*) from {table} t join other o on t.a = o.a where t.a < 0",
            "select count(*) from {table} where a < 0 group by a",
            "select count(distinct a) from {table} where a < 0",
        ] {
            assert_eq!(row_condition(&rule(query)), None, "{query}");
        }
    }
}

//! Functions that rooms bring, as the engine knows functions; and what a plan with them opens.

use arrow::array::{ArrayRef, AsArray, BinaryArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use kernel::error::Error;
use kernel::function::{self, AggregateFunction, Functions, ScalarFunction};
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The functions of an engine, ready for its contexts.
#[derive(Clone, Default)]
pub(super) struct Registered {
    scalar: Vec<Arc<ScalarUDF>>,
    aggregate: Vec<Arc<AggregateUDF>>,
}

impl Registered {
    pub fn new(functions: Functions) -> Self {
        let scalar = functions.scalar.into_iter().map(|function| Arc::new(OfRows(Own::new(function)).into()));
        let aggregate = functions.aggregate.into_iter().map(|function| Arc::new(OfGroups(Own::new(function)).into()));
        Self { scalar: scalar.collect(), aggregate: aggregate.collect() }
    }

    pub fn register(&self, context: &SessionContext) {
        self.scalar.iter().for_each(|function| context.register_udf(function.as_ref().clone()));
        self.aggregate.iter().for_each(|function| context.register_udaf(function.as_ref().clone()));
    }
}

/// What a session must hold to run a plan, in its subqueries and views too.
pub(super) fn grants(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut needed = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(view) = scan.source.get_logical_plan()
        {
            needed.extend(grants(&view)?);
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                needed.extend(grant(part)?);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(needed)
}

fn grant(expr: &Expr) -> Result<Option<String>> {
    let Expr::ScalarFunction(call) = expr else { return Ok(None) };
    let Some(OfRows(own)) = call.func.inner().downcast_ref::<OfRows>() else { return Ok(None) };
    let constants: Vec<Option<String>> = call.args.iter().map(constant).collect();
    own.function.grant(&constants).map_err(external)
}

/// The text of an argument that stands in the query itself.
fn constant(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        Expr::Alias(alias) => constant(&alias.expr),
        _ => None,
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A function with the signature that the engine wants: any arguments, for the function itself says which it takes.
struct Own<F: ?Sized> {
    function: Arc<F>,
    signature: Signature,
}

impl<F: ?Sized> Own<F> {
    fn new(function: Arc<F>) -> Self {
        // What a key opens today it may not open tomorrow.
        Self { function, signature: Signature::user_defined(Volatility::Stable) }
    }
}

/// Two are one if they are one object.
impl<F: ?Sized> PartialEq for Own<F> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
    }
}

impl<F: ?Sized> Eq for Own<F> {}

impl<F: ?Sized> Hash for Own<F> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.function).cast::<()>().hash(state);
    }
}

#[derive(PartialEq, Eq, Hash)]
struct OfRows(Own<dyn ScalarFunction>);

impl fmt::Debug for OfRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.function.name())
    }
}

impl ScalarUDFImpl for OfRows {
    fn name(&self) -> &str {
        self.0.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.0.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arguments.to_vec())
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.0.function.output(arguments).map_err(external)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let arguments = args.args.into_iter().map(|value| value.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let made = self.0.function.call(&arguments).map_err(external)?;
        match is_constant {
            true => ScalarValue::try_from_array(&made, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(made)),
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
struct OfGroups(Own<dyn AggregateFunction>);

impl fmt::Debug for OfGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.function.name())
    }
}

impl AggregateUDFImpl for OfGroups {
    fn name(&self) -> &str {
        self.0.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.0.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arguments.to_vec())
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [argument] => self.0.function.output(argument).map_err(external),
            _ => Err(external(Error::project(self.name(), "it takes one column"))),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", args.name), DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            let detail = "`distinct` is not for it: it can't see which of its values are equal";
            return Err(external(Error::project(self.name(), detail)));
        }
        Ok(Box::new(Group(self.0.function.start())))
    }

    /// Of no rows; asked where a subquery finds none.
    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Group(self.0.function.start()).evaluate()
    }
}

struct Group(Box<dyn function::Accumulator>);

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Group")
    }
}

impl Accumulator for Group {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.iter().try_for_each(|column| self.0.take(column)).map_err(external)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.0.finish().map_err(external)?, 0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.0.state().map_err(external)?))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for states in states {
            let states: &BinaryArray = states.as_binary();
            states.iter().flatten().try_for_each(|state| self.0.merge(state)).map_err(external)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

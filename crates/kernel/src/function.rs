//! Functions of SQL that rooms bring to the engine, which knows nothing of what they do.

use crate::error::Result;
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use std::sync::Arc;

/// What an engine is given.
#[derive(Clone, Default)]
pub struct Functions {
    pub scalar: Vec<Arc<dyn ScalarFunction>>,
    pub aggregate: Vec<Arc<dyn AggregateFunction>>,
}

/// A function of rows: one value out for each row in.
pub trait ScalarFunction: Send + Sync {
    fn name(&self) -> &str;

    /// The type it makes of its arguments' types; an error names the types that it takes.
    fn output(&self, arguments: &[DataType]) -> Result<DataType>;

    /// `constants` holds the text of each argument that is written in the query itself, such as a scope. A function that
    /// opens what is hidden answers what a session must hold for it: `decrypt(person)`. `None`: anybody may call it.
    fn grant(&self, constants: &[Option<String>]) -> Result<Option<String>>;

    /// Called with columns of equal length, of the types that [`Self::output`] accepted.
    fn call(&self, arguments: &[ArrayRef]) -> Result<ArrayRef>;
}

/// A function of groups.
pub trait AggregateFunction: Send + Sync {
    fn name(&self) -> &str;

    /// The type of its one argument decides the type it makes.
    fn output(&self, argument: &DataType) -> Result<DataType>;

    fn start(&self) -> Box<dyn Accumulator>;
}

/// One group's state. It can be taken out, moved to another thread or a spill file, and merged there.
pub trait Accumulator: Send + Sync {
    fn take(&mut self, values: &ArrayRef) -> Result<()>;

    fn state(&mut self) -> Result<Vec<u8>>;

    fn merge(&mut self, state: &[u8]) -> Result<()>;

    /// One value of the type of [`AggregateFunction::output`], as an array of length one.
    fn finish(&mut self) -> Result<ArrayRef>;

    /// Bytes it holds, for the memory budget.
    fn size(&self) -> usize;
}

//! A mask hides a column. What it promises is data, and `laws::mask` holds it to that.

use crate::classification::Classification;
use crate::contract::{Constraints, MaskSpec};
use crate::error::Result;
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use serde::Serialize;

/// What stays true of masked values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// Equal values stay equal, in every table whose mask has the same key scope: joins and counts go on working.
    pub joinable: bool,
    /// The holder of the key can bring the value back.
    pub reversible: bool,
    /// The masked value has the type of the value.
    pub keeps_type: bool,
    /// The same value is masked in another way each time; what isn't random is the same in every run.
    pub random: bool,
}

/// A total, vectorised function on a column.
///
/// Called by the gate only, with values that were never stored. It must keep the length and keep nulls null, must not
/// fail on any value of a type that [`Mask::output`] accepted, and must put no value in an error.
pub trait Mask: Send + Sync {
    fn name(&self) -> &str;

    fn promise(&self) -> Promise;

    /// The type it makes of `input`; `None` removes the column. An error names the types that it takes.
    fn output(&self, input: &DataType) -> Result<Option<DataType>>;

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef>;

    /// What it can hide of `input`. The gate holds values to it as to the contract's own bounds; beyond them the mask gives
    /// null.
    fn limits(&self, _input: &DataType) -> Option<Constraints> {
        None
    }

    /// The property that tells whose the row is, for a mask that treats each person by itself.
    fn subject(&self) -> Option<&str> {
        None
    }

    /// What is called instead of [`Self::apply`] when there is a [`Self::subject`]: that property's column as it came in,
    /// of the contract's type and of the same length, goes with it, and `class`, what it holds. A null there is a row of
    /// nobody's. Called once with no rows when the gate is built: an error then names the types that a subject can be of.
    fn apply_for(&self, column: &ArrayRef, _subjects: &ArrayRef, _class: Option<&Classification>) -> Result<ArrayRef> {
        self.apply(column)
    }

    /// For a mask that can't hide every value, why not: where it makes null of a value, the row is set aside for this
    /// reason. `None`: its nulls are what it makes, as any other value.
    fn refusal(&self) -> Option<&str> {
        None
    }
}

/// Makes masks of what contracts write; the list of them is `privacy::mask::all()`.
pub trait MaskFactory: Send + Sync {
    /// `class` is what the column holds: a CPF is the same person with or without its dots.
    fn build(&self, spec: &MaskSpec, class: Option<&Classification>) -> Result<Box<dyn Mask>>;
}

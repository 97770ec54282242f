//! Values that have parts, and unions, of which each value is of one of several types: how to get at what is inside.

use crate::error::Result;
use crate::gate::parse::typed::unexpected;
use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, UnionArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, interleave};
use arrow::datatypes::DataType;
use std::sync::Arc;

/// Looks at values without parts: the rows that are found, `None` when it is none for sure. Nulls may be among them.
pub(in crate::gate) type Leaf<'a> = &'a dyn Fn(&ArrayRef) -> Option<BooleanBuffer>;

/// The rows of which the value, or a part of it, is found by `leaf`; `None` when none is.
pub(in crate::gate) fn rows(values: &ArrayRef, leaf: Leaf) -> Option<BooleanBuffer> {
    let found = match values.data_type() {
        DataType::Struct(_) => {
            let fields = values.as_struct().columns().iter().filter_map(|field| rows(field, leaf));
            fields.reduce(|one, other| &one | &other)?
        }
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            items(list.value_offsets(), list.values(), leaf)?
        }
        DataType::LargeList(_) => {
            let list = values.as_list::<i64>();
            items(list.value_offsets(), list.values(), leaf)?
        }
        DataType::FixedSizeList(_, size) => {
            let ends: Vec<i64> = (0..=values.len() as i64).map(|row| row * i64::from(*size)).collect();
            items(&ends, values.as_fixed_size_list().values(), leaf)?
        }
        DataType::Map(..) => {
            let map = values.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            items(map.value_offsets(), &entries, leaf)?
        }
        DataType::Dictionary(_, value) if value.is_numeric() || value.is_temporal() => {
            rows(&cast(values, value).ok()?, leaf)?
        }
        _ => match Branches::of(values) {
            Some(branches) => branches.rows(leaf)?,
            None => leaf(values)?,
        },
    };
    there(found, values)
}

/// The rows of which an item is found.
fn items<O: OffsetSizeTrait>(ends: &[O], items: &ArrayRef, leaf: Leaf) -> Option<BooleanBuffer> {
    let (first, last) = (ends.first()?.as_usize(), ends.last()?.as_usize());
    let found = rows(&items.slice(first, last - first), leaf)?;
    let is_found = |row: usize| (ends[row].as_usize()..ends[row + 1].as_usize()).any(|item| found.value(item - first));
    Some(BooleanBuffer::collect_bool(ends.len() - 1, is_found))
}

/// What is below a null is nothing.
fn there(rows: BooleanBuffer, values: &ArrayRef) -> Option<BooleanBuffer> {
    let rows = match values.logical_nulls() {
        Some(valid) => &rows & valid.inner(),
        None => rows,
    };
    (rows.count_set_bits() > 0).then_some(rows)
}

/// A union, by its branches: each value is in one of them.
pub(in crate::gate) struct Branches<'a> {
    union: &'a UnionArray,
    ids: Vec<i8>,
}

impl<'a> Branches<'a> {
    /// `None` when the array is no union.
    pub fn of(values: &'a dyn Array) -> Option<Self> {
        let DataType::Union(fields, _) = values.data_type() else { return None };
        let union = values.as_any().downcast_ref::<UnionArray>()?;
        Some(Self { union, ids: fields.iter().map(|(id, _)| id).collect() })
    }

    /// In the order of the type's fields.
    pub fn values(&self) -> impl Iterator<Item = &'a ArrayRef> {
        let union = self.union;
        self.ids.iter().map(|id| union.child(*id)).collect::<Vec<_>>().into_iter()
    }

    /// The branch that a row's value is in, and its place there.
    pub fn place(&self, row: usize) -> (usize, usize) {
        let id = self.union.type_id(row);
        let branch = self.ids.iter().position(|known| *known == id).unwrap_or_default();
        (branch, self.union.value_offset(row))
    }

    /// One column, after each branch was made of the same type.
    pub fn merge(&self, branches: &[ArrayRef]) -> Result<ArrayRef> {
        let branches: Vec<&dyn Array> = branches.iter().map(|values| values.as_ref()).collect();
        let places: Vec<_> = (0..self.union.len()).map(|row| self.place(row)).collect();
        interleave(&branches, &places).map_err(unexpected)
    }

    fn rows(&self, leaf: Leaf) -> Option<BooleanBuffer> {
        let found: Vec<_> = self.values().map(|values| rows(values, leaf)).collect();
        found.iter().any(Option::is_some).then(|| self.pick(&found))
    }

    /// For each row what is true of its value's place in its branch.
    pub fn pick(&self, marked: &[Option<BooleanBuffer>]) -> BooleanBuffer {
        let is_marked = |row: usize| {
            let (branch, at) = self.place(row);
            marked[branch].as_ref().is_some_and(|marked| marked.value(at))
        };
        BooleanBuffer::collect_bool(self.union.len(), is_marked)
    }
}

//! Columns that hold their own values and nothing else.
//!
//! A reader's text columns are views into the block they were read from, and that block has every other column's bytes
//! too, before any mask. A Parquet writer copies the values out; an IPC stream, a spill file or a dump takes the block as
//! it is. So what leaves the gate is freed of it: the long values are copied (some 10 ns each), the block is let go.

use crate::error::{Error, Result};
use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BinaryViewArray, GenericByteViewArray, StringViewArray, make_array,
};
use arrow::datatypes::{ByteViewType, DataType};
use std::sync::Arc;

/// The same values in buffers that nobody else's values are in.
pub(crate) fn own(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Utf8View => Ok(Arc::new(own_views(column.as_string_view(), StringViewArray::from_iter))),
        DataType::BinaryView => Ok(Arc::new(own_views(column.as_binary_view(), BinaryViewArray::from_iter))),
        nested if has_views(nested) => Ok(make_array(own_children(&column.to_data())?)),
        _ => Ok(column.clone()),
    }
}

fn own_views<'a, T: ByteViewType + ?Sized>(
    array: &'a GenericByteViewArray<T>,
    rebuild: impl FnOnce(arrow::array::ArrayIter<&'a GenericByteViewArray<T>>) -> GenericByteViewArray<T>,
) -> GenericByteViewArray<T> {
    let hides_under_null =
        array.null_count() > 0 && (0..array.len()).any(|row| array.is_null(row) && array.views()[row] != 0);
    if hides_under_null {
        return rebuild(array.into_iter());
    }
    if is_dense(array) { array.clone() } else { array.gc() }
}

/// Whether the views go through the buffers from the first byte to the last, as an array builder leaves them; one that came
/// before may come again.
fn is_dense<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>) -> bool {
    let buffers = array.data_buffers();
    let (mut buffer, mut end) = (0, 0);
    for view in array.views() {
        let (length, place, offset) = (*view as u32 as usize, (*view >> 64) as u32 as usize, (*view >> 96) as usize);
        if length <= 12 || place < buffer || place == buffer && offset + length <= end {
            continue;
        }
        if place == buffer + 1 && offset == 0 && buffers[buffer].len() == end {
            (buffer, end) = (place, 0);
        }
        if (place, offset) != (buffer, end) {
            return false;
        }
        end += length;
    }
    match buffers {
        [] => true,
        buffers => buffer + 1 == buffers.len() && buffers[buffer].len() == end,
    }
}

fn has_views(data_type: &DataType) -> bool {
    use DataType::{BinaryView, FixedSizeList, LargeList, LargeListView, List, ListView, Map, Struct, Utf8View};
    match data_type {
        Utf8View | BinaryView => true,
        List(f) | LargeList(f) | FixedSizeList(f, _) | ListView(f) | LargeListView(f) | Map(f, _) => {
            has_views(f.data_type())
        }
        Struct(fields) => fields.iter().any(|f| has_views(f.data_type())),
        _ => false,
    }
}

fn own_children(data: &ArrayData) -> Result<ArrayData> {
    let children = data.child_data().iter().map(|child| own(&make_array(child.clone())).map(|own| own.to_data()));
    let children = children.collect::<Result<Vec<_>>>()?;
    let fault = |e| Error::internal("copy a nested column", "its parts do not fit").because(e);
    data.clone().into_builder().child_data(children).build().map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::UInt32Array;
    use arrow::compute::take;

    #[test]
    fn values_that_come_again_are_not_copied_and_bytes_of_others_are_left_behind() {
        let values = StringViewArray::from_iter_values((0..4).map(|n| format!("a value of many bytes: {n}")));
        let owned = |places: &[u32]| {
            let taken = take(&values, &UInt32Array::from(places.to_vec()), None).expect("rows");
            let (taken, owned) = (taken.as_string_view().clone(), own(&taken).expect("a column"));
            assert_eq!(&taken, owned.as_string_view());
            owned.as_string_view().data_buffers()[0].as_ptr() == values.data_buffers()[0].as_ptr()
        };
        assert!(owned(&[0, 1, 0, 1, 2, 3, 3, 0]));
        assert!(!owned(&[0, 1, 0]) && !owned(&[1, 2, 3]) && !owned(&[0, 2, 1, 3]));
    }
}

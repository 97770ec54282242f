//! Lists and structs, part by part: a leaf that comes as text is read as a column of text is. A value of which a
//! part is refused is refused.

use super::typed::{nothing, unexpected};
use super::{Parsed, ValidMask, blank};
use crate::contract::Property;
use crate::error::Result;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, GenericListArray, ListArray, MapArray, OffsetSizeTrait, StructArray,
    new_null_array,
};
use arrow::buffer::{BooleanBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use std::sync::Arc;

/// Both types are nested. The property gives no more than its name: its format is not one of its parts.
pub(super) fn convert(column: &ArrayRef, to: &DataType, property: &Property) -> Result<Parsed> {
    use DataType::{FixedSizeList, LargeList, List, Map, Struct};
    let (values, lost) = match (column.data_type(), to) {
        (Struct(_), Struct(fields)) => structs(column.as_struct(), fields, property)?,
        (List(item) | LargeList(item) | FixedSizeList(item, _), List(to)) => {
            lists::<i32>(cast(column, &List(item.clone())).map_err(unexpected)?.as_list(), to, property)?
        }
        (List(item) | LargeList(item) | FixedSizeList(item, _), LargeList(to)) => {
            lists::<i64>(cast(column, &LargeList(item.clone())).map_err(unexpected)?.as_list(), to, property)?
        }
        (Map(..), List(to)) => lists::<i32>(&pairs(column.as_map())?, to, property)?,
        _ => return Ok(nothing(column, to)),
    };
    // What is below a null is nothing.
    let failed = BooleanArray::new(&BooleanBuffer::from(lost) & column.is_valid_mask().values(), None);
    if failed.true_count() == 0 {
        return Ok(Parsed { values, failed: None });
    }
    Ok(Parsed { values: blank(&values, &failed)?, failed: Some(failed) })
}

/// An array, and where something of it was lost.
type Read = (ArrayRef, Vec<bool>);

fn part(values: &ArrayRef, to: &DataType, property: &Property) -> Result<Read> {
    let mut lost = vec![false; values.len()];
    if values.data_type() == to {
        return Ok((values.clone(), lost));
    }
    let property = Property { data_type: to.clone(), format: None, decimal_comma: false, ..property.clone() };
    let parsed = super::parse(values, &property)?;
    if let Some(failed) = &parsed.failed {
        add(&mut lost, failed);
    }
    // Inside of nested values text has the contract's type; only columns of text are views.
    let values =
        if parsed.values.data_type() == to { parsed.values } else { cast(&parsed.values, to).map_err(unexpected)? };
    Ok((values, lost))
}

fn add(lost: &mut [bool], more: &BooleanArray) {
    lost.iter_mut().zip(more.values()).for_each(|(lost, more)| *lost |= more);
}

/// Fields are found by their names. One that the type lacks is lost where it has a value.
fn structs(from: &StructArray, fields: &Fields, property: &Property) -> Result<Read> {
    let mut lost = vec![false; from.len()];
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        columns.push(match from.column_by_name(field.name()) {
            Some(values) => {
                let (values, bad) = part(values, field.data_type(), property)?;
                add(&mut lost, &BooleanArray::from(bad));
                values
            }
            None => new_null_array(field.data_type(), from.len()),
        });
    }
    for (field, values) in from.fields().iter().zip(from.columns()) {
        if fields.find(field.name()).is_none() {
            add(&mut lost, &values.is_valid_mask());
        }
    }
    let values = StructArray::try_new_with_length(fields.clone(), columns, from.nulls().cloned(), from.len());
    Ok((Arc::new(values.map_err(unexpected)?), lost))
}

fn lists<O: OffsetSizeTrait>(from: &GenericListArray<O>, to: &FieldRef, property: &Property) -> Result<Read> {
    let ends: Vec<usize> = from.value_offsets().iter().map(|end| end.as_usize()).collect();
    let (first, last) = bounds(&ends);
    let (items, bad) = part(&from.values().slice(first, last - first), to.data_type(), property)?;
    let lengths = ends.windows(2).map(|pair| pair[1] - pair[0]);
    let offsets = OffsetBuffer::<O>::from_lengths(lengths);
    let values = GenericListArray::<O>::try_new(to.clone(), offsets, items, from.nulls().cloned());
    Ok((Arc::new(values.map_err(unexpected)?), any(&ends, &bad)))
}

/// A map as the list of its entries, which are objects with `key` and `value`: writers call them as they like.
fn pairs(map: &MapArray) -> Result<ListArray> {
    let entries = map.entries();
    let named = entries.fields().iter().zip(["key", "value"]);
    let fields: Fields = named.map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
    let pairs = StructArray::try_new_with_length(fields, entries.columns().to_vec(), None, entries.len());
    let pairs = pairs.map_err(unexpected)?;
    let item = Arc::new(Field::new_list_field(pairs.data_type().clone(), true));
    ListArray::try_new(item, map.offsets().clone(), Arc::new(pairs), map.nulls().cloned()).map_err(unexpected)
}

/// The items that a slice shows.
fn bounds(ends: &[usize]) -> (usize, usize) {
    (ends.first().copied().unwrap_or_default(), ends.last().copied().unwrap_or_default())
}

/// Whether one of a row's items is lost.
fn any(ends: &[usize], lost: &[bool]) -> Vec<bool> {
    let (first, _) = bounds(ends);
    ends.windows(2).map(|pair| lost[pair[0] - first..pair[1] - first].contains(&true)).collect()
}

//! Decimals with more digits than their type has. A writer may leave them in a file or a message; arrow looks at no
//! value's digits where the type stays, and shows the first ones only.

use super::{parts, range};
use arrow::array::{ArrayRef, ArrowNativeTypeOp, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    ArrowNativeType, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType,
};

/// True where a decimal, be it a part of a value, has more digits than its type; `None` when none has.
pub(in crate::gate) fn too_many(values: &ArrayRef) -> Option<BooleanArray> {
    parts::rows(values, &leaf).map(|rows| BooleanArray::new(rows, None))
}

pub(in crate::gate) fn leaf(values: &ArrayRef) -> Option<BooleanBuffer> {
    match values.data_type() {
        DataType::Decimal32(precision, _) => beyond::<Decimal32Type>(values, *precision),
        DataType::Decimal64(precision, _) => beyond::<Decimal64Type>(values, *precision),
        DataType::Decimal128(precision, _) => beyond::<Decimal128Type>(values, *precision),
        DataType::Decimal256(precision, _) => beyond::<Decimal256Type>(values, *precision),
        _ => None,
    }
}

fn beyond<T: DecimalType>(values: &ArrayRef, precision: u8) -> Option<BooleanBuffer> {
    // No value of the type's own width has more digits than it can count.
    let end = T::Native::usize_as(10).pow_checked(u32::from(precision)).ok()?;
    let last = end.sub_wrapping(T::Native::ONE);
    range::outside::<T>(values, T::Native::ZERO.sub_wrapping(last), last)
}

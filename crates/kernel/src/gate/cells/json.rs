//! What arrow's JSON lacks: unions, of which each value is written as what it is, and floats that are no numbers, which
//! JSON can only have as text. Times with a zone are shown in UTC, as outside of nested values.

use super::texts;
use crate::gate::parse::Branches;
use arrow::array::{Array, AsArray, StringViewArray};
use arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use std::sync::{Arc, LazyLock};

/// How nested values are written.
pub(super) fn options() -> &'static EncoderOptions {
    static OPTIONS: LazyLock<EncoderOptions> =
        LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(More)));
    &OPTIONS
}

/// As arrow writes by itself.
fn plain() -> &'static EncoderOptions {
    static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);
    &PLAIN
}

#[derive(Debug)]
struct More;

impl EncoderFactory for More {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if let DataType::Union(fields, _) = array.data_type()
            && let Some(branches) = Branches::of(array)
        {
            let parts = fields.iter().zip(branches.values());
            let encoders = parts.map(|((_, field), values)| make_encoder(field, values, options));
            let encoders = encoders.collect::<Result<Vec<_>, _>>()?;
            return Ok(Some(NullableEncoder::new(Box::new(Union { branches, encoders }), array.logical_nulls())));
        }
        let values: Vec<f64> = match array.data_type() {
            DataType::Timestamp(_, Some(_)) => {
                let times = texts(&array.slice(0, array.len())).map_err(|e| ArrowError::JsonError(e.to_string()))?;
                return Ok(Some(NullableEncoder::new(Box::new(Times(times)), array.nulls().cloned())));
            }
            DataType::Float16 => array.as_primitive::<Float16Type>().values().iter().map(|v| v.to_f64()).collect(),
            DataType::Float32 => array.as_primitive::<Float32Type>().values().iter().map(|v| f64::from(*v)).collect(),
            DataType::Float64 => array.as_primitive::<Float64Type>().values().to_vec(),
            _ => return Ok(None),
        };
        if values.iter().all(|value| value.is_finite()) {
            return Ok(None);
        }
        let numbers = make_encoder(field, array, plain())?;
        Ok(Some(NullableEncoder::new(Box::new(Floats { values, numbers }), array.nulls().cloned())))
    }
}

struct Union<'a> {
    branches: Branches<'a>,
    encoders: Vec<NullableEncoder<'a>>,
}

impl Encoder for Union<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let (branch, at) = self.branches.place(row);
        self.encoders[branch].encode(at, out);
    }
}

struct Times(StringViewArray);

impl Encoder for Times {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        // One that can't be written has no text: who asks looks for those.
        out.push(b'"');
        out.extend_from_slice(self.0.value(row).as_bytes());
        out.push(b'"');
    }
}

struct Floats<'a> {
    values: Vec<f64>,
    numbers: NullableEncoder<'a>,
}

impl Encoder for Floats<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let word: &[u8] = match self.values[row] {
            value if value.is_nan() => b"\"NaN\"",
            f64::INFINITY => b"\"Infinity\"",
            f64::NEG_INFINITY => b"\"-Infinity\"",
            _ => return self.numbers.encode(row, out),
        };
        out.extend_from_slice(word);
    }
}

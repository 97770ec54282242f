//! Rows as outside brokers carry them: a JSON object each, which anybody reads.

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::writer::{
    Encoder, EncoderFactory, EncoderOptions, LineDelimited, NullableEncoder, WriterBuilder, make_encoder,
};
use arrow::record_batch::RecordBatch;
use kernel::{Error, Result};
use std::sync::{Arc, LazyLock};

/// The header of a record, or the property of a message, that bears its seal.
pub const SEAL: &str = "lavra-seal";

/// The rows, each on a line of its own; nulls are left out. JSON has no number for what is not finite: it is one of the texts
/// `NaN`, `Infinity` and `-Infinity`, as a contract reads it, and `decode` too.
pub fn encode(rows: &RecordBatch) -> Result<Vec<u8>> {
    let fault = |e| Error::internal("write rows as JSON", e);
    let builder = WriterBuilder::new().with_encoder_factory(Arc::new(NotFinite));
    let mut lines = builder.build::<_, LineDelimited>(Vec::with_capacity(rows.get_array_memory_size()));
    lines.write(rows).map_err(fault)?;
    lines.finish().map_err(fault)?;
    Ok(lines.into_inner())
}

/// Rows of this schema again; fields beyond it are passed over. `name` is of the log, for messages.
pub fn decode<'a>(
    name: &str,
    schema: &SchemaRef,
    values: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Result<RecordBatch> {
    // What it holds is not told: the reader's own message would.
    let fault = |_| Error::data(format!("read {name}"), "a record of it is no row of this topic");
    let count = values.len();
    let reader = ReaderBuilder::new(schema.clone()).with_batch_size(count.max(1));
    let mut decoder = reader.build_decoder().map_err(|e| Error::internal(format!("read {name}"), e))?;
    for value in values {
        let read = decoder.decode(value).map_err(fault)?;
        if read < value.len() || decoder.has_partial_record() {
            return Err(Error::data(format!("read {name}"), "a record of it is not one JSON object"));
        }
    }
    let rows = decoder.flush().map_err(fault)?.unwrap_or_else(|| RecordBatch::new_empty(schema.clone()));
    match rows.num_rows() == count {
        true => Ok(rows),
        false => Err(Error::data(format!("read {name}"), "a record of it is not one row")),
    }
}

/// Writes floats some of which are not finite. Arrow would write those as null.
#[derive(Debug)]
struct NotFinite;

/// How all others are written.
static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);

impl EncoderFactory for NotFinite {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if !matches!(array.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64) {
            return Ok(None);
        }
        let values = cast(array, &DataType::Float64)?;
        let words: Vec<_> = values.as_primitive::<Float64Type>().iter().map(|value| value.and_then(word)).collect();
        if words.iter().all(Option::is_none) {
            return Ok(None);
        }
        let plain = make_encoder(field, array, &PLAIN)?;
        Ok(Some(NullableEncoder::new(Box::new(Floats { plain, words }), array.nulls().cloned())))
    }
}

struct Floats<'a> {
    plain: NullableEncoder<'a>,
    /// By row, the text of what is not finite.
    words: Vec<Option<&'static str>>,
}

impl Encoder for Floats<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match self.words[row] {
            Some(word) => out.extend_from_slice(word.as_bytes()),
            None => self.plain.encode(row, out),
        }
    }
}

/// With its quotes.
fn word(value: f64) -> Option<&'static str> {
    match value {
        f64::INFINITY => Some("\"Infinity\""),
        f64::NEG_INFINITY => Some("\"-Infinity\""),
        value if value.is_nan() => Some("\"NaN\""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array, ListArray, StructArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    fn read(rows: &RecordBatch, text: &[u8]) -> RecordBatch {
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        decode("t", &rows.schema(), lines.into_iter()).expect("rows")
    }

    #[test]
    fn what_is_not_finite_comes_back_as_it_was_wherever_it_is() {
        let odd = [Some(f64::NAN), Some(f64::INFINITY), None, Some(f64::NEG_INFINITY), Some(-0.0), Some(0.1 + 0.2)];
        let doubles: ArrayRef = Arc::new(Float64Array::from(odd.to_vec()));
        let singles: ArrayRef = Arc::new(odd.iter().map(|v| v.map(|v| v as f32)).collect::<Float32Array>());
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        let offsets = OffsetBuffer::from_lengths([2, 0, 1, 1, 1, 1]);
        let list: ArrayRef = Arc::new(ListArray::new(item, offsets, doubles.clone(), None));
        let inner = Arc::new(Field::new("x", DataType::Float64, true));
        let object: ArrayRef = Arc::new(StructArray::from(vec![(inner, doubles.clone())]));
        let whole: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
        let columns = [("n", whole), ("d", doubles), ("s", singles), ("l", list), ("o", object)];
        let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
        let rows = rows.expect("columns of one length");
        let text = encode(&rows).expect("text");
        let first = text.split(|byte| *byte == b'\n').next().expect("a line");
        let first = String::from_utf8_lossy(first);
        assert_eq!(first, r#"{"n":0,"d":"NaN","s":"NaN","l":["NaN","Infinity"],"o":{"x":"NaN"}}"#);
        assert!(read(&rows, &text) == rows, "{}", String::from_utf8_lossy(&text));
    }

    /// Before, what is not finite was left out.
    #[test]
    fn rows_of_before_are_read() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, None]));
        let rows = RecordBatch::try_from_iter_with_nullable([("d", column, true)]).expect("a column");
        assert!(read(&rows, b"{\"d\":1.5}\n{}\n{\"d\":null}") == rows);
    }
}

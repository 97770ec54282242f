//! A key's columns, comparable as bytes.

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use kernel::error::{Error, Result};
use std::sync::Arc;

/// A key's columns, comparable as bytes.
#[derive(Clone)]
pub struct Key {
    pub names: Vec<String>,
    pub types: Vec<DataType>,
    converter: Arc<RowConverter>,
}

impl Key {
    pub fn new(names: &[String], schema: &Schema) -> Result<Self> {
        let types = names.iter().map(|name| schema.field_with_name(name).map(|field| field.data_type().clone()));
        let types: Vec<DataType> = types.collect::<Result<_, _>>().map_err(|e| Error::internal("find a key", &e))?;
        let fields = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
        let converter = RowConverter::new(fields).map_err(fault)?;
        Ok(Self { names: names.to_vec(), types, converter: Arc::new(converter) })
    }

    pub fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let named = self.names.iter().zip(&self.types);
        named.map(|(name, data_type)| column(batch, name, data_type)).collect()
    }

    pub fn rows(&self, batch: &RecordBatch) -> Result<Rows> {
        self.converter.convert_columns(&self.columns(batch)?).map_err(fault)
    }

    /// The same of columns that are the key's.
    pub fn rows_of(&self, columns: &[ArrayRef]) -> Result<Rows> {
        self.converter.convert_columns(columns).map_err(fault)
    }

    /// The bytes that all keys with this first column begin with; `None` where its text does not tell the column's order.
    pub fn prefix(&self, text: &str) -> Option<Vec<u8>> {
        use DataType::{Date32, Decimal128, Int8, Int16, Int32, Int64, Utf8View};
        let first = self
            .types
            .first()
            .filter(|t| matches!(t, Int8 | Int16 | Int32 | Int64 | Date32 | Decimal128(..) | Utf8View))?;
        let text: ArrayRef = Arc::new(arrow::array::StringViewArray::from(vec![text]));
        let value = cast(&text, first).ok().filter(|value| value.null_count() == 0)?;
        let converter = RowConverter::new(vec![SortField::new(first.clone())]).ok()?;
        let rows = converter.convert_columns(&[value]).ok()?;
        Some(rows.row(0).as_ref().to_vec())
    }
}

/// A column of the asked type; nulls where the batch has none.
pub fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef> {
    match batch.column_by_name(name) {
        None => Ok(new_null_array(data_type, batch.num_rows())),
        Some(found) if found.data_type() == data_type => Ok(found.clone()),
        Some(found) => cast(found, data_type).map_err(fault),
    }
}

pub fn fault(error: arrow::error::ArrowError) -> Error {
    Error::internal("apply changes", "arrow refused a column").because(error)
}

//! Columns that the contract does not name.

use super::quarantine::HIDDEN;
use super::violations::{Cause, Violations};
use super::{Gate, STAMPS, cells};
use crate::contract::SchemaChange;
use crate::error::{Error, Kind, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, StringViewArray};
use arrow::compute::is_not_null;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

impl Gate {
    /// Does with them what the contract says; gives the columns that `evolve` takes in.
    pub(super) fn meet_strangers(
        &mut self,
        batch: &RecordBatch,
        violations: &mut Violations,
    ) -> Result<Vec<(FieldRef, ArrayRef)>> {
        let mut evolved = Vec::new();
        for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
            let name = field.name();
            if self.place(name).is_some() || STAMPS.contains(&name.as_str()) {
                continue;
            }
            // A file that lacks its header has a record there.
            if self.screen.is_personal(name) {
                return Err(self.refusal("a new column", "its name looks like personal data: is the header missing?"));
            }
            match self.entity.schema_change {
                SchemaChange::Freeze => return Err(self.stranger(name)),
                SchemaChange::Quarantine => violations.mark(&is_there(values)?, || {
                    Cause::new("schema", Some(name), "the contract does not name this column")
                }),
                SchemaChange::Evolve => evolved.push(self.take_in(name, values)?),
            }
        }
        Ok(evolved)
    }

    fn stranger(&self, name: &str) -> Error {
        let near = crate::suggest::nearest(name, self.entity.properties.iter().map(|p| p.name.as_str()));
        let near = near.map_or(String::new(), |near| format!(" (is it `{near}`?)"));
        let why = format!(
            "the contract does not name it{near}: add it there, or state `schema_change: evolve` or `quarantine`"
        );
        self.refusal(&format!("new column `{name}`"), &why)
    }

    fn refusal(&self, what: &str, why: &str) -> Error {
        Error::new(Kind::Contract, format!("{what} in `{}`", self.entity.name), why)
    }

    fn take_in(&mut self, name: &str, values: &ArrayRef) -> Result<(FieldRef, ArrayRef)> {
        let text: ArrayRef = Arc::new(cells::texts(values)?);
        if !self.redacted.contains(name) && self.screen.is_personal_column(name, &text) {
            self.redacted.insert(name.to_owned());
        }
        let text = if self.redacted.contains(name) { hidden(&text) } else { text };
        Ok((Arc::new(Field::new(name, DataType::Utf8View, true)), text))
    }
}

fn hidden(values: &ArrayRef) -> ArrayRef {
    Arc::new((0..values.len()).map(|row| values.is_valid(row).then_some(HIDDEN)).collect::<StringViewArray>())
}

fn is_there(values: &ArrayRef) -> Result<BooleanArray> {
    is_not_null(values).map_err(|e| Error::internal("look for nulls", &e))
}

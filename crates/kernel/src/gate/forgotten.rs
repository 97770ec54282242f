//! People who asked to be forgotten do not come in again with an old file.

use super::{Gate, Raw, parse};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::kernels::boolean::{not, or};
use arrow::compute::{cast, filter, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::DataType;
use std::sync::Arc;

/// Knows who was forgotten. Trusted: it is shown values as they came in, whatever hides them later.
pub trait Forgotten: Send + Sync {
    /// True for each value of a column of this kind (`cpf`) that names somebody who was forgotten, in whatever spelling;
    /// `None` when nobody of that kind was.
    fn are(&self, kind: &str, values: &ArrayRef) -> Result<Option<BooleanArray>>;
}

impl Gate {
    /// Lets rows of these people go, uncounted among the others and kept nowhere.
    #[must_use]
    pub fn without(mut self, forgotten: Arc<dyn Forgotten>) -> Self {
        self.forgotten = Some(forgotten);
        self
    }

    /// The rows without those of forgotten people, and how many these were.
    pub(super) fn let_go(&self, raw: Raw) -> Result<(Raw, u64)> {
        let Some(forgotten) = &self.forgotten else { return Ok((raw, 0)) };
        let fault = |e| Error::internal("let forgotten people go", "arrow refused a filter").because(e);
        let mut go: Option<BooleanArray> = None;
        for property in &self.entity.properties {
            let kind = property.classification.as_ref().filter(|class| class.is_personal()).and_then(|c| c.kind());
            let (Some(kind), Some(values)) = (kind, raw.batch.column_by_name(&property.name)) else { continue };
            // What is no text, number or date names nobody.
            let Ok(texts) = cast(&parse::decoded(values)?, &DataType::Utf8View) else { continue };
            let Some(found) = forgotten.are(kind, &texts)? else { continue };
            let found = if found.null_count() > 0 { prep_null_mask_filter(&found) } else { found };
            go = Some(match go {
                Some(go) => or(&go, &found).map_err(fault)?,
                None => found,
            });
        }
        let Some(go) = go.filter(|go| go.true_count() > 0) else { return Ok((raw, 0)) };
        let stay = not(&go).map_err(fault)?;
        let offsets: ArrayRef = Arc::new(raw.offsets.clone());
        let offsets = filter(&offsets, &stay).map_err(fault)?.as_primitive().clone();
        let batch = filter_record_batch(&raw.batch, &stay).map_err(fault)?;
        let changes = raw.changes.map(|changes| changes.filter(&stay));
        Ok((Raw { batch, offsets, changes, ..raw }, go.true_count() as u64))
    }
}

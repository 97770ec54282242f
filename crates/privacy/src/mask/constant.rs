//! `redact`, `null` and `drop`: nothing of the value is left.

use super::{Spec, text};
use arrow::array::{ArrayRef, NullArray, new_null_array};
use arrow::datatypes::DataType;
use kernel::error::Result;
use kernel::gate::HIDDEN;
use kernel::mask::{Mask, Promise};
use std::sync::Arc;

/// Type kept, nothing else.
const BLANK: Promise = Promise { joinable: false, reversible: false, keeps_type: true, random: false };

/// No column, no promise.
const GONE: Promise = Promise { joinable: false, reversible: false, keeps_type: false, random: false };

pub(super) const REDACT: Spec = Spec {
    name: "redact",
    summary: "text becomes `***`, anything else null",
    args: &[],
    example: "redact",
    promise: BLANK,
    build: |_, _, _| Ok(Box::new(Constant::Redact)),
};

pub(super) const NULL: Spec = Spec {
    name: "null",
    summary: "every value becomes null",
    args: &[],
    example: "null",
    promise: BLANK,
    build: |_, _, _| Ok(Box::new(Constant::Null)),
};

pub(super) const DROP: Spec = Spec {
    name: "drop",
    summary: "the column is not stored at all",
    args: &[],
    example: "drop",
    promise: GONE,
    build: |_, _, _| Ok(Box::new(Constant::Drop)),
};

#[derive(Clone, Copy)]
enum Constant {
    Redact,
    Null,
    Drop,
}

impl Mask for Constant {
    fn name(&self) -> &str {
        match self {
            Self::Redact => "redact",
            Self::Null => "null",
            Self::Drop => "drop",
        }
    }

    fn promise(&self) -> Promise {
        if matches!(self, Self::Drop) { GONE } else { BLANK }
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        Ok(if matches!(self, Self::Drop) { None } else { Some(text::plain_type(input)) })
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match self {
            Self::Drop => Ok(Arc::new(NullArray::new(column.len()))),
            Self::Redact if text::is_text(column.data_type()) => text::map(column, |_, out| out.push_str(HIDDEN)),
            // A number or a date has no value that says "hidden" and is no number or date.
            Self::Redact | Self::Null => Ok(new_null_array(&text::plain_type(column.data_type()), column.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mask, samples};
    use super::*;
    use arrow::array::{AsArray, Date32Array, StringArray};
    use kernel::laws::mask::obeys;

    #[test]
    fn they_obey_the_laws() {
        for spec in ["redact", "null", "drop"] {
            obeys(&|| mask(spec), &samples());
        }
    }

    #[test]
    fn text_becomes_stars_and_the_rest_null() {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("Ana"), None]));
        let masked = mask("redact").apply(&names).unwrap();
        assert_eq!(masked.as_string_view().iter().collect::<Vec<_>>(), [Some("***"), None]);
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![1, 2]));
        assert_eq!(mask("redact").apply(&dates).unwrap().null_count(), 2);
        assert_eq!(mask("drop").output(&DataType::Utf8).unwrap(), None);
    }
}

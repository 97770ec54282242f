//! Columns that the contract hides, and whether a value of theirs is in a place that is kept in clear.
//!
//! A cursor is opaque, but mostly made of the last record's values: as they are, escaped for a URL, or in Base64.

use arrow::array::{Array, AsArray, RecordBatch};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use kernel::{Entity, Property};
use memchr::memmem::find;

/// Whether no value of the column may be kept in clear.
pub fn is_hidden(property: &Property) -> bool {
    property.mask.is_some() || property.classification.as_ref().is_some_and(|class| class.is_personal())
}

/// Whether a text holds a value that these rows have in a hidden column.
pub fn tells(text: &str, rows: &RecordBatch, entity: &Entity) -> bool {
    let forms = forms(text);
    let holds =
        |value: &str| value.len() >= SHORTEST && forms.iter().any(|form| find(form, value.as_bytes()).is_some());
    entity.properties.iter().filter(|property| is_hidden(property)).any(|property| {
        let Some(column) = rows.column_by_name(&property.name) else { return false };
        match column.as_string_view_opt() {
            Some(values) => values.iter().flatten().any(holds),
            // Of what is nested, nothing is looked into.
            None => column.null_count() < column.len(),
        }
    })
}

/// A value of a letter or two is everywhere.
const SHORTEST: usize = 3;

/// The text, and what it may stand for.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![text.as_bytes().to_vec()];
    let unescaped: Vec<u8> = url::form_urlencoded::parse(text.as_bytes())
        .flat_map(|(name, value)| [name.into_owned(), value.into_owned()].join("=").into_bytes())
        .collect();
    forms.push(unescaped);
    for form in forms.clone() {
        let is_in = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
        for word in form.split(|byte| !is_in(byte)).filter(|word| word.len() >= 4) {
            let decoded = URL_SAFE_NO_PAD.decode(word).or_else(|_| STANDARD_NO_PAD.decode(word));
            forms.extend(decoded.ok());
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::entity;
    use arrow::array::StringViewArray;
    use base64::engine::general_purpose::STANDARD;
    use kernel::Classification;
    use std::sync::Arc;

    #[test]
    fn a_cursor_made_of_a_hidden_value_is_recognised() {
        let mut entity = entity(&["cpf", "n"]);
        entity.properties[0].classification = Some(Classification::new("personal.cpf"));
        let column = |value: &str| Arc::new(StringViewArray::from_iter_values([value])) as _;
        let rows =
            RecordBatch::try_from_iter([("cpf", column("529.982.247-25")), ("n", column("4711"))]).expect("a batch");
        let tells = |text: &str| tells(text, &rows, &entity);
        let record = r#"{"k":["529.982.247-25", 9]}"#;
        for bad in [
            "529.982.247-25",
            "/x?a=1&after=529.982.247%2D25",
            &STANDARD.encode(record),
            &format!("/x?c={}", URL_SAFE_NO_PAD.encode(record)),
        ] {
            assert!(tells(bad), "{bad}");
        }
        for good in ["4711", "/x?after=4711", "529.982", &STANDARD.encode("4711")] {
            assert!(!tells(good), "{good}");
        }
    }
}

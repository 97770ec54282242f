//! Batches of a table with its tokens brought to another version of the keys.

use super::carriers::{Carrier, Place};
use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use kernel::error::{Error, Result};
use kernel::keys::KeyProvider;
use privacy::mask::{Retoken, retoken};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The column in which a quarantine keeps its rows, as JSON.
const ROW: &str = "row";

/// Brings the tokens of a table's columns to a version.
pub struct Bring<'a> {
    pub carriers: &'a [Carrier],
    pub to: u32,
    pub keys: &'a Arc<dyn KeyProvider>,
}

impl Bring<'_> {
    /// The batch that takes this one's place; `None` when it has nothing to be brought. To do it twice is the same.
    pub fn batch(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let mut columns = batch.columns().to_vec();
        let mut put = |name: &str, bring: &dyn Fn(&ArrayRef) -> Result<ArrayRef>| -> Result<()> {
            // A column that the contract got later is not in older files.
            let Ok(place) = batch.schema().index_of(name) else { return Ok(()) };
            columns[place] = cast(&bring(&columns[place])?, columns[place].data_type()).map_err(failed)?;
            Ok(())
        };
        for carrier in self.carriers {
            match &carrier.place {
                Place::Column(name) => {
                    put(name, &|column| Retoken::new(&carrier.scope, self.to, self.keys)?.column(column))?;
                }
                Place::Field(field) => put(ROW, &|rows| self.field(rows, field, &carrier.scope))?,
            }
        }
        let brought = RecordBatch::try_new(batch.schema(), columns).map_err(failed)?;
        Ok((brought != *batch).then_some(brought))
    }

    /// One field of rows that are JSON. What is no object, or has no text there, stays.
    fn field(&self, rows: &ArrayRef, field: &str, scope: &str) -> Result<ArrayRef> {
        let rows = cast(rows, &DataType::Utf8View).map_err(failed)?;
        let brought = rows.as_string_view().iter().map(|row| {
            let Some(text) = row else { return Ok(None) };
            let Ok(mut object) = serde_json::from_str::<Map<String, Value>>(text) else {
                return Ok(row.map(str::to_owned));
            };
            let Some(token) = object.get(field).and_then(Value::as_str) else { return Ok(row.map(str::to_owned)) };
            let token = retoken(token, scope, self.to, self.keys)?;
            object.insert(field.to_owned(), Value::String(token));
            serde_json::to_string(&object).map(Some).map_err(|e| Error::internal("bring a row to a new key", &e))
        });
        Ok(Arc::new(brought.collect::<Result<StringViewArray>>()?))
    }
}

/// Arrow fails here on a broken batch only; its message may quote a value.
fn failed(_: arrow::error::ArrowError) -> Error {
    Error::internal("bring tokens to a new key", "the batch is broken")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use kernel::TableName;
    use kernel::contract::MaskSpec;
    use kernel::mask::MaskFactory;
    use privacy::keys::FixedKeys;
    use privacy::mask::{Masks, version_of};

    fn token(roots: &[u8]) -> String {
        let masks = Masks::new(Arc::new(FixedKeys::new(roots)));
        let mask = masks.build(&MaskSpec::parse("pseudonym(person)").expect("a mask"), None).expect("a mask");
        let column: ArrayRef = Arc::new(StringArray::from(vec!["ana"]));
        mask.apply(&column).expect("a token").as_string_view().value(0).to_owned()
    }

    fn carrier(place: Place) -> Carrier {
        Carrier { table: TableName::new("bronze", "t").expect("a name"), place, scope: "person".into() }
    }

    #[test]
    fn columns_and_rows_in_quarantine_get_the_new_tokens_and_nothing_else_changes() {
        let (old, new) = (token(&[7]), token(&[7, 8]));
        let row = |token: &str| format!(r#"{{"id":"1","cpf":"{token}","n":null}}"#);
        let batch = |token: &str| {
            let cpf: ArrayRef = Arc::new(StringArray::from(vec![Some(token), None, Some("***")]));
            let rows: ArrayRef =
                Arc::new(StringViewArray::from(vec![Some(row(token).as_str()), None, Some("not json")]));
            let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
            RecordBatch::try_from_iter_with_nullable([("id", id, true), ("cpf", cpf, true), ("row", rows, true)])
                .expect("a batch")
        };
        let of = |roots: &[u8]| -> Arc<dyn KeyProvider> { Arc::new(FixedKeys::new(roots)) };
        let keys = of(&[7, 8]);
        let carriers = ["cpf", "gone"].map(|name| carrier(Place::Column(name.into())));
        let carriers = [&carriers[..], &[carrier(Place::Field("cpf".into()))]].concat();
        let bring = Bring { carriers: &carriers, to: 2, keys: &keys };
        assert_eq!(bring.batch(&batch(&old)).expect("a batch"), Some(batch(&new)));
        assert_eq!(bring.batch(&batch(&new)).expect("a batch"), None, "again is nothing");
        assert_eq!(version_of(&new), Some(2));
        let lost = Bring { keys: &of(&[7]), ..bring };
        assert!(lost.batch(&batch(&old)).is_err(), "without the new key nothing is changed");
    }
}

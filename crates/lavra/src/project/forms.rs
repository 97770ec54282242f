//! Forms that contracts ask of text (`format: cpf`), as rules of the gate.

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use kernel::Entity;
use kernel::contract::RowRule;
use kernel::error::{Error, Result};
use privacy::detect::Form;

struct FormRule {
    columns: [String; 1],
    form: Form,
}

/// One rule for each text column whose form is known here.
pub fn rules(entity: &Entity) -> impl Iterator<Item = Box<dyn RowRule>> {
    entity.properties.iter().filter_map(|property| {
        let is_text = matches!(property.data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
        let form = property.format.as_deref().filter(|_| is_text).and_then(Form::by_name)?;
        let rule: Box<dyn RowRule> = Box::new(FormRule { columns: [property.name.clone()], form });
        Some(rule)
    })
}

impl RowRule for FormRule {
    fn rule(&self) -> &'static str {
        "format"
    }

    fn name(&self) -> &str {
        self.form.expectation()
    }

    fn column(&self) -> Option<&str> {
        Some(&self.columns[0])
    }

    fn reads(&self) -> Option<&[String]> {
        Some(&self.columns)
    }

    fn violates(&self, typed: &RecordBatch) -> Result<BooleanArray> {
        let missing = || Error::internal("check a form", format!("no text column `{}`", self.columns[0]));
        let column = typed.column_by_name(&self.columns[0]).ok_or_else(missing)?;
        let text = column.as_string_view_opt().ok_or_else(missing)?;
        Ok(text.iter().map(|value| value.map(|text| !self.form.holds(text))).collect())
    }
}

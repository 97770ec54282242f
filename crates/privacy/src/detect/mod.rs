//! Finds personal data: looks at values and names, proposes type, class and mask. To add a kind: its name
//! in `kinds.rs`, a line in `table.rs`, its form in `forms.rs` and its validator in `look.rs`.

mod column;
mod column_name;
mod dates;
mod digits;
mod drift;
mod finder;
mod form;
mod forms;
mod kinds;
mod look;
mod numbers;
mod own;
mod profile;
mod score;
mod screen;
mod shape;
mod spans;
mod table;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use digits::{cnpj_check, cpf_check, is_cnpj, is_cpf};
pub use finder::Finder;
pub use form::Form;
pub use kinds::{Kind, kinds};
pub use own::{Dictionary, OWN_MAX, OwnKind, Pattern, Rule, Validator};
pub use profile::ProposedType;
pub use screen::{PersonalScreen, looks_personal};
pub use spans::{Span, Spotter};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use column::Column;
use kernel::error::Result;
use kernel::gate::Inspector;
use look::Eye;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// How many examples a finding shows.
const EXAMPLES: usize = 3;

/// What one column holds. Its keys are those of `lavra scan --format json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnFinding {
    pub column: String,
    /// The stable name of the kind of personal data; absent when nothing was found.
    pub kind: Option<String>,
    /// 0 to 1.
    pub confidence: f64,
    /// The share of values that are of the kind, 0 to 1.
    pub share: f64,
    pub rows: u64,
    /// Nulls and blank texts.
    pub nulls: u64,
    /// Distinct values among the first 65,536 that were looked at.
    pub distinct: u64,
    /// Shapes of values (`999.999.999-99`), never values.
    pub examples: Vec<String>,
    pub classification: Option<String>,
    /// As a contract writes it: `pseudonym(person)`.
    pub mask: Option<String>,
    /// Where no kind is told: the kind of a value so telling that the gate would set its row aside, one such is enough.
    pub alarm: Option<String>,
    /// Most values of the kind stand in longer text: it is free text, and `scrub` hides what is in it.
    pub in_text: bool,
    pub proposed: ProposedType,
    /// Values that are not of the proposed type: `N/D` among numbers. At most one in fifty.
    pub strays: u64,
    /// Characters of the shortest and the longest text; 0 when there is none.
    pub min_length: usize,
    pub max_length: usize,
    /// No row lacks it.
    pub required: bool,
    /// No value that was looked at came twice.
    pub unique_like: bool,
}

/// Inspects columns batch by batch; fields of structs are columns named `outer.inner`, items of lists belong to the list.
pub struct Detector {
    eye: Eye,
    columns: Vec<Column>,
    places: HashMap<String, usize>,
}

impl Detector {
    pub fn new() -> Result<Self> {
        Self::with(Arc::new([]))
    }

    /// One that knows the project's own kinds as well.
    pub fn with(own: Arc<[OwnKind]>) -> Result<Self> {
        Ok(Self { eye: Eye::new(own)?, columns: Vec::new(), places: HashMap::new() })
    }

    /// What was found, one finding per column in the order they were met.
    pub fn finish(self) -> Vec<ColumnFinding> {
        self.columns.iter().map(|column| column.finding(&self.eye)).collect()
    }

    fn at(&mut self, name: &str) -> usize {
        if let Some(at) = self.places.get(name) {
            return *at;
        }
        self.columns.push(Column::new(name, &self.eye));
        self.places.insert(name.to_owned(), self.columns.len() - 1);
        self.columns.len() - 1
    }
}

impl Inspector for Detector {
    fn column(&mut self, name: &str, values: &ArrayRef) {
        match values.data_type() {
            DataType::Struct(fields) => {
                let values = values.as_struct();
                for (field, inner) in fields.iter().zip(values.columns()) {
                    self.column(&format!("{name}.{}", field.name()), inner);
                }
            }
            DataType::List(_) => {
                let list = values.as_list::<i32>();
                let (from, to) = (list.value_offsets()[0], list.value_offsets()[list.len()]);
                self.column(name, &list.values().slice(from as usize, (to - from) as usize));
            }
            _ => {
                let at = self.at(name);
                self.columns[at].take(values, &self.eye);
            }
        }
    }
}

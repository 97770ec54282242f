//! The gate's question about what nobody declared: could this be somebody's? It errs on the side of yes.

use super::column::Column;
use super::drift;
use super::kinds::{Id, Set};
use super::look::Eye;
use super::own::OwnKind;
use arrow::array::ArrayRef;
use kernel::error::Result;
use kernel::gate::{Alarm, Screen};
use std::sync::Arc;

/// Forms that so many harmless values have that hiding them all would leave the quarantine's reader nothing: short codes,
/// any long word, any UUID, any date.
const HARMLESS_SHAPES: Set = Set::of(&[
    Id::Rg,
    Id::PersonName,
    Id::Address,
    Id::PixKey,
    Id::Plate,
    Id::BankAccount,
    Id::Passport,
    Id::TituloEleitor,
    Id::EuVat,
    Id::PtNif,
]);
const HARMLESS_WEAK: Set =
    Set::of(&[Id::PixKey, Id::Cep, Id::BirthDate, Id::Passport, Id::Coordinates, Id::Icd10, Id::EuVat]);

/// Screens single texts and undeclared columns.
pub struct PersonalScreen {
    eye: Eye,
}

impl PersonalScreen {
    pub fn new() -> Result<Self> {
        Self::with(Arc::new([]))
    }

    /// One that knows the project's own kinds as well.
    pub fn with(own: Arc<[OwnKind]>) -> Result<Self> {
        Ok(Self { eye: Eye::new(own)? })
    }

    /// The kind of personal data that a column holds, by its name or its values.
    pub fn kind_of(&self, name: &str, values: &ArrayRef) -> Option<String> {
        let mut column = Column::new(name, &self.eye);
        column.take(values, &self.eye);
        column.finding(&self.eye).kind
    }
}

impl Screen for PersonalScreen {
    /// A CPF with wrong check digits counts: text that could not be parsed is full of slips of the keyboard.
    fn is_personal(&self, text: &str) -> bool {
        let seen = self.eye.look(text);
        !seen.strong.is_empty()
            || !seen.weak.without(HARMLESS_WEAK).is_empty()
            || !seen.shaped.without(HARMLESS_SHAPES).is_empty()
    }

    fn is_personal_column(&self, name: &str, values: &ArrayRef) -> bool {
        self.kind_of(name, values).is_some()
    }

    fn alarm(&self, values: &ArrayRef, suspected: bool) -> Option<Alarm> {
        drift::alarm(&self.eye, values, suspected)
    }
}

/// The kind of personal data that a column seems to hold.
pub fn looks_personal(values: &ArrayRef, name: &str) -> Result<Option<String>> {
    Ok(PersonalScreen::new()?.kind_of(name, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};

    #[test]
    fn what_could_be_somebodys_is_hidden() {
        let screen = PersonalScreen::new().unwrap();
        for text in [
            "529.982.247-25",
            "529.982.247-24",
            "52998224724",
            "ana@example.com",
            "Maria da Silva",
            "Maria",
            "(11) 98765-4321",
            "4111111111111112",
            "Rua das Flores 12",
        ] {
            assert!(screen.is_personal(text), "{text}");
        }
        for text in ["", "12,50", "2025-13-45", "31/02/2025", "n/a", "SKU-12", "pending", "1234567"] {
            assert!(!screen.is_personal(text), "{text}");
        }
    }

    #[test]
    fn columns_are_known_by_values_or_by_name() {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["529.982.247-25", "111.444.777-35"]));
        assert_eq!(looks_personal(&values, "x").unwrap().as_deref(), Some("cpf"));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![52_998_224_725, 11_144_477_735]));
        assert_eq!(looks_personal(&numbers, "documento").unwrap().as_deref(), Some("cpf"));
        let amounts: ArrayRef = Arc::new(StringArray::from(vec!["12.50", "3.00"]));
        assert_eq!(looks_personal(&amounts, "amount").unwrap(), None);
        let none: ArrayRef = Arc::new(StringArray::new_null(3));
        assert_eq!(looks_personal(&none, "email").unwrap().as_deref(), Some("email"));
    }
}

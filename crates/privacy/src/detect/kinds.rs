//! The kinds of personal data that are known, and what each is worth as evidence.

use super::table::KINDS;
use kernel::contract::MaskSpec;

/// A kind of personal data, by the stable name that contracts, reports and `scan --format json` use.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub(super) id: Id,
    /// Values whose form and check digits leave little doubt: `529.982.247-25`.
    pub(super) strong: Grade,
    /// Values that could be something else: `52998224725` may be any number of 11 digits.
    pub(super) weak: Grade,
    /// Column names that say it, each a run of whole words; with `=` before it, the whole name.
    pub(super) hints: &'static [&'static str],
}

/// What valid values are worth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grade {
    /// How sure a column full of them makes us, without a look at its name.
    pub strength: f64,
    /// The share of values of this form that are valid by chance in a column of something else.
    pub chance: f64,
}

pub(super) const fn grade(strength: f64, chance: f64) -> Grade {
    Grade { strength, chance }
}

pub(super) const NEVER: Grade = grade(0.0, 1.0);

/// How many kinds are known from the start.
pub(super) const COUNT: usize = 36;

/// The most kinds there can be: a project's own come after them.
pub(super) const PLACES_MAX: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Id {
    Cpf,
    Cnpj,
    Pis,
    Cnh,
    TituloEleitor,
    Renavam,
    Plate,
    Cep,
    PixKey,
    BankAccount,
    Rg,
    Phone,
    Email,
    Card,
    Iban,
    Ip,
    Mac,
    UrlCredentials,
    Jwt,
    ApiKey,
    UsSsn,
    UsItin,
    UkNino,
    UkNhs,
    EuVat,
    PtNif,
    EsDni,
    FrNir,
    DeSteuer,
    ItCodiceFiscale,
    Passport,
    BirthDate,
    PersonName,
    Address,
    Coordinates,
    Icd10,
}

impl Kind {
    /// The class proposed for a column of this kind: `personal.cpf`.
    ///
    /// A CNPJ and a VAT number are counted as personal too: that of a sole trader names one person. What tells of health
    /// is sensitive (LGPD art. 5 II, GDPR art. 9).
    pub fn classification(&self) -> String {
        match self.id {
            Id::Icd10 => format!("sensitive.{}", self.name),
            _ => format!("personal.{}", self.name),
        }
    }

    /// The mask proposed for it.
    pub fn mask(&self) -> Option<MaskSpec> {
        crate::mask::default_for(&kernel::Classification::new(self.classification()))
    }
}

/// Every kind that is known from the start, in the order of their stable names' table.
pub fn kinds() -> &'static [Kind] {
    &KINDS
}

/// A set of kinds, by their places: those of [`kinds`], then the project's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Set(u128);

impl Set {
    pub const fn of(ids: &[Id]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < ids.len() {
            bits |= 1 << ids[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    pub fn add(&mut self, place: usize) {
        self.0 |= 1 << place;
    }

    pub fn has(self, place: usize) -> bool {
        self.0 & (1 << place) != 0
    }

    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn places(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let at = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (at < u128::BITS).then_some(at as usize)
        })
    }
}

impl Id {
    pub const fn place(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_its_ids() {
        for (at, kind) in kinds().iter().enumerate() {
            assert_eq!(kind.id.place(), at, "{}", kind.name);
            assert!(
                kind.mask().is_some() && kind.hints.iter().all(|hint| *hint == hint.to_lowercase()),
                "{}",
                kind.name
            );
        }
        let mut set = Set::of(&[Id::Cpf, Id::Address]);
        set.add(PLACES_MAX - 1);
        assert_eq!(set.places().collect::<Vec<_>>(), [0, Id::Address.place(), 127]);
        assert_eq!(Set::default().places().count(), 0);
    }

    /// Contracts, reports and programs stand on these names.
    #[test]
    fn the_stable_names_are_all_there() {
        let stable = "cpf cnpj pis cnh titulo_eleitor renavam plate cep pix_key bank_account rg phone email card iban ip \
                      mac url_credentials jwt api_key us_ssn us_itin uk_nino uk_nhs eu_vat pt_nif es_dni fr_nir \
                      de_steuer_id it_codice_fiscale passport birth_date person_name address coordinates icd10";
        let names: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
        assert_eq!(names, stable.split_ascii_whitespace().collect::<Vec<_>>());
    }
}

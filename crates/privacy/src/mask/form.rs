//! How a column's values are when they are stored: what class they had and what hid them. A contract that gives a column
//! another form leaves the rows that are there as they are.

use super::{Masks, Normalize, find};
use crate::keys::FixedKeys;
use kernel::Classification;
use kernel::contract::{MaskSpec, Property};
use kernel::error::{Error, Result};
use kernel::mask::MaskFactory;
use std::fmt;
use std::sync::Arc;

/// How an open column's mask is told.
const OPEN: &str = "open";

/// A column's class and mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub class: Option<Classification>,
    pub mask: Option<MaskSpec>,
}

impl Form {
    pub fn of(property: &Property) -> Self {
        Self { class: property.classification.clone(), mask: property.mask.clone() }
    }

    /// Reads what a table's commits tell of a column: `personal.cpf: pseudonym(person)`, or `open` for the mask.
    pub fn read(told: &str) -> Result<Self> {
        let wrong = |why: String| Error::data(format!("read how a column was masked: `{told}`"), why);
        let (class, mask) = told.split_once(": ").ok_or_else(|| wrong("it names no mask".to_owned()))?;
        let mask = match mask {
            OPEN => None,
            mask => Some(MaskSpec::parse(mask).map_err(wrong)?),
        };
        Ok(Self { class: Some(Classification::new(class)), mask })
    }

    fn kind(&self) -> Option<&str> {
        self.class.as_ref().and_then(Classification::kind)
    }

    /// Whether equal values are equal when they are masked.
    pub fn is_joinable(&self) -> bool {
        let masks = Masks::new(Arc::new(FixedKeys::new(&[1])));
        let Some(mask) = &self.mask else { return true };
        masks.build(mask, self.class.as_ref()).is_ok_and(|mask| mask.promise().joinable)
    }

    /// How a value is spelled before it is masked, where the mask minds it.
    pub fn spelling(&self) -> Option<Normalize> {
        let mask = self.mask.as_ref()?;
        let named = match mask.name.as_str() {
            "pseudonym" => mask.arg("normalize", 1),
            "token" => None,
            _ => return None,
        };
        Normalize::choose(named, self.kind()).ok()
    }

    /// Whether both make the same of every value, under the same keys.
    pub fn is_alike(&self, other: &Self) -> bool {
        self == other || self.deciding() == other.deciding()
    }

    fn deciding(&self) -> Option<Deciding<'_>> {
        let spec = self.mask.as_ref()?;
        let known = find(spec).map(|known| known.args).unwrap_or_default();
        let says_how = |name: &str| name != "normalize" && name != "reason";
        let args = known.iter().enumerate().filter(|(_, arg)| says_how(arg.name));
        let checked = self.kind().filter(|kind| matches!(*kind, "cpf" | "cnpj"));
        let minds_it = spec.name == "fpe" || (spec.name == "token" && spec.arg("format", 1) == Some("keep"));
        Some(Deciding {
            mask: &spec.name,
            args: args.map(|(place, arg)| spec.arg(arg.name, place)).collect(),
            spelling: self.spelling(),
            checked: checked.filter(|_| minds_it),
        })
    }
}

/// What decides what becomes of a value, beside the keys.
#[derive(PartialEq, Eq)]
struct Deciding<'a> {
    mask: &'a str,
    args: Vec<Option<&'a str>>,
    spelling: Option<Normalize>,
    /// The kind of number whose check digits the mask knows.
    checked: Option<&'a str>,
}

/// As a table's commits tell it.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.class {
            Some(class) => write!(f, "{class}: ")?,
            None => f.write_str("not classified: ")?,
        }
        match &self.mask {
            Some(mask) => write!(f, "{mask}"),
            None => f.write_str(OPEN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(told: &str) -> Form {
        Form::read(told).unwrap()
    }

    #[test]
    fn what_a_commit_tells_is_read() {
        for told in ["personal.cpf: pseudonym(person)", "personal: open", "sensitive.x: token(a, format: keep)"] {
            assert_eq!(form(told).to_string(), told);
        }
        assert_eq!(form("personal: open").mask, None);
        assert!(Form::read("pseudonym(person)").is_err() && Form::read("personal: pseudonym(").is_err());
    }

    #[test]
    fn forms_that_make_the_same_of_every_value_are_alike() {
        for (one, other) in [
            ("personal.cpf: pseudonym(person)", "sensitive.cpf: pseudonym(scope: person)"),
            ("personal: pseudonym(person, normalize: cpf)", "personal.cpf: pseudonym(person)"),
            ("personal: encrypt(person)", "personal.cpf: encrypt(person)"),
            ("personal.pis: token(a)", "personal.cnh: token(a)"),
            ("personal.card: fpe(card)", "personal: fpe(card)"),
            ("personal: redact", "personal.cpf: redact"),
            ("personal: open", "personal.cpf: open"),
        ] {
            assert!(form(one).is_alike(&form(other)), "{one}, {other}");
        }
        for (one, other) in [
            ("personal: pseudonym(person)", "personal.cpf: pseudonym(person)"),
            ("personal.cpf: pseudonym(person)", "personal.cpf: pseudonym(people)"),
            ("personal.cpf: pseudonym(person)", "personal.cpf: token(person)"),
            ("personal.cpf: open", "personal.cpf: redact"),
            ("personal: fpe(person)", "personal.cpf: fpe(person)"),
            ("personal: token(a)", "personal.email: token(a)"),
            ("personal: encrypt(person)", "personal: encrypt(person, deterministic)"),
        ] {
            assert!(!form(one).is_alike(&form(other)), "{one}, {other}");
        }
    }

    #[test]
    fn a_form_knows_what_can_be_joined_on() {
        assert!(form("personal.cpf: pseudonym(person)").is_joinable() && form("personal: open").is_joinable());
        assert!(!form("personal.cpf: redact").is_joinable() && !form("personal: encrypt(x)").is_joinable());
    }
}

//! One spelling for each value, so that a join doesn't break on dots and capitals.

use kernel::error::{Error, Result};
use kernel::suggest;
use std::borrow::Cow;

/// How a value is spelled before a pseudonym is made of it. A value that doesn't have the form stays as it is, trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalize {
    None,
    Trim,
    Lower,
    Digits,
    Alphanumeric,
    Cpf,
    Cnpj,
    Phone,
}

const NAMES: [(&str, Normalize); 8] = [
    ("none", Normalize::None),
    ("trim", Normalize::Trim),
    ("lower", Normalize::Lower),
    ("digits", Normalize::Digits),
    ("alnum", Normalize::Alphanumeric),
    ("cpf", Normalize::Cpf),
    ("cnpj", Normalize::Cnpj),
    ("phone", Normalize::Phone),
];

impl Normalize {
    /// The one named in the contract, or the one that fits the kind of data; `auto` is the latter, spelled out.
    pub fn choose(named: Option<&str>, kind: Option<&str>) -> Result<Self> {
        match named {
            None | Some("auto") => Ok(kind.map_or(Self::None, Self::of_kind)),
            Some(name) => NAMES.iter().find(|(known, _)| *known == name).map(|(_, way)| *way).ok_or_else(|| {
                let hint = suggest::hint(name, NAMES.map(|(known, _)| known).into_iter().chain(["auto"]));
                Error::project(format!("`normalize: {name}`"), hint.unwrap_or_default())
            }),
        }
    }

    /// `kind` as in `personal.<kind>`.
    fn of_kind(kind: &str) -> Self {
        match kind {
            "cpf" => Self::Cpf,
            "cnpj" => Self::Cnpj,
            "phone" => Self::Phone,
            "pis" | "cnh" | "titulo_eleitor" | "renavam" | "cep" | "card" | "us_ssn" | "us_itin" | "uk_nhs" => {
                Self::Digits
            }
            "email" | "pix_key" | "person_name" | "address" => Self::Lower,
            "rg" | "plate" | "iban" | "bank_account" | "passport" | "mac" | "uk_nino" | "eu_vat" | "pt_nif"
            | "es_dni" | "fr_nir" | "de_steuer_id" | "it_codice_fiscale" => Self::Alphanumeric,
            _ => Self::Trim,
        }
    }

    /// Whether a value stays as it was written, but for the blanks around it.
    pub fn keeps(self) -> bool {
        matches!(self, Self::None | Self::Trim)
    }

    /// The one spelling of `value`.
    pub fn apply(self, value: &str) -> Cow<'_, str> {
        if self == Self::None {
            return Cow::Borrowed(value);
        }
        let value = value.trim();
        let spelled = match self {
            Self::None | Self::Trim => None,
            Self::Lower => return lower(value),
            Self::Digits => kept(value, |c| c.is_ascii_digit()),
            Self::Alphanumeric => kept(value, |c| c.is_ascii_alphanumeric()),
            Self::Cpf => tax_id(value, 11, |c| c.is_ascii_digit()),
            Self::Cnpj => tax_id(value, 14, |c| c.is_ascii_alphanumeric()),
            Self::Phone => phone(value).map(Cow::Owned),
        };
        spelled.unwrap_or(Cow::Borrowed(value))
    }
}

fn lower(value: &str) -> Cow<'_, str> {
    let is_lower = |c: char| c.is_ascii() && !c.is_ascii_uppercase();
    if value.chars().all(is_lower) { Cow::Borrowed(value) } else { Cow::Owned(value.to_lowercase()) }
}

/// The characters that `keep` picks, in upper case, when nothing but separators stands between them.
fn kept(value: &str, keep: impl Fn(u8) -> bool) -> Option<Cow<'_, str>> {
    if !value.is_empty() && value.bytes().all(|c| keep(c) && !c.is_ascii_lowercase()) {
        return Some(Cow::Borrowed(value));
    }
    let mut out = String::with_capacity(value.len());
    for c in value.bytes() {
        match c {
            c if keep(c) => out.push(char::from(c.to_ascii_uppercase())),
            b'.' | b'-' | b'/' | b' ' | b'(' | b')' | b'+' | b',' | b'_' | b':' => {}
            _ => return None,
        }
    }
    (!out.is_empty()).then_some(Cow::Owned(out))
}

/// CPF and CNPJ: separators gone, and the leading zeros back that a spreadsheet or an integer column took away.
fn tax_id(value: &str, length: usize, keep: impl Fn(u8) -> bool) -> Option<Cow<'_, str>> {
    let short = kept(value, keep)?;
    match short.len() {
        exact if exact == length => Some(short),
        // Nobody's number starts with so many zeros: this is something else.
        less if less + 4 >= length && less < length => Some(Cow::Owned(format!("{short:0>length$}"))),
        _ => None,
    }
}

/// E.164 digits (ITU-T E.164). Without a country code a number is Brazilian, where area code and subscriber have 10 or
/// 11 digits, a `0` may stand before them and the carrier's code is not written down in data.
fn phone(value: &str) -> Option<String> {
    let digits = kept(value, |c| c.is_ascii_digit())?;
    let international = value.starts_with('+');
    let digits = digits.as_ref();
    let abroad = digits.strip_prefix("00");
    let full = match abroad {
        // `+55 (011)`: the trunk `0` is no part of the number.
        _ if international => digits.strip_prefix("550").map_or(digits.to_owned(), |rest| format!("55{rest}")),
        Some(rest) => rest.to_owned(),
        None => {
            let national = digits.strip_prefix('0').unwrap_or(digits);
            match national.len() {
                10 | 11 => format!("55{national}"),
                12 | 13 if national.starts_with("55") => national.to_owned(),
                _ => return None,
            }
        }
    };
    (8..=15).contains(&full.len()).then_some(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_same(way: Normalize, spellings: &[&str], one: &str) {
        for spelling in spellings {
            assert_eq!(way.apply(spelling), one, "{spelling}");
        }
    }

    #[test]
    fn one_person_has_one_spelling() {
        all_same(Normalize::Cpf, &["529.982.247-25", "52998224725", " 529982247-25 ", "529 982 247 25"], "52998224725");
        all_same(Normalize::Cpf, &["012.345.678-90", "1234567890"], "01234567890");
        all_same(Normalize::Cnpj, &["12.ABC.345/01DE-35", "12abc34501de35"], "12ABC34501DE35");
        all_same(
            Normalize::Phone,
            &[
                "+55 (11) 98765-4321",
                "+55 (011) 98765-4321",
                "(11) 98765-4321",
                "011987654321",
                "5511987654321",
                "005511987654321",
            ],
            "5511987654321",
        );
        all_same(Normalize::Phone, &["+1 212 555-0100"], "12125550100");
        all_same(Normalize::Lower, &["Ana@Example.com ", "ana@example.com"], "ana@example.com");
        all_same(Normalize::Alphanumeric, &["abc-1d23", "ABC1D23"], "ABC1D23");
    }

    #[test]
    fn what_has_not_the_form_stays_itself() {
        for odd in ["n/a", "", "12345", "529.982.247-25x", "123456789012", "não tem"] {
            assert_eq!(Normalize::Cpf.apply(odd), odd);
        }
        assert_eq!(Normalize::Phone.apply("ramal 12"), "ramal 12");
        assert_eq!(Normalize::Digits.apply("--"), "--");
        assert_eq!(Normalize::None.apply(" A "), " A ");
    }

    #[test]
    fn the_kind_chooses_unless_the_contract_does() {
        assert_eq!(Normalize::choose(None, Some("cpf")).ok(), Some(Normalize::Cpf));
        assert_eq!(Normalize::choose(Some("auto"), Some("email")).ok(), Some(Normalize::Lower));
        assert_eq!(Normalize::choose(Some("trim"), Some("cpf")).ok(), Some(Normalize::Trim));
        assert_eq!(Normalize::choose(None, None).ok(), Some(Normalize::None));
        let error = Normalize::choose(Some("digit"), None).map_err(|e| e.detail);
        assert_eq!(error, Err("did you mean `digits`?".into()));
    }
}

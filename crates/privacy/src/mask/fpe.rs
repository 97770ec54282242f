//! `fpe(scope)`: FF1 (NIST SP 800-38G). Digits become other digits in the same places, what stands between them stays, a
//! key holder reads the value again, and equal values stay equal.
//!
//! A CPF or CNPJ keeps its form but never its check digits: a valid one may be a real person's. They carry nothing, so
//! they are made wrong, always by the same step. A value that has no such form (letters among the digits, fewer texts of
//! its length than a million, a CPF that is none) is encrypted as `encrypt(scope, mode: deterministic)` does it, so that it
//! is hidden and comes back too. Nothing in a token tells the key's version: after a rotation the values are others.

use super::encrypt::Deterministic;
use super::{Arg, SCOPE, Secrets, Spec, takes, text};
use crate::detect::{cnpj_check, cpf_check};
use crate::ff1::{Ff1, Halves};
use crate::keys::{check_scope, subkey};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use arrow::datatypes::DataType;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Kind, Result};
use kernel::keys::Key;
use kernel::mask::{Mask, Promise};
use kernel::suggest;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) const SPEC: Spec = Spec {
    name: "fpe",
    summary: "FF1: digits become other digits in the same places and a key holder reads the value again; a CPF or CNPJ \
              gets wrong check digits, for a valid one may be somebody's",
    args: &[
        SCOPE,
        Arg { name: "alphabet", about: "digits (the default) or alnum (0-9 and A-Z; the default for a CNPJ)" },
    ],
    example: "fpe(card)",
    promise: Promise { joinable: true, reversible: true, keeps_type: false, random: false },
    build: fpe,
};

/// Texts that go through the rounds side by side.
const SIDE_BY_SIDE: usize = 64;
/// The step between right check digits and ours.
const WRONG_BY: u8 = 50;

fn fpe(spec: &MaskSpec, kind: Option<&str>, secrets: &Secrets) -> Result<Box<dyn Mask>> {
    let scope = spec.arg("scope", 0).unwrap_or_default();
    check_scope(scope)?;
    let radix = match (spec.arg("alphabet", 1), kind) {
        (Some("digits"), _) => 10,
        (Some("alnum"), _) | (None, Some("cnpj")) => 36,
        (None, _) => 10,
        (Some(other), _) => {
            let hint = suggest::hint(other, ["digits", "alnum"]).unwrap_or_default();
            return Err(Error::project(format!("`alphabet: {other}`"), hint));
        }
    };
    Ok(Box::new(Fpe::new(scope, Checked::of(kind), radix, &secrets.keys.key(scope, None)?)?))
}

/// Reads back one token of `fpe(scope)` on a column of this kind, for whoever holds the key.
pub fn unfpe(token: &str, scope: &str, kind: Option<&str>, secrets: &Secrets) -> Result<String> {
    let closed = || Error::new(Kind::Data, format!("read a token of scope `{scope}`"), "it has not the form of one");
    if token.contains(".siv.") {
        return super::decrypt(token, scope, secrets)?.ok_or_else(closed);
    }
    let radix = if kind == Some("cnpj") { 36 } else { 10 };
    let mask = Fpe::new(scope, Checked::of(kind), radix, &secrets.keys.key(scope, None)?)?;
    let characters = mask.characters(token).ok_or_else(closed)?;
    let base = &characters[..characters.len() - mask.checked.map_or(0, |_| 2)];
    let ff1 = mask.ff1(base.len()).ok_or_else(closed)?;
    let mut texts = [mask.halves(base, &ff1)];
    ff1.decrypt(&mut texts);
    let mut plain = String::new();
    mask.spell(token, &ff1, base.len(), texts[0], 0, &mut plain);
    Ok(plain)
}

/// Numbers whose last two characters follow from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checked {
    Cpf,
    Cnpj,
}

impl Checked {
    fn of(kind: Option<&str>) -> Option<Self> {
        match kind {
            Some("cpf") => Some(Self::Cpf),
            Some("cnpj") => Some(Self::Cnpj),
            _ => None,
        }
    }

    /// The right check digits as a number below 100, of a base of the right length.
    fn digits(self, base: &[u8]) -> Option<u8> {
        match self {
            Self::Cpf => cpf_check(base),
            Self::Cnpj => cnpj_check(base),
        }
    }
}

struct Fpe {
    scope: String,
    checked: Option<Checked>,
    radix: u32,
    key: Zeroizing<[u8; 32]>,
    /// For values without the form.
    other: Deterministic,
}

impl Fpe {
    fn new(scope: &str, checked: Option<Checked>, radix: u32, key: &Key) -> Result<Self> {
        let other = Deterministic::new(scope, key, "")?;
        Ok(Self { scope: scope.to_owned(), checked, radix, key: subkey(key, "fpe")?, other })
    }

    fn ff1(&self, length: usize) -> Option<Ff1> {
        Ff1::new(&self.key, self.scope.as_bytes(), self.radix, u32::try_from(length).ok()?)
    }

    fn is_of_alphabet(&self, byte: u8) -> bool {
        byte.is_ascii_digit() || self.radix == 36 && byte.is_ascii_uppercase()
    }

    /// The characters to be exchanged; `None` when others than marks stand between them.
    fn characters(&self, value: &str) -> Option<Vec<u8>> {
        let mut characters = Vec::with_capacity(value.len());
        for byte in value.bytes() {
            match byte {
                byte if self.is_of_alphabet(byte) => characters.push(byte),
                b' '..=b'/' => {}
                _ => return None,
            }
        }
        Some(characters)
    }

    /// What of a value goes through FF1.
    fn base(&self, value: &str) -> Option<Vec<u8>> {
        let mut characters = self.characters(value)?;
        if let Some(checked) = self.checked {
            let split = characters.len().checked_sub(2)?;
            let given =
                characters[split..].iter().try_fold(0, |n, c| c.is_ascii_digit().then_some(n * 10 + (c - b'0')));
            if checked.digits(&characters[..split]) != given || given.is_none() {
                return None;
            }
            characters.truncate(split);
        }
        Some(characters)
    }

    fn halves(&self, base: &[u8], ff1: &Ff1) -> Halves {
        let number = |characters: &[u8]| {
            let value = |c: &u8| u128::from(if c.is_ascii_digit() { c - b'0' } else { c - b'A' + 10 });
            characters.iter().fold(0, |number, c| number * u128::from(self.radix) + value(c))
        };
        (number(&base[..ff1.left()]), number(&base[ff1.left()..]))
    }

    /// Writes `value` with its characters exchanged for those of the halves; check digits are off by `step`.
    fn spell(&self, value: &str, ff1: &Ff1, length: usize, (left, right): Halves, step: u8, out: &mut String) {
        let mut characters = vec![0; length];
        let mut write = |mut number: u128, from: usize, to: usize| {
            for place in characters[from..to].iter_mut().rev() {
                let digit = (number % u128::from(self.radix)) as u8;
                *place = if digit < 10 { b'0' + digit } else { b'A' + digit - 10 };
                number /= u128::from(self.radix);
            }
        };
        write(left, 0, ff1.left());
        write(right, ff1.left(), length);
        if let Some(right) = self.checked.and_then(|checked| checked.digits(&characters)) {
            let digits = (right + step) % 100;
            characters.extend([b'0' + digits / 10, b'0' + digits % 10]);
        }
        let mut next = characters.into_iter();
        out.extend(value.bytes().map(|byte| match self.is_of_alphabet(byte) {
            true => char::from(next.next().unwrap_or(b'0')),
            false => char::from(byte),
        }));
    }

    fn tokens(&self, values: &StringViewArray) -> Result<ArrayRef> {
        let mut lengths: BTreeMap<usize, (Option<Ff1>, Vec<Halves>)> = BTreeMap::new();
        let mut places: Vec<Option<(usize, usize)>> = vec![None; values.len()];
        for (row, value) in values.iter().enumerate() {
            let Some(base) = value.and_then(|value| self.base(value)) else { continue };
            let (ff1, texts) = lengths.entry(base.len()).or_insert_with(|| (self.ff1(base.len()), Vec::new()));
            if let Some(ff1) = ff1 {
                places[row] = Some((base.len(), texts.len()));
                texts.push(self.halves(&base, ff1));
            }
        }
        for (ff1, texts) in lengths.values_mut() {
            if let Some(ff1) = ff1 {
                texts.chunks_mut(SIDE_BY_SIDE).for_each(|texts| ff1.encrypt(texts));
            }
        }
        let (mut cipher, mut token) = (self.other.cipher(), String::new());
        let mut out = StringViewBuilder::with_capacity(values.len());
        for (value, place) in values.iter().zip(places) {
            let Some(value) = value else {
                out.append_null();
                continue;
            };
            token.clear();
            match place.and_then(|(length, at)| Some((length, lengths.get(&length)?, at))) {
                Some((length, (Some(ff1), texts), at)) => {
                    self.spell(value, ff1, length, texts[at], WRONG_BY, &mut token);
                }
                _ => self.other.seal(&mut cipher, value, &mut token)?,
            }
            out.try_append_value(&token).map_err(text::failed)?;
        }
        Ok(Arc::new(out.finish()))
    }
}

impl Mask for Fpe {
    fn name(&self) -> &str {
        SPEC.name
    }

    fn promise(&self) -> Promise {
        SPEC.promise
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        let plain = text::plain_type(input);
        takes(self.name(), input, plain == DataType::Utf8View || plain.is_integer(), "text and integers")?;
        Ok(Some(DataType::Utf8View))
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        text::per_distinct(column, |values| self.tokens(text::canonical(values)?.as_string_view()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, mask, one, secrets};
    use super::*;
    use crate::detect::{is_cnpj, is_cpf};
    use arrow::array::{Int64Array, StringArray};
    use kernel::laws::mask::{obeys, text_sample};

    fn cpf(n: u64) -> String {
        let base = format!("{:09}", n * 7_919 + 100_000_007);
        let check = cpf_check(base.as_bytes()).unwrap();
        format!("{}.{}.{}-{check:02}", &base[..3], &base[3..6], &base[6..])
    }

    #[test]
    fn it_obeys_the_laws() {
        let numbers: ArrayRef =
            Arc::new(Int64Array::from(vec![Some(52_998_224_725), None, Some(0), Some(-12_345_678)]));
        obeys(&|| mask("fpe(person)"), &[text_sample(), numbers]);
        let cpfs: ArrayRef = Arc::new(StringArray::from_iter((0..300).map(|n| Some(cpf(n % 100)))));
        obeys(&|| build("fpe(person)", Some("personal.cpf")).unwrap(), &[cpfs, text_sample()]);
    }

    #[test]
    fn the_form_stays_and_the_value_comes_back() {
        let card = mask("fpe(card)");
        let token = one(&*card, "4539 1488 0343 6467");
        assert!(token.len() == 19 && token.as_bytes()[4] == b' ' && token != "4539 1488 0343 6467", "{token}");
        for value in
            ["4539 1488 0343 6467", "+55 (11) 98765-4321", "123456", "12345", "", "ana 123456789", "São 1234567"]
        {
            let token = one(&*card, value);
            assert_eq!(unfpe(&token, "card", None, &secrets()).unwrap(), value, "{token}");
        }
    }

    #[test]
    fn no_token_is_somebodys_document() {
        let masked = build("fpe(person)", Some("personal.cpf")).unwrap();
        for n in 0..2_000 {
            let (value, digits) = (cpf(n), |text: &str| text.bytes().filter(u8::is_ascii_digit).collect::<Vec<u8>>());
            let token = one(&*masked, &value);
            assert!(is_cpf(&digits(&value)) && !is_cpf(&digits(&token)) && token.len() == 14, "{token}");
            assert_eq!(unfpe(&token, "person", Some("cpf"), &secrets()).unwrap(), value);
        }
        let companies = build("fpe(company)", Some("personal.cnpj")).unwrap();
        for value in ["12.ABC.345/01DE-35", "11.222.333/0001-81"] {
            let token = one(&*companies, value);
            let plain: Vec<u8> = token.bytes().filter(u8::is_ascii_alphanumeric).collect();
            assert!(!is_cnpj(&plain) && token.len() == value.len() && token.as_bytes()[10] == b'/', "{token}");
            assert_eq!(unfpe(&token, "company", Some("cnpj"), &secrets()).unwrap(), value);
        }
        // What is no CPF is hidden all the same, and comes back with its wrong digits.
        let token = one(&*masked, "529.982.247-26");
        assert_eq!(unfpe(&token, "person", Some("cpf"), &secrets()).unwrap(), "529.982.247-26");
    }

    #[test]
    fn slips_are_told() {
        assert_eq!(build("fpe", None).err().map(|e| e.kind), Some(Kind::Refused));
        assert!(build("fpe(x, alphabet: digit)", None).is_err_and(|e| e.detail.contains("`digits`")));
        assert!(mask("fpe(x)").output(&DataType::Float64).is_err());
    }
}

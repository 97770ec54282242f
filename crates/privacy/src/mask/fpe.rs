//! `fpe(scope)`: FF1 (NIST SP 800-38G). Digits become other digits in the same places, what stands between them stays, a
//! key holder reads the value again, and equal values stay equal.
//!
//! A CPF or CNPJ keeps its form but never its check digits: a valid one may be a real person's. They carry nothing, so
//! they are made wrong, always by the same step. A value that has no such form (letters among the digits, fewer texts of
//! its length than a million, a CPF that is none) is encrypted as `encrypt(scope, mode: deterministic)` does it, so that it
//! is hidden and comes back too. Nothing in a token tells the key's version, so that it is always the first.

use super::encrypt::Deterministic;
use super::swar::{decimal, is_decimal, write_decimal};
use super::{Arg, SCOPE, Secrets, Spec, takes, text};
use crate::detect::{cnpj_check, cpf_check};
use crate::ff1::{Ff1, Halves};
use crate::keys::{check_scope, subkey};
use crate::multi::TOGETHER;
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::DataType;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Kind, Result};
use kernel::keys::Key;
use kernel::mask::{Mask, Promise};
use kernel::suggest;
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

/// The longest text that FF1 takes here has 57 digits; a CNPJ's two check digits make no difference.
const CHARACTERS_MAX: usize = 64;
/// So many characters of radix 36 are a number of 64 bits.
const WORD: usize = 12;
/// Rows that are masked together; what is made of them stays in a near cache.
const ROWS: usize = 4 * TOGETHER;
/// A form that is kept has no place for a version: a rotation leaves these tokens as they are.
const VERSION: u32 = 1;
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
    Ok(Box::new(Fpe::new(scope, Checked::of(kind), radix, &secrets.keys.key(scope, Some(VERSION))?)?))
}

/// Reads back one token of `fpe(scope)` on a column of this kind, for whoever holds the key.
pub fn unfpe(token: &str, scope: &str, kind: Option<&str>, secrets: &Secrets) -> Result<String> {
    let closed = || Error::new(Kind::Data, format!("read a token of scope `{scope}`"), "it has not the form of one");
    if token.contains(".siv.") {
        return super::decrypt(token, scope, secrets)?.ok_or_else(closed);
    }
    let radix = if kind == Some("cnpj") { 36 } else { 10 };
    let mask = Fpe::new(scope, Checked::of(kind), radix, &secrets.keys.key(scope, Some(VERSION))?)?;
    let mut room = [0; CHARACTERS_MAX];
    let characters = mask.characters(token, &mut room).ok_or_else(closed)?;
    let base = characters.len().checked_sub(mask.checked.map_or(0, |_| 2)).ok_or_else(closed)?;
    let ff1 = mask.ff1(base).ok_or_else(closed)?;
    let mut texts = [mask.halves(&characters[..base], &ff1)];
    ff1.decrypt(&mut texts);
    let mut plain = Vec::new();
    mask.spell(token, &ff1, base, texts[0], 0, &mut plain);
    String::from_utf8(plain).map_err(|_| closed())
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

/// Room for the characters of one value, without the marks between them.
type Room = [u8; CHARACTERS_MAX];

/// Values of one length, and what FF1 makes of them.
struct Batch {
    length: usize,
    ff1: Option<Ff1>,
    texts: Vec<Halves>,
    /// How many of them are written.
    written: usize,
}

struct Batches {
    all: Vec<Batch>,
    /// Of each length, its place and one.
    of_length: [u8; CHARACTERS_MAX + 1],
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

    fn is_all_alphabet(&self, text: &[u8]) -> bool {
        if self.radix == 10 { is_decimal(text) } else { text.iter().all(|byte| self.is_of_alphabet(*byte)) }
    }

    /// The characters to be exchanged; `None` when others than marks stand between them, or when they are too many.
    fn characters<'a>(&self, value: &'a str, room: &'a mut Room) -> Option<&'a [u8]> {
        // Most have no marks.
        if value.len() <= CHARACTERS_MAX && self.is_all_alphabet(value.as_bytes()) {
            return Some(value.as_bytes());
        }
        let mut count = 0;
        for byte in value.bytes() {
            match byte {
                byte if self.is_of_alphabet(byte) => {
                    *room.get_mut(count)? = byte;
                    count += 1;
                }
                b' '..=b'/' => {}
                _ => return None,
            }
        }
        Some(&room[..count])
    }

    /// What of a value goes through FF1.
    fn base<'a>(&self, value: &'a str, room: &'a mut Room) -> Option<&'a [u8]> {
        let characters = self.characters(value, room)?;
        let Some(checked) = self.checked else { return Some(characters) };
        let (base, given) = characters.split_last_chunk::<2>()?;
        let is_right = given.iter().all(u8::is_ascii_digit)
            && checked.digits(base) == Some((given[0] - b'0') * 10 + (given[1] - b'0'));
        is_right.then_some(base)
    }

    fn halves(&self, base: &[u8], ff1: &Ff1) -> Halves {
        let (left, right) = base.split_at(ff1.left());
        (self.number(left), self.number(right))
    }

    /// The number that digits of our radix write.
    fn number(&self, digits: &[u8]) -> u128 {
        if self.radix == 10 {
            return decimal(digits);
        }
        let value = |c: &u8| u64::from(if c.is_ascii_digit() { c - b'0' } else { c - b'A' + 10 });
        let word = |digits: &[u8]| digits.iter().fold(0, |n, c| n * u64::from(self.radix) + value(c)).into();
        match digits.split_last_chunk::<WORD>() {
            Some((more, last)) if !more.is_empty() => {
                self.number(more) * u128::from(self.radix).pow(WORD as u32) + word(last)
            }
            _ => word(digits),
        }
    }

    /// Writes a number with as many digits of our radix as there are places.
    fn digits(&self, number: u128, places: &mut [u8]) {
        if self.radix == 10 {
            return write_decimal(number, places);
        }
        match places.split_last_chunk_mut::<WORD>() {
            Some((more, last)) if !more.is_empty() => {
                let word = u128::from(self.radix).pow(WORD as u32);
                self.digits(number / word, more);
                word_digits((number % word) as u64, last);
            }
            _ => word_digits(number as u64, places),
        }
    }

    /// Writes `value` with its characters exchanged for those of the halves; check digits are off by `step`.
    fn spell(&self, value: &str, ff1: &Ff1, length: usize, (left, right): Halves, step: u8, out: &mut Vec<u8>) {
        let (mut room, mut count) = ([0; CHARACTERS_MAX + 2], length);
        self.digits(left, &mut room[..ff1.left()]);
        self.digits(right, &mut room[ff1.left()..length]);
        if let Some(right) = self.checked.and_then(|checked| checked.digits(&room[..length])) {
            let digits = (right + step) % 100;
            room[length..length + 2].copy_from_slice(&[b'0' + digits / 10, b'0' + digits % 10]);
            count += 2;
        }
        if count == value.len() {
            return out.extend_from_slice(&room[..count]);
        }
        let mut next = room[..count].iter();
        out.extend(value.bytes().map(|byte| match self.is_of_alphabet(byte) {
            true => *next.next().unwrap_or(&b'0'),
            false => byte,
        }));
    }

    fn tokens(&self, values: &StringViewArray) -> Result<ArrayRef> {
        let mut out = text::Texts::with_capacity(values.len(), values.total_buffer_bytes_used());
        let mut batches = Batches { all: Vec::new(), of_length: [0; CHARACTERS_MAX + 1] };
        for from in (0..values.len()).step_by(ROWS) {
            let values = values.slice(from, ROWS.min(values.len() - from));
            self.append_tokens(&values, &mut batches, &mut out)?;
        }
        out.rows(values.nulls())
    }

    fn append_tokens(&self, values: &StringViewArray, batches: &mut Batches, out: &mut text::Texts) -> Result<()> {
        let places = self.encrypted(values, batches);
        let others: Vec<&str> =
            values.iter().zip(&places).filter(|(_, at)| at.is_none()).flat_map(|(value, _)| value).collect();
        let others = if others.is_empty() { text::Texts::with_capacity(0, 0) } else { self.other.seal(&others)? };
        let mut others = others.iter();
        for (value, place) in values.iter().zip(places) {
            match (value, place.and_then(|at| batches.all.get_mut(at))) {
                (None, _) => {}
                (Some(value), Some(Batch { length, ff1: Some(ff1), texts, written })) => {
                    self.spell(value, ff1, *length, texts[*written], WRONG_BY, out.bytes());
                    *written += 1;
                }
                (Some(_), _) => out.bytes().extend_from_slice(others.next().ok_or_else(text::lost)?),
            }
            out.end();
        }
        Ok(())
    }

    /// The values that have the form, encrypted, by their length; and which batch each row's is in, where it is the next one.
    /// `None` for what FF1 doesn't take.
    fn encrypted(&self, values: &StringViewArray, batches: &mut Batches) -> Vec<Option<usize>> {
        for Batch { texts, written, .. } in &mut batches.all {
            texts.clear();
            *written = 0;
        }
        let mut room = [0; CHARACTERS_MAX];
        let mut place = |value: &str| {
            let base = self.base(value, &mut room)?;
            let at = batches.of(base.len(), || self.ff1(base.len()));
            let Batch { ff1, texts, .. } = &mut batches.all[at];
            texts.push(self.halves(base, ff1.as_ref()?));
            Some(at)
        };
        let places = values.iter().map(|value| place(value?)).collect();
        for Batch { ff1, texts, .. } in &mut batches.all {
            ff1.iter().for_each(|ff1| ff1.encrypt(texts));
        }
        places
    }
}

impl Batches {
    /// The place of the one with values of this length.
    fn of(&mut self, length: usize, ff1: impl FnOnce() -> Option<Ff1>) -> usize {
        let place = &mut self.of_length[length];
        if *place == 0 {
            self.all.push(Batch { length, ff1: ff1(), texts: Vec::new(), written: 0 });
            *place = self.all.len() as u8;
        }
        usize::from(*place) - 1
    }
}

/// Writes a number with as many digits of radix 36 as there are places.
fn word_digits(mut number: u64, places: &mut [u8]) {
    for place in places.iter_mut().rev() {
        let digit = (number % 36) as u8;
        *place = digit + if digit < 10 { b'0' } else { b'A' - 10 };
        number /= 36;
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
    use super::super::tests::{build, columns, mask, one, secrets};
    use super::*;
    use crate::detect::{is_cnpj, is_cpf};
    use arrow::array::{Int64Array, StringArray};
    use kernel::laws::mask::{obeys, text_sample};
    use std::sync::Arc;

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
    fn tokens_of_a_column_are_those_of_its_values() {
        for (spec, class) in [("fpe(card)", None), ("fpe(card, alnum)", None), ("fpe(person)", Some("personal.cpf"))] {
            let mask = build(spec, class).unwrap();
            for column in columns() {
                let plain = text::canonical(&column).unwrap();
                let tokens = mask.apply(&column).unwrap();
                for (value, token) in plain.as_string_view().iter().zip(tokens.as_string_view().iter()) {
                    assert_eq!(value.map(|value| one(&*mask, value)).as_deref(), token, "{spec}");
                }
            }
        }
    }

    #[test]
    fn slips_are_told() {
        assert_eq!(build("fpe", None).err().map(|e| e.kind), Some(Kind::Refused));
        assert!(build("fpe(x, alphabet: digit)", None).is_err_and(|e| e.detail.contains("`digits`")));
        assert!(mask("fpe(x)").output(&DataType::Float64).is_err());
    }
}

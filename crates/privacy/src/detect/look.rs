//! One value: which kinds of personal data are in it. One multi-pattern pass finds the forms, validators judge them.

use super::dates;
use super::digits::{is_card, is_cnpj, is_cpf, is_iban, is_international_phone, is_national_phone, is_pis, is_us_ssn};
use super::finder::Finder;
use super::kinds::{Id, Set};
use super::words;
use kernel::error::{Error, Result};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// Longer texts are looked at up to here.
const LENGTH_MAX: usize = 4096;

/// Forms, most telling first: where two begin at the same place the earlier one is taken. Case is that of the data,
/// classes are ASCII.
pub(super) const FORMS: [(Form, &str); 18] = [
    (Form::Email, r"[0-9A-Za-z][0-9A-Za-z._%+\-]*@[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*\.[A-Za-z]{2,24}\b"),
    (Form::Jwt, r"\beyJ[0-9A-Za-z_\-]{8,}\.eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]*"),
    (Form::Uuid, r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b"),
    (Form::CnpjWritten, r"\b[0-9A-Za-z]{2}\.[0-9A-Za-z]{3}\.[0-9A-Za-z]{3}/[0-9A-Za-z]{4}-[0-9]{2}\b"),
    (Form::CpfWritten, r"\b[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-[0-9]{2}\b"),
    (Form::PisWritten, r"\b[0-9]{3}\.[0-9]{5}\.[0-9]{2}-[0-9]\b"),
    (Form::RgWritten, r"\b[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9Xx]\b"),
    (
        Form::CardWritten,
        r"\b[0-9]{4}[ \-][0-9]{4}[ \-][0-9]{4}[ \-][0-9]{1,7}\b|\b3[47][0-9]{2}[ \-][0-9]{6}[ \-][0-9]{5}\b",
    ),
    (Form::SsnWritten, r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b"),
    (Form::PhoneAbroad, r"\+[1-9][0-9 ().\-]{6,19}[0-9]\b"),
    (Form::PhoneHome, r"\(0?[1-9][0-9]\) ?9?[ .]?[0-9]{4}[ .\-]?[0-9]{4}\b|\b[1-9][0-9][ \-]9?[0-9]{4}[ \-][0-9]{4}\b"),
    (Form::PhoneUs, r"(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[\-.])[0-9]{3}[\-.][0-9]{4}\b"),
    (Form::Ipv4, r"\b[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\b"),
    (Form::Ipv6, r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f.:]*"),
    (Form::CepWritten, r"\b[0-9]{2}\.?[0-9]{3}-[0-9]{3}\b"),
    (Form::Plate, r"\b[A-Za-z]{3}-?[0-9][0-9A-Za-z][0-9]{2}\b"),
    (Form::Iban, r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?\b"),
    (Form::Compact, r"\b(?:[0-9A-Z]{12}[0-9]{2}|[0-9]{7,19})\b"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Email,
    Jwt,
    Uuid,
    CnpjWritten,
    CpfWritten,
    PisWritten,
    RgWritten,
    CardWritten,
    SsnWritten,
    PhoneAbroad,
    PhoneHome,
    PhoneUs,
    Ipv4,
    Ipv6,
    CepWritten,
    Plate,
    Iban,
    Compact,
}

static FINDER: LazyLock<Result<Finder>> = LazyLock::new(|| Finder::new(&FORMS.map(|(_, form)| form)));

/// What was found in one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Kinds with a value that leaves little doubt, anywhere in the text.
    pub strong: Set,
    /// Kinds that the whole text could be a value of.
    pub weak: Set,
    /// Kinds whose form is there, but not what makes it valid: a CPF with wrong check digits.
    pub shaped: Set,
}

impl Seen {
    pub fn any(self) -> Set {
        self.strong.union(self.weak).union(self.shaped)
    }
}

/// Looks at values.
#[derive(Clone, Copy)]
pub(super) struct Eye {
    finder: &'static Finder,
}

impl Eye {
    pub fn new() -> Result<Self> {
        let finder = FINDER.as_ref().map_err(|e| Error::internal("build the detector", e))?;
        Ok(Self { finder })
    }

    pub fn look(&self, value: &str) -> Seen {
        let value = value.trim();
        let value = &value[..value.floor_char_boundary(LENGTH_MAX)];
        let mut seen = Seen::default();
        self.finder.each(value.as_bytes(), |found| {
            let text = &value[found.range()];
            judge(FORMS[found.pattern().as_usize()].0, text, text.len() == value.len(), &mut seen);
        });
        if dates::is_plausible_birth_date(value) {
            seen.weak.add(Id::BirthDate);
        }
        words::look(value, &mut seen);
        pix_key(&mut seen);
        seen
    }
}

/// A PIX key is a CPF, a CNPJ, an e-mail, a phone or a random UUID (BACEN, DICT API): it shows in the column's name.
fn pix_key(seen: &mut Seen) {
    const KEYS: Set = Set::of(&[Id::Cpf, Id::Cnpj, Id::Email, Id::Phone]);
    if seen.strong.union(seen.weak).meets(KEYS) {
        seen.weak.add(Id::PixKey);
    }
}

fn judge(form: Form, text: &str, whole: bool, seen: &mut Seen) {
    let code: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let sure = |seen: &mut Seen, id: Id, valid: bool| if valid { seen.strong.add(id) } else { seen.shaped.add(id) };
    match form {
        Form::Email => seen.strong.add(Id::Email),
        Form::Jwt => seen.strong.add(Id::Jwt),
        Form::Uuid if whole => seen.weak.add(Id::PixKey),
        Form::Uuid => {}
        Form::CnpjWritten => sure(seen, Id::Cnpj, is_cnpj(&code)),
        Form::CpfWritten => sure(seen, Id::Cpf, is_cpf(&code)),
        Form::PisWritten => sure(seen, Id::Pis, is_pis(&code)),
        Form::RgWritten => sure(seen, Id::Rg, whole),
        Form::CardWritten => sure(seen, Id::Card, is_card(&code)),
        Form::SsnWritten => sure(seen, Id::UsSsn, is_us_ssn(&code)),
        Form::PhoneAbroad => sure(seen, Id::Phone, is_international_phone(&code)),
        Form::PhoneHome => sure(seen, Id::Phone, is_national_phone(code.strip_prefix(b"0").unwrap_or(&code))),
        Form::PhoneUs => seen.strong.add(Id::Phone),
        Form::Ipv4 if text.parse::<Ipv4Addr>().is_ok() => seen.strong.add(Id::Ip),
        Form::Ipv6 if text.len() > 2 && text.parse::<Ipv6Addr>().is_ok() => seen.strong.add(Id::Ip),
        Form::Ipv4 | Form::Ipv6 => {}
        Form::CepWritten => sure(seen, Id::Cep, whole),
        Form::Plate if whole => plate(&code, seen),
        Form::Plate => {}
        Form::Iban if is_iban(&code) => seen.strong.add(Id::Iban),
        Form::Iban | Form::Compact if whole => compact(&code, seen),
        Form::Iban => {}
        Form::Compact => inside(&code, seen),
    }
}

/// The Mercosul form (`ABC1D23`) is more telling than the old one (`ABC1234`).
fn plate(code: &[u8], seen: &mut Seen) {
    if code[4].is_ascii_digit() {
        seen.weak.add(Id::Plate);
    } else {
        seen.strong.add(Id::Plate);
    }
}

/// A number without separators that is the whole value.
fn compact(code: &[u8], seen: &mut Seen) {
    let mut weigh = |id: Id, valid: bool| if valid { seen.weak.add(id) } else { seen.shaped.add(id) };
    match code.len() {
        8 => weigh(Id::Cep, code.iter().any(|c| *c != b'0')),
        9 => weigh(Id::UsSsn, is_us_ssn(code)),
        10 => weigh(Id::Phone, is_national_phone(code)),
        11 => {
            weigh(Id::Cpf, is_cpf(code));
            weigh(Id::Pis, is_pis(code));
            weigh(Id::Phone, is_national_phone(code));
        }
        12 | 13 if code.starts_with(b"55") => weigh(Id::Phone, is_international_phone(code)),
        14 => weigh(Id::Cnpj, is_cnpj(code)),
        _ => {}
    }
    if (8..=10).contains(&code.len()) {
        // An integer column loses a CPF's leading zeros.
        let mut padded = [b'0'; 11];
        padded[11 - code.len()..].copy_from_slice(code);
        if is_cpf(&padded) {
            seen.weak.add(Id::Cpf);
        }
    }
    if (7..=10).contains(&code.len()) {
        seen.shaped.add(Id::Rg);
    }
    if is_card(code) {
        seen.weak.add(Id::Card);
    } else if (15..=16).contains(&code.len()) {
        seen.shaped.add(Id::Card);
    }
}

/// A number without separators in a longer text: only its check digits speak for it, and not loudly.
fn inside(code: &[u8], seen: &mut Seen) {
    for (id, valid) in [(Id::Cpf, is_cpf(code)), (Id::Cnpj, is_cnpj(code)), (Id::Card, is_card(code))] {
        if valid {
            seen.shaped.add(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kinds::kinds;
    use super::*;

    fn names(set: Set) -> Vec<&'static str> {
        let follows = |name: &&str| matches!(*name, "pix_key" | "birth_date");
        set.places().map(|at| kinds()[at].name).filter(|name| !follows(name)).collect()
    }

    fn strong(value: &str) -> Vec<&'static str> {
        names(Eye::new().unwrap().look(value).strong)
    }

    fn weak(value: &str) -> Vec<&'static str> {
        names(Eye::new().unwrap().look(value).weak)
    }

    #[test]
    fn written_forms_are_strong() {
        for (kind, values) in [
            ("cpf", vec!["529.982.247-25", "529982247-25", "CPF 529.982.247-25, desde 2019"]),
            ("cnpj", vec!["11.222.333/0001-81", "12.ABC.345/01DE-35", "12.abc.345/01de-35"]),
            ("pis", vec!["120.56412.54-5"]),
            ("rg", vec!["12.345.678-X", "1.234.567-8"]),
            (
                "phone",
                vec![
                    "+55 11 98765-4321",
                    "(11) 98765-4321",
                    "(11) 3265-4321",
                    "(011) 3265-4321",
                    "+55 (011) 3265-4321",
                    "+1 (212) 555-0100",
                    "212-555-0100",
                    "11 98765-4321",
                    "+5511987654321",
                ],
            ),
            ("email", vec!["ana@example.com", "fale com ana.silva+x@mail.example.com.br!"]),
            ("card", vec!["4111 1111 1111 1111", "3782-822463-10005"]),
            ("iban", vec!["GB82 WEST 1234 5698 7654 32", "BR1800360305000010009795493C1"]),
            ("ip", vec!["192.168.0.1", "2001:db8::1", "::1"]),
            ("us_ssn", vec!["219-09-9999"]),
            ("jwt", vec!["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"]),
            ("cep", vec!["01310-100", "01.310-100"]),
            ("plate", vec!["ABC1D23"]),
            ("address", vec!["Av. Paulista, 1578", "Rua das Flores 12", "221B Baker Street"]),
            ("person_name", vec!["Maria da Silva", "JOÃO CARLOS PEREIRA", "John Smith"]),
        ] {
            for value in values {
                assert_eq!(strong(value), [kind], "{value}");
            }
        }
    }

    #[test]
    fn bare_numbers_are_weak_and_wrong_ones_shaped() {
        assert_eq!(weak("52998224725"), ["cpf"]);
        assert_eq!(weak("11222333000181"), ["cnpj"]);
        assert_eq!(weak("12ABC34501DE35"), ["cnpj"]);
        assert_eq!(weak("4111111111111111"), ["card"]);
        assert_eq!(weak("11987654321"), ["phone"]);
        assert_eq!(weak("5511987654321"), ["phone"]);
        assert_eq!(weak("01310100"), ["cep"]);
        assert_eq!(weak("ABC-1234"), ["plate"]);
        let wrong = Eye::new().unwrap().look("529.982.247-24");
        assert!(wrong.strong.is_empty() && names(wrong.shaped) == ["cpf"]);
    }

    #[test]
    fn other_things_are_nothing() {
        for value in [
            "",
            "1234.56",
            "2025-01-31",
            "2025-01-31 12:34:56",
            "12:34",
            "SKU-77",
            "999.999.999.999",
            "R$ 10,00",
            "Caneta azul",
            "pending",
            "a@b",
            "1.2.3",
            "x:y",
            "0.5",
            "p1_mzxw6ytboiaaaaaaaaaaaaaaaa",
        ] {
            let seen = Eye::new().unwrap().look(value);
            let weak = seen.weak.without(Set::of(&[Id::BirthDate]));
            assert!(seen.strong.is_empty() && weak.is_empty(), "{value}: {seen:?}");
        }
    }
}

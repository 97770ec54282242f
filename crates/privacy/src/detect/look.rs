//! One value: which kinds of personal data are in it. One multi-pattern pass finds the forms, validators judge them.

use super::dates;
use super::digits::{is_card, is_cnpj, is_cpf, is_iban, is_international_phone, is_national_phone, is_pis, is_us_ssn};
use super::finder::Finder;
use super::forms::{self, Form};
use super::kinds::{COUNT, Id, Set, kinds};
use super::numbers::brazil::{is_cnh, is_renavam, is_titulo_eleitor};
use super::numbers::europe::{
    is_de_steuer_id, is_es_dni, is_fr_nir, is_it_codice_fiscale, is_pt_nif, is_uk_nhs, is_uk_nino,
};
use super::numbers::vat::{Vat, vat};
use super::numbers::world::{is_coordinate, is_coordinate_pair, is_passport_zone, is_us_itin};
use super::own::{OWN_MAX, OwnKind};
use super::words;
use kernel::error::{Error, Result};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;

/// Longer texts are looked at up to here.
const LENGTH_MAX: usize = 4096;

/// How sure a find is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sure {
    /// Letters and digits of the length; what makes them valid is not there.
    Shaped,
    /// The same, with the separators that people write: `529.982.247-24`.
    Written,
    /// Valid, and could be something else.
    Weak,
    /// Valid, with little doubt.
    Strong,
}

/// What was found in one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Kinds with a value that leaves little doubt, anywhere in the text.
    pub strong: Set,
    /// Kinds that the whole text could be a value of.
    pub weak: Set,
    /// Kinds whose form is there, but not what makes it valid: a CPF with wrong check digits.
    pub shaped: Set,
    /// Those of `strong` that have other text around them.
    pub inside: Set,
}

impl Seen {
    pub fn any(self) -> Set {
        self.strong.union(self.weak).union(self.shaped)
    }
}

/// Looks at values.
#[derive(Clone)]
pub(super) struct Eye {
    finder: &'static Finder,
    own: Arc<[OwnKind]>,
}

impl Eye {
    /// `own` are the project's own kinds.
    pub fn new(own: Arc<[OwnKind]>) -> Result<Self> {
        match own.len() > OWN_MAX {
            true => Err(Error::project("build the detector", format!("a project can have {OWN_MAX} kinds of its own"))),
            false => Ok(Self { finder: forms::finder()?, own }),
        }
    }

    /// How many kinds there are.
    pub fn places(&self) -> usize {
        COUNT + self.own.len()
    }

    pub fn name(&self, place: usize) -> &str {
        self.own(place).map_or_else(|| kinds()[place].name, |own| own.name.as_str())
    }

    pub fn all_own(&self) -> &[OwnKind] {
        &self.own
    }

    /// The project's own kind at a place.
    pub fn own(&self, place: usize) -> Option<&OwnKind> {
        self.own.get(place.checked_sub(COUNT)?)
    }

    pub fn look(&self, value: &str) -> Seen {
        let value = value.trim();
        let value = &value[..value.floor_char_boundary(LENGTH_MAX)];
        let mut seen = Seen::default();
        self.each_form(value, &mut |place, sure, range| {
            let whole = range.len() == value.len();
            match sure {
                Sure::Strong => {
                    seen.strong.add(place);
                    if !whole {
                        seen.inside.add(place);
                    }
                }
                Sure::Weak if whole => seen.weak.add(place),
                // A number without separators in a longer text: only its check digits speak for it, and not loudly.
                Sure::Weak if [Id::Cpf, Id::Cnpj, Id::Card].iter().any(|id| id.place() == place) => {
                    seen.shaped.add(place)
                }
                Sure::Shaped if !whole => {}
                Sure::Weak => {}
                Sure::Written | Sure::Shaped => seen.shaped.add(place),
            }
        });
        if dates::is_plausible_birth_date(value) {
            seen.weak.add(Id::BirthDate.place());
        }
        if is_coordinate(value) {
            seen.weak.add(Id::Coordinates.place());
        }
        words::look(value, &mut seen);
        pix_key(&mut seen);
        seen
    }

    /// Every find in a text by its form, with its place. A number without separators may be several kinds at once.
    pub fn each_form(&self, text: &str, found: &mut dyn FnMut(usize, Sure, Range<usize>)) {
        self.finder.each(text.as_bytes(), |hit| {
            let range = whole_key(text, hit.range());
            let (form, inner) = (forms::of(hit.pattern().as_usize()), &text[range.clone()]);
            judge(form, inner, inner.len() == text.len(), &mut |id, sure| found(id.place(), sure, range.clone()));
        });
        for (at, own) in self.own.iter().enumerate() {
            own.each(text, &mut |range| found(COUNT + at, Sure::Strong, range));
        }
    }
}

/// A find, and the whole block where it is the first line of a private key.
fn whole_key(text: &str, found: Range<usize>) -> Range<usize> {
    const END: &str = "PRIVATE KEY-----";
    if !text[found.clone()].starts_with("-----BEGIN ") {
        return found;
    }
    let end = text[found.end..].find(END).map_or(text.len(), |at| found.end + at + END.len());
    found.start..end
}

/// A PIX key is a CPF, a CNPJ, an e-mail, a phone or a random UUID (BACEN, DICT API): it shows in the column's name.
fn pix_key(seen: &mut Seen) {
    const KEYS: Set = Set::of(&[Id::Cpf, Id::Cnpj, Id::Email, Id::Phone]);
    if seen.strong.union(seen.weak).meets(KEYS) {
        seen.weak.add(Id::PixKey.place());
    }
}

fn judge(form: Form, text: &str, whole: bool, found: &mut dyn FnMut(Id, Sure)) {
    let code: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let mut sure = |id: Id, valid: bool| found(id, if valid { Sure::Strong } else { Sure::Written });
    match form {
        Form::UrlCredentials => found(Id::UrlCredentials, Sure::Strong),
        Form::Email => found(Id::Email, Sure::Strong),
        Form::Jwt => found(Id::Jwt, Sure::Strong),
        Form::ApiKey => found(Id::ApiKey, Sure::Strong),
        Form::Uuid => found(Id::PixKey, if whole { Sure::Weak } else { Sure::Shaped }),
        Form::CnpjWritten => sure(Id::Cnpj, is_cnpj(&code)),
        Form::CpfWritten => sure(Id::Cpf, is_cpf(&code)),
        Form::PisWritten => sure(Id::Pis, is_pis(&code)),
        Form::RgWritten => sure(Id::Rg, whole),
        Form::CardWritten => sure(Id::Card, is_card(&code)),
        Form::TituloWritten if is_titulo_eleitor(&code) => found(Id::TituloEleitor, Sure::Strong),
        Form::TituloWritten => found(Id::TituloEleitor, Sure::Shaped),
        Form::Mac if matches!(text.len(), 14 | 17) => found(Id::Mac, Sure::Strong),
        Form::SsnWritten if is_us_itin(&code) => found(Id::UsItin, Sure::Strong),
        Form::SsnWritten => sure(Id::UsSsn, is_us_ssn(&code)),
        Form::PhoneAbroad => sure(Id::Phone, is_international_phone(&code)),
        Form::PhoneHome => sure(Id::Phone, is_national_phone(code.strip_prefix(b"0").unwrap_or(&code))),
        Form::PhoneUs | Form::PhoneFrench => found(Id::Phone, Sure::Strong),
        Form::PhoneLocal => found(Id::Phone, if whole { Sure::Weak } else { Sure::Shaped }),
        Form::NhsWritten => found(Id::UkNhs, if is_uk_nhs(&code) { Sure::Strong } else { Sure::Shaped }),
        Form::SteuerWritten => found(Id::DeSteuer, if is_de_steuer_id(&code) { Sure::Strong } else { Sure::Shaped }),
        Form::Coordinates if is_place(text) => found(Id::Coordinates, Sure::Strong),
        Form::Ipv4 if text.parse::<Ipv4Addr>().is_ok() => found(Id::Ip, Sure::Strong),
        Form::Ipv6 if text.len() > 2 && text.parse::<Ipv6Addr>().is_ok() => found(Id::Ip, Sure::Strong),
        Form::Mac | Form::Coordinates | Form::Ipv4 | Form::Ipv6 => {}
        Form::CepWritten => sure(Id::Cep, whole),
        Form::Account => found(Id::BankAccount, if whole { Sure::Strong } else { Sure::Written }),
        Form::AccountShort => found(Id::BankAccount, Sure::Shaped),
        Form::Icd10Named => found(Id::Icd10, Sure::Strong),
        Form::Icd10 if whole => found(Id::Icd10, if text.contains('.') { Sure::Strong } else { Sure::Weak }),
        Form::Icd10 => {}
        Form::Plate if whole => plate(&code, found),
        Form::Plate => {}
        lettered => judge_lettered(lettered, text, &code, whole, found),
    }
}

/// Forms of letters and digits that several kinds share.
fn judge_lettered(form: Form, text: &str, code: &[u8], whole: bool, found: &mut dyn FnMut(Id, Sure)) {
    match form {
        Form::PassportZone if is_passport_zone(text.as_bytes()) => found(Id::Passport, Sure::Strong),
        Form::CodiceFiscale if is_it_codice_fiscale(code) => found(Id::ItCodiceFiscale, Sure::Strong),
        Form::CodiceFiscale if code[6..8].iter().all(u8::is_ascii_digit) => found(Id::ItCodiceFiscale, Sure::Written),
        Form::Nino if is_uk_nino(code) => found(Id::UkNino, Sure::Strong),
        Form::Dni => found(Id::EsDni, if is_es_dni(code) { Sure::Strong } else { Sure::Shaped }),
        Form::Nir if is_fr_nir(code) => found(Id::FrNir, Sure::Strong),
        Form::Nir => {
            found(Id::FrNir, Sure::Shaped);
            compact(code, found);
        }
        Form::Iban if is_iban(code) => found(Id::Iban, Sure::Strong),
        Form::Iban | Form::Vat | Form::Passport => lettered(code, whole, found),
        Form::Compact => compact(code, found),
        _ => {}
    }
}

/// A VAT number, else what a passport's number may look like, else a number with letters in it (CNPJ).
fn lettered(code: &[u8], whole: bool, found: &mut dyn FnMut(Id, Sure)) {
    const PASSPORT_LENGTH: std::ops::RangeInclusive<usize> = 7..=11;
    let digits = code.iter().filter(|c| c.is_ascii_digit()).count();
    match vat(code) {
        Vat::Checked => return found(Id::EuVat, Sure::Strong),
        Vat::Formed if whole => found(Id::EuVat, Sure::Weak),
        Vat::Formed | Vat::Wrong if whole && digits > 6 => found(Id::EuVat, Sure::Shaped),
        Vat::Formed | Vat::Wrong => {}
    }
    if whole && PASSPORT_LENGTH.contains(&code.len()) && digits > 4 {
        found(Id::Passport, Sure::Weak);
    }
    compact(code, found);
}

fn is_place(text: &str) -> bool {
    if let Some(point) = text.strip_prefix("POINT").map(|rest| rest.trim_matches([' ', '(', ')'])) {
        return point.split_once(' ').is_some_and(|(longitude, latitude)| is_coordinate_pair(latitude, longitude));
    }
    let mut parts = text.split([',', ';', ' ']).filter(|part| !part.is_empty());
    parts.next().zip(parts.next()).is_some_and(|(latitude, longitude)| is_coordinate_pair(latitude, longitude))
}

/// The Mercosul form (`ABC1D23`) is more telling than the old one (`ABC1234`).
fn plate(code: &[u8], found: &mut dyn FnMut(Id, Sure)) {
    found(Id::Plate, if code[4].is_ascii_digit() { Sure::Weak } else { Sure::Strong });
}

/// A number without separators.
fn compact(code: &[u8], found: &mut dyn FnMut(Id, Sure)) {
    let mut weigh = |id: Id, valid: bool| found(id, if valid { Sure::Weak } else { Sure::Shaped });
    match code.len() {
        8 => weigh(Id::Cep, code.iter().any(|c| *c != b'0')),
        9 => {
            weigh(Id::PtNif, is_pt_nif(code));
            match is_us_itin(code) {
                true => weigh(Id::UsItin, true),
                false => weigh(Id::UsSsn, is_us_ssn(code)),
            }
        }
        10 => {
            weigh(Id::UkNhs, is_uk_nhs(code));
            weigh(Id::Phone, is_national_phone(code));
        }
        11 => eleven(code, &mut weigh),
        12 => {
            weigh(Id::TituloEleitor, is_titulo_eleitor(code));
            if code.starts_with(b"55") {
                weigh(Id::Phone, is_international_phone(code));
            }
        }
        13 if code.starts_with(b"55") => weigh(Id::Phone, is_international_phone(code)),
        14 => weigh(Id::Cnpj, is_cnpj(code)),
        _ => {}
    }
    if (8..=10).contains(&code.len()) {
        // An integer column loses a CPF's leading zeros.
        let mut padded = [b'0'; 11];
        padded[11 - code.len()..].copy_from_slice(code);
        if is_cpf(&padded) {
            weigh(Id::Cpf, true);
        }
    }
    if (7..=10).contains(&code.len()) {
        weigh(Id::Rg, false);
    }
    if (7..=12).contains(&code.len()) {
        weigh(Id::BankAccount, false);
    }
    if (8..=9).contains(&code.len()) {
        weigh(Id::Passport, false);
    }
    if is_card(code) {
        weigh(Id::Card, true);
    } else if (15..=16).contains(&code.len()) {
        weigh(Id::Card, false);
    }
}

/// Eleven digits are a CPF, a PIS, a licence, a vehicle, a German taxpayer or a mobile phone. PIS and RENAVAM have the same
/// check digit: a PIS begins with 1 or 2, a RENAVAM with the zeros that make its eleven digits.
fn eleven(code: &[u8], weigh: &mut dyn FnMut(Id, bool)) {
    weigh(Id::Cpf, is_cpf(code));
    weigh(Id::Pis, is_pis(code) && matches!(code[0], b'1' | b'2'));
    weigh(Id::Renavam, is_renavam(code) && code[0] == b'0');
    weigh(Id::Cnh, is_cnh(code));
    weigh(Id::DeSteuer, is_de_steuer_id(code));
    weigh(Id::Phone, is_national_phone(code));
}

#[cfg(test)]
mod tests {
    use super::super::kinds::kinds;
    use super::*;

    fn eye() -> Eye {
        Eye::new(Arc::new([])).unwrap()
    }

    fn names(set: Set) -> Vec<&'static str> {
        let follows = |name: &&str| matches!(*name, "pix_key" | "birth_date");
        set.places().map(|at| kinds()[at].name).filter(|name| !follows(name)).collect()
    }

    fn strong(value: &str) -> Vec<&'static str> {
        names(eye().look(value).strong)
    }

    fn weak(value: &str) -> Vec<&'static str> {
        names(eye().look(value).weak)
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
                    "212.555.0100x77",
                    "01 39 33 22 45",
                    "+34 744796669",
                    "+49(0)4948366946",
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
            ("titulo_eleitor", vec!["6908 4709 2828"]),
            ("bank_account", vec!["1234 56789-0", "0001/12345-6", "1234-5 1234567-X"]),
            ("mac", vec!["00:1b:44:11:3a:b7", "00-1B-44-11-3A-B7", "001b.4411.3ab7"]),
            ("url_credentials", vec!["postgres://ana:s3cret@db/x", "https://ana:s3cret@example.com:8443/x?y"]),
            (
                "api_key",
                vec![
                    "AKIAIOSFODNN7EXAMPLE",
                    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
                    "github_pat_11AAAAAAA0abcdefghijkl_mnopqrstuvwxyz",
                    "xoxb-123456789012-abcdefABCDEF",
                    "sk_live_0123456789abcdefABCDEF",
                    "AIzaSyA0123456789abcdefghijABCDEFGHIJ01",
                    "sk-proj-0123456789abcdefABCDEF_-",
                    "-----BEGIN PRIVATE KEY-----",
                ],
            ),
            ("us_itin", vec!["900-70-0000"]),
            ("uk_nino", vec!["AB123456C", "AB 12 34 56 C"]),
            ("uk_nhs", vec!["943 476 5919"]),
            ("eu_vat", vec!["DE136695976", "ATU13585627", "FR 40 303265045", "BE 0403.019.261", "IT00743110157"]),
            ("es_dni", vec!["54362315K", "54362315-K", "X-5253868-R"]),
            ("fr_nir", vec!["2 69 05 49 588 157 80", "295109912611193"]),
            ("de_steuer_id", vec!["86 095 742 719"]),
            ("it_codice_fiscale", vec!["RSSMRA80A01H501U", "rssmra80a01h501u"]),
            ("passport", vec!["L898902C36UTO7408122F1204159ZE184226B<<<<<10"]),
            ("coordinates", vec!["-23.550520, -46.633308", "48.8566,2.3522", "POINT(-46.6333 -23.5505)"]),
            ("icd10", vec!["F32.1", "E11.65", "CID-10: F32", "CID F32.1"]),
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
        assert_eq!(weak("11987654321"), ["phone", "de_steuer_id"]);
        assert_eq!(weak("5511987654321"), ["phone"]);
        assert_eq!(weak("01310100"), ["cep"]);
        assert_eq!(weak("ABC-1234"), ["plate"]);
        assert_eq!(weak("62472927637"), ["cnh"]);
        assert_eq!(weak("690847092828"), ["titulo_eleitor"]);
        assert_eq!(weak("00639884962"), ["cpf", "renavam"]);
        assert_eq!(weak("12056412545"), ["pis"]);
        assert_eq!(weak("4010232137"), ["uk_nhs"]);
        assert_eq!(weak("501964843"), ["us_ssn", "pt_nif"]);
        assert_eq!(weak("86095742719"), ["de_steuer_id"]);
        assert_eq!(weak("C15985921"), ["passport"]);
        assert_eq!(weak("-46.6333"), ["coordinates"]);
        assert_eq!(weak("F32"), ["icd10"]);
        assert_eq!(weak("02344 010748"), ["phone"]);
        let wrong = eye().look("529.982.247-24");
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
            let seen = eye().look(value);
            let weak = seen.weak.without(Set::of(&[Id::BirthDate]));
            assert!(seen.strong.is_empty() && weak.is_empty(), "{value}: {seen:?}");
        }
    }
}

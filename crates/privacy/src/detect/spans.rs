//! Personal data inside a text: what it is, and from where to where.

use super::kinds::{Id, Set};
use super::look::{Eye, Sure};
use super::own::OwnKind;
use super::words;
use kernel::error::{Error, Result};
use regex_automata::meta::Regex;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// A find in a text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span<'a> {
    pub kind: &'a str,
    pub start: usize,
    pub end: usize,
}

/// Numbers without separators that are taken for somebody's in a text: those with two check digits or an issuer, and
/// telephones. One check digit in eleven is right by chance.
const BARE: Set = Set::of(&[Id::Cpf, Id::Cnpj, Id::Card, Id::DeSteuer, Id::TituloEleitor, Id::Cnh, Id::Phone]);

/// A date is one of birth when one of these words stands shortly before it.
static BIRTH: LazyLock<Result<Regex, String>> = LazyLock::new(|| {
    let pattern = r"(?i:nasc|birth|born|dob|geb|nacid|nacim|naiss|né|née|nato|nata)[^\d\n]{0,24}(?:\d{1,2}[/.\-]\d{1,2}[/.\-](?:19|20)\d{2}|(?:19|20)\d{2}-\d{2}-\d{2})\b";
    Regex::new(pattern).map_err(|e| e.to_string())
});

/// Finds personal data inside texts.
pub struct Spotter {
    eye: Eye,
    birth: &'static Regex,
    /// The kinds that are looked for.
    wanted: Set,
}

impl Spotter {
    /// `own` are the project's own kinds; `wanted` names the kinds to look for, all when it is empty.
    pub fn new(own: Arc<[OwnKind]>, wanted: &[&str]) -> Result<Self> {
        let eye = Eye::new(own)?;
        let birth = BIRTH.as_ref().map_err(|e| Error::internal("build the detector", e))?;
        let mut places = Set::default();
        for place in (0..eye.places()).filter(|place| wanted.is_empty() || wanted.contains(&eye.name(*place))) {
            places.add(place);
        }
        for name in wanted {
            if !(0..eye.places()).any(|place| eye.name(place) == *name) {
                let hint = kernel::suggest::hint(name, (0..eye.places()).map(|place| eye.name(place)));
                let detail = format!("there is no such kind; {}", hint.unwrap_or_default());
                return Err(Error::project(format!("kind `{name}`"), detail));
            }
        }
        Ok(Self { eye, birth, wanted: places })
    }

    /// What is found in a text, in its order; no two overlap. Where several kinds claim a place the surer one is told,
    /// then the longer.
    pub fn spans(&self, text: &str) -> Vec<Span<'_>> {
        let mut finds: Vec<(usize, Sure, Range<usize>)> = Vec::new();
        self.eye.each_form(text, &mut |place, sure, range| {
            let counts = match sure {
                Sure::Strong | Sure::Written => true,
                Sure::Weak => BARE.has(place),
                Sure::Shaped => false,
            };
            if counts {
                finds.push((place, sure, range));
            }
        });
        finds.extend(words::people(text).into_iter().map(|range| (Id::PersonName.place(), Sure::Written, range)));
        finds.extend(words::streets(text).into_iter().map(|range| (Id::Address.place(), Sure::Written, range)));
        let births = self.birth.find_iter(text).filter_map(|hit| {
            let date = text[hit.range()].find(|c: char| c.is_ascii_digit())?;
            Some((Id::BirthDate.place(), Sure::Strong, hit.start() + date..hit.end()))
        });
        finds.extend(births);
        finds.retain(|(place, ..)| self.wanted.has(*place));
        // Stable: of one form the first kind stays, which is the more telling one.
        finds.sort_by_key(|(_, sure, range)| (std::cmp::Reverse(*sure), std::cmp::Reverse(range.len())));
        let mut kept: Vec<(usize, Range<usize>)> = Vec::new();
        for (place, _, range) in finds {
            if kept.iter().all(|(_, other)| range.end <= other.start || other.end <= range.start) {
                kept.push((place, range));
            }
        }
        kept.sort_by_key(|(_, range)| range.start);
        kept.into_iter()
            .map(|(place, range)| Span { kind: self.eye.name(place), start: range.start, end: range.end })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String)> {
        let spotter = Spotter::new(Arc::new([]), &[]).unwrap();
        let spans = spotter.spans(text);
        assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "{spans:?}");
        spans.into_iter().map(|span| (span.kind.to_owned(), text[span.start..span.end].to_owned())).collect()
    }

    #[test]
    fn spans_tell_what_and_where() {
        let text = "Cliente João Lima, CPF 529.982.247-25 (ou 11144477735), nascido em 17/05/1980, fone (11) 98765-4321, \
                    e-mail joao@example.com, Rua das Flores, 12, 01310-100. Pedido 12345678 de 03/02/2025: R$ 1.234,56";
        let expected = [
            ("person_name", "João Lima"),
            ("cpf", "529.982.247-25"),
            ("cpf", "11144477735"),
            ("birth_date", "17/05/1980"),
            ("phone", "(11) 98765-4321"),
            ("email", "joao@example.com"),
            ("address", "Rua das Flores, 12"),
            ("cep", "01310-100"),
        ];
        let expected: Vec<(String, String)> = expected.map(|(kind, text)| (kind.to_owned(), text.to_owned())).into();
        assert_eq!(found(text), expected);
    }

    #[test]
    fn keys_and_passwords_are_found_whole() {
        let text = "use postgres://ana:s3cret@db.example.com/x or AKIAIOSFODNN7EXAMPLE; F32.1 is CID F32.1";
        let expected = [
            ("url_credentials", "postgres://ana:s3cret@db.example.com"),
            ("api_key", "AKIAIOSFODNN7EXAMPLE"),
            ("icd10", "CID F32.1"),
        ];
        assert_eq!(found(text), expected.map(|(kind, text)| (kind.to_owned(), text.to_owned())));
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\n-----END RSA PRIVATE KEY-----";
        assert_eq!(found(&format!("a {key} b")), [("api_key".to_owned(), key.to_owned())]);
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        let spotter = Spotter::new(Arc::new([]), &["email"]).unwrap();
        let spans = spotter.spans("529.982.247-25 ana@example.com");
        assert_eq!(spans, [Span { kind: "email", start: 15, end: 30 }]);
        let error = Spotter::new(Arc::new([]), &["emial"]).err().expect("a slip");
        assert!(error.detail.contains("did you mean `email`?"), "{error}");
    }

    #[test]
    fn ordinary_text_has_none() {
        for text in [
            "",
            "pedido 10000000001 entregue em 12/03/2025 às 10:30",
            "3 caixas de 12x40 cm a R$ 10,00",
            "v1.2.3 build 20250131",
        ] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }
}

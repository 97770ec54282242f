//! A project's own kinds of personal data: patterns and dictionaries beside those that are known from the start.

use super::digits::{is_card, is_cnpj, is_cpf, is_iban, is_pis};
use super::kinds::{COUNT, Grade, PLACES_MAX, grade, kinds};
use super::numbers;
use super::words::folded_words;
use kernel::contract::MaskSpec;
use kernel::{Classification, suggest};
use regex_automata::meta::Regex;
use std::collections::HashSet;
use std::ops::Range;

/// Values that the project's own rules take for one of theirs leave as little doubt as the rules do.
pub(super) const GRADE: Grade = grade(0.9, 0.01);

/// The most kinds that a project can have of its own.
pub const OWN_MAX: usize = PLACES_MAX - COUNT;

/// Words of a dictionary's longest entry that are looked for in a text.
const RUN_MAX: usize = 8;

/// A kind of the project's own.
#[derive(Debug, Clone)]
pub struct OwnKind {
    pub name: String,
    /// What columns of it are called, in lower case: `employee id`.
    pub names: Vec<String>,
    pub classification: Classification,
    pub mask: MaskSpec,
    pub rule: Rule,
}

/// How values of a kind are known.
#[derive(Debug, Clone)]
pub enum Rule {
    Pattern(Pattern),
    Dictionary(Dictionary),
}

/// A regular expression, and what its matches are held to.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    validator: Option<Validator>,
}

/// Words and phrases, without case and accents.
#[derive(Debug, Clone)]
pub struct Dictionary {
    entries: HashSet<String>,
    /// Words of the longest entry.
    run_max: usize,
}

/// A check of letters and digits without their separators, by name.
#[derive(Debug, Clone, Copy)]
pub struct Validator {
    pub name: &'static str,
    holds: fn(&[u8]) -> bool,
}

const VALIDATORS: [Validator; 16] = [
    Validator { name: "luhn", holds: is_luhn },
    Validator { name: "card", holds: is_card },
    Validator { name: "iban", holds: is_iban },
    Validator { name: "cpf", holds: is_cpf },
    Validator { name: "cnpj", holds: is_cnpj },
    Validator { name: "pis", holds: is_pis },
    Validator { name: "cnh", holds: numbers::brazil::is_cnh },
    Validator { name: "titulo_eleitor", holds: numbers::brazil::is_titulo_eleitor },
    Validator { name: "renavam", holds: numbers::brazil::is_renavam },
    Validator { name: "uk_nhs", holds: numbers::europe::is_uk_nhs },
    Validator { name: "uk_nino", holds: numbers::europe::is_uk_nino },
    Validator { name: "pt_nif", holds: numbers::europe::is_pt_nif },
    Validator { name: "es_dni", holds: numbers::europe::is_es_dni },
    Validator { name: "fr_nir", holds: numbers::europe::is_fr_nir },
    Validator { name: "de_steuer_id", holds: numbers::europe::is_de_steuer_id },
    Validator { name: "it_codice_fiscale", holds: numbers::europe::is_it_codice_fiscale },
];

fn is_luhn(code: &[u8]) -> bool {
    let digits: Vec<u32> = code.iter().map(|c| u32::from(c.wrapping_sub(b'0'))).collect();
    code.len() > 1 && digits.iter().all(|digit| *digit < 10) && numbers::luhn(&digits)
}

impl Validator {
    /// The validator of this name; an error names the nearest.
    pub fn by_name(name: &str) -> Result<Self, String> {
        let found = VALIDATORS.into_iter().find(|known| known.name == name);
        found.ok_or_else(|| suggest::hint(name, VALIDATORS.iter().map(|known| known.name)).unwrap_or_default())
    }
}

impl Pattern {
    /// Compiles a pattern; one that matches nothing at all, the empty text, would be found everywhere.
    pub fn new(pattern: &str, validator: Option<Validator>) -> Result<Self, String> {
        let regex = Regex::new(pattern).map_err(|e| match e.syntax_error() {
            Some(syntax) => format!("this is no regular expression: {}", last_line(&syntax.to_string())),
            None => "this pattern is too large".to_owned(),
        })?;
        match regex.is_match("") {
            true => Err("this pattern matches the empty text, so it is everywhere".to_owned()),
            false => Ok(Self { regex, validator }),
        }
    }

    /// A match ends where a word or number does: `E[0-9]{6}` is not in `SE1234567`.
    fn each(&self, text: &str, found: &mut dyn FnMut(Range<usize>)) {
        for hit in self.regex.find_iter(text) {
            let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let (before, inside, after) = (&text[..hit.start()], &text[hit.range()], &text[hit.end()..]);
            let is_cut = is_word(before.chars().next_back()) && is_word(inside.chars().next())
                || is_word(inside.chars().next_back()) && is_word(after.chars().next());
            let code: Vec<u8> =
                inside.bytes().filter(u8::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
            if !is_cut && self.validator.is_none_or(|validator| (validator.holds)(&code)) {
                found(hit.range());
            }
        }
    }
}

/// The message of a syntax error without the drawing of the pattern, which the file's own place shows.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ")
}

impl Dictionary {
    /// Entries without a letter or digit are left out.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let folded = |entry: &str| folded_words(entry).into_iter().map(|(word, _)| word).collect::<Vec<_>>();
        let all: Vec<Vec<String>> = entries.into_iter().map(folded).filter(|words| !words.is_empty()).collect();
        let run_max = all.iter().map(Vec::len).max().unwrap_or_default().min(RUN_MAX);
        Self { entries: all.into_iter().map(|words| words.join(" ")).collect(), run_max }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The longest entry at each word.
    fn each(&self, text: &str, found: &mut dyn FnMut(Range<usize>)) {
        let words = folded_words(text);
        let mut at = 0;
        while at < words.len() {
            let most = self.run_max.min(words.len() - at);
            let run = (1..=most).rev().find(|length| {
                let run: Vec<&str> = words[at..at + length].iter().map(|(word, _)| word.as_str()).collect();
                self.entries.contains(&run.join(" "))
            });
            if let Some(length) = run {
                found(words[at].1.start..words[at + length - 1].1.end);
            }
            at += run.unwrap_or(1);
        }
    }
}

impl OwnKind {
    /// A name that nobody else has, and that a class can be made of.
    pub fn check_name(name: &str) -> Result<(), String> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_word) {
            return Err("a kind's name has lower-case letters, digits and `_`, as in `employee_id`".to_owned());
        }
        match kinds().iter().any(|kind| kind.name == name) {
            true => Err(format!("`{name}` is known already; give your own kind another name")),
            false => Ok(()),
        }
    }

    /// Each value of the kind in a text.
    pub(super) fn each(&self, text: &str, found: &mut dyn FnMut(Range<usize>)) {
        match &self.rule {
            Rule::Pattern(pattern) => pattern.each(text, found),
            Rule::Dictionary(dictionary) => dictionary.each(text, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: Rule, text: &str) -> Vec<String> {
        let kind = OwnKind {
            name: "x".into(),
            names: Vec::new(),
            classification: Classification::new("personal.x"),
            mask: MaskSpec { name: "redact".into(), args: Vec::new() },
            rule,
        };
        let mut all = Vec::new();
        kind.each(text, &mut |range| all.push(text[range].to_owned()));
        all
    }

    #[test]
    fn a_pattern_ends_where_a_word_does_and_holds_to_its_validator() {
        let pattern = |text: &str, validator: Option<&str>| {
            let validator = validator.map(|name| Validator::by_name(name).expect("a validator"));
            Rule::Pattern(Pattern::new(text, validator).expect("a pattern"))
        };
        assert_eq!(
            found(pattern("E[0-9]{6}", None), "E123456, SE123456 and E1234567; E654321"),
            ["E123456", "E654321"]
        );
        assert_eq!(found(pattern("[0-9-]{12,14}", Some("luhn")), "79-927398-713 or 79-927398-714"), ["79-927398-713"]);
        assert!(Validator::by_name("lunh").expect_err("a slip").contains("luhn"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let why = |text: &str| Pattern::new(text, None).expect_err("refused");
        assert!(why("[0-9").contains("no regular expression"), "{}", why("[0-9"));
        for text in ["", "[0-9]*", "a?", "(x|)"] {
            assert!(why(text).contains("empty text"), "{text}");
        }
    }

    #[test]
    fn a_dictionary_knows_no_case_and_no_accents_and_takes_the_longest() {
        let words = || Rule::Dictionary(Dictionary::new(["Tremembé", "grupo azul", "grupo azul claro", "--"]));
        assert_eq!(found(words(), "do GRUPO AZUL claro, tremembe"), ["GRUPO AZUL claro", "tremembe"]);
        assert!(found(words(), "grupo verde").is_empty());
        assert!(Dictionary::new([" ", "-"]).is_empty());
    }

    #[test]
    fn a_kind_has_a_name_of_its_own() {
        assert!(OwnKind::check_name("employee_id").is_ok());
        for name in ["cpf", "Employee", "a b", "", "1st"] {
            assert!(OwnKind::check_name(name).is_err(), "{name}");
        }
    }
}

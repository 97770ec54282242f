//! What a column says about people: `personal.cpf`, `sensitive.health`, `public`, …

use serde::{Deserialize, Serialize};
use std::fmt;

/// A dotted class, widest first. `personal` and `sensitive` (LGPD art. 5, GDPR art. 9) are about people.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Classification(String);

/// The classes that are about people.
const OF_PEOPLE: [&str; 2] = ["personal", "sensitive"];

/// What others call them. A class of this name would be taken for one that is about nobody.
const OTHER_WORDS: [&str; 12] = [
    "pii",
    "phi",
    "spi",
    "person",
    "persons",
    "people",
    "personally",
    "personaldata",
    "pessoal",
    "pessoais",
    "sensivel",
    "sensível",
];

impl From<String> for Classification {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl Classification {
    /// Capitals make no other class.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().trim().to_lowercase())
    }

    pub fn is_personal(&self) -> bool {
        self.0.split('.').next().is_some_and(|head| OF_PEOPLE.contains(&head))
    }

    /// The kind of personal data: `cpf` of `personal.cpf`, also when a closer word stands behind it.
    pub fn kind(&self) -> Option<&str> {
        self.0.split('.').nth(1)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What was meant by a class that is nearly one about people, and is none: it would be stored as it is. `None` for
    /// any other class, such as `restricted` or `internal`.
    pub fn meant(&self) -> Option<String> {
        if self.is_personal() {
            return None;
        }
        let words: Vec<&str> = self.0.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        if words.first().is_some_and(|word| ["non", "not", "no", "nao", "não"].contains(word)) {
            return None;
        }
        let (place, head) = words.iter().enumerate().find_map(|(place, word)| Some((place, of_people(word)?)))?;
        let rest: Vec<&str> = words[place + 1..].iter().filter(|word| !is_filler(word)).copied().collect();
        Some(match rest.is_empty() {
            true => format!("{head}.<kind>"),
            false => format!("{head}.{}", rest.join("_")),
        })
    }
}

/// The class about people that a word stands for, or is a slip of the keyboard away from.
fn of_people(word: &str) -> Option<&'static str> {
    let near = |known: &&str| strsim::normalized_damerau_levenshtein(word, known) > 0.75;
    let found = OF_PEOPLE.into_iter().find(near);
    found.or_else(|| OTHER_WORDS.contains(&word).then_some("personal"))
}

/// Words behind the class that say nothing of the kind: `personal data`, `dado pessoal`.
fn is_filler(word: &str) -> bool {
    ["data", "info", "information", "identifiable", "dado", "dados"].contains(&word)
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_make_no_other_class() {
        let class = Classification::new(" Personal.CPF ");
        assert_eq!((class.is_personal(), class.kind(), class.as_str()), (true, Some("cpf"), "personal.cpf"));
        assert_eq!(Classification::new("personal.cpf.payer").kind(), Some("cpf"));
        let read: Classification = serde_json::from_str("\"SENSITIVE.Health\"").expect("a class");
        assert!(read.is_personal());
    }

    #[test]
    fn what_is_nearly_about_people_is_found() {
        let meant = |text: &str| Classification::new(text).meant();
        for text in ["personal_cpf", "personal-cpf", "Personal cpf", "personnal.cpf", "pii.cpf", "restricted.pii.cpf"] {
            assert_eq!(meant(text).as_deref(), Some("personal.cpf"), "{text}");
        }
        assert_eq!(meant("sensitve.health").as_deref(), Some("sensitive.health"));
        assert_eq!(meant("PII").as_deref(), Some("personal.<kind>"));
        assert_eq!(meant("personal_data").as_deref(), Some("personal.<kind>"));
    }

    #[test]
    fn other_classes_stay_what_they_are() {
        for text in ["restricted", "internal", "internal.cost", "public", "confidential", "non_sensitive", "secret", ""]
        {
            assert_eq!(Classification::new(text).meant(), None, "{text}");
        }
        assert_eq!(Classification::new("personal").meant(), None);
        assert_eq!(Classification::new("personal.e-mail").meant(), None);
    }
}

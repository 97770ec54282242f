//! Names of persons and street addresses: what words tell where no number does.

use super::column_name::unaccented;
use super::kinds::Id;
use super::look::Seen;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Common first names of Brazil, Portugal and the English-speaking countries, lower case, without accents.
static FIRST_NAMES: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("first_names.txt").split_ascii_whitespace().collect());

const NAME_WORDS_MAX: usize = 7;
const STREETS_PT: [&str; 13] = [
    "rua", "avenida", "av", "alameda", "travessa", "rodovia", "rod", "estrada", "praca", "largo", "viela", "ladeira",
    "calle",
];
/// Short for a street when a dot follows, or a number: `R. Augusta`, `R Augusta 10`.
const STREETS_SHORT: [&str; 5] = ["r", "al", "tv", "est", "pca"];
const STREETS_EN: [&str; 14] = [
    "street",
    "st",
    "avenue",
    "ave",
    "road",
    "rd",
    "boulevard",
    "blvd",
    "lane",
    "ln",
    "drive",
    "dr",
    "square",
    "court",
];
const TITLES: [&str; 11] = ["dr", "dra", "sr", "sra", "srta", "mr", "mrs", "ms", "miss", "prof", "profa"];
/// Words between the parts of a name.
const PARTICLES: [&str; 12] = ["de", "da", "do", "das", "dos", "e", "del", "la", "van", "von", "di", "du"];

/// Adds to `seen` what the words of a value say.
pub(super) fn look(value: &str, seen: &mut Seen) {
    let words: Vec<&str> = value.split_whitespace().take(NAME_WORDS_MAX + 2).collect();
    let skipped = usize::from(words.len() > 2 && TITLES.contains(&folded(words[0]).as_str()));
    let Some(first) = words.get(skipped) else { return };
    if words.len() <= NAME_WORDS_MAX && words.iter().all(|word| is_name_word(word)) {
        match (is_first_name(first), words.len()) {
            (true, 1) => seen.weak.add(Id::PersonName),
            (true, _) if words[skipped + 1..].iter().all(|word| is_surname(word)) => seen.strong.add(Id::PersonName),
            _ => seen.shaped.add(Id::PersonName),
        }
    }
    if words.len() < 2 {
        return;
    }
    if is_street(&words) {
        seen.strong.add(Id::Address);
    } else if words.iter().any(|word| word.bytes().any(|c| c.is_ascii_digit()))
        && words.iter().filter(|word| is_name_word(word)).count() >= 2
    {
        seen.shaped.add(Id::Address);
    }
}

fn is_first_name(word: &str) -> bool {
    FIRST_NAMES.contains(folded(word).as_str())
}

/// Surnames begin with a capital where first names do; "maria mole" would else be somebody.
fn is_surname(word: &str) -> bool {
    PARTICLES.contains(&folded(word).as_str()) || word.chars().next().is_some_and(|c| !c.is_lowercase())
}

fn is_name_word(word: &str) -> bool {
    word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '-' | '.' | '’'))
        && word.chars().any(char::is_alphabetic)
}

/// `Rua …` and `Av. …` as people write them in Portuguese, `221B Baker Street` in English.
fn is_street(words: &[&str]) -> bool {
    let first = folded(words[0]);
    let has_number = || words[1..].iter().any(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let is_short = STREETS_SHORT.contains(&first.as_str()) && (words[0].ends_with('.') || has_number());
    let named = is_name_word(words[0]) && (STREETS_PT.contains(&first.as_str()) || is_short);
    let numbered = words[0].starts_with(|c: char| c.is_ascii_digit());
    named || numbered && words[1..].iter().any(|word| STREETS_EN.contains(&folded(word).as_str()))
}

/// A word as the lists have it.
fn folded(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).chars().flat_map(char::to_lowercase).map(unaccented).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(value: &str) -> Seen {
        let mut seen = Seen::default();
        look(value, &mut seen);
        seen
    }

    #[test]
    fn the_list_is_folded_and_without_doubles() {
        let all: Vec<&str> = include_str!("first_names.txt").split_ascii_whitespace().collect();
        assert_eq!(all.len(), FIRST_NAMES.len());
        assert!(all.iter().all(|name| folded(name) == *name) && all.len() > 300);
    }

    #[test]
    fn people_have_names_and_things_have_others() {
        for name in [
            "Maria da Silva",
            "JOSÉ SANTOS",
            "Dra. Ana Souza",
            "Ana-Clara Souza",
            "Conceição Evaristo",
            "D'Arcy O'Neil",
        ] {
            assert!(seen(name).any().has(Id::PersonName), "{name}");
        }
        assert!(seen("Maria").weak.has(Id::PersonName));
        for thing in ["Caneta azul", "maria mole", "Padaria Silva", "Loja 12"] {
            assert!(!seen(thing).strong.has(Id::PersonName), "{thing}");
        }
    }

    #[test]
    fn streets_are_named_before_or_after() {
        for street in
            ["R. XV de Novembro, 10", "R Augusta 10", "Praça da Sé s/n", "1600 Amphitheatre Road", "Alameda Santos 45"]
        {
            assert!(seen(street).strong.has(Id::Address), "{street}");
        }
        for other in ["Rua", "Al Pacino", "R$ 10,00", "Road to nowhere", "10 dr pepper cans now"] {
            assert_eq!(seen(other).strong.has(Id::Address), other.starts_with("10"), "{other}");
        }
        assert!(seen("Conjunto Nacional Bloco 4").shaped.has(Id::Address));
    }
}

//! Names of persons and street addresses: what words tell where no number does.

use super::column_name::unaccented;
use super::kinds::Id;
use super::look::Seen;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

/// Common first names of the countries that speak Portuguese, English, Spanish, German, French or Italian, lower case,
/// without accents.
static FIRST_NAMES: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("first_names.txt").split_ascii_whitespace().collect());

const NAME_WORDS_MAX: usize = 7;
/// Words that a street's name begins with, in Portuguese, Spanish, French and Italian.
const STREETS_FIRST: [&str; 40] = [
    "rua",
    "avenida",
    "av",
    "alameda",
    "travessa",
    "rodovia",
    "rod",
    "estrada",
    "praca",
    "largo",
    "viela",
    "ladeira",
    "calle",
    "plaza",
    "paseo",
    "carretera",
    "camino",
    "glorieta",
    "rambla",
    "ronda",
    "callejon",
    "cuesta",
    "pasaje",
    "pasadizo",
    "urbanizacion",
    "rue",
    "avenue",
    "boulevard",
    "chemin",
    "impasse",
    "allee",
    "quai",
    "via",
    "viale",
    "piazza",
    "corso",
    "vicolo",
    "c/",
    "vereda",
    "quadra",
];
/// Words that are more than streets: a number must stand behind the name.
const STREETS_NUMBERED: [&str; 8] = ["via", "avenue", "boulevard", "quadra", "vereda", "camino", "rambla", "ronda"];
/// Short for a street when a dot follows, or a number: `R. Augusta`, `R Augusta 10`.
const STREETS_SHORT: [&str; 6] = ["r", "al", "tv", "est", "pca", "cl"];
/// Words that a street's name ends with in English, after its number.
const STREETS_EN: [&str; 34] = [
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
    "ct",
    "way",
    "place",
    "pl",
    "terrace",
    "trail",
    "parkway",
    "pkwy",
    "circle",
    "highway",
    "hwy",
    "plaza",
    "alley",
    "crossing",
    "ridge",
    "path",
    "mews",
    "close",
    "crescent",
    "gardens",
];
/// The same in German, where it may be the end of a word: `Hauptstraße 5`, `Am Alten Weg 12`.
const STREETS_DE: [&str; 10] =
    ["strasse", "str", "weg", "platz", "allee", "gasse", "ufer", "damm", "steig", "chaussee"];
const TITLES: [&str; 18] = [
    "ing", "dipl", "herr", "frau", "mme", "don", "dona", "dr", "dra", "sr", "sra", "srta", "mr", "mrs", "ms", "miss",
    "prof", "profa",
];
/// Words between the parts of a name.
const PARTICLES: [&str; 12] = ["de", "da", "do", "das", "dos", "e", "del", "la", "van", "von", "di", "du"];

/// Adds to `seen` what the words of a value say.
pub(super) fn look(value: &str, seen: &mut Seen) {
    let words: Vec<&str> = value.split_whitespace().take(NAME_WORDS_MAX + 2).collect();
    let skipped = usize::from(words.len() > 2 && TITLES.contains(&folded(words[0]).as_str()));
    let Some(first) = words.get(skipped) else { return };
    if words.len() <= NAME_WORDS_MAX && words.iter().all(|word| is_name_word(word)) {
        match (is_first_name(first), words.len()) {
            (true, 1) => seen.weak.add(Id::PersonName.place()),
            (true, _) if words[skipped + 1..].iter().all(|word| is_surname(word)) => {
                seen.strong.add(Id::PersonName.place())
            }
            _ => seen.shaped.add(Id::PersonName.place()),
        }
    }
    if words.len() < 2 {
        return;
    }
    if is_street(&words) {
        seen.strong.add(Id::Address.place());
    } else if words.iter().any(|word| word.bytes().any(|c| c.is_ascii_digit()))
        && words.iter().filter(|word| is_name_word(word)).count() >= 2
    {
        seen.shaped.add(Id::Address.place());
    }
}

/// `Ana-Clara` and `Hans-Peter` begin with one.
fn is_first_name(word: &str) -> bool {
    let first = word.split('-').next().unwrap_or(word);
    FIRST_NAMES.contains(folded(first).as_str())
}

/// Surnames begin with a capital where first names do; "maria mole" would else be somebody.
fn is_surname(word: &str) -> bool {
    PARTICLES.contains(&folded(word).as_str()) || word.chars().next().is_some_and(|c| !c.is_lowercase())
}

fn is_name_word(word: &str) -> bool {
    word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '-' | '.' | '’'))
        && word.chars().any(char::is_alphabetic)
}

/// `Rua …` as people write it in Romance languages, `221B Baker Street` in English, `Hauptstraße 5` in German.
fn is_street(words: &[&str]) -> bool {
    let starts_with_digit = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let first = folded(words[0]);
    let has_number = words[1..].iter().any(starts_with_digit);
    let is_short = STREETS_SHORT.contains(&first.as_str()) && (words[0].ends_with('.') || has_number);
    let is_first =
        STREETS_FIRST.contains(&first.as_str()) && (has_number || !STREETS_NUMBERED.contains(&first.as_str()));
    let named = is_name_word(words[0].trim_end_matches([',', '/'])) && (is_first || is_short);
    let numbered = starts_with_digit(&words[0]);
    // `12, rue de la Paix`: the French put the number before.
    let french = numbered && STREETS_FIRST.contains(&folded(words[1]).as_str()) && words.len() > 2;
    let english = numbered && words[2..].iter().any(|word| STREETS_EN.contains(&folded(word).as_str()));
    let german = |pair: &[&str]| starts_with_digit(&pair[1]) && is_german_street(&folded(pair[0]), pair[0]);
    named || french || english || words.windows(2).any(german)
}

fn is_german_street(folded: &str, written: &str) -> bool {
    let is_word = written.starts_with(char::is_uppercase) && folded.len() > 5;
    is_word && STREETS_DE.iter().any(|end| folded.ends_with(end))
}

/// A word as the lists have it.
fn folded(word: &str) -> String {
    fold(word.trim_matches(|c: char| !c.is_alphanumeric()))
}

fn fold(word: &str) -> String {
    let mut folded = String::with_capacity(word.len());
    for c in word.chars().flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            other => folded.push(unaccented(other)),
        }
    }
    folded
}

/// The words of a text, as the lists have them, and where each stands.
pub(super) fn folded_words(text: &str) -> Vec<(String, Range<usize>)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, c.is_alphanumeric()) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                words.push((fold(&text[from..at]), from..at));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// People named in a text: a first name that is known, then at least one word with a capital.
pub(super) fn people(text: &str) -> Vec<Range<usize>> {
    let words = folded_words(text);
    let is_capital = |range: &Range<usize>| text[range.clone()].chars().next().is_some_and(char::is_uppercase);
    // Between the parts of a name stands a blank, a hyphen or the dot of an initial.
    let is_near = |at: usize| [" ", "-", ". ", "'"].contains(&&text[words[at - 1].1.end..words[at].1.start]);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < words.len() {
        let (first, range) = &words[at];
        let mut end = at;
        if FIRST_NAMES.contains(first.as_str()) && is_capital(range) {
            let mut next = at + 1;
            while next < words.len() && next - at < NAME_WORDS_MAX && is_near(next) {
                let (word, range) = &words[next];
                if is_capital(range) && !word.bytes().any(|c| c.is_ascii_digit()) {
                    end = next;
                } else if !PARTICLES.contains(&word.as_str()) {
                    break;
                }
                next += 1;
            }
        }
        if end > at {
            found.push(range.start..words[end].1.end);
        }
        at = end + 1;
    }
    found
}

/// Streets with a number named in a text: `Rua das Flores, 123`, `12 rue de la Paix` and `Hauptstraße 5`.
pub(super) fn streets(text: &str) -> Vec<Range<usize>> {
    let words = folded_words(text);
    let is_number = |at: usize| words.get(at).is_some_and(|(word, _)| word.starts_with(|c: char| c.is_ascii_digit()));
    let is_capital = |at: usize| text[words[at].1.clone()].starts_with(char::is_uppercase);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < words.len() {
        let word = words[at].0.as_str();
        let reach = (at + NAME_WORDS_MAX).min(words.len());
        let stops = |next: &usize| text[words[next - 1].1.end..words[*next].1.start].contains(['.', ';', '\n']);
        let number = (at + 1..reach).take_while(|next| !stops(next) || *next == at + 1).find(|next| is_number(*next));
        let end = match word {
            _ if (STREETS_FIRST.contains(&word) || STREETS_SHORT.contains(&word)) && is_capital(at) => {
                number.filter(|number| number - at > 1)
            }
            _ if is_german_street(word, &text[words[at].1.clone()]) => number.filter(|number| number - at == 1),
            _ if is_number(at) => {
                let english = (at + 2..reach)
                    .take_while(|next| is_capital(*next))
                    .find(|next| STREETS_EN.contains(&words[*next].0.as_str()));
                english.filter(|_| is_capital(at + 1))
            }
            _ => None,
        };
        if let Some(end) = end {
            found.push(words[at].1.start..words[end].1.end);
        }
        at = end.unwrap_or(at) + 1;
    }
    found
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
            assert!(seen(name).any().has(Id::PersonName.place()), "{name}");
        }
        assert!(seen("Maria").weak.has(Id::PersonName.place()));
        for thing in ["Caneta azul", "maria mole", "Padaria Silva", "Loja 12"] {
            assert!(!seen(thing).strong.has(Id::PersonName.place()), "{thing}");
        }
    }

    #[test]
    fn streets_are_named_before_or_after() {
        for street in
            ["R. XV de Novembro, 10", "R Augusta 10", "Praça da Sé s/n", "1600 Amphitheatre Road", "Alameda Santos 45"]
        {
            assert!(seen(street).strong.has(Id::Address.place()), "{street}");
        }
        for other in ["Rua", "Al Pacino", "R$ 10,00", "Road to nowhere", "10 dr pepper cans now"] {
            assert!(!seen(other).strong.has(Id::Address.place()), "{other}");
        }
        for street in
            ["12, rue de la Paix", "Hauptstraße 5", "Schulzstr. 3", "Calle Mayor 7", "Via Roma 10", "5 Elm Ct"]
        {
            assert!(seen(street).strong.has(Id::Address.place()), "{street}");
        }
        for other in ["Via", "Avenue", "Spring 5", "Ring 5", "Avenue of dreams"] {
            assert!(!seen(other).strong.has(Id::Address.place()), "{other}");
        }
        assert!(seen("Conjunto Nacional Bloco 4").shaped.has(Id::Address.place()));
    }

    fn cut(text: &str, ranges: Vec<Range<usize>>) -> Vec<&str> {
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn people_and_streets_are_found_inside_a_text() {
        let text = "falei com Maria da Silva Souza, ontem; e João C. Lima mora na Rua das Flores, 12 desde abril";
        assert_eq!(cut(text, people(text)), ["Maria da Silva Souza", "João C. Lima"]);
        assert_eq!(cut(text, streets(text)), ["Rua das Flores, 12"]);
        let text = "Thomas Müller wohnt Hauptstraße 5, John Smith at 221 Baker Street";
        assert_eq!(cut(text, people(text)), ["Thomas Müller", "John Smith"]);
        assert_eq!(cut(text, streets(text)), ["Hauptstraße 5", "221 Baker Street"]);
        for text in ["Maria", "a rosa vermelha", "Rua", "na rua 25", "v. 12 de maio", ""] {
            assert!(people(text).is_empty() && streets(text).is_empty(), "{text}");
        }
    }
}

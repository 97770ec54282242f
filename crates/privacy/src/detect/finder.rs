//! Finds several forms in a text: the matches of regex-automata's meta engine, which is shown only those parts of the text
//! that a match can be in.
//!
//! What can be a match is read off the automaton of the forms, so that a new form needs no line here. Inside of a match one
//! byte follows another only as some form has it (`é` or `r ` are in none); so each match is within one *window*, a longest
//! run of bytes that may follow each other. And each match has one of a few *anchors*: digits, or else a byte that its form
//! can't do without. Windows without an anchor are passed over at the speed of a comparison.

use kernel::error::{Error, Result};
use regex_automata::meta::{Cache, Regex};
use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::iter::Searcher;
use regex_automata::util::pool::Pool;
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;
use regex_automata::{Input, Match};

/// Tried first: most forms have a digit, and words don't.
const DIGITS: std::ops::RangeInclusive<u8> = b'0'..=b'9';
/// Bytes looked at in one step.
const STEP: usize = 32;

/// A set of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bytes([u64; 4]);

pub struct Finder {
    regex: Regex,
    caches: Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>>,
    anchors: Bytes,
    /// The anchors as ranges, which vectors compare with.
    ranges: Vec<(u8, u8)>,
    /// For each byte, those that may follow it.
    follows: Box<[Bytes; 256]>,
}

impl Finder {
    /// Classes of `forms` are ASCII, and case is that of the text; where two begin at the same place the earlier is taken.
    /// A form that an empty text has is refused.
    pub fn new(forms: &[&str]) -> Result<Self> {
        let failed = |e: &dyn std::fmt::Display| Error::internal("build the detector", e);
        let syntax = syntax::Config::new().unicode(false).utf8(false);
        let regex = Regex::builder().syntax(syntax).build_many(forms).map_err(|e| failed(&e))?;
        let nfa = NFA::compiler().syntax(syntax).build_many(forms).map_err(|e| failed(&e))?;
        let mut starts = nfa.patterns().filter_map(|pattern| nfa.start_pattern(pattern));
        if starts.any(|start| matches_without(&nfa, start, Bytes([u64::MAX; 4]))) {
            return Err(failed(&"a form is empty"));
        }
        let anchors = anchors(&nfa);
        let for_caches = regex.clone();
        let caches = Pool::new(Box::new(move || for_caches.create_cache()) as Box<_>);
        Ok(Self { regex, caches, anchors, ranges: anchors.ranges(), follows: follows(&nfa) })
    }

    /// Calls `found` with each match, in their order.
    pub fn each(&self, text: &[u8], mut found: impl FnMut(Match)) {
        let mut cache = self.caches.get();
        let mut from = 0;
        while let Some(anchor) = self.next_anchor(text, from) {
            let (start, end) = self.window(text, anchor);
            let mut matches = Searcher::new(Input::new(text).range(start..end));
            while let Some(one) = matches.advance(|input| Ok(self.regex.search_with(&mut cache, input))) {
                found(one);
            }
            from = end;
        }
    }

    fn next_anchor(&self, text: &[u8], from: usize) -> Option<usize> {
        let has_anchor = |step: &[u8; STEP]| {
            let within =
                |(low, high): &(u8, u8)| step.iter().fold(false, |any, c| any | (c.wrapping_sub(*low) <= high - low));
            self.ranges.iter().fold(false, |any, range| any | within(range))
        };
        let (steps, _) = text[from..].as_chunks();
        let passed = steps.iter().take_while(|step| !has_anchor(step)).count() * STEP;
        let at = text[from + passed..].iter().position(|c| self.anchors.has(*c))?;
        Some(from + passed + at)
    }

    /// The longest run around `anchor` whose bytes may follow each other.
    fn window(&self, text: &[u8], anchor: usize) -> (usize, usize) {
        let joined = |pair: &[u8]| self.follows[usize::from(pair[0])].has(pair[1]);
        let before = text[..=anchor].windows(2).rev().take_while(|pair| joined(pair)).count();
        let after = text[anchor..].windows(2).take_while(|pair| joined(pair)).count();
        (anchor - before, anchor + after + 1)
    }
}

impl Bytes {
    fn of(ranges: impl IntoIterator<Item = (u8, u8)>) -> Self {
        let mut bytes = Self::default();
        ranges.into_iter().flat_map(|(low, high)| low..=high).for_each(|byte| bytes.add(byte));
        bytes
    }

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn has(self, byte: u8) -> bool {
        (self.0[usize::from(byte >> 6)] >> (byte & 63)) & 1 == 1
    }

    fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    fn all(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |byte| self.has(*byte))
    }

    fn ranges(self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for byte in self.all() {
            match ranges.last_mut() {
                Some((_, high)) if *high + 1 == byte => *high = byte,
                _ => ranges.push((byte, byte)),
            }
        }
        ranges
    }
}

/// Bytes of which every match has one: the digits, and for a form that does without them the rarest byte that it can't do
/// without, or whatever it may begin with.
fn anchors(nfa: &NFA) -> Bytes {
    let mut anchors = Bytes::of([(*DIGITS.start(), *DIGITS.end())]);
    for start in nfa.patterns().filter_map(|pattern| nfa.start_pattern(pattern)) {
        if !matches_without(nfa, start, anchors) {
            continue;
        }
        // Capitals are rarer in text than small letters, blanks and full stops, and other marks are rarer still.
        let frequent = |c: &u8| c.is_ascii_lowercase() || b" .,".contains(c);
        let mut candidates: Vec<u8> = (0..=u8::MAX).collect();
        candidates.sort_by_key(|c| (frequent(c), c.is_ascii_uppercase()));
        let needed = candidates.into_iter().find(|c| !matches_without(nfa, start, Bytes::of([(*c, *c)])));
        anchors = anchors.union(needed.map_or_else(|| next_bytes(nfa, start), |c| Bytes::of([(c, c)])));
    }
    anchors
}

/// Whether there may be a match, from this state on, without any of these bytes.
fn matches_without(nfa: &NFA, start: StateID, bytes: Bytes) -> bool {
    let passes = |state: &State| {
        transitions(state).into_iter().filter(|(of, _)| of.all().any(|c| !bytes.has(c))).map(|(_, to)| to).collect()
    };
    reached(nfa, start, passes).any(|at| matches!(nfa.state(at), State::Match { .. }))
}

/// For each byte, those that follow it inside of some match.
fn follows(nfa: &NFA) -> Box<[Bytes; 256]> {
    let mut follows = Box::new([Bytes::default(); 256]);
    let starts = nfa.patterns().filter_map(|pattern| nfa.start_pattern(pattern));
    let passes = |state: &State| transitions(state).into_iter().map(|(_, to)| to).collect();
    for start in starts {
        for (of, to) in reached(nfa, start, passes).flat_map(|at| transitions(nfa.state(at))) {
            let next = next_bytes(nfa, to);
            of.all().for_each(|byte| follows[usize::from(byte)] = follows[usize::from(byte)].union(next));
        }
    }
    follows
}

/// The bytes that may come next in this state.
fn next_bytes(nfa: &NFA, start: StateID) -> Bytes {
    let here = reached(nfa, start, |_| Vec::new());
    here.flat_map(|at| transitions(nfa.state(at))).fold(Bytes::default(), |all, (of, _)| all.union(of))
}

/// The states that can be reached: without a byte, and by those transitions that `passes` gives. Conditions (`\b`) are
/// taken to hold.
fn reached(nfa: &NFA, start: StateID, passes: impl Fn(&State) -> Vec<StateID>) -> impl Iterator<Item = StateID> {
    let mut seen = vec![false; nfa.states().len()];
    let mut open = vec![start];
    std::iter::from_fn(move || {
        loop {
            let at = open.pop()?;
            if std::mem::replace(&mut seen[at.as_usize()], true) {
                continue;
            }
            let state = nfa.state(at);
            match state {
                State::Look { next, .. } | State::Capture { next, .. } => open.push(*next),
                State::Union { alternates } => open.extend(alternates.iter()),
                State::BinaryUnion { alt1, alt2 } => open.extend([*alt1, *alt2]),
                _ => open.extend(passes(state)),
            }
            return Some(at);
        }
    })
}

/// Which bytes lead where.
fn transitions(state: &State) -> Vec<(Bytes, StateID)> {
    match state {
        State::ByteRange { trans } => vec![(Bytes::of([(trans.start, trans.end)]), trans.next)],
        State::Sparse(sparse) => {
            sparse.transitions.iter().map(|trans| (Bytes::of([(trans.start, trans.end)]), trans.next)).collect()
        }
        State::Dense(dense) => {
            let single = |byte| Some((Bytes::of([(byte, byte)]), dense.matches_byte(byte)?));
            (0..=u8::MAX).filter_map(single).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::forms::FORMS;
    use super::*;

    /// What is found by showing the regex all of the text.
    fn all(finder: &Finder, text: &[u8]) -> Vec<Match> {
        finder.regex.find_iter(text).collect()
    }

    fn found(finder: &Finder, text: &[u8]) -> Vec<Match> {
        let mut found = Vec::new();
        finder.each(text, |one| found.push(one));
        found
    }

    const PARTS: &[&str] = &[
        "529.982.247-25",
        "52998224725",
        "12.ABC.345/01DE-35",
        "ana.silva+x@mail.example.com.br",
        "(11) 98765-4321",
        "+55 11 98765-4321",
        "4111 1111 1111 1111",
        "GB82 WEST 1234 5698 7654 32",
        "2001:db8::1",
        "192.168.0.1",
        "::",
        "eyJhbGciOiJI.eyJzdWIiOiIx.abc",
        "eyJ",
        "ABC1D23",
        "ABC-1234",
        "01310-100",
        "219-09-9999",
        "212-555-0100",
        "123e4567-e89b-12d3-a456-426614174000",
        "12.345.678-X",
        "João",
        "Maria da Silva",
        "é",
        "€",
        "日本",
        "x",
        "Z",
        "R$ 10,00",
        " ",
        " ",
        " ",
        "\n",
        "-",
        ".",
        ",",
        "/",
        "(",
        ")",
        "+",
        ":",
        "@",
        "_",
        "%",
        "\"",
        "0",
        "7",
        "2025",
    ];

    #[test]
    fn nothing_that_the_regex_finds_is_lost() {
        let forms: Vec<&str> = FORMS.iter().map(|(_, form)| *form).collect();
        let finder = Finder::new(&forms).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let (mut some, mut none) = (0, 0);
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..random.usize(..12) {
                text.push_str(PARTS[random.usize(..PARTS.len())]);
                if random.bool() {
                    text.push(' ');
                }
            }
            let expected = all(&finder, text.as_bytes());
            assert_eq!(found(&finder, text.as_bytes()), expected, "{text}");
            *if expected.is_empty() { &mut none } else { &mut some } += 1;
        }
        assert!(some > 5_000 && none > 500, "the texts are of both sorts: {some}, {none}");
        for _ in 0..5_000 {
            let text: Vec<u8> =
                (0..random.usize(..120)).map(|_| *random.choice(b"01 .-aAeyJ:@(/)+\xc3\n").unwrap()).collect();
            assert_eq!(found(&finder, &text), all(&finder, &text), "{text:?}");
        }
    }

    #[test]
    fn forms_of_all_sorts_are_found() {
        let forms = ["eyJ[a-z]+", "[a-z]+", "key_[A-Z]{3,}", r"\bno\b|yes", "[^a]b", "é+"];
        assert!(Finder::new(&["a", "x?"]).is_err());
        for count in 1..=forms.len() {
            for form in forms.windows(count) {
                let finder = Finder::new(form).unwrap();
                for text in ["", "eyJabc key_ABCD", "no yes nob", "xx ab bb \u{e9}\u{e9}b", "a", "key_ABkey_ABC"] {
                    assert_eq!(found(&finder, text.as_bytes()), all(&finder, text.as_bytes()), "{form:?} in {text}");
                }
            }
        }
    }

    #[test]
    fn words_are_passed_over() {
        let forms: Vec<&str> = FORMS.iter().map(|(_, form)| *form).collect();
        let finder = Finder::new(&forms).unwrap();
        let (text, word) = (b"fale com ana@example.com, por favor".as_slice(), 9);
        let at = finder.next_anchor(text, 0).unwrap();
        assert_eq!(finder.window(text, at), (word, word + "ana@example.com".len()));
        assert_eq!(finder.next_anchor("Prezada senhora, em anexo vai a nota fiscal. Obrigado!".as_bytes(), 0), None);
    }
}

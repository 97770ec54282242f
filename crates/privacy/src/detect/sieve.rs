//! Says of a short text that no form can be in it, at about a nanosecond a byte: a date costs no search.
//!
//! The forms' automaton is made deterministic as it is met, and stops where any form would end. A word boundary is asked for
//! only where a form begins; all others are taken to hold. So a text may pass that has no match, and none that has one is
//! ever held back.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;
use std::collections::HashMap;

/// Beyond this what was met is forgotten: texts of a kind that nobody thought of must not fill the memory.
const STATES_MAX: usize = 10_000;

pub(super) struct Sieve {
    nfa: NFA,
    /// States in which a form may begin anywhere, and those in which one begins at a word boundary.
    free: Vec<StateID>,
    bound: Vec<StateID>,
    /// A byte of each class.
    samples: Vec<u8>,
}

/// Whether the byte before is one of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Before {
    Word,
    Other,
    /// The text begins here: what is before it is not known.
    Unknown,
}

type Set = Box<[StateID]>;

/// What was met so far. A place in the table is a state, once for each class of bytes.
pub(super) struct Met {
    places: HashMap<(Set, Before), u32>,
    sets: Vec<(Set, Before)>,
    table: Vec<u32>,
}

const UNKNOWN: u32 = 0;
const MATCH: u32 = 1;
/// The first state's mark in the table.
const FIRST: u32 = 2;

impl Sieve {
    pub fn new(nfa: NFA) -> Self {
        let mut free = Vec::new();
        let mut bound = Vec::new();
        for start in nfa.patterns().filter_map(|pattern| nfa.start_pattern(pattern)) {
            begin(&nfa, start, &mut free, &mut bound);
        }
        let classes = nfa.byte_classes();
        let mut samples = vec![0; classes.alphabet_len()];
        (0..=u8::MAX).for_each(|byte| samples[usize::from(classes.get(byte))] = byte);
        Self { nfa, free, bound, samples }
    }

    pub fn met(&self) -> Met {
        let mut met = Met { places: HashMap::new(), sets: Vec::new(), table: Vec::new() };
        self.place(&mut met, (Set::default(), Before::Unknown));
        met
    }

    /// Whether a form may be in a text.
    pub fn may_match(&self, met: &mut Met, text: &[u8]) -> bool {
        let classes = self.nfa.byte_classes();
        let mut state = 0;
        for byte in text {
            let class = classes.get(*byte);
            let next = match met.table[state * self.samples.len() + usize::from(class)] {
                UNKNOWN => self.step(met, state, class),
                known => known,
            };
            if next == MATCH {
                return true;
            }
            state = (next - FIRST) as usize;
        }
        if met.sets.len() > STATES_MAX {
            *met = self.met();
        }
        false
    }

    /// Finds out where a state leads.
    fn step(&self, met: &mut Met, state: usize, class: u8) -> u32 {
        let (set, before) = &met.sets[state];
        let byte = self.samples[usize::from(class)];
        let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
        let is_boundary = *before != if is_word { Before::Word } else { Before::Other };
        let bound = if is_boundary { self.bound.as_slice() } else { &[] };
        let from = set.iter().chain(&self.free).chain(bound);
        let mut next: Vec<StateID> = from.filter_map(|at| lead(self.nfa.state(*at), byte)).collect();
        let ends = close(&self.nfa, &mut next);
        let next = match ends {
            true => MATCH,
            false => self.place(met, (next.into(), if is_word { Before::Word } else { Before::Other })),
        };
        met.table[state * self.samples.len() + usize::from(class)] = next;
        next
    }

    fn place(&self, met: &mut Met, key: (Set, Before)) -> u32 {
        if let Some(known) = met.places.get(&key) {
            return *known;
        }
        let place = met.sets.len() as u32 + FIRST;
        met.sets.push(key.clone());
        met.table.resize(met.sets.len() * self.samples.len(), UNKNOWN);
        met.places.insert(key, place);
        place
    }
}

/// The states that a form may begin in, by whether a word boundary is on the way there.
fn begin(nfa: &NFA, start: StateID, free: &mut Vec<StateID>, bound: &mut Vec<StateID>) {
    let mut open = vec![(start, false)];
    let mut seen = Vec::new();
    while let Some((at, is_bound)) = open.pop() {
        if seen.contains(&(at, is_bound)) {
            continue;
        }
        seen.push((at, is_bound));
        match nfa.state(at) {
            State::Look { look, next } => open.push((*next, is_bound || *look == Look::WordAscii)),
            State::Capture { next, .. } => open.push((*next, is_bound)),
            State::Union { alternates } => open.extend(alternates.iter().map(|next| (*next, is_bound))),
            State::BinaryUnion { alt1, alt2 } => open.extend([(*alt1, is_bound), (*alt2, is_bound)]),
            _ if is_bound => bound.push(at),
            _ => free.push(at),
        }
    }
}

/// Where a byte leads from a state.
fn lead(state: &State, byte: u8) -> Option<StateID> {
    match state {
        State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
        State::Sparse(sparse) => sparse.matches_byte(byte),
        State::Dense(dense) => dense.matches_byte(byte),
        _ => None,
    }
}

/// Goes on to the states that take a byte; whether a form may end here.
fn close(nfa: &NFA, states: &mut Vec<StateID>) -> bool {
    let mut open = std::mem::take(states);
    let mut seen = Vec::new();
    while let Some(at) = open.pop() {
        if seen.contains(&at) {
            continue;
        }
        seen.push(at);
        match nfa.state(at) {
            State::Match { .. } => return true,
            State::Look { next, .. } | State::Capture { next, .. } => open.push(*next),
            State::Union { alternates } => open.extend(alternates.iter()),
            State::BinaryUnion { alt1, alt2 } => open.extend([*alt1, *alt2]),
            State::Fail => {}
            State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => states.push(at),
        }
    }
    states.sort_unstable();
    false
}

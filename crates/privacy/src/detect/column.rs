//! What is gathered about one column, batch by batch. Values are looked at and forgotten; shapes and hashes stay.

use super::column_name::ColumnName;
use super::drift;
use super::kinds::{Id, Set, kinds};
use super::look::{Eye, Seen};
use super::profile::{Profile, ProposedType};
use super::score::{Counts, Verdict};
use super::shape::shape;
use super::{ColumnFinding, EXAMPLES};
use crate::mask::canonical_text;
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::Arc;

/// So many values are looked at one by one, then one in [`STRIDE`].
const HEAD: u64 = 10_000;
const STRIDE: u64 = 16;
/// Values remembered (by a hash under a random key) to see whether any comes twice.
const DISTINCT_MAX: usize = 1 << 16;
/// Of so many of them what was seen is kept, so that a value that comes often is looked at once.
const KNOWN_MAX: usize = 1 << 12;
/// Fewer values than this say nothing about being unique.
const UNIQUE_VALUES_MIN: u64 = 10;

/// Kinds whose digits are a name: `01310100` is no number.
const CODES: Set = Set::of(&[
    Id::Cpf,
    Id::Cnpj,
    Id::Pis,
    Id::Cnh,
    Id::TituloEleitor,
    Id::Renavam,
    Id::Rg,
    Id::Plate,
    Id::Cep,
    Id::PixKey,
    Id::BankAccount,
    Id::Phone,
    Id::Card,
    Id::Iban,
    Id::UsSsn,
    Id::UsItin,
    Id::UkNhs,
    Id::PtNif,
    Id::FrNir,
    Id::DeSteuer,
    Id::Passport,
]);

pub(super) struct Column {
    name: String,
    said: ColumnName,
    rows: u64,
    nulls: u64,
    /// Values that are not blank, for the stride.
    met: u64,
    counts: Counts,
    profile: Profile,
    /// The type of a column that is not text.
    typed: Option<ProposedType>,
    hasher: RandomState,
    /// By the hash of a value what was seen in it; `None` beyond the first [`KNOWN_MAX`].
    met_before: HashMap<u64, Option<Seen>>,
    comes_twice: bool,
    /// Shapes of the first values, and of the first values of each kind.
    first: Vec<String>,
    of_kind: HashMap<usize, Vec<String>>,
}

impl Column {
    pub fn new(name: &str, eye: &Eye) -> Self {
        Self {
            name: name.to_owned(),
            said: ColumnName::new(name),
            rows: 0,
            nulls: 0,
            met: 0,
            counts: Counts::new(eye.places()),
            profile: Profile::default(),
            typed: None,
            hasher: RandomState::new(),
            met_before: HashMap::new(),
            comes_twice: false,
            first: Vec::new(),
            of_kind: HashMap::new(),
        }
    }

    pub fn take(&mut self, values: &ArrayRef, eye: &Eye) {
        self.rows += values.len() as u64;
        if !matches!(
            plain(values.data_type()),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
        ) {
            self.typed = Some(ProposedType::of(values.data_type()));
        }
        match values.as_any_dictionary_opt().filter(|dictionary| dictionary.values().len() <= values.len()) {
            Some(dictionary) => {
                let times = occurrences(dictionary.keys(), dictionary.values().len());
                self.nulls += values.len() as u64 - times.iter().sum::<u64>();
                self.take_text(dictionary.values(), &|row| times[row], eye);
            }
            None => self.take_text(values, &|_| 1, eye),
        }
    }

    /// `times` says how often the value of a row occurs.
    fn take_text(&mut self, values: &ArrayRef, times: &dyn Fn(usize) -> u64, eye: &Eye) {
        let Some(text) = canonical_text(values).ok().or_else(|| shown(values)) else {
            // Nothing that can be read: nulls can be counted, and that is all.
            self.nulls += values.logical_null_count() as u64;
            return;
        };
        let text: &StringViewArray = text.as_string_view();
        for (row, value) in text.iter().enumerate() {
            let times = times(row);
            match value.filter(|value| !value.trim().is_empty()) {
                _ if times == 0 => {}
                None => self.nulls += times,
                Some(value) => self.take_value(value, times, eye),
            }
        }
    }

    fn take_value(&mut self, value: &str, times: u64, eye: &Eye) {
        if self.typed.is_none() {
            self.profile.take(value);
        }
        self.met += 1;
        if self.met > HEAD && !self.met.is_multiple_of(STRIDE) {
            return;
        }
        let seen = self.seen(value, times, eye);
        self.counts.add(seen, times);
        remember(&mut self.first, value);
        for at in seen.any().places() {
            remember(self.of_kind.entry(at).or_default(), value);
        }
    }

    /// What is in a value; one that was met before is not looked at again.
    fn seen(&mut self, value: &str, times: u64, eye: &Eye) -> Seen {
        let is_full = self.met_before.len() >= DISTINCT_MAX;
        let keeps = self.met_before.len() < KNOWN_MAX;
        match self.met_before.entry(self.hasher.hash_one(value)) {
            Entry::Occupied(before) => {
                self.comes_twice = true;
                before.get().unwrap_or_else(|| eye.look(value))
            }
            Entry::Vacant(_) if is_full => eye.look(value),
            Entry::Vacant(new) => {
                let seen = eye.look(value);
                self.comes_twice |= times > 1;
                new.insert(keeps.then_some(seen));
                seen
            }
        }
    }

    pub fn finding(&self, eye: &Eye) -> ColumnFinding {
        let verdict = self.counts.verdict(&self.said, eye.hints(&self.said));
        let is_code = verdict.is_some_and(|verdict| CODES.has(verdict.place) || eye.own(verdict.place).is_some());
        let proposed = match &self.typed {
            Some(typed) => typed.clone(),
            None => self.profile.proposed(is_code, self.said.is_of_a_date()),
        };
        let examples = verdict.and_then(|verdict| self.of_kind.get(&verdict.place));
        let alarm = match verdict {
            None => self.counts.most_telling(|place| drift::is_telling(eye, place)),
            Some(_) => None,
        };
        let (classification, mask) = verdict.map_or((None, None), |verdict| proposal(verdict, eye));
        ColumnFinding {
            column: self.name.clone(),
            kind: verdict.map(|verdict| eye.name(verdict.place).to_owned()),
            confidence: verdict.map_or(0.0, |verdict| rounded(verdict.confidence)),
            share: verdict.map_or(0.0, |verdict| rounded(verdict.share)),
            rows: self.rows,
            nulls: self.nulls,
            distinct: self.met_before.len() as u64,
            examples: examples.unwrap_or(&self.first).clone(),
            classification,
            mask,
            alarm: alarm.map(|place| eye.name(place).to_owned()),
            in_text: verdict.is_some_and(|verdict| verdict.in_text) || alarm.is_some(),
            strays: if self.typed.is_none() { self.profile.strays(&proposed) } else { 0 },
            proposed,
            min_length: self.profile.max_length.min(self.profile.min_length),
            max_length: self.profile.max_length,
            required: self.rows > 0 && self.nulls == 0,
            unique_like: self.rows - self.nulls >= UNIQUE_VALUES_MIN && !self.comes_twice,
        }
    }
}

/// The class and the mask of a kind.
fn proposal(verdict: Verdict, eye: &Eye) -> (Option<String>, Option<String>) {
    match eye.own(verdict.place) {
        Some(own) => (Some(own.classification.to_string()), Some(own.mask.to_string())),
        None => {
            let kind = &kinds()[verdict.place];
            (Some(kind.classification()), kind.mask().map(|mask| mask.to_string()))
        }
    }
}

fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, value) => plain(value),
        other => other,
    }
}

/// Maps and other nests as one text each, so that what is in them is not passed over.
pub(super) fn shown(values: &ArrayRef) -> Option<ArrayRef> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(values, &options).ok()?;
    let text = |row| values.is_valid(row).then(|| formatter.value(row).to_string());
    Some(Arc::new((0..values.len()).map(text).collect::<StringViewArray>()))
}

/// How often each value of a dictionary is used.
fn occurrences(keys: &dyn Array, values: usize) -> Vec<u64> {
    let mut times = vec![0; values];
    if let Ok(keys) = cast(keys, &DataType::Int64) {
        for key in keys.as_primitive::<Int64Type>().iter().flatten() {
            if let Some(count) = usize::try_from(key).ok().and_then(|key| times.get_mut(key)) {
                *count += 1;
            }
        }
    }
    times
}

/// Keeps the shapes of the first values; one that is new takes the place of one that is there twice.
fn remember(examples: &mut Vec<String>, value: &str) {
    let is_twice = |at: usize, examples: &[String]| examples[..at].contains(&examples[at]);
    let double = (0..examples.len()).rev().find(|at| is_twice(*at, examples));
    if examples.len() == EXAMPLES && double.is_none() {
        return;
    }
    let shape = shape(value.trim());
    match double {
        _ if examples.len() < EXAMPLES => examples.push(shape),
        Some(at) if !examples.contains(&shape) => examples[at] = shape,
        _ => {}
    }
}

/// Three decimals: more would be noise in a report.
fn rounded(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

//! What is gathered about one column, batch by batch. Values are looked at and forgotten; shapes and hashes stay.

use super::column_name::ColumnName;
use super::kinds::{COUNT, Id, Set};
use super::look::Eye;
use super::profile::{Profile, ProposedType};
use super::score::Counts;
use super::shape::shape;
use super::{ColumnFinding, EXAMPLES};
use crate::mask::canonical_text;
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// So many values are looked at one by one, then one in [`STRIDE`].
const HEAD: u64 = 10_000;
const STRIDE: u64 = 16;
/// Values remembered (by a hash under a random key) to see whether any comes twice.
const DISTINCT_MAX: usize = 1 << 16;
/// Fewer values than this say nothing about being unique.
const UNIQUE_VALUES_MIN: u64 = 10;

/// Kinds whose digits are a name: `01310100` is no number.
const CODES: Set = Set::of(&[
    Id::Cpf,
    Id::Cnpj,
    Id::Pis,
    Id::Rg,
    Id::Plate,
    Id::Cep,
    Id::PixKey,
    Id::Phone,
    Id::Card,
    Id::Iban,
    Id::UsSsn,
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
    hashes: HashSet<u64>,
    comes_twice: bool,
    /// Shapes of the first values, and of the first values of each kind.
    first: Vec<String>,
    of_kind: [Vec<String>; COUNT],
}

impl Column {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            said: ColumnName::new(name),
            rows: 0,
            nulls: 0,
            met: 0,
            counts: Counts::default(),
            profile: Profile::default(),
            typed: None,
            hasher: RandomState::new(),
            hashes: HashSet::new(),
            comes_twice: false,
            first: Vec::new(),
            of_kind: std::array::from_fn(|_| Vec::new()),
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
        let seen = eye.look(value);
        self.counts.add(seen, times);
        if self.hashes.len() < DISTINCT_MAX {
            self.comes_twice |= times > 1 || !self.hashes.insert(self.hasher.hash_one(value));
        }
        remember(&mut self.first, value);
        for at in seen.any().places() {
            remember(&mut self.of_kind[at], value);
        }
    }

    pub fn finding(&self) -> ColumnFinding {
        let verdict = self.counts.verdict(&self.said);
        let kind = verdict.map(|verdict| verdict.kind);
        let is_code = kind.is_some_and(|kind| CODES.has(kind.id));
        let proposed = match &self.typed {
            Some(typed) => typed.clone(),
            None => self.profile.proposed(is_code, self.said.is_of_a_date()),
        };
        let examples = kind.map(|kind| &self.of_kind[kind.id as usize]).filter(|examples| !examples.is_empty());
        ColumnFinding {
            column: self.name.clone(),
            kind: kind.map(|kind| kind.name),
            confidence: verdict.map_or(0.0, |verdict| rounded(verdict.confidence)),
            share: verdict.map_or(0.0, |verdict| rounded(verdict.share)),
            rows: self.rows,
            nulls: self.nulls,
            distinct: self.hashes.len() as u64,
            examples: examples.unwrap_or(&self.first).clone(),
            classification: kind.map(|kind| kind.classification()),
            mask: kind.and_then(|kind| kind.mask()).map(|mask| mask.to_string()),
            strays: if self.typed.is_none() { self.profile.strays(&proposed) } else { 0 },
            proposed,
            min_length: self.profile.max_length.min(self.profile.min_length),
            max_length: self.profile.max_length,
            required: self.rows > 0 && self.nulls == 0,
            unique_like: self.rows - self.nulls >= UNIQUE_VALUES_MIN && !self.comes_twice,
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
fn shown(values: &ArrayRef) -> Option<ArrayRef> {
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

fn remember(examples: &mut Vec<String>, value: &str) {
    if examples.len() < EXAMPLES {
        let shape = shape(value.trim());
        if !examples.contains(&shape) {
            examples.push(shape);
        }
    }
}

/// Three decimals: more would be noise in a report.
fn rounded(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

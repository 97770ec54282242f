//! Which rows broke which rules; the first rule that a row breaks is the one it is set aside for.

use arrow::array::{Array, BooleanArray};
use arrow::buffer::BooleanBuffer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A rule that rows broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cause {
    pub rule: String,
    pub column: Option<String>,
    /// Says what was expected, and no value.
    pub reason: String,
}

/// Costs nothing until a row breaks a rule.
#[derive(Default)]
pub(super) struct Violations {
    found: Vec<(Cause, BooleanBuffer)>,
    /// Rows that broke any rule.
    bad: Option<BooleanBuffer>,
}

impl Violations {
    /// Marks the rows where `broken` is true; null is not broken. All masks are of the same length.
    pub fn mark(&mut self, broken: &BooleanArray, cause: impl FnOnce() -> Cause) {
        if broken.true_count() == 0 {
            return;
        }
        let rows = match broken.nulls() {
            Some(valid) => broken.values() & valid.inner(),
            None => broken.values().clone(),
        };
        self.bad = Some(match &self.bad {
            Some(bad) => bad | &rows,
            None => rows.clone(),
        });
        self.found.push((cause(), rows));
    }

    pub fn is_bad(&self, row: usize) -> bool {
        self.bad.as_ref().is_some_and(|bad| bad.value(row))
    }

    /// True for each row that broke a rule; `None` when none did.
    pub fn bad(&self) -> Option<BooleanArray> {
        self.bad.clone().map(|bad| BooleanArray::new(bad, None))
    }

    /// True for each row that broke nothing; `None` when none broke a rule.
    pub fn good(&self) -> Option<BooleanArray> {
        self.bad.as_ref().map(|bad| BooleanArray::new(!bad, None))
    }

    /// The rows that broke a rule, growing.
    pub fn bad_rows(&self) -> impl Iterator<Item = usize> {
        self.bad.iter().flat_map(BooleanBuffer::set_indices)
    }

    /// The rules that a row broke, in the order they were held.
    pub fn causes(&self, row: usize) -> impl Iterator<Item = &Cause> {
        self.found.iter().filter(move |(_, rows)| rows.value(row)).map(|(cause, _)| cause)
    }

    /// Rows by the first rule they broke.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for cause in self.bad_rows().filter_map(|row| self.causes(row).next()) {
            *counts.entry(cause.label()).or_default() += 1;
        }
        counts
    }
}

impl Cause {
    pub fn new(rule: &str, column: Option<&str>, reason: impl Into<String>) -> Self {
        Self { rule: rule.into(), column: column.map(str::to_owned), reason: reason.into() }
    }

    /// `amount: type`
    pub fn label(&self) -> String {
        match &self.column {
            Some(column) => format!("{column}: {}", self.rule),
            None => self.rule.clone(),
        }
    }
}

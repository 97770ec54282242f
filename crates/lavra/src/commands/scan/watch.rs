//! Looks at the columns of one table before they are masked. Keeps counts, shapes and hashes, no value.

use super::nested::{self, Shape};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use kernel::error::Result;
use kernel::gate::{Inspector, Screen};
use privacy::detect::{ColumnFinding, Detector, OwnKind, PersonalScreen};
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Beyond so many values nobody knows whether a column is unique.
const KEYS_MAX: usize = 4 << 20;

/// A column as it came.
pub struct Column {
    pub name: String,
    /// Each type that it had.
    pub types: Vec<DataType>,
    pub shape: Shape,
    /// Values that were JSON objects or lists.
    pub nested: u64,
    pub present: u64,
    key: Option<Key>,
}

/// Whether a column that is called like an id is one.
struct Key {
    hasher: RandomState,
    seen: HashSet<u64>,
    comes_twice: bool,
}

/// What was seen of a table.
pub struct Seen {
    pub columns: Vec<Column>,
    /// By path; those of nested columns are `column.field`.
    pub findings: Vec<ColumnFinding>,
}

pub struct Watch {
    detector: Detector,
    screen: PersonalScreen,
    columns: Vec<Column>,
    is_key: Box<dyn Fn(&str) -> bool + Send>,
}

impl Watch {
    /// `own` are the project's own kinds; `is_key` says of a column's name whether it may be the table's key.
    pub fn new(own: Arc<[OwnKind]>, is_key: impl Fn(&str) -> bool + Send + 'static) -> Result<Self> {
        let (detector, screen) = (Detector::with(own.clone())?, PersonalScreen::with(own)?);
        Ok(Self { detector, screen, columns: Vec::new(), is_key: Box::new(is_key) })
    }

    /// Whether a column has a value for a name: a file without a header has a record there.
    pub fn is_personal_name(&self, name: &str) -> bool {
        self.screen.is_personal(name)
    }

    pub fn finish(self) -> Seen {
        Seen { columns: self.columns, findings: self.detector.finish() }
    }

    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.columns.iter().position(|column| column.name == name) {
            return place;
        }
        let key =
            (self.is_key)(name).then(|| Key { hasher: RandomState::new(), seen: HashSet::new(), comes_twice: false });
        let column =
            Column { name: name.to_owned(), types: Vec::new(), shape: Shape::default(), nested: 0, present: 0, key };
        self.columns.push(column);
        self.columns.len() - 1
    }
}

impl Inspector for Watch {
    fn column(&mut self, name: &str, values: &ArrayRef) {
        let place = self.place(name);
        let column = &mut self.columns[place];
        if !column.types.contains(values.data_type()) {
            column.types.push(values.data_type().clone());
        }
        column.present += (values.len() - values.logical_null_count()) as u64;
        if let Some(key) = &mut column.key {
            key.take(values);
        }
        match nested::open(name, values, &mut column.shape, &self.screen) {
            None => self.detector.column(name, values),
            Some(opened) => {
                column.nested += opened.nested;
                if opened.plain.logical_null_count() < opened.plain.len() {
                    self.detector.column(name, &opened.plain);
                }
                opened.leaves.iter().for_each(|(path, leaves)| self.detector.column(path, leaves));
            }
        }
    }
}

impl Key {
    fn take(&mut self, values: &ArrayRef) {
        let options = FormatOptions::default();
        let Ok(shown) = ArrayFormatter::try_new(values, &options) else {
            self.comes_twice = true;
            return;
        };
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            if self.comes_twice {
                return;
            }
            self.comes_twice =
                self.seen.len() == KEYS_MAX || !self.seen.insert(self.hasher.hash_one(shown.value(row).to_string()));
        }
    }
}

impl Column {
    /// Whether it is called like a key and no value came twice.
    pub fn is_unique_key(&self) -> bool {
        self.key.as_ref().is_some_and(|key| !key.comes_twice && !key.seen.is_empty())
    }

    /// Whether every value is a JSON object or list.
    pub fn is_json(&self) -> bool {
        self.nested > 0 && self.nested == self.present
    }

    /// Whether it came with a nested type (Parquet, Avro, Arrow).
    pub fn nested_type(&self) -> Option<&DataType> {
        self.types.iter().find(|data_type| data_type.is_nested())
    }
}

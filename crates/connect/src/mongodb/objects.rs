//! Documents as JSON, gathered until a batch is full.

use crate::files::json::JsonRecords;
use arrow::array::Int64Array;
use kernel::gate::Raw;
use kernel::{Entity, Result};
use std::ops::Range;
use std::sync::Arc;

pub struct Objects {
    records: JsonRecords,
    text: String,
    places: Vec<Range<usize>>,
}

impl Objects {
    pub fn new(entity: Arc<Entity>) -> Self {
        Self { records: JsonRecords::new(entity), text: String::new(), places: Vec::new() }
    }

    pub fn rows(&self) -> usize {
        self.places.len()
    }

    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
    }

    /// Adds the object that `write` writes.
    pub fn push(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        self.places.push(start..self.text.len());
        self.text.push('\n');
    }

    /// All of them; the first is row `first` of the partition.
    pub fn finish(&mut self, first: i64, partition: Arc<str>) -> Result<Raw> {
        let records: Vec<(i64, Range<usize>)> = (first..).zip(self.places.drain(..)).collect();
        let read = self.records.read(std::mem::take(&mut self.text).into_bytes(), &records)?;
        let numbers: Int64Array = read.numbers;
        Ok(Raw::new(read.batch, partition, numbers)?.with_malformed(read.malformed))
    }
}

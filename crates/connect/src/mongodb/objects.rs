//! Documents as JSON, gathered until a batch is full.

use crate::files::json::JsonRecords;
use arrow::array::Int64Array;
use kernel::gate::{Malformed, Raw};
use kernel::{Entity, Result};
use std::ops::Range;
use std::sync::Arc;

pub struct Objects {
    records: JsonRecords,
    text: String,
    /// Of each document its number in the batch, and where it stands.
    places: Vec<(usize, Range<usize>)>,
    /// Numbers of documents that can't be read, and why.
    refused: Vec<(usize, String)>,
}

impl Objects {
    pub fn new(entity: Arc<Entity>) -> Self {
        Self { records: JsonRecords::new(entity), text: String::new(), places: Vec::new(), refused: Vec::new() }
    }

    /// Also those that can't be read.
    pub fn rows(&self) -> usize {
        self.places.len() + self.refused.len()
    }

    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
        self.refused.clear();
    }

    /// Adds the object that `write` writes, or says why there is none.
    pub fn push(&mut self, write: impl FnOnce(&mut String) -> Result<(), String>) {
        let (number, start) = (self.rows(), self.text.len());
        match write(&mut self.text) {
            Ok(()) => {
                self.places.push((number, start..self.text.len()));
                self.text.push('\n');
            }
            Err(reason) => {
                self.text.truncate(start);
                self.refused.push((number, reason));
            }
        }
    }

    /// All of them; the first is row `first` of the partition.
    pub fn finish(&mut self, first: i64, partition: Arc<str>) -> Result<Raw> {
        let records: Vec<(i64, Range<usize>)> =
            self.places.drain(..).map(|(number, place)| (first + number as i64, place)).collect();
        let read = self.records.read(std::mem::take(&mut self.text).into_bytes(), &records)?;
        let numbers: Int64Array = read.numbers;
        let refused = self.refused.drain(..);
        let mut malformed = read.malformed;
        malformed.extend(refused.map(|(number, reason)| Malformed { offset: first + number as i64, reason }));
        malformed.sort_by_key(|one| one.offset);
        Ok(Raw::new(read.batch, partition, numbers)?.with_malformed(malformed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::entity;
    use crate::mongodb::text;
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    #[test]
    fn a_document_with_text_that_is_no_utf8_is_set_aside_and_the_others_come() {
        let mut broken = rawdoc! { "id": 7, "name": "abc" }.into_bytes();
        let at = broken.windows(3).position(|bytes| bytes == b"abc").expect("its text");
        broken[at + 1] = 0xff;
        let broken = RawDocumentBuf::from_bytes(broken).expect("a length that is right");
        let mut objects = Objects::new(Arc::new(entity(&["id", "name"])));
        let mut taken = |all: &[&RawDocumentBuf], first: i64| {
            for document in all {
                objects.push(|to| text::document(to, document).map_err(|text::Broken| "is no UTF-8".to_owned()));
            }
            assert_eq!(objects.rows(), all.len());
            let raw = objects.finish(first, "orders".into()).expect("rows");
            let malformed = raw.num_malformed();
            let mut gate = kernel::laws::source::as_text(false);
            let batch = gate.pass(raw, kernel::clock::Timestamp(0)).expect("a pass").safe.into_batch();
            let shown = |column: &str, row: usize| {
                let column = batch.column_by_name(column).expect("a column");
                arrow::util::display::array_value_to_string(column, row).expect("a text")
            };
            let rows = (0..batch.num_rows()).map(|row| format!("{} {}", shown("id", row), shown("name", row)));
            (rows.collect::<Vec<_>>(), malformed)
        };
        let (one, two) = (rawdoc! { "id": 1, "name": "a" }, rawdoc! { "id": 2, "name": "b" });
        assert_eq!(taken(&[&one, &broken, &two], 5), (vec!["1 a".to_owned(), "2 b".to_owned()], 1));
        assert_eq!(taken(&[&two], 8), (vec!["2 b".to_owned()], 0), "it is forgotten then");
    }
}

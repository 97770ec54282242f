//! What was made, so that a demo or a test can say what must come out.

use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// In the order of the sources; paths are relative to the project's folder.
    pub files: Vec<FileFact>,
    /// Rows that break their contract, by source and reason. Each such row has one fault and occurs once.
    pub bad: BTreeMap<(&'static str, &'static str), usize>,
    /// Payments that occur a second time, by source.
    pub duplicates: BTreeMap<&'static str, usize>,
    /// Payments that arrive in the file of the month after, by source.
    pub late: BTreeMap<&'static str, usize>,
    /// People who made eight or more card payments within ten minutes.
    pub bursts: usize,
    /// Of all customers; none of it may be found in the lake. CPFs are digits only, phones `+5511912345678`.
    pub cpfs: Vec<String>,
    pub emails: Vec<String>,
    pub phones: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFact {
    pub source: &'static str,
    pub path: String,
    /// Records, good, bad and doubled, without a header.
    pub rows: usize,
    pub bytes: u64,
}

#[cfg(test)]
impl Facts {
    pub fn rows(&self, source: &str) -> usize {
        self.files.iter().filter(|file| file.source == source).map(|file| file.rows).sum()
    }

    /// Rows that the gate has to refuse.
    pub fn bad_rows(&self, source: &str) -> usize {
        self.bad.iter().filter(|((of, _), _)| *of == source).map(|(_, rows)| rows).sum()
    }
}

impl Facts {
    pub(super) fn add_bad(&mut self, source: &'static str, reason: &'static str) {
        *self.bad.entry((source, reason)).or_default() += 1;
    }

    /// Takes over what another thread made; sources don't overlap.
    pub(super) fn extend(&mut self, other: Facts) {
        self.files.extend(other.files);
        self.bad.extend(other.bad);
        self.duplicates.extend(other.duplicates);
        self.late.extend(other.late);
        self.bursts += other.bursts;
        self.cpfs.extend(other.cpfs);
        self.emails.extend(other.emails);
        self.phones.extend(other.phones);
    }
}

//! What writers with a registry put in front of a value: a zero and the schema's id in four bytes, big-endian (Confluent's
//! wire format).

use super::{Records, Rows};
use kernel::gate::Malformed;

pub const BYTES: usize = 5;

/// The schema's id and what is behind it.
pub fn split(value: &[u8]) -> Option<(u32, &[u8])> {
    let (frame, rest) = value.split_first_chunk::<BYTES>()?;
    let [0, a, b, c, d] = *frame else { return None };
    Some((u32::from_be_bytes([a, b, c, d]), rest))
}

/// Records that were written with one schema, one behind the other.
pub struct Run<'r> {
    pub id: u32,
    /// The offset of each, and the whole value.
    pub records: Vec<(i64, &'r [u8])>,
    pub malformed: Vec<Malformed>,
}

/// The records by schema, in order; what has no frame is malformed, in the run where it stands.
pub fn runs(records: &Records) -> Vec<Run<'_>> {
    let (mut runs, mut lost): (Vec<Run>, Vec<Malformed>) = (Vec::new(), Vec::new());
    for (offset, value) in records.iter() {
        let Some((id, _)) = split(value) else {
            let reason = "it does not begin with a schema's id of a registry".to_owned();
            let bad = Malformed { offset, reason };
            match runs.last_mut() {
                Some(run) => run.malformed.push(bad),
                None => lost.push(bad),
            }
            continue;
        };
        match runs.last_mut() {
            Some(run) if run.id == id => run.records.push((offset, value)),
            _ => {
                let malformed = std::mem::take(&mut lost);
                runs.push(Run { id, records: vec![(offset, value)], malformed });
            }
        }
    }
    if !lost.is_empty() || runs.is_empty() {
        runs.push(Run { id: 0, records: Vec::new(), malformed: lost });
    }
    runs
}

/// The ids that records name.
pub fn ids(runs: &[Run<'_>]) -> impl Iterator<Item = u32> {
    runs.iter().filter(|run| !run.records.is_empty()).map(|run| run.id)
}

impl Run<'_> {
    /// No rows, for the registry says that it has no schema of this id.
    pub fn without_schema(self) -> Rows {
        let reason = format!("it names schema {}, which the registry does not have", self.id);
        self.aside(&reason)
    }

    /// No rows, for all of them are malformed.
    pub fn aside(mut self, reason: &str) -> Rows {
        let lost = std::mem::take(&mut self.records).into_iter();
        self.malformed.extend(lost.map(|(offset, _)| Malformed { offset, reason: reason.to_owned() }));
        self.malformed.sort_by_key(|bad| bad.offset);
        self.without_rows()
    }

    /// No rows, and what is malformed.
    pub fn without_rows(self) -> Rows {
        let batch = arrow::record_batch::RecordBatch::new_empty(std::sync::Arc::new(arrow::datatypes::Schema::empty()));
        Rows { batch, offsets: arrow::array::Int64Array::from(Vec::<i64>::new()), malformed: self.malformed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_parted_by_their_schema() {
        let mut records = Records::default();
        for (offset, value) in
            [b"plain".as_slice(), b"\0\0\0\0\x07a", b"\0\0\0\0\x07b", b"", b"\0\0\0\x01\x07c"].iter().enumerate()
        {
            records.push(offset as i64, value);
        }
        let found: Vec<(u32, usize, usize)> =
            runs(&records).iter().map(|run| (run.id, run.records.len(), run.malformed.len())).collect();
        assert_eq!(found, [(7, 2, 2), (263, 1, 0)]);
        assert_eq!(runs(&Records::default()).len(), 1, "no records are one run without rows");
    }
}

//! How much of a source's bytes, as they are stored, is read: what a bar is drawn from.

use connect::{Pending, Progress};
use kernel::{Point, Positions};
use std::collections::BTreeMap;

/// What a packed byte is taken to unfold to, until the first file has ended and tells.
const UNFOLDS: f64 = 4.0;
const PACKED: [&str; 5] = [".gz", ".zst", ".parquet", ".avro", ".arrow"];

/// Exact whenever a file ends; in between it is an estimate that never comes to the file's end.
pub struct Meter {
    /// Bytes as stored of the files that are not at their end.
    open: BTreeMap<String, u64>,
    total: u64,
    /// As stored, of the files that have ended.
    ended: u64,
    /// As read, of the files that have ended, and of the one that is open.
    ended_read: u64,
    open_read: u64,
    told: u64,
}

impl Meter {
    pub fn new(pending: Vec<Pending>) -> Self {
        let now = pending.into_iter().filter(|file| file.progress != Progress::Settling);
        let open: BTreeMap<String, u64> = now.filter_map(|file| Some((file.partition, file.bytes?))).collect();
        let total = open.values().sum();
        Self { open, total, ended: 0, ended_read: 0, open_read: 0, told: 0 }
    }

    /// 0 when no size is known.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Takes a batch of so many bytes in memory; answers how many more bytes as stored are read by it.
    pub fn read(&mut self, bytes: u64, upto: &Positions) -> u64 {
        self.open_read += bytes;
        let mut at = None;
        for (partition, point) in upto.iter() {
            match point {
                Point::File { done: true, .. } | Point::Mark { done: true, .. } => self.end(partition),
                Point::File { .. } | Point::Mark { .. } | Point::Offset(_) => at = Some(partition),
            }
        }
        let part = at.and_then(|partition| Some((partition, *self.open.get(partition)?)));
        let part = part.map_or(0, |(partition, size)| self.part(partition, size));
        let more = (self.ended + part).saturating_sub(self.told);
        self.told += more;
        more
    }

    fn end(&mut self, partition: &str) {
        if let Some(size) = self.open.remove(partition) {
            self.ended += size;
            self.ended_read += std::mem::take(&mut self.open_read);
        }
    }

    /// How much of an open file is read.
    fn part(&self, partition: &str, size: u64) -> u64 {
        let stored_per_read = match self.ended_read {
            0 if PACKED.iter().any(|ending| partition.ends_with(ending)) => 1.0 / UNFOLDS,
            0 => 1.0,
            read => self.ended as f64 / read as f64,
        };
        let most = size - size / 100;
        ((self.open_read as f64 * stored_per_read) as u64).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(partition: &str, bytes: u64, progress: Progress) -> Pending {
        Pending { partition: partition.into(), bytes: Some(bytes), progress }
    }

    fn upto(partition: &str, done: bool) -> Positions {
        let mut upto = Positions::new();
        upto.set(partition, Point::File { etag: "e".into(), row: 1, done });
        upto
    }

    #[test]
    fn what_is_read_grows_and_is_exact_when_a_file_ends() {
        let files = [("a.csv.gz", Progress::New), ("b.csv.gz", Progress::New), ("c.csv.gz", Progress::Settling)];
        let mut meter = Meter::new(files.map(|(name, progress)| file(name, 1_000, progress)).into());
        assert_eq!(meter.total(), 2_000, "a file that settles is left alone");
        assert_eq!(meter.read(2_000, &upto("a.csv.gz", false)), 500);
        assert_eq!(meter.read(90_000, &upto("a.csv.gz", false)), 490, "not at its end before it is");
        assert_eq!(meter.read(8_000, &upto("a.csv.gz", true)), 10);
        assert_eq!(meter.read(50_000, &upto("b.csv.gz", false)), 500, "the second file unfolds as the first did");
        assert_eq!(meter.read(1, &upto("b.csv.gz", true)), 500);
        assert_eq!(meter.read(1, &upto("not listed", true)), 0);
    }
}

//! What stands in a column: parts of 82 bytes, one for each key that its rows were encrypted with.
//!
//! part = kind (1 byte) · scale (1) · key version (4, big-endian) · mark of the key (4) · rows (8, big-endian) · two points
//! of ristretto255 (32 each). The header is open to everybody, and nothing of it is secret.

use super::key::Mark;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use kernel::error::{Error, Result};
use std::collections::BTreeMap;

pub(super) const PART_BYTES: usize = 82;
const POINTS_AT: usize = 18;

/// What is asked of a total when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Sum = 1,
    Average = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub form: Form,
    pub scale: u8,
    pub version: u32,
    pub mark: Mark,
    pub rows: u64,
}

impl Header {
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.form as u8, self.scale]);
        out.extend(self.version.to_be_bytes());
        out.extend(self.mark);
        out.extend(self.rows.to_be_bytes());
    }
}

/// A part as it lies in a column.
pub(super) struct Part<'a> {
    pub header: Header,
    points: &'a [u8],
}

impl Part<'_> {
    pub fn points(&self) -> Result<(RistrettoPoint, RistrettoPoint)> {
        let (one, two) = self.points.split_at(32);
        let point = |bytes| CompressedRistretto::from_slice(bytes).ok().and_then(|point| point.decompress());
        point(one).zip(point(two)).ok_or_else(strange)
    }
}

/// The parts of a value.
pub(super) fn parts(bytes: &[u8]) -> Result<Vec<Part<'_>>> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(PART_BYTES) {
        return Err(strange());
    }
    bytes.chunks_exact(PART_BYTES).map(part).collect()
}

fn part(bytes: &[u8]) -> Result<Part<'_>> {
    let form = match bytes[0] {
        1 => Form::Sum,
        2 => Form::Average,
        _ => return Err(strange()),
    };
    let field = |from: usize| bytes[from..].first_chunk::<4>().copied().ok_or_else(strange);
    let (version, mark) = (u32::from_be_bytes(field(2)?), field(6)?);
    let rows = bytes[10..].first_chunk().copied().map(u64::from_be_bytes).ok_or_else(strange)?;
    let header = Header { form, scale: bytes[1], version, mark, rows };
    Ok(Part { header, points: &bytes[POINTS_AT..] })
}

fn strange() -> Error {
    Error::data("add ciphertexts", "a value was not made by `encrypt(scope, homomorphic)`, or was changed")
}

/// A sum that grows. It holds one pair of points a key, however many rows it takes.
#[derive(Default)]
pub(super) struct Total {
    scale: Option<u8>,
    sums: BTreeMap<(u32, Mark), Sum>,
}

struct Sum {
    rows: u64,
    points: (RistrettoPoint, RistrettoPoint),
}

impl Total {
    pub fn add(&mut self, bytes: &[u8]) -> Result<()> {
        for part in parts(bytes)? {
            let Header { form, scale, version, mark, rows } = part.header;
            let refuse = |why: &str| Err(Error::project("add ciphertexts", why));
            if form == Form::Average {
                return refuse("averages don't add up; keep the sums, and take the average of these");
            }
            if *self.scale.get_or_insert(scale) != scale {
                return refuse("some have other decimals than others: they are of different columns");
            }
            let (one, two) = part.points()?;
            match self.sums.get_mut(&(version, mark)) {
                None => drop(self.sums.insert((version, mark), Sum { rows, points: (one, two) })),
                Some(sum) => {
                    let rows = sum.rows.checked_add(rows);
                    sum.rows =
                        rows.ok_or_else(|| Error::data("add ciphertexts", "they are of more rows than can be"))?;
                    sum.points.0 += one;
                    sum.points.1 += two;
                }
            }
        }
        Ok(())
    }

    /// Its bytes; none when nothing was added.
    pub fn bytes(&self, form: Form) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.sums.len() * PART_BYTES);
        for ((version, mark), Sum { rows, points: (one, two) }) in &self.sums {
            let scale = self.scale.unwrap_or_default();
            Header { form, scale, version: *version, mark: *mark, rows: *rows }.write(&mut out);
            out.extend(one.compress().as_bytes());
            out.extend(two.compress().as_bytes());
        }
        out
    }

    pub fn size(&self) -> usize {
        size_of::<Self>() + self.sums.len() * 2 * size_of::<((u32, Mark), Sum)>()
    }
}

//! What stands in a column: one part for each key that its rows were encrypted with, of 82 bytes, or packed.
//!
//! part = kind (1 byte) · scale (1) · key version (4, big-endian) · mark of the key (4) · rows (8, big-endian) · body. The body
//! is two points of ristretto255 (32 bytes each), or, packed, how many ciphertexts were added up (8, big-endian) and their
//! total (262,144). The header is open to everybody, and nothing of it is secret.

use super::key::Mark;
use super::packed::{self, Sealed};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use kernel::error::{Error, Result};
use std::collections::BTreeMap;

pub(super) const PART_BYTES: usize = 82;
const BODY_AT: usize = 18;
const COUNT_BYTES: usize = 8;
const PACKED_BYTES: usize = BODY_AT + COUNT_BYTES + packed::BYTES;
/// Packed parts have the kinds behind the others.
const PACKED: u8 = 2;

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
        self.write_as(0, out);
    }

    fn write_as(&self, kinds: u8, out: &mut Vec<u8>) {
        out.extend([self.form as u8 + kinds, self.scale]);
        out.extend(self.version.to_be_bytes());
        out.extend(self.mark);
        out.extend(self.rows.to_be_bytes());
    }
}

/// A part as it lies in a column.
pub(super) struct Part<'a> {
    pub header: Header,
    pub body: Body<'a>,
}

pub(super) enum Body<'a> {
    Pair(&'a [u8]),
    /// Ciphertexts in the total, and the total.
    Packed(u64, &'a [u8]),
}

/// The points of a pair.
pub(super) fn points(pair: &[u8]) -> Result<(RistrettoPoint, RistrettoPoint)> {
    let (one, two) = pair.split_at_checked(32).ok_or_else(strange)?;
    let point = |bytes| CompressedRistretto::from_slice(bytes).ok().and_then(|point| point.decompress());
    point(one).zip(point(two)).ok_or_else(strange)
}

/// The parts of a value.
pub(super) fn parts(bytes: &[u8]) -> Result<Vec<Part<'_>>> {
    let (mut all, mut rest) = (Vec::new(), bytes);
    while let Some(kind) = rest.first() {
        let length = if *kind > PACKED { PACKED_BYTES } else { PART_BYTES };
        let (one, more) = rest.split_at_checked(length).ok_or_else(strange)?;
        all.push(part(one)?);
        rest = more;
    }
    if all.is_empty() { Err(strange()) } else { Ok(all) }
}

fn part(bytes: &[u8]) -> Result<Part<'_>> {
    let (form, is_packed) = match bytes[0] {
        1 => (Form::Sum, false),
        2 => (Form::Average, false),
        3 => (Form::Sum, true),
        4 => (Form::Average, true),
        _ => return Err(strange()),
    };
    let field = |from: usize| bytes[from..].first_chunk::<4>().copied().ok_or_else(strange);
    let (version, mark) = (u32::from_be_bytes(field(2)?), field(6)?);
    let rows = bytes[10..].first_chunk().copied().map(u64::from_be_bytes).ok_or_else(strange)?;
    let header = Header { form, scale: bytes[1], version, mark, rows };
    let body = &bytes[BODY_AT..];
    let body = match body.split_first_chunk::<COUNT_BYTES>() {
        Some((count, total)) if is_packed => Body::Packed(u64::from_be_bytes(*count), total),
        _ => Body::Pair(body),
    };
    Ok(Part { header, body })
}

fn strange() -> Error {
    Error::data("add ciphertexts", "a value was not made by `encrypt(scope, homomorphic)`, or was changed")
}

/// A sum that grows. It holds one pair of points, and one packed total, a key, however many rows it takes.
#[derive(Default)]
pub(super) struct Total {
    scale: Option<u8>,
    sums: BTreeMap<(u32, Mark), Sum>,
    packed: BTreeMap<(u32, Mark), (u64, Sealed)>,
}

struct Sum {
    rows: u64,
    points: (RistrettoPoint, RistrettoPoint),
}

fn added(rows: u64, more: u64) -> Result<u64> {
    rows.checked_add(more).ok_or_else(|| Error::data("add ciphertexts", "they are of more rows than can be"))
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
            let key = (version, mark);
            match part.body {
                Body::Pair(pair) => self.add_pair(key, rows, points(pair)?)?,
                Body::Packed(count, sealed) => match self.packed.get_mut(&key) {
                    None => drop(self.packed.insert(key, (rows, Sealed::read(count, sealed)?))),
                    Some((own, total)) => {
                        *own = added(*own, rows)?;
                        total.add_bytes(count, sealed)?;
                    }
                },
            }
        }
        Ok(())
    }

    fn add_pair(&mut self, key: (u32, Mark), rows: u64, (one, two): (RistrettoPoint, RistrettoPoint)) -> Result<()> {
        match self.sums.get_mut(&key) {
            None => drop(self.sums.insert(key, Sum { rows, points: (one, two) })),
            Some(sum) => {
                sum.rows = added(sum.rows, rows)?;
                sum.points.0 += one;
                sum.points.1 += two;
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
        for ((version, mark), (rows, sealed)) in &self.packed {
            let scale = self.scale.unwrap_or_default();
            write_packed(&Header { form, scale, version: *version, mark: *mark, rows: *rows }, sealed, &mut out);
        }
        out
    }

    pub fn size(&self) -> usize {
        let pairs = self.sums.len() * 2 * size_of::<((u32, Mark), Sum)>();
        size_of::<Self>() + pairs + self.packed.len() * packed::BYTES
    }
}

/// Writes a packed part.
pub(super) fn write_packed(header: &Header, sealed: &Sealed, out: &mut Vec<u8>) {
    header.write_as(PACKED, out);
    out.extend(sealed.parts().to_be_bytes());
    sealed.write(out);
}

//! *M* of *M*·G, by baby steps and giant steps (Shanks 1971): a table of the small multiples of G, and strides as long as the
//! table from the point towards it, to both sides of zero at once and outwards.
//!
//! Points are compared by their encodings, which are made in batches; what comes out of a batch is doubled, and so are the
//! points in the table.

use super::TOTAL_MAX;
use curve25519_dalek::constants::{RISTRETTO_BASEPOINT_POINT, RISTRETTO_BASEPOINT_TABLE};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Points compressed at a time.
const BATCH: usize = 512;

/// Multiples of G from -2^(bits-1) to 2^(bits-1) - 1, by their encodings.
struct Steps {
    bits: u32,
    /// Four bytes of an encoding, and the multiple's place from 1; 0 is free. Half of the slots are.
    slots: Vec<(u32, u32)>,
}

/// The tables, and how far each is good for. The large one takes 64 MiB and some two seconds to make; it is made when it is
/// needed, and kept.
static TABLES: [(u32, i64, OnceLock<Steps>); 2] = [(18, 1 << 34, OnceLock::new()), (22, TOTAL_MAX, OnceLock::new())];

/// The *M* of *M*·G with |*M*| up to `most`; `None` when there is none.
pub(super) fn of(point: &RistrettoPoint, most: i64) -> Option<i64> {
    TABLES
        .iter()
        .find_map(|(bits, radius, steps)| steps.get_or_init(|| Steps::new(*bits)).find(point, most.min(*radius)))
}

pub(super) fn scalar(value: i64) -> Scalar {
    let magnitude = Scalar::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

impl Steps {
    fn new(bits: u32) -> Self {
        let count = 1u32 << bits;
        let mut steps = Self { bits, slots: vec![(0, 0); 2 << bits] };
        let mut point = RISTRETTO_BASEPOINT_TABLE * &scalar(-i64::from(count / 2));
        let mut place = 0;
        while place < count {
            let points = run(&mut point, RISTRETTO_BASEPOINT_POINT, BATCH.min((count - place) as usize));
            for encoding in RistrettoPoint::double_and_compress_batch(&points) {
                place += 1;
                let (mut at, tag) = steps.start(&encoding);
                while steps.slots[at].1 != 0 {
                    at = (at + 1) % steps.slots.len();
                }
                steps.slots[at] = (tag, place);
            }
        }
        steps
    }

    /// Where to look for an encoding, and what to compare there.
    fn start(&self, encoding: &CompressedRistretto) -> (usize, u32) {
        let [a, b, c, d, e, f, g, h, ..] = encoding.to_bytes();
        (u32::from_le_bytes([a, b, c, d]) as usize % self.slots.len(), u32::from_le_bytes([e, f, g, h]))
    }

    /// Both sides at once, each in a thread.
    fn find(&self, point: &RistrettoPoint, most: i64) -> Option<i64> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let up = scope.spawn(|| self.walk(point, most, -1, &over));
            let down = self.walk(point, most, 1, &over);
            up.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).or(down)
        })
    }

    /// Against the sign: from the point towards what is negative with 1, towards what is positive with -1. It ends when the other
    /// side is `over`.
    fn walk(&self, point: &RistrettoPoint, most: i64, sign: i64, over: &AtomicBool) -> Option<i64> {
        let stride = 1i64 << self.bits;
        let step = RISTRETTO_BASEPOINT_TABLE * &scalar(-sign * stride);
        let strides = most / stride + 1;
        let (mut at, mut done) = (*point, 0);
        while done <= strides && !over.load(Relaxed) {
            let batch = BATCH.min(usize::try_from(strides - done + 1).unwrap_or(BATCH));
            let points = run(&mut at, step, batch);
            for (encoding, n) in RistrettoPoint::double_and_compress_batch(&points).iter().zip(done..) {
                if let Some(found) = self.look(encoding, |near| near + sign * n * stride, point) {
                    over.store(true, Relaxed);
                    return (found.abs() <= most).then_some(found);
                }
            }
            done += batch as i64;
        }
        None
    }

    /// The multiple of this encoding. Four bytes can agree by chance, so the answer is held against the point.
    fn look(&self, encoding: &CompressedRistretto, whole: impl Fn(i64) -> i64, point: &RistrettoPoint) -> Option<i64> {
        let (mut at, tag) = self.start(encoding);
        while self.slots[at].1 != 0 {
            let (known, place) = self.slots[at];
            let found = whole(i64::from(place) - 1 - (1i64 << (self.bits - 1)));
            if known == tag && RISTRETTO_BASEPOINT_TABLE * &scalar(found) == *point {
                return Some(found);
            }
            at = (at + 1) % self.slots.len();
        }
        None
    }
}

/// The next points of a walk; the walk goes on behind them.
fn run(at: &mut RistrettoPoint, step: RistrettoPoint, count: usize) -> Vec<RistrettoPoint> {
    let next = |_| {
        let here = *at;
        *at += step;
        here
    };
    (0..count).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_multiple_in_reach_is_found_and_no_other() {
        let steps = Steps::new(10);
        let most = 1 << 20;
        for value in [0, 1, -1, 511, 512, -512, -513, 1024, 99_999, -99_999, most, -most] {
            let point = RISTRETTO_BASEPOINT_TABLE * &scalar(value);
            assert_eq!(steps.find(&point, most), Some(value));
        }
        for value in [most + 1, -most - 1, most * 3, i64::MAX] {
            assert_eq!(steps.find(&(RISTRETTO_BASEPOINT_TABLE * &scalar(value)), most), None, "{value}");
        }
    }

    #[test]
    fn the_largest_total_is_found() {
        assert_eq!(of(&(RISTRETTO_BASEPOINT_TABLE * &scalar(-TOTAL_MAX)), TOTAL_MAX), Some(-TOTAL_MAX));
    }
}

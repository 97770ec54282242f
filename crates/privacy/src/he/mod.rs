//! Sums over what nobody can read: additive ElGamal in the exponent, on ristretto255 (RFC 9496).
//!
//! `encrypt(scope, homomorphic)` makes of a number *m* the pair (*r*·G, *m*·G + *r*·Y) with a fresh random *r*; Y is the
//! scope's public key, so that who takes data in needs no secret. Pairs add up to the pair of the sum, for whatever rows a
//! query picks: `he_sum`, `he_avg`, `he_count` need no key. `he_open` takes the secret key to *M*·G, and finds *M* by baby
//! steps and giant steps. The group has 2²⁵² members, so no sum ever wraps: a total is found exactly, or not at all.
//!
//! A stored value is a [`total`] of one row; a total of many rows has the same form.

mod functions;
mod key;
mod log;
mod mask;
mod pack;
mod packed;
#[cfg(test)]
mod tests;
mod total;

pub use functions::functions;
pub use key::{PublicKey, public_key};
pub(crate) use mask::mask;

/// The largest magnitude of a single value, in units of its last decimal.
const ROW_MAX: i64 = (1 << 40) - 1;
/// The largest magnitude of a total that can be opened.
const TOTAL_MAX: i64 = 1 << 46;
/// The decimals of an opened total, and so the most that a column can have.
const SCALE_MAX: u8 = 10;

//! Sums over whole ciphertexts of 8,192 numbers each: Brakerski–Fan–Vercauteren with nothing but its addition.
//!
//! A ciphertext is a pair of polynomials of degree 8,192 modulo *q*, the product of two primes of 55 bits; a number is a
//! coefficient, 2⁴⁷ times as large, with a small error beside it. Ciphertexts add up coefficient by coefficient. As nothing
//! is ever multiplied, a plaintext needs no modulus of its own, and the bounds below are not likely but certain:
//!
//! * one number: at most 2⁴⁰ − 1, so that 2²¹ ciphertexts keep each coefficient below 2⁶¹, and 2⁴⁷ · 2⁶¹ < *q* / 2;
//! * the error of one ciphertext: at most 21 + 2 · 8,192 · 21 < 2¹⁹, as each random coefficient is within its range; that
//!   of 2²¹ ciphertexts is below 2⁴⁰, far from 2⁴⁷ / 2.
//!
//! So a total is exact, or is refused for having too many parts. Degree 8,192 with 110 bits of *q* and a ternary secret is
//! beyond the 128 bits of security for which the standard of homomorphicencryption.org (2018, table 1) allows 218, and the
//! 192 bits for which it allows 152.

mod ring;
mod scheme;
mod stream;
#[cfg(test)]
mod tests;

pub use ring::DEGREE;
pub use scheme::{BYTES, PublicKey, Sealed, SecretKey};

/// Ciphertexts in one total at most.
pub const PARTS_MAX: u64 = 1 << 21;

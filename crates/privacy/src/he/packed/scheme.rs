//! Keys and ciphertexts.

use super::PARTS_MAX;
use super::ring::{DEGREE, Factor, Prime, primes};
use super::stream::Stream;
use kernel::error::{Error, Result};
use zeroize::Zeroizing;

/// By how much a number stands above the error.
const LIFT: u32 = 47;
/// The bytes of a coefficient.
const WIDTH: usize = 8;
/// The bytes of a ciphertext.
pub const BYTES: usize = 4 * DEGREE * WIDTH;

const ERROR_SEED: &str = "homomorphic packed error";

/// A polynomial that many are multiplied with, modulo both primes, in the domain of the transform.
type Factors = [Vec<Factor>; 2];

/// What opens a total.
pub struct SecretKey {
    secret: Factors,
}

/// What encrypts, and opens nothing.
pub struct PublicKey {
    /// −(a·s + e), and the random *a*.
    pair: [Factors; 2],
}

/// A ciphertext, or a total of some: two polynomials modulo both primes, in the domain of the transform.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    parts: u64,
    /// Of the first polynomial, then of the second.
    rest: [[Vec<u64>; 2]; 2],
}

fn small(prime: &Prime, values: &[i64]) -> Vec<u64> {
    let mut poly: Vec<u64> = values.iter().map(|value| prime.small(*value)).collect();
    prime.forward(&mut poly);
    poly
}

fn factors(of: impl Fn(&Prime) -> Vec<u64>) -> Factors {
    primes().each_ref().map(|prime| of(prime).into_iter().map(|by| prime.factor(by)).collect())
}

/// Both halves of a key pair. The seeds are of their own each; `error` and `secret` are secret.
pub fn pair(secret: &[u8; 32], error: &[u8; 32], random: &[u8; 32]) -> (SecretKey, PublicKey) {
    let s = Stream::new(secret).ternary();
    let e = Stream::new(error).errors();
    let secret = SecretKey { secret: factors(|prime| small(prime, &s)) };
    let mut stream = Stream::new(random);
    let a = primes().each_ref().map(|prime| stream.uniform(prime.p));
    let mut pair = [Factors::default(), Factors::default()];
    for (at, prime) in primes().iter().enumerate() {
        let e = small(prime, &e);
        let b = a[at].iter().zip(&secret.secret[at]).zip(e).map(|((a, s), e)| {
            let masked = prime.plus(prime.times(*a, *s), e);
            prime.factor(if masked == 0 { 0 } else { prime.p - masked })
        });
        pair[0][at] = b.collect();
        pair[1][at] = a[at].iter().map(|a| prime.factor(*a)).collect();
    }
    (secret, PublicKey { pair })
}

impl SecretKey {
    /// From the key of a scope.
    pub fn new(key: &kernel::keys::Key) -> Result<(Self, PublicKey)> {
        let seed = |purpose: &str| crate::keys::subkey(key, purpose);
        let (secret, error, random) =
            (seed("homomorphic packed secret")?, seed(ERROR_SEED)?, seed("homomorphic packed public")?);
        Ok(pair(&secret, &error, &random))
    }

    /// The total of each coefficient.
    pub fn open(&self, sealed: &Sealed) -> Vec<i64> {
        let mut halves = [Vec::new(), Vec::new()];
        for (at, prime) in primes().iter().enumerate() {
            let [c0, c1] = [&sealed.rest[0][at], &sealed.rest[1][at]];
            let sum = c0.iter().zip(c1).zip(&self.secret[at]);
            let mut sum: Vec<u64> = sum.map(|((c0, c1), s)| prime.plus(*c0, prime.times(*c1, *s))).collect();
            prime.inverse(&mut sum);
            halves[at] = sum;
        }
        let [low, high] = halves;
        let [p, r] = primes();
        let back = r.factor(inverse(p.p % r.p, r.p));
        low.iter().zip(&high).map(|(low, high)| lowered(*low, *high, back)).collect()
    }
}

/// The number nearest to a lifted one, of which both rests are known; `back` is the inverse of the first prime modulo the
/// second.
fn lowered(low: u64, high: u64, back: Factor) -> i64 {
    let [p, r] = primes();
    // The number below p·r that leaves both rests, by Garner.
    let apart = r.plus(high, r.p - low % r.p);
    let value = u128::from(low) + u128::from(p.p) * u128::from(r.times(apart, back));
    let modulus = u128::from(p.p) * u128::from(r.p);
    let centred = if value > modulus / 2 { value.wrapping_sub(modulus) as i128 } else { value as i128 };
    ((centred + (1 << (LIFT - 1))) >> LIFT) as i64
}

fn inverse(a: u64, p: u64) -> u64 {
    let (mut power, mut base, mut exponent) = (1u128, u128::from(a), p - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power * base % u128::from(p);
        }
        base = base * base % u128::from(p);
        exponent >>= 1;
    }
    power as u64
}

impl PublicKey {
    /// One ciphertext of at most 8,192 numbers, none beyond 2^40 − 1.
    pub fn seal(&self, values: &[i64]) -> Result<Sealed> {
        if values.len() > DEGREE || values.iter().any(|value| value.unsigned_abs() >= 1 << 40) {
            return Err(Error::internal("encrypt numbers together", "there are too many, or one is too large"));
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|e| Error::internal("draw a random number", e))?;
        let mut stream = Stream::new(&seed);
        let (mask, first, second) = (stream.ternary(), stream.errors(), stream.errors());
        let mut rest = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
        for (at, prime) in primes().iter().enumerate() {
            let mask = small(prime, &mask);
            let lift = prime.factor((1 << LIFT) % prime.p);
            let padded = values.iter().copied().chain(std::iter::repeat(0));
            let lifted = padded.map(|value| prime.times(prime.small(value), lift));
            let noisy = first.iter().zip(lifted).map(|(error, lifted)| prime.plus(lifted, prime.small(*error)));
            let mut message: Vec<u64> = noisy.collect();
            prime.forward(&mut message);
            let with = |key: &[Factor], other: &[u64]| -> Vec<u64> {
                mask.iter()
                    .zip(key)
                    .zip(other)
                    .map(|((u, key), other)| prime.plus(prime.times(*u, *key), *other))
                    .collect()
            };
            rest[0][at] = with(&self.pair[0][at], &message);
            rest[1][at] = with(&self.pair[1][at], &small(prime, &second));
        }
        Ok(Sealed { parts: 1, rest })
    }
}

impl Sealed {
    /// Ciphertexts in it.
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// Adds another one. No more than 2^21 fit into a total.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        let parts = self.parts.checked_add(other.parts).filter(|parts| *parts <= PARTS_MAX);
        self.parts = parts.ok_or_else(too_many)?;
        for (own, other) in self.rest.iter_mut().zip(&other.rest) {
            for ((own, other), prime) in own.iter_mut().zip(other).zip(primes()) {
                own.iter_mut().zip(other).for_each(|(a, b)| *a = prime.plus(*a, *b));
            }
        }
        Ok(())
    }

    /// Adds one that lies in bytes, as [`Sealed::write`] left it.
    pub fn add_bytes(&mut self, parts: u64, bytes: &[u8]) -> Result<()> {
        let other = checked(parts, bytes)?;
        self.parts = self.parts.checked_add(parts).filter(|parts| *parts <= PARTS_MAX).ok_or_else(too_many)?;
        let own = self.rest.iter_mut().flat_map(|half| half.iter_mut().zip(primes()));
        let mut strange_ones = 0;
        for ((own, prime), other) in own.zip(other.chunks_exact(DEGREE)) {
            for (a, b) in own.iter_mut().zip(other) {
                let b = u64::from_le_bytes(*b);
                // Its sign tells whether the coefficient is one.
                strange_ones |= !b.wrapping_sub(prime.p) | b;
                *a = prime.plus(*a, b & (u64::MAX >> 8));
            }
        }
        if strange_ones >> 63 == 1 { Err(strange()) } else { Ok(()) }
    }

    /// The coefficients, eight bytes each, little end first.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(BYTES);
        for coefficient in self.rest.iter().flatten().flatten() {
            out.extend(coefficient.to_le_bytes());
        }
    }

    /// Reads what [`Sealed::write`] wrote. Refuses other lengths and coefficients that are none.
    pub fn read(parts: u64, bytes: &[u8]) -> Result<Self> {
        let nothing = || [vec![0; DEGREE], vec![0; DEGREE]];
        let mut read = Self { parts: 0, rest: [nothing(), nothing()] };
        read.add_bytes(parts, bytes).map(|()| read)
    }
}

/// The coefficients' bytes, if there are as many as there should be.
fn checked(parts: u64, bytes: &[u8]) -> Result<&[[u8; WIDTH]]> {
    match bytes.as_chunks() {
        (coefficients, []) if bytes.len() == BYTES && (1..=PARTS_MAX).contains(&parts) => Ok(coefficients),
        _ => Err(strange()),
    }
}

fn strange() -> Error {
    Error::data("add ciphertexts", "a packed value was not made by `encrypt(scope, homomorphic)`, or was changed")
}

fn too_many() -> Error {
    Error::data(
        "add ciphertexts",
        format!("a total takes at most {PARTS_MAX} of them; add up fewer, and add what is opened"),
    )
}

//! Polynomials modulo X^8192 + 1 and a prime, by the number-theoretic transform: in its domain products are coefficient by
//! coefficient. Butterflies are Harvey's ("Faster arithmetic for number-theoretic transforms", 2014) with Shoup's products;
//! all is without a branch that a secret decides.

use std::sync::OnceLock;

pub const DEGREE: usize = 8192;
const LOG_DEGREE: u32 = DEGREE.trailing_zeros();

/// The coefficients of a polynomial, below the prime unless something else is said.
pub(super) type Poly = [u64];

/// A factor that many are multiplied with: itself, and 2^64 times it over the prime.
#[derive(Clone, Copy)]
pub(super) struct Factor {
    by: u64,
    over: u64,
}

/// A prime that is 1 modulo twice the degree, with a root of unity of that order.
pub(super) struct Prime {
    pub p: u64,
    /// Powers of the root in the order of reversed bits, and those of its inverse.
    roots: Vec<Factor>,
    inverse_roots: Vec<Factor>,
    inverse_degree: Factor,
    one: Factor,
}

/// Both primes: the largest ones below 2^55 that fit, with their least roots.
pub(super) fn primes() -> &'static [Prime; 2] {
    static PRIMES: OnceLock<[Prime; 2]> = OnceLock::new();
    PRIMES.get_or_init(|| {
        [
            Prime::new(0x7f_ffff_fffb_4001, 5_302_328_928_826_177),
            Prime::new(0x7f_ffff_ffea_c001, 13_456_949_044_161_292),
        ]
    })
}

impl Prime {
    fn new(p: u64, root: u64) -> Self {
        let inverse = power(root, p - 2, p);
        let powers = |root: u64| {
            let mut all = vec![factor(1, p); DEGREE];
            let mut power = 1;
            for at in 0..DEGREE {
                all[at.reverse_bits() >> (usize::BITS - LOG_DEGREE)] = factor(power, p);
                power = times(power, root, p);
            }
            all
        };
        Self {
            p,
            roots: powers(root),
            inverse_roots: powers(inverse),
            inverse_degree: factor(power(DEGREE as u64, p - 2, p), p),
            one: factor(1, p),
        }
    }

    pub fn factor(&self, by: u64) -> Factor {
        factor(by, self.p)
    }

    /// A product below twice the prime; `a` may be any number.
    #[inline(always)]
    fn lazily(&self, a: u64, factor: Factor) -> u64 {
        let over = ((u128::from(a) * u128::from(factor.over)) >> 64) as u64;
        a.wrapping_mul(factor.by).wrapping_sub(over.wrapping_mul(self.p))
    }

    /// A product below the prime.
    #[inline(always)]
    pub fn times(&self, a: u64, factor: Factor) -> u64 {
        below(self.lazily(a, factor), self.p)
    }

    /// A sum of two that are below the prime.
    #[inline(always)]
    pub fn plus(&self, a: u64, b: u64) -> u64 {
        below(a + b, self.p)
    }

    /// A small signed number.
    #[inline(always)]
    pub fn small(&self, value: i64) -> u64 {
        let sign = value >> 63;
        (value as u64).wrapping_add(sign as u64 & self.p)
    }

    /// Into the domain of the transform. A level adds at most twice the prime, so that thirteen levels stay below 2^60
    /// without a look in between.
    pub fn forward(&self, a: &mut Poly) {
        let mut width = DEGREE / 2;
        let mut groups = 1;
        while groups < DEGREE {
            for (chunk, root) in a.chunks_exact_mut(2 * width).zip(&self.roots[groups..2 * groups]) {
                let (left, right) = chunk.split_at_mut(width);
                for (x, y) in left.iter_mut().zip(right) {
                    let v = self.lazily(*y, *root);
                    (*x, *y) = (*x + v, *x + 2 * self.p - v);
                }
            }
            groups *= 2;
            width /= 2;
        }
        for x in a {
            *x = self.times(*x, self.one);
        }
    }

    /// Out of it again.
    pub fn inverse(&self, a: &mut Poly) {
        let mut width = 1;
        let mut groups = DEGREE / 2;
        while groups > 0 {
            for (chunk, root) in a.chunks_exact_mut(2 * width).zip(&self.inverse_roots[groups..2 * groups]) {
                let (left, right) = chunk.split_at_mut(width);
                for (x, y) in left.iter_mut().zip(right) {
                    let (u, v) = (*x, *y);
                    *x = below(u + v, 2 * self.p);
                    *y = self.lazily(u + 2 * self.p - v, *root);
                }
            }
            groups /= 2;
            width *= 2;
        }
        for x in a {
            *x = self.times(*x, self.inverse_degree);
        }
    }
}

/// `a`, or `a - p` where that is not negative.
#[inline(always)]
fn below(a: u64, p: u64) -> u64 {
    let less = a.wrapping_sub(p);
    less.wrapping_add((less >> 63).wrapping_neg() & p)
}

fn factor(by: u64, p: u64) -> Factor {
    Factor { by, over: ((u128::from(by) << 64) / u128::from(p)) as u64 }
}

fn times(a: u64, b: u64, p: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(p)) as u64
}

fn power(mut base: u64, mut exponent: u64, p: u64) -> u64 {
    let mut all = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            all = times(all, base, p);
        }
        base = times(base, base, p);
        exponent >>= 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_prime_and_roots_have_their_order() {
        for prime in primes() {
            let (p, root) = (prime.p, prime.roots[1 << (LOG_DEGREE - 1)].by);
            assert!(p < 1 << 55 && p % (2 * DEGREE as u64) == 1);
            for base in [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37] {
                assert_eq!(power(base, p - 1, p), 1, "Fermat");
            }
            assert_eq!(power(root, DEGREE as u64, p), p - 1, "of order twice the degree");
        }
    }

    #[test]
    fn products_are_those_of_the_schoolbook() {
        let mut dice = fastrand::Rng::with_seed(8);
        for prime in primes() {
            let p = prime.p;
            let a: Vec<u64> = (0..DEGREE).map(|_| dice.u64(..p)).collect();
            let mut sparse = vec![0; DEGREE];
            for _ in 0..20 {
                sparse[dice.usize(..DEGREE)] = dice.u64(..p);
            }
            let mut expected = vec![0u64; DEGREE];
            for (i, b) in sparse.iter().enumerate().filter(|(_, b)| **b != 0) {
                for (j, a) in a.iter().enumerate() {
                    let product = times(*a, *b, p);
                    let (at, sign) = ((i + j) % DEGREE, i + j < DEGREE);
                    expected[at] = (expected[at] + if sign { product } else { p - product }) % p;
                }
            }
            let (mut left, mut right) = (a.clone(), sparse);
            prime.forward(&mut left);
            prime.forward(&mut right);
            let mut found: Vec<u64> = left.iter().zip(&right).map(|(a, b)| prime.times(*a, prime.factor(*b))).collect();
            prime.inverse(&mut found);
            assert_eq!(found, expected);
            prime.inverse(&mut left);
            assert_eq!(left, a, "there and back");
        }
    }
}

//! Seeded chance. Our own dozen lines, not a crate: a crate may change its stream between versions, and then
//! one seed would no longer mean the same files; and inlined generic ranges are slow in an unoptimised build.

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub struct Dice(u64);

impl Dice {
    /// Each stream of one seed is independent, so that files can be made in parallel and still be the same bytes.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        dice.next();
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..n`.
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True `n` times in 100,000.
    pub fn chance(&mut self, n: u32) -> bool {
        self.below(100_000) < n
    }

    /// `list` must not be empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u32) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn same_seed_same_stream_same_numbers() {
        let draw = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            (0..5).map(|_| dice.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn ranges_hold_and_are_used_whole() {
        let mut dice = Dice::new(1, 1);
        let mut seen = [false; 6];
        for _ in 0..1000 {
            seen[dice.between(3, 8) as usize - 3] = true;
        }
        assert_eq!(seen, [true; 6]);
    }
}

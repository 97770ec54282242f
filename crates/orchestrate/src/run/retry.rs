//! How long to wait before an attempt is made again.

use std::time::Duration;

/// Exponential backoff with full jitter: the wait is anything from nothing to a ceiling that doubles with each failure.
/// Of the ways to spread retries it costs the server the least work
/// (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// With the first one; 0 and 1 both mean that nothing is tried again.
    pub attempts_max: u32,
    /// The ceiling after the first failure.
    pub base: Duration,
    pub delay_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts_max: 5, base: Duration::from_secs(1), delay_max: Duration::from_secs(60) }
    }
}

impl Retry {
    /// In whole milliseconds; `attempt` is the one that failed, from 1.
    pub fn wait(&self, attempt: u32, rng: &mut fastrand::Rng) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let ceiling = self.base.saturating_mul(factor).min(self.delay_max);
        Duration::from_millis(rng.u64(0..=u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Each node has its own dice, so that its waits do not depend on what other nodes do at the same time.
pub(crate) fn dice(seed: u64, node: &str) -> fastrand::Rng {
    // FNV-1a: the same on every platform and in every version, unlike the standard library's hashers.
    let hash = node
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    fastrand::Rng::with_seed(seed ^ hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(retry: &Retry, attempt: u32) -> Vec<u128> {
        let mut rng = dice(7, "silver.a");
        (0..500).map(|_| retry.wait(attempt, &mut rng).as_millis()).collect()
    }

    #[test]
    fn the_ceiling_doubles_up_to_its_end_and_the_wait_is_anywhere_below() {
        let retry =
            Retry { attempts_max: 9, base: Duration::from_millis(100), delay_max: Duration::from_millis(1_000) };
        for (attempt, ceiling) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (40, 1_000), (u32::MAX, 1_000)] {
            let waits = waits(&retry, attempt);
            assert!(waits.iter().all(|wait| *wait <= ceiling), "attempt {attempt}");
            assert!(waits.iter().any(|wait| *wait < ceiling / 10) && waits.iter().any(|wait| *wait > ceiling * 9 / 10));
        }
    }

    #[test]
    fn waits_are_the_same_for_a_seed_and_a_node() {
        let retry = Retry::default();
        let first = |seed, node| retry.wait(5, &mut dice(seed, node));
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
    }

    #[test]
    fn no_limit_is_too_great() {
        let retry = Retry { attempts_max: 1, base: Duration::MAX, delay_max: Duration::MAX };
        retry.wait(3, &mut dice(0, ""));
    }
}

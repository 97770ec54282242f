//! Check digits of numbers that name people, by country: pure functions on ASCII bytes without separators.

pub(super) mod brazil;
pub(super) mod europe;
pub(super) mod vat;
pub(super) mod world;

/// The values of exactly `N` digits.
fn digits<const N: usize>(text: &[u8]) -> Option<[u32; N]> {
    let text: &[u8; N] = text.try_into().ok()?;
    text.iter().all(u8::is_ascii_digit).then(|| text.map(|c| u32::from(c - b'0')))
}

fn number(digits: &[u32]) -> u64 {
    digits.iter().fold(0, |n, digit| n * 10 + u64::from(*digit))
}

fn weighted(digits: &[u32], weights: impl IntoIterator<Item = u32>) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn all_same(digits: &[u32]) -> bool {
    digits.windows(2).all(|pair| pair[0] == pair[1])
}

/// ISO/IEC 7064, MOD 11,10: the check digit makes the hybrid product come out as 1.
fn mod_11_10(digits: &[u32]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, digit| match (digit + product) % 10 {
        0 => 10 * 2 % 11,
        sum => sum * 2 % 11,
    });
    (11 - product) % 10 == *check
}

/// Luhn's formula (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(digits: &[u32]) -> bool {
    let doubled = |digit: u32| digit * 2 / 10 + digit * 2 % 10;
    let worth = |(at, digit): (usize, &u32)| if at.is_multiple_of(2) { *digit } else { doubled(*digit) };
    digits.iter().rev().enumerate().map(worth).sum::<u32>().is_multiple_of(10)
}

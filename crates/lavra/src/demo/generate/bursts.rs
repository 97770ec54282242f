//! Stolen cards: one person's card, tried in several shops within ten minutes, while its owner sleeps.

use super::calendar::HOUR_MICROS;
use super::dice::Dice;
use super::payments::World;
use super::people::payers;

/// From the first payment of a burst to its last; the question asks for ten minutes.
const SECONDS: (u32, u32) = (200, 570);
const PAYMENTS: (u32, u32) = (8, 14);
const MERCHANTS: (u32, u32) = (4, 7);

pub struct Burst {
    pub day: u16,
    pub person: u32,
    pub payments: u32,
    /// All different.
    pub merchants: Vec<u32>,
    start_micros: u64,
    span_micros: u64,
}

impl Burst {
    /// When the payment at `place` is made, in microseconds since midnight.
    pub fn micros(&self, place: u32) -> u64 {
        self.start_micros + self.span_micros * u64::from(place) / u64::from(self.payments - 1)
    }
}

/// `count` bursts, each of another person.
pub fn plan(dice: &mut Dice, world: &World, count: usize) -> Vec<Burst> {
    let mut bursts: Vec<Burst> = Vec::with_capacity(count);
    while bursts.len() < count {
        let day = dice.below(world.days.len() as u32) as u16;
        let person = *dice.pick(&payers(world.people, day));
        if bursts.iter().any(|burst| burst.person == person) {
            continue;
        }
        let hour = u64::from(dice.between(3, 7));
        bursts.push(Burst {
            day,
            person,
            payments: dice.between(PAYMENTS.0, PAYMENTS.1),
            merchants: shops(dice, world.merchants.len() as u32),
            start_micros: hour * HOUR_MICROS + u64::from(dice.below(3_000)) * 1_000_000,
            span_micros: u64::from(dice.between(SECONDS.0, SECONDS.1)) * 1_000_000,
        });
    }
    bursts
}

fn shops(dice: &mut Dice, of: u32) -> Vec<u32> {
    let first = dice.below(of);
    let count = dice.between(MERCHANTS.0, MERCHANTS.1);
    // 37 and 800 have no factor in common, so the steps don't meet.
    (0..count).map(|step| (first + step * 37) % of).collect()
}

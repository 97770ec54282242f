//! Payments in the order in which they arrive, the same way for cards and PIX; what differs is in `Kind`.

use super::bursts::{self, Burst};
use super::calendar::{Day, HOUR_MICROS, per_day, per_hour};
use super::dice::Dice;
use super::facts::Facts;
use super::merchants::Merchant;
use super::people::{Person, payers};

/// No merchant: one person pays another.
pub const NOBODY: u32 = u32::MAX;

/// In 100,000: payments that arrive twice, and payments of a month's last two days that arrive in the month after.
const TWICE: u32 = 200;
const LATE: u32 = 2_500;

/// Amounts in cents at each sixteenth of all payments, before the merchant's price level; between two it is linear.
const AMOUNTS: [u32; 17] = [
    450, 900, 1_300, 1_800, 2_400, 3_000, 3_700, 4_500, 5_500, 6_800, 8_400, 10_500, 13_500, 18_000, 26_000, 42_000,
    95_000,
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    AmountNotPositive,
    AmountNoNumber,
    UnknownStatus,
    BrokenCpf,
    FieldMissing,
}

impl Fault {
    pub fn reason(self) -> &'static str {
        match self {
            Fault::AmountNotPositive => "amount not above zero",
            Fault::AmountNoNumber => "amount that is no number",
            Fault::UnknownStatus => "unknown status",
            Fault::BrokenCpf => "CPF with a wrong check digit",
            Fault::FieldMissing => "too few fields",
        }
    }
}

/// What sets card payments and PIX apart. Chances are in 100,000.
pub struct Kind {
    pub source: &'static str,
    pub stream: u64,
    pub statuses: &'static [(&'static str, u32)],
    pub faults: &'static [(Fault, u32)],
    pub without_merchant: u32,
    pub bursts: usize,
}

#[derive(Clone, Copy)]
pub struct Payment {
    pub number: u64,
    pub person: u32,
    pub merchant: u32,
    pub cents: i64,
    pub status: &'static str,
    pub day: u16,
    /// Since midnight UTC.
    pub micros: u64,
    pub fault: Option<Fault>,
}

/// The company's world, made once and read by both kinds.
pub struct World<'a> {
    pub seed: u64,
    pub people: &'a [Person],
    pub merchants: &'a [Merchant],
    pub days: &'a [Day],
}

pub struct Stream<'a> {
    kind: &'a Kind,
    world: &'a World<'a>,
    dice: Dice,
    per_day: Vec<usize>,
    bursts: Vec<Burst>,
    last_number: u64,
    again: Vec<Payment>,
    late: Vec<Payment>,
    pub facts: Facts,
}

impl<'a> Stream<'a> {
    /// `total` different payments over all days, bursts among them.
    pub fn new(kind: &'a Kind, world: &'a World<'a>, total: usize) -> Self {
        let mut dice = Dice::new(world.seed, kind.stream);
        let bursts = bursts::plan(&mut dice, world, kind.bursts);
        let in_bursts: usize = bursts.iter().map(|burst| burst.payments as usize).sum();
        let facts = Facts { bursts: bursts.len(), ..Facts::default() };
        let per_day = per_day(world.days, total.saturating_sub(in_bursts));
        Self { kind, world, dice, per_day, bursts, last_number: 0, again: Vec::new(), late: Vec::new(), facts }
    }

    /// What arrives on a day. To be called for each day once, in order.
    pub fn arrivals(&mut self, day: usize) -> Vec<Payment> {
        let mut arriving = std::mem::take(&mut self.again);
        let first_of_month = day > 0 && self.world.days[day - 1].left == 0;
        if first_of_month {
            arriving.append(&mut self.late);
        }
        let payers = payers(self.world.people, day as u16);
        for (hour, count) in per_hour(self.per_day[day]).into_iter().enumerate() {
            self.hour(&mut arriving, &payers, day, hour as u64, count);
        }
        self.bursts_of(&mut arriving, day);
        if day + 1 == self.world.days.len() {
            arriving.append(&mut self.again);
        }
        arriving
    }

    fn hour(&mut self, arriving: &mut Vec<Payment>, payers: &[u32], day: usize, hour: u64, count: usize) {
        let step = HOUR_MICROS / count.max(1) as u64;
        for place in 0..count as u64 {
            let micros = hour * HOUR_MICROS + place * step + u64::from(self.dice.below(step as u32));
            let person = *self.dice.pick(payers);
            let payment = self.payment(person, day as u16, micros);
            self.deliver(arriving, payment);
        }
    }

    fn payment(&mut self, person: u32, day: u16, micros: u64) -> Payment {
        // Half of the gateways know no fractions of a second.
        let micros = if micros & 1 == 0 { micros - micros % 1_000_000 } else { micros };
        let merchant = if self.dice.chance(self.kind.without_merchant) { NOBODY } else { self.merchant() };
        let cents = self.cents(merchant);
        let status = self.status();
        let fault = self.fault();
        Payment { number: self.number(), person, merchant, cents, status, day, micros, fault }
    }

    /// Most payments arrive once and at once; a faulty one is never doubled, so that the facts stay simple.
    fn deliver(&mut self, arriving: &mut Vec<Payment>, payment: Payment) {
        let source = self.kind.source;
        if let Some(fault) = payment.fault {
            self.facts.add_bad(source, fault.reason());
        } else if self.dice.chance(TWICE) {
            self.again.push(payment);
            *self.facts.duplicates.entry(source).or_default() += 1;
        }
        let day = usize::from(payment.day);
        let month_ends = self.world.days[day].left < 2 && self.world.days[day].month < 2;
        if month_ends && self.dice.chance(LATE) {
            self.late.push(payment);
            *self.facts.late.entry(source).or_default() += 1;
        } else {
            arriving.push(payment);
        }
    }

    fn bursts_of(&mut self, arriving: &mut Vec<Payment>, day: usize) {
        let bursts = std::mem::take(&mut self.bursts);
        for burst in bursts.iter().filter(|burst| usize::from(burst.day) == day) {
            for place in 0..burst.payments {
                let merchant = burst.merchants[place as usize % burst.merchants.len()];
                let status = if self.dice.chance(65_000) { "approved" } else { "declined" };
                let cents = i64::from(self.dice.between(18_000, 95_000));
                let (person, micros) = (burst.person, burst.micros(place));
                let number = self.number();
                arriving.push(Payment { number, person, merchant, cents, status, day: burst.day, micros, fault: None });
            }
        }
        self.bursts = bursts;
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A few shops have most customers.
    fn merchant(&mut self) -> u32 {
        let upto = self.dice.below(self.world.merchants.len() as u32);
        self.dice.below(upto + 1)
    }

    fn cents(&mut self, merchant: u32) -> i64 {
        let at = self.dice.below(16 << 10);
        let (low, high) = (AMOUNTS[(at >> 10) as usize], AMOUNTS[(at >> 10) as usize + 1]);
        let amount = low + (high - low) * (at & 1023) / 1024;
        let price = self.world.merchants.get(merchant as usize).map_or(100, |merchant| merchant.price);
        i64::from(amount * price / 100)
    }

    fn status(&mut self) -> &'static str {
        let mut at = self.dice.below(100_000);
        for (status, chance) in self.kind.statuses {
            if at < *chance {
                return status;
            }
            at -= chance;
        }
        "approved"
    }

    fn fault(&mut self) -> Option<Fault> {
        let mut at = self.dice.below(100_000);
        for (fault, chance) in self.kind.faults {
            if at < *chance {
                return Some(*fault);
            }
            at -= chance;
        }
        None
    }
}

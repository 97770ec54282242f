//! A made-up Brazilian payments company: customers, merchants, and three months of card and PIX payments, with the
//! dirt that real files have. The same seed makes the same bytes, whenever and wherever it runs; nobody in it exists,
//! though a CPF with right check digits may by chance be somebody's.

mod bursts;
mod calendar;
mod card;
mod customers;
mod dice;
mod documents;
mod facts;
mod merchants;
mod names;
mod payments;
mod people;
mod pix;
#[cfg(test)]
mod tests;
mod text;

pub use facts::Facts;

use anyhow::{Context, Result, anyhow};
use payments::World;
use people::Person;
use std::path::Path;

/// Of a hundred payments, how many are made by card; the others are PIX.
const CARD_PERCENT: usize = 60;
const BURSTS: usize = 40;

/// Writes the company's files under `dir/data`: `payments` different payments, of as many people as that feeds.
/// Files that are there are overwritten. On two cores a million payments take about two seconds.
pub fn write(dir: &Path, seed: u64, payments: usize) -> Result<Facts> {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).with_context(|| format!("making {}", data.display()))?;
    let people = people::people(seed, (payments / 50).clamp(400, 20_000));
    let merchants = merchants::merchants(seed);
    let days = calendar::days(seed);
    let world = World { seed, people: &people, merchants: &merchants, days: &days };
    let by_card = payments * CARD_PERCENT / 100;
    let card_kind = card::kind(BURSTS.min(by_card / 100));
    let pix_kind = pix::kind();

    let mut facts = who(&people);
    let (others, cards) = std::thread::scope(|scope| {
        let cards = scope.spawn(|| card::write(dir, &world, &card_kind, by_card));
        let others = || -> Result<[Facts; 3]> {
            let customers = customers::write(dir, seed, &people)?;
            let merchants = merchants::write(dir, seed, &merchants)?;
            Ok([customers, merchants, pix::write(dir, &world, &pix_kind, payments - by_card)?])
        };
        (others(), cards.join())
    });
    let [customers, merchants, pix] = others?;
    let cards = cards.map_err(|_| anyhow!("the thread that makes card payments broke off"))??;
    for part in [customers, merchants, cards, pix] {
        facts.extend(part);
    }
    Ok(facts)
}

/// What names the people, for whoever wants to look for it in the lake.
fn who(people: &[Person]) -> Facts {
    Facts {
        cpfs: people.iter().map(Person::cpf_text).collect(),
        emails: people.iter().map(|person| person.email.clone()).collect(),
        phones: people.iter().map(|person| person.phone.clone()).collect(),
        ..Facts::default()
    }
}

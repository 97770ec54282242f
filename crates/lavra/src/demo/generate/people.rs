//! Who pays: twenty thousand people, each with documents, a PIX key and the days in which they are a customer.

use super::dice::Dice;
use super::documents;
use super::names::{CARD_BINS, CITIES, City, FAMILY, GIVEN, MAIL_DOMAINS, ascii};
use super::text::digits;

/// What kind of PIX key a person registered.
const KEY_KINDS: [Key; 10] = [
    Key::Cpf,
    Key::Cpf,
    Key::Cpf,
    Key::Phone,
    Key::Phone,
    Key::Phone,
    Key::Email,
    Key::Email,
    Key::Random,
    Key::Random,
];
/// How often one pays compared with the rarest payer; most pay seldom.
const ACTIVITY: [u8; 8] = [1, 1, 1, 2, 2, 3, 4, 6];

enum Key {
    Cpf,
    Phone,
    Email,
    Random,
}

pub struct Person {
    /// `C0000123`
    pub id: [u8; 8],
    pub name: String,
    pub cpf: [u8; 11],
    pub card: [u8; 16],
    pub email: String,
    /// `+5511912345678`
    pub phone: String,
    pub pix_key: String,
    pub city: &'static City,
    /// Days (from the first of July) on which this person may pay: `from..until`.
    pub from: u16,
    pub until: u16,
    activity: u8,
}

impl Person {
    pub fn cpf_text(&self) -> String {
        self.cpf.map(char::from).iter().collect()
    }
}

pub fn people(seed: u64, count: usize) -> Vec<Person> {
    let mut dice = Dice::new(seed, 0x9E0);
    (0..count as u32).map(|number| person(&mut dice, number)).collect()
}

/// The people who may pay on a day, each as often as they are active. Never empty for a day of the calendar
/// as long as there are some hundreds of people.
pub fn payers(people: &[Person], day: u16) -> Vec<u32> {
    let mut payers = Vec::with_capacity(people.len() * 3);
    for (number, person) in people.iter().enumerate() {
        if person.from <= day && day < person.until {
            for _ in 0..person.activity {
                payers.push(number as u32);
            }
        }
    }
    payers
}

fn person(dice: &mut Dice, number: u32) -> Person {
    let mut id = vec![b'C'];
    digits(&mut id, u64::from(number) + 1, 7);
    let city = city(dice);
    let (given, family) = (*dice.pick(GIVEN), *dice.pick(FAMILY));
    let name = match dice.below(3) {
        0 => format!("{given} {} {family}", dice.pick(FAMILY)),
        1 => format!("{given} {} de {family}", dice.pick(GIVEN)),
        _ => format!("{given} {family}"),
    };
    let cpf = documents::cpf(cpf_root(number) * 10 + city.cpf_region);
    let email = format!("{}.{}{}@{}", ascii(given), ascii(family), number + 1, dice.pick(MAIL_DOMAINS));
    let phone = format!("+55{}9{}", city.area_code, dice.between(61_000_000, 99_999_999));
    let pix_key = match dice.pick(&KEY_KINDS) {
        Key::Cpf => cpf.map(char::from).iter().collect(),
        Key::Phone => phone.clone(),
        Key::Email => email.clone(),
        Key::Random => uuid(dice),
    };
    let (from, until) = lifetime(dice);
    let card = documents::card(*dice.pick(CARD_BINS), dice.below(1_000_000_000));
    let id = std::array::from_fn(|place| id[place]);
    Person { id, name, cpf, card, email, phone, pix_key, city, from, until, activity: *dice.pick(&ACTIVITY) }
}

/// Eight digits, different for each number below 10⁸: the multiplier has no factor in common with 10⁸.
fn cpf_root(number: u32) -> u32 {
    ((u64::from(number) * 48_271_927 + 31_415_926) % 100_000_000) as u32
}

fn city(dice: &mut Dice) -> &'static City {
    let mut at = dice.below(100);
    for city in CITIES {
        if at < city.share {
            return city;
        }
        at -= city.share;
    }
    &CITIES[0]
}

/// Most are there in July, others come with the months; a third leaves within five weeks, a fifth within ten.
fn lifetime(dice: &mut Dice) -> (u16, u16) {
    let from = match dice.below(100) {
        0..45 => 0,
        45..60 => dice.below(31),
        60..82 => 31 + dice.below(31),
        _ => 62 + dice.below(30),
    };
    let stays = match dice.below(100) {
        0..32 => dice.between(5, 35),
        32..52 => dice.between(36, 70),
        _ => 92,
    };
    (from as u16, (from + stays) as u16)
}

/// Version 4, RFC 9562.
fn uuid(dice: &mut Dice) -> String {
    let (high, low) = (dice.next(), dice.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFF,
        0x8000 | low >> 50,
        low & 0xFFFF_FFFF_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn people_differ_and_their_documents_are_whole() {
        let people = people(5, 3000);
        let cpfs: BTreeSet<_> = people.iter().map(|person| person.cpf).collect();
        assert_eq!(cpfs.len(), 3000);
        assert!(cpfs.iter().all(|cpf| cpf.iter().any(|digit| digit != &cpf[0])), "all digits alike is no CPF");
        assert_eq!(&people[41].id, b"C0000042");
        for person in &people {
            let first_nine = person.cpf_text()[..9].parse::<u32>().unwrap_or(0);
            assert_eq!(documents::cpf(first_nine), person.cpf);
            assert_eq!(person.phone.len(), 14);
        }
    }

    #[test]
    fn every_day_has_payers_and_some_leave() {
        let people = people(5, 400);
        for day in 0..92 {
            assert!(payers(&people, day).len() > 200);
        }
        assert!(people.iter().any(|person| person.until < 92));
    }

    #[test]
    fn random_keys_are_uuids_of_version_four() {
        let key = uuid(&mut Dice::new(1, 1));
        assert_eq!(key.len(), 36);
        assert_eq!(&key[14..15], "4");
        assert!("89ab".contains(&key[19..20]));
    }
}

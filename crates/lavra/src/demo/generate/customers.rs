//! `data/customers.csv`: as a spreadsheet in Brazil saves it, Windows-1252, `;` between fields, CRLF, and dirt.

use super::dice::Dice;
use super::documents::{cpf_broken, cpf_dotted};
use super::facts::{Facts, FileFact};
use super::names::STREETS;
use super::people::Person;
use super::text::{csv_field, windows_1252};
use anyhow::{Context, Result};
use std::path::Path;

pub const SOURCE: &str = "customers";
const PATH: &str = "data/customers.csv";
const HEADER: &str = "customer_id;name;cpf;email;phone;pix_key;birth_date;address;city;state;created_at\r\n";

/// In 100,000: rows that break the contract, and rows with a field too few or too many.
const BAD: u32 = 300;
const RAGGED: u32 = 80;

enum Fault {
    CheckDigit,
    Letters,
    BirthInFuture,
    BirthImpossible,
    NameMissing,
    FieldMissing,
    FieldExtra,
}

impl Fault {
    fn reason(&self) -> &'static str {
        match self {
            Fault::CheckDigit => "CPF with a wrong check digit",
            Fault::Letters => "CPF with a letter",
            Fault::BirthInFuture => "birth date in the future",
            Fault::BirthImpossible => "birth date that is no date",
            Fault::NameMissing => "name missing",
            Fault::FieldMissing => "too few fields",
            Fault::FieldExtra => "too many fields",
        }
    }
}

pub fn write(dir: &Path, seed: u64, people: &[Person]) -> Result<Facts> {
    let mut dice = Dice::new(seed, 0xC057);
    let mut facts = Facts::default();
    let mut text = String::with_capacity(people.len() * 220);
    text.push_str(HEADER);
    for person in people {
        let fault = fault(&mut dice);
        if let Some(fault) = &fault {
            facts.add_bad(SOURCE, fault.reason());
        }
        row(&mut text, &mut dice, person, fault.as_ref());
    }
    let bytes = windows_1252(&text);
    std::fs::write(dir.join(PATH), &bytes).with_context(|| format!("writing {PATH}"))?;
    facts.files.push(FileFact { source: SOURCE, path: PATH.into(), rows: people.len(), bytes: bytes.len() as u64 });
    Ok(facts)
}

fn fault(dice: &mut Dice) -> Option<Fault> {
    match dice.below(100_000) {
        0..BAD => Some(match dice.below(5) {
            0 => Fault::CheckDigit,
            1 => Fault::Letters,
            2 => Fault::BirthInFuture,
            3 => Fault::BirthImpossible,
            _ => Fault::NameMissing,
        }),
        at if at < BAD + RAGGED => Some(if at % 2 == 0 { Fault::FieldMissing } else { Fault::FieldExtra }),
        _ => None,
    }
}

fn row(text: &mut String, dice: &mut Dice, person: &Person, fault: Option<&Fault>) {
    let id: String = person.id.map(char::from).iter().collect();
    let name = if matches!(fault, Some(Fault::NameMissing)) { "" } else { person.name.as_str() };
    let birth = birth_date(dice, fault);
    let mut fields = vec![
        id,
        name.to_owned(),
        cpf(dice, person, fault),
        person.email.clone(),
        phone(dice, &person.phone),
        person.pix_key.clone(),
        birth,
        address(dice),
        person.city.name.to_owned(),
        person.city.state.to_owned(),
        created_at(dice),
    ];
    match fault {
        Some(Fault::FieldMissing) => drop(fields.pop()),
        Some(Fault::FieldExtra) => fields.push("???".into()),
        _ => {}
    }
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            text.push(';');
        }
        csv_field(text, field, ';');
    }
    text.push_str("\r\n");
}

/// Mostly with its dots, as people type it; some programs leave only the digits.
fn cpf(dice: &mut Dice, person: &Person, fault: Option<&Fault>) -> String {
    let number = match fault {
        Some(Fault::CheckDigit) => cpf_broken(&person.cpf).map(char::from).iter().collect(),
        _ => person.cpf_text(),
    };
    let mut written = if dice.chance(12_000) { number } else { cpf_dotted(&number) };
    if matches!(fault, Some(Fault::Letters)) {
        written.replace_range(2..3, "O");
    }
    written
}

fn phone(dice: &mut Dice, phone: &str) -> String {
    if dice.chance(30_000) {
        return phone.to_owned();
    }
    format!("+55 ({}) {}-{}", &phone[3..5], &phone[5..10], &phone[10..])
}

fn birth_date(dice: &mut Dice, fault: Option<&Fault>) -> String {
    let (month, day) = (dice.between(1, 12), dice.between(1, 28));
    match fault {
        Some(Fault::BirthImpossible) => "31/02/1990".into(),
        Some(Fault::BirthInFuture) => format!("{}-{month:02}-{day:02}", dice.between(2030, 2099)),
        // Two draws make the middle ages likelier than both ends.
        _ => format!("{}-{month:02}-{day:02}", 1940 + dice.below(34) + dice.below(35)),
    }
}

/// Some need quotes: a `;`, a quotation mark, or a second line.
fn address(dice: &mut Dice) -> String {
    let (street, number) = (*dice.pick(STREETS), dice.between(1, 4999));
    match dice.below(40) {
        0..6 => format!("{street}, {number}; apto {}", dice.between(11, 304)),
        6 => format!("{street}, {number}\nBloco {}", dice.pick(&["A", "B", "C"])),
        7 => format!("{street} \"de Cima\", {number}"),
        8 => format!("{street}, s/nº – fundos"),
        _ => format!("{street}, {number}"),
    }
}

fn created_at(dice: &mut Dice) -> String {
    let (year, month, day) = (dice.between(2019, 2025), dice.between(1, 12), dice.between(1, 28));
    let (hour, minute, second) = (dice.below(24), dice.below(60), dice.below(60));
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::super::people::people;
    use super::*;

    #[test]
    fn rows_are_as_long_as_the_header_but_for_the_ragged() -> Result<()> {
        let mut dice = Dice::new(2, 2);
        let person = &people(2, 1)[0];
        for (fault, fields) in [(None, 11), (Some(Fault::FieldMissing), 10), (Some(Fault::FieldExtra), 12)] {
            let mut text = String::new();
            row(&mut text, &mut dice, person, fault.as_ref());
            let quoted = text.contains('"');
            assert!(quoted || text.matches(';').count() + 1 == fields, "{text}");
        }
        Ok(())
    }

    #[test]
    fn faults_show() {
        let mut dice = Dice::new(2, 2);
        let person = &people(2, 1)[0];
        assert!(cpf(&mut dice, person, Some(&Fault::Letters)).contains('O'));
        assert_eq!(birth_date(&mut dice, Some(&Fault::BirthImpossible)), "31/02/1990");
        assert!(birth_date(&mut dice, Some(&Fault::BirthInFuture)).as_str() > "2030");
        assert!(birth_date(&mut dice, None).as_str() < "2010");
        assert_eq!(phone(&mut Dice::new(1, 3), "+5511912345678").replace([' ', '(', ')', '-'], ""), "+5511912345678");
    }
}

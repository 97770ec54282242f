//! `data/merchants.ndjson`: eight hundred shops, half of the newer ones with the alphanumeric CNPJ; and
//! `data/merchants-2026-09.ndjson`: those that moved.

use super::dice::Dice;
use super::documents::{CNPJ_ALPHABET, cnpj, cnpj_dotted};
use super::facts::{Facts, FileFact};
use super::names::{CATEGORIES, CITIES, FAMILY};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;

pub const SOURCE: &str = "merchants";
pub const COUNT: usize = 800;
const PATH: &str = "data/merchants.ndjson";
const MOVED: &str = "data/merchants-2026-09.ndjson";
/// Of so many shops one moved: this one, for it has no dirt.
const ONE_MOVED_OF: usize = 40;
const MOVER: usize = 7;

pub struct Merchant {
    /// `M0042`
    pub id: [u8; 5],
    category: usize,
    /// Percent of the usual amount.
    pub price: u32,
}

pub fn merchants(seed: u64) -> Vec<Merchant> {
    let mut dice = Dice::new(seed, 0x3E2C);
    (1..=COUNT)
        .map(|number| {
            let text = format!("M{number:04}");
            let category = dice.below(CATEGORIES.len() as u32) as usize;
            let price = CATEGORIES[category].2 * dice.between(70, 130) / 100;
            Merchant { id: std::array::from_fn(|place| text.as_bytes()[place]), category, price }
        })
        .collect()
}

/// The dirt sits on fixed lines: two wrong check digits, two unknown categories, two lines cut off.
pub fn write(dir: &Path, seed: u64, merchants: &[Merchant]) -> Result<Facts> {
    let mut dice = Dice::new(seed, 0x5408);
    let mut facts = Facts::default();
    let (mut text, mut moved) = (String::with_capacity(merchants.len() * 260), String::new());
    let mut moves = Dice::new(seed, 0x30E5);
    for (number, merchant) in merchants.iter().enumerate() {
        let reason = match number {
            97 | 411 => Some("CNPJ with a wrong check digit"),
            203 | 640 => Some("unknown category"),
            333 | 777 => Some("line that is no JSON"),
            _ => None,
        };
        let shop = shop(&mut dice, merchant, reason);
        let mut line = shop.to_string();
        if let Some(reason) = reason {
            facts.add_bad(SOURCE, reason);
            if reason.contains("JSON") {
                line.truncate(line.find("category").unwrap_or(20));
            }
        }
        text.push_str(&line);
        text.push('\n');
        if number % ONE_MOVED_OF == MOVER {
            moved.push_str(&elsewhere(&mut moves, shop).to_string());
            moved.push('\n');
        }
    }
    for (path, text) in [(PATH, text), (MOVED, moved)] {
        let rows = text.lines().count();
        std::fs::write(dir.join(path), &text).with_context(|| format!("writing {path}"))?;
        facts.files.push(FileFact { source: SOURCE, path: path.into(), rows, bytes: text.len() as u64 });
    }
    Ok(facts)
}

/// The same shop in another city.
fn elsewhere(dice: &mut Dice, mut shop: Value) -> Value {
    let here = shop["location"]["city"].as_str().unwrap_or_default().to_owned();
    let city = loop {
        let city = dice.pick(CITIES);
        if city.name != here {
            break city;
        }
    };
    shop["location"] = json!({ "city": city.name, "state": city.state });
    shop["known_since"] = json!("2026-09-01T03:00:00Z");
    shop
}

fn shop(dice: &mut Dice, merchant: &Merchant, reason: Option<&str>) -> Value {
    let (category, shops, _) = CATEGORIES[merchant.category];
    let city = dice.pick(CITIES);
    // The alphanumeric form is given out since July 2026.
    let new = dice.chance(15_000);
    let opened_on = match new {
        true => format!("2026-{:02}-{:02}", dice.between(7, 9), dice.between(1, 28)),
        false => format!("{}-{:02}-{:02}", dice.between(1996, 2025), dice.between(1, 12), dice.between(1, 28)),
    };
    let mut cnpj = cnpj(cnpj_root(dice, new));
    if reason.is_some_and(|reason| reason.contains("CNPJ")) {
        let right = cnpj.pop().unwrap_or('0');
        cnpj.push(if right == '9' { '0' } else { '9' });
    }
    let id: String = merchant.id.map(char::from).iter().collect();
    json!({
        "merchant_id": id,
        "cnpj": cnpj_dotted(&cnpj),
        "legal_name": format!("{} {} {}", dice.pick(shops), dice.pick(FAMILY), dice.pick(&["Ltda", "S.A.", "& Filhos Ltda", "ME"])),
        "category": if reason == Some("unknown category") { "???" } else { category },
        "opened_on": opened_on,
        "location": { "city": city.name, "state": city.state },
        "known_since": "2026-07-01T03:00:00Z",
    })
}

/// Eight characters of the company and `0001`, its first shop.
fn cnpj_root(dice: &mut Dice, alphanumeric: bool) -> [u8; 12] {
    let alphabet = if alphanumeric { CNPJ_ALPHABET } else { &CNPJ_ALPHABET[..10] };
    let mut root = *b"000000000001";
    for place in &mut root[..8] {
        *place = *dice.pick(alphabet);
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_has_a_right_cnpj() {
        let merchant = &merchants(1)[0];
        let mut dice = Dice::new(1, 9);
        for _ in 0..50 {
            let value = shop(&mut dice, merchant, None);
            assert_eq!(value["merchant_id"], "M0001");
            assert!(value["location"]["state"].is_string());
            let bare: Vec<u8> =
                value["cnpj"].as_str().unwrap_or("").bytes().filter(u8::is_ascii_alphanumeric).collect();
            let root: [u8; 12] = std::array::from_fn(|place| bare[place]);
            assert_eq!(cnpj(root).as_bytes(), bare);
        }
    }
}

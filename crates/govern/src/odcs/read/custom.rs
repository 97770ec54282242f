//! The custom properties that mean something here.

use super::notes::Notes;
use super::words;
use crate::odcs::model::CustomProperty;
use crate::odcs::{
    DECIMAL_SEPARATOR, ENCRYPT, HOLDS_PERSONAL_DATA, MASK, ON_PERSONAL_DATA, ON_VIOLATION, OWNER, SCHEMA_CHANGE,
};
use kernel::contract::{MaskSpec, OnPersonalData, OnViolation, SchemaChange};
use kernel::suggest;

/// What is done with rows and columns that break the contract, where it is said.
#[derive(Default)]
pub(super) struct Policy {
    pub on_violation: Option<OnViolation>,
    pub schema_change: Option<SchemaChange>,
    pub on_personal_data: Option<OnPersonalData>,
}

/// What a column says of itself.
#[derive(Default)]
pub(super) struct Own {
    pub mask: Option<MaskSpec>,
    pub decimal_comma: bool,
    pub not_personal: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Level {
    Contract,
    Table,
    Column,
}

const PLACES: [(&str, &[Level], &str); 8] = [
    (MASK, &[Level::Column], "a column"),
    (ENCRYPT, &[Level::Column], "a column"),
    (DECIMAL_SEPARATOR, &[Level::Column], "a column"),
    (HOLDS_PERSONAL_DATA, &[Level::Column], "a column"),
    (ON_PERSONAL_DATA, &[Level::Table, Level::Contract], "a table or the contract"),
    (ON_VIOLATION, &[Level::Table, Level::Contract], "a table or the contract"),
    (SCHEMA_CHANGE, &[Level::Table, Level::Contract], "a table or the contract"),
    (OWNER, &[Level::Contract], "the contract"),
];

/// Names of ours in the wrong place or written twice, and names that are nearly ours: a mask that is not read hides
/// nothing.
pub(super) fn misplaced(customs: Option<&[CustomProperty]>, path: &str, level: Level, notes: &mut Notes) {
    let all = customs.unwrap_or_default();
    for (place, custom) in all.iter().enumerate() {
        let here = format!("{path}[{place}].property");
        match PLACES.iter().find(|(name, ..)| *name == custom.property) {
            Some((name, levels, owner)) if !levels.contains(&level) => {
                notes.error(&here, format!("`{name}` says nothing here: it belongs to {owner}"));
            }
            Some((name, ..)) if all[..place].iter().any(|other| other.property == *name) => {
                notes.error(&here, format!("`{name}` is written twice"));
            }
            Some(_) | None => {}
        }
    }
    near_misses(customs, path, level, notes);
}

/// Names that are ours but for a slip are errors; those that only come near are warned of.
pub(super) fn near_misses(customs: Option<&[CustomProperty]>, path: &str, level: Level, notes: &mut Notes) {
    for (place, custom) in customs.into_iter().flatten().enumerate() {
        let (name, here) = (custom.property.as_str(), format!("{path}[{place}].property"));
        if PLACES.iter().any(|(ours, ..)| *ours == name) {
            continue;
        }
        let message = format!("`{}` means nothing to Lavra", notes.written(&here));
        if let Some((ours, ..)) = PLACES.iter().find(|(ours, ..)| is_slip(name, ours)) {
            notes.error_help(&here, message, format!("did you mean `{ours}`?"));
            continue;
        }
        let ours = PLACES.iter().filter(|(_, levels, _)| levels.contains(&level)).map(|(name, ..)| *name);
        if let Some(near) = suggest::nearest(name, ours) {
            notes.warn(&here, format!("{message}; did you mean `{near}`?"));
        }
    }
}

/// Whether `name` is `ours` with other capitals, other separators, an ending, or a letter or two that slipped.
fn is_slip(name: &str, ours: &str) -> bool {
    let bare = |text: &str| -> String { text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect() };
    let (name, ours) = (bare(name), bare(ours));
    let slips = if ours.len() > 5 { 2 } else { 1 };
    let is_longer_mask = ours == MASK && name.starts_with(MASK);
    let is_near = name.starts_with(&ours[..1]) && suggest::slips(&name, &ours) <= slips;
    is_longer_mask || is_near
}

pub(super) fn policy(customs: Option<&[CustomProperty]>, path: &str, notes: &mut Notes) -> Policy {
    let mut policy = Policy::default();
    for (place, custom) in customs.into_iter().flatten().enumerate() {
        let here = format!("{path}[{place}].value");
        match custom.property.as_str() {
            ON_VIOLATION => policy.on_violation = word(&here, &words::ON_VIOLATION, notes),
            SCHEMA_CHANGE => policy.schema_change = word(&here, &words::SCHEMA_CHANGE, notes),
            ON_PERSONAL_DATA => policy.on_personal_data = word(&here, &words::ON_PERSONAL_DATA, notes),
            _ => {}
        }
    }
    policy
}

fn word<T: Copy>(path: &str, words: &[(&str, T)], notes: &mut Notes) -> Option<T> {
    let text = notes.text(path);
    let found = words.iter().find(|(word, _)| Some(*word) == text);
    if found.is_none() {
        let message = format!("unknown value `{}`", notes.written(path));
        notes.unknown(path, message, words.iter().map(|(word, _)| *word));
    }
    found.map(|(_, value)| *value)
}

pub(super) fn column(customs: Option<&[CustomProperty]>, path: &str, notes: &mut Notes) -> Own {
    let mut own = Own::default();
    for (place, custom) in customs.into_iter().flatten().enumerate() {
        let here = format!("{path}[{place}].value");
        match custom.property.as_str() {
            MASK | ENCRYPT if own.mask.is_some() => {
                // One that is written twice is told elsewhere.
                let mut before = customs.into_iter().flatten().take(place);
                if before.all(|other| other.property != custom.property) {
                    notes.error(&here, "a column has one mask: `mask` or `encrypt`, not both");
                }
            }
            MASK => own.mask = mask(&here, notes),
            ENCRYPT => own.mask = encrypt(&here, notes),
            DECIMAL_SEPARATOR => match notes.text(&here) {
                Some(",") => own.decimal_comma = true,
                Some(".") => {}
                _ => notes.error(&here, "a decimal separator is `,` or `.`, in quotes"),
            },
            HOLDS_PERSONAL_DATA => match notes.text(&here) {
                Some("false") => own.not_personal = true,
                _ => notes.error_help(
                    &here,
                    "this says `false`, or nothing",
                    "a column that holds personal data has a `classification`, as in `personal.cpf`",
                ),
            },
            _ => {}
        }
    }
    own
}

/// The scope of columns that name none.
const SUMS: &str = "sums";

const HOW: &str = "write it as `homomorphic`, or as `{ mode: homomorphic, scope: amounts, max: 100000.00 }`";

/// `encrypt: homomorphic`, which is `mask: encrypt(sums, homomorphic)`; or with a scope and the largest value.
fn encrypt(path: &str, notes: &mut Notes) -> Option<MaskSpec> {
    let of = |key: &str, notes: &Notes| notes.text(&format!("{path}.{key}")).map(str::to_owned);
    let word = notes.text(path).map(str::to_owned);
    let keys = ["mode", "scope", "max"].map(|key| of(key, notes));
    let known = keys.iter().flatten().count();
    let [mode, scope, max] = keys;
    let Some(mode) = word.or(mode).filter(|_| notes.keys(path) == known) else {
        notes.error_help(path, "this is no way to encrypt a column", HOW);
        return None;
    };
    let max = max.map(|max| format!(", max: {max}")).unwrap_or_default();
    let scope = scope.unwrap_or_else(|| SUMS.to_owned());
    match MaskSpec::parse(&format!("encrypt({scope}, {mode}{max})")) {
        Ok(mask) => Some(mask),
        Err(_) => {
            notes.error_help(path, "this is no way to encrypt a column", HOW);
            None
        }
    }
}

/// A mask that can't be read is an error whatever the reason: what is not masked is stored raw.
fn mask(path: &str, notes: &mut Notes) -> Option<MaskSpec> {
    let Some(text) = notes.text(path) else {
        notes.error_help(path, "a mask is text", "write it as `redact` or `pseudonym(person)`");
        return None;
    };
    match MaskSpec::parse(text) {
        Ok(mask) => Some(mask),
        Err(_) => {
            let message = format!("`{}` is not a mask", notes.written(path));
            notes.error_help(
                path,
                message,
                "write it as `redact`, `pseudonym(person)` or `partial(first: 6, last: 4)`",
            );
            None
        }
    }
}

//! `policies/holds.yaml`: what the law keeps, whoever asks to be forgotten and however old it is; and what a hold reaches.

use super::compile::{Check, Source};
use super::terms::LegalHold;
use chrono::NaiveDate;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{self, Draft};
use kernel::{TableName, suggest};
use lake::Model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `policies/holds.yaml`: holds by names of your own.
pub type Holds = BTreeMap<String, Hold>;

#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The table that is kept as it is, with its quarantine and what is made of it: `bronze.payments`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The person whose rows are kept, by the name that `lavra subject locate` shows: `s1_…`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The last day, as 2031-12-31
    pub until: String,
    /// Why: the law, the case, the request
    pub reason: String,
    /// Who ordered it
    pub by: String,
}

const FILE: &str = "policies/holds.yaml";

impl Check<'_> {
    pub fn holds(&mut self, sources: &[Source], models: &[Model]) -> Holds {
        let Some(text) = self.files.texts.get(FILE).cloned() else { return Holds::new() };
        let env = self.env;
        let read = draft::read::<Holds>(FILE, &text, &|name| env(name));
        let Some(draft) = self.keep(read) else { return Holds::new() };
        let broken = self.broken.iter().map(ToString::to_string);
        let known = sources.iter().map(|s| s.table.to_string()).chain(models.iter().map(|m| m.name.to_string()));
        self.found.extend(faults(&draft, &known.chain(broken).collect()));
        draft.value
    }
}

fn faults(draft: &Draft<Holds>, tables: &BTreeSet<String>) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for (name, hold) in &draft.value {
        let at = |key: &str| format!("[\"{name}\"].{key}");
        let mut tell = |key: &str, message: &str, help: Option<String>| {
            faults.push(draft.fault(&at(key), message).help(help));
        };
        match (&hold.table, &hold.subject) {
            (None, None) | (Some(_), Some(_)) => {
                let fault = draft.key_fault(&format!("[\"{name}\"]"), "a hold is on a table or on a person");
                faults.push(fault.help(Some("write `table: bronze.payments`, or `subject: s1_…`")));
                continue;
            }
            (Some(table), None) if !tables.contains(table) => {
                tell("table", "the project has no such table", suggest::hint(table, tables.iter().map(String::as_str)));
            }
            (None, Some(subject)) if !privacy::subject::is_pseudonym(subject) => {
                let help = "write the name that `lavra subject locate` shows, never the person's own number";
                tell("subject", "this is no person's name", Some(help.into()));
            }
            _ => {}
        }
        if NaiveDate::parse_from_str(&hold.until, "%Y-%m-%d").is_err() {
            tell("until", "this is no day", Some("write it as 2031-12-31".into()));
        }
        for (key, text) in [("reason", &hold.reason), ("by", &hold.by)] {
            if text.trim().is_empty() {
                tell(key, "a hold says why, and who ordered it", None);
            }
        }
    }
    faults
}

impl Hold {
    fn legal(&self) -> LegalHold {
        LegalHold { until: self.until.clone(), reason: self.reason.clone(), by: Some(self.by.clone()) }
    }
}

/// What is held on a day.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Tables, their quarantines, and all that is made of them: the next run would make these again.
    pub tables: BTreeMap<TableName, LegalHold>,
    /// People, by the names that only the keys lead to.
    pub people: BTreeMap<String, LegalHold>,
}

impl Held {
    /// What is held on `today`, written as 2026-07-31.
    pub fn on(today: &str, holds: &Holds, sources: &[Source], models: &[Model]) -> Self {
        let stands = |hold: &LegalHold| hold.until.as_str() >= today;
        let mut held = Self::default();
        let mut named: BTreeMap<String, LegalHold> = BTreeMap::new();
        for hold in holds.values().filter(|hold| stands(&hold.legal())) {
            match (&hold.table, &hold.subject) {
                (Some(table), _) => longer(&mut named, table.clone(), hold.legal()),
                (None, Some(subject)) => longer(&mut held.people, subject.clone(), hold.legal()),
                (None, None) => {}
            }
        }
        for source in sources {
            if let Some(hold) = source.terms.hold.as_ref().filter(|hold| stands(hold)) {
                longer(&mut named, source.table.to_string(), hold.clone());
            }
        }
        // A model keeps its rows only as long as those are there that it is made of.
        for model in models.iter().rev() {
            if let Some(hold) = named.get(&model.name.to_string()).cloned() {
                model.reads.iter().for_each(|name| longer(&mut named, name.to_string(), hold.clone()));
            }
        }
        for source in sources {
            if let Some(hold) = named.get(&source.table.to_string()) {
                longer(&mut held.tables, source.table.clone(), hold.clone());
                longer(&mut held.tables, source.table.quarantine(), hold.clone());
            }
        }
        for model in models {
            let own = named.get(&model.name.to_string()).into_iter();
            let longest =
                own.chain(model.reads.iter().filter_map(|name| held.tables.get(name))).max_by_key(|h| &h.until);
            if let Some(hold) = longest.cloned() {
                longer(&mut held.tables, model.name.clone(), hold);
            }
        }
        held
    }

    /// The hold that keeps a row of a table with personal data from going by its age: nobody can say whose a row is
    /// without the person's own number, so that a person who is held keeps everybody's rows.
    pub fn of_anybody(&self) -> Option<&LegalHold> {
        self.people.values().max_by_key(|hold| &hold.until)
    }
}

/// Of two holds on the same thing the one counts that stands longer.
fn longer<K: Ord>(all: &mut BTreeMap<K, LegalHold>, key: K, hold: LegalHold) {
    let is_longer = all.get(&key).is_none_or(|other| other.until < hold.until);
    if is_longer {
        all.insert(key, hold);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(hold: &str) -> String {
        let text = format!("tax: {{ until: 2031-12-31, reason: audit, by: legal, {hold} }}\n");
        let draft = draft::read::<Holds>(FILE, &text, &|_| None).expect("holds");
        let tables = BTreeSet::from(["bronze.payments".to_owned()]);
        faults(&draft, &tables).iter().map(|fault| fault.render(&text)).collect()
    }

    #[test]
    fn a_hold_that_holds_nothing_is_told() {
        assert_eq!(told("table: bronze.payments"), "");
        assert!(told("table: bronze.payment").contains("did you mean `bronze.payments`?"));
        assert!(told("subject: '52998224725'").contains("never the person's own number"));
        assert_eq!(told("subject: s1_aaaaaaaaaaaaaaaaaaaaaaaaaa"), "");
        assert!(
            told("table: bronze.payments, subject: s1_aaaaaaaaaaaaaaaaaaaaaaaaaa").contains("table or on a person")
        );
    }
}

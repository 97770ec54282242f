//! One person, with what is needed to look for them.

use super::holder::{Holder, holders};
use super::marks::Marks;
use crate::project::LegalHold;
use crate::wiring::Wiring;
use kernel::TableName;
use kernel::error::Result;
use kernel::keys::KeyProvider;
use lake::ColumnRef;
use privacy::subject::{Subject, check_kind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub struct Case {
    pub wiring: Arc<Wiring>,
    pub keys: Arc<dyn KeyProvider>,
    pub subject: Subject,
    pub pseudonym: String,
    pub marks: Marks,
    /// Places beside the lake's tables.
    pub holders: Vec<Box<dyn Holder>>,
}

impl Case {
    /// Reads the project's contracts for where such a person can be. Refuses a kind that no contract names.
    pub async fn open(wiring: Arc<Wiring>, kind: &str, typed: &str) -> Result<Self> {
        check_kind(kind, kinds_of(&wiring))?;
        let keys: Arc<dyn KeyProvider> = wiring.open_keys().await?;
        let vault = Some(wiring.vault.clone());
        let subject = Subject::read(kind, typed)?;
        let pseudonym = subject.pseudonym(keys.as_ref())?;
        let marks = |linked: &BTreeMap<ColumnRef, BTreeSet<String>>| {
            Marks::of_project(&wiring.project, &subject, &keys, vault.as_deref(), linked)
        };
        let alone = marks(&BTreeMap::new())?;
        let linked = super::find::linked(&wiring, &alone).await?;
        let marks = if linked.is_empty() { alone } else { marks(&linked)? };
        let holders = holders(&wiring, &keys, vault);
        Ok(Self { keys, subject, pseudonym, marks, holders, wiring })
    }

    /// What the commits of this person's erasure say.
    pub fn note(&self) -> String {
        format!("erase {}", self.pseudonym)
    }

    /// The tables that the law keeps as they are today: those of contracts with a hold, and what is made of them, which
    /// the next run would make again.
    pub fn holds(&self) -> BTreeMap<TableName, LegalHold> {
        let today: String = crate::show::rfc3339(self.wiring.clock.now().0).chars().take(10).collect();
        let mut held = BTreeMap::new();
        for source in &self.wiring.project.sources {
            if let Some(hold) = source.terms.hold.as_ref().filter(|hold| hold.until >= today) {
                held.insert(source.table.clone(), hold.clone());
                held.insert(source.table.quarantine(), hold.clone());
            }
        }
        for model in &self.wiring.project.models {
            let longest = model.reads.iter().filter_map(|name| held.get(name)).max_by_key(|hold| &hold.until).cloned();
            if let Some(hold) = longest {
                held.insert(model.name.clone(), hold);
            }
        }
        held
    }
}

/// The kinds of personal data that contracts name.
fn kinds_of(wiring: &Wiring) -> BTreeSet<&str> {
    let properties = wiring.project.sources.iter().flat_map(|source| &source.entity.properties);
    let classes = properties.filter_map(|property| property.classification.as_ref());
    classes.filter(|class| class.is_personal()).filter_map(|class| class.kind()).collect()
}

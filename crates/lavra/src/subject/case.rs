//! One person, with what is needed to look for them.

use super::forms::{self, Forms};
use super::holder::{Holder, holders};
use super::marks::Marks;
use crate::project::{Held, LegalHold};
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
    /// How columns were classified and masked when their rows came in.
    forms: Forms,
    /// What the law keeps today.
    pub held: Held,
    /// Places beside the lake's tables.
    pub holders: Vec<Box<dyn Holder>>,
}

impl Case {
    /// Reads the project's contracts, and what tables say of earlier ones, for where such a person can be. Refuses a kind
    /// that none of them names.
    pub async fn open(wiring: Arc<Wiring>, kind: &str, typed: &str) -> Result<Self> {
        let forms = forms::of_project(&wiring).await?;
        check_kind(kind, kinds_of(&wiring, &forms))?;
        let keys: Arc<dyn KeyProvider> = wiring.open_keys().await?;
        let vault = Some(wiring.vault.clone());
        let subject = Subject::read(kind, typed)?;
        let pseudonym = subject.pseudonym(keys.as_ref())?;
        let marks = |linked: &BTreeMap<ColumnRef, BTreeSet<String>>| {
            Marks::of_project(&wiring.project, &forms, &subject, &keys, vault.as_deref(), linked)
        };
        let alone = marks(&BTreeMap::new())?;
        let linked = super::find::linked(&wiring, &alone).await?;
        let marks = if linked.is_empty() { alone } else { marks(&linked)? };
        let holders = holders(&wiring, &forms, &keys, vault);
        let held = wiring.held();
        Ok(Self { keys, subject, pseudonym, marks, forms, held, holders, wiring })
    }

    /// What the commits of this person's erasure say.
    pub fn note(&self) -> String {
        note(&self.pseudonym)
    }

    /// Why the law keeps the person's rows of a table.
    pub fn hold_on(&self, table: &TableName) -> Option<&LegalHold> {
        self.hold_on_person().or_else(|| self.held.tables.get(table))
    }

    /// Why the law keeps all of the person's rows.
    pub fn hold_on_person(&self) -> Option<&LegalHold> {
        self.held.people.get(&self.pseudonym)
    }

    /// The scopes of masks of tables that are kept: what opens their values is kept with them.
    pub fn scopes_held(&self) -> BTreeSet<String> {
        let sources = self.wiring.project.sources.iter().filter(|source| self.held.tables.contains_key(&source.table));
        let masks = sources.flat_map(|source| &source.entity.properties).filter_map(|p| p.mask.as_ref());
        let had = self.forms.iter().filter(|(column, _)| self.held.tables.contains_key(&column.table));
        let had = had.flat_map(|(_, forms)| forms).filter_map(|form| form.mask.as_ref());
        masks.chain(had).filter_map(|mask| mask.arg("scope", 0)).map(str::to_owned).collect()
    }
}

/// What the commits of a person's erasure say.
pub fn note(pseudonym: &str) -> String {
    format!("erase {pseudonym}")
}

/// The kinds of personal data that contracts name, and those that named them when rows came in.
fn kinds_of<'a>(wiring: &'a Wiring, forms: &'a Forms) -> BTreeSet<&'a str> {
    let properties = wiring.project.sources.iter().flat_map(|source| &source.entity.properties);
    let classes = properties.filter_map(|property| property.classification.as_ref());
    let had = forms.values().flatten().filter_map(|form| form.class.as_ref());
    classes.chain(had).filter(|class| class.is_personal()).filter_map(|class| class.kind()).collect()
}

//! Which schema has which id: equal schemas have one, whatever subject they are under.

use super::{Answer, Fault, TRIES_MAX, read};
use crate::registry::schema::{Definition, Reference};
use kernel::error::Error;
use kernel::ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const ID: &str = "registry/id/";
/// The greatest id that somebody brought along, so that it is known how far to look over holes.
const BROUGHT: &str = "registry/brought";

pub struct Ids {
    ledger: Arc<dyn Ledger>,
    known: Mutex<Known>,
}

/// What was seen of the ledger so far. Nothing under an id ever changes.
#[derive(Default)]
struct Known {
    is_loaded: bool,
    by_guid: HashMap<String, i32>,
    /// Who refers to what.
    references: Vec<(i32, Reference)>,
    /// The greatest id that somebody has.
    last: i32,
    /// The version of the entry that tells of ids that were brought along, when it was last read.
    brought: Option<u64>,
    /// A subject that had the id when it was last looked for.
    holders: HashMap<i32, String>,
}

/// A schema with an id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub guid: String,
    pub definition: Definition,
}

impl Ids {
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change of it is one insertion.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn get(&self, id: i32) -> Answer<Option<Kept>> {
        match self.ledger.get(&key(id)).await? {
            Some(entry) => read(&key(id), &entry.value).map(Some),
            None => Ok(None),
        }
    }

    /// The id of the schema that has this guid.
    pub async fn find(&self, guid: &str) -> Answer<Option<i32>> {
        if let Some(id) = self.known().by_guid.get(guid) {
            return Ok(Some(*id));
        }
        self.look().await?;
        Ok(self.known().by_guid.get(guid).copied())
    }

    /// The schemas that refer to a version of a subject.
    pub async fn referring(&self, subject: &str, version: i32) -> Answer<Vec<i32>> {
        self.look().await?;
        let is_it = |reference: &Reference| reference.subject == subject && reference.version == version;
        let mut ids: Vec<i32> =
            self.known().references.iter().filter(|(_, reference)| is_it(reference)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// The id of the schema, a new one if it has none.
    pub async fn take(&self, kept: &Kept) -> Answer<i32> {
        for _ in 0..TRIES_MAX {
            if let Some(id) = self.find(&kept.guid).await? {
                return Ok(id);
            }
            let id = self.known().last + 1;
            if self.put(id, kept).await? {
                return Ok(id);
            }
        }
        Err(Fault::busy())
    }

    /// Gives the schema an id that its author brought along. Others are told before, so that they go on above it, and after,
    /// so that they look at it.
    pub async fn bring(&self, id: i32, kept: &Kept) -> Answer<()> {
        self.tell(id).await?;
        if !self.put(id, kept).await? && self.get(id).await?.is_none_or(|other| other.guid != kept.guid) {
            return Err(Fault::not_permitted(format!("the id {id} belongs to another schema")));
        }
        self.tell(id).await
    }

    async fn tell(&self, id: i32) -> Answer<()> {
        for _ in 0..TRIES_MAX {
            let entry = self.ledger.get(BROUGHT).await?;
            let greatest = entry.as_ref().and_then(|entry| entry.value.parse().ok()).unwrap_or(id).max(id);
            if self.ledger.swap(BROUGHT, entry.map(|e| e.version), &greatest.to_string()).await? {
                return Ok(());
            }
        }
        Err(Fault::busy())
    }

    async fn put(&self, id: i32, kept: &Kept) -> Answer<bool> {
        let text = serde_json::to_string(kept).map_err(|e| Error::internal("write a schema", e))?;
        let is_new = self.ledger.swap(&key(id), None, &text).await?;
        if is_new {
            self.known().learn(id, kept);
        }
        Ok(is_new)
    }

    /// Looks at what others have written since: everything at first and when ids were brought along, else what follows.
    async fn look(&self) -> Answer<()> {
        let brought = self.ledger.get(BROUGHT).await?;
        let version = brought.as_ref().map(|entry| entry.version);
        let is_current = {
            let known = self.known();
            known.is_loaded && known.brought == version
        };
        if !is_current {
            let all = self.ledger.list(ID).await?;
            for (key, entry) in &all {
                if let Ok(id) = key[ID.len()..].parse() {
                    self.known().learn(id, &read(key, &entry.value)?);
                }
            }
            let greatest = brought.and_then(|entry| entry.value.parse().ok()).unwrap_or_default();
            let mut known = self.known();
            known.last = known.last.max(greatest);
            (known.is_loaded, known.brought) = (true, version);
        }
        loop {
            let id = self.known().last + 1;
            match self.get(id).await? {
                Some(kept) => self.known().learn(id, &kept),
                None => return Ok(()),
            }
        }
    }

    pub fn holder(&self, id: i32) -> Option<String> {
        self.known().holders.get(&id).cloned()
    }

    pub fn remember_holder(&self, id: i32, subject: &str) {
        self.known().holders.insert(id, subject.to_owned());
    }
}

impl Known {
    fn learn(&mut self, id: i32, kept: &Kept) {
        // Of two ids of one schema, which only those that were brought along have, the smaller one counts.
        let known = self.by_guid.entry(kept.guid.clone()).or_insert(id);
        *known = id.min(*known);
        let new = kept.definition.references.iter().map(|reference| (id, reference.clone()));
        let new: Vec<(i32, Reference)> = new.filter(|one| !self.references.contains(one)).collect();
        self.references.extend(new);
        self.last = self.last.max(id);
    }
}

fn key(id: i32) -> String {
    format!("{ID}{id:010}")
}

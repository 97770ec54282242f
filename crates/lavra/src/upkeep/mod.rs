//! What is done beside the tables of a run, so that a lake does not only grow: rows go by their age, old versions by
//! `maintenance:`, and what erased people are still in when their time has come. What goes wrong here stops no table; it is
//! told, and the run does not end well.

mod age;
mod versions;

pub use age::{Aged, can_refresh, outlives};
pub use versions::Vacuumed;

use crate::subject;
use crate::wiring::Wiring;
use crate::work::ProjectWork;
use kernel::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeSet;

/// What upkeep did, or would do.
#[derive(Debug, Default, Serialize)]
pub struct Upkept {
    /// Tables with rows that are too old.
    pub aged: Vec<Aged>,
    /// Tables that lost old versions or files that nothing names.
    pub vacuumed: Vec<Vacuumed>,
    /// People who were forgotten earlier, and whose old versions went.
    pub purged: Vec<Purged>,
    /// What went wrong, a sentence each.
    pub failed: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Purged {
    pub pseudonym: String,
    pub tables: Vec<String>,
    /// Null while something has to stay; the certificate says what.
    pub purged_at: Option<String>,
}

impl Upkept {
    fn fail(&mut self, at: &str, error: &Error) {
        self.failed.push(format!("{at}: {error}"));
    }
}

/// What would be done now; old versions even if it is not yet time again, when `is_now`.
pub async fn plan(wiring: &Wiring, is_now: bool) -> Result<Upkept> {
    let mut upkept = Upkept { aged: age::found(wiring).await?, ..Upkept::default() };
    versions::vacuum(wiring, true, is_now, &mut upkept).await;
    Ok(upkept)
}

/// Deletes rows that are too old, under the project's lock.
pub async fn before(work: &ProjectWork) -> Upkept {
    let mut upkept = Upkept::default();
    if let Err(error) = age::delete(work, &mut upkept).await {
        upkept.fail("rows by age", &error);
    }
    upkept
}

/// Removes old versions, under the project's lock.
pub async fn after(wiring: &Wiring, is_now: bool, upkept: &mut Upkept) {
    match subject::purge_due(wiring, false).await {
        Ok(done) => upkept.purged.extend(done.into_iter().map(|certificate| Purged {
            pseudonym: certificate.request.pseudonym.clone(),
            tables: certificate.tables.keys().cloned().collect(),
            purged_at: certificate.purged_at,
        })),
        Err(error) => upkept.fail("old versions of forgotten people", &error),
    }
    versions::vacuum(wiring, false, is_now, upkept).await;
}

/// The models that are made of tables that would lose rows.
pub fn made_of(wiring: &Wiring, planned: &Upkept) -> BTreeSet<String> {
    let mut stale: BTreeSet<String> =
        planned.aged.iter().filter(|aged| aged.held.is_none()).map(|aged| aged.table.clone()).collect();
    let mut models = BTreeSet::new();
    for model in &wiring.project.models {
        if model.reads.iter().any(|name| stale.contains(&name.to_string())) {
            stale.insert(model.name.to_string());
            models.insert(model.name.to_string());
        }
    }
    models
}

#[cfg(test)]
mod tests;

//! Old versions, and files that no version names: they go when nobody may ask for them any more.

use super::Upkept;
use crate::project::STATE;
use crate::show;
use crate::subject;
use crate::wiring::Wiring;
use kernel::TableName;
use kernel::clock::Timestamp;
use kernel::error::{Error, Result, io};
use lake::{At, Due, Table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const DAY_MICROS: i64 = 86_400_000_000;

/// A table that lost old versions or files.
#[derive(Debug, Serialize)]
pub struct Vacuumed {
    pub table: String,
    /// The oldest version that can be read since; null when only files went that no version names.
    pub floor: Option<u64>,
    /// Data files that went, or would go without a version that names them.
    pub files: u64,
}

/// Removes what `maintenance:` lets go, of every table that no hold is on, or only finds it; not more often than
/// `vacuum_every` unless `is_now`.
pub async fn vacuum(wiring: &Wiring, is_dry: bool, is_now: bool, upkept: &mut Upkept) {
    let outcome = async {
        if !is_now && !is_due(wiring)? {
            return Ok(());
        }
        let (held, mut is_whole) = (wiring.held(), true);
        for name in wiring.store.tables().await? {
            if subject::hold_on_versions(wiring, &held, &name).await?.is_some() {
                continue;
            }
            match of_table(wiring, &name, is_dry).await {
                Ok(gone) => upkept.vacuumed.extend(gone),
                Err(error) => {
                    is_whole = false;
                    upkept.fail(&name.to_string(), &error);
                }
            }
        }
        match is_dry || !is_whole {
            true => Ok(()),
            false => remember(wiring),
        }
    };
    if let Err(error) = outcome.await {
        upkept.fail("old versions", &error);
    }
}

async fn of_table(wiring: &Wiring, name: &TableName, is_dry: bool) -> Result<Option<Vacuumed>> {
    let days = i64::from(wiring.project.config.upkeep().old_versions_days());
    let until = Timestamp(wiring.clock.now().0 - days * DAY_MICROS);
    let Some(oldest_read) = oldest_read(wiring, name).await? else { return Ok(None) };
    let due: Due = lake::due(&wiring.store, name, until, oldest_read).await?;
    if due.is_nothing() {
        return Ok(None);
    }
    let files = match is_dry {
        true => due.unnamed.len(),
        false => lake::vacuum(&wiring.store, name, &due).await?.data_files.len(),
    };
    Ok(Some(Vacuumed { table: name.to_string(), floor: due.floor, files: files as u64 }))
}

/// The oldest version that a model still reads: one that its text names, or the one that it compares the next one with.
/// `Some(None)` when there is none, `None` when that can't be said.
async fn oldest_read(wiring: &Wiring, name: &TableName) -> Result<Option<Option<u64>>> {
    let mut oldest: Option<u64> = None;
    let mut take = |version: u64| oldest = Some(oldest.map_or(version, |other| other.min(version)));
    for model in wiring.project.models.iter().filter(|model| model.reads.contains(name)) {
        match model.pins(name) {
            Some(At::Version(version)) => take(version),
            Some(At::Time(_)) => return Ok(None),
            Some(At::Latest) | None => {
                let made = Table::open(&wiring.store, &model.name, At::Latest).await?;
                let Some(made) = made else { continue };
                let seen = lake::consumed(&made).await?.get(&name.to_string()).map(|input| input.version);
                seen.into_iter().for_each(&mut take);
            }
        }
    }
    Ok(Some(oldest))
}

/// Where it is written down when this was done last, by environment. Who loses it looks once more.
fn file(wiring: &Wiring) -> PathBuf {
    wiring.ask.folder.join(STATE).join("upkeep.json")
}

fn read(wiring: &Wiring) -> BTreeMap<String, String> {
    let bytes = std::fs::read(file(wiring)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn is_due(wiring: &Wiring) -> Result<bool> {
    let every = i64::from(wiring.project.config.upkeep().vacuum_every_days) * DAY_MICROS;
    let last = read(wiring).get(&wiring.ask.environment).cloned();
    Ok(last.is_none_or(|last| last <= show::rfc3339(wiring.clock.now().0 - every)))
}

fn remember(wiring: &Wiring) -> Result<()> {
    let mut all = read(wiring);
    all.insert(wiring.ask.environment.clone(), show::rfc3339(wiring.clock.now().0));
    let bytes = serde_json::to_vec_pretty(&all).map_err(|e| Error::internal("remember the upkeep", &e))?;
    let (place, aside) = (file(wiring), file(wiring).with_extension("part"));
    let written = std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, &place));
    written.map_err(|e| io(format!("write {}", place.display()), e))
}

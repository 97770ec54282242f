//! The end of old versions: until then, whoever reads one sees the person still.

use super::certificate::{Certificate, Signed, folder, verify};
use crate::project::{Held, LegalHold};
use crate::show;
use crate::wiring::Wiring;
use kernel::TableName;
use kernel::error::{Result, io};
use lake::{At, Table};
use privacy::sign::Signer;
use std::path::PathBuf;

/// Deletes the versions before each table's erasure. One that a model has not gone beyond yet stays, and the certificate
/// says so; so does one that a hold keeps.
pub async fn purge(wiring: &Wiring, certificate: &mut Certificate, signer: &Signer) -> Result<PathBuf> {
    let held = wiring.held();
    let names: Vec<String> = certificate.tables.keys().cloned().collect();
    for name in names {
        let own = TableName::parse(&name)?;
        let stay = format!("{name}: old versions stay ");
        certificate.remains.retain(|sentence| !sentence.starts_with(&stay));
        let hold = match held.people.get(&certificate.request.pseudonym) {
            Some(hold) => Some(hold),
            None => hold_on_versions(wiring, &held, &own).await?,
        };
        let behind = behind(wiring, &name, certificate.tables[&name].version_after).await?;
        let Some(table) = certificate.tables.get_mut(&name).filter(|table| !table.is_purged) else { continue };
        if let Some(hold) = hold {
            certificate.remains.insert(format!("{stay}by law {}", hold.sentence()));
            continue;
        }
        if behind {
            certificate.remains.insert(format!("{stay}until `lavra run` has brought on what is made of them"));
            continue;
        }
        let unnamed = table.files.values().filter(|file| file.held.since.is_none()).map(|file| file.held.path.clone());
        let unnamed = unnamed.collect();
        lake::purge(&wiring.store, &own, table.version_after, &unnamed).await?;
        table.is_purged = true;
    }
    let now = show::rfc3339(wiring.clock.now().0);
    certificate.issued_at.clone_from(&now);
    if certificate.is_purged() && certificate.purged_at.is_none() {
        certificate.purged_at = Some(now);
    }
    certificate.save(&wiring.ask.folder, signer)
}

/// The hold that keeps a table's old versions: one on it, or one on a person whose rows only they hold any more.
pub async fn hold_on_versions<'a>(wiring: &Wiring, held: &'a Held, name: &TableName) -> Result<Option<&'a LegalHold>> {
    if let Some(hold) = held.tables.get(name) {
        return Ok(Some(hold));
    }
    for (person, hold) in &held.people {
        if !lake::rewrites(&wiring.store, name, &super::case::note(person)).await?.is_empty() {
            return Ok(Some(hold));
        }
    }
    Ok(None)
}

/// Whether a model still has to compare a version before `floor` with a later one.
async fn behind(wiring: &Wiring, table: &str, floor: u64) -> Result<bool> {
    let own = TableName::parse(table)?;
    let readers = wiring.project.models.iter().filter(|model| model.reads.contains(&own));
    for model in readers {
        let Some(made) = Table::open(&wiring.store, &model.name, At::Latest).await? else { continue };
        let seen = lake::consumed(&made).await?.get(table).map(|input| input.version);
        if seen.is_some_and(|seen| seen < floor) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Purges for every certificate whose time has come, or for all of them `now`.
pub async fn purge_due(wiring: &Wiring, now: bool) -> Result<Vec<Certificate>> {
    let mut done = Vec::new();
    let place = folder(&wiring.ask.folder);
    let Ok(entries) = std::fs::read_dir(&place) else { return Ok(done) };
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return Ok(done);
    }
    let signer = Signer::of(&*wiring.open_keys().await?)?;
    for entry in entries {
        let path = entry.map_err(|e| io(format!("list {}", place.display()), e))?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let Signed { mut certificate, .. } = verify(&path, &signer.public_key())?;
        let is_due = now || show::rfc3339(wiring.clock.now().0) >= certificate.purge_after;
        if is_due && !certificate.purge_after.is_empty() && !certificate.is_purged() {
            purge(wiring, &mut certificate, &signer).await?;
            done.push(certificate);
        }
    }
    Ok(done)
}

/// Said where old versions stay for now.
pub fn later(certificate: &Certificate) -> String {
    let day: String = certificate.purge_after.chars().take(10).collect();
    format!("old versions can be read until {day}; then `lavra run` or `lavra subject purge` deletes them")
}

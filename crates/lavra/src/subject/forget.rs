//! A person's end in the lake. Every step finds by itself what is left to do, so that a process that dies anywhere is
//! followed by one that goes on.

use super::case::Case;
use super::certificate::{Certificate, ErasedFile, load, set_by};
use super::find::{HeldFile, Located, in_table, locate};
use super::requests;
use crate::relay;
use crate::show;
use crate::work::{ProjectWork, Report};
use arrow::compute::{filter_record_batch, not};
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use kernel::TableName;
use kernel::error::{Error, Result};
use lake::{At, Rewriting, Table, Write, rewrite, rewrites};
use privacy::sign::{Signer, hex};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

const DAY_MICROS: i64 = 86_400_000_000;

/// What is done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Rows of the latest version are erased, and older versions purged later.
    Erase,
    /// Only older versions hold such rows.
    Purge,
    /// The law keeps it.
    Hold,
}

/// A line of the plan.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub action: Action,
    #[serde(flatten)]
    pub located: Located,
}

/// What a forget would do now.
pub async fn plan(case: &Case) -> Result<Vec<Step>> {
    let of = |located: Located| {
        let is_held = TableName::parse(&located.table).is_ok_and(|name| case.hold_on(&name).is_some());
        let action = match (is_held, located.rows) {
            (true, _) => Action::Hold,
            (false, 0) => Action::Purge,
            (false, _) => Action::Erase,
        };
        Step { action, located }
    };
    Ok(locate(case).await?.into_iter().map(of).collect())
}

/// Erases the person, under the project's lock: remembers the request, removes what other places hold, rewrites tables,
/// makes the models anew that read them, and writes the certificate. Of a person whom a hold keeps nothing goes, and the
/// certificate says why.
pub async fn forget(case: &Case, work: ProjectWork, deadline_days: u32) -> Result<(Certificate, PathBuf)> {
    let wiring = &case.wiring;
    let signer = Signer::of(case.keys.as_ref())?;
    let is_held = case.hold_on_person().is_some();
    let request = match is_held {
        true => requests::asked(case, deadline_days).await?,
        false => requests::remember(case, deadline_days).await?,
    };
    let earlier = load(&wiring.ask.folder, &case.pseudonym, &signer)?;
    let same = match earlier {
        Some(earlier) if earlier.request != request => set_by(&wiring.ask.folder, &earlier).map(|()| None)?,
        earlier => earlier,
    };
    let mut certificate = same.unwrap_or_else(|| Certificate::new(&wiring.project.config.project, request));
    let failed = match is_held {
        true => Vec::new(),
        false => remove(case, work, &mut certificate, &signer).await?,
    };
    state(case, &mut certificate).await?;
    certificate.remains.extend(failed);
    stamp(case, &mut certificate);
    let place = certificate.save(&wiring.ask.folder, &signer)?;
    Ok((certificate, place))
}

/// Removes what may go; gives what failed.
async fn remove(case: &Case, work: ProjectWork, certificate: &mut Certificate, signer: &Signer) -> Result<Vec<String>> {
    let (wiring, scopes_held) = (&case.wiring, case.scopes_held());
    for holder in &case.holders {
        let removed = holder.forget(&case.subject, &scopes_held)?;
        *certificate.places.entry(holder.name().to_owned()).or_default() += removed;
    }
    certificate.save(&wiring.ask.folder, signer)?;
    work.settle().await?;
    let mut touched = BTreeSet::new();
    for name in wiring.store.tables().await? {
        if case.hold_on(&name).is_none() && erase(case, &name, &work.run_id).await? {
            touched.insert(name);
        }
    }
    make_anew(case, work, &touched).await
}

/// Says when it was written, and from when on old versions may go.
pub fn stamp(case: &Case, certificate: &mut Certificate) {
    let now = case.wiring.clock.now().0;
    certificate.issued_at = show::rfc3339(now);
    if certificate.purge_after.is_empty() {
        let days = case.wiring.project.config.upkeep().old_versions_days();
        certificate.purge_after = show::rfc3339(now + i64::from(days) * DAY_MICROS);
    }
}

/// Erases the person's rows of one table; whether it has another version now. A table where only older versions hold rows
/// gets a version as well, up to which it can be purged.
async fn erase(case: &Case, name: &TableName, run_id: &str) -> Result<bool> {
    let (store, rows) = (&case.wiring.store, case.marks.rows(name));
    let Some(located) = in_table(&case.wiring, name, &rows).await? else { return Ok(false) };
    let named: Vec<&HeldFile> = located.files.iter().filter(|file| file.since.is_some()).collect();
    let floor = rewrites(store, name, &case.note()).await?.last().map(|last| last.after);
    let is_below = |file: &&HeldFile| file.until.is_some_and(|until| floor.is_some_and(|floor| until <= floor));
    if located.files.is_empty() || (floor.is_some() && named.iter().all(is_below)) {
        return Ok(false);
    }
    let change = |batch: &RecordBatch| {
        let own = rows.of(batch)?;
        if own.true_count() == 0 {
            return Ok(None);
        }
        let rest = not(&own).and_then(|rest| filter_record_batch(batch, &rest));
        rest.map(Some).map_err(|e| Error::internal("erase rows", "arrow refused a filter").because(e))
    };
    let how = Rewriting { run_id: run_id.to_owned(), note: case.note(), is_forced: true, told_by: rows.columns() };
    Ok(rewrite(store, name, &change, &how, case.wiring.clock.as_ref()).await?.is_some())
}

/// Makes the models anew that read a table that was rewritten, so that totals are without the person. Gives what failed.
async fn make_anew(case: &Case, work: ProjectWork, touched: &BTreeSet<TableName>) -> Result<Vec<String>> {
    let project = &case.wiring.project;
    let mut stale = BTreeSet::new();
    for model in &project.models {
        let is_behind =
            !case.held.tables.contains_key(&model.name) && is_behind(case, &model.name, &model.reads).await?;
        let is_touched = |name: &TableName| touched.contains(name) || stale.contains(&name.to_string());
        if is_behind || model.reads.iter().any(is_touched) {
            stale.insert(model.name.to_string());
        }
    }
    if stale.is_empty() {
        return Ok(Vec::new());
    }
    let options = orchestrate::Options { seed: fastrand::u64(..), ..orchestrate::Options::default() };
    let outcome: orchestrate::Outcome<Report> =
        orchestrate::run(&project.dag, &stale, Arc::new(work), &options, &|_| ()).await?;
    let nodes = outcome.nodes.iter().filter(|node| !matches!(node.end, orchestrate::End::Done { .. }));
    let failed = nodes.filter(|node| !matches!(node.end, orchestrate::End::UpToDate { .. }));
    Ok(failed.map(|node| format!("{} could not be made anew without the person's rows; run it", node.node)).collect())
}

/// Whether a model has not yet seen a rewrite of what it reads: an earlier try died before it could be made.
async fn is_behind(case: &Case, model: &TableName, reads: &[TableName]) -> Result<bool> {
    let store = &case.wiring.store;
    let Some(table) = Table::open(store, model, At::Latest).await? else { return Ok(false) };
    let consumed = lake::consumed(&table).await?;
    for name in reads {
        let last = rewrites(store, name, &case.note()).await?.last().map(|last| last.after);
        let seen = consumed.get(&name.to_string()).map(|input| input.version);
        if last.is_some_and(|last| seen.is_some_and(|seen| seen < last)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the lake says was done and what is left.
pub async fn state(case: &Case, certificate: &mut Certificate) -> Result<()> {
    let store = &case.wiring.store;
    certificate.remains.clear();
    certificate.holds.clear();
    let scopes_held = case.scopes_held();
    if !scopes_held.is_empty() {
        let scopes = scopes_held.into_iter().collect::<Vec<_>>().join(", ");
        certificate.remains.insert(format!("what opens values of the scopes {scopes}, for tables that a hold keeps"));
    }
    for located in locate(case).await? {
        let name = TableName::parse(&located.table)?;
        if let Some(hold) = case.hold_on(&name) {
            let sentence = format!("{name}: {} rows, by law {}", located.rows, hold.sentence());
            certificate.remains.insert(sentence);
            certificate.holds.insert(located.table.clone(), hold.clone());
            continue;
        }
        let table = certificate.tables.entry(located.table.clone()).or_default();
        table.is_purged = false;
        for held in located.files {
            let sha256 = sha256(case, &name, &held.path).await?;
            table.files.insert(held.path.clone(), ErasedFile { held, sha256 });
        }
    }
    for name in store.tables().await? {
        let done = rewrites(store, &name, &case.note()).await?;
        if let Some(last) = done.last() {
            let table = certificate.tables.entry(name.to_string()).or_default();
            table.rows = table.rows.max(done.iter().map(|done| done.rows_removed).sum());
            (table.version_before, table.version_after) = (last.before, last.after);
        }
    }
    certificate.remains.extend(untold(case));
    certificate.remains.extend(in_logs(case, &certificate.request.requested_at)?);
    Ok(())
}

/// What is in topics goes with their retention, and not before: a log can't be written anew.
fn in_logs(case: &Case, requested_at: &str) -> Result<Vec<String>> {
    let since = chrono::DateTime::parse_from_rfc3339(requested_at).map_err(|e| Error::internal("read a request", e))?;
    let kept = relay::kept(&case.wiring)?.into_iter();
    let kept = kept.map(|(topic, home, time)| {
        let until = time.and_then(|time| i64::try_from(time.as_micros()).ok());
        let until = until.map(|micros| show::rfc3339(since.timestamp_micros().saturating_add(micros)));
        let until = until.map_or("without end: give it a `retention`".to_owned(), |until| format!("until {until}"));
        format!("topic {topic} of {home}: masked rows that came in before {requested_at}, by its retention {until}")
    });
    Ok(kept.collect())
}

/// What nobody can tell: columns of the kind that hide whose they are, and rows that models made without them.
fn untold(case: &Case) -> Vec<String> {
    let blind = case.marks.blind.iter().filter(|at| !case.marks.tells_beside(at));
    let blind = blind.map(|at| {
        let (table, column) = (&at.table, &at.column);
        match case.marks.tells_some(at) {
            false => format!(
                "{table}: `{column}` hides whose a row is, and no other column tells it: rows there can't be found"
            ),
            true => format!(
                "{table}: `{column}` was masked otherwise before, in a way that hides whose a row is: rows of that time \
                 can't be found"
            ),
        }
    });
    let as_written = case.marks.as_written.iter().map(|at| {
        format!(
            "{}: `{}` was masked as it was written for some time: rows of that time are found in usual spellings only",
            at.table, at.column
        )
    });
    let keeps = |write: Write| matches!(write, Write::Append | Write::Merge | Write::Scd2);
    let models = case.wiring.project.models.iter().filter(|model| keeps(model.header.write));
    let without = models.filter(|m| !case.marks.tells(&m.name) && m.reads.iter().any(|name| case.marks.tells(name)));
    let without = without.map(|model| {
        format!("{}: rows made of the person's, without a column that names them, stay until it is made with --full-refresh", model.name)
    });
    blind.chain(as_written).chain(without).collect()
}

async fn sha256(case: &Case, name: &TableName, path: &str) -> Result<String> {
    let mut hash = Sha256::new();
    if let Some(mut bytes) = lake::read_bytes(&case.wiring.store, name, path).await? {
        while let Some(part) = bytes.next().await {
            hash.update(part?);
        }
    }
    Ok(hex(&hash.finalize()[..]))
}

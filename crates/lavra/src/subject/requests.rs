//! Who asked to be forgotten, as the lake remembers it: a pseudonym and two dates, put there before anything is erased.

use super::case::Case;
use crate::show;
use crate::wiring::Wiring;
use kernel::error::{Error, Result};
use kernel::gate::Forgotten;
use privacy::subject::ForgottenPeople;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

const FORGOTTEN: &str = "forgotten";
const READMITTED: &str = "readmitted";
const DAY_MICROS: i64 = 86_400_000_000;

/// A request that stands: rows of this person do not come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub kind: String,
    pub pseudonym: String,
    /// RFC 3339, UTC.
    pub requested_at: String,
    /// By then nothing may be left.
    pub deadline: String,
}

#[derive(Serialize)]
struct Readmitted<'a> {
    #[serde(flatten)]
    request: Request,
    readmitted_at: String,
    reason: &'a str,
}

fn file(case: &Case) -> String {
    format!("{}.json", case.pseudonym)
}

/// A request of now.
fn made(case: &Case, deadline_days: u32) -> Request {
    let now = case.wiring.clock.now().0;
    Request {
        kind: case.subject.kind().to_owned(),
        pseudonym: case.pseudonym.clone(),
        requested_at: show::rfc3339(now),
        deadline: show::rfc3339(now + i64::from(deadline_days) * DAY_MICROS),
    }
}

/// The request that stands, or one of now that nothing remembers: it lets the person's rows come in.
pub async fn asked(case: &Case, deadline_days: u32) -> Result<Request> {
    Ok(found(case).await?.unwrap_or_else(|| made(case, deadline_days)))
}

/// The request as it was made first, now or before.
pub async fn remember(case: &Case, deadline_days: u32) -> Result<Request> {
    let request = made(case, deadline_days);
    let body = serde_json::to_vec_pretty(&request).map_err(|e| Error::internal("remember a request", &e))?;
    match case.wiring.store.put_note(FORGOTTEN, &file(case), body).await? {
        true => Ok(request),
        false => found(case).await?.ok_or_else(|| Error::data("remember a request", "it was taken back meanwhile")),
    }
}

/// The person's request, if it stands.
pub async fn found(case: &Case) -> Result<Option<Request>> {
    let notes = case.wiring.store.notes(FORGOTTEN).await?;
    notes.get(&file(case)).map(|body| read(body)).transpose()
}

fn read(body: &[u8]) -> Result<Request> {
    serde_json::from_slice(body).map_err(|e| Error::data("read who asked to be forgotten", &e))
}

/// Those whose rows do not come in; `None` when there are none.
pub async fn forgotten(wiring: &Wiring) -> Result<Option<Arc<dyn Forgotten>>> {
    let mut people: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    for body in wiring.store.notes(FORGOTTEN).await?.values() {
        let request = read(body)?;
        people.entry(request.kind).or_default().insert(request.pseudonym);
    }
    if people.is_empty() {
        return Ok(None);
    }
    let known = ForgottenPeople::new(people, &*wiring.open_keys().await?)?;
    Ok(known.map(|known| Arc::new(known) as Arc<dyn Forgotten>))
}

/// Lets a person come in again, as a new customer; the reason is kept. `false` when nobody had forgotten them.
pub async fn readmit(case: &Case, reason: &str) -> Result<bool> {
    let Some(request) = found(case).await? else { return Ok(false) };
    let now = case.wiring.clock.now().0;
    let note = Readmitted { request, readmitted_at: show::rfc3339(now), reason };
    let body = serde_json::to_vec_pretty(&note).map_err(|e| Error::internal("readmit a person", &e))?;
    let store = &case.wiring.store;
    store.put_note(READMITTED, &format!("{}-{now}.json", case.pseudonym), body).await?;
    store.delete_note(FORGOTTEN, &file(case)).await?;
    Ok(true)
}

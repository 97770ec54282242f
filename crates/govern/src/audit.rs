//! Who opened what, and why: records in a ledger, each sealed with the seal of the one before it.
//!
//! A record is one JSON text under `audit/` and its number with leading zeros. Its seal is a code by a key that the ledger's
//! keeper need not have, over all of the record and the seal before; so a record that was changed, taken out or put in
//! between shows. Records cut off at the end do not show by themselves: keep a seal elsewhere, and hold it against the list.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat};
use kernel::audit::Audit;
use kernel::clock::Clock;
use kernel::engine::Session;
use kernel::error::{Error, Kind, Result};
use kernel::ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const PREFIX: &str = "audit/";
/// Two who write at once try again; that many in a row are no coincidence.
const TRIES_MAX: u32 = 100;

/// Makes the seal of a text.
pub type Seal = Arc<dyn Fn(&[u8]) -> Result<String> + Send + Sync>;

pub struct AuditChain {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    seal: Seal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub number: u64,
    /// RFC 3339, UTC.
    pub at: String,
    #[serde(flatten)]
    pub event: Event,
    /// The seal of the record before; empty for the first.
    pub previous: String,
    pub seal: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A query that opens what is hidden, before its first row. `sql` is without its literals.
    Opened { user: String, reason: String, sql: String, grants: Vec<String> },
    /// The end of the query of that number. One without an end was broken off.
    Ended { of: u64, rows: u64, whole: bool },
}

/// A record that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    pub number: u64,
    pub why: &'static str,
}

impl AuditChain {
    pub fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, seal: Seal) -> Self {
        Self { ledger, clock, seal }
    }

    async fn append(&self, event: Event) -> Result<u64> {
        for _ in 0..TRIES_MAX {
            let last = self.last().await?;
            let (number, previous) = last.map_or((1, String::new()), |last| (last.number + 1, last.seal));
            let mut record =
                Record { number, at: now(self.clock.as_ref()), event: event.clone(), previous, seal: String::new() };
            record.seal = self.seal_of(&record)?;
            let text = serde_json::to_string(&record).map_err(|e| Error::internal("write the audit", e))?;
            if self.ledger.swap(&key(number), None, &text).await? {
                return Ok(number);
            }
        }
        Err(Error::new(Kind::Conflict, "write the audit", "others write to it all the time"))
    }

    /// The record behind which nothing is: numbers have no holes, so it is found by halving.
    async fn last(&self) -> Result<Option<Record>> {
        let mut beyond = 1;
        while self.ledger.get(&key(beyond)).await?.is_some() {
            beyond *= 2;
        }
        let (mut there, mut beyond) = (beyond / 2, beyond);
        while beyond - there > 1 {
            let middle = there + (beyond - there) / 2;
            match self.ledger.get(&key(middle)).await? {
                Some(_) => there = middle,
                None => beyond = middle,
            }
        }
        match self.ledger.get(&key(there)).await? {
            Some(entry) => read(&entry.value).map(Some).ok_or_else(|| {
                Error::data(
                    "write the audit",
                    format!("its record {there} can't be read; `lavra audit verify` tells more"),
                )
            }),
            None => Ok(None),
        }
    }

    fn seal_of(&self, record: &Record) -> Result<String> {
        let bare = Record { seal: String::new(), ..record.clone() };
        let text = serde_json::to_vec(&bare).map_err(|e| Error::internal("seal the audit", e))?;
        (self.seal)(&text)
    }

    /// Holds every record against its seal and the one before; gives how many there are, the last seal, and the broken ones.
    pub async fn verify(&self) -> Result<(u64, Option<String>, Vec<Broken>)> {
        let (mut broken, mut count, mut previous) = (Vec::new(), 0, String::new());
        for (key, entry) in self.ledger.list(PREFIX).await? {
            count += 1;
            let number = key[PREFIX.len()..].parse().unwrap_or_default();
            let mut found = |why| broken.push(Broken { number, why });
            let Some(record) = read(&entry.value) else {
                found("can't be read");
                continue;
            };
            let is_as_written = serde_json::to_string(&record).is_ok_and(|text| text == entry.value);
            if !is_as_written || record.number != number || self.seal_of(&record)? != record.seal {
                found("was changed, or sealed with another key");
            } else if record.previous != previous {
                found("does not follow the one before it: something was changed, taken out or put in there");
            }
            previous = record.seal;
        }
        Ok((count, Some(previous).filter(|seal| !seal.is_empty()), broken))
    }
}

/// All records that can be read, the oldest first.
pub async fn records(ledger: &dyn Ledger) -> Result<Vec<Record>> {
    let all = ledger.list(PREFIX).await?;
    Ok(all.iter().filter_map(|(_, entry)| read(&entry.value)).collect())
}

fn read(text: &str) -> Option<Record> {
    serde_json::from_str(text).ok()
}

fn key(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

fn now(clock: &dyn Clock) -> String {
    DateTime::from_timestamp_micros(clock.now().0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[async_trait]
impl Audit for AuditChain {
    async fn begin(&self, session: &Session, sql: &str, grants: &[String]) -> Result<u64> {
        let (user, reason, sql) = (session.user.clone(), session.purpose.clone(), sql.to_owned());
        self.append(Event::Opened { user, reason, sql, grants: grants.to_vec() }).await
    }

    async fn end(&self, number: u64, rows: u64, whole: bool) -> Result<()> {
        self.append(Event::Ended { of: number, rows, whole }).await.map(drop)
    }
}

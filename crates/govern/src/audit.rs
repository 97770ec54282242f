//! Who opened what, and why: records in a ledger, each sealed with the seal of the one before it.
//!
//! A record is one JSON text under `audit/` and its number with leading zeros. Its seal is a code by a key that the ledger's
//! keeper need not have, over all of the record and the seal before; so a record that was changed, taken out or put in
//! between shows. Records cut off at the end do not show by themselves: keep a seal elsewhere, and hold it against the list.

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

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::clock::ManualClock;
    use kernel::ledger::Entry;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Memory(Mutex<BTreeMap<String, String>>);

    #[async_trait]
    impl Ledger for Memory {
        async fn get(&self, key: &str) -> Result<Option<Entry>> {
            Ok(self.0.lock().unwrap().get(key).map(|value| Entry { value: value.clone(), version: 1 }))
        }

        async fn swap(&self, key: &str, expected: Option<u64>, value: &str) -> Result<bool> {
            assert_eq!(expected, None, "a record is never replaced");
            let mut all = self.0.lock().unwrap();
            let is_new = !all.contains_key(key);
            all.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            Ok(is_new)
        }

        async fn list(&self, prefix: &str) -> Result<Vec<(String, Entry)>> {
            let all = self.0.lock().unwrap();
            let found = all.iter().filter(|(key, _)| key.starts_with(prefix));
            Ok(found.map(|(key, value)| (key.clone(), Entry { value: value.clone(), version: 1 })).collect())
        }
    }

    fn chain(ledger: &Arc<Memory>, key: u64) -> AuditChain {
        // Enough of a seal for a test.
        let seal = move |text: &[u8]| {
            Ok(format!("{:x}", text.iter().fold(key, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))))
        };
        AuditChain::new(ledger.clone(), Arc::new(ManualClock::at(1_700_000_000_000_000)), Arc::new(seal))
    }

    async fn filled() -> (Arc<Memory>, AuditChain) {
        let ledger = Arc::new(Memory::default());
        let chain = chain(&ledger, 7);
        let session = Session { user: "ana".into(), purpose: "chargeback 4711".into(), grants: Vec::new() };
        for rows in 0..4 {
            let number = chain.begin(&session, "select ?", &["open(amounts)".into()]).await.unwrap();
            chain.end(number, rows, true).await.unwrap();
        }
        (ledger, chain)
    }

    #[tokio::test]
    async fn records_follow_each_other() {
        let (ledger, chain) = filled().await;
        let all = records(&*ledger).await.unwrap();
        assert_eq!(all.iter().map(|record| record.number).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
        assert_eq!(all[3].event, Event::Ended { of: 3, rows: 1, whole: true });
        assert_eq!(chain.verify().await.unwrap(), (8, Some(all[7].seal.clone()), Vec::new()));
    }

    #[tokio::test]
    async fn whatever_is_done_to_a_record_shows() {
        let numbers = |broken: Vec<Broken>| broken.iter().map(|broken| broken.number).collect::<Vec<_>>();
        let (ledger, whole) = filled().await;
        let (_, _, broken) = chain(&ledger, 8).verify().await.unwrap();
        assert_eq!(broken.len(), 8, "another key");

        let change = |from: &str, to: &str| {
            let mut all = ledger.0.lock().unwrap();
            let record = all.get_mut(&key(3)).unwrap();
            assert!(record.contains(from), "{record}");
            *record = record.replace(from, to);
        };
        change("4711", "4712");
        assert_eq!(numbers(whole.verify().await.unwrap().2), [3]);
        change("4712", "4711");
        assert_eq!(whole.verify().await.unwrap().2, []);
        change("\"number\"", "\"numbre\"");
        assert_eq!(numbers(whole.verify().await.unwrap().2), [3, 4]);
        change("\"numbre\"", "\"number\"");

        ledger.0.lock().unwrap().remove(&key(5));
        assert_eq!(numbers(whole.verify().await.unwrap().2), [6]);
    }

    #[tokio::test]
    async fn two_who_write_at_once_both_stand_in_it() {
        let (ledger, one) = filled().await;
        let other = chain(&ledger, 7);
        let session = Session::owner("both");
        let (a, b) = tokio::join!(one.begin(&session, "a", &[]), other.begin(&session, "b", &[]));
        assert_ne!(a.unwrap(), b.unwrap());
        assert_eq!(one.verify().await.unwrap().2, []);
    }
}

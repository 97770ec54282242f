//! Who takes in a source, or makes a model: one process at a time, by a lease in the ledger.
//!
//! A lease keeps two processes from doing the same work; that they never double a row is the sink's doing, whose commit
//! refuses whoever is second.

use crate::lock::Holder;
use kernel::clock::{Clock, Timestamp};
use kernel::error::{Error, Result};
use kernel::ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a lease holds after it was renewed last.
pub const LEASE: Duration = Duration::from_secs(30);

const PREFIX: &str = "lease/";

/// As it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    /// `None`: it was given back.
    holder: Option<Holder>,
    /// Microseconds since 1970.
    until: i64,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Mine,
    /// Somebody else has it.
    Of(Holder),
}

/// The leases of one process.
pub struct Leases {
    ledger: Arc<dyn Ledger>,
    me: Holder,
    clock: Arc<dyn Clock>,
    /// Whether a holder is known to be dead, so that nobody waits for the end of its lease.
    is_dead: Box<dyn Fn(&Holder) -> bool + Send + Sync>,
    /// What is held, with the version in the ledger.
    held: Mutex<BTreeMap<String, u64>>,
}

impl Leases {
    pub fn new(
        ledger: Arc<dyn Ledger>,
        me: Holder,
        clock: Arc<dyn Clock>,
        is_dead: impl Fn(&Holder) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { ledger, me, clock, is_dead: Box::new(is_dead), held: Mutex::default() }
    }

    /// Takes the lease of a node if it is free, over, or of a dead process. One's own is renewed.
    pub async fn claim(&self, node: &str) -> Result<Claim> {
        let key = format!("{PREFIX}{node}");
        loop {
            let found = self.ledger.get(&key).await?;
            let (version, written) = match &found {
                Some(entry) => (Some(entry.version), read(&key, &entry.value)?),
                None => (None, Written { holder: None, until: 0 }),
            };
            let now = self.clock.now();
            if let Some(holder) = written.holder
                && holder != self.me
                && written.until > now.0
                && !(self.is_dead)(&holder)
            {
                self.held().remove(node);
                return Ok(Claim::Of(holder));
            }
            if self.put(&key, version, Some(self.me.clone()), now).await? {
                // Only this process swaps a lease of its own, so what is there now is what was put.
                let version = self.ledger.get(&key).await?.map_or(0, |entry| entry.version);
                self.held().insert(node.to_owned(), version);
                return Ok(Claim::Mine);
            }
        }
    }

    /// Renews all that is held; answers the nodes that were lost meanwhile, because this process slept for too long. One that
    /// the ledger gives no answer for holds up no other: it stays held, and is asked for again with the next renewal.
    pub async fn renew(&self) -> Vec<String> {
        let nodes: Vec<String> = self.held().keys().cloned().collect();
        let mut lost = Vec::new();
        for node in nodes {
            if let Ok(Claim::Of(_)) = self.claim(&node).await {
                lost.push(node);
            }
        }
        lost
    }

    /// Gives a lease back, if it is held.
    pub async fn release(&self, node: &str) -> Result<()> {
        let Some(version) = self.held().remove(node) else { return Ok(()) };
        let key = format!("{PREFIX}{node}");
        // If somebody took it meanwhile it is theirs.
        self.put(&key, Some(version), None, Timestamp(0)).await.map(drop)
    }

    pub async fn release_all(&self) -> Result<()> {
        let nodes: Vec<String> = self.held().keys().cloned().collect();
        for node in nodes {
            self.release(&node).await?;
        }
        Ok(())
    }

    async fn put(&self, key: &str, version: Option<u64>, holder: Option<Holder>, now: Timestamp) -> Result<bool> {
        let length = i64::try_from(LEASE.as_micros()).unwrap_or(i64::MAX);
        let written = Written { holder, until: now.0.saturating_add(length) };
        let text = serde_json::to_string(&written).map_err(|e| Error::internal("write a lease", e))?;
        self.ledger.swap(key, version, &text).await
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(key: &str, text: &str) -> Result<Written> {
    serde_json::from_str(text).map_err(|e| Error::data(format!("read `{key}` of the ledger"), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteLedger;
    use kernel::clock::ManualClock;
    use kernel::error::Kind;
    use kernel::ledger::Entry;

    struct Desk {
        ledger: Arc<dyn Ledger>,
        clock: Arc<ManualClock>,
        _folder: tempfile::TempDir,
    }

    impl Desk {
        async fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let ledger = SqliteLedger::open(folder.path().join("ledger.db")).await.expect("a ledger");
            let clock = Arc::new(ManualClock::at(1_700_000_000_000_000));
            Self { ledger: Arc::new(ledger), clock, _folder: folder }
        }

        fn of(&self, pid: u32, dead: &'static [u32]) -> Leases {
            let holder = Holder {
                id: pid.to_string(),
                pid,
                since: "2026".into(),
                command: format!("lavra up {pid}"),
                makes_way: false,
            };
            let clock: Arc<dyn Clock> = self.clock.clone();
            Leases::new(self.ledger.clone(), holder, clock, move |holder| dead.contains(&holder.pid))
        }
    }

    fn of(claim: Result<Claim>) -> u32 {
        match claim.expect("an answer") {
            Claim::Mine => 0,
            Claim::Of(holder) => holder.pid,
        }
    }

    #[tokio::test]
    async fn one_has_it_until_it_is_given_back() {
        let desk = Desk::new().await;
        let (one, two) = (desk.of(1, &[]), desk.of(2, &[]));
        assert_eq!((of(one.claim("orders").await), of(two.claim("orders").await)), (0, 1));
        assert_eq!((of(two.claim("people").await), of(one.claim("orders").await)), (0, 0), "others are free");
        one.release_all().await.expect("given back");
        assert_eq!((of(two.claim("orders").await), of(one.claim("orders").await)), (0, 2));
    }

    #[tokio::test]
    async fn one_that_is_renewed_holds_and_one_that_is_not_ends() {
        let desk = Desk::new().await;
        let (one, two) = (desk.of(1, &[]), desk.of(2, &[]));
        assert_eq!(of(one.claim("orders").await), 0);
        for _ in 0..3 {
            desk.clock.advance(20_000_000);
            assert_eq!(one.renew().await, Vec::<String>::new());
            assert_eq!(of(two.claim("orders").await), 1);
        }
        desk.clock.advance(30_000_000);
        assert_eq!(of(two.claim("orders").await), 0);
        assert_eq!(one.renew().await, ["orders"], "who slept hears of it");
        one.release("orders").await.expect("nothing to give back");
        assert_eq!(of(one.claim("orders").await), 2);
    }

    /// A ledger that gives no answer for one key.
    struct Silent {
        ledger: Arc<dyn Ledger>,
        about: &'static str,
    }

    impl Silent {
        fn asked(&self, key: &str) -> Result<()> {
            if key == self.about { Err(Error::new(Kind::Storage, "read the ledger", "no answer")) } else { Ok(()) }
        }
    }

    #[async_trait::async_trait]
    impl Ledger for Silent {
        async fn get(&self, key: &str) -> Result<Option<Entry>> {
            self.asked(key)?;
            self.ledger.get(key).await
        }

        async fn swap(&self, key: &str, expected: Option<u64>, value: &str) -> Result<bool> {
            self.asked(key)?;
            self.ledger.swap(key, expected, value).await
        }

        async fn list(&self, prefix: &str) -> Result<Vec<(String, Entry)>> {
            self.ledger.list(prefix).await
        }
    }

    #[tokio::test]
    async fn what_was_lost_is_told_and_the_rest_renewed_though_the_ledger_fails_for_one() {
        let desk = Desk::new().await;
        let (mut one, two) = (desk.of(1, &[]), desk.of(2, &[]));
        for node in ["a", "b", "c"] {
            assert_eq!(of(one.claim(node).await), 0);
        }
        desk.clock.advance(30_000_000);
        assert_eq!(of(two.claim("a").await), 0);
        one.ledger = Arc::new(Silent { ledger: desk.ledger.clone(), about: "lease/b" });
        assert_eq!(one.renew().await, ["a"]);
        assert_eq!((of(two.claim("b").await), of(two.claim("c").await)), (0, 1));
        one.ledger = desk.ledger.clone();
        assert_eq!(one.renew().await, ["b"], "it was asked for again");
    }

    #[tokio::test]
    async fn nobody_waits_for_the_dead() {
        let desk = Desk::new().await;
        assert_eq!(of(desk.of(1, &[]).claim("orders").await), 0);
        assert_eq!(of(desk.of(2, &[]).claim("orders").await), 1);
        assert_eq!(of(desk.of(2, &[1]).claim("orders").await), 0);
    }

    #[tokio::test]
    async fn of_many_who_ask_at_once_one_gets_it() {
        let desk = Desk::new().await;
        let all: Vec<Leases> = (1..9).map(|pid| desk.of(pid, &[])).collect();
        let answers = futures::future::join_all(all.iter().map(|one| one.claim("orders"))).await;
        assert_eq!(answers.into_iter().filter(|answer| matches!(answer, Ok(Claim::Mine))).count(), 1);
    }
}

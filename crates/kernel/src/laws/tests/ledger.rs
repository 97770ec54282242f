use super::{assert_caught, verdict};
use crate::error::Result;
use crate::laws::ledger::obeys;
use crate::ledger::{Entry, Ledger};
use async_trait::async_trait;
use futures::executor::block_on;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    TakesAnyVersion,
    MakesWhatIsThere,
    KeepsItsVersion,
    LooksThenWrites,
    ListsByPattern,
    ListsUnsorted,
    HasItsOwnStore,
}

struct Toy {
    store: Arc<Mutex<BTreeMap<String, Entry>>>,
    fault: Fault,
}

#[async_trait]
impl Ledger for Toy {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(self.store.lock().expect("a store").get(key).cloned())
    }

    async fn swap(&self, key: &str, expected: Option<u64>, value: &str) -> Result<bool> {
        let current = self.store.lock().expect("a store").get(key).map(|entry| entry.version);
        if self.fault == Fault::LooksThenWrites {
            super::source::pause(1).await;
        }
        let fits = match self.fault {
            Fault::TakesAnyVersion => expected.is_some() == current.is_some(),
            Fault::MakesWhatIsThere => expected.is_none() || expected == current,
            Fault::LooksThenWrites => expected == current,
            _ => self.store.lock().expect("a store").get(key).map(|entry| entry.version) == expected,
        };
        if fits {
            let grown = u64::from(self.fault != Fault::KeepsItsVersion);
            let entry = Entry { value: value.into(), version: current.unwrap_or(0) + grown };
            self.store.lock().expect("a store").insert(key.into(), entry);
        }
        Ok(fits)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Entry)>> {
        let pattern = self.fault == Fault::ListsByPattern && prefix.ends_with('_');
        let prefix = if pattern { prefix.trim_end_matches('_') } else { prefix };
        let store = self.store.lock().expect("a store");
        let mut all: Vec<_> =
            store.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, e)| (k.clone(), e.clone())).collect();
        if self.fault == Fault::ListsUnsorted {
            all.reverse();
        }
        Ok(all)
    }
}

fn run(fault: Fault) {
    let store = Arc::new(Mutex::new(BTreeMap::new()));
    block_on(obeys(async || {
        let own = fault == Fault::HasItsOwnStore;
        let store = if own { Arc::new(Mutex::new(BTreeMap::new())) } else { store.clone() };
        Box::new(Toy { store, fault }) as Box<dyn Ledger>
    }));
}

#[test]
fn a_good_ledger_obeys() {
    assert_eq!(verdict(|| run(Fault::None)), None);
}

#[test]
fn broken_ledgers_are_caught() {
    let faults = [
        (Fault::TakesAnyVersion, "takes any version", "another version than the entry has"),
        (Fault::MakesWhatIsThere, "makes what is there", "can't be made"),
        (Fault::KeepsItsVersion, "keeps its version", "versions grow"),
        (Fault::LooksThenWrites, "looks, then writes", "exactly one is made"),
        (Fault::ListsByPattern, "lists by pattern", "start with `law/li_`"),
        (Fault::ListsUnsorted, "lists unsorted", "by key"),
        (Fault::HasItsOwnStore, "has its own store", "two handles"),
    ];
    for (fault, name, word) in faults {
        assert_caught(name, word, || run(fault));
    }
}

//! What every `Ledger` must pass: that of all who replace an entry at once, one does.
#![allow(clippy::panic, reason = "a law speaks by failing the test that calls it")]

use crate::ledger::{Entry, Ledger};
use futures::future::join_all;

/// Holds a ledger to its contract. Each call of `open` gives another handle of one store, in which no key starts with
/// `law/`.
pub async fn obeys(open: impl AsyncFn() -> Box<dyn Ledger>) {
    let (one, other) = (open().await, open().await);
    let law = Law { one, other };
    law.swaps_what_it_was_shown().await;
    law.keeps_any_text().await;
    law.lists_by_prefix().await;
    let mut handles = Vec::new();
    for _ in 0..HANDLES {
        handles.push(open().await);
    }
    lets_one_win(&handles).await;
}

const HANDLES: usize = 8;
const ROUNDS: usize = 8;

struct Law {
    one: Box<dyn Ledger>,
    other: Box<dyn Ledger>,
}

impl Law {
    async fn swaps_what_it_was_shown(&self) {
        let key = "law/key";
        assert_eq!(get(self.one.as_ref(), key).await, None, "an absent key");
        assert!(!swap(self.one.as_ref(), key, Some(0), "x").await, "an absent key has no version, 0 neither");
        assert!(!swap(self.one.as_ref(), key, Some(1), "x").await, "an absent key has no version");
        assert!(swap(self.one.as_ref(), key, None, "first").await, "an absent key can be made");
        let first = self.agreed(key, "first").await;
        assert!(!swap(self.other.as_ref(), key, None, "again").await, "a key that is there can't be made");
        for wrong in [first.version.wrapping_sub(1), first.version + 1] {
            assert!(!swap(self.other.as_ref(), key, Some(wrong), "again").await, "another version than the entry has");
        }
        assert_eq!(self.agreed(key, "first").await, first, "a swap that answered no has changed nothing");
        assert!(swap(self.other.as_ref(), key, Some(first.version), "second").await, "the version that the entry has");
        let second = self.agreed(key, "second").await;
        assert!(second.version > first.version, "versions grow");
        assert!(!swap(self.one.as_ref(), key, Some(first.version), "late").await, "a version that the entry had");
        assert!(swap(self.one.as_ref(), key, Some(second.version), "second").await, "the same value again");
        assert!(self.agreed(key, "second").await.version > second.version, "also over the same value versions grow");
    }

    /// Both handles show the same.
    async fn agreed(&self, key: &str, value: &str) -> Entry {
        let (one, other) = (get(self.one.as_ref(), key).await, get(self.other.as_ref(), key).await);
        assert_eq!(one, other, "two handles of one store agree");
        let entry = one.unwrap_or_else(|| panic!("`{key}` was stored"));
        assert_eq!(entry.value, value, "the value that was stored last");
        entry
    }

    async fn keeps_any_text(&self) {
        let long = "ção ".repeat(16 << 10);
        let texts = ["", " ", "'; drop table --", "{\"a\":\n\"\\\"\"}", "\u{1F600}", long.as_str()];
        for (place, text) in texts.into_iter().enumerate() {
            let key = format!("law/text/{place}/'\"\\ é");
            assert!(swap(self.one.as_ref(), &key, None, text).await, "any text can be stored");
            self.agreed(&key, text).await;
        }
    }

    async fn lists_by_prefix(&self) {
        let keys = ["law/list/b", "law/list/a", "law/list/a/x", "law/list/A", "law/listen", "law/li%t/a", "law/li_t/b"];
        for key in keys {
            assert!(swap(self.one.as_ref(), key, None, key).await, "a new key");
        }
        let expect = [
            ("law/list/", vec!["law/list/A", "law/list/a", "law/list/a/x", "law/list/b"]),
            ("law/list/a", vec!["law/list/a", "law/list/a/x"]),
            ("law/li%", vec!["law/li%t/a"]),
            ("law/li_", vec!["law/li_t/b"]),
            ("law/list/*", vec![]),
            ("law/none", vec![]),
        ];
        for (prefix, expected) in expect {
            let listed = self.other.list(prefix).await.unwrap_or_else(|e| panic!("`list` failed: {e}"));
            let found: Vec<&str> = listed.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(found, expected, "the keys that start with `{prefix}`, by key");
            for (key, entry) in &listed {
                assert_eq!(
                    Some(entry),
                    get(self.one.as_ref(), key).await.as_ref(),
                    "an entry of the list is the entry"
                );
            }
        }
        let all = self.other.list("").await.unwrap_or_else(|e| panic!("`list` failed: {e}"));
        assert!(keys.iter().all(|key| all.iter().any(|(other, _)| other == key)), "the empty prefix is everything's");
        assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "entries come by key");
    }
}

/// Of all who name the same version, one wins, and its value is there.
async fn lets_one_win(handles: &[Box<dyn Ledger>]) {
    let key = "law/race";
    let mut version = None;
    for round in 0..ROUNDS {
        let values: Vec<String> = (0..handles.len()).map(|who| format!("{round}/{who}")).collect();
        let won =
            join_all(handles.iter().zip(&values).map(|(handle, value)| swap(handle.as_ref(), key, version, value)))
                .await;
        let winners: Vec<usize> = (0..won.len()).filter(|who| won[*who]).collect();
        assert_eq!(winners.len(), 1, "of {} swaps at once exactly one is made", won.len());
        let entry = get(handles[0].as_ref(), key).await.unwrap_or_else(|| panic!("`{key}` was stored"));
        assert_eq!(entry.value, values[winners[0]], "the value is the winner's");
        version = Some(entry.version);
    }
}

async fn get(ledger: &dyn Ledger, key: &str) -> Option<Entry> {
    ledger.get(key).await.unwrap_or_else(|e| panic!("`get` failed: {e}"))
}

async fn swap(ledger: &dyn Ledger, key: &str, expected: Option<u64>, value: &str) -> bool {
    ledger.swap(key, expected, value).await.unwrap_or_else(|e| panic!("`swap` failed: {e}"))
}

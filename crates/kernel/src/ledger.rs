//! A small compare-and-swap store for what is not data: leases, releases, runs.

use crate::error::Result;
use async_trait::async_trait;

/// A value and the version to name when it is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: String,
    pub version: u64,
}

/// Keys and values are any text; `laws::ledger` tells what must hold when many write at once.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// What was stored last, by whomever; `None` for a key that was never stored.
    async fn get(&self, key: &str) -> Result<Option<Entry>>;

    /// Stores `value` if the key's version is `expected` (`None`: the key is absent); returns whether it was. Of all who
    /// name the same version one is answered `true`. Versions of a key only grow, also over the same value. After an
    /// error nobody knows: read the key again before the next try.
    async fn swap(&self, key: &str, expected: Option<u64>, value: &str) -> Result<bool>;

    /// The entries whose key starts with `prefix`, letter for letter, in the order of the keys' bytes.
    async fn list(&self, prefix: &str) -> Result<Vec<(String, Entry)>>;
}

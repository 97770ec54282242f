//! Which version of the keys the tables carry.
//!
//! Masks go on with that version until `lavra keys rotate` has brought all tables to the next one: tokens of two versions
//! can't be joined. It is kept beside the tables, for it says what is in them: `<version>.begun.json` before the first
//! table is rewritten, `<version>.carried.json` behind the last.

use super::rfc3339;
use kernel::clock::Timestamp;
use kernel::error::{Error, Kind, Result};
use kernel::keys::{Key, KeyProvider, KeyStore};
use serde_json::json;
use std::sync::Arc;

const BEGUN: &str = ".begun.json";
const DONE: &str = ".carried.json";

/// What the tables carry, as the store has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// `None` where nothing was ever rotated: then it is the first.
    pub version: Option<u32>,
    /// A rotation to this version has begun and not ended: some tables carry it, others not yet.
    pub begun: Option<u32>,
}

impl Carried {
    pub async fn read(store: &dyn KeyStore) -> Result<Self> {
        let names = store.list().await?;
        let newest = |suffix: &str| names.iter().filter_map(|name| name.strip_suffix(suffix)?.parse().ok()).max();
        let version: Option<u32> = newest(DONE);
        Ok(Self { version, begun: newest(BEGUN).filter(|begun| Some(*begun) > version) })
    }

    /// The version to mask with.
    pub fn version(self) -> u32 {
        self.version.unwrap_or(1)
    }

    /// Refuses to write into tables of which some carry another version than others.
    pub fn whole(self) -> Result<Self> {
        match self.begun {
            None => Ok(self),
            Some(version) => Err(Error::new(
                Kind::Conflict,
                "mask with the project's keys",
                format!("a rotation to version {version} has begun and not ended; `lavra keys rotate` ends it"),
            )),
        }
    }
}

/// To be called before the first table is rewritten. Again is the same.
pub async fn begin(store: &dyn KeyStore, version: u32, now: Timestamp) -> Result<()> {
    put(store, version, BEGUN, now).await
}

/// To be called when all tables carry the version. Again is the same.
pub async fn finish(store: &dyn KeyStore, version: u32, now: Timestamp) -> Result<()> {
    put(store, version, DONE, now).await
}

async fn put(store: &dyn KeyStore, version: u32, suffix: &str, now: Timestamp) -> Result<()> {
    let body = json!({ "version": version, "at": rfc3339(now) }).to_string().into_bytes();
    store.put_new(&format!("{version}{suffix}"), body).await.map(drop)
}

/// Keys of which the tables' version is the one to mask with.
pub struct Pinned {
    keys: Arc<dyn KeyProvider>,
    version: u32,
}

impl Pinned {
    pub fn new(keys: Arc<dyn KeyProvider>, version: u32) -> Self {
        Self { keys, version }
    }
}

impl KeyProvider for Pinned {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
        self.keys.key(scope, version.or(Some(self.version)))
    }

    fn expires(&self) -> bool {
        self.keys.expires()
    }
}

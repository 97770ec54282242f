//! A keyring: one random secret per version, wrapped by a key system and put beside the tables as
//! `<version>.json`. A secret is unwrapped when it is needed, held for a bounded time and wiped.

use super::derive::{scope_key, secret_check};
use super::wrapper::wait;
use super::{Root, Version, Wrapper, rfc3339, unknown_version};
use kernel::clock::Clock;
use kernel::error::{Error, Kind, Result};
use kernel::keys::{Key, KeyProvider, KeyStore};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use zeroize::Zeroizing;

const FORMAT: &str = "lavra-keyring/1";
/// How long an unwrapped secret is held unless the project says otherwise.
pub const HOLD: Duration = Duration::from_secs(300);

/// A version as it stands in the store: no secret is in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    version: u32,
    /// RFC 3339, UTC.
    made_at: String,
    /// Who wrapped it, for people.
    wrapped_by: String,
    wrapped: String,
    /// Tells whether what is unwrapped is what was wrapped.
    check: String,
}

struct Held {
    root: Root,
    /// Microseconds since 1970.
    until: i64,
}

type Roots = Mutex<BTreeMap<u32, Held>>;

pub struct Keyring {
    wrapper: Box<dyn Wrapper>,
    versions: BTreeMap<u32, Stored>,
    roots: Arc<Roots>,
    hold: Duration,
    clock: Arc<dyn Clock>,
}

impl Keyring {
    /// Reads the versions that are there, unwrapping none. A keyring of no version gives no key.
    pub async fn open(
        wrapper: Box<dyn Wrapper>,
        store: &dyn KeyStore,
        hold: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let mut versions = BTreeMap::new();
        for name in store.list().await? {
            if let Some(number) = name.strip_suffix(".json").and_then(|number| number.parse().ok()) {
                versions.insert(number, read(store, number).await?);
            }
        }
        Ok(Self { wrapper, versions, roots: Arc::default(), hold, clock })
    }

    pub fn versions(&self) -> Vec<Version> {
        let told = |stored: &Stored| Version { number: stored.version, made_at: Some(stored.made_at.clone()) };
        self.versions.values().map(told).collect()
    }

    pub fn describe(&self) -> String {
        self.wrapper.describe()
    }

    /// Makes a version, unless another process has made it meanwhile: then that one's is taken, and it is the same for both.
    /// Returns whether it was made here.
    pub async fn make(&mut self, store: &dyn KeyStore, number: u32) -> Result<bool> {
        let what = || format!("make version {number} of the keyring");
        let root = fresh()?;
        let wrapped = self.wrapper.wrap(&root).await?;
        let stored = Stored {
            format: FORMAT.into(),
            version: number,
            made_at: rfc3339(self.clock.now()),
            wrapped_by: self.wrapper.describe(),
            wrapped,
            check: secret_check(&root)?,
        };
        // A key that wraps and may not unwrap would be noticed too late.
        self.unwrap(&stored).await?;
        let body = serde_json::to_vec_pretty(&stored).map_err(|e| Error::internal(what(), &e))?;
        let made = store.put_new(&format!("{number}.json"), body).await?;
        let stored = if made { stored } else { read(store, number).await? };
        self.versions.insert(number, stored);
        Ok(made)
    }

    /// Asks the key system for the newest secret, whatever is held: an error says what is wrong with it. Where there is none
    /// yet, one that nobody keeps is wrapped and unwrapped.
    pub async fn probe(&self) -> Result<()> {
        match self.versions.values().next_back() {
            Some(newest) => self.unwrap(newest).await.map(drop),
            None => self.wrapper.unwrap(&self.wrapper.wrap(&fresh()?).await?).await.map(drop),
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        lock(&self.roots).len()
    }

    async fn unwrap(&self, stored: &Stored) -> Result<Root> {
        let root = self.wrapper.unwrap(&stored.wrapped).await.map_err(|error| match error.kind {
            Kind::Refused | Kind::Project | Kind::Data if stored.wrapped_by != self.wrapper.describe() => {
                let detail = format!("{}; it was wrapped by {}", error.detail, stored.wrapped_by);
                Error::new(error.kind, error.what, detail)
            }
            _ => error,
        })?;
        match secret_check(&root)? == stored.check {
            true => Ok(root),
            false => Err(Error::refused(
                format!("unwrap version {} of the keyring", stored.version),
                format!("{} gave another secret than was wrapped; no row passes", self.wrapper.describe()),
            )),
        }
    }

    /// The secret of a version, for `take` to use at once.
    fn with_root<T>(&self, stored: &Stored, take: impl FnOnce(&Root) -> Result<T>) -> Result<T> {
        // Held while the system is asked: whoever else needs a key needs this answer as well.
        let mut roots = lock(&self.roots);
        let now = self.clock.now().0;
        roots.retain(|_, held| now < held.until);
        if let Some(held) = roots.get(&stored.version) {
            return take(&held.root);
        }
        let root = wait(self.unwrap(stored))?;
        let until = now.saturating_add(i64::try_from(self.hold.as_micros()).unwrap_or(i64::MAX));
        let taken = take(&root);
        roots.insert(stored.version, Held { root, until });
        wipe_later(Arc::downgrade(&self.roots), stored.version, until, self.hold);
        taken
    }
}

impl KeyProvider for Keyring {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
        super::check_scope(scope)?;
        let stored = match version {
            None => self.versions.values().next_back(),
            Some(number) => self.versions.get(&number),
        };
        let stored = stored.ok_or_else(|| unknown_version(scope, version.unwrap_or(0)))?;
        self.with_root(stored, |root| scope_key(root, scope, stored.version))
    }

    fn expires(&self) -> bool {
        true
    }
}

fn fresh() -> Result<Root> {
    let mut root = Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut *root).map_err(|e| Error::new(Kind::Storage, "draw a key", e))?;
    Ok(root)
}

fn lock(roots: &Roots) -> MutexGuard<'_, BTreeMap<u32, Held>> {
    roots.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wipes a secret when its time is over, though nobody asks for it again. A thread that sleeps holds no process up.
fn wipe_later(roots: Weak<Roots>, version: u32, until: i64, hold: Duration) {
    let wipe = move || {
        std::thread::sleep(hold);
        if let Some(roots) = roots.upgrade() {
            let mut roots = lock(&roots);
            if roots.get(&version).is_some_and(|held| held.until <= until) {
                roots.remove(&version);
            }
        }
    };
    // Without the thread it is wiped at the next question.
    let _ = std::thread::Builder::new().name("wipe keys".into()).stack_size(64 << 10).spawn(wipe);
}

async fn read(store: &dyn KeyStore, number: u32) -> Result<Stored> {
    let what = || format!("read version {number} of the keyring");
    let body = store.get(&format!("{number}.json")).await?;
    let body = body.ok_or_else(|| Error::data(what(), "it is listed and not there"))?;
    let stored: Stored = serde_json::from_slice(&body)
        .map_err(|e| Error::data(what(), format!("it is no key (line {}, column {})", e.line(), e.column())))?;
    if stored.format != FORMAT || stored.version != number {
        return Err(Error::data(what(), format!("its format is not `{FORMAT}`, or its version another one")));
    }
    Ok(stored)
}

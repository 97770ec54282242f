//! Keys of scopes: a scope (`person`, `contact`) names who may be joined with whom; each has a key of its own.

mod aws;
mod azure;
mod carried;
mod derive;
mod file;
mod gcp;
mod http;
mod place;
#[cfg(test)]
mod recorded;
mod ring;
mod subject;
#[cfg(test)]
mod tests;
mod vault;
mod wrapper;

pub use carried::{Carried, Pinned, begin, finish};
pub use file::{KeyFile, is_inside};
pub use place::{Place, System};
pub use ring::{HOLD, Keyring};
pub use subject::subject_id;
pub use wrapper::{Env, Root, Wrapper, wrapper};

pub(crate) use derive::{Keyed, hmac_sha256, subkey};
pub(crate) use subject::{Subjects, namer, random, subject_named};

use kernel::clock::Timestamp;
use kernel::error::{Error, Result};
use kernel::keys::{Key, KeyProvider};
use serde::Serialize;
use zeroize::Zeroizing;

const SCOPE_LENGTH_MAX: usize = 64;

/// A version of a project's keys, as may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    pub number: u32,
    /// RFC 3339, UTC.
    pub made_at: Option<String>,
}

fn rfc3339(time: Timestamp) -> String {
    let time = chrono::DateTime::from_timestamp_micros(time.0).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// A scope is lower-case ASCII letters, digits, `_`, `-` and `.`, so that `Person` and `person` can't part by accident.
pub fn check_scope(scope: &str) -> Result<()> {
    if scope.is_empty() {
        return Err(Error::refused(
            "take a key",
            "the scope is empty: it decides which tables can be joined; name one, as in `pseudonym(person)`",
        ));
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    if scope.len() > SCOPE_LENGTH_MAX || !scope.chars().all(fits) {
        let detail = "a scope is at most 64 lower-case letters, digits, `_`, `-` and `.`, as in `person`";
        return Err(Error::project(format!("key scope `{scope}`"), detail));
    }
    Ok(())
}

/// 32 bits that tell a key store from another one, by a scope that masks no column. The first version is asked for, so that
/// a rotation changes nothing.
pub(crate) fn fingerprint(keys: &dyn KeyProvider) -> Result<String> {
    use hmac::Mac;
    let key = subkey(&keys.key("lavra.fingerprint", Some(1))?, "fingerprint")?;
    let code = hmac_sha256(&*key)?.chain_update(b"lavra").finalize().into_bytes();
    Ok(code.iter().take(4).map(|byte| format!("{byte:02x}")).collect())
}

/// A code over `text` that only a key holder can make: it shows that nobody else wrote it. Of the first version, so that a
/// rotation changes nothing.
pub fn seal(keys: &dyn KeyProvider, text: &[u8]) -> Result<String> {
    use hmac::Mac;
    let key = subkey(&keys.key("lavra.audit", Some(1))?, "audit")?;
    let code = hmac_sha256(&*key)?.chain_update(text).finalize().into_bytes();
    Ok(code.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Keys derived from a seed that stands in the source: for tests and benchmarks, they hide nothing from anybody.
#[derive(Clone)]
pub struct FixedKeys {
    roots: Vec<Zeroizing<[u8; 32]>>,
}

impl FixedKeys {
    /// One version per seed, the last is the newest.
    pub fn new(seeds: &[u8]) -> Self {
        Self { roots: seeds.iter().map(|seed| Zeroizing::new([*seed; 32])).collect() }
    }
}

impl KeyProvider for FixedKeys {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
        let newest = u32::try_from(self.roots.len()).unwrap_or(u32::MAX);
        let version = version.unwrap_or(newest);
        let root = version.checked_sub(1).and_then(|at| self.roots.get(at as usize));
        derive::scope_key(root.ok_or_else(|| unknown_version(scope, version))?, scope, version)
    }
}

fn unknown_version(scope: &str, version: u32) -> Error {
    let detail = format!("there is no version {version}; what was made with it can't be opened without it");
    Error::refused(format!("take the key of scope `{scope}`"), detail)
}

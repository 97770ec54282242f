//! Keys of scopes: a scope (`person`, `contact`) names who may be joined with whom; each has a key of its own.

mod derive;
mod file;

pub use file::KeyFile;

pub(crate) use derive::{Keyed, hmac_sha256, subkey};

use kernel::error::{Error, Result};
use kernel::keys::{Key, KeyProvider};
use zeroize::Zeroizing;

const SCOPE_LENGTH_MAX: usize = 64;

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

/// What a scope's key names people for.
pub(crate) const SUBJECT: &str = "subject";

/// The id of a person's secrets in a scope; `value` in its one spelling. The first version of the key names people for
/// good, so that a rotation loses nobody.
pub fn subject_id(scope: &str, kind: &str, value: &str, keys: &dyn KeyProvider) -> Result<kernel::vault::Id> {
    use hmac::Mac;
    let key = subkey(&keys.key(scope, Some(1))?, SUBJECT)?;
    let code = subject_message(hmac_sha256(&*key)?, kind, value).finalize().into_bytes();
    let mut id = [0; 16];
    id.copy_from_slice(&code[..16]);
    Ok(id)
}

pub(crate) fn subject_message(keyed: Keyed, kind: &str, value: &str) -> Keyed {
    use hmac::Mac;
    keyed.chain_update(kind).chain_update([0]).chain_update(value)
}

/// Keys derived from a seed that stands in the source: for tests and benchmarks, they hide nothing from anybody.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_keys_obey_the_laws() {
        kernel::laws::keys::obeys(&FixedKeys::new(&[7]));
        kernel::laws::keys::obeys(&FixedKeys::new(&[7, 8, 9]));
        assert!(FixedKeys::new(&[]).key("person", None).is_err());
    }

    #[test]
    fn a_scope_is_well_formed_or_refused() {
        assert!(check_scope("person").is_ok() && check_scope("br.person-2_x").is_ok());
        for bad in ["Person", "a b", "pessoa física", "a/b", &"x".repeat(65)] {
            assert!(check_scope(bad).is_err(), "{bad}");
        }
        assert_eq!(check_scope("").map_err(|e| e.kind), Err(kernel::Kind::Refused));
    }
}

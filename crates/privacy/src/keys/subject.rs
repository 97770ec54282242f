//! Secrets of persons in the vault: their tokens, the keys of their data.
//!
//! A subject's id = the first 16 bytes of HMAC-SHA-256(subkey of the scope's first key, normalised value), in whatever space:
//! one shredding reaches all that a scope keeps of somebody. The first version is asked for, so that a rotation makes
//! nobody another person.
//!
//! A sealed secret = version (4 bytes, big-endian), nonce (12), box: AES-256-GCM-SIV under the scope's key; the space and
//! what the secret is kept by are authenticated with it, so that one can't be put in another's place.

use super::{Keyed, check_scope, hmac_sha256, subkey};
use crate::mask::{Normalize, Secrets};
use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use hmac::Mac;
use kernel::error::{Error, Kind, Result};
use kernel::keys::KeyProvider;
use kernel::vault::{Id, Secret, Vault};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

const VERSION_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;

/// The id of a subject in the vault. `kind` is what `value` is (`cpf`), so that its spelling doesn't matter.
pub fn subject_id(scope: &str, kind: Option<&str>, value: &str, keys: &dyn KeyProvider) -> Result<Id> {
    let spelled = Normalize::choose(None, kind)?;
    Ok(subject_named(namer(scope, keys)?, &spelled.apply(value)))
}

/// What names the subjects of a scope, by [`subject_named`].
pub(crate) fn namer(scope: &str, keys: &dyn KeyProvider) -> Result<Keyed> {
    hmac_sha256(&*id_key(scope, keys)?)
}

fn id_key(scope: &str, keys: &dyn KeyProvider) -> Result<Zeroizing<[u8; 32]>> {
    check_scope(scope)?;
    subkey(&keys.key(scope, Some(1))?, "subject id")
}

/// The id of a subject whose value is spelled in the one way.
pub(crate) fn subject_named(keyed: Keyed, spelled: &str) -> Id {
    let code: [u8; 32] = keyed.chain_update(spelled.as_bytes()).finalize().into_bytes().into();
    let mut id = Id::default();
    id.copy_from_slice(&code[..16]);
    id
}

/// What a scope keeps of its subjects in one space of the vault.
pub(crate) struct Subjects {
    scope: String,
    space: String,
    id_key: Zeroizing<[u8; 32]>,
    secrets: Secrets,
    /// The newest version of the scope's key.
    newest: u32,
    /// Keys to seal and open with, by version.
    wraps: Mutex<BTreeMap<u32, Zeroizing<[u8; 32]>>>,
}

impl Subjects {
    /// `what` is the space's first word.
    pub fn new(what: &str, scope: &str, secrets: &Secrets) -> Result<Self> {
        let id_key = id_key(scope, &*secrets.keys)?;
        let newest = secrets.keys.key(scope, None)?;
        let wraps = Mutex::new(BTreeMap::from([(newest.version(), subkey(&newest, "vault")?)]));
        let space = format!("{what}/{scope}");
        Ok(Self { scope: scope.to_owned(), space, id_key, secrets: secrets.clone(), newest: newest.version(), wraps })
    }

    pub fn scope(&self) -> &str {
        &self.scope
    }

    fn vault(&self) -> Result<&Arc<dyn Vault>> {
        let vault = self.secrets.vault.as_ref();
        vault.ok_or_else(|| Error::internal(format!("open the vault for `{}`", self.space), "there is none here"))
    }

    /// The ids of subjects whose values are spelled in the one way.
    pub fn ids<'a>(&self, spelled: impl IntoIterator<Item = &'a str>) -> Result<Vec<Id>> {
        let keyed = hmac_sha256(&*self.id_key)?;
        Ok(spelled.into_iter().map(|value| subject_named(keyed.clone(), value)).collect())
    }

    /// The secret of each id, made by `make` of its place where there is none; `None` for who was forgotten.
    pub fn secrets(&self, ids: &[Id], make: &mut dyn FnMut(usize) -> Result<Secret>) -> Result<Vec<Option<Secret>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let vault = self.vault()?;
        let refusal = match vault.get_or_put(&self.space, ids, make) {
            Ok(secrets) => return Ok(secrets.into_iter().map(Some).collect()),
            Err(error) if error.kind == Kind::Refused => error,
            Err(error) => return Err(error),
        };
        let gone = vault.shredded(&self.space, ids)?;
        if !gone.contains(&true) {
            return Err(refusal);
        }
        let left: Vec<usize> = (0..ids.len()).filter(|at| !gone[*at]).collect();
        let known: Vec<Id> = left.iter().map(|at| ids[*at]).collect();
        let secrets = vault.get_or_put(&self.space, &known, &mut |at| make(left[at]))?;
        let mut all = vec![None; ids.len()];
        left.into_iter().zip(secrets).for_each(|(at, secret)| all[at] = Some(secret));
        Ok(all)
    }

    /// The secret that is there; `None` for who was forgotten. Whoever was never there is an error: this is another vault.
    pub fn known(&self, id: &Id) -> Result<Option<Secret>> {
        let vault = self.vault()?;
        match vault.get(&self.space, &[*id])?.pop().flatten() {
            Some(secret) => Ok(Some(secret)),
            None if vault.shredded(&self.space, &[*id])?.contains(&true) => Ok(None),
            None => Err(self.fails("its key is not in this vault; the vault of when it was encrypted is needed")),
        }
    }

    pub fn of_token(&self, token: &str) -> Result<Option<Secret>> {
        self.vault()?.find(&self.space, token)
    }

    /// `by` is what the secret is found by.
    pub fn seal(&self, by: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let mut boxed = secret.to_vec();
        let sealed = self.cipher(self.newest)?.encrypt_in_place(&Nonce::from(nonce), &self.about(by), &mut boxed);
        sealed.map_err(|e| Error::internal("seal a secret", e))?;
        Ok([self.newest.to_be_bytes().as_slice(), &nonce, &boxed].concat())
    }

    pub fn open(&self, by: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let parts = sealed.split_first_chunk::<VERSION_BYTES>();
        let parts = parts.and_then(|(version, rest)| Some((version, rest.split_first_chunk::<NONCE_BYTES>()?)));
        let Some((version, (nonce, boxed))) = parts else { return Err(self.fails("its secret is too short")) };
        let mut opened = Zeroizing::new(boxed.to_vec());
        let cipher = self.cipher(u32::from_be_bytes(*version))?;
        let done = cipher.decrypt_in_place(&Nonce::from(*nonce), &self.about(by), &mut *opened);
        done.map_err(|_| self.fails("its secret was changed, or sealed with another key"))?;
        Ok(opened)
    }

    fn about(&self, by: &[u8]) -> Vec<u8> {
        [self.space.as_bytes(), b"\0", by].concat()
    }

    fn cipher(&self, version: u32) -> Result<Aes256GcmSiv> {
        let mut wraps = self.wraps.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match wraps.entry(version) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(subkey(&self.secrets.keys.key(&self.scope, Some(version))?, "vault")?)
            }
        };
        Aes256GcmSiv::new_from_slice(&**key).map_err(|e| Error::internal("take a key into AES", e))
    }

    pub fn fails(&self, why: &str) -> Error {
        Error::new(Kind::Data, format!("open a value of scope `{}`", self.scope), why)
    }
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal("draw random bytes", e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::FixedKeys;
    use kernel::vault::MemoryVault;

    fn subjects(what: &str, scope: &str, keys: &[u8]) -> Subjects {
        let vault: Arc<dyn Vault> = Arc::new(MemoryVault::default());
        Subjects::new(what, scope, &Secrets::new(Arc::new(FixedKeys::new(keys)), Some(vault))).unwrap()
    }

    #[test]
    fn a_person_has_one_id_however_spelled_and_whatever_the_newest_key() {
        let id = |kind, value, keys: &[u8]| subject_id("person", kind, value, &FixedKeys::new(keys)).unwrap();
        let one = id(Some("cpf"), "529.982.247-25", &[7]);
        assert_eq!(one, id(Some("cpf"), "52998224725", &[7, 8]));
        assert_eq!(one, id(None, "52998224725", &[7]));
        assert_ne!(one, id(Some("cpf"), "529.982.247-25", &[8]));
        assert_ne!(one, subject_id("contact", Some("cpf"), "52998224725", &FixedKeys::new(&[7])).unwrap());
        assert_eq!(subjects("token", "person", &[7]).ids(["52998224725"]).unwrap(), [one]);
        assert!(subject_id("", None, "x", &FixedKeys::new(&[7])).is_err());
    }

    #[test]
    fn a_secret_opens_in_its_own_place_only_and_after_a_rotation() {
        let sealed = subjects("subject", "person", &[7]).seal(b"ana", b"key").unwrap();
        let open = |what: &str, scope: &str, keys: &[u8], by: &[u8], sealed: &[u8]| {
            subjects(what, scope, keys).open(by, sealed).map(|opened| opened.to_vec())
        };
        assert_eq!(open("subject", "person", &[7], b"ana", &sealed).unwrap(), b"key");
        assert_eq!(open("subject", "person", &[7, 8], b"ana", &sealed).unwrap(), b"key");
        assert!(open("subject", "person", &[7], b"bruno", &sealed).is_err());
        assert!(open("token", "person", &[7], b"ana", &sealed).is_err());
        assert!(open("subject", "person", &[8], b"ana", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(open("subject", "person", &[7], b"ana", &sealed[..cut]).is_err());
        }
    }
}

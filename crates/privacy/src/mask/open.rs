//! Opens what `encrypt` hid, for whoever holds the keys. What was a number or a date comes back as its text.

use super::Secrets;
use super::encrypt::{Deterministic, Encrypt, NONCE_BYTES, SIV};
use super::per_subject::{self, MARK};
use crate::keys::Subjects;
use aes_gcm_siv::Aes256GcmSiv;
use aes_siv::siv::Aes256Siv;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::error::{Error, Kind, Result};
use kernel::keys::{Key, KeyProvider};
use kernel::vault::Id;
use std::collections::HashMap;
use std::sync::Arc;

/// Opens one ciphertext of `encrypt(scope)` in either mode; `None` for a subject who was forgotten.
///
/// A changed byte, another scope or another key is an error; so is a version that the keys no longer have.
pub fn decrypt(ciphertext: &str, scope: &str, secrets: &Secrets) -> Result<Option<String>> {
    Opener::new(scope, secrets)?.open(ciphertext)
}

/// Opens the ciphertexts of a scope. It holds each key that it met, and goes with the column that it is made for.
pub struct Opener {
    scope: String,
    keys: Arc<dyn KeyProvider>,
    subjects: Subjects,
    versions: HashMap<u32, Ciphers>,
    people: HashMap<Id, Option<Ciphers>>,
}

struct Ciphers {
    random: (Encrypt, Aes256GcmSiv),
    same: (Deterministic, Aes256Siv),
}

impl Ciphers {
    fn new(scope: &str, key: &Key) -> Result<Self> {
        let (random, same) = (Encrypt::new(scope, key, "")?, Deterministic::new(scope, key, "")?);
        let ciphers = (random.cipher()?, same.cipher());
        Ok(Self { random: (random, ciphers.0), same: (same, ciphers.1) })
    }
}

impl Opener {
    pub fn new(scope: &str, secrets: &Secrets) -> Result<Self> {
        let subjects = per_subject::subjects(scope, secrets)?;
        let (versions, people) = (HashMap::new(), HashMap::new());
        Ok(Self { scope: scope.to_owned(), keys: secrets.keys.clone(), subjects, versions, people })
    }

    /// The value, or `None` of a subject who was forgotten. An error holds nothing of either.
    pub fn open(&mut self, ciphertext: &str) -> Result<Option<String>> {
        let parsed = parse(ciphertext).map_err(|why| self.closed(why))?;
        let ciphers = match parsed.subject {
            None => Some(self.of_version(parsed.version)?),
            Some(id) if parsed.version == per_subject::VERSION => self.of_subject(&id)?,
            Some(_) => return Err(self.closed("its subject has no key of this version")),
        };
        let Some(ciphers) = ciphers else { return Ok(None) };
        let opened = match parsed.nonce {
            None => ciphers.same.0.open(&mut ciphers.same.1, &parsed.sealed),
            Some(nonce) => ciphers.random.0.open(&ciphers.random.1, nonce, parsed.sealed),
        };
        let opened = opened.ok_or_else(|| self.closed("it was changed, or made with another key or scope"))?;
        String::from_utf8(opened).map(Some).map_err(|_| self.closed("what it holds is not text"))
    }

    fn closed(&self, why: &str) -> Error {
        Error::new(Kind::Data, format!("decrypt a value of scope `{}`", self.scope), why)
    }

    fn of_version(&mut self, version: u32) -> Result<&mut Ciphers> {
        let (scope, keys) = (&self.scope, &self.keys);
        match self.versions.entry(version) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(new) => {
                Ok(new.insert(Ciphers::new(scope, &keys.key(scope, Some(version))?)?))
            }
        }
    }

    fn of_subject(&mut self, id: &Id) -> Result<Option<&mut Ciphers>> {
        if !self.people.contains_key(id) {
            let secret = self.subjects.known(id)?;
            let key = secret.map(|secret| per_subject::key(&self.subjects, id, &secret)).transpose()?;
            let ciphers = key.map(|key| Ciphers::new(&self.scope, &key)).transpose()?;
            self.people.insert(*id, ciphers);
        }
        Ok(self.people.get_mut(id).and_then(Option::as_mut))
    }
}

/// A ciphertext's parts.
struct Parsed {
    version: u32,
    subject: Option<Id>,
    /// `None` of a deterministic one.
    nonce: Option<[u8; NONCE_BYTES]>,
    sealed: Vec<u8>,
}

fn parse(ciphertext: &str) -> Result<Parsed, &'static str> {
    let parts: Vec<&str> = ciphertext.split('.').collect();
    let (version, subject, nonce, sealed) = match parts[..] {
        [version, nonce, sealed] => (version, None, nonce, sealed),
        [version, MARK, subject, nonce, sealed] => (version, Some(subject), nonce, sealed),
        _ => return Err("it is not `version.nonce.box`"),
    };
    let subject = subject.map(|id| bytes(id).ok_or("its subject is not 16 bytes of base64url")).transpose()?;
    let nonce = match nonce {
        SIV => None,
        nonce => Some(bytes(nonce).ok_or("its nonce is not 12 bytes of base64url")?),
    };
    Ok(Parsed {
        version: version.parse().map_err(|_| "its version is not a number")?,
        subject,
        nonce,
        sealed: URL_SAFE_NO_PAD.decode(sealed).map_err(|_| "its box is not base64url")?,
    })
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

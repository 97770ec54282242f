//! Secrets of single values and persons: random tokens, keys of one person's data. Whoever removes one shreds what it opens.

use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Who or what a secret is for: never the value itself, but a keyed digest of it.
pub type Id = [u8; 16];

/// What the vault keeps for an id. `sealed` is wrapped by a key, so that whoever steals the vault alone has nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Unique in its space, when it is a token; by it the id is found again.
    pub token: Option<String>,
    pub sealed: Vec<u8>,
}

/// How often another token is asked for when the one that was made is somebody else's.
pub const TOKEN_TRIES_MAX: usize = 32;

/// A store of secrets beside the keys, never inside the lake: a copy of the lake must not hold them.
///
/// Spaces are apart: `token/person`, `subject/person`. Whatever two processes do at once, an id has one secret. After an
/// error nobody knows: ask again before the next try.
pub trait Vault: Send + Sync {
    /// The secrets of `ids`, in their order; those that are absent are made by `make` of the id's place, again if the token
    /// is another id's already. All are durable when this returns. An id that was shredded is refused for good
    /// (`Kind::Refused`), so that no late row brings a person back; then nothing is put.
    fn get_or_put(&self, space: &str, ids: &[Id], make: &mut dyn FnMut(usize) -> Result<Secret>)
    -> Result<Vec<Secret>>;

    /// The secrets that are there.
    fn get(&self, space: &str, ids: &[Id]) -> Result<Vec<Option<Secret>>>;

    /// The secret of a token.
    fn find(&self, space: &str, token: &str) -> Result<Option<Secret>>;

    /// Which of `ids` [`Self::get_or_put`] refuses in this space.
    fn shredded(&self, space: &str, ids: &[Id]) -> Result<Vec<bool>>;

    /// Removes the secrets of an id from every space that starts with `prefix`, overwriting their bytes, and remembers the
    /// id as shredded; returns how many there were. Again is no error.
    fn shred(&self, prefix: &str, id: &Id) -> Result<u64>;

    /// Tells this vault from another one, and from one that was lost and made anew; nothing of what it keeps. `None` where
    /// there is none yet: to ask makes none.
    fn identity(&self) -> Result<Option<String>>;
}

/// Why [`Vault::get_or_put`] refuses an id.
pub fn refused(space: &str) -> Error {
    Error::refused(
        format!("keep a secret in `{space}`"),
        "its subject was forgotten, and what is forgotten stays so: take the subject's rows out of the source",
    )
}

/// Why [`Vault::get_or_put`] gives up on a token.
pub fn crowded(space: &str) -> Error {
    let detail = format!("{TOKEN_TRIES_MAX} tokens in a row were taken; let tokens be longer");
    Error::refused(format!("make a token in `{space}`"), detail)
}

/// A vault that is gone with its process: for tests, and for masks that are built to look at their types.
#[derive(Default)]
pub struct MemoryVault(Mutex<Held>);

#[derive(Default)]
struct Held {
    secrets: BTreeMap<(String, Id), Secret>,
    tokens: BTreeMap<(String, String), Id>,
    shredded: BTreeSet<(String, Id)>,
}

impl Held {
    fn is_shredded(&self, space: &str, id: &Id) -> bool {
        self.shredded.iter().any(|(prefix, other)| other == id && space.starts_with(prefix.as_str()))
    }

    fn make(&mut self, space: &str, id: &Id, make: &mut dyn FnMut() -> Result<Secret>) -> Result<Secret> {
        for _ in 0..TOKEN_TRIES_MAX {
            let secret = make()?;
            if let Some(token) = &secret.token {
                let token = (space.to_owned(), token.clone());
                if self.tokens.contains_key(&token) {
                    continue;
                }
                self.tokens.insert(token, *id);
            }
            self.secrets.insert((space.to_owned(), *id), secret.clone());
            return Ok(secret);
        }
        Err(crowded(space))
    }
}

impl MemoryVault {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault for MemoryVault {
    fn get_or_put(
        &self,
        space: &str,
        ids: &[Id],
        make: &mut dyn FnMut(usize) -> Result<Secret>,
    ) -> Result<Vec<Secret>> {
        let mut held = self.held();
        if ids.iter().any(|id| held.is_shredded(space, id)) {
            return Err(refused(space));
        }
        let secret = |(at, id): (usize, &Id)| match held.secrets.get(&(space.to_owned(), *id)) {
            Some(secret) => Ok(secret.clone()),
            None => held.make(space, id, &mut || make(at)),
        };
        ids.iter().enumerate().map(secret).collect()
    }

    fn get(&self, space: &str, ids: &[Id]) -> Result<Vec<Option<Secret>>> {
        let held = self.held();
        Ok(ids.iter().map(|id| held.secrets.get(&(space.to_owned(), *id)).cloned()).collect())
    }

    fn find(&self, space: &str, token: &str) -> Result<Option<Secret>> {
        let held = self.held();
        let id = held.tokens.get(&(space.to_owned(), token.to_owned()));
        Ok(id.and_then(|id| held.secrets.get(&(space.to_owned(), *id)).cloned()))
    }

    fn shredded(&self, space: &str, ids: &[Id]) -> Result<Vec<bool>> {
        let held = self.held();
        Ok(ids.iter().map(|id| held.is_shredded(space, id)).collect())
    }

    fn shred(&self, prefix: &str, id: &Id) -> Result<u64> {
        let mut held = self.held();
        held.shredded.insert((prefix.to_owned(), *id));
        let before = held.secrets.len();
        held.secrets.retain(|(space, other), _| other != id || !space.starts_with(prefix));
        Ok((before - held.secrets.len()) as u64)
    }

    fn identity(&self) -> Result<Option<String>> {
        Ok((!self.held().secrets.is_empty()).then(|| "memory".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_vault_of_tests_obeys_the_laws() {
        let vault: Arc<dyn Vault> = Arc::new(MemoryVault::default());
        crate::laws::vault::obeys(&|| vault.clone());
    }
}

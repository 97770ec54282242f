//! Secrets of single values and persons: random tokens, keys of one person's data. Whoever removes one shreds what it opens.

use crate::error::Result;

/// Who or what a secret is for: never the value itself, but a keyed digest of it.
pub type Id = [u8; 16];

/// What the vault keeps for an id. `sealed` is wrapped by a key, so that whoever steals the vault alone has nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Unique in its space, when it is a token; by it the id is found again.
    pub token: Option<String>,
    pub sealed: Vec<u8>,
}

/// A store of secrets beside the keys, never inside the lake: a copy of the lake must not hold them.
///
/// Spaces are apart: `token/person`, `subject/person`. Whatever two processes do at once, an id has one secret. After an
/// error nobody knows: ask again before the next try.
pub trait Vault: Send + Sync {
    /// The secrets of `ids`, in their order; those that are absent are made by `make` of the id's place. All are durable
    /// when this returns. An id that was shredded is refused for good, so that no late row brings a person back.
    fn get_or_put(&self, space: &str, ids: &[Id], make: &mut dyn FnMut(usize) -> Result<Secret>)
    -> Result<Vec<Secret>>;

    /// The secrets that are there.
    fn get(&self, space: &str, ids: &[Id]) -> Result<Vec<Option<Secret>>>;

    /// The secret of a token.
    fn find(&self, space: &str, token: &str) -> Result<Option<Secret>>;

    /// Removes the secrets of an id from every space that starts with `prefix`, overwriting their bytes, and remembers the
    /// id as shredded; returns how many there were. Again is no error.
    fn shred(&self, prefix: &str, id: &Id) -> Result<u64>;
}

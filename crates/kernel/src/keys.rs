//! Keys. A key can't be printed, cloned or serialised, and is wiped when it is dropped.

use crate::error::Result;
use async_trait::async_trait;
use zeroize::Zeroizing;

/// 32 secret bytes of one scope and version.
pub struct Key {
    bytes: Zeroizing<[u8; 32]>,
    version: u32,
}

impl Key {
    pub fn new(bytes: [u8; 32], version: u32) -> Self {
        Self { bytes: Zeroizing::new(bytes), version }
    }

    pub fn version(&self) -> u32 {
        self.version
    }

    /// The bytes, for a cipher to take in at once; never to keep or to copy into another buffer.
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// Gives the key of a scope (`person`, `contact`): the same scope is the same key everywhere.
///
/// `version: None` asks for the one to mask with: the newest, unless the provider was pinned to what the tables carry.
/// Implementations fail closed: an unreachable store, an unknown scope that can't be made, an empty key are errors, never
/// another key.
pub trait KeyProvider: Send + Sync {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key>;

    /// Whether a key may be used for a bounded time only. Whoever masks with such a provider asks again for each batch, and
    /// keeps no key in between, so that a revoked key stops the next batch.
    fn expires(&self) -> bool {
        false
    }

    /// The public key of a scope where it is published, with which anybody may encrypt; its text is `privacy::he`'s.
    fn published(&self, _scope: &str) -> Option<String> {
        None
    }
}

/// Small objects beside the tables: wrapped keys, and which version the tables carry. They are put once and never
/// replaced, so that of two processes that put the same name one is told so.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// The names of all objects, in any order.
    async fn list(&self) -> Result<Vec<String>>;

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Puts a new object; `false` when there is one of that name, which stays as it is. Durable when it returns; after an
    /// error nobody knows: list again before the next try.
    async fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool>;
}

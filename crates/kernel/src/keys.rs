//! Keys. A key can't be printed, cloned or serialised, and is wiped when it is dropped.

use crate::error::Result;
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
/// `version: None` asks for the newest. Implementations fail closed: an unreachable store, an unknown scope that can't
/// be made, an empty key are errors, never another key.
pub trait KeyProvider: Send + Sync {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key>;

    /// The public key of a scope where it is published, with which anybody may encrypt; its text is `privacy::he`'s.
    fn published(&self, _scope: &str) -> Option<String> {
        None
    }
}

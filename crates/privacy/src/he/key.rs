//! The key pair of a scope: the secret half is derived from the scope's key, the public one is published as text.

use crate::keys::{check_scope, subkey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use kernel::error::{Error, Result};
use kernel::keys::{Key, KeyProvider};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Tells whose key a ciphertext was made with.
pub(super) type Mark = [u8; 4];

pub(super) struct SecretKey {
    pub scalar: Zeroizing<Scalar>,
    pub mark: Mark,
}

/// What encrypts. It opens nothing, so it may stand in `lavra.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub version: u32,
    pub(super) point: RistrettoPoint,
    pub(super) mark: Mark,
}

impl SecretKey {
    pub fn new(scope: &str, key: &Key) -> Result<Self> {
        let mut wide = Zeroizing::new([0; 64]);
        wide[..32].copy_from_slice(&*subkey(key, "homomorphic low")?);
        wide[32..].copy_from_slice(&*subkey(key, "homomorphic high")?);
        let scalar = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide));
        let mark = mark(scope, &(RISTRETTO_BASEPOINT_TABLE * &*scalar));
        Ok(Self { scalar, mark })
    }
}

impl PublicKey {
    fn of(scope: &str, key: &Key) -> Result<Self> {
        let secret = SecretKey::new(scope, key)?;
        let point = RISTRETTO_BASEPOINT_TABLE * &*secret.scalar;
        Ok(Self { version: key.version(), point, mark: secret.mark })
    }

    /// Reads `version.point`, the point in base64url without padding.
    pub fn parse(scope: &str, text: &str) -> Result<Self> {
        check_scope(scope)?;
        let wrong = |why: &str| Error::project(format!("public key of scope `{scope}`"), why);
        let (version, point) = text.trim().split_once('.').ok_or_else(|| wrong("it is not `version.key`"))?;
        let version = version.parse().map_err(|_| wrong("its version is not a number"))?;
        let bytes = URL_SAFE_NO_PAD.decode(point).map_err(|_| wrong("its key is not base64url"))?;
        let point = CompressedRistretto::from_slice(&bytes).ok().and_then(|point| point.decompress());
        match point.filter(|point| !point.is_identity()) {
            Some(point) => Ok(Self { version, point, mark: mark(scope, &point) }),
            None => Err(wrong("it is no point of ristretto255; print it anew with `lavra public-key`")),
        }
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.version, URL_SAFE_NO_PAD.encode(self.point.compress().as_bytes()))
    }
}

fn mark(scope: &str, point: &RistrettoPoint) -> Mark {
    let digest =
        Sha256::new().chain_update(b"lavra he\0").chain_update(scope).chain_update(point.compress().as_bytes());
    let mut mark = Mark::default();
    mark.copy_from_slice(&digest.finalize()[..4]);
    mark
}

/// The key to encrypt with: of the secret one where it is at hand, else the published one.
///
/// A published key that is not of the secret one at hand is refused: nobody here could open what it makes.
pub fn public_key(scope: &str, keys: &dyn KeyProvider) -> Result<PublicKey> {
    check_scope(scope)?;
    let published = keys.published(scope).map(|text| PublicKey::parse(scope, &text)).transpose()?;
    let (key, published) = match (keys.key(scope, None), published) {
        (Ok(key), None) => return PublicKey::of(scope, &key),
        (Ok(key), Some(published)) => (key, published),
        (Err(_), Some(published)) => return Ok(published),
        (Err(error), None) => return Err(error),
    };
    if PublicKey::of(scope, &keys.key(scope, Some(published.version))?)? != published {
        let detail = "it belongs to other keys than the ones at hand; print theirs with `lavra public-key`";
        return Err(Error::refused(format!("public key of scope `{scope}`"), detail));
    }
    PublicKey::of(scope, &key)
}

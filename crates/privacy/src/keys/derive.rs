//! Derivation: root → scope and version → purpose, each step by HKDF-SHA-256 (RFC 5869).

use hmac::{Hmac, KeyInit, Mac};
use kernel::error::{Error, Result};
use kernel::keys::Key;
use sha2::Sha256;
use zeroize::Zeroizing;

/// HMAC-SHA-256 with its key taken in: a clone of it saves the two compressions that every fresh key costs.
pub(crate) type Keyed = Hmac<Sha256>;

const SALT: &[u8] = b"lavra keys v1";

pub(crate) fn hmac_sha256(key: &[u8]) -> Result<Keyed> {
    Keyed::new_from_slice(key).map_err(|e| Error::internal("take a key into HMAC", e))
}

/// The key of a scope and version under a root secret.
pub(super) fn scope_key(root: &[u8; 32], scope: &str, version: u32) -> Result<Key> {
    super::check_scope(scope)?;
    let info = [b"scope\0", scope.as_bytes(), b"\0", &version.to_be_bytes()].concat();
    let mut bytes = hkdf(SALT, root, &info)?;
    Ok(Key::new(std::mem::take(&mut *bytes), version))
}

/// 64 bits that tell a root secret from another one, and nothing of it.
pub(super) fn secret_check(root: &[u8; 32]) -> Result<String> {
    let check = hkdf(SALT, root, b"check")?;
    Ok(check.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// A key of its own for each use of a scope's key, so that no two algorithms ever share one.
///
/// Refuses an empty key, whichever store it came from.
pub(crate) fn subkey(key: &Key, purpose: &str) -> Result<Zeroizing<[u8; 32]>> {
    if key.expose().iter().all(|byte| *byte == 0) {
        return Err(Error::refused(
            "take a key",
            "the key is empty (all zero): what it masks could be read by anybody",
        ));
    }
    hkdf(SALT, key.expose(), purpose.as_bytes())
}

/// The first 32 bytes of HKDF-SHA-256: extract, then one block of expand.
fn hkdf(salt: &[u8], secret: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
    let extracted = Zeroizing::new(<[u8; 32]>::from(hmac_sha256(salt)?.chain_update(secret).finalize().into_bytes()));
    let expand = hmac_sha256(&*extracted)?.chain_update(info).chain_update([1]);
    Ok(Zeroizing::new(expand.finalize().into_bytes().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
        hmac_sha256(key).unwrap().chain_update(data).finalize().into_bytes().to_vec()
    }

    /// RFC 4231, section 4: test cases 1 to 4, 6 and 7 (5 is truncated).
    #[test]
    fn hmac_sha_256_gives_the_vectors_of_rfc_4231() {
        let ascending: Vec<u8> = (1..=25).collect();
        let long = [0xaa; 131];
        let cases: [(&[u8], &[u8], &str); 6] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&ascending, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (
                &long,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &long,
                b"This is a test using a larger than block-size key and a larger than block-size data. \
                  The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, data, expected) in cases {
            assert_eq!(mac(key, data), hex(expected));
            // A clone of the keyed state is what the masks use.
            let keyed = hmac_sha256(key).unwrap();
            assert_eq!(keyed.clone().chain_update(data).finalize().into_bytes().to_vec(), hex(expected));
        }
    }

    /// RFC 5869, appendix A.1 and A.2, first 32 bytes.
    #[test]
    fn hkdf_gives_the_vectors_of_rfc_5869() {
        let okm = hkdf(&hex("000102030405060708090a0b0c"), &[0x0b; 22], &hex("f0f1f2f3f4f5f6f7f8f9")).unwrap();
        assert_eq!(okm.to_vec(), hex("3cb25f25faacd57a90434f64d0362f2a 2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
        let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        let okm = hkdf(&range(0x60, 0xaf), &range(0, 0x4f), &range(0xb0, 0xff)).unwrap();
        assert_eq!(okm.to_vec(), hex("b11e398dc80327a1c8e7f78c596a4934 4f012eda2d4efad8a050cc4c19afa97c"));
    }

    #[test]
    fn an_empty_key_is_refused_and_purposes_part() {
        let refused = subkey(&Key::new([0; 32], 1), "x").map(|_| ()).map_err(|e| e.kind);
        assert_eq!(refused, Err(kernel::Kind::Refused));
        let key = Key::new([3; 32], 1);
        assert_ne!(subkey(&key, "pseudonym").unwrap(), subkey(&key, "encrypt").unwrap());
    }
}

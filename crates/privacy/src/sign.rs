//! Signatures over certificates: Ed25519 (RFC 8032), by a key that is derived from the key store and masks nothing.

use crate::keys::subkey;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use kernel::error::{Error, Result};
use kernel::keys::KeyProvider;

/// Signs what the holder of the keys states.
pub struct Signer(SigningKey);

impl Signer {
    /// The first version of the key, so that a rotation leaves old certificates as they are.
    pub fn of(keys: &dyn KeyProvider) -> Result<Self> {
        let key = subkey(&keys.key("lavra.certificate", Some(1))?, "ed25519")?;
        Ok(Self(SigningKey::from_bytes(&key)))
    }

    /// Hexadecimal.
    pub fn public_key(&self) -> String {
        hex(self.0.verifying_key().as_bytes())
    }

    /// Hexadecimal.
    pub fn sign(&self, message: &[u8]) -> String {
        hex(&self.0.sign(message).to_bytes())
    }
}

/// Fails unless the signature is that of this key over this message; both in hexadecimal.
pub fn verify(public_key: &str, message: &[u8], signature: &str) -> Result<()> {
    let refuse = |why: &str| Error::refused("check the signature", why);
    let key: [u8; 32] = unhex(public_key).ok_or_else(|| refuse("the public key is not 32 bytes in hexadecimal"))?;
    let key = VerifyingKey::from_bytes(&key).map_err(|_| refuse("the public key is none of Ed25519"))?;
    let signature: [u8; 64] = unhex(signature).ok_or_else(|| refuse("the signature is not 64 bytes in hexadecimal"))?;
    let is_good = key.verify_strict(message, &Signature::from_bytes(&signature)).is_ok();
    if is_good { Ok(()) } else { Err(refuse("the text is not what was signed, or another key signed it")) }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::FixedKeys;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn it_signs_as_rfc_8032_does() {
        let secret = unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let signer = Signer(SigningKey::from_bytes(&secret));
        assert_eq!(signer.public_key(), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
                        387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(signer.sign(&[0x72]), expected);
    }

    #[test]
    fn another_text_key_or_signature_is_refused() {
        let signer = Signer::of(&FixedKeys::new(&[7])).unwrap();
        let (key, signature) = (signer.public_key(), signer.sign(b"erased"));
        verify(&key, b"erased", &signature).unwrap();
        assert_eq!(key, Signer::of(&FixedKeys::new(&[7, 8])).unwrap().public_key(), "a rotation keeps it");
        assert!(verify(&key, b"Erased", &signature).is_err());
        assert!(verify(&Signer::of(&FixedKeys::new(&[9])).unwrap().public_key(), b"erased", &signature).is_err());
        assert!(verify(&key, b"erased", &signature.replace(&signature[..1], "x")).is_err());
        assert!(verify("", b"erased", "").is_err());
    }
}

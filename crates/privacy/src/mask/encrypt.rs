//! `encrypt(scope)`: AES-256-GCM-SIV (RFC 8452) with a random nonce. Only a key holder reads it back, and equal values
//! don't look equal. `encrypt(scope, mode: deterministic)`: AES-SIV with two keys of 256 bits (RFC 5297): equal values are
//! equal, so that they can be joined on, and anybody can count how often each occurs.
//!
//! ciphertext = `version.nonce.box`, nonce and box in base64url without padding (RFC 4648); the box ends in the 16-byte
//! tag; the scope is authenticated with it, so that a ciphertext moved to another scope's column does not open. A
//! deterministic one has the word `siv` for its nonce, and its tag in front. With a subject (`per_subject.rs`) each person
//! has a key.

use super::per_subject::PerSubject;
use super::swar::base64url;
use super::{Arg, SCOPE, SUBJECT, Secrets, Spec, takes, text};
use crate::keys::{check_scope, subkey};
use crate::multi::siv::Siv;
use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use aes_siv::siv::Aes256Siv;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::keys::Key;
use kernel::mask::{Mask, Promise};
use kernel::suggest;
use zeroize::Zeroizing;

pub(super) const SPEC: Spec = Spec {
    name: "encrypt",
    summary: "AES-256-GCM-SIV with a random nonce: a key holder reads it again; equal values don't look equal, unless \
              the mode is deterministic (AES-256-SIV), which can be joined on; numbers in homomorphic mode can be \
              added up without a key; with a subject, each person's values have a key of that person, and whoever removes \
              it has forgotten them",
    args: &[
        SCOPE,
        Arg { name: "mode", about: "random (the default), deterministic or homomorphic" },
        SUBJECT,
        Arg {
            name: "max",
            about: "homomorphic only: the largest value that comes, of either sign. A larger one is set aside, and one of which a thousand could not be added up is refused",
        },
    ],
    example: "encrypt(person)",
    promise: Promise { joinable: false, reversible: true, keeps_type: false, random: true },
    build: encrypt,
};

pub(super) const NONCE_BYTES: usize = 12;
/// Nonces are drawn for this many values at a time: one call to the system, not one per value.
const CHUNK_ROWS: usize = 1024;

/// Stands where a random ciphertext has its nonce; no nonce has three letters.
pub(super) const SIV: &str = "siv";

pub(super) struct Encrypt {
    scope: String,
    key: Zeroizing<[u8; 32]>,
    /// What a ciphertext begins with: the version of the key, and whose it is.
    head: String,
}

fn encrypt(spec: &MaskSpec, _: Option<&str>, secrets: &Secrets) -> Result<Box<dyn Mask>> {
    let scope = spec.arg("scope", 0).unwrap_or_default();
    check_scope(scope)?;
    let deterministic = match spec.arg("mode", 1) {
        None | Some("random") => false,
        Some("deterministic") => true,
        Some("homomorphic") if spec.arg("subject", 2).is_some() => {
            let detail = "sums are of one key for everybody: a subject can't have a key of its own here";
            return Err(Error::project("`mode: homomorphic`", detail));
        }
        Some("homomorphic") => return crate::he::mask(scope, spec.arg("max", 3), &*secrets.keys),
        Some(other) => {
            let hint = suggest::hint(other, ["random", "deterministic", "homomorphic"]).unwrap_or_default();
            return Err(Error::project(format!("`mode: {other}`"), hint));
        }
    };
    if spec.arg("max", 3).is_some() {
        let detail = "a largest value is for `homomorphic`, whose sums have a bound";
        return Err(Error::project(format!("`{spec}`"), detail));
    }
    if let Some(subject) = spec.arg("subject", 2) {
        return Ok(Box::new(PerSubject::new(scope, subject, deterministic, secrets)?));
    }
    let key = secrets.keys.key(scope, None)?;
    match deterministic {
        false => Ok(Box::new(Encrypt::new(scope, &key, "")?)),
        true => Ok(Box::new(Deterministic::new(scope, &key, "")?)),
    }
}

impl Encrypt {
    /// `whose` stands behind the version.
    pub fn new(scope: &str, key: &Key, whose: &str) -> Result<Self> {
        let head = format!("{}.{whose}", key.version());
        Ok(Self { scope: scope.to_owned(), key: subkey(key, "encrypt")?, head })
    }

    pub fn cipher(&self) -> Result<Aes256GcmSiv> {
        Aes256GcmSiv::new_from_slice(&*self.key).map_err(|e| Error::internal("take a key into AES", e))
    }

    /// Appends the ciphertext of one value.
    pub fn seal_one(&self, value: &str, out: &mut String) -> Result<()> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|e| Error::internal("draw a nonce", e))?;
        self.seal(&self.cipher()?, nonce, value, &mut Vec::new(), out)
    }

    /// Appends the ciphertext of `value` to `out`; `sealed` is a buffer to work in.
    pub fn seal(
        &self,
        cipher: &Aes256GcmSiv,
        nonce: [u8; NONCE_BYTES],
        value: &str,
        sealed: &mut Vec<u8>,
        out: &mut String,
    ) -> Result<()> {
        let fails = |why: &dyn std::fmt::Display| Error::internal("encrypt a value", why);
        sealed.clear();
        sealed.extend_from_slice(value.as_bytes());
        cipher.encrypt_in_place(&Nonce::from(nonce), self.scope.as_bytes(), sealed).map_err(|e| fails(&e))?;
        out.push_str(&self.head);
        URL_SAFE_NO_PAD.encode_string(nonce, out);
        out.push('.');
        URL_SAFE_NO_PAD.encode_string(sealed, out);
        Ok(())
    }

    /// What is in a box.
    pub fn open(&self, cipher: &Aes256GcmSiv, nonce: [u8; NONCE_BYTES], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        cipher.decrypt_in_place(&Nonce::from(nonce), self.scope.as_bytes(), &mut sealed).ok()?;
        Some(sealed)
    }
}

impl Mask for Encrypt {
    fn name(&self) -> &str {
        SPEC.name
    }

    fn promise(&self) -> Promise {
        SPEC.promise
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        output(input)
    }

    /// Every row is encrypted by itself, also of a dictionary: one ciphertext per distinct value would show who is equal.
    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let values = text::canonical(column)?;
        let text = values.as_string_view();
        let cipher = self.cipher()?;
        let mut out = text::Texts::with_capacity(text.len(), 0);
        let (mut sealed, mut token) = (Vec::new(), String::new());
        let mut nonces = [0u8; NONCE_BYTES * CHUNK_ROWS];
        for (row, value) in text.iter().enumerate() {
            let at = row % CHUNK_ROWS * NONCE_BYTES;
            if at == 0 {
                let needed = (text.len() - row).min(CHUNK_ROWS) * NONCE_BYTES;
                getrandom::fill(&mut nonces[..needed]).map_err(|e| Error::internal("draw a nonce", e))?;
            }
            if let Some(value) = value {
                let mut nonce = [0; NONCE_BYTES];
                nonce.copy_from_slice(&nonces[at..at + NONCE_BYTES]);
                token.clear();
                self.seal(&cipher, nonce, value, &mut sealed, &mut token)?;
                out.bytes().extend_from_slice(token.as_bytes());
            }
            out.end();
        }
        out.rows(text.nulls())
    }
}

/// Equal values have equal ciphertexts.
pub(super) struct Deterministic {
    scope: String,
    key: Zeroizing<[u8; 64]>,
    head: String,
}

impl Deterministic {
    pub fn new(scope: &str, key: &Key, whose: &str) -> Result<Self> {
        let mut both = Zeroizing::new([0; 64]);
        both[..32].copy_from_slice(&*subkey(key, "encrypt siv mac")?);
        both[32..].copy_from_slice(&*subkey(key, "encrypt siv cipher")?);
        Ok(Self { scope: scope.to_owned(), key: both, head: format!("{}.{whose}{SIV}.", key.version()) })
    }

    /// The library's cipher, which opens what [`Siv`] sealed.
    pub fn cipher(&self) -> Aes256Siv {
        Aes256Siv::new(&(*self.key).into())
    }

    /// The ciphertexts of `values`, in their order.
    pub fn seal(&self, values: &[&str]) -> Result<text::Texts> {
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        let mut texts = text::Texts::with_capacity(values.len(), 0);
        Siv::new(&self.key, self.scope.as_bytes()).seal(&values, |sealed| {
            texts.bytes().extend_from_slice(self.head.as_bytes());
            base64url(sealed, texts.bytes());
            texts.end();
        });
        Ok(texts)
    }

    /// Appends the ciphertext of one value, by a cipher that is at hand.
    pub fn seal_one(&self, cipher: &mut Aes256Siv, value: &str, out: &mut String) -> Result<()> {
        let fails = |why: &dyn std::fmt::Display| Error::internal("encrypt a value", why);
        let sealed = cipher.encrypt([self.scope.as_bytes()], value.as_bytes()).map_err(|e| fails(&e))?;
        out.push_str(&self.head);
        URL_SAFE_NO_PAD.encode_string(sealed, out);
        Ok(())
    }

    /// What is in a box.
    pub fn open(&self, cipher: &mut Aes256Siv, sealed: &[u8]) -> Option<Vec<u8>> {
        cipher.decrypt([self.scope.as_bytes()], sealed).ok()
    }
}

impl Mask for Deterministic {
    fn name(&self) -> &str {
        SPEC.name
    }

    fn promise(&self) -> Promise {
        Promise { joinable: true, random: false, ..SPEC.promise }
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        output(input)
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        text::per_distinct(column, |values| {
            let text = text::canonical(values)?;
            let text = text.as_string_view();
            let present: Vec<&str> = text.iter().flatten().collect();
            self.seal(&present)?.column(text)
        })
    }
}

pub(super) fn output(input: &DataType) -> Result<Option<DataType>> {
    let plain = text::plain_type(input);
    let fits = text::has_canonical_text(&plain) || plain.is_floating() || plain == DataType::Boolean;
    takes(SPEC.name, input, fits, "text, numbers, booleans, dates and timestamps")?;
    Ok(Some(DataType::Utf8View))
}

#[cfg(test)]
mod tests {
    use super::super::decrypt;
    use super::super::tests::{build, columns, keyed_mask, keys, mask, one, samples_with_text, secrets};
    use super::*;
    use crate::keys::FixedKeys;
    use arrow::array::{BooleanArray, Float64Array};
    use kernel::Kind;
    use kernel::laws::mask::{obeys, text_sample};
    use std::sync::Arc;

    fn open(token: &str, scope: &str, keys: FixedKeys) -> Result<String> {
        decrypt(token, scope, &Secrets::new(Arc::new(keys), None)).map(|opened| opened.expect("nobody was forgotten"))
    }

    #[test]
    fn it_obeys_the_laws() {
        obeys(&|| mask("encrypt(person)"), &samples_with_text());
        let more: [ArrayRef; 2] = [
            Arc::new(Float64Array::from(vec![0.1, f64::NAN, -1e300])),
            Arc::new(BooleanArray::from(vec![true, false])),
        ];
        obeys(&|| mask("encrypt(person)"), &more);
    }

    #[test]
    fn the_key_holder_reads_back_every_value() {
        let sample = text_sample();
        let sealed = mask("encrypt(person)").apply(&sample).unwrap();
        let sample = arrow::compute::cast(&sample, &DataType::Utf8View).unwrap();
        for (value, token) in sample.as_string_view().iter().zip(sealed.as_string_view().iter()) {
            assert_eq!(value.map(str::to_owned), token.map(|token| open(token, "person", keys()).unwrap()));
        }
    }

    #[test]
    fn nothing_else_opens_it() {
        let token = one(&*mask("encrypt(person)"), "529.982.247-25");
        assert!(token.starts_with("1."));
        let fails = |token: &str, scope: &str, keys: FixedKeys| {
            let error = open(token, scope, keys).unwrap_err();
            assert!(!format!("{error:?}").contains("529"), "{error:?}");
        };
        fails(&token, "contact", keys());
        fails(&token, "person", FixedKeys::new(&[9]));
        fails(&token.replacen("1.", "2.", 1), "person", keys());
        for at in 2..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            fails(str::from_utf8(&changed).unwrap(), "person", keys());
        }
        for broken in ["", "1", "1.x", "1.AAAA.AAAA", "x.AAAAAAAAAAAAAAAA.AAAA", "1.AAAAAAAAAAAAAAAA.", "1.a.b.c"] {
            fails(broken, "person", keys());
        }
    }

    #[test]
    fn an_older_version_still_opens() {
        let token = one(&*mask("encrypt(person)"), "ana");
        let newer = || FixedKeys::new(&[7, 8]);
        assert_eq!(open(&token, "person", newer()).unwrap(), "ana");
        assert!(one(&*keyed_mask("encrypt(person)", None, &newer()).unwrap(), "ana").starts_with("2."));
        assert_eq!(build("encrypt", None).err().map(|e| e.kind), Some(Kind::Refused));
    }

    #[test]
    fn a_deterministic_ciphertext_can_be_joined_on_and_opened() {
        let siv = "encrypt(person, mode: deterministic)";
        obeys(&|| mask(siv), &samples_with_text());
        let token = one(&*mask(siv), "529.982.247-25");
        assert!(token.starts_with("1.siv."), "{token}");
        assert_eq!(token, one(&*mask(siv), "529.982.247-25"));
        assert_ne!(token, one(&*mask("encrypt(contact, deterministic)"), "529.982.247-25"));
        assert_eq!(open(&token, "person", keys()).unwrap(), "529.982.247-25");
        assert!(open(&token, "contact", keys()).is_err() && open(&token, "person", FixedKeys::new(&[9])).is_err());
        let changed = format!("{}{}", &token[..token.len() - 1], if token.ends_with('A') { 'B' } else { 'A' });
        assert!(open(&changed, "person", keys()).is_err());
        let error = build("encrypt(person, mode: determinstic)", None).err().map(|e| e.detail);
        assert_eq!(error, Some("did you mean `deterministic`?".into()));
    }

    /// The column is sealed together, and opened one by one by the library.
    #[test]
    fn deterministic_ciphertexts_of_a_column_are_those_of_its_values() {
        let mask = mask("encrypt(person, mode: deterministic)");
        for column in columns() {
            let plain = text::canonical(&column).unwrap();
            let sealed = mask.apply(&column).unwrap();
            for (value, token) in plain.as_string_view().iter().zip(sealed.as_string_view().iter()) {
                assert_eq!(value.map(|value| one(&*mask, value)).as_deref(), token);
                assert_eq!(
                    value.map(str::to_owned),
                    token.and_then(|token| decrypt(token, "person", &secrets()).unwrap())
                );
            }
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes().chunks(2).map(|p| u8::from_str_radix(str::from_utf8(p).unwrap(), 16).unwrap()).collect()
    }

    /// RFC 8452, appendix C.2 (AEAD_AES_256_GCM_SIV): plaintext, additional data, result.
    #[test]
    fn the_cipher_gives_the_vectors_of_rfc_8452() {
        let key = hex("0100000000000000000000000000000000000000000000000000000000000000");
        let nonce: [u8; 12] = hex("030000000000000000000000").try_into().unwrap();
        let cases = [
            ("", "", "07f5f4169bbf55a8400cd47ea6fd400f"),
            ("0100000000000000", "", "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"),
            ("010000000000000000000000", "", "9aab2aeb3faa0a34aea8e2b18ca50da9ae6559e48fd10f6e5c9ca17e"),
            ("0200000000000000", "01", "1de22967237a813291213f267e3b452f02d01ae33e4ec854"),
        ];
        for (plaintext, additional, result) in cases {
            let cipher = Aes256GcmSiv::new_from_slice(&key).unwrap();
            let mut buffer = hex(plaintext);
            cipher.encrypt_in_place(&Nonce::from(nonce), &hex(additional), &mut buffer).unwrap();
            assert_eq!(buffer, hex(result));
            cipher.decrypt_in_place(&Nonce::from(nonce), &hex(additional), &mut buffer).unwrap();
            assert_eq!(buffer, hex(plaintext));
        }
    }
}

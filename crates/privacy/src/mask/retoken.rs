//! From one version of the keys to another, without the values: what tables hold goes on being joined with what comes in.
//!
//! Pseudonyms change their outer layer, ciphertexts are opened and sealed again. Text that is neither stays as it is, and so
//! does what `fpe` made: nothing in it tells a version.

use super::encrypt::{Deterministic, Encrypt};
use super::pseudonym::{Block, Outer, read};
use super::{Secrets, decrypt, text};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use kernel::error::{Error, Result};
use kernel::keys::KeyProvider;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Brings columns of one scope to a version.
pub struct Retoken<'a> {
    scope: &'a str,
    to: u32,
    keys: &'a Arc<dyn KeyProvider>,
}

/// One masked value. What is of that version already, or no token, is given back as it is.
pub fn retoken(token: &str, scope: &str, to: u32, keys: &Arc<dyn KeyProvider>) -> Result<String> {
    let column: ArrayRef = Arc::new(StringViewArray::from_iter_values([token]));
    let brought = Retoken::new(scope, to, keys)?.column(&column)?;
    Ok(brought.as_string_view().value(0).to_owned())
}

/// The version that a masked value carries; `None` for what carries none.
pub fn version_of(token: &str) -> Option<u32> {
    read(token).map(|(version, _)| version).or_else(|| ciphertext_version(token))
}

fn ciphertext_version(token: &str) -> Option<u32> {
    let mut parts = token.split('.');
    let (version, nonce, sealed) = (parts.next()?, parts.next()?, parts.next()?);
    let is_box = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
    // A nonce is 12 bytes, 16 characters; a box ends in a tag of 16 bytes, 22 characters.
    let fits = (nonce == "siv" || nonce.len() == 16 && is_box(nonce)) && sealed.len() >= 22 && is_box(sealed);
    version.parse().ok().filter(|_| fits && parts.next().is_none())
}

impl<'a> Retoken<'a> {
    /// Fails when `keys` can't give the version.
    pub fn new(scope: &'a str, to: u32, keys: &'a Arc<dyn KeyProvider>) -> Result<Self> {
        keys.key(scope, Some(to))?;
        Ok(Self { scope, to, keys })
    }

    /// The column with every token of the scope at this version, as text; nulls stay null. To do it twice is the same. A
    /// ciphertext that doesn't open, being of another scope, is an error.
    pub fn column(&self, column: &ArrayRef) -> Result<ArrayRef> {
        text::per_distinct(column, |values| {
            let text = text::canonical(values)?;
            self.values(text.as_string_view())
        })
    }

    fn values(&self, values: &StringViewArray) -> Result<ArrayRef> {
        let mut pseudonyms = self.pseudonyms(values)?.into_iter();
        let outer = Outer::new(&self.keys.key(self.scope, Some(self.to))?)?;
        let (mut out, mut token) = (StringViewBuilder::with_capacity(values.len()), String::new());
        for value in values.iter() {
            let Some(value) = value else {
                out.append_null();
                continue;
            };
            let brought = match pseudonyms.next().flatten() {
                Some(closed) => {
                    outer.spell(&closed, &mut token)?;
                    Cow::Borrowed(token.as_str())
                }
                None => self.ciphertext(value)?,
            };
            out.try_append_value(brought).map_err(text::failed)?;
        }
        Ok(Arc::new(out.finish()))
    }

    /// For each value that is not null, the bits of its token at the new version, if it is a pseudonym.
    fn pseudonyms(&self, values: &StringViewArray) -> Result<Vec<Option<Block>>> {
        let mut versions: BTreeMap<u32, Vec<Block>> = BTreeMap::new();
        let places: Vec<Option<(u32, usize)>> = values
            .iter()
            .flatten()
            .map(|value| {
                let (version, block) = read(value)?;
                let blocks = versions.entry(version).or_default();
                blocks.push(block);
                Some((version, blocks.len() - 1))
            })
            .collect();
        let to = Outer::new(&self.keys.key(self.scope, Some(self.to))?)?;
        for (version, blocks) in &mut versions {
            if *version != self.to {
                Outer::new(&self.keys.key(self.scope, Some(*version))?)?.open(blocks);
                to.close(blocks);
            }
        }
        Ok(places.into_iter().map(|place| place.map(|(version, at)| versions[&version][at])).collect())
    }

    fn ciphertext<'v>(&self, value: &'v str) -> Result<Cow<'v, str>> {
        match ciphertext_version(value) {
            Some(version) if version != self.to => {}
            _ => return Ok(Cow::Borrowed(value)),
        }
        // A person's own ciphertexts have no such version, so that no vault is asked.
        let secrets = Secrets::new(self.keys.clone(), None);
        let Some(plain) = decrypt(value, self.scope, &secrets)?.map(Zeroizing::new) else {
            return Ok(Cow::Borrowed(value));
        };
        let key = self.keys.key(self.scope, Some(self.to))?;
        let mut sealed = String::new();
        if value.contains(".siv.") {
            for text in Deterministic::new(self.scope, &key, "")?.seal(&[&plain])?.iter() {
                sealed.push_str(str::from_utf8(text).map_err(|e| Error::internal("bring a value on", e))?);
            }
        } else {
            Encrypt::new(self.scope, &key, "")?.seal_one(&plain, &mut sealed)?;
        }
        Ok(Cow::Owned(sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keyed_mask, one};
    use super::*;
    use crate::keys::FixedKeys;
    use arrow::array::StringArray;
    use kernel::laws::mask::text_sample;

    fn of(roots: &[u8]) -> Arc<dyn KeyProvider> {
        Arc::new(FixedKeys::new(roots))
    }

    /// The same keys before and after each rotation.
    fn keys(versions: usize) -> Arc<dyn KeyProvider> {
        of(&[7, 8, 9][..versions])
    }

    fn masked(mask: &str, versions: usize, column: &ArrayRef) -> ArrayRef {
        keyed_mask(mask, None, &FixedKeys::new(&[7, 8, 9][..versions])).unwrap().apply(column).unwrap()
    }

    #[test]
    fn what_was_stored_is_what_would_be_stored_now() {
        for mask in ["pseudonym(person)", "encrypt(person, deterministic)"] {
            let (old, fresh) = (masked(mask, 1, &text_sample()), masked(mask, 3, &text_sample()));
            assert_ne!(&old, &fresh);
            let keys = keys(3);
            let brought = Retoken::new("person", 3, &keys).unwrap().column(&old).unwrap();
            assert_eq!(&brought, &fresh, "{mask}");
            assert_eq!(&Retoken::new("person", 3, &keys).unwrap().column(&brought).unwrap(), &fresh, "twice is once");
            let by_steps = Retoken::new("person", 2, &keys).unwrap().column(&old).unwrap();
            assert_eq!(&Retoken::new("person", 3, &keys).unwrap().column(&by_steps).unwrap(), &fresh);
            let back = Retoken::new("person", 1, &keys).unwrap().column(&brought).unwrap();
            assert_eq!(&back, &old, "a rotation can be taken back");
        }
    }

    #[test]
    fn a_column_of_several_versions_becomes_one() {
        let column: ArrayRef = Arc::new(StringArray::from(vec!["ana"]));
        let tokens: Vec<String> =
            (1..=3).map(|n| masked("pseudonym(person)", n, &column).as_string_view().value(0).to_owned()).collect();
        let mixed: ArrayRef = Arc::new(StringArray::from(vec![
            Some(tokens[0].as_str()),
            None,
            Some("no token"),
            Some(&tokens[2]),
            Some(&tokens[1]),
            Some("p9_short"),
        ]));
        let brought = Retoken::new("person", 3, &keys(3)).unwrap().column(&mixed).unwrap();
        let third = Some(tokens[2].as_str());
        let told: Vec<_> = brought.as_string_view().iter().collect();
        assert_eq!(told, [third, None, Some("no token"), third, third, Some("p9_short")]);
        let dictionary = arrow::datatypes::DataType::Dictionary(
            Box::new(arrow::datatypes::DataType::Int32),
            Box::new(arrow::datatypes::DataType::Utf8),
        );
        let encoded = arrow::compute::cast(&mixed, &dictionary).unwrap();
        assert_eq!(&Retoken::new("person", 3, &keys(3)).unwrap().column(&encoded).unwrap(), &brought);
    }

    #[test]
    fn a_random_ciphertext_opens_to_the_same_value() {
        let (old, keys) = (masked("encrypt(person)", 1, &text_sample()), keys(2));
        let brought = Retoken::new("person", 2, &keys).unwrap().column(&old).unwrap();
        let (old, brought) = (old.as_string_view(), brought.as_string_view());
        for (old, brought) in old.iter().zip(brought).filter_map(|(old, brought)| Some((old?, brought?))) {
            assert_eq!((version_of(old), version_of(brought)), (Some(1), Some(2)));
            let secrets = Secrets::new(keys.clone(), None);
            let opened = |token: &str| decrypt(token, "person", &secrets).unwrap();
            assert_eq!(opened(old), opened(brought));
        }
    }

    #[test]
    fn neither_key_alone_makes_a_token() {
        let token = |roots: &[u8]| one(&*keyed_mask("pseudonym(person)", None, &FixedKeys::new(roots)).unwrap(), "ana");
        let right = token(&[7, 8]);
        assert_ne!(token(&[1, 8]), right, "the version's key without the join key");
        assert_ne!(token(&[7, 1]), right, "the join key without the version's");
        assert_ne!(retoken(&token(&[7]), "person", 2, &of(&[7, 1])).unwrap(), right);
        assert_eq!(retoken(&token(&[7]), "person", 2, &of(&[7, 8])).unwrap(), right);
        assert_ne!(retoken(&token(&[7]), "contact", 2, &of(&[7, 8])).unwrap(), right);
    }

    #[test]
    fn what_can_not_be_brought_over_is_an_error() {
        let one = |mask: &str| {
            let column: ArrayRef = Arc::new(StringArray::from(vec!["ana"]));
            masked(mask, 2, &column).as_string_view().value(0).to_owned()
        };
        assert!(Retoken::new("person", 4, &keys(3)).is_err(), "a version that is not there");
        assert!(retoken(&one("pseudonym(person)"), "person", 1, &keys(1)).is_err(), "a token of a lost version");
        assert!(retoken(&one("encrypt(person, deterministic)"), "contact", 1, &keys(2)).is_err());
        assert!(retoken(&one("encrypt(person)"), "contact", 1, &keys(2)).is_err());
        for text in ["", "1.5", "10.0.0.1", "1.siv.", "p1_", "2024.01.02", "www.example.com"] {
            assert_eq!(version_of(text), None, "{text}");
            assert_eq!(retoken(text, "person", 2, &keys(2)).unwrap(), text);
        }
    }
}

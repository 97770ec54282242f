//! Safe rows in other hands. What leaves for a log that others can write to carries a seal, by which it comes back as safe:
//! it was made by who has the project's keys, from rows that had passed the gate. Nothing else becomes a [`Safe`] again.
//!
//! A seal tells who wrote a record of which topic, and that no bit of it changed. It does not tell how often it was written:
//! who can write to the topic can bring a sealed record a second time.

use super::Safe;
use crate::error::{Kind, Result};
use crate::keys::KeyProvider;
use arrow::record_batch::RecordBatch;
use constant_time_eq::constant_time_eq;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The scope of the keys that seal.
const SCOPE: &str = "log";
/// Of BLAKE3 with a key; shorter than the whole, for it is to be forged and not to collide.
const TAG: usize = 16;

/// The key's version, and the tag.
pub type Tag = [u8; 4 + TAG];

/// Seals what leaves, and knows it again.
#[derive(Clone)]
pub struct Seal {
    keys: Arc<dyn KeyProvider>,
}

/// A seal with a key in its hand, for the records of one append.
pub struct Sealer {
    version: u32,
    /// Of the topic alone.
    key: Zeroizing<[u8; 32]>,
}

/// What came out of a log.
pub struct Unsealed {
    /// `None` when there was nothing of ours.
    pub rows: Option<Safe>,
    /// The places of records without a seal that holds.
    pub strangers: Vec<usize>,
}

impl Seal {
    pub fn new(keys: Arc<dyn KeyProvider>) -> Self {
        Self { keys }
    }

    pub fn sealer(&self, topic: &str) -> Result<Sealer> {
        self.of_version(topic, None)
    }

    fn of_version(&self, topic: &str, version: Option<u32>) -> Result<Sealer> {
        let key = self.keys.key(SCOPE, version)?;
        let own = blake3::keyed_hash(key.expose(), topic.as_bytes());
        Ok(Sealer { version: key.version(), key: Zeroizing::new(own.into()) })
    }

    /// A version that never was is a stranger's, and no fault of the keys; one that can't be asked for is.
    fn older(&self, topic: &str, version: u32) -> Result<Option<Sealer>> {
        match self.of_version(topic, Some(version)) {
            Ok(sealer) => Ok(Some(sealer)),
            Err(error) if error.kind == Kind::Unreachable => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Reads the records that hold to their seals; `read` is given these alone, in their order. Keys that can't be had are an
    /// error: then nobody knows whose the records are.
    pub fn open<'a>(
        &self,
        topic: &str,
        records: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        read: impl FnOnce(&[&'a [u8]]) -> Result<RecordBatch>,
    ) -> Result<Unsealed> {
        let mut sealers: BTreeMap<u32, Option<Sealer>> = BTreeMap::new();
        let newest = self.sealer(topic)?;
        let (mut own, mut strangers) = (Vec::new(), Vec::new());
        for (place, (record, seal)) in records.enumerate() {
            let seal = seal.and_then(|seal| seal.split_first_chunk::<4>());
            let holds = match seal.map(|(version, tag)| (u32::from_le_bytes(*version), tag)) {
                None => false,
                Some((version, tag)) if version == newest.version => newest.holds(record, tag),
                Some((version, tag)) => {
                    let known = match sealers.remove(&version) {
                        Some(known) => known,
                        None => self.older(topic, version)?,
                    };
                    let holds = known.as_ref().is_some_and(|sealer| sealer.holds(record, tag));
                    sealers.insert(version, known);
                    holds
                }
            };
            match holds {
                true => own.push(record),
                false => strangers.push(place),
            }
        }
        let rows = if own.is_empty() { None } else { Some(Safe { batch: read(&own)? }) };
        Ok(Unsealed { rows, strangers })
    }
}

impl Sealer {
    pub fn seal(&self, record: &[u8]) -> Tag {
        let mut tag = Tag::default();
        tag[..4].copy_from_slice(&self.version.to_le_bytes());
        tag[4..].copy_from_slice(&self.tag(record));
        tag
    }

    fn tag(&self, record: &[u8]) -> [u8; TAG] {
        let hash: [u8; 32] = blake3::keyed_hash(&self.key, record).into();
        let (tag, _) = hash.split_at(TAG);
        tag.try_into().unwrap_or_default()
    }

    /// Takes the same time wherever it differs.
    fn holds(&self, record: &[u8], tag: &[u8]) -> bool {
        constant_time_eq(&self.tag(record), tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::keys::Key;
    use arrow::array::{ArrayRef, StringArray};

    /// Two versions of each scope, of which some may be gone.
    struct Keys(u32);

    impl KeyProvider for Keys {
        fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
            let version = version.unwrap_or(self.0);
            match version <= self.0 && scope == SCOPE {
                true => Ok(Key::new([version as u8; 32], version)),
                false => Err(Error::refused("key", "there is none")),
            }
        }
    }

    fn opened(seal: &Seal, topic: &str, records: &[(&[u8], Option<&[u8]>)]) -> (Vec<String>, Vec<usize>) {
        let mut read = Vec::new();
        let unsealed = seal.open(topic, records.iter().copied(), |own| {
            read = own.iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect();
            let column: ArrayRef = Arc::new(StringArray::from(read.clone()));
            Ok(RecordBatch::try_from_iter([("row", column)]).expect("a column"))
        });
        let unsealed = unsealed.expect("keys");
        assert_eq!(unsealed.rows.is_some(), !read.is_empty());
        (read, unsealed.strangers)
    }

    #[test]
    fn what_was_sealed_comes_back_and_nothing_else() {
        let (old, new) = (Seal::new(Arc::new(Keys(1))), Seal::new(Arc::new(Keys(2))));
        let one = old.sealer("t").expect("a key").seal(b"one");
        let two = new.sealer("t").expect("a key").seal(b"two");
        let elsewhere = new.sealer("u").expect("a key").seal(b"two");
        let unknown = Seal::new(Arc::new(Keys(9))).sealer("t").expect("a key").seal(b"two");
        let records: [(&[u8], Option<&[u8]>); 8] = [
            (b"one", Some(&one)),
            (b"two", Some(&two)),
            (b"tow", Some(&two)),
            (b"two", None),
            (b"two", Some(&two[..19])),
            (b"two", Some(&elsewhere)),
            (b"two", Some(&unknown)),
            (b"two", Some(b"")),
        ];
        assert_eq!(opened(&new, "t", &records), (vec!["one".into(), "two".into()], vec![2, 3, 4, 5, 6, 7]));
        assert_eq!(opened(&new, "t", &records[2..]).0, Vec::<String>::new());
    }

    #[test]
    fn without_keys_nothing_is_anybodys() {
        struct Gone;
        impl KeyProvider for Gone {
            fn key(&self, _: &str, _: Option<u32>) -> Result<Key> {
                Err(Error::refused("key", "it does not answer"))
            }
        }
        let seal = Seal::new(Arc::new(Gone));
        let tag = Seal::new(Arc::new(Keys(1))).sealer("t").expect("a key").seal(b"one");
        let records: [(&[u8], Option<&[u8]>); 1] = [(b"one", Some(&tag))];
        let unsealed = seal.open("t", records.into_iter(), |_| Err(Error::internal("read", "nothing is to be read")));
        assert!(unsealed.is_err());
    }
}

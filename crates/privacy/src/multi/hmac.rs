//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) of many values under one key.
//!
//! A value of up to 55 bytes costs two compressions: its only block on top of the key's inner block, and the inner hash on
//! top of the outer one. Both key blocks are taken in once.

use super::sha256::{Code, START, State, Way, end};
use crate::keys::Keyed;
use hmac::Mac;
use sha2::block_api::compress256;
use zeroize::Zeroizing;

/// What a block has room for beside the end mark and the length.
const SHORT_MAX: usize = 64 - 1 - 8;
/// Their blocks stay in the nearest cache; a whole number of lanes.
const TOGETHER: usize = 64;

pub(crate) type Id = Code;

pub(crate) struct Hmacs {
    inner: Zeroizing<State>,
    outer: Zeroizing<State>,
    /// For longer values.
    keyed: Keyed,
    way: Way,
}

impl Hmacs {
    /// `keyed` is the same key, taken in by the library.
    pub fn new(key: &[u8; 32], keyed: Keyed) -> Self {
        let taken_in = |pad: u8| {
            let mut block = Zeroizing::new([pad; 64]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = Zeroizing::new(START);
            compress256(&mut state, std::slice::from_ref(&*block));
            state
        };
        Self { inner: taken_in(0x36), outer: taken_in(0x5c), keyed, way: Way::best() }
    }

    /// Appends the codes of `values`, in their order.
    pub fn ids(&self, mut values: impl Iterator<Item = impl AsRef<str>>, ids: &mut Vec<Id>) {
        let (mut blocks, mut long) = ([[0; 64]; TOGETHER], Vec::new());
        loop {
            let mut count = 0;
            for (block, value) in blocks.iter_mut().zip(&mut values) {
                let value = value.as_ref().as_bytes();
                if value.len() > SHORT_MAX {
                    long.push((ids.len() + count, self.long(value)));
                }
                end(&value[..value.len().min(SHORT_MAX)], block);
                count += 1;
            }
            if count == 0 {
                return;
            }
            self.way.codes(&self.inner, &self.outer, &blocks[..count], ids);
            long.drain(..).for_each(|(at, id)| ids[at] = id);
        }
    }

    fn long(&self, value: &[u8]) -> Id {
        let code = self.keyed.clone().chain_update(value).finalize().into_bytes();
        std::array::from_fn(|at| code[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::hmac_sha256;

    fn hmacs(key: [u8; 32]) -> Hmacs {
        Hmacs::new(&key, hmac_sha256(&key).unwrap())
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        let mut random = fastrand::Rng::with_seed(7);
        let lengths = [0, 1, 11, 14, 54, 55, 56, 63, 64, 65, 119, 200];
        for count in [0, 1, 2, 7, 16, 17, TOGETHER - 1, TOGETHER, TOGETHER + 1, 2 * TOGETHER + 13] {
            let key = std::array::from_fn(|_| random.u8(..));
            let text = |random: &mut fastrand::Rng| -> String {
                let length = lengths[random.usize(..lengths.len())];
                (0..length).map(|_| random.alphanumeric()).collect()
            };
            let values: Vec<String> = (0..count).map(|_| text(&mut random)).collect();
            let one =
                |value: &String| hmac_sha256(&key).unwrap().chain_update(value).finalize().into_bytes()[..16].to_vec();
            let mut ids = Vec::new();
            hmacs(key).ids(values.iter(), &mut ids);
            assert_eq!(ids.len(), count);
            assert!(ids.iter().zip(&values).all(|(id, value)| id.to_vec() == one(value)), "{count} values");
        }
    }

    /// RFC 4231, test case 2, with its key filled up with zeros, as RFC 2104 does it.
    #[test]
    fn it_gives_the_vector_of_rfc_4231() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mut ids = Vec::new();
        hmacs(key).ids(["what do ya want for nothing?"; 40].into_iter(), &mut ids);
        assert_eq!(ids, [*b"\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7"; 40]);
    }
}

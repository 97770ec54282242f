//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) of many values under one key.
//!
//! A value of up to 55 bytes costs two compressions: its only block on top of the key's inner block, and the inner hash on
//! top of the outer one. Both key blocks are taken in once.

use super::sha256::{Block, START, State, Way};
use crate::keys::Keyed;
use hmac::Mac;
use sha2::block_api::compress256;
use zeroize::Zeroizing;

/// What a block has room for beside the end mark and the length.
const SHORT_MAX: usize = 64 - 1 - 8;
const HASH_BYTES: usize = 32;
/// Their blocks and states stay in the nearest cache; a whole number of lanes.
const TOGETHER: usize = 64;

/// The first 128 bits of a code.
pub(crate) type Id = [u8; 16];

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

    /// The codes of `values`, in their order.
    pub fn ids(&self, values: impl Iterator<Item = impl AsRef<str>>) -> Vec<Id> {
        let mut ids = Vec::with_capacity(values.size_hint().0);
        let (mut blocks, mut long) = (Vec::with_capacity(TOGETHER), Vec::new());
        let mut values = values.peekable();
        while values.peek().is_some() {
            for value in values.by_ref().take(TOGETHER) {
                let value = value.as_ref().as_bytes();
                if value.len() > SHORT_MAX {
                    long.push((ids.len() + blocks.len(), self.long(value)));
                }
                blocks.push(last_block(&value[..value.len().min(SHORT_MAX)]));
            }
            ids.extend(self.short(&mut blocks));
            blocks.clear();
            long.drain(..).for_each(|(at, id)| ids[at] = id);
        }
        ids
    }

    /// The codes of values that are one block each; the blocks are overwritten.
    fn short(&self, blocks: &mut [Block]) -> impl Iterator<Item = Id> {
        let mut states = vec![*self.inner; blocks.len()];
        self.way.compress(&mut states, blocks);
        for (block, state) in blocks.iter_mut().zip(&mut states) {
            *block = last_block(&bytes::<HASH_BYTES>(state));
            *state = *self.outer;
        }
        self.way.compress(&mut states, blocks);
        states.into_iter().map(|state| bytes(&state))
    }

    fn long(&self, value: &[u8]) -> Id {
        let code = self.keyed.clone().chain_update(value).finalize().into_bytes();
        std::array::from_fn(|at| code[at])
    }
}

/// The block that follows a key's block and ends the message (FIPS 180-4, section 5.1.1).
fn last_block(text: &[u8]) -> Block {
    let mut block = [0; 64];
    block[..text.len()].copy_from_slice(text);
    block[text.len()] = 0x80;
    block[62..].copy_from_slice(&((64 + text.len() as u16) * 8).to_be_bytes());
    block
}

/// The first bytes of a hash.
fn bytes<const N: usize>(state: &State) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.chunks_exact_mut(4).zip(state).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_be_bytes()));
    bytes
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
            let ids = hmacs(key).ids(values.iter());
            assert_eq!(ids.len(), count);
            assert!(ids.iter().zip(&values).all(|(id, value)| id.to_vec() == one(value)), "{count} values");
        }
    }

    /// RFC 4231, test case 2, with its key filled up with zeros, as RFC 2104 does it.
    #[test]
    fn it_gives_the_vector_of_rfc_4231() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let ids = hmacs(key).ids(["what do ya want for nothing?"; 40].into_iter());
        assert_eq!(ids, [*b"\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7"; 40]);
    }
}

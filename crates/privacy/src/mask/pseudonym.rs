//! `pseudonym(scope)`: the same value is the same token wherever the scope is the same; nobody without the key can make
//! or undo one.
//!
//! token = `p` version `_` base32(AES-256(version's key, id)), id = first 128 bits of HMAC-SHA-256(join key, normalised
//! text); base32 in lower case without padding (RFC 4648). 128 bits keep two of 10^12 values from meeting but with a chance
//! of 10^-15. The join key is of version 1 for ever and each version's key lies over it, so that a holder of both brings a
//! token from one version to another without the value (`retoken`), and neither of them alone makes a token.

use super::normalize::Normalize;
use super::swar::{BASE32_DIGITS, base32, base32_of_all};
use super::text::{self, Texts};
use super::{Arg, SCOPE, Secrets, Spec, takes};
use crate::keys::{check_scope, hmac_sha256, subkey};
use crate::multi::TOGETHER;
use crate::multi::hmac::Hmacs;
use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use foldhash::fast::RandomState;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::keys::Key;
use kernel::mask::{Mask, Promise};
use std::collections::{HashMap, HashSet};
use zeroize::Zeroizing;

pub(super) const SPEC: Spec = Spec {
    name: "pseudonym",
    summary: "a token by HMAC-SHA-256: the same value has the same token in every table of the scope, and nobody without \
              the key can make or undo one",
    args: &[
        SCOPE,
        Arg {
            name: "normalize",
            about: "spelling before the token is made: auto (by classification), none, trim, lower, digits, alnum, cpf, \
                    cnpj, phone",
        },
    ],
    example: "pseudonym(person)",
    promise: Promise { joinable: true, reversible: false, keeps_type: false, random: false },
    build: pseudonym,
};

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Rows looked at to see whether a batch repeats itself; when none of the first is there twice, that is enough.
const PROBE_ROWS: usize = 1024;
const PROBE_FIRST: usize = 256;
/// `p`, a number of 32 bits, `_`.
const MARKER_MAX: usize = 12;

/// One value's id, or its token's bits.
pub(super) type Block = aes::Block;

struct Pseudonym {
    /// Kept instead of a keyed HMAC, because this is wiped; a batch pays for keying once.
    join: Zeroizing<[u8; 32]>,
    outer: Outer,
    normalize: Normalize,
}

fn pseudonym(spec: &MaskSpec, kind: Option<&str>, secrets: &Secrets) -> Result<Box<dyn Mask>> {
    let scope = spec.arg("scope", 0).unwrap_or_default();
    check_scope(scope)?;
    let normalize = Normalize::choose(spec.arg("normalize", 1), kind)?;
    let join = subkey(&secrets.keys.key(scope, Some(1))?, "pseudonym join")?;
    Ok(Box::new(Pseudonym { join, outer: Outer::new(&secrets.keys.key(scope, None)?)?, normalize }))
}

/// The layer of a version.
pub(super) struct Outer {
    key: Zeroizing<[u8; 32]>,
    marker: String,
}

impl Outer {
    pub fn new(key: &Key) -> Result<Self> {
        Ok(Self { key: subkey(key, "pseudonym")?, marker: format!("p{}_", key.version()) })
    }

    fn cipher(&self) -> Aes256 {
        Aes256::new(&(*self.key).into())
    }

    pub fn close(&self, ids: &mut [Block]) {
        self.cipher().encrypt_blocks(ids);
    }

    pub fn open(&self, tokens: &mut [Block]) {
        self.cipher().decrypt_blocks(tokens);
    }

    /// Writes the token of a closed id over `token`.
    pub fn spell(&self, closed: &Block, token: &mut String) -> Result<()> {
        token.clear();
        token.push_str(&self.marker);
        let digits = base32(&closed.0);
        token.push_str(str::from_utf8(&digits).map_err(|e| Error::internal("make a pseudonym", e))?);
        Ok(())
    }
}

/// The version and the bits of a token; `None` for any other text.
pub(super) fn read(token: &str) -> Option<(u32, Block)> {
    let (version, digits) = token.strip_prefix('p')?.split_once('_')?;
    let digits: &[u8; BASE32_DIGITS] = digits.as_bytes().try_into().ok()?;
    let mut bits = 0u128;
    for (at, digit) in digits.iter().enumerate() {
        let five = u128::try_from(BASE32.iter().position(|known| known == digit)?).ok()?;
        match at {
            25 if five & 3 != 0 => return None,
            25 => bits = bits << 3 | five >> 2,
            _ => bits = bits << 5 | five,
        }
    }
    let version = version.parse().ok().filter(|number: &u32| number.to_string() == version)?;
    Some((version, Block::from(bits.to_be_bytes())))
}

impl Mask for Pseudonym {
    fn name(&self) -> &str {
        SPEC.name
    }

    fn promise(&self) -> Promise {
        SPEC.promise
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        takes(self.name(), input, text::has_canonical_text(input), "text, integers, decimals, dates and timestamps")?;
        Ok(Some(DataType::Utf8View))
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let hmacs = Hmacs::new(&self.join, hmac_sha256(&*self.join)?);
        text::per_distinct(column, |values| {
            let text = text::canonical(values)?;
            self.tokens(text.as_string_view(), &hmacs)
        })
    }
}

impl Pseudonym {
    fn tokens(&self, values: &StringViewArray, hmacs: &Hmacs) -> Result<ArrayRef> {
        if !repeats(values) {
            return self.normalized(hmacs, values.iter().flatten(), values.len()).column(values);
        }
        let (distinct, places) = places(values);
        let count = distinct.len();
        let tokens = self.normalized(hmacs, distinct.into_iter(), count).rows(None)?;
        take(&tokens, &places, None).map_err(text::failed)
    }

    fn normalized<'a>(&self, hmacs: &Hmacs, values: impl Iterator<Item = &'a str>, count: usize) -> Texts {
        match self.normalize {
            Normalize::None => self.spelled(hmacs, values, count),
            way => self.spelled(hmacs, values.map(|value| way.apply(value)), count),
        }
    }

    /// The tokens of at most `count` values: the outer layer over many ids at a time, and their texts.
    fn spelled(&self, hmacs: &Hmacs, mut values: impl Iterator<Item = impl AsRef<str>>, count: usize) -> Texts {
        let (cipher, marker) = (self.outer.cipher(), self.outer.marker.as_bytes());
        let length = marker.len() + BASE32_DIGITS;
        let mut texts = Texts::with_capacity(count, count * length);
        let mut head = [0; MARKER_MAX];
        head[..marker.len()].copy_from_slice(marker);
        let (mut ids, mut words) = (Vec::new(), Vec::new());
        loop {
            ids.clear();
            hmacs.ids(values.by_ref().take(TOGETHER), &mut ids);
            if ids.is_empty() {
                return texts;
            }
            cipher.encrypt_blocks(Block::cast_slice_from_core_mut(&mut ids));
            for (token, digits) in texts.alike(ids.len(), length).zip(base32_of_all(&ids, &mut words)) {
                const { assert!(BASE32_DIGITS == 3 * 8 + 2) };
                // What is too much of it is written over. Words, for a copy of a few bytes is a call.
                token[..MARKER_MAX].copy_from_slice(&head);
                if let ([one, two, three], [y, z]) = token[marker.len()..].as_chunks_mut() {
                    (*one, *two, *three) = (digits[0], digits[1], digits[2]);
                    [*y, *z, ..] = digits[3];
                }
            }
        }
    }
}

/// The values, each once in the order they are first met, and which of them each row has.
fn places(values: &StringViewArray) -> (Vec<&str>, UInt32Array) {
    let (mut known, mut distinct) = (HashMap::<_, _, RandomState>::default(), Vec::new());
    let mut last: Option<(&str, u32)> = None;
    let place = |value: Option<_>| {
        let value = value?;
        // Neighbours are often the same.
        if let Some((_, place)) = last.filter(|(same, _)| *same == value) {
            return Some(place);
        }
        let place = *known.entry(value).or_insert_with(|| {
            distinct.push(value);
            distinct.len() as u32 - 1
        });
        last = Some((value, place));
        Some(place)
    };
    let places = values.iter().map(place).collect();
    (distinct, places)
}

/// Whether remembering codes pays: a look-up costs half of one.
fn repeats(values: &StringViewArray) -> bool {
    let mut distinct = HashSet::<_, RandomState>::with_capacity_and_hasher(PROBE_FIRST, RandomState::default());
    let (mut rows, mut again) = (0, 0);
    for value in values.iter().take(PROBE_ROWS).flatten() {
        if rows == PROBE_FIRST && again == 0 {
            return false;
        }
        rows += 1;
        again += usize::from(!distinct.insert(value));
    }
    again * 4 > rows
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, columns, keyed_mask, mask, one, samples_with_text};
    use super::*;
    use crate::keys::FixedKeys;
    use arrow::array::{Date32Array, Decimal128Array, Int64Array, StringArray, TimestampMillisecondArray};
    use kernel::Kind;
    use kernel::laws::mask::obeys;
    use std::sync::Arc;

    #[test]
    fn it_obeys_the_laws() {
        obeys(&|| mask("pseudonym(person)"), &samples_with_text());
        let repeated: ArrayRef =
            Arc::new(StringArray::from_iter((0..3000).map(|i| Some(format!("customer {}", i % 50)))));
        obeys(&|| mask("pseudonym(person)"), &[repeated]);
    }

    #[test]
    fn a_token_is_read_back_and_other_text_is_not() {
        let token = one(&*mask("pseudonym(person)"), "ana");
        let (version, block) = read(&token).unwrap();
        assert_eq!((version, base32(&block.0).as_slice()), (1, &token.as_bytes()[3..]));
        let odd = [
            "",
            "p1_",
            "ana",
            "p1_aaaaaaaaaaaaaaaaaaaaaaaaab",
            "p01_aaaaaaaaaaaaaaaaaaaaaaaaaa",
            &token[1..],
            &token.to_uppercase(),
        ];
        assert!(odd.iter().all(|text| read(text).is_none()));
        assert_eq!(read("p12_aaaaaaaaaaaaaaaaaaaaaaaaaa"), Some((12, Block::default())));
    }

    #[test]
    fn pseudonyms_of_a_column_are_those_of_its_values() {
        for spec in ["pseudonym(person)", "pseudonym(person, normalize: digits)"] {
            let mask = mask(spec);
            for column in columns() {
                let plain = text::canonical(&column).unwrap();
                let tokens = mask.apply(&column).unwrap();
                for (value, token) in plain.as_string_view().iter().zip(tokens.as_string_view().iter()) {
                    assert_eq!(value.map(|value| one(&*mask, value)).as_deref(), token);
                }
            }
        }
    }

    /// The token is held to the library's HMAC, a block of AES and a plain reading of RFC 4648.
    #[test]
    fn a_token_is_the_code_of_the_value() {
        use hmac::Mac;
        use kernel::keys::KeyProvider;
        let key = |purpose| subkey(&FixedKeys::new(&[7]).key("person", None).unwrap(), purpose).unwrap();
        let cipher = Aes256::new(&(*key("pseudonym")).into());
        for value in ["", "ana", "529.982.247-25", &"x".repeat(55), &"x".repeat(56), &"x".repeat(300)] {
            let code = hmac_sha256(&*key("pseudonym join")).unwrap().chain_update(value).finalize().into_bytes();
            let mut block = Block::try_from(&code[..16]).unwrap();
            cipher.encrypt_block(&mut block);
            let bits = block.iter().fold(String::new(), |bits, byte| bits + &format!("{byte:08b}")) + "00";
            let digit = |five: &[u8]| {
                let five = usize::from_str_radix(str::from_utf8(five).unwrap(), 2).unwrap();
                char::from(b"abcdefghijklmnopqrstuvwxyz234567"[five])
            };
            let expected: String = bits.as_bytes().chunks(5).map(digit).collect();
            assert_eq!(one(&*mask("pseudonym(person)"), value), format!("p1_{expected}"));
        }
    }

    #[test]
    fn scope_and_key_decide_who_can_be_joined() {
        let token = one(&*mask("pseudonym(person)"), "529.982.247-25");
        assert!(token.starts_with("p1_") && token.len() == 29, "{token}");
        assert_eq!(token, one(&*mask("pseudonym(scope: person)"), "529.982.247-25"));
        assert_ne!(token, one(&*mask("pseudonym(contact)"), "529.982.247-25"));
        let rotated = keyed_mask("pseudonym(person)", None, &FixedKeys::new(&[7, 8])).unwrap();
        let after = one(&*rotated, "529.982.247-25");
        assert!(after.starts_with("p2_") && after[3..] != token[3..]);
    }

    #[test]
    fn spelling_breaks_no_join_when_the_kind_is_known() {
        let cpf = build("pseudonym(person)", Some("personal.cpf")).unwrap();
        let integers: ArrayRef = Arc::new(Int64Array::from(vec![1234567890]));
        let masked = cpf.apply(&integers).unwrap();
        assert_eq!(one(&*cpf, "529.982.247-25"), one(&*cpf, "52998224725"));
        assert_eq!(masked.as_string_view().value(0), one(&*cpf, "012.345.678-90"));
        let plain = mask("pseudonym(person)");
        assert_ne!(one(&*plain, "529.982.247-25"), one(&*plain, "52998224725"));
        assert_eq!(one(&*mask("pseudonym(person, normalize: digits)"), "529.982.247-25"), one(&*plain, "52998224725"));
    }

    #[test]
    fn a_number_is_the_same_in_every_type() {
        let token =
            |column: ArrayRef| mask("pseudonym(x)").apply(&column).unwrap().as_string_view().value(0).to_owned();
        let ten = token(Arc::new(Int64Array::from(vec![10])));
        let decimal = Decimal128Array::from(vec![1000]).with_precision_and_scale(12, 2).unwrap();
        assert_eq!(ten, token(Arc::new(decimal)));
        assert_eq!(ten, one(&*mask("pseudonym(x)"), "10"));
        assert_eq!(token(Arc::new(Date32Array::from(vec![0]))), one(&*mask("pseudonym(x)"), "1970-01-01"));
        let at = TimestampMillisecondArray::from(vec![1500]).with_timezone("UTC");
        assert_eq!(token(Arc::new(at)), one(&*mask("pseudonym(x)"), "1970-01-01T00:00:01.5Z"));
    }

    #[test]
    fn no_scope_no_pseudonym() {
        assert_eq!(build("pseudonym", None).err().map(|e| e.kind), Some(Kind::Refused));
        assert_eq!(build("pseudonym(Person)", None).err().map(|e| e.kind), Some(Kind::Project));
        assert_eq!(build("pseudonym(x, normalize: upper)", None).err().map(|e| e.kind), Some(Kind::Project));
        let floats = mask("pseudonym(x)").output(&DataType::Float64);
        assert!(floats.is_err_and(|e| e.detail.contains("integers")));
    }
}

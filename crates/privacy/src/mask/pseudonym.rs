//! `pseudonym(scope)`: the same value is the same token wherever the scope is the same; nobody without the key can make
//! or undo one.
//!
//! token = `p` version `_` base32(first 128 bits of HMAC-SHA-256(subkey, normalised text)), base32 in lower case without
//! padding (RFC 4648). 128 bits keep two of 10^12 values from meeting but with a chance of 10^-15. The version leads, so
//! that a rotated key needs no second column.

use super::normalize::Normalize;
use super::{Arg, SCOPE, Spec, takes, text};
use crate::keys::{Keyed, check_scope, hmac_sha256, subkey};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use arrow::datatypes::DataType;
use hmac::Mac;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::keys::KeyProvider;
use kernel::mask::{Mask, Promise};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
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
    promise: Promise { joinable: true, reversible: false, keeps_type: false },
    build: pseudonym,
};

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const DIGITS: usize = 26;

/// Rows looked at to see whether a batch repeats itself.
const PROBE_ROWS: usize = 1024;

struct Pseudonym {
    /// Kept instead of a keyed HMAC, because this is wiped; a batch pays for keying once.
    key: Zeroizing<[u8; 32]>,
    marker: String,
    normalize: Normalize,
}

fn pseudonym(spec: &MaskSpec, kind: Option<&str>, keys: &dyn KeyProvider) -> Result<Box<dyn Mask>> {
    let scope = spec.arg("scope", 0).unwrap_or_default();
    check_scope(scope)?;
    let normalize = Normalize::choose(spec.arg("normalize", 1), kind)?;
    let key = keys.key(scope, None)?;
    let marker = format!("p{}_", key.version());
    Ok(Box::new(Pseudonym { key: subkey(&key, "pseudonym")?, marker, normalize }))
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
        let keyed = hmac_sha256(&*self.key)?;
        text::per_distinct(column, |values| {
            let text = text::canonical(values)?;
            self.tokens(text.as_string_view(), &keyed)
        })
    }
}

impl Pseudonym {
    fn tokens(&self, values: &StringViewArray, keyed: &Keyed) -> Result<ArrayRef> {
        let mut out = StringViewBuilder::with_capacity(values.len());
        let mut seen: Option<HashMap<&str, [u8; DIGITS]>> = repeats(values).then(HashMap::new);
        let mut token = self.marker.clone();
        for value in values.iter() {
            let Some(value) = value else {
                out.append_null();
                continue;
            };
            let digits = match &mut seen {
                Some(seen) => *seen.entry(value).or_insert_with(|| self.digits(value, keyed)),
                None => self.digits(value, keyed),
            };
            token.truncate(self.marker.len());
            token.push_str(str::from_utf8(&digits).map_err(|e| Error::internal("make a pseudonym", e))?);
            out.try_append_value(&token).map_err(text::failed)?;
        }
        Ok(Arc::new(out.finish()))
    }

    fn digits(&self, value: &str, keyed: &Keyed) -> [u8; DIGITS] {
        let mut mac = keyed.clone();
        mac.update(self.normalize.apply(value).as_bytes());
        base32(&mac.finalize().into_bytes()[..16])
    }
}

/// Whether remembering tokens pays: a look-up costs a tenth of a token.
fn repeats(values: &StringViewArray) -> bool {
    let mut distinct = HashSet::new();
    let (mut rows, mut again) = (0, 0);
    for value in values.iter().take(PROBE_ROWS).flatten() {
        rows += 1;
        again += usize::from(!distinct.insert(value));
    }
    again * 4 > rows
}

/// 128 bits as 26 digits, the last one padded with two zero bits.
pub(crate) fn base32(bytes: &[u8]) -> [u8; DIGITS] {
    let bits = bytes.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let mut digits = [0; DIGITS];
    for (at, digit) in digits.iter_mut().enumerate() {
        let five = if at < DIGITS - 1 { bits >> (123 - 5 * at) } else { bits << 2 };
        *digit = BASE32[(five & 31) as usize];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, keyed_mask, mask, one, samples_with_text};
    use super::*;
    use crate::keys::FixedKeys;
    use arrow::array::{Date32Array, Decimal128Array, Int64Array, StringArray, TimestampMillisecondArray};
    use kernel::Kind;
    use kernel::laws::mask::obeys;

    #[test]
    fn it_obeys_the_laws() {
        obeys(&|| mask("pseudonym(person)"), &samples_with_text());
        let repeated: ArrayRef =
            Arc::new(StringArray::from_iter((0..3000).map(|i| Some(format!("customer {}", i % 50)))));
        obeys(&|| mask("pseudonym(person)"), &[repeated]);
    }

    #[test]
    fn the_digits_are_those_of_rfc_4648() {
        assert_eq!(&base32(b"foobar\0\0\0\0\0\0\0\0\0\0"), b"mzxw6ytboiaaaaaaaaaaaaaaaa");
        assert_eq!(&base32(&[0xff; 16]), b"77777777777777777777777774");
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

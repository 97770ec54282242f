//! `encrypt(scope, subject: column)`: each person's values are encrypted with a random key of that person. The key is in the
//! vault, sealed by the scope's key; whoever removes it has forgotten all of that person's values, also those in copies of
//! the lake that nobody can reach.
//!
//! ciphertext = `1.s.id.nonce.box`: the version of a person's key, which is never replaced, the mark of this form, the
//! subject's id in base64url, then as `encrypt` has it.
//!
//! A value whose row has no subject is refused: under the scope's key it could never be shredded.

use super::encrypt::{self, Deterministic, Encrypt};
use super::{Normalize, Secrets, takes, text};
use crate::keys::{Subjects, random};
use aes_gcm_siv::Aes256GcmSiv;
use aes_siv::siv::Aes256Siv;
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::Classification;
use kernel::error::{Error, Result};
use kernel::keys::Key;
use kernel::mask::{Mask, Promise};
use kernel::vault::{Id, Secret};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Says that a ciphertext has a person's key; no nonce has one letter.
pub(super) const MARK: &str = "s";

/// A person's key has one version: it ends with the person.
pub(super) const VERSION: u32 = 1;

/// Why a row without a subject, or of a forgotten one, is set aside.
pub(super) const REFUSAL: &str = "the row's subject is missing, or was forgotten";

pub(super) struct PerSubject {
    subjects: Subjects,
    /// The column that tells whose a row is.
    column: String,
    deterministic: bool,
}

/// What the scope keeps of its subjects' keys.
pub(super) fn subjects(scope: &str, secrets: &Secrets) -> Result<Subjects> {
    Subjects::new("subject", scope, secrets)
}

/// The key of a person out of its secret.
pub(super) fn key(subjects: &Subjects, id: &Id, secret: &Secret) -> Result<Key> {
    let opened = subjects.open(id, &secret.sealed)?;
    let mut bytes = Zeroizing::new([0; 32]);
    match opened.len() {
        32 => bytes.copy_from_slice(&opened),
        _ => return Err(subjects.fails("its subject's key is not 32 bytes long")),
    }
    Ok(Key::new(*bytes, VERSION))
}

/// Values, each once and in its one spelling, and which of them each row has.
pub(super) type Distinct<'a> = (Vec<Cow<'a, str>>, Vec<Option<usize>>);

/// Each value once.
pub(super) fn distinct<'a>(values: impl IntoIterator<Item = Option<&'a str>>, spelling: Normalize) -> Distinct<'a> {
    let (mut all, mut places) = (Vec::new(), HashMap::new());
    let mut place = |value: Option<&'a str>| {
        Some(*places.entry(spelling.apply(value?)).or_insert_with_key(|spelled| {
            all.push(spelled.clone());
            all.len() - 1
        }))
    };
    let rows = values.into_iter().map(&mut place).collect();
    (all, rows)
}

/// Whose each row is that has a value. An empty text is nobody.
pub(super) fn of_rows<'a>(
    values: &ArrayRef,
    subjects: &'a StringViewArray,
    class: Option<&Classification>,
) -> Result<Distinct<'a>> {
    let spelling = Normalize::choose(None, class.and_then(Classification::kind))?;
    let nulls = values.logical_nulls();
    let is_wanted = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let wanted = |(row, subject): (usize, Option<&'a str>)| subject.filter(|s| is_wanted(row) && !s.trim().is_empty());
    Ok(distinct(subjects.iter().enumerate().map(wanted), spelling))
}

/// The types that people can be told apart by.
pub(super) fn check_subject(mask: &str, subject: &DataType) -> Result<()> {
    let fits = text::has_canonical_text(subject);
    takes(&format!("the subject of {mask}"), subject, fits, "text, integers, decimals, dates and timestamps")
}

impl PerSubject {
    pub fn new(scope: &str, column: &str, deterministic: bool, secrets: &Secrets) -> Result<Self> {
        Ok(Self { subjects: subjects(scope, secrets)?, column: column.to_owned(), deterministic })
    }

    /// A cipher for each subject; `None` for who was forgotten.
    fn sealers(&self, spelled: &[Cow<'_, str>]) -> Result<Vec<Option<Sealer>>> {
        let ids = self.subjects.ids(spelled.iter().map(AsRef::as_ref))?;
        let mut make = |at: usize| {
            let key = Zeroizing::new(random::<32>()?);
            Ok(Secret { token: None, sealed: self.subjects.seal(&ids[at], &*key)? })
        };
        let secrets = self.subjects.secrets(&ids, &mut make)?;
        let sealer = |(id, secret): (&Id, Option<Secret>)| {
            secret.map(|secret| self.sealer(id, &key(&self.subjects, id, &secret)?)).transpose()
        };
        ids.iter().zip(secrets).map(sealer).collect()
    }

    fn sealer(&self, id: &Id, key: &Key) -> Result<Sealer> {
        let whose = format!("{MARK}.{}.", URL_SAFE_NO_PAD.encode(id));
        if self.deterministic {
            let mask = Deterministic::new(self.subjects.scope(), key, &whose)?;
            return Ok(Sealer::Same(Box::new(mask.cipher()), mask));
        }
        let mask = Encrypt::new(self.subjects.scope(), key, &whose)?;
        Ok(Sealer::Random(Box::new(mask.cipher()?), mask))
    }
}

enum Sealer {
    Random(Box<Aes256GcmSiv>, Encrypt),
    Same(Box<Aes256Siv>, Deterministic),
}

impl Sealer {
    fn seal(&mut self, value: &str, buffer: &mut Vec<u8>, out: &mut String) -> Result<()> {
        match self {
            Self::Random(cipher, mask) => mask.seal(cipher, random()?, value, buffer, out),
            Self::Same(cipher, mask) => mask.seal_one(cipher, value, out),
        }
    }
}

impl Mask for PerSubject {
    fn name(&self) -> &str {
        encrypt::SPEC.name
    }

    /// Equal values of two people differ in either mode, so that nothing can be joined on them.
    fn promise(&self) -> Promise {
        Promise { random: !self.deterministic, ..encrypt::SPEC.promise }
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        encrypt::output(input)
    }

    fn apply(&self, _: &ArrayRef) -> Result<ArrayRef> {
        Err(Error::internal("encrypt a column by subject", "its subjects were not given"))
    }

    fn subject(&self) -> Option<&str> {
        Some(&self.column)
    }

    fn apply_for(&self, column: &ArrayRef, subjects: &ArrayRef, class: Option<&Classification>) -> Result<ArrayRef> {
        check_subject("encrypt", subjects.data_type())?;
        let (values, subjects) = (text::canonical(column)?, text::canonical(subjects)?);
        let (spelled, rows) = of_rows(&values, subjects.as_string_view(), class)?;
        let mut sealers = self.sealers(&spelled)?;
        let mut out = StringViewBuilder::with_capacity(rows.len());
        let (mut buffer, mut token) = (Vec::new(), String::new());
        for (value, place) in values.as_string_view().iter().zip(rows) {
            match (value, place.and_then(|place| sealers[place].as_mut())) {
                (Some(value), Some(sealer)) => {
                    token.clear();
                    sealer.seal(value, &mut buffer, &mut token)?;
                    out.try_append_value(&token).map_err(text::failed)?;
                }
                _ => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    }

    fn refusal(&self) -> Option<&str> {
        Some(REFUSAL)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, mask, samples_with_text, vault};
    use super::*;
    use crate::keys::FixedKeys;
    use crate::mask::decrypt;
    use arrow::array::{Int64Array, StringArray};
    use kernel::Kind;
    use kernel::laws::mask::{obeys, tells_subjects_apart};

    const RANDOM: &str = "encrypt(person, subject: who)";
    const SAME: &str = "encrypt(person, mode: deterministic, subject: who)";

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn both_modes_obey_the_laws() {
        for mode in [RANDOM, SAME] {
            obeys(&|| mask(mode), &samples_with_text());
            tells_subjects_apart(&|| mask(mode), &texts(&[Some("ana@example.com"), Some("bruno@example.com")]));
        }
    }

    #[test]
    fn a_row_of_nobodys_is_refused() {
        let emails = texts(&[Some("a"), Some("b"), Some("c"), None]);
        let who = texts(&[Some("529.982.247-25"), None, Some(" "), Some("111.444.777-35")]);
        let masked = mask(RANDOM).apply_for(&emails, &who, None).unwrap();
        let masked = masked.as_string_view();
        assert!(masked.is_valid(0) && masked.is_null(1) && masked.is_null(2) && masked.is_null(3));
        assert!(mask(RANDOM).refusal().is_some() && mask("encrypt(person)").refusal().is_none());
    }

    #[test]
    fn equal_values_of_one_person_are_equal_in_the_deterministic_mode_only() {
        let (emails, who) = (texts(&[Some("a"), Some("a"), Some("a")]), Arc::new(Int64Array::from(vec![1, 1, 2])));
        let who: ArrayRef = who;
        let masked = |mode: &str| -> Vec<String> {
            let masked = mask(mode).apply_for(&emails, &who, None).unwrap();
            masked.as_string_view().iter().flatten().map(str::to_owned).collect()
        };
        let (same, random) = (masked(SAME), masked(RANDOM));
        assert!(same[0] == same[1] && same[0] != same[2] && random[0] != random[1]);
        assert!(same[0].starts_with("1.s.") && same[0].contains(".siv.") && random[0].matches('.').count() == 4);
    }

    /// A person's key is sealed by the scope's key of its day, and opens after a rotation.
    #[test]
    fn a_rotation_loses_nobody() {
        let secrets = |keys: &[u8]| Secrets::new(Arc::new(FixedKeys::new(keys)), Some(vault()));
        let sealed = |keys: &[u8]| {
            let mask = PerSubject::new("rotated", "who", false, &secrets(keys)).unwrap();
            let one = texts(&[Some("ana@example.com")]);
            mask.apply_for(&one, &texts(&[Some("ana")]), None).unwrap().as_string_view().value(0).to_owned()
        };
        let (before, after) = (sealed(&[7]), sealed(&[7, 8]));
        assert_eq!(before[..26], after[..26], "the same person");
        for token in [before, after] {
            let opened = decrypt(&token, "rotated", &secrets(&[7, 8])).unwrap();
            assert_eq!(opened.as_deref(), Some("ana@example.com"));
        }
    }

    #[test]
    fn a_subject_is_of_a_type_that_tells_people_apart() {
        let floats: ArrayRef = Arc::new(arrow::array::Float64Array::new_null(0));
        let told = mask(RANDOM).apply_for(&texts(&[]), &floats, None).err().map(|e| (e.kind, e.what));
        assert_eq!(told, Some((Kind::Project, "the subject of encrypt".into())));
        assert_eq!(build("encrypt(subject: who)", None).err().map(|e| e.kind), Some(Kind::Refused));
    }
}

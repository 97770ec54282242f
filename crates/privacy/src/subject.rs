//! A person who asks: one identifier, what it looks like under each mask, and who was forgotten.

use crate::detect::{is_cnpj, is_cpf, kinds};
use crate::keys::{Keyed, namer, subject_id, subject_named};
use crate::mask::{Form, Masks, Normalize, base32};
use arrow::array::{ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use kernel::Classification;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::gate::Forgotten;
use kernel::keys::{Key, KeyProvider};
use kernel::mask::MaskFactory;
use kernel::suggest::nearest;
use kernel::vault::{Id, Vault};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The scope of the names by which forgotten people are remembered: it masks no column, so that nobody finds a person in
/// the data by such a name.
const SCOPE: &str = "lavra.subject";

/// A person, by one identifier. The value is wiped when this is dropped, and is in no error.
pub struct Subject {
    kind: String,
    value: Zeroizing<String>,
    spellings: Vec<Zeroizing<String>>,
}

/// What a value of the subject looks like in a column.
#[derive(Clone)]
pub enum Look {
    /// One of these texts.
    Texts(BTreeSet<String>),
    /// The value itself, in some spelling.
    Spelled(Normalize, Arc<Zeroizing<String>>),
}

/// What the subject looks like in a column, under every form that the column had.
#[derive(Default)]
pub struct Looks {
    pub all: Vec<Look>,
    /// The value itself, where no form of the column is known that left it open: rows may have come in before anybody
    /// called the column personal. Only for the column: elsewhere such a text may be something else.
    pub guess: Option<Look>,
    /// One of the masks has made the value like others, or never twice the same.
    pub is_blind: bool,
    /// One of the forms masked values as they were written: only usual spellings are known.
    pub is_as_written: bool,
}

impl Subject {
    /// Reads what somebody typed. A CPF or a CNPJ whose check digits are wrong is nobody's.
    pub fn read(kind: &str, typed: &str) -> Result<Self> {
        let what = || format!("read the {kind} of the person");
        let way = Normalize::choose(None, Some(kind))?;
        let typed = typed.trim();
        let value = Zeroizing::new(way.apply(typed).into_owned());
        let is_valid = match kind {
            "cpf" => is_cpf(value.as_bytes()),
            "cnpj" => is_cnpj(value.as_bytes()),
            "email" => value.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()),
            _ => !value.is_empty(),
        };
        if !is_valid {
            let why = if value.is_empty() { "it is empty" } else { "it is none: look for a slip in it" };
            return Err(Error::project(what(), why));
        }
        let spellings = spellings(kind, typed, &value);
        Ok(Self { kind: kind.to_owned(), value, spellings })
    }

    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name by which certificates and the list of the forgotten know this person; without the keys it tells nothing.
    pub fn pseudonym(&self, keys: &dyn KeyProvider) -> Result<String> {
        let id = subject_id(SCOPE, Some(&self.kind), &self.value, keys)?;
        Ok(pseudonym_of(&id))
    }

    /// What the value looks like in a column that had these forms, under every version of their keys. The kind of a column
    /// decides how a value is spelled before it is masked, so that each form is tried with the kind and without.
    pub fn looks(&self, forms: &[Form], keys: &Arc<dyn KeyProvider>, vault: Option<&dyn Vault>) -> Result<Looks> {
        let way = Normalize::choose(None, Some(&self.kind))?;
        let spelled = || Look::Spelled(way, Arc::new(self.value.clone()));
        let (mut texts, mut looks) = (None, Looks::default());
        let (mut is_open, mut is_unlike) = (false, true);
        for form in forms {
            let Some(spec) = &form.mask else {
                is_open = true;
                continue;
            };
            let Some(masked) = self.masked(spec, form, keys, vault)? else {
                looks.is_blind = true;
                continue;
            };
            texts.get_or_insert_with(BTreeSet::new).extend(masked);
            is_unlike &= self.is_unlike(spec);
            looks.is_as_written |= form.spelling().is_some_and(|spelling| spelling != way && spelling.keeps());
        }
        if is_open {
            looks.all.push(spelled());
        } else if texts.is_some() && is_unlike {
            looks.guess = Some(spelled());
        }
        looks.all.extend(texts.map(Look::Texts));
        Ok(looks)
    }

    /// What a mask makes of the value; `None` where nobody can be told by that.
    fn masked(
        &self,
        spec: &MaskSpec,
        form: &Form,
        keys: &Arc<dyn KeyProvider>,
        vault: Option<&dyn Vault>,
    ) -> Result<Option<BTreeSet<String>>> {
        let scope = spec.arg("scope", 0).unwrap_or_default();
        if spec.name == "token" {
            return vault.map(|vault| self.tokens(scope, keys.as_ref(), vault)).transpose();
        }
        if !Masks::new(keys.clone()).build(spec, form.class.as_ref())?.promise().joinable {
            return Ok(None);
        }
        let own = Classification::new(format!("personal.{}", self.kind));
        let classes: HashSet<Option<&Classification>> = HashSet::from([form.class.as_ref(), Some(&own), None]);
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(self.spellings.iter().map(|s| s.as_str())));
        let mut texts = BTreeSet::new();
        for version in 1..=keys.key(scope, None)?.version() {
            let then = Arc::new(AtVersion { keys: keys.clone(), version });
            // A version that was destroyed opens nothing; and nothing that it made can be told.
            if then.key(scope, None).is_err() {
                continue;
            }
            let masks = Masks::new(then);
            for class in &classes {
                let masked = masks.build(spec, *class)?.apply(&values)?;
                let masked = cast(&masked, &DataType::Utf8View).map_err(|e| Error::internal("mask the value", e))?;
                texts.extend(masked.as_string_view().iter().flatten().map(str::to_owned));
            }
        }
        Ok(Some(texts))
    }

    /// Whether nothing that the mask makes can be taken for a value of the kind: a CPF in its column was then never masked.
    fn is_unlike(&self, spec: &MaskSpec) -> bool {
        let keeps_form = spec.name == "fpe" || (spec.name == "token" && spec.arg("format", 1) == Some("keep"));
        // Their masked values have wrong check digits.
        !keeps_form || matches!(self.kind.as_str(), "cpf" | "cnpj")
    }

    /// A random token is only known to the vault.
    fn tokens(&self, scope: &str, keys: &dyn KeyProvider, vault: &dyn Vault) -> Result<BTreeSet<String>> {
        let found = vault.get(&format!("token/{scope}"), &self.ids(scope, keys)?)?;
        Ok(found.into_iter().flatten().filter_map(|secret| secret.token).collect())
    }

    /// The vault's ids of the value: of its one spelling, and of each as it was written where a column had no kind.
    fn ids(&self, scope: &str, keys: &dyn KeyProvider) -> Result<Vec<Id>> {
        let mut ids = vec![subject_id(scope, Some(&self.kind), &self.value, keys)?];
        for spelling in &self.spellings {
            let id = subject_id(scope, None, spelling, keys)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// Shreds what the vault keeps for this person in a scope; says how many secrets it held.
    pub fn shred(&self, scope: &str, keys: &dyn KeyProvider, vault: &dyn Vault) -> Result<u64> {
        let mut shredded = 0;
        for id in self.ids(scope, keys)? {
            for space in ["token", "subject"] {
                shredded += vault.shred(&format!("{space}/{scope}"), &id)?;
            }
        }
        Ok(shredded)
    }
}

/// The ways in which a value may have been written before it was masked by a mask that respects spelling.
fn spellings(kind: &str, typed: &str, value: &str) -> Vec<Zeroizing<String>> {
    let mut all = vec![value.to_owned(), typed.to_owned(), value.to_uppercase(), value.to_lowercase()];
    match (kind, value.is_ascii()) {
        ("cpf", true) => {
            all.push(format!("{}.{}.{}-{}", &value[..3], &value[3..6], &value[6..9], &value[9..]));
            all.push(format!("{}-{}", &value[..9], &value[9..]));
        }
        ("cnpj", true) => {
            let parts = (&value[..2], &value[2..5], &value[5..8], &value[8..12], &value[12..]);
            all.push(format!("{}.{}.{}/{}-{}", parts.0, parts.1, parts.2, parts.3, parts.4));
            all.push(format!("{}/{}-{}", &value[..8], &value[8..12], &value[12..]));
        }
        ("phone", true) => all.extend(phones(value)),
        _ => {}
    }
    // A column of whole numbers has lost them.
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        all.push(value.trim_start_matches('0').to_owned());
    }
    all.retain(|spelling| !spelling.is_empty());
    all.sort();
    all.dedup();
    all.into_iter().map(Zeroizing::new).collect()
}

/// How a number in its one spelling (the digits of E.164) is written: a Brazilian one by its area and its number, too.
fn phones(value: &str) -> Vec<String> {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    let mut all = vec![format!("+{value}"), format!("00{value}")];
    let national = value.strip_prefix("55").filter(|national| matches!(national.len(), 10 | 11));
    if let Some((area, number)) = national.and_then(|national| national.split_at_checked(2)) {
        let (first, last) = number.split_at(number.len() - 4);
        all.extend([format!("{area}{number}"), format!("0{area}{number}")]);
        for number in [number.to_owned(), format!("{first}-{last}")] {
            for area in [format!("{area} "), format!("({area}) "), format!("({area})")] {
                all.extend([format!("{area}{number}"), format!("+55 {area}{number}")]);
            }
        }
    }
    all
}

/// Whether a text has the form of a person's name here.
pub fn is_pseudonym(text: &str) -> bool {
    let length = pseudonym_of(&Id::default()).len();
    let is_sign = |b: u8| matches!(b, b'a'..=b'z' | b'2'..=b'7');
    text.len() == length && text.strip_prefix("s1_").is_some_and(|rest| rest.bytes().all(is_sign))
}

fn pseudonym_of(id: &Id) -> String {
    format!("s1_{}", String::from_utf8_lossy(&base32(id)))
}

/// A key store as it was when a version was its newest.
struct AtVersion {
    keys: Arc<dyn KeyProvider>,
    version: u32,
}

impl KeyProvider for AtVersion {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
        self.keys.key(scope, version.or(Some(self.version)))
    }
}

/// People who were forgotten, by kind and pseudonym.
pub struct ForgottenPeople {
    people: BTreeMap<String, HashSet<String>>,
    keyed: Keyed,
}

impl ForgottenPeople {
    /// `None` when there are none.
    pub fn new(people: BTreeMap<String, HashSet<String>>, keys: &dyn KeyProvider) -> Result<Option<Self>> {
        if people.values().all(HashSet::is_empty) {
            return Ok(None);
        }
        Ok(Some(Self { people, keyed: namer(SCOPE, keys)? }))
    }
}

impl Forgotten for ForgottenPeople {
    fn are(&self, kind: &str, values: &ArrayRef) -> Result<Option<BooleanArray>> {
        let Some(people) = self.people.get(kind) else { return Ok(None) };
        let way = Normalize::choose(None, Some(kind))?;
        let texts = cast(values, &DataType::Utf8View).map_err(|e| Error::internal("look for forgotten people", e))?;
        let mut known: HashMap<&str, bool> = HashMap::new();
        let found = texts.as_string_view().iter().map(|value| {
            let Some(value) = value else { return Some(false) };
            Some(*known.entry(value).or_insert_with(|| {
                people.contains(&pseudonym_of(&subject_named(self.keyed.clone(), &way.apply(value))))
            }))
        });
        Ok(Some(found.collect()))
    }
}

/// Whether a kind can be asked for: a known one, or one that a contract names.
pub fn check_kind<'a>(kind: &str, named: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let named: Vec<&str> = named.into_iter().collect();
    if named.contains(&kind) {
        return Ok(());
    }
    let what = format!("look for somebody by {kind}");
    // A kind that the contracts name is meant sooner than another one.
    let is_known = kinds().iter().any(|known| known.name == kind);
    let near = nearest(kind, named.iter().copied()).or_else(|| nearest(kind, kinds().iter().map(|known| known.name)));
    let hint = near.filter(|_| !is_known).map(|near| format!("did you mean `{near}`?"));
    let here = match named.is_empty() {
        true => "no contract names a kind of personal data".to_owned(),
        false => format!("contracts name {}", named.join(", ")),
    };
    let detail = format!("no column of a contract has the classification `personal.{kind}`; {here}");
    Err(Error::project(what, [Some(detail), hint].into_iter().flatten().collect::<Vec<_>>().join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::FixedKeys;
    use arrow::array::Int64Array;
    use kernel::vault::{MemoryVault, Secret};

    fn keys(seeds: &[u8]) -> Arc<dyn KeyProvider> {
        Arc::new(FixedKeys::new(seeds))
    }

    fn form(class: Option<&str>, mask: &str) -> Form {
        Form { class: class.map(Classification::new), mask: Some(MaskSpec::parse(mask).unwrap()) }
    }

    fn texts(looks: &Looks) -> BTreeSet<String> {
        let texts = |look: &Look| match look {
            Look::Texts(texts) => texts.clone(),
            Look::Spelled(..) => BTreeSet::new(),
        };
        looks.all.iter().flat_map(texts).collect()
    }

    /// What a mask makes of the first value of a column.
    fn made(form: &Form, keys: Arc<dyn KeyProvider>, value: &ArrayRef) -> Option<String> {
        let mask = Masks::new(keys).build(form.mask.as_ref().unwrap(), form.class.as_ref()).unwrap();
        let masked = cast(&mask.apply(value).ok()?, &DataType::Utf8View).unwrap();
        Some(masked.as_string_view().value(0).to_owned())
    }

    #[test]
    fn an_identifier_is_one_or_refused_without_a_word_of_it() {
        for good in ["529.982.247-25", "52998224725", " 529 982 247 25 "] {
            assert_eq!(&*Subject::read("cpf", good).unwrap().value, "52998224725");
        }
        for bad in ["529.982.247-26", "", "11111111111", "ana"] {
            let error = Subject::read("cpf", bad).err().unwrap();
            assert!(bad.is_empty() || !format!("{error:?}").contains(bad), "{error:?}");
        }
        assert!(Subject::read("email", "ana").is_err() && Subject::read("email", "Ana@x.br").is_ok());
        assert!(check_kind("cpf", ["cpf", "email"]).is_ok());
        let error = check_kind("cfp", ["cpf"]).err().unwrap();
        assert!(error.detail.contains("did you mean `cpf`"), "{error}");
        assert!(check_kind("phone", ["cpf"]).err().unwrap().detail.contains("contracts name cpf"));
    }

    #[test]
    fn a_subject_looks_like_what_the_masks_made_of_it_in_every_spelling_and_version() {
        let subject = Subject::read("cpf", "012.345.678-90").unwrap();
        for mask in ["pseudonym(person)", "encrypt(person, deterministic)", "fpe(person)"] {
            let form = form(Some("personal.cpf"), mask);
            let look = texts(&subject.looks(std::slice::from_ref(&form), &keys(&[7, 8]), None).unwrap());
            for seeds in [&[7][..], &[7, 8]] {
                let written: [ArrayRef; 3] = [
                    Arc::new(StringArray::from(vec!["012.345.678-90"])),
                    Arc::new(StringArray::from(vec!["01234567890"])),
                    Arc::new(Int64Array::from(vec![1_234_567_890])),
                ];
                for value in written {
                    let Some(masked) = made(&form, keys(seeds), &value) else { continue };
                    assert!(look.contains(&masked), "{mask} of {value:?}");
                }
            }
        }
        for blind in ["redact", "partial(first: 3)", "encrypt(person)"] {
            let looks = subject.looks(&[form(Some("personal.cpf"), blind)], &keys(&[7]), None).unwrap();
            assert!(looks.is_blind && looks.all.is_empty() && looks.guess.is_none(), "{blind}");
        }
        let open = Form { class: Some(Classification::new("personal.cpf")), mask: None };
        let looks = subject.looks(&[open], &keys(&[7]), None).unwrap();
        let [Look::Spelled(way, value)] = &looks.all[..] else { panic!("an open column holds the value itself") };
        assert_eq!(way.apply("012.345.678-90"), ***value);
    }

    #[test]
    fn a_subject_is_told_by_what_was_masked_before_the_column_had_its_kind() {
        let written = ["012.345.678-90", "01234567890", "012345678-90"];
        let subject = Subject::read("cpf", "01234567890").unwrap();
        for class in [None, Some("personal"), Some("personal.document"), Some("sensitive.cpf")] {
            for mask in ["pseudonym(person)", "encrypt(person, deterministic)", "fpe(person)"] {
                let now = form(Some("personal.cpf"), mask);
                let look = texts(&subject.looks(&[now], &keys(&[7]), None).unwrap());
                for value in written {
                    let value: ArrayRef = Arc::new(StringArray::from(vec![value]));
                    let masked = made(&form(class, mask), keys(&[7]), &value).unwrap();
                    assert!(look.contains(&masked), "{mask} of {value:?} in {class:?}");
                }
            }
        }
    }

    #[test]
    fn a_subject_is_told_under_each_form_that_a_column_had() {
        let subject = Subject::read("email", "Ana@x.br").unwrap();
        let forms = [
            form(Some("personal.email"), "encrypt(contact, deterministic)"),
            form(Some("personal.email"), "pseudonym(person)"),
            form(Some("personal.email"), "redact"),
        ];
        let looks = subject.looks(&forms, &keys(&[7]), None).unwrap();
        let value: ArrayRef = Arc::new(StringArray::from(vec!["ana@x.br"]));
        for form in &forms[..2] {
            assert!(texts(&looks).contains(&made(form, keys(&[7]), &value).unwrap()));
        }
        assert!(looks.is_blind && looks.guess.is_some() && !looks.is_as_written);
        let before = form(Some("personal"), "pseudonym(contact)");
        assert!(subject.looks(&[before], &keys(&[7]), None).unwrap().is_as_written);
        // A postcode's token may be another's postcode.
        let looks = Subject::read("cep", "01310-100").unwrap();
        assert!(looks.looks(&[form(Some("personal.cep"), "fpe(x)")], &keys(&[7]), None).unwrap().guess.is_none());
    }

    #[test]
    fn a_phone_is_known_as_people_write_it() {
        let subject = Subject::read("phone", "+55 (11) 98765-4321").unwrap();
        for written in ["5511987654321", "11987654321", "(11) 98765-4321", "11 98765-4321", "+55 11 98765-4321"] {
            assert!(subject.spellings.iter().any(|spelling| spelling.as_str() == written), "{written}");
        }
        assert!(phones("ramal 12").is_empty() && phones("12125550100").len() == 2);
    }

    #[test]
    fn tokens_are_asked_of_the_vault_and_shredded_there() {
        let (subject, vault) = (Subject::read("cpf", "52998224725").unwrap(), MemoryVault::default());
        let forms = [form(None, "token(person)")];
        let look = || texts(&subject.looks(&forms, &keys(&[7]), Some(&vault)).unwrap());
        assert!(look().is_empty());
        assert!(subject.looks(&forms, &keys(&[7]), None).unwrap().is_blind, "without a vault nobody knows");
        let id = subject_id("person", Some("cpf"), "52998224725", &*keys(&[7])).unwrap();
        let before = subject_id("person", None, "529.982.247-25", &*keys(&[7])).unwrap();
        for (id, token) in [(id, "t_random"), (before, "t_before")] {
            let secret = |_| Ok(Secret { token: Some(token.into()), sealed: vec![1] });
            vault.get_or_put("token/person", &[id], &mut { secret }).unwrap();
        }
        let secret = |_| Ok(Secret { token: None, sealed: vec![1] });
        vault.get_or_put("subject/person", &[id], &mut { secret }).unwrap();
        assert_eq!(look(), BTreeSet::from(["t_random".to_owned(), "t_before".to_owned()]));
        assert_eq!(subject.shred("person", &*keys(&[7]), &vault).unwrap(), 3);
        assert_eq!(subject.shred("person", &*keys(&[7]), &vault).unwrap(), 0, "again is no error");
        assert!(look().is_empty());
    }

    #[test]
    fn who_was_forgotten_is_known_in_every_spelling_and_nobody_else_is() {
        let keys = keys(&[7, 8]);
        let pseudonym = Subject::read("cpf", "012.345.678-90").unwrap().pseudonym(&*keys).unwrap();
        assert_eq!(pseudonym, Subject::read("cpf", "1234567890").unwrap().pseudonym(&FixedKeys::new(&[7])).unwrap());
        let people = BTreeMap::from([("cpf".to_owned(), HashSet::from([pseudonym]))]);
        let forgotten = ForgottenPeople::new(people, &*keys).unwrap().unwrap();
        let values: ArrayRef =
            Arc::new(StringArray::from(vec![Some("01234567890"), Some("529.982.247-25"), None, Some("012345678-90")]));
        let found = forgotten.are("cpf", &values).unwrap().unwrap();
        assert_eq!(found, BooleanArray::from(vec![true, false, false, true]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1_234_567_890]));
        assert!(forgotten.are("cpf", &numbers).unwrap().unwrap().value(0));
        assert!(forgotten.are("email", &values).unwrap().is_none());
        assert!(ForgottenPeople::new(BTreeMap::new(), &*keys).unwrap().is_none());
    }
}

//! Functions of SQL that open what masks hid: `decrypt(column, 'person')`, `detokenize(column, 'person')`,
//! `unfpe(column, 'person')`. Each asks a session for a grant of its name and scope.
//!
//! The scope, and the kind that `unfpe` may need, are written in the query: a scope out of a row could be any, and the grant
//! could not be asked for before the first row.

use crate::mask::{Opener, Secrets, canonical_text, detokenize_all, unfpe};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::DataType;
use kernel::error::{Error, Result};
use kernel::function::ScalarFunction;
use kernel::keys::KeyProvider;
use kernel::vault::Vault;
use std::sync::Arc;

/// Every function that opens something.
pub fn all(keys: Arc<dyn KeyProvider>, vault: Arc<dyn Vault>) -> Vec<Arc<dyn ScalarFunction>> {
    let secrets = Secrets::new(keys, Some(vault));
    let opening =
        |what: &What| -> Arc<dyn ScalarFunction> { Arc::new(Opening { what: *what, secrets: secrets.clone() }) };
    [What::Decrypt, What::Detokenize, What::Unfpe].iter().map(opening).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Decrypt,
    Detokenize,
    Unfpe,
}

struct Opening {
    what: What,
    secrets: Secrets,
}

impl ScalarFunction for Opening {
    fn name(&self) -> &str {
        match self.what {
            What::Decrypt => "decrypt",
            What::Detokenize => "detokenize",
            What::Unfpe => "unfpe",
        }
    }

    fn output(&self, arguments: &[DataType]) -> Result<DataType> {
        let counts = if self.what == What::Unfpe { 2..=3 } else { 2..=2 };
        if counts.contains(&arguments.len()) && arguments.iter().all(is_text) {
            return Ok(DataType::Utf8View);
        }
        let detail = match self.what {
            What::Unfpe => {
                "it takes a text column, the mask's scope and, of a CPF or CNPJ, its kind: `unfpe(cpf, 'person', 'cpf')`".into()
            }
            _ => format!("it takes a text column and the mask's scope, as in `{}(cpf, 'person')`", self.name()),
        };
        Err(Error::project(format!("`{}`", self.name()), detail))
    }

    fn grant(&self, constants: &[Option<String>]) -> Result<Option<String>> {
        let written = |at: usize| constants.get(at).is_none_or(Option::is_some);
        match constants.get(1) {
            Some(Some(scope)) if written(2) => {
                crate::keys::check_scope(scope)?;
                Ok(Some(format!("{}({scope})", self.name())))
            }
            _ => {
                let detail =
                    "the scope is written in the query itself, as in `'person'`, so that a grant can be asked for";
                Err(Error::project(format!("`{}`", self.name()), detail))
            }
        }
    }

    /// A null stays null, and what was forgotten is null; anything else that can't be opened is an error without a value.
    fn call(&self, arguments: &[ArrayRef]) -> Result<ArrayRef> {
        let [column, scope, rest @ ..] = arguments else {
            return Err(Error::internal(format!("call `{}`", self.name()), "it lacks its scope"));
        };
        let column = canonical_text(column)?;
        let column = column.as_string_view();
        if column.is_empty() {
            return Ok(Arc::new(StringViewArray::new_null(0)));
        }
        let scope = self.constant(scope)?;
        match self.what {
            What::Detokenize => detokenize_all(column, &scope, &self.secrets),
            What::Decrypt => {
                let mut opener = Opener::new(&scope, &self.secrets)?;
                each(column, |text| opener.open(text))
            }
            What::Unfpe => {
                let kind = rest.first().map(|kind| self.constant(kind)).transpose()?;
                each(column, |text| unfpe(text, &scope, kind.as_deref(), &self.secrets).map(Some))
            }
        }
    }
}

impl Opening {
    /// The one text that an argument is.
    fn constant(&self, argument: &ArrayRef) -> Result<String> {
        let texts = canonical_text(argument)?;
        let mut texts = texts.as_string_view().iter();
        let first = texts.next().flatten();
        match first.filter(|first| texts.all(|text| text == Some(*first))) {
            Some(text) => Ok(text.to_owned()),
            None => Err(Error::project(format!("`{}`", self.name()), "its scope is one text, not one in each row")),
        }
    }
}

fn each(column: &StringViewArray, mut open: impl FnMut(&str) -> Result<Option<String>>) -> Result<ArrayRef> {
    let value = |text: Option<&str>| text.map_or(Ok(None), &mut open);
    Ok(Arc::new(column.iter().map(value).collect::<Result<StringViewArray>>()?))
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_text(value),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{FixedKeys, subject_id};
    use crate::mask::Masks;
    use arrow::array::StringArray;
    use kernel::contract::MaskSpec;
    use kernel::mask::MaskFactory;
    use kernel::vault::MemoryVault;
    use kernel::{Classification, Kind};

    const CPFS: [Option<&str>; 3] = [Some("529.982.247-25"), None, Some("111.444.777-35")];

    struct World {
        keys: Arc<FixedKeys>,
        vault: Arc<MemoryVault>,
    }

    fn world() -> World {
        World { keys: Arc::new(FixedKeys::new(&[7])), vault: Arc::new(MemoryVault::default()) }
    }

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    impl World {
        fn masked(&self, mask: &str, class: &str) -> ArrayRef {
            let masks = Masks::new(self.keys.clone()).with_vault(self.vault.clone());
            let class = Classification::new(class);
            let mask = masks.build(&MaskSpec::parse(mask).unwrap(), Some(&class)).unwrap();
            match mask.subject() {
                None => mask.apply(&texts(&CPFS)).unwrap(),
                Some(_) => mask.apply_for(&texts(&CPFS), &texts(&CPFS), Some(&class)).unwrap(),
            }
        }

        fn call(&self, name: &str, column: &ArrayRef, constants: &[&str]) -> Result<Vec<Option<String>>> {
            let all = all(self.keys.clone(), self.vault.clone());
            let function = all.iter().find(|function| function.name() == name).unwrap();
            let constants = constants.iter().map(|text| texts(&vec![Some(*text); column.len()]));
            let arguments: Vec<ArrayRef> = std::iter::once(column.clone()).chain(constants).collect();
            let types: Vec<DataType> = arguments.iter().map(|argument| argument.data_type().clone()).collect();
            let output = function.call(&arguments)?;
            assert_eq!(*output.data_type(), function.output(&types).unwrap());
            Ok(output.as_string_view().iter().map(|value| value.map(str::to_owned)).collect())
        }
    }

    fn some(values: &[Option<&str>]) -> Vec<Option<String>> {
        values.iter().map(|value| value.map(str::to_owned)).collect()
    }

    #[test]
    fn what_a_mask_hid_is_opened() {
        let world = world();
        for mask in [
            "encrypt(person)",
            "encrypt(person, deterministic)",
            "encrypt(person, random, who)",
            "encrypt(person, deterministic, who)",
        ] {
            let masked = world.masked(mask, "personal.cpf");
            assert_eq!(world.call("decrypt", &masked, &["person"]).unwrap(), some(&CPFS), "{mask}");
        }
        let tokens = world.masked("token(person)", "personal.cpf");
        let spelled = [Some("52998224725"), None, Some("11144477735")];
        assert_eq!(world.call("detokenize", &tokens, &["person"]).unwrap(), some(&spelled), "in the one spelling");
        let fpe = world.masked("fpe(person)", "personal.cpf");
        assert_eq!(world.call("unfpe", &fpe, &["person", "cpf"]).unwrap(), some(&CPFS));
    }

    #[test]
    fn one_shredding_forgets_a_person_and_nobody_else() {
        let world = world();
        let sealed = world.masked("encrypt(person, subject: who)", "personal.cpf");
        let tokens = world.masked("token(person)", "personal.cpf");
        let id = subject_id("person", Some("cpf"), "52998224725", &*world.keys).unwrap();
        assert_eq!(world.vault.shred("", &id).unwrap(), 2, "the token and the key");
        assert_eq!(world.call("decrypt", &sealed, &["person"]).unwrap(), some(&[None, None, CPFS[2]]));
        assert_eq!(world.call("detokenize", &tokens, &["person"]).unwrap(), some(&[None, None, Some("11144477735")]));
        let late = world.masked("encrypt(person, subject: who)", "personal.cpf");
        assert!(late.is_null(0) && late.is_valid(2), "a late row brings nobody back");
        assert!(world.masked("token(person)", "personal.cpf").is_null(0));
    }

    #[test]
    fn what_is_damaged_or_of_another_vault_is_an_error_without_a_value() {
        let (one, other) = (world(), world());
        let sealed = one.masked("encrypt(person, subject: who)", "personal.cpf");
        let whole = sealed.as_string_view().value(0).to_owned();
        let fails = |world: &World, text: &str, scope: &str| {
            let error = world.call("decrypt", &texts(&[Some(text)]), &[scope]).unwrap_err();
            assert!(error.kind == Kind::Data && !format!("{error:?}").contains("529"), "{error:?}");
        };
        fails(&other, &whole, "person");
        fails(&one, &whole, "contact");
        for at in 2..whole.len() {
            let mut changed = whole.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            fails(&one, str::from_utf8(&changed).unwrap(), "person");
        }
        fails(&one, "no ciphertext", "person");
        assert_eq!(other.call("detokenize", &texts(&[Some("t_x")]), &["person"]).unwrap(), [None]);
    }

    #[test]
    fn each_asks_for_the_grant_of_its_scope() {
        let world = world();
        let grant = |name: &str, constants: &[Option<&str>]| {
            let all = all(world.keys.clone(), world.vault.clone());
            let function = all.iter().find(|function| function.name() == name).unwrap().clone();
            function.grant(&some(constants)).map_err(|e| e.kind)
        };
        assert_eq!(grant("decrypt", &[None, Some("person")]), Ok(Some("decrypt(person)".into())));
        assert_eq!(grant("detokenize", &[None, Some("card")]), Ok(Some("detokenize(card)".into())));
        assert_eq!(grant("unfpe", &[None, Some("card"), Some("cpf")]), Ok(Some("unfpe(card)".into())));
        for unwritten in [&[None, None][..], &[None], &[None, Some("person"), None]] {
            assert_eq!(grant("unfpe", unwritten), Err(Kind::Project));
        }
        let scopes = texts(&[Some("person"), Some("contact"), Some("person")]);
        let all = all(world.keys.clone(), world.vault.clone());
        let mixed = all[0].call(&[world.masked("encrypt(person)", "personal.cpf"), scopes]);
        assert_eq!(mixed.map_err(|e| e.kind).err(), Some(Kind::Project));
        assert!(
            all[0].output(&[DataType::Utf8]).is_err() && all[0].output(&[DataType::Int64, DataType::Utf8]).is_err()
        );
    }
}

//! `token(scope)`: a random token, the same for equal values of the scope in every table. Nothing of the value is in it; the
//! vault knows which token is whose and holds the value, sealed. Whoever removes it there has forgotten the value.
//!
//! The default form is `t_` and 26 digits of base32, 128 random bits. `format: keep` puts a random digit for each digit and a
//! random letter for each letter of the value in its one spelling; where that leaves few tokens the form is the default.

use super::swar::base32;
use super::{Arg, Normalize, SCOPE, Secrets, Spec, per_subject, takes, text};
use crate::detect::Form;
use crate::keys::{Subjects, check_scope, random};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use arrow::datatypes::DataType;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::mask::{Mask, Promise};
use kernel::suggest;
use kernel::vault::Secret;
use std::sync::Arc;

pub(super) const SPEC: Spec = Spec {
    name: "token",
    summary: "a random token out of the vault: the same value has the same token in every table of the scope, nothing of \
              the value is in it, and whoever may open the vault reads the value again",
    args: &[
        SCOPE,
        Arg {
            name: "format",
            about: "code (the default: `t_` and 26 letters and digits) or keep: digits for digits, letters for letters; a \
                    CPF or CNPJ gets wrong check digits, for a valid one may be somebody's",
        },
        Arg { name: "check_digits", about: "valid, with a reason, for programs that take nothing else" },
        Arg { name: "reason", about: "why tokens that may be real people's numbers are wanted" },
    ],
    example: "token(person)",
    promise: Promise { joinable: true, reversible: true, keeps_type: false, random: false },
    build: token,
};

/// As with format-preserving encryption: fewer tokens than this of a shape could be tried out, or run out.
const SHAPE_MIN: f64 = 1e6;

/// How often a token of the value's shape is tried before the default form is taken.
const SHAPE_TRIES: usize = 8;

struct Token {
    subjects: Subjects,
    normalize: Normalize,
    shape: Option<Shape>,
}

/// The value's own form is kept.
struct Shape {
    /// The number whose check digits tell a real one.
    checked: Option<Form>,
    valid: bool,
}

fn token(spec: &MaskSpec, kind: Option<&str>, secrets: &Secrets) -> Result<Box<dyn Mask>> {
    let scope = spec.arg("scope", 0).unwrap_or_default();
    check_scope(scope)?;
    let valid = valid_check_digits(spec)?;
    let shape = match spec.arg("format", 1) {
        None | Some("code") => None,
        Some("keep") => {
            let checked = kind.filter(|kind| matches!(*kind, "cpf" | "cnpj")).and_then(Form::by_name);
            Some(Shape { checked, valid })
        }
        Some(other) => {
            let hint = suggest::hint(other, ["code", "keep"]).unwrap_or_default();
            return Err(Error::project(format!("`format: {other}`"), hint));
        }
    };
    let normalize = Normalize::choose(None, kind)?;
    Ok(Box::new(Token { subjects: subjects(scope, secrets)?, normalize, shape }))
}

fn valid_check_digits(spec: &MaskSpec) -> Result<bool> {
    match (spec.arg("check_digits", 2), spec.arg("reason", 3)) {
        (None | Some("wrong"), _) => Ok(false),
        (Some("valid"), Some(reason)) if !reason.is_empty() => Ok(true),
        (Some("valid"), _) => {
            let detail = "a token with valid check digits may be a real person's number; leave it out, or write \
                          `reason:` and why it must be so";
            Err(Error::refused(format!("`{spec}`"), detail))
        }
        (Some(other), _) => {
            let hint = suggest::hint(other, ["wrong", "valid"]).unwrap_or_default();
            Err(Error::project(format!("`check_digits: {other}`"), hint))
        }
    }
}

fn subjects(scope: &str, secrets: &Secrets) -> Result<Subjects> {
    Subjects::new("token", scope, secrets)
}

/// The value of a token, in its one spelling; `None` of what is no token of this vault, or was forgotten.
pub fn detokenize(token: &str, scope: &str, secrets: &Secrets) -> Result<Option<String>> {
    opened(&subjects(scope, secrets)?, token)
}

fn opened(subjects: &Subjects, token: &str) -> Result<Option<String>> {
    let Some(secret) = subjects.of_token(token)? else { return Ok(None) };
    let value = subjects.open(token.as_bytes(), &secret.sealed)?;
    let value = str::from_utf8(&value).map_err(|_| subjects.fails("what its secret holds is not text"))?;
    Ok(Some(value.to_owned()))
}

/// Opens the tokens of a column.
pub(crate) fn detokenize_all(tokens: &StringViewArray, scope: &str, secrets: &Secrets) -> Result<ArrayRef> {
    let subjects = subjects(scope, secrets)?;
    let value = |token: Option<&str>| token.map_or(Ok(None), |token| opened(&subjects, token));
    Ok(Arc::new(tokens.iter().map(value).collect::<Result<StringViewArray>>()?))
}

impl Mask for Token {
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
        text::per_distinct(column, |values| self.tokens(text::canonical(values)?.as_string_view()))
    }

    fn refusal(&self) -> Option<&str> {
        Some("the value was forgotten")
    }
}

impl Token {
    fn tokens(&self, values: &StringViewArray) -> Result<ArrayRef> {
        let (spelled, rows) = per_subject::distinct(values, self.normalize);
        let ids = self.subjects.ids(spelled.iter().map(AsRef::as_ref))?;
        let mut tries = vec![0; ids.len()];
        let mut make = |at: usize| {
            tries[at] += 1;
            let token = self.draw(&spelled[at], tries[at])?;
            let sealed = self.subjects.seal(token.as_bytes(), spelled[at].as_bytes())?;
            Ok(Secret { token: Some(token), sealed })
        };
        let secrets = self.subjects.secrets(&ids, &mut make)?;
        let mut out = StringViewBuilder::with_capacity(values.len());
        for place in rows {
            let token = place.and_then(|place| secrets[place].as_ref()?.token.as_ref());
            match token {
                Some(token) => out.try_append_value(token).map_err(text::failed)?,
                None => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    }

    /// A new token for a value that was given so many before, all of them taken by others.
    fn draw(&self, value: &str, tries: usize) -> Result<String> {
        let shape = self.shape.as_ref().filter(|_| tries <= SHAPE_TRIES && shapes(value) >= SHAPE_MIN);
        if let Some(shape) = shape {
            for _ in 0..SHAPE_TRIES {
                let token = shape.draw(value)?;
                if token != value && shape.checked.is_none_or(|form| form.holds(&token) == shape.valid) {
                    return Ok(token);
                }
            }
        }
        let digits = base32(&random()?);
        let digits = str::from_utf8(&digits).map_err(|e| Error::internal("make a token", e))?;
        Ok(format!("t_{digits}"))
    }
}

/// How many texts have the shape of this one.
fn shapes(value: &str) -> f64 {
    value
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                10.0
            } else if c.is_alphanumeric() {
                26.0
            } else {
                1.0
            }
        })
        .product()
}

impl Shape {
    fn draw(&self, value: &str) -> Result<String> {
        let mut token = String::with_capacity(value.len());
        for c in value.chars() {
            let drawn = u32::from_be_bytes(random()?);
            token.push(match c {
                c if c.is_ascii_digit() => letter(b'0', drawn % 10),
                c if c.is_uppercase() => letter(b'A', drawn % 26),
                c if c.is_alphanumeric() => letter(b'a', drawn % 26),
                c => c,
            });
        }
        Ok(if self.valid { self.checked.and_then(|form| made_valid(form, &token)).unwrap_or(token) } else { token })
    }
}

fn letter(first: u8, step: u32) -> char {
    char::from(first + step as u8)
}

/// The last two digits are the ones of a hundred that fit.
fn made_valid(form: Form, token: &str) -> Option<String> {
    let base = token.get(..token.len().checked_sub(2)?)?;
    (0..100).map(|digits| format!("{base}{digits:02}")).find(|token| form.holds(token))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, keys, mask, one, samples_with_text, vault};
    use super::*;
    use crate::detect::{is_cnpj, is_cpf};
    use arrow::array::StringArray;
    use kernel::Kind;
    use kernel::laws::mask::{obeys, text_sample};
    use kernel::vault::MemoryVault;
    use std::collections::HashSet;

    /// Tokens of a vault of this test alone.
    fn alone(text: &str, class: &str) -> Box<dyn Mask> {
        let vault: Arc<dyn kernel::vault::Vault> = Arc::new(MemoryVault::default());
        let secrets = Secrets::new(Arc::new(keys()), Some(vault));
        token(&MaskSpec::parse(text).unwrap(), class.split('.').nth(1), &secrets).unwrap()
    }

    #[test]
    fn it_obeys_the_laws() {
        obeys(&|| mask("token(person)"), &samples_with_text());
        obeys(&|| mask("token(kept, format: keep)"), &samples_with_text());
        let class = Some("personal.cpf");
        obeys(&|| build("token(kept_cpf, keep)", class).unwrap(), &[text_sample()]);
    }

    #[test]
    fn a_token_is_the_same_in_every_table_and_says_nothing() {
        let cpf = || build("token(tables)", Some("personal.cpf")).unwrap();
        let token = one(&*cpf(), "529.982.247-25");
        assert!(token.starts_with("t_") && token.len() == 28, "{token}");
        assert_eq!(token, one(&*cpf(), "52998224725"), "spelling parts nobody");
        assert_ne!(token, one(&*mask("token(other)"), "52998224725"), "scopes are apart");
        let elsewhere = alone("token(tables)", "personal.cpf");
        assert_ne!(token, one(&*elsewhere, "529.982.247-25"), "it is drawn, not computed");
        let secrets = Secrets::new(Arc::new(keys()), Some(vault()));
        assert_eq!(detokenize(&token, "tables", &secrets).unwrap().as_deref(), Some("52998224725"));
        assert_eq!(detokenize(&token, "other", &secrets).unwrap(), None);
    }

    #[test]
    fn a_token_that_keeps_the_form_is_nobodys_document() {
        let cpfs = alone("token(person, format: keep)", "personal.cpf");
        let companies = alone("token(company, format: keep)", "personal.cnpj");
        let valid = alone("token(person, format: keep, check_digits: valid, reason: the mainframe)", "personal.cpf");
        let mut tokens = HashSet::new();
        for n in 0..2_000u64 {
            let token = one(&*cpfs, &format!("{:011}", n * 7_919 + 10_000_000_000));
            assert!(token.len() == 11 && token.bytes().all(|c| c.is_ascii_digit()) && !is_cpf(token.as_bytes()));
            assert!(tokens.insert(token));
        }
        for n in 0..200 {
            let company = one(&*companies, &format!("12ABC345{n:04}35"));
            assert!(company.len() == 14 && !is_cnpj(company.as_bytes()) && company[..2].parse::<u8>().is_ok());
            assert!(is_cpf(one(&*valid, &format!("{:011}", n + 52_998_000_000u64)).as_bytes()));
        }
        let kept = one(&*alone("token(x, format: keep)", "personal.rg"), "12.345.678-X");
        assert!(kept.len() == 9 && kept.ends_with(|c: char| c.is_ascii_uppercase()), "{kept}");
        assert!(one(&*alone("token(x, format: keep)", "personal.email"), "ana@example.com").contains('@'));
    }

    #[test]
    fn few_tokens_of_a_shape_are_not_used_up() {
        let short = alone("token(x, format: keep)", "personal.other");
        let values: ArrayRef = Arc::new(StringArray::from_iter_values((0..500).map(|n| n.to_string())));
        let tokens: HashSet<String> =
            short.apply(&values).unwrap().as_string_view().iter().flatten().map(str::to_owned).collect();
        assert!(tokens.len() == 500 && tokens.iter().all(|token| token.starts_with("t_")));
    }

    #[test]
    fn what_may_be_somebody_needs_a_reason_and_no_vault_is_no_token() {
        let kind = |text: &str| build(text, None).err().map(|e| e.kind);
        assert_eq!(kind("token"), Some(Kind::Refused));
        assert_eq!(kind("token(x, format: keep, check_digits: valid)"), Some(Kind::Refused));
        assert_eq!(kind("token(x, format: kept)"), Some(Kind::Project));
        assert_eq!(kind("token(x, check_digits: right)"), Some(Kind::Project));
        let without = token(&MaskSpec::parse("token(x)").unwrap(), None, &Secrets::new(Arc::new(keys()), None));
        assert!(without.unwrap().apply(&text_sample()).is_err(), "never a token that nobody can find again");
    }
}

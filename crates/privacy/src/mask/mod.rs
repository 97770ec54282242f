//! Masks, and the list of them. To add one: a file here, a line in [`all`].

mod bins;
mod constant;
mod date_shift;
mod defaults;
mod encrypt;
mod form;
mod fpe;
mod generalize;
mod noise;
mod normalize;
mod open;
mod partial;
mod per_subject;
mod periods;
mod pseudonym;
mod refused;
mod renewed;
mod retoken;
mod scrub;
mod swar;
#[cfg(test)]
mod tests;
mod text;
mod token;

pub use defaults::default_for;
pub use form::Form;
pub use fpe::unfpe;
pub use normalize::Normalize;
pub use open::{Opener, decrypt};
pub use retoken::{Retoken, retoken, version_of};
pub(crate) use swar::base32;
pub(crate) use text::canonical as canonical_text;
pub use token::detokenize;
pub(crate) use token::detokenize_all;

use crate::detect::OwnKind;
use arrow::datatypes::DataType;
use kernel::Classification;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::keys::KeyProvider;
use kernel::mask::{Mask, MaskFactory, Promise};
use kernel::suggest;
use kernel::vault::Vault;
use serde::Serialize;
use std::sync::Arc;

/// Makes a mask of what the contract writes. The text is the kind of data when it is known: `cpf` of `personal.cpf`.
pub type Build = fn(&MaskSpec, Option<&str>, &Secrets) -> Result<Box<dyn Mask>>;

/// What masks are made with.
#[derive(Clone)]
pub struct Secrets {
    pub keys: Arc<dyn KeyProvider>,
    /// Where there is none, masks that need one can be built, to look at their types, and mask nothing.
    pub vault: Option<Arc<dyn Vault>>,
    /// The project's own kinds of personal data, for masks that look for them.
    pub kinds: Arc<[OwnKind]>,
}

impl Secrets {
    pub fn new(keys: Arc<dyn KeyProvider>, vault: Option<Arc<dyn Vault>>) -> Self {
        Self { keys, vault, kinds: Arc::new([]) }
    }
}

/// A mask as the list knows it: enough to check a contract, to write the reference page and to build it.
#[derive(Clone, Serialize)]
pub struct Spec {
    pub name: &'static str,
    pub summary: &'static str,
    pub args: &'static [Arg],
    pub example: &'static str,
    pub promise: Promise,
    #[serde(skip)]
    pub build: Build,
}

/// An argument; its place in the list is its place when it is written without a name.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Arg {
    pub name: &'static str,
    pub about: &'static str,
}

const SCOPE: Arg = Arg { name: "scope", about: "whose key: columns of the same scope can be joined, others can't" };

const SUBJECT: Arg = Arg {
    name: "subject",
    about: "the column that tells whose the row is; it may be the masked column itself. A row without one is set aside",
};

/// Every mask there is.
pub fn all() -> Vec<Spec> {
    vec![
        constant::REDACT,
        constant::NULL,
        constant::DROP,
        partial::SPEC,
        pseudonym::SPEC,
        encrypt::SPEC,
        fpe::SPEC,
        token::SPEC,
        date_shift::SPEC,
        noise::SPEC,
        generalize::SPEC,
        scrub::SPEC,
    ]
}

/// Makes the masks that contracts write.
pub struct Masks {
    secrets: Secrets,
}

impl Masks {
    pub fn new(keys: Arc<dyn KeyProvider>) -> Self {
        Self { secrets: Secrets::new(keys, None) }
    }

    /// The vault of masks that need one. It is asked for nothing before the first row.
    #[must_use]
    pub fn with_vault(mut self, vault: Arc<dyn Vault>) -> Self {
        self.secrets.vault = Some(vault);
        self
    }

    /// Masks that look for the project's own kinds of personal data find them.
    #[must_use]
    pub fn with_kinds(mut self, kinds: Arc<[OwnKind]>) -> Self {
        self.secrets.kinds = kinds;
        self
    }

    /// Tells these keys from others without telling anything of them; `None` when there are none.
    pub fn fingerprint(&self) -> Option<String> {
        crate::keys::fingerprint(&*self.secrets.keys).ok()
    }
}

impl MaskFactory for Masks {
    fn build(&self, spec: &MaskSpec, class: Option<&Classification>) -> Result<Box<dyn Mask>> {
        let found = find(spec)?;
        check_args(spec, found.args)?;
        renewed::build(found.build, spec, class.and_then(Classification::kind), &self.secrets)
    }
}

fn find(spec: &MaskSpec) -> Result<Spec> {
    let what = || format!("mask `{spec}`");
    if let Some(reason) = refused::reason(&spec.name) {
        return Err(Error::refused(what(), reason));
    }
    let all = all();
    match all.iter().find(|known| known.name == spec.name) {
        Some(known) => Ok(known.clone()),
        None => {
            let hint = suggest::hint(&spec.name, all.iter().map(|known| known.name));
            Err(Error::project(what(), format!("there is no mask of this name; {}", hint.unwrap_or_default())))
        }
    }
}

/// Whether what a mask makes can only be read again with the vault of today.
pub fn needs_vault(spec: &MaskSpec) -> bool {
    spec.name == "token" || (spec.name == "encrypt" && spec.arg("subject", 2).is_some())
}

/// No argument may be passed over: a typing error in one would mask otherwise than was meant.
fn check_args(spec: &MaskSpec, known: &[Arg]) -> Result<()> {
    let wrong = |detail: String| Err(Error::project(format!("mask `{spec}`"), detail));
    for (at, (name, _)) in spec.args.iter().enumerate() {
        if name.is_empty() {
            continue;
        }
        if !known.iter().any(|arg| arg.name == name) {
            let hint = suggest::hint(name, known.iter().map(|arg| arg.name)).unwrap_or_default();
            return wrong(format!("it has no argument `{name}`; {hint}"));
        }
        if spec.args[..at].iter().any(|(before, _)| before == name) {
            return wrong(format!("`{name}` is given twice"));
        }
    }
    let positional = spec.args.iter().filter(|(name, _)| name.is_empty()).count();
    match known.len() {
        0 if !spec.args.is_empty() => wrong("it takes no argument".into()),
        most if positional > most => wrong(format!("it takes at most {most} arguments")),
        _ => Ok(()),
    }
}

/// An error that names the types a mask takes, when `input` is none of them.
fn takes(mask: &str, input: &DataType, fits: bool, types: &str) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::project(mask, format!("it takes {types}, not {input}"))) }
}

//! Places beside the lake's tables that hold something of a person. A new one (a topic, a stream's state, an export) is a
//! `Holder`, and a line in [`holders`].

use super::forms::Forms;
use crate::wiring::Wiring;
use kernel::error::Result;
use kernel::keys::KeyProvider;
use kernel::vault::Vault;
use privacy::subject::Subject;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Something that can hold a person's data, or what opens it.
pub trait Holder: Send + Sync {
    /// As plans and certificates name it.
    fn name(&self) -> &str;

    /// Removes what it holds of the person at once and for good, but what opens the scopes that a hold keeps; says how
    /// much that was. Again is no error.
    fn forget(&self, subject: &Subject, scopes_held: &BTreeSet<String>) -> Result<u64>;
}

/// All there are. `forms` are those that columns had: what an earlier mask left in the vault goes, too.
pub fn holders(
    wiring: &Wiring,
    forms: &Forms,
    keys: &Arc<dyn KeyProvider>,
    vault: Option<Arc<dyn Vault>>,
) -> Vec<Box<dyn Holder>> {
    let Some(vault) = vault else { return Vec::new() };
    let masks = wiring.project.sources.iter().flat_map(|s| &s.entity.properties).filter_map(|p| p.mask.as_ref());
    let had = forms.values().flatten().filter_map(|form| form.mask.as_ref());
    let scopes = masks.chain(had).filter_map(|mask| mask.arg("scope", 0)).map(str::to_owned).collect();
    vec![Box::new(Secrets { vault, keys: keys.clone(), scopes })]
}

/// Random tokens and keys of single people: without them, what they opened is closed for good.
struct Secrets {
    vault: Arc<dyn Vault>,
    keys: Arc<dyn KeyProvider>,
    scopes: BTreeSet<String>,
}

impl Holder for Secrets {
    fn name(&self) -> &str {
        "vault"
    }

    fn forget(&self, subject: &Subject, scopes_held: &BTreeSet<String>) -> Result<u64> {
        self.scopes
            .difference(scopes_held)
            .map(|scope| subject.shred(scope, self.keys.as_ref(), self.vault.as_ref()))
            .sum()
    }
}

//! `policies/users.yaml`: who may open what.

use super::compile::Check;
use kernel::draft::{self, Draft};
use kernel::suggest;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `policies/users.yaml`: users by the names that the operating system knows them by.
pub type Users = BTreeMap<String, User>;

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// What the user may open, each with its key scope: `decrypt(person)`, `detokenize(person)`, `unfpe(person)`,
    /// `open(amounts)`.
    #[serde(default)]
    pub grants: Vec<String>,
}

const FILE: &str = "policies/users.yaml";
const VERBS: [&str; 4] = ["decrypt", "detokenize", "open", "unfpe"];

impl Check<'_> {
    pub fn users(&mut self) -> Users {
        let Some(text) = self.files.texts.get(FILE).cloned() else { return Users::new() };
        let env = self.env;
        let read = draft::read::<Users>(FILE, &text, &|name| env(name));
        let Some(draft) = self.keep(read) else { return Users::new() };
        self.found.extend(faults(&draft));
        draft.value
    }
}

fn faults(draft: &Draft<Users>) -> Vec<kernel::Diagnostic> {
    let mut faults = Vec::new();
    for (name, user) in &draft.value {
        for (at, grant) in user.grants.iter().enumerate() {
            let path = format!("[\"{name}\"].grants[{at}]");
            let parts = grant.split_once('(').and_then(|(verb, rest)| Some((verb, rest.strip_suffix(')')?)));
            let Some((verb, scope)) = parts else {
                let fault = draft.fault(&path, "this is not a grant");
                faults.push(fault.help(Some("write it with its scope, as in `open(amounts)`")));
                continue;
            };
            if !VERBS.contains(&verb) {
                faults.push(draft.fault(&path, "nothing asks for this grant").help(suggest::hint(verb, VERBS)));
            }
            if let Err(why) = privacy::keys::check_scope(scope) {
                faults.push(draft.fault(&path, why.detail));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_that_nothing_asks_for_is_told() {
        let told = |grant: &str| {
            let text = format!("ana: {{ grants: ['{grant}'] }}\n");
            let draft = draft::read::<Users>(FILE, &text, &|_| None).expect("users");
            faults(&draft).iter().map(|fault| fault.render(&text)).collect::<String>()
        };
        assert_eq!(told("open(amounts)"), "");
        assert!(
            told("opne(amounts)").contains("did you mean `open`?") && told("opne(amounts)").contains("users.yaml:1")
        );
        assert!(told("open").contains("as in `open(amounts)`"));
        assert!(told("open(Amounts)").contains("lower-case"));
    }
}

//! What the environment put into a project's files: used, and never shown.

use kernel::diagnostic::Diagnostic;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Shorter values are hidden only where they stand alone: as a part of words they are everywhere.
const LENGTH_MIN: usize = 4;

/// Answers for the environment, and remembers what it answered.
pub struct Secrets<'a> {
    env: &'a (dyn Fn(&str) -> Option<String> + Sync),
    told: Mutex<BTreeMap<String, String>>,
}

impl<'a> Secrets<'a> {
    pub fn new(env: &'a (dyn Fn(&str) -> Option<String> + Sync)) -> Self {
        Self { env, told: Mutex::default() }
    }

    pub fn ask(&self, name: &str) -> Option<String> {
        let value = (self.env)(name)?;
        if !value.is_empty() {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.clone());
        }
        Some(value)
    }

    /// Puts the names of variables back in the place of their values.
    pub fn hide(&self, fault: &mut Diagnostic) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told: Vec<(&String, &String)> = told.iter().collect();
        told.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        for text in std::iter::once(&mut fault.message).chain(fault.help.as_mut()) {
            for (name, value) in &told {
                let (from, to) = match value.len() < LENGTH_MIN {
                    true => (format!("`{value}`"), format!("`${{{name}}}`")),
                    false => ((*value).clone(), format!("${{{name}}}")),
                };
                *text = text.replace(&from, &to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_as_its_variable() {
        let env = |name: &str| match name {
            "TOKEN" => Some("hunter2".to_owned()),
            "LONG" => Some("hunter2-hunter2".to_owned()),
            "N" => Some("a".to_owned()),
            _ => None,
        };
        let secrets = Secrets::new(&env);
        assert_eq!(secrets.ask("NONE"), None);
        ["TOKEN", "LONG", "N"].iter().for_each(|name| drop(secrets.ask(name)));
        let mut fault = Diagnostic::new("x.yaml", None, "`hunter2-hunter2` at s3://hunter2/x is a table, not `a`")
            .help(Some("did you mean `hunter2`?"));
        secrets.hide(&mut fault);
        assert_eq!(fault.message, "`${LONG}` at s3://${TOKEN}/x is a table, not `${N}`");
        assert_eq!(fault.help.as_deref(), Some("did you mean `${TOKEN}`?"));
    }
}

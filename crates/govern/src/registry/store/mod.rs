//! The registry itself: subjects with their versions, and schemas with their ids, in a ledger.
//!
//! A schema lies under `registry/id/` and its id, a subject with all that is set for it under `registry/subject/` and its name,
//! each one JSON text. An id is taken by writing under it if nothing is there, a version by replacing the subject as it
//! was read; so of two processes one wins, and the other looks again. Whoever dies between the two has given a schema an
//! id that the next try finds.

mod delete;
mod fault;
mod ids;
mod look;
mod register;
mod settings;
#[cfg(test)]
pub(super) mod tests;

pub use fault::{Answer, Fault};
pub use look::{Listed, Page, Which};
pub use register::{Registered, Request, Wanted};
pub use settings::{Config, Mode, Policy};

use super::change::Level;
use super::schema::Definition;
use ids::Ids;
use kernel::error::Error;
use kernel::ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const SUBJECT: &str = "registry/subject/";
const GLOBAL: &str = "registry/global";
/// Others who write at once are looked at again; that many in a row are no coincidence.
const TRIES_MAX: u32 = 1000;

/// Any number of them may share one ledger, in one process or in many.
pub struct Registry {
    ledger: Arc<dyn Ledger>,
    ids: Ids,
    /// Those of one process take turns, so that they don't have to look again.
    turn: tokio::sync::Mutex<()>,
}

/// A subject as it lies in the ledger. One without versions and settings is as good as none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Subject {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    versions: Vec<Version>,
    #[serde(default, skip_serializing_if = "Config::is_empty")]
    config: Config,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    version: i32,
    id: i32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

impl Subject {
    fn live(&self) -> impl DoubleEndedIterator<Item = &Version> {
        self.versions.iter().filter(|version| !version.deleted)
    }

    fn is_live(&self) -> bool {
        self.live().next().is_some()
    }
}

impl Registry {
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { ids: Ids::new(ledger.clone()), ledger, turn: tokio::sync::Mutex::new(()) }
    }

    /// A subject, and the version of its entry to name when it is replaced.
    async fn subject(&self, name: &str) -> Answer<(Subject, Option<u64>)> {
        self.entry(&format!("{SUBJECT}{name}")).await
    }

    /// What is set for all subjects.
    async fn global(&self) -> Answer<Subject> {
        Ok(self.entry(GLOBAL).await?.0)
    }

    async fn entry(&self, key: &str) -> Answer<(Subject, Option<u64>)> {
        match self.ledger.get(key).await? {
            None => Ok((Subject::default(), None)),
            Some(entry) => Ok((read(key, &entry.value)?, Some(entry.version))),
        }
    }

    async fn put(&self, key: &str, subject: &Subject, expected: Option<u64>) -> Answer<bool> {
        let text = serde_json::to_string(subject).map_err(|e| Error::internal("write a subject", e))?;
        Ok(self.ledger.swap(key, expected, &text).await?)
    }

    /// Changes an entry, again from the start for as long as others do.
    async fn change<T>(&self, key: &str, act: impl Fn(&mut Subject) -> Answer<T>) -> Answer<T> {
        for _ in 0..TRIES_MAX {
            let (mut subject, at) = self.entry(key).await?;
            let done = act(&mut subject)?;
            if self.put(key, &subject, at).await? {
                return Ok(done);
            }
        }
        Err(Fault::busy())
    }

    /// All subjects that have or had a version, by name.
    async fn subjects(&self, prefix: &str) -> Answer<Vec<(String, Subject)>> {
        let all = self.ledger.list(&format!("{SUBJECT}{prefix}")).await?;
        let all = all.into_iter().map(|(key, entry)| Ok((key[SUBJECT.len()..].to_owned(), read(&key, &entry.value)?)));
        let mut all = all.collect::<Answer<Vec<(String, Subject)>>>()?;
        all.retain(|(_, subject)| !subject.versions.is_empty());
        Ok(all)
    }

    async fn definition(&self, id: i32) -> Answer<Definition> {
        let found = self.ids.get(id).await?;
        Ok(found
            .ok_or_else(|| Error::data("read the registry", format!("the schema with the id {id} is missing")))?
            .definition)
    }

    async fn allows(&self, subject: &Subject) -> Answer<(Level, bool, bool)> {
        let config = subject.config.over(&self.global().await?.config);
        let is_lenient = config.compatibility_policy == Some(Policy::Lenient);
        Ok((config.compatibility_level.unwrap_or_default(), is_lenient, config.normalize.unwrap_or_default()))
    }

    async fn mode_of(&self, subject: &Subject) -> Answer<Mode> {
        match subject.mode {
            Some(mode) => Ok(mode),
            None => Ok(self.global().await?.mode.unwrap_or_default()),
        }
    }

    /// Writing needs a subject that is not read-only.
    async fn writable(&self, name: &str, subject: &Subject) -> Answer<Mode> {
        match self.mode_of(subject).await? {
            Mode::ReadOnly => Err(Fault::not_permitted(format!("the subject `{name}` is in read-only mode"))),
            mode => Ok(mode),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(key: &str, text: &str) -> Answer<T> {
    let told =
        |e| Error::data("read the registry", format!("the entry `{key}` of the ledger is not as it was written: {e}"));
    serde_json::from_str(text).map_err(told).map_err(Fault::from)
}

/// The name of a subject as it is kept. Contexts (`:.name:subject`) are not there; the default one may be written out.
pub fn subject_name(name: &str) -> Answer<String> {
    let bare = name.strip_prefix(":.:").unwrap_or(name);
    if bare.starts_with(":.") {
        return Err(Fault::new(
            42208,
            format!("the subject `{name}` is in a context, and this registry has none but the default one"),
        ));
    }
    if bare.is_empty() || bare.chars().any(char::is_control) || bare == "__GLOBAL" || bare == "__EMPTY" {
        return Err(Fault::new(42208, format!("`{name}` is no name for a subject")));
    }
    Ok(bare.to_owned())
}

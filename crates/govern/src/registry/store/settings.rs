//! What is set for a subject, or for all: which changes it allows, and who may write.

use super::{Answer, Fault, GLOBAL, Registry, SUBJECT, Subject, subject_name};
use crate::registry::change::Level;
use serde::{Deserialize, Serialize};

/// What is set; what is not comes from what is set for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility_level: Option<Level>,
    /// Whether schemas are put into their normal form before they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility_policy: Option<Policy>,
}

/// How JSON Schemas are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Policy {
    Strict,
    /// What an open object may hold beside its properties is not looked at.
    Lenient,
}

/// Who may write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    #[default]
    ReadWrite,
    ReadOnly,
    /// Schemas come with their ids and versions, from another registry; their compatibility is not checked.
    Import,
}

impl Config {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This, and for what it does not say, what the other one says.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self {
            compatibility_level: self.compatibility_level.or(other.compatibility_level),
            normalize: self.normalize.or(other.normalize),
            compatibility_policy: self.compatibility_policy.or(other.compatibility_policy),
        }
    }
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "READWRITE",
            Self::ReadOnly => "READONLY",
            Self::Import => "IMPORT",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::ReadWrite, Self::ReadOnly, Self::Import].into_iter().find(|mode| mode.name().eq_ignore_ascii_case(text))
    }
}

/// The key and the name of a subject; `None` is all of them.
fn place(subject: Option<&str>) -> Answer<(String, String)> {
    match subject {
        None | Some("__GLOBAL" | ":.:") => Ok((GLOBAL.to_owned(), String::new())),
        Some(subject) => subject_name(subject).map(|name| (format!("{SUBJECT}{name}"), name)),
    }
}

impl Registry {
    /// What is set for all, with the defaults.
    pub async fn global_config(&self) -> Answer<Config> {
        let default = Config { compatibility_level: Some(Level::default()), ..Config::default() };
        Ok(self.global().await?.config.over(&default))
    }

    /// What is set for a subject; with `with_global` also what holds for it by what is set for all.
    pub async fn config(&self, subject: &str, with_global: bool) -> Answer<Config> {
        let (key, name) = place(Some(subject))?;
        if key == GLOBAL {
            return self.global_config().await;
        }
        let own = self.entry(&key).await?.0.config;
        match (own.is_empty(), with_global) {
            (_, true) => Ok(own.over(&self.global_config().await?)),
            (false, false) => Ok(own),
            (true, false) => {
                Err(Fault::new(40408, format!("Subject '{name}' does not have subject-level compatibility configured")))
            }
        }
    }

    /// Sets what the given one says, and leaves the rest.
    pub async fn set_config(&self, subject: Option<&str>, config: Config) -> Answer<Config> {
        let (key, name) = place(subject)?;
        let _turn = self.turn.lock().await;
        self.writable(&name, &self.entry(&key).await?.0).await?;
        self.change(&key, |entry| {
            entry.config = config.over(&entry.config);
            Ok(entry.config)
        })
        .await
    }

    /// Back to what is set for all, or for all to the defaults; gives what was set.
    pub async fn unset_config(&self, subject: Option<&str>) -> Answer<Config> {
        let (key, name) = place(subject)?;
        let _turn = self.turn.lock().await;
        self.writable(&name, &self.entry(&key).await?.0).await?;
        let before = self.change(&key, |entry| Ok(std::mem::take(&mut entry.config))).await?;
        match (key == GLOBAL, before.is_empty()) {
            (false, true) => Err(Fault::subject_not_found(&name)),
            (true, _) => Ok(before.over(&self.global_config().await?)),
            (false, false) => Ok(before),
        }
    }

    pub async fn mode(&self, subject: Option<&str>, with_global: bool) -> Answer<Mode> {
        let (key, name) = place(subject)?;
        let own: Option<Mode> = self.entry(&key).await?.0.mode;
        match (own, key == GLOBAL || with_global) {
            (Some(mode), _) => Ok(mode),
            (None, true) => Ok(self.global().await?.mode.unwrap_or_default()),
            (None, false) => {
                Err(Fault::new(40409, format!("Subject '{name}' does not have subject-level mode configured")))
            }
        }
    }

    /// Schemas can be imported only where there are none, unless that is forced.
    pub async fn set_mode(&self, subject: Option<&str>, mode: Mode, force: bool) -> Answer<()> {
        let (key, name) = place(subject)?;
        let _turn = self.turn.lock().await;
        let entry: Subject = self.entry(&key).await?.0;
        if mode == Mode::Import && self.mode_of(&entry).await? != Mode::Import && !force {
            let is_taken = match key == GLOBAL {
                true => self.subjects("").await?.iter().any(|(_, subject)| subject.is_live()),
                false => entry.is_live(),
            };
            if is_taken {
                return Err(Fault::not_permitted(match name.as_str() {
                    "" => "Cannot import since found existing subjects".to_owned(),
                    name => format!("Cannot import since found existing subjects: {name}"),
                }));
            }
        }
        self.change(&key, |entry| {
            entry.mode = Some(mode);
            Ok(())
        })
        .await
    }

    /// Back to the mode of all; gives the one that was set.
    pub async fn unset_mode(&self, subject: Option<&str>) -> Answer<Mode> {
        let (key, name) = place(subject)?;
        let _turn = self.turn.lock().await;
        let before = self.change(&key, |entry| Ok(entry.mode.take())).await?;
        match (before, key == GLOBAL) {
            (Some(mode), _) => Ok(mode),
            (None, true) => Ok(Mode::default()),
            (None, false) => Err(Fault::subject_not_found(&name)),
        }
    }
}

//! The registry as the rest of the program needs it, whether it is the embedded one or another's.

use super::change::Level;
use super::schema::Definition;
use super::store::{Config, Fault, Listed, Registered, Registry, Wanted};
use async_trait::async_trait;
use kernel::error::{Error, Kind, Result};
use serde::Serialize;

/// What a registry says of a schema that is not registered yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "change")]
pub enum Verdict {
    /// There is no such subject.
    New,
    /// The subject has it.
    Same { version: i32, id: i32 },
    /// It would follow this version.
    Changed { after: i32 },
    /// It does not go with this version; why not, each reason a line.
    Incompatible { version: i32, level: String, why: Vec<String> },
}

/// A registry. Only `register` and `set_level` change anything; both may be repeated after any error.
#[async_trait]
pub trait Schemas: Send + Sync {
    /// Where it is, for people.
    fn place(&self) -> String;

    /// The last version of a subject, or the one that is asked for.
    async fn version(&self, subject: &str, version: Option<i32>) -> Result<Option<Registered>>;

    /// What would become of a schema if it were registered.
    async fn verdict(&self, subject: &str, definition: &Definition) -> Result<Verdict>;

    /// Gives the subject this schema. `Kind::Refused` when it does not go with those before.
    async fn register(&self, subject: &str, definition: &Definition) -> Result<Registered>;

    async fn list(&self) -> Result<Vec<Listed>>;

    /// Which changes a subject allows.
    async fn level(&self, subject: &str) -> Result<Level>;

    async fn set_level(&self, subject: &str, level: Level) -> Result<()>;
}

#[async_trait]
impl Schemas for Registry {
    fn place(&self) -> String {
        "the embedded registry".into()
    }

    async fn version(&self, subject: &str, version: Option<i32>) -> Result<Option<Registered>> {
        match Registry::version(self, subject, version, false).await {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.status() == 404 => Ok(None),
            Err(fault) => Err(told("read a schema", &fault)),
        }
    }

    async fn verdict(&self, subject: &str, definition: &Definition) -> Result<Verdict> {
        let what = "hold a schema against its registry";
        match self.find(subject, definition, false, false).await {
            Ok(found) => return Ok(Verdict::Same { version: found.version, id: found.id }),
            Err(fault) if fault.code == 40401 => return Ok(Verdict::New),
            Err(fault) if fault.code == 40403 => {}
            Err(fault) => return Err(told(what, &fault)),
        }
        let last = Schemas::version(self, subject, None).await?.map_or(0, |last| last.version);
        match self.hold(subject, definition, Wanted::All, false).await {
            Ok(()) => Ok(Verdict::Changed { after: last }),
            Err(Fault { incompatible: Some((version, why)), .. }) => {
                let level = self.level(subject).await?.name().to_owned();
                Ok(Verdict::Incompatible { version, level, why: why.iter().map(ToString::to_string).collect() })
            }
            Err(fault) => Err(told(what, &fault)),
        }
    }

    async fn register(&self, subject: &str, definition: &Definition) -> Result<Registered> {
        let request = super::Request { definition: definition.clone(), ..super::Request::default() };
        Registry::register(self, subject, &request)
            .await
            .map_err(|fault| told(&format!("register the schema {subject}"), &fault))
    }

    async fn list(&self) -> Result<Vec<Listed>> {
        self.overview().await.map_err(|fault| told("list the registry", &fault))
    }

    async fn level(&self, subject: &str) -> Result<Level> {
        let config = self.config(subject, true).await.map_err(|fault| told("read what a subject allows", &fault))?;
        Ok(config.compatibility_level.unwrap_or_default())
    }

    async fn set_level(&self, subject: &str, level: Level) -> Result<()> {
        let config = Config { compatibility_level: Some(level), ..Config::default() };
        let set = self.set_config(Some(subject), config).await;
        set.map(drop).map_err(|fault| told("set what a subject allows", &fault))
    }
}

/// A fault as an error of ours.
pub fn told(what: &str, fault: &Fault) -> Error {
    let kind = match (fault.code, fault.status()) {
        (_, 409) | (42205 | 42206, _) => Kind::Refused,
        (_, 401 | 403) => Kind::Refused,
        (_, 408 | 429 | 502..=504) => Kind::Unreachable,
        (50001, _) => Kind::Storage,
        (50002, _) => Kind::Conflict,
        (_, 500..) => Kind::Unreachable,
        _ => Kind::Project,
    };
    Error::new(kind, what, fault)
}

//! The schemas of a project's contracts, and the registry that they are in.

use super::Wiring;
use super::audit::LEDGER;
use crate::project::{STATE, Source};
use govern::registry::{Definition, Registered, Registry, Remote, SchemaType, Schemas, Verdict, definition};
use kernel::error::{Error, Result};
use orchestrate::SqliteLedger;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// A source's schema, and what the registry says of it.
#[derive(Serialize)]
pub struct Checked {
    pub table: String,
    pub subject: String,
    #[serde(flatten)]
    pub verdict: Verdict,
    #[serde(skip)]
    pub definition: Definition,
}

impl Wiring {
    pub fn ledger_file(&self) -> PathBuf {
        self.ask.folder.join(STATE).join(LEDGER)
    }

    /// The embedded registry, in the project's ledger.
    pub async fn embedded_registry(&self) -> Result<Registry> {
        Ok(Registry::new(Arc::new(SqliteLedger::open(self.ledger_file()).await?)))
    }

    /// The registry of the environment: the embedded one unless `lavra.yaml` names another.
    pub async fn registry(&self) -> Result<Arc<dyn Schemas>> {
        match &self.environment.registry {
            Some(url) => Ok(Arc::new(Remote::new(url)?)),
            None => Ok(Arc::new(self.embedded_registry().await?)),
        }
    }

    /// The same for who must leave no trace: none when the embedded one was never written to.
    pub async fn registry_if_any(&self) -> Result<Option<Arc<dyn Schemas>>> {
        match self.environment.registry.is_none() && !self.ledger_file().exists() {
            true => Ok(None),
            false => self.registry().await.map(Some),
        }
    }

    /// `<project>.<layer>.<table>-value`
    pub fn subject_of(&self, source: &Source) -> String {
        format!("{}.{}-value", self.project.config.project, source.table)
    }

    /// Holds the schemas of sources against the registry. Changes nothing.
    pub async fn check_schemas(&self, registry: Option<&dyn Schemas>, sources: &[&Source]) -> Result<Vec<Checked>> {
        let format = self.environment.registry_format.as_deref().and_then(SchemaType::parse).unwrap_or_default();
        let space = |source: &Source| format!("{}.{}", self.project.config.project, source.table.layer());
        let mut all = Vec::new();
        for source in sources {
            let subject = self.subject_of(source);
            let before = match registry {
                Some(registry) => registry.version(&subject, None).await?,
                None => None,
            };
            let before = before.map(|Registered { definition, .. }| definition);
            let made = definition(format, &space(source), &source.entity, &source.schema, before.as_ref())?;
            let verdict = match registry {
                Some(registry) => registry.verdict(&subject, &made).await?,
                None => Verdict::New,
            };
            all.push(Checked { table: source.table.to_string(), subject, verdict, definition: made });
        }
        Ok(all)
    }

    /// Registers the schemas of sources; none of them if one does not go with what is registered.
    pub async fn register_schemas(&self, sources: &[&Source]) -> Result<()> {
        let registry = self.registry().await?;
        let all = self.check_schemas(Some(registry.as_ref()), sources).await?;
        refuse(&all)?;
        for one in all {
            if !matches!(one.verdict, Verdict::Same { .. }) {
                registry.register(&one.subject, &one.definition).await?;
            }
        }
        Ok(())
    }
}

/// The error of what can't be registered: every subject, version, rule and place.
pub fn refuse(all: &[Checked]) -> Result<()> {
    let mut told = Vec::new();
    let mut subjects = Vec::new();
    for one in all {
        if let Verdict::Incompatible { version, level, why } = &one.verdict {
            told.push(format!("{} does not go with its version {version} ({level}): {}", one.subject, why.join("; ")));
            subjects.push(one.subject.as_str());
        }
    }
    let Some(first) = subjects.first() else { return Ok(()) };
    let remedy = format!(
        "change the contract so that readers of the old rows can follow (a new column must be optional, a type may only \
         become wider), or allow this change: `lavra registry level {first} NONE`"
    );
    let what = match subjects.len() {
        1 => "the schema of a contract is incompatible".to_owned(),
        n => format!("the schemas of {n} contracts are incompatible"),
    };
    Err(Error::refused(what, format!("{}; {remedy}", told.join("; "))))
}

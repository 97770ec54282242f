//! A schema becomes a version of a subject.

use super::ids::Kept;
use super::{Answer, Fault, Mode, Registry, SUBJECT, Subject, TRIES_MAX, Version, fault, subject_name};
use crate::registry::schema::{Definition, Parsed, Resolved};
use std::collections::HashSet;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub definition: Definition,
    pub normalize: bool,
    /// Its id, when it comes from another registry.
    pub id: Option<i32>,
    /// Its version, which must be the next one unless it comes from another registry.
    pub version: Option<i32>,
}

/// A schema under a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    pub subject: String,
    pub version: i32,
    pub id: i32,
    pub guid: String,
    pub definition: Definition,
}

/// What a schema is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// What the subject's level asks for.
    All,
    /// The last version, if there is one.
    Latest,
    Version(i32),
}

/// How far references are followed.
const DEPTH_MAX: usize = 64;

impl Registry {
    /// Gives the version that the subject has with this schema, a new one if it has none and the subject's level allows it.
    pub async fn register(&self, subject: &str, request: &Request) -> Answer<Registered> {
        let name = subject_name(subject)?;
        let _turn = self.turn.lock().await;
        for _ in 0..TRIES_MAX {
            let (mut entry, at) = self.subject(&name).await?;
            let mode = self.allowed(&name, &entry, request).await?;
            let definition = self.completed(&entry, &request.definition, mode).await?;
            let (parsed, kept) = self.read(&entry, definition, request.normalize).await?;
            let id = self.ids.find(&kept.guid).await?;
            if let (None, None, Some(id)) = (request.id, request.version, id)
                && let Some(known) = entry.live().find(|version| version.id == id)
            {
                return Ok(registered(&name, *known, kept));
            }
            if mode != Mode::Import {
                self.hold_against(&name, &entry, &parsed, Wanted::All).await?;
            }
            let version = next_version(&entry, request.version, mode)?;
            let id = match request.id {
                Some(id) => self.ids.bring(id, &kept).await.map(|()| id)?,
                None => self.ids.take(&kept).await?,
            };
            self.put_version(&name, &mut entry, Version { version, id, deleted: false }).await?;
            if self.put(&format!("{SUBJECT}{name}"), &entry, at).await? {
                self.ids.remember_holder(id, &name);
                return Ok(registered(&name, Version { version, id, deleted: false }, kept));
            }
        }
        Err(Fault::busy())
    }

    /// Holds a schema against the versions of a subject, without registering it.
    pub async fn hold(&self, subject: &str, definition: &Definition, wanted: Wanted, normalize: bool) -> Answer<()> {
        let name = subject_name(subject)?;
        let (entry, _) = self.subject(&name).await?;
        if let Wanted::Version(version) = wanted
            && !entry.live().any(|one| one.version == version)
        {
            return Err(Fault::version_not_found(version));
        }
        let (parsed, _) = self.read(&entry, definition.clone(), normalize).await?;
        self.hold_against(&name, &entry, &parsed, wanted).await
    }

    /// The same, answered as clients want it: nothing, or why it would be refused.
    pub async fn check(
        &self,
        subject: &str,
        definition: &Definition,
        wanted: Wanted,
        normalize: bool,
    ) -> Answer<Vec<String>> {
        match self.hold(subject, definition, wanted, normalize).await {
            Ok(()) => Ok(Vec::new()),
            Err(Fault { incompatible: Some((version, why)), .. }) => {
                let level = self.config(subject, true).await?.compatibility_level.unwrap_or_default();
                Ok(fault::messages(version, level.name(), &why))
            }
            Err(fault) => Err(fault),
        }
    }

    /// The version that a subject has with this schema.
    pub async fn find(
        &self,
        subject: &str,
        definition: &Definition,
        normalize: bool,
        deleted: bool,
    ) -> Answer<Registered> {
        let name = subject_name(subject)?;
        let (entry, _) = self.subject(&name).await?;
        if !entry.versions.iter().any(|version| deleted || !version.deleted) {
            return Err(Fault::subject_not_found(&name));
        }
        let plain = self.read(&entry, definition.clone(), normalize).await?.1;
        let completed = self.completed(&entry, definition, Mode::ReadWrite).await?;
        for kept in [plain, self.read(&entry, completed, normalize).await?.1] {
            let id = self.ids.find(&kept.guid).await?;
            let found = entry.versions.iter().rev().find(|one| Some(one.id) == id && (deleted || !one.deleted));
            if let Some(found) = found {
                return Ok(registered(&name, *found, kept));
            }
        }
        Err(Fault::schema_not_found())
    }

    async fn allowed(&self, name: &str, entry: &Subject, request: &Request) -> Answer<Mode> {
        let mode = self.writable(name, entry).await?;
        match (request.id, mode) {
            (Some(_), Mode::Import) | (None, Mode::ReadWrite) => Ok(mode),
            (Some(_), _) => Err(Fault::not_permitted(format!(
                "the subject `{name}` is not in import mode, so a schema can't bring its id"
            ))),
            (None, _) => Err(Fault::not_permitted(format!(
                "the subject `{name}` is in import mode, so a schema must bring its id"
            ))),
        }
    }

    /// What is not said of metadata and rules is as in the version before; so is the schema itself when only these are given.
    async fn completed(&self, entry: &Subject, definition: &Definition, mode: Mode) -> Answer<Definition> {
        let mut definition = definition.clone();
        let is_whole = definition.metadata.is_some() && definition.rule_set.is_some() && !definition.schema.is_empty();
        let Some(last) = entry.live().next_back().filter(|_| !is_whole && mode != Mode::Import) else {
            return Ok(definition);
        };
        let before = self.definition(last.id).await?;
        if definition.schema.trim().is_empty() {
            (definition.schema, definition.schema_type) = (before.schema, before.schema_type);
            definition.references = before.references;
        }
        definition.metadata = definition.metadata.or(before.metadata);
        definition.rule_set = definition.rule_set.or(before.rule_set);
        Ok(definition)
    }

    /// Reads a schema with all that it refers to.
    async fn read(&self, entry: &Subject, mut definition: Definition, normalize: bool) -> Answer<(Parsed, Kept)> {
        let normalize = normalize || self.allows(entry).await?.2;
        let resolved = self.resolved(&definition).await?;
        let parsed = Parsed::read(&definition, &resolved).map_err(Fault::invalid_schema)?;
        definition.schema = if normalize { parsed.normal() } else { parsed.kept() };
        if normalize {
            definition.references.sort();
            definition.references.dedup();
        }
        let canonical = if normalize { definition.schema.clone() } else { parsed.canonical() };
        let guid = definition.guid(&canonical);
        Ok((parsed, Kept { guid, definition }))
    }

    /// A schema that is kept, with all that it refers to.
    pub(super) async fn parsed(&self, id: i32) -> Answer<Parsed> {
        let definition = self.definition(id).await?;
        let resolved = self.resolved(&definition).await?;
        Parsed::read(&definition, &resolved).map_err(Fault::invalid_schema)
    }

    /// What a schema refers to, and what that refers to, each before whoever uses it.
    async fn resolved(&self, definition: &Definition) -> Answer<Vec<Resolved>> {
        let mut resolved: Vec<Resolved> = Vec::new();
        let mut names = HashSet::new();
        // Depth first, by hand: a schema is put down when all that it needs has been.
        let mut open: Vec<(Option<Resolved>, Vec<crate::registry::Reference>)> =
            vec![(None, definition.references.clone())];
        while let Some((_, rest)) = open.last_mut() {
            let Some(reference) = rest.pop() else {
                resolved.extend(open.pop().and_then(|(done, _)| done));
                continue;
            };
            if !names.insert(reference.name.clone()) {
                continue;
            }
            if open.len() > DEPTH_MAX {
                return Err(Fault::invalid_schema("its references lead too far"));
            }
            let definition = self.referred(&reference).await?;
            let inner = definition.references.clone();
            open.push((Some(Resolved { name: reference.name, definition }), inner));
        }
        Ok(resolved)
    }

    async fn referred(&self, reference: &crate::registry::Reference) -> Answer<Definition> {
        let (entry, _) = self.subject(&subject_name(&reference.subject)?).await?;
        let found = match reference.version {
            -1 => entry.live().next_back(),
            // What is deleted for good is gone; what is only hidden still resolves.
            version => entry.versions.iter().find(|one| one.version == version),
        };
        match found {
            Some(version) => self.definition(version.id).await,
            None => Err(Fault::invalid_schema(format!(
                "its reference `{}` is to version {} of the subject `{}`, which is not there",
                reference.name, reference.version, reference.subject
            ))),
        }
    }

    async fn hold_against(&self, name: &str, entry: &Subject, parsed: &Parsed, wanted: Wanted) -> Answer<()> {
        let (level, is_lenient, _) = self.allows(entry).await?;
        let before: Vec<&Version> = entry
            .live()
            .rev()
            .filter(|one| matches!(wanted, Wanted::All | Wanted::Latest) || wanted == Wanted::Version(one.version))
            .take(if wanted == Wanted::Latest { 1 } else { level.depth() })
            .take(level.depth())
            .collect();
        for version in before {
            let old = self.parsed(version.id).await?;
            if let Some((_, why)) = level.check(parsed, [&old], is_lenient) {
                return Err(Fault::incompatible(name, version.version, level.name(), why));
            }
        }
        Ok(())
    }

    /// A version that was hidden and comes again is not kept twice, unless somebody refers to it.
    async fn put_version(&self, name: &str, entry: &mut Subject, new: Version) -> Answer<()> {
        let hidden: Vec<Version> =
            entry.versions.iter().filter(|one| one.deleted && one.id == new.id).copied().collect();
        for old in hidden {
            if self.ids.referring(name, old.version).await?.is_empty() {
                entry.versions.retain(|one| one.version != old.version);
            }
        }
        entry.versions.retain(|one| one.version != new.version);
        entry.versions.push(new);
        entry.versions.sort_by_key(|one| one.version);
        Ok(())
    }
}

fn registered(name: &str, version: Version, kept: Kept) -> Registered {
    let (guid, definition) = (kept.guid, kept.definition);
    Registered { subject: name.to_owned(), version: version.version, id: version.id, guid, definition }
}

fn next_version(entry: &Subject, asked: Option<i32>, mode: Mode) -> Answer<i32> {
    let next = entry.versions.last().map_or(1, |last| last.version + 1);
    match asked {
        None => Ok(next),
        Some(version) if version == next || mode == Mode::Import => Ok(version),
        Some(_) => Err(Fault::invalid_schema("Version is not one more than previous version")),
    }
}

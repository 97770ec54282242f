//! What the registry knows: subjects, versions, ids.

use super::ids::Kept;
use super::{Answer, Fault, Registered, Registry, Subject, Version, subject_name};
use crate::registry::schema::{Definition, Parsed};

/// Which versions are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    #[default]
    Live,
    /// Those that are deleted but not for good, too.
    All,
    Deleted,
}

impl Which {
    fn is(self, version: &Version) -> bool {
        match self {
            Self::Live => !version.deleted,
            Self::All => true,
            Self::Deleted => version.deleted,
        }
    }
}

/// A part of a list; a limit that is not positive is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page {
    pub offset: usize,
    pub limit: i64,
}

impl Page {
    pub fn of<T>(self, list: impl IntoIterator<Item = T>) -> Vec<T> {
        let limit = usize::try_from(self.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        list.into_iter().skip(self.offset).take(limit).collect()
    }
}

/// A subject in short.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Listed {
    pub subject: String,
    /// The last version and its id.
    pub version: i32,
    pub id: i32,
    pub versions: usize,
}

impl Registry {
    pub async fn list(&self, prefix: &str, which: Which) -> Answer<Vec<String>> {
        let all = self.subjects(prefix).await?;
        let is_it = |subject: &Subject| match which {
            Which::Live => subject.is_live(),
            Which::All => true,
            Which::Deleted => !subject.is_live(),
        };
        Ok(all.into_iter().filter(|(_, subject)| is_it(subject)).map(|(name, _)| name).collect())
    }

    /// All subjects with a version, in short.
    pub async fn overview(&self) -> Answer<Vec<Listed>> {
        let all = self.subjects("").await?;
        let short = |(subject, entry): (String, Subject)| {
            let last = *entry.live().next_back()?;
            Some(Listed { subject, version: last.version, id: last.id, versions: entry.live().count() })
        };
        Ok(all.into_iter().filter_map(short).collect())
    }

    pub async fn versions(&self, subject: &str, which: Which) -> Answer<Vec<i32>> {
        let name = subject_name(subject)?;
        let (entry, _) = self.subject(&name).await?;
        let is_known = match which {
            Which::Live => entry.is_live(),
            Which::All | Which::Deleted => !entry.versions.is_empty(),
        };
        match is_known {
            true => {
                Ok(entry.versions.iter().filter(|version| which.is(version)).map(|version| version.version).collect())
            }
            false => Err(Fault::subject_not_found(&name)),
        }
    }

    /// A version of a subject; `None` is the last one.
    pub async fn version(&self, subject: &str, version: Option<i32>, deleted: bool) -> Answer<Registered> {
        let name = subject_name(subject)?;
        let (entry, _) = self.subject(&name).await?;
        let found = match version {
            None => entry.live().next_back(),
            Some(version) => entry.versions.iter().find(|one| one.version == version && (deleted || !one.deleted)),
        };
        let is_known = if deleted { !entry.versions.is_empty() } else { entry.is_live() };
        match found {
            Some(found) => self.whole(&name, *found).await,
            None if !is_known => Err(Fault::subject_not_found(&name)),
            None => Err(Fault::version_not_found(version.unwrap_or(-1))),
        }
    }

    /// The last version whose metadata has all of these properties.
    pub async fn with_metadata(&self, subject: &str, wanted: &[(String, String)], deleted: bool) -> Answer<Registered> {
        let name = subject_name(subject)?;
        let (entry, _) = self.subject(&name).await?;
        for version in entry.versions.iter().rev().filter(|one| deleted || !one.deleted) {
            let found = self.whole(&name, *version).await?;
            let of =
                |key: &str| Some(found.definition.metadata.as_ref()?.get("properties")?.get(key)?.as_str()?.to_owned());
            if found.definition.metadata.is_some() && wanted.iter().all(|(key, value)| of(key).as_ref() == Some(value))
            {
                return Ok(found);
            }
        }
        match entry.is_live() || (deleted && !entry.versions.is_empty()) {
            true => Err(Fault::schema_not_found()),
            false => Err(Fault::subject_not_found(&name)),
        }
    }

    async fn whole(&self, name: &str, version: Version) -> Answer<Registered> {
        let kept = self.ids.get(version.id).await?.ok_or_else(|| Fault::id_not_found(version.id))?;
        let (guid, definition) = (kept.guid, kept.definition);
        Ok(Registered { subject: name.to_owned(), version: version.version, id: version.id, guid, definition })
    }

    /// The schema with this id, as long as a subject has it, be it deleted but not for good.
    pub async fn schema(&self, id: i32) -> Answer<Registered> {
        let Some(kept) = self.ids.get(id).await? else { return Err(Fault::id_not_found(id)) };
        let of = |subject: String, version: i32, kept: Kept| {
            Ok(Registered { subject, version, id, guid: kept.guid, definition: kept.definition })
        };
        if let Some(name) = self.ids.holder(id)
            && let Some(found) = self.subject(&name).await?.0.versions.iter().rev().find(|version| version.id == id)
        {
            return of(name, found.version, kept);
        }
        match self.uses(id, Which::All).await?.pop() {
            Some((subject, version)) => {
                self.ids.remember_holder(id, &subject);
                of(subject, version, kept)
            }
            None => Err(Fault::id_not_found(id)),
        }
    }

    /// The same by its guid.
    pub async fn by_guid(&self, guid: &str) -> Answer<Registered> {
        match self.ids.find(guid).await? {
            Some(id) => self.schema(id).await,
            None => Err(Fault::id_not_found(guid)),
        }
    }

    /// Which versions of which subjects have this id.
    pub async fn uses(&self, id: i32, which: Which) -> Answer<Vec<(String, i32)>> {
        let mut uses = Vec::new();
        for (name, entry) in self.subjects("").await? {
            let of = entry.versions.iter().filter(|version| version.id == id && which.is(version));
            uses.extend(of.map(|version| (name.clone(), version.version)));
        }
        Ok(uses)
    }

    /// The ids of the schemas that refer to a version of a subject and that somebody has.
    pub async fn referring(&self, subject: &str, version: i32, which: Which) -> Answer<Vec<i32>> {
        let mut ids = Vec::new();
        for id in self.ids.referring(subject, version).await? {
            if !self.uses(id, which).await?.is_empty() {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// All versions of all subjects whose names begin so.
    pub async fn all(&self, prefix: &str, which: Which, latest_only: bool) -> Answer<Vec<Registered>> {
        let mut all = Vec::new();
        for (name, entry) in self.subjects(prefix).await? {
            let mut versions: Vec<&Version> = entry.versions.iter().filter(|version| which.is(version)).collect();
            if latest_only {
                versions.drain(..versions.len().saturating_sub(1));
            }
            for version in versions {
                all.push(self.whole(&name, *version).await?);
            }
        }
        Ok(all)
    }

    /// A schema's text in another form: `serialized` for the descriptor of a Protobuf schema; others are as they are kept.
    pub async fn formatted(&self, registered: &Registered, format: &str) -> Answer<Definition> {
        let mut definition = registered.definition.clone();
        if format.eq_ignore_ascii_case("serialized")
            && let Parsed::Protobuf(file) = self.parsed(registered.id).await?
        {
            definition.schema = file.serialized();
        }
        Ok(definition)
    }
}

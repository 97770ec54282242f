//! What a commit was made from, read back from the log: positions of sources, versions of inputs.
//!
//! A commit carries only the partitions that moved. Every [`FOLD_COMMITS`] commits the whole is folded into one side file
//! that the commit names; so neither a commit nor opening a table grows with the table's history.

use crate::commit::log_path;
use crate::store::Store;
use bytes::Bytes;
use kernel::error::{Error, Result};
use kernel::name::TableName;
use kernel::position::Positions;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Also how often the log is checkpointed, after which other programs may delete the commits before.
pub(crate) const FOLD_COMMITS: u64 = 10;

/// `commitInfo.lavra`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub run_id: String,
    /// The source whose positions moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// Counts this source's commits into this table, from 1.
    #[serde(default)]
    pub sequence: u64,
    #[serde(default, skip_serializing_if = "Positions::is_empty")]
    pub positions: Positions,
    /// A model's inputs with the version that it has consumed of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Input>,
    /// Hash of the model's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of a table that is kept from a change log: a change behind those of the first read was applied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_changed: bool,
    /// Columns about people, each with its classes and how they are hidden, as of this commit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exposes: Exposure,
    /// The data files this commit added, where they may have to be taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<crate::commit::OldFile>,
    /// Rows that went to the quarantine, whose positions are in this commit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub aside: u64,
    /// Names a source's commit to a quarantine: in that commit, and from then on in those of bronze that know of it, of
    /// which the first covers its rows. Empty where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside_id: Option<String>,
    /// Of a commit to a quarantine: the one before it that bronze knew of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside_after: Option<String>,
    /// Tells the keys that masked the rows from others, and nothing of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// Tells the vault that the rows' tokens, and keys of persons, are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<FoldRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
}

/// Says of a commit that nothing came in: rows of the table were written anew, fewer of them or with other values. Such a
/// commit says again all that the table was made from, so that the log before it may go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// What for, in words that whoever wrote them finds again.
    pub note: String,
    pub rows_removed: u64,
    /// Each file that went, with those that took its place.
    pub files: BTreeMap<String, Vec<String>>,
}

/// A table's identity and version: a table that was made anew has another id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub id: String,
    pub version: u64,
}

/// Columns about people: `personal.cpf: pseudonym(person)` for each.
pub type Exposure = BTreeMap<String, Vec<String>>;

/// Where the last fold is, and up to which version it reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoldRef {
    pub version: u64,
    pub file: String,
}

/// Progress of every source into one table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub sources: BTreeMap<String, SourceProgress>,
    #[serde(skip)]
    pub fold: Option<FoldRef>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SourceProgress {
    pub sequence: u64,
    pub positions: Positions,
    /// The version of the last commit of this source.
    pub version: u64,
    #[serde(default)]
    pub added: Vec<crate::commit::OldFile>,
    /// Rows that all its commits set aside.
    #[serde(default)]
    pub aside: u64,
    #[serde(default)]
    pub aside_id: Option<String>,
    #[serde(default)]
    pub aside_after: Option<String>,
    #[serde(default)]
    pub keys: Option<String>,
    #[serde(default)]
    pub vault: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The origin of one commit; `None` when another program made it, an error when the log file is gone or says what can't be
/// read: positions that are passed over in silence would bring their rows again.
pub(crate) async fn of_version(store: &Store, name: &TableName, version: u64) -> Result<Option<Origin>> {
    let path = log_path(store, name, version);
    let body = store.get(&path).await?.ok_or_else(|| {
        Error::data(
            format!("read the progress of {name}"),
            format!("{path} is gone, so what was taken in can't be known; restore it, or move the table's folder away and load again"),
        )
    })?;
    let text = std::str::from_utf8(&body).map_err(|e| Error::data(format!("read {path}"), e))?;
    for line in text.lines().filter(|line| line.contains("\"commitInfo\"")) {
        let action: Value = serde_json::from_str(line).map_err(|e| Error::data(format!("read {path}"), &e))?;
        if let Some(origin) = action.pointer("/commitInfo/lavra").filter(|origin| !origin.is_null()) {
            return serde_json::from_value(origin.clone()).map(Some).map_err(|e| unreadable(name, &path, &action, &e));
        }
    }
    Ok(None)
}

fn unreadable(name: &TableName, path: &Path, action: &Value, why: &serde_json::Error) -> Error {
    let by = action.pointer("/commitInfo/engineInfo").and_then(Value::as_str).unwrap_or("another program");
    Error::data(
        format!("read the progress of {name}"),
        format!(
            "{path}, which {by} wrote, can't be read by this version ({why}), so what was taken in can't be known; go on with the version that wrote it, or a newer one"
        ),
    )
}

/// What the commits that are still in the log say of the columns about people, each once.
pub async fn exposures(store: &Store, name: &TableName) -> Result<BTreeSet<Exposure>> {
    let mut all = BTreeSet::new();
    for file in store.names(&store.path(name, "_delta_log")).await? {
        let Some(version) = file.strip_suffix(".json").and_then(|version| version.parse().ok()) else { continue };
        all.extend(of_version(store, name, version).await?.map(|origin| origin.exposes));
    }
    Ok(all)
}

/// The origin for a rewrite behind `latest`: what the table was made from, all of it.
pub(crate) async fn carried(store: &Store, name: &TableName, latest: u64) -> Result<Origin> {
    let mut carried = Origin::default();
    for version in (0..=latest).rev() {
        let Some(last) = of_version(store, name, version).await? else { continue };
        if last.model.is_some() || last.source.is_some() || last.rewrite.is_some() {
            let Origin { inputs, model, has_changed, exposes, .. } = last;
            carried = Origin { inputs, model, has_changed, exposes, ..carried };
            break;
        }
    }
    if carried.model.is_none() {
        carried.fold = Some(progress(store, name, latest).await?.fold(store, name, latest).await?);
    }
    Ok(carried)
}

/// Reads how far every source is, as of `latest`: the last fold and the commits behind it.
pub(crate) async fn progress(store: &Store, name: &TableName, latest: u64) -> Result<Progress> {
    let mut behind = Vec::new();
    let mut progress = Progress::default();
    let mut version = latest;
    loop {
        if let Some(fold) = &progress.fold
            && version <= fold.version
        {
            break;
        }
        if let Some(origin) = of_version(store, name, version).await? {
            if progress.fold.is_none()
                && let Some(fold) = origin.fold.clone()
            {
                progress.sources = read_fold(store, name, &fold).await?.sources;
                progress.fold = Some(fold);
            }
            behind.push((version, origin));
        }
        if version == 0 {
            break;
        }
        version -= 1;
    }
    for (version, origin) in behind.into_iter().rev() {
        progress.take(version, origin);
    }
    Ok(progress)
}

impl SourceProgress {
    /// Whether the last commit to a quarantine has no commit of bronze that covers its rows, where bronze knows of `known`.
    pub fn is_uncovered(&self, known: &str) -> bool {
        self.aside_after.as_deref() == Some(known) && self.aside_id.as_deref() != Some(known)
    }
}

impl Progress {
    fn take(&mut self, version: u64, origin: Origin) {
        let Some(source) = origin.source else { return };
        if self.fold.as_ref().is_some_and(|fold| version <= fold.version) {
            return;
        }
        let own = self.sources.entry(source).or_default();
        own.positions.advance(&origin.positions);
        own.sequence = origin.sequence;
        own.added = origin.added;
        own.aside += origin.aside;
        own.aside_id = origin.aside_id.or(own.aside_id.take());
        own.aside_after = origin.aside_after;
        own.keys = origin.keys.or(own.keys.take());
        own.vault = origin.vault.or(own.vault.take());
        own.version = version;
    }

    pub fn of(&self, source: &str) -> SourceProgress {
        self.sources.get(source).cloned().unwrap_or_default()
    }

    /// Folds in the commit that a checkpoint follows: commits before it may be gone from then on. The file is durable before the commit that names it; one that no commit
    /// names is forgotten.
    pub async fn fold_if_due(&self, store: &Store, name: &TableName, latest: u64) -> Result<Option<FoldRef>> {
        let last = self.fold.as_ref().map_or(0, |fold| fold.version + 1);
        if (latest + 1) / FOLD_COMMITS <= last / FOLD_COMMITS {
            return Ok(self.fold.clone());
        }
        self.fold(store, name, latest).await.map(Some)
    }

    /// Folds in all commits up to `latest`, whether it is due or not.
    async fn fold(&self, store: &Store, name: &TableName, latest: u64) -> Result<FoldRef> {
        let file = format!("_lavra/positions-{latest:020}-{}.json", uuid::Uuid::new_v4());
        let body = serde_json::to_vec(self).map_err(|e| Error::internal("fold positions", &e))?;
        store.put_new(&store.path(name, &file), Bytes::from(body)).await?;
        Ok(FoldRef { version: latest, file })
    }
}

async fn read_fold(store: &Store, name: &TableName, fold: &FoldRef) -> Result<Progress> {
    let path = store.path(name, &fold.file);
    let body = store.get(&path).await?.ok_or_else(|| {
        Error::data(format!("read the progress of {name}"), format!("{path}, which the log names, is gone"))
    })?;
    serde_json::from_slice(&body).map_err(|e| Error::data(format!("read {path}"), &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::error::Kind;
    use serde_json::json;
    use std::collections::HashMap;

    #[tokio::test]
    async fn a_commit_of_ours_that_cant_be_read_is_no_other_programs() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().to_string_lossy(), &HashMap::new()).expect("a lake");
        let name = TableName::parse("bronze.t").expect("a name");
        let others = [json!({ "commitInfo": { "engineInfo": "another" } }), json!({ "commitInfo": { "lavra": null } })];
        let ours = json!({ "run_id": "r", "source": "s", "sequence": 1, "positions": { "p": { "moon": 1 } } });
        let newer = json!({ "commitInfo": { "engineInfo": "lavra/9.0.0", "lavra": ours } });
        for (version, action) in (0..).zip(others.into_iter().chain([newer])) {
            let place = log_path(&store, &name, version);
            assert!(store.put_new(&place, Bytes::from(action.to_string())).await.expect("a put"));
        }
        assert!(progress(&store, &name, 1).await.expect("nothing of ours").sources.is_empty());
        let error = progress(&store, &name, 2).await.expect_err("what was taken in is not known");
        assert!(error.kind == Kind::Data && error.detail.contains("lavra/9.0.0"), "{error}");
    }
}

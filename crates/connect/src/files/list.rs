//! Which files the patterns name now.

use super::place::{Place, failed};
use kernel::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A file as it was listed.
#[derive(Clone)]
pub struct Found {
    /// The name its position is kept under: relative to the project, or absolute, or a URL.
    pub partition: String,
    pub place: Arc<Place>,
    pub location: Path,
    pub bytes: u64,
    pub etag: String,
    /// Microseconds since the epoch.
    pub modified: i64,
}

impl Found {
    pub fn new(place: &Arc<Place>, meta: ObjectMeta) -> Self {
        Self {
            partition: place.partition(&meta.location),
            place: place.clone(),
            bytes: meta.size,
            etag: etag(&meta),
            modified: meta.last_modified.timestamp_micros(),
            location: meta.location,
        }
    }
}

/// The store's etag, or what comes nearest where a store has none. Azure lists it without the quotes that it has elsewhere.
pub fn etag(meta: &ObjectMeta) -> String {
    match &meta.e_tag {
        Some(etag) => unquoted(etag).to_owned(),
        None => format!("{:x}-{:x}", meta.last_modified.timestamp_micros(), meta.size),
    }
}

pub fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag)
}

/// All files of the places, in the order of their names, each once.
pub async fn list(places: &[Arc<Place>]) -> Result<VecDeque<Found>> {
    let mut all = BTreeMap::new();
    for place in places {
        for meta in expand(place).await? {
            let found = Found::new(place, meta);
            all.insert(found.partition.clone(), found);
        }
    }
    Ok(all.into_values().collect())
}

async fn expand(place: &Place) -> Result<Vec<ObjectMeta>> {
    let found = match place.pattern.as_slice() {
        [] => return literal(place).await,
        pattern if pattern.iter().any(|segment| segment == "**") => below(place, &pattern.join("/")).await?,
        pattern => by_level(place, pattern).await?,
    };
    if found.is_empty() {
        place.exists().await?;
    }
    Ok(found)
}

/// A path without a wildcard is one file, hidden or not, or a folder: then all below it.
async fn literal(place: &Place) -> Result<Vec<ObjectMeta>> {
    match place.store.head(&place.fixed).await {
        Ok(meta) => return Ok(vec![meta]),
        Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(failed(&place.shown, error, place.local)),
    }
    let found = below(place, "**/*").await?;
    if found.is_empty() && !place.is_folder().await {
        return Err(Error::project(&place.shown, "there is no such file or folder"));
    }
    Ok(found)
}

/// Lists everything below the fixed part once and keeps what the pattern matches.
async fn below(place: &Place, pattern: &str) -> Result<Vec<ObjectMeta>> {
    use futures::TryStreamExt;
    let pattern = compile(pattern)?;
    let depth = place.fixed.parts().count();
    let all: Vec<ObjectMeta> =
        place.store.list(Some(&place.fixed)).try_collect().await.map_err(|e| failed(&place.shown, e, place.local))?;
    let keep = |meta: &ObjectMeta| {
        let names: Vec<String> = meta.location.parts().skip(depth).map(|part| part.as_ref().to_owned()).collect();
        !names.iter().any(|name| is_hidden(name)) && pattern.matches_with(&names.join("/"), MATCH)
    };
    Ok(all.into_iter().filter(keep).collect())
}

/// Goes down folder by folder, so that nothing beside the pattern is listed.
async fn by_level(place: &Place, pattern: &[String]) -> Result<Vec<ObjectMeta>> {
    let mut open = vec![(place.fixed.clone(), pattern)];
    let mut found = Vec::new();
    while let Some((folder, pattern)) = open.pop() {
        let Some((segment, rest)) = pattern.split_first() else { continue };
        let names = compile(segment)?;
        let matches =
            |path: &Path| path.filename().is_some_and(|name| !is_hidden(name) && names.matches_with(name, MATCH));
        let listed =
            place.store.list_with_delimiter(Some(&folder)).await.map_err(|e| failed(&place.shown, e, place.local))?;
        if rest.is_empty() {
            found.extend(listed.objects.into_iter().filter(|meta| matches(&meta.location)));
        } else {
            open.extend(listed.common_prefixes.into_iter().filter(|p| matches(p)).map(|p| (p, rest)));
        }
    }
    Ok(found)
}

const MATCH: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

fn compile(pattern: &str) -> Result<glob::Pattern> {
    glob::Pattern::new(pattern).map_err(|e| Error::project(format!("pattern `{pattern}`"), e))
}

/// What is wrong with a path as written, if anything.
pub fn check_pattern(path: &str) -> Result<(), String> {
    if path.trim().is_empty() {
        return Err("an empty path names no file".into());
    }
    if let Some((scheme, _)) = path.split_once("://")
        && !super::place::SCHEMES.contains(&scheme)
    {
        return Err(format!("`{scheme}://` is not a store; it can be {}", super::place::SCHEMES.join(", ")));
    }
    glob::Pattern::new(path).map(|_| ()).map_err(|e| format!("pattern `{path}`: {e}"))
}

/// Names that programs give to files which are not, or not yet, data.
fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_']) || [".tmp", ".part", ".crdownload"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path as FsPath;

    async fn names(base: &FsPath, pattern: &str) -> Result<Vec<String>> {
        let place = Arc::new(Place::new(pattern, base, &BTreeMap::new())?);
        Ok(list(&[place]).await?.into_iter().map(|found| found.partition).collect())
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["data/b.csv", "data/a.csv", "data/.c.csv", "data/d.csv.tmp", "data/2026/e.csv", "data/_old/f.csv"]
        {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, "x").expect("a file");
        }
        std::fs::write(folder.path().join("data/é #1%20 [x].csv"), "x").expect("a file");
        folder
    }

    #[tokio::test]
    async fn patterns_name_files_in_order_and_skip_unfinished_ones() {
        let folder = folder();
        let odd = "data/é #1%20 [x].csv";
        assert_eq!(names(folder.path(), "data/*.csv").await.expect("a list"), ["data/a.csv", "data/b.csv", odd]);
        assert_eq!(names(folder.path(), "./data/20*/*.csv").await.expect("a list"), ["data/2026/e.csv"]);
        let all = ["data/2026/e.csv", "data/a.csv", "data/b.csv", odd];
        assert_eq!(names(folder.path(), "data/**/*.csv").await.expect("a list"), all);
        assert_eq!(names(folder.path(), "data").await.expect("a list"), all);
        assert_eq!(names(folder.path(), "data/.c.csv").await.expect("a list"), ["data/.c.csv"]);
        assert_eq!(names(folder.path(), "data/*.json").await.expect("a list"), [""; 0]);
    }

    #[tokio::test]
    async fn a_folder_outside_the_project_keeps_its_whole_path() {
        let folder = folder();
        let pattern = folder.path().join("data/2026/*");
        let base = tempfile::tempdir().expect("a folder");
        let expected = folder.path().join("data/2026/e.csv").display().to_string();
        assert_eq!(names(base.path(), pattern.to_str().expect("text")).await.expect("a list"), [expected]);
    }

    #[tokio::test]
    async fn a_path_that_is_nowhere_is_an_error_of_the_project() {
        let folder = folder();
        for nowhere in ["dta/*.csv", "data/z.csv", "dta/**/*.csv"] {
            let error = names(folder.path(), nowhere).await.expect_err(nowhere);
            assert_eq!(error.kind, kernel::Kind::Project, "{error}");
        }
        assert!(
            check_pattern("ftp://host/x").is_err() && check_pattern(" ").is_err() && check_pattern("a***").is_err()
        );
    }
}

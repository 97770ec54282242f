//! Where a pattern starts: a store, the fixed part of the path and the part with wildcards.

use kernel::error::redacted;
use kernel::{Error, Kind, Result};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreScheme};
use std::collections::BTreeMap;
use std::path::{Component, Path as FsPath, PathBuf};
use std::sync::Arc;
use url::Url;

/// What may stand before `://` in a path.
pub const SCHEMES: [&str; 10] = ["s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "https", "file"];

/// A pattern, taken apart.
pub struct Place {
    pub store: Arc<dyn ObjectStore>,
    pub local: bool,
    /// What is put before a location to make a partition's name.
    prefix: String,
    /// The project's folder, which local names are relative to.
    base: String,
    /// Up to the first name with a wildcard.
    pub fixed: Path,
    /// The names from there on.
    pub pattern: Vec<String>,
    /// As the user wrote it.
    pub shown: String,
}

impl Place {
    /// Opens no connection. `settings` are an object store's, by `object_store`'s names.
    pub fn new(written: &str, base: &FsPath, settings: &BTreeMap<String, String>) -> Result<Self> {
        match written.split_once("://") {
            Some(("file", path)) => Self::local(written, path, base),
            Some(_) => Self::remote(written, settings),
            None => Self::local(written, written, base),
        }
    }

    fn local(written: &str, path: &str, base: &FsPath) -> Result<Self> {
        let base = clean(base).map_err(|e| kernel::error::io(written, e))?;
        let whole = clean(&base.join(path)).map_err(|e| kernel::error::io(written, e))?;
        let (Some(base), Some(whole)) = (base.to_str(), whole.to_str()) else {
            return Err(Error::project(written, "the path is not UTF-8"));
        };
        let (fixed, pattern) = split(whole);
        Ok(Self {
            store: Arc::new(LocalFileSystem::new()),
            local: true,
            prefix: "/".into(),
            base: format!("{}/", base.trim_end_matches('/')),
            fixed: parse(written, &fixed)?,
            pattern,
            shown: written.to_owned(),
        })
    }

    fn remote(written: &str, settings: &BTreeMap<String, String>) -> Result<Self> {
        let wrong = |detail: &dyn std::fmt::Display| Error::project(redacted(written), detail);
        let (root, path) = split_url(written).ok_or_else(|| wrong(&"the URL names no bucket"))?;
        let url = Url::parse(&root).map_err(|e| wrong(&e))?;
        ObjectStoreScheme::parse(&url).map_err(|e| wrong(&e))?;
        let (store, _) = object_store::parse_url_opts(&url, settings.clone()).map_err(|e| {
            let what = e.to_string();
            let missing = what.contains("not enabled");
            if missing { wrong(&"this build has no client for that store") } else { wrong(&what) }
        })?;
        let (fixed, pattern) = split(&path);
        Ok(Self {
            store: Arc::from(store),
            local: false,
            // A partition's name is kept in the lake.
            prefix: format!("{}/", redacted(root.trim_end_matches('/'))),
            base: String::new(),
            fixed: parse(&redacted(written), &fixed)?,
            pattern,
            shown: redacted(written),
        })
    }

    /// A store of a test, in the place of a bucket.
    #[cfg(test)]
    pub fn of_store(store: Arc<dyn ObjectStore>, pattern: &str) -> Self {
        let (fixed, pattern) = split(pattern);
        let (prefix, base, shown) = ("mem://test/".into(), String::new(), "mem://test".into());
        Self { store, local: false, prefix, base, fixed: Path::from(fixed), pattern, shown }
    }

    /// The name under which a file's position is kept.
    pub fn partition(&self, location: &Path) -> String {
        let whole = format!("{}{location}", self.prefix);
        match whole.strip_prefix(&self.base) {
            Some(relative) if self.local => relative.to_owned(),
            _ => whole,
        }
    }

    /// Whether the fixed part is a folder; an object store has none.
    pub async fn is_folder(&self) -> bool {
        let path = format!("/{}", self.fixed);
        self.local && tokio::fs::metadata(path).await.is_ok_and(|meta| meta.is_dir())
    }

    /// A pattern that matches nothing may be early; one whose folder is nowhere is a slip.
    pub async fn exists(&self) -> Result<()> {
        if !self.local || self.is_folder().await {
            return Ok(());
        }
        Err(Error::project(&self.shown, format!("there is no folder `/{}`", self.fixed)))
    }
}

fn parse(written: &str, path: &str) -> Result<Path> {
    Path::parse(path).map_err(|e| Error::project(written, e))
}

/// Absolute, without `.` and `..`; links are left as they are.
fn clean(path: &FsPath) -> std::io::Result<PathBuf> {
    let mut whole = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => {
                whole.pop();
            }
            Component::CurDir => {}
            part => whole.push(part),
        }
    }
    Ok(whole)
}

/// `s3://bucket` and `a/b/*.csv`. With `https://` the bucket is the path's first name.
fn split_url(written: &str) -> Option<(String, String)> {
    let (scheme, rest) = written.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() {
        return None;
    }
    if scheme != "https" {
        return Some((format!("{scheme}://{host}"), path.to_owned()));
    }
    let (bucket, path) = path.split_once('/').unwrap_or((path, ""));
    (!bucket.is_empty()).then(|| (format!("{scheme}://{host}/{bucket}"), path.to_owned()))
}

/// The names before the first wildcard, and the rest.
fn split(path: &str) -> (String, Vec<String>) {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let wild = names.iter().position(|name| name.contains(['*', '?', '['])).unwrap_or(names.len());
    (names[..wild].join("/"), names[wild..].iter().map(|name| (*name).to_owned()).collect())
}

/// An error of a store in our words.
pub fn failed(what: &str, error: object_store::Error, local: bool) -> Error {
    use object_store::Error as E;
    let text = without_secrets(&error.to_string());
    let (kind, detail) = match &error {
        E::NotFound { .. } => (Kind::Data, "the file is gone".to_owned()),
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => (Kind::Storage, text),
        E::Precondition { .. } => (Kind::Data, "the file changed while it was being read".to_owned()),
        // No bucket of that name: trying again is of no use.
        E::Generic { .. } if text.contains("status code: 404") => (Kind::Project, text),
        _ if local => (Kind::Storage, text),
        _ => (Kind::Unreachable, text),
    };
    Error::new(kind, format!("read {}", redacted(what)), detail).because(error)
}

/// A store's text with its URLs as they may be shown: a query can hold a signature.
fn without_secrets(text: &str) -> String {
    let shown = |word: &str| {
        let url = word.trim_end();
        redacted(url) + &word[url.len()..]
    };
    text.split_inclusive(char::is_whitespace).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_bucket_and_a_pattern() {
        assert_eq!(split_url("s3://b/a/*.csv"), Some(("s3://b".into(), "a/*.csv".into())));
        assert_eq!(
            split_url("https://x.blob.core.windows.net/c/a/b"),
            Some(("https://x.blob.core.windows.net/c".into(), "a/b".into()))
        );
        assert_eq!(split_url("s3:///a"), None);
        assert_eq!(split("/a/b/c-*/d.csv"), ("a/b".into(), vec!["c-*".into(), "d.csv".into()]));
    }
}

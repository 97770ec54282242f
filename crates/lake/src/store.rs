//! Where the lake's bytes are: a folder or a bucket, and the one act on which all else rests, a put that never replaces.

use bytes::Bytes;
use futures::StreamExt;
use kernel::clock::Timestamp;
use kernel::error::{Error, Kind, Result, redacted};
use kernel::name::{LAYERS, TableName};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

#[cfg(test)]
pub(crate) mod tests;

/// The lake's place.
#[derive(Clone)]
pub struct Store {
    /// The lake's root; ends with `/`.
    url: Url,
    /// The whole file system or bucket.
    objects: Arc<dyn ObjectStore>,
    /// The lake's root within `objects`.
    prefix: Path,
    is_local: bool,
}

impl Store {
    /// Opens a local folder (made if absent) or an object store's URL with the store's own options.
    pub fn open(place: &str, options: &HashMap<String, String>) -> Result<Self> {
        let what = || format!("open the lake at {}", redacted(place));
        let url = match Url::parse(place) {
            Ok(url) if url.scheme().len() > 1 => url,
            _ => {
                fs::create_dir_all(place).map_err(|e| kernel::error::io(what(), e))?;
                let folder = fs::canonicalize(place).map_err(|e| kernel::error::io(what(), e))?;
                Url::from_directory_path(folder).map_err(|()| Error::project(what(), "not an absolute folder"))?
            }
        };
        let mut url = url;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        know_scheme(&url);
        let (objects, prefix) =
            object_store::parse_url_opts(&url, options).map_err(|e| Error::project(what(), &e).because(e))?;
        Ok(Self { is_local: url.scheme() == "file", url, objects: Arc::from(objects), prefix })
    }

    pub fn table_url(&self, name: &TableName) -> Result<Url> {
        self.url
            .join(&format!("{}/{}/", name.layer(), name.table()))
            .map_err(|e| Error::internal(format!("place of {name}"), e))
    }

    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        self.objects.clone()
    }

    /// The lake's folder, when it is local.
    pub fn folder(&self) -> Option<PathBuf> {
        self.is_local.then(|| self.url.to_file_path().ok()).flatten()
    }

    /// A path below a table's folder.
    pub fn path(&self, name: &TableName, inner: &str) -> Path {
        let mut path = self.prefix.clone().join(name.layer()).join(name.table());
        for part in inner.split('/').filter(|part| !part.is_empty()) {
            path = path.join(part);
        }
        path
    }

    /// A path in the lake's own folder, which is no table's.
    pub fn own_path(&self, inner: &str) -> Path {
        let parts = inner.split('/').filter(|part| !part.is_empty());
        parts.fold(self.prefix.clone().join("_lavra"), |path, part| path.join(part))
    }

    /// The names of the objects right in a folder; those still being written have none.
    pub async fn names(&self, folder: &Path) -> Result<Vec<String>> {
        let listed = self.objects.list_with_delimiter(Some(folder)).await;
        let listed = listed.map_err(|e| failed(format!("list {folder}"), e))?;
        let names = listed.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned));
        Ok(names.filter(|name| !name.starts_with('.')).collect())
    }

    /// The tables that have a log.
    pub async fn tables(&self) -> Result<Vec<TableName>> {
        let mut names = Vec::new();
        for layer in LAYERS {
            let folder = self.prefix.clone().join(layer);
            let listed = self.objects.list_with_delimiter(Some(&folder)).await;
            let listed = listed.map_err(|e| failed(format!("list the lake's {layer} tables"), e))?;
            let tables = listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned));
            names.extend(tables.filter_map(|table| TableName::new(layer, &table).ok()));
        }
        Ok(names)
    }

    /// Whether a table is there. What a run left aside when it died before the first commit makes no table.
    pub async fn has_log(&self, name: &TableName) -> Result<bool> {
        let folder = self.path(name, "_delta_log");
        let mut found = self.objects.list(Some(&folder));
        while let Some(object) = found.next().await {
            let object = object.map_err(|e| failed(format!("look for {name}"), e))?;
            if object.location.filename().is_some_and(is_of_a_version) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        let what = || format!("read {path}");
        match self.objects.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(|e| failed(what(), e))?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed(what(), e)),
        }
    }

    /// Puts a new object; `false` when there is another one of that name. Durable when it returns. After an error it may be
    /// there or not.
    ///
    /// "It exists" can be the answer to a put of our own: clients of object stores, and of NFS, send a request again whose
    /// answer was lost. So what is there is looked at, and the same bytes are ours. Whoever must know which of two came
    /// first puts something into the bytes that nobody else does.
    pub async fn put_new(&self, path: &Path, bytes: Bytes) -> Result<bool> {
        let what = || format!("write {path}");
        if let Some(file) = self.local(path) {
            return put_new_file(&file, &bytes).map_err(|e| kernel::error::io(what(), e));
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.objects.put_opts(path, bytes.clone().into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                let found = self.get(path).await.map_err(|e| {
                    let why = "the store has one of that name, and whether it is this one could not be read";
                    Error { what: what(), detail: format!("{why}: {}", e.detail), ..e }
                })?;
                // Nothing is there while S3 refuses one of two that come at once (409).
                Ok(found.is_some_and(|found| found == bytes))
            }
            Err(e) => Err(failed(what(), e)),
        }
    }

    /// Makes written objects durable: a commit must never outlive, over a power cut, the data that it names.
    pub async fn sync(&self, paths: &[Path]) -> Result<()> {
        let files: Vec<PathBuf> = paths.iter().filter_map(|path| self.local(path)).collect();
        if files.is_empty() {
            return Ok(());
        }
        let work = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
            for file in &files {
                File::open(file)?.sync_all()?;
                sync_folder(file)?;
            }
            Ok(())
        });
        let done = work.await.map_err(|e| Error::internal("sync files", &e))?;
        done.map_err(|e| kernel::error::io("sync files", e))
    }

    /// What the lake keeps in a folder beside its tables, by name.
    pub async fn notes(&self, folder: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let place = self.note(folder, None);
        let listed = self.objects.list_with_delimiter(Some(&place)).await;
        let mut notes = BTreeMap::new();
        for object in listed.map_err(|e| failed(format!("list {place}"), e))?.objects {
            if let Some(name) = object.location.filename().filter(|name| !name.starts_with('.'))
                && let Some(body) = self.get(&object.location).await?
            {
                notes.insert(name.to_owned(), body.to_vec());
            }
        }
        Ok(notes)
    }

    /// Puts a new note; `false` when there is one of that name. Durable when it returns.
    pub async fn put_note(&self, folder: &str, name: &str, body: Vec<u8>) -> Result<bool> {
        self.put_new(&self.note(folder, Some(name)), Bytes::from(body)).await
    }

    /// Puts a note, looks at it and takes it away: that the lake can be written, and what time it is there.
    pub async fn write_and_look(&self, name: &str) -> Result<Timestamp> {
        let place = self.note("doctor", Some(name));
        self.put_new(&place, Bytes::from_static(b"ok")).await?;
        let found = self.objects.head(&place).await.map_err(|e| failed(format!("look at {place}"), e));
        self.delete(&place).await?;
        Ok(Timestamp(found?.last_modified.timestamp_micros()))
    }

    pub async fn delete_note(&self, folder: &str, name: &str) -> Result<()> {
        self.delete(&self.note(folder, Some(name))).await
    }

    fn note(&self, folder: &str, name: Option<&str>) -> Path {
        let place = self.prefix.clone().join("_lavra").join(folder);
        match name {
            Some(name) => place.join(name),
            None => place,
        }
    }

    pub async fn delete(&self, path: &Path) -> Result<()> {
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(failed(format!("delete {path}"), e)),
        }
    }

    fn local(&self, path: &Path) -> Option<PathBuf> {
        self.is_local.then(|| PathBuf::from(format!("/{path}")))
    }
}

/// delta-rs opens tables only under schemes that it was told of. Commits are ours, so its plain log reader does for all.
fn know_scheme(url: &Url) {
    let factories = deltalake_core::logstore::logstore_factories();
    let known = Url::parse("file://").ok().and_then(|file| factories.get(&file).map(|found| found.value().clone()));
    if let (Some(plain), Ok(scheme)) = (known, Url::parse(&format!("{}://", url.scheme())))
        && !factories.contains_key(&scheme)
    {
        factories.insert(scheme, plain);
    }
}

/// Whether a file of a log is a commit or a checkpoint: both begin with their version, in twenty digits.
fn is_of_a_version(file: &str) -> bool {
    file.get(..20).is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit()))
}

/// Writes aside, syncs, and links under the final name: the name appears whole or not at all, and only once. `false` when
/// there is another file of that name.
fn put_new_file(file: &std::path::Path, bytes: &[u8]) -> std::io::Result<bool> {
    let folder = file.parent().unwrap_or(std::path::Path::new("/"));
    fs::create_dir_all(folder)?;
    let aside = folder.join(format!(".{}.tmp", uuid::Uuid::new_v4()));
    let written = (|| {
        let mut out = File::create(&aside)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        match fs::hard_link(&aside, file) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => holds(file, bytes),
            Err(e) => Err(e),
        }
    })();
    let removed = fs::remove_file(&aside);
    let put = written?;
    removed?;
    sync_folder(file)?;
    Ok(put)
}

fn holds(file: &std::path::Path, bytes: &[u8]) -> std::io::Result<bool> {
    match fs::read(file) {
        Ok(found) => Ok(found == bytes),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn sync_folder(file: &std::path::Path) -> std::io::Result<()> {
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// An object store's error is the store's; the network's is somebody else's.
pub(crate) fn failed(what: impl Into<String>, error: object_store::Error) -> Error {
    told(what, &error.to_string()).because(error)
}

/// The same of an error that is known by its text alone.
pub(crate) fn told(what: impl Into<String>, text: &str) -> Error {
    let text = without_secrets(text);
    let is_network = ["error sending request", "dns error", "connection", "timed out"].iter().any(|m| text.contains(m));
    let kind = if is_network { Kind::Unreachable } else { Kind::Storage };
    Error::new(kind, what, text)
}

/// A store's text with its URLs as they may be shown: a query can hold a signature.
fn without_secrets(text: &str) -> String {
    let shown = |word: &str| {
        let url = word.trim_end();
        redacted(url) + &word[url.len()..]
    };
    text.split_inclusive(char::is_whitespace).map(shown).collect()
}

//! The project's keys, opened when something asks for one, and the public keys that stand in `lavra.yaml`.

use kernel::error::{Error, Result};
use kernel::keys::{Key, KeyProvider};
use privacy::keys::KeyFile;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

pub struct ProjectKeys {
    file: PathBuf,
    /// The lake's folder, when it is a local one.
    lake: Option<PathBuf>,
    published: BTreeMap<String, String>,
    opened: OnceLock<KeyFile>,
}

impl ProjectKeys {
    pub fn new(file: PathBuf, lake: Option<PathBuf>, published: BTreeMap<String, String>) -> Self {
        Self { file, lake, published, opened: OnceLock::new() }
    }

    /// Opens the file, so that a wrong one is told at once; a project without it goes on as long as no mask asks for a key.
    pub fn open(&self) -> Result<()> {
        match self.file.exists() || self.file.is_symlink() {
            true => self.opened().map(drop),
            false => Ok(()),
        }
    }

    fn opened(&self) -> Result<&KeyFile> {
        match self.opened.get() {
            Some(opened) => Ok(opened),
            None => {
                let opened = KeyFile::open(&self.file, self.lake.as_deref())?;
                Ok(self.opened.get_or_init(|| opened))
            }
        }
    }
}

impl KeyProvider for ProjectKeys {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
        if self.file.exists() || self.file.is_symlink() {
            return self.opened()?.key(scope, version);
        }
        let detail = format!(
            "there is no key file {}; it is never shared with the project, so copy it from where the project was made, or \
             let `lavra init .` make a new one, by which everybody gets another pseudonym than before",
            self.file.display()
        );
        Err(Error::project(format!("take the key of scope `{scope}`"), detail))
    }

    fn published(&self, scope: &str) -> Option<String> {
        self.published.get(scope).cloned()
    }
}

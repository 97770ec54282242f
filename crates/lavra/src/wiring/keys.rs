//! The project's keys: a key file, or a keyring that a key system wraps, and which version the tables carry.

use super::{KEY_FILE, Wiring, place};
use async_trait::async_trait;
use kernel::error::{Error, Kind, Result};
use kernel::keys::{Key, KeyProvider, KeyStore};
use lake::Store;
use privacy::keys::{self, Carried, KeyFile, Keyring, Pinned, Place, Version};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The folder beside the tables where wrapped keys are, and what the tables carry.
const FOLDER: &str = "keys";

/// Objects beside the tables.
pub struct LakeKeys(pub Store);

#[async_trait]
impl KeyStore for LakeKeys {
    async fn list(&self) -> Result<Vec<String>> {
        self.0.names(&self.0.own_path(FOLDER)).await
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(&self.0.own_path(&format!("{FOLDER}/{name}"))).await?.map(|bytes| bytes.to_vec()))
    }

    async fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        self.0.put_new(&self.0.own_path(&format!("{FOLDER}/{name}")), bytes.into()).await
    }
}

/// The keys that an environment names.
pub enum Keys {
    /// The file is not there yet.
    NoFile(PathBuf),
    File {
        path: PathBuf,
        lake: Option<PathBuf>,
        keys: KeyFile,
    },
    Ring(Box<Keyring>),
}

impl Keys {
    /// Opens what is there; makes nothing and asks no key system.
    pub async fn open(wiring: &Wiring) -> Result<Self> {
        let named = wiring.environment.keys.as_deref().unwrap_or(KEY_FILE);
        match Place::parse(named).map_err(|why| Error::project("open the keys", why))? {
            Place::File(path) => {
                let path = PathBuf::from(place(&wiring.ask.folder, &path));
                if !path.exists() && !path.is_symlink() {
                    return Ok(Self::NoFile(path));
                }
                let lake = wiring.store.folder();
                let keys = KeyFile::open(&path, lake.as_deref())?;
                Ok(Self::File { path, lake, keys })
            }
            Place::System(system) => {
                let env = |name: &str| std::env::var(name).ok();
                let wrapper = keys::wrapper(system, &env, &wiring.clock)?;
                let hold = wiring.environment.hold().unwrap_or(keys::HOLD);
                let store = LakeKeys(wiring.store.clone());
                Ok(Self::Ring(Box::new(Keyring::open(wrapper, &store, hold, wiring.clock.clone()).await?)))
            }
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Self::NoFile(path) | Self::File { path, .. } => format!("key file {}", path.display()),
            Self::Ring(ring) => ring.describe(),
        }
    }

    pub fn versions(&self) -> Vec<Version> {
        match self {
            Self::NoFile(_) => Vec::new(),
            Self::File { keys, .. } => keys.versions(),
            Self::Ring(ring) => ring.versions(),
        }
    }

    /// 0 when there is none.
    pub fn newest(&self) -> u32 {
        self.versions().last().map_or(0, |version| version.number)
    }

    /// Makes a version, which may be there by now; answers whether it was made here.
    pub async fn add(&mut self, wiring: &Wiring, number: u32) -> Result<bool> {
        match self {
            Self::NoFile(path) => Err(no_file(path)),
            Self::File { path, lake, keys } => {
                let made = KeyFile::add(path, lake.as_deref(), number, wiring.clock.now())?;
                *keys = KeyFile::open(path, lake.as_deref())?;
                Ok(made)
            }
            Self::Ring(ring) => ring.make(&LakeKeys(wiring.store.clone()), number).await,
        }
    }

    /// Whether the keys can be had now: a key system is asked.
    pub async fn probe(&self) -> Result<()> {
        match self {
            Self::NoFile(path) => Err(no_file(path)),
            Self::File { .. } => Ok(()),
            Self::Ring(ring) => ring.probe().await,
        }
    }

    pub fn provider(self) -> Arc<dyn KeyProvider> {
        match self {
            Self::NoFile(path) => Arc::new(NoKeys(no_file(&path))),
            Self::File { keys, .. } => Arc::new(keys),
            Self::Ring(ring) => Arc::from(ring as Box<dyn KeyProvider>),
        }
    }
}

/// The keys to mask with: those of the version that the tables carry. A keyring gets its first version here.
pub async fn to_mask_with(wiring: &Wiring) -> Result<Arc<dyn KeyProvider>> {
    let mut keys = Keys::open(wiring).await?;
    if let (Keys::Ring(_), 0) = (&keys, keys.newest())
        && let Err(error) = keys.add(wiring, 1).await
    {
        return Ok(Arc::new(NoKeys(error)));
    }
    let store = LakeKeys(wiring.store.clone());
    let mut carried = Carried::read(&store).await?.whole()?;
    let newest = keys.newest();
    if carried.version.is_none() && newest > 1 && wiring.store.tables().await?.is_empty() {
        // No table carries an older version, so that none ever has to.
        keys::finish(&store, newest, wiring.clock.now()).await?;
        carried.version = Some(newest);
    }
    Ok(Arc::new(Pinned::new(keys.provider(), carried.version())))
}

/// The keys of a project as its parts hold them: opened when something needs one, and the public keys that `lavra.yaml`
/// names.
pub struct ProjectKeys {
    keys: OnceLock<Arc<dyn KeyProvider>>,
    published: BTreeMap<String, String>,
}

impl ProjectKeys {
    pub fn closed(published: BTreeMap<String, String>) -> Self {
        Self { keys: OnceLock::new(), published }
    }

    pub fn opened(keys: Arc<dyn KeyProvider>, published: BTreeMap<String, String>) -> Self {
        Self { keys: keys.into(), published }
    }

    /// The first opening counts.
    pub fn open_with(&self, keys: Arc<dyn KeyProvider>) {
        self.keys.get_or_init(|| keys);
    }
}

impl KeyProvider for ProjectKeys {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
        match self.keys.get() {
            Some(keys) => keys.key(scope, version),
            None => Err(Error::internal(format!("take the key of scope `{scope}`"), "the keys are not open")),
        }
    }

    fn expires(&self) -> bool {
        self.keys.get().is_some_and(|keys| keys.expires())
    }

    fn published(&self, scope: &str) -> Option<String> {
        self.published.get(scope).cloned()
    }
}

/// There is no key, for this reason.
struct NoKeys(Error);

impl KeyProvider for NoKeys {
    fn key(&self, _: &str, _: Option<u32>) -> Result<Key> {
        Err(Error::new(self.0.kind, &self.0.what, &self.0.detail))
    }
}

fn no_file(path: &Path) -> Error {
    let detail = format!(
        "there is no key file {}; it is never shared with the project, so copy it from where the project was made, or let \
         `lavra init .` make a new one, by which everybody gets another pseudonym than before",
        path.display()
    );
    Error::new(Kind::Project, "take the project's keys", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[tokio::test]
    async fn a_lakes_own_folder_obeys_the_law_of_stores() {
        let folder = std::env::temp_dir().join(format!("lavra-keys-{}", std::process::id()));
        let store = Store::open(&folder.to_string_lossy(), &HashMap::new()).expect("a lake");
        kernel::laws::keys::store_obeys(&LakeKeys(store)).await;
        let _ = std::fs::remove_dir_all(&folder);
    }
}

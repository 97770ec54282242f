//! From a project's files to the parts that run it.

mod spill;

use crate::clock::SystemClock;
use crate::project::{Compiled, Environment, Files, STATE, compile};
use kernel::clock::Clock;
use kernel::diagnostic::Diagnostic;
use kernel::error::{Error, Kind, Result};
use kernel::gate::Screen;
use kernel::keys::{Key, KeyProvider};
use kernel::vault::Vault;
use lake::{EngineOptions, SqlEngine, Store};
use privacy::detect::PersonalScreen;
use privacy::keys::{FixedKeys, KeyFile};
use privacy::mask::Masks;
use spill::SpillFolder;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was asked for on the command line, for every command.
#[derive(Debug, Clone)]
pub struct Ask {
    pub folder: PathBuf,
    pub environment: String,
    /// Bytes that queries may hold in memory.
    pub memory: usize,
    pub jobs: usize,
}

/// A checked project with its parts opened.
pub struct Wiring {
    pub ask: Ask,
    pub project: Compiled,
    pub environment: Environment,
    pub store: Store,
    pub engine: SqlEngine,
    pub clock: Arc<dyn Clock>,
    pub screen: Arc<dyn Screen>,
    spill: SpillFolder,
}

/// Why a project could not be wired.
pub enum Failure {
    /// The project has faults, all of them here.
    Faults(Files, Vec<Diagnostic>),
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Checks a project without opening anything of it but its text files.
pub async fn check(ask: &Ask) -> Result<Compiled, Failure> {
    let files = Files::read(&ask.folder)?;
    let nowhere = tempdir(ask)?;
    let store = Store::open(&nowhere.to_string_lossy(), &HashMap::new())?;
    let engine = SqlEngine::new(store, &options(ask, nowhere))?;
    let masks = Masks::new(Arc::new(FixedKeys::new(&[1])));
    let screen: Arc<dyn Screen> = Arc::new(PersonalScreen::new()?);
    let env = |name: &str| std::env::var(name).ok();
    compile(files, &env, &engine, &masks, screen).await.map_err(|(files, faults)| Failure::Faults(files, faults))
}

/// The folder that planning happens over: no lake, so that `check` sees schemas only.
fn tempdir(ask: &Ask) -> Result<PathBuf> {
    let folder = ask.folder.join(STATE).join("plan");
    std::fs::create_dir_all(&folder).map_err(|e| kernel::error::io(format!("make {}", folder.display()), e))?;
    Ok(folder)
}

fn options(ask: &Ask, spill_folder: PathBuf) -> EngineOptions {
    EngineOptions { memory_bytes: ask.memory, spill_folder, partitions: cores() }
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

impl Wiring {
    /// Checks the project and opens its lake.
    pub async fn open(ask: Ask) -> Result<Self, Failure> {
        let project = check(&ask).await?;
        let environment = environment(&project, &ask.environment)?;
        let place = place(&ask.folder, environment.lake.as_deref().unwrap_or("lake"));
        let store: HashMap<String, String> = environment.store.clone().into_iter().collect();
        let store = Store::open(&place, &store)?;
        let spill = SpillFolder::take(&ask.folder.join(STATE).join("spill"))?;
        let engine = SqlEngine::new(store.clone(), &options(&ask, spill.path().to_path_buf()))?;
        let screen: Arc<dyn Screen> = Arc::new(PersonalScreen::new()?);
        Ok(Self { ask, project, environment, store, engine, clock: Arc::new(SystemClock::default()), screen, spill })
    }

    /// Removes what processes that died have spilled. To be called by whoever holds the project's lock.
    pub fn clear_spill(&self) -> Result<()> {
        self.spill.clear_dead()
    }

    /// The masks with the project's real keys.
    pub fn masks(&self) -> Result<Masks> {
        Ok(Masks::new(self.keys()?))
    }

    /// Where the secrets of single people are, if anywhere: no mask makes such a secret yet.
    pub fn vault(&self) -> Option<Arc<dyn Vault>> {
        None
    }

    /// The project's real keys. A project without the file goes on as long as no mask asks for a key.
    pub fn keys(&self) -> Result<Arc<dyn KeyProvider>> {
        let file = place(&self.ask.folder, self.environment.keys.as_deref().unwrap_or(KEY_FILE));
        let file = Path::new(&file);
        let keys: Arc<dyn KeyProvider> = match file.exists() || file.is_symlink() {
            true => Arc::new(KeyFile::open(file, self.store.folder().as_deref())?),
            false => Arc::new(NoKeys(file.to_path_buf())),
        };
        Ok(keys)
    }

    pub fn source_options(&self) -> std::collections::BTreeMap<String, String> {
        self.environment.store.clone()
    }
}

/// Where the keys are unless `lavra.yaml` says otherwise, from the project's folder.
pub const KEY_FILE: &str = ".lavra/keys.json";

/// The key file is not there.
struct NoKeys(PathBuf);

impl KeyProvider for NoKeys {
    fn key(&self, scope: &str, _: Option<u32>) -> Result<Key> {
        let detail = format!(
            "there is no key file {}; it is never shared with the project, so copy it from where the project was made, or \
             let `lavra init .` make a new one, by which everybody gets another pseudonym than before",
            self.0.display()
        );
        Err(Error::project(format!("take the key of scope `{scope}`"), detail))
    }
}

fn environment(project: &Compiled, name: &str) -> Result<Environment> {
    match project.config.environments.get(name) {
        Some(found) => Ok(found.clone()),
        None if name == "local" => Ok(Environment::default()),
        None => {
            let all = project.config.environments.keys().map(String::as_str);
            let help = kernel::suggest::hint(name, all).unwrap_or_default();
            Err(Error::new(Kind::Project, format!("lavra.yaml has no environment `{name}`"), help))
        }
    }
}

/// A URL as it is; a path from the project's folder.
pub fn place(folder: &Path, text: &str) -> String {
    match text.contains("://") {
        true => text.to_owned(),
        false => folder.join(text).to_string_lossy().into_owned(),
    }
}

//! From a project's files to the parts that run it.

mod audit;
pub mod keys;
mod schemas;
mod spill;

use crate::clock::SystemClock;
use crate::project::{Compiled, Environment, Files, Held, STATE, compile};
use audit::ProjectAudit;
use connect::broker::Home;
use kernel::broker::Broker;
use kernel::clock::Clock;
use kernel::diagnostic::Diagnostic;
use kernel::engine::Session;
use kernel::error::{Error, Kind, Result};
use kernel::function::Functions;
use kernel::gate::{Screen, Seal};
use kernel::keys::KeyProvider;
use kernel::vault::{MemoryVault, Vault};
use keys::ProjectKeys;
use lake::{EngineOptions, SqlEngine, Store};
use orchestrate::SqliteVault;
use privacy::detect::PersonalScreen;
use privacy::keys::{FixedKeys, is_inside};
use privacy::mask::Masks;
pub use schemas::{Checked, refuse};
use spill::SpillFolder;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What was asked for on the command line, for every command.
#[derive(Debug, Clone)]
pub struct Ask {
    pub folder: PathBuf,
    pub environment: String,
    /// Bytes that queries may hold in memory.
    pub memory: usize,
    pub jobs: usize,
    /// Not who only reads the lake: what sources alone need may be missing then.
    pub opens_sources: bool,
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
    pub keys: Arc<ProjectKeys>,
    pub vault: Arc<dyn Vault>,
    pub audit: Arc<ProjectAudit>,
    /// Opened when the first source goes through it.
    log: OnceLock<Arc<dyn Broker>>,
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
    let project = check_but_refusals(ask).await?;
    match project.refused.is_empty() {
        true => Ok(project),
        false => Err(Failure::Faults(project.files, project.refused)),
    }
}

/// The same of a project that a privacy law refuses, for who looks at it and runs nothing.
pub async fn check_but_refusals(ask: &Ask) -> Result<Compiled, Failure> {
    let files = Files::read(&ask.folder)?;
    let nowhere = tempdir(ask)?;
    let store = Store::open(&nowhere.to_string_lossy(), &HashMap::new())?;
    let engine = SqlEngine::new(store, &options(ask, nowhere))?;
    let keys = Arc::new(FixedKeys::new(&[1]));
    let engine = engine.with_functions(functions(keys.clone(), Arc::new(MemoryVault::default())));
    let env = |name: &str| std::env::var(name).ok();
    let (kinds, _) = crate::project::own_kinds(&files, &env, &Masks::new(keys.clone()));
    let masks = Masks::new(keys).with_kinds(kinds.into());
    let screen: Arc<dyn Screen> = Arc::new(PersonalScreen::new()?);
    let compiled = compile(files, &env, ask.opens_sources, &engine, &masks, screen).await;
    compiled.map_err(|(files, faults)| Failure::Faults(files, faults))
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
        Self::of(ask, project).await
    }

    /// Opens the lake of a project that was checked.
    pub async fn of(ask: Ask, project: Compiled) -> Result<Self, Failure> {
        let environment = environment(&project, &ask.environment)?;
        let lake = place(&ask.folder, environment.lake.as_deref().unwrap_or("lake"));
        let store: HashMap<String, String> = environment.store.clone().into_iter().collect();
        let store = Store::open(&lake, &store)?;
        let spill = SpillFolder::take(&ask.folder.join(STATE).join("spill"))?;
        let vault = vault(&ask, &environment, &store)?;
        let keys = Arc::new(ProjectKeys::closed(environment.public_keys.clone()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let audit = Arc::new(ProjectAudit::new(&ask.folder.join(STATE), keys.clone(), clock.clone()));
        let engine = SqlEngine::new(store.clone(), &options(&ask, spill.path().to_path_buf()))?
            .with_functions(functions(keys.clone(), vault.clone()))
            .with_audit(audit.clone());
        let screen: Arc<dyn Screen> = Arc::new(PersonalScreen::with(project.own_kinds.clone())?);
        Ok(Self {
            ask,
            project,
            environment,
            store,
            engine,
            clock,
            screen,
            keys,
            vault,
            audit,
            log: OnceLock::new(),
            spill,
        })
    }

    /// What the law keeps today.
    pub fn held(&self) -> Held {
        let today: String = crate::show::rfc3339(self.clock.now().0).chars().take(10).collect();
        Held::on(&today, &self.project.holds, &self.project.sources, &self.project.models)
    }

    /// Removes what processes that died have spilled. To be called by whoever holds the project's lock.
    pub fn clear_spill(&self) -> Result<()> {
        self.spill.clear_dead()
    }

    /// The masks with the project's real keys. A project that has none goes on as long as no mask asks for one.
    pub async fn masks(&self) -> Result<Masks> {
        let keys = keys::to_mask_with(self).await?;
        let keys = Arc::new(ProjectKeys::opened(keys, self.environment.public_keys.clone()));
        Ok(Masks::new(keys).with_vault(self.vault.clone()).with_kinds(self.project.own_kinds.clone()))
    }

    /// The broker of this environment. Its rows are sealed by the project's keys.
    pub async fn log(&self, home: &Home) -> Result<Arc<dyn Broker>> {
        if let Some(log) = self.log.get() {
            return Ok(log.clone());
        }
        let seal = Seal::new(keys::to_mask_with(self).await?);
        let (home, folder) = (home.clone(), self.ask.folder.join(STATE).join("log"));
        let (base, clock) = (self.ask.folder.clone(), self.clock.clone());
        let opened = tokio::task::spawn_blocking(move || home.open(&folder, &base, clock, seal)).await;
        let (log, can_be_kept) = opened.map_err(|e| Error::internal("open the broker", e))??;
        Ok(if can_be_kept { self.log.get_or_init(|| log).clone() } else { log })
    }

    /// Opens the keys for what reads the hidden: functions of SQL, the seal of the audit.
    pub async fn open_keys(&self) -> Result<Arc<ProjectKeys>> {
        self.keys.open_with(keys::Keys::open(self).await?.provider());
        Ok(self.keys.clone())
    }

    /// Whoever runs this, with what policies/users.yaml lets them open. Whom the operating system says to be somebody is
    /// believed: what keeps others out is the key file.
    pub fn session(&self, purpose: &str) -> Session {
        let user = user_name();
        let grants = self.project.users.get(&user).map(|user| user.grants.clone()).unwrap_or_default();
        Session { user, purpose: purpose.to_owned(), grants }
    }

    pub fn source_options(&self) -> std::collections::BTreeMap<String, String> {
        self.environment.store.clone()
    }
}

/// Where the keys are unless `lavra.yaml` says otherwise, from the project's folder.
pub const KEY_FILE: &str = ".lavra/keys.json";

/// Where the vault is unless `lavra.yaml` says otherwise, from the project's folder.
pub const VAULT_FILE: &str = ".lavra/vault.db";

/// Tokens and keys of persons. Its file is opened, or made, when a mask or a function first asks it for something.
fn vault(ask: &Ask, environment: &Environment, store: &Store) -> Result<Arc<dyn Vault>> {
    let file = place(&ask.folder, environment.vault.as_deref().unwrap_or(VAULT_FILE));
    let file = Path::new(&file);
    if store.folder().is_some_and(|lake| is_inside(file, &lake)) {
        let detail = "it lies inside the lake, where every reader of the data can read it; move it out of there";
        return Err(Error::refused(format!("open the vault {}", file.display()), detail));
    }
    Ok(Arc::new(SqliteVault::new(file)))
}

/// What the rooms bring to SQL.
fn functions(keys: Arc<dyn KeyProvider>, vault: Arc<dyn Vault>) -> Functions {
    let mut all = privacy::he::functions(keys.clone());
    all.scalar.extend(privacy::functions::all(keys, vault));
    all
}

#[cfg(unix)]
fn user_name() -> String {
    use nix::unistd::{Uid, User};
    let id = Uid::effective();
    User::from_uid(id).ok().flatten().map_or_else(|| id.to_string(), |user| user.name)
}

#[cfg(not(unix))]
fn user_name() -> String {
    std::env::var("USERNAME").unwrap_or_default()
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

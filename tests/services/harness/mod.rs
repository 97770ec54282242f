//! The servers that a suite talks to, and what it does to them.

pub mod appending;
pub mod aws;
pub mod kafka;
pub mod mariadb;
pub mod opened;
pub mod postgres;
pub mod proxy;
pub mod relayed;
pub mod stores;
pub mod vault;

use std::path::PathBuf;
use std::process::Command;

/// A server that was started by its recipe.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: String,
    pub url: String,
}

impl Server {
    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, address)| address)
    }
}

/// A server that is up. `LAVRA_SERVICES` holds what `cargo x services` says of each: `NAME VERSION up URL`.
#[track_caller]
pub fn server(name: &str) -> Server {
    let all = std::env::var("LAVRA_SERVICES").unwrap_or_default();
    let found = all.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [own, _, "up", url] if own == name => Some(Server { name: name.into(), url: url.into() }),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("this test needs {name}: run it by `cargo x test --services`"))
}

/// Where a recipe keeps what a server of this run has.
pub fn state_of(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/services");
    std::env::var_os("LAVRA_SERVICES_STATE").map_or(folder, PathBuf::from).join(name)
}

/// A server of the test's own, for what others must not see, such as a seal. It ends with the value, or the test.
pub struct Own {
    pub server: Server,
    recipe: PathBuf,
    state: tempfile::TempDir,
}

impl Own {
    pub fn start(name: &str) -> Self {
        Self::with(name, &[])
    }

    /// With these variables for its recipe.
    pub fn with(name: &str, variables: &[(&str, &str)]) -> Self {
        // Installed it is only where the suite's servers are.
        server(name);
        let recipe = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("services/recipes").join(name);
        let state = tempfile::tempdir().expect("a folder for its state");
        let mut own = Self { server: Server { name: name.into(), url: String::new() }, recipe, state };
        own.call("start", variables);
        let status = own.call("status", &[]);
        own.server.url = status.trim().rsplit(' ').next().expect("its URL").to_owned();
        own
    }

    /// Sends a signal to it and to all that it started: `STOP` lets it stand still, `CONT` go on.
    pub fn signal(&self, signal: &str) {
        let process = self.state.path().join(&self.server.name).join("process");
        let process = std::fs::read_to_string(process).expect("its process");
        let group = process.split(' ').next().expect("a number");
        let status = Command::new("kill").args([&format!("-{signal}"), "--", &format!("-{group}")]).status();
        assert!(status.expect("kill").success(), "{signal} reached it");
    }

    /// What it wrote since it was started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.state.path().join(&self.server.name).join("log")).expect("its log")
    }

    fn call(&self, verb: &str, variables: &[(&str, &str)]) -> String {
        let mut command = Command::new(&self.recipe);
        let owner = std::process::id().to_string();
        command.arg(verb).env("LAVRA_SERVICES_STATE", self.state.path()).env("LAVRA_SERVICES_OWNER", owner);
        command.envs(variables.iter().copied());
        let output = command.output().expect("a recipe that starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {verb}: {said}", self.recipe.display());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.call("stop", &[]);
    }
}

/// How large a case is: small in `cargo x test --services`, full in `cargo x torture`.
pub fn sized<T>(small: T, full: T) -> T {
    if std::env::var_os("LAVRA_TORTURE").is_some() { full } else { small }
}

/// Bytes of memory that taking in a transaction of any size may cost.
pub const MEMORY_OF_A_TRANSACTION: u64 = 512 << 20;

/// A name that no other test, and no other run against the same server, has.
pub fn unique(name: &str) -> String {
    format!("{name}-{:08x}", fastrand::u32(..))
}

//! Systems that keep keys: they wrap a secret of ours by a key that never leaves them, and unwrap it for whoever may.

use super::place::System;
use async_trait::async_trait;
use kernel::clock::Clock;
use kernel::error::{Error, Kind, Result};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// 32 secret bytes, wiped when they are dropped.
pub type Root = Zeroizing<[u8; 32]>;

/// One key of one system.
///
/// Both calls go over the network and end within [`LONGEST`]. They fail closed: no answer, a sealed system, a refused or
/// ended credential are errors that name the system and a remedy, and hold no secret. Either may be tried again.
#[async_trait]
pub trait Wrapper: Send + Sync {
    /// The secret as nobody reads it without the system's key.
    async fn wrap(&self, root: &Root) -> Result<String>;

    async fn unwrap(&self, wrapped: &str) -> Result<Root>;

    /// The system and its key, for people: no credential is in it.
    fn describe(&self) -> String;
}

/// Gives a variable of the environment; the roof reads it.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// No answer of a key system takes longer, signing in included.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// The system that `keys:` names by a URL. Credentials come from the environment, as the system's own tools take them.
pub fn wrapper(system: System, env: Env, clock: &Arc<dyn Clock>) -> Result<Box<dyn Wrapper>> {
    Ok(match system {
        System::Vault(address) => Box::new(super::vault::Vault::new(address, env)?),
        System::Aws(address) => Box::new(super::aws::Kms::new(address, env)?),
        System::Azure(address) => Box::new(super::azure::KeyVault::new(address, env)?),
        System::Google(address) => Box::new(super::gcp::CloudKms::new(address, env, clock.clone())?),
    })
}

/// Waits for a future on a thread of its own with a runtime of its own: who masks is a worker of a runtime, whose other
/// tasks must go on.
pub(super) fn wait<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let failed = |why: &dyn std::fmt::Display| Error::internal("ask a key system", why);
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
        let late = || Error::new(Kind::Unreachable, "ask a key system", "it gave no answer in 30 seconds");
        runtime.block_on(async { tokio::time::timeout(LONGEST, work).await.unwrap_or_else(|_| Err(late())) })
    };
    let aside = || std::thread::scope(|scope| scope.spawn(run).join().unwrap_or_else(|_| Err(failed(&"it panicked"))));
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(aside),
        _ => aside(),
    }
}

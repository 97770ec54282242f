//! A file with a refresh token, which is replaced where a server takes each one once.

use crate::secret::Secret;
use kernel::error::{Error, Result, io};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::watch;

/// How many files this process holds.
static HELD: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Waits until no refresh token is on its way from a server to its file. A process that ends before that has used up the one in
/// the file, and nobody has the next.
pub async fn tokens_are_kept() {
    // The sender is never dropped, so that there is an end to wait for.
    let _ = HELD.subscribe().wait_for(|held| *held == 0).await;
}

/// How many are on their way.
pub fn tokens_under_way() -> usize {
    *HELD.borrow()
}

/// The file, held against other processes from where its token is read to where the next one is in it.
pub struct TokenFile {
    path: PathBuf,
    _lock: File,
    _held: Held,
}

struct Held;

impl Held {
    fn count() -> Self {
        HELD.send_modify(|held| *held += 1);
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.send_modify(|held| *held -= 1);
    }
}

impl TokenFile {
    /// Waits until nobody else has it; a thread that waited for the lock could not be told to stop. That it can be replaced is
    /// found out before the token is used up.
    pub async fn take(path: PathBuf) -> Result<Self> {
        // The file itself is replaced, so that what is locked stands beside it.
        let beside = path.with_added_extension("lock");
        loop {
            let beside = beside.clone();
            if let Some(lock) = apart(move || locked(&beside)).await? {
                return Ok(Self { path, _lock: lock, _held: Held::count() });
            }
            tokio::time::sleep(TRIED_EVERY).await;
        }
    }

    pub async fn token(&self) -> Result<Secret> {
        let what = || format!("read the refresh token in {}", self.path.display());
        let text = tokio::fs::read_to_string(&self.path).await.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::project(what(), "there is no such file; put the first token there"),
            _ => io(what(), e),
        })?;
        match text.trim() {
            "" => Err(Error::project(what(), "the file is empty; put a refresh token there")),
            token => Ok(Secret::new(token)),
        }
    }

    /// Puts another token in, in one act: a process that dies leaves one of the two.
    pub fn put(&self, token: &Secret) -> Result<()> {
        let aside = self.path.with_added_extension("new");
        let put = || {
            let mut file = private(&aside)?;
            file.set_len(0)?;
            file.write_all(format!("{}\n", token.reveal()).as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&aside, &self.path)?;
            sync_folder(&self.path)
        };
        put().map_err(|e| io(format!("put the new refresh token into {}", self.path.display()), e))
    }
}

/// How often a lock that another process has is tried.
const TRIED_EVERY: Duration = Duration::from_millis(100);

/// `None` while another process has it.
fn locked(beside: &Path) -> Result<Option<File>> {
    let lock = private(beside).and_then(|lock| match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
    });
    lock.map_err(|e| io(format!("lock {} for the token's file", beside.display()), e))
}

/// What waits for files, on a thread that may.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("look at the token's file", e.to_string()))?
}

/// A file that nobody else may read.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A rename is durable when its folder is.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|_| cfg!(unix)) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

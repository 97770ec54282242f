//! The owner's door: a socket beside the log, through which other processes of the same user ask what the owner would.

use super::owner::Owner;
use super::port::{Answer, Ask, Blobs, Fault, Port, receive, send};
use async_trait::async_trait;
use kernel::{Error, Kind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// Who says nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(100);

/// Open as long as the value is there.
pub struct Door {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Door {
    /// What an owner that died has left there is taken away: the log is ours.
    pub fn open(path: &Path, owner: &Arc<Owner>) -> std::io::Result<Self> {
        tokio::runtime::Handle::try_current().map_err(std::io::Error::other)?;
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        let owner = Arc::downgrade(owner);
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(serve(stream, owner.clone()))),
                    // Too many open files, say: that passes.
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        Ok(Self { path: path.to_owned(), task })
    }
}

/// One question, one answer. Who has gone meanwhile will look how far the log is.
async fn serve(mut stream: UnixStream, owner: Weak<Owner>) {
    let asked = tokio::time::timeout(PATIENCE, receive::<Ask>(&mut stream)).await;
    let (Ok(Ok((ask, blobs))), Some(owner)) = (asked, owner.upgrade()) else { return };
    let (answer, blobs) = match owner.ask(ask, blobs).await {
        Ok((answer, blobs)) => (Ok(answer), blobs),
        Err(error) => (Err(Fault::of(error)), Blobs::new()),
    };
    // Not to be the last one that holds the log while a client is slow.
    drop(owner);
    let _ = tokio::time::timeout(PATIENCE, send(&mut stream, &answer, &blobs)).await;
}

/// A log that another process has.
pub struct Remote {
    path: PathBuf,
}

impl Remote {
    /// Blocks. An error when nobody is behind the door.
    pub fn find(path: &Path) -> std::io::Result<Self> {
        std::os::unix::net::UnixStream::connect(path)?;
        Ok(Self { path: path.to_owned() })
    }

    async fn exchange(&self, ask: &Ask, blobs: &Blobs) -> std::io::Result<(Result<Answer, Fault>, Blobs)> {
        let mut stream = UnixStream::connect(&self.path).await?;
        send(&mut stream, ask, blobs).await?;
        receive(&mut stream).await
    }
}

#[async_trait]
impl Port for Remote {
    async fn ask(&self, ask: Ask, blobs: Blobs) -> Result<(Answer, Blobs)> {
        let exchanged = tokio::time::timeout(PATIENCE, self.exchange(&ask, &blobs)).await;
        let exchanged = exchanged.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let (answer, blobs) = exchanged.map_err(|e| {
            let what = format!("ask the process that has the log {}", self.path.display());
            Error::new(Kind::Unreachable, what, "it has ended, or does not answer").because(e)
        })?;
        Ok((answer.map_err(Fault::into_error)?, blobs))
    }
}

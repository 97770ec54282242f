//! What is asked of a log, in this process or of the one that owns it.

use super::batch::Key;
use super::log::Settings;
use async_trait::async_trait;
use bytes::Bytes;
use kernel::broker::{Appended, Ends};
use kernel::{Error, Kind, Positions, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    Create {
        topic: String,
        settings: Settings,
    },
    /// The next appender of a writer.
    Open {
        topic: String,
        writer: String,
    },
    /// Batches, each with its partition and its rows; their bytes come beside.
    Append {
        topic: String,
        writer: String,
        number: u64,
        batches: Vec<(u32, u32)>,
        upto: Positions,
    },
    Fetch {
        topic: String,
        partition: u32,
        from: u64,
        bytes_max: usize,
    },
    Ends {
        topic: String,
    },
    Appended {
        topic: String,
        writer: String,
    },
    Consumed {
        topic: String,
        group: String,
    },
    Consume {
        topic: String,
        group: String,
        upto: Positions,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Done,
    Opened {
        number: u64,
        positions: Positions,
    },
    Appended(Appended),
    /// The keys of batches, whose bytes come beside.
    Fetched(Vec<Key>),
    Ends(Vec<Ends>),
    Positions(Positions),
}

/// Bytes beside a question or an answer.
pub type Blobs = Vec<Bytes>;

#[async_trait]
pub trait Port: Send + Sync {
    async fn ask(&self, ask: Ask, blobs: Blobs) -> Result<(Answer, Blobs)>;
}

/// An error as it goes over the wire.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fault {
    kind: Kind,
    what: String,
    detail: String,
}

impl Fault {
    pub fn of(error: Error) -> Self {
        Self { kind: error.kind, what: error.what, detail: error.detail }
    }

    pub fn into_error(self) -> Error {
        Error::new(self.kind, self.what, self.detail)
    }
}

/// More than this is no frame of ours.
const FRAME_MAX: u64 = 4 << 30;

/// A head as JSON, then the blobs, each behind its length.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), head: &impl Serialize, blobs: &Blobs) -> std::io::Result<()> {
    let head = serde_json::to_vec(head).map(Bytes::from).map_err(std::io::Error::other)?;
    to.write_u32_le(u32::try_from(blobs.len()).map_err(std::io::Error::other)?).await?;
    for part in std::iter::once(&head).chain(blobs) {
        to.write_u64_le(part.len() as u64).await?;
        to.write_all(part).await?;
    }
    to.flush().await
}

pub async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(T, Blobs)> {
    let count = from.read_u32_le().await?;
    let head = part(from).await?;
    let mut blobs = Vec::new();
    for _ in 0..count {
        blobs.push(part(from).await?);
    }
    Ok((serde_json::from_slice(&head).map_err(std::io::Error::other)?, blobs))
}

async fn part(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let length = from.read_u64_le().await?;
    if length > FRAME_MAX {
        return Err(std::io::Error::other("a frame is too long"));
    }
    // Not more at once than has come: a length that lies costs nothing.
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes).await?;
    match bytes.len() as u64 == length {
        true => Ok(bytes.into()),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

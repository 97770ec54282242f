//! An opened file: its bytes as a blocking reader, from a disk or from an object store.

use super::list::{Found, etag};
use super::mark;
use super::place::{Place, failed};
use bytes::{Buf, Bytes};
use kernel::{Error, Result};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A file that is being taken. Everything but `open` blocks and belongs on a thread that may.
pub struct Opened {
    pub partition: String,
    pub etag: String,
    /// Microseconds since the epoch.
    pub modified: i64,
    pub body: Body,
}

pub enum Body {
    Local { file: File, seen: Seen },
    Remote(Object),
}

/// An object and its version.
#[derive(Clone)]
pub struct Object {
    pub place: Arc<Place>,
    pub location: Path,
    pub bytes: u64,
    etag: Option<String>,
    pub handle: Handle,
}

pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// What tells one state of a local file from another while it is held open.
#[derive(PartialEq, Eq)]
pub struct Seen {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    fn of(meta: &Metadata) -> Self {
        Self { bytes: meta.len(), modified: meta.modified().ok() }
    }
}

impl Opened {
    /// Opens a listed file as it is now: it may be another one than was listed. `None` when it is gone.
    pub async fn open(found: &Found) -> Result<Option<Self>> {
        let place = &found.place;
        // A local `get` opens the file and stats that very file, so etag and content belong together.
        let options = GetOptions { head: !place.local, ..GetOptions::default() };
        let got = match place.store.get_opts(&found.location, options).await {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(&found.partition, error, place.local)),
        };
        let (bytes, etag, modified) = (got.meta.size, etag(&got.meta), got.meta.last_modified.timestamp_micros());
        let body = match got.payload {
            GetResultPayload::File(file, _) => {
                let meta = file.metadata().map_err(|e| kernel::error::io(format!("read {}", found.partition), e))?;
                Body::Local { seen: Seen::of(&meta), file }
            }
            GetResultPayload::Stream(_) => Body::Remote(Object {
                place: place.clone(),
                location: found.location.clone(),
                bytes,
                etag: got.meta.e_tag,
                handle: Handle::current(),
            }),
        };
        Ok(Some(Self { partition: found.partition.clone(), etag, modified, body }))
    }

    /// The bytes from the start.
    pub fn reader(&self) -> Result<Box<dyn Read + Send>> {
        match &self.body {
            Body::Local { file, .. } => Ok(Box::new(self.again(file)?)),
            Body::Remote(object) => Ok(Box::new(object.reader())),
        }
    }

    /// The bytes in any order.
    pub fn seekable(&self) -> Result<Box<dyn ReadSeek>> {
        match &self.body {
            Body::Local { file, .. } => Ok(Box::new(self.again(file)?)),
            Body::Remote(object) => Ok(Box::new(object.reader())),
        }
    }

    fn again(&self, file: &File) -> Result<File> {
        file.try_clone().and_then(|mut file| file.rewind().map(|()| file)).map_err(|e| self.error(e))
    }

    /// The mark of all its bytes. `None` for an object: its etag tells more than the name of a local file's state, and
    /// reading it once more costs a download.
    pub fn mark(&self) -> Result<Option<u64>> {
        match &self.body {
            Body::Local { file, .. } => mark::of_bytes(self.again(file)?).map(Some).map_err(|e| self.error(e)),
            Body::Remote(_) => Ok(None),
        }
    }

    /// Fails when the file changed since it was opened: then what was read of it may be half old, half new.
    pub fn unchanged(&self) -> Result<()> {
        let same = match &self.body {
            Body::Local { file, seen } => Seen::of(&file.metadata().map_err(|e| self.error(e))?) == *seen,
            Body::Remote(object) => object.unchanged()?,
        };
        if same {
            return Ok(());
        }
        Err(Error::data(
            format!("read {}", self.partition),
            "the file is still being written: it changed while it was read. Run again when it is whole; \
             `settle_seconds` leaves young files for later, and writing under another name and renaming avoids it",
        ))
    }

    /// An error from reading, in our words.
    pub fn error(&self, error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(own) => own,
            Err(other) => kernel::error::io(format!("read {}", self.partition), other),
        }
    }
}

impl Object {
    /// Bytes of the version that was opened, and no other.
    pub async fn range(&self, range: Range<u64>) -> object_store::Result<Bytes> {
        let options =
            GetOptions { range: Some(GetRange::Bounded(range)), if_match: self.etag.clone(), ..GetOptions::default() };
        self.place.store.get_opts(&self.location, options).await?.bytes().await
    }

    fn unchanged(&self) -> Result<bool> {
        let head = self.handle.block_on(self.place.store.head(&self.location));
        let head = head.map_err(|e| failed(&self.place.partition(&self.location), e, false))?;
        Ok(head.e_tag == self.etag && head.size == self.bytes)
    }

    fn reader(&self) -> ObjectReader {
        ObjectReader { object: self.clone(), place: 0, fetched: 0, chunk: Bytes::new(), ahead: None }
    }
}

/// Fetched in pieces of this size: one request that lasts as long as its slow reader would time out.
const CHUNK_BYTES: u64 = 8 << 20;

/// Reads an object piece by piece, one piece ahead, and all of one version.
struct ObjectReader {
    object: Object,
    /// Where the next byte is read.
    place: u64,
    /// Where the next piece starts.
    fetched: u64,
    chunk: Bytes,
    ahead: Option<JoinHandle<object_store::Result<Bytes>>>,
}

impl ObjectReader {
    fn fetch_ahead(&mut self) {
        let range = self.fetched..self.object.bytes.min(self.fetched + CHUNK_BYTES);
        if !range.is_empty() {
            self.fetched = range.end;
            let object = self.object.clone();
            self.ahead = Some(self.object.handle.spawn(async move { object.range(range).await }));
        }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        if self.ahead.is_none() {
            self.fetch_ahead();
        }
        let Some(ahead) = self.ahead.take() else { return Ok(()) };
        let fetched = self.object.handle.block_on(ahead).map_err(io::Error::other)?;
        let shown = self.object.place.partition(&self.object.location);
        self.chunk = fetched.map_err(|e| io::Error::other(failed(&shown, e, false)))?;
        self.fetch_ahead();
        Ok(())
    }

    fn forget_ahead(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            ahead.abort();
        }
    }
}

impl Drop for ObjectReader {
    fn drop(&mut self) {
        self.forget_ahead();
    }
}

impl Read for ObjectReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.next_chunk()?;
        }
        let taken = out.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut out[..taken]);
        self.place += taken as u64;
        Ok(taken)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(distance) => self.object.bytes.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.place.checked_add_signed(distance),
        };
        let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        match place.checked_sub(self.place) {
            Some(forward) if forward <= self.chunk.len() as u64 => self.chunk.advance(forward as usize),
            _ => {
                self.forget_ahead();
                (self.fetched, self.chunk) = (place, Bytes::new());
            }
        }
        self.place = place;
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::list::list;
    use object_store::memory::InMemory;

    fn content(seed: usize) -> Vec<u8> {
        (0..(CHUNK_BYTES as usize * 2 + 12_345)).map(|i| ((i + seed) % 251) as u8).collect()
    }

    async fn opened(store: &Arc<InMemory>) -> Opened {
        store.put(&Path::from("a/b.bin"), content(0).into()).await.expect("stored");
        let place = Arc::new(Place::of_store(store.clone(), "a/*"));
        let found = list(&[place]).await.expect("a list").pop_front().expect("the object");
        assert_eq!(found.partition, "mem://test/a/b.bin");
        Opened::open(&found).await.expect("opened").expect("there")
    }

    #[tokio::test]
    async fn an_object_is_read_piece_by_piece_and_in_any_order() {
        let opened = opened(&Arc::new(InMemory::new())).await;
        let read = move || {
            let (mut all, whole) = (Vec::new(), content(0));
            opened.reader().expect("a reader").read_to_end(&mut all).expect("read");
            assert!(all == whole);
            let mut reader = opened.seekable().expect("a reader");
            let last = whole.len() as u64;
            for from in [last - 10, 5, 5 + CHUNK_BYTES, 100, 101, last, last + 5] {
                reader.seek(SeekFrom::Start(from)).expect("a place");
                let mut some = Vec::new();
                reader.by_ref().take(20).read_to_end(&mut some).expect("read");
                let from = whole.len().min(from as usize);
                assert_eq!(some, whole[from..whole.len().min(from + 20)], "from {from}");
            }
            opened.unchanged().expect("unchanged");
        };
        tokio::task::spawn_blocking(read).await.expect("done");
    }

    #[tokio::test]
    async fn an_object_replaced_while_it_is_read_is_an_error() {
        let store = Arc::new(InMemory::new());
        let opened = opened(&store).await;
        let handle = Handle::current();
        let read = move || {
            let mut reader = opened.reader().expect("a reader");
            reader.read_exact(&mut [0; 100]).expect("read");
            // The second piece may be on its way, the third is not.
            handle.block_on(store.put(&Path::from("a/b.bin"), content(7).into())).expect("stored");
            let error = opened.error(reader.read_to_end(&mut Vec::new()).expect_err("another version"));
            assert!(error.to_string().contains("changed while it was being read"), "{error}");
            assert!(opened.unchanged().is_err());
        };
        tokio::task::spawn_blocking(read).await.expect("done");
    }
}

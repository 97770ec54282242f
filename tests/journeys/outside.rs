//! An object store that misbehaves, beside a folder that does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// With this status and nothing else.
    Status(u16),
    /// The first half of each object, and then the connection ends.
    Half,
    /// A byte, and then nothing.
    Slow,
    /// It takes no connection.
    Gone,
}

/// One bucket by S3's protocol, as far as listing and reading need it.
pub struct Store {
    pub address: String,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    mood: Mood,
    objects: Vec<(String, Vec<u8>)>,
    calls: u64,
}

impl Store {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let inner = Arc::new(Mutex::new(Inner { mood: Mood::Well, objects: Vec::new(), calls: 0 }));
        let own = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || drop(serve(stream, &own)));
            }
        });
        Self { address, inner }
    }

    pub fn put(&self, name: &str, body: impl Into<Vec<u8>>) {
        self.inner.lock().expect("the store").objects.push((name.to_owned(), body.into()));
    }

    pub fn is(&self, mood: Mood) {
        self.inner.lock().expect("the store").mood = mood;
    }

    /// Calls since it was asked last.
    pub fn calls(&self) -> u64 {
        std::mem::take(&mut self.inner.lock().expect("the store").calls)
    }
}

/// One request: the connection is closed behind it.
fn serve(mut stream: TcpStream, inner: &Mutex<Inner>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut line, mut range) = (String::new(), None);
    while reader.read_line(&mut line)? > 2 {
        range = range.or(line.to_ascii_lowercase().trim_end().strip_prefix("range: bytes=").map(str::to_owned));
        line.clear();
    }
    let (mood, objects) = {
        let mut inner = inner.lock().expect("the store");
        inner.calls += 1;
        (inner.mood, inner.objects.clone())
    };
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
    match mood {
        Mood::Gone => return Ok(()),
        Mood::Status(status) => {
            return write!(stream, "HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
        Mood::Well | Mood::Half | Mood::Slow => {}
    }
    if query.contains("list-type=2") {
        let body = listing(&objects, query);
        let part = Part { name: "x", range: None, length: body.len() };
        return answer(&mut stream, body.as_bytes(), &part);
    }
    let Some((name, body)) = objects.iter().find(|(name, _)| name == key) else {
        return write!(stream, "HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    };
    let range = range.as_deref().and_then(|range| range.split_once('-'));
    let from = range.and_then(|(from, _)| from.parse().ok()).unwrap_or(0).min(body.len());
    let to = range.and_then(|(_, to)| to.parse::<usize>().ok()).map_or(body.len(), |to| (to + 1).min(body.len()));
    let part = Part { name, range: range.map(|_| (from, to, body.len())), length: to - from };
    let body = &body[from..to];
    let sent = if first.starts_with("HEAD") { 0 } else { body.len() };
    match mood {
        Mood::Half => answer(&mut stream, &body[..sent / 2], &part),
        Mood::Slow => {
            answer(&mut stream, &body[..1.min(sent)], &part)?;
            // Until the other side gives up.
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            stream.read(&mut [0]).map(drop)
        }
        Mood::Well | Mood::Status(_) | Mood::Gone => answer(&mut stream, &body[..sent], &part),
    }
}

/// What is answered: of an object, or a part of it.
struct Part<'a> {
    name: &'a str,
    /// From, to, and of how many.
    range: Option<(usize, usize, usize)>,
    length: usize,
}

fn answer(stream: &mut TcpStream, sent: &[u8], part: &Part<'_>) -> std::io::Result<()> {
    let status = match part.range {
        Some((from, to, all)) => format!("206 Partial\r\ncontent-range: bytes {from}-{}/{all}", to.saturating_sub(1)),
        None => "200 OK".to_owned(),
    };
    let (etag, length) = (part.name.replace('/', "-"), part.length);
    let dated = "last-modified: Wed, 25 Nov 2026 10:00:00 GMT";
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\netag: \"{etag}\"\r\n{dated}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(sent)?;
    stream.flush()
}

fn listing(objects: &[(String, Vec<u8>)], query: &str) -> String {
    let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
    let prefix = prefix.replace("%2F", "/");
    let one = |(name, body): &(String, Vec<u8>)| {
        let (size, etag) = (body.len(), name.replace('/', "-"));
        format!(
            "<Contents><Key>{name}</Key><LastModified>2026-11-25T10:00:00.000Z</LastModified><ETag>\"{etag}\"</ETag>\
             <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
    };
    let contents: String = objects.iter().filter(|(name, _)| name.starts_with(&prefix)).map(one).collect();
    format!(
        "<?xml version=\"1.0\"?><ListBucketResult><Name>raw</Name><Prefix>{prefix}</Prefix><MaxKeys>1000</MaxKeys>\
         <IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    )
}

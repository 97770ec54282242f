//! Asks a schema registry that speaks Confluent's HTTP API for the schemas that records were written with.

use kernel::error::redacted;
use kernel::{Error, Kind, Result};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use url::Url;

/// A schema as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Schema {
    pub schema: String,
    /// `AVRO` when it is not said.
    #[serde(rename = "schemaType", default = "avro")]
    pub kind: String,
    /// What it is made of beside its own text.
    #[serde(default)]
    pub references: Vec<Reference>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reference {
    /// As the schema calls it.
    pub name: String,
    pub subject: String,
    pub version: u32,
}

fn avro() -> String {
    "AVRO".to_owned()
}

/// A client for threads that may block. What it was told once it keeps: a schema's id never means another one.
pub struct Registry {
    url: Url,
    client: reqwest::Client,
    runtime: Handle,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<u32, Arc<Schema>>,
    /// Ids that were waited for in vain.
    absent: HashSet<u32>,
}

/// How often a registry is asked that does not answer.
const TRIES: u32 = 3;
/// How long is waited before a registry is asked again for schemas that it says it does not have: it may be several nodes, and
/// one that was asked for what was registered a moment ago through another may not have read that yet.
const WAITS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// So many are waited for at once: more of them are values that only begin like framed ones.
const WAITED_MAX: usize = 16;
/// Whatever has the first byte of a frame may name any of four billion ids.
const ABSENT_MAX: usize = 100_000;

impl Registry {
    /// Of `https://user:password@host/path`; to be called where a runtime is. Asks nothing.
    pub fn new(url: &str, timeout: Duration) -> Result<Self> {
        let url = parse(url).map_err(|why| Error::project(format!("registry {}", redacted(url)), why))?;
        let client = reqwest::Client::builder().timeout(timeout).build();
        let client = client.map_err(|e| Error::internal("make a client for the registry", e.without_url()))?;
        Ok(Self { url, client, runtime: Handle::current(), known: Mutex::default() })
    }

    /// Asks for the schemas of these ids, for `by_id` to have. One that is said not to be there is asked for again for some
    /// seconds, all of them together, and when it was waited for in vain once, no longer: it may come later. Blocks.
    pub fn look_up(&self, ids: impl IntoIterator<Item = u32>) -> Result<()> {
        let mut unknown: Vec<u32> = ids.into_iter().collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown.retain(|id| !self.known().by_id.contains_key(id));
        self.ask_for(&mut unknown)?;
        unknown.retain(|id| !self.known().absent.contains(id));
        let waits = if unknown.len() > WAITED_MAX { &[][..] } else { &WAITS };
        for wait in waits {
            if unknown.is_empty() {
                return Ok(());
            }
            std::thread::sleep(*wait);
            self.ask_for(&mut unknown)?;
        }
        let mut known = self.known();
        if known.absent.len() > ABSENT_MAX {
            known.absent.clear();
        }
        known.absent.extend(unknown);
        Ok(())
    }

    /// Leaves those that it says it does not have.
    fn ask_for(&self, ids: &mut Vec<u32>) -> Result<()> {
        let mut absent = Vec::new();
        for id in ids.drain(..) {
            match self.ask(&format!("schemas/ids/{id}"), &format!("schema {id}"))? {
                Some(schema) => drop(self.known().by_id.insert(id, Arc::new(schema))),
                None => absent.push(id),
            }
        }
        *ids = absent;
        Ok(())
    }

    /// The schema of an id that was looked up, or `None` when the registry says that it has none. Asks nothing.
    pub fn by_id(&self, id: u32) -> Option<Arc<Schema>> {
        self.known().by_id.get(&id).cloned()
    }

    /// What a schema refers to. Blocks.
    pub fn referenced(&self, reference: &Reference) -> Result<Schema> {
        let Reference { subject, version, .. } = reference;
        let subject: String = url::form_urlencoded::byte_serialize(subject.as_bytes()).collect();
        // A path takes no `+` for a blank.
        let subject = subject.replace('+', "%20");
        let what = format!("version {version} of a schema's reference");
        let found = self.ask(&format!("subjects/{subject}/versions/{version}"), &what)?;
        found.ok_or_else(|| absent(self.act(&what)))
    }

    fn act(&self, what: &str) -> String {
        format!("get {what} from the registry {}", redacted(self.url.as_str()))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, path: &str, what: &str) -> Result<Option<Schema>> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.runtime.block_on(self.get(path, what)) {
                Err(error) if error.kind == Kind::Unreachable && tried < TRIES => {
                    std::thread::sleep(Duration::from_millis(200 << tried));
                }
                done => return done,
            }
        }
    }

    async fn get(&self, path: &str, what: &str) -> Result<Option<Schema>> {
        let what = self.act(what);
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{path}", self.url.path().trim_end_matches('/')));
        let mut request = self.client.get(plain(&url)).header("accept", "application/vnd.schemaregistry.v1+json");
        if !url.username().is_empty() {
            request = request.basic_auth(unescaped(url.username()), url.password().map(unescaped));
        }
        let unreachable = |e: reqwest::Error| Error::new(Kind::Unreachable, what.clone(), e.without_url());
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        match status.as_u16() {
            200 => {
                let schema = serde_json::from_slice(&body);
                schema.map(Some).map_err(|_| Error::data(what, "it answers something else than a schema"))
            }
            401 | 403 => Err(Error::project(what, "it does not let this user in")),
            // A place that is no registry has no page of this name either; a registry says that it looked.
            404 if error_code(&body) == Some(NO_SCHEMA) => Ok(None),
            404 => Err(absent(what)),
            429 | 500.. => Err(Error::new(Kind::Unreachable, what, format!("it answers {status}"))),
            _ => Err(Error::data(what, format!("it answers {status}"))),
        }
    }
}

/// The code of an error by which a registry says that it has no schema of an id.
const NO_SCHEMA: u64 = 40403;

fn error_code(body: &[u8]) -> Option<u64> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?.get("error_code")?.as_u64()
}

fn absent(what: String) -> Error {
    Error::data(what, "it has no such schema: is it the registry that the records were written with?")
}

/// What a registry's URL must be; the message holds nothing of it.
pub fn parse(url: &str) -> Result<Url, &'static str> {
    const HOW: &str = "write it as `http://host:8081` or `https://user:password@host`";
    let url = Url::parse(url).map_err(|_| HOW)?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(HOW) }
}

/// The URL without whoever signs in.
fn plain(url: &Url) -> Url {
    let mut url = url.clone();
    // Of a URL with a host these do not fail.
    let _ = (url.set_username(""), url.set_password(None));
    url
}

fn unescaped(text: &str) -> String {
    let pairs = format!("a={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pairs.as_bytes()).next().map(|(_, text)| text.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::{Path, State};
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::get;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A registry that counts; schema 7 is there, 8 after two failures, 11 after it was said twice not to be.
    async fn server(asked: Arc<AtomicUsize>) -> String {
        async fn schema(
            State(asked): State<Arc<AtomicUsize>>,
            Path(id): Path<u32>,
            headers: HeaderMap,
        ) -> (StatusCode, String) {
            let count = asked.fetch_add(1, Ordering::SeqCst);
            if headers.get("authorization").is_none_or(|who| who != "Basic YW5hOnBAc3M=") {
                return (StatusCode::UNAUTHORIZED, String::new());
            }
            match id {
                7 => (StatusCode::OK, r#"{"schema":"\"string\""}"#.into()),
                8 if count >= 2 => (StatusCode::OK, r#"{"schema":"x","schemaType":"PROTOBUF"}"#.into()),
                8 => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
                11 if count >= 2 => (StatusCode::OK, r#"{"schema":"\"int\""}"#.into()),
                9 | 11 => (StatusCode::NOT_FOUND, r#"{"error_code":40403}"#.into()),
                _ => (StatusCode::NOT_FOUND, "no such page".into()),
            }
        }
        let app = axum::Router::new().route("/base/schemas/ids/{id}", get(schema)).with_state(asked);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        address.to_string()
    }

    async fn ask(url: String, id: u32) -> Result<Option<Arc<Schema>>> {
        let registry = Registry::new(&url, Duration::from_secs(5)).expect("a client");
        let ask = move || {
            registry.look_up([id, id])?;
            registry.look_up([id]).map(|()| registry.by_id(id))
        };
        tokio::task::spawn_blocking(ask).await.expect("an answer")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_schema_is_asked_for_once_and_what_is_wrong_is_told_without_the_password() {
        let asked = Arc::new(AtomicUsize::new(0));
        let address = server(asked.clone()).await;
        let schema = ask(format!("http://ana:p%40ss@{address}/base/"), 7).await.expect("an answer").expect("a schema");
        assert_eq!((schema.schema.as_str(), schema.kind.as_str()), ("\"string\"", "AVRO"));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        asked.store(0, Ordering::SeqCst);
        let schema =
            ask(format!("http://ana:p%40ss@{address}/base"), 8).await.expect("an answer").expect("the third time");
        assert_eq!((schema.kind.as_str(), asked.load(Ordering::SeqCst)), ("PROTOBUF", 3));
        for (user, id, kind, word) in [
            ("ana:hunter2@", 7, Kind::Project, "let this user in"),
            ("", 7, Kind::Project, "let this user in"),
            ("ana:p%40ss@", 10, Kind::Data, "no such schema"),
        ] {
            let error = ask(format!("http://{user}{address}/base"), id).await.expect_err("an error");
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.to_string().contains(word) && !error.to_string().contains("hunter2"), "{error}");
        }
        let error = ask("http://ana:hunter2@127.0.0.1:1".into(), 7).await.expect_err("an error");
        assert!(error.kind == Kind::Unreachable && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    /// One node of several may not have read yet what was registered through another.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_schema_that_is_said_not_to_be_there_is_believed_after_a_while() {
        let asked = Arc::new(AtomicUsize::new(0));
        let url = format!("http://ana:p%40ss@{}/base", server(asked.clone()).await);
        let schema = ask(url.clone(), 11).await.expect("an answer").expect("the third time");
        assert_eq!((schema.schema.as_str(), asked.load(Ordering::SeqCst)), ("\"int\"", 3));
        asked.store(0, Ordering::SeqCst);
        let start = tokio::time::Instant::now();
        assert_eq!(ask(url, 9).await.expect("an answer"), None, "it says that there is none");
        assert_eq!(asked.load(Ordering::SeqCst), 2 + WAITS.len(), "it was waited for once");
        let waited: Duration = WAITS.iter().sum();
        assert!((waited..waited * 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
}

//! Another's registry, over its HTTP API.

use super::access::{Schemas, Verdict, told};
use super::change::Level;
use super::percent::decoded;
use super::schema::Definition;
use super::store::{Fault, Listed, Registered};
use async_trait::async_trait;
use kernel::error::{Error, Kind, Result, redacted};
use reqwest::{Client, Method, Url, redirect};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(20);
/// A schema of this size is none that somebody wrote.
const BYTES_MAX: usize = 16 << 20;
const CONTENT: &str = "application/vnd.schemaregistry.v1+json";

/// A client. Who signs in stands in the URL (`https://USER:PASSWORD@host`) and is sent by basic authentication.
pub struct Remote {
    client: Client,
    base: Url,
    user: Option<(String, String)>,
    shown: String,
}

/// What the API says of a version; parts of it are missing in some answers.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    subject: String,
    #[serde(default)]
    version: i32,
    #[serde(default)]
    id: i32,
    #[serde(default)]
    guid: String,
    #[serde(flatten)]
    definition: Definition,
}

impl Remote {
    /// Checks the URL, and opens nothing.
    pub fn new(url: &str) -> Result<Self> {
        let shown = redacted(url);
        let wrong = |why: &str| Error::project(format!("the registry {shown}"), why);
        let mut base = Url::parse(url).map_err(|_| wrong("this is no URL; write it as http://HOST:8081"))?;
        if !["http", "https"].contains(&base.scheme()) || base.cannot_be_a_base() {
            return Err(wrong("a registry is reached by http:// or https://"));
        }
        let user = (!base.username().is_empty())
            .then(|| (decoded(base.username()), decoded(base.password().unwrap_or_default())));
        let bare = base.set_username("").and_then(|()| base.set_password(None));
        bare.map_err(|()| wrong("its host can't have a user"))?;
        let builder = Client::builder().connect_timeout(CONNECT).timeout(WHOLE).redirect(redirect::Policy::none());
        let client =
            builder.build().map_err(|_| Error::internal("prepare to ask a registry", "the client did not start"))?;
        Ok(Self { client, base, user, shown })
    }

    /// Asks; `Ok(Err(…))` is what the registry refuses.
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &str,
        body: Option<Value>,
    ) -> Result<Result<Value, Fault>> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let mut request = self.client.request(method, url).header("Accept", CONTENT);
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request.header("Content-Type", CONTENT).body(body.to_string());
        }
        let failed = |e: reqwest::Error| {
            let why = if e.is_timeout() { "it does not answer in time" } else { "it can't be reached" };
            Error::new(Kind::Unreachable, format!("ask the registry {}", self.shown), why)
        };
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > BYTES_MAX {
                return Err(Error::data(format!("ask the registry {}", self.shown), "its answer is too large"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(self.read(status, &bytes))
    }

    fn read(&self, status: u16, bytes: &[u8]) -> Result<Value, Fault> {
        let value: Option<Value> = serde_json::from_slice(bytes).ok();
        match (status, value) {
            (200..=299, Some(value)) => Ok(value),
            (200..=299, None) => Err(Fault::new(
                502,
                format!("{} answers with something that is no JSON; is it a schema registry?", self.shown),
            )),
            (401 | 403, _) => Err(Fault::new(
                status.into(),
                format!("{} refuses whoever asks: look at the user and password in its URL", self.shown),
            )),
            (status, value) => {
                let code = value
                    .as_ref()
                    .and_then(|value| value.get("error_code")?.as_u64())
                    .and_then(|code| u32::try_from(code).ok());
                let message =
                    value.as_ref().and_then(|value| value.get("message")?.as_str()).unwrap_or("it does not say why");
                Err(Fault::new(code.unwrap_or(status.into()), format!("{} refuses: {message}", self.shown)))
            }
        }
    }

    async fn must(&self, what: &str, method: Method, path: &[&str], query: &str, body: Option<Value>) -> Result<Value> {
        self.ask(method, path, query, body).await?.map_err(|fault| told(what, &fault))
    }

    async fn look(&self, what: &str, method: Method, path: &[&str], body: Option<Value>) -> Result<Option<Registered>> {
        match self.ask(method, path, "", body).await? {
            Ok(value) => registered(&value).map(Some).ok_or_else(|| self.strange(what)),
            Err(fault) if fault.status() == 404 => Ok(None),
            Err(fault) => Err(told(what, &fault)),
        }
    }

    fn strange(&self, what: &str) -> Error {
        Error::data(what, format!("{} answers with something else than a schema registry does", self.shown))
    }
}

fn registered(value: &Value) -> Option<Registered> {
    let Told { subject, version, id, guid, definition } = serde_json::from_value(value.clone()).ok()?;
    Some(Registered { subject, version, id, guid, definition })
}

#[async_trait]
impl Schemas for Remote {
    fn place(&self) -> String {
        self.shown.clone()
    }

    async fn version(&self, subject: &str, version: Option<i32>) -> Result<Option<Registered>> {
        let version = version.map_or("latest".to_owned(), |version| version.to_string());
        self.look("read a schema", Method::GET, &["subjects", subject, "versions", &version], None).await
    }

    async fn verdict(&self, subject: &str, definition: &Definition) -> Result<Verdict> {
        let what = "hold a schema against its registry";
        let Some(last) = self.version(subject, None).await? else { return Ok(Verdict::New) };
        let known = self.look(what, Method::POST, &["subjects", subject], Some(json!(definition))).await?;
        if let Some(known) = known {
            return Ok(Verdict::Same { version: known.version, id: known.id });
        }
        let path = ["compatibility", "subjects", subject, "versions"];
        let told = self.must(what, Method::POST, &path, "verbose=true", Some(json!(definition))).await?;
        match told.get("is_compatible").and_then(Value::as_bool) {
            Some(true) => Ok(Verdict::Changed { after: last.version }),
            Some(false) => {
                let why = told.get("messages").and_then(Value::as_array).into_iter().flatten();
                let why = why.filter_map(Value::as_str).map(str::to_owned).collect();
                let level = self.level(subject).await?.name().to_owned();
                Ok(Verdict::Incompatible { version: last.version, level, why })
            }
            None => Err(self.strange(what)),
        }
    }

    async fn register(&self, subject: &str, definition: &Definition) -> Result<Registered> {
        let what = format!("register the schema {subject}");
        self.must(&what, Method::POST, &["subjects", subject, "versions"], "", Some(json!(definition))).await?;
        let path = ["subjects", subject];
        let found = self.look(&what, Method::POST, &path, Some(json!(definition))).await?;
        found.ok_or_else(|| self.strange(&what))
    }

    async fn list(&self) -> Result<Vec<Listed>> {
        let what = "list the registry";
        let names = self.must(what, Method::GET, &["subjects"], "", None).await?;
        let names: Vec<String> = serde_json::from_value(names).map_err(|_| self.strange(what))?;
        let mut all = Vec::new();
        for subject in names {
            let versions = self.must(what, Method::GET, &["subjects", &subject, "versions"], "", None).await?;
            let Some(last) = self.version(&subject, None).await? else { continue };
            let versions = versions.as_array().map_or(0, Vec::len);
            all.push(Listed { subject, version: last.version, id: last.id, versions });
        }
        Ok(all)
    }

    async fn level(&self, subject: &str) -> Result<Level> {
        let what = "read what a subject allows";
        let told = match self.ask(Method::GET, &["config", subject], "defaultToGlobal=true", None).await? {
            // Some don't know the option.
            Err(fault) if fault.status() == 404 => self.must(what, Method::GET, &["config"], "", None).await?,
            other => other.map_err(|fault| told(what, &fault))?,
        };
        let level = told.get("compatibilityLevel").and_then(Value::as_str).and_then(Level::parse);
        level.ok_or_else(|| self.strange(what))
    }

    async fn set_level(&self, subject: &str, level: Level) -> Result<()> {
        let body = json!({ "compatibility": level.name() });
        self.must("set what a subject allows", Method::PUT, &["config", subject], "", Some(body)).await.map(drop)
    }
}

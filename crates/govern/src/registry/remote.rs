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
/// How often, and how far apart, a level that was set is asked for: of several servers one may be told a little later.
const LEVEL_TRIES: u32 = 3;
const LEVEL_WAIT: Duration = Duration::from_millis(300);
const CONTENT: &str = "application/vnd.schemaregistry.v1+json";

/// A registry that looked and found nothing says so by a number of the API (40401, …); a place that is none has no such
/// page either.
const FIRST_OF_API: u32 = 1_000;
const NO_REGISTRY: &str =
    "has no such page: is the path of its URL that of a schema registry? Some have it below one, as /apis/ccompat/v7";

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
                if status == 404 && code.is_none_or(|code| code < FIRST_OF_API) {
                    return Err(Fault::new(404, format!("{} {NO_REGISTRY}", self.shown)));
                }
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
            Err(fault) if fault.status() == 404 && fault.code >= FIRST_OF_API => Ok(None),
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
                let mut why: Vec<String> = why.filter_map(Value::as_str).map(str::to_owned).collect();
                if why.is_empty() {
                    why.push("its registry does not say why".to_owned());
                }
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
        let what = "set what a subject allows";
        self.must(what, Method::PUT, &["config", subject], "", Some(body)).await?;
        // Some answer well and keep what they had.
        for tried in 1.. {
            let found = self.level(subject).await?;
            if found == level {
                break;
            }
            if tried == LEVEL_TRIES {
                let detail = format!(
                    "{} took {} for {subject} and still answers {}. Some, such as Apicurio, take NONE for no level of its \
                     own, so that the one of all subjects holds: change that one there",
                    self.shown,
                    level.name(),
                    found.name()
                );
                return Err(Error::refused(what, detail));
            }
            tokio::time::sleep(LEVEL_WAIT).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::{Method, StatusCode, Uri};

    type Answers = &'static [(&'static str, u16, &'static str)];

    const LAST: (&str, u16, &str) =
        ("GET /subjects/s/versions/latest", 200, r#"{"subject":"s","version":2,"id":1,"schema":"{}"}"#);

    /// A server with these answers, by method and path; any other page it does not have.
    async fn server(answers: Answers) -> Remote {
        let answer = move |method: Method, uri: Uri| async move {
            let call = format!("{method} {}", uri.path());
            let found = answers.iter().find(|(known, ..)| *known == call);
            let (_, status, body) = found.copied().unwrap_or(("", 404, "<html>no such page</html>"));
            (StatusCode::from_u16(status).expect("a status"), body)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Remote::new(&format!("http://{address}")).expect("a client")
    }

    #[tokio::test]
    async fn a_place_that_is_no_registry_is_told_from_one_that_has_no_such_subject() {
        let not_there: Answers = &[("GET /subjects/s/versions/latest", 404, r#"{"error_code":40401,"message":"no"}"#)];
        assert_eq!(server(not_there).await.version("s", None).await.expect("an answer"), None);
        let no_page: Answers = &[("GET /subjects/s/versions/latest", 404, r#"{"error_code":404,"message":"no"}"#)];
        for elsewhere in [no_page, &[]] {
            let told = server(elsewhere).await.version("s", None).await.expect_err("no registry");
            assert_eq!(told.kind, Kind::Project);
            assert!(told.to_string().contains("is the path of its URL that of a schema registry?"), "{told}");
        }
    }

    #[tokio::test]
    async fn that_a_registry_gives_no_reason_is_said() {
        let registry = server(&[
            LAST,
            ("POST /subjects/s", 404, r#"{"error_code":40403,"message":"no"}"#),
            ("POST /compatibility/subjects/s/versions", 200, r#"{"is_compatible":false}"#),
            ("GET /config/s", 200, r#"{"compatibilityLevel":"BACKWARD"}"#),
        ]);
        let verdict = registry.await.verdict("s", &Definition::default()).await.expect("a verdict");
        let why = vec!["its registry does not say why".to_owned()];
        assert_eq!(verdict, Verdict::Incompatible { version: 2, level: "BACKWARD".to_owned(), why });
    }

    #[tokio::test]
    async fn a_level_that_was_not_kept_is_refused() {
        let registry = server(&[
            ("PUT /config/s", 200, r#"{"compatibilityLevel":"NONE"}"#),
            ("GET /config/s", 200, r#"{"compatibilityLevel":"BACKWARD"}"#),
        ]);
        let registry = registry.await;
        registry.set_level("s", Level::Backward).await.expect("it is the one that is answered");
        let told = registry.set_level("s", Level::None).await.expect_err("another one is answered");
        assert_eq!(told.kind, Kind::Refused);
        assert!(told.to_string().contains("took NONE for s and still answers BACKWARD"), "{told}");
    }
}

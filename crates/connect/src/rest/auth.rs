//! Who asks: what is put into a request, and how it is had anew.

use super::http::{hidden, trouble};
use super::options::{Auth as Options, AuthType, ClientAuth, KeyPlace};
use super::token_file::{TokenFile, apart};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::clock::Timestamp;
use kernel::error::{Error, Kind, Result, redacted};
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, PoisonError};
use tokio::sync::{Mutex, oneshot};
use url::{Url, form_urlencoded};

pub struct Auth {
    options: Options,
    /// Where the paths of files begin.
    base: PathBuf,
    held: Option<Held>,
    refresh: Refresh,
}

/// A refresh token that the server gave in the place of the option's, or that could not be put into its file; of all that begin
/// with the same one.
type Refresh = Arc<Mutex<Option<Secret>>>;

/// Servers that give another refresh token with each answer take each one once. So the newest is kept for as long as the
/// process lives, by where it is used, by whom, and by the option's token that it came from: the next source that is opened
/// goes on with it, and two at once wait for each other.
static REFRESHED: LazyLock<std::sync::Mutex<HashMap<[String; 3], Refresh>>> = LazyLock::new(Default::default);

fn refresh(options: &Options, base: &Path) -> Refresh {
    let first = match (&options.refresh_token, &options.token_file) {
        (Some(token), _) => token.reveal().to_owned(),
        (None, Some(file)) => base.join(file).to_string_lossy().into_owned(),
        (None, None) => return Refresh::default(),
    };
    let url = options.token_url.clone().unwrap_or_default();
    let key = [url, revealed(&options.client_id).to_owned(), first];
    REFRESHED.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

struct Held {
    header: HeaderValue,
    until: Option<Timestamp>,
}

impl Auth {
    pub fn new(options: &Options, base: PathBuf) -> Self {
        Self { options: options.clone(), held: None, refresh: refresh(options, &base), base }
    }

    /// The query parameter that holds a key: no position keeps it.
    pub fn parameter(&self) -> Option<&str> {
        let in_query = self.options.kind == AuthType::ApiKey && self.options.place == KeyPlace::Query;
        in_query.then(|| self.options.name.as_deref().unwrap_or("api_key"))
    }

    pub fn put_into_url(&self, url: &mut Url) {
        if let (Some(name), Some(key)) = (self.parameter(), &self.options.key) {
            url.query_pairs_mut().append_pair(name, key.reveal());
        }
    }

    /// The server no longer takes the credential: forgets it, and says whether another one can be had.
    pub fn renew(&mut self) -> bool {
        let can = self.options.kind == AuthType::Oauth2 || self.options.token_file.is_some();
        can && self.held.take().is_some()
    }

    /// The header that says who asks.
    pub async fn header(&mut self, client: &Client, now: Timestamp) -> Result<Option<(HeaderName, HeaderValue)>> {
        let options = &self.options;
        let (name, value) = match options.kind {
            AuthType::None => return Ok(None),
            AuthType::ApiKey if options.place == KeyPlace::Query => return Ok(None),
            AuthType::ApiKey => {
                let name = options.name.as_deref().unwrap_or("X-Api-Key");
                (HeaderName::try_from(name).map_err(|_| unusable())?, revealed(&options.key).to_owned())
            }
            AuthType::Basic => (AUTHORIZATION, basic(revealed(&options.user), revealed(&options.password))),
            AuthType::Bearer | AuthType::Oauth2 => {
                let is_over = |held: &Held| held.until.is_some_and(|until| now >= until);
                if self.held.as_ref().is_none_or(is_over) {
                    self.held = Some(self.fetch(client, now).await?);
                }
                return Ok(self.held.as_ref().map(|held| (AUTHORIZATION, held.header.clone())));
            }
        };
        Ok(Some((name, hidden(&value).ok_or_else(unusable)?)))
    }

    async fn fetch(&self, client: &Client, now: Timestamp) -> Result<Held> {
        if self.options.kind == AuthType::Oauth2 {
            return self.ask_for_token(client, now).await;
        }
        let token = match (&self.options.token, &self.options.token_file) {
            (Some(token), _) => token.reveal().to_owned(),
            (None, Some(file)) => {
                let path = self.base.join(file);
                let read = tokio::fs::read_to_string(&path).await;
                read.map_err(|e| kernel::error::io(format!("read the token in {file}"), e))?
            }
            (None, None) => String::new(),
        };
        Ok(Held { header: hidden(&format!("Bearer {}", token.trim())).ok_or_else(unusable)?, until: None })
    }

    /// Who drops this call has lost no refresh token: what was asked is heard to its end, and what was not is asked no more.
    async fn ask_for_token(&self, client: &Client, now: Timestamp) -> Result<Held> {
        let file = self.options.token_file.as_ref().map(|file| self.base.join(file));
        let (client, options, refresh) = (client.clone(), self.options.clone(), self.refresh.clone());
        let (mut answer, given) = oneshot::channel();
        tokio::spawn(async move {
            let given = ask_for_token(client, options, refresh, file, &mut answer).await;
            // Nobody may wait for it any more.
            let _ = answer.send(given);
        });
        let given = given.await.map_err(|_| Error::internal("get a token", "its task broke off"))??;
        let header = hidden(&format!("Bearer {}", given.access_token.reveal()));
        let header = header.ok_or_else(|| strange(&shown(&self.options)))?;
        let until = given.expires_in.and_then(|seconds| seconds.reveal().parse::<f64>().ok());
        // A token that ends while it is under way would cost a second question.
        let until = until.map(|seconds| Timestamp(now.0 + ((seconds - (seconds / 10.0).min(30.0)) * 1e6) as i64));
        Ok(Held { header, until })
    }
}

/// Client credentials (RFC 6749 §4.4) or a refresh token (§6). Another refresh token that comes with the answer is kept
/// before anybody else asks. Nobody is asked once `answer` has nobody who waits for it.
async fn ask_for_token(
    client: Client,
    options: Options,
    refresh: Refresh,
    file: Option<PathBuf>,
    answer: &mut oneshot::Sender<Result<Given>>,
) -> Result<Given> {
    let turn = async {
        let newest = refresh.lock().await;
        let file = match file {
            Some(path) => Some(TokenFile::take(path).await?),
            None => None,
        };
        Ok((newest, file))
    };
    let unheard = || Err(Error::new(Kind::Stopped, shown(&options), "nobody waits for it any more"));
    let (mut newest, file) = tokio::select! {
        biased;
        () = answer.closed() => return unheard(),
        turn = turn => turn?,
    };
    // Behind the file: who ends the process has seen it held by then, or nobody is asked.
    if answer.is_closed() {
        return unheard();
    }
    let token = match (&*newest, &file) {
        (Some(newest), _) => Some(newest.clone()),
        (None, Some(file)) => Some(file.token().await?),
        (None, None) => options.refresh_token.clone(),
    };
    let given = ask(&client, &options, token.as_ref()).await?;
    let another = given.refresh_token.clone().filter(|another| token.as_ref().is_some_and(|token| token != another));
    match file {
        // One that could not be put there the last time is, too.
        Some(file) => {
            let Some(due) = another.or_else(|| newest.take()) else { return Ok(given) };
            *newest = Some(due.clone());
            match apart(move || file.put(&due)).await {
                Ok(()) => *newest = None,
                Err(error) => tracing::error!("{error}; the newest token is kept for as long as this process lives"),
            }
        }
        None => {
            let Some(another) = another else { return Ok(given) };
            if newest.replace(another).is_none() {
                let url = redacted(options.token_url.as_deref().unwrap_or_default());
                tracing::warn!(
                    token_url = &*url,
                    "the server gave another refresh token; it is kept for as long as this process lives, and the next one begins \
                     with the one in `auth` again: `token_file` keeps the newest"
                );
            }
        }
    }
    Ok(given)
}

async fn ask(client: &Client, options: &Options, refresh: Option<&Secret>) -> Result<Given> {
    let shown = shown(options);
    let url = options.token_url.as_deref().unwrap_or_default();
    let mut request = client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if options.client_auth == ClientAuth::Basic {
        let who = basic(revealed(&options.client_id), revealed(&options.client_secret));
        request = request.header(AUTHORIZATION, hidden(&who).ok_or_else(unusable)?);
    }
    let response = request.body(form(options, refresh)).send().await.map_err(|e| trouble(&shown, &e))?;
    let status = response.status().as_u16();
    let body = response.bytes().await.map_err(|e| trouble(&shown, &e))?;
    match status {
        200..300 => {}
        408 | 429 | 500.. => {
            return Err(Error::new(Kind::Unreachable, shown, format!("it can't answer now (HTTP {status})")));
        }
        _ => return Err(refused(shown, status, &body)),
    }
    serde_json::from_slice(&body).map_err(|_| strange(&shown))
}

fn form(options: &Options, refresh: Option<&Secret>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    match refresh {
        Some(token) => form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.reveal()),
        None => form.append_pair("grant_type", "client_credentials"),
    };
    let asked = [("scope", &options.scope), ("audience", &options.audience)];
    form.extend_pairs(asked.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    if options.client_auth == ClientAuth::Body {
        form.append_pair("client_id", revealed(&options.client_id));
        form.append_pair("client_secret", revealed(&options.client_secret));
    }
    form.finish()
}

fn shown(options: &Options) -> String {
    format!("get a token from {}", redacted(options.token_url.as_deref().unwrap_or_default()))
}

fn strange(shown: &str) -> Error {
    Error::new(Kind::Unreachable, shown, "its answer is not what RFC 6749 says")
}

#[derive(Deserialize)]
struct Given {
    access_token: Secret,
    expires_in: Option<Secret>,
    refresh_token: Option<Secret>,
}

fn revealed(secret: &Option<Secret>) -> &str {
    secret.as_ref().map_or("", Secret::reveal)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// With the standard's own word for the reason (RFC 6749 §5.2), and nothing else of the answer.
fn refused(shown: String, status: u16, body: &[u8]) -> Error {
    #[derive(Deserialize)]
    struct Why {
        error: String,
    }
    const WORDS: [&str; 6] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ];
    let why =
        serde_json::from_slice::<Why>(body).ok().and_then(|why| WORDS.into_iter().find(|word| *word == why.error));
    let why = why.map_or(String::new(), |word| format!(", {word}"));
    Error::refused(shown, format!("it gives none to this client (HTTP {status}{why}); look at `auth`"))
}

fn unusable() -> Error {
    Error::project("take the credentials under `auth`", "they have a character that no header takes")
}

//! One request to a key system: bounded in time and size, never redirected, its outcome as one of our kinds of error.

use kernel::error::{Error, Kind, Result};
use reqwest::{Certificate, Client, RequestBuilder, redirect};
use serde::de::DeserializeOwned;
use std::error::Error as _;
use std::time::Duration;
use zeroize::Zeroizing;

const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 12 });
/// A wrapped secret is a few hundred bytes, an access token a few thousand.
const BYTES_MAX: usize = 1 << 18;

/// A client of its own for each errand: nothing stays open between two, which are minutes apart. A redirect would carry the
/// credentials along, so that none is followed.
pub(super) fn client(authorities: &[Certificate]) -> Result<Client> {
    let builder = Client::builder().connect_timeout(CONNECT).timeout(WHOLE).redirect(redirect::Policy::none());
    let builder = authorities.iter().cloned().fold(builder, |builder, one| builder.tls_certs_merge([one]));
    builder.build().map_err(|e| Error::internal("prepare to ask a key system", causes(&e)))
}

/// What came back, whatever its status; wiped when it is dropped.
pub(super) struct Answer {
    pub status: u16,
    body: Zeroizing<Vec<u8>>,
    who: String,
}

/// Sends a request; `who` is the system, for people. Network, time and TLS are `Unreachable`.
pub(super) async fn send(request: RequestBuilder, who: &str) -> Result<Answer> {
    let failed = |e: reqwest::Error| unreachable(who, &e);
    let mut answer = request.send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let mut body = Zeroizing::new(Vec::with_capacity(BYTES_MAX));
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        // Within its capacity it never moves, and leaves no copy behind.
        if body.len() + chunk.len() > BYTES_MAX {
            return Err(strange(who));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body, who: who.to_owned() })
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The JSON of a good answer.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        self.peek().ok_or_else(|| strange(&self.who))
    }

    /// The JSON of any answer, when it has this form.
    pub fn peek<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The error of an answer that is none of those a system has a better word for. Everything that may pass is
    /// `Unreachable`, which is tried again.
    pub fn failure(&self, code: &str, remedy: &str) -> Error {
        let (kind, why) = match self.status {
            300..=399 => (Kind::Project, "it answers with a redirect, which is not followed: name the right address"),
            404 => (Kind::Project, "it knows no such key or path"),
            401 | 403 => (Kind::Refused, "it refuses"),
            408 | 429 | 500.. => (Kind::Unreachable, "it can't answer now"),
            _ => (Kind::Refused, "it refuses the request"),
        };
        let code = word(code);
        let told = if code.is_empty() { String::new() } else { format!(", {code}") };
        Error::new(kind, format!("ask {}", self.who), format!("{why} (HTTP {}{told}); {remedy}", self.status))
    }
}

/// A system's own word for a failure, such as `AccessDeniedException`. Anything longer or odder could quote something.
fn word(code: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ' ' | ':' | '(' | ')');
    if code.len() <= 120 && code.chars().all(fits) { code } else { "" }
}

fn unreachable(who: &str, error: &reqwest::Error) -> Error {
    let why = match error.is_timeout() {
        true => "it gave no answer in time".to_owned(),
        false => causes(error),
    };
    let remedy = "look at the address under `keys:`, the network and the server; no row passes until it answers";
    Error::new(Kind::Unreachable, format!("ask {who}"), format!("{why}; {remedy}"))
}

/// An error's innermost cause: the outer ones repeat the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    match error.source() {
        Some(_) => inner.to_string(),
        None => "the request failed".into(),
    }
}

fn strange(who: &str) -> Error {
    let detail = "its answer is not what its API says; is another program at that address?";
    Error::new(Kind::Unreachable, format!("ask {who}"), detail)
}

/// Base64 of an answer as the 32 bytes of a secret.
pub(super) fn root(text: String, engine: &impl base64::Engine, who: &str) -> Result<super::Root> {
    let text = Zeroizing::new(text);
    let bytes = engine.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| strange(who))?;
    let root: [u8; 32] = bytes.as_slice().try_into().map_err(|_| strange(who))?;
    Ok(Zeroizing::new(root))
}

/// A credential from the environment; an empty one is none.
pub(super) fn secret(env: super::Env, name: &str) -> Option<Zeroizing<String>> {
    env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).map(Zeroizing::new)
}

/// A header that no log may show.
pub(super) fn hidden(value: &str) -> Result<reqwest::header::HeaderValue> {
    let value = reqwest::header::HeaderValue::from_str(value);
    let mut value =
        value.map_err(|_| Error::project("take a credential", "it has a character that no header takes"))?;
    value.set_sensitive(true);
    Ok(value)
}

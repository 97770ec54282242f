//! One question to an API: paced, signed, repeated while its failure may pass, bounded in time and size.
//!
//! Nothing of an answer's body is ever put into an error: it is somebody's data. A status, a place and a count are enough.

use super::auth::Auth;
use super::options::{Format, Method, Options};
use super::retry::{self, Wait};
use super::urls::Home;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use kernel::clock::{Clock, Timestamp};
use kernel::error::{Error, Kind, Result};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK,
};
use reqwest::{Certificate, Client, RequestBuilder, redirect};
use std::error::Error as _;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use twox_hash::XxHash3_64;
use url::Url;

/// What is asked.
#[derive(Clone)]
pub struct Ask {
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// How the answer is written.
    pub format: Format,
    /// For messages: method, host and the path as it was written, with no value in it.
    pub shown: Arc<str>,
}

/// What came back, of a status that is not taken for a passing trouble.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// The `Link` headers.
    pub links: Vec<String>,
}

impl Answer {
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it has to have no body (RFC 9110 §15.3.5, §15.3.6).
    pub fn is_without_content(&self) -> bool {
        matches!(self.status, 204 | 205)
    }

    /// The error of an answer that is not good.
    pub fn failure(&self, shown: &str) -> Error {
        let (kind, why) = match self.status {
            304 => (Kind::Project, "it answers that nothing is new; leave `If-…` out of `headers`"),
            300..=399 => (Kind::Project, "it answers with a redirect that leads away; name the right address"),
            401 => (Kind::Refused, "it does not take the credentials; look at `auth`"),
            403 => (Kind::Refused, "it refuses these credentials what they ask for"),
            404 | 410 => (Kind::Project, "it knows no such path; look at `connection` and `path`"),
            405 => (Kind::Project, "it does not take this `method` here"),
            _ => (Kind::Project, "it takes the request for wrong; look at `params`, `pagination` and `incremental`"),
        };
        Error::new(kind, shown, format!("{why} (HTTP {})", self.status))
    }
}

pub struct Http {
    client: Client,
    auth: Auth,
    clock: Arc<dyn Clock>,
    headers: HeaderMap,
    method: Method,
    pace: Option<Interval>,
    retries_max: u32,
    backoff: Duration,
    dice: fastrand::Rng,
    wait_max: Duration,
    /// Of one request.
    timeout: Duration,
    body_bytes_max: usize,
    slowest: Duration,
}

impl Http {
    pub fn new(options: &Options, auth: Auth, home: Home, base: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let timeout = Duration::from_millis(options.timeout_ms);
        let builder = Client::builder().timeout(timeout).connect_timeout(timeout).redirect(followed(home));
        let authorities = options.ca_file.as_ref().map_or(Ok(Vec::new()), |file| authorities(file, base))?;
        let builder = if authorities.is_empty() { builder } else { builder.tls_certs_merge(authorities) };
        let client = builder.build().map_err(|e| Error::internal("prepare to ask an API", cause(&e)))?;
        let pace = options.requests_per_minute_max.map(|most| {
            let mut pace = interval(Duration::from_secs(60) / most.max(1));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        let dice = dice(options, clock.now());
        Ok(Self {
            client,
            auth,
            clock,
            headers: headers(options)?,
            method: options.method,
            pace,
            retries_max: options.retries_max,
            backoff: Duration::from_millis(options.backoff_ms),
            dice,
            wait_max: Duration::from_secs(options.retry_after_seconds_max),
            timeout,
            body_bytes_max: options.body_bytes_max,
            slowest: Duration::ZERO,
        })
    }

    /// The longest that a request took since this was called last, with its answer or without one. What was waited for before
    /// it is no slowness of the server's.
    pub fn slowest(&mut self) -> Duration {
        std::mem::take(&mut self.slowest)
    }

    /// Asks until there is an answer that is no passing trouble, or patience ends: then it is `Unreachable`. So it is, and at
    /// once, while the server wants to be left alone.
    pub async fn ask(&mut self, ask: &Ask) -> Result<Answer> {
        let (mut tries, mut renewed) = (0, false);
        let failed = |why: String| Error::new(Kind::Unreachable, &*ask.shown, why);
        loop {
            let left_alone = || retry::left_alone(&ask.url, self.clock.now());
            if let Some(pace) = &mut self.pace
                && left_alone().is_none()
            {
                pace.tick().await;
            }
            if let Some(until) = left_alone() {
                return Err(failed(format!("the server asked not to be asked before {}", retry::shown(until))));
            }
            let (trouble, named) = match self.once(ask).await {
                Ok(Once::Answer(answer)) if answer.status == 401 && !renewed && self.auth.renew() => {
                    renewed = true;
                    continue;
                }
                Ok(Once::Answer(answer)) => return Ok(answer),
                Ok(Once::Later(status, wait)) => (format!("it can't answer now (HTTP {status})"), wait),
                Err(error) if error.kind == Kind::Unreachable && error.what == *ask.shown => (error.detail, None),
                Err(error) if error.kind == Kind::Unreachable => (error.to_string(), None),
                Err(error) => return Err(error),
            };
            let wait = named.unwrap_or_else(|| retry::backoff(self.backoff, tries, &mut self.dice));
            if named.is_some_and(|wait| wait > self.wait_max) {
                let until = retry::shown(retry::leave_alone(&ask.url, wait, self.clock.now()));
                let seconds = wait.as_secs();
                return Err(failed(format!(
                    "{trouble}, and asks to wait for {seconds} s, longer than `retry_after_seconds_max`: it is left alone until \
                     {until}"
                )));
            }
            tries += 1;
            if tries > self.retries_max {
                return Err(failed(format!("{trouble}; asked {tries} times")));
            }
            tracing::debug!(ask = &*ask.shown, trouble, wait_ms = wait.as_millis() as u64, "asked again");
            sleep(wait).await;
        }
    }

    async fn once(&mut self, ask: &Ask) -> Result<Once> {
        let mut url = ask.url.clone();
        self.auth.put_into_url(&mut url);
        let method = match (self.method, &ask.body) {
            (Method::Post, Some(_)) => reqwest::Method::POST,
            _ => reqwest::Method::GET,
        };
        let mut request = self.client.request(method, url).headers(self.headers.clone()).headers(ask.headers.clone());
        let most = self.timeout.saturating_add(TURN_MAX);
        let header = timeout(most, self.auth.header(&self.client, self.clock.now())).await;
        if let Some((name, value)) = header.map_err(|_| no_turn(&ask.shown, most))?? {
            request = request.header(name, value);
        }
        if let Some(body) = &ask.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let begun = self.clock.now();
        let heard = heard(request, ask, self.body_bytes_max, begun).await;
        let took = self.clock.now().0.saturating_sub(begun.0);
        self.slowest = self.slowest.max(Duration::from_micros(u64::try_from(took).unwrap_or(0)));
        heard
    }
}

/// Sends a request and reads what comes back. The client's `timeout` is for all of it, from the name's look-up to the last byte.
async fn heard(request: RequestBuilder, ask: &Ask, body_bytes_max: usize, now: Timestamp) -> Result<Once> {
    let failed = |e: reqwest::Error| trouble(&ask.shown, &e);
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    if let Some(wait) = retry::later(status, response.headers(), now) {
        return Ok(Once::Later(status, wait));
    }
    let is_packed = response.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    let links = response.headers().get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    let links = links.map(str::to_owned).collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > body_bytes_max {
            return Err(too_long(&ask.shown, body_bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = Answer { status, body, links };
    if answer.is_without_content() {
        answer.body.clear();
        return Ok(Once::Answer(answer));
    }
    if is_packed {
        answer.body = unpacked(&ask.shown, &answer.body, body_bytes_max)?;
    }
    if answer.is_good() && ask.format == Format::Json {
        is_whole(&ask.shown, &mut answer)?;
    }
    Ok(Once::Answer(answer))
}

/// How long others may have the token that is asked with, and files may take to be read: nobody else limits that.
const TURN_MAX: Duration = Duration::from_secs(300);

/// No trouble of the server's, and one that asking again at once does not end.
fn no_turn(shown: &str, waited: Duration) -> Error {
    let why = format!(
        "its token was not to be had within {} s: somebody holds the lock beside `token_file`, or the file can't be read; look for \
         a process that hangs, and at the file's disk",
        waited.as_secs()
    );
    Error::new(Kind::Stopped, shown, why)
}

/// By what is asked and when, so that sources that were opened together do not wait alike.
fn dice(options: &Options, now: Timestamp) -> fastrand::Rng {
    let place = format!("{}/{}", options.connection, options.path);
    fastrand::Rng::with_seed(XxHash3_64::oneshot_with_seed(now.0.cast_unsigned(), place.as_bytes()))
}

enum Once {
    Answer(Answer),
    /// A status that may pass, and how long the server asks to wait.
    Later(u16, Wait),
}

fn too_long(shown: &str, most: usize) -> Error {
    Error::data(shown, format!("its answer is longer than {most} bytes (`body_bytes_max`)"))
}

fn unpacked(shown: &str, packed: &[u8], most: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    match MultiGzDecoder::new(packed).take(most as u64 + 1).read_to_end(&mut body) {
        Ok(_) if body.len() > most => Err(too_long(shown, most)),
        Ok(_) => Ok(body),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            let why = format!("its answer breaks off after {} bytes of gzip", packed.len());
            Err(Error::new(Kind::Unreachable, shown, why))
        }
        Err(_) => Err(Error::data(shown, "its answer is no gzip, as its `Content-Encoding` says")),
    }
}

/// One that breaks off, be it at its first byte, may come whole the next time; anything else that is no JSON will not.
fn is_whole(shown: &str, answer: &mut Answer) -> Result<()> {
    let Answer { status, body, .. } = answer;
    if body.starts_with(b"\xef\xbb\xbf") {
        body.drain(..3);
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(empty(shown, *status));
    }
    let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(body) else { return Ok(()) };
    let before = body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let at = before.map(<[u8]>::len).sum::<usize>() + error.column();
    let bytes = body.len();
    match error.is_eof() {
        true => Err(Error::new(Kind::Unreachable, shown, format!("its answer breaks off after {bytes} bytes"))),
        false => Err(Error::data(shown, format!("its answer of {bytes} bytes is no JSON from byte {at} on"))),
    }
}

/// An answer that has nothing where it must have JSON. Taken for a page without records it would end a pass.
pub fn empty(shown: &str, status: u16) -> Error {
    let why =
        format!("its answer is empty (HTTP {status}), where JSON must be; only HTTP 204 means that there is nothing");
    Error::new(Kind::Unreachable, shown, why)
}

/// Redirects are followed within the API's own place only: they take the credentials along.
fn followed(home: Home) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        let is_known = home.admits(attempt.url());
        if attempt.previous().len() > REDIRECTS_MAX || !is_known { attempt.stop() } else { attempt.follow() }
    })
}

const REDIRECTS_MAX: usize = 5;

fn authorities(file: &str, base: &Path) -> Result<Vec<Certificate>> {
    let what = format!("read the authorities in {file}");
    let text = std::fs::read(base.join(file)).map_err(|e| kernel::error::io(what.as_str(), e))?;
    match Certificate::from_pem_bundle(&text) {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(Error::project(what, "it holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)")),
    }
}

fn headers(options: &Options) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/x-ndjson;q=0.9, */*;q=0.1"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    for (name, value) in &options.headers {
        let wrong =
            || Error::project("prepare to ask an API", format!("`headers`: `{name}` is no header that can be sent"));
        let name = HeaderName::try_from(name).map_err(|_| wrong())?;
        headers.insert(name, hidden(value.reveal()).ok_or_else(wrong)?);
    }
    Ok(headers)
}

/// A header that no log may show.
pub fn hidden(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A request that got no answer, or half of one.
pub fn trouble(shown: &str, error: &reqwest::Error) -> Error {
    let why = match error {
        error if error.is_timeout() => "it gave no whole answer in time (`timeout_ms`)".to_owned(),
        error if error.is_connect() => format!("it can't be reached: {}", cause(error)),
        error => format!("its answer breaks off: {}", cause(error)),
    };
    Error::new(Kind::Unreachable, shown, why)
}

/// An error's innermost cause: the outer ones repeat the URL, and with it what stands there.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    match error.source() {
        Some(_) => inner.to_string(),
        None => "the request failed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_news_is_no_redirect() {
        let told = |status| Answer { status, body: Vec::new(), links: Vec::new() }.failure("GET x").detail;
        assert!(told(304).contains("leave `If-…` out of `headers` (HTTP 304)"), "{}", told(304));
        assert!(told(302).contains("a redirect that leads away"), "{}", told(302));
    }

    #[test]
    fn an_answer_that_breaks_off_is_told_from_one_that_is_no_json() {
        let told = |text: &str| {
            let mut answer = Answer { status: 202, body: text.into(), links: Vec::new() };
            is_whole("GET x", &mut answer).map_err(|e| (e.kind, e.detail))
        };
        assert_eq!(told("[1, {\"a\": null}]\n"), Ok(()));
        for nothing in ["", " \n", "\u{feff}"] {
            let (kind, why) = told(nothing).expect_err("it may come the next time");
            assert!(kind == Kind::Unreachable && why.starts_with("its answer is empty (HTTP 202)"), "{why}");
        }
        assert_eq!(told("[{\"a\":"), Err((Kind::Unreachable, "its answer breaks off after 6 bytes".into())));
        let html = told("\n<html>ana@example.com</html>").expect_err("no JSON");
        assert_eq!(html, (Kind::Data, "its answer of 29 bytes is no JSON from byte 2 on".into()));
    }
}

//! The router: who comes in, and what they are answered.

use super::delivery::{self, Delivery, Label, Name, Names, Seen};
use super::fields;
use super::options::{Format, Options};
use super::signature::{is_signed, is_stranger};
use crate::json_path::JsonPath;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt;
use kernel::Entity;
use kernel::clock::Clock;
use kernel::gate::Screen;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

pub struct Door {
    pub options: Options,
    pub records: JsonPath,
    pub clock: Arc<dyn Clock>,
    pub names: Names,
    /// Bytes that may still come in.
    pub room: Arc<Semaphore>,
    pub queue: mpsc::UnboundedSender<Delivery>,
    /// What records are expected to be.
    pub entity: Arc<Entity>,
    /// What the gate behind the source tells personal data by.
    pub screen: Arc<dyn Screen>,
    /// Whether the log has that records were refused.
    pub has_told: AtomicBool,
}

/// Answers below the path of the options.
pub fn router(door: Door) -> Router {
    let path = door.options.path.clone();
    Router::new().route(&path, post(deliver)).with_state(Arc::new(door))
}

/// An answer that is no success: its status, and a sentence without a value.
type Refusal = (StatusCode, String);

async fn deliver(State(door): State<Arc<Door>>, request: Request) -> Response {
    match door.take(request).await {
        Ok(said) => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], said.to_string()).into_response(),
        Err((status, why)) => {
            let said = json!({ "error": why }).to_string();
            let mut response = (status, [(CONTENT_TYPE, "application/json")], said).into_response();
            if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT) {
                response.headers_mut().insert(RETRY_AFTER, 1.into());
            }
            if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
                response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            response
        }
    }
}

impl Door {
    /// Takes a delivery in and waits until it is durable.
    async fn take(&self, request: Request) -> Result<Value, Refusal> {
        let (head, body) = request.into_parts();
        if is_stranger(&self.options.auth, &head.headers) {
            return Err(stranger());
        }
        if is_packed(&head.headers) {
            let why = "compressed bodies are not taken; send it as it is, without `Content-Encoding`";
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, why.into()));
        }
        let wait = Duration::from_millis(self.options.timeout_ms);
        let room = self.room(&head.headers)?;
        let late = || (StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned());
        let body = timeout(wait, self.read(body)).await.map_err(|_| late())??;
        if !is_signed(&self.options.auth, &head.headers, &body, self.clock.wall()) {
            return Err(stranger());
        }
        let (records, count) = self.split(&head.headers, &body)?;
        drop(body);
        if count == 0 {
            return Ok(json!({ "rows": 0 }));
        }
        let name = match self.meet(&head.headers, &records)? {
            Met::New(name) => name,
            Met::Committed => return Ok(json!({ "rows": 0, "repeated": true })),
        };
        self.look(&records)?;
        let (done, settled) = oneshot::channel();
        let gone = || unavailable("nobody takes deliveries in now");
        self.queue.send(Delivery { records, count, name, room, done }).map_err(|_| gone())?;
        match timeout(wait, settled).await {
            Ok(Ok(())) => Ok(json!({ "rows": count })),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(unavailable("it is not durable yet; send it again under the same name")),
        }
    }

    /// Takes as much of the queue as the body may need.
    fn room(&self, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, Refusal> {
        let length = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let bytes = length.unwrap_or(self.options.body_bytes_max);
        if bytes > self.options.body_bytes_max {
            return Err(self.too_long());
        }
        let bytes = u32::try_from(bytes.max(1)).map_err(|_| self.too_long())?;
        self.room.clone().try_acquire_many_owned(bytes).map_err(|_| unavailable("too much waits to be taken in"))
    }

    async fn read(&self, body: Body) -> Result<Vec<u8>, Refusal> {
        let (mut all, mut chunks) = (Vec::new(), body.into_data_stream());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| (StatusCode::BAD_REQUEST, "the body breaks off".to_owned()))?;
            if all.len() + chunk.len() > self.options.body_bytes_max {
                return Err(self.too_long());
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    fn split(&self, headers: &HeaderMap, body: &[u8]) -> Result<(Vec<u8>, u64), Refusal> {
        // Some write a byte order mark, which RFC 8259 §8.1 lets a reader pass over.
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        const LINES: [&str; 5] = [
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/x-jsonlines",
            "application/jsonlines",
        ];
        let is_lines = match self.options.format {
            Format::Auto => LINES.contains(&kind.as_str()),
            Format::Json => false,
            Format::Ndjson => true,
        };
        let found = if is_lines { delivery::of_ndjson(body) } else { delivery::of_json(body, &self.records) };
        found.map_err(|why| (StatusCode::BAD_REQUEST, why))
    }

    /// Refuses what the whole source would stop at.
    fn look(&self, records: &[u8]) -> Result<(), Refusal> {
        let Err(why) = fields::look(records, &self.entity, &*self.screen) else { return Ok(()) };
        if !self.has_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(path = self.options.path, why, "a delivery was refused; further ones are not told of");
        }
        Err((StatusCode::UNPROCESSABLE_ENTITY, why))
    }

    /// Whether a delivery was taken before, by its name. Without one, records that have a primary key come twice only by
    /// being sent again, so that they are the name themselves.
    fn meet(&self, headers: &HeaderMap, records: &[u8]) -> Result<Met, Refusal> {
        let named = self.name(headers).map(|name| Label::named(name, records));
        let is_keyed = !self.entity.key().is_empty();
        let Some(label) = named.or_else(|| is_keyed.then(|| Label::unnamed(records))) else {
            return Ok(Met::New(None));
        };
        match self.names.meet(label) {
            Seen::New(name) => Ok(Met::New(Some(name))),
            Seen::Committed => Ok(Met::Committed),
            Seen::UnderWay => Err((StatusCode::CONFLICT, "the same delivery is being taken in".into())),
            Seen::Other => {
                let why = "another delivery with this name has other records; give each its own name";
                Err((StatusCode::UNPROCESSABLE_ENTITY, why.into()))
            }
        }
    }

    /// What the sender calls this delivery. A header that is there and empty gives it no name: all such deliveries would be
    /// one.
    fn name<'h>(&self, headers: &'h HeaderMap) -> Option<&'h [u8]> {
        const NAMES: [&str; 3] = ["Idempotency-Key", "Webhook-Id", "X-GitHub-Delivery"];
        let of = |name: &str| {
            let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
            values.find(|value| !value.trim_ascii().is_empty())
        };
        match &self.options.key_header {
            Some(name) => of(name),
            None => NAMES.iter().find_map(|name| of(name)),
        }
    }

    fn too_long(&self) -> Refusal {
        (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {} bytes", self.options.body_bytes_max))
    }
}

enum Met {
    New(Option<Name>),
    Committed,
}

fn is_packed(headers: &HeaderMap) -> bool {
    let is_other = |coding: &HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).iter().any(is_other)
}

fn stranger() -> Refusal {
    (StatusCode::UNAUTHORIZED, "the credential or the signature is missing or wrong".into())
}

fn unavailable(why: &str) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, why.into())
}

//! The router: who comes in, and what they are answered.

use super::delivery::{self, Delivery, Names, Seen};
use super::options::{Format, Options};
use super::signature::{is_signed, is_stranger};
use crate::json_path::JsonPath;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt;
use kernel::clock::Clock;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use twox_hash::XxHash3_64;

pub struct Door {
    pub options: Options,
    pub records: JsonPath,
    pub clock: Arc<dyn Clock>,
    pub names: Names,
    /// Bytes that may still come in.
    pub room: Arc<Semaphore>,
    pub queue: mpsc::UnboundedSender<Delivery>,
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
        let wait = Duration::from_millis(self.options.timeout_ms);
        let room = self.room(&head.headers)?;
        let late = || (StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned());
        let body = timeout(wait, self.read(body)).await.map_err(|_| late())??;
        if !is_signed(&self.options.auth, &head.headers, &body, self.clock.now()) {
            return Err(stranger());
        }
        let (records, count) = self.split(&head.headers, &body)?;
        drop(body);
        if count == 0 {
            return Ok(json!({ "rows": 0 }));
        }
        let name = match self.name(&head.headers).map(|hash| self.names.meet(hash)) {
            None => None,
            Some(Seen::New(name)) => Some(name),
            Some(Seen::Committed) => return Ok(json!({ "rows": 0, "repeated": true })),
            Some(Seen::UnderWay) => return Err((StatusCode::CONFLICT, "the same delivery is being taken in".into())),
        };
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

    /// What the sender calls this delivery.
    fn name(&self, headers: &HeaderMap) -> Option<u64> {
        const NAMES: [&str; 3] = ["Idempotency-Key", "Webhook-Id", "X-GitHub-Delivery"];
        let value = match &self.options.key_header {
            Some(name) => headers.get(name),
            None => NAMES.iter().find_map(|name| headers.get(*name)),
        };
        value.map(|value| XxHash3_64::oneshot(value.as_bytes()))
    }

    fn too_long(&self) -> Refusal {
        (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {} bytes", self.options.body_bytes_max))
    }
}

fn stranger() -> Refusal {
    (StatusCode::UNAUTHORIZED, "the credential or the signature is missing or wrong".into())
}

fn unavailable(why: &str) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, why.into())
}

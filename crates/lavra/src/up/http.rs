//! What a process serves: `/status`, `/metrics`, `/healthz`, `/readyz`, `/registry`, and sources that others push to.

use super::LISTEN;
use super::doors::{Doors, knock};
use super::entrance::{Entrance, Visits, visit};
use super::metrics;
use super::state::{Desk, ProcessState};
use crate::wiring::Wiring;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use kernel::error::{Error, Result};
use orchestrate::up::{LineState, SourceView};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a process answers at itself, by the first part of the path.
const OWN: [&str; 5] = ["status", "metrics", "healthz", "readyz", "registry"];

/// Whether no source can have this path.
pub fn is_own(path: &str) -> bool {
    path.split('/').nth(1).is_some_and(|first| OWN.contains(&first))
}

/// The embedded registry of schemas, unless the project has another. Who is on another machine has to sign in, so that
/// there it is served by `lavra registry serve` alone.
pub async fn registry(wiring: &Wiring, address: Option<SocketAddr>) -> Result<Option<Router>> {
    if wiring.environment.registry.is_some() || !address.is_some_and(|address| address.ip().is_loopback()) {
        return Ok(None);
    }
    Ok(Some(govern::registry::router(Arc::new(wiring.embedded_registry().await?))))
}

/// Listens where it did before it made way, so that it is found there again; else where it was told to, or at the usual
/// place; when that is taken by another process, at any free port.
pub async fn bind(told: Option<&str>, is_first: bool, before: Option<SocketAddr>) -> Result<TcpListener> {
    if let Some(before) = before
        && let Ok(listener) = TcpListener::bind(before).await
    {
        return Ok(listener);
    }
    let place = match told {
        Some(place) => place,
        // Workers of a project stand beside its `up`.
        None if is_first => LISTEN,
        None => "127.0.0.1:0",
    };
    let address: SocketAddr = place.parse().map_err(|_| {
        Error::project(
            format!("listen on {place}"),
            "an address is an IP and a port: `127.0.0.1:7400`; port 0 takes a free one",
        )
    })?;
    if !address.ip().is_loopback() {
        tracing::warn!("{address} is open to other machines: /status and /metrics ask nobody for a password");
    }
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && told.is_none() => {
            tracing::info!("{address} is taken by another process; a free port is used instead");
            TcpListener::bind("127.0.0.1:0").await.map_err(|e| no_place("127.0.0.1:0", &e))
        }
        Err(e) => Err(no_place(place, &e)),
    }
}

/// What was asked for can't be had, whatever the reason: it has to be another address.
fn no_place(place: &str, error: &std::io::Error) -> Error {
    let why = match error.kind() {
        std::io::ErrorKind::AddrInUse => "another process listens there".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    };
    let detail =
        format!("{why}; `--listen`, or `up.listen` in lavra.yaml, gives another address, and port 0 any free port");
    Error::project(format!("listen on {place}"), detail)
}

/// Serves until it is closed: then nobody comes in any more, and who is in has his answer. While the process drains, others
/// may still ask how it goes, and who pushes is told to come again.
pub async fn serve(
    listener: TcpListener,
    desk: Arc<Desk>,
    doors: Arc<Doors>,
    registry: Option<Router>,
    closed: CancellationToken,
) {
    let ends = desk.cancel.clone();
    let mut router = Router::new()
        .route("/status", get(status))
        .route("/metrics", get(prometheus))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(desk)
        .fallback_service(any(knock).with_state((doors, ends)));
    if let Some(registry) = registry {
        router = router.nest("/registry", registry);
    }
    let router = router.layer(axum::middleware::from_fn(visit)).into_make_service_with_connect_info::<Visits>();
    let serving = axum::serve(Entrance::new(listener), router).with_graceful_shutdown(closed.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::warn!("nothing is served any more: {error}");
    }
}

async fn status(State(desk): State<Arc<Desk>>) -> Response {
    Json(desk.view()).into_response()
}

async fn prometheus(State(desk): State<Arc<Desk>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::text(&desk.view())).into_response()
}

/// Ready is who has opened each source, or knows why not, and was not told to end.
async fn ready(State(desk): State<Arc<Desk>>) -> Response {
    let view = desk.view();
    let is_young = |s: &&SourceView| s.state == LineState::Starting && s.failures == 0 && s.version.is_none();
    let young: Vec<&str> = view.sources.iter().filter(is_young).map(|source| &*source.source).collect();
    match (view.state, &young[..]) {
        (ProcessState::Running, []) => (StatusCode::OK, "ready\n".to_owned()).into_response(),
        (ProcessState::Running, young) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not opened yet: {}\n", young.join(", "))).into_response()
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()).into_response(),
    }
}

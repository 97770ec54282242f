//! Sources that others push to: each answers at a path of its own, for as long as it is open.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kernel::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tower_service::Service;

/// By source; `None` until it was opened for the first time.
pub struct Doors(Mutex<BTreeMap<String, Option<Door>>>);

struct Door {
    path: String,
    router: Router,
}

impl Doors {
    pub fn of(sources: impl IntoIterator<Item = String>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(sources.into_iter().map(|source| (source, None)).collect())))
    }

    /// Lets a source answer; of one that was open before, in the place of what answered then.
    pub fn open(&self, source: &str, path: String, router: Router) -> Result<()> {
        let mut doors = self.lock();
        let first = path.split('/').nth(1).unwrap_or_default();
        let is_of = |(name, door): (&String, &Option<Door>)| {
            let is_same = name != source && door.as_ref().is_some_and(|door| door.path == path);
            is_same.then(|| format!("the source `{name}`"))
        };
        let own = super::http::OWN.contains(&first).then(|| "this process itself".to_owned());
        if let Some(other) = own.or_else(|| doors.iter().find_map(is_of)) {
            let detail = format!("{other} answers at {path}; give this source another `path`");
            return Err(Error::project(format!("open `{source}`"), detail));
        }
        doors.insert(source.to_owned(), Some(Door { path, router }));
        Ok(())
    }

    /// What answers at a path. An error says whether it may come.
    fn at(&self, path: &str) -> Result<Router, StatusCode> {
        let doors = self.lock();
        match doors.values().flatten().find(|door| door.path == path) {
            Some(door) => Ok(door.router.clone()),
            // Senders try again what is not there now, and give up what was not found.
            None if doors.values().any(Option::is_none) => Err(StatusCode::SERVICE_UNAVAILABLE),
            None => Err(StatusCode::NOT_FOUND),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<Door>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers requests for which there is no other route.
pub async fn knock(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    match doors.at(request.uri().path()) {
        Ok(mut router) => router.call(request).await.into_response(),
        Err(StatusCode::NOT_FOUND) => (StatusCode::NOT_FOUND, "nothing is at this path\n").into_response(),
        Err(status) => (status, [(header::RETRY_AFTER, "1")], "not opened yet\n").into_response(),
    }
}

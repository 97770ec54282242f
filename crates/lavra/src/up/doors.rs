//! Sources that others push to: each answers at a path of its own, for as long as it is open.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kernel::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

pub struct Doors {
    /// By source; `None` until it was opened for the first time.
    all: Mutex<BTreeMap<String, Option<Door>>>,
    /// Requests that are being answered.
    inside: watch::Sender<usize>,
}

struct Door {
    path: String,
    router: Router,
}

impl Doors {
    pub fn of(sources: impl IntoIterator<Item = String>) -> Arc<Self> {
        let all = Mutex::new(sources.into_iter().map(|source| (source, None)).collect());
        Arc::new(Self { all, inside: watch::Sender::new(0) })
    }

    /// Waits until nobody is inside.
    pub async fn are_left(&self) {
        // The sender is here, so that it does not end before that.
        let _ = self.inside.subscribe().wait_for(|inside| *inside == 0).await;
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        *self.inside.borrow()
    }

    /// Lets a source answer; of one that was open before, in the place of what answered then.
    pub fn open(&self, source: &str, path: String, router: Router) -> Result<()> {
        let mut doors = self.lock();
        let is_of = |(name, door): (&String, &Option<Door>)| {
            let is_same = name != source && door.as_ref().is_some_and(|door| door.path == path);
            is_same.then(|| format!("the source `{name}`"))
        };
        let own = super::http::is_own(&path).then(|| "this process itself".to_owned());
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
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who came in by a door, until he has his answer or goes away.
struct Guest<'a>(&'a Doors);

impl<'a> Guest<'a> {
    fn enter(doors: &'a Doors) -> Self {
        doors.inside.send_modify(|inside| *inside += 1);
        Self(doors)
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.0.inside.send_modify(|inside| *inside -= 1);
    }
}

/// Answers requests for which there is no other route. Who comes while the process ends is told to come again.
pub async fn knock(State((doors, ends)): State<(Arc<Doors>, CancellationToken)>, request: Request) -> Response {
    let later =
        |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], why).into_response();
    match doors.at(request.uri().path()) {
        Err(StatusCode::NOT_FOUND) => (StatusCode::NOT_FOUND, "nothing is at this path\n").into_response(),
        Err(_) => later("not opened yet\n"),
        Ok(_) if ends.is_cancelled() => later("stopping\n"),
        Ok(mut router) => {
            let _guest = Guest::enter(&doors);
            router.call(request).await.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::post;
    use std::time::Duration;
    use tokio::sync::Notify;
    use tokio::time::timeout;

    async fn send(doors: &Arc<Doors>, ends: &CancellationToken) -> StatusCode {
        let request = Request::post("/hooks").body(Body::empty()).expect("a request");
        knock(State((doors.clone(), ends.clone())), request).await.status()
    }

    #[test]
    fn a_path_of_the_process_or_of_another_source_is_not_given() {
        let doors = Doors::of(["orders".to_owned(), "others".to_owned()]);
        let open = |source: &str, path: &str| doors.open(source, path.into(), Router::new()).map_err(|e| e.detail);
        for own in ["/status", "/registry/subjects"] {
            assert!(open("orders", own).expect_err("taken").contains("this process itself"), "{own}");
        }
        assert_eq!((open("orders", "/statuses"), open("orders", "/statuses")), (Ok(()), Ok(())), "opened again");
        assert!(open("others", "/statuses").expect_err("taken").contains("the source `orders`"));
    }

    #[tokio::test]
    async fn who_is_inside_is_waited_for_and_who_comes_later_is_told_to_come_again() {
        let (doors, ends, done) = (Doors::of(["orders".to_owned()]), CancellationToken::new(), Arc::new(Notify::new()));
        assert_eq!(send(&doors, &ends).await, StatusCode::SERVICE_UNAVAILABLE, "not open yet");
        let wait = done.clone();
        let answer = || async move { wait.notified().await };
        doors.open("orders", "/hooks".into(), Router::new().route("/hooks", post(answer))).expect("opened");
        let (asked, told) = (doors.clone(), ends.clone());
        let inside = tokio::spawn(async move { send(&asked, &told).await });
        while doors.inside() == 0 {
            tokio::task::yield_now().await;
        }
        ends.cancel();
        assert_eq!(send(&doors, &ends).await, StatusCode::SERVICE_UNAVAILABLE, "it is stopping");
        assert!(timeout(Duration::from_millis(50), doors.are_left()).await.is_err(), "one is inside");
        done.notify_one();
        timeout(Duration::from_secs(20), doors.are_left()).await.expect("nobody is inside");
        assert_eq!(inside.await.expect("its end"), StatusCode::OK);
    }
}

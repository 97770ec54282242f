//! Who asks, and to whom that is told.

use super::{Server, all, fails, ids, kinds, orders};
use crate::files::testing::{opening, pull_into};
use crate::rest::{spec, tokens_are_kept, tokens_under_way};
use kernel::Positions;
use kernel::error::Kind;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

#[tokio::test]
async fn credentials_go_nowhere_else() {
    let elsewhere = Server::start(json!({ "reset": true, "rows": 37 })).await;
    let server =
        Server::start(json!({ "reset": true, "rows": 37, "away": elsewhere.url.replace("127.0.0.1", "localhost") }))
            .await;
    let (path, more) = kinds().remove(4);
    let mut options = server.options(path, more);
    options["auth"] = json!({ "type": "bearer", "token": "SECRET" });
    let error = fails(&options, &orders()).await;
    assert!(error.kind == Kind::Refused && error.detail.contains("`localhost` under `allow_hosts`"), "{error}");
    assert_eq!(elsewhere.stats("requests").await, 0);
    options["allow_hosts"] = json!(["localhost"]);
    assert_eq!(all(&options, &orders(), &mut Positions::new()).await.expect("rows").len(), 37);
    assert!(elsewhere.stats("requests").await > 0);
}

#[tokio::test]
async fn everybody_signs_in_as_the_server_wants_it() {
    let server = Server::start(json!({ "reset": true, "rows": 37 })).await;
    let (path, more) = kinds().remove(4);
    let oauth = json!({ "type": "oauth2", "id": "me", "secret": "SECRET", "uses": 2, "refresh": "again" });
    let token_url = format!("{}/oauth/token", server.url);
    let client = json!({ "type": "oauth2", "token_url": token_url, "client_id": "me", "client_secret": "SECRET" });
    let mut by_header = client.clone();
    by_header["client_auth"] = "basic".into();
    let mut refreshed = client.clone();
    refreshed["refresh_token"] = "again".into();
    for (wanted, given) in [
        (
            json!({ "type": "basic", "user": "u", "password": "p:w" }),
            json!({ "type": "basic", "user": "u", "password": "p:w" }),
        ),
        (json!({ "type": "bearer", "token": "123" }), json!({ "type": "bearer", "token": 123 })),
        (json!({ "type": "header", "name": "X-Api-Key", "key": "k" }), json!({ "type": "api_key", "key": "k" })),
        (
            json!({ "type": "query", "name": "token", "key": "k" }),
            json!({ "type": "api_key", "key": "k", "name": "token", "in": "query" }),
        ),
        (oauth.clone(), client),
        (oauth.clone(), by_header),
        (oauth, refreshed),
    ] {
        server.control(json!({ "auth": wanted })).await;
        let mut options = server.options(path, more.clone());
        options["auth"] = given.clone();
        let mut taken = Positions::new();
        let rows = all(&options, &orders(), &mut taken).await.unwrap_or_else(|e| panic!("{given}: {e}"));
        assert_eq!(rows.len(), 37, "{given}");
        assert!(!format!("{taken:?}").contains("token=k"), "{taken:?}");
        server
            .control(json!({ "auth": { "type": "bearer", "token": "changed", "id": "other", "secret": "other" } }))
            .await;
        let error = fails(&options, &orders()).await;
        assert!(error.kind == Kind::Refused && error.detail.contains("HTTP 401"), "{given}: {error}");
        assert!(!format!("{error}").contains("SECRET"), "{error}");
    }
    assert!(server.stats("token_requests").await >= 6, "tokens that are used up are asked for anew");
}

/// A server that takes each refresh token once, and begins with this one.
fn rotating(first: &str) -> Value {
    json!({ "type": "oauth2", "id": "me", "secret": "SECRET", "uses": 2, "refresh": first, "rotates": true })
}

/// The options of a source that reads from it.
fn refreshing(server: &Server, token: Value) -> Value {
    let (path, more) = kinds().remove(4);
    let mut options = server.options(path, more);
    options["auth"] = json!({
        "type": "oauth2", "token_url": format!("{}/oauth/token", server.url), "client_id": "me", "client_secret": "SECRET",
    });
    options["auth"].as_object_mut().expect("fields").extend(token.as_object().expect("fields").clone());
    options
}

#[tokio::test]
async fn a_refresh_token_that_is_replaced_leads_on_from_open_to_open() {
    let server = Server::start(json!({ "reset": true, "rows": 37, "auth": rotating("first") })).await;
    let options = refreshing(&server, json!({ "refresh_token": "first" }));
    let entity = orders();
    let read = async || all(&options, &entity, &mut Positions::new()).await.map(|rows| rows.len());
    assert_eq!(read().await.expect("rows"), 37, "with the token of the options, and those that came after it");
    assert_eq!(read().await.expect("rows"), 37, "with the newest");
    let (one, other) = tokio::join!(read(), read());
    assert_eq!((one.expect("rows"), other.expect("rows")), (37, 37), "two at once take turns");
}

#[tokio::test]
async fn a_refresh_token_that_is_replaced_is_put_into_its_file_for_the_next_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").expect("a file");
    let server = Server::start(json!({ "reset": true, "rows": 37, "auth": rotating("first") })).await;
    let options = refreshing(&server, json!({ "token_file": "token" }));
    let read = async || {
        let mut source = spec().open(opening(folder.path(), options.clone(), orders(), Positions::new())).await?;
        let mut rows = Vec::new();
        pull_into(source.as_mut(), &mut Positions::new(), &mut rows).await.map(|()| rows.len())
    };
    let (one, other) = tokio::join!(read(), read());
    assert_eq!((one.expect("rows"), other.expect("rows")), (37, 37), "two at once take turns");
    let asked = server.stats("token_requests").await;
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), format!("r-{asked}\n"), "the newest is there");
    // Nobody but the file knows the newest: as for a process that starts now.
    std::fs::write(&file, "second\n").expect("a file");
    server.control(json!({ "auth": rotating("second") })).await;
    assert_eq!(read().await.expect("rows"), 37);
    std::fs::write(&file, " \n").expect("a file");
    let error = read().await.expect_err("no token");
    assert!(error.kind == Kind::Project && error.detail.contains("empty"), "{error}");
    std::fs::remove_file(&file).expect("no file");
    let error = read().await.expect_err("no file");
    assert!(error.kind == Kind::Project && error.detail.contains("no such file"), "{error}");
}

/// Gives a refresh token whenever it is told to; counts how often it was asked.
async fn taking_its_time() -> (String, Arc<AtomicUsize>, Arc<Notify>) {
    let (asked, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, wait) = (asked.clone(), told.clone());
    let app = axum::Router::new().fallback(move || {
        let (count, wait) = (count.clone(), wait.clone());
        async move {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            wait.notified().await;
            json!({ "access_token": "t", "expires_in": 3600, "refresh_token": format!("r-{number}") }).to_string()
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked, told)
}

#[tokio::test]
async fn who_waits_no_more_loses_no_refresh_token_and_uses_up_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").expect("a file");
    let (url, asked, told) = taking_its_time().await;
    let options = json!({
        "connection": url, "path": "orders", "auth": {
            "type": "oauth2", "token_url": format!("{url}/token"), "client_id": "me", "token_file": "token",
        },
    });
    let read = || {
        let opening = opening(folder.path(), options.clone(), orders(), Positions::new());
        tokio::spawn(async move { spec().open(opening).await.expect("a source").next(1).await.map(drop) })
    };
    let first = read();
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = read();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for reader in [first, second] {
        reader.abort();
        assert!(reader.await.expect_err("it was dropped").is_cancelled());
    }
    assert!(tokens_under_way() > 0);
    assert!(timeout(Duration::from_millis(50), tokens_are_kept()).await.is_err(), "the token is not there yet");
    told.notify_one();
    let kept = || std::fs::read_to_string(&file).expect("the file") == "r-1\n";
    // Other tests have tokens of their own, so that the end of all is no sign for this one.
    for _ in 0..400 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if kept() {
            break;
        }
    }
    assert!(kept(), "what was asked for is heard to its end");
    timeout(Duration::from_secs(20), tokens_are_kept()).await.expect("an end");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "whoever was second asked nobody");
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_lock_is_never_let_go_is_not_waited_for_without_an_end() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "first\n").expect("a file");
    let lock = std::fs::File::create(folder.path().join("token.lock")).expect("a lock");
    lock.lock().expect("nobody else has it");
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        // Longer than anybody should wait, for no time passes but the runtime's.
        let _ = is_done.recv_timeout(Duration::from_secs(30));
        drop(lock);
    });
    let options = json!({
        "connection": "http://127.0.0.1:9", "path": "orders", "auth": {
            "type": "oauth2", "token_url": "http://127.0.0.1:9/token", "client_id": "me", "token_file": "token",
        },
    });
    let opening = opening(folder.path(), options, orders(), Positions::new());
    let mut source = spec().open(opening).await.expect("a source");
    let begun = tokio::time::Instant::now();
    let error = source.next(1).await.map(drop).expect_err("no token");
    assert!(error.kind == Kind::Stopped && error.detail.contains("within 360 s"), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 360, "a minute is for the token's own request; it is not asked again");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0, "nobody waits on");
    let _ = done.send(());
    holder.join().expect("the lock is let go");
}

#[tokio::test]
async fn a_token_that_changes_is_read_again_from_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "first\n").expect("a file");
    let server =
        Server::start(json!({ "reset": true, "rows": 37, "auth": { "type": "bearer", "token": "first" } })).await;
    let (path, more) = kinds().remove(3);
    let mut options = server.options(path, more);
    options["auth"] = json!({ "type": "bearer", "token_file": "token" });
    let opening = opening(folder.path(), options, orders(), Positions::new());
    let mut source = spec().open(opening).await.expect("a source");
    let (mut taken, mut rows) = (Positions::new(), Vec::new());
    taken.advance(&source.next(1).await.expect("a batch").expect("rows").upto);
    server.control(json!({ "auth": { "type": "bearer", "token": "second" } })).await;
    let error = source.next(1).await.err().expect("an error");
    assert_eq!(error.kind, Kind::Refused);
    std::fs::write(folder.path().join("token"), "second\n").expect("a file");
    pull_into(source.as_mut(), &mut taken, &mut rows).await.expect("rows");
    assert_eq!(ids(&rows), (11..=37).collect::<Vec<_>>(), "nothing is lost between the two tokens");
}

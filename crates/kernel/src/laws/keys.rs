//! What every `KeyProvider` and every `KeyStore` must pass.
#![allow(clippy::expect_used, reason = "a law speaks by failing the test that calls it")]

use crate::keys::{Key, KeyProvider, KeyStore};

/// Holds a provider to its contract, whatever keys it has; it must be able to give or make the scopes `law.a` and `law.b`.
pub fn obeys(provider: &dyn KeyProvider) {
    let newest = |scope: &str| provider.key(scope, None).expect("a well-formed scope has a key");
    let (one, other) = (newest("law.a"), newest("law.b"));
    assert!(same(&one, &newest("law.a")), "the same scope gives the same key");
    assert!(one.expose() != other.expose(), "another scope gives another key");
    assert!(one.expose().iter().any(|byte| *byte != 0), "a key is never empty");

    let named = provider.key("law.a", Some(one.version())).expect("that version can be asked for by its number");
    assert!(same(&one, &named), "`None` is one version");
    for version in 1..one.version() {
        if let Ok(older) = provider.key("law.a", Some(version)) {
            assert!(older.version() == version && older.expose() != one.expose(), "another version is another key");
        }
    }
    assert!(provider.key("law.a", Some(u32::MAX)).is_err(), "an unknown version is an error, never another key");
    assert!(provider.key("", None).is_err(), "an empty scope is an error");
}

fn same(a: &Key, b: &Key) -> bool {
    a.version() == b.version() && a.expose() == b.expose()
}

/// Holds a store to its contract; it must have no object called `law-a.json` or `law-b.json`.
pub async fn store_obeys(store: &dyn KeyStore) {
    assert_eq!(store.get("law-a.json").await.expect("a look"), None, "what was never put is not there");
    let (one, two) = (store.put_new("law-a.json", b"one".to_vec()), store.put_new("law-a.json", b"two".to_vec()));
    let (one, two) = futures::join!(one, two);
    let (one, two) = (one.expect("a put"), two.expect("a put"));
    assert!(one != two, "of two who put one name, one is told that it came second");
    let kept: &[u8] = if one { b"one" } else { b"two" };
    assert_eq!(store.get("law-a.json").await.expect("a look").as_deref(), Some(kept), "the first stays");
    assert!(store.put_new("law-b.json", b"b".to_vec()).await.expect("a put"), "another name is free");
    let mut names = store.list().await.expect("a list");
    names.retain(|name| name.starts_with("law-"));
    names.sort();
    assert_eq!(names, ["law-a.json", "law-b.json"], "all names, each once");
}

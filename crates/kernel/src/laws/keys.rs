//! What every `KeyProvider` must pass.
#![allow(clippy::expect_used, reason = "a law speaks by failing the test that calls it")]

use crate::keys::{Key, KeyProvider};

/// Holds a provider to its contract, whatever keys it has; it must be able to give or make the scopes `law.a` and `law.b`.
pub fn obeys(provider: &dyn KeyProvider) {
    let newest = |scope: &str| provider.key(scope, None).expect("a well-formed scope has a key");
    let (one, other) = (newest("law.a"), newest("law.b"));
    assert!(same(&one, &newest("law.a")), "the same scope gives the same key");
    assert!(one.expose() != other.expose(), "another scope gives another key");
    assert!(one.expose().iter().any(|byte| *byte != 0), "a key is never empty");

    let named = provider.key("law.a", Some(one.version())).expect("the newest version can be asked for by its number");
    assert!(same(&one, &named), "`None` is the newest version");
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

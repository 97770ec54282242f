//! What every `Vault` must pass: that an id has one secret whoever asks, and none for good once it was shredded.
#![allow(clippy::panic, clippy::expect_used, reason = "a law speaks by failing the test that calls it")]

use crate::error::{Error, Kind, Result};
use crate::vault::{Id, Secret, TOKEN_TRIES_MAX, Vault};
use std::collections::HashSet;
use std::sync::Arc;

const AT_ONCE: usize = 4;

/// Holds a vault to its contract. Each call of `open` gives a handle of one store that is new, or that only an earlier
/// call of this law has used; it is called again after earlier handles were dropped, as after a crash.
pub fn obeys(open: &dyn Fn() -> Arc<dyn Vault>) {
    keeps_what_it_was_given(open);
    has_tokens_once(&*open());
    all_get_the_same(open);
    shreds_for_good(open);
    leaves_no_half_batch(open);
}

fn id(law: u8, n: usize) -> Id {
    let mut id = [law; 16];
    id[8..].copy_from_slice(&(n as u64).to_be_bytes());
    id
}

fn secret(text: String) -> Secret {
    Secret { sealed: text.clone().into_bytes(), token: Some(text) }
}

/// Secrets that say who made them and for which place.
fn maker(who: &str) -> impl FnMut(usize) -> Result<Secret> {
    move |at| Ok(secret(format!("{who} {at}")))
}

fn put(vault: &dyn Vault, space: &str, ids: &[Id], who: &str) -> Vec<Secret> {
    vault.get_or_put(space, ids, &mut maker(who)).expect("secrets")
}

fn keeps_what_it_was_given(open: &dyn Fn() -> Arc<dyn Vault>) {
    let ids = [id(1, 0), id(1, 1), id(1, 0)];
    let one = open();
    assert_eq!(one.get("law/a", &ids).expect("a look"), [None, None, None], "nothing is there by itself");
    let made = put(&*one, "law/a", &ids, "first");
    assert_eq!(
        made,
        [secret("first 0".into()), secret("first 1".into()), secret("first 0".into())],
        "in the ids' order"
    );
    // What was answered is durable: nobody closes anything.
    drop(one);
    let other = open();
    assert_eq!(put(&*other, "law/a", &ids[..2], "second"), made[..2], "what is there is not made again");
    let found = other.get("law/a", &[id(1, 1), id(1, 2)]).expect("a look");
    assert_eq!(found, [Some(made[1].clone()), None], "`get` makes nothing");
    assert_eq!(other.find("law/a", "first 1").expect("a look").as_ref(), Some(&made[1]), "a token is found again");
    assert_eq!(other.find("law/a", "second 1").expect("a look"), None, "a token that nobody has");
    assert_eq!(other.find("law/b", "first 1").expect("a look"), None, "spaces are apart");
    assert_eq!(put(&*other, "law/b", &ids[..1], "third")[0], secret("third 0".into()), "spaces are apart");
    let bare = Secret { token: None, sealed: Vec::new() };
    let kept = other.get_or_put("law/bare", &ids[..2], &mut |_| Ok(bare.clone())).expect("secrets without tokens");
    assert_eq!(kept, [bare.clone(), bare], "many may have no token");
    assert!(put(&*other, "law/a", &[], "nobody").is_empty(), "no ids, no secrets");
}

fn has_tokens_once(vault: &dyn Vault) {
    let mut asked = 0;
    let mut often = |_: usize| {
        asked += 1;
        Ok(secret(format!("token {}", asked / 2)))
    };
    let made = vault.get_or_put("law/tokens", &[id(2, 0), id(2, 1), id(2, 2)], &mut often).expect("tokens");
    let tokens: HashSet<_> = made.iter().map(|secret| secret.token.clone()).collect();
    assert_eq!(tokens.len(), 3, "a token has one id: another is made when it is taken");
    let mut tries = 0;
    let mut stubborn = |_: usize| {
        tries += 1;
        Ok(secret("token 0".into()))
    };
    let given_up = vault.get_or_put("law/tokens", &[id(2, 3)], &mut stubborn);
    assert!(given_up.is_err() && tries == TOKEN_TRIES_MAX, "it gives up on a maker that knows one token");
    assert_eq!(vault.get("law/tokens", &[id(2, 3)]).expect("a look"), [None], "and has put nothing");
}

fn all_get_the_same(open: &dyn Fn() -> Arc<dyn Vault>) {
    let ids: Vec<Id> = (0..200).map(|n| id(3, n)).collect();
    let handles: Vec<_> = (0..AT_ONCE).map(|_| open()).collect();
    let answers: Vec<Vec<Secret>> = std::thread::scope(|scope| {
        let ask = |(who, handle): (usize, &Arc<dyn Vault>)| {
            let (handle, ids) = (handle.clone(), &ids);
            scope.spawn(move || {
                let of = |part: &[Id], from: usize| {
                    let mut make = |at: usize| Ok(secret(format!("{who}/{}", from + at)));
                    handle.get_or_put("law/race", part, &mut make).expect("secrets")
                };
                // Each begins elsewhere, so that each makes some.
                let (first, rest) = ids.split_at(who * ids.len() / AT_ONCE);
                let rest = of(rest, first.len());
                [of(first, 0), rest].concat()
            })
        };
        let threads: Vec<_> = handles.iter().enumerate().map(ask).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread fails")).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "whoever asks, an id has one secret");
}

fn shreds_for_good(open: &dyn Fn() -> Arc<dyn Vault>) {
    let (gone, stays) = (id(4, 0), id(4, 1));
    let vault = open();
    for space in ["law/c/x", "law/c/y", "law/d"] {
        put(&*vault, space, &[gone, stays], "before");
    }
    assert_eq!(vault.shred("law/c/", &gone).expect("a shredding"), 2, "in every space of the prefix");
    assert_eq!(vault.shred("law/c/", &gone).expect("a shredding"), 0, "again is no error");
    drop(vault);
    let vault = open();
    for space in ["law/c/x", "law/c/y", "law/c/new"] {
        let again = vault.get_or_put(space, &[stays, gone], &mut maker("again")).map_err(|e| e.kind);
        assert_eq!(again, Err(Kind::Refused), "what was shredded is refused in `{space}`");
        assert_eq!(vault.get(space, &[gone]).expect("a look"), [None], "and stays away");
        assert_eq!(vault.shredded(space, &[stays, gone]).expect("a look"), [false, true], "and is told");
    }
    assert_eq!(vault.get("law/c/new", &[stays]).expect("a look"), [None], "a refusal puts nothing");
    assert_eq!(vault.find("law/c/x", "before 0").expect("a look"), None, "its token leads nowhere");
    assert!(vault.find("law/c/x", "before 1").expect("a look").is_some(), "another's does");
    assert!(vault.get("law/d", &[gone]).expect("a look")[0].is_some(), "other spaces keep theirs");
    assert_eq!(vault.shred("", &gone).expect("a shredding"), 1, "the empty prefix is everything's");
    assert_eq!(vault.shred("law/d", &id(4, 9)).expect("a shredding"), 0, "an id that was never there");
    let late = vault.get_or_put("law/d", &[id(4, 9)], &mut maker("late")).map_err(|e| e.kind);
    assert_eq!(late, Err(Kind::Refused), "is refused all the same");
}

fn leaves_no_half_batch(open: &dyn Fn() -> Arc<dyn Vault>) {
    let vault = open();
    let mut breaks = |at: usize| match at {
        2 => Err(Error::internal("make a secret", "it broke")),
        _ => Ok(secret(format!("half {at}"))),
    };
    let ids = [id(5, 0), id(5, 1), id(5, 2)];
    assert!(vault.get_or_put("law/half", &ids, &mut breaks).is_err(), "an error of the maker is passed on");
    let made = put(&*vault, "law/half", &ids, "whole");
    assert_eq!(made.len(), 3, "and the next try gives them all");
}
